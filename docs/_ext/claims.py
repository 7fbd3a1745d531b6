"""Claims of the ledger on a page, each with its verdict: the directives of theory and ledger."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from docutils import nodes
from sphinx import addnodes
from sphinx.util.docutils import SphinxDirective

from _ext.chips import LABELS, chip
from _ext.runs import claim_verdicts
from _ext.tables import Cell, table
from _ext.verdicts import theory_verdicts
from theory.ledger import Claim, claims

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment
    from sphinx.util.typing import ExtensionMetadata

_SHOWN = "convlaws_claims_shown"


def verdict_of(claim: Claim, store: Path) -> str:
    """Return the verdict on a claim, of whichever kind; ``untried`` and ``not_run`` included."""
    if claim.empirical:
        measured = claim_verdicts(store).get(claim.id)
        return "not_run" if measured is None else measured.verdict
    settled = theory_verdicts().get(claim.id)
    return "untried" if settled is None else settled.verdict


class _ClaimsDirective(SphinxDirective):
    """A directive that shows claims of the ledger."""

    @property
    def store(self) -> Path:
        return Path(self.config.convlaws_records)


class ClaimsDirective(_ClaimsDirective):
    """Show the claims that the lines of the content name, with verdicts and trials."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()
        names = [line.strip() for line in self.content if line.strip()]
        for name in names:
            if name not in claims():
                raise self.error(f"{name!r} is no claim of the ledger")
        self.env.temp_data[_SHOWN] = _shown(self.env) | set(names)
        return [_entry(claims()[name], self.store) for name in names]


class OtherClaimsDirective(_ClaimsDirective):
    """Show the claims that trials of some files settle and that the page has not shown so far."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()
        files = set(self.arguments[0].split())
        shown = _shown(self.env)
        return [
            _entry(claims()[name], self.store)
            for name, settled in theory_verdicts().items()
            if name not in shown and files & {trial.partition("::")[0] for trial in settled.trials}
        ]


class LedgerDirective(_ClaimsDirective):
    """Show every claim of a report; other pages link to the claims here."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()
        entries = []
        for claim in _of_report(self.arguments[0]):
            entry = _entry(claim, self.store, linked=False)
            anchor = _anchor(claim)
            entry["ids"].append(anchor)
            standard = self.env.domains.standard_domain
            standard.note_hyperlink_target(anchor, self.env.docname, anchor, claim.id)
            entries.append(entry)
        return entries


class TallyDirective(_ClaimsDirective):
    """Count the verdicts on the claims, report by report."""

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()
        counts = {
            report: Counter(verdict_of(claim, self.store) for claim in _of_report(report))
            for report in sorted({claim.report for claim in claims().values()})
        }
        counts["all reports"] = sum(counts.values(), Counter())
        rows: list[list[Cell]] = [
            [chip(verdict), *(str(count[verdict] or "·") for count in counts.values())]
            for verdict in LABELS
            if counts["all reports"][verdict]
        ]
        rows.append(["all", *(str(count.total()) for count in counts.values())])
        return [table(["verdict", *counts], rows, classes=["tally"])]


def _shown(env: BuildEnvironment) -> set[str]:
    """Return the claims that the page which is being read has shown so far."""
    shown: set[str] = env.temp_data.get(_SHOWN) or set()
    return shown


def _of_report(report: str) -> list[Claim]:
    return [claim for claim in claims().values() if claim.report == report]


def _anchor(claim: Claim) -> str:
    return f"claim-{claim.id}"


def _entry(claim: Claim, store: Path, *, linked: bool = True) -> nodes.container:
    """Return a claim: verdict, certainty, id and place; statement; what the trials say of it."""
    name: nodes.Node = nodes.literal("", claim.id)
    if linked:
        name = addnodes.pending_xref(
            "",
            name,
            refdomain="std",
            reftype="ref",
            reftarget=_anchor(claim),
            refexplicit=True,
            refwarn=True,
        )
    verdict = verdict_of(claim, store)
    head = nodes.paragraph("", "", chip(verdict), nodes.Text(" "), classes=["claim-head"])
    settled = theory_verdicts().get(claim.id)
    if settled is not None and settled.certainty != verdict:
        head += nodes.inline("", settled.certainty, classes=["certainty"])
        head += nodes.Text(" ")
    head += name
    head += nodes.inline("", f" {claim.where}", classes=["claim-where"])
    entry = nodes.container("", head, nodes.paragraph("", claim.statement), classes=["claim"])
    if settled is not None:
        if settled.correction:
            entry += _remark("Corrected", settled.correction)
        if settled.condition:
            entry += _remark("Condition", settled.condition)
        entry += _trials(settled.trials)
    elif claim.empirical:
        entry += _remark("Measured", _measured(claim, store))
    return entry


def _measured(claim: Claim, store: Path) -> str:
    verdict = claim_verdicts(store).get(claim.id)
    if verdict is None:
        return "no study of the catalogue measures this claim."
    return f"{verdict.reason}."


def _remark(label: str, text: str) -> nodes.paragraph:
    return nodes.paragraph("", "", nodes.strong("", f"{label}: "), nodes.Text(text))


def _trials(trials: tuple[str, ...]) -> nodes.paragraph:
    paragraph = nodes.paragraph("", "", classes=["claim-trials"])
    paragraph += nodes.Text("Trial: " if len(trials) == 1 else "Trials: ")
    for position, trial in enumerate(trials):
        paragraph += nodes.Text(", " if position else "")
        paragraph += nodes.literal("", trial)
    return paragraph


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the directives ``claims``, ``other-claims``, ``ledger`` and ``tally``."""
    app.add_directive("claims", ClaimsDirective)
    app.add_directive("other-claims", OtherClaimsDirective)
    app.add_directive("ledger", LedgerDirective)
    app.add_directive("tally", TallyDirective)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
