"""Two runs of the benches held against each other: what got slower, as a rank test tells it.

The rounds of one run share its moment: what else the machine did, how warm it was. A test on the
rounds alone would call that a change. So it is asked whether a bench changed by more than a margin,
by holding the old times against the new ones divided by it.

Two runs have two moments, and no test on their rounds tells a slower machine from a slower program.
Third-party peers of one version can: nothing here changes them. They are the controls. What became
of them is said, and a bench of ours with such peers in its group, which took turns with it, is
judged by its times over how many times as long as before they took in the same round.
"""

from __future__ import annotations

import json
import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from benches import controls, rank_test

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Results = dict[str, Any]
"""What a bench run saved, as `read` gives it."""

Verdict = Literal["slower", "faster", "no change seen", "cannot tell"]

SIGNIFICANCE = 0.05
"""Probability of calling any bench slower or faster where none changed by more than the margin."""

TOO_FEW, OTHER_WORK = "too few rounds", "another amount of work"
"""Why nothing can be told of a bench."""

_VERSIONS = ("python", "torch", "numpy", "scipy")
_BUSY = 0.5
"""Load average before a run that is worth a word: half a core's work."""

_OF_A_MOMENT = ("python_version", "load")
"""What is known of a machine that may differ from run to run."""


class BadResultsError(ValueError):
    """Files that cannot be compared; the message is one line that says why and what to do."""


@dataclass(frozen=True)
class Change:
    """What became of one bench.

    Parameters
    ----------
    name
        Which, as pytest names it.
    old, new
        Median time of one call (s).
    verdict
        ``cannot tell`` where there were too few rounds, or another amount of work was done.
    p
        Adjusted for the number of benches; None where nothing can be told.
    reason
        Why nothing can be told, if so.
    control
        Whether it is a third-party peer of the same version in both runs.
    peers
        How many times as long as before the controls beside it took, if it was judged beside some.
    """

    name: str
    old: float
    new: float
    verdict: Verdict
    p: float | None
    reason: str = ""
    control: bool = False
    peers: float | None = None

    @property
    def ratio(self) -> float:
        """New median over old: above 1 is slower."""
        return self.new / self.old


@dataclass(frozen=True)
class Comparison:
    """All changes, the benches that only one run has, and what to know beside them."""

    changes: tuple[Change, ...]
    only_old: tuple[str, ...]
    only_new: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def own(self) -> list[Change]:
        """The changes of what is no control."""
        return [change for change in self.changes if not change.control]

    @property
    def controls(self) -> list[Change]:
        """The changes of third-party peers whose version is the same."""
        return [change for change in self.changes if change.control]

    @property
    def ratio(self) -> float:
        """Median of the ratios: far from 1 where the whole run was slower or faster."""
        return statistics.median(change.ratio for change in self.changes)


def read(path: Path) -> Results:
    """Read what a bench run saved.

    Raises
    ------
    BadResultsError
        If there is no such file, or it holds no single times of benches.
    """
    again = f"write it with pytest benches --benchmark-only --benchmark-json {path}"
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadResultsError(f"{path} cannot be read ({error.strerror}); {again}") from None
    except ValueError:
        raise BadResultsError(f"{path} is not JSON; {again}") from None
    try:
        results["machine_info"]["processor"]
        times = {
            (bench["fullname"], bench["group"], bench["extra_info"]["threads"]): [
                bench["stats"]["median"],
                *bench["stats"]["data"],
            ]
            for bench in results["benchmarks"]
        }
        untimed = [
            name
            for (name, *_), (median, *single) in times.items()
            if not single or not all(0 < each < math.inf for each in (median, *single))
        ]
    except (KeyError, TypeError):
        raise BadResultsError(
            f"{path} does not hold the single times of a bench run; {again}"
        ) from None
    if not results["benchmarks"]:
        raise BadResultsError(f"{path} holds no bench; {again}")
    if untimed:
        raise BadResultsError(f"{path} holds no finite times above 0 of {untimed[0]}; {again}")
    return results


def compare(old: Results, new: Results, margin: float) -> Comparison:
    """Hold two runs against each other, bench by bench.

    Parameters
    ----------
    old, new
        As from `read`.
    margin
        What does not count as a change: 0.1 for 10 %.

    Raises
    ------
    BadResultsError
        If the margin is not a finite number from 0 up, or they were not measured on the same
        machine with as many threads, or share no bench.
    """
    if not 0 <= margin < math.inf:
        raise BadResultsError(f"the margin is {margin:g}: give a finite one, as 0.1 for 10 %")
    _check_machine(old, new)
    before, after = (
        {bench["fullname"]: bench for bench in results["benchmarks"]} for results in (old, new)
    )
    pairs = [(before[name], after[name]) for name in before if name in after]
    if not pairs:
        raise BadResultsError("the two files share no bench: compare runs of the same ones")
    for a, b in pairs:
        if (one := a["extra_info"]["threads"]) != (other := b["extra_info"]["threads"]):
            raise BadResultsError(
                f"{a['name']} ran on {one} threads, then on {other}: run both on as many"
            )
        one, other = (each["extra_info"].get("hardware") for each in (a, b))
        if one != other:
            raise BadResultsError(f"{a['name']} ran on {one}, then on {other}: run both on one")
    return Comparison(
        changes=tuple(_changes(pairs, margin)),
        only_old=tuple(name for name in before if name not in after),
        only_new=tuple(name for name in after if name not in before),
        notes=tuple(_notes(old, new, pairs)),
    )


def _check_machine(old: Results, new: Results) -> None:
    both = old["machine_info"].keys() & new["machine_info"].keys()
    for fact in sorted(both - {*_OF_A_MOMENT}):
        one, other = (results["machine_info"][fact] for results in (old, new))
        if one != other:
            raise BadResultsError(
                f"two machines cannot be compared ({fact}: {one} and {other}): "
                "run both sources on one"
            )


def _changes(pairs: list[tuple[Results, Results]], margin: float) -> Iterator[Change]:
    tellable = rank_test.tellable([_smallest_p_value(*pair) for pair in pairs], SIGNIFICANCE)
    slowdowns = [controls.slowdowns(pair, pairs) for pair in pairs]
    sides = {
        pair[0]["fullname"]: _p_values(*controls.judged(pair, slowed), margin)
        for pair, slowed, tell in zip(pairs, slowdowns, tellable, strict=True)
        if tell
    }
    adjusted = rank_test.holm([_two_sided(*side) for side in sides.values()])
    told = dict(zip(sides, adjusted, strict=True))
    for (old, new), slowed in zip(pairs, slowdowns, strict=True):
        p = told.get(old["fullname"])
        verdict: Verdict = "no change seen"
        reason = ""
        if p is None:
            verdict, reason = "cannot tell", TOO_FEW if controls.same_work(old, new) else OTHER_WORK
        elif p <= SIGNIFICANCE:
            slower, faster = sides[old["fullname"]]
            verdict = "slower" if slower < faster else "faster"
        yield Change(
            old["fullname"],
            old["stats"]["median"],
            new["stats"]["median"],
            verdict,
            p,
            reason,
            control=controls.is_control(old, new),
            peers=statistics.median(slowed[1]) if slowed else None,
        )


def _smallest_p_value(old: Results, new: Results) -> float:
    """Return the least p-value that the numbers of rounds allow; 1 where the work is another."""
    if not controls.same_work(old, new):
        return 1.0
    one_sided = rank_test.smallest_p_value(len(controls.times_of(old)), len(controls.times_of(new)))
    return _two_sided(one_sided, 1.0)


def _p_values(old: list[float], new: list[float], margin: float) -> tuple[float, float]:
    """Return the p-values that a bench got slower, and faster, by more than the margin."""
    factor = 1 + margin
    return (
        rank_test.p_value([time / factor for time in new], old),
        rank_test.p_value(old, [time * factor for time in new]),
    )


def _two_sided(slower: float, faster: float) -> float:
    return min(1.0, 2 * min(slower, faster))


def _notes(old: Results, new: Results, pairs: list[tuple[Results, Results]]) -> Iterator[str]:
    for fact in _VERSIONS:
        found = {(a["extra_info"].get(fact), b["extra_info"].get(fact)) for a, b in pairs}
        for one, other in sorted(found, key=str):
            if one != other:
                yield f"{fact} {one} became {other}"
    for when, results, other in (("old", old, new), ("new", new, old)):
        unsaid = other["machine_info"].keys() - results["machine_info"].keys()
        for fact in sorted(unsaid - {*_OF_A_MOMENT}):
            yield f"the {when} run does not say what the machine’s {fact} was"
        if results["machine_info"].get("load", 0.0) > _BUSY:
            load = results["machine_info"]["load"]
            yield f"the machine had other work when the {when} run began: a load of {load:.1f}"
        if results.get("commit_info", {}).get("dirty"):
            yield f"the {when} run measured a source with changes that were not committed"
