"""Laws of convolutional networks, and the instruments that put operators on trial.

>>> import torch
>>> from theory import diagnose
>>> diagnose(torch.nn.ReLU(), (8,)).linear.holds
False

What operators are
    `diagnosis` decides it for one operator, `auditing` for each layer of a network, and `testing`
    asserts it. `operators` and `operator_catalog` hold those on trial.
What a convolution is
    `convolution` and `gradients`; their matrices in `structured_matrices` and `layer_matrix`, their
    norms in `spectrum`; `methods` computes them fast.
What a network can do
    `geometry` tells what a layer sees, `parameters` what it costs, `recovery` which network a cost
    betrays, `equivalences` and `affine_map` which other network does the same.
What the reports say
    `ledger` holds their claims, and ``test_*.py`` puts these on trial.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from theory.auditing import Audit, Row, audit
    from theory.diagnosis import Certainty, Diagnosis, Finding, Witness, diagnose

__all__ = ["Audit", "Certainty", "Diagnosis", "Finding", "Row", "Witness", "audit", "diagnose"]

_AUDITING = {"Audit", "Row", "audit"}


def __getattr__(name: str) -> Any:
    """Import an instrument when it is asked for: who reads the ledger needs no PyTorch."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = "theory.auditing" if name in _AUDITING else "theory.diagnosis"
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
