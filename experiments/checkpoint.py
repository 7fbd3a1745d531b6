"""Checkpoints: a run that was interrupted goes on after an epoch that it had finished.

A run on the CPU that lasts longer than a minute keeps one file under ``.checkpoints`` of its store,
with all that its remaining epochs depend on, and goes on from there to the very bits that it would
have measured without a break. The order of images is not kept: it is drawn again, in no time. A
note beside it says how far the run is (:mod:`experiments.checkpoint_notes`).
"""

from __future__ import annotations

import contextlib
import io
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from experiments import checkpoint_notes
from experiments.checkpoint_notes import CheckpointNote, RunIdentity
from experiments.interruption import held_back
from theory.atomic import write_whole
from theory.processor import model, processor

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from experiments.course import Course
    from experiments.records import Store

SECONDS_BETWEEN = 60.0
"""Time between two checkpoints of a run, and before its first: at most so much is lost, and the
epoch in progress."""


@dataclass
class Progress:
    """All that a run on the CPU changes on its way.

    Parameters
    ----------
    network, optimizer, course
        What is trained, by what, and what was measured.
    augmentation
        The generator that random changes of images come from.
    training_seconds, wall_seconds
        Time spent so far: on steps, and in all.
    resumed_after
        After which epochs the run was resumed.
    """

    network: nn.Module
    optimizer: torch.optim.Optimizer
    course: Course
    augmentation: torch.Generator
    training_seconds: float = 0.0
    wall_seconds: float = 0.0
    resumed_after: list[int] = field(default_factory=list)

    @property
    def epochs(self) -> int:
        """How many epochs are done."""
        return len(self.course.curves.train_loss)

    def state(self) -> dict[str, Any]:
        """Return it, with PyTorch's random state, as tensors, numbers and text."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "curves": asdict(self.course.curves),
            "best": self.course.best,
            "augmentation": self.augmentation.get_state(),
            "random": torch.get_rng_state(),
            "training_seconds": self.training_seconds,
            "wall_seconds": self.wall_seconds,
            "resumed_after": self.resumed_after,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a state that :meth:`state` returned."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.course.load(state["curves"], state["best"])
        self.augmentation.set_state(state["augmentation"])
        torch.set_rng_state(state["random"])
        self.training_seconds = state["training_seconds"]
        self.wall_seconds = state["wall_seconds"]
        self.resumed_after = [*state["resumed_after"], self.epochs]


@dataclass
class Checkpoint:
    """The file from which one run goes on.

    It is a courtesy: where it cannot be written, the run goes on without one, and where it cannot
    be read, or was made in another way than the run is carried out now, the run starts again.

    Parameters
    ----------
    file
        Its place.
    key
        The key of the run's record: what is trained, on what data and by which engine.
    run
        Which run that is, for the note beside the file; None for none.
    """

    file: Path
    key: str
    run: RunIdentity | None = None
    _last: float = field(default_factory=time.monotonic, init=False)

    def resume(self, progress: Progress) -> None:
        """Bring a run that has not begun to where the checkpoint was made, if there is one."""
        try:
            content = torch.load(self.file, weights_only=True)
            made, state = content["made"], content["state"]
            same = made == self._way(progress)
        except Exception:  # what a damaged file raises is not told by torch.load
            return
        if same:
            progress.load(state)

    def keep(self, progress: Progress) -> None:
        """Write the run's progress if the last time is long enough ago."""
        if time.monotonic() - self._last < SECONDS_BETWEEN:
            return
        content, made = io.BytesIO(), self._way(progress)
        torch.save({"made": made, "state": progress.state()}, content)
        with contextlib.suppress(OSError), held_back():
            write_whole(self.file, content.getvalue())
            if self.run is not None:
                way = {name: made[name] for name in ("threads", "hardware", "model", "torch")}
                note = CheckpointNote(self.run, progress.epochs, progress.wall_seconds, **way)
                checkpoint_notes.write(self.file, note)
        self._last = time.monotonic()

    def discard(self) -> None:
        """Remove the file and its note, if they are there."""
        checkpoint_notes.remove(self.file)
        with contextlib.suppress(OSError):
            self.file.unlink()

    def _way(self, progress: Progress) -> dict[str, Any]:
        """Return what bits depend on besides the state, and the shapes that it has to fit."""
        shapes = {name: [*value.shape] for name, value in progress.network.state_dict().items()}
        return {
            "key": self.key,
            "hardware": processor(),
            "model": model(),
            "threads": torch.get_num_threads(),
            "torch": str(torch.__version__),
            "shapes": shapes,
        }


def path(store: Store, key: str) -> Path:
    """Return where the run with this key keeps its checkpoint."""
    return store.root / checkpoint_notes.FOLDER / f"{key}.pt"
