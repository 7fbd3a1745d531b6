"""What is demanded of a measurement, and the AssertionError where it falls short."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NoReturn, cast, get_args

from theory.counts import as_count
from theory.diagnosis.findings import Diagnosis, Finding, words
from theory.testing.agreement import Agreement
from theory.testing.replaying import Counterexample
from theory.testing.shifts import not_followed

Known = Literal["sampled", "exhausted", "proved"]
"""The certainties of what holds, from the weakest to the strongest."""

_WORDS = {
    "shift_equivariant": "shift-equivariant",
    "lti": "LTI",
}


def require(diagnosis: Diagnosis, name: str, certainty: Known = "sampled") -> None:
    """Raise an AssertionError unless a property was found to hold, at least that certainly.

    Parameters
    ----------
    diagnosis : Diagnosis
        The measurement.
    name : str
        Name of the property.
    certainty : {"sampled", "exhausted", "proved"}
        The least certainty that will do.
    """
    finding = diagnosis.findings[name]
    counterexample = None if finding.witness is None else Counterexample.of(finding.witness)
    _require(finding, counterexample, _subject(diagnosis), _WORDS.get(name, name), certainty)


def require_not(diagnosis: Diagnosis, name: str) -> None:
    """Raise an AssertionError unless a property was refuted."""
    finding = diagnosis.findings[name]
    if finding.holds is not False:
        what = _WORDS.get(name, name)
        found = "holds" if finding.holds else "could not be decided"
        _fail(f"{_subject(diagnosis)} should not be {what}: {found} ({finding.reason})")


def require_agreement(
    agreement: Agreement, subject: str, what: str, certainty: Known = "sampled"
) -> None:
    """Raise an AssertionError unless two operators agree, at least that certainly."""
    _require(agreement.finding, agreement.counterexample, subject, what, certainty)


def require_period(
    diagnosis: Diagnosis,
    op: Callable[..., Any],
    period: int | Sequence[int],
    certainty: Known,
    options: Mapping[str, Any],
) -> None:
    """Raise an AssertionError unless shifts by the period are followed, at least that certainly.

    Parameters
    ----------
    diagnosis : Diagnosis
        The measurement.
    op : callable
        The operator, to be searched for a witness against just this shift.
    period : int or sequence of int
        Shift along each shifted axis.
    certainty : {"sampled", "exhausted", "proved"}
        The least certainty that will do.
    options : mapping
        Those that the diagnosis was made with.
    """
    asked = _checked_period(period, len(diagnosis.period))
    finding = diagnosis.shift_equivariant
    if finding.holds is not False or all(k == 1 for k in asked):
        require(diagnosis, "shift_equivariant", certainty)
        return
    require_known_period(diagnosis)
    what = f"equivariant to shifts by {words(asked)}"
    follows = all(
        p is not None and k % p == 0 for k, p in zip(asked, diagnosis.period, strict=True)
    )
    if follows:
        finding = Finding(True, diagnosis.period_certainty, f"period {words(asked)}")
        _require(finding, None, _subject(diagnosis), what, certainty)
        return
    counterexample = not_followed(diagnosis, op, asked, options)
    note = ""
    if counterexample is None and finding.witness is not None:
        counterexample, note = Counterexample.of(finding.witness), "; here is a shift by 1"
    reason = f"the smallest shift that it follows is {words(diagnosis.period)}{note}"
    refuted = Finding(False, "refuted", reason)
    _require(refuted, counterexample, _subject(diagnosis), what, certainty)


def require_known_period(diagnosis: Diagnosis) -> None:
    """Raise an AssertionError where the search for the period came to no conclusion."""
    finding = diagnosis.shift_equivariant
    if finding.holds is None or diagnosis.period_certainty == "undecided":
        _fail(f"the period of {_subject(diagnosis)} could not be decided: {finding.reason}")


def _require(
    finding: Finding,
    counterexample: Counterexample | None,
    subject: str,
    what: str,
    certainty: Known,
) -> None:
    known = get_args(Known)
    if certainty not in known:
        raise ValueError(f"certainty is {certainty!r}: give {', '.join(map(repr, known))}")
    if finding.holds is None:
        _fail(f"whether {subject} is {what} could not be decided: {finding.reason}")
    if finding.holds is False:
        _fail(f"{subject} is not {what}: {finding.reason}", counterexample)
    if known.index(cast(Known, finding.certainty)) < known.index(certainty):
        _fail(
            f"{subject} is {what}, but that is only {finding.certainty}: {finding.reason}; "
            f"{certainty} was demanded"
        )


def _fail(message: str, counterexample: Counterexample | None = None) -> NoReturn:
    __tracebackhide__ = True
    if counterexample is not None:
        message = f"{message}\n\n{textwrap.indent(str(counterexample), '    ')}\n"
    raise AssertionError(message)


def _subject(diagnosis: Diagnosis) -> str:
    return f"{diagnosis.operator} on inputs of shape {diagnosis.shape}"


def period_of_each(period: Any, axes: int) -> tuple[Any, ...]:
    """Return what is given for each shifted axis, be it in an array, or once for all axes."""
    try:
        return tuple(period)
    except TypeError:
        return (period,) * axes


def _checked_period(period: int | Sequence[int], axes: int) -> tuple[int, ...]:
    try:
        sizes = tuple(as_count("period", k) for k in period_of_each(period, axes))
    except (TypeError, ValueError):
        sizes = ()
    if len(sizes) != axes:
        raise ValueError(
            f"period is {period!r}: give one positive number of cells, or one for each of the "
            f"{axes} shifted axes"
        )
    return sizes
