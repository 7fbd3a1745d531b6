"""What a bench run left behind: its JSON, read and asked question by question."""

from __future__ import annotations

import json
import statistics
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

Results = dict[str, Any]
"""What pytest-benchmark saved, as `load` reads it."""

Bench = dict[str, Any]


def load(path: Path) -> Results:
    """Read the results of a bench run.

    Parameters
    ----------
    path
        What ``pytest benches --benchmark-only --benchmark-json PATH`` wrote.

    Raises
    ------
    ValueError
        If the file does not hold such results.
    """
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
        results["machine_info"], results["datetime"]
        for bench in results["benchmarks"]:
            bench["group"], bench["extra_info"]["hardware"], bench["stats"]["median"]
    except (ValueError, KeyError, TypeError):
        raise ValueError(
            f"{path} does not hold the results of a bench run: write it again with "
            f"pytest benches --benchmark-only --benchmark-json {path}"
        ) from None
    return results


def of(results: Results, question: str, facts: Iterable[str] = ()) -> list[Bench]:
    """Return the benches of a question, which is the first word of their groups.

    Parameters
    ----------
    results
        As from `load`.
    question
        ``"training"``, say; without an answer the list is empty.
    facts
        What each of them has to know.

    Raises
    ------
    ValueError
        If one lacks a fact: it was measured before the bench wrote it down.
    """
    benches = [b for b in results["benchmarks"] if b["group"].partition(",")[0] == question]
    return knowing(benches, question, facts)


def knowing(benches: list[Bench], question: str, facts: Iterable[str]) -> list[Bench]:
    """Return the benches of a question, each of which has to know these facts; raises as `of`."""
    for bench in benches:
        for fact in facts:
            if fact not in bench["extra_info"]:
                raise ValueError(
                    f"the stored results of {question} lack the fact {fact!r}: they are stale; "
                    "write them again with pytest benches --benchmark-only"
                )
    return benches


def chosen(benches: Iterable[Bench], **facts: Any) -> list[Bench]:
    """Return the benches with these facts."""
    return [bench for bench in benches if facts.items() <= bench["extra_info"].items()]


def values(benches: Iterable[Bench], fact: str) -> list[Any]:
    """Return what a fact takes on, in order of appearance."""
    return list(dict.fromkeys(bench["extra_info"][fact] for bench in benches))


def speed(bench: Bench) -> float:
    """Return the images per second of a bench that trains, in its median round."""
    return bench["extra_info"]["images"] / bench["stats"]["median"]


def gains(bench: Bench, base: Bench) -> list[float]:
    """Return how many times as fast as another one a bench trains, in each round that they shared.

    Both were timed in turns: a moment in which the machine was slow leaves their ratio alone.
    """
    more = bench["extra_info"]["images"] / base["extra_info"]["images"]
    pairs = zip(base["stats"]["data"], bench["stats"]["data"], strict=True)
    return [more * before / after for before, after in pairs]


def gain(bench: Bench, base: Bench) -> float:
    """Return how many times as fast as another a bench trains, in the median of their rounds."""
    return statistics.median(gains(bench, base))


def times(bench: Bench, peer: Bench) -> float:
    """Return how many times as long as a peer a bench took, in the median of their rounds."""
    pairs = zip(bench["stats"]["data"], peer["stats"]["data"], strict=True)
    return statistics.median(one / other for one, other in pairs)


def fastest_product(results: Results, device: str, precision: str) -> float | None:
    """Return the GFLOP/s of the fastest matrix product on a device, if one was measured there."""
    products = of(results, "gemm", ("gflops", "precision"))
    same = chosen(products, device=device, precision=precision)
    return max((product["extra_info"]["gflops"] for product in same), default=None)


def fastest_convolutions(
    results: Results, network: str, device: str, precision: str
) -> float | None:
    """Return the GFLOP/s of a network's convolutions alone, in the better memory order."""
    layers = of(results, "layer", ("gflops", "network", "precision"))
    same = chosen(layers, network=network, device=device, precision=precision)
    return max((layer["extra_info"]["gflops"] for layer in same), default=None)


def run_described(results: Results) -> str:
    """Return when a run was made, how long it took, and what else the machine had to do then."""
    told = f"The run that is shown below is of {results['datetime'][:10]}"
    if "seconds" in results:
        told += f" and took {results['seconds']:.0f} s"
    load, cpus = (results["machine_info"].get(fact) for fact in ("load", "cpus"))
    if load is None or cpus is None:
        return f"{told}."
    wanted = f"{load:.1f} other programs, on average, ran on the {cpus} cores or waited for one"
    return f"{told}. When it began, {wanted}."


def conditions(results: Results, benches: list[Bench]) -> str:
    """Return where the times come from, for a caption: processor, threads, versions, date."""
    first = benches[0]["extra_info"]
    threads = f"{first['threads']} thread{'s' * (first['threads'] > 1)}"
    return (
        f"{' and '.join(values(benches, 'hardware'))}, {threads}; Python {first['python']}, "
        f"PyTorch {first['torch']}, NumPy {first['numpy']}, SciPy {first['scipy']}; "
        f"{results['datetime'][:10]}"
    )
