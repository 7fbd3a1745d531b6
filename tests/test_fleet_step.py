"""Steps of a fleet on a device: they read nothing back, and may be captured and replayed."""

from __future__ import annotations

import contextlib
import dataclasses
import weakref
from types import SimpleNamespace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from experiments import datasets
from experiments.augmentation import Inputs, inputs_of
from experiments.device import reproducible
from experiments.fleet import Member, fastest_size, feed
from experiments.fleet import calibration as calibration_module
from experiments.fleet import step as step_module
from experiments.fleet import training as fleet_training
from experiments.fleet.feed import Stock, streams
from experiments.fleet.step import Evaluation, Replayed
from experiments.fleet.training import FleetRun
from experiments.recipe import Optimizer, Recipe
from experiments.sampling import random_stream
from experiments.training import evaluated_at_once

RECIPE = Recipe(
    "x.adam",
    "conv3k3 bn relu max2 drop0.5 fc10",
    "digits",
    Optimizer("adam", 0.01, weight_decay=0.1),
    epochs=2,
    batch=32,
    examples=250,
    augmentation="pad1 flip",
    scaling="standard",
)
IMAGES = datasets.load("digits").test_images
RECIPES = {
    "chain": RECIPE,
    "linear": dataclasses.replace(
        RECIPE, network="linear-two-conv", filters=2, optimizer=Optimizer("sgd", 0.1, 0.9)
    ),
    "residual": dataclasses.replace(RECIPE, network="resnet-18", filters=2, augmentation=""),
    "halves": dataclasses.replace(
        RECIPE,
        network="halves(conv3k4 avg2 elu skip(conv5k3 bn) gap drop0.1) fc10",
        augmentation="crop6 flip",
        scaling="unit",
        validation=50,
        resize=12,
    ),
}


def _run(recipe=RECIPE, device="cpu"):
    members = [Member(recipe, seed) for seed in (0, 1)]
    return FleetRun(members, datasets.load("digits"), device)


class OnlyOn(TorchDispatchMode):
    """Refuses every operation with a tensor that lies elsewhere."""

    def __init__(self, device):
        super().__init__()
        self._device = device

    def __torch_dispatch__(self, operation, types, arguments=(), options=None):
        result = operation(*arguments, **(options or {}))
        for leaf in tree_leaves((arguments, options, result)):
            if isinstance(leaf, torch.Tensor) and leaf.device.type != self._device:
                raise AssertionError(f"{operation} has a tensor on {leaf.device}")
        return result


@pytest.fixture
def meta(monkeypatch):
    """Stand in for a GPU: tensors of the meta device have no numbers that one could wait for.

    Reading one raises, as does mixing them with tensors of the CPU. The device has no generators,
    and statistics of its images are none.
    """
    monkeypatch.setattr(fleet_training, "random_stream", lambda *which: random_stream(*which[:2]))
    images = datasets.load("digits").train_images
    monkeypatch.setattr(feed, "inputs_of", lambda recipe, _: inputs_of(recipe, images))
    return "meta"


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_an_epoch_and_its_test_stay_on_the_device_and_read_once_each(recipe, meta, monkeypatch):
    run = _run(recipe, meta)
    views = run.draw().to(meta)
    assert views.shape[1] % recipe.batch  # the epoch ends with a smaller batch
    read = []
    monkeypatch.setattr(step_module, "_means", lambda *sums: read.append(sums))
    with OnlyOn(meta):
        run.train_on(views)
        run._test()
    assert len(read) == 2


def test_a_step_that_reads_its_loss_is_caught(meta, monkeypatch):
    scored = step_module._scored

    def curious(*arguments):
        losses, correct = scored(*arguments)
        losses.sum().item()
        return losses, correct

    monkeypatch.setattr(step_module, "_scored", curious)
    run = _run(device=meta)
    with pytest.raises(RuntimeError, match="cannot be called on meta"):
        run.train_on(run.draw().to(meta))


def test_a_step_with_numbers_from_elsewhere_is_caught(meta, monkeypatch):
    column = fleet_training.UpdateRule._sgd

    def foreign(rule, gradient):
        return column(rule, gradient).copy_(torch.ones(gradient.shape))

    monkeypatch.setattr(fleet_training.UpdateRule, "_sgd", foreign)
    run = _run(RECIPES["linear"], meta)
    with OnlyOn(meta), pytest.raises(AssertionError, match="on cpu"):
        run.train_on(run.draw().to(meta))


def _replayed_without_a_gpu(monkeypatch):
    """Let a capture remember the step, and a replay repeat it on what then lies in its input."""
    captured, replays = [], []

    def capture(replayed, views):
        captured.append(views)

        def replay():
            replays.append(views.clone())
            replayed._step(views)

        return SimpleNamespace(replay=replay)

    monkeypatch.setattr(Replayed, "_captured", capture)
    monkeypatch.setattr(Replayed, "_step_aside", lambda replayed, views: replayed._step(views))
    return captured, replays


def test_replayed_steps_are_the_plain_ones(monkeypatch):
    """Every batch is seen once: in warming up, in the one capture, or in the tail of an epoch."""
    captured, replays = _replayed_without_a_gpu(monkeypatch)
    plain, replayed = _run(), _run()
    replayed._take = Replayed(replayed._step, [])
    for _ in range(2):
        expected, found = (run.train_on(run.draw()) for run in (plain, replayed))
        assert found == expected
    assert len(captured) == 1
    whole_batches = 250 // RECIPE.batch
    assert len(replays) == 2 * whole_batches - step_module.WARM_UP_STEPS
    assert len({tuple(views.flatten().tolist()) for views in replays}) == len(replays)


def test_replayed_evaluations_are_the_plain_ones(monkeypatch):
    """The weights move between two of them, and the views of the last batch are fewer."""
    captured, replays = _replayed_without_a_gpu(monkeypatch)
    plain, replayed = _run(), _run()
    replayed._test._take = Replayed(replayed._test._step, [])
    plain._test._at_once = replayed._test._at_once = 64
    for _ in range(2):
        for run in (plain, replayed):
            run.train_on(run.draw())
        assert replayed._test() == plain._test()
    assert len(captured) == 1
    assert len(replays) == 2 * (len(IMAGES) // 64) - step_module.WARM_UP_STEPS


@pytest.mark.parametrize(("batch", "at_once"), [(32, 125), (200, 200)])
def test_on_a_gpu_as_many_images_are_evaluated_at_once_as_in_training(monkeypatch, batch, at_once):
    """Red where those of a large fleet come one by one; what fits in training fits here."""
    monkeypatch.setattr(Replayed, "__call__", lambda _, views: sizes.append(views.shape[1]))
    stock, sizes = Stock(IMAGES, datasets.load("digits").test_labels, [Inputs()], torch.float32), []
    views = stock.still(torch.arange(len(IMAGES))[None])
    recipe = dataclasses.replace(RECIPE, batch=batch)
    Evaluation(_run()._fleet, stock, views, recipe, replay=True)()
    assert sizes == [at_once] * (len(IMAGES) // at_once) + [len(IMAGES) % at_once]


class _LoggingGPU:
    """Stands in for torch.cuda and logs what streams and graphs are asked to do."""

    def __init__(self):
        self.log = []
        self.here = self._stream("here")

    def _stream(self, name):
        return SimpleNamespace(
            name=name, wait_stream=lambda other: self.log.append(f"{name} waits for {other.name}")
        )

    def current_stream(self):
        return self.here

    def Stream(self):  # noqa: N802
        self.log.append("new stream")
        return self._stream("aside")

    @contextlib.contextmanager
    def stream(self, stream):
        self.log.append(f"on {stream.name}")
        yield
        self.log.append(f"off {stream.name}")

    def CUDAGraph(self):  # noqa: N802
        return SimpleNamespace(
            register_generator_state=lambda generator: self.log.append(f"register {generator}"),
            replay=lambda: self.log.append("replay"),
        )

    @contextlib.contextmanager
    def graph(self, graph):
        self.log.append("capture")
        yield
        self.log.append("captured")


def test_warm_up_steps_share_one_stream_and_a_capture_knows_the_generators(monkeypatch):
    """Red where streams do not wait for one another, or every step has a pool of memory's own."""
    gpu = _LoggingGPU()
    monkeypatch.setattr(step_module.torch, "cuda", gpu)
    replayed = Replayed(lambda _: gpu.log.append("step"), ["dropout 0", "dropout 1"])
    for _ in range(step_module.WARM_UP_STEPS + 2):
        replayed(torch.zeros(1, 4, 1))
    aside = ["aside waits for here", "on aside", "step", "off aside", "here waits for aside"]
    assert gpu.log == [
        *("new stream", *aside * step_module.WARM_UP_STEPS),
        *("register dropout 0", "register dropout 1", "capture", "step", "captured"),
        *("replay", "replay"),
    ]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no GPU")
@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_a_cuda_graph_takes_the_plain_steps(recipe):
    plain, replayed = _run(recipe, "cuda"), _run(recipe, "cuda")
    plain._take, plain._test._take = plain._step, plain._test._step
    plain._test._at_once = replayed._test._at_once = 64
    with reproducible(None):  # else cuDNN may add in any order
        for _ in range(2):
            expected, found = (run.train_on(run.draw().to("cuda")) for run in (plain, replayed))
            assert found == expected
            assert replayed._test() == plain._test()


@pytest.mark.parametrize("augmentation", ["", "flip", "crop6", "crop5 flip", "pad1", "pad1 flip"])
def test_views_show_what_a_solo_run_sees(augmentation):
    recipe = dataclasses.replace(RECIPE, augmentation=augmentation)
    data = datasets.load("digits")
    sight = list(streams(recipe, (0, 1), data, data.train_images).values())
    images = sight[0].inputs.padded(data.train_images)
    inputs = [stream.inputs for stream in sight]
    stock = Stock(images, data.train_labels, inputs, torch.float32)
    generators = [random_stream(seed, "augmentation") for seed in (0, 1)]
    for views in torch.stack([stream.epoch() for stream in sight]).split(recipe.batch, dim=1):
        found, labels = stock.batch(views)
        assert found.is_contiguous(memory_format=torch.channels_last)
        for index, own in enumerate(found.split(1, dim=1)):
            numbers = views[index, :, 0]
            expected = inputs[index].training(images, numbers, generators[index])
            assert torch.equal(own, expected)
            assert torch.equal(labels[:, index], data.train_labels[numbers])
    still, _ = stock.batch(stock.still(torch.arange(20).expand(2, -1)))
    for index, own in enumerate(still.split(1, dim=1)):
        assert torch.equal(own, inputs[index].evaluation(data.train_images[:20]))


def test_members_are_evaluated_on_no_more_images_than_fit(monkeypatch):
    run = _run(dataclasses.replace(RECIPE, network="fc10", epochs=1, batch=16, resize=16))
    sizes, batch = [], Stock.batch

    def spy(stock, views):
        sizes.append(2 * views.shape[1])
        return batch(stock, views)

    monkeypatch.setattr(Stock, "batch", spy)
    run.train(None)
    images = datasets.load("digits").test_images
    assert max(sizes) <= evaluated_at_once(Inputs(resize=16), images) < 2 * len(images)


@pytest.mark.parametrize(
    ("seconds", "most", "size"),
    [
        ({1: 1.0, 2: 0.6, 4: 0.4, 8: 0.39}, 8, 4),
        ({1: 1.0, 2: 1.1}, 8, 1),
        ({1: 1.0, 2: 0.5, 4: float("inf")}, 8, 2),
        (dict.fromkeys((1, 2, 4, 8), float("inf")), 8, 1),
        ({1: 1.0, 2: 0.6, 3: 0.59}, 3, 3),
        ({1: 1.0, 2: 0.6, 3: 0.61}, 3, 2),
        ({1: 1.0, 2: 0.5, 4: 0.25, 5: 0.2}, 5, 5),
        ({1: 1.0, 2: 0.5, 4: 0.25, 5: float("inf")}, 5, 4),
    ],
    ids=[
        *("no longer faster", "never faster", "memory is full", "none fits"),
        *("all members", "all are slower", "a GPU that is not full", "all do not fit"),
    ],
)
def test_the_fastest_size_is_measured(monkeypatch, seconds, most, size):
    monkeypatch.setattr(calibration_module, "_seconds_a_member", lambda *which: seconds[which[-1]])
    assert fastest_size(RECIPE, "cpu", None, most=most) == size


def test_steps_are_timed_for_the_measurement(monkeypatch):
    calibration_module._seconds_a_member.cache_clear()
    monkeypatch.setattr(calibration_module, "_STEPS", 2)
    clock = iter(range(100))
    monkeypatch.setattr(calibration_module.time, "perf_counter", lambda: 2.0 * next(clock))
    small = dataclasses.replace(RECIPE, network="fc10", augmentation="")
    assert calibration_module._seconds_a_member(small, "cpu", None, 4) == 0.5


@pytest.mark.parametrize("full", [False, True])
def test_what_a_measurement_took_is_given_back(monkeypatch, full):
    """Red where worker processes cannot have memory that the allocator of this one keeps."""
    runs, alive = [], []

    class Fleet(FleetRun):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            runs.append(weakref.ref(self))
            if full:
                raise torch.OutOfMemoryError

    calibration_module._seconds_a_member.cache_clear()
    monkeypatch.setattr(calibration_module, "FleetRun", Fleet)
    monkeypatch.setattr(calibration_module, "_STEPS", 1)
    monkeypatch.setattr(
        torch.cuda, "empty_cache", lambda: alive.append([run() is not None for run in runs])
    )
    calibration_module._seconds_a_member(RECIPE, "cpu", None, 2)
    calibration_module._seconds_a_member.cache_clear()
    assert alive == [[False]]


def _full(*_):
    raise torch.OutOfMemoryError


def _full_in_the_last_batch(monkeypatch):
    step = step_module.Step.__call__

    def smaller(self, views):
        return _full() if views.shape[1] == 250 % 32 else step(self, views)

    monkeypatch.setattr(step_module.Step, "__call__", smaller)


def _full_in_evaluation(monkeypatch, images):
    evaluate = Evaluation.__call__

    def of_so_many(self):
        return _full() if self._views.shape[1] == images else evaluate(self)

    monkeypatch.setattr(Evaluation, "__call__", of_so_many)


@pytest.mark.parametrize(
    "plant",
    [
        _full_in_the_last_batch,
        lambda monkeypatch: _full_in_evaluation(monkeypatch, len(IMAGES)),
        lambda monkeypatch: _full_in_evaluation(monkeypatch, 50),
        lambda monkeypatch: monkeypatch.setattr(fleet_training.Job, "finish", _full),
    ],
    ids=["last batch", "test", "validation", "end"],
)
def test_a_size_that_memory_holds_for_whole_steps_alone_does_not_fit(monkeypatch, plant):
    """An epoch has 250 images, in batches of 32, and 50 to validate on."""
    calibration_module._seconds_a_member.cache_clear()
    monkeypatch.setattr(calibration_module, "_STEPS", 2)
    recipe = RECIPES["halves"]
    assert calibration_module._seconds_a_member(recipe, "cpu", None, 2) < float("inf")
    calibration_module._seconds_a_member.cache_clear()
    plant(monkeypatch)
    assert calibration_module._seconds_a_member(recipe, "cpu", None, 2) == float("inf")
    calibration_module._seconds_a_member.cache_clear()


def test_another_failure_of_a_measurement_is_no_lack_of_memory(monkeypatch):
    def broken(*_):
        raise RuntimeError("an operation is not known")

    calibration_module._seconds_a_member.cache_clear()
    monkeypatch.setattr(calibration_module, "_seconds", broken)
    with pytest.raises(RuntimeError, match="not known"):
        calibration_module._seconds_a_member(RECIPE, "cpu", None, 2)


def test_too_little_memory_is_no_error(monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError

    calibration_module._seconds_a_member.cache_clear()
    monkeypatch.setattr(calibration_module, "_seconds", full)
    assert calibration_module._seconds_a_member(RECIPE, "cpu", None, 2) == float("inf")
    calibration_module._seconds_a_member.cache_clear()
