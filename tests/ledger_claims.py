"""Claims of the ledger that its tests name."""

from __future__ import annotations

RELU, EXAMPLE = "nni-2023-ex1-t3a-relu", "nni-2023-ex1-t3a-relu-example"
EMPIRICAL = "nni-2023-ex1-q1c-acc-70"
