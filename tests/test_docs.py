"""The site shows what is there: no figure from stale records, no verdict without its trial.

Small sites with the site's own extensions are built in memory; the whole one is opened in a browser
by `test_docs_browser`.
"""

from __future__ import annotations

import dataclasses
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import numpy as np
import pytest

pytest.importorskip("sphinx", reason="the docs extra is not installed")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "docs"))

from _ext import benches as bench_page
from _ext import (
    convolution_pictures,
    geometry_pictures,
    operator_pictures,
    parameter_pictures,
    training_pictures,
    verdicts,
)
from _ext.chips import LABELS
from _ext.pictures import FORMS
from _ext.runs import runs_of
from _ext.verdicts import start_trials, theory_verdicts
from sphinx.errors import ExtensionError
from sphinx.testing.util import SphinxTestApp

from experiments.catalog import studies, study
from experiments.figures import THEMES, save
from experiments.portrait import Portrait, place
from experiments.portrait import save as save_portrait
from experiments.records import ENGINE_VERSION, Curves, Record, Store, record_key
from experiments.statements import Verdict as ExperimentVerdict
from theory.ledger import claims
from theory.ledger.trials import VERDICTS

DOCS = Path(bench_page.__file__).resolve().parents[1]
STUDY = study("nni-2023-ex1")
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


def record(recipe, seed, /, **changes):
    """Make up a record, with curves that end at 80 % (train) and 50 % (test)."""
    steps = [epoch / recipe.epochs for epoch in range(1, recipe.epochs + 1)]
    whole = Record(
        key="",
        study=STUDY.name,
        recipe=recipe,
        seed=seed,
        device="cpu",
        dataset_fingerprint="data",
        engine=ENGINE_VERSION,
        parameters=3172,
        train_size=50_000,
        test_size=10_000,
        curves=Curves(
            train_loss=[2 - step for step in steps],
            train_accuracy=[0.8 * step + 0.001 * seed for step in steps],
            test_loss=[2 - 0.5 * step for step in steps],
            test_accuracy=[0.5 * step + 0.001 * seed for step in steps],
        ),
        final_train_loss=1.0,
        final_train_accuracy=0.8 + 0.001 * seed,
        diverged=False,
        provenance={
            "wall_seconds": 60.0,
            "training_seconds": 50.0,
            "threads": 1,
            "hardware": "a processor",
            "python": "3.11",
            "torch": "2.9",
            "numpy": "2.0",
        },
    )
    changed = dataclasses.replace(whole, **changes)
    key = record_key(changed.recipe, seed, "data", "cpu", changed.engine)
    return dataclasses.replace(changed, key=key)


def text(html):
    """Return what a reader reads."""
    return re.sub(r"<[^>]*>", "", html)


@pytest.fixture
def build(tmp_path, monkeypatch):
    """Build a site of one page with the site's own extensions; return its HTML, or raise."""
    apps = []

    def run(page, *extensions, records=tmp_path):
        source = tmp_path / "source"
        source.mkdir()
        (source / "index.md").write_text(page, "utf-8")
        (source / "conf.py").write_text(f"extensions = {['myst_parser', *extensions]}", "utf-8")
        app = SphinxTestApp(
            "html",
            srcdir=source,
            confoverrides={"convlaws_records": str(records)}
            if "_ext.measurements" in extensions
            else {},
        )
        apps.append(app)
        app.build()
        problems = app.warning.getvalue()
        if problems:
            raise ExtensionError(problems)
        return (app.outdir / "index.html").read_text("utf-8")

    yield run
    for app in apps:
        app.cleanup()


def test_without_records_the_page_says_that_nothing_was_run(build):
    html = build(MEASUREMENTS, "_ext.measurements")
    assert "<img" not in html
    assert html.count("not run yet") > len(STUDY.recipes)
    assert "python -m experiments run nni-2023-ex1 --seeds 3" in text(html)


def test_with_some_records_the_page_shows_them_and_names_what_is_missing(build, tmp_path):
    for seed in range(2):
        Store(tmp_path).write(record(STUDY.recipe("filters-20-lr-0.01", "adam"), seed))
    html = build(MEASUREMENTS, "_ext.measurements")
    figures = re.findall(r'<img alt="(Curves[^"]*)" class="([^"]*)"', html)
    assert [where for _, where in figures] == [
        f"only-{theme} {form}" for form in ("for-wide", "for-narrow") for theme in THEMES
    ]
    assert all("50.0 % test accuracy" in alt or "50.1 % test" in alt for alt, _ in figures)
    assert "not run yet filters-3-lr-0.01.adam;" in text(html)
    assert "2 runs" in html


def test_a_claim_in_the_overview_leads_to_its_parts(build):
    html = build(MEASUREMENTS, "_ext.measurements")
    claim = next(iter(STUDY.claims))
    assert html.count(f'href="#measured-{claim}"') == html.count(f'id="measured-{claim}"') == 1


def test_with_all_records_nothing_is_said_to_be_missing(build, tmp_path):
    for recipe in STUDY.recipes:
        for seed in range(3):
            Store(tmp_path).write(record(recipe, seed))
    html = build(MEASUREMENTS, "_ext.measurements")
    assert "not run yet" not in html
    assert 'alt="Reported against measured' in html


@pytest.mark.parametrize("name", ["assignment-3", "tp1-cnn"])
def test_a_reports_page_builds_without_records_and_names_every_recipe(build, name):
    page = (DOCS / "reports" / f"{name}.md").read_text("utf-8")
    alone = re.sub(r"\[([^]]*)\]\(\.\./[^)]*\)", r"\1", page)  # the other pages are not there
    html = build(alone, "_ext.measurements", "_ext.portraits", "_ext.contradictions")
    assert "<img" not in html
    recipes, by_default = study(name).recipes, study(name).by_default
    assert f"{len(by_default)} of {len(by_default)} recipes" in text(html)
    assert all(recipe.name in text(html) for recipe in recipes)


def test_a_picture_does_not_ask_to_run_what_waits_to_be_named(build):
    picture = "```{curves} assignment-3\n:roles: resnet-18 resnet-18-pretrained\n:completion: sgd\n"
    html = text(build(f"# Page\n\n{picture}```\n", "_ext.measurements"))
    assert "not run yet resnet-18.sgd; python -m" in html
    assert "resnet-18-pretrained.sgd is run only when it is named" in html


def test_the_command_that_runs_what_is_missing_stands_once_on_a_page(build):
    picture = "```{{curves}} tp1-cnn\n:roles: {}\n:completion: sgd\n```\n\n"
    others = "```{curves} digits\n:roles: conv-fc\n:completion: adam\n```\n"
    pictures = picture.format("baseline augmented") + picture.format("dropout baseline")
    html = text(build(f"# Page\n\n{pictures}## Section\n\n{pictures}{others}", "_ext.measurements"))
    assert html.count("python -m experiments run tp1-cnn") == 1
    assert html.count("python -m experiments run digits") == 1
    # each section names what its pictures lack, and names it once
    assert html.count("baseline.sgd") == html.count("dropout.sgd") == 2
    assert "not run yet dropout.sgd." in html


@pytest.mark.parametrize("page", sorted((DOCS / "reports").glob("*.md")), ids=lambda p: p.stem)
def test_a_page_that_names_missing_runs_goes_on_with_the_command(page):
    for name in re.findall(r"^```{missing-runs} (.+)$", page.read_text("utf-8"), re.MULTILINE):
        assert f"python -m experiments run {name} --seeds 3\n" in page.read_text("utf-8")


def test_what_is_run_on_request_says_what_it_needs(build):
    page = "# Page\n\n```{missing-runs} assignment-3\n```\n\n```{measured} assignment-3\n```\n"
    html = text(build(page, "_ext.measurements"))
    assert "resnet-18-pretrained.sgd is run only when it is named, for it needs a GPU" in html
    assert "test accuracy, resnet-18-pretrained at the lowest validation loss: needs a GPU" in html


def test_what_was_run_on_request_is_not_said_to_wait(build, tmp_path):
    recipe = study("assignment-3").recipe("resnet-18-pretrained", "sgd")
    curves = Curves(*([0.5] * recipe.epochs for _ in dataclasses.fields(Curves)))
    Store(tmp_path).write(record(recipe, 0, study="assignment-3", curves=curves))
    html = text(build("# Page\n\n```{missing-runs} assignment-3\n```\n", "_ext.measurements"))
    assert "not run yet" in html
    assert "is run only when it is named" not in html


def test_the_fewest_seeds_are_counted(build, tmp_path):
    for index, recipe in enumerate(STUDY.recipes):
        for seed in range(2 + (index > 0)):
            Store(tmp_path).write(record(recipe, seed))
    html = build("# Page\n\n```{missing-runs} nni-2023-ex1\n```\n", "_ext.measurements")
    assert "Every recipe was run, with at least 2 seeds." in text(html)


def test_a_run_that_was_lost_at_once_is_not_said_to_be_missing(build, tmp_path):
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
    html = build("# Page\n\n" + "\n\n".join(pages) + "\n", "_ext.measurements")
    assert text(html).count("The loss of filters-3-lr-0.01.adam diverged in the first epoch.") == 2
    assert html.count("<img") == 2 * len(FORMS) * len(THEMES)
    assert "conv-gap.adam" in text(html)


def test_what_others_are_compared_with_is_not_drawn_alone(build, tmp_path):
    wide, narrow = (STUDY.recipe(f"filters-{n}-lr-0.01", "adam") for n in (20, 3))
    Store(tmp_path).write(record(wide, 0))
    options = ":roles: filters-20-lr-0.01 filters-3-lr-0.01\n:reference: {}\n:completion: adam"
    page = "```{{curves}} nni-2023-ex1\n" + options + "\n```\n"
    first, second = (page.format(recipe.name[:-5]) for recipe in (wide, narrow))
    pages = f"# Page\n\n{first}\n## Section\n\n{second}"
    html = build(pages, "_ext.measurements")
    assert html.count("<img") == len(FORMS) * len(THEMES)
    assert text(html).count("filters-3-lr-0.01.adam") == 2


def test_a_late_reading_that_fits_says_so(build, tmp_path):
    recipe = study("mnist-2017").recipe("one-conv", "20000")
    early = Curves(*([0.5] * recipe.epochs for _ in dataclasses.fields(Curves)))
    early.test_accuracy[recipe.epochs // 4 - 1] = 0.9605  # as reported, a quarter of the way
    for seed in range(3):
        Store(tmp_path).write(record(recipe, seed, study="mnist-2017", curves=early))
    html = build("# Page\n\n```{measured} mnist-2017\n```\n", "_ext.measurements")
    (reason,) = re.findall(r'<abbr class="chip chip-late" title="([^"]*)">fits, but late<', html)
    assert reason.startswith("96.05 % lies in")


def test_completions_that_a_report_rules_out_do_not_apply(build):
    mnist = study("mnist-2017")
    page = "# Page\n\n```{completions} mnist-2017\n```\n\n```{measured} mnist-2017\n```\n"
    html = build(page, "_ext.measurements")
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


def test_a_stale_record_fails_the_build(build, tmp_path):
    Store(tmp_path).write(record(STUDY.recipes[0], 0, engine=ENGINE_VERSION - 1))
    with pytest.raises(ExtensionError, match="stale"):
        build(MEASUREMENTS, "_ext.measurements")


def test_a_damaged_record_is_refused_and_named(tmp_path):
    path = Store(tmp_path).write(record(STUDY.recipes[0], 0))
    path.write_text(path.read_text("utf-8")[:100], "utf-8")
    with pytest.raises(ExtensionError, match=re.escape(str(path))):
        runs_of(STUDY.name, tmp_path)


@pytest.mark.parametrize(
    ("directive", "extension", "complaint"),
    [
        ("```{picture} convolution_pictures.one_pixel\n```", "pictures", "needs alt text"),
        ("```{claims}\nno-such-claim\n```", "claims", "no claim of the ledger"),
        ("```{transcript} python -c 'raise SystemExit(3)'\n```", "transcripts", "exit code 3"),
        ("```{transcript} rm -r build\n```", "transcripts", "starts with python"),
        ("```{curves} nni-2023\n:roles: a\n:completion: adam\n```", "measurements", "catalogue"),
    ],
)
def test_a_page_that_asks_for_what_is_not_there_fails_the_build(
    build, directive, extension, complaint
):
    needs = ["_ext.measurements"] if extension == "claims" else []
    with pytest.raises(ExtensionError, match=complaint):
        build(f"# Page\n\n{directive}\n", *needs, f"_ext.{extension}")


def portray(store, run):
    """Keep a record, and a portrait beside it."""
    maps = np.zeros((2, 5, 4, 4), np.float16)
    shown = Portrait(np.ones((5, 3, 2, 2), np.float16), maps, maps)
    save_portrait(shown, place(Store(store).write(run)))


def test_a_portrait_is_shown_beside_the_run_it_belongs_to(build, tmp_path):
    recipe = STUDY.recipe("conv-gap", "adam")
    page = f"# Page\n\n```{{portrait}} {STUDY.name} {recipe.name}\n```\n"
    Store(tmp_path).write(record(recipe, 0))
    for seed in (1, 3):
        portray(tmp_path, record(recipe, seed))
    html = build(page, "_ext.measurements", "_ext.portraits")
    assert f"{recipe.name}, seed 1" in html  # the first that has one
    assert html.count('<img alt="Maps of 4x4 cells') == 4  # first and last, light and dark


def test_a_portrait_is_captioned_with_the_accuracy_of_the_weights_drawn(build, tmp_path):
    """Those that early stopping kept are neither the best on the test set nor the last."""
    recipe = study("assignment-3").recipe("task-2", "sgd")
    curves = Curves(
        train_loss=[1.0] * 3,
        train_accuracy=[0.5] * 3,
        test_loss=[1.0] * 3,
        test_accuracy=[0.62, 0.73, 0.71],
        validation_loss=[1.0, 1.5, 2.0],
        validation_accuracy=[0.5] * 3,
    )
    portray(tmp_path, record(recipe, 0, study="assignment-3", curves=curves))
    page = f"# Page\n\n```{{portrait}} assignment-3 {recipe.name}\n```\n"
    html = text(build(page, "_ext.measurements", "_ext.portraits"))
    assert "test accuracy of the weights drawn is 62.0%" in html


@pytest.mark.parametrize(
    ("changes", "accuracy"),
    [
        ({}, "test accuracy of the weights drawn is 50.0%"),
        ({"curves": Curves([], [], [], []), "diverged": True}, "seed 0. Grey"),
    ],
    ids=["last", "diverged"],
)
def test_without_patience_a_portrait_draws_the_last_weights(build, tmp_path, changes, accuracy):
    recipe = STUDY.recipe("conv-gap", "adam")
    portray(tmp_path, record(recipe, 0, **changes))
    page = f"# Page\n\n```{{portrait}} {STUDY.name} {recipe.name}\n```\n"
    assert accuracy in text(build(page, "_ext.measurements", "_ext.portraits"))


def test_without_a_portrait_the_page_says_how_to_make_one(build, tmp_path):
    page = f"# Page\n\n```{{portrait}} {STUDY.name} conv-gap.adam\n```\n"
    Store(tmp_path).write(record(STUDY.recipe("conv-gap", "adam"), 0))
    html = text(build(page, "_ext.measurements", "_ext.portraits"))
    assert f"python -m experiments portrait {STUDY.name} conv-gap.adam makes one" in html


def test_without_a_bench_run_the_page_says_so(build, monkeypatch, tmp_path):
    monkeypatch.setattr(bench_page, "STORED", tmp_path / "bench.json")
    html = build("# Page\n\n```{bench} training\n```\n", "_ext.benches")
    assert "not run yet No results of training are stored" in text(html)
    assert "<img" not in html


def test_a_stored_file_that_is_no_bench_run_fails_the_build(build, monkeypatch, tmp_path):
    monkeypatch.setattr(bench_page, "STORED", tmp_path / "bench.json")
    bench_page.STORED.write_text("{}", "utf-8")
    with pytest.raises(ExtensionError, match="does not hold the results of a bench run"):
        build("# Page\n\n```{bench} training\n```\n", "_ext.benches")


@pytest.mark.parametrize(
    "draw",
    [
        convolution_pictures.powers_of_the_shift,
        operator_pictures.relu_witness,
        parameter_pictures.recovered_network,
    ],
)
def test_a_picture_is_the_same_each_time_it_is_drawn(draw, tmp_path):
    once, again = tmp_path / "once", tmp_path / "again"
    save(draw(), once)
    save(draw(), again)
    for theme in THEMES:
        first = once.with_name(f"once-{theme}.svg").read_bytes()
        assert first == again.with_name(f"again-{theme}.svg").read_bytes()
    light, dark = (once.with_name(f"once-{theme}.svg").read_bytes() for theme in THEMES)
    assert light != dark


def test_a_listing_ends_with_its_text(build):
    html = build("# Page\n\n```python\n>>> 1 + 1\n2\n\n```\n", "_ext.listings")
    (listing,) = re.findall(r"<pre>(.*?)</pre>", html, flags=re.DOTALL)
    assert text(listing) == "&gt;&gt;&gt; 1 + 1\n2\n"


@pytest.mark.parametrize(
    "draw",
    [
        geometry_pictures.windows_and_remainder,
        geometry_pictures.equal_passes,
        training_pictures.mirrored_characters,
    ],
)
def test_panels_of_a_row_have_one_scale_and_their_titles_on_one_line(draw):
    figure = draw()
    figure.draw_without_rendering()
    assert len({round(axes._left_title.get_window_extent().y0) for axes in figure.axes}) == 1
    assert len({round(axes.transData.get_matrix()[0, 0], 6) for axes in figure.axes}) == 1


def test_every_verdict_has_a_chip():
    assert {*VERDICTS, *get_args(ExperimentVerdict)} <= LABELS.keys()


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
    for name, text in {"a": "```{tally}\n```", "b": "A page.", "c": "```{claims}\n```"}.items():
        (tmp_path / name).write_text(text, "utf-8")
    env = SimpleNamespace(doc2path=lambda name: tmp_path / name)
    verdicts.start_if_needed(None, env, ["a", "b", "c"])
    assert started == ["trials"]
    verdicts.start_if_needed(None, env, ["b"])
    assert started == ["trials"]


def test_what_trials_say_is_shown_once_a_page_and_typeset(build, theory):
    claim, next_claim = "nni-2023-ex1-q1a-params-3", "nni-2023-ex1-q1a-params-20"
    made_up = CONFTEST.replace("a-claim", claim).replace(
        '"correction": None', '"correction": "it\'s \\"two\\" -- or three"'
    )
    (theory / "theory" / "conftest.py").write_text(made_up, "utf-8")
    others = "```{other-claims} theory/test_law.py\n```\n"
    ledger = "```{ledger} nni-2023-ex1\n```\n"  # what the claims above it link to
    named = "\n".join(f"```{{claims}}\n{each}\n```\n" for each in (claim, next_claim))
    html = build(
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


def test_trials_and_runs_are_counted_apart(build, theory, tmp_path):
    """And of what is undecided, what lacks runs from what has error bars that are too wide."""
    for seed in range(2):
        for completion in STUDY.completions:
            recipe = STUDY.recipe("filters-20-lr-0.001", completion)
            curves = Curves(*([0.6 + 0.2 * seed] * 30 for _ in dataclasses.fields(Curves)))
            Store(tmp_path).write(record(recipe, seed, curves=curves))
    html = build("# Page\n\n```{tally}\n```\n", "_ext.measurements", "_ext.claims", "_ext.verdicts")
    told = re.sub(r"\s+", " ", text(html))
    tried = [claim for claim in claims().values() if not claim.empirical]
    both = {claim.id for claim in tried} & {name for each in studies() for name in each.claims}
    assert f"{len(tried)} claims of theory, by trials:" in told
    measured = len(claims()) - len(tried) + len(both)
    experiments = f"the {measured - len(both)} of experiments"
    assert f"{measured} claims by runs: {experiments}, and {len(both)} of theory" in told
    assert re.search(r"undecided error bars too wide (· )*1 ", told)  # q1c-acc-70
    assert re.search(r"not run yet \d+", told)


def test_a_claim_of_theory_that_was_run_as_well_shows_both(build, theory):
    claim = "tp1-cnn-q16-learning-rate"
    made_up = CONFTEST.replace("a-claim", claim).replace('"holds"', '"undecided"')
    made_up = made_up.replace('"condition": None', '"condition": "training"')
    (theory / "theory" / "conftest.py").write_text(made_up, "utf-8")
    page = f"# Page\n\n```{{claims}}\n{claim}\n```\n\n```{{ledger}} tp1-cnn\n```\n"
    told = text(build(page, "_ext.measurements", "_ext.claims", "_ext.verdicts"))
    assert "What would settle it: training" in told
    assert "Condition:" not in told
    assert "Measured: no records of lr-1.sgd, baseline.sgd, lr-0.001.sgd" in told


def test_the_verdict_of_runs_is_set_off_from_what_each_completion_says(build, theory, tmp_path):
    """So that what is undecided does not read "undecided not reproduced"."""
    for seed in range(2):
        Store(tmp_path).write(record(STUDY.recipe("filters-20-lr-0.001", "adam"), seed))
    page = "# Page\n\n```{ledger} nni-2023-ex1\n```\n"
    told = text(build(page, "_ext.measurements", "_ext.claims", "_ext.verdicts"))
    assert "Measured: undecided: not run under sgd, sgd-momentum; not reproduced under adam" in told


def test_a_failing_trial_leaves_no_verdicts(theory):
    (theory / "theory" / "test_law.py").write_text("def test_law():\n    assert 0\n", "utf-8")
    with pytest.raises(ExtensionError, match=r"(?s)do not pass.*test_law"):
        theory_verdicts()
    assert not list((theory / "kept").iterdir())
