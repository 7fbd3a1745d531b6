"""Whether a training step is faster once torch.compile has compiled it, and what that takes.

The engine's step, forward, backward and update, is timed as it is and compiled as a whole, in
turns. Both start from the same weights, and have to reach the same loss on the same batches. The
first step, in which everything is compiled, is not timed with the others: its seconds are a fact of
the bench. It starts from an empty cache.

The time does not depend on the pixels, which are random.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from functools import cache, partial
from typing import TYPE_CHECKING, NamedTuple

import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from benches.ladder import LADDER, network_of
from benches.pace import FEWEST_ROUNDS
from benches.probe import probe
from benches.rounding import tolerance
from benches.turns import Replay, Timed, take_turns
from benches.workload import NETWORKS, flops_per_image, training_bytes, training_images
from experiments.augmentation import inputs_of
from experiments.training import make_optimizer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from benches.conftest import Measure

Step = Callable[["Tensor", "Tensor"], "Tensor"]
"""Trains on a batch of images and their labels, and returns its loss (nats)."""

EAGER, COMPILED = "the engine’s step", "compiled as a whole"
SIZES = {
    "smoke": ("3-filters",),
    "default": ("3-filters",),
    "full": ("3-filters", "20-filters", "assignment-3", "tp1-cnn"),
}
STEPS = {"smoke": 1, "default": 4, "full": 8}
BACKEND = {"smoke": "aot_eager", "default": "inductor", "full": "inductor"}
"""What compiles; in a smoke run a backend that traces the step and leaves it at that."""

ROUNDS = {"smoke": 1, "default": FEWEST_ROUNDS, "full": 20}

FULL_SECONDS = 20.0
"""For each bench of a full run, on two cores."""

CLOCK = Replay()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Let the scale choose the networks."""
    metafunc.parametrize("network", SIZES[metafunc.config.getoption("scale")])


@pytest.fixture(scope="module", autouse=True)
def _empty_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let nothing be compiled already."""
    folder = tmp_path_factory.mktemp("inductor")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("TORCHINDUCTOR_CACHE_DIR", str(folder))
        yield


@pytest.mark.filterwarnings("ignore")  # what traces the step uses parts of torch that warn
@pytest.mark.benchmark(timer=CLOCK)
@pytest.mark.parametrize("way", [EAGER, COMPILED])
@pytest.mark.parametrize("device", ["cpu", "cuda"], indirect=True)
def test_compile(network: str, way: str, device: str, scale: str, measure: Measure) -> None:
    if device == "cpu" and BACKEND[scale] == "inductor" and not _compiler():
        pytest.skip("torch.compile needs a C++ compiler: install g++, or name one in CXX")
    ways = _ways(network, device, scale)
    assert (fault := _fault(network, ways[way].loss, ways[EAGER].loss, STEPS[scale])) is None, fault
    images = STEPS[scale] * NETWORKS[network].batch
    measure(
        CLOCK.replayed(ways[way].timed.seconds),
        group=f"compile, {network}, {device}",
        rounds=len(ways[way].timed.seconds),
        device=device,
        flops=flops_per_image(network) * images,
        peak_memory_bytes=ways[way].timed.peak_memory_bytes,
        bytes=images * training_bytes(NETWORKS[network]),
        network=network,
        library="PyTorch" if way == COMPILED else "theory",
        way=way,
        images=images,
        batch=NETWORKS[network].batch,
        setup_seconds=ways[way].setup_seconds,
        source="random bytes",
    )


class Way(NamedTuple):
    """The mean loss of the first steps, what they took more than the next, and all later rounds."""

    loss: float
    setup_seconds: float
    timed: Timed


@cache
def _ways(network: str, device: str, scale: str) -> dict[str, Way]:
    """Let both ways take their first steps, and then time them in turns."""
    compiled = partial(torch.compile, backend=BACKEND[scale])
    calls = {
        EAGER: _training(network, device, STEPS[scale]),
        COMPILED: _training(network, device, STEPS[scale], compiled),
    }
    first = {way: probe(call, device) for way, call in calls.items()}
    warm = {way: probe(call, device) for way, call in calls.items()}
    seconds = take_turns(calls, rounds=ROUNDS[scale], device=device)
    return {
        way: Way(
            first[way].result,
            first[way].seconds - warm[way].seconds,
            Timed(seconds[way], warm[way].peak_memory_bytes),
        )
        for way in calls
    }


def _training(
    network: str, device: str, steps: int, compiled: Callable[[Step], Step] = lambda step: step
) -> Callable[[], float]:
    """Return the call that takes some steps on the same images and returns their mean loss."""
    recipe = NETWORKS[network]
    images, labels, _ = training_images(recipe, steps * recipe.batch, real=False)
    images, labels = images.to(device), labels.to(device)
    inputs = inputs_of(recipe, images)
    model = network_of(LADDER["+ fused optimiser"], recipe, images.shape[1:], device)
    optimizer = make_optimizer(recipe.optimizer, model)

    def step(batch: Tensor, target: Tensor) -> Tensor:
        loss = F.cross_entropy(model(batch), target)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return loss.detach()

    taken = compiled(step)
    order = torch.arange(len(labels), device=device).split(recipe.batch)

    def train() -> float:
        losses = [taken(inputs.training(images, each, None), labels[each]) for each in order]
        return torch.stack(losses).mean().item()

    return train


def _fault(network: str, loss: float, expected: float, steps: int) -> str | None:
    """Compare the mean loss of the first steps with that of the engine's."""
    allowed = tolerance(network) * steps * expected  # each update passes its rounding on
    if abs(loss - expected) <= allowed:
        return None
    return (
        f"compiled, {network} reaches a mean loss of {loss:.7f}, as it is {expected:.7f}: rounding "
        f"explains a difference of {allowed:.1g}"
    )


def _compiler() -> str | None:
    """Return the compiler that Inductor would take."""
    named = os.environ.get("CXX")
    return next(filter(None, map(shutil.which, [named] if named else ["g++", "clang++"])), None)
