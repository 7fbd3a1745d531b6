"""Command line: ``python -m theory COMMAND``; each command is in ``theory.commands``."""

from __future__ import annotations

from theory.command_line import ended_by_interrupts, run_command_line

with ended_by_interrupts():
    import typer

    from theory.commands import audit, calibrate, claims, diagnose
    from theory.commands.targets import BadInputError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Put operators on trial: what a layer or a model really is, with proofs and witnesses.",
)
app.command(epilog=diagnose.EXAMPLES)(diagnose.diagnose)
app.command(epilog=audit.EXAMPLES)(audit.audit)
app.command(epilog=claims.EXAMPLES)(claims.claims)
app.command()(calibrate.calibrate)


def main() -> None:
    """Run the command line."""
    run_command_line(app, BadInputError)


if __name__ == "__main__":
    main()
