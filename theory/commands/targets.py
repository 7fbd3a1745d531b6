"""From what is typed on a command line to operators and shapes, or to one line on what is wrong."""

from __future__ import annotations

import difflib
import functools
import importlib
import json
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast, get_args

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import torch

    from theory.diagnosis.equations import Boundary


class BadInputError(ValueError):
    """What the user can mend; the message is the one line that says how."""


@contextmanager
def refusals(shape: str | None) -> Iterator[None]:
    """Make one line for the user of what the instruments refuse.

    Likewise of a shape that is too large for memory, and of an operator that ends the program.
    """
    try:
        yield
    except SystemExit as error:  # or the command would end as if all were well
        raise BadInputError(
            f"what is called ends the program, with sys.exit({error.code!r}): give one that returns"
        ) from error
    except (TypeError, ValueError) as error:
        raise BadInputError(str(error)) from error
    except MemoryError as error:
        raise BadInputError(
            f"--shape {shape} does not fit into memory: {error}; give a smaller one"
        ) from error


def parsed_kwargs(text: str, option: str = "--kwargs") -> dict[str, Any]:
    """Read a JSON object; `option` is what the error calls it."""
    try:
        kwargs = json.loads(text)
    except json.JSONDecodeError as error:
        raise BadInputError(
            f"{option} {text!r} is not JSON ({error}): give an object like '{{\"kernel_size\": 2}}'"
        ) from error
    if not isinstance(kwargs, dict):
        raise BadInputError(f"{option} {text!r} is no JSON object: give '{{\"name\": value}}'")
    return kwargs


def operator(
    target: str, kwargs: dict[str, Any], seed: int, option: str = "--kwargs"
) -> Callable[..., Any]:
    """Import the target; make an instance of a class, bind the arguments of a function."""
    if seed >= 2**64:
        raise BadInputError(f"--seed {seed} is too large: give one below 2**64")
    found = _imported(target)
    if not callable(found):
        raise BadInputError(f"{target} is a {type(found).__name__}, not a class or function")
    if not isinstance(found, type):
        return functools.partial(found, **kwargs) if kwargs else found
    import torch  # takes seconds

    torch.manual_seed(seed)
    try:
        instance = found(**kwargs)
    except (Exception, SystemExit) as error:
        advice = f"{'mend' if kwargs else 'give'} {option}"
        raise BadInputError(f"{target} cannot be made: {said(error)}; {advice}") from error
    if not callable(instance):
        raise BadInputError(f"{target} makes instances that cannot be called on an array")
    return instance


def _imported(target: str) -> object:
    module_name, colon, path = target.partition(":")
    if not (module_name and colon and path):
        raise BadInputError(f"{target!r} is not module:attribute, as torch.nn:ReLU is")
    try:
        found: object = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        raise BadInputError(f"cannot import {module_name!r}: {said(error)}") from error
    for name in path.split("."):
        if not hasattr(found, name):
            raise BadInputError(f"{module_name} has no {path!r}{_suggestion(name, dir(found))}")
        found = getattr(found, name)
    return found


def said(error: BaseException) -> str:
    """Return what an exception says; of the end of the program that is only a number."""
    return f"it calls sys.exit({error.code!r})" if isinstance(error, SystemExit) else str(error)


def _suggestion(name: str, known: list[str]) -> str:
    """Return the known names nearest to a misspelt one, whatever their case."""
    spelling = {each.lower(): each for each in known if not each.startswith("_")}
    near = difflib.get_close_matches(name.lower(), spelling, n=3, cutoff=0.5)
    return f": did you mean {' or '.join(spelling[each] for each in near)}?" if near else ""


def parsed_shape(text: str) -> tuple[int, ...]:
    """Read the shape of one input, as 3,32,32 or 3x32x32."""
    if not re.fullmatch(r"\d+([,x]\d+)*", text):
        raise BadInputError(f"--shape {text!r} is not integers: give 8, or 3,32,32")
    return tuple(int(size) for size in re.split("[,x]", text))


def parsed_boundary(text: str) -> Boundary:
    """Read how shifts are judged."""
    from theory.diagnosis.equations import Boundary

    known = get_args(Boundary)
    if text not in known:
        raise BadInputError(f"--boundary {text!r}: give {' or '.join(known)}")
    return cast("Boundary", text)


def parsed_dtype(text: str) -> torch.dtype:
    """Read the precision that an operator is asked in."""
    import torch  # takes seconds

    known = {"float64": torch.float64, "float32": torch.float32}
    if text not in known:
        raise BadInputError(f"--dtype {text!r}: give {' or '.join(known)}")
    return known[text]


def parsed_axes(text: str | None) -> tuple[int, ...] | None:
    """Read axes, as 1,2."""
    if text is None:
        return None
    if not re.fullmatch(r"-?\d+(,-?\d+)*", text):
        raise BadInputError(f"--axes {text!r} is not integers: give 0, or 1,2")
    return tuple(int(axis) for axis in text.split(","))
