"""``claims``: what the reports claim, and what the trials say about it."""

from __future__ import annotations

import difflib
import json
import shlex
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from theory.commands import options
from theory.commands.targets import BadInputError
from theory.ledger.claims import KINDS
from theory.ledger.claims import claims as _claims
from theory.ledger.tally import Settled
from theory.ledger.trials import VERDICTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from theory.ledger.claims import Claim

EXAMPLES = """
**Examples**

- `python -m theory claims relu homogeneity`

- `python -m theory claims --report tp1-cnn --kind formula`

- `pytest theory --verdicts verdicts.json`, then
  `python -m theory claims --verdicts verdicts.json --verdict refuted`

- `python -m theory claims nni-2023-ex1-t3a-relu --verdicts verdicts.json`
"""

_PACKAGE = Path(__file__).resolve().parents[1]
_MEASURED = "by runs"
_UNKNOWN = "no verdict"


def claims(
    words: Annotated[
        list[str] | None,
        typer.Argument(help="A claim's id, to show it; or words, to find claims with all of them."),
    ] = None,
    report: Annotated[str | None, typer.Option(help="Only claims of this report.")] = None,
    kind: Annotated[
        str | None, typer.Option(help=f"Only claims of this kind: {', '.join(KINDS)}.")
    ] = None,
    verdict: Annotated[
        str | None,
        typer.Option(
            help=f"Only claims with this verdict: {', '.join(VERDICTS)}; needs --verdicts."
        ),
    ] = None,
    verdicts: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What `pytest theory --verdicts FILE` wrote."),
    ] = None,
    as_json: options.JsonOption = False,
) -> None:
    """List the claims of the reports, search them, or show one with its verdict and evidence."""
    ledger = _claims()
    _require_known("--report", report, sorted({claim.report for claim in ledger.values()}))
    _require_known("--kind", kind, KINDS)
    _require_known("--verdict", verdict, VERDICTS)
    if verdict is not None and verdicts is None:
        raise BadInputError(
            f"--verdict needs --verdicts FILE, which `pytest {_trials()} --verdicts FILE` writes"
        )
    settled = {} if verdicts is None else _read(verdicts)
    words = words or []
    found = [
        claim
        for claim in ledger.values()
        if report in (None, claim.report)
        and kind in (None, claim.kind)
        and (verdict is None or (claim.id in settled and settled[claim.id].verdict == verdict))
        and (words == [claim.id] or all(word.lower() in _text(claim) for word in words))
    ]
    found = [claim for claim in found if words == [claim.id]] or found
    if not found:
        raise BadInputError(f"no claim fits{_nearest(words, ledger)}")
    if as_json:
        report_of = [_data(claim, settled.get(claim.id)) for claim in found]
        print(json.dumps(report_of, indent=2, ensure_ascii=False))
        return
    out = options.console()
    if len(found) == 1:
        out.print(_shown(found[0], settled.get(found[0].id)))
    else:
        out.print(_listed(found, settled if verdicts is not None else None))
        out.print(f"\n{len(found)} of {len(ledger)} claims", style="dim")
    if verdicts is None:
        how = f"For verdicts, {_how_to_judge()}"
        out.print(how, style="dim", markup=False, soft_wrap=True)  # a path is copied whole


def _how_to_judge() -> str:
    return f"run `pytest {_trials()} --verdicts verdicts.json` and give that file."


def _trials() -> str:
    """Return what pytest is to be given to run the trials: their folder, as one would type it.

    Outside of a checkout pytest knows neither a folder of that name nor the option, which comes
    with the `conftest.py` in it.
    """
    return "theory" if Path("theory").resolve() == _PACKAGE else shlex.quote(str(_PACKAGE))


def _read(path: Path) -> dict[str, Settled]:
    """Read the verdicts that a run of the trials wrote."""
    try:
        entries = json.loads(path.read_text("utf-8"))
        if not isinstance(entries, dict) or not entries:
            raise TypeError("expected an object with an entry for each claim that was settled")
        names = [field.name for field in fields(Settled)]
        for claim, entry in entries.items():
            if not isinstance(entry, dict) or entry.keys() != {*names}:
                raise TypeError(f"expected an object for {claim!r} that has {', '.join(names)}")
        settled = {claim: Settled(**entry) for claim, entry in entries.items()}
    except OSError as error:
        raise BadInputError(
            f"--verdicts {path}: not read: {error.strerror}; {_how_to_judge()}"
        ) from error
    except (ValueError, TypeError) as error:
        raise BadInputError(
            f"--verdicts {path}: not what `pytest theory --verdicts` writes: {error}"
        ) from error
    if strangers := sorted(settled.keys() - _claims().keys()):
        raise BadInputError(f"--verdicts {path}: no claim has the id {strangers[0]!r}")
    return settled


def _require_known(option: str, value: str | None, known: Sequence[str]) -> None:
    if value is not None and value not in known:
        raise BadInputError(f"{option} {value!r} is unknown: give one of {', '.join(known)}")


def _text(claim: Claim) -> str:
    return f"{claim.id} {claim.where} {claim.statement}".lower()


def _nearest(words: Sequence[str], ledger: Mapping[str, Claim]) -> str:
    """Name the claim whose id is nearest, if a single word looks like one."""
    near = difflib.get_close_matches(words[0], ledger, n=1) if len(words) == 1 else []
    return f" {words[0]!r}: did you mean {near[0]}?" if near else ": give fewer words or filters"


def _verdict(claim: Claim, settled: Settled | None) -> str:
    if settled is not None:
        return settled.verdict
    return _MEASURED if claim.empirical else _UNKNOWN


def _listed(found: Sequence[Claim], settled: Mapping[str, Settled] | None) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("claim", overflow="fold", max_width=34)
    if settled is not None:
        table.add_column("verdict", no_wrap=True)
        table.add_column("certainty", no_wrap=True)
    table.add_column("statement")
    for claim in found:
        known = [] if settled is None else _judged(claim, settled.get(claim.id))
        table.add_row(claim.id, *known, Text(claim.statement))
    return table


def _judged(claim: Claim, settled: Settled | None) -> list[str]:
    return [_verdict(claim, settled), (settled and settled.certainty) or ""]


def _shown(claim: Claim, settled: Settled | None) -> Table:
    """Return everything that is known of one claim, a row each."""
    rows: dict[str, str | None] = {
        "claim": claim.id,
        "report": f"{claim.report}, {claim.where}",
        "kind": claim.kind,
        "statement": claim.statement,
        "reported": None if claim.reported is None else json.dumps(claim.reported),
        "not stated": claim.not_stated,
        "conflicts with": "\n".join(claim.conflicts_with),
        "verdict": _verdict(claim, settled),
    }
    if settled is not None:
        rows["certainty"] = settled.certainty
        rows["correction"] = settled.correction
        opens = settled.verdict == "undecided"
        rows["would settle it" if opens else "condition"] = settled.condition
        rows["trials"] = "\n".join(settled.trials)
    elif claim.empirical:
        rows["verdict"] = f"{_MEASURED}, see `python -m experiments report {claim.report}`"
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows.items():
        if value:
            table.add_row(name, Text(value))
    return table


def _data(claim: Claim, settled: Settled | None) -> dict[str, Any]:
    return {**asdict(claim), "settled": None if settled is None else asdict(settled)}
