"""Command line: ``python -m experiments COMMAND``; each command is in ``experiments.commands``."""

from __future__ import annotations

from theory.command_line import ended_by_interrupts, run_command_line

with ended_by_interrupts():
    import typer

    from experiments.commands import (
        compare,
        cost,
        files,
        plan,
        portrait,
        precision,
        race,
        results,
        run,
        status,
    )
    from experiments.errors import InputError, SweepError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help=(
        "Regenerate the reports' results: run what is missing from the store of records, then "
        "compare what was measured with what was reported."
    ),
)
app.command("list")(results.list_)
app.command()(run.run)
app.command()(status.status)
app.command()(plan.plan)
app.command()(results.report)
app.command()(results.show)
app.command()(compare.compare)
app.command()(precision.precision)
app.command()(cost.cost)
app.command()(race.race)
app.command()(files.figures)
app.command()(files.export)
app.command()(portrait.portrait)


def main() -> None:
    """Run the command line."""
    run_command_line(app, InputError, SweepError)


if __name__ == "__main__":
    main()
