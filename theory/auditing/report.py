"""What an audit says: one row a call, totals, warnings; as a table, as JSON, as HTML."""

from __future__ import annotations

import html
import io
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

Linearity = Literal["constant", "linear", "affine", "nonlinear", "unknown"]

_WIDTH = 100
_HEADINGS = (
    *("name", "kind", "output", "params", "MACs", "FLOPs"),
    *("field", "jump", "start", "border", "is"),
)


@dataclass(frozen=True)
class Row:
    """One call of a layer or function.

    Attributes
    ----------
    name : str
        Path of the layer in the module; of a function, the path of its caller and its name.
    kind : str
        Class of the layer, or name of the function.
    output_shape : tuple of int
        Shape of what comes out, without a batch axis; of the first tensor if there are several.
    parameters : int
        Parameters that this call is the first to use; what is shared counts once.
    buffers : int
        Values in the buffers that this call is the first to use.
    macs : int
        Multiply-accumulates of convolutions and matrix products.
    flops : int
        Floating-point operations: 2 a MAC, and all others.
    receptive_field : tuple of (int or None)
        For each spatial axis, the input cells in the window of an output cell, padding included.
        Where windows follow no law, the input's own cells between the first and the last that an
        output cell may depend on, at most. None where it is unknown.
    jump : tuple of (int, Fraction or None)
        For each axis, the input cells from one window to the next; None where windows follow no
        law: after a global pool, which sees the same of the input everywhere, or along the inner
        axes of a flat map.
    start : tuple of (int or None)
        For each axis, the first input cell in the window of output cell 0, negative in the padding.
    border : tuple of (tuple of two int, or None)
        For each axis, the output cells at its two ends up to the last whose window hangs over the
        edge of the input, or of any map on the way, as into circular padding; None where windows
        follow no law.
    linearity : str
        What the call is as a function of its inputs: ``linear``, ``affine``, ``nonlinear``;
        ``constant`` if it has none, ``unknown`` if a primitive in it is.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...]
    parameters: int
    buffers: int
    macs: int
    flops: int
    receptive_field: tuple[int | None, ...]
    jump: tuple[int | Fraction | None, ...]
    start: tuple[int | None, ...]
    border: tuple[tuple[int, int] | None, ...]
    linearity: Linearity

    def to_dict(self) -> dict[str, Any]:
        """Return the row as JSON-ready values; a jump that is a fraction becomes a string."""
        plain = {name: list(v) if isinstance(v, tuple) else v for name, v in vars(self).items()}
        plain["jump"] = [str(j) if isinstance(j, Fraction) else j for j in self.jump]
        plain["border"] = [None if each is None else list(each) for each in self.border]
        return plain


@dataclass(frozen=True)
class Audit:
    """The facts of a module on inputs of one shape, layer by layer. Made by `theory.audit`.

    Attributes
    ----------
    module : str
        Name of the module's class.
    shape : tuple of int
        Shape of one input, without batch.
    output_shape : tuple of int
        Shape of one output, without batch; of the first tensor if there are several.
    rows : tuple of Row
        One a call, in the order in which the calls ended.
    parameters : int
        Numbers in all of the module's parameters, used or not; what is shared counts once.
    buffers : int
        Numbers in all of the module's buffers.
    macs : int
        Multiply-accumulates for one input.
    flops : int
        Floating-point operations for one input.
    receptive_field : tuple of (int or None)
        Of the output, as in the rows; of several tensors the largest. None where it is unknown.
    warnings : tuple of str
        What deserves a second look, one sentence each.
    """

    module: str
    shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    rows: tuple[Row, ...]
    parameters: int
    buffers: int
    macs: int
    flops: int
    receptive_field: tuple[int | None, ...]
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON-ready values."""
        plain = {name: list(v) if isinstance(v, tuple) else v for name, v in vars(self).items()}
        return {**plain, "rows": [row.to_dict() for row in self.rows]}

    def __str__(self) -> str:
        page = io.StringIO()
        Console(file=page, width=_WIDTH, color_system=None, force_terminal=False).print(self)
        return "\n".join(line.rstrip() for line in page.getvalue().splitlines())

    def __rich__(self) -> Group:
        table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
        for heading in _HEADINGS:
            table.add_column(
                heading,
                justify="right" if heading in {"params", "MACs", "FLOPs"} else "left",
                no_wrap=heading not in {"name", "kind"},
                overflow="fold",  # a path that is too long goes on in the next line
                min_width=len("BatchNorm2d") if heading == "kind" else None,
                max_width=len("ConvTranspose2d") if heading == "kind" else None,
            )
        for row in self.rows:
            table.add_row(*map(Text, _cells(row)))
        totals = Table(box=None, pad_edge=False, show_header=False)
        for name, words in self._totals().items():
            totals.add_row(name, Text(words))
        return Group(Text(self._title(), style="bold"), "", table, "", totals)

    def _repr_html_(self) -> str:
        head = "".join(f"<th scope='col'>{heading}</th>" for heading in _HEADINGS)
        rows = "".join(
            f"<tr><th scope='row'>{html.escape(name)}</th>"
            + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells)
            + "</tr>"
            for name, *cells in map(_cells, self.rows)
        )
        totals = "".join(
            f"<dt>{name}</dt><dd>{html.escape(words)}</dd>"
            for name, words in self._totals().items()
        )
        return (
            f"<table><caption>{html.escape(self._title())}</caption>"
            f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table><dl>{totals}</dl>"
        )

    def _title(self) -> str:
        return f"{self.module}: {self.shape} -> {self.output_shape}, in evaluation mode"

    def _totals(self) -> dict[str, str]:
        totals = {
            "parameters": f"{self.parameters:,}",
            "buffers": f"{self.buffers:,}",
            "MACs": f"{self.macs:,}",
            "FLOPs": f"{self.flops:,}",
            "receptive field": _by_axis(self.receptive_field),
        }
        numbered = len(self.warnings) > 1
        for i, warning in enumerate(self.warnings, start=1):
            totals[f"warning {i}" if numbered else "warning"] = warning
        return totals


def _cells(row: Row) -> tuple[str, ...]:
    borders = ["-" if each is None else _short(each) for each in row.border]
    return (
        row.name,
        row.kind,
        "x".join(map(str, row.output_shape)) or "()",
        f"{row.parameters:,}" if row.parameters else "",
        _scaled(row.macs),
        _scaled(row.flops),
        _by_axis(row.receptive_field),
        _by_axis(row.jump, missing="-"),
        _by_axis(row.start, missing="-"),
        _by_axis(borders),
        row.linearity,
    )


def _short(border: tuple[int, int]) -> str:
    before, after = border
    return str(before) if before == after else f"{before}+{after}"


def _by_axis(values: Sequence[object], missing: str = "?") -> str:
    """Return one number for all axes that agree, else one for each."""
    words = [missing if each is None else str(each) for each in values]
    return words[0] if len(set(words)) == 1 else ", ".join(words)


def _scaled(count: int) -> str:
    """Return a count in three digits, empty if it is 0."""
    if count < 10_000:
        return f"{count:,}" if count else ""
    for factor, unit in ((10**3, "k"), (10**6, "M"), (10**9, "G"), (10**12, "T")):
        if count < 999.5 * factor:
            return f"{count / factor:.3g}{unit}"
    return f"{count / 10**15:.3g}P"
