"""A run of pytest ends with its verdicts, and fails where they dispute or lack something."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.ledger_claims import EXAMPLE, RELU
from theory.ledger.tally import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[1]

HEAD = f"""
import pytest
from theory.ledger import settles
RELU, EXAMPLE = {RELU!r}, {EXAMPLE!r}
"""
AGREEING = """
@settles(RELU, verdict="holds_if", certainty="sampled")
@pytest.mark.parametrize("case", range(3))
def test_restated(case): pass

@settles(RELU, verdict="holds_if", certainty="proved", condition="only then")
@settles(EXAMPLE, verdict="refuted", certainty="refuted", correction="no")
def test_told(): pass
"""


class _Run:
    """One run of pytest, in this process, over a planted chapter of its own."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.file = folder / f"{folder.name}.py"  # unique: modules of earlier runs are still loaded
        self._capsys = capsys

    def __call__(self, source: str, *options: str, over: Path | None = None) -> tuple[int, str]:
        """Return the exit code and everything that was printed."""
        self.file.write_text(HEAD + source, encoding="utf-8")
        plugins = ["-p", "theory.conftest", "-p", "no:cacheprovider", "--capture=no"]
        settings = ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(self.folder)]
        loaded = ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # this very process loaded it
        code = pytest.main([*plugins, *settings, *loaded, *options, str(over or self.file)])
        printed = self._capsys.readouterr()
        return int(code), printed.out + printed.err

    def trial(self, name: str) -> str:
        """Return the node id of a planted test."""
        return f"{self.file.name}::{name}"


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> _Run:
    return _Run(tmp_path, capsys)


@pytest.mark.parametrize("workers", [[], ["-n", "1"]], ids=["alone", "xdist"])
def test_a_run_ends_with_its_verdicts(run: _Run, workers: list[str]) -> None:
    if workers:
        pytest.importorskip("xdist")
    path = run.folder / "verdicts.json"
    code, printed = run(AGREEING, "--verdicts", str(path), *workers)

    assert code == 0, printed
    assert "verdicts on the claims" in printed
    assert json.loads(path.read_text(encoding="utf-8")) == {
        RELU: {
            "verdict": "holds_if",
            "certainty": "proved",
            "correction": None,
            "condition": "only then",
            "trials": [run.trial("test_restated"), run.trial("test_told")],
        },
        EXAMPLE: {
            "verdict": "refuted",
            "certainty": "refuted",
            "correction": "no",
            "condition": None,
            "trials": [run.trial("test_told")],
        },
    }


def test_disagreeing_trials_fail_a_run_in_which_every_test_passes(run: _Run) -> None:
    path = run.folder / "verdicts.json"
    planted = AGREEING + '@settles(EXAMPLE, verdict="holds", certainty="proved")\ndef test_x(): ...'
    code, printed = run(planted, "--verdicts", str(path))

    assert code == 1
    assert "failed" not in printed.splitlines()[-1]
    assert f"ERROR {EXAMPLE}: {run.trial('test_told')} says refuted" in printed
    assert list(json.loads(path.read_text(encoding="utf-8"))) == [RELU]


@pytest.fixture
def planted_theory(run: _Run, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str]]:
    """Run a planted chapter as if it, alone, were the whole of the theory."""
    monkeypatch.setattr("theory.conftest.__file__", str(run.folder / "conftest.py"))

    def run_theory(source: str, *options: str) -> tuple[int, str]:
        pattern = ["-o", f"python_files={run.file.name}"]
        return run(source, *pattern, *options, over=run.folder)

    return run_theory


ALL_BUT = """
from theory.ledger.tally import triable
@settles(*(claim.id for claim in triable() if claim.id not in {left_out}),
         verdict="holds", certainty="proved")
def test_the_rest(): pass
"""


@pytest.mark.parametrize("left_out", [(), (RELU,)])
def test_the_whole_theory_may_leave_no_claim_untried(
    planted_theory: Callable[..., tuple[int, str]], left_out: tuple[str, ...]
) -> None:
    code, printed = planted_theory(ALL_BUT.format(left_out=left_out))
    assert code == len(left_out)
    assert [line for line in printed.splitlines() if line.startswith("ERROR")] == [
        f"ERROR {claim}: no trial settles it" for claim in left_out
    ]


def test_a_skipped_trial_leaves_its_claims_untried(
    planted_theory: Callable[..., tuple[int, str]],
) -> None:
    code, printed = planted_theory(
        ALL_BUT.format(left_out="(RELU,)")
        + '@settles(RELU, verdict="holds", certainty="proved")\n'
        + "def test_relu(): pytest.skip('not today')"
    )
    assert code == 1
    assert f"ERROR {RELU}: no trial settles it" in printed


@pytest.mark.parametrize("options", [["-k", "test_told"], ["--collect-only"], ["--ignore=x.py"]])
def test_a_part_of_the_theory_may_leave_claims_untried(
    planted_theory: Callable[..., tuple[int, str]], options: list[str]
) -> None:
    code, printed = planted_theory(AGREEING, *options)
    assert code == 0, printed
    assert "ERROR" not in printed


@pytest.mark.parametrize("options", [[], ["-k", "test_x"]])
def test_only_a_part_of_the_theory_may_lack_a_correction(
    planted_theory: Callable[..., tuple[int, str]], options: list[str]
) -> None:
    bare = ALL_BUT.format(left_out="(EXAMPLE,)")
    bare += '@settles(EXAMPLE, verdict="refuted", certainty="refuted")\ndef test_x(): ...'
    code, printed = planted_theory(bare, *options)
    assert code == int(not options)
    complaint = f"ERROR {EXAMPLE}: no trial gives its correction or condition"
    assert (complaint in printed) is (not options)


def test_verdicts_that_cannot_be_written_fail_the_run(
    run: _Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(outcome: Outcome, path: Path) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("theory.conftest.write", full)
    path = run.folder / "verdicts.json"
    code, printed = run(AGREEING, "--verdicts", str(path))
    assert code == 1
    assert f"ERROR --verdicts {path}: not written: no space left" in printed


@pytest.mark.parametrize(
    ("source", "options", "complaint"),
    [
        ("", ["--verdicts", "no/such/file.json"], "--verdicts no/such/file.json: expected a file"),
        ('@settles("nni", verdict="holds", certainty="proved")\ndef test_x(): ...', [], "no claim"),
        ("@pytest.mark.settles(RELU)\ndef test_x(): ...", [], "use theory.ledger.settles"),
        (
            '@settles(RELU, verdict="holds", certainty="proved")\n'
            '@settles(RELU, EXAMPLE, verdict="holds", certainty="sampled")\ndef test_x(): ...',
            [],
            f"names claim {RELU} twice",
        ),
    ],
    ids=["path", "claim", "mark", "twice"],
)
def test_misuse_stops_the_run_with_a_message(
    run: _Run, source: str, options: list[str], complaint: str
) -> None:
    code, printed = run(source, *options)
    assert code in (pytest.ExitCode.INTERRUPTED, pytest.ExitCode.USAGE_ERROR)
    assert complaint in printed
    assert "INTERNALERROR" not in printed
