"""Command line: ``python -m benches compare OLD.json NEW.json``."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from benches import comparison

if TYPE_CHECKING:
    from benches.comparison import Change, Comparison

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
out = Console(width=None if sys.stdout.isatty() else 100)


@app.callback()
def benches() -> None:
    """Read what runs of the benches saved."""


@app.command()
def compare(
    old: Annotated[Path, typer.Argument(help="JSON of a bench run.")],
    new: Annotated[Path, typer.Argument(help="JSON of a later one on the same machine.")],
    margin: Annotated[
        float, typer.Option(min=0.0, help="What counts as no change: 0.1 is 10 %.")
    ] = 0.1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Tell what got slower, by a rank test on the rounds; exit code 1 if anything did."""
    found = comparison.compare(comparison.read(old), comparison.read(new), margin)
    if as_json:
        changes = [{**asdict(change), "ratio": change.ratio} for change in found.changes]
        print(json.dumps({**asdict(found), "changes": changes, "ratio": found.ratio}, indent=1))
    else:
        _print(found, margin)
    sys.exit(any(change.verdict == "slower" for change in found.changes))


def _print(found: Comparison, margin: float) -> None:
    of = {
        verdict: [change for change in found.changes if change.verdict == verdict]
        for verdict in ("slower", "faster", "no change seen", "cannot tell")
    }
    changed = sorted(of["slower"] + of["faster"], key=lambda change: -change.ratio)
    if changed:
        out.print(_table(changed))
    counts = ", ".join(f"{len(changes)} {verdict}" for verdict, changes in of.items())
    out.print(f"{len(found.changes)} benches: {counts}; median ratio {found.ratio:.2f}")
    for names, run in ((found.only_old, "old"), (found.only_new, "new")):
        if names:
            out.print(f"only in the {run} run: {len(names)}")
    for note in found.notes:
        out.print(f"note: {note}")
    out.print(
        f"Mann-Whitney U on the single rounds, for changes of more than {margin:.0%}; p-values "
        f"adjusted after Holm, told at {comparison.SIGNIFICANCE:g}. Benches that ran too few "
        "rounds for that, or did another amount of work, cannot be told.",
        style="dim",
    )


def _table(changes: list[Change]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("bench", overflow="fold")
    for head in ("old (s)", "new (s)", "ratio", "p"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for change in changes:
        figures = f"{change.old:.3g}", f"{change.new:.3g}", f"{change.ratio:.2f}", f"{change.p:.1g}"
        table.add_row(_short(change.name), *figures, change.verdict)
    return table


def _short(name: str) -> str:
    """Leave out what all benches share, and what rich would take for markup."""
    return name.rpartition("::")[2].removeprefix("test_").replace("[", r"\[")


def main() -> None:
    """Run the command line; what a user can mend becomes one line and exit code 2."""
    try:
        app()
    except comparison.BadResultsError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
