"""Pages on experiments show the runs that are there, and say what is missing and how to run it."""

from __future__ import annotations

import dataclasses
import re
import sys
from pathlib import Path

import pytest

pytest.importorskip("sphinx", reason="the docs extra is not installed")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "docs"))

from _ext.pictures import FORMS
from _ext.runs import runs_of
from sphinx.errors import ExtensionError

from experiments.catalog import study
from experiments.figures import THEMES
from experiments.records import ENGINE_VERSION, Curves, Store
from tests.site_pages import STUDY, record, text

DOCS = Path(__file__).resolve().parents[1] / "docs"
MEASUREMENTS = """
# Page

```{completions} nni-2023-ex1
```

```{reported-figure} nni-2023-ex1
```

```{curves} nni-2023-ex1
:roles: filters-20-lr-0.01 filters-3-lr-0.01
:completion: adam
```

```{measured} nni-2023-ex1
```

```{runs} nni-2023-ex1
```
"""


def test_without_records_the_page_says_that_nothing_was_run(build_page):
    html = build_page(MEASUREMENTS, "_ext.measurements")
    assert "<img" not in html
    assert html.count("not run yet") > len(STUDY.recipes)
    assert "python -m experiments run nni-2023-ex1 --seeds 3" in text(html)


def test_with_some_records_the_page_shows_them_and_names_what_is_missing(build_page, tmp_path):
    for seed in range(2):
        Store(tmp_path).write(record(STUDY.recipe("filters-20-lr-0.01", "adam"), seed))
    html = build_page(MEASUREMENTS, "_ext.measurements")
    figures = re.findall(r'<img alt="(Curves[^"]*)" class="([^"]*)"', html)
    assert [where for _, where in figures] == [
        f"only-{theme} {form}" for form in ("for-wide", "for-narrow") for theme in THEMES
    ]
    assert all("50.0 % test accuracy" in alt or "50.1 % test" in alt for alt, _ in figures)
    assert "not run yet filters-3-lr-0.01.adam;" in text(html)
    assert "2 runs" in html


def test_a_claim_in_the_overview_leads_to_its_parts(build_page):
    html = build_page(MEASUREMENTS, "_ext.measurements")
    claim = next(iter(STUDY.claims))
    assert html.count(f'href="#measured-{claim}"') == html.count(f'id="measured-{claim}"') == 1


def test_with_all_records_nothing_is_said_to_be_missing(build_page, tmp_path):
    for recipe in STUDY.recipes:
        for seed in range(3):
            Store(tmp_path).write(record(recipe, seed))
    html = build_page(MEASUREMENTS, "_ext.measurements")
    assert "not run yet" not in html
    assert 'alt="Reported against measured' in html


@pytest.mark.parametrize("name", ["assignment-3", "tp1-cnn"])
def test_a_reports_page_builds_without_records_and_names_every_recipe(build_page, name):
    page = (DOCS / "reports" / f"{name}.md").read_text("utf-8")
    alone = re.sub(r"\[([^]]*)\]\(\.\./[^)]*\)", r"\1", page)  # the other pages are not there
    html = build_page(alone, "_ext.measurements", "_ext.portraits", "_ext.contradictions")
    assert "<img" not in html
    recipes, by_default = study(name).recipes, study(name).by_default
    assert f"{len(by_default)} of {len(by_default)} recipes" in text(html)
    assert all(recipe.name in text(html) for recipe in recipes)


def test_a_picture_does_not_ask_to_run_what_waits_to_be_named(build_page):
    picture = "```{curves} assignment-3\n:roles: resnet-18 resnet-18-pretrained\n:completion: sgd\n"
    html = text(build_page(f"# Page\n\n{picture}```\n", "_ext.measurements"))
    assert "not run yet resnet-18.sgd; python -m" in html
    assert "resnet-18-pretrained.sgd is run only when it is named" in html


def test_the_command_that_runs_what_is_missing_stands_once_on_a_page(build_page):
    picture = "```{{curves}} tp1-cnn\n:roles: {}\n:completion: sgd\n```\n\n"
    others = "```{curves} digits\n:roles: conv-fc\n:completion: adam\n```\n"
    pictures = picture.format("baseline augmented") + picture.format("dropout baseline")
    html = text(
        build_page(f"# Page\n\n{pictures}## Section\n\n{pictures}{others}", "_ext.measurements")
    )
    assert html.count("python -m experiments run tp1-cnn") == 1
    assert html.count("python -m experiments run digits") == 1
    # each section names what its pictures lack, and names it once
    assert html.count("baseline.sgd") == html.count("dropout.sgd") == 2
    assert "not run yet dropout.sgd." in html


@pytest.mark.parametrize("page", sorted((DOCS / "reports").glob("*.md")), ids=lambda p: p.stem)
def test_a_page_that_names_missing_runs_goes_on_with_the_command(page):
    for name in re.findall(r"^```{missing-runs} (.+)$", page.read_text("utf-8"), re.MULTILINE):
        assert f"python -m experiments run {name} --seeds 3\n" in page.read_text("utf-8")


def test_what_is_run_on_request_says_what_it_needs(build_page):
    page = "# Page\n\n```{missing-runs} assignment-3\n```\n\n```{measured} assignment-3\n```\n"
    html = text(build_page(page, "_ext.measurements"))
    assert "resnet-18-pretrained.sgd is run only when it is named, for it needs a GPU" in html
    assert "test accuracy, resnet-18-pretrained at the lowest validation loss: needs a GPU" in html


def test_what_was_run_on_request_is_not_said_to_wait(build_page, tmp_path):
    recipe = study("assignment-3").recipe("resnet-18-pretrained", "sgd")
    curves = Curves(*([0.5] * recipe.epochs for _ in dataclasses.fields(Curves)))
    run = record(recipe, 0, study="assignment-3", curves=curves, best_train_accuracy=0.5)
    Store(tmp_path).write(run)
    html = text(build_page("# Page\n\n```{missing-runs} assignment-3\n```\n", "_ext.measurements"))
    assert "not run yet" in html
    assert "is run only when it is named" not in html


@pytest.mark.parametrize(
    ("seeds", "told"),
    [
        (2, "these with fewer seeds than the 3 that a verdict takes: {} (2)."),
        (3, "with at least 3 seeds."),
    ],
)
def test_seeds_are_counted_and_what_has_too_few_is_named(build_page, tmp_path, seeds, told):
    first = STUDY.recipes[0]
    for recipe in STUDY.recipes:
        for seed in range(seeds if recipe is first else 4):
            Store(tmp_path).write(record(recipe, seed))
    html = build_page("# Page\n\n```{missing-runs} nni-2023-ex1\n```\n", "_ext.measurements")
    assert f"Every recipe was run, {told.format(first.name)}" in text(html)


def test_a_run_that_was_lost_at_once_is_not_said_to_be_missing(build_page, tmp_path):
    lost = {"curves": Curves([], [], [], []), "diverged": True}
    lost |= {"final_train_loss": None, "final_train_accuracy": None}
    wide, narrow = (STUDY.recipe(f"filters-{n}-lr-0.01", "adam") for n in (20, 3))
    Store(tmp_path).write(record(wide, 0))
    Store(tmp_path).write(record(narrow, 0, **lost))
    pages = []
    for directive in ("curves", "final-accuracies"):
        completion = ":completion: adam\n" if directive == "curves" else ""
        roles = "filters-20-lr-0.01 filters-3-lr-0.01 conv-gap"
        page = f"```{{{directive}}} nni-2023-ex1\n:roles: {roles}\n{completion}```"
        pages.append(page)
    html = build_page("# Page\n\n" + "\n\n".join(pages) + "\n", "_ext.measurements")
    assert text(html).count("The loss of filters-3-lr-0.01.adam diverged in the first epoch.") == 2
    assert html.count("<img") == 2 * len(FORMS) * len(THEMES)
    assert "conv-gap.adam" in text(html)


def test_what_others_are_compared_with_is_not_drawn_alone(build_page, tmp_path):
    wide, narrow = (STUDY.recipe(f"filters-{n}-lr-0.01", "adam") for n in (20, 3))
    Store(tmp_path).write(record(wide, 0))
    options = ":roles: filters-20-lr-0.01 filters-3-lr-0.01\n:reference: {}\n:completion: adam"
    page = "```{{curves}} nni-2023-ex1\n" + options + "\n```\n"
    first, second = (page.format(recipe.name[:-5]) for recipe in (wide, narrow))
    pages = f"# Page\n\n{first}\n## Section\n\n{second}"
    html = build_page(pages, "_ext.measurements")
    assert html.count("<img") == len(FORMS) * len(THEMES)
    assert text(html).count("filters-3-lr-0.01.adam") == 2


def test_a_late_reading_that_fits_says_so(build_page, tmp_path):
    recipe = study("mnist-2017").recipe("one-conv", "20000")
    early = Curves(*([0.5] * recipe.epochs for _ in dataclasses.fields(Curves)))
    early.test_accuracy[recipe.epochs // 4 - 1] = 0.9605  # as reported, a quarter of the way
    for seed in range(3):
        Store(tmp_path).write(record(recipe, seed, study="mnist-2017", curves=early))
    html = build_page("# Page\n\n```{measured} mnist-2017\n```\n", "_ext.measurements")
    opened = (
        r'<details class="reason"><summary>\s*<span class="chip chip-late">fits, but late</span>'
    )
    (reason,) = re.findall(opened + r"\s*</summary>\s*<p>([^<]*)</p>\s*</details>", html)
    assert reason.startswith("96.05 % lies in")


def test_completions_that_a_report_rules_out_do_not_apply(build_page):
    mnist = study("mnist-2017")
    page = "# Page\n\n```{completions} mnist-2017\n```\n\n```{measured} mnist-2017\n```\n"
    html = build_page(page, "_ext.measurements")
    ruled_out = len(mnist.stated) * (len(mnist.completions) - 1)
    assert text(html).count("does not apply") == ruled_out == 4
    open_parts = [each for each in mnist.statements if each.claim not in mnist.stated]
    assert html.count(f'rowspan="{len(mnist.completions)}"') == len(open_parts)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"engine": ENGINE_VERSION - 1}, f"engine {ENGINE_VERSION - 1}, now {ENGINE_VERSION}"),
        (
            {"recipe": dataclasses.replace(STUDY.recipes[0], batch=7)},
            "its recipe is not in the catalogue",
        ),
    ],
)
def test_a_stale_record_is_refused_and_named(tmp_path, changes, why):
    stale = record(STUDY.recipes[0], 0, **changes)
    Store(tmp_path).write(stale)
    with pytest.raises(ExtensionError, match=re.escape(f"({stale.key[:12]}): {why}")):
        runs_of(STUDY.name, tmp_path)


def test_a_stale_record_fails_the_build(build_page, tmp_path):
    Store(tmp_path).write(record(STUDY.recipes[0], 0, engine=ENGINE_VERSION - 1))
    with pytest.raises(ExtensionError, match="stale"):
        build_page(MEASUREMENTS, "_ext.measurements")


def test_a_damaged_record_is_refused_and_named(tmp_path):
    path = Store(tmp_path).write(record(STUDY.recipes[0], 0))
    path.write_text(path.read_text("utf-8")[:100], "utf-8")
    with pytest.raises(ExtensionError, match=re.escape(str(path))):
        runs_of(STUDY.name, tmp_path)
