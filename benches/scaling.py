"""How a time grows with the size of the problem: an exponent, and how sure it is.

``seconds ∝ size ** p`` is a straight line on logarithmic axes. It is fitted to the largest sizes,
where the fixed part of a call has become small; for n log n, say, the slope there is a little above
1. Which fact of a bench is its size is written here, `QUESTIONS`.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from scipy import stats

if TYPE_CHECKING:
    from collections.abc import Sequence

LARGEST = 4
"""Sizes that are fitted; with fewer than three there is no exponent."""

LEVEL = 0.95
"""Confidence of the interval."""


@dataclass(frozen=True)
class Question:
    """What a bench's time grows with.

    Parameters
    ----------
    name
        The first word of the benches' groups.
    size
        The facts of ``extra_info`` whose product is the size.
    line
        The facts that are the same all along one line.
    """

    name: str
    size: tuple[str, ...]
    line: tuple[str, ...]


_WORK = ("channels", "channels", "channels", "cells")
QUESTIONS = (
    Question("convolution", ("samples",), ("method", "taps")),
    Question("filter gradient", ("samples",), ("method", "taps")),
    Question("spectrum", _WORK, ("method",)),
    Question("norm", _WORK, ("method",)),
    Question("diagnose", ("cells",), ("method", "filters", "depth")),
    Question("diagnose", ("depth",), ("method", "filters", "cells")),
    Question("audit", ("depth",), ("method", "cells")),
    Question("audit", ("cells",), ("method", "depth")),
)


@dataclass(frozen=True)
class Exponent:
    """A fitted exponent.

    Parameters
    ----------
    exponent
        p of ``seconds ∝ size ** p``.
    low, high
        Its confidence interval, for times that scatter about the line.
    sizes
        What was fitted.
    """

    exponent: float
    low: float
    high: float
    sizes: tuple[int, ...]


def fit(times: dict[int, float]) -> Exponent | None:
    """Fit an exponent to the largest sizes by least squares through the logarithms.

    The interval is that of the slope for independent normal errors of the logarithms, with a
    t-quantile of two degrees of freedom less than there are sizes.

    Parameters
    ----------
    times
        Seconds by size.

    Returns
    -------
    Exponent or None
        None for fewer than three sizes.

    References
    ----------
    Draper and Smith, *Applied Regression Analysis*, 3rd ed., 1998, section 1.4.
    """
    sizes = sorted(times)[-LARGEST:]
    if len(sizes) < 3:
        return None
    line = stats.linregress(
        [math.log(size) for size in sizes], [math.log(times[size]) for size in sizes]
    )
    half = float(stats.t.ppf((1 + LEVEL) / 2, len(sizes) - 2)) * line.stderr
    return Exponent(line.slope, line.slope - half, line.slope + half, tuple(sizes))


def fits(benchmarks: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the exponents of all lines of a bench run, with what tells them apart.

    Parameters
    ----------
    benchmarks
        As pytest-benchmark saves them.
    """
    return [
        {"question": question.name, "size": question.size, "line": dict(line)} | asdict(exponent)
        for question in QUESTIONS
        for line, times in _lines(question, benchmarks).items()
        if (exponent := fit(times))
    ]


def _lines(
    question: Question, benchmarks: Sequence[dict[str, Any]]
) -> dict[tuple[tuple[str, Any], ...], dict[int, float]]:
    """Return the seconds by size of each line of a question."""
    lines: dict[tuple[tuple[str, Any], ...], dict[int, float]] = defaultdict(dict)
    for bench in benchmarks:
        if bench["group"].partition(",")[0] == question.name:
            facts = bench["extra_info"]
            line = tuple((fact, facts[fact]) for fact in ("device", *question.line))
            size = math.prod(facts[fact] for fact in question.size)
            lines[line][size] = bench["stats"]["median"]
    return lines
