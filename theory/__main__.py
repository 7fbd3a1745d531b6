"""Command line: ``python -m theory diagnose`` and ``python -m theory audit``."""

from __future__ import annotations

import difflib
import functools
import importlib
import json
import re
import sys
from typing import TYPE_CHECKING, Annotated, Any

import torch
import typer
from rich.console import Console

from theory import audit, diagnose

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from theory import Diagnosis

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


class _BadInputError(Exception):
    """What the user can mend; the message is the one line that says how."""


@app.callback()
def _theory() -> None:
    """Put operators on trial: what a layer or a model really is, with proofs and witnesses."""


_EXAMPLES = """
**Examples**

- `python -m theory diagnose torch.nn:ReLU --shape 8`

- `python -m theory diagnose torch.nn:MaxPool2d --shape 1,4,4 --kwargs '{"kernel_size": 2}'`

- `python -m theory diagnose numpy.fft:fft --shape 8 --json`

- `python -m theory diagnose torch.nn:AvgPool1d --kwargs '{"kernel_size": 2}' --boundary interior`

- `python -m theory diagnose mypackage.layers:BlurPool`
"""


@app.command("diagnose", epilog=_EXAMPLES)
def diagnose_command(
    target: Annotated[
        str, typer.Argument(help="What to diagnose, as module:attribute, e.g. torch.nn:ReLU.")
    ],
    shape: Annotated[
        str | None,
        typer.Option(help="One input without batch: 8, or 3,32,32 (channel first)."),
    ] = None,
    kwargs: Annotated[
        str, typer.Option(help="Arguments of the class or function, as a JSON object.")
    ] = "{}",
    boundary: Annotated[
        str,
        typer.Option(help="circular: shifts wrap. interior: a border, found out, is left out."),
    ] = "circular",
    axes: Annotated[
        str | None,
        typer.Option(help="Axes of --shape that are shifted, e.g. 0 or 1,2; all but the channel."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Fixes random weights and random inputs.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Say whether an operator is linear, affine, shift-equivariant, LTI; or show a witness.

    A class is instantiated with --kwargs and the seed; a function or a module is used as it is.
    Without --shape the first default that fits is taken.
    """
    op = _operator(target, _parsed_kwargs(kwargs), seed)
    try:
        options = {"boundary": boundary, "axes": _parsed_axes(axes), "seed": seed}
        diagnosis = _diagnosis(op, shape, options)
    except (TypeError, ValueError) as error:
        raise _BadInputError(str(error)) from error
    if as_json:
        report = {"target": target, "default_shape": shape is None, **diagnosis.to_dict()}
        print(json.dumps(report, indent=2, allow_nan=False))
        return
    if shape is None:
        size = ",".join(map(str, diagnosis.shape))
        print(f"No --shape given: the first default that fits is --shape {size}.")
    Console(width=None if sys.stdout.isatty() else 100).print(diagnosis)


_AUDIT_EXAMPLES = """
**Examples**

- `python -m theory audit mypackage.nets:Net --shape 3,32,32`

- `python -m theory audit mypackage.nets:Net --kwargs '{"width": 64}' --shape 3,32,32 --json`
"""


@app.command("audit", epilog=_AUDIT_EXAMPLES)
def audit_command(
    target: Annotated[
        str, typer.Argument(help="A torch.nn.Module, as module:attribute, e.g. mypackage.nets:Net.")
    ],
    shape: Annotated[
        str | None,
        typer.Option(help="One input without batch: 8, or 3,32,32 (channel first). Needed."),
    ] = None,
    kwargs: Annotated[
        str, typer.Option(help="Arguments of the class or function, as a JSON object.")
    ] = "{}",
    seed: Annotated[int, typer.Option(min=0, help="Fixes random weights.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Say what a model does, layer by layer: shapes, parameters, costs, receptive fields.

    A class is instantiated with --kwargs and the seed, a function is called for its model, and a
    model is audited as it is.
    """
    if shape is None:
        raise _BadInputError("give --shape: one input without batch, as 3,32,32")
    model = _operator(target, _parsed_kwargs(kwargs), seed)
    if not isinstance(model, torch.nn.Module):
        model = _made(target, model, seed)
    try:
        facts = audit(model, _parsed_shape(shape))
    except (TypeError, ValueError) as error:
        raise _BadInputError(str(error)) from error
    if as_json:
        print(json.dumps({"target": target, **facts.to_dict()}, indent=2, allow_nan=False))
        return
    Console(width=None if sys.stdout.isatty() else 100).print(facts)


def _made(target: str, make: Callable[..., Any], seed: int) -> torch.nn.Module:
    """Call a function that builds a model."""
    torch.manual_seed(seed)
    try:
        model = make()
    except Exception as error:
        raise _BadInputError(f"{target} makes no model: {error}; give --kwargs") from error
    if not isinstance(model, torch.nn.Module):
        raise _BadInputError(
            f"{target} gives a {type(model).__name__}: name a torch.nn.Module, its class, or a "
            "function that returns one"
        )
    return model


def _parsed_kwargs(text: str) -> dict[str, Any]:
    try:
        kwargs = json.loads(text)
    except json.JSONDecodeError as error:
        raise _BadInputError(
            f"--kwargs {text!r} is not JSON ({error}): give an object like '{{\"kernel_size\": 2}}'"
        ) from error
    if not isinstance(kwargs, dict):
        raise _BadInputError(f"--kwargs {text!r} is no JSON object: give '{{\"name\": value}}'")
    return kwargs


def _operator(target: str, kwargs: dict[str, Any], seed: int) -> Callable[..., Any]:
    """Import the target; make an instance of a class, bind the arguments of a function."""
    found = _imported(target)
    if not callable(found):
        raise _BadInputError(f"{target} is a {type(found).__name__}, not a class or function")
    if not isinstance(found, type):
        return functools.partial(found, **kwargs) if kwargs else found
    torch.manual_seed(seed)
    try:
        instance = found(**kwargs)
    except Exception as error:
        raise _BadInputError(f"{target} cannot be made: {error}; give --kwargs") from error
    if not callable(instance):
        raise _BadInputError(f"{target} makes instances that cannot be called on an array")
    return instance


def _imported(target: str) -> object:
    module_name, colon, path = target.partition(":")
    if not (module_name and colon and path):
        raise _BadInputError(f"{target!r} is not module:attribute, as torch.nn:ReLU is")
    try:
        found: object = importlib.import_module(module_name)
    except Exception as error:
        raise _BadInputError(f"cannot import {module_name!r}: {error}") from error
    for name in path.split("."):
        if not hasattr(found, name):
            raise _BadInputError(f"{module_name} has no {path!r}{_suggestion(name, dir(found))}")
        found = getattr(found, name)
    return found


def _suggestion(name: str, known: list[str]) -> str:
    """Return the known names nearest to a misspelt one, whatever their case."""
    spelling = {each.lower(): each for each in known if not each.startswith("_")}
    near = difflib.get_close_matches(name.lower(), spelling, n=3, cutoff=0.5)
    return f": did you mean {' or '.join(spelling[each] for each in near)}?" if near else ""


def _diagnosis(op: Callable[..., Any], shape: str | None, options: dict[str, Any]) -> Diagnosis:
    if shape is not None:
        return diagnose(op, _parsed_shape(shape), **options)
    refusals = []
    for sizes in _default_shapes(op):
        try:
            return diagnose(op, sizes, **options)
        except ValueError as error:
            refusals.append(error)
    raise _BadInputError(f"no default shape fits, give --shape; last tried: {refusals[-1]}")


def _parsed_shape(text: str) -> tuple[int, ...]:
    if not re.fullmatch(r"\d+([,x]\d+)*", text):
        raise _BadInputError(f"--shape {text!r} is not integers: give 8, or 3,32,32")
    return tuple(int(size) for size in re.split("[,x]", text))


def _parsed_axes(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    if not re.fullmatch(r"-?\d+(,-?\d+)*", text):
        raise _BadInputError(f"--axes {text!r} is not integers: give 0, or 1,2")
    return tuple(int(axis) for axis in text.split(","))


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


def main() -> None:
    """Run the command line; what a user can mend becomes one line and exit code 2."""
    try:
        app()
    except _BadInputError as error:
        print("error:", " ".join(str(error).split()), file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
