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
    "late": "fits, but late",
    "reached": "reached",
    "not_reached": "not reached",
}


def chip(verdict: str, reason: str = "") -> nodes.inline | nodes.abbreviation:
    """Return the chip of a verdict, which shows the reason to who points at it.

    Colour is never its only sign.
    """
    classes = ["chip", f"chip-{verdict.replace('_', '-')}"]
    if not reason:
        return nodes.inline("", LABELS[verdict], classes=classes)
    return nodes.abbreviation("", LABELS[verdict], classes=classes, explanation=reason)
