"""No two modules import each other, not even for their types: each can be read after the others."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def name_of(path: Path) -> str:
    """Return what a module is imported by."""
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def imports(source: str, known: set[str]) -> set[str]:
    """Return which of the known modules a source imports, names of a package as the package."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            full = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {each if each in known else str(node.module) for each in full}
    return found & known


def circle(sources: dict[str, str]) -> list[str]:
    """Return modules of which each imports the next, the last one being the first; [] if none."""
    graph = {name: imports(source, {*sources}) - {name} for name, source in sources.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


@pytest.mark.parametrize("room", ["theory", "experiments", "benches"])
def test_there_are_no_circles(room):
    paths = [path.relative_to(ROOT) for path in (ROOT / room).rglob("*.py")]
    assert len(paths) > 10
    assert not circle({name_of(path): (ROOT / path).read_text("utf-8") for path in paths})


@pytest.mark.parametrize(
    "back",
    [
        "from room.first import one",
        "from room import first",
        "def late():\n    import room.first",
        "if TYPE_CHECKING:\n    from room.first import One",
    ],
)
def test_a_circle_is_caught(back):
    sources = {"room": "", "room.first": "from room.second import two", "room.second": back}
    assert {*circle(sources)} == {"room.first", "room.second"}
    assert not circle({**sources, "room.second": "from room import other"})
