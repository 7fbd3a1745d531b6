"""The report of a mutation run: what each module's tests killed, and why the rest may live.

A run leaves its results as JSON; why a survivor is no gap in the tests stands in a TOML file that
people write. Either without the other is an error, so that the report cannot go stale unnoticed.
Where a function is gone since the run, its survivors need no reason, and a reason is an error.
"""

from __future__ import annotations

import ast
import hashlib
import json
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeGuard

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

REQUIRED = 0.9
"""The share of a module's mutants that its tests have to kill."""


@dataclass(frozen=True, order=True)
class Mutant:
    """One change of one function.

    Attributes
    ----------
    module, function : str
        Where it is, as in ``theory/geometry`` and ``Layer.__post_init__``.
    was, becomes : str
        The lines that it changes, before and after; the latter is empty if it removes them.
    """

    module: str
    function: str
    was: str
    becomes: str


@dataclass(frozen=True)
class Module:
    """What became of the mutants of one module.

    Attributes
    ----------
    name : str
        The module, as in ``theory/geometry``.
    source : str
        `digest` of the source that was mutated.
    killed, timeouts : int
        Mutants that turned a test red, and mutants whose tests did not end.
    survivors : tuple of Mutant
        Mutants that no test noticed.
    seconds : float
        How long the run took.
    """

    name: str
    source: str
    killed: int
    timeouts: int
    survivors: tuple[Mutant, ...]
    seconds: float

    @property
    def mutants(self) -> int:
        """All mutants of the module."""
        return self.killed + self.timeouts + len(self.survivors)

    @property
    def score(self) -> float:
        """Share of the mutants that were noticed: tests that do not end are noticed."""
        return 1 - len(self.survivors) / self.mutants

    def to_dict(self) -> dict[str, Any]:
        """Return the module as JSON values."""
        return {
            "source": self.source,
            "killed": self.killed,
            "timeouts": self.timeouts,
            "seconds": self.seconds,
            "survivors": [
                {"function": each.function, "was": each.was, "becomes": each.becomes}
                for each in self.survivors
            ],
        }


def digest(path: Path) -> str:
    """Return what tells one version of a source file from another.

    Imports and docstrings do not count: no mutant is made of them.
    """
    source = path.read_text(encoding="utf-8")
    lines = source.splitlines()
    for each in ast.walk(ast.parse(source)):
        if isinstance(each, ast.Import | ast.ImportFrom) or _is_text(each):
            for line in range(each.lineno, (each.end_lineno or each.lineno) + 1):
                lines[line - 1] = ""
    return hashlib.sha256("\n".join(filter(str.strip, lines)).encode()).hexdigest()


def _is_text(node: ast.AST) -> TypeGuard[ast.Expr]:
    """Return whether a statement is a string alone, which documents what is around or above it."""
    value = node.value if isinstance(node, ast.Expr) else None
    return isinstance(value, ast.Constant) and isinstance(value.value, str)


def load_results(path: Path) -> dict[str, Module]:
    """Read the results of a mutation run, by module; none if the file does not exist.

    Raises
    ------
    ValueError
        If the file holds anything else.
    """
    if not path.exists():
        return {}
    try:
        return {
            name: Module(
                name=name,
                source=each["source"],
                killed=each["killed"],
                timeouts=each["timeouts"],
                seconds=each["seconds"],
                survivors=tuple(Mutant(module=name, **mutant) for mutant in each["survivors"]),
            )
            for name, each in json.loads(path.read_text(encoding="utf-8")).items()
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ValueError(
            f"{path} does not hold the results of a mutation run: write it again with make mutants"
        ) from None


def save_results(modules: dict[str, Module], path: Path) -> None:
    """Write the results of a mutation run, for `load_results`."""
    results = {name: modules[name].to_dict() for name in sorted(modules)}
    path.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def load_reasons(path: Path) -> dict[Mutant, str]:
    """Read why mutants may survive.

    Raises
    ------
    ValueError
        If an entry lacks a field, gives no reason, or names a mutant that another one names.
    """
    reasons: dict[Mutant, str] = {}
    for entry in tomllib.loads(path.read_text(encoding="utf-8")).get("survivor", []):
        if entry.keys() != {"module", "function", "was", "becomes", "reason"}:
            raise ValueError(
                f"{path}: {entry} has the wrong fields: expected module, function, was, becomes "
                "and reason"
            )
        if not entry["reason"].strip():
            raise ValueError(f"{path}: no reason for {entry['was']} in {entry['function']}")
        for becomes in entry["becomes"]:
            mutant = Mutant(entry["module"], entry["function"], entry["was"], becomes)
            if mutant in reasons:
                raise ValueError(f"{path} gives two reasons for {_in_words(mutant)}")
            reasons[mutant] = entry["reason"]
    return reasons


def findings(modules: dict[str, Module], reasons: dict[Mutant, str], root: Path) -> list[str]:
    """Return what is wrong with a report: scores too low, survivors or reasons on their own.

    Parameters
    ----------
    modules, reasons
        What `load_results` and `load_reasons` return.
    root
        The folder that the names of modules start from.
    """
    survivors = {each for module in modules.values() for each in module.survivors}
    sources = {each.module for each in survivors | reasons.keys()}
    names = {name: _functions(root / f"{name}.py") for name in sources}
    gone = {each for each in survivors | reasons.keys() if each.function not in names[each.module]}
    return [
        *(
            f"{module.name}: {module.score:.1%} of the mutants were killed, and {REQUIRED:.0%} "
            "are required: add tests"
            for module in modules.values()
            if module.score < REQUIRED
        ),
        *(
            f"no reason why this survives: {_in_words(each)}"
            for each in sorted(survivors - reasons.keys() - gone)
        ),
        *(
            f"a reason, but no survivor: {_in_words(each)}"
            for each in sorted(reasons.keys() - survivors - gone)
        ),
        *(
            f"a reason for a function that is gone: {_in_words(each)}"
            for each in sorted(reasons.keys() & gone)
        ),
    ]


def table(modules: Iterable[Module]) -> list[tuple[str, ...]]:
    """Return the head and a row for each module: mutants, killed, timeouts, survivors, score."""
    return [
        ("module", "mutants", "killed", "time limit", "survivors", "noticed"),
        *(
            (
                each.name,
                str(each.mutants),
                str(each.killed),
                str(each.timeouts),
                str(len(each.survivors)),
                f"{each.score:.1%}",
            )
            for each in modules
        ),
    ]


def _functions(path: Path) -> set[str]:
    """Return the functions of a source, and the methods as ``Layer.__post_init__``."""
    if not path.exists():
        return set()
    found = set()
    for each in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(each, ast.ClassDef):
            methods = (inner for inner in each.body if isinstance(inner, ast.FunctionDef))
            found |= {f"{each.name}.{method.name}" for method in methods}
        elif isinstance(each, ast.FunctionDef):
            found.add(each.name)
    return found


def _in_words(mutant: Mutant) -> str:
    becomes = f"becomes {mutant.becomes}" if mutant.becomes else "goes"
    return f"{mutant.module}.{mutant.function}: {mutant.was} — {becomes}"
