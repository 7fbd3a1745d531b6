"""What people and programs read: the verdicts of a study, and the runs of a recipe.

The functions return renderables of ``rich`` (at most 100 columns) or JSON-ready data; they print
nothing.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from experiments.advice import how_to_run
from experiments.findings import Finding, spoken
from experiments.quantities import Unit, formatted, formatted_with_bars
from experiments.records import DEFAULT_STORE
from experiments.tables import plain_table
from experiments.verdicts import ClaimVerdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from experiments.recipe import Recipe
    from experiments.records import Record
    from experiments.statements import Verdict
    from experiments.statistics import Interval
    from experiments.study import Study

_STYLES: dict[Verdict, str] = {
    "reproduced": "green",
    "not_reproduced": "red",
    "undecided": "yellow",
    "not_run": "dim",
}
_COLUMNS = {
    "    completion": 18,
    "n": 3,
    "measured": 22,
    "next run": 18,
    "claimed": 18,
    "verdict": 15,
}
SEEDS_TO_DECIDE = 5
"""Whoever wants to rely on a verdict has at least so many behind it."""

_NOTE = (
    "measured: mean over n seeds ± 95 % t-interval over seeds, and for a test accuracy ± 95 % "
    "binomial interval of the test set. next run: 95 % prediction interval for one further run, "
    "by ranks where there are 39 seeds or more, which a reported number is held against, give or "
    "take its rounding. late: added when runs had been seen, or judged in another way since, "
    "and so reproduces no claim. pp: percentage points. Differences are paired by seed."
)


def report_table(
    study: Study, verdicts: Sequence[ClaimVerdict], store: Path = DEFAULT_STORE
) -> Group:
    """Return the report for people: every claim, each part under each completion, and a tally.

    Parameters
    ----------
    study
        The study.
    verdicts
        Its verdicts, as in :func:`experiments.verdicts.judge`.
    store
        Folder that the records came from; named in the advice on what to run.
    """
    title = Text.assemble((study.name, "bold"), f"  {study.title}")
    claims = [part for verdict in verdicts for part in _claim(verdict)]
    tally: list[RenderableType] = [_tally(study, verdicts), Text()]
    missing = _not_run(study, verdicts, store)
    few = _by_few_seeds(study, verdicts)
    return Group(title, Text(), *claims, *tally, *missing, *few, Text(_NOTE, "dim"))


def report_data(verdicts: Sequence[ClaimVerdict]) -> list[dict[str, Any]]:
    """Return one JSON-ready entry for each part of each claim under each completion.

    ``statement`` is what the claim says. ``interval`` is the one that decided the verdict;
    ``claim_verdict`` is that of the whole claim, ``claim_reason`` why, and ``deciding_seeds`` how
    many seeds it rests on. ``rounding`` is how far the reported number may lie from what was
    rounded. Accuracies are fractions of 1, losses are in nats; null stands for what is not known.
    """
    return [_entry(finding, claim) for claim in verdicts for finding in claim.findings]


def measured_text(finding: Finding) -> str:
    """Return the mean over seeds, ± its interval over seeds, ± that of the test set, for people."""
    found, quantity = finding.measurement, finding.quantity
    if found.mean is None:
        return "–"
    # A count that is to be met exactly is decided by no interval.
    exact = quantity.seedless or (quantity.unit == "count" and finding.interval is None)
    bars = () if exact else (found.seed_interval, found.test_set_interval)
    return formatted_with_bars(found.mean, quantity.unit, *bars)


def recipe_summary(
    study: Study, recipe: Recipe, records: Sequence[Record], store: Path = DEFAULT_STORE
) -> Group:
    """Return a recipe's settings, what each run measured, and where each record comes from.

    Parameters
    ----------
    study
        The study of the recipe.
    recipe
        The recipe, or a variant of it.
    records
        Its records, as in :func:`experiments.lookup.records`.
    store
        Folder that the records came from; named in the advice on what to run.
    """
    settings = recipe.to_dict() | {"optimizer": _optimizer(recipe), "digest": recipe.digest[:12]}
    del settings["name"]
    described = Table.grid(padding=(0, 2))
    for key, value in settings.items():
        if value not in (None, ""):  # a setting that is not in use
            described.add_row(Text(key, "dim"), str(value))
    parts: list[RenderableType] = [Text(recipe.name, "bold"), described, Text()]
    if not records:
        advice = f"no records of this recipe; run: {how_to_run(study, store, recipe)}"
        return Group(*parts, Text(advice, "yellow"))
    provenance: list[RenderableType] = [_provenance(record) for record in records]
    return Group(*parts, _measurements(records), Text(), *provenance)


def _claim(claim: ClaimVerdict) -> list[RenderableType]:
    lines: list[RenderableType] = [Text(claim.claim, "bold")]
    if claim.sentence:
        lines.append(Padding(Text(claim.sentence, "dim"), (0, 0, 0, 2)))
    overall = Text.assemble("  → ", _verdict(claim.verdict))
    if claim.needs or claim.verdict != "not_run":  # which records are missing is said at the end
        overall.append(f" ({claim.reason})", "dim")
    if claim.verdict != "not_run":
        parts: dict[str, list[Finding]] = {}
        for finding in claim.findings:
            parts.setdefault(finding.what, []).append(finding)
        for index, (what, findings) in enumerate(parts.items()):
            lines += [Text(f"  {what}", "italic"), _part(findings, show_header=index == 0)]
            lines += [
                Padding(Text(f"{finding.completion}: {finding.reason}", "dim"), (0, 0, 0, 4))
                for finding in findings
                if finding.verdict in ("not_reproduced", "undecided")
            ]
    return [*lines, overall, Text()]


def _part(findings: Sequence[Finding], *, show_header: bool) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, show_header=show_header)
    for header, width in _COLUMNS.items():
        table.add_column(header, width=width, header_style="dim")
    for finding in findings:
        table.add_row(
            f"    {finding.completion}",
            str(len(finding.measurement.seeds)),
            measured_text(finding),
            finding.next_run,
            finding.statement.expected,
            _outcome(finding),
        )
    return table


def _verdict(verdict: Verdict) -> Text:
    return Text(spoken(verdict), _STYLES[verdict])


def _outcome(finding: Finding) -> Text:
    return Text(finding.outcome, _STYLES["undecided" if finding.fits_late else finding.verdict])


def _tally(study: Study, verdicts: Sequence[ClaimVerdict]) -> Table:
    counted = [spoken(verdict) for verdict in _STYLES]
    table = plain_table("completion", "", *counted, right=counted)
    for completion, description in study.completions.items():
        counts = Counter(claim.by_completion.get(completion) for claim in verdicts)
        numbers = [str(counts[verdict]) for verdict in _STYLES]
        table.add_row(completion, description, *numbers)
    return table


def _not_run(study: Study, verdicts: Sequence[ClaimVerdict], store: Path) -> list[Text]:
    missing = {
        recipe: None
        for claim in verdicts
        for finding in claim.findings
        for recipe in finding.missing
        if recipe not in study.on_request
    }
    if not missing:
        return []
    advice = f"no records of {', '.join(missing)}; run: {how_to_run(study, store)}"
    return [Text(advice, "yellow"), Text()]


def _by_few_seeds(study: Study, verdicts: Sequence[ClaimVerdict]) -> list[Text]:
    few = [
        f"{claim.claim.removeprefix(f'{study.name}-')} ({seeds})"
        for claim in verdicts
        if (seeds := claim.deciding_seeds) is not None and seeds < SEEDS_TO_DECIDE
    ]
    if not few:
        return []
    told = f"decided by fewer than {SEEDS_TO_DECIDE} seeds, so far: {', '.join(few)}"
    return [Text(told, "yellow"), Text()]


def _entry(finding: Finding, claim: ClaimVerdict) -> dict[str, Any]:
    statement, found = finding.statement, finding.measurement
    return {
        "claim": statement.claim,
        "statement": claim.sentence,
        "claim_verdict": claim.verdict,
        "claim_reason": claim.reason,
        "deciding_seeds": claim.deciding_seeds,
        "verdict": finding.verdict,
        "reason": finding.reason,
        "completion": finding.completion,
        "reading": statement.reading,
        "late": statement.late,
        "quantity": str(finding.quantity),
        "unit": finding.quantity.unit,
        "expected": statement.expected,
        "reported": statement.reported,
        "rounding": statement.rounding,
        "measured": found.mean,
        "interval": _ends(finding.interval),
        "seed_interval": _ends(found.seed_interval),
        "test_set_interval": _ends(found.test_set_interval),
        "seeds": list(found.seeds),
        "records": list(found.records),
    }


def _ends(interval: Interval | None) -> list[float] | None:
    return None if interval is None else interval.ends


def _optimizer(recipe: Recipe) -> str:
    optimizer = recipe.optimizer
    parts = [optimizer.name, f"learning rate {optimizer.lr}"]
    if optimizer.momentum:
        parts.append(f"momentum {optimizer.momentum}")
    if optimizer.weight_decay:
        parts.append(f"weight decay {optimizer.weight_decay}")
    if optimizer.schedule != "constant":
        parts.append(f"schedule {optimizer.schedule}")
    return ", ".join(parts)


def _measurements(records: Iterable[Record]) -> Table:
    heads = (
        "seed", "device", "epochs", "train loss", "train acc.", "lowest test loss",
        "last test loss", "last test acc.",
    )  # fmt: skip
    table = plain_table(*heads, right=heads)
    for record in records:
        table.add_row(str(record.seed), record.device, *_curve_ends(record))
    return table


def _curve_ends(record: Record) -> list[str]:
    losses = record.curves.test_loss
    epochs = f"{len(losses)} (diverged)" if record.diverged else str(len(losses))
    ends = [
        epochs,
        _final(record.final_train_loss, "nats"),
        _final(record.final_train_accuracy, "accuracy"),
    ]
    if not losses:  # no epoch was run, or the first one diverged
        return ends
    lowest = min(losses)
    return [
        *ends,
        f"{formatted(lowest, 'nats')} at {losses.index(lowest) + 1}",
        formatted(losses[-1], "nats"),
        formatted(record.curves.test_accuracy[-1], "accuracy"),
    ]


def _final(value: float | None, unit: Unit) -> str:
    return "–" if value is None else formatted(value, unit)


def _provenance(record: Record) -> Text:
    facts = {"key": record.key[:12], **record.provenance}
    line = "; ".join(f"{key.replace('_', ' ')} {value}" for key, value in facts.items())
    return Text.assemble((f"seed {record.seed}: ", "bold"), (line, "dim"))
