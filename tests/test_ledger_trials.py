"""A trial says only what a trial may say of a claim."""

from __future__ import annotations

import re

import pytest

from tests.ledger_claims import EMPIRICAL, RELU
from theory.ledger import LedgerError, settles


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
