"""Faults planted in the asserts, each of which a test of them must catch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tests import test_testing, test_testing_adjointness, test_testing_sameness
from tests.testing_operators import rough, rough_back
from theory.diagnosis import rounding
from theory.testing import adjointness, assert_adjoint, asserts, demands, replaying, sameness

if TYPE_CHECKING:
    from collections.abc import Callable


def _holds_and_differs() -> None:
    """Ask the agreements once what is right and once what is wrong, each in a hard case."""
    assert_adjoint(np.fft.fft, lambda y: np.fft.ifft(y) * len(y), (8,))
    assert_adjoint(rough, rough_back, (4,))
    for name in ("scaled", "one entry, barely", "far out"):
        test_testing_adjointness.test_what_is_not_the_adjoint_is_caught_and_replays(name)
    for name in ("beyond rounding", "one entry, barely", "far out"):
        test_testing_sameness.test_what_differs_is_caught_and_replays(name)


def _a_rectifier_is_caught() -> None:
    test_testing.test_what_does_not_hold_is_caught_and_replays("a rectifier")


def _subsampling_is_caught() -> None:
    test_testing.test_what_does_not_hold_is_caught_and_replays("subsampling")


MUTANTS: dict[str, tuple[Any, str, Any, Callable[[], None]]] = {
    "nothing is demanded": (demands, "_require", lambda *_: None, _a_rectifier_is_caught),
    "another property is demanded": (
        asserts,
        "require",
        lambda diagnosis, name, certainty: demands.require(diagnosis, "deterministic", certainty),
        _a_rectifier_is_caught,
    ),
    "the period is not demanded": (
        asserts,
        "require_period",
        lambda *_: None,
        _subsampling_is_caught,
    ),
    "the witness is written wrongly": (
        replaying,
        "_written",
        lambda name, x: [f"{name} = np.zeros({x.shape})"],
        _a_rectifier_is_caught,
    ),
    "the conjugate is dropped": (
        adjointness,
        "inner",
        lambda u, v: np.asarray(np.sum(u * v)),
        _holds_and_differs,
    ),
    "the tolerance is picked": (rounding, "gamma", lambda k, u: 1e-3, _holds_and_differs),
    "there is no tolerance": (
        rounding.Rounding,
        "bound",
        lambda *_, **__: 0.0,
        _holds_and_differs,
    ),
    "the basis is not exhausted": (
        sameness._Outputs,
        "on_basis",
        lambda self: (None, 0.0),
        _holds_and_differs,
    ),
    "the matrix is not compared": (
        adjointness._DotTest,
        "on_basis",
        lambda self: (None, 0.0),
        _holds_and_differs,
    ),
    "only small inputs are compared": (
        sameness,
        "probes",
        lambda shape, rng, bits: iter([np.zeros(shape), np.ones(shape)]),
        _holds_and_differs,
    ),
    "only small inputs are multiplied": (
        adjointness,
        "probes",
        lambda shape, rng, bits: iter([np.zeros(shape), np.ones(shape)]),
        _holds_and_differs,
    ),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_noticed(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    place, attribute, mutant, trial = MUTANTS[name]
    trial()
    monkeypatch.setattr(place, attribute, mutant)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        trial()
