"""The one affine map that a network without nonlinearities is: a matrix and an offset."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64, Shaped

from theory.arrays import as_array
from theory.diagnosis.calling import device_of
from theory.diagnosis.isolation import isolated, private_copy
from theory.diagnosis.rounding import Rounding
from theory.signals import cells_per_axis, integer_signal


@dataclass(frozen=True, eq=False)
class AffineMap:
    """The map ``x -> matrix @ x + offset`` of flattened signals.

    Attributes
    ----------
    matrix : array of shape (outputs, inputs)
        The linear part.
    offset : array of shape (outputs,)
        The answer to the zero signal.
    """

    matrix: Float64[np.ndarray, "outputs inputs"]
    offset: Float64[np.ndarray, " outputs"]

    def __call__(self, x: Shaped[np.ndarray, "..."]) -> Float64[np.ndarray, " outputs"]:
        """Return the flattened output for one signal of any shape.

        Raises
        ------
        TypeError
            If the signal is no array.
        ValueError
            If it has another number of values than the matrix has columns.
        """
        x = as_array("x", x).ravel()
        if len(x) != self.matrix.shape[1]:
            raise ValueError(f"x has {len(x)} values, expected {self.matrix.shape[1]}")
        return self.matrix @ x + self.offset


def affine_map(op: Callable[[torch.Tensor], torch.Tensor], shape: Sequence[int]) -> AffineMap:
    """Read off the one affine map that a network without nonlinearities is.

    An affine map is known from its answers to the zero signal and to the impulses. Its answers to a
    few further signals are compared, so that a nonlinearity does not pass; whether `op` is affine
    everywhere, and to the last bit, they do not say: ask `theory.diagnose`.

    Parameters
    ----------
    op : callable
        A network in the mode that it is in, as for `theory.diagnose`: in training mode dropout and
        batch normalisation are not affine, in evaluation mode they are. A copy of a module, in
        double precision, is called twice with a batch; the module stays as it was. A plain function
        is called as it is, with tensors in double precision. What it raises itself passes.
    shape : sequence of int
        Shape of one input, without batch.

    Returns
    -------
    AffineMap
        Matrix and offset, exact where the network's arithmetic is (integer weights, say).

    Raises
    ------
    TypeError
        If the shape is not of integers, or the answers are no tensor of floats.
    ValueError
        If the shape has no cell, the module cannot be copied, or has no values yet; or the answers
        are not one for each input, not finite, or those of no affine map.
    """
    shape = cells_per_axis(shape)
    size = math.prod(shape)
    signals = np.concatenate([np.zeros((1, size)), np.eye(size)])
    # From zero again, of either sign, and not in one batch: it may be normalised by its own values.
    drawn = integer_signal((_FURTHER, size), seed=0)
    further = np.concatenate([np.zeros((1, size)), drawn, -drawn])
    with isolated(seed=0):
        private, device = private_copy(op, type(op).__name__, torch.float64), device_of(op)
        answers, others = (_answers(private, each, shape, device) for each in (signals, further))
    if not np.isfinite(answers).all():
        raise ValueError("the network's answers are not all finite: they tell no affine map")
    found = AffineMap((answers[1:] - answers[0]).T, answers[0])
    expected = further @ found.matrix.T + found.offset
    # In double precision much deeper networks than the bound knows of round less than it allows.
    type_ = np.finfo(answers.dtype)
    coarsest = max(float(type_.eps), float(np.finfo(np.float32).eps)) / 2
    gain, offset = (np.abs(each).max(initial=0.0) for each in (found.matrix, found.offset))
    rounding = Rounding(size, coarsest, float(gain), float(offset), float(type_.smallest_subnormal))
    for x, left, right in zip(further, others, expected, strict=True):
        norm = 2 * float(np.abs(x).sum())
        if not rounding.excess(left, right, norm, responses=2 + norm) <= 1:
            raise ValueError(
                "the network is not affine: its answers to zero and to the impulses do not give "
                "the one to a further signal; take out what is not linear, and where it is dropout "
                "or batch normalisation in training mode, call eval() first"
            )
    return found


_FURTHER = 8
"""Signals of either sign, beside those that an affine map is known from, that it has to answer."""


def _answers(
    op: Callable[[torch.Tensor], torch.Tensor],
    signals: Float64[np.ndarray, "signals cells"],
    shape: tuple[int, ...],
    device: torch.device,
) -> Shaped[np.ndarray, "signals values"]:
    """Return the flattened answers to some flattened signals on a device, from one call."""
    answered = op(torch.tensor(signals, device=device).reshape(-1, *shape))
    if not isinstance(answered, torch.Tensor):
        raise TypeError(f"the network answers with a {type(answered).__name__}, expected a tensor")
    here = answered if answered.is_meta else answered.cpu()  # a meta tensor is refused by name
    answers = as_array("the network's answer", here)
    if answers.dtype.kind not in "fc":
        raise TypeError(f"the network answers in {answers.dtype}, expected double precision")
    if answers.shape[:1] != (len(signals),):
        raise ValueError(
            f"the network answers {len(signals)} inputs in shape {answers.shape}: expected as many "
            "outputs along the first axis"
        )
    return answers.reshape(len(signals), -1)
