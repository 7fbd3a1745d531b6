"""Layouts: what is chosen of measured rates, what is kept of them, and that runs are the same.

Rates are made up here, but for a few that are measured in earnest, so that what is chosen does not
depend on the machine.
"""

from __future__ import annotations

import json
import shutil
import threading
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from types import SimpleNamespace

import pooch
import pytest
import torch
from torch import nn

from experiments import datasets, executors, sweep
from experiments import layout as layouts
from experiments.errors import SweepError
from experiments.executors import make_executor
from experiments.fleet import architecture, networks
from experiments.layout import (
    Kept,
    Layout,
    cache,
    candidates,
    carry_out,
    choice,
    choose,
    layouts_file,
    rates,
    schedule,
    timing,
    timing_rounds,
)
from experiments.layout.cache import PLACE
from experiments.layout.rates import fleet_holds
from experiments.recipe import Optimizer, Recipe
from experiments.records import RecordError, Store
from experiments.study import Study
from experiments.sweep import plan

LONG = 1000
"""Epochs that no start of a process weighs against."""

FC = Recipe("conv-fc.adam", "conv-fc", "digits", Optimizer("adam", 0.003), LONG, filters=2)
GAP = replace(FC, name="conv-gap.adam", network="conv-gap")
TABLE = {"1x2x1": 1e4, "1x2x2": 9e3, "2x1x1": 1.31e4, "2x1x2": 2e4, "2x1x4": 2.6e4}


@pytest.fixture(autouse=True)
def file(monkeypatch, tmp_path):
    """Return where rates are kept, in a new folder."""
    path = tmp_path / "cache" / "layouts.json"
    monkeypatch.setenv(PLACE, str(path))
    return path


def _runs(root, *recipes, seeds=1):
    study = Study("test", "A test", recipes, statements=(), completions={"adam": "Adam"})
    return plan(study, range(seeds), Store(root / "store"))


class Bench:
    """Returns made-up rates, and remembers what it was asked for and what was said."""

    def __init__(self, rates):
        self._rates = rates
        self.asked: list[str] = []
        self.said: list[str] = []

    def measure(self, recipe, layout):
        """Return a rate, and remember that it was asked for."""
        self.asked.append(str(layout))
        rates = self._rates
        return rates(recipe, layout) if callable(rates) else rates[str(layout)]

    def choose(self, runs, cores=2):
        """Return the layouts of the runs, by name, in their order."""
        kept = Kept(cores, self.said.append)
        return [
            str(each) for each in choose(runs, cores, kept, self.measure, self.said.append).values()
        ]


# What is chosen


@pytest.mark.parametrize(
    ("missing", "expected"),
    [(8, "2x1x4"), (4, "2x1x2"), (3, "1x2x1"), (2, "2x1x1"), (1, "1x2x1")],
)
def test_what_finishes_the_missing_runs_soonest_is_chosen(tmp_path, missing, expected):
    """Three runs take two rounds of two processes, which 1.31 times the speed does not make up."""
    bench = Bench({"1x1x1": 7e3} | TABLE)
    assert set(bench.choose(_runs(tmp_path, FC, seeds=missing))) == {expected}


@pytest.mark.parametrize("missing", [1, 2, 3, 7, 8, 100])
@pytest.mark.parametrize("cores", [1, 2, 6, 8])
def test_no_layout_needs_more_cores_or_runs_than_there_are(tmp_path, cores, missing):
    """Red where a limit is forgotten: here more of everything is faster."""
    bench = Bench(lambda _, layout: 1e3 * layout.workers * layout.threads * layout.fleet**2)
    bench.choose(_runs(tmp_path, FC, seeds=missing), cores)
    asked = [tuple(map(int, name.split("x"))) for name in bench.asked]
    assert all(workers * threads <= cores for workers, threads, _ in asked)
    assert all(workers * size <= missing for workers, _, size in asked)
    assert len(set(asked)) == len(asked)
    powers = {1, 2, 4, 8, cores}
    assert {threads for _, threads, _ in asked} == {each for each in powers if each <= cores}
    assert max(size for *_, size in asked) == max(k for k in (1, 2, 4, 8) if k <= missing)


def test_a_smaller_fleet_in_the_end_takes_its_time_too(tmp_path):
    """Five runs are fleets of 2, 2 and 1 in two processes: 4 / 1.4 + 2 / 1.31 > 5 / 1.18."""
    bench = Bench(TABLE | {"1x2x1": 1.18e4, "2x1x2": 1.4e4})
    assert set(bench.choose(_runs(tmp_path, FC, seeds=5))) == {"1x2x1"}


def test_no_fleet_is_larger_than_its_architecture_has_runs(tmp_path):
    bench = Bench(lambda _, layout: 1e4 * layout.fleet)
    bench.choose(_runs(tmp_path, FC, GAP, seeds=2), cores=1)
    assert bench.asked == ["1x1x1", "1x1x2"] * 2


@pytest.mark.parametrize(("gain", "size"), [(1.04, 1), (1.06, 8)])
def test_a_larger_fleet_has_to_gain_enough(tmp_path, gain, size):
    bench = Bench(lambda _, layout: 1e3 * gain ** (layout.fleet.bit_length() - 1))
    assert bench.choose(_runs(tmp_path, FC, seeds=8), cores=1) == [f"1x1x{size}"] * 8


def test_a_fleet_of_slow_networks_is_not_measured(tmp_path):
    bench = Bench(lambda recipe, _: recipe.batch / 0.6)
    bench.choose(_runs(tmp_path, FC, seeds=8))
    assert bench.asked == ["1x2x1", "2x1x1"]


def test_a_network_that_no_fleet_holds_is_measured_alone(tmp_path, monkeypatch):
    recipe, data = architecture(FC), datasets.load("digits")
    assert fleet_holds(recipe, data)
    monkeypatch.delitem(networks._FUSED, nn.Linear)
    assert not fleet_holds(recipe, data)
    bench = Bench(TABLE)
    bench.choose(_runs(tmp_path, FC, seeds=8))
    assert bench.asked == ["1x2x1", "2x1x1"]


@pytest.mark.parametrize(("epochs", "expected"), [(1, "1x2x1"), (LONG, "2x1x1")])
def test_short_runs_do_not_wait_for_processes(tmp_path, epochs, expected):
    bench = Bench(lambda _, layout: 1e4 * layout.workers / layout.fleet)
    assert bench.choose(_runs(tmp_path, replace(FC, epochs=epochs), seeds=2)) == [expected] * 2


def test_single_runs_of_several_networks_fill_the_processes_together(tmp_path):
    """Red where each architecture is looked at by itself."""
    assert Bench(TABLE).choose(_runs(tmp_path, FC, GAP)) == ["2x1x1"] * 2


def test_one_network_changes_its_layout_where_that_saves_time_for_all(tmp_path):
    """Neither one layout for all nor the fastest for each is best.

    Both fast in 2x1x1, but the long run alone would leave one process idle: on all cores it is
    done sooner, and the short ones share the processes.
    """
    long = replace(GAP, epochs=LONG)
    short = replace(FC, epochs=LONG)

    def rate(recipe, layout):
        return 1.31e4 if layout.workers == 2 else 1e4 if layout.threads == 2 else 7e3

    runs = [*_runs(tmp_path, short, seeds=4), *_runs(tmp_path, long, seeds=1)]
    assert Bench(rate).choose(runs) == ["2x1x1"] * 4 + ["1x2x1"]


@pytest.mark.parametrize(
    ("changes", "images"),
    [
        ({}, 3 * 1347),
        ({"examples": 100}, 3 * 100),
        ({"validation": 37}, 3 * 1310),
        ({"steps": 7, "batch": 10}, 3 * 70),
    ],
    ids=str,
)
def test_a_run_sees_so_many_images(changes, images):
    recipe = replace(FC, epochs=3, **changes)
    assert choice._images_seen(recipe, datasets.load("digits")) == images


def test_each_network_has_its_own_layout(tmp_path):
    def rate(recipe, layout):
        best = Layout(1, 2) if recipe.network == "conv-gap" else Layout(2, 1, 4)
        return 1e4 if layout == best else 1e3 * layout.fleet

    assert Bench(rate).choose(_runs(tmp_path, FC, GAP, seeds=8)) == ["2x1x4", "1x2x1"] * 8


def test_recipes_of_one_architecture_are_measured_once(tmp_path):
    faster = replace(FC, name="conv-fc-fast.adam", optimizer=Optimizer("adam", 0.01))
    bench = Bench(TABLE)
    assert bench.choose(_runs(tmp_path, FC, faster, seeds=2)) == ["2x1x2"] * 4
    assert len(set(bench.asked)) == len(bench.asked)
    assert bench.said == [
        "conv-fc.adam and 1 more: 2 processes of 1 thread with fleets of 2, "
        "2.00 times one run on all cores (20,000 images/s)"
    ]


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        (2, "2 processes of 1 thread, 1.31 times one run on all cores (13,100 images/s)"),
        (3, "one run on all cores (10,000 images/s)"),
    ],
)
def test_what_was_chosen_is_said(tmp_path, missing, said):
    bench = Bench(TABLE)
    bench.choose(_runs(tmp_path, FC, seeds=missing))
    assert bench.said == [f"conv-fc.adam: {said}"]


# What is kept


def test_what_was_measured_is_not_measured_again(tmp_path):
    runs = _runs(tmp_path, FC, GAP, seeds=4)
    first, again = Bench(TABLE), Bench({})
    chosen = first.choose(runs)
    assert again.choose(runs) == chosen
    assert again.said == first.said
    assert set(Bench({}).choose(_runs(tmp_path, FC, seeds=3))) == {"1x2x1"}


def test_more_missing_runs_than_were_measured_for_are_measured_anew(tmp_path):
    Bench({"1x1x1": 7e3} | TABLE).choose(_runs(tmp_path, FC))
    bench = Bench(TABLE)
    assert set(bench.choose(_runs(tmp_path, FC, seeds=8))) == {"2x1x4"}
    assert bench.asked == ["1x2x1", "1x2x2", "2x1x1", "2x1x2", "2x1x4"]
    assert Bench({}).choose(_runs(tmp_path, FC)) == ["1x2x1"]


@pytest.mark.parametrize(
    "stale", ["torch", "engine", "processor", "model", "cores", "architecture"]
)
def test_rates_of_something_else_count_for_nothing(tmp_path, monkeypatch, stale):
    Bench(lambda *_: 1e4).choose(_runs(tmp_path, FC))
    cores, recipe = 2, FC
    match stale:
        case "torch":
            monkeypatch.setattr(cache.torch, "__version__", "0.1")
        case "processor":
            monkeypatch.setattr(cache, "processor", lambda: "an abacus")
        case "model":
            monkeypatch.setattr(cache, "model", lambda: "of another year")
        case "engine":
            monkeypatch.setattr(cache, "ENGINE_VERSION", 0)
        case "cores":
            cores = 1
        case "architecture":
            recipe = replace(FC, batch=64)
    bench = Bench(lambda *_: 1e4)
    bench.choose(_runs(tmp_path, recipe), cores)
    assert bench.asked == ["1x2x1", "1x1x1"][2 - cores :]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"{", "it is not JSON"),
        (b"\xff", "it is not JSON"),
        (b"[" * 100_000, "it is not JSON"),
        (b"[]", "it does not hold rates"),
        (b'{"a machine": {"a digest": 1.0}}', "it does not hold rates"),
        (b'{"a machine": {"a digest": {"1x2x1": "fast"}}}', "it holds 'fast', expected images"),
        (b'{"a machine": {"a digest": {"1x2x1": 0.0}}}', "it holds 0.0, expected images"),
        (b'{"a machine": {"a digest": {"1x2x1": NaN}}}', "it holds nan, expected images"),
    ],
    ids=lambda given: str(given)[:40],
)
def test_a_damaged_file_is_said_and_replaced(tmp_path, file, content, why):
    file.parent.mkdir()
    file.write_bytes(content)
    runs, bench = _runs(tmp_path, FC, seeds=2), Bench(TABLE)
    assert bench.choose(runs) == ["2x1x1"] * 2
    assert len(bench.said) == 2
    assert bench.said[0].startswith(f"{file} cannot be used ({why}")
    assert bench.said[0].endswith("; layouts are measured anew")
    assert Bench({}).choose(runs) == ["2x1x1"] * 2


def test_a_file_that_cannot_be_written_is_said_once(tmp_path, file, monkeypatch):
    def full(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache, "write_whole", full)
    bench = Bench(TABLE)
    assert bench.choose(_runs(tmp_path, FC, GAP, seeds=2)) == ["2x1x2"] * 4
    assert len(bench.said) == 3
    assert bench.said[0] == (
        f"cannot keep layouts in {file} (No space left on device); "
        "the next command will measure them again"
    )


def test_two_commands_keep_their_rates_in_one_file(tmp_path, file):
    one, other = Kept(2, pytest.fail), Kept(2, pytest.fail)
    one.keep(FC, {"1x2x1": 1.0})
    other.keep(GAP, {"1x2x1": 2.0})
    (rates,) = json.loads(file.read_text()).values()
    assert rates == {FC.digest: {"1x2x1": 1.0}, GAP.digest: {"1x2x1": 2.0}}


def test_rates_are_kept_in_the_users_cache(tmp_path, monkeypatch):
    monkeypatch.delenv(PLACE)
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / name)
    assert layouts_file() == tmp_path / "convlaws" / "layouts.json"


# How it is measured


def test_processes_begin_a_round_together(tmp_path, monkeypatch):
    monkeypatch.setattr(rates.os, "getpid", threading.get_ident)  # threads stand for them
    passed = []

    def come():
        rates._meet(tmp_path, "0-", 2)
        passed.append(True)

    first, second = threading.Thread(target=come), threading.Thread(target=come)
    first.start()
    first.join(0.1)
    assert not passed
    second.start()
    for each in (first, second):
        each.join(60)
    assert passed == [True, True]


def test_who_waits_for_a_process_that_has_failed_gives_up(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (failed := threading.Timer(0.05, shutil.rmtree, [folder])).start()
    with pytest.raises(FileNotFoundError):
        rates._meet(folder, "0-", 2)
    failed.join()


def test_every_round_begins_together_once_the_network_is_warm(tmp_path, monkeypatch):
    did = []
    monkeypatch.setattr(rates, "_meet", lambda _, place, workers: did.append(place))
    monkeypatch.setattr(rates, "_images_a_second", lambda *_: did.append("train"))
    recipe = architecture(FC)
    rates._rounds(recipe, (1, 8, 8), 10, Layout(2, 1), 1, 0.1, tmp_path)
    assert did == ["train", "0-", "train", "1-", "train", "2-", "train"]


def _data_of(recipe):
    return datasets.load(recipe.dataset)


def test_the_processes_count_together_in_their_best_round(monkeypatch):
    shares = iter([[1.0, 5.0, 2.0], [2.0, 3.0, 2.0]])
    monkeypatch.setattr(rates, "make_executor", lambda *_: make_executor("serial"))
    monkeypatch.setattr(rates, "_rounds", lambda *_: next(shares))
    with timing(2, _data_of) as measure:
        assert measure(architecture(FC), Layout(2, 1)) == 8.0


@pytest.mark.parametrize(("seeds", "asked"), [(None, 4), (1, 1)])
def test_each_round_can_be_had_and_members_may_share_a_seed(monkeypatch, seeds, asked):
    given = []

    def rounds(recipe, shape, classes, layout, seeds, seconds, folder):
        given.append((seeds, seconds))
        return [1.0, 5.0, 2.0]

    monkeypatch.setattr(rates, "_rounds", rounds)
    measure = timing_rounds(make_executor("serial"), _data_of, 0.05)
    assert measure(architecture(FC), Layout(2, 1, 4), seeds) == [2.0, 10.0, 4.0]
    assert given == [(asked, 0.05)] * 2


@pytest.mark.parametrize("seeds", [1, 3])
def test_members_of_one_seed_see_the_same_images(monkeypatch, seeds):
    trained = []
    monkeypatch.setattr(rates.FleetRun, "train_on", lambda _, views: trained.append(len(views)))
    recipe = architecture(FC)
    rates._step(recipe, 3, seeds, rates._sample((1, 8, 8), 10, recipe.batch))()
    assert trained == [seeds]


@pytest.mark.parametrize(("threads", "size"), [(1, 1), (2, 1), (1, 3)])
def test_a_layout_is_measured_with_its_threads_and_all_of_its_members(
    tmp_path, monkeypatch, threads, size
):
    """Red where the images of one member are taken for those of all."""
    seen = []

    def measured(step, images, seconds):
        seen.append((images, torch.get_num_threads(), seconds))

    monkeypatch.setattr(rates, "_images_a_second", measured)
    recipe = architecture(FC)
    rates._rounds(recipe, (1, 8, 8), 10, Layout(1, threads, size), size, 0.1, tmp_path)
    assert seen == 4 * [(size * recipe.batch, threads, 0.1)]


def test_images_a_second_are_those_of_the_steps_that_were_taken(monkeypatch):
    ticks, steps = iter(range(1000)), []
    monkeypatch.setattr(rates, "time", SimpleNamespace(perf_counter=lambda: next(ticks)))
    assert rates._images_a_second(lambda: steps.append(1), 30, 4) == 3 * 30 / 4
    assert len(steps) == 3


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_step_can_be_measured_whatever_the_recipe(size, optimizer):
    recipe = replace(
        architecture(FC),
        optimizer=Optimizer(optimizer, 1.0),
        augmentation="pad1 flip",
        scaling="standard",
        validation=100,
        examples=50,
    )
    step = rates._step(recipe, size, size, rates._sample((1, 8, 8), 10, recipe.batch))
    step()
    step()


def test_a_killed_process_ends_the_measurement_with_advice(monkeypatch):
    def broken(*_):
        raise BrokenProcessPool

    pool = make_executor("serial")
    monkeypatch.setattr(pool, "submit", broken)
    monkeypatch.setattr(rates, "make_executor", lambda *_: pool)
    with (
        timing(2, _data_of) as measure,
        pytest.raises(SweepError, match=r"a worker process was killed.*--executor serial"),
    ):
        measure(architecture(FC), Layout(2, 1))


# What layouts are worth


@pytest.mark.parametrize(("alone", "last"), [(50.0, 0.2), (20.0, 0.4)])
def test_the_last_fleet_takes_no_longer_than_its_members_or_a_full_one(alone, last):
    """Five runs in fleets of four: the fifth trains alone, or as slowly as a full fleet."""
    rates = {Layout(1, 1, 4): 100.0, Layout(1, 1): alone}
    group = schedule.Group([None] * 5, 10, rates)
    assert group.batches(Layout(1, 1, 4)) == pytest.approx([0.4, last])


@pytest.mark.parametrize(("rate", "measured"), [(30.0, 1), (50.0, 2)])
def test_a_step_is_long_if_all_processes_take_long_for_one_each(rate, measured):
    """Two processes with batches of 10: at 30 images a second a step of both takes 0.67 s."""
    asked = []

    def found(layout):
        asked.append(layout)
        return rate

    candidates._worth_it(10, 2, 8, 2, found)
    assert len([layout for layout in asked if layout.workers == 2]) == measured


# What is carried out


def test_records_are_those_of_the_same_run_by_hand(tmp_path):
    short = [replace(recipe, epochs=1) for recipe in (FC, GAP)]
    runs = _runs(tmp_path, *short, seeds=3)
    layouts = {"conv-fc": Layout(1, 1, 2), "conv-gap": Layout(1, 2)}
    carry_out({run: layouts[run.recipe.network] for run in runs})
    by_hand = _runs(tmp_path / "by hand", *short, seeds=3)
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
    runs = _runs(tmp_path, FC, GAP, seeds=2)
    layouts = [Layout(2, 1, 4), Layout(1, 2), Layout(2, 1, 4), Layout(2, 1)]
    carry_out(dict(zip(runs, layouts, strict=True)))
    assert made == [("processes", 2), ("serial", None), ("processes", 2)]
    assert swept == [([1, 1], 4), ([2], 1), ([1], 1)]


def test_one_layouts_failure_does_not_stop_the_others(tmp_path):
    runs = _runs(tmp_path, replace(FC, epochs=1), replace(GAP, epochs=1))
    runs[0].record_path.mkdir(parents=True)  # a folder where the record belongs
    with pytest.raises(RecordError, match="cannot write") as refused:
        carry_out({runs[0]: Layout(1, 2), runs[1]: Layout(1, 1)})
    assert refused.value.__notes__ == [f"in {FC.name}, seed 0"]
    assert runs[1].record_path.is_file()


# The command


def test_the_digits_are_trained_by_themselves(convlaws, tmp_path, file, monkeypatch):
    monkeypatch.setattr(executors, "available_cores", lambda: 2)
    monkeypatch.setattr(rates, "_ROUND_SECONDS", 0.02)
    arguments = ("run", "digits", "--executor", "auto", "--seeds", 2, "--epochs-scale", 0.1)
    code, out, err = convlaws(*arguments, "--store", tmp_path)
    assert code == 0
    assert out == ""
    lines = err.splitlines()
    assert "8 are missing" in lines[1]
    assert lines[-1] == "digits: 8 runs done"
    chosen = lines[2:-1]
    assert [line.split(".adam")[0] for line in chosen] == [
        "two-conv",
        "linear",
        "conv-fc",
        "conv-gap",
    ]
    assert all("images/s)" in line and "one run on all cores" in line for line in chosen)
    assert len(list(tmp_path.glob("variants/digits/*.json"))) == 8
    assert {len(rates) for rates in json.loads(file.read_text()).values()} == {4}

    monkeypatch.setattr(layouts, "choose", pytest.fail)
    code, _, err = convlaws(*arguments, "--store", tmp_path)
    assert code == 0
    assert err.splitlines()[1].endswith("nothing is missing")
    assert len(err.splitlines()) == 2


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--workers", 2), "leave --workers out"),
        (("--threads", 1), "leave --threads out"),
        (("--fleet", 2, "--workers", 2), "leave --workers and --fleet out"),
        (("--fleet", 1, "--device", "cuda"), "leave --fleet out"),
    ],
    ids=str,
)
def test_what_is_to_be_chosen_cannot_be_given(refused, tmp_path, options, named):
    error = refused("run", "digits", "--executor", "auto", *options, "--store", tmp_path)
    assert f"{named}, or name an executor" in error


def test_a_scheduler_is_not_for_it(refused, tmp_path):
    options = ("--executor", "auto", "--scheduler", "tcp://host:1")
    assert "--executor dask need each other" in refused(
        "run", "digits", *options, "--store", tmp_path
    )


def test_on_cuda_runs_are_serial_and_fleets_measured_as_ever(convlaws, tmp_path, monkeypatch):
    swept = []
    monkeypatch.setattr(sweep, "plan", lambda *_, **__: [])
    monkeypatch.setattr(sweep, "sweep", lambda runs, pool, fleet: swept.append((type(pool), fleet)))
    monkeypatch.setattr(layouts, "carry_out", pytest.fail)
    arguments = ("run", "digits", "--executor", "auto", "--device", "cuda", "--store", tmp_path)
    assert convlaws(*arguments)[0] == 0
    assert swept == [(executors._SerialExecutor, None)]
