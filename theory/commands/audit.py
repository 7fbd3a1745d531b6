"""``audit``: what a model is, layer by layer."""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Annotated, Any

import typer

from theory.commands import options
from theory.commands.targets import (
    BadInputError,
    operator,
    parsed_kwargs,
    parsed_shape,
    refusals,
    said,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

EXAMPLES = """
**Examples**

- `python -m theory audit mypackage.nets:Net --shape 3,32,32`

- `python -m theory audit mypackage.nets:Net --kwargs '{"width": 64}' --shape 3,32,32 --json`
"""


def audit(
    target: Annotated[
        str, typer.Argument(help="A torch.nn.Module, as module:attribute, e.g. mypackage.nets:Net.")
    ],
    shape: Annotated[
        str | None,
        typer.Option(help="One input without batch: 8, or 3,32,32 (channel first). Required."),
    ] = None,
    kwargs: options.KwargsOption = "{}",
    seed: options.SeedOption = 0,
    as_json: options.JsonOption = False,
) -> None:
    """Say what a model does, layer by layer: shapes, parameters, costs, receptive fields.

    A class is instantiated with --kwargs and the seed, a function is called for its model, and a
    model is audited as it is.
    """
    if shape is None:
        raise BadInputError("give --shape: one input without batch, as 3,32,32")
    import torch  # takes seconds

    from theory import auditing

    with redirect_stdout(sys.stderr):  # what a model prints is no part of the audit
        model = operator(target, parsed_kwargs(kwargs), seed)
        if not isinstance(model, torch.nn.Module):
            model = _made(target, model, seed)
    sizes = parsed_shape(shape)
    with refusals(shape), redirect_stdout(sys.stderr):
        facts = auditing.audit(model, sizes)
    if as_json:
        print(json.dumps({"target": target, **facts.to_dict()}, indent=2, allow_nan=False))
        return
    options.console().print(facts)


def _made(target: str, make: Callable[..., Any], seed: int) -> torch.nn.Module:
    """Call a function that builds a model."""
    import torch

    torch.manual_seed(seed)
    try:
        model = make()
    except (Exception, SystemExit) as error:
        raise BadInputError(f"{target} makes no model: {said(error)}; give --kwargs") from error
    if not isinstance(model, torch.nn.Module):
        raise BadInputError(
            f"{target} gives a {type(model).__name__}: name a torch.nn.Module, its class, or a "
            "function that returns one"
        )
    return model
