"""The shape of a curve, one number for each seed: where it turns, how far it rises, its jumps."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from experiments.errors import InputError
from experiments.quantities.curve_values import check_metric, curve_of
from experiments.quantities.formatting import formatted
from experiments.quantities.quantity import Metric, Quantity, Unit, of_each_run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jaxtyping import Float

    from experiments.records import Record, Runs


def turning_point(role: str, last: int) -> Quantity:
    """Return the epoch (from 1) of the lowest test loss among the first ``last``."""

    def value(record: Record) -> float:
        losses = record.curves.test_loss[:last]
        return float(np.argmin(losses)) + 1 if len(losses) == last else math.nan

    what = "epoch of the lowest test loss"
    return of_each_run(what, role, "count", value, where=f"{role}, of {last}", last=last, grid=1.0)


def steps_to_reach(metric: Metric, role: str, level: float, last: int, *, every: int) -> Quantity:
    """Return the updates until the first measurement of an accuracy or loss as good as ``level``.

    A curve is measured once an epoch, of ``every`` steps: two roles are compared fairly only if
    that is the same for both. A run that does not get there within ``last`` epochs counts as one
    that does in the next, which is too little: it has to be given as many updates as what it is
    compared with.

    Raises
    ------
    ValueError
        If the metric is none.
    """
    check_metric(metric)
    accuracy = metric.endswith("accuracy")

    def value(record: Record) -> float:
        curve = curve_of(record, metric)[:last]
        good = [each >= level if accuracy else each <= level for each in curve]
        if True not in good and len(curve) < last:
            return math.nan
        return float(every * (good.index(True) + 1 if True in good else last + 1))

    goal = formatted(level, "accuracy" if accuracy else "nats")
    what = f"steps to a {metric.replace('_', ' ')} of {goal}"
    return of_each_run(what, role, "count", value, last=last, grid=float(every))


def jumpiness(metric: Metric, role: str, last: int, *, first: int = 1) -> Quantity:
    """Return the root mean square of a curve's second differences, epochs ``first`` to ``last``.

    A straight curve has none, whatever its slope; independent noise of standard deviation s gives
    sqrt(6) s. The steep bend at the start of training counts as well: a later ``first`` leaves it
    out.

    Raises
    ------
    ValueError
        If the metric is none, or there are fewer than three epochs, of which a second difference
        is.
    """
    check_metric(metric)
    if not 1 <= first <= last - 2:
        raise InputError(
            f"a second difference is of three epochs, which count from 1; got {first} to {last}"
        )

    def value(record: Record) -> float:
        curve = curve_of(record, metric)[:last]
        if len(curve) < last:
            return math.nan
        return float(np.sqrt(np.mean(np.diff(curve[first - 1 :], n=2) ** 2)))

    unit: Unit = "points" if metric.endswith("accuracy") else "nats"
    return of_each_run(
        f"jumpiness of the {metric.replace('_', ' ')}",
        role,
        unit,
        value,
        where=f"{role}, epochs {first} to {last}",
        last=last,
    )


def loss_rise(role: str, epoch: int) -> Quantity:
    """Return how far the test loss at ``epoch`` lies above its minimum so far.

    The end of a noisy curve lies above the curve's own minimum even where nothing rises. So the
    epoch of the minimum is chosen for each seed from the mean curve of the other seeds: under a
    flat noisy curve the expected rise is 0. The rises of seeds that chose for each other are not
    independent, so that a t-interval is a little too narrow for them. A lone curve is held against
    its own minimum, which can only make it look larger; one seed decides nothing.
    """

    def values(runs: Runs) -> dict[int, float]:
        curves = _test_losses(runs[role], epoch)
        result = dict.fromkeys(runs[role].keys() - curves.keys(), math.nan)
        for seed, curve in curves.items():
            others = [curves[other] for other in curves if other != seed] or [curve]
            lowest = int(np.mean(others, axis=0).argmin())
            result[seed] = float(curve[-1] - curve[lowest])
        return result

    return Quantity(
        what="test loss above its minimum",
        where=f"{role} at epoch {epoch}",
        unit="nats",
        reads={role: epoch},
        values=values,
    )


def _test_losses(
    runs: Mapping[int, Record], epochs: int
) -> dict[int, Float[np.ndarray, " epochs"]]:
    curves = {seed: np.array(run.curves.test_loss[:epochs]) for seed, run in runs.items()}
    return {seed: curve for seed, curve in curves.items() if len(curve) == epochs}
