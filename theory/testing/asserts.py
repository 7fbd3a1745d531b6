"""The asserts: one property, or one agreement, each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypedDict, Unpack

import torch

from theory.diagnosis import diagnose
from theory.diagnosis.equations import Boundary
from theory.testing.adjointness import adjointness
from theory.testing.demands import Known, require, require_agreement, require_period
from theory.testing.sameness import sameness


class CallOptions(TypedDict, total=False):
    """Options of `theory.diagnose` on how an operator is called, and how often."""

    batched: bool | None
    dtype: torch.dtype
    seed: int
    budget: int


class Options(CallOptions, total=False):
    """All options of `theory.diagnose`."""

    axes: Sequence[int] | None
    boundary: Boundary


def assert_linear(
    op: Callable[..., Any],
    shape: Sequence[int],
    *,
    certainty: Known = "sampled",
    **options: Unpack[Options],
) -> None:
    """Assert that an operator is linear: additive and homogeneous.

    Parameters
    ----------
    op : callable
        A module or a function; it stays as it was.
    shape : sequence of int
        Shape of one input without batch.
    certainty : {"sampled", "exhausted", "proved"}
        The least certainty that will do.
    **options
        Those of `theory.diagnose`: axes, boundary, batched, dtype, seed, budget.

    Raises
    ------
    AssertionError
        If it is not, if it could not be decided, or is less certain than demanded. The message
        holds the witness as Python to paste.
    TypeError, ValueError
        As `theory.diagnose`, if the question makes no sense; for an unknown certainty.

    Examples
    --------
    >>> import numpy as np
    >>> assert_linear(np.flip, (8,))
    >>> assert_linear(np.flip, (8,), certainty="proved")
    Traceback (most recent call last):
        ...
    AssertionError: flip on inputs of shape (8,) is linear, but that is only sampled: additive and \
homogeneous; proved was demanded
    """
    require(diagnose(op, shape, **options), "linear", certainty)


def assert_affine(
    op: Callable[..., Any],
    shape: Sequence[int],
    *,
    certainty: Known = "sampled",
    **options: Unpack[Options],
) -> None:
    """Assert that an operator is affine, a linear operator plus a constant.

    Parameters and errors are those of `assert_linear`.

    Examples
    --------
    >>> import torch
    >>> assert_affine(torch.nn.Linear(4, 2), (4,), certainty="proved")
    """
    require(diagnose(op, shape, **options), "affine", certainty)


def assert_shift_equivariant(
    op: Callable[..., Any],
    shape: Sequence[int],
    *,
    period: int | Sequence[int] = 1,
    certainty: Known = "sampled",
    **options: Unpack[Options],
) -> None:
    """Assert that the output moves in proportion when the input moves by the period.

    Parameters
    ----------
    op, shape, certainty, **options
        As in `assert_linear`.
    period : int or sequence of int
        Shift of the input, in cells along each shifted axis, one number for all or one for each.
        What follows smaller shifts that divide it follows it too.

    Raises
    ------
    AssertionError
        As `assert_linear`.
    TypeError, ValueError
        As `theory.diagnose`; if `period` is not one positive integer for each shifted axis.

    Examples
    --------
    >>> import torch
    >>> assert_shift_equivariant(torch.nn.MaxPool1d(2), (1, 8), period=2)
    """
    require_period(diagnose(op, shape, **options), op, period, certainty, options)


def assert_lti(
    op: Callable[..., Any],
    shape: Sequence[int],
    *,
    certainty: Known = "sampled",
    **options: Unpack[Options],
) -> None:
    """Assert that an operator is LTI: linear, and equivariant to shifts at one rate.

    Parameters and errors are those of `assert_linear`.

    Examples
    --------
    >>> import torch
    >>> blur = torch.nn.Conv1d(1, 1, 3, padding="same", padding_mode="circular", bias=False)
    >>> assert_lti(blur, (1, 8), certainty="exhausted")
    """
    require(diagnose(op, shape, **options), "lti", certainty)


def assert_adjoint(
    op: Callable[..., Any],
    adjoint: Callable[..., Any],
    shape: Sequence[int],
    *,
    certainty: Known = "sampled",
    **options: Unpack[CallOptions],
) -> None:
    """Assert that one linear operator is the adjoint of another: <A x, y> = <x, A* y>.

    Parameters
    ----------
    op, adjoint : callable
        A and A*; inputs of A* have the shape of outputs of A.
    shape : sequence of int
        Shape of one input of A without batch.
    certainty : {"sampled", "exhausted", "proved"}
        The least certainty that will do; it is never ``proved``.
    **options
        batched (for both), dtype, seed and budget, as in `theory.diagnose`.

    Raises
    ------
    AssertionError
        As `assert_linear`; also if A is not linear, since nothing else has an adjoint.
    TypeError, ValueError
        If one of the two is not callable, or takes no such input.

    Examples
    --------
    >>> import torch
    >>> weight = torch.tensor([[[1.0, 2.0, 4.0]]], dtype=torch.float64)
    >>> convolve = lambda x: torch.conv1d(x, weight)
    >>> back = lambda y: torch.conv_transpose1d(y, weight)
    >>> assert_adjoint(convolve, back, (1, 8), certainty="exhausted")
    """
    agreement = adjointness(op, adjoint, shape, **options)
    require_agreement(agreement, "A*", "the adjoint of A", certainty)


def assert_same_operator(
    a: Callable[..., Any],
    b: Callable[..., Any],
    shape: Sequence[int],
    *,
    certainty: Known = "sampled",
    **options: Unpack[CallOptions],
) -> None:
    """Assert that two operators are the same function of inputs of one shape.

    Parameters
    ----------
    a, b : callable
        Modules or functions.
    shape : sequence of int
        Shape of one input without batch.
    certainty : {"sampled", "exhausted", "proved"}
        The least certainty that will do; it is never ``proved``.
    **options
        batched (for both), dtype, seed and budget, as in `theory.diagnose`.

    Raises
    ------
    AssertionError
        As `assert_linear`.
    TypeError, ValueError
        If one of the two is not callable, or takes no such input.

    Examples
    --------
    >>> import torch
    >>> twice_smaller = torch.nn.Sequential(torch.nn.AvgPool1d(2), torch.nn.AvgPool1d(2))
    >>> assert_same_operator(twice_smaller, torch.nn.AvgPool1d(4), (1, 8), certainty="exhausted")
    """
    require_agreement(sameness(a, b, shape, **options), "b", "the same operator as a", certainty)
