"""What a run of the race measured, as a file; and what several seeds say together."""

from __future__ import annotations

import dataclasses
import json
import statistics
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from experiments.errors import InputError
from experiments.records import RecordError
from experiments.speed.settings import Settings
from experiments.speed.views import VIEWS
from experiments.statistics import Interval, mean_interval
from theory.atomic import write_whole

if TYPE_CHECKING:
    from collections.abc import Sequence

ENGINE_VERSION = 2
"""Raised by a change of this package that moves accuracies or seconds: older results are rerun."""

Split = Literal["test", "validation"]

FOLDER = "time-to-accuracy"
"""Where results lie in a store."""


@dataclass(frozen=True)
class Result:
    """What one run measured.

    ``accuracy`` holds one number in [0, 1] for each number of views. ``provenance`` is that of a
    record (:mod:`experiments.provenance`): ``training_seconds`` is what the race is about.
    ``processor_seconds`` are those of all threads during training: on a machine that has other work
    to do, they tell more than the clock on the wall. ``split`` says which images were measured on,
    ``engine`` by which version of this package.
    """

    settings: Settings
    seed: int
    split: Split
    device: str
    dataset_fingerprint: str
    accuracy: dict[int, float]
    processor_seconds: float = field(compare=False)
    provenance: dict[str, Any] = field(compare=False)
    engine: int = ENGINE_VERSION

    @property
    def training_seconds(self) -> float:
        """Seconds of training, by the clock on the wall."""
        return self.provenance["training_seconds"]

    @property
    def machine(self) -> tuple[str, int]:
        """What it ran on, and with how many threads: seconds are compared where both are equal."""
        return self.provenance["hardware"], self.provenance["threads"]

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON-ready data."""
        return dataclasses.asdict(self) | {
            "settings": self.settings.to_dict(),
            "accuracy": {str(views): value for views, value in self.accuracy.items()},
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Result:
        """Read a result from JSON data; raises KeyError, TypeError or ValueError if it is none."""
        settings = Settings(**data["settings"])
        accuracy = {int(views): float(value) for views, value in data["accuracy"].items()}
        first = {"engine": 1}  # which did not write its number
        result = cls(**(first | data | {"settings": settings, "accuracy": accuracy}))
        if accuracy.keys() != VIEWS.keys() or not all(0 <= x <= 1 for x in accuracy.values()):
            raise ValueError(f"an accuracy in [0, 1] for {[*VIEWS]} views, got {accuracy}")
        made = result.provenance
        numbers = (result.processor_seconds, result.training_seconds, made["threads"])
        if not all(isinstance(each, int | float) for each in numbers):
            raise ValueError(f"seconds and threads are numbers, got {numbers}")
        if not isinstance(made["hardware"], str):
            raise ValueError(f"hardware has a name, got {made['hardware']!r}")
        return result


@dataclass(frozen=True)
class Results:
    """The folder of a store that holds results, one JSON file each."""

    store: Path

    def path(self, name: str, settings: Settings, seed: int, split: Split, device: str) -> Path:
        """Return where the result of this run of the recipe of this name lies."""
        run = f"{name}.{split}.seed-{seed}.{device}.{settings.digest[:12]}.json"
        return self.store / FOLDER / run

    def find(self, path: Path) -> Result | None:
        """Return the result of the present engine that lies there, if any; raises as `read`."""
        result = self.read(path) if path.is_file() else None
        return result if result is not None and result.engine == ENGINE_VERSION else None

    def write(self, path: Path, result: Result) -> None:
        """Write a result in one piece.

        Raises
        ------
        RecordError
            If it cannot be written; the message says where.
        """
        text = json.dumps(result.to_dict(), sort_keys=True, indent=1, allow_nan=False)
        try:
            write_whole(path, f"{text}\n".encode())
        except OSError as error:
            raise RecordError(
                f"cannot write {path}: {error.strerror}; choose another store with --store"
            ) from error

    def read(self, path: Path) -> Result:
        """Read a result.

        Raises
        ------
        RecordError
            If the file is not a complete result; the message names it.
        """
        try:
            return Result.from_dict(json.loads(path.read_text()))
        except (OSError, KeyError, TypeError, AttributeError, ValueError) as error:
            raise RecordError(
                f"result {path} cannot be read ({error!r}); delete it and run again to replace it"
            ) from error

    def all(self, split: Split = "test") -> list[Result]:
        """Return what the present engine measured on a split, by file names; raises as `read`."""
        every = [self.read(path) for path in sorted((self.store / FOLDER).glob("*.json"))]
        return [
            result for result in every if (result.split, result.engine) == (split, ENGINE_VERSION)
        ]


@dataclass(frozen=True)
class Summary:
    """Several seeds of one recipe: mean accuracy with its interval, and median seconds."""

    seeds: int
    views: int
    mean: float
    interval: Interval | None
    median_seconds: float
    median_processor_seconds: float

    def above(self, target: float) -> bool:
        """Whether the whole interval of the mean lies above a target accuracy, in [0, 1]."""
        return self.interval is not None and self.interval.low > target


def summary(results: Sequence[Result], views: int) -> Summary:
    """Return what the results say together about the accuracy with so many views.

    Raises
    ------
    InputError
        If there is none, or they are not seeds of one recipe on one split, device and data set, or
        were not timed on equal machines with as many threads.
    """
    if not results:
        raise InputError("there are no results to summarise; run the race first")
    same = {(r.settings, r.split, r.device, r.dataset_fingerprint) for r in results}
    if len(same) > 1 or len({r.seed for r in results}) < len(results):
        raise InputError("only different seeds of one recipe on the same images have one mean")
    machines = {
        f"{hardware}, {threads} threads" for hardware, threads in (r.machine for r in results)
    }
    if len(machines) > 1:
        raise InputError(
            f"their seconds were measured in different ways ({'; '.join(sorted(machines))}); name "
            "another folder with --store"
        )
    accuracies = [result.accuracy[views] for result in results]
    return Summary(
        seeds=len(results),
        views=views,
        mean=statistics.fmean(accuracies),
        interval=mean_interval(accuracies),
        median_seconds=statistics.median(result.training_seconds for result in results),
        median_processor_seconds=statistics.median(r.processor_seconds for r in results),
    )
