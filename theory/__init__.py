"""Laws of convolutional networks, and the instruments that put operators on trial.

>>> import torch
>>> from theory import diagnose
>>> diagnose(torch.nn.ReLU(), (8,)).linear.holds
False
"""

from __future__ import annotations

from theory.auditing import Audit, audit
from theory.diagnosis import Diagnosis, Finding, Witness, diagnose

__all__ = ["Audit", "Diagnosis", "Finding", "Witness", "audit", "diagnose"]
