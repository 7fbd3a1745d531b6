"""Verdicts on pages are those of trials that ran on the sources as they are, and of runs."""

from __future__ import annotations

import dataclasses
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("sphinx", reason="the docs extra is not installed")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "docs"))

from _ext import verdicts
from _ext.verdicts import start_trials, theory_verdicts
from sphinx.errors import ExtensionError

from experiments.catalog import studies
from experiments.records import Curves, Store
from tests.site_pages import STUDY, record, text
from theory.ledger import claims

CONFTEST = """
import json, pathlib

def pytest_addoption(parser):
    parser.addoption("--verdicts", type=pathlib.Path)

def pytest_sessionfinish(session):
    settled = {"verdict": "holds", "certainty": "proved", "correction": None, "condition": None}
    verdicts = {"a-claim": {**settled, "trials": ["theory/test_law.py::test_law"]}}
    session.config.getoption("--verdicts").write_text(json.dumps(verdicts))
    with open("runs", "a") as runs:
        runs.write("run ")
"""


def forget():
    start_trials.cache_clear()
    theory_verdicts.cache_clear()


@pytest.fixture
def theory(tmp_path, monkeypatch):
    """Make up a theory of one trial, in a folder of its own, and let the site show its verdicts."""
    folder = tmp_path / "theory"
    folder.mkdir()
    (tmp_path / "pytest.ini").write_text("[pytest]\n", "utf-8")
    (folder / "conftest.py").write_text(CONFTEST, "utf-8")
    (folder / "test_law.py").write_text("def test_law():\n    assert True\n", "utf-8")
    monkeypatch.setattr(verdicts, "ROOT", tmp_path)
    monkeypatch.setattr(verdicts, "KEPT", tmp_path / "kept")
    forget()
    yield tmp_path
    forget()


def test_trials_run_once_for_each_state_of_their_sources(theory):
    for _ in range(2):
        assert theory_verdicts()["a-claim"].verdict == "holds"
        forget()
    assert (theory / "runs").read_text() == "run "
    (theory / "theory" / "test_law.py").write_text("def test_law():\n    pass\n", "utf-8")
    theory_verdicts()
    assert (theory / "runs").read_text() == "run run "
    forget()
    (theory / "theory" / "claims.toml").write_text("[a-claim]\n", "utf-8")
    theory_verdicts()
    assert (theory / "runs").read_text() == "run run run "
    assert {path.suffix for path in (theory / "kept").iterdir()} == {".json"}


def test_verdicts_are_of_the_versions_they_were_found_with(theory, monkeypatch):
    theory_verdicts()
    forget()
    monkeypatch.setattr(verdicts, "version", lambda package: "0.0")
    theory_verdicts()
    assert (theory / "runs").read_text() == "run run "


def test_trials_run_while_the_build_goes_on(theory):
    slow = "import time\n\ndef test_law():\n    time.sleep(1)\n"
    (theory / "theory" / "test_law.py").write_text(slow, "utf-8")
    trials = start_trials()
    assert trials.process.poll() is None
    assert not trials.path.exists()
    assert theory_verdicts().keys() == {"a-claim"}
    assert trials.path.exists()


def test_the_trials_that_a_build_starts_are_those_it_waits_for(theory):
    (theory / "page.md").write_text("```{tally}\n```", "utf-8")
    env = SimpleNamespace(doc2path=lambda name: theory / name)
    verdicts.start_if_needed(None, env, ["page.md"])
    assert theory_verdicts().keys() == {"a-claim"}
    assert (theory / "runs").read_text() == "run "


def test_trials_start_if_a_page_shows_verdicts(tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr(verdicts, "start_trials", lambda: started.append("trials"))
    for name, page in {"a": "```{tally}\n```", "b": "A page.", "c": "```{claims}\n```"}.items():
        (tmp_path / name).write_text(page, "utf-8")
    env = SimpleNamespace(doc2path=lambda name: tmp_path / name)
    verdicts.start_if_needed(None, env, ["a", "b", "c"])
    assert started == ["trials"]
    verdicts.start_if_needed(None, env, ["b"])
    assert started == ["trials"]


def test_what_trials_say_is_shown_once_a_page_and_typeset(build_page, theory):
    claim, next_claim = "nni-2023-ex1-q1a-params-3", "nni-2023-ex1-q1a-params-20"
    made_up = CONFTEST.replace("a-claim", claim).replace(
        '"correction": None', '"correction": "it\'s \\"two\\" -- or three"'
    )
    (theory / "theory" / "conftest.py").write_text(made_up, "utf-8")
    others = "```{other-claims} theory/test_law.py\n```\n"
    ledger = "```{ledger} nni-2023-ex1\n```\n"  # what the claims above it link to
    named = "\n".join(f"```{{claims}}\n{each}\n```\n" for each in (claim, next_claim))
    html = build_page(
        f"# Page\n\n{others}\n{named}\n{others}\n{ledger}",
        "_ext.measurements",
        "_ext.claims",
        "_ext.verdicts",
    )
    shown = text(html)
    said = f"holds proved {claim}"
    assert shown.count(said) == 3  # not by the second of the others
    assert shown.count("Corrected: it’s “two” – or three") == 3
    assert html.count(f'href="#claim-{claim}"') == 2
    assert html.count(f'id="claim-{claim}"') == 1
    breaks = re.sub(r"</?span[^>]*>", "", html)
    assert "theory/<wbr>test_<wbr>law.py::<wbr>test_<wbr>law<wbr>" in breaks
    assert "no trial yet" in shown


def test_trials_and_runs_are_counted_apart(build_page, theory, tmp_path):
    """And of what is undecided, what lacks runs from what has error bars that are too wide."""
    for seed in range(3):
        for completion in STUDY.completions:
            recipe = STUDY.recipe("filters-20-lr-0.001", completion)
            curves = Curves(*([0.6 + 0.1 * seed] * 30 for _ in dataclasses.fields(Curves)))
            Store(tmp_path).write(record(recipe, seed, curves=curves))
    html = build_page(
        "# Page\n\n```{tally}\n```\n", "_ext.measurements", "_ext.claims", "_ext.verdicts"
    )
    told = re.sub(r"\s+", " ", text(html))
    tried = [claim for claim in claims().values() if not claim.empirical]
    both = {claim.id for claim in tried} & {name for each in studies() for name in each.claims}
    assert f"{len(tried)} claims of theory, by trials:" in told
    measured = len(claims()) - len(tried) + len(both)
    experiments = f"the {measured - len(both)} of experiments"
    assert f"{measured} claims by runs: {experiments}, and {len(both)} of theory" in told
    assert re.search(r"undecided error bars too wide (· )*1 ", told)  # q1c-acc-70
    assert re.search(r"not run yet \d+", told)


def test_a_claim_of_theory_that_was_run_as_well_shows_both(build_page, theory):
    claim = "tp1-cnn-q16-learning-rate"
    made_up = CONFTEST.replace("a-claim", claim).replace('"holds"', '"undecided"')
    made_up = made_up.replace('"condition": None', '"condition": "training"')
    (theory / "theory" / "conftest.py").write_text(made_up, "utf-8")
    page = f"# Page\n\n```{{claims}}\n{claim}\n```\n\n```{{ledger}} tp1-cnn\n```\n"
    told = text(build_page(page, "_ext.measurements", "_ext.claims", "_ext.verdicts"))
    assert "What would settle it: training" in told
    assert "Condition:" not in told
    assert "Measured: not run yet; no records of lr-1.sgd, baseline.sgd, lr-0.001.sgd" in told


def test_the_verdict_of_runs_is_set_off_from_what_each_completion_says(
    build_page, theory, tmp_path
):
    """So that what is undecided does not read "undecided not reproduced"."""
    for seed in range(2):
        Store(tmp_path).write(record(STUDY.recipe("filters-20-lr-0.001", "adam"), seed))
    page = "# Page\n\n```{ledger} nni-2023-ex1\n```\n"
    told = text(build_page(page, "_ext.measurements", "_ext.claims", "_ext.verdicts"))
    assert "Measured: undecided: not run under sgd, sgd-momentum; not reproduced under adam" in told


def test_what_no_completion_reproduces_does_not_read_as_if_some_did(build_page, theory, tmp_path):
    for completion in STUDY.completions:
        for seed in range(5):
            Store(tmp_path).write(record(STUDY.recipe("filters-20-lr-0.001", completion), seed))
    page = "# Page\n\n```{ledger} nni-2023-ex1\n```\n"
    told = text(build_page(page, "_ext.measurements", "_ext.claims", "_ext.verdicts"))
    assert (
        "Measured: not reproduced under any completion. For example, under sgd, test accuracy, "
        "filters-20-lr-0.001 at epoch 20: 70 % lies outside"
    ) in told


@pytest.mark.parametrize("report", ["nni-2023", "nni-2023-ex1-q1a"])
def test_a_report_that_the_ledger_lacks_is_refused(build_page, theory, report):
    page = f"# Page\n\n```{{ledger}} {report}\n```\n"
    with pytest.raises(ExtensionError, match=f"'{report}' is no report of the ledger; known: assi"):
        build_page(page, "_ext.measurements", "_ext.claims", "_ext.verdicts")


def test_a_failing_trial_leaves_no_verdicts(theory):
    (theory / "theory" / "test_law.py").write_text("def test_law():\n    assert 0\n", "utf-8")
    with pytest.raises(ExtensionError, match=r"(?s)do not pass.*test_law"):
        theory_verdicts()
    assert not list((theory / "kept").iterdir())
