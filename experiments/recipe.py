"""A recipe: everything that defines a training run, except its seed."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import Any, Literal, get_args

OptimizerName = Literal["sgd", "adam"]
Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class Optimizer:
    """An update rule with its hyper-parameters; the learning rate is constant.

    Parameters
    ----------
    name
        ``"sgd"`` or ``"adam"`` (betas 0.9 and 0.999, epsilon 1e-8, no weight decay).
    lr
        Learning rate.
    momentum
        Heavy-ball momentum of SGD; must be 0 for Adam.
    """

    name: OptimizerName
    lr: float
    momentum: float = 0.0

    def __post_init__(self) -> None:
        if self.name not in get_args(OptimizerName):
            raise ValueError(
                f"optimiser {self.name!r} is unknown; known: {', '.join(get_args(OptimizerName))}"
            )
        object.__setattr__(self, "lr", float(self.lr))  # 1 and 1.0 are one recipe, with one digest
        object.__setattr__(self, "momentum", float(self.momentum))
        if not self.lr > 0:
            raise ValueError(f"learning rate must be positive, got {self.lr}")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum must be in [0, 1), got {self.momentum}")
        if self.name == "adam" and self.momentum:
            raise ValueError("Adam has no momentum setting of its own; leave it at 0")


@dataclass(frozen=True)
class Recipe:
    """A complete, frozen description of one training run except its seed.

    Parameters
    ----------
    name
        The recipe's name within its study, unique there; part of its records' file names. Two
        recipes that differ in name alone have the same digest.
    network
        A name known to :func:`experiments.networks.build`.
    filters
        Width of the first convolution.
    dataset
        A name known to :func:`experiments.datasets.load`.
    optimizer
        Update rule and learning rate.
    epochs, batch
        Passes over the training set; images a step (the last step of an epoch may be smaller).
    precision
        ``"float32"``, or ``"bfloat16"`` for autocast of the forward pass.
    """

    name: str
    network: str
    filters: int
    dataset: str
    optimizer: Optimizer
    epochs: int
    batch: int = 32
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        for field in ("filters", "epochs", "batch"):
            if getattr(self, field) < 1:
                raise ValueError(
                    f"recipe {self.name!r}: {field} must be at least 1, got {getattr(self, field)}"
                )
        if self.precision not in get_args(Precision):
            raise ValueError(
                f"recipe {self.name!r}: precision {self.precision!r} is unknown; "
                f"known: {', '.join(get_args(Precision))}"
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as JSON-ready data, its name included."""
        return dataclasses.asdict(self)

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
