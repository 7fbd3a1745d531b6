"""Laws of convolutional networks, and the instruments that put operators on trial.

>>> import torch
>>> from theory import diagnose
>>> diagnose(torch.nn.ReLU(), (8,)).linear.holds
False
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from theory.auditing import Audit, audit
    from theory.diagnosis import Diagnosis, Finding, Witness, diagnose

__all__ = ["Audit", "Diagnosis", "Finding", "Witness", "audit", "diagnose"]

_HOMES = {"Audit": "theory.auditing", "audit": "theory.auditing"}


def __getattr__(name: str) -> Any:
    """Import an instrument when it is asked for: who reads the ledger needs no PyTorch."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES.get(name, "theory.diagnosis")), name)
