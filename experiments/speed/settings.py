"""What a race is run with."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import Any, Literal, get_args

from experiments.arguments import as_count, as_number, as_width
from experiments.errors import InputError
from experiments.recipe import Precision

Optimiser = Literal["muon", "sgd"]

_RATES = ("rate", "momentum", "bias_rate", "head_rate", "head_momentum")


@dataclass(frozen=True)
class Settings:
    """Everything that defines a run of the race, except its seed.

    Parameters
    ----------
    epochs
        Passes over the training images; part of one counts, in whole batches.
    batch
        Images a step. A processor does not need as many at once as a GPU to be busy, so the batch
        is small and the steps are many.
    components
        Principal components of a patch that the stem keeps; it has twice as many filters.
    whitened
        Whether the stem whitens; otherwise it is a trained convolution with batch normalisation.
    widths, pooled
        Filters of each convolution, and whether max-pooling follows.
    small
        Share of the steps, the first, that see images of half the size.
    optimiser
        What trains the convolutions: ``"muon"``, or ``"sgd"`` with Nesterov momentum. Biases and
        the last layer are trained by SGD in any case.
    rate, momentum
        Of the optimiser of the convolutions, at the peak of the schedule.
    bias_rate, head_rate, head_momentum
        Of the SGD for biases and for the last layer.
    peak
        Share of the steps after which the rates, which grow from 0 and shrink to 0, are highest.
    smoothing
        Share of a label's probability that is spread over all classes.
    precision
        ``"float32"``, or ``"bfloat16"`` for autocast of the forward pass.

    Raises
    ------
    ValueError
        If a setting is of another type, unknown or out of its range.
    """

    epochs: float = 2.25
    batch: int = 256
    components: int = 24
    whitened: bool = True
    widths: tuple[int, ...] = (32, 64, 96, 96)
    pooled: tuple[bool, ...] = (True, True, False, False)
    small: float = 0.4
    optimiser: Optimiser = "muon"
    rate: float = 0.2
    momentum: float = 0.6
    bias_rate: float = 0.05
    head_rate: float = 0.5
    head_momentum: float = 0.85
    peak: float = 0.2
    smoothing: float = 0.15
    precision: Precision = "bfloat16"

    def __post_init__(self) -> None:
        for name in ("widths", "pooled"):  # JSON knows no tuples
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for name in _RATES:
            object.__setattr__(self, name, as_width(name, getattr(self, name)))
        for name in ("batch", "components"):
            object.__setattr__(self, name, as_count(name, getattr(self, name)))
        widths = tuple(as_count("each of widths", width) for width in self.widths)
        object.__setattr__(self, "widths", widths)
        if not 0 < as_number("epochs", self.epochs) < float("inf"):
            raise InputError(f"epochs must be positive and finite, got {self.epochs}")
        if not widths:
            raise InputError("widths are those of at least one convolution, got none")
        if len(self.widths) != len(self.pooled):
            raise InputError(
                "widths and pooled describe the same convolutions, but there are "
                f"{len(self.widths)} and {len(self.pooled)} of them"
            )
        if self.optimiser not in get_args(Optimiser):
            known = ", ".join(get_args(Optimiser))
            raise InputError(f"optimiser {self.optimiser!r} is unknown; known: {known}")
        if self.precision not in get_args(Precision):
            known = ", ".join(get_args(Precision))
            raise InputError(f"precision {self.precision!r} is unknown; known: {known}")
        for name in ("small", "peak", "smoothing"):
            if not 0 <= as_number(name, getattr(self, name)) <= 1:
                raise InputError(f"{name} must be in [0, 1], got {getattr(self, name)}")

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as JSON-ready data."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of all settings."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()
