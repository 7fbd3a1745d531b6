"""Instruments that say what an operator is: linear, equivariant, a convolution.

Which module answers which question, in the order in which a call of `diagnose` meets them:

1. How is the operator called, and what does it return? ``calling``, with ``shapes``,
   ``conventions``, ``outputs``, ``errors`` and ``remedies``; ``isolation`` leaves no trace.
2. Does the same input give the same output? ``determinism``, with ``generators``.
3. What does a graph show? ``inside`` has it recorded by ``tracing``, which follows by
   ``functional_state`` what a module writes into its own, and by ``watching`` what it reads; with
   ``memory``, what is read may not change. ``structure`` says what its ``nodes`` prove, given what
   ``primitives`` are known to do; ``randomness`` whether it draws random numbers; ``values`` and
   ``amplification`` what of its rounding reaches the output.
4. When are two responses different? ``responses`` remembers them, ``measuring`` finds out how much
   the operator rounds, ``rounding`` derives the bound.
5. Which inputs break a law? ``equations`` has the laws, ``inputs`` what is tried; ``search`` tells
   a violation from rounding, ``shrinking`` makes it small, and it becomes one of ``witnesses``.
6. Is it linear, or affine? ``linearity``.
7. Which shifts does it follow? ``equivariance``, judged on the circle by ``circular`` and in the
   ``interior``. There ``windows`` shift a longer signal, ``reach`` and ``sampled_reach`` say which
   cells see an end, from a basis and from trials, and ``interior_witness`` shows that no shift is
   followed.
8. What is the kernel? ``kernel``.
9. Was it the question that was meant? ``sequences`` knows the layers that take a batch for a
   sequence.

All of it is told by ``findings``.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, get_args

import numpy as np
import torch

from theory.diagnosis.calling import Array, Operator
from theory.diagnosis.circular import Circle
from theory.diagnosis.determinism import Repetition
from theory.diagnosis.equations import Boundary
from theory.diagnosis.equivariance import Equivariance, Shifts
from theory.diagnosis.findings import Certainty, Diagnosis, Finding
from theory.diagnosis.inside import Inside, look_inside
from theory.diagnosis.interior import Interior
from theory.diagnosis.isolation import isolated
from theory.diagnosis.kernel import circular_kernel, interior_kernel
from theory.diagnosis.linearity import Linearity, both, judge_linearity
from theory.diagnosis.search import BUDGET, Trials, check_search
from theory.diagnosis.sequences import single_steps, told_of
from theory.diagnosis.witnesses import Witness

_LARGE = 2**16
"""Cells of input or output from which on an operator may use all threads."""

__all__ = ["Certainty", "Diagnosis", "Finding", "Witness", "diagnose"]


def diagnose(
    op: Callable[..., Any],
    shape: Sequence[int],
    *,
    axes: Sequence[int] | None = None,
    boundary: Boundary = "circular",
    batched: bool | None = None,
    dtype: torch.dtype = torch.float64,
    seed: int = 0,
    budget: int = BUDGET,
) -> Diagnosis:
    """Find out whether an operator is linear, affine, shift-equivariant, LTI; or find a witness.

    Parameters
    ----------
    op : callable
        A `torch.nn.Module`, taken in the mode that it is in, or a function of one torch tensor or
        numpy array. Modules and callable objects are copied and stay as they were; a plain function
        is called as it is. Hooks run with the copy on every input that is tried, and what they keep
        outside of the module is of those.
    shape : sequence of int
        Shape of one input without batch: ``(n,)``, ``(c, n)``, ``(c, h, w)`` or ``(c, d, h, w)``.
    axes : sequence of int, optional
        The axes of `shape` that shifts act on; all but the channel c if left out. The output's are
        those at the same place from the end.
    boundary : {"circular", "interior"}
        ``circular``: signals live on Z_n and shifts wrap. ``interior``: an input is a piece of a
        longer signal, and a border of the output, found out as well, is left out of the comparison.
    batched : bool, optional
        Whether `op` is called with a batch axis in front. Found out if left out: modules are called
        with a batch of one if they take batches, functions with the bare array if they take that.
    dtype : torch.float64 or torch.float32
        Precision of the inputs and of the copied module. What refuses double precision is diagnosed
        in single precision, without TF32 or the like, whatever torch is told that it may do; a
        module that refuses both, as one that converts its input to 16 bits does, in its own types.
    seed : int
        Fixes the random inputs and the global generators during the diagnosis.
    budget : int
        How many inputs any one question may try: up to that many cells are exhausted impulse by
        impulse, and after that many tries a witness is not made any smaller. The few hundred inputs
        of the first search are tried whatever it is. In the interior, no further shift along an
        axis is tried after that many inputs, and the finding names the shifts that are left out.

    Returns
    -------
    Diagnosis
        The findings, period and border per axis, the kernel and the offset; and a warning where a
        layer takes the batch axis, found out and not told, for the sequence, or a module had to be
        asked in its own types.

    Raises
    ------
    TypeError
        If `op` is not callable, or a class of modules instead of one.
    ValueError
        If `op` takes no input of this shape, is a lazy module that was never called or one without
        values, or cannot be copied; or an option is none of those that it may be.

    Examples
    --------
    >>> import torch
    >>> from theory import diagnose
    >>> diagnosis = diagnose(torch.nn.ReLU(), (8,))
    >>> diagnosis.linear.holds, diagnosis.shift_equivariant.holds, diagnosis.lti.holds
    (False, True, False)
    >>> print(diagnosis.additive.witness)
    x = [1 at 0], y = [-1 at 0]: f(x + y) = 0 but f(x) + f(y) = 1 at 0

    A zero-padded convolution is LTI but for a border:

    >>> conv = torch.nn.Conv2d(1, 1, 3, padding=1, bias=False)
    >>> interior = diagnose(conv, (1, 8, 8), boundary="interior")
    >>> interior.lti.holds, interior.border
    (True, (1, 1))
    """
    if boundary not in get_args(Boundary):
        known = " or ".join(map(repr, get_args(Boundary)))
        raise ValueError(f"boundary is {boundary!r}: give {known}")
    check_search(budget, seed)
    with isolated(seed):
        operator = Operator(op, shape, dtype, axes=axes, batched=batched)
        with _threads_for(operator):
            diagnosis = _diagnose(operator, boundary, seed, budget)
            warnings = _warnings(operator, batched)
            return dataclasses.replace(diagnosis, warnings=warnings)


def _warnings(operator: Operator, batched: bool | None) -> tuple[str, ...]:
    """Say what may not be the question that was meant."""
    about_batches = _about_batches(operator) if batched is None else ()
    return (*about_batches, *_about_types(operator))


def _about_types(operator: Operator) -> tuple[str, ...]:
    """Say where no copy in one precision takes an input."""
    if not operator.own_types:
        return ()
    types = " and ".join(str(each).removeprefix("torch.") for each in operator.own_types)
    return (f"it takes neither double nor single precision: asked in its own types, {types}",)


def _about_batches(operator: Operator) -> tuple[str, ...]:
    """Say where the batch axis that was added is taken for the sequence."""
    module = operator.underlying
    if not operator.batched or not isinstance(module, torch.nn.Module):
        return ()
    with single_steps(module) as noted, contextlib.suppress(Exception):
        module(operator.wrap(np.zeros(operator.shape)))
    return told_of(
        noted, "make the layer with batch_first=True, or give batched=False for one sequence"
    )


@contextlib.contextmanager
def _threads_for(operator: Operator) -> Iterator[None]:
    """Let a small operator compute on one thread.

    It is called thousands of times, and to wake other threads for each of its primitives takes
    longer than they could save: many times longer where the processor has other work as well.
    """
    allowed = torch.get_num_threads()
    small = max(math.prod(operator.shape), math.prod(operator.output_shape)) < _LARGE
    torch.set_num_threads(1 if small else allowed)
    try:
        yield
    finally:
        torch.set_num_threads(allowed)


def _diagnose(operator: Operator, boundary: Boundary, seed: int, budget: int) -> Diagnosis:
    repetition = Repetition(operator, np.random.default_rng(seed))
    deterministic = repetition.judge()
    if not deterministic.holds:
        return _no_function(operator, boundary, deterministic)
    inside = look_inside(operator, np.random.default_rng(seed))
    deterministic = _unless_drawn(deterministic, repetition, inside)
    if not deterministic.holds:
        return _no_function(operator, boundary, deterministic)
    trials = Trials(operator, budget, inside.held, inside.amplified)
    rng = np.random.default_rng(seed)
    linearity = judge_linearity(trials, inside, rng)
    pointwise = inside.structure.pointwise and not linearity.void
    shifts = Shifts(trials, linearity.affine, pointwise, inside.structure.transforms, rng)
    equivariance = (Circle if boundary == "circular" else Interior)(shifts).judge()
    # The trials were many calls, on more inputs than the first: has it changed, or drawn, by now?
    deterministic = _unless_drawn(repetition.judge(), repetition, inside)
    if not deterministic.holds:
        return _no_function(operator, boundary, deterministic)
    lti = _lti(operator, linearity.linear, equivariance)
    offset = trials(np.zeros(operator.shape)) if linearity.affine.holds else None
    kernel = None
    if lti.holds and boundary == "circular":
        kernel = circular_kernel(trials)
    elif lti.holds:
        kernel = interior_kernel(trials, equivariance.border)
    return _diagnosis(
        operator, boundary, deterministic, linearity, equivariance, lti, kernel, offset
    )


def _unless_drawn(deterministic: Finding, repetition: Repetition, inside: Inside) -> Finding:
    """Return whether the output is the same each time, but for what is drawn at random."""
    how = inside.drawing(repetition.drawn_from()) if deterministic.holds else ""
    return repetition.judge_drawing(how) if how else deterministic


def _lti(operator: Operator, linear: Finding, equivariance: Equivariance) -> Finding:
    """Return whether the operator is a convolution: linear and equivariant, at one rate."""
    lti = both({"linear": linear, "shift-equivariant": equivariance.finding})
    if lti.holds and equivariance.period != equivariance.rate:
        cells, cells_out = operator.spatial_shape, operator.output_spatial_shape
        why = f"linear and shift-equivariant, but at two rates: {cells} cells in, {cells_out} out"
        return Finding(False, "refuted", why)
    return lti


def _no_function(operator: Operator, boundary: Boundary, deterministic: Finding) -> Diagnosis:
    """Return the diagnosis of what may be no function of its input: nothing else can be asked."""
    differ = "the same input gives different outputs"
    why = differ if deterministic.holds is False else f"deterministic? {deterministic.reason}"
    unknown = Finding(None, "undecided", why)
    nothing = [None] * len(operator.axes)
    linearity = Linearity(unknown, unknown, unknown, unknown, void=True)
    equivariance = Equivariance(unknown, nothing, "undecided")
    return _diagnosis(operator, boundary, deterministic, linearity, equivariance, unknown)


def _diagnosis(
    operator: Operator,
    boundary: Boundary,
    deterministic: Finding,
    linearity: Linearity,
    equivariance: Equivariance,
    lti: Finding,
    kernel: Array | None = None,
    offset: Array | None = None,
) -> Diagnosis:
    """Return what was found, in one object."""
    return Diagnosis(
        operator=operator.name,
        shape=operator.shape,
        output_shape=operator.output_shape,
        dtype=str(operator.dtype).removeprefix("torch."),
        boundary=boundary,
        deterministic=deterministic,
        linear=linearity.linear,
        affine=linearity.affine,
        homogeneous=linearity.homogeneous,
        additive=linearity.additive,
        shift_equivariant=equivariance.finding,
        lti=lti,
        period=equivariance.period,
        border=equivariance.border,
        period_certainty=equivariance.certainty,
        shift_invariance=equivariance.invariance,
        kernel=kernel,
        offset=offset,
    )
