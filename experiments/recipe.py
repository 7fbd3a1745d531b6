"""A recipe: everything that defines a training run, except its seed."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import re
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from experiments.arguments import as_count, as_number, check_name, check_text
from experiments.errors import InputError

DatasetName = Literal["cifar10", "mnist", "mnist-pairs", "digits"]
OptimizerName = Literal["sgd", "adam"]
Precision = Literal["float32", "bfloat16"]
Scaling = Literal["symmetric", "unit", "standard"]
Initialisation = Literal["pytorch", "kaiming-uniform", "truncated-normal", "imagenet"]

CLASSES: dict[DatasetName, int] = {"cifar10": 10, "mnist": 10, "mnist-pairs": 19, "digits": 10}
"""How many classes each data set has. A network has a score for each."""

_OPTIONAL = {"filters", "steps", "examples", "patience", "resize"}
"""Settings that a recipe may do without."""

_SCHEDULES = "constant, exponential-0.95, step-10-0.1, cosine"
# One number has one spelling here, for the digest is of the text: 0.95 and neither .95 nor 0.950.
_EXPONENTIAL = re.compile(r"exponential-(0\.\d*[1-9])", re.ASCII)
_STEP = re.compile(r"step-([1-9]\d*)-(0\.\d*[1-9])", re.ASCII)
_AUGMENTATION = re.compile(r"((crop|pad)[1-9]\d*( flip)?|flip)?", re.ASCII)


@dataclass(frozen=True)
class Optimizer:
    """An update rule with its hyper-parameters.

    Parameters
    ----------
    name
        ``"sgd"`` or ``"adam"`` (betas 0.9 and 0.999, epsilon 1e-8).
    lr
        Learning rate of the first epoch.
    momentum
        Heavy-ball momentum of SGD; must be 0 for Adam.
    weight_decay
        Multiple of the weights that is added to their gradient.
    schedule
        What becomes of the learning rate from epoch to epoch: ``"constant"``,
        ``"exponential-0.95"`` (times 0.95 after each), ``"step-10-0.1"`` (times 0.1 after every
        ten) or ``"cosine"`` (half a cosine that would reach 0 after the last). A factor is written
        in one way alone: 0.95, and neither .95 nor 0.950.

    Raises
    ------
    ValueError
        If a name is unknown, or a number is none or out of its range.
    """

    name: OptimizerName
    lr: float
    momentum: float = 0.0
    weight_decay: float = 0.0
    schedule: str = "constant"

    def __post_init__(self) -> None:
        if self.name not in get_args(OptimizerName):
            raise InputError(
                f"optimiser {self.name!r} is unknown; known: {', '.join(get_args(OptimizerName))}"
            )
        for name, told in (
            ("lr", "learning rate"),
            ("momentum", "momentum"),
            ("weight_decay", "weight decay"),
        ):  # 1 and 1.0 are one recipe, one digest
            object.__setattr__(self, name, as_number(told, getattr(self, name)))
        if not 0 < self.lr < math.inf:
            raise InputError(f"learning rate must be positive and finite, got {self.lr}")
        if not 0 <= self.momentum < 1:
            raise InputError(f"momentum must be in [0, 1), got {self.momentum}")
        if self.name == "adam" and self.momentum:
            raise InputError("Adam has no momentum setting of its own; leave it at 0")
        if not 0 <= self.weight_decay < math.inf:
            raise InputError(
                f"weight decay must be finite and not negative, got {self.weight_decay}"
            )
        check_text("schedule", self.schedule)
        self.lr_at(1, 1)

    def lr_at(self, epoch: int, epochs: int) -> float:
        """Return the learning rate during an epoch (from 1) of a run of ``epochs``.

        Raises
        ------
        ValueError
            If the schedule is unknown, or there is no such epoch.
        """
        if not 1 <= as_count("epoch", epoch, 0) <= as_count("the number of epochs", epochs, 0):
            raise InputError(f"a run of {epochs} epochs has no epoch {epoch}; they count from 1")
        done = epoch - 1
        if self.schedule == "constant":
            return self.lr
        if self.schedule == "cosine":
            return self.lr * (1 + math.cos(math.pi * done / epochs)) / 2
        if match := _EXPONENTIAL.fullmatch(self.schedule):
            return self.lr * float(match[1]) ** done
        if match := _STEP.fullmatch(self.schedule):
            return self.lr * float(match[2]) ** (done // int(match[1]))
        raise InputError(f"schedule {self.schedule!r} is unknown; known: {_SCHEDULES}")


@dataclass(frozen=True)
class Recipe:
    """A complete, frozen description of one training run except its seed.

    Parameters
    ----------
    name
        The recipe's name within its study, unique there; part of its records' file names, so of
        letters, digits and ``.-_@+`` alone. Two recipes that differ in name alone have the same
        digest.
    network
        A name known to :func:`experiments.networks.building.build`, or a line of layers such as
        ``"conv32k5 relu max2 fc10"`` (:mod:`experiments.networks.layers`).
    dataset
        A name known to :func:`experiments.datasets.load`.
    optimizer
        Update rule and learning rate.
    epochs, batch
        How often the network is measured, after training once more on the training set; images a
        step (the last step of an epoch may be smaller). With 0 epochs the initial network is
        measured.
    filters
        Width of the first convolution of a named network; a line of layers says it itself.
    precision
        ``"float32"``, or ``"bfloat16"`` for autocast of the forward pass.
    steps
        Steps in an epoch, where it is not one pass over the training set. The images are then drawn
        from one pass after another, and every step has a full batch.
    examples
        Train on this many of the training images, which the seed draws.
    validation
        Hold this many training images out, which the seed draws, and measure on them as well.
    patience
        Stop as soon as the validation loss has been no lower in this many epochs in a row than
        before them.
    augmentation
        What is done to a training image whenever it is seen: ``"pad4"`` (four black pixels around,
        then a random crop of the old size), ``"crop28"`` (a random crop of 28x28; the central one
        in evaluation), ``"flip"`` (left to right, every other time), or ``"pad4 flip"``.
    scaling
        How bytes become numbers: ``"symmetric"`` ([-1, 1]), ``"unit"`` ([0, 1]) or ``"standard"``
        (mean 0 and standard deviation 1 for each channel, over the training images).
    initialisation
        ``"pytorch"`` (its layers' default), ``"kaiming-uniform"`` (weights uniform with variance
        2 / fan-in, biases PyTorch's), ``"truncated-normal"`` (weights normal with standard
        deviation 0.1, cut at two of them, biases 0.1: TensorFlow's MNIST tutorial) or
        ``"imagenet"`` (trained on ImageNet, :mod:`experiments.networks.pretrained`; the last layer
        PyTorch's).
    resize
        Side in pixels that images are brought to, with bilinear interpolation, before the network
        sees them.

    Raises
    ------
    ValueError
        If a field is of another type, unknown or out of its range. Whether there is such a network,
        and whether it fits the images, shows when it is built.
    """

    name: str
    network: str
    dataset: DatasetName
    optimizer: Optimizer
    epochs: int
    batch: int = 32
    filters: int | None = field(default=None, kw_only=True)
    precision: Precision = field(default="float32", kw_only=True)
    steps: int | None = field(default=None, kw_only=True)
    examples: int | None = field(default=None, kw_only=True)
    validation: int = field(default=0, kw_only=True)
    patience: int | None = field(default=None, kw_only=True)
    augmentation: str = field(default="", kw_only=True)
    scaling: Scaling = field(default="symmetric", kw_only=True)
    initialisation: Initialisation = field(default="pytorch", kw_only=True)
    resize: int | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        check_name("a recipe's", self.name)
        who = f"recipe {self.name!r}"
        if not isinstance(self.optimizer, Optimizer):
            raise InputError(f"{who}: optimizer must be an Optimizer, got {self.optimizer!r}")
        for name, least in (
            ("epochs", 0),
            ("batch", 1),
            ("filters", 1),
            ("steps", 1),
            ("examples", 1),
            ("validation", 0),
            ("patience", 1),
            ("resize", 1),
        ):
            value = getattr(self, name)
            if value is not None or name not in _OPTIONAL:
                # as one of Python's, for no other is written into the digest
                object.__setattr__(self, name, as_count(f"{who}: {name}", value, least))
        for name, known in (
            ("dataset", get_args(DatasetName)),
            ("precision", get_args(Precision)),
            ("scaling", get_args(Scaling)),
            ("initialisation", get_args(Initialisation)),
        ):
            if getattr(self, name) not in known:
                raise InputError(
                    f"{who}: {name} {getattr(self, name)!r} is unknown; known: {', '.join(known)}"
                )
        for name in ("network", "augmentation"):
            check_text(f"{who}: {name}", getattr(self, name))
        if self.patience is not None and not self.validation:
            raise InputError(f"{who}: patience needs validation images to wait for")
        if not _AUGMENTATION.fullmatch(self.augmentation):
            raise InputError(
                f"{who}: augmentation {self.augmentation!r} is unknown; "
                "known: pad4, crop28, flip, 'pad4 flip', 'crop28 flip'"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as JSON-ready data, its name included."""
        return dataclasses.asdict(self)

    def train_size(self, available: int) -> int:
        """Return how many of the available training images a run trains on."""
        return available - self.validation if self.examples is None else self.examples

    def steps_an_epoch(self, train_size: int) -> int:
        """Return the number of updates in an epoch; the last of a pass may see a smaller batch."""
        return math.ceil(train_size / self.batch) if self.steps is None else self.steps

    def images_an_epoch(self, train_size: int) -> int:
        """Return how many images an epoch trains on, each counted as often as it is seen."""
        return train_size if self.steps is None else self.steps * self.batch

    @property
    def classes(self) -> int:
        """How many classes there are to tell apart: the outputs of the network."""
        return CLASSES[self.dataset]

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of everything but the name.

        Settings at their default are left out, so a field that is added later, with a default that
        changes nothing, leaves the digests of existing records as they are. For the same reason no
        default may ever change.
        """
        content = _settings(self)
        del content["name"]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _settings(value: Any) -> Any:
    if not dataclasses.is_dataclass(value):
        return value
    return {
        field.name: _settings(getattr(value, field.name))
        for field in dataclasses.fields(value)
        if getattr(value, field.name) != field.default
    }
