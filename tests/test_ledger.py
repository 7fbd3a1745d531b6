"""The ledger holds what the reports claim, refuses what it must not hold, and tallies honestly."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import theory.ledger
from theory.ledger import Claim, LedgerError, Ruling, claims, settles
from theory.ledger.tally import Outcome, Tally, table, triable, write

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(theory.ledger.__file__).parent
RELU, EXAMPLE = "nni-2023-ex1-t3a-relu", "nni-2023-ex1-t3a-relu-example"
EMPIRICAL = "nni-2023-ex1-q1c-acc-70"
DIGEST = "80d170f9d30980d33264087a404543eb8452146ca9abfe1abaf7747243cf40cc"


# The data


def test_all_claims_are_there() -> None:
    by_report = Counter(claim.report for claim in claims().values())
    assert by_report == {
        "assignment-3": 33,
        "mnist-2017": 43,
        "nn4i-2023-a1": 41,
        "nni-2023-ex1": 38,
        "tp1-cnn": 47,
    }
    assert Counter(claim.empirical for claim in claims().values()) == {True: 56, False: 146}


def test_no_claim_was_changed() -> None:
    """The digest was taken of the claims as they were first collected, value by value."""
    values = [
        [
            claim.id,
            claim.report,
            claim.where,
            claim.kind,
            claim.statement,
            claim.reported,
            sorted(claim.conflicts_with),
            claim.not_stated,
        ]
        for _, claim in sorted(claims().items())
    ]
    text = json.dumps(values, sort_keys=True, ensure_ascii=True)
    assert hashlib.sha256(text.encode()).hexdigest() == DIGEST


def test_numbers_stay_numbers() -> None:
    reported = {claim.id: claim.reported for claim in claims().values()}
    assert reported["nni-2023-ex1-q1a-params-20"] == [46590]
    assert reported["nni-2023-ex1-q1a-acc-20"] == {"train": 0.82, "test": 0.52}
    assert reported["mnist-2017-q3a-acc"] == {"accuracy": 0.9605, "printed": "6.9605"}
    assert reported[RELU] is None


def test_conflicts_are_mutual() -> None:
    one_way = [
        (claim.id, other)
        for claim in claims().values()
        for other in claim.conflicts_with
        if claim.id not in claims()[other].conflicts_with
    ]
    assert one_way == []


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('kind = "theory"', 'kind = "theory', "a.toml: not valid TOML"),
        ('kind = "theory"', 'kind = "opinion"', "a.toml: claim a-1: unknown kind 'opinion'"),
        ('kind = "theory"\n', "", "a.toml: claim a-1: lacks kind"),
        ('statement = "One."', 'statement = ""', "a.toml: claim a-1: statement is empty"),
        ('statement = "One."', "statement = 1", "a.toml: claim a-1: statement is 1"),
        ('id = "a-2"', 'id = "a-1"', "a.toml: claim a-1: the id is used twice"),
        ('id = "a-2"', 'id = "c-2"', "a.toml: claim c-2: an id in this file begins with 'a-'"),
        ('id = "a-2"\n', "", "a.toml: claim number 2: lacks id"),
        ('"b-1"', '"b-7"', "a.toml: claim a-1: conflicts_with names 'b-7'"),
        ('"b-1"', '"a-2"', "a.toml: claim a-1: conflicts_with names 'a-2'"),
        ('["b-1"]', '"b-1"', "a.toml: claim a-1: conflicts_with is 'b-1'"),
        ('kind = "theory"', 'kind = "theory"\nverdict = "holds"', "unknown key 'verdict'"),
        ("[[claim]]", "[[claims]]", "a.toml: expected [[claim]] tables"),
    ],
)
def test_broken_data_gets_one_clear_error(
    tmp_path: Path, old: str, new: str, complaint: str
) -> None:
    one = '[[claim]]\nid = "{}"\nwhere = "x"\nkind = "theory"\nstatement = "One."\n'
    good = one.format("a-1") + 'conflicts_with = ["b-1"]\n' + one.format("a-2")
    (tmp_path / "b.toml").write_text(one.format("b-1"), encoding="utf-8")
    (tmp_path / "a.toml").write_text(good, encoding="utf-8")
    assert list(claims(tmp_path)) == ["a-1", "a-2", "b-1"]
    claims.cache_clear()

    (tmp_path / "a.toml").write_text(good.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(LedgerError, match=re.escape(complaint)):
        claims(tmp_path)


def test_an_empty_folder_is_no_ledger(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="no claims found"):
        claims(tmp_path)


def test_a_claim_cannot_be_edited() -> None:
    with pytest.raises(TypeError):
        claims()["new"] = claims()[RELU]  # type: ignore[index]
    with pytest.raises(AttributeError):
        claims()[RELU].kind = "empirical"  # type: ignore[misc]
    assert isinstance(claims()[RELU], Claim)


# What a trial may say


@pytest.mark.parametrize(
    ("ids", "verdict", "certainty", "text", "complaint"),
    [
        ([], "holds", "proved", {}, "names at least one claim"),
        ([RELU[:-1]], "holds", "proved", {}, f"the nearest is '{RELU}'"),
        ([EMPIRICAL], "holds", "proved", {}, "is empirical"),
        ([RELU], "true", "proved", {}, "unknown verdict 'true'; known: holds"),
        ([RELU], "holds", "certain", {}, "unknown certainty 'certain'; known: proved"),
        ([RELU], "refuted", "proved", {}, "'refuted' is both or neither"),
        ([RELU], "holds", "refuted", {}, "'refuted' is both or neither"),
        ([RELU], "undecided", "proved", {}, "has none exactly if it leaves a claim undecided"),
        ([RELU], "holds", None, {}, "has none exactly if it leaves a claim undecided"),
        ([RELU], "holds", "proved", {"correction": "x"}, "only a refuted claim"),
        (
            [RELU],
            "holds",
            "proved",
            {"condition": "x"},
            "only a claim that holds_if",
        ),
        (
            [RELU],
            "refuted",
            "refuted",
            {"condition": "x"},
            "only a claim that holds_if",
        ),
    ],
)
def test_an_invalid_ruling_gets_one_clear_error(
    ids: list[str], verdict: str, certainty: str, text: dict[str, str], complaint: str
) -> None:
    with pytest.raises(LedgerError, match=re.escape(complaint)):
        settles(*ids, verdict=verdict, certainty=certainty, **text)  # type: ignore[arg-type]


# How rulings are merged


def _ruling(verdict: str, certainty: str | None, text: str | None = None) -> Ruling:
    key = "correction" if verdict == "refuted" else "condition"
    return Ruling((RELU,), verdict, certainty, **{key: text})  # type: ignore[arg-type]


def _tally(*trials: tuple[str, Ruling, str]) -> Tally:
    tally = Tally()
    for nodeid, ruling, outcome in trials:
        tally.add(nodeid, [ruling], "passed", body=False)
        tally.add(nodeid, [ruling], outcome, body=True)
    return tally


@pytest.mark.parametrize("flipped", [False, True])
def test_the_trial_with_the_text_says_how_certain_it_is(flipped: bool) -> None:
    """Red where a proof of one part lends its word to a condition that was only sampled."""
    trials = [
        ("t::sampled", _ruling("holds_if", "sampled", "only then"), "passed"),
        ("t::proved", _ruling("holds_if", "proved"), "passed"),
        ("t::exhausted", _ruling("holds_if", "exhausted"), "passed"),
    ]
    outcome = _tally(*(trials[::-1] if flipped else trials)).settle()

    settled = outcome.settled[RELU]
    assert (settled.verdict, settled.certainty) == ("holds_if", "sampled")
    assert (settled.correction, settled.condition) == (None, "only then")
    assert settled.trials == ("t::exhausted", "t::proved", "t::sampled")
    assert outcome.textless == []


@pytest.mark.parametrize("flipped", [False, True])
def test_without_a_text_the_strongest_certainty_counts(flipped: bool) -> None:
    trials = [
        ("t::sampled", _ruling("holds", "sampled"), "passed"),
        ("t::proved", _ruling("holds", "proved"), "passed"),
    ]
    outcome = _tally(*(trials[::-1] if flipped else trials)).settle()
    assert outcome.settled[RELU].certainty == "proved"


def test_the_cases_of_a_parametrised_test_are_one_trial() -> None:
    ruling = _ruling("refuted", "refuted", "not so")
    cases = [("t::trial[1]", ruling, "passed"), ("t::trial[2]", ruling, "passed")]

    assert _tally(*cases).settle().settled[RELU].trials == ("t::trial",)
    failing = _tally(*cases, ("t::trial[3]", ruling, "failed")).settle()
    assert failing.failed == {RELU: ["t::trial"]}
    assert RELU in _tally(*cases, ("t::trial[3]", ruling, "skipped")).settle().untried


def test_a_failed_trial_outweighs_a_passed_one() -> None:
    ruling = _ruling("holds", "proved")
    outcome = _tally(("t::a", ruling, "passed"), ("t::b", ruling, "failed")).settle()
    assert outcome.failed == {RELU: ["t::b"]}
    assert RELU not in outcome.settled


def test_an_error_in_the_tear_down_fails_the_trial() -> None:
    tally = _tally(("t::a", _ruling("holds", "proved"), "passed"))
    tally.add("t::a", [_ruling("holds", "proved")], "failed", body=False)
    assert tally.settle().failed == {RELU: ["t::a"]}


@pytest.mark.parametrize("other", [("holds_if", "proved", "x"), ("undecided", None, "x")])
def test_different_verdicts_are_disputed(other: tuple[str, str | None, str]) -> None:
    trials = ("t::a", _ruling("holds", "proved"), "passed"), ("t::b", _ruling(*other), "passed")
    outcome = _tally(*trials).settle()
    assert outcome.disputed == {RELU: f"t::a says holds, t::b says {other[0]}"}
    assert RELU not in outcome.settled


def test_two_texts_are_disputed_and_none_is_noticed() -> None:
    bare, told = _ruling("holds_if", "proved"), _ruling("holds_if", "proved", "only then")
    twice = _tally(("t::a", told, "passed"), ("t::b", told, "passed")).settle()
    assert "t::a and t::b both give the text" in twice.disputed[RELU]
    assert _tally(("t::a", bare, "passed")).settle().textless == [RELU]


def test_the_table_fits_a_terminal_and_counts_what_is_untried() -> None:
    tally = Tally()
    tally.add("t::a", [Ruling((EXAMPLE,), "holds", "proved")], "passed", body=True)
    outcome = tally.settle()
    assert max(map(len, table(outcome))) <= 100
    assert table(outcome)[-1].split() == ["all", "reports", "1", *"·····", "145", "146"]
    assert outcome.untried == [claim.id for claim in triable() if claim.id != EXAMPLE]


def test_verdicts_are_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = _tally(("t::a", _ruling("refuted", "refuted", "nicht so: ≠"), "passed")).settle()
    path = tmp_path / "verdicts.json"
    write(outcome, path)
    written = path.read_text(encoding="utf-8")
    assert json.loads(written) == {
        RELU: {
            "verdict": "refuted",
            "certainty": "refuted",
            "correction": "nicht so: ≠",
            "condition": None,
            "trials": ["t::a"],
        }
    }

    def full(descriptor: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="disk full"):
        write(outcome, path)
    assert path.read_text(encoding="utf-8") == written
    assert list(tmp_path.iterdir()) == [path]


# The whole run

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
