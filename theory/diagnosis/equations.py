"""The equation behind each property: two sides that must be equal for all inputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from theory.diagnosis.calling import Array, Operator
from theory.diagnosis.isolation import isolated
from theory.signals import shift as shifted

Property = Literal["deterministic", "additive", "homogeneous", "affine", "shift_equivariant"]
Boundary = Literal["circular", "interior"]


@dataclass(frozen=True)
class Equation:
    """A property's equation, with its constants.

    Attributes
    ----------
    property : str
        ``additive`` f(x + y) = f(x) + f(y); ``homogeneous`` f(c x) = c f(x); ``affine``
        f(x + y) + f(0) = f(x) + f(y); ``shift_equivariant`` f(shift x) = shift f(x);
        ``deterministic``: the outputs of the first and of the last of several calls, which get
        equal inputs, are equal; if the first one gets another input, it is a call before it, and
        the first output that of a fresh copy which is called with the last input alone.
    scalar : float, optional
        The c of ``homogeneous``.
    shift : tuple of int, optional
        Shift of the input, in cells for each of its last axes.
    output_shift : tuple of int, optional
        The shift of the output that corresponds to it; None compares with f(x) unshifted.
    boundary : {"circular", "interior"}
        Whether shifts wrap; or cells come in at the one end and are lost at the other. In the
        interior the inputs are x and the shifted x, which says what comes in.
    """

    property: Property
    scalar: float | None = None
    shift: tuple[int, ...] | None = None
    output_shift: tuple[int, ...] | None = None
    boundary: Boundary = "circular"

    def formulas(self) -> tuple[str, str]:
        """Return the two sides as formulas."""
        return {
            "deterministic": ("first f(x)", "last f(x)"),
            "additive": ("f(x + y)", "f(x) + f(y)"),
            "homogeneous": ("f(c x)", "c f(x)"),
            "affine": ("f(x + y) + f(0)", "f(x) + f(y)"),
            "shift_equivariant": ("f(shift x)", "shift f(x)"),
        }[self.property]

    def __str__(self) -> str:
        return " = ".join(self.formulas())

    def arguments(self) -> tuple[str, ...]:
        """Return what the inputs are; ``deterministic`` takes more calls in between."""
        if self.property == "deterministic":
            return "the input of a first call", "that of a last one"
        if self.property in ("additive", "affine"):
            return "x", "y"
        interior = self.property == "shift_equivariant" and self.boundary == "interior"
        return ("x", "the shifted x") if interior else ("x",)

    def require(self, inputs: tuple[Array, ...]) -> None:
        """Refuse inputs that are not those of the equation.

        Raises
        ------
        ValueError
            If there are more or fewer than it has, or they are not of one shape.
        """
        arguments = self.arguments()
        between = len(inputs) - len(arguments)
        if between < 0 or (between > 0 and self.property != "deterministic"):
            raise ValueError(
                f"number of inputs of {self.property!r} is {len(inputs)}, expected "
                f"{len(arguments)}: give {' and '.join(arguments)}"
            )
        shapes = [x.shape for x in inputs]
        if len(set(shapes)) > 1:
            raise ValueError(
                f"inputs of shapes {', '.join(map(str, shapes))}, expected one shape: give the "
                "same axes to all"
            )

    def sides(self, f: Callable[[Array], Array], inputs: tuple[Array, ...]) -> tuple[Array, Array]:
        """Return both sides for the operator `f`."""
        x, y = inputs[0], inputs[-1]
        if self.property == "deterministic":
            outputs = [f(each) for each in inputs]
            return outputs[0], outputs[-1]
        if self.property == "homogeneous":
            assert self.scalar is not None
            return f(self.scalar * x), self.scalar * f(x)
        if self.property == "shift_equivariant":
            assert self.shift is not None
            right = f(x)
            if self.boundary == "interior":
                return f(y), right
            if self.output_shift is not None:
                right = shifted(right, self.output_shift)
            return f(shifted(x, self.shift)), right
        if self.property == "affine":
            return f(x + y) + f(np.zeros_like(x)), f(x) + f(y)
        return f(x + y), f(x) + f(y)

    def replay(self, operator: Operator, inputs: tuple[Array, ...]) -> tuple[Array, Array]:
        """Return both sides for an operator in its given state, with seeded random generators."""
        operator.reset()
        with isolated(seed=0):
            left, right = self.sides(operator, inputs)
        if self.begins_afresh(inputs):
            operator.reset()
            with isolated(seed=0):
                left = operator(inputs[-1])
        return left, right

    def begins_afresh(self, inputs: tuple[Array, ...]) -> bool:
        """Whether the left side of ``deterministic`` is the output of a fresh copy."""
        return self.property == "deterministic" and not np.array_equal(inputs[0], inputs[-1])
