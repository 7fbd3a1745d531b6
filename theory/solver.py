"""Laws decided for all values of their variables, by z3."""

from __future__ import annotations

import z3


def holds_always(law: z3.BoolRef) -> bool:
    """Return whether a formula is true for all values of its free variables.

    Parameters
    ----------
    law : z3.BoolRef
        The formula, in a theory that z3 decides (linear or polynomial real arithmetic, say).

    Raises
    ------
    RuntimeError
        If z3 gives up; a law is never called true or false without a decision.
    """
    solver = z3.Solver()
    solver.add(z3.Not(law))
    answer = solver.check()
    if answer == z3.unknown:
        raise RuntimeError(f"z3 could not decide {law}: {solver.reason_unknown()}")
    return bool(answer == z3.unsat)


def follows(goal: z3.BoolRef, *premises: z3.BoolRef) -> bool:
    """Return whether the premises imply the goal, for all values of the free variables.

    Parameters
    ----------
    goal, *premises : z3.BoolRef
        Formulas as in `holds_always`.

    Raises
    ------
    RuntimeError
        If z3 gives up.
    """
    return holds_always(z3.Implies(z3.And(*premises), goal))


def maximum(a: z3.ArithRef, b: z3.ArithRef | int) -> z3.ArithRef:
    """Return the larger of two terms."""
    return z3.If(a >= b, a, b)
