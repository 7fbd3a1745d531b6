"""How far training accuracy runs ahead of test accuracy, one number for each seed.

The training accuracy of an epoch is the running mean while the weights change, so it lags behind;
early on the lead is understated, and may be negative.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from experiments.quantities.formatting import formatted
from experiments.quantities.quantity import Quantity, of_each_run

if TYPE_CHECKING:
    from jaxtyping import Float

    from experiments.records import Record


def largest_lead(role: str) -> Quantity:
    """Return the largest lead of training over test accuracy in any epoch."""

    def value(record: Record) -> float:
        return math.nan if record.diverged else float(_leads(record).max())

    return of_each_run("largest lead of train over test accuracy", role, "points", value, last=1)


def lead_begins(role: str, lead: float, last: int) -> Quantity:
    """Return which share of the first ``last`` epochs has passed when training stays ahead.

    Parameters
    ----------
    role
        The runs.
    lead
        By more than how much, as a fraction of 1. The share counts the epoch from which on it is
        ahead by that much to the end; a run whose last epoch is not counts as longer than the
        training by one epoch.
    last
        How many epochs count.
    """

    def value(record: Record) -> float:
        ahead = _leads(record)[:last] > lead
        if len(ahead) < last:
            return math.nan
        behind = np.flatnonzero(~ahead)
        start = int(behind[-1]) + 2 if len(behind) else 1
        return start / last

    what = f"share of the training until train leads test by {formatted(lead, 'points')}"
    return of_each_run(what, role, "share", value, last=last, grid=1 / last)


def _leads(record: Record) -> Float[np.ndarray, " epochs"]:
    return np.subtract(record.curves.train_accuracy, record.curves.test_accuracy)
