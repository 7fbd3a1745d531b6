"""The laws of what layers read and see, cell by cell against their definitions."""

from __future__ import annotations

import math
from fractions import Fraction
from operator import index

import numpy as np
import pytest

from theory.auditing.taps import Taps, law_of_move, law_of_table
from theory.auditing.windows import Scattered, Windows
from theory.geometry import Layer

ITSELF = Taps(((0,),), 1)
LAYERS = [
    Layer(1),
    Layer(3),
    Layer(2, stride=3, padding=1),
    Layer(3, stride=2, dilation=2),
    Layer(4, stride=3, padding=2, dilation=2),
    Layer(2, stride=4, dilation=3),
]
SIZES = [(2, 2), (2, 3), (3, 2), (4, 6), (5, 7), (6, 4), (8, 3), (9, 12)]


def read(taps: Taps, output: int) -> set[int]:
    """Return the cells that an output cell reads, as the class defines it."""
    turn, phase = divmod(output, len(taps.offsets))
    return {index(taps.step * turn + offset) for offset in taps.offsets[phase]}


def hull(windows: list[tuple[int, int] | None]) -> tuple[int, int] | None:
    """Return the smallest window that holds some others."""
    ends = [each for each in windows if each is not None]
    return (min(first for first, _ in ends), max(last for _, last in ends)) if ends else None


def some_windows(rng: np.random.Generator, period: int, step: int) -> Windows:
    """Return windows of which some see nothing and some are the same."""
    firsts = rng.integers(-2, 3, period).tolist()
    bounds = [(first, first + int(rng.integers(3))) for first in firsts]
    return Windows(tuple(each if rng.random() < 0.8 else None for each in bounds), step)


# What one operation reads


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_reads_a_window_of_taps(layer: Layer) -> None:
    for output in range(8):
        first = output * layer.stride - layer.padding
        cells = {first + layer.dilation * tap for tap in range(layer.kernel)}
        assert read(Taps.of(layer), output) == cells
        assert Taps.of(layer).window(output) == (min(cells), max(cells))
    assert index(Taps.of(layer).reads(5)) == 5 * layer.kernel


@pytest.mark.parametrize("layer", LAYERS)
def test_a_transposed_layer_reads_the_cells_that_write_to_an_output(layer: Layer) -> None:
    taps = Taps.transposed(layer)
    for output in range(12):
        writes = {
            cell
            for cell in range(-20, 20)
            for tap in range(layer.kernel)
            if cell * layer.stride - layer.padding + layer.dilation * tap == output
        }
        assert read(taps, output) == writes
        turn, phase = divmod(output, layer.stride)
        assert [turn + offset for offset in taps.offsets[phase]] == sorted(writes)
    assert taps.reads(2 * layer.stride) == 2 * layer.kernel


@pytest.mark.parametrize(("cells", "outputs"), SIZES)
def test_adaptive_pools_and_resizings_divide_the_cells_among_the_outputs(
    cells: int, outputs: int
) -> None:
    pool, resizing = Taps.adaptive(cells, outputs), Taps.aligned(cells, outputs)
    for output in range(outputs):
        begins = Fraction(output * cells, outputs)
        ends = Fraction((output + 1) * cells, outputs)
        assert read(pool, output) == set(range(math.floor(begins), math.ceil(ends)))
        place = Fraction(output * (cells - 1), outputs - 1)
        assert read(resizing, output) == {math.floor(place), math.ceil(place)}
    assert pool.reads(outputs) == sum(len(read(pool, output)) for output in range(outputs))


@pytest.mark.parametrize(
    "taps", [Taps.of(LAYERS[2]), Taps.transposed(LAYERS[5]), Taps(((0, 2), (1,), ()), 2)]
)
def test_a_table_says_what_is_read_and_what_lies_beyond_the_ends(taps: Taps) -> None:
    cells, outputs = 5, 9
    rows = [sorted(read(taps, output)) for output in range(outputs)]
    most = max(map(len, rows))
    expected = [
        [cell if 0 <= cell < cells else -1 for cell in row] + [-2] * (most - len(row))
        for row in rows
    ]
    assert taps.table(cells, outputs).tolist() == expected


def test_what_lies_beyond_the_ends_may_fold_back() -> None:
    taps, cells = Taps(((-1, 2), (0,)), 2), 4
    folded = np.array([[0, 2], [0, 0], [1, 3], [2, 2], [3, 3]])
    assert taps.folds_to(folded, cells)
    for row in range(len(folded)):
        other = folded.copy()
        other[row] = 2, 3
        assert not taps.folds_to(other, cells)
    assert not taps.folds_to(folded, cells + 1)


@pytest.mark.parametrize(
    ("coordinates", "cells", "law"),
    [
        ([0, 1, 2, 3], 4, ITSELF),
        ([3, 2, 1, 0], 4, Taps(((3,),), -1)),
        ([1, 3, 5], 6, Taps(((1,),), 2)),
        ([-1, -1, 0, 1, 2, 3, -1], 4, Taps(((-2,),), 1)),  # padded
        ([2, 3, 4, 5, 6, 0, 1], 7, Taps(((2,),), 1)),  # rolled, most cells by two
        ([5, 6, 0, 1, 2, 3, 4], 7, Taps(((-2,),), 1)),
        ([0, 0, 1, 1, 2, 2], 3, Taps(((0,), (0,)), 1)),
        ([1, 0, 3, 2, 5, 4], 6, None),
        ([1, 0, 1, 3, 2, 3], 4, Taps(((1,), (0,), (1,)), 2)),
        ([-1, 0, 2, 4], 6, Taps(((-2,),), 2)),
        ([2, 1, 0, -1, -1], 3, Taps(((2,),), -1)),
        ([4, 0, 1, 2, 0, 3], 5, None),  # three of six are not most
        ([0], 4, ITSELF),
        ([3], 4, Taps(((3,),), 1)),
        ([-1], 4, None),
        ([-1, 1], 4, None),  # a constant is no cell before the first
        ([0, 0, 0], 3, None),
        ([-1, -1, -1], 3, None),
        ([0, 1, 2, 0, 1, 2], 3, None),  # neither half is the larger
        ([0, 1, 2, 3, 0, 1, 2], 4, ITSELF),
        ([2, 0, 1, 2, 3, 0, 1], 4, Taps(((-1,),), 1)),
    ],
)
def test_the_law_of_a_move_is_that_of_most_cells(
    coordinates: list[int], cells: int, law: Taps | None
) -> None:
    found = law_of_move(np.array(coordinates), cells)
    assert found == law
    assert found is None or index(found.step) == law.step


@pytest.mark.parametrize(
    ("taps", "most"),
    [
        (Taps(((-1, 0), (0, 1)), 1), 4),  # of three periods but the one in the middle is whole
        (Taps(((-3, 3),), 1), 8),
        (Taps(((-1, 0, 1),), 2), 3),
        (Taps(((-1, 0),), 1), 3),
        (Taps(((0, 1),), 1), 3),
        (Taps(((0,), (1,)), 3), 3),
    ],
)
def test_the_law_of_a_table_is_that_of_its_middle_periods(taps: Taps, most: int) -> None:
    """The ends are folded back, and a cell that is there twice is read once."""
    for turns in range(1, 10):
        outputs, cells = turns * len(taps.offsets), turns * taps.step
        rows = [sorted(read(taps, output)) for output in range(outputs)]
        table = np.array([[*row, row[-1]] for row in rows]).clip(0, cells - 1)
        found = law_of_table(table, cells)
        assert found == (taps if turns >= most else None)
        assert found is None or index(found.step) == taps.step


@pytest.mark.parametrize("step", [1, 2, 5])
@pytest.mark.parametrize("taps", [(2,), (0, 1, 4)])
def test_frames_are_as_far_apart_as_the_first_two(step: int, taps: tuple[int, ...]) -> None:
    frames = np.arange(3)[:, None] * step + np.array([taps])
    assert law_of_table(frames, 64) == Taps((taps,), step)
    assert law_of_table(frames[:2], 64) is None
    assert law_of_table(frames[::-1], 64) is None
    frames[2, -1] += 1
    assert law_of_table(frames, 64) is None


def test_a_table_of_which_no_two_periods_agree_has_no_law() -> None:
    assert law_of_table(np.array([[0], [2], [1], [4], [2]]), 5) is None


# What is seen through all of them


def test_windows_move_by_a_step_a_period() -> None:
    windows = Windows(((0, 2), None), 3)
    seen = [windows.at(cell) for cell in range(-2, 5)]
    assert seen == [(-3, -1), None, (0, 2), None, (3, 5), None, (6, 8)]
    assert windows.jump == Fraction(3, 2)
    assert windows.largest == (3, Fraction(3, 2), 0)


@pytest.mark.parametrize("seed", range(40))
def test_an_output_sees_what_the_cells_see_that_it_reads(seed: int) -> None:
    rng = np.random.default_rng(seed)
    windows = some_windows(rng, period=int(rng.integers(1, 5)), step=int(rng.integers(1, 5)))
    rows = [rng.integers(-2, 3, rng.integers(3)).tolist() for _ in range(rng.integers(1, 4))]
    taps = Taps(tuple(map(tuple, rows)), int(rng.integers(-2, 4)))
    seen = windows.through(taps)
    for output in range(-6, 40):
        assert seen.at(output) == hull([windows.at(cell) for cell in read(taps, output)])
    assert seen.jump == windows.jump * Fraction(taps.step, len(taps.offsets))
    repeats = windows.repeats(taps)
    assert [r * taps.step % len(windows.bounds) == 0 for r in range(1, repeats + 1)] == [
        *[False] * (repeats - 1),
        True,
    ]


@pytest.mark.parametrize("seed", range(40))
def test_joined_maps_see_what_either_sees(seed: int) -> None:
    rng = np.random.default_rng(seed)
    period, step, one, other = rng.integers(1, 4, 4).tolist()
    windows = [some_windows(rng, period * times, step * times) for times in (one, other)]
    both = windows[0].joined(windows[1])
    assert both is not None
    assert both.jump == windows[0].jump
    for cell in range(-6, 40):
        assert both.at(cell) == hull([each.at(cell) for each in windows])
    assert windows[0].joined(some_windows(rng, period, step + 1)) is None


@pytest.mark.parametrize(
    "windows",
    [
        Windows(),
        Windows(((0, 1),), 2),
        Windows(((0, 0), (0, 1)), 1),  # as bilinear upsampling has it
        Windows(((0, 0), (0, 0), (0, 0)), 1),  # three copies of each cell
        Windows(((0, 0), (1, 1), (3, 3)), 3),
        Windows(((0, 0), None), 2),
    ],
)
def test_a_law_is_said_with_its_shortest_period(windows: Windows) -> None:
    period, step = len(windows.bounds), windows.step
    for times in (1, 2, 3):
        bounds = tuple(windows.at(cell) for cell in range(times * period))
        assert Windows(bounds, times * step).through(ITSELF) == windows


def test_cells_out_of_order_have_no_law_but_may_be_joined_where_the_order_is_the_same() -> None:
    wide, cells = Windows(((-1, 1),), 1), np.array([2, 0, 1])
    scattered = Scattered(Windows(), cells)
    assert scattered.through(ITSELF) is None
    both = scattered.joined(Scattered(wide, cells.copy()))
    assert both is not None
    assert (both.windows, both.cells.tolist()) == (wide, [2, 0, 1])
    assert scattered.joined(Scattered(wide, cells[::-1])) is None
    assert scattered.joined(Scattered(Windows(step=2), cells)) is None
    assert scattered.joined(wide) is None
    assert wide.joined(scattered) is None
