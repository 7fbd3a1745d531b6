"""The page of goals says of each whether it is reached, and why not."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

import pytest

pytest.importorskip("sphinx", reason="the docs extra is not installed")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "docs"))

from _ext import benches as bench_page
from goal_outcomes import Sources
from speed_goals import GOALS
from sphinx.errors import ExtensionError

from tests.site_pages import words
from tests.stored_benches import bench, results, training


@pytest.fixture
def shown(build_page):
    """Build a site of one page; return what a reader reads."""
    return lambda page: words(build_page(f"# Page\n\n{page}", "_ext.goals"))


def test_ceilings_stand_beside_the_product_or_are_said_to_lack(shown, store_benches):
    known = {"network": "net", "precision": "bfloat16", "order": "channels last"}
    gemm = bench("gemm, bfloat16, cpu", 1.0, precision="bfloat16", gflops=2000.0)
    store_benches(results(bench("layer, net, cpu", 1.0, gflops=1234.0, **known), gemm))
    page = shown("```{goal-ceilings}\n```\n")
    assert "matrix product net" in page
    assert "bfloat16, contiguous 2,000 – bfloat16, channels last 2,000 1,234" in page


def test_a_run_without_ceilings_says_so(shown, store_benches):
    store_benches(results(*training("3-filters")))
    page = shown("```{goal-ceilings}\n```\n")
    assert "The rates of convolutions alone are not in the stored run." in page


def test_every_chapter_of_goals_stands_on_their_page():
    page = (Path(bench_page.__file__).resolve().parents[1] / "goals.md").read_text("utf-8")
    assert re.findall(r"^```\{goals\} (.+)$", page, flags=re.MULTILINE) == list(GOALS)


def test_goals_are_shown_reached_not_reached_and_not_run(shown, store_benches):
    gemm = bench("gemm, float32, cpu", 1.0, precision="bfloat16", gflops=80.0, library="PyTorch")
    ladder = training("3-filters", ["tutorial loop", "a", "+ bfloat16"])
    store_benches(results(*ladder, *training("tp1-cnn", ["tutorial loop", "+ bfloat16"]), gemm))
    page = shown("```{goals} training\n```\n")
    assert "3-filters 2.69× 3.00× reached 20-filters" in page
    assert "tp1-cnn 5× 2.00× not reached The goal needs 250 GFLOP/s" in page
    assert "tp1-cnn, its backward pass by hand 6.4× 2.00× not reached" in page
    assert "training to 80.26 % on CIFAR-10 1 s – not run yet It needs a GPU." in page
    assert "mnist-2017 3.6× – not run yet It is not in" in page


def test_why_a_goal_is_not_reached_has_a_row_of_its_own_as_wide_as_the_table():
    goals = importlib.import_module("_ext.goals")
    unmeasured = Sources(results(), {}, lambda _: 1.0)
    figures, (why,) = goals._rows(GOALS["benches"][0], unmeasured)
    assert len(figures) == why["morecols"] + 1 == len(goals._HEAD)
    assert why.astext() == "It is not in the stored run."
    reached = results() | {"scale": "default", "whole": True, "seconds": 1.0}
    reached["machine_info"]["cpus"] = 2
    (only,) = goals._rows(GOALS["benches"][0], Sources(reached, {}, lambda _: 1.0))
    assert only[:3] == ["a default run on two cores", "4 minutes", "0.0 minutes"]


def test_unknown_goals_fail_the_build(shown, store_benches):
    store_benches(results(*training("3-filters")))
    with pytest.raises(ExtensionError, match="no goals of 'weather'; known: training"):
        shown("```{goals} weather\n```\n")
