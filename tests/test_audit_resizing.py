"""The audit of resizing: its law in every cell, its borders, and where it has no law."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from torch import nn
from torch.nn import functional

from tests.audit_modules import Fn
from tests.seen_cells import in_graph, interval, reached
from theory import audit, auditing, diagnose


@pytest.mark.parametrize("cells", [2, 3, 8, 15, 29])
@pytest.mark.parametrize(
    ("mode", "aligned"),
    [
        ("linear", True),
        ("linear", False),
        ("bicubic", True),
        ("bicubic", False),
        ("nearest", None),
        ("nearest-exact", None),
        ("area", None),
    ],
)
def test_a_law_of_resizing_holds_in_every_cell(mode: str, aligned: bool | None, cells: int) -> None:
    outputs = [2, 3, 4, 5, 7, 8, 9, 11, 15, 16, 29, 32, 51]
    flat = {"linear": "bilinear"}.get(mode, mode)
    resized = Fn(
        lambda x: [
            functional.interpolate(x, size=(n, 1), mode=flat, align_corners=aligned)
            for n in outputs
        ]
    )
    impulses = torch.eye(cells, dtype=torch.float64).reshape(cells, 1, cells, 1)
    # A weight is the distance of two places among the cells, rounded.
    rounded = cells * torch.finfo(torch.float64).eps
    weights = resized(impulses)
    for n, weight, found in zip(outputs, weights, reached(resized, (1, cells, 1), 1), strict=True):
        seen = [interval(each) for each in (weight[:, 0, :, 0].abs() > rounded).T]
        assert in_graph(found.reach, (1, 1, n, 1)) == seen
        if mode == "linear" and aligned:
            assert found.windows is not None
            assert found.windows.jump == Fraction(cells - 1, n - 1)
            assert (found.reach[2] == 0).all(), "no window hangs over the edge"
        if found.windows is not None:
            windows = [found.windows.at(cell) for cell in range(n)]
            held = [w and (max(w[0], 0), min(w[1], cells - 1)) for w in windows]
            assert held == seen, "what hangs over the edge is folded back"


@pytest.mark.parametrize("mode", ["linear", "nearest"])
def test_what_a_resizing_folds_back_at_the_edge_is_a_border(mode: str) -> None:
    """The same border as `diagnose` measures in the interior."""
    layer = nn.Upsample(scale_factor=2, mode=mode)
    (row,) = audit(layer, (1, 8)).rows
    (border,) = diagnose(layer, (1, 8), boundary="interior").border
    assert row.border == ((border, border),)
    assert border == (mode == "linear")


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
