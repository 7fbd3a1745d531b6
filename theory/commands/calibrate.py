"""``calibrate``: measure once what methods cost here, for ``method="auto"`` to choose by."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from theory.commands import options
from theory.commands.targets import BadInputError
from theory.methods.costs import PLACE, costs_file


def calibrate(
    path: Annotated[
        Path | None,
        typer.Option(help=f"Where to keep the costs; {PLACE} then has to name the file."),
    ] = None,
    as_json: options.JsonOption = False,
) -> None:
    """Measure what the ways of convolving cost on this machine, in about ten seconds.

    From then on, the functions of `theory` that take `method="auto"` choose by these costs; until
    then they choose by those of another machine. Let nothing else run meanwhile.
    """
    from theory.methods import calibration  # SciPy's fits take a second to import

    target = path or costs_file()
    try:
        costs = calibration.calibrate(target)
    except OSError as error:
        raise BadInputError(
            f"cannot write {target}: {error.strerror}; name another --path"
        ) from error
    if target != costs_file():
        print(f"set {PLACE}={target} to have them used", file=sys.stderr)
    if as_json:
        print(json.dumps({"path": str(target), "seconds": asdict(costs)}, indent=2))
    else:
        print(f"costs of this machine are kept in {target}")
