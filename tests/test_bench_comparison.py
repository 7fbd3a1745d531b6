"""The comparison of bench runs on trial: it finds what got slower, and not what only looks so."""

from __future__ import annotations

import importlib
import itertools
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

ROOT = Path(__file__).resolve().parents[1]

comparison = importlib.import_module("benches.comparison")
controls = importlib.import_module("benches.controls")
rank_test = importlib.import_module("benches.rank_test")
rounds = importlib.import_module("benches.rounds")

MARGIN = 0.1


def bench(name, times, **facts):
    known = {"threads": 2, "python": "3.11", "torch": "2.9", "numpy": "2.0", "scipy": "1.17"}
    return {
        "name": name,
        "group": "x",
        "fullname": f"benches/bench_x.py::{name}",
        "extra_info": {**known, "bytes": 8, **facts},
        "stats": {"median": float(np.median(times)), "data": list(times)},
    }


def results(*benches, **machine):
    info = {"machine": "x86_64", "processor": "a processor", "cpus": 2, "python_version": "3.11"}
    return {
        "machine_info": info | machine,
        "commit_info": {"id": "1", "dirty": False},
        "benchmarks": list(benches),
    }


def noisy(seed, center=1.0, count=8):
    """Make up times as machines take them: a floor, a spread of 3 %, and now and then a stall."""
    rng = np.random.default_rng(seed)
    times = center * (1 + 0.03 * rng.gamma(2.0, size=count))
    stalled = rng.random(count) < 0.1
    return np.where(stalled, 3 * times, times)


def many(seed, slow=(), count=40, rounds=8):
    """Make up a run of so many benches, those named by number half as slow again."""
    return results(
        *(
            bench(f"test_{i}", noisy((seed, i), 1.5 if i in slow else 1.0, rounds))
            for i in range(count)
        )
    )


def verdicts(old, new):
    found = comparison.compare(old, new, MARGIN)
    return [change.verdict for change in found.changes]


# The rank test


@pytest.mark.parametrize(("n", "m"), [(1, 1), (3, 3), (4, 2), (5, 6)])
def test_p_value_is_that_of_scipy_without_ties(n, m):
    rng = np.random.default_rng((n, m))
    for shift in (-1, 0, 1):
        sample, other = rng.normal(size=n) + shift, rng.normal(size=m)
        expected = stats.mannwhitneyu(sample, other, alternative="greater", method="exact").pvalue
        # counts below 2^53 are exact; one division, and scipy's own
        assert rank_test.p_value(sample, other) == pytest.approx(expected, rel=1e-14)


def test_p_value_with_ties_counts_every_choice():
    sample, other = [2, 2, 3, 5], [1, 2, 2, 3, 3]
    ranks = stats.rankdata(sample + other)
    sums = [sum(chosen) for chosen in itertools.combinations(ranks, len(sample))]
    as_large = sum(total >= sum(ranks[: len(sample)]) for total in sums)
    assert rank_test.p_value(sample, other) == as_large / len(sums)


@pytest.mark.parametrize("kept", [1, 8, 32])
def test_smallest_p_value_is_that_of_separate_samples(kept):
    low, high = range(kept), range(kept, 2 * kept)
    assert rank_test.p_value(high, low) == pytest.approx(rank_test.smallest_p_value(kept, kept))
    assert rank_test.p_value(low, high) == 1


def test_holm_adjusts_step_by_step():
    assert rank_test.holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert rank_test.holm([0.9, 0.8]) == [1, 1]
    assert rank_test.holm([]) == []


def test_tests_that_cannot_reject_do_not_count():
    hopeless = [1.0] * 100
    assert rank_test.tellable([0.02, 0.02, *hopeless], 0.05) == [True, True, *[False] * 100]
    assert rank_test.tellable([0.02] * 3, 0.05) == [False] * 3  # 0.05 / 3 is out of reach
    assert rank_test.tellable([], 0.05) == []


def test_kept_times_are_spread_evenly_and_short():
    assert rounds.kept([1 / 3, 2 / 3]) == [0.3333, 0.6667]
    many_times = rounds.kept([float(i) for i in range(1000)])
    assert len(many_times) == rounds.KEPT
    assert (many_times[0], many_times[-1]) == (0, 999)
    assert set(np.diff(many_times)) <= {32, 33}
    assert rounds.kept(many_times) == many_times


# Comparison


def test_benches_half_as_slow_again_are_found_and_no_others():
    found = verdicts(many(1), many(2, slow={3, 17}))
    assert [i for i, verdict in enumerate(found) if verdict == "slower"] == [3, 17]
    assert set(found) == {"slower", "no change seen"}
    back = verdicts(many(2, slow={3, 17}), many(1))
    assert [i for i, verdict in enumerate(back) if verdict == "faster"] == [3, 17]


def test_noise_is_no_change():
    # 25 pairs of runs. At a level of 5 % at most that share gives a false alarm: more than 6 would
    # come with a probability below 0.1 % (binomial). The margin makes it far smaller still.
    pairs = [(many(2 * i), many(2 * i + 1)) for i in range(25)]
    assert sum(set(verdicts(*pair)) != {"no change seen"} for pair in pairs) <= 6


def test_a_change_within_the_margin_is_none():
    times = np.linspace(1, 1.01, 32)
    old = results(bench("a", times))
    assert verdicts(old, results(bench("a", times * 1.08))) == ["no change seen"]
    assert verdicts(old, results(bench("a", times * 1.12))) == ["slower"]
    assert verdicts(old, results(bench("a", times / 1.12))) == ["faster"]


@pytest.mark.parametrize("count", [1, 3])
def test_few_rounds_cannot_tell_however_slow(count):
    old = results(bench("a", [1.0] * count), bench("b", noisy(0)))
    new = results(bench("a", [9.0] * count), bench("b", noisy(1)))
    assert verdicts(old, new) == ["cannot tell", "no change seen"]


def test_another_amount_of_work_cannot_be_told():
    old = results(bench("a", noisy(0), images=64), bench("b", noisy(0)))
    new = results(bench("a", noisy(0, 9.0), images=512), bench("b", noisy(0)))
    assert verdicts(old, new) == ["cannot tell", "no change seen"]


def test_what_only_one_run_has_and_what_changed_beside_is_said():
    gone = [f"gone-{number}" for number in range(9)]  # in their order, in every process
    old = results(bench("a", noisy(0)), *(bench(name, noisy(1)) for name in gone))
    new = results(bench("a", noisy(2), torch="2.13"), bench("added", noisy(3)))
    new["commit_info"]["dirty"] = True
    found = comparison.compare(old, new, MARGIN)
    assert [change.name for change in found.changes] == ["benches/bench_x.py::a"]
    assert found.only_old == tuple(f"benches/bench_x.py::{name}" for name in gone)
    assert found.only_new == ("benches/bench_x.py::added",)
    assert found.notes == (
        "torch 2.9 became 2.13",
        "the new run measured a source with changes that were not committed",
    )


@pytest.mark.parametrize(
    ("new", "message"),
    [
        (results(bench("a", [1.0]), processor="another"), "processor: a processor and another"),
        (results(bench("a", [1.0]), cpus=64), "two machines cannot be compared"),
        (results(bench("a", [1.0], threads=1)), "a ran on 2 threads, then on 1"),
        (results(bench("a", [1.0], hardware="a GPU")), "a ran on None, then on a GPU"),
        (results(bench("b", [1.0])), "share no bench"),
    ],
)
def test_runs_that_are_not_comparable_are_refused(new, message):
    with pytest.raises(comparison.BadResultsError, match=message):
        comparison.compare(results(bench("a", [1.0])), new, MARGIN)


def test_two_models_of_one_name_are_two_machines_and_an_unknown_one_is_said():
    old, new = (results(bench("a", [1.0]), model=model) for model in ("23-49-0", "26-2-1"))
    with pytest.raises(comparison.BadResultsError, match="model: 23-49-0 and 26-2-1"):
        comparison.compare(old, new, MARGIN)
    found = comparison.compare(results(bench("a", [1.0])), new, MARGIN)
    assert found.notes == ("the old run does not say what the machine’s model was",)


def test_a_machine_that_was_busy_is_compared_and_named():
    old, new = (results(bench("a", noisy(0)), load=load) for load in (0.1, 1.7))
    found = comparison.compare(old, new, MARGIN)
    assert found.notes == ("the machine had other work when the new run began: a load of 1.7",)


# Controls


def field(slowdown=1.0, ours=1.0, version="1.17", seed=0):
    """Make up a run of one group: a method of ours and two peers that took turns with it.

    Every round has a moment of its own, up to twice as slow as another.
    """
    rng = np.random.default_rng(seed)
    moment = slowdown * rng.uniform(1, 2, size=12)
    peer = {"library": "SciPy", "library_version": version}
    return results(
        bench("ours", moment * ours * rng.uniform(1, 1.02, size=12), library="theory"),
        bench("a", 3 * moment * rng.uniform(1, 1.02, size=12), **peer),
        bench("b", 7 * moment * rng.uniform(1, 1.02, size=12), **peer),
    )


def test_a_machine_twice_as_slow_changes_the_peers_and_not_what_is_beside_them():
    found = comparison.compare(field(), field(3.0, seed=1), MARGIN)
    assert [change.verdict for change in found.controls] == ["slower", "slower"]
    (own,) = found.own
    assert own.verdict == "no change seen"
    assert own.ratio > 2
    assert own.peers == pytest.approx(own.ratio, rel=0.05)


def test_what_got_slower_beside_its_peers_is_found_on_a_faster_machine():
    found = comparison.compare(field(), field(0.5, ours=1.5, seed=1), MARGIN)
    assert [change.verdict for change in found.own] == ["slower"]
    assert found.own[0].ratio < 1


def test_peers_of_another_version_or_group_are_no_controls():
    found = comparison.compare(field(), field(3.0, version="1.18", seed=1), MARGIN)
    assert not found.controls
    assert {change.peers for change in found.own} == {None}
    old, new = field(), field(3.0, seed=1)
    for run in (old, new):
        run["benchmarks"][0]["group"] = "alone"
    found = comparison.compare(old, new, MARGIN)
    assert (len(found.controls), found.own[0].peers, found.own[0].verdict) == (2, None, "slower")


def test_peers_that_took_no_turns_do_not_judge():
    """Red where a peer's slow moment, which was none of ours, becomes our slowdown."""
    old, new = field(), field(seed=1)
    for run in (old, new):
        for each in run["benchmarks"]:
            each["group"] = "audit, depth 8, 32 x 32"
    for peer in old["benchmarks"][1:]:
        peer["stats"] = {name: np.multiply(1.6, each) for name, each in peer["stats"].items()}
    (own,) = comparison.compare(old, new, MARGIN).own
    assert (own.verdict, own.peers) == ("no change seen", None)


def test_the_questions_without_turns_are_those_of_benches_without_a_clock():
    stored = json.loads((ROOT / "docs" / "results" / "bench.json").read_text())
    found = set()
    for each in stored["benchmarks"]:
        source = (ROOT / each["fullname"].partition("::")[0]).read_text()
        if "Replay()" not in source:
            found.add(each["group"].partition(",")[0])
    assert found == {*controls.ONE_BY_ONE}


# Command line


@pytest.fixture
def command(monkeypatch, capsys):
    """Run ``python -m benches compare ARGUMENTS`` in this process: exit code, stdout, stderr."""
    main = importlib.import_module("benches.__main__").main

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["benches", "compare", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        return int(stop.value.code or 0), *capsys.readouterr()

    return run


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return write


def test_command_names_what_got_slower_and_fails(command, write):
    code, out, _ = command(write("old.json", many(1)), write("new.json", many(2, slow={3})))
    assert code == 1
    (row,) = [line for line in out.splitlines() if line.rstrip().endswith("slower")]
    assert row.split()[0] == "3"
    assert (
        "40 benches of the project's own: 1 slower, 0 faster, 39 no change seen, 0 cannot tell"
        in out
    )
    assert max(map(len, out.splitlines())) <= 100


def test_command_gives_the_same_as_json(command, write):
    paths = write("old.json", many(1)), write("new.json", many(2, slow={3}))
    code, out, _ = command(*paths, "--json")
    found = json.loads(out)
    (slower,) = [change for change in found["changes"] if change["verdict"] == "slower"]
    assert code == 1
    assert slower["name"] == "benches/bench_x.py::test_3"
    assert slower["ratio"] == pytest.approx(1.5, rel=0.1)
    assert 0 < slower["p"] <= comparison.SIGNIFICANCE
    assert 0.9 < found["ratio"] < 1.1


def test_command_succeeds_where_nothing_got_slower(command, write):
    old, new = write("old.json", many(1)), write("new.json", many(2, slow={3}))
    code, out, _ = command(new, old)
    assert code == 0
    assert "1 faster" in out
    code, out, _ = command(old, new, "--margin", 1)
    assert code == 0
    assert "more than 100%" in out


@pytest.mark.parametrize("margin", [-0.1, "nan", "inf"])
def test_command_wants_a_finite_margin(command, write, margin):
    path = write("old.json", many(1))
    code, out, err = command(path, path, f"--margin={margin}")
    assert (code, out) == (2, "")
    assert err == f"error: the margin is {margin}: give a finite one, as 0.1 for 10 %\n"


def test_command_says_that_the_machine_differed_and_does_not_fail_for_its_peers(command, write):
    code, out, _ = command(write("old.json", field()), write("new.json", field(3.0, seed=1)))
    assert code == 0
    said = " ".join(out.split())
    assert "1 benches of the project's own: 0 slower" in said
    assert "median ratio of all 3: 2.8" in said
    assert "2 third-party peers of unchanged versions: 2 slower, 0 faster; 1 of the" in said
    assert "warning: nothing here changed those peers, so the machine differed" in said


def test_command_names_what_it_cannot_tell_with_its_ratio(command, write):
    old = results(bench("few", [1.0] * 3), bench("same", [1.0] * 3), bench("b", noisy(0), images=1))
    new = results(bench("few", [9.0] * 3), bench("same", [1.0] * 3), bench("b", noisy(0), images=2))
    code, out, _ = command(write("old.json", old), write("new.json", new))
    assert code == 0
    rows = {line.split()[0]: " ".join(line.split()) for line in out.splitlines() if line.strip()}
    assert rows["few"].startswith("few 1 9 9.00 – – cannot tell: too few rounds")
    assert "– – – cannot tell: another" in rows["b"]
    assert "same" not in rows


def test_command_runs_as_a_module(write):
    same = write("same.json", many(1, count=1))
    run = [sys.executable, "-m", "benches", "compare", same, same]
    assert subprocess.run(run, cwd=ROOT, capture_output=True, check=False).returncode == 0


def test_command_prints_where_dashes_are_unknown(write):
    """Red where it ends in UnicodeEncodeError, whose exit code would say that something is slower.

    A dash stands for what cannot be told.
    """
    old = write("old.json", results(bench("few", [1.0] * 3)))
    new = write("new.json", results(bench("few", [9.0] * 3)))
    done = subprocess.run(
        [sys.executable, "-m", "benches", "compare", old, new],
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert "| few | 1 | 9 | 9.00 | ? | ? |" in " ".join(done.stdout.decode("ascii").split())


WITHOUT_TIMES = results(bench("a", [1.0]))
del WITHOUT_TIMES["benchmarks"][0]["stats"]["data"]
WITHOUT_MEDIAN = results(bench("a", [1.0]))
del WITHOUT_MEDIAN["benchmarks"][0]["stats"]["median"]
NO_TIME = results(bench("a", [1.0]))
NO_TIME["benchmarks"][0]["stats"]["median"] = 0.0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is not JSON"),
        ("[]", "does not hold the single times of a bench run"),
        (WITHOUT_TIMES, "does not hold the single times of a bench run"),
        (results(), "holds no bench"),
        (WITHOUT_MEDIAN, "does not hold the single times of a bench run"),
        (NO_TIME, "holds no finite times above 0 of benches/bench_x.py::a; write"),
        *(
            (
                results(bench("a", [1.0, wrong])),
                "holds no finite times above 0 of benches/bench_x.py::a; write",
            )
            for wrong in (0.0, -1.0, math.nan, math.inf)
        ),
        (results(bench("a", [1.0]), cpus=64), "two machines cannot be compared"),
        (None, "new.json cannot be read (No such file or directory)"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(command, write, tmp_path, content, message):
    old = write("old.json", results(bench("a", [1.0])))
    new = tmp_path / "new.json" if content is None else write("new.json", content)
    code, out, err = command(old, new)
    assert code == 2
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith("error: ")
    assert message in line
