"""The audit of resizing and of padding: borders, jumps, and where windows follow no law."""

from __future__ import annotations

from fractions import Fraction

import pytest
from torch import nn

from theory import audit, auditing, diagnose


@pytest.mark.parametrize("mode", ["linear", "nearest"])
def test_what_a_resizing_folds_back_at_the_edge_is_a_border(mode: str) -> None:
    """The same border as `diagnose` measures in the interior."""
    layer = nn.Upsample(scale_factor=2, mode=mode)
    (row,) = audit(layer, (1, 8)).rows
    (border,) = diagnose(layer, (1, 8), boundary="interior").border
    assert row.border == ((border, border),)
    assert border == (mode == "linear")


def test_what_circular_padding_brings_from_the_other_end_is_a_border() -> None:
    """The same border as `diagnose` measures in the interior."""
    layer = nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular")
    (row,) = audit(layer, (1, 8, 8)).rows
    assert row.border == ((1, 1), (1, 1))
    assert diagnose(layer, (1, 8, 8), boundary="interior").border == (1, 1)


def test_a_resizing_that_keeps_the_corners_has_no_border() -> None:
    facts = audit(nn.Upsample(scale_factor=4, mode="linear", align_corners=True), (1, 8))
    (row,) = facts.rows
    assert (row.receptive_field, row.jump, row.start) == ((2,), (Fraction(7, 31),), (0,))
    assert row.border == ((0, 0),)


def test_windows_that_never_repeat_in_a_map_follow_no_law() -> None:
    def resized(cells: int, crop: int) -> auditing.Audit:
        ups = [nn.Upsample(scale_factor=2, mode="linear", align_corners=True) for _ in range(5)]
        layers = [each for up in ups for each in (up, nn.Conv1d(1, 1, 3, padding=1 - crop))]
        return audit(nn.Sequential(*layers), (1, cells))

    # Maps of 20, 40, ... cells: 319 steps along the last are 9 along the input.
    assert resized(10, 0).rows[-1].jump == (Fraction(9, 319),)
    # Maps of 20, 18, 36, ... cells: 35 steps are 17, of which 19 are 9. None takes 665.
    rows = resized(10, 1).rows
    assert [row.jump for row in rows[:2]] == [(Fraction(9, 19),)] * 2
    assert {row.jump for row in rows[2:]} == {(None,)}
    assert rows[-1].receptive_field == (5,)
