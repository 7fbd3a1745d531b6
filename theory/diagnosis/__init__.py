"""Instruments that say what an operator is: linear, equivariant, a convolution."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from theory.diagnosis.calling import Operator, isolated
from theory.diagnosis.determinism import Repetition
from theory.diagnosis.equivariance import judge_equivariance
from theory.diagnosis.findings import Certainty, Diagnosis, Finding
from theory.diagnosis.linearity import both, judge_linearity
from theory.diagnosis.search import Trials, probes
from theory.diagnosis.structure import Structure, interpret
from theory.diagnosis.tracing import UntraceableError, trace
from theory.diagnosis.witnesses import Witness
from theory.signals import impulse

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from theory.diagnosis.calling import Array

__all__ = ["Certainty", "Diagnosis", "Finding", "Witness", "diagnose"]


def diagnose(
    op: Callable[..., Any],
    shape: Sequence[int],
    *,
    boundary: Literal["circular"] = "circular",
    dtype: torch.dtype = torch.float64,
    seed: int = 0,
) -> Diagnosis:
    """Find out whether an operator is linear, affine, shift-equivariant, LTI; or find a witness.

    Parameters
    ----------
    op : callable
        A `torch.nn.Module`, taken in the mode that it is in, or a function of one torch tensor or
        numpy array. Modules and callable objects are copied and stay as they were; a plain function
        is called as it is. Modules are called with a batch of one if they take batches, functions
        with the bare array if they take that.
    shape : sequence of int
        Shape of one input without batch: ``(n,)``, ``(c, n)``, ``(c, h, w)`` or ``(c, d, h, w)``.
        Shifts act on all axes but the channel c.
    boundary : {"circular"}
        Signals live on Z_n, and shifts wrap.
    dtype : torch.float64 or torch.float32
        Precision of the inputs and of the copied module.
    seed : int
        Fixes the random inputs and the global generators during the diagnosis.

    Returns
    -------
    Diagnosis
        The findings, the period per axis, the kernel and the offset.

    Raises
    ------
    TypeError
        If `op` is not callable.
    ValueError
        If `op` takes no input of this shape, or an option is unknown.

    Examples
    --------
    >>> import torch
    >>> from theory import diagnose
    >>> diagnosis = diagnose(torch.nn.ReLU(), (8,))
    >>> diagnosis.linear.holds, diagnosis.shift_equivariant.holds, diagnosis.lti.holds
    (False, True, False)
    >>> print(diagnosis.additive.witness)
    x = [1 at 0], y = [-1 at 0]: f(x + y) = 0 but f(x) + f(y) = 1 at 0
    """
    if boundary != "circular":
        raise ValueError(f"boundary is {boundary!r}: the one that is known is 'circular'")
    with isolated(seed):
        operator = Operator(op, shape, dtype)
        return _diagnose(operator, boundary, seed)


def _diagnose(operator: Operator, boundary: str, seed: int) -> Diagnosis:
    repetition = Repetition(operator, np.random.default_rng(seed))
    deterministic = repetition.judge()
    if deterministic.holds:
        trials = Trials(operator)
        structure, untraceable = _structure(operator, np.random.default_rng(seed))
        rng = np.random.default_rng(seed)
        linearity = judge_linearity(trials, structure, untraceable, rng)
        pointwise = structure is not None and structure.pointwise
        equivariance = judge_equivariance(trials, linearity.affine, pointwise, rng)
        deterministic = repetition.judge()  # the trials were many calls: has it changed by now?
    if not deterministic.holds:
        return _no_function(operator, boundary, deterministic)
    lti = _lti(operator, linearity.linear, equivariance.finding)
    offset = trials(np.zeros(operator.shape))
    return Diagnosis(
        operator=operator.name,
        shape=operator.shape,
        output_shape=operator.output_shape,
        boundary=boundary,
        deterministic=deterministic,
        linear=linearity.linear,
        affine=linearity.affine,
        homogeneous=linearity.homogeneous,
        additive=linearity.additive,
        shift_equivariant=equivariance.finding,
        lti=lti,
        period=equivariance.period,
        kernel=_kernel(trials) if lti.holds else None,
        offset=offset if linearity.affine.holds else None,
    )


def _lti(operator: Operator, linear: Finding, equivariant: Finding) -> Finding:
    """Return whether the operator is a convolution: linear and equivariant, at one rate."""
    lti = both({"linear": linear, "shift-equivariant": equivariant})
    cells, cells_out = operator.spatial_shape, operator.output_spatial_shape
    if lti.holds and cells != cells_out:
        why = f"linear and shift-equivariant, but at two rates: {cells} cells in, {cells_out} out"
        return Finding(False, "refuted", why)
    return lti


def _structure(operator: Operator, rng: np.random.Generator) -> tuple[Structure | None, str]:
    """Return what the operator's graph proves, or None and why there is no graph."""
    try:
        return interpret(trace(operator, probes(operator.shape, rng))), ""
    except UntraceableError as why:
        return None, str(why)


def _kernel(trials: Trials) -> Array:
    """Return the responses to the unit impulse at the origin of each channel."""
    operator = trials.operator
    axes = len(operator.spatial_shape)
    if len(operator.shape) == axes:
        return trials(impulse(operator.shape))
    origin = (0,) * axes
    channels = range(operator.shape[0])
    responses = [trials(impulse(operator.shape, (c, *origin))) for c in channels]
    return np.stack(responses, axis=len(operator.output_shape) - axes)


def _no_function(operator: Operator, boundary: str, deterministic: Finding) -> Diagnosis:
    """Return the diagnosis of what is not a function of its input: nothing else can be asked."""
    unknown = Finding(None, "undecided", "the same input gives different outputs")
    return Diagnosis(
        operator=operator.name,
        shape=operator.shape,
        output_shape=operator.output_shape,
        boundary=boundary,
        deterministic=deterministic,
        linear=unknown,
        affine=unknown,
        homogeneous=unknown,
        additive=unknown,
        shift_equivariant=unknown,
        lti=unknown,
        period=(None,) * len(operator.spatial_shape),
        kernel=None,
        offset=None,
    )
