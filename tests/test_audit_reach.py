"""The arithmetic of reaches: each operation on intervals against the intervals themselves."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch

from theory.auditing import reach as reaching

NOTHING = reaching.of_nothing(1)


def seeing(*cells: tuple[int, int] | None, edges: tuple[int, ...] = ()) -> reaching.Reach:
    """Return the reach of a signal whose cells see these intervals; some touch an edge."""
    nothing = NOTHING.ravel().tolist()
    planes = [nothing if each is None else [each[0], -each[1], 0] for each in cells]
    reach = np.array(planes).T
    reach[2, list(edges)] = -1
    return reach


def intervals(reach: reaching.Reach) -> list[tuple[int, int] | None]:
    """Return the interval of each cell of a flattened reach."""
    first, last, _ = reach.reshape(3, -1).tolist()
    return [(a, -b) if a <= -b else None for a, b in zip(first, last, strict=True)]


def test_the_input_sees_itself_along_one_axis() -> None:
    reach = reaching.of_input((2, 3, 4), 1)
    assert reach.shape == (3, 1, 3, 1)  # the same along the others
    assert intervals(reach) == [(0, 0), (1, 1), (2, 2)]
    assert not reach[2].any()
    assert reaching.first(reach).ravel().tolist() == [0, 1, 2]
    assert reaching.largest(reach) == 1


def test_what_sees_nothing_has_no_cells() -> None:
    reach = reaching.of_nothing(2)
    assert reach.shape == (3, 1, 1)
    assert intervals(reach) == [None]
    assert reaching.first(reach).tolist() == [[-1]]
    assert reaching.largest(reach) == 0
    assert not reach[2].any()


def test_the_largest_interval_counts_its_cells() -> None:
    reach = seeing((0, 0), None, (2, 5), (1, 3))
    assert reaching.largest(reach) == 4
    assert reaching.first(reach).tolist() == [0, -1, 2, 1]


def test_a_hull_broadcasts_as_values_do() -> None:
    rows = seeing((2, 3), (0, 1), edges=(1,)).reshape(3, 2, 1)
    columns = seeing((1, 2), None, (5, 5))
    joint = reaching.hull([rows, columns, reaching.of_nothing(0)])
    assert joint.shape == (3, 2, 3)
    assert intervals(joint) == [(1, 3), (2, 3), (2, 5), (0, 2), (0, 1), (0, 5)]
    assert joint[2].tolist() == [[0, 0, 0], [-1, -1, -1]]


@pytest.mark.parametrize(("axes", "seen"), [([0], [(0, 5), (1, 3)]), ([-1], [(1, 5), (0, 3)])])
def test_cells_together_see_the_hull_along_some_axes(
    axes: list[int], seen: list[tuple[int, int]]
) -> None:
    reach = seeing((2, 5), (1, 3), (0, 0), (2, 3), edges=(0,)).reshape(3, 2, 2)
    together = reaching.reduced(reach, axes)
    assert together.shape == ((3, 1, 2) if axes == [0] else (3, 2, 1))
    assert intervals(together) == seen
    assert reaching.reduced(reach, axes, keepdim=False).shape == (3, 2)
    assert intervals(reaching.reduced(reach, [0, 1])) == [(0, 5)]


def test_what_is_read_is_seen_and_what_lies_beyond_is_an_edge() -> None:
    table = np.array([[0, 1], [2, -1], [-1, -1], [-2, -2], [1, -2]])
    rows = reaching.read_by(seeing((4, 5), (2, 3), (7, 9), edges=(0,)), 0, 3, table)
    assert intervals(rows) == [(2, 5), (7, 9), None, None, (2, 3)]
    assert rows[2].tolist() == [-1, -1, -1, 0, 0]
    # Along an axis of size 1 all cells see the same.
    same = reaching.read_by(seeing((4, 5)).reshape(3, 1, 1), 1, 3, table)
    assert same.shape == (3, 1, 5)
    assert intervals(same) == [(4, 5), (4, 5), None, None, (4, 5)]
    assert same[2].tolist() == [[0, -1, -1, 0, 0]]


def test_channels_see_what_those_of_their_group_see() -> None:
    reach = seeing((0, 1), (4, 5), (2, 2), (1, 3)).reshape(3, 1, 4, 1, 1)
    assert intervals(reaching.mixed(reach, 1, 1, 2)) == [(0, 5)] * 2
    grouped = reaching.mixed(reach, 1, 2, 6)
    assert grouped.shape == (3, 1, 6, 1, 1)
    assert intervals(grouped) == [(0, 5)] * 3 + [(1, 3)] * 3
    assert intervals(reaching.mixed(reach, 1, 4, 4)) == intervals(reach)
    same = reach[:, :, :1]
    assert reaching.mixed(same, 1, 2, 6) is same  # they are all the same before and after


def test_what_moves_takes_its_reach_along() -> None:
    def halves(tensors: list[torch.Tensor]) -> Any:
        return torch.cat([tensors[0].flip(0), tensors[1]]).split(3)

    reaches = [seeing((0, 1), (1, 2), (2, 3), edges=(2,)), None]
    first, second = reaching.moved(halves, reaches, [(3,), (3,)])
    assert intervals(first) == [(2, 3), (1, 2), (0, 1)]
    assert first[2].tolist() == [-1, 0, 0]
    assert (intervals(second), second.shape) == ([None], (3, 1))  # three cells that see the same
    (alone,) = reaching.moved(lambda tensors: tensors[0].expand(4, 3), reaches[:1], [(3,)])
    assert alone.shape == (3, 1, 3)


def test_what_repeats_is_kept_once() -> None:
    """Even where only some planes repeat, and whichever way the repetition came about."""
    rows = np.array([[0, 1], [0, 1]])
    assert reaching.compressed([rows, rows]).shape == (2, 1, 2)
    assert reaching.compressed([rows, rows.T]).shape == (2, 2, 2)
    assert reaching.compressed([rows * 0]).tolist() == [[[0]]]
    (virtual,) = reaching.carried(lambda tensors: tensors[0], [np.array([[5], [6]])], [(2, 2)])
    assert virtual.tolist() == [[5], [6]]


def test_the_border_is_what_lies_around_the_longest_stretch_that_touches_no_edge() -> None:
    """Of all signals of five cells, each of which sees something or not, at an edge or not."""
    for kinds in product(("inside", "edge", "blind"), repeat=5):
        cells = [None if kind == "blind" else (3, 4) for kind in kinds]
        touched = tuple(i for i, kind in enumerate(kinds) if kind == "edge")
        stretches = [
            (sum(kind == "inside" for kind in kinds[a:b]), b - a, a, b)
            for a in range(5)
            for b in range(a + 1, 6)
            if "edge" not in kinds[a:b]
        ]
        seeing_cells, length, *_ = max(stretches, default=(0, 0))
        before, after = reaching.border(seeing(*cells, edges=touched), 0, 5)
        if seeing_cells:
            assert (seeing_cells, length, before, 5 - after) in stretches
        elif touched:  # nothing lies inside: both borders reach to the farthest edge
            assert (before, after) == (max(touched) + 1, 5 - min(touched))
        else:
            assert (before, after) == (0, 0)


def test_a_border_is_one_along_its_own_dimension() -> None:
    reach = seeing((0, 0), (0, 0), (1, 1), (1, 1), (2, 2), (2, 2), edges=(0, 5)).reshape(3, 3, 2)
    assert reaching.border(reach, 0, 3) == (1, 1)
    assert reaching.border(reach, 1, 2) == (2, 2)


def test_cells_may_be_told_to_touch_an_edge() -> None:
    reach = reaching.touching(reaching.of_input((2, 3), 0), 1, np.array([True, False, True]))
    assert reach.shape == (3, 2, 3)
    assert intervals(reach) == [(0, 0)] * 3 + [(1, 1)] * 3
    assert reach[2].tolist() == [[-1, 0, -1]] * 2
    assert reach.dtype == np.int64
    rows = reaching.touching(reaching.of_input((2, 3), 1), 0, np.array([True, False]))
    assert rows[2].tolist() == [[-1, -1, -1], [0, 0, 0]]
    again = reaching.touching(reach, 1, np.array([False, True, False]))
    assert (again[2] == -1).all()  # those that did touch one go on to


def test_inside_are_the_cells_that_see_something_and_touch_no_edge() -> None:
    reach = seeing((0, 1), None, (2, 3), (1, 2), None, (5, 6), edges=(3,)).reshape(3, 2, 3)
    bounds, inside = reaching.inside(reach, 1)
    assert inside.tolist() == [False, False, True]  # the first touches an edge in one of two rows
    assert bounds.T.tolist()[2] == [2, 6]
    _, rows = reaching.inside(reach, 0)
    assert rows.tolist() == [True, False]
    assert reaching.inside(seeing(None, (0, 0)), 0)[1].tolist() == [False, True]
