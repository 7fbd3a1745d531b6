"""Pages of the site fail to build where they ask for what is not there, and end with their text.

Small sites are built here; the whole one is opened in a browser by `test_docs_browser`.
"""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from typing import get_args

import pytest

pytest.importorskip("sphinx", reason="the docs extra is not installed")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "docs"))

from _ext import benches as bench_page
from _ext.chips import LABELS
from sphinx.errors import ExtensionError

from experiments.statements import Verdict as ExperimentVerdict
from tests.site_pages import text
from theory.ledger import claims
from theory.ledger.trials import VERDICTS

ROOT = Path(__file__).resolve().parents[1]


def stem(page: Path) -> str:
    """Return the name of a page, which the id of its test ends with."""
    return page.stem


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
    build_page, directive, extension, complaint
):
    needs = ["_ext.measurements"] if extension == "claims" else []
    with pytest.raises(ExtensionError, match=complaint):
        build_page(f"# Page\n\n{directive}\n", *needs, f"_ext.{extension}")


def test_without_a_bench_run_the_page_says_so(build_page, monkeypatch, tmp_path):
    monkeypatch.setattr(bench_page, "STORED", tmp_path / "bench.json")
    html = build_page("# Page\n\n```{bench} training\n```\n", "_ext.benches")
    assert "not run yet No results of training are stored" in text(html)
    assert "<img" not in html


def test_a_stored_file_that_is_no_bench_run_fails_the_build(build_page, monkeypatch, tmp_path):
    monkeypatch.setattr(bench_page, "STORED", tmp_path / "bench.json")
    bench_page.STORED.write_text("{}", "utf-8")
    with pytest.raises(ExtensionError, match="does not hold the results of a bench run"):
        build_page("# Page\n\n```{bench} training\n```\n", "_ext.benches")


def test_a_listing_ends_with_its_text(build_page):
    html = build_page("# Page\n\n```python\n>>> 1 + 1\n2\n\n```\n", "_ext.listings")
    (listing,) = re.findall(r"<pre>(.*?)</pre>", html, flags=re.DOTALL)
    assert text(listing) == "&gt;&gt;&gt; 1 + 1\n2\n"


@pytest.mark.parametrize("package", ["theory.auditing", "theory.diagnosis", "theory.testing"])
def test_the_map_of_a_package_stays_in_the_code(build_page, package):
    written = importlib.import_module(package).__doc__ or ""
    page = f"```{{eval-rst}}\n.. automodule:: {package}\n```\n"
    shown = text(build_page(page, "sphinx.ext.autodoc", "_ext.module_maps"))
    assert written.splitlines()[0].rstrip(".") in shown.replace("’", "'")
    assert "Which module answers" in written
    assert "Which module answers" not in shown


def test_every_verdict_has_a_chip():
    assert {*VERDICTS, *get_args(ExperimentVerdict)} <= LABELS.keys()


@pytest.mark.parametrize("report", sorted({claim.report for claim in claims().values()}))
def test_every_report_of_the_ledger_has_its_places_on_the_site(report):
    assert f"```{{ledger}} {report}\n" in (ROOT / "docs" / "ledger.md").read_text("utf-8")
    assert f"\nreports/{report}\n" in (ROOT / "docs" / "index.md").read_text("utf-8")


def test_every_file_of_trials_that_settle_claims_belongs_to_one_chapter():
    chapters = [each.read_text("utf-8") for each in (ROOT / "docs" / "chapters").glob("*.md")]
    listed = " ".join(re.findall(r"```\{other-claims\} (.+)", "\n".join(chapters))).split()
    trials = sorted((ROOT / "theory").glob("test_*.py"))
    settling = {f"theory/{each.name}" for each in trials if "@settles(" in each.read_text("utf-8")}
    assert len(listed) == len({*listed})
    assert settling <= {*listed}


@pytest.mark.parametrize("page", sorted((ROOT / "docs" / "chapters").glob("*.md")), ids=stem)
def test_claims_that_a_chapter_does_not_place_stand_under_a_heading_of_their_own(page):
    """Else they would read as part of the section above them, whatever that is about."""
    source = page.read_text("utf-8")
    (files,) = re.findall(r"```\{other-claims\} (.+)", source)
    placed = set("\n".join(re.findall(r"```\{claims\}\n(.+?)```", source, re.DOTALL)).split())
    trials = "".join((ROOT / each).read_text("utf-8") for each in files.split())
    marks = "".join(re.findall(r"@settles\((.+?)verdict=", trials, re.DOTALL))
    settled = set(re.findall(r'"([\w-]+)"', marks))
    assert settled
    assert settled <= placed or "## Further claims\n\n```{other-claims}" in source
