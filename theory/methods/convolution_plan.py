"""What shapes, types, mode and method decide about a convolution, before any sample is looked at.

A plan is made once for all factors of the same shapes and types, so that what `convolve` does on
short signals beside convolving is to look it up.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np
from jaxtyping import Shaped

from theory.arguments import require_known
from theory.arrays import computed_type, require_numbers, widened
from theory.methods.choice import fastest_convolution
from theory.methods.direct_convolution import correlation, summation
from theory.methods.fast_convolution import NotFiniteError, all_finite, by_fft, by_overlap_add
from theory.methods.remembering import remembered

Mode = Literal["full", "same", "valid", "circular"]
Method = Literal["direct", "fft", "overlap-add", "auto"]
Operation = Literal["cross-correlation", "convolution"]
"""What a layer computes."""
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """How to convolve factors of these shapes and types.

    Parameters
    ----------
    n, k
        Cells per axis of signal and kernel.
    mode
        Which outputs, as for `theory.convolution.convolve`.
    method
        The method, ``auto`` replaced by what it stands for.
    sum
        The sum itself, for this mode where it is ``valid``, and otherwise in full.
    correlation
        The valid cross-correlation itself, where a library has it for unwidened factors.
    widened
        Whether a factor holds what is computed in a wider type: booleans, integers and halves.
    conjugated
        Whether a cross-correlation conjugates the kernel, which is not known to be real.
    lenient
        Whether samples that the method would refuse, or overflow on, are left to the sum.
    """

    n: Shape
    k: Shape
    mode: Mode
    method: Method
    sum: Callable[[np.ndarray, np.ndarray], np.ndarray]
    correlation: Callable[[np.ndarray, np.ndarray], np.ndarray] | None
    widened: bool
    conjugated: bool
    lenient: bool

    @cached_property
    def convolve(self) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        """What returns the outputs of this plan's mode; raises as `theory.convolution.convolve`."""
        return self._of_widened if self.widened else self._of_others

    @cached_property
    def correlate(self) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        """What returns the convolution with the kernel flipped and conjugated; raises alike."""
        inside = self.mode == "valid" and self.method == "direct" and not self.widened
        return (self.correlation if inside else None) or self._of_flipped

    def _of_flipped(self, x: np.ndarray, h: np.ndarray) -> np.ndarray:
        flipped = h[self._backwards]
        y = self.convolve(x, np.conj(flipped) if self.conjugated else flipped)
        if self.mode == "circular":  # the flip left the kernel's origin at its last cell
            y = np.roll(y, [1 - k for k in self.k], tuple(range(y.ndim)))
        return y

    def _of_widened(self, x: np.ndarray, h: np.ndarray) -> np.ndarray:
        return self._of_others(widened("signal", x), widened("kernel", h))

    @cached_property
    def _of_others(self) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        if self.method == "direct":
            return self._by_sum
        return self._by_transforms_or_sum if self.lenient else self._by_transforms

    @cached_property
    def _by_sum(self) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        if self.mode in ("full", "valid"):
            return self.sum
        return lambda x, h: self._cut(self.sum(x, h))

    def _by_transforms_or_sum(self, x: np.ndarray, h: np.ndarray) -> np.ndarray:
        try:
            with np.errstate(over="ignore", invalid="ignore"):
                y = self._by_transforms(x, h)
                if all_finite(y):
                    return y
        except NotFiniteError:
            pass
        return self._by_sum(x, h)  # which need not overflow where the transforms do

    def _by_transforms(self, x: np.ndarray, h: np.ndarray) -> np.ndarray:
        if self.method == "overlap-add":
            return self._cut(by_overlap_add(x, h))
        if self.mode == "valid":
            return by_fft(x, h, valid=True)
        return self._cut(by_fft(x, h))

    def _cut(self, full: np.ndarray) -> np.ndarray:
        return wrap(full, self.n) if self.mode == "circular" else full[self._kept]

    @cached_property
    def _kept(self) -> tuple[slice, ...]:
        """Which outputs of the full convolution are those of this plan's mode."""
        windows = (window(a, b, self.mode) for a, b in zip(self.n, self.k, strict=True))
        return tuple(slice(start, start + size) for start, size in windows)

    @cached_property
    def _backwards(self) -> tuple[slice, ...]:
        return (slice(None, None, -1),) * len(self.k)


@remembered
def plan(
    n: Shape, k: Shape, x_type: np.dtype, h_type: np.dtype, mode: Mode, method: Method
) -> Plan:
    """Plan the convolution of factors of these shapes and types.

    Parameters
    ----------
    n, k : tuple of int
        Cells per axis of signal and kernel.
    x_type, h_type : numpy.dtype
        What they hold.
    mode, method
        As for `theory.convolution.convolve`.

    Raises
    ------
    ValueError, TypeError
        As `theory.convolution.convolve`, for all that can be told without the samples.
    """
    require_known("mode", mode, get_args(Mode))
    require_known("method", method, get_args(Method))
    for name, shape, dtype in (("signal", n, x_type), ("kernel", k, h_type)):
        require_numbers(name, dtype)
        if math.prod(shape) == 0 or not shape:
            raise ValueError(
                f"the {name} has shape {shape}: expected at least one axis and one cell"
            )
    if len(n) != len(k):
        raise ValueError(
            f"the signal has {len(n)} axes and the kernel {len(k)}: expected the same number; for "
            "channels use correlate_channels"
        )
    if mode == "valid" and any(b > a for a, b in zip(n, k, strict=True)):
        raise ValueError(
            f"mode 'valid' needs a kernel that fits into the signal, but the kernel has shape "
            f"{k} and the signal {n}: swap them, or choose another mode"
        )
    kinds, valid = {x_type.kind, h_type.kind}, mode == "valid"
    chosen = method
    if method == "auto":
        exact = "O" in kinds or not kinds & {"f", "c"}
        chosen = "direct" if exact else fastest_convolution(n, k, valid=valid)
    elif method != "direct" and "O" in kinds:
        raise TypeError("the FFT is not exact: use method='direct' for arrays of dtype object")
    types = [computed_type(each) for each in (x_type, h_type)]
    return Plan(
        n,
        k,
        mode,
        chosen,
        sum=summation(n, k, *types, valid=valid),
        correlation=correlation(n, k, *types),
        widened=types != [x_type, h_type],
        conjugated=h_type.kind in "cO",
        lenient=method == "auto",
    )


def window(n: int, k: int, mode: str) -> tuple[int, int]:
    """Return the first output and the number of outputs that a mode keeps along one axis."""
    return {"full": (0, n + k - 1), "same": ((k - 1) // 2, n), "valid": (k - 1, n - k + 1)}[mode]


def wrap(y: Shaped[np.ndarray, "*m"], shape: Shape) -> Shaped[np.ndarray, "*n"]:
    """Add up the cells whose indices agree modulo the shape."""
    for axis, n in enumerate(shape):
        before = (slice(None),) * axis
        wrapped = np.zeros((*y.shape[:axis], n, *y.shape[axis + 1 :]), y.dtype)
        for start in range(0, y.shape[axis], n):
            turn = y[(*before, slice(start, start + n))]
            wrapped[(*before, slice(turn.shape[axis]))] += turn
        y = wrapped
    return y
