"""What is carried out in layouts is the same runs, each in its own."""

from __future__ import annotations

from dataclasses import replace

import pytest

from experiments import sweep
from experiments.executors import make_executor
from experiments.layout import Layout, carry_out, choice
from experiments.records import RecordError
from tests.toy_layouts import FC, GAP, planned


def test_records_are_those_of_the_same_run_by_hand(tmp_path):
    short = [replace(recipe, epochs=1) for recipe in (FC, GAP)]
    runs = planned(tmp_path, *short, seeds=3)
    layouts = {"conv-fc": Layout(1, 1, 2), "conv-gap": Layout(1, 2)}
    carry_out({run: layouts[run.recipe.network] for run in runs})
    by_hand = planned(tmp_path / "by hand", *short, seeds=3)
    for network, (threads, fleet) in {"conv-fc": (1, 2), "conv-gap": (2, None)}.items():
        alike = [replace(run, threads=threads) for run in by_hand if run.recipe.network == network]
        sweep.sweep(alike, make_executor("serial"), fleet)
    for run, same in zip(runs, by_hand, strict=True):
        record, other = (each.store.read(each.record_path) for each in (run, same))
        assert record == other
        for what in ("threads", "fleet"):
            assert record.provenance.get(what) == other.provenance.get(what)


def test_runs_of_one_layout_go_together(tmp_path, monkeypatch):
    """Each layout has one executor, and each run the threads of its layout."""
    made, swept = [], []
    monkeypatch.setattr(
        choice, "make_executor", lambda *given: made.append(given) or make_executor("serial")
    )
    monkeypatch.setattr(
        choice, "attempt", lambda runs, _, n, __: swept.append(([r.threads for r in runs], n))
    )
    runs = planned(tmp_path, FC, GAP, seeds=2)
    layouts = [Layout(2, 1, 4), Layout(1, 2), Layout(2, 1, 4), Layout(2, 1)]
    carry_out(dict(zip(runs, layouts, strict=True)))
    assert made == [("processes", 2), ("serial", None), ("processes", 2)]
    assert swept == [([1, 1], 4), ([2], 1), ([1], 1)]


def test_one_layouts_failure_does_not_stop_the_others(tmp_path):
    runs = planned(tmp_path, replace(FC, epochs=1), replace(GAP, epochs=1))
    runs[0].record_path.mkdir(parents=True)  # a folder where the record belongs
    with pytest.raises(RecordError, match="cannot write") as refused:
        carry_out({runs[0]: Layout(1, 2), runs[1]: Layout(1, 1)})
    assert refused.value.__notes__ == [f"in {FC.name}, seed 0"]
    assert runs[1].record_path.is_file()
