"""Convolution and cross-correlation, from the definition and in the forms that compute the same.

The convolution of x and h is ``(x * h)[n] = Σ_k x[k] h[n - k]``; the cross-correlation, which
deep-learning libraries call convolution, is ``(x ⋆ h)[n] = Σ_k x[n + k] conj(h[k])``: convolution
with the flipped, conjugated kernel. Both come in one to any number of dimensions, as sums and by
the FFT, with the rounding error of each method bounded and the fastest method chosen on request;
`theory.structured_matrices` has their matrices.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Shaped

from theory.arrays import as_array, require_numbers, widened
from theory.counts import as_integer
from theory.methods.convolution_plan import Method, Mode, plan
from theory.methods.direct_convolution import require_within_int64, valid_shape, window_at
from theory.methods.fast_convolution import (
    complex_sum_roundings,
    fft_roundings,
    full_shape,
    overlap_add_roundings,
    require_finite,
)
from theory.methods.rounding import conversion_roundings, norm, rounded_type
from theory.signals import per_axis


def convolve(
    x: Shaped[np.ndarray, "*n"],
    h: Shaped[np.ndarray, "*k"],
    *,
    mode: Mode = "full",
    method: Method = "direct",
) -> Shaped[np.ndarray, "*m"]:
    """Return the convolution ``(x * h)[n] = Σ_k x[k] h[n - k]``.

    Parameters
    ----------
    x, h : arrays with the same number of axes
        Signal and kernel, both zero outside their arrays, with index 0 as origin. Booleans and
        integers are computed in int64, halves in float32. Any commutative ring works as dtype
        object.
    mode : {"full", "same", "valid", "circular"}, optional
        Which outputs, per axis of n signal and k kernel cells: all n + k - 1 that can be non-zero;
        the n in the middle, from (k - 1) // 2 on; the n - k + 1 for which the kernel lies inside
        the signal; or the n of the convolution on Z_n, where indices are taken modulo n.
    method : {"direct", "fft", "overlap-add", "auto"}, optional
        The sum itself, exact for integers and exact objects; one FFT product over the whole signal;
        FFT products over blocks of the longer factor, which wins where the other is much shorter;
        or the one of these that `theory.methods.choice` expects to be fastest. Where the sum is
        exact, where a sample is infinite or NaN, and where the FFT overflows, ``auto`` is the sum.

    Returns
    -------
    array
        The convolution. The FFT methods return floating point, within `rounding_bound`. Of large
        samples they may overflow though the sum does not: they form ``Σ |x| Σ |h|``, and more.

    Raises
    ------
    ValueError
        If a factor is empty, the numbers of axes differ, the kernel is longer than the signal in
        mode ``valid``, mode or method are unknown, integers may leave int64, or an FFT method is
        given infinities or NaN (which it would spread over every output; ``direct`` does not).
    TypeError
        If an array does not hold numbers or is masked, a tensor is known to autograd, or an FFT
        method is given dtype object.

    References
    ----------
    Oppenheim and Schafer, *Discrete-Time Signal Processing*, 3rd ed., sections 2.3 and 8.7.

    Examples
    --------
    >>> convolve(np.array([1, 2, 3]), np.array([1, -1]))
    array([ 1,  1,  1, -3])
    """
    x, h = as_array("the signal", x), as_array("the kernel", h)
    return plan(x.shape, h.shape, x.dtype, h.dtype, mode, method).convolve(x, h)


def correlate(
    x: Shaped[np.ndarray, "*n"],
    h: Shaped[np.ndarray, "*k"],
    *,
    mode: Mode = "full",
    method: Method = "direct",
) -> Shaped[np.ndarray, "*m"]:
    """Return the cross-correlation ``(x ⋆ h)[n] = Σ_k x[n + k] conj(h[k])``.

    Parameters
    ----------
    x, h : arrays with the same number of axes
        Signal and kernel, as for `convolve`.
    mode : {"full", "same", "valid", "circular"}, optional
        Which outputs, per axis of n signal and k kernel cells: those with n from -(k - 1) on; the
        middle of these; those from 0 on, for which the kernel lies inside the signal; or those on
        Z_n, from 0 on.
    method : {"direct", "fft", "overlap-add", "auto"}, optional
        How to compute it, as for `convolve`.

    Returns
    -------
    array
        The cross-correlation.

    Raises
    ------
    ValueError, TypeError
        As `convolve`.

    References
    ----------
    Goodfellow, Bengio and Courville, *Deep Learning*, section 9.1, for the two operations and
    their names.

    Examples
    --------
    >>> correlate(np.array([1, 2, 3]), np.array([1, -1]), mode="valid")
    array([-1, -1])
    """
    x, h = as_array("the signal", x), as_array("the kernel", h)
    return plan(x.shape, h.shape, x.dtype, h.dtype, mode, method).correlate(x, h)


def correlate_channels(
    x: Shaped[np.ndarray, "channels ..."],
    weight: Shaped[np.ndarray, "filters group_channels ..."],
    *,
    padding: int | Sequence[int] = 0,
    groups: int = 1,
) -> Shaped[np.ndarray, "filters ..."]:
    """Return what a convolution layer computes: each filter sums its channels' cross-correlations.

    Parameters
    ----------
    x : array of shape (channels, *n)
        The signal, channels first.
    weight : array of shape (filters, channels / groups, *k)
        One kernel for each filter and each channel that the filter sees.
    padding : int or sequence of int, optional
        Zeros at both ends, for all axes or for each.
    groups : int, optional
        Channels and filters fall into this many equal runs; a filter sees the channels of its own.

    Returns
    -------
    array of shape (filters, *m)
        One map for each filter, of ``n + 2 * padding - k + 1`` cells per axis.

    Raises
    ------
    ValueError
        If signal or weight is empty, the numbers of axes, channels, filters and groups do not fit
        together, a kernel is longer than the padded signal, padding is negative or of another
        number of axes, or integers may leave int64.
    TypeError
        If an array does not hold numbers, or padding or groups are no integers.
    """
    x, weight = as_array("the signal", x), as_array("the weight", weight)
    require_numbers("signal", x.dtype)
    require_numbers("weight", weight.dtype)
    if not weight.ndim == x.ndim + 1 >= 3 or 0 in (x.size, weight.size):
        raise ValueError(
            f"signal of shape {x.shape}, weight of shape {weight.shape}: expected (channels, *n) "
            "and (filters, channels / groups, *k), with at least one cell"
        )
    filters, seen = weight.shape[:2]
    groups = as_integer("groups", groups)
    if groups < 1 or filters % groups or x.shape[0] != seen * groups:
        raise ValueError(
            f"{x.shape[0]} channels, {filters} filters that see {seen} channels each, and {groups} "
            "groups do not fit: expected channels = seen * groups, and filters a multiple of groups"
        )
    x, weight = widened("signal", x), widened("weight", weight)
    for kernels in weight:
        require_within_int64(x, kernels)
    ends = per_axis(padding)
    if len(ends) not in (1, x.ndim - 1) or min(ends) < 0:
        raise ValueError(
            f"padding {padding!r}: expected a count of zeros for all {x.ndim - 1} axes, or for each"
        )
    border = np.broadcast_to(ends, x.ndim - 1)
    # Not np.pad: its zeros are NumPy's also among objects, and sums that begin with one wrap.
    padded: Any = np.zeros((len(x), *np.add(x.shape[1:], 2 * border)), x.dtype)
    padded[(..., *window_at(tuple(border), x.shape[1:]))] = x
    taps = weight.shape[2:]
    outputs = valid_shape(padded.shape[1:], taps)
    if min(outputs) < 1:
        raise ValueError(
            f"kernels of {taps} taps, and {padded.shape[1:]} cells with the padding: expected a "
            "kernel that fits into the signal"
        )
    dealt: Any = np.conj(weight).reshape(groups, filters // groups, seen, *taps)
    maps = sum(
        dealt[(..., *tap)] @ padded[(..., *window_at(tap, outputs))].reshape(groups, seen, -1)
        for tap in np.ndindex(taps)
    )
    return np.reshape(maps, (filters, *outputs))


def rounding_bound(
    x: Shaped[np.ndarray, "*n"],
    h: Shaped[np.ndarray, "*k"],
    *,
    mode: Mode = "full",
    method: Method = "direct",
) -> float:
    """Return a bound on the rounding error of every output of `convolve` and `correlate`.

    It is ``(exp(m u) - 1) c ‖x‖₂ ‖h‖₂``, where u is the unit roundoff, m counts the roundings
    between a sample and an output, complex ones weighing more, and c is 1 or the number of outputs
    that fall together. For ``direct`` m is one product and the additions, because
    ``Σ |x| |h| <= ‖x‖ ‖h‖``; for the FFT methods see `theory.methods.fast_convolution`. A factor
    whose integers are too large for floats, or whose objects meet floats, is rounded to floats once
    more. Underflow and overflow are left out, and with the latter that ``auto`` is the sum then.

    Parameters
    ----------
    x, h, mode, method
        As for `convolve`.

    Returns
    -------
    float
        The bound; 0 where the method is exact: ``direct`` on integers and exact objects. Infinite
        or NaN where a sample is, and the method takes it.

    Raises
    ------
    ValueError, TypeError
        As `convolve`.

    References
    ----------
    N. Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd ed., section 3.1.
    """
    x, h = as_array("the signal", x), as_array("the kernel", h)
    asked, method = method, plan(x.shape, h.shape, x.dtype, h.dtype, mode, method).method
    x, h = widened("signal", x), widened("kernel", h)
    dtype = rounded_type(x, h)
    together = 1.0
    if method == "direct":
        if dtype.kind not in "fc":
            require_within_int64(x, h)
            return 0.0
        terms = min(x.size, h.size)
        roundings = complex_sum_roundings(terms) if dtype.kind == "c" else terms
    else:
        if asked != "auto":
            require_finite(x, h)
        dtype = np.result_type(dtype, np.float32)  # what the FFT makes of integers: float64
        if method == "fft":
            roundings = fft_roundings(x, h, valid=mode == "valid")
        else:
            roundings = overlap_add_roundings(x, h)
            together = math.sqrt(2**x.ndim)
    if mode == "circular":
        turns = math.prod(-(-m // n) for m, n in zip(full_shape(x, h), x.shape, strict=True))
        roundings += turns - 1
        together *= turns
    roundings += sum(conversion_roundings(factor, dtype) for factor in (x, h))
    growth = math.expm1(roundings * float(np.finfo(dtype).eps) / 2)
    return growth * together * (float(norm(x)) * float(norm(h)))
