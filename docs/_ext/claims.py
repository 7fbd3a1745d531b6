"""Claims of the ledger on a page, each with its verdict: the directives of theory and ledger.

Verdicts come from trials that run while the pages are read. So the directives leave a placeholder,
and what they show takes its place when the pages are written.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils import nodes
from docutils.utils.smartquotes import smartyPants
from sphinx import addnodes
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.docutils import SphinxDirective

from _ext.chips import LABELS, chip
from _ext.measurements import measured_anchor
from _ext.runs import claim_verdicts
from _ext.tables import Cell, table
from _ext.verdicts import theory_verdicts
from theory.ledger import Claim, claims

if TYPE_CHECKING:
    from collections.abc import Callable

    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment
    from sphinx.util.typing import ExtensionMetadata

_SHOWN = "convlaws_claims_shown"


_SETUPS = ("-setup", "-data-split")
"""How the ids of claims end that only say what was run."""

_ORDER = (
    *("holds", "holds_if", "refuted", "reproduced", "not_reproduced"),
    *("undecided", "untried", "not_run"),
)
"""In which the verdicts are counted."""


def verdict_of(claim: Claim, store: Path) -> str:
    """Return the verdict on a claim, of whichever kind; ``untried`` and ``not_run`` included."""
    return _measured_verdict(claim, store) if claim.empirical else _tried_verdict(claim)


def _tried_verdict(claim: Claim) -> str:
    settled = theory_verdicts().get(claim.id)
    return "untried" if settled is None else settled.verdict


def _measured_verdict(claim: Claim, store: Path) -> str:
    measured = claim_verdicts(store).get(claim.id)
    return "not_run" if measured is None else measured.verdict


class _Awaiting(nodes.General, nodes.Element):
    """Stands where something shows verdicts, until they are known."""


class ClaimsDirective(SphinxDirective):
    """Show the claims that the lines of the content name, with verdicts and trials."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()
        names = [line.strip() for line in self.content if line.strip()]
        for name in names:
            if name not in claims():
                raise self.error(f"{name!r} is no claim of the ledger")
        self.env.temp_data[_SHOWN] = _shown(self.env) | set(names)
        return [_Awaiting(show="claims", names=names)]


class OtherClaimsDirective(SphinxDirective):
    """Show the claims that trials of some files settle and that the page has not shown so far."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()
        files, shown = self.arguments[0].split(), sorted(_shown(self.env))
        return [_Awaiting(show="other-claims", files=files, shown=shown)]


class LedgerDirective(SphinxDirective):
    """Show every claim of a report; other pages link to the claims here."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()
        report = self.arguments[0]
        if not _of_report(report):
            known = ", ".join(dict.fromkeys(claim.report for claim in claims().values()))
            raise self.error(f"{report!r} is no report of the ledger; known: {known}")
        standard = self.env.domains.standard_domain
        for claim in _of_report(report):
            anchor = _anchor(claim)
            standard.note_hyperlink_target(anchor, self.env.docname, anchor, claim.id)
        return [_Awaiting(show="ledger", report=report)]


class TallyDirective(SphinxDirective):
    """Count the verdicts on the claims, report by report."""

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()
        return [_Awaiting(show="tally")]


class ShowVerdicts(SphinxPostTransform):
    """Put what the directives show in its place, once the trials have ended."""

    default_priority = 5  # before references are resolved: claims refer to the ledger

    def run(self, **_: Any) -> None:
        """Replace every placeholder of the page."""
        for place in list(self.document.findall(_Awaiting)):
            place.replace_self(self._shown_at(place))

    def _shown_at(self, place: _Awaiting) -> list[nodes.Node]:
        store = Path(self.config.convlaws_records)
        match place["show"]:
            case "claims":
                return [_entry(claims()[name], store) for name in place["names"]]
            case "other-claims":
                return [
                    _entry(claims()[name], store)
                    for name, settled in theory_verdicts().items()
                    if name not in place["shown"]
                    and {trial.partition("::")[0] for trial in settled.trials} & {*place["files"]}
                ]
            case "ledger":
                return [_entry(claim, store, linked=False) for claim in _of_report(place["report"])]
        return _tallies(store)


def _tallies(store: Path) -> list[nodes.Node]:
    """Count the verdicts of trials, and of runs; some claims of theory have both."""
    tried = [claim for claim in claims().values() if not claim.empirical]
    measured = [
        claim for claim in claims().values() if claim.empirical or claim.id in claim_verdicts(store)
    ]
    both = len(tried) + len(measured) - len(claims())
    setups = [
        claim
        for claim in measured
        if claim.id.endswith(_SETUPS) and _measured_verdict(claim, store) == "reproduced"
    ]
    told = f"{len(measured)} claims by runs: the {len(measured) - both} of experiments, and {both} "
    told += "of theory which runs can speak to as well."
    if setups:
        told += f" {len(setups)} of those reproduced only say what was run, and that it can be run."
    return [
        nodes.paragraph("", f"{len(tried)} claims of theory, by trials:"),
        _tally(tried, lambda claim: (_tried_verdict(claim), "")),
        nodes.paragraph("", told),
        _tally(measured, lambda claim: _open_or_not(claim, store)),
    ]


def _open_or_not(claim: Claim, store: Path) -> tuple[str, str]:
    """Return the verdict of the runs, and why it is undecided where it is."""
    judged = claim_verdicts(store).get(claim.id)
    return _measured_verdict(claim, store), judged.undecided_for if judged else ""


def _tally(counted: list[Claim], verdict: Callable[[Claim], tuple[str, str]]) -> nodes.container:
    counts = {
        report: Counter(verdict(claim) for claim in counted if claim.report == report)
        for report in sorted({claim.report for claim in counted})
    }
    counts["all reports"] = sum(counts.values(), Counter())
    rows: list[list[Cell]] = []
    for each in sorted(counts["all reports"], key=lambda each: _ORDER.index(each[0])):
        name, why = each
        head = nodes.inline("", "", chip(name), nodes.Text(f" {why}" if why else ""))
        rows.append([head, *(str(count[each] or "·") for count in counts.values())])
    rows.append(["all", *(str(count.total()) for count in counts.values())])
    return table(["verdict", *counts], rows, classes=["tally"])


def _shown(env: BuildEnvironment) -> set[str]:
    """Return the claims that the page which is being read has shown so far."""
    shown: set[str] = env.temp_data.get(_SHOWN) or set()
    return shown


def _of_report(report: str) -> list[Claim]:
    return [claim for claim in claims().values() if claim.report == report]


def _anchor(claim: Claim) -> str:
    return f"claim-{claim.id}"


def _entry(claim: Claim, store: Path, *, linked: bool = True) -> nodes.container:
    """Return a claim: verdict, certainty, id and place; statement; what the trials say of it.

    The name is a link to the claim in the ledger, or what such links lead to.
    """
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
    if settled is not None and settled.certainty not in (None, verdict):
        head += nodes.inline("", settled.certainty, classes=["certainty"])
        head += nodes.Text(" ")
    head += name
    head += nodes.inline("", _typeset(f" {claim.where}"), classes=["claim-where"])
    entry = nodes.container(
        "", head, nodes.paragraph("", _typeset(claim.statement)), classes=["claim"]
    )
    if not linked:
        entry["ids"].append(_anchor(claim))
    if settled is not None:
        if settled.correction:
            entry += _remark("Corrected", settled.correction)
        if settled.condition:
            opens = settled.verdict == "undecided"
            entry += _remark("What would settle it" if opens else "Condition", settled.condition)
        entry += _trials(settled.trials)
    if claim.empirical or claim.id in claim_verdicts(store):
        entry += _measured(claim, store)
    return entry


def _measured(claim: Claim, store: Path) -> nodes.paragraph:
    """Say how the runs came out, by one part of the claim, and where the others are."""
    verdict = claim_verdicts(store).get(claim.id)
    if verdict is None:
        return _remark("Measured", "no study of the catalogue measures this claim.")
    label = LABELS[verdict.verdict]
    told = verdict.reason
    if verdict.verdict == "not_run":
        told = f"{label}; {told}"
    else:
        if not told.startswith(label):
            told = f"{label}{' ' if told.startswith('under ') else ': '}{told}"
        part = verdict.example
        told += f". For example, under {part.completion}, {part.what}: {part.reason}"
    remark = _remark("Measured", f"{told} (")
    remark += addnodes.pending_xref(
        "",
        nodes.inline("", "all parts"),
        refdomain="std",
        reftype="ref",
        reftarget=measured_anchor(claim.id),
        refexplicit=True,
    )
    remark += nodes.Text(").")
    return remark


def _remark(label: str, text: str) -> nodes.paragraph:
    return nodes.paragraph("", "", nodes.strong("", f"{label}: "), nodes.Text(_typeset(text)))


def _typeset(text: str) -> str:
    """Return a text with the quotes and dashes that Sphinx gave it, had it been on the page."""
    return str(smartyPants(text, "qDe"))


def _trials(trials: tuple[str, ...]) -> nodes.paragraph:
    paragraph = nodes.paragraph("", "", classes=["claim-trials"])
    paragraph += nodes.Text("Trial: " if len(trials) == 1 else "Trials: ")
    for position, trial in enumerate(trials):
        paragraph += nodes.Text(", " if position else "")
        paragraph += _breakable(trial)
    return paragraph


def _breakable(trial: str) -> nodes.literal:
    """Return the name of a trial, which a browser may break between its words and not in one."""
    name = nodes.literal()
    for word in re.findall(r"[^/_:]+[/_:]*", trial):
        name += [nodes.Text(word), nodes.raw("", "<wbr>", format="html")]
    return name


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the directives ``claims``, ``other-claims``, ``ledger`` and ``tally``."""
    app.add_node(_Awaiting)
    app.add_post_transform(ShowVerdicts)
    app.add_directive("claims", ClaimsDirective)
    app.add_directive("other-claims", OtherClaimsDirective)
    app.add_directive("ledger", LedgerDirective)
    app.add_directive("tally", TallyDirective)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
