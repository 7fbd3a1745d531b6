"""Fleets: how much faster networks train together than one by one.

A few steps of fleets of several sizes are timed against as many steps, for each member, of the solo
engine; all in turns. Members of several *seeds* see images of their own each; members of one seed,
which differ in their learning *rates*, see the same; so do those that `torch.func.vmap` trains
(`benches.ensemble`), as one would without this project. Every member has to reach the loss of its
solo run first.

The time does not depend on the pixels, which are random.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from benches import workload
from benches.ensemble import Ensemble
from benches.pace import FEWEST_ROUNDS
from benches.probe import probe
from benches.rounding import tolerance
from benches.turns import Replay, Timed, take_turns
from benches.workload import flops_per_image, members_of_rates, training_bytes, training_images
from experiments.augmentation import Inputs
from experiments.datasets import Dataset
from experiments.fleet import Member
from experiments.fleet.step import WARM_UP_STEPS
from experiments.fleet.training import FleetRun
from experiments.training import initialised, make_optimizer, train_epoch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jaxtyping import Int64
    from torch import Tensor

    from benches.conftest import Measure

NETWORKS = {name: workload.NETWORKS[name] for name in ("3-filters", "20-filters")}
SIZES = {"smoke": (2,), "default": (2, 8, 16), "full": (1, 2, 4, 8, 16)}
LARGEST = {"3-filters": 16, "20-filters": 8}
"""In a default run: beyond, fleets of the larger network save nothing more."""

MAPPED = {"smoke": 2, "default": 8, "full": 8}
"""Members that `torch.func.vmap` trains."""

STEPS = {"smoke": 1, "default": 2, "full": 16}
ROUNDS = {"smoke": 1, "default": FEWEST_ROUNDS, "full": FEWEST_ROUNDS}

FULL_SECONDS = 30.0
"""For each bench of a full run, on two cores."""

CHECKED_STEPS = {"cpu": 2, "cuda": WARM_UP_STEPS + 2}
"""On CUDA the last two are replayed."""

CHECKED_HASTE = 10
"""The check trains at so many times the learning rate: a wrong first step shows in the loss of the
second."""

ALONE = "alone"
BY_VMAP = " by vmap"
CLOCK = Replay()


def _members(network: str, crew: str) -> tuple[Member, ...]:
    """Return the members of a crew, such as "8 seeds" or "4 rates"."""
    recipe = NETWORKS[network]
    if crew == ALONE:
        return (Member(recipe, 0),)
    size, kind, *_ = crew.split()
    if kind == "seeds":
        return tuple(Member(recipe, seed) for seed in range(int(size)))
    return tuple(members_of_rates(recipe, int(size)))


def _crews(network: str, scale: str) -> list[str]:
    sizes = [size for size in SIZES[scale] if scale == "full" or size <= LARGEST[network]]
    fleets = (f"{size} {kind}" for kind in ("seeds", "rates") for size in sizes)
    return [ALONE, *fleets, f"{MAPPED[scale]} rates{BY_VMAP}"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Let the scale choose the sizes."""
    scale = metafunc.config.getoption("scale")
    metafunc.parametrize(
        ("network", "crew"),
        [(network, crew) for network in NETWORKS for crew in _crews(network, scale)],
    )


@pytest.mark.benchmark(timer=CLOCK)
@pytest.mark.parametrize("device", ["cpu", "cuda"], indirect=True)
def test_fleet(network: str, crew: str, device: str, scale: str, measure: Measure) -> None:
    assert (fault := _fault(network, crew, device)) is None, fault
    timed = _timed(network, device, scale)[crew]
    images = _images(network, crew, scale)
    measure(
        CLOCK.replayed(timed.seconds),
        group=f"fleet, {network}, {device}",
        rounds=len(timed.seconds),
        device=device,
        flops=flops_per_image(network) * images,
        peak_memory_bytes=timed.peak_memory_bytes,
        bytes=images * training_bytes(NETWORKS[network]),
        network=network,
        library="PyTorch" if crew.endswith(BY_VMAP) else "theory",
        crew=crew,
        members=len(_members(network, crew)),
        images=images,
        batch=NETWORKS[network].batch,
        source="random bytes",
    )


def _images(network: str, crew: str, scale: str) -> int:
    """Return how many images a round trains on, each counted for every network that sees it."""
    return len(_members(network, crew)) * STEPS[scale] * NETWORKS[network].batch


@cache
def _timed(network: str, device: str, scale: str) -> dict[str, Timed]:
    """Time the crews that compute the right thing, in turns."""
    images = STEPS[scale] * NETWORKS[network].batch
    epochs: dict[str, Callable[[], Any]] = {}
    for crew in _crews(network, scale):
        if _fault(network, crew, device) is None:
            members = _members(network, crew)
            views, train = _together(crew, members, images, device)
            alone = crew == ALONE
            epochs[crew] = _solo(members[0], views[0, :, 0], device) if alone else train
    warm = {crew: probe(epoch, device) for crew, epoch in epochs.items()}
    if device == "cuda":
        for epoch in epochs.values():
            for _ in range(math.ceil((WARM_UP_STEPS + 1) / STEPS[scale])):
                epoch()
    seconds = take_turns(epochs, rounds=ROUNDS[scale], device=device)
    return {crew: Timed(seconds[crew], warm[crew].peak_memory_bytes) for crew in epochs}


def _together(
    crew: str, members: Sequence[Member], images: int, device: str
) -> tuple[Int64[Tensor, "t m v"], Callable[[], list[float]]]:
    """Return what members see, and the call that trains on it and returns mean losses (nats)."""
    run = FleetRun(members, _data(), device)
    views = run.draw()[:, :images].to(device)
    if crew.endswith(BY_VMAP):
        mapped = Ensemble(members, _data(), device)
        return views, lambda: mapped.train_on(views[0, :, 0]).tolist()
    return views, lambda: [loss for loss, _ in run.train_on(views)]


def _solo(member: Member, order: Int64[Tensor, " m"], device: str) -> Callable[[], float]:
    """Return the call that trains one network on these images and returns its mean loss (nats)."""
    recipe, data = member.recipe, _data()
    network = initialised(recipe, member.seed, Inputs(), data).to(device)
    optimizer = make_optimizer(recipe.optimizer, network)
    images, labels = data.train_images.to(device), data.train_labels.to(device)
    return lambda: train_epoch(network, optimizer, images, labels, order, recipe)[0]


@cache
def _fault(network: str, crew: str, device: str) -> str | None:
    """Compare each member's mean loss of a few steps with that of its solo run."""
    members = [_hastened(member) for member in _members(network, crew)]
    images = CHECKED_STEPS[device] * NETWORKS[network].batch
    views, train = _together(crew, members, images, device)
    losses = train()
    for index, (member, loss) in enumerate(zip(members, losses, strict=True)):
        expected = _solo(member, views[index % len(views), :, 0], device)()
        # Each update passes its rounding on to the losses after it.
        allowed = tolerance(network) * (CHECKED_STEPS[device] - 1) * expected
        if not abs(loss - expected) <= allowed:  # NaN is no small difference
            return (
                f"member {index} of {crew} reaches a mean loss of {loss:.7f} on {network}, "
                f"alone {expected:.7f}: rounding explains a difference of {allowed:.1g}"
            )
    return None


def _hastened(member: Member) -> Member:
    optimizer = member.recipe.optimizer
    faster = replace(optimizer, lr=CHECKED_HASTE * optimizer.lr)
    return replace(member, recipe=replace(member.recipe, optimizer=faster))


@cache
def _data() -> Dataset:
    """Return as many random images as the longest run takes, channels last in memory."""
    recipe = max(NETWORKS.values(), key=lambda each: each.batch)
    images, labels, source = training_images(recipe, STEPS["full"] * recipe.batch, real=False)
    return Dataset(source, images, labels, images[:1], labels[:1], 10, "")
