"""Training a fleet: several runs of one architecture as one program, one record each."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from experiments import datasets
from experiments.arguments import check_name
from experiments.course import Course
from experiments.device import check_device, reproducible
from experiments.fleet.feed import Feed
from experiments.fleet.members import check_alike
from experiments.fleet.networks import Fleet
from experiments.fleet.step import Evaluation, Replayed, Step, take_steps
from experiments.fleet.update import UpdateRule
from experiments.provenance import provenance
from experiments.sampling import random_stream
from experiments.training import Job, initialised

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from jaxtyping import Int64
    from torch import Tensor

    from experiments.course import Measured
    from experiments.datasets import Dataset
    from experiments.fleet.members import Member
    from experiments.records import Record
    from experiments.training import EpochCallback, TrainedCallback


def train_fleet(
    members: Sequence[Member],
    *,
    study: str,
    device: str = "cpu",
    data_root: Path | None = None,
    threads: int | None = None,
    on_epoch: EpochCallback | None = None,
    on_trained: TrainedCallback | None = None,
) -> list[Record]:
    """Train several networks as one program and return the record of each.

    Every member starts from the weights, sees the images, and draws the random numbers that its
    solo run (:func:`experiments.training.train`) does, and no number of one member meets one of
    another; so each measures what its solo run measures, but for rounding: the grouped kernels add
    in another order. On CUDA dropout, too, is another draw. A member that diverges, or that runs
    out of patience, is left out of account from there on, while the others go on.

    A record of a fleet has the key of the solo record, for the key says what was measured. How many
    members were trained together is part of the provenance (``"fleet"``), as is the number of
    threads, which moves the same digits. Times are the member's share of the fleet's.

    Parameters
    ----------
    members
        What to run; the recipes agree in their :func:`architecture`.
    study, device, data_root, threads
        As in :func:`experiments.training.train`.
    on_epoch
        Called after each epoch with its number, from 1.
    on_trained
        Called with each member's trained network, as in :func:`experiments.training.train`.

    Raises
    ------
    ValueError
        If there is no member, the recipes do not agree, one has a layer that a fleet cannot hold,
        the device is not available, the threads are no such number, or the study's name could not
        be part of a file's.
    experiments.image_files.DataError
        If the data cannot be had.
    """
    check_name("a study's", study)
    check_device(device)
    check_alike(members)
    data = datasets.load(members[0].recipe.dataset, data_root)
    with reproducible(threads):
        run = FleetRun(members, data, device, data_root)
        run.train(on_epoch)
        records = run.records(study)
        if on_trained is not None:
            run.hand_on(on_trained)
        return records


class FleetRun:
    """The members of a fleet on their way through the epochs."""

    def __init__(
        self, members: Sequence[Member], data: Dataset, device: str, data_root: Path | None = None
    ) -> None:
        self._started = time.perf_counter()
        self._training_seconds = 0.0
        if device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        self._members, self._data, self._device = members, data, device
        recipe = self._recipe = members[0].recipe  # for what all have in common
        self._feed = Feed(recipe, [member.seed for member in members], data, device)
        self._networks = [
            initialised(member.recipe, member.seed, stream.inputs, data, data_root).to(device)
            for member, stream in zip(members, self._feed.streams, strict=True)
        ]
        dropout = [random_stream(member.seed, "dropout", device) for member in members]
        self._fleet = Fleet(self._networks, dropout)
        self._rule = UpdateRule(
            list(self._fleet.parameters()), [member.recipe.optimizer for member in members]
        )
        self._courses = [Course(member.recipe) for member in members]
        dtype = next(self._networks[0].parameters()).dtype
        train_stock, held_out = self._feed.training(dtype)
        evaluated = partial(Evaluation, self._fleet, recipe=recipe, replay=device == "cuda")
        self._validate = evaluated(train_stock, held_out)
        self._test = evaluated(*self._feed.test(dtype))
        self._step = Step(self._fleet, self._rule, train_stock, recipe)
        self._take = Replayed(self._step, dropout) if device == "cuda" else self._step

    def train(self, on_epoch: EpochCallback | None) -> None:
        """Train until every member has finished."""
        epoch = 0
        while not all(course.finished for course in self._courses):
            epoch += 1
            trained, tested, validated = self._epoch(epoch)
            going_on = [each for each in enumerate(self._courses) if not each[1].finished]
            for index, course in going_on:
                held_out = None if validated is None else validated[index]
                course.add(trained[index], tested[index], held_out, partial(self._state, index))
                if course.finished:
                    self._fleet.member(index)  # keeps the weights that its run ends with
            if on_epoch is not None:
                on_epoch(epoch)

    def _state(self, index: int) -> dict[str, Tensor]:
        """Return a member's weights and statistics as they are now."""
        return self._fleet.member(index).state_dict()

    def _epoch(self, epoch: int) -> tuple[list[Measured], list[Measured], list[Measured] | None]:
        """Return what each member measured in training, on the test set and in validation."""
        self._rule.begin(epoch, self._recipe.epochs)
        began = time.perf_counter()
        trained = self.train_on(self.draw().to(self._device))
        self._training_seconds += time.perf_counter() - began
        return trained, self._test(), self._validate() if self._recipe.validation else None

    def rehearse(self) -> None:
        """Do whatever takes memory in a run but is no whole step, which leaves its weights spoilt.

        That is the last batch of an epoch, which is no replay of a captured step, both evaluations,
        and the measurement of a network at the end.
        """
        views = self.draw().to(self._device)
        self.train_on(views[:, -(views.shape[1] % self._recipe.batch or self._recipe.batch) :])
        self._test()
        if self._recipe.validation:
            self._validate()
        self._record(0, "rehearsal")

    def draw(self) -> Int64[Tensor, "t m v"]:
        """Draw what the members see in the next epoch."""
        return self._feed.draw()

    def train_on(self, views: Int64[Tensor, "t m v"]) -> list[Measured]:
        """Train on these views, and return what each member measured meanwhile."""
        return take_steps(self._step, self._take, views, self._recipe.batch)

    def records(self, study: str) -> list[Record]:
        """Restore the weights that each member kept, and return its record."""
        records = [self._record(index, study) for index in range(len(self._members))]
        return [
            replace(record, provenance=self._provenance(course))
            for record, course in zip(records, self._courses, strict=True)
        ]

    def _record(self, index: int, study: str) -> Record:
        """Restore the weights that a member kept, and return its record, without provenance."""
        member, inputs = self._members[index], self._feed.streams[index].inputs
        job = Job(member.recipe, member.seed, study, self._device, self._data)
        train_set = self._feed.train_set(index)
        return job.finish(self._networks[index], self._courses[index], train_set, inputs)

    def hand_on(self, on_trained: TrainedCallback) -> None:
        """Call with each member's network, with the weights that are kept."""
        trained = zip(self._networks, self._courses, self._feed.streams, strict=True)
        for network, course, stream in trained:
            course.restore(network)
            on_trained(network.eval(), stream.inputs)

    def _provenance(self, course: Course) -> dict[str, Any]:
        """Return a member's provenance: times are shared out by epochs, the start being one."""
        all_epochs = sum(1 + len(each.curves.train_loss) for each in self._courses)
        share = (1 + len(course.curves.train_loss)) / all_epochs
        wall_seconds = time.perf_counter() - self._started
        made = provenance(self._device, share * wall_seconds, share * self._training_seconds)
        return made | {"fleet": len(self._members)}
