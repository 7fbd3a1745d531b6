"""What shapes, types and method decide about a filter gradient, before any sample is looked at.

A plan is made once for all factors of the same shapes and types, as in `convolution_plan`. The
gradient of one filter for one channel is a cross-correlation, and has a plan of that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import torch

from theory.arguments import require_known
from theory.methods.choice import fastest_filter_gradient
from theory.methods.convolution_plan import Operation, plan
from theory.methods.remembering import remembered

Method = Literal["direct", "matrix", "fft", "blocked-fft", "auto"]
Shape = tuple[int, ...]
Type = Any
"""A numpy.dtype or a torch.dtype."""


@dataclass(frozen=True)
class GradientPlan:
    """How to compute the filter gradient of factors of these shapes and types.

    Parameters
    ----------
    method
        The method, ``auto`` replaced by what it stands for.
    lenient
        Whether samples that the method would refuse, or overflow on, are left to the sum.
    flipped
        Whether the layer convolves, so that the gradient is flipped.
    one
        The index of the only channel, and of the only filter, where there is no other.
    correlate
        What returns the gradient of these two, if it is all there is to compute; or None.
    """

    method: Method
    lenient: bool
    flipped: bool
    one: tuple[int, ...]
    correlate: Callable[[Any, Any], Any] | None


@remembered
def plan_gradient(
    x: Shape,
    g: Shape,
    x_type: Type,
    g_type: Type,
    operation: Operation,
    method: Method,
    batched: bool,
) -> GradientPlan:
    """Plan the filter gradient of factors of these shapes and types.

    Parameters
    ----------
    x, g : tuple of int
        The shapes of the input and of the output gradient.
    x_type, g_type : numpy.dtype or torch.dtype
        What they hold.
    operation, method, batched
        As for `theory.gradients.filter_gradient`.

    Raises
    ------
    ValueError, TypeError
        As `theory.gradients.filter_gradient`, for all that can be told without the samples.
    """
    require_known("operation", operation, get_args(Operation))
    require_known("method", method, get_args(Method))
    require_flag(batched)
    tensors = isinstance(x_type, torch.dtype)
    if tensors is not isinstance(g_type, torch.dtype):
        one, other = ("Tensor", "ndarray") if tensors else ("ndarray", "Tensor")
        raise TypeError(
            f"the input is a {one} and the output gradient a {other}: expected two arrays or two "
            "tensors"
        )
    if tensors and method == "matrix":
        raise TypeError("the derivative matrix is an array: use another method for tensors")
    require_real("input", x, x_type)
    require_real("output gradient", g, g_type)
    batch = () if batched else (1,)
    whole_x, whole_g = (*batch, *x), (*batch, *g)
    if not _fit(whole_x, whole_g):
        first = "batch, " if batched else ""
        raise ValueError(
            f"input of shape {tuple(x)}, output gradient of shape {tuple(g)}: expected "
            f"({first}channels, *n) and ({first}filters, *m) with m <= n along every axis"
        )
    kinds = {"f" if isinstance(each, torch.dtype) else each.kind for each in (x_type, g_type)}
    if "O" in kinds and method in ("fft", "blocked-fft"):
        raise TypeError("the FFT is not exact: use method='direct' for arrays of dtype object")
    chosen = method
    if method == "auto":
        exact = "O" in kinds or "f" not in kinds
        chosen = "direct" if exact else fastest_filter_gradient(whole_x, whole_g, by_taps=tensors)
    lenient, correlate = method == "auto", None
    arrays = isinstance(x_type, np.dtype) and isinstance(g_type, np.dtype) and kinds == {"f"}
    if arrays and whole_x[:2] == whole_g[:2] == (1, 1) and chosen in ("direct", "fft"):
        whole = plan(whole_x[2:], whole_g[2:], x_type, g_type, "valid", chosen)
        correlate = replace(whole, lenient=lenient).correlate
    return GradientPlan(
        chosen, lenient, operation == "convolution", (0,) * (1 + batched), correlate
    )


def require_flag(batched: Any) -> None:
    """Raise a TypeError unless it says whether there is a batch, and not how large it is."""
    if not isinstance(batched, int | np.bool_) or batched not in (0, 1):
        raise TypeError(f"batched is {batched!r}: expected True or False")


def require_real(name: str, shape: Shape, held: Type) -> None:
    """Raise an error that names a factor unless it has cells, and holds what gradients are of."""
    if isinstance(held, torch.dtype):
        if held not in (torch.float32, torch.float64):
            raise TypeError(f"the {name} holds {held} entries: expected float32 or float64")
    elif held.kind not in "biufO":
        raise TypeError(f"the {name} holds {held} entries: expected real numbers")
    if 0 in shape:
        raise ValueError(f"the {name} has shape {tuple(shape)}: expected at least one cell")


def _fit(x: Shape, g: Shape) -> bool:
    """Return whether these are (batch, channels, *n) and (batch, filters, *m) with m <= n."""
    return len(x) == len(g) >= 3 and x[0] == g[0] and all(map(int.__ge__, x[2:], g[2:]))
