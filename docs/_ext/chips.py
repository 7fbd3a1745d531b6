"""Chips: a verdict as a small coloured label, the same everywhere on the site."""

from __future__ import annotations

from docutils import nodes

from experiments.findings import FITS_LATE

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
    "late": FITS_LATE,
    "reached": "reached",
    "not_reached": "not reached",
}


def chip(verdict: str) -> nodes.inline:
    """Return the chip of a verdict; its colour is never its only sign."""
    return nodes.inline("", LABELS[verdict], classes=["chip", f"chip-{verdict.replace('_', '-')}"])


def opening(verdict: str, reason: str) -> nodes.entry:
    """Return the cell of a table with the chip of a verdict, which opens to show the reason."""
    return nodes.entry(
        "",
        nodes.raw("", '<details class="reason"><summary>', format="html"),
        chip(verdict),
        nodes.raw("", "</summary>", format="html"),
        nodes.paragraph("", reason),
        nodes.raw("", "</details>", format="html"),
    )
