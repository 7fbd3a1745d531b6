"""Which method is fastest: a model of the seconds that each one takes.

A method is taken apart into calls, outputs, products and transforms, whose costs are those of
`theory.methods.costs`. Of two methods the faster one in float64 is taken to be the faster one in
every type.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

from theory.methods.costs import KNOTS, Costs, machine_costs
from theory.methods.direct_convolution import UNROLLED_TAPS, runs, valid_shape
from theory.methods.fast_convolution import block_cells, whole_cells

Shape = tuple[int, ...]

STREAMED_TAPS = 2**17
"""Taps beyond which a dot product waits for memory: its factors take more than two mebibytes, about
what a core has of cache for itself."""


def fastest_convolution(
    n: Shape, k: Shape, *, valid: bool = False, costs: Costs | None = None
) -> Literal["direct", "fft", "overlap-add"]:
    """Return the method of `theory.convolution.convolve` that should be the fastest.

    Parameters
    ----------
    n, k : tuple of int
        Cells per axis of signal and kernel.
    valid : bool, optional
        Whether only the outputs of mode ``valid`` are asked for.
    costs : Costs, optional
        What the parts of a method cost; by default on this machine.
    """
    costs = costs or machine_costs()
    direct = costs.of(sum_parts(n, k, valid=valid))
    if direct <= costs.fft:
        return "direct"
    full = tuple(a + b - 1 for a, b in zip(n, k, strict=True))
    whole = math.prod(whole_cells(n if valid else full))
    if math.prod(k) > math.prod(n):
        n, k = k, n
    fft = costs.fft + whole * _interpolated(costs.fft_cell, whole)
    added = overlap_add_seconds(n, k, costs)
    if direct <= min(fft, added):
        return "direct"
    return "fft" if fft <= added else "overlap-add"


@lru_cache(maxsize=4096)
def fastest_filter_gradient(
    x: Shape, g: Shape, *, by_taps: bool = False, costs: Costs | None = None
) -> Literal["direct", "fft", "blocked-fft"]:
    """Return the method of `theory.gradients.filter_gradient` that should be the fastest.

    Parameters
    ----------
    x, g : tuple of int
        The shapes ``(batch, channels, *n)`` and ``(batch, filters, *m)``.
    by_taps : bool, optional
        Whether the sum multiplies matrices tap by tap whatever the shapes, as it does for tensors.
    costs : Costs, optional
        What the parts of a method cost; by default on this machine.
    """
    costs = costs or machine_costs()
    batch, channels, filters, n, m = x[0], x[1], g[1], x[2:], g[2:]
    taps = valid_shape(n, m)
    pairs = batch * channels * filters
    if by_taps or sums_tap_by_tap(x, g):
        parts = taps_parts(x, g)
    else:
        one = sum_parts(tuple(n), tuple(m), valid=True)
        parts = {name: pairs * count for name, count in one.items()}
    direct = costs.of(parts)
    # Both costs are those of a convolution, which transforms three times, or each block twice, and
    # multiplies once.
    forward, inverse = batch * (channels + filters), channels * filters
    product = (pairs - 1) * costs.spectral_product
    whole = math.prod(whole_cells(n))
    circle = whole * _interpolated(costs.fft_cell, whole)
    fft = costs.fft + (forward + inverse) / 3 * circle + whole / 2 * product
    cells = block_cells(taps, n)
    blocks = math.prod(-(-b // (f - k + 1)) for b, f, k in zip(m, cells, taps, strict=True))
    spectra = blocks * math.prod(cells) / 2
    blocked = costs.windows + spectra * product
    blocked += (blocks * forward + inverse) / 2 * _block_seconds(cells, costs)
    if direct <= min(fft, blocked):
        return "direct"
    return "fft" if fft <= blocked else "blocked-fft"


def sums_tap_by_tap(x: Shape, g: Shape) -> bool:
    """Return whether a gradient is summed tap by tap, all filters and channels in one product.

    The sums of single channels and filters are more than that, or have several axes and run over
    their taps by themselves.

    Parameters
    ----------
    x, g : tuple of int
        The shapes ``(batch, channels, *n)`` and ``(batch, filters, *m)``.
    """
    pairs = x[0] * x[1] * g[1]
    return pairs > 1 and (len(x) > 3 or x[2] - g[2] + 1 <= pairs)


def overlap_add_seconds(n: Shape, k: Shape, costs: Costs) -> float:
    """Return what a convolution by blocks takes.

    Parameters
    ----------
    n, k : tuple of int
        Cells per axis of the longer and of the shorter factor.
    costs : Costs
        What the parts of a method cost.
    """
    cells = block_cells(k, tuple(a + b - 1 for a, b in zip(n, k, strict=True)))
    blocks = math.prod(-(-a // (f - b + 1)) for a, b, f in zip(n, k, cells, strict=True))
    return costs.blocks + (blocks + 0.5) * _block_seconds(cells, costs)


def sum_parts(n: Shape, k: Shape, *, valid: bool = False) -> dict[str, int]:
    """Return how often each part of `Costs` comes in `theory.methods.direct_convolution.by_sum`.

    Parameters as `fastest_convolution`.
    """
    signal, kernel = math.prod(n), math.prod(k)
    if len(n) > 1:
        outputs = math.prod(valid_shape(n, k)) if valid else signal
        return {"tap": min(outputs, kernel), "tap_cell": outputs * kernel}
    cells, taps = max(signal, kernel), min(signal, kernel)
    pieces = 1 if valid else runs(cells, taps)
    outputs = cells - taps + 1 if valid else cells + taps - 1
    products = taps * (outputs if valid else cells)
    if taps <= UNROLLED_TAPS or pieces > 1:
        return {"call": pieces, "unrolled_output": pieces * outputs, "unrolled_product": products}
    product = "streamed_product" if taps > STREAMED_TAPS else "product"
    return {"call": pieces, "output": pieces * outputs, product: products}


def taps_parts(x: Shape, g: Shape) -> dict[str, int]:
    """Return how often each part of `Costs` comes in `theory.methods.gradient_sums.by_taps`.

    Parameters as `sums_tap_by_tap`.
    """
    passes = math.prod(valid_shape(x[2:], g[2:]))
    entries = math.prod(x[:2]) * math.prod(g[2:])
    return {
        "matrix": passes,
        "matrix_entry": passes * entries,
        "matrix_product": passes * entries * g[1],
    }


def _block_seconds(cells: Shape, costs: Costs) -> float:
    """Return what one block of these cells per axis takes, there and back."""
    block = math.prod(cells)
    return block * _interpolated(costs.block_cell, block) * (costs.plane if len(cells) > 1 else 1)


def _interpolated(per_cell: Sequence[float], cells: int) -> float:
    """Seconds for a cell, between the two knots beside the cells, which lie an octave apart."""
    at = math.log(cells / KNOTS[0]) / math.log(KNOTS[1] / KNOTS[0])
    at = min(max(at, 0.0), len(KNOTS) - 1.0)
    before = min(int(at), len(KNOTS) - 2)
    return per_cell[before] + (at - before) * (per_cell[before + 1] - per_cell[before])
