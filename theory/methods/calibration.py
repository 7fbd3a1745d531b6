"""Measure what the parts of the methods cost on this machine, and keep it for `method="auto"`.

Nothing calibrates by itself. Call `calibrate` once, for about ten seconds in which the machine has
nothing else to do.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from scipy.optimize import nnls

from theory.methods.choice import (
    fastest_filter_gradient,
    overlap_add_seconds,
    sum_parts,
    taps_parts,
)
from theory.methods.convolution_plan import plan
from theory.methods.costs import KNOTS, Costs, costs_file, machine_costs, write
from theory.methods.direct_convolution import by_sum
from theory.methods.fast_convolution import block_cells, by_fft, by_overlap_add
from theory.methods.fast_gradients import by_blocked_fft, summed_products
from theory.methods.gradient_plan import plan_gradient
from theory.methods.gradient_sums import by_taps

Shape = tuple[int, ...]

# Signals and kernels: with the kernel in registers, whole and in runs; by dot products, and by few
# long ones; in a plane.
_IN_REGISTERS = [(2**6, 3), (2**9, 9), (2**12, 3), (2**12, 9), (2**14, 20), (2**15, 40)]
_BY_DOTS = [(2**6, 16), (2**6, 32), (2**9, 64), (2**10, 128), (2**12, 64), (2**12, 256)]
_STREAMED = (2**20,), (2**20 - 15,)
_IN_A_PLANE = [(4, 2), (32, 3), (64, 8), (128, 5), (512, 3)]
_BLOCKS_IN_A_PLANE = (512, 3)

# Inputs and output gradients of layers: in a row, in a plane, of few channels and of many.
_LAYERS = [
    ((1, 2, 64), (1, 2, 60)),
    ((4, 8, 512), (4, 8, 504)),
    ((2, 32, 18, 18), (2, 32, 16, 16)),
    ((16, 4, 34, 34), (16, 4, 32, 32)),
    ((4, 64, 34, 34), (4, 64, 32, 32)),
]
_SPECTRA = ((8, 16, 513), (8, 16, 513))
"""Examples, channels or filters, and frequencies."""

_CELLS_IN_BLOCKS = 3 * 2**13
"""Of short blocks there are so many that all of them together have these cells."""

_SECONDS = 0.06
"""For each measurement, of at least two rounds."""

_SHORTEST_ROUND = 2e-4
"""Seconds; shorter calls are timed several in a row, for the sake of the clock."""


def calibrate(path: Path | None = None) -> Costs:
    """Measure the costs of this machine, and keep them.

    Parameters
    ----------
    path
        Where; by default `theory.methods.costs.costs_file`, which is where they are looked for.

    Returns
    -------
    Costs
        The costs; methods are chosen by them from now on.

    Raises
    ------
    OSError
        If they cannot be written.
    """
    costs = measured()
    write(costs, path or costs_file())
    for remembered in (machine_costs, plan, plan_gradient, fastest_filter_gradient):
        remembered.cache_clear()
    return costs


def measured() -> Costs:
    """Return the costs of this machine, and keep nothing."""
    along_one_axis = [((n,), (k,)) for n, k in _IN_REGISTERS + _BY_DOTS]
    in_a_plane = [((n, n), (k, k)) for n, k in _IN_A_PLANE]
    fft, blocks = (_seconds(method, (2,), (1,)) for method in (by_fft, by_overlap_add))
    costs = Costs(
        **_fitted(by_sum, along_one_axis, sum_parts),
        **_fitted(by_sum, in_a_plane, sum_parts),
        **_fitted(by_taps, _LAYERS, taps_parts),
        spectral_product=_per_product_of_spectra(),
        fft=fft,
        fft_cell=tuple(_per_cell_of_fft(cells, fft) for cells in KNOTS),
        blocks=blocks,
        block_cell=tuple(_per_cell_of_blocks(cells, blocks) for cells in KNOTS),
        windows=_seconds(by_blocked_fft, (1, 1, 2), (1, 1, 2)),
        streamed_product=0.0,
        plane=1.0,
    )
    return replace(costs, streamed_product=_per_streamed_product(costs), plane=_plane(costs))


def _fitted(
    method: Callable[[np.ndarray, np.ndarray], np.ndarray],
    sizes: Sequence[tuple[Shape, Shape]],
    parts_of: Callable[[Shape, Shape], dict[str, int]],
) -> dict[str, float]:
    """Return the costs of the parts of sums that explain the seconds best, relative to each."""
    parts = [parts_of(n, k) for n, k in sizes]
    names = sorted({name for part in parts for name in part})
    seconds = np.array([_seconds(method, n, k) for n, k in sizes])
    counts = np.array([[part.get(name, 0) for name in names] for part in parts])
    costs, _ = nnls(counts / seconds[:, None], np.ones(len(sizes)))
    return dict(zip(names, costs.tolist(), strict=True))


def _per_streamed_product(costs: Costs) -> float:
    """Return what is left for each product when the rest of the sum has its costs."""
    parts = sum_parts(*_STREAMED, valid=True)
    left = _seconds(partial(by_sum, valid=True), *_STREAMED) - costs.of(parts)
    return max(0.0, left) / parts["streamed_product"]


def _per_product_of_spectra() -> float:
    of_x, of_g = _SPECTRA
    multiply = partial(summed_products, axes=1)
    return _seconds(multiply, of_x, of_g, complex) / (math.prod(of_x) * of_g[1])


def _per_cell_of_fft(cells: int, fixed: float) -> float:
    n, k = cells // 2 + 1, cells // 2
    return max(0.0, _seconds(by_fft, (n,), (k,)) - fixed) / cells


def _per_cell_of_blocks(cells: int, fixed: float) -> float:
    kernels = (cells // part for part in (8, 4, 2))
    k = next(k for k in kernels if block_cells((k,), (4 * cells,)) == (cells,))
    blocks = max(4, _CELLS_IN_BLOCKS // cells)
    n = blocks * (cells - k + 1)
    return max(0.0, _seconds(by_overlap_add, (n,), (k,)) - fixed) / ((blocks + 0.5) * cells)


def _plane(costs: Costs) -> float:
    """Return how many times as much blocks in a plane take as such a machine would expect."""
    n, k = ((cells, cells) for cells in _BLOCKS_IN_A_PLANE)
    expected = overlap_add_seconds(n, k, costs) - costs.blocks
    return max(0.0, _seconds(by_overlap_add, n, k) - costs.blocks) / expected


def _seconds(
    method: Callable[[np.ndarray, np.ndarray], np.ndarray],
    n: Shape,
    k: Shape,
    dtype: type = float,
) -> float:
    """Return the time of the fastest round: what disturbs one only adds to it."""
    call = partial(method, np.ones(n, dtype), np.ones(k, dtype))
    call()
    once = _timed(call, 1)
    repeats = max(1, round(_SHORTEST_ROUND / once))
    rounds = max(2, round(_SECONDS / (repeats * once)))
    return min(_timed(call, repeats) for _ in range(rounds))


def _timed(call: Callable[[], object], repeats: int) -> float:
    started = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - started) / repeats
