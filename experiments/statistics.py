"""Error bars: over seeds, over the test set, and for one further run.

Three sources of spread are kept apart. A *confidence interval* over seeds says where the mean of
all seeds lies. A *binomial interval* says how far one accuracy would move on another test set of
the same size. A *prediction interval* says where one further run, such as the single run behind a
report's number, would land; a single number has to be held against this one.

All intervals are two-sided. Values over seeds are taken as independent draws from a normal
distribution, but for the prediction from many seeds, which goes by their ranks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from experiments.arguments import as_count, as_number, as_width
from experiments.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

LEVEL = 0.95
"""Confidence of every interval in the verdicts."""


@dataclass(frozen=True)
class Interval:
    """A closed interval."""

    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half the distance between the ends."""
        return (self.high - self.low) / 2

    @property
    def ends(self) -> list[float]:
        """Both ends, as JSON output has an interval."""
        return [self.low, self.high]

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def within(self, low: float, high: float) -> Interval:
        """Return the part of the interval between two bounds; one of its points lies there."""
        return Interval(max(self.low, low), min(self.high, high))


def mean_interval(values: Sequence[float], *, grid: float = 0.0) -> Interval | None:
    """Return the 95 % t-interval for the mean that the values are drawn around.

    ``mean ± t s / sqrt(n)`` with the t-quantile of n - 1 degrees of freedom and the sample
    standard deviation s. For values paired by seed, pass their differences.

    Parameters
    ----------
    values
        One value for each seed.
    grid
        Distance of the values that can be told apart, such as one epoch. Values that coincide on
        a grid may still differ by as much: the variance of rounding to it, ``grid**2 / 12``, is
        added to that of the values.

    Returns
    -------
    Interval or None
        None for fewer than two values: one value says nothing about its spread.

    Raises
    ------
    ValueError
        If a value or the grid is not finite, or the grid is negative.

    References
    ----------
    Casella and Berger, *Statistical Inference*, 2nd ed., 2002, section 9.2.
    """
    grid = as_width("grid", grid)
    if len(values) < 2:
        return None
    values = _finite(values)
    return _around(values, _t(len(values)) * _sd(values, grid) / math.sqrt(len(values)))


def prediction_interval(
    values: Sequence[float], *, noise_sd: float = 0.0, grid: float = 0.0
) -> Interval | None:
    """Return the 95 % interval in which one further value is expected.

    Of 39 values or more it reaches from the k-th lowest to the k-th highest
    (:func:`prediction_rank`), whatever distribution they are drawn from. Fewer have to be taken as
    normal: ``mean ± t s sqrt(1 + 1/n)``, the further value's own spread and the uncertainty of the
    mean.

    Noise that the values share, but not with the further value, widens it: on each side of the
    mean, or for ranks of the median, the two distances are added in quadrature, as in the method
    of variance estimates recovery (exact where either is zero).

    Parameters
    ----------
    values
        One value for each seed.
    noise_sd
        Standard deviation of the additional normal noise, e.g. :func:`two_test_sets_sd`.
    grid
        As for :func:`mean_interval`; ranks need none, for they hold on a grid as well.

    Returns
    -------
    Interval or None
        None for fewer than two values.

    Raises
    ------
    ValueError
        If a value, the noise or the grid is not finite, or one of the latter is negative.

    References
    ----------
    Hahn and Meeker, *Statistical Intervals*, 1991, section 4.7 (prediction of one observation) and
    chapter 5 (distribution-free intervals);
    Zou and Donner, *Statistics in Medicine* 27, 2008, pp. 1693-1702 (quadrature).
    """
    grid, noise = as_width("grid", grid), _z() * as_width("noise_sd", noise_sd)
    if len(values) < 2:
        return None
    values = _finite(values)
    if rank := prediction_rank(len(values)):
        ordered, middle = sorted(values), float(np.median(values))
        low, high = ordered[rank - 1], ordered[-rank]
        return Interval(low - _farther(middle - low, noise), high + _farther(high - middle, noise))
    seeds = _t(len(values)) * _sd(values, grid) * math.sqrt(1 + 1 / len(values))
    return _around(values, math.hypot(seeds, noise))


def prediction_rank(n: int) -> int:
    """Return the k for which a further value lies between ranks k and n + 1 - k in 95 % of cases.

    Among n + 1 draws from one continuous distribution the further one is equally likely to have
    each rank, so that it lies between those two with probability (n + 1 - 2k) / (n + 1), and at
    least as often where draws can coincide. It is the largest k for which that is 95 % or more; 0
    for fewer than 39 values, of which not even the lowest and the highest are far enough apart.

    Raises
    ------
    ValueError
        If there are no such number of values.
    """
    n = as_count("the number of values", n, least=0)
    return math.floor((n + 1) * (1 - LEVEL) / 2)


def two_test_sets_sd(accuracy: float, images: int) -> float:
    """Return the standard deviation of a difference of accuracies on two independent test sets.

    ``sqrt(2 p (1 - p) / m)`` on m images each, where p is the centre of :func:`binomial_interval`:
    the accuracy itself would make it 0 for a network without a mistake, which may well make some on
    other images. A report seldom says which images it tested on. On another test set than ours its
    number differs by this much even for the same weights; on the same test set it differs by
    nothing. Adding it is therefore cautious: it widens an interval and never narrows it.

    Raises
    ------
    ValueError
        If the accuracy is not in [0, 1] or there are no images.

    References
    ----------
    Agresti and Coull, *The American Statistician* 52, 1998, pp. 119-126 (the centre).
    """
    accuracy, images = _proportion(accuracy, images)
    center = _wilson_center(accuracy, images)
    return math.sqrt(2 * center * (1 - center) / images)


def binomial_interval(accuracy: float, images: int) -> Interval:
    """Return the 95 % Wilson score interval for an accuracy measured on a test set.

    The values of p for which the normal score test of the observed proportion does not reject.

    Parameters
    ----------
    accuracy
        Observed proportion in [0, 1].
    images
        Size of the test set.

    Raises
    ------
    ValueError
        If the accuracy is not in [0, 1] or there are no images.

    References
    ----------
    Wilson, *Journal of the American Statistical Association* 22, 1927, pp. 209-212.
    """
    accuracy, images = _proportion(accuracy, images)
    z = _z()
    center = _wilson_center(accuracy, images)
    shrink = 1 + z**2 / images
    half = z / shrink * math.sqrt(accuracy * (1 - accuracy) / images + z**2 / (4 * images**2))
    return Interval(max(0.0, center - half), min(1.0, center + half))


def _t(n: int) -> float:
    return float(special.stdtrit(n - 1, (1 + LEVEL) / 2))


def _z() -> float:
    return float(special.ndtri((1 + LEVEL) / 2))


def _farther(distance: float, noise: float) -> float:
    """Return by how much noise lengthens a distance; by nothing, exactly, where there is none."""
    return math.hypot(distance, noise) - distance


def _finite(values: Sequence[float]) -> list[float]:
    """Return the values; refuse those of which all ends of an interval would be NaN."""
    found = [as_number("a value", value) for value in values]
    for value in found:
        if not math.isfinite(value):
            raise InputError(
                f"an interval takes finite values, got {value}; leave out the runs that diverged"
            )
    return found


def _sd(values: Sequence[float], grid: float) -> float:
    return math.hypot(float(np.std(values, ddof=1)), grid / math.sqrt(12))


def _around(values: Sequence[float], half_width: float) -> Interval:
    mean = float(np.mean(values))
    return Interval(mean - half_width, mean + half_width)


def _wilson_center(accuracy: float, images: int) -> float:
    """Return the centre of the Wilson interval: an accuracy drawn towards a half."""
    return (accuracy + _z() ** 2 / (2 * images)) / (1 + _z() ** 2 / images)


def _proportion(accuracy: float, images: int) -> tuple[float, int]:
    """Return both as numbers of Python, whose products do not wrap around."""
    share, count = as_number("an accuracy", accuracy), as_count("the number of images", images, 0)
    if not 0 <= share <= 1:
        raise InputError(f"an accuracy lies in [0, 1], got {accuracy}")
    if count < 1:
        raise InputError(f"a test set has at least one image, got {images}")
    return share, count
