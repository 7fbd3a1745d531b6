"""The seconds of a race: training alone is timed, after every kernel was loaded."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from experiments import speed
from experiments.speed import network, training
from tests.tiny_race import DATA, TINY, run


def test_training_is_timed_and_testing_is_not(monkeypatch):
    """By a clock that moves a second a step, an hour a test, and a day while data are read."""
    clock = SimpleNamespace(now=0.0)

    def taking(seconds, answer):
        def take(*arguments):
            clock.now += seconds
            return answer

        return take

    clock.perf_counter = lambda: clock.now
    clock.process_time = lambda: 2 * clock.now  # two threads
    monkeypatch.setattr(training, "time", clock)
    monkeypatch.setattr(training, "parts", taking(86_400, speed.parts(DATA, "test")))
    monkeypatch.setattr(training, "accuracies", taking(3_600, dict.fromkeys(speed.VIEWS, 0.5)))
    result = run(on_step=taking(1, None))
    assert result.training_seconds == 24
    assert result.processor_seconds == 48
    assert result.provenance["wall_seconds"] == 24 + 3_600


class Sent:
    """A tensor that stays where it is when it is sent to a GPU."""

    def __init__(self, tensor):
        self._tensor = tensor

    def to(self, device):
        """Return the tensor."""
        return self._tensor


@pytest.fixture
def gpu(monkeypatch):
    """Let the CPU stand in for a GPU, and log what happens in a race.

    What is logged is whose steps are taken, of images of which size, when the clock starts, and
    when the peak of memory is forgotten.
    """
    log = []
    sent = [tuple(map(Sent, each)) for each in speed.parts(DATA, "test")]
    monkeypatch.setattr(training, "check_device", lambda device: None)
    monkeypatch.setattr(training, "parts", lambda *_: sent)
    plain, forward = training.train, network.RaceNet.forward

    def train(settings, train_set, classes, streams, *rest):
        log.append(streams)
        return plain(settings, train_set, classes, streams, *rest)

    def watched(made, x):
        if made.training:
            log.append(x.shape[2])
        return forward(made, x)

    class Clock(training._Clock):
        def __init__(self, device):
            log.append("clock")
            super().__init__("cpu")

    monkeypatch.setattr(training, "train", train)
    monkeypatch.setattr(training, "_Clock", Clock)
    monkeypatch.setattr(network.RaceNet, "forward", watched)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda: log.append("memory"))
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 7)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    return log


@pytest.mark.parametrize(
    ("small", "sizes"), [(0.25, [8, 16]), (0.0, [16, 16]), (1.0, [8, 8])], ids=str
)
@pytest.mark.parametrize("batch", [32, 96])  # of 256 images: 2.67 batches an epoch
def test_on_a_gpu_every_kernel_was_loaded_before_the_clock_starts(gpu, small, sizes, batch):
    settings = replace(TINY, small=small, batch=batch)
    found = run(settings, device="cuda")
    start = ["warm-up", *sizes, "memory", "clock", "test/0"]
    assert gpu[: len(start)] == start
    assert len(gpu) == len(start) + 3 * 256 // batch
    assert found.accuracy == run(settings).accuracy  # no random number was used up


def test_on_the_cpu_nothing_comes_before_the_clock(gpu):
    run()
    assert gpu[:2] == ["clock", "test/0"]
