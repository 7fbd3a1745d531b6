"""How many images a second a layout trains: a few steps of it, in all of its processes at once.

The time does not depend on the pixels, which are random.
"""

from __future__ import annotations

import os
import time
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Protocol

import torch

from experiments.augmentation import inputs_of
from experiments.datasets import Dataset
from experiments.device import reproducible
from experiments.errors import InputError, SweepError
from experiments.executors import completed, make_executor
from experiments.fleet import Fleet, Member
from experiments.fleet.training import FleetRun
from experiments.recipe import Optimizer
from experiments.sampling import random_stream
from experiments.training import initialised, make_optimizer, train_epoch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Executor

    from experiments.layout.candidates import Layout, Measure
    from experiments.recipe import Recipe

_ROUND_SECONDS = 0.2
ROUNDS = 3
"""What disturbs a round only makes it slower, so the fastest counts. One more warms up."""

_POLL_SECONDS = 0.001


class MeasureRounds(Protocol):
    """Measure the images a second of a layout, of all its processes together, in each round."""

    def __call__(self, recipe: Recipe, layout: Layout, seeds: int | None = None) -> list[float]:
        """Return a rate for each round.

        Parameters
        ----------
        recipe, layout
            What is trained, and how the cores are shared out.
        seeds
            How many seeds the members of a fleet have: those of one seed see the same images. By
            itself each has its own.
        """


@contextmanager
def timing(cores: int, data_of: Callable[[Recipe], Dataset]) -> Iterator[Measure]:
    """Yield what measures the images a second of an architecture in a layout, in its best round.

    Worker processes start when they are needed, and stay until the block ends.

    Parameters
    ----------
    cores
        How many processes there are at most.
    data_of
        Returns the data that a recipe is trained on, of which only the shape of the images and the
        number of classes are taken.

    Raises
    ------
    SweepError
        If a worker process is killed, when something is measured.
    """
    with make_executor("processes", cores) as pool:
        rounds = timing_rounds(pool, data_of, _ROUND_SECONDS)
        yield lambda recipe, layout: max(rounds(recipe, layout))


def timing_rounds(
    pool: Executor, data_of: Callable[[Recipe], Dataset], seconds: float
) -> MeasureRounds:
    """Return what measures a layout as `timing` does, in `ROUNDS` rounds of so many seconds each.

    ``pool`` has as many worker processes as any layout.
    """

    def rates(recipe: Recipe, layout: Layout, seeds: int | None = None) -> list[float]:
        data = data_of(recipe)
        seen = data.image_shape, data.classes
        job = partial(_rounds, recipe, *seen, layout, seeds or layout.fleet, seconds)
        # A worker that waits for one that has failed gives up when the folder is gone.
        with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            try:
                futures = [pool.submit(job, Path(folder)) for _ in range(layout.workers)]
                shares = [future.result() for future in completed(futures)]
            except BrokenProcessPool as error:
                raise SweepError(
                    "a worker process was killed while layouts were measured (out of memory?); "
                    "name an executor, such as --executor serial"
                ) from error
        return list(map(sum, zip(*shares, strict=True)))

    return rates


def fleet_holds(recipe: Recipe, data: Dataset) -> bool:
    """Whether networks of an architecture can be trained as a fleet."""
    sample = _sample(data.image_shape, data.classes, recipe.batch)
    inputs = inputs_of(recipe, sample.train_images)
    try:
        Fleet([initialised(recipe, 0, inputs, sample)], [torch.Generator()])
    except InputError:
        return False
    return True


def _rounds(
    recipe: Recipe,
    shape: tuple[int, int, int],
    classes: int,
    layout: Layout,
    seeds: int,
    seconds: float,
    folder: Path,
) -> list[float]:
    """Return this process's images a second in some rounds, which all processes begin together."""
    with reproducible(layout.threads):
        step = _step(recipe, layout.fleet, seeds, _sample(shape, classes, recipe.batch))
        images = layout.fleet * recipe.batch
        _images_a_second(step, images, seconds)
        rates = []
        for number in range(ROUNDS):
            _meet(folder, f"{number}-", layout.workers)
            rates.append(_images_a_second(step, images, seconds))
        return rates


def _meet(folder: Path, place: str, workers: int) -> None:
    """Wait until so many processes have come to a place; a file in the folder stands for each."""
    (folder / f"{place}{os.getpid()}").touch()
    while sum(name.startswith(place) for name in os.listdir(folder)) < workers:
        time.sleep(_POLL_SECONDS)


def _images_a_second(step: Callable[[], object], images: int, seconds: float) -> float:
    """Take steps of so many images for so long, one at least, and return the rate."""
    steps, started = 0, time.perf_counter()
    while (passed := time.perf_counter() - started) < seconds:
        step()
        steps += 1
    return steps * images / passed


def _step(recipe: Recipe, fleet: int, seeds: int, data: Dataset) -> Callable[[], object]:
    """Return what trains one batch: by the engine of single runs, or by that of fleets."""
    optimizer = Optimizer(recipe.optimizer.name, lr=1e-3)
    recipe = replace(
        recipe, optimizer=optimizer, steps=None, examples=None, validation=0, patience=None
    )
    if fleet > 1:
        members = [Member(recipe, index % seeds) for index in range(fleet)]
        run = FleetRun(members, data, "cpu")
        return partial(run.train_on, run.draw())
    inputs = inputs_of(recipe, data.train_images)
    network = initialised(recipe, 0, inputs, data)
    return partial(
        train_epoch,
        network,
        make_optimizer(optimizer, network),
        inputs.padded(data.train_images),
        data.train_labels,
        torch.arange(recipe.batch),
        recipe,
        inputs,
        random_stream(0, "augmentation"),
    )


def _sample(shape: tuple[int, int, int], classes: int, count: int) -> Dataset:
    """Return random images of a data set's shape, channels last in memory."""
    channels, height, width = shape
    random = torch.Generator().manual_seed(0)
    pixels = torch.randint(
        256, (count, height, width, channels), dtype=torch.uint8, generator=random
    )
    images, labels = pixels.permute(0, 3, 1, 2), torch.randint(classes, (count,), generator=random)
    return Dataset("random bytes", images, labels, images[:1], labels[:1], classes, "")
