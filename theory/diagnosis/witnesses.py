"""A witness: the inputs that break a property, with both sides of the equation that fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from theory.diagnosis.calling import Array, operator_on
from theory.diagnosis.equations import Boundary, Equation, Property

_SHOWN_CELLS = 6


@dataclass(frozen=True, eq=False)
class Witness:
    """Inputs on which the two sides of a property's equation differ.

    Attributes
    ----------
    property : str
        Which property, one of those of `theory.diagnosis.equations.Equation`.
    inputs : tuple of array
        x, or x and y, without batch axis; for ``deterministic`` the inputs of successive calls, the
        last of which is compared with the first, or with a fresh copy if that got another input;
        for a shift with the boundary ``interior`` x and the shifted x.
    scalar, shift, output_shift, boundary : optional
        The constants of the equation. A shift whose `output_shift` is None corresponds to no whole
        number of output cells: then `right` is f(x), of which `left` is no shift at all.
    left, right : array
        The two sides.
    batched : bool
        Whether the operator was called with a batch axis in front.
    """

    property: Property
    inputs: tuple[Array, ...]
    left: Array
    right: Array
    scalar: float | None = None
    shift: tuple[int, ...] | None = None
    output_shift: tuple[int, ...] | None = None
    boundary: Boundary = "circular"
    batched: bool = False

    def replay(self, op: Callable[..., Any]) -> tuple[Array, Array]:
        """Compute both sides again on an operator.

        Parameters
        ----------
        op : callable
            A module or a function, called as `diagnose` calls it, on a fresh copy and with the
            random generators seeded as when the witness was made.

        Returns
        -------
        left, right : array
            The two sides; for the operator that was diagnosed, those of the witness.

        Raises
        ------
        ValueError
            If the operator does not take inputs of the witness's shape.
        """
        operator = operator_on(op, self.inputs[0], self.batched)
        return self.equation().replay(operator, self.inputs)

    def __str__(self) -> str:
        if self.property == "deterministic":
            return self._calls()
        given = [f"{a} = {_sparse(x)}" for a, x in zip("xy", self.inputs, strict=False)]
        if self.scalar is not None:
            given.append(f"c = {self.scalar:g}")
        if self.shift is not None:
            given[1:] = [f"input shift {_tuple(self.shift)}"]
        if self.boundary == "interior":
            given[1] += f" to {_sparse(self.inputs[-1])}"
        return f"{', '.join(given)}: {self._difference()}"

    def _calls(self) -> str:
        x = self.inputs[-1]
        others = [y for y in self.inputs if not np.array_equal(x, y)]
        after = f" after a call with y = {_sparse(others[0])}" if others else ""
        return f"x = {_sparse(x)}: {self._difference()}, call {len(self.inputs)}{after}"

    def equation(self) -> Equation:
        """Return the equation that fails."""
        return Equation(self.property, self.scalar, self.shift, self.output_shift, self.boundary)

    def formulas(self, x: str = "x") -> tuple[str, str]:
        """Return the two sides as formulas; `x` is how the last input is called."""
        if self.equation().begins_afresh(self.inputs):
            return f"f({x}) of a fresh copy", f"f({x})"
        return self.equation().formulas()

    def _difference(self) -> str:
        left, right = self.formulas()
        if self.property == "shift_equivariant" and self.output_shift is None:
            return f"f(shift x) = {_sparse(self.left)} is no shift of f(x) = {_sparse(self.right)}"
        cell = np.unravel_index(np.argmax(np.abs(self.left - self.right)), self.left.shape)
        at = f" at {_tuple(cell)}" if cell else ""
        values = self.left[cell], self.right[cell]
        alike = _number(values[0]) == _number(values[1])
        shown = [_number(v, digits=17 if alike else 6) for v in values]
        return f"{left} = {shown[0]} but {right} = {shown[1]}{at}"

    def to_dict(self) -> dict[str, Any]:
        """Return the witness as JSON-ready values; numbers that JSON lacks become strings."""
        return {
            "property": self.property,
            "inputs": [to_json(x) for x in self.inputs],
            "scalar": self.scalar,
            "shift": None if self.shift is None else list(self.shift),
            "output_shift": None if self.output_shift is None else list(self.output_shift),
            "boundary": self.boundary,
            "batched": self.batched,
            "left": to_json(self.left),
            "right": to_json(self.right),
        }


def to_json(values: Array) -> Any:
    """Return an array as nested lists of numbers; complex as pairs, NaN and infinity as strings."""
    if np.iscomplexobj(values):
        values = np.stack([values.real, values.imag], -1)
    if np.isfinite(values).all():
        return values.tolist()
    return np.vectorize(lambda v: float(v) if np.isfinite(v) else str(v), otypes=[object])(
        values
    ).tolist()


def _sparse(x: Array) -> str:
    """Return an array by its non-zero cells."""
    cells = np.argwhere(x != 0)
    if x.ndim == 0:
        return _number(x[()])
    if not len(cells):
        return "0"
    shown = [f"{_number(x[tuple(c)])} at {_tuple(c)}" for c in cells[:_SHOWN_CELLS]]
    more = [f"and {len(cells) - _SHOWN_CELLS} more cells"] if len(cells) > _SHOWN_CELLS else []
    return f"[{'; '.join(shown + more)}]"


def _tuple(cell: Any) -> str:
    return str(tuple(int(i) for i in cell)) if len(cell) > 1 else str(int(cell[0]))


def _number(value: Any, digits: int = 6) -> str:
    return f"{value + 0.0:.{digits}g}"  # adding zero drops the sign of minus zero
