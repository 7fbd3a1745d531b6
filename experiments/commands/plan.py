"""``plan``: how many more seeds would decide what is open, and what they would cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text

from experiments.advice import how_to_seed
from experiments.commands import common
from experiments.findings import spoken
from experiments.prospects import MOST_SEEDS, prospects
from experiments.records import DEFAULT_STORE, Store

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from experiments.prospects import Prospect

_NOTE = (
    "as if further seeds had the mean and the spread of those there are, of which few seeds tell "
    "little. Decide how many to run before you run them, and count them all: who stops at the "
    "first verdict that pleases has chosen it. time: one run after the other."
)


def plan(
    reports: common.Reports = None,
    device: common.CountedDeviceOption = common.Device.cpu,
    store: common.StoreOption = DEFAULT_STORE,
    as_json: common.JsonOption = False,
) -> None:
    """Say how many more seeds would decide the undecided claims, the cheapest first.

    A claim is judged in several ways where its report leaves something open: under each completion,
    in each reading. One way that is reproduced is enough; to refute the claim takes all of them.
    """
    found = [
        each
        for study in common.studies(reports)
        for each in prospects(study, Store(store).records(study.name), device.value)
    ]
    found.sort(key=lambda each: each.order)
    if as_json:
        common.print_json([_data(each, store, device) for each in found])
        return
    for each in found:
        if each.seeds is not None:
            common.out.print(Text(f"{each.claim.claim} under {each.way.name}", "bold"))
            common.out.print(Text(f"  {_told(each)}"))
            common.out.print(Text(f"  {_command(each, store, device)}"), soft_wrap=True)
    far = [each for each in found if each.seeds is None]
    _list("too few to tell, for a spread takes two seeds", [x for x in far if x.without_spread])
    like_these = [each for each in far if not each.without_spread]
    _list(f"still open with {MOST_SEEDS} seeds like these", like_these)
    if found:
        common.out.print(Text(f"\n{_NOTE}", "dim"))
    else:
        common.out.print("nothing is open that was run: status says what was not")


def _told(found: Prospect) -> str:
    assert found.seeds is not None  # for the type checker: only those are listed
    still = ", the claim still undecided," * (found.claim_verdict == "undecided")
    runs = f"{found.runs} more run{'s' * (found.runs > 1)}"
    time = common.duration(found.seconds)
    return f"{spoken(found.verdict)}{still} with seeds 0 to {found.seeds - 1}: {runs}, {time}"


def _list(title: str, found: Sequence[Prospect]) -> None:
    if found:
        names = [f"  {each.claim.claim} under {each.way.name}" for each in found]
        common.out.print(f"{title}:", *names, sep="\n", soft_wrap=True)


def _command(found: Prospect, store: Path, device: common.Device) -> str:
    assert found.seeds is not None  # for the type checker: only those are listed
    names = [each.recipe.name for each in found.recipes]
    return how_to_seed(found.study.name, names, found.seeds, store, device.value)


def _data(found: Prospect, store: Path, device: common.Device) -> dict[str, Any]:
    return {
        "report": found.study.name,
        "claim": found.claim.claim,
        "completion": found.way.completion,
        "reading": found.way.reading,
        "seeds": found.seeds,
        "verdict": found.verdict,
        "claim_verdict": found.claim_verdict,
        "runs": {each.recipe.name: list(each.missing) for each in found.recipes},
        "seconds": found.seconds,
        "command": None if found.seeds is None else _command(found, store, device),
    }
