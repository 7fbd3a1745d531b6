"""The gradients of a convolution layer: for its filters, its input and its biases.

The loss sees the layer through ``Σ_i g[i] y[i]``, where g is its gradient for the output y. With
``y[i] = Σ_k x[i + k] w[k]`` this is one sum over i and k; collecting what multiplies ``w[k]``,
``x[n]`` or the bias gives the three gradients. Signals are real, the stride is 1, and only outputs
for which the kernel lies inside the signal are kept (mode ``valid``).
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import torch
from jaxtyping import Float, Shaped

from theory.arguments import require_known
from theory.arrays import as_array, widened
from theory.methods.convolution_plan import Operation
from theory.methods.direct_convolution import require_within_int64, window_at
from theory.methods.fast_convolution import NotFiniteError, require_finite
from theory.methods.fast_gradients import (
    Array,
    blocked_roundings,
    by_blocked_fft,
    by_fft,
    fft_gradient_roundings,
    to_numpy,
)
from theory.methods.gradient_plan import (
    GradientPlan,
    Method,
    plan_gradient,
    require_flag,
    require_real,
)
from theory.methods.gradient_sums import by_sum
from theory.methods.rounding import conversion_roundings, norm, rounded_type
from theory.single_precision import single_precision
from theory.structured_matrices import gradient_by_matrix
from theory.tensors import require_dense


def filter_gradient(
    x: Shaped[Array, "..."],
    g: Shaped[Array, "..."],
    *,
    operation: Operation = "cross-correlation",
    method: Method = "direct",
    batched: bool = False,
) -> Shaped[Array, "filters channels ..."]:
    """Return the gradient for the filters: ``Σ_i g[i] x[i + k]`` for each filter and channel.

    Parameters
    ----------
    x : array or tensor of shape (channels, *n)
        The input of the layer. Any commutative ring works as dtype object, but for the FFT. A
        tensor holds floats, and what comes of it is a tensor on its device.
    g : array or tensor of shape (filters, *m)
        The gradient of the loss for the output.
    operation : {"cross-correlation", "convolution"}, optional
        What the layer computes: ``Σ_k x[i + k] w[k]``, as deep-learning libraries do, or the
        convolution, for which the gradient is flipped along every axis.
    method : {"direct", "matrix", "fft", "blocked-fft", "auto"}, optional
        The sum itself, exact for integers and exact objects; the product of the transposed
        `derivative_matrix` with g, which is exact, too; that product by the FFT, in the smallest
        circulant matrix that has the derivative matrix as a block, of n cells per axis, rounded up
        to a size that the FFT likes; the FFT on windows of the signal, whose transforms are added
        up, which wins where the kernel is much shorter; or the one of ``direct`` and the two FFTs
        that `theory.methods.choice` expects to be the fastest, ``direct`` wherever that is exact,
        where a sample is infinite or NaN, and where the FFT overflows. What it expects are times on
        the CPU, also for tensors on a GPU.
    batched : bool, optional
        Whether x and g have one more axis, the first, for examples that are summed over.

    Returns
    -------
    array or tensor of shape (filters, channels, *k)
        The gradient; the kernel has ``k = n - m + 1`` taps per axis. What rounds is within
        `filter_gradient_bound`, even where torch was told to cut the factors of products short. Of
        large samples an FFT may overflow though the sum does not.

    Raises
    ------
    ValueError
        If the shapes do not fit together, operation or method are unknown, or integers may leave
        int64.
    NotFiniteError
        If an FFT is given infinities or NaN, which it would spread over every tap; ``direct`` does
        not. It is a `ValueError`, as in `theory.convolution`.
    TypeError
        If the entries are complex, an FFT is given dtype object, a tensor comes with an array, is
        sparse, has no values or does not hold float32 or float64, ``matrix`` is given tensors, or
        `batched` is neither True nor False.

    References
    ----------
    Goodfellow, Bengio and Courville, *Deep Learning*, section 9.5, for the sum; Gray, *Toeplitz
    and Circulant Matrices: A Review*, chapter 3, for the FFT; Shynk, Frequency-domain and multirate
    adaptive filtering, IEEE Signal Processing Magazine 9 (1992), for gradients block by block.

    Examples
    --------
    >>> filter_gradient(np.array([[1, 2, 4]]), np.array([[1, 10]]))
    array([[[21, 42]]])
    """
    x, g = _held("input", x), _held("output gradient", g)
    plan = plan_gradient(x.shape, g.shape, x.dtype, g.dtype, operation, method, batched)
    gradient: Any
    if plan.correlate is not None:
        gradient = plan.correlate(x[plan.one], g[plan.one])[None, None]
    else:
        gradient = _of_all(*_prepared(x, g, plan, batched=batched), plan)
    return _flip(gradient) if plan.flipped else gradient


def filter_gradient_bound(
    x: Shaped[Array, "..."],
    g: Shaped[Array, "..."],
    *,
    method: Method = "direct",
    batched: bool = False,
) -> Float[np.ndarray, "filters channels"]:
    """Return a bound on the rounding error of every tap of `filter_gradient`.

    It is ``(exp(r u) - 1) √c ‖x‖₂ ‖g‖₂`` for each filter and channel, where u is the unit roundoff,
    r counts the roundings between a sample and a tap, and c is how many windows meet in a cell. For
    ``direct`` and ``matrix`` r is one product and the additions; for the FFTs see
    `theory.methods.fast_gradients`. Integers too large for floats, and objects that meet floats,
    count as in `theory.convolution.rounding_bound`. Underflow and overflow are left out, with the
    latter that ``auto`` is the sum then. The transforms of every library are taken to split into
    factors 2, 3 and 5 as those of `theory.methods.fast_convolution` do.

    Parameters
    ----------
    x, g, method, batched
        As for `filter_gradient`.

    Returns
    -------
    array of shape (filters, channels)
        The bounds; 0 where the method is exact.

    Raises
    ------
    ValueError, TypeError
        As `filter_gradient`, for factors and method.
    """
    x, g = _held("input", x), _held("output gradient", g)
    plan = plan_gradient(x.shape, g.shape, x.dtype, g.dtype, "cross-correlation", method, batched)
    chosen = plan.method
    signal, slope = map(to_numpy, _prepared(x, g, plan, batched=batched))
    if chosen in ("fft", "blocked-fft"):
        try:
            require_finite(signal, slope)
        except NotFiniteError:
            if method != "auto":
                raise
            chosen = "direct"
    dtype = rounded_type(signal, slope)
    meet = 1.0
    if chosen in ("direct", "matrix"):
        if dtype.kind != "f":
            return np.zeros((slope.shape[1], signal.shape[1]))
        roundings: float = slope[:, 0].size
    else:
        dtype = np.result_type(dtype, np.float32)  # what the FFT makes of integers: float64
        if chosen == "fft":
            roundings = fft_gradient_roundings(signal.shape)
        else:
            roundings, meet = blocked_roundings(signal.shape, slope.shape)
    roundings += sum(conversion_roundings(to_numpy(factor), dtype) for factor in (x, g))
    growth = math.expm1(roundings * float(np.finfo(dtype).eps) / 2)
    return growth * math.sqrt(meet) * np.outer(_norms(slope), _norms(signal))


def input_gradient(
    weight: Shaped[np.ndarray, "filters channels ..."],
    g: Shaped[np.ndarray, "..."],
    *,
    operation: Operation = "cross-correlation",
    batched: bool = False,
) -> Shaped[np.ndarray, "..."]:
    """Return the gradient for the input, at every cell that some output reads.

    For a layer that cross-correlates it is the full convolution of g with the kernels, and for one
    that convolves the full cross-correlation, summed over the filters.

    Parameters
    ----------
    weight : array of shape (filters, channels, *k)
        The kernels.
    g : array of shape (filters, *m)
        The gradient of the loss for the output.
    operation : {"cross-correlation", "convolution"}, optional
        What the layer computes.
    batched : bool, optional
        Whether g, and what is returned, have one more axis, the first, for examples.

    Returns
    -------
    array of shape (channels, *n)
        The gradient, of ``n = m + k - 1`` cells per axis.

    Raises
    ------
    ValueError
        If the shapes do not fit together, the operation is unknown, or integers may leave int64.
    TypeError
        If an array is complex, a tensor is given, or `batched` is neither True nor False.
    """
    require_known("operation", operation, get_args(Operation))
    require_flag(batched)
    if any(isinstance(factor, torch.Tensor) for factor in (weight, g)):
        raise TypeError(
            "the input gradient is computed from arrays: give weight.numpy(force=True), and g alike"
        )
    weight, g = _real("weight", weight), _real("output gradient", g)
    slopes = g if batched else g[None]
    if weight.ndim != slopes.ndim or slopes.ndim < 3 or len(weight) != slopes.shape[1]:
        first = "batch, " if batched else ""
        raise ValueError(
            f"weight of shape {weight.shape}, output gradient of shape {g.shape}: expected "
            f"(filters, channels, *k) and ({first}filters, *m)"
        )
    for kernels in weight.swapaxes(0, 1):
        for example in slopes:
            require_within_int64(example, kernels)
    if operation == "convolution":
        weight = np.flip(weight, tuple(range(2, weight.ndim)))
    outputs, taps = slopes.shape[2:], weight.shape[2:]
    cells = (m + k - 1 for m, k in zip(outputs, taps, strict=True))
    shape = (len(slopes), weight.shape[1], *cells)
    gradient: Any = np.zeros(shape, np.result_type(weight, g))
    maps = slopes.reshape(*slopes.shape[:2], -1)
    for tap in np.ndindex(taps):  # what an output reads there, it has the slope of
        seen = weight[(..., *tap)].T @ maps
        gradient[(..., *window_at(tap, outputs))] += seen.reshape(*shape[:2], *outputs)
    return gradient if batched else gradient[0]


def bias_gradient(g: Shaped[Array, "..."], *, batched: bool = False) -> Shaped[Array, " filters"]:
    """Return the gradient for the biases: each enters all outputs of its filter with slope 1.

    Parameters
    ----------
    g : array or tensor of shape (filters, *m)
        The gradient of the loss for the output.
    batched : bool, optional
        Whether g has one more axis, the first, for examples that are summed over.

    Returns
    -------
    array or tensor of shape (filters,)
        The sum of g over each map.

    Raises
    ------
    ValueError
        If g has no axis besides these, or no cell, or integers may leave int64.
    TypeError
        If it is complex, or a tensor that is sparse, has no values or does not hold float32 or
        float64; or `batched` is neither True nor False.
    """
    require_flag(batched)
    g = _real("output gradient", g)
    if g.ndim < 2 + batched:
        first = "batch, " if batched else ""
        raise ValueError(
            f"output gradient of shape {tuple(g.shape)}: expected ({first}filters, *m)"
        )
    summed = tuple(axis for axis in range(g.ndim) if axis != int(batched))
    if isinstance(g, np.ndarray):
        require_within_int64(g, np.ones([g.shape[axis] for axis in summed], np.int64))
    return g.sum(summed)


def _of_all(x: Array, g: Array, plan: GradientPlan) -> Array:
    """Return the gradient for all filters and channels, over all examples."""
    by_method: dict[str, Callable[[Any, Any], Any]]
    by_method = {
        "direct": by_sum,
        "matrix": gradient_by_matrix,
        "fft": by_fft,
        "blocked-fft": by_blocked_fft,
    }
    shortened = isinstance(x, torch.Tensor) and x.dtype == torch.float32
    with single_precision() if shortened else contextlib.nullcontext():
        if plan.lenient and plan.method != "direct":
            return _unless_not_finite(by_method[plan.method], x, g)
        return by_method[plan.method](x, g)


def _unless_not_finite(by_transforms: Callable[[Any, Any], Any], x: Array, g: Array) -> Array:
    """Return what the transforms give; the sum if samples or transforms are not all finite."""
    library: Any = torch if isinstance(x, torch.Tensor) else np
    with contextlib.suppress(NotFiniteError), np.errstate(over="ignore", invalid="ignore"):
        gradient: Array = by_transforms(x, g)
        if library.isfinite(gradient).all():
            return gradient
    return by_sum(x, g)


def _prepared(x: Any, g: Any, plan: GradientPlan, *, batched: bool) -> tuple[Any, Any]:
    """Return factors with a batch, of one type for the FFT, after a look at integers."""
    if not batched:
        x, g = x[None], g[None]
    if isinstance(x, torch.Tensor):
        widest = torch.promote_types(x.dtype, g.dtype)
        return x.to(widest), g.to(widest)
    x, g = widened("input", x), widened("output gradient", g)
    if plan.method in ("direct", "matrix"):
        for maps in g.swapaxes(0, 1):
            require_within_int64(x, maps)
        return x, g
    dtype = np.result_type(x, g)  # else each would round in a precision of its own
    return x.astype(dtype, copy=False), g.astype(dtype, copy=False)


def _norms(array: np.ndarray) -> np.ndarray:
    """2-norm of each channel, over the batch."""
    return norm(array, (0, *range(2, array.ndim)))


def _flip(gradient: Array) -> Array:
    axes = tuple(range(2, gradient.ndim))
    if isinstance(gradient, torch.Tensor):
        return gradient.flip(axes)
    return np.flip(gradient, axes).copy()  # of negative strides torch would make no tensor


def _held(name: str, factor: Any) -> Any:
    """Return an array or a tensor as it is, and what else numbers come in as an array."""
    if type(factor) is np.ndarray:  # short signals would feel each step below
        return factor
    if isinstance(factor, torch.Tensor):
        require_dense(f"the {name}", factor)
        return factor
    return as_array(f"the {name}", factor)


def _real(name: str, factor: Any) -> Any:
    factor = _held(name, factor)
    require_real(name, factor.shape, factor.dtype)
    return widened(name, factor) if isinstance(factor, np.ndarray) else factor
