"""Claims: one checkable sentence of a report each, read from one TOML file a report."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

KINDS = ("theory", "formula", "arithmetic", "qualitative", "explanation", "empirical")


class LedgerError(ValueError):
    """The ledger's data, or a trial's use of it, is not what it must be."""


@dataclass(frozen=True)
class Claim:
    """One sentence of a report that can be checked.

    Attributes
    ----------
    id : str
        Unique; begins with the name of the report.
    report : str
        The report that makes the claim, which is also the name of its TOML file.
    where : str
        The place in the report.
    kind : str
        One of `KINDS`. Only an ``empirical`` claim needs a measurement, all others a trial.
    statement : str
        The claim in neutral words.
    reported : dict or list or None
        The numbers that the report prints, if any.
    conflicts_with : tuple of str
        Claims of other reports that disagree or overlap.
    not_stated : str or None
        What the report leaves out, if that matters.
    """

    id: str
    report: str
    where: str
    kind: str
    statement: str
    reported: dict[str, Any] | list[Any] | None = None
    conflicts_with: tuple[str, ...] = ()
    not_stated: str | None = None

    @property
    def empirical(self) -> bool:
        """Whether the claim is settled by measuring again, not by a trial."""
        return self.kind == "empirical"


_REQUIRED: dict[str, type] = {"id": str, "where": str, "kind": str, "statement": str}
_OPTIONAL: dict[str, type | tuple[type, ...]] = {
    "reported": (dict, list),
    "conflicts_with": list,
    "not_stated": str,
}


@cache
def claims(folder: Path | str = Path(__file__).parent) -> Mapping[str, Claim]:
    """Read and validate every claim of the ledger.

    Parameters
    ----------
    folder : pathlib.Path or str
        Where the TOML files lie, one a report.

    Returns
    -------
    mapping from str to Claim
        Claims by id, reports in alphabetical order and claims in the order of their report.

    Raises
    ------
    LedgerError
        If a file is not TOML or a claim is malformed; the message names file and claim.
    """
    ledger: dict[str, Claim] = {}
    for path in sorted(Path(folder).glob("*.toml")):
        for claim in _read(path):
            if claim.id in ledger:
                raise LedgerError(f"{path.name}: claim {claim.id}: the id is used twice")
            ledger[claim.id] = claim
    if not ledger:
        raise LedgerError(f"{folder}: no claims found; expected one TOML file a report")
    for claim in ledger.values():
        for other in claim.conflicts_with:
            if other not in ledger or ledger[other].report == claim.report:
                raise LedgerError(
                    f"{claim.report}.toml: claim {claim.id}: conflicts_with names {other!r}, "
                    "which is no claim of another report"
                )
    return MappingProxyType(ledger)


def _read(path: Path) -> Iterator[Claim]:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise LedgerError(f"{path.name}: not valid TOML: {error}") from None
    tables: Any = document.get("claim")
    if set(document) != {"claim"} or not _all_of(dict, tables):
        raise LedgerError(f"{path.name}: expected [[claim]] tables and nothing else")
    for position, table in enumerate(tables, start=1):
        name = table.get("id", f"number {position}")
        try:
            yield _claim(table, report=path.stem)
        except LedgerError as error:
            raise LedgerError(f"{path.name}: claim {name}: {error}") from None


def _claim(table: dict[str, Any], report: str) -> Claim:
    if missing := [key for key in _REQUIRED if key not in table]:
        raise LedgerError(f"lacks {', '.join(missing)}")
    for key, value in table.items():
        kind = _REQUIRED.get(key) or _OPTIONAL.get(key)
        if kind is None:
            allowed = ", ".join(f.name for f in fields(Claim) if f.name != "report")
            raise LedgerError(f"unknown key {key!r}; a claim has {allowed} (verdicts: see trials)")
        if not isinstance(value, kind):
            raise LedgerError(f"{key} is {value!r}, which has the wrong type")
    if not _all_of(str, table.get("conflicts_with", [])):
        raise LedgerError(f"conflicts_with is {table['conflicts_with']!r}, expected ids of claims")
    if not table["id"].startswith(f"{report}-"):
        raise LedgerError(f"an id in this file begins with {report + '-'!r}")
    if table["kind"] not in KINDS:
        raise LedgerError(f"unknown kind {table['kind']!r}; known: {', '.join(KINDS)}")
    if empty := [key for key, value in table.items() if isinstance(value, str) and not value]:
        raise LedgerError(f"{empty[0]} is empty")
    conflicts = tuple(table.get("conflicts_with", ()))
    return Claim(**{**table, "report": report, "conflicts_with": conflicts})


def _all_of(kind: type, values: Any) -> bool:
    """Whether values are a list of this kind alone."""
    return isinstance(values, list) and all(isinstance(each, kind) for each in values)
