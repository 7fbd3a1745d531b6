"""What layouts were measured to be worth on this machine, kept in a file of the user's cache.

A rate holds for one processor, number of cores, version of PyTorch and of the training engine, and
architecture. The file is a convenience: where it is damaged, or cannot be written, that is said and
layouts are measured anew.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from experiments import downloads
from experiments.records import ENGINE_VERSION
from theory.atomic import write_whole
from theory.processor import model, processor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from experiments.recipe import Recipe

PLACE = "CONVLAWS_LAYOUTS"
"""Environment variable that names the file, if it is not to be in the user's cache."""

_Rates = dict[str, float]
_Content = dict[str, dict[str, _Rates]]
"""Of each machine, of each architecture."""


def layouts_file() -> Path:
    """Return where the rates of layouts are kept."""
    named = os.environ.get(PLACE)
    return Path(named) if named else downloads.cache() / "layouts.json"


class Kept:
    """The rates that were measured on this machine before, and those that are now.

    Parameters
    ----------
    cores
        How many cores there are to share.
    say
        Called with a line for the user where the file is damaged or cannot be written.
    path
        The file; by default :func:`layouts_file`.
    """

    def __init__(self, cores: int, say: Callable[[str], None], path: Path | None = None) -> None:
        self._path = path or layouts_file()
        made = f"{processor()} {model()}".strip()
        engine = f"torch {torch.__version__}, engine {ENGINE_VERSION}"
        self._machine = f"{made}, {cores} cores, {engine}"
        self._say = say
        self._told = False
        try:
            self._content = _read(self._path)
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            say(f"{self._path} cannot be used ({why}); layouts are measured anew")
            self._content = {}

    def rates(self, architecture: Recipe) -> Mapping[str, float]:
        """Return the images a second of each layout that an architecture was measured in."""
        return self._content.get(self._machine, {}).get(architecture.digest, {})

    def keep(self, architecture: Recipe, rates: Mapping[str, float]) -> None:
        """Keep the rates of an architecture, beside what other commands have kept meanwhile."""
        with contextlib.suppress(OSError, ValueError):  # it was said in the beginning
            self._content = _read(self._path)
        self._content.setdefault(self._machine, {})[architecture.digest] = dict(rates)
        text = json.dumps(self._content, indent=1, sort_keys=True)
        try:
            write_whole(self._path, f"{text}\n".encode())
        except OSError as error:
            if not self._told:
                self._say(
                    f"cannot keep layouts in {self._path} ({error.strerror}); "
                    "the next command will measure them again"
                )
            self._told = True


def _read(path: Path) -> _Content:
    """Return what a file holds; nothing where there is none.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If it does not hold rates.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError) as error:
        raise ValueError("it is not JSON") from error
    try:
        return {
            machine: {
                digest: {layout: _rate(rate) for layout, rate in rates.items()}
                for digest, rates in architectures.items()
            }
            for machine, architectures in content.items()
        }
    except (AttributeError, TypeError) as error:
        raise ValueError("it does not hold rates by machine, architecture and layout") from error


def _rate(value: object) -> float:
    if not isinstance(value, float) or not 0 < value < math.inf:
        raise ValueError(f"it holds {value!r}, expected images a second")
    return value
