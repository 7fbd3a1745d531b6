"""Chips: a verdict as a small coloured label, the same everywhere on the site."""

from __future__ import annotations

from docutils import nodes

LABELS = {
    "holds": "holds",
    "holds_if": "holds if",
    "refuted": "refuted",
    "undecided": "undecided",
    "untried": "no trial yet",
    "reproduced": "reproduced",
    "not_reproduced": "not reproduced",
    "not_run": "not run yet",
    "licensed": "licensed",
    "not_licensed": "not licensed",
    "reached": "reached",
    "not_reached": "not reached",
}


def chip(verdict: str) -> nodes.inline:
    """Return the chip of a verdict; colour is never its only sign."""
    return nodes.inline("", LABELS[verdict], classes=["chip", f"chip-{verdict.replace('_', '-')}"])
