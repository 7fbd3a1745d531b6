"""Every study of the catalogue: all claims are measured, and nothing is run in vain."""

from __future__ import annotations

import pytest

from experiments import catalog, datasets
from experiments.catalog import studies
from experiments.errors import InputError
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


@pytest.mark.parametrize("name", [None, 3, ["digits"]])
def test_a_name_that_is_no_text_is_refused(name):
    with pytest.raises(InputError, match="a report's name must be text, got"):
        catalog.study(name)
    with pytest.raises(InputError, match="a data set's name must be text, got"):
        datasets.load(name)
