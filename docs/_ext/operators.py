"""The tables of operators: what `diagnose` says of each when the site is built."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch
from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from _ext.tables import Cell, spanning, table
from theory import diagnose
from theory.operator_catalog import catalog, judge
from theory.operators import (
    add_bias,
    average_pool,
    fully_connected,
    max_pool,
    relu,
    strided_pool,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from sphinx.application import Sphinx
    from sphinx.util.typing import ExtensionMetadata

    from theory import Diagnosis, Finding

_CELLS = 4
_DENSE = torch.eye(_CELLS)[[0, 0, 1, 2]]
_CIRCULANT = torch.eye(_CELLS).roll(1, 0) + 2 * torch.eye(_CELLS)
_OPERATORS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "ReLU": relu,
    "bias, the same everywhere": partial(add_bias, bias=3),
    "bias, a map": partial(add_bias, bias=torch.tensor([3.0, 0, 0, 0])),
    "fixed pixel of each block of 2": partial(strided_pool, stride=2),
    "max pooling, 2 cells, stride 2": partial(max_pool, size=2, stride=2),
    "max pooling, 2 cells, stride 1": partial(max_pool, size=2, stride=1),
    "average pooling, 2 cells, stride 2": partial(average_pool, size=2, stride=2),
    "fully connected, not circulant": partial(fully_connected, matrix=_DENSE.double()),
    "fully connected, circulant": partial(fully_connected, matrix=_CIRCULANT.double()),
}


class OperatorsDirective(SphinxDirective):
    """Diagnose the operators of chapter 2 on signals of four cells."""

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()
        rows: list[list[Cell]] = []
        for name, op in _OPERATORS.items():
            found = diagnose(op, (_CELLS,))
            (period,) = found.period
            answers = map(_answer, (found.linear, found.affine, found.shift_equivariant))
            rows.append([name, *answers, "none" if period is None else str(period)])
        return [table(["operator", "linear", "affine", "shift-equivariant", "period"], rows)]


class LayersDirective(SphinxDirective):
    """Diagnose one of every kind of layer that the installed torch offers."""

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()
        rows: list[list[Cell]] = []
        for kind, layers in catalog().items():
            first: list[Cell] = [spanning(kind, len(layers))]
            for name, layer in layers.items():
                found = judge(layer)
                circle, interior = found.circle, found.interior
                if circle.deterministic.holds is False:
                    answers = ["random", "random", "", ""]
                else:
                    answers = [
                        _answer(circle.linear),
                        _answer(circle.affine),
                        _moves(circle),
                        _numbers(interior.border),
                    ]
                rows.append([*first, name, *answers])
                first = []
        head = ["kind", "layer", "linear", "affine", "period", "border"]
        return [table(head, rows, classes=["layers"])]


def _moves(circle: Diagnosis) -> str:
    """Return the period; or that the output stays."""
    if circle.shift_invariance is not None:
        return "invariant"
    return _numbers(circle.period)


def _numbers(values: tuple[int | None, ...]) -> str:
    """Return one number where all axes agree."""
    each = ["none" if value is None else str(value) for value in values]
    return each[0] if len(set(each)) == 1 else ", ".join(each)


def _answer(finding: Finding) -> str:
    word = {True: "yes", False: "no", None: "?"}[finding.holds]
    return f"{word} ({finding.certainty})"


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the directives ``operators`` and ``layers``."""
    app.add_directive("operators", OperatorsDirective)
    app.add_directive("layers", LayersDirective)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
