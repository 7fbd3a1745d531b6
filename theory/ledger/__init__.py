"""The ledger: what the reports claim, as data, and the verdicts that the trials return.

`claims` reads the claims, `settles` marks a trial with the claims that it settles, and the tally
at the end of ``pytest theory`` merges what the passing trials said.
"""

from __future__ import annotations

from theory.ledger.claims import Claim, LedgerError, claims
from theory.ledger.trials import Ruling, settles

__all__ = ["Claim", "LedgerError", "Ruling", "claims", "settles"]
