"""A battery of tests to inherit: say what your operator should be, and pytest finds out."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from jaxtyping import Num

from theory.arrays import as_array
from theory.diagnosis import Diagnosis, diagnose
from theory.diagnosis.calling import Operator
from theory.diagnosis.inside import examined
from theory.diagnosis.isolation import isolated
from theory.testing.adjointness import adjointness
from theory.testing.asserts import Options
from theory.testing.demands import (
    Known,
    period_of_each,
    require,
    require_agreement,
    require_known_period,
    require_not,
    require_period,
)
from theory.testing.sameness import sameness


class OperatorTests:
    """Tests of an operator, for a subclass whose name begins with ``Test``.

    The subclass gives `operator` and `shape`, and says where its operator is *not* a convolution. A
    property that is said not to hold has to be refuted. What is not given is skipped by name.

    Attributes
    ----------
    shape : tuple of int
        Shape of one input without batch.
    linear, affine, lti : bool
        Whether the operator should be that.
    period : int or tuple of (int or None)
        The smallest shift that it should follow along each shifted axis, or along all: 1 is
        equivariant, None is none but the full turn.
    certainty : {"sampled", "exhausted", "proved"}
        The least certainty that will do for linear and affine.
    options : dict
        Those of `theory.diagnose`: axes, boundary, batched, dtype, seed, budget.

    Examples
    --------
    >>> class TestBlur(OperatorTests):
    ...     shape = (1, 8)
    ...     certainty = "proved"
    ...
    ...     def operator(self):
    ...         return torch.nn.Conv1d(1, 1, 3, padding="same", padding_mode="circular", bias=False)
    """

    shape: ClassVar[tuple[int, ...]]
    linear: ClassVar[bool] = True
    affine: ClassVar[bool] = True
    lti: ClassVar[bool] = True
    period: ClassVar[int | Sequence[int | None] | None] = 1
    certainty: ClassVar[Known] = "sampled"
    options: ClassVar[Options] = {}

    def operator(self) -> Callable[..., Any]:
        """Return the operator under test; the same one, or one with the same weights, each time."""
        raise NotImplementedError(f"{type(self).__name__} gives no operator(): return a callable")

    def dense(self) -> Num[np.ndarray, "cells_out cells"] | None:
        """Return the operator's matrix on flattened signals; of f(x) - f(0) if it has an offset.

        A tensor, or nested lists, will do as well.
        """
        return None

    def adjoint(self) -> Callable[..., Any] | None:
        """Return the operator's adjoint."""
        return None

    def kernel(self) -> Num[np.ndarray, "..."] | None:
        """Return the operator's kernel, in the form of `theory.Diagnosis.kernel`; lists will do."""
        return None

    @classmethod
    def diagnosis(cls) -> Diagnosis:
        """Return the one diagnosis that all tests of the class share."""
        if "_known" not in vars(cls):
            if not hasattr(cls, "shape"):
                raise NotImplementedError(
                    f"{cls.__name__} gives no shape: set it to that of one input without batch, "
                    "as (3, 32, 32)"
                )
            cls._known = diagnose(cls().operator(), cls.shape, **cls.options)
        return cls._known

    _known: ClassVar[Diagnosis]

    def test_deterministic(self) -> None:
        """The same input gives the same output."""
        require(self.diagnosis(), "deterministic")

    def test_linear(self) -> None:
        """It is linear, or is refuted to be."""
        self._require("linear", self.linear, self.certainty)

    def test_affine(self) -> None:
        """It is affine, or is refuted to be."""
        self._require("affine", self.affine, self.certainty)

    def test_period(self) -> None:
        """It follows the shifts that it should, and no smaller ones."""
        diagnosis = self.diagnosis()
        expected = period_of_each(self.period, len(diagnosis.period))
        whole = [p for p in expected if p is not None]
        if len(whole) == len(expected):
            require_period(diagnosis, self.operator(), whole, "sampled", self.options)
        else:
            require_known_period(diagnosis)
        found = diagnosis.period
        _check(found == expected, f"the period is {found}, not {expected}")

    def test_lti(self) -> None:
        """It is a convolution, or is refuted to be."""
        self._require("lti", self.lti, "sampled")

    def test_dense(self) -> None:
        """It is the product with its matrix, plus f(0)."""
        matrix = _numbers(self, "dense")
        diagnosis = self.diagnosis()
        require(diagnosis, "affine")
        assert diagnosis.offset is not None
        expected = math.prod(diagnosis.output_shape), math.prod(diagnosis.shape)
        _check_shape("dense", matrix, expected)
        product = _Product(matrix, diagnosis.offset, len(self.shape))
        agreement = sameness(self.operator(), product, self.shape, **self._calling())
        require_agreement(agreement, "dense()", "the operator's matrix")

    def test_adjoint(self) -> None:
        """Its adjoint passes the dot test."""
        adjoint = _given(self, "adjoint")
        agreement = adjointness(self.operator(), adjoint, self.shape, **self._calling())
        require_agreement(agreement, "adjoint()", "the operator's adjoint")

    def test_kernel(self) -> None:
        """Its kernel is the given one."""
        expected = _numbers(self, "kernel")
        diagnosis = self.diagnosis()
        require(diagnosis, "lti")
        assert diagnosis.kernel is not None
        _check_shape("kernel", expected, diagnosis.kernel.shape)
        calling = {k: v for k, v in self._calling().items() if k in ("batched", "dtype")}
        with isolated(seed=0):
            operator = Operator(self.operator(), self.shape, **calling)
            rounding = examined(operator, budget=1, seed=0).rounding.of_the_whole
        excess = rounding.excess(diagnosis.kernel, expected, norm=1, responses=1)
        message = f"the kernel is\n{diagnosis.kernel}\nbut kernel() gives\n{expected}"
        _check(excess <= 1, message)

    def _require(self, name: str, expected: bool, certainty: Known) -> None:
        if expected:
            require(self.diagnosis(), name, certainty)
        else:
            require_not(self.diagnosis(), name)

    def _calling(self) -> dict[str, Any]:
        return {k: v for k, v in self.options.items() if k not in ("axes", "boundary")}


def _check(condition: bool, message: str) -> None:
    """Raise an AssertionError; a statement `assert` would be left out by ``python -O``."""
    if not condition:
        raise AssertionError(message)


def _check_shape(what: str, values: np.ndarray, shape: tuple[int, ...]) -> None:
    _check(values.shape == shape, f"{what}() has shape {values.shape}, expected {shape}")


def _given(tests: OperatorTests, what: str) -> Any:
    """Return what a subclass gives; skip the test, and say why, if it does not."""
    value = getattr(tests, what)()
    if value is None:
        pytest.skip(f"{type(tests).__name__} gives no {what}()")
    return value


def _numbers(tests: OperatorTests, what: str) -> np.ndarray:
    """Return the array that a subclass gives, as one or as what makes one."""
    values = as_array(f"{what}()", _given(tests, what))
    if values.dtype.kind not in "biufc":
        raise TypeError(f"{what}() is of {values.dtype}, expected numbers: return an array of them")
    return values


class _Product(torch.nn.Module):
    """The product of a matrix with the flattened input, plus an offset, batched or not."""

    def __init__(
        self, matrix: Num[np.ndarray, "cells_out cells"], offset: np.ndarray, rank: int
    ) -> None:
        super().__init__()
        exact = matrix if matrix.dtype.kind in "fc" else matrix.astype(np.float64)
        self.matrix = torch.nn.Buffer(torch.as_tensor(exact))
        self.offset = torch.nn.Buffer(torch.as_tensor(offset))
        self._rank = rank

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        product = x.reshape(-1, self.matrix.shape[1]).to(self.matrix.dtype) @ self.matrix.mT
        y = product.reshape(-1, *self.offset.shape) + self.offset
        return y if x.ndim > self._rank else y[0]
