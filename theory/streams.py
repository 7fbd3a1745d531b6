"""What the commands print on: a terminal or a file that may not know every character."""

from __future__ import annotations

import io
import sys


def table_width() -> int | None:
    """Return how wide tables are: None where a terminal tells it, else 100 columns."""
    return None if sys.stdout is not None and sys.stdout.isatty() else 100  # it may be closed


def replace_unknown_characters() -> None:
    """Print a question mark for what standard output or error cannot encode, and go on.

    Tables have dashes, arrows and minus signs, which Latin-1 and ASCII lack.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
