"""Change laws and instruments one line at a time, and see whether their tests notice.

``python tests/mutation/run.py [MODULE ...]`` does the modules that the table
``tool.convlaws.mutants`` in pyproject.toml lists, or the named ones. mutmut makes the mutants
and runs the tests on them, in a copy of the tree under build/mutants; the tree itself stays as it
is. A run that was interrupted continues where it stopped, unless a source or test has changed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "docs"))

import mutant_report
from mutant_report import Module, Mutant

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "docs" / "results" / "mutants.json"
REASONS = Path(__file__).with_name("survivors.toml")
BUILD = ROOT / "build" / "mutants"
MUTMUT = Path(sys.executable).with_name("mutmut")
MUTABLE = ("theory", "experiments")
COPIED = (*MUTABLE, "tests")

# What mutmut stores for a mutant: how its pytest ended, or which signal ended it.
KILLED = {1, 3}
SURVIVED = {0, 5, 33}  # passed; no test was found, by pytest or by mutmut
TIMED_OUT = {-24, 24, 36, 152}
PENDING = {None, 2}


class MutationError(Exception):
    """A run that gives no results, with the reason in one line."""


def main(names: list[str]) -> int:
    """Run what was asked for; return the exit code."""
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    selection: dict[str, list[str]] = tool["convlaws"]["mutants"]
    unknown = [name for name in names if name not in selection]
    if unknown:
        print(f"no mutants of {', '.join(unknown)}; known: {', '.join(selection)}", file=sys.stderr)
        return 2
    names = names or list(selection)
    try:
        modules = mutant_report.load_results(RESULTS)
        print(announcement(names, modules))
        for name in names:
            print(f"\n{name}", flush=True)
            modules[name] = mutate(name, selection[name], tool)
            mutant_report.save_results(modules, RESULTS)
        reasons = mutant_report.load_reasons(REASONS)
    except (MutationError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\ninterrupted; the same command continues from here", file=sys.stderr)
        return 130
    for row in mutant_report.table(modules[name] for name in selection if name in modules):
        print("{:<32}{:>9}{:>9}{:>12}{:>11}{:>9}".format(*row))
    found = mutant_report.findings(modules, reasons, ROOT)
    for each in found:
        print(each, file=sys.stderr)
    survivors = {mutant for module in modules.values() for mutant in module.survivors}
    if unexcused := sorted(survivors - reasons.keys()):
        print(f"\nEntries for {REASONS.relative_to(ROOT)}, where no test can be added:\n")
        print("\n".join(entries(unexcused)))
    return 1 if found else 0


def announcement(names: list[str], modules: dict[str, Module]) -> str:
    """Say how long the run will take, as far as one is stored."""
    minutes = sum(modules[name].seconds for name in names if name in modules) / 60
    new = [name for name in names if name not in modules]
    return f"mutants of {', '.join(names)}: about {minutes:.0f} minutes, as the stored run took" + (
        f", and more for {', '.join(new)}, which it lacks" if new else ""
    )


def mutate(name: str, tests: list[str], tool: dict[str, Any]) -> Module:
    """Return what becomes of the mutants of one module, from mutmut in a copy of the tree."""
    if not (ROOT / f"{name}.py").is_file():
        raise MutationError(f"there is no {name}.py: mend tool.convlaws.mutants in pyproject.toml")
    for pattern in tests:  # without any, mutmut would take all tests there are
        if not any(ROOT.glob(pattern)):
            raise MutationError(
                f"no test of {name} matches {pattern}: mend tool.convlaws.mutants in pyproject.toml"
            )
    selected = sorted(
        str(path.relative_to(ROOT)) for pattern in tests for path in ROOT.glob(pattern)
    )
    room = name.partition("/")[0]
    settings = {
        "tool.pytest.ini_options": tool["pytest"]["ini_options"],
        "tool.mutmut": {
            **tool["mutmut"],
            "source_paths": [room],
            "also_copy": [each for each in MUTABLE if each != room],
            "only_mutate": [f"{name}.py"],
            "pytest_add_cli_args_test_selection": selected,
        },
    }
    place = BUILD / name
    prepare(place, selected, toml(settings))
    if not is_complete(exit_codes(place, name)):
        start = time.monotonic()
        try:
            run = subprocess.run(
                [MUTMUT, "run"],
                cwd=place,
                env={**os.environ, "OMP_NUM_THREADS": "1"},  # forks of a threaded parent may hang
                stdout=None if sys.stdout.isatty() else subprocess.PIPE,  # no spinner in a log
                text=True,
                check=False,
            )
        finally:
            seconds = float((place / "seconds").read_text()) + time.monotonic() - start
            (place / "seconds").write_text(f"{seconds:.1f}")
        if run.returncode:
            said = f":\n{run.stdout[-2000:]}" if run.stdout else ", as it says above"
            raise MutationError(f"mutmut could not try the mutants of {name}{said}")
    codes = exit_codes(place, name)
    if not is_complete(codes):  # mutmut ends quietly when it is interrupted
        raise KeyboardInterrupt
    return counted(name, codes, place)


def prepare(place: Path, selected: list[str], settings: str) -> None:
    """Copy the tree, unless an earlier run left a copy of the same sources and tests."""
    modules = (path for room in COPIED for path in (ROOT / room).rglob("*.py"))
    shared = [path for path in modules if not path.name.startswith("test_")]  # sources, and helpers
    state = hashlib.sha256(settings.encode())
    for path in sorted({*shared, *map(ROOT.joinpath, selected)}):
        state.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    stamp = place / "state"
    if stamp.exists() and stamp.read_text() == state.hexdigest():
        return
    shutil.rmtree(place, ignore_errors=True)
    for room in COPIED:
        shutil.copytree(ROOT / room, place / room, ignore=shutil.ignore_patterns("__pycache__"))
    (place / "pyproject.toml").write_text(settings, encoding="utf-8")
    (place / "seconds").write_text("0")
    stamp.write_text(state.hexdigest())


def toml(tables: dict[str, dict[str, Any]]) -> str:
    """Write tables of strings, numbers, booleans and lists, which TOML spells as JSON does."""
    return "\n".join(
        f"[{name}]\n" + "".join(f"{key} = {json.dumps(each)}\n" for key, each in entries.items())
        for name, entries in tables.items()
    )


def exit_codes(place: Path, name: str) -> dict[str, int | None]:
    """Return how each mutant ended, by mutmut's name for it; empty before the first run."""
    meta = place / "mutants" / f"{name}.py.meta"
    if not meta.exists():
        return {}
    codes: dict[str, int | None] = json.loads(meta.read_text(encoding="utf-8"))["exit_code_by_key"]
    return codes


def is_complete(codes: dict[str, int | None]) -> bool:
    """Whether every mutant has been tried."""
    return bool(codes) and PENDING.isdisjoint(codes.values())


def counted(name: str, codes: dict[str, int | None], place: Path) -> Module:
    """Count how the mutants of a module ended, and show the survivors."""
    strange = {each: c for each, c in codes.items() if c not in KILLED | SURVIVED | TIMED_OUT}
    for each, code in strange.items():
        raise MutationError(
            f"the tests of {len(strange)} mutants of {name} did not run, first those of {each} "
            f"(exit code {code}): run them in {place / 'mutants'}"
        )
    survived = [each for each, code in codes.items() if code in SURVIVED]
    survivors = (read_mutant(name, each, diff(place, each)) for each in survived)
    return Module(
        name=name,
        source=mutant_report.digest(place / f"{name}.py"),
        killed=sum(code in KILLED for code in codes.values()),
        timeouts=sum(code in TIMED_OUT for code in codes.values()),
        survivors=tuple(sorted(each for each in survivors if not is_about_strictness(each))),
        seconds=float((place / "seconds").read_text()),
    )


def diff(place: Path, each: str) -> str:
    """Return the unified diff of one mutant, as mutmut shows it."""
    return subprocess.run(
        [MUTMUT, "show", each],
        cwd=place,
        capture_output=True,
        text=True,
        check=True,
        encoding="utf-8",
    ).stdout


def read_mutant(name: str, each: str, shown: str) -> Mutant:
    """Read a mutant off its name, ``theory.geometry.x_output_size__mutmut_3``, and its diff.

    A method has the name ``theory.geometry.xǁLayerǁ__post_init____mutmut_1``.
    """
    mangled = each.rpartition("__mutmut_")[0].rpartition(".")[2]
    function = mangled.removeprefix("x_").removeprefix("xǁ").replace("ǁ", ".")
    lines = [line for line in shown.splitlines() if not line.startswith(("---", "+++"))]
    was, becomes = (
        " ".join(line[1:].strip() for line in lines if line.startswith(sign)) for sign in "-+"
    )
    return Mutant(module=name, function=function, was=was, becomes=becomes)


def is_about_strictness(mutant: Mutant) -> bool:
    """Whether a ``zip`` no longer compares lengths, which is no law: where it does, they agree."""
    before, strict, after = mutant.was.partition("strict=True")
    lax = {f"{before}{each}{after}" for each in ("", "strict=False", "strict=None")}
    return bool(strict) and mutant.becomes in lax


def entries(mutants: list[Mutant]) -> list[str]:
    """Return the entries that `mutant_report.load_reasons` wants, the reasons left to a reader."""
    lines: dict[tuple[str, str, str], list[str]] = {}
    for each in mutants:
        lines.setdefault((each.module, each.function, each.was), []).append(each.becomes)
    return [
        toml_entry(module=name, function=function, was=was, becomes=becomes, reason="")
        for (name, function, was), becomes in lines.items()
    ]


def toml_entry(**fields: str | list[str]) -> str:
    """Return an entry of the array of tables ``survivor``, spelt as `toml` does."""
    return toml({"[survivor]": fields})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
