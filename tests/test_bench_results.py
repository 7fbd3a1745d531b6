"""Results of benches are refused where they are none or stale, and tell their conditions."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("sphinx", reason="the docs extra is not installed")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "docs"))

import bench_results

from tests.stored_benches import CONVOLUTION, RUNGS, bench, results, training


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"benchmarks": []}', '{"benchmarks": [1]}'])
def test_a_file_that_holds_no_results_is_refused(tmp_path, text):
    path = tmp_path / "bench.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="does not hold the results of a bench run"):
        bench_results.load(path)


def test_questions_are_told_apart_by_the_first_word_of_a_group():
    found = results(*training("a"), *CONVOLUTION, bench("training speed, x", 1.0))
    assert len(bench_results.of(found, "training")) == len(RUNGS)
    assert bench_results.of(found, "convolution") == CONVOLUTION
    assert bench_results.of(found, "gemm") == []


def test_results_that_lack_a_fact_are_stale():
    with pytest.raises(ValueError, match="of training lack the fact 'weather': they are stale"):
        bench_results.of(results(*training("a")), "training", ["rung", "weather"])


def test_a_run_says_how_long_it_took_and_what_else_the_machine_had_to_do():
    made = {"datetime": "2026-11-30T04:00:00", "machine_info": {}}
    assert bench_results.run_described(made) == "The run that is shown below is of 2026-11-30."
    made |= {"seconds": 239.6, "machine_info": {"load": 2.63, "cpus": 2}}
    assert bench_results.run_described(made) == (
        "The run that is shown below is of 2026-11-30 and took 240 s. When it began, 2.6 other "
        "programs, on average, ran on the 2 cores or waited for one."
    )


def test_conditions_name_machine_and_versions():
    one = bench("x, y", 1.0, threads=1)
    assert bench_results.conditions(results(one), [one]) == (
        "a processor, 1 thread; Python 3.11, PyTorch 2.9, NumPy 2.0, SciPy 1.17; 2026-01-02"
    )


def test_gains_are_paired_round_by_round():
    first, second = bench("x", 1.0, images=1000), bench("x", 0.5, images=1000)
    second["stats"]["data"][0] *= 2  # a stall in one of its rounds
    assert bench_results.gains(second, first) == pytest.approx([1, 2, 2])
    second["extra_info"]["images"] = 4000
    assert bench_results.gains(second, first) == pytest.approx([4, 8, 8])
