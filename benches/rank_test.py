"""Which of two samples is larger: an exact rank test, and a correction for asking it many times.

Times of a program have a hard floor and a long tail, and there may be eight of them: a rank test
asks nothing of their distribution, and its p-value is exact at any number of them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float, Int


def p_value(sample: Sequence[float], other: Sequence[float]) -> float:
    """Return the one-sided p-value of the Mann-Whitney U test that ``sample`` is the larger one.

    Exact, also where values are tied: among all ways of choosing which of the pooled values form
    the sample, the share whose sum of mid-ranks is at least as large. The ways are counted by
    their sum, one value at a time.

    Parameters
    ----------
    sample, other
        At least one value each.

    References
    ----------
    Mann and Whitney, *Annals of Mathematical Statistics* 18, 1947; Streitberg and Röhmel,
    *Statistical Software Newsletter* 12, 1986 (the counting).
    """
    n = len(sample)
    ranks = np.rint(2 * stats.rankdata([*sample, *other])).astype(int)  # doubled: mid-ranks halve
    ways = _ways(ranks, n)
    return float(ways[ranks[:n].sum() :].sum() / ways.sum())


def smallest_p_value(n: int, m: int) -> float:
    """Return the least p-value that `p_value` gives for so many values without ties."""
    return 1 / math.comb(n + m, n)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values adjusted for their number, in the order given.

    Rejecting those at most at the level rejects any true null hypothesis with at most that
    probability, however the tests depend on each other.

    References
    ----------
    Holm, *Scandinavian Journal of Statistics* 6, 1979.
    """
    adjusted = [0.0] * len(p_values)
    reached = 0.0
    for done, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        reached = max(reached, min(1.0, (len(p_values) - done) * p_values[index]))
        adjusted[index] = reached
    return adjusted


def tellable(smallest: Sequence[float], level: float) -> list[bool]:
    """Tell which of many tests could reject at all, given each one's least possible p-value.

    Those that could not need not be counted in the correction. They are found without a look at
    the data: with the least k such that at most k tests can reach ``level / k``, these are they.

    References
    ----------
    Tarone, *Biometrics* 46, 1990.
    """
    tests = 1
    while sum(p <= level / tests for p in smallest) > tests:
        tests += 1
    return [p <= level / tests for p in smallest]


def _ways(ranks: Int[np.ndarray, " values"], n: int) -> Float[np.ndarray, " sums"]:
    """Return how many choices of ``n`` of the ranks have each sum."""
    ways = np.zeros((n + 1, ranks.sum() + 1))
    ways[0, 0] = 1
    for rank in ranks:
        ways[1:, rank:] += ways[:-1, :-rank].copy()
    return ways[n]
