"""Asserts on operators for one's own test suite, and a battery of tests to inherit.

A failure shows the witness as Python to paste, in which `op` is the operator under test.

>>> import torch
>>> from theory.testing import assert_linear
>>> assert_linear(torch.nn.Linear(4, 2, bias=False), (4,), certainty="proved")
>>> assert_linear(torch.nn.ReLU(), (4,))
Traceback (most recent call last):
    ...
AssertionError: ReLU on inputs of shape (4,) is not linear: not additive
<BLANKLINE>
    import numpy as np
    from theory.testing import sides
<BLANKLINE>
    x = np.zeros((4,))
    x[0] = 1.0
    y = np.zeros((4,))
    y[0] = -1.0
    left, right = sides(op, "additive", x, y, batched=True)
    print(left[0], right[0])  # f(x + y) = 0.0 but f(x) + f(y) = 1.0
<BLANKLINE>

Which module answers which question, in the order in which an assert asks:

- ``asserts``: what is to be measured, and what is demanded? ``battery`` asks all of it of a class.
- ``sameness`` and ``adjointness``: do two operators agree? How that is judged is in ``agreement``;
  all that is measured on one operator is by `theory.diagnose`.
- ``demands``: is the measurement what was demanded? If not, this raises the AssertionError, for
  which ``shifts`` searches an input that does not follow the shift.
- ``replaying``: how is a counterexample written, and computed again?
"""

from __future__ import annotations

from theory.testing.asserts import (
    Options,
    assert_adjoint,
    assert_affine,
    assert_linear,
    assert_lti,
    assert_same_operator,
    assert_shift_equivariant,
)
from theory.testing.battery import OperatorTests
from theory.testing.demands import Known
from theory.testing.replaying import dot_products, outputs, sides

__all__ = [
    "Known",
    "OperatorTests",
    "Options",
    "assert_adjoint",
    "assert_affine",
    "assert_linear",
    "assert_lti",
    "assert_same_operator",
    "assert_shift_equivariant",
    "dot_products",
    "outputs",
    "sides",
]
