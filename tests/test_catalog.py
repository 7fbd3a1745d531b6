"""Every study of the catalogue: all claims are measured, and nothing is run in vain."""

from __future__ import annotations

import pytest

from experiments.catalog import studies
from theory.ledger.claims import claims


@pytest.mark.parametrize("each", studies(), ids=lambda each: each.name)
def test_every_claim_of_the_catalogue_has_a_sentence(each) -> None:
    assert all(each.sentence(claim) for claim in each.claims)


@pytest.mark.parametrize("study", studies(), ids=lambda study: study.name)
def test_every_empirical_claim_of_a_report_is_measured(study) -> None:
    reported = {c.id: c for c in claims().values() if c.report == study.name}
    assert set(study.claims) >= {claim for claim in reported if reported[claim].empirical}
    own = set(study.claims) - reported.keys()
    # The embedded study makes its own statements; those beside a report's are marked.
    assert study.name == "digits" or all(c.startswith(f"{study.name}-own-") for c in own)


@pytest.mark.parametrize("study", studies(), ids=lambda study: study.name)
def test_nothing_is_run_in_vain(study) -> None:
    read = {role for statement in study.statements for role in statement.quantity.reads}
    assert read == set(study.roles)


@pytest.mark.parametrize("study", studies(), ids=lambda study: study.name)
def test_no_two_recipes_are_the_same_run(study) -> None:
    assert len({recipe.digest for recipe in study.recipes}) == len(study.recipes)
