"""The report of a mutation run: nothing survives without a reason, no reason outlives its mutant.

The run itself takes an hour (``make mutants``); here its parts are given what mutmut leaves.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import re
import sys
import tomllib
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "docs"))

import mutant_report
from mutant_report import Module, Mutant

ROOT = Path(__file__).resolve().parents[1]

STRIDES = Mutant("theory/geometry", "Layer.__post_init__", "if a < b:", "if a <= b:")
REMOVED = Mutant("theory/geometry", "output_size", "n += 1", "")
GEOMETRY = Module("theory/geometry", "digest", 17, 1, (STRIDES, REMOVED), 60.0)
REASONS = {STRIDES: "they are never equal", REMOVED: "undone below"}

ENTRY = """
[[survivor]]
module = "theory/geometry"
function = "output_size"
was = "n += 1"
becomes = ["n += 2", ""]
reason = "undone below"
"""

DIFF = """# theory.geometry.x_output_size__mutmut_3: survived
--- theory/geometry.py
+++ theory/geometry.py
@@ -1,4 +1,4 @@
 def output_size(n: int, layer: Layer) -> int:
-    room = sum(
-        n,
-    )
+    room = None
     return room
"""


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Load the run as a module, on an empty tree of its own."""
    path = ROOT / "tests" / "mutation" / "run.py"
    spec = importlib.util.spec_from_file_location("mutation_run", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "BUILD", tmp_path / "build")
    for room in module.COPIED:
        (tmp_path / room).mkdir()
    (tmp_path / "theory" / "geometry.py").write_text("SIDES = 4\n")
    (tmp_path / "tests" / "test_geometry.py").write_text("import theory.geometry\n")
    return module


# The stored run


def test_every_stored_survivor_has_its_reason_and_every_module_its_share_of_kills():
    modules = mutant_report.load_results(ROOT / "docs" / "results" / "mutants.json")
    reasons = mutant_report.load_reasons(ROOT / "tests" / "mutation" / "survivors.toml")
    assert mutant_report.findings(modules, reasons, ROOT) == []


def test_every_law_that_is_listed_has_been_mutated_and_has_tests():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["convlaws"]
    modules = mutant_report.load_results(ROOT / "docs" / "results" / "mutants.json")
    assert listed["mutants"].keys() == modules.keys()
    for name, patterns in listed["mutants"].items():
        assert (ROOT / f"{name}.py").is_file()
        assert all(any(ROOT.glob(pattern)) for pattern in patterns), f"no tests for {name}"


# The report


def test_a_report_without_gaps_has_no_findings():
    assert mutant_report.findings({"theory/geometry": GEOMETRY}, REASONS, ROOT) == []


def test_a_survivor_without_a_reason_is_found():
    reasons = {STRIDES: "they are never equal"}
    (found,) = mutant_report.findings({"theory/geometry": GEOMETRY}, reasons, ROOT)
    assert found == "no reason why this survives: theory/geometry.output_size: n += 1 — goes"


def test_a_reason_without_a_survivor_is_found():
    killed = dataclasses.replace(GEOMETRY, killed=18, survivors=(REMOVED,))
    (found,) = mutant_report.findings({"theory/geometry": killed}, REASONS, ROOT)
    assert found.startswith(
        "a reason, but no survivor: theory/geometry.Layer.__post_init__: if a < b:"
    )


@pytest.mark.parametrize(
    ("module", "function"),
    [
        ("theory/geometry", "input_size"),
        ("theory/geometry", "__post_init__"),
        ("theory/algebra", "f"),
    ],
)
def test_a_reason_for_a_function_that_is_gone_is_found_and_its_survivor_needs_none(
    module, function
):
    gone = Mutant(module, function, "n += 1", "")
    modules = {module: dataclasses.replace(GEOMETRY, name=module, survivors=(gone,))}
    (found,) = mutant_report.findings(modules, {gone: "undone below"}, ROOT)
    assert found == f"a reason for a function that is gone: {module}.{function}: n += 1 — goes"
    assert mutant_report.findings(modules, {}, ROOT) == []


def test_too_few_kills_are_found_even_if_all_survivors_are_excused():
    weak = dataclasses.replace(GEOMETRY, killed=16)  # 2 of 19 survive
    (found,) = mutant_report.findings({"theory/geometry": weak}, REASONS, ROOT)
    assert found.startswith(
        "theory/geometry: 89.5% of the mutants were killed, and 90% are required"
    )


def test_the_table_counts_a_run_into_the_time_limit_as_noticed():
    _, row = mutant_report.table([GEOMETRY])
    assert row == ("theory/geometry", "20", "17", "1", "2", "90.0%")


def test_results_are_read_as_they_were_written(tmp_path):
    path = tmp_path / "mutants.json"
    assert mutant_report.load_results(path) == {}
    mutant_report.save_results({"theory/geometry": GEOMETRY}, path)
    assert mutant_report.load_results(path) == {"theory/geometry": GEOMETRY}


@pytest.mark.parametrize("text", ["", "[]", '{"theory/geometry": {}}', '{"theory/geometry": 1}'])
def test_other_results_are_refused(tmp_path, text):
    path = tmp_path / "mutants.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="write it again with make mutants"):
        mutant_report.load_results(path)


def test_one_reason_may_hold_for_several_mutants_of_a_line(tmp_path):
    path = tmp_path / "survivors.toml"
    path.write_text(ENTRY)
    longer = dataclasses.replace(REMOVED, becomes="n += 2")
    assert mutant_report.load_reasons(path) == {longer: "undone below", REMOVED: "undone below"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ENTRY.replace("reason =", "because ="), "wrong fields"),
        (ENTRY.replace('"undone below"', '" "'), "no reason for n"),
        (ENTRY + ENTRY, "two reasons for theory/geometry.output_size"),
    ],
)
def test_incomplete_reasons_are_refused(tmp_path, text, message):
    path = tmp_path / "survivors.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        mutant_report.load_reasons(path)


def test_the_page_shows_each_survivor_with_its_reason_and_what_has_changed():
    page = pytest.importorskip("_ext.mutants", reason="the docs extra is not installed")
    shown = page.survivors(GEOMETRY, REASONS).astext()
    assert "Layer.__post_init__: they are never equal\n\n- if a < b:\n+ if a <= b:" in shown
    assert shown.endswith("output_size: undone below\n\n- n += 1")  # nothing comes instead
    scores = page.scores({"theory/geometry": GEOMETRY})
    assert scores[-1].astext() == "Changed since this run: theory/geometry."
    source = mutant_report.digest(ROOT / "theory" / "geometry.py")
    scores = page.scores({"theory/geometry": dataclasses.replace(GEOMETRY, source=source)})
    assert "Changed" not in scores[-1].astext()
    without = page.survivors(GEOMETRY, {STRIDES: "they are never equal"}).astext()
    assert without.endswith("output_size: gone since this run\n\n- n += 1")


def test_a_source_is_another_where_its_code_is_and_not_where_it_imports_or_documents(tmp_path):
    def digest(source: str) -> str:
        path = tmp_path / "law.py"
        path.write_text(source)
        return mutant_report.digest(path)

    mutated = digest(
        '"""Old."""\n\nfrom theory import a\n\n\ndef f(x):\n    """Old."""\n    return x\n'
    )
    assert (
        digest('import theory\n\n\ndef f(x):\n    """New,\n\n    longer."""\n    return x\n')
        == mutated
    )
    assert digest("def f(x):\n    return -x\n") != mutated
    assert digest('def f(x):\n    return x\n\n\nNAME = "f"\n') != mutated


# The run


def test_a_mutant_is_read_off_its_name_and_its_diff(run):
    def read(name: str) -> Mutant:
        return run.read_mutant("theory/geometry", f"theory.geometry.{name}", DIFF)

    assert read("x_output_size__mutmut_3") == Mutant(
        "theory/geometry", "output_size", "room = sum( n, )", "room = None"
    )
    assert read("xǁLayerǁ__post_init____mutmut_12").function == "Layer.__post_init__"
    assert read("x__room__mutmut_1").function == "_room"


@pytest.mark.parametrize(
    ("becomes", "strictness"),
    [
        ("for a, b in zip(c, d, ):", True),
        ("for a, b in zip(c, d, strict=False):", True),
        ("for a, b in zip(c, d, strict=None):", True),
        ("for a, b in zip(c, strict=True):", False),
        ("for a, b in zip(c, None, strict=True):", False),
        ("", False),
    ],
)
def test_a_zip_that_does_not_compare_lengths_is_no_survivor(run, becomes, strictness):
    mutant = Mutant("theory/geometry", "f", "for a, b in zip(c, d, strict=True):", becomes)
    assert run.is_about_strictness(mutant) is strictness


@pytest.mark.parametrize(
    ("name", "tests", "message"),
    [
        ("theory/geomety", ["tests/test_geometry.py"], "there is no theory/geomety.py: mend"),
        (
            "theory/geometry",
            ["tests/test_geometry.py", "tests/test_geomety_*.py"],
            "no test of theory/geometry matches tests/test_geomety_*.py: mend",
        ),
    ],
)
def test_a_module_or_a_test_that_is_not_there_is_named_before_anything_runs(
    run, monkeypatch, name, tests, message
):
    monkeypatch.delattr(run, "MUTMUT")
    with pytest.raises(run.MutationError, match=re.escape(message)):
        run.mutate(name, tests, {"pytest": {"ini_options": {}}, "mutmut": {}})


def test_settings_are_written_as_toml(run):
    settings = {"tool.a": {"on": True, "lines": ['^\\s*f?"[^"]*"$'], "n": 1}, "tool.b": {"c": "é"}}
    read = tomllib.loads(run.toml(settings))["tool"]
    assert {f"tool.{name}": entries for name, entries in read.items()} == settings


def test_a_copy_is_kept_until_a_law_a_selected_test_or_what_tests_share_changes(run, tmp_path):
    def continues(settings="") -> bool:
        run.prepare(place, ["tests/test_geometry.py"], settings)
        before = (place / "left").exists()
        (place / "left").touch()
        return before

    place = tmp_path / "build" / "geometry"
    assert not continues()
    assert continues()
    (tmp_path / "tests" / "test_other.py").touch()
    assert continues()
    (tmp_path / "tests" / "test_geometry.py").write_text("import theory\n")
    assert not continues()
    (tmp_path / "tests" / "toy_layers.py").write_text("LAYERS = 2\n")
    assert not continues()
    (tmp_path / "theory" / "geometry.py").write_text("SIDES = 5\n")
    assert not continues()
    assert not continues("[tool.mutmut]\n")
    assert (place / "theory" / "geometry.py").read_text() == "SIDES = 5\n"


def test_mutants_are_counted_by_how_their_tests_ended(run, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "diff", lambda place, each: DIFF)
    place = tmp_path / "build" / "geometry"
    run.prepare(place, [], "")
    codes = {f"theory.geometry.x_f__mutmut_{n}": code for n, code in enumerate([1, 1, 3, -24, 0])}
    counted = run.counted("theory/geometry", codes, place)
    assert (counted.killed, counted.timeouts, len(counted.survivors)) == (3, 1, 1)
    assert counted.source == mutant_report.digest(tmp_path / "theory" / "geometry.py")


@pytest.mark.parametrize("code", [255, -9, -11, 4])
def test_tests_that_did_not_run_are_no_kill(run, tmp_path, code):
    with pytest.raises(
        run.MutationError, match="the tests of 1 mutants of theory/geometry did not run"
    ):
        run.counted("theory/geometry", {"theory.geometry.x_f__mutmut_1": code}, tmp_path)


@pytest.mark.parametrize("codes", [{}, {"a": 1, "b": None}, {"a": 1, "b": 2}])
def test_an_interrupted_run_is_not_complete(run, codes):
    assert not run.is_complete(codes)
    assert run.is_complete({"a": 1, "b": 0})


def test_the_results_that_mutmut_left_are_found(run, tmp_path):
    meta = tmp_path / "mutants" / "theory" / "geometry.py.meta"
    assert run.exit_codes(tmp_path, "theory/geometry") == {}
    meta.parent.mkdir(parents=True)
    meta.write_text(json.dumps({"exit_code_by_key": {"a": 1, "b": None}}))
    assert run.exit_codes(tmp_path, "theory/geometry") == {"a": 1, "b": None}


def test_a_run_says_beforehand_how_long_it_takes(run):
    said = run.announcement(["theory/geometry", "theory/signals"], {"theory/geometry": GEOMETRY})
    assert "about 1 minutes" in said
    assert "more for theory/signals" in said


def test_an_unknown_module_is_named_in_one_line(run, monkeypatch, capsys):
    monkeypatch.setattr(run, "ROOT", ROOT)
    assert run.main(["algebra"]) == 2
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["convlaws"]
    known = ", ".join(listed["mutants"])
    assert capsys.readouterr().err == f"no mutants of algebra; known: {known}\n"
