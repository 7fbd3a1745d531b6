"""``python -m theory claims``: lists, searches, filters, and shows one claim with its evidence."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import theory
from theory.commands import claims as command
from theory.ledger import claims

if TYPE_CHECKING:
    from collections.abc import Callable

RELU = "nni-2023-ex1-t3a-relu"
SIZE = "tp1-cnn-q1-output-size"
EMPIRICAL = "nni-2023-ex1-q1c-acc-70"


@pytest.fixture
def run(
    theory_command: Callable[..., tuple[int, str, str]],
) -> Callable[..., tuple[int, str, str]]:
    """Run the command in this process: exit code, output, errors."""
    return partial(theory_command, "claims")


@pytest.fixture
def verdicts(tmp_path: Path) -> Path:
    """Return a file of verdicts on two claims."""
    settled = {
        RELU: {
            "verdict": "holds",
            "certainty": "proved",
            "correction": None,
            "condition": None,
            "trials": ["theory/test_operators.py::test_relu"],
        },
        SIZE: {
            "verdict": "refuted",
            "certainty": "refuted",
            "correction": "n = floor((x - k + 2p) / s) + 1.",
            "condition": None,
            "trials": ["theory/test_map_sizes.py::test_size", "theory/test_geometry.py::test_one"],
        },
    }
    path = tmp_path / "verdicts.json"
    path.write_text(json.dumps(settled), encoding="utf-8")
    return path


def test_all_claims_are_listed(run: Callable[..., tuple[int, str, str]]) -> None:
    code, out, err = run()
    assert (code, err) == (0, "")
    assert f"{len(claims())} of {len(claims())} claims" in out
    assert "pytest theory --verdicts" in out
    assert max(map(len, out.splitlines())) <= 100


def test_outside_of_a_checkout_the_trials_are_named_by_their_path(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Red where the advice is to run what pytest knows in a checkout alone."""
    trials = Path(theory.__file__).parent
    elsewhere = tmp_path / "of mine"
    (elsewhere / "theory").mkdir(parents=True)  # a namesake
    monkeypatch.chdir(elsewhere)
    for arguments in [RELU], ["relu"], ["--verdicts", "missing.json"], ["--verdict", "holds"]:
        assert f"`pytest {trials} --verdicts " in "".join(map(str, run(*arguments)))
    monkeypatch.setattr(command, "_PACKAGE", elsewhere / "theory")
    assert "`pytest theory --verdicts " in run(RELU)[1]
    monkeypatch.chdir(tmp_path)
    assert f"`pytest '{elsewhere}/theory' --verdicts verdicts.json`" in run(RELU)[1]


def test_verdicts_are_written_outside_of_a_checkout(tmp_path: Path) -> None:
    """As the advice has it, of trials that were installed."""
    place = shutil.copytree(
        Path(theory.__file__).parent,
        tmp_path / "site-packages" / "theory",
        ignore=shutil.ignore_patterns("__pycache__", "test_[!m]*"),
    )
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(place.parent)}
    environment.pop("PYTEST_ADDOPTS", None)
    settle = [sys.executable, "-m", "pytest", str(place), "--verdicts", "verdicts.json"]
    show = [sys.executable, "-m", "theory", "claims", "--verdicts", "verdicts.json", "--json"]
    told = [
        subprocess.run(
            command, cwd=elsewhere, env=environment, capture_output=True, text=True, check=False
        ).stdout
        for command in ([*settle, "-k", "map_sizes"], [*show, "--verdict", "refuted"])
    ]
    assert "verdicts on the claims" in told[0]
    assert [claim["id"] for claim in json.loads(told[1])] == ["nn4i-2023-a1-q1c-depth-limit"]


def test_every_id_is_printed_whole(
    run: Callable[..., tuple[int, str, str]], verdicts: Path
) -> None:
    _, out, _ = run("--verdicts", verdicts)
    assert max(map(len, out.splitlines())) <= 100
    folded = "".join(line[:34].strip() for line in out.splitlines())
    assert not [claim for claim in claims() if claim not in folded]


def test_words_are_searched_together(run: Callable[..., tuple[int, str, str]]) -> None:
    _, out, _ = run("ReLU", "homogeneity", "--json")
    found = json.loads(out)
    assert RELU in [claim["id"] for claim in found]
    for claim in found:
        text = f"{claim['id']} {claim['where']} {claim['statement']}".lower()
        assert "relu" in text
        assert "homogeneity" in text


@pytest.mark.parametrize(("option", "field"), [("--report", "report"), ("--kind", "kind")])
def test_filters(run: Callable[..., tuple[int, str, str]], option: str, field: str) -> None:
    wanted = getattr(claims()[SIZE], field)
    _, out, _ = run(option, wanted, "--json")
    expected = [claim.id for claim in claims().values() if getattr(claim, field) == wanted]
    assert [claim["id"] for claim in json.loads(out)] == expected


def test_one_verdict_is_filtered(run: Callable[..., tuple[int, str, str]], verdicts: Path) -> None:
    _, out, _ = run("--verdict", "refuted", "--verdicts", verdicts, "--json")
    (found,) = json.loads(out)
    assert found["id"] == SIZE
    assert found["settled"]["correction"] == "n = floor((x - k + 2p) / s) + 1."


def test_one_claim_is_shown_with_its_evidence(
    run: Callable[..., tuple[int, str, str]], verdicts: Path
) -> None:
    code, out, _ = run(SIZE, "--verdicts", verdicts)
    assert code == 0
    for words in (
        claims()[SIZE].where,
        "refuted",
        "n = floor((x - k + 2p) / s) + 1.",
        "theory/test_map_sizes.py::test_size",
        "theory/test_geometry.py::test_one",
    ):
        assert words in out
    assert "pytest theory --verdicts" not in out


def test_an_id_shows_that_claim_though_others_begin_with_it(
    run: Callable[..., tuple[int, str, str]],
) -> None:
    assert f"{RELU}-example" in claims()
    code, out, _ = run(RELU)
    assert code == 0
    assert f"{RELU}-example" not in out
    assert "no verdict" in out
    assert "pytest theory --verdicts" in out


def test_an_empirical_claim_is_measured(run: Callable[..., tuple[int, str, str]]) -> None:
    _, out, _ = run(EMPIRICAL)
    assert "by runs, see `python -m experiments report nni-2023-ex1`" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no", "such", "words", "anywhere"], "no claim fits: give fewer words or filters"),
        ([RELU + "x"], f"did you mean {RELU}?"),
        (["--report", "mine"], "--report 'mine' is unknown: give one of assignment-3"),
        (["--kind", "hearsay"], "--kind 'hearsay' is unknown: give one of theory"),
        (["--verdict", "true"], "--verdict 'true' is unknown: give one of holds"),
        (["--verdict", "holds"], "--verdict needs --verdicts FILE"),
        (["--verdicts", "missing.json"], "not read: No such file"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    run: Callable[..., tuple[int, str, str]], arguments: list[str], message: str
) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err


@pytest.mark.parametrize(
    "content", ["{", "{}", "[]", "[1]", "3", '{"a": 1}', '{"a": {"verdict": "holds"}}', "\xff"]
)
def test_a_file_of_something_else_is_refused(
    run: Callable[..., tuple[int, str, str]], tmp_path: Path, content: str
) -> None:
    path = tmp_path / "verdicts.json"
    path.write_bytes(content.encode("latin-1"))
    code, _, err = run("--verdicts", path)
    assert code == 2
    assert err.count("\n") == 1
    assert "not what `pytest theory --verdicts` writes" in err
    assert "__" not in err, "it speaks of Python instead of the file"
    assert "must be" not in err


def test_verdicts_on_unknown_claims_are_refused(
    run: Callable[..., tuple[int, str, str]], verdicts: Path
) -> None:
    settled = json.loads(verdicts.read_text("utf-8"))
    verdicts.write_text(json.dumps({"nobody-said-so": settled[RELU]}), encoding="utf-8")
    code, _, err = run("--verdicts", verdicts)
    assert code == 2
    assert "no claim has the id 'nobody-said-so'" in err
