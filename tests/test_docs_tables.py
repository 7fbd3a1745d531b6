"""Numbers and times in a table of the site read as they are written in print."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("sphinx", reason="the docs extra is not installed")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "docs"))

from _ext import tables


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        ("-0.6 pp (-1.1 to +2)", "−0.6 pp (−1.1 to +2)"),
        ("lr-0.01 at 2026-11-29", "lr-0.01 at 2026-11-29"),
        ("nni-2023-ex1 − conv-9x9", "nni-2023-ex1 − conv-9x9"),
        ("1e-3 - 2", "1e-3 - 2"),
    ],
)
def test_numbers_of_a_table_have_minus_signs_and_names_keep_their_hyphens(cell, shown):
    assert tables.table(["head"], [[cell]]).astext().endswith(f"\n\n{shown}")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (58e-6, "58.0 µs"),
        (0.0187, "18.7 ms"),
        (1.5, "1.50 s"),
        (9.996e-4, "1,000 µs"),
        (120, "120 s"),
    ],
)
def test_a_time_has_three_digits_in_the_unit_that_suits_it(seconds, text):
    assert tables.duration(seconds) == text
