"""How the rate of a layout is measured: all its processes, threads and members at once."""

from __future__ import annotations

import shutil
import threading
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from experiments import datasets
from experiments.errors import SweepError
from experiments.executors import make_executor
from experiments.fleet import architecture
from experiments.layout import Layout, rates, timing, timing_rounds
from experiments.recipe import Optimizer
from tests.toy_layouts import FC


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
