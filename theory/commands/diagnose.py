"""``diagnose``: what an operator is, as a table, as JSON, as a figure."""

from __future__ import annotations

import json
import re
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from theory.commands import options
from theory.commands.targets import (
    BadInputError,
    operator,
    parsed_axes,
    parsed_boundary,
    parsed_dtype,
    parsed_kwargs,
    parsed_shape,
    refusals,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from theory.diagnosis import Diagnosis

EXAMPLES = """
**Examples**

- `python -m theory diagnose torch.nn:ReLU --shape 8`

- `python -m theory diagnose torch.nn:MaxPool2d --shape 1,4,4 --kwargs '{"kernel_size": 2}'`

- `python -m theory diagnose numpy.fft:fft --shape 8 --json`

- `python -m theory diagnose torch.nn:AvgPool1d --kwargs '{"kernel_size": 2}' --boundary interior`

- `python -m theory diagnose mypackage.layers:BlurPool`
"""


def diagnose(
    target: Annotated[
        str, typer.Argument(help="What to diagnose, as module:attribute, e.g. torch.nn:ReLU.")
    ],
    shape: Annotated[
        str | None,
        typer.Option(help="One input without batch: 8, or 3,32,32 (channel first)."),
    ] = None,
    kwargs: options.KwargsOption = "{}",
    boundary: Annotated[
        str,
        typer.Option(help="circular: shifts wrap. interior: the border is found and left out."),
    ] = "circular",
    axes: Annotated[
        str | None,
        typer.Option(
            help="Axes of --shape that are shifted, e.g. 0 or 1,2. Default: all but the channel."
        ),
    ] = None,
    dtype: Annotated[
        str,
        typer.Option(help="float64, or float32 for operators in single precision."),
    ] = "float64",
    budget: Annotated[
        int | None,
        typer.Option(min=1, help="How many inputs any one question may try. Default: 16384."),
    ] = None,
    seed: options.SeedOption = 0,
    as_json: options.JsonOption = False,
    figure: Annotated[
        Path | None, typer.Option(help="Draw kernel and witness into this SVG file.")
    ] = None,
) -> None:
    """Say whether an operator is linear, affine, shift-equivariant, LTI; with a witness if not.

    A class is instantiated with --kwargs and the seed; a function or a module is used as it is.
    Without --shape the first default that fits is taken.
    """
    if figure is not None and (figure.suffix != ".svg" or not figure.resolve().parent.is_dir()):
        raise BadInputError(f"--figure {figure}: expected a .svg file in an existing folder")
    judged_on, precision = parsed_boundary(boundary), parsed_dtype(dtype)
    with redirect_stdout(sys.stderr):  # what an operator prints is no part of the diagnosis
        op = operator(target, parsed_kwargs(kwargs), seed)
    sizes = None if shape is None else parsed_shape(shape)
    settings: dict[str, Any] = {
        "boundary": judged_on,
        "axes": parsed_axes(axes),
        "dtype": precision,
        "seed": seed,
    }
    if budget is not None:
        settings["budget"] = budget
    working = options.working(f"diagnosing {target}", Console(stderr=True))
    with refusals(shape), redirect_stdout(sys.stderr), working:
        diagnosis = _diagnosis(op, sizes, settings)
    if figure is not None:
        _drawn(diagnosis, figure)
    if as_json:
        report = {"target": target, "default_shape": shape is None, **diagnosis.to_dict()}
        print(json.dumps(report, indent=2, allow_nan=False))
        return
    if shape is None:
        size = ",".join(map(str, diagnosis.shape))
        print(f"No --shape given: the first default that fits is --shape {size}.")
    options.console().print(diagnosis)


def _drawn(diagnosis: Diagnosis, path: Path) -> None:
    """Write the figure; matplotlib is imported by those only who want one."""
    from theory.figure import svg

    try:
        path.write_text(svg(diagnosis), "utf-8")
    except OSError as error:
        raise BadInputError(f"--figure {path}: not written: {error}") from error


def _diagnosis(
    op: Callable[..., Any], shape: tuple[int, ...] | None, settings: dict[str, Any]
) -> Diagnosis:
    from theory import diagnosis  # PyTorch takes seconds to import

    if shape is not None:
        return diagnosis.diagnose(op, shape, **settings)
    refusals = []
    for sizes in _default_shapes(op):
        try:
            return diagnosis.diagnose(op, sizes, **settings)
        except ValueError as error:
            refusals.append(error)
    raise ValueError(f"no default shape fits, give --shape; last tried: {refusals[-1]}")


def _default_shapes(op: Callable[..., Any]) -> Iterator[tuple[int, ...]]:
    """Yield small shapes, those first that the layer's own numbers and its name speak for."""
    channels = getattr(op, "in_channels", getattr(op, "num_features", 1))
    cells = getattr(op, "in_features", 8)
    named = re.search(r"([123])d$", type(op).__name__)
    shapes = [(cells,), (channels, 8), (channels, 8, 8), (channels, 4, 4, 4)]
    if named:
        yield shapes[int(named[1])]
    yield from shapes
    yield 3, 8, 8
