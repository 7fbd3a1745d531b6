"""Counterexamples as Python to paste: exact inputs, and the one call that computes both sides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from theory.arrays import as_array
from theory.diagnosis.calling import Array, operator_on
from theory.diagnosis.equations import Boundary, Equation, Property
from theory.diagnosis.isolation import isolated
from theory.diagnosis.witnesses import Witness

_LISTED_CELLS = 16
"""An array with more cells than that, other than zero, is written out as a whole."""


def sides(
    op: Callable[..., Any],
    property: Property,
    *inputs: Array,
    scalar: float | None = None,
    shift: tuple[int, ...] | None = None,
    output_shift: tuple[int, ...] | None = None,
    boundary: Boundary = "circular",
    batched: bool | None = None,
) -> tuple[Array, Array]:
    """Compute both sides of a property's equation, as `theory.Witness.replay` does.

    Parameters
    ----------
    op : callable
        A module or a function; it stays as it was.
    property : {"additive", "homogeneous", "affine", "shift_equivariant", "deterministic"}
        The property, whose equation is that of `theory.diagnosis.equations.Equation`.
    *inputs : array of one shape
        Those of the equation, without batch axis: x and y of ``additive`` and ``affine``; x alone
        of ``homogeneous`` and ``shift_equivariant``, in the interior with the shifted x; those of
        two calls or more of ``deterministic``. float32 arrays are handed over in single precision.
    scalar, shift, output_shift, boundary : optional
        The constants of the equation.
    batched : bool, optional
        Whether `op` is called with a batch axis in front; found out if left out.

    Returns
    -------
    left, right : array
        The two sides.

    Raises
    ------
    TypeError
        If an input is no array.
    ValueError
        If `op` takes no input of that shape, property or boundary is unknown, the property lacks
        its constant, or the inputs are not as many as its equation has, of one shape, and real.

    Examples
    --------
    >>> sides(np.abs, "homogeneous", np.array([1.0, -2.0]), scalar=-1.0)
    (array([1., 2.]), array([-1., -2.]))
    """
    if property not in get_args(Property):
        known = ", ".join(get_args(Property))
        raise ValueError(f"property {property!r} has no equation; known: {known}")
    for name, constant, of in (
        ("scalar", scalar, "homogeneous"),
        ("shift", shift, "shift_equivariant"),
    ):
        if property == of and constant is None:
            raise ValueError(f"the equation of {of!r} needs its {name}: give {name}=")
    if boundary not in get_args(Boundary):
        known = " or ".join(map(repr, get_args(Boundary)))
        raise ValueError(f"boundary is {boundary!r}: give {known}")
    equation = Equation(property, scalar, shift, output_shift, boundary)
    given = tuple(_real(f"input {place}", x) for place, x in enumerate(inputs, 1))
    equation.require(given)
    return equation.replay(operator_on(op, given[0], batched), given)


def outputs(
    a: Callable[..., Any], b: Callable[..., Any], x: Array, *, batched: bool | None = None
) -> tuple[Array, Array]:
    """Compute what two operators make of one input; parameters and errors are those of `sides`."""
    x = _real("x", x)
    with isolated(seed=0):
        return operator_on(a, x, batched)(x), operator_on(b, x, batched)(x)


def dot_products(
    op: Callable[..., Any],
    adjoint: Callable[..., Any],
    x: Array,
    y: Array,
    *,
    batched: bool | None = None,
) -> tuple[Array, Array]:
    """Compute <A x, y> and <x, A* y> for an operator A and what should be its adjoint A*.

    Parameters
    ----------
    op, adjoint : callable
        Modules or functions; they stay as they were.
    x, y : array
        An input and an output of `op`, without batch axis and real.
    batched : bool, optional
        Whether both are called with a batch axis in front; found out if left out.

    Returns
    -------
    left, right : array without axes
        The two inner products, linear in their first argument.

    Raises
    ------
    TypeError
        If `x` or `y` is no array.
    ValueError
        If one of the two takes no input of that shape, or makes of it another shape than `y` or `x`
        has; or if `x` or `y` is not real.
    """
    x, y = _real("x", x), _real("y", y)
    with isolated(seed=0):
        left = operator_on(op, x, batched)(x)
        right = operator_on(adjoint, y, batched)(y)
    for names, one, other in (("A x and y", left, y), ("A* y and x", right, x)):
        if one.shape != other.shape:
            raise ValueError(
                f"{names} have shapes {one.shape} and {other.shape}: expected one shape, for their "
                "inner product"
            )
    return inner(left, y), inner(x, right)


def _real(name: str, values: Any) -> Array:
    """Return an input as an array in the precision that it is handed over in.

    Sums and multiples of inputs are then those of floats: narrow integers would wrap around.
    """
    x = as_array(name, values)
    if x.dtype.kind not in "biuf":
        raise ValueError(f"{name} is of {x.dtype}, expected real numbers: give an array of floats")
    return x if x.dtype == np.float32 else x.astype(np.float64)


def inner(u: Array, v: Array) -> Array:
    """Return <u, v>, the sum of ``u * conj(v)``, as an array without axes."""
    return np.asarray(np.vdot(v, u))


@dataclass(frozen=True, eq=False)
class Counterexample:
    """Inputs on which two sides differ that have to be equal.

    Attributes
    ----------
    function : str
        Which function of `theory.testing` computes the sides.
    arguments : tuple of str
        What it is given before the inputs, as source.
    inputs : tuple of array
        The inputs, without batch axis.
    options : dict
        What it is given after the inputs, by name.
    formulas : tuple of str
        The two sides as formulas.
    left, right : array
        The two sides.
    """

    function: str
    arguments: tuple[str, ...]
    inputs: tuple[Array, ...]
    options: dict[str, Any]
    formulas: tuple[str, str]
    left: Array
    right: Array

    @classmethod
    def of(cls, witness: Witness) -> Counterexample:
        """Return the counterexample that a diagnosis gives as its witness."""
        constants = {
            "scalar": witness.scalar,
            "shift": witness.shift,
            "output_shift": witness.output_shift,
        }
        options: dict[str, Any] = {k: v for k, v in constants.items() if v is not None}
        if witness.boundary != "circular":
            options["boundary"] = witness.boundary
        formulas = witness.formulas("y")  # the last input of two, where it is named
        if witness.property == "shift_equivariant" and witness.output_shift is None:
            formulas = (formulas[0], "f(x)")  # of which the left side is no shift at all
        return cls(
            "sides",
            ("op", f'"{witness.property}"'),
            witness.inputs,
            {**options, "batched": witness.batched},
            formulas,
            witness.left,
            witness.right,
        )

    def __str__(self) -> str:
        lines = ["import numpy as np", f"from theory.testing import {self.function}", ""]
        known: dict[tuple[tuple[int, ...], bytes], str] = {}
        unused = iter("xy")  # there are never more than two that differ
        for x in self.inputs:
            if (x.shape, x.tobytes()) not in known:
                known[x.shape, x.tobytes()] = name = next(unused)
                lines += _written(name, x)
        names = [known[x.shape, x.tobytes()] for x in self.inputs]
        if len(names) > 2 and len(known) == 1:
            names = [f"*[x] * {len(names)}"]
        options = [f"{name}={value!r}" for name, value in self.options.items()]
        call = ", ".join([*self.arguments, *names, *options])
        lines.append(f"left, right = {self.function}({call})")
        return "\n".join([*lines, self._shown()])

    def _shown(self) -> str:
        """Return the line that shows the sides where they differ most."""
        if self.left.shape != self.right.shape:
            return f"print(left.shape, right.shape)  # {self.left.shape}, {self.right.shape}"
        with np.errstate(invalid="ignore"):
            differences = np.asarray(np.abs(self.left - self.right))
        differences = np.where(np.isnan(differences), np.inf, differences)
        cell = tuple(int(i) for i in np.unravel_index(np.argmax(differences), differences.shape))
        at = f"[{', '.join(map(str, cell))}]" if cell else ""
        values = (side[cell].item() for side in (self.left, self.right))
        said = " but ".join(f"{f} = {v!r}" for f, v in zip(self.formulas, values, strict=True))
        return f"print(left{at}, right{at})  # {said}"


def _written(name: str, x: Array) -> list[str]:
    """Return the lines that make an array again; a negative zero becomes a zero."""
    dtype = ", dtype=np.float32" if x.dtype == np.float32 else ""
    cells = np.argwhere(x)
    if len(cells) > _LISTED_CELLS:
        return [f"{name} = np.array({(x + 0.0).tolist()}{dtype})"]
    lines = [f"{name} = np.zeros({x.shape}{dtype})"]
    for cell in cells:
        index = ", ".join(str(int(i)) for i in cell)
        lines.append(f"{name}[{index}] = {x[tuple(cell)].item()!r}")
    return lines
