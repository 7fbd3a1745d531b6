"""The project keeps its own promises: pinned versions, working commands, imports that go downward.

Each check is a function from text to findings, so that planted faults can show that it finds them.
"""

from __future__ import annotations

import ast
import importlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DECLARED = [
    Requirement(line)
    for group in (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
    for line in group
]

# Which rooms of this house a room may import from, besides itself.
OPEN_DOORS = {
    "theory": set(),
    "experiments": {"theory"},
    "benches": {"theory", "experiments"},
    "docs": {"theory", "experiments"},
    "tests": {"theory", "experiments"},
}

# A path that exists on one machine only: a home, a mount, a scratch folder.
MACHINE_PATH = re.compile(r"(?<![\w.~>-])/(?:home|root|Users|work|opt|mnt|tmp|scratch)/\w")

# A torch wheel brings the CUDA libraries of its own platform, and pins them itself.
PINNED_BY_TORCH = re.compile(r"nvidia-|cuda-|triton$")


def modules(*rooms: str) -> list[Path]:
    """Return the Python files of some rooms, built files left out."""
    return sorted(
        path
        for room in rooms
        for path in (ROOT / room).rglob("*.py")
        if not path.relative_to(ROOT).is_relative_to("docs/_build")
    )


def forbidden_imports(room: str, source: str) -> set[str]:
    """Return the rooms that `source`, a module of `room`, imports although the door is closed."""
    imported: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:  # relative: the same room
            imported.add((node.module or "").partition(".")[0])
    return (imported & OPEN_DOORS.keys()) - OPEN_DOORS[room] - {room}


def strings_of_code(source: str) -> set[str]:
    """Return the string literals of a module that are not docstrings."""
    tree = ast.parse(source)
    prose = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose
    }


def pins(text: str) -> dict[str, str]:
    """Return canonical name -> version of a constraints file; anything but `name==x` raises."""
    pinned: dict[str, str] = {}
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        match = re.fullmatch(r"([\w.-]+)==([\w.]+)", line)
        assert match, f"constraints.txt: {line!r} is not an exact pin"
        name = canonicalize_name(match[1])
        assert name not in pinned, f"constraints.txt: {name} is pinned twice"
        pinned[name] = match[2]
    return pinned


def wanted(requirement: Requirement) -> set[tuple[str, str]]:
    """Return the (canonical name, extra) pairs that a requirement asks for; "" is the package."""
    return {(canonicalize_name(requirement.name), extra) for extra in ("", *requirement.extras)}


def installed_closure(requirements: list[Requirement]) -> dict[str, str]:
    """Return canonical name -> installed version of all that is reached from `requirements`.

    Local version labels (`+cpu`) are cut. What is not installed is left out, as are the libraries
    that a torch wheel pins itself.
    """
    versions: dict[str, str] = {}
    visited: set[tuple[str, str]] = set()
    waiting = set().union(*map(wanted, requirements))
    while waiting := waiting - visited:
        name, extra = asked = waiting.pop()
        visited.add(asked)
        try:
            found = distribution(name)
        except PackageNotFoundError:
            continue
        if PINNED_BY_TORCH.match(name):
            continue
        versions[name] = found.version.partition("+")[0]
        for child in map(Requirement, found.requires or ()):
            if child.marker is None or child.marker.evaluate({"extra": extra}):
                waiting |= wanted(child)
    return versions


def make_targets(makefile: str) -> set[str]:
    """Return the targets that a Makefile describes in its help."""
    return set(re.findall(r"^([a-z]+):.*## ", makefile, flags=re.MULTILINE))


def make_commands(text: str) -> set[str]:
    """Return the targets of the `make …` commands in code of a Markdown or shell text."""
    return set(re.findall(r"(?:^|`|&& )\s*make ([a-z]+)", text, flags=re.MULTILINE))


def blocks(language: str, markdown: str) -> list[str]:
    """Return the fenced code blocks of one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", markdown, flags=re.DOTALL | re.MULTILINE)


def unpadded(text: str) -> list[str]:
    """Return the lines without trailing blanks, empty ones at the end left out."""
    return [line.rstrip() for line in text.rstrip().splitlines()]


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


# Pinned versions


def test_every_dependency_and_extra_is_pinned_within_its_declared_range():
    pinned = pins(read("constraints.txt"))
    for requirement in DECLARED:
        version = pinned.get(canonicalize_name(requirement.name))
        assert version is not None, f"constraints.txt lacks {requirement.name}"
        assert requirement.specifier.contains(version), f"{requirement} excludes {version}"


@pytest.mark.skipif(
    Path(sys.prefix).resolve() != ROOT / ".venv",
    reason="compares constraints.txt with the environment that make builds, and this is another",
)
def test_pins_equal_the_versions_that_make_installed():
    pinned = pins(read("constraints.txt"))
    installed = installed_closure(DECLARED)
    assert "torch" in installed  # the walk reached something
    assert {name: pinned.get(name) for name in installed} == installed


def test_the_lowest_versions_are_those_that_the_package_declares():
    """Red for a bound that rises, or a dependency that is added, in one place alone."""
    extras = PROJECT["optional-dependencies"]
    used = map(Requirement, [*PROJECT["dependencies"], *extras["cluster"], *extras["tensorboard"]])
    pinned = pins(read("constraints-lowest.txt"))
    for requirement in used:
        (bound,) = requirement.specifier
        lowest = Version(pinned[canonicalize_name(requirement.name)])
        declared = Version(bound.version)
        assert bound.operator == ">="
        assert lowest >= declared  # a later one only where the first release is broken
        assert lowest.release[: len(declared.release)] == declared.release


@pytest.mark.parametrize("line", ["numpy>=2", "numpy", "numpy==2.*", "numpy==1.0\nNumPy==1.0"])
def test_an_inexact_or_double_pin_is_caught(line):
    with pytest.raises(AssertionError, match=r"constraints\.txt"):
        pins(line)


# Commands and citations


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", ".ci/run"])
def test_documented_make_commands_are_targets(name):
    commands = make_commands(read(name))
    assert commands, f"{name} names no make command"
    assert commands <= make_targets(read("Makefile"))


def test_readme_starts_with_its_two_commands():
    first, *_ = blocks("console", read("README.md"))
    commands = [line.partition("#")[0].strip() for line in first.splitlines()]
    assert commands == ["make verify", "make test"]


def test_readme_shows_what_its_diagnosis_prints():
    (shown,) = (b for b in blocks("console", read("README.md")) if b.startswith("$ python -m"))
    command, _, output = shown.removeprefix("$ python").partition("\n")
    run = subprocess.run(
        [sys.executable, *shlex.split(command)],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "100", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert unpadded(run.stdout) == unpadded(output)


def test_readme_examples_in_python_run(capsys):
    exec("\n".join(blocks("python", read("README.md"))), {})
    printed = capsys.readouterr().out
    assert re.search(r"^linear +yes +proved ", printed, flags=re.MULTILINE)
    assert "[0.5, 0.25, 0.0, 0.0, 0.0, 0.0, 0.0, 0.25]" in printed


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize("python", ["false", "no-such-python"])
def test_make_refuses_an_unfit_python_in_one_line(python, tmp_path):
    command = ["make", f"VENV={tmp_path / 'venv'}", f"PYTHON={python}", "verify"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode != 0
    assert f"needs Python 3.11 or later, and '{python}' is not one" in run.stderr
    assert not (tmp_path / "venv").exists()


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_relative_links_lead_somewhere(name):
    for target in re.findall(r"\]\((?!https?://)([^)#]+)", read(name)):
        assert (ROOT / target).exists(), f"{name} links to {target}, which does not exist"


@pytest.mark.parametrize("package", ["theory", "experiments"])
def test_type_checkers_of_users_see_the_annotations(package):
    assert (ROOT / package / "py.typed").is_file()
    settings = tomllib.loads(read("pyproject.toml"))["tool"]["setuptools"]
    assert "py.typed" in settings["package-data"][package]


def test_version_is_the_same_everywhere():
    cited = re.search(r"^version: (\S+)$", read("CITATION.cff"), flags=re.MULTILINE)
    assert cited
    assert cited[1] == PROJECT["version"]
    newest = re.search(r"^## \[(\S+)\]", read("CHANGELOG.md"), flags=re.MULTILINE)
    assert newest
    assert newest[1] == PROJECT["version"]


# Layers


@pytest.mark.parametrize("package", ["theory", "theory.testing", "theory.ledger"])
def test_public_names_are_offered_and_documented(package):
    """A notebook completes what `dir` lists; the API reference has an entry for each."""
    module = importlib.import_module(package)
    reference = (ROOT / "docs/api/theory.md").read_text(encoding="utf-8")
    for name in module.__all__:
        assert name in dir(module)
        assert getattr(module, name) is not None
        assert re.search(rf"(:members:.*[ ,]|\.){name}\b", reference), name


@pytest.mark.parametrize("room", OPEN_DOORS)
def test_imports_go_downward_only(room):
    for path in modules(room):
        found = forbidden_imports(room, path.read_text(encoding="utf-8"))
        assert not found, f"{path.relative_to(ROOT)} imports {', '.join(sorted(found))}"


@pytest.mark.parametrize(
    ("room", "source", "found"),
    [
        ("theory", "import experiments.recipe as recipe", {"experiments"}),
        ("theory", "def late():\n    from experiments import recipe", {"experiments"}),
        ("experiments", "from benches.bench_training import loop", {"benches"}),
        ("docs", "import tests", {"tests"}),
        ("experiments", "from theory.geometry import output_size\nfrom . import recipe", set()),
        ("theory", "import numpy\nimport theory.signals", set()),
    ],
)
def test_an_upward_import_is_caught(room, source, found):
    assert forbidden_imports(room, source) == found


def test_the_map_of_the_experiments_names_every_module_and_nothing_else():
    names = {path.stem for path in (ROOT / "experiments").glob("[!_]*")} - {"py"}
    assert set(re.findall(r"`(\w+)`", importlib.import_module("experiments").__doc__)) == names


# Places


def test_no_file_names_a_place_on_one_machine():
    texts = [ROOT / name for name in ("Makefile", ".ci/run", "README.md", "CONTRIBUTING.md")]
    sources = [path for path in modules(*OPEN_DOORS) if path != Path(__file__).resolve()]
    for path in [*texts, *sources]:
        found = MACHINE_PATH.search(path.read_text(encoding="utf-8"))
        assert not found, f"{path.relative_to(ROOT)} names {found[0]}…"


def test_only_what_is_downloaded_has_an_address():
    hosts = {
        str(path.relative_to(ROOT)): sorted(s for s in strings if re.search(r"https?://", s))
        for path in modules("theory", "experiments")
        if not path.name.startswith("test_")
        if (strings := strings_of_code(path.read_text(encoding="utf-8")))
    }
    assert {path for path, found in hosts.items() if found} == {
        "experiments/image_files.py",
        "experiments/networks/pretrained.py",
    }


def test_a_planted_place_or_host_is_caught():
    assert MACHINE_PATH.search('ROOT = "/home/someone/data"')
    assert not MACHINE_PATH.search("https://example.org/home/page and ../shared/data")
    source = '"""See https://example.org."""\nMIRROR = "https://example.org/file"\n'
    assert strings_of_code(source) == {"https://example.org/file"}
