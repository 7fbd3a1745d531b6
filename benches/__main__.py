"""Command line: ``python -m benches compare OLD.json NEW.json``."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from theory.command_line import ended_by_interrupts, run_command_line, table_width

with ended_by_interrupts():
    import typer
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from benches import comparison

if TYPE_CHECKING:
    from benches.comparison import Change, Comparison

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
out = Console(width=table_width())


@app.callback()
def benches() -> None:
    """Read what runs of the benches saved."""


@app.command()
def compare(
    old: Annotated[Path, typer.Argument(help="JSON of a bench run.")],
    new: Annotated[Path, typer.Argument(help="JSON of a later one on the same machine.")],
    margin: Annotated[float, typer.Option(help="What counts as no change: 0.1 is 10 %.")] = 0.1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Tell what got slower, by a rank test on the rounds; the exit code is 1 if anything did.

    Third-party peers of one version do not count: they show how much the machine differed.
    """
    found = comparison.compare(comparison.read(old), comparison.read(new), margin)
    if as_json:
        changes = [{**asdict(change), "ratio": change.ratio} for change in found.changes]
        print(json.dumps({**asdict(found), "changes": changes, "ratio": found.ratio}, indent=1))
    else:
        _print(found, margin)
    sys.exit(any(change.verdict == "slower" for change in found.own))


def _print(found: Comparison, margin: float) -> None:
    of = _by_verdict(found.own)
    changed = sorted(of["slower"] + of["faster"], key=lambda change: -change.ratio)
    untold = [change for change in of["cannot tell"] if _is_worth_a_word(change, margin)]
    if changed or untold:
        out.print(_table(changed + sorted(untold, key=lambda change: -change.ratio)))
    counts = ", ".join(f"{len(changes)} {verdict}" for verdict, changes in of.items())
    out.print(f"{len(found.own)} benches of the project's own: {counts}")
    out.print(f"median ratio of all {len(found.changes)}: {found.ratio:.2f}")
    if found.controls:
        _print_controls(found)
    for names, run in ((found.only_old, "old"), (found.only_new, "new")):
        if names:
            out.print(f"only in the {run} run: {len(names)}")
    for note in found.notes:
        out.print(f"note: {note}")
    out.print(
        f"Mann-Whitney U on the single rounds, for changes of more than {margin:.0%}; p-values "
        f"adjusted after Holm, told at {comparison.SIGNIFICANCE:g}. Rounds share the moment of "
        "their run: that a machine was slower in one is no error that the test knows of. Of "
        "benches that ran too few rounds, or did another amount of work, nothing can be told.",
        style="dim",
    )


def _print_controls(found: Comparison) -> None:
    of = _by_verdict(found.controls)
    changed = len(of["slower"] + of["faster"])
    beside = sum(change.peers is not None for change in found.own)
    out.print(
        f"{len(found.controls)} third-party peers of unchanged versions: {len(of['slower'])} "
        f"slower, {len(of['faster'])} faster; {beside} of the benches above are judged beside them"
    )
    if changed:
        out.print(
            "warning: nothing here changed those peers, so the machine differed between the runs; "
            "what is judged by its seconds alone may have changed for the same reason"
        )


def _by_verdict(changes: list[Change]) -> dict[str, list[Change]]:
    return {
        verdict: [change for change in changes if change.verdict == verdict]
        for verdict in ("slower", "faster", "no change seen", "cannot tell")
    }


def _is_worth_a_word(change: Change, margin: float) -> bool:
    """Whether a bench that cannot be told would have changed, by its medians, or did other work."""
    within = 1 / (1 + margin) <= change.ratio <= 1 + margin
    return change.reason == comparison.OTHER_WORK or not within


def _table(changes: list[Change]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("bench", overflow="fold")
    for head in ("old (s)", "new (s)", "ratio", "of peers", "p"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("")
    for change in changes:
        comparable = change.reason != comparison.OTHER_WORK
        table.add_row(
            _short(change.name),
            f"{change.old:.3g}",
            f"{change.new:.3g}",
            f"{change.ratio:.2f}" if comparable else "–",
            "–" if change.peers is None else f"{change.peers:.2f}",
            "–" if change.p is None else f"{change.p:.1g}",
            f"{change.verdict}: {change.reason}" if change.reason else change.verdict,
        )
    return table


def _short(name: str) -> str:
    """Leave out what all benches share, and what rich would take for markup."""
    return name.rpartition("::")[2].removeprefix("test_").replace("[", r"\[")


def main() -> None:
    """Run the command line."""
    run_command_line(app, comparison.BadResultsError)


if __name__ == "__main__":
    main()
