"""The solver tells laws from falsehoods, and never guesses."""

from __future__ import annotations

import pytest
import z3

from theory.solver import holds_always, maximum


def test_the_solver_tells_laws_from_falsehoods() -> None:
    a, b = z3.Reals("a b")
    assert holds_always(maximum(a, b) == maximum(b, a))
    assert holds_always(maximum(a, b) >= a)
    assert not holds_always(maximum(a, b) > a)
    assert not holds_always(maximum(a, b) == a)


def test_the_solver_never_guesses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(z3.Solver, "check", lambda self: z3.unknown)
    with pytest.raises(RuntimeError, match="could not decide"):
        holds_always(z3.Real("a") >= 0)
