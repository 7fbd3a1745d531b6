"""The built site in a browser: it loads nothing from outside, and works as a reader expects.

Every page is opened over a local server, as search reads pages by HTTP.
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import shutil
import threading
from pathlib import Path

import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

SITE = Path(__file__).resolve().parents[1] / "docs" / "_build" / "html"
PAGES = sorted(
    page.relative_to(SITE).as_posix()
    for page in SITE.rglob("*.html")
    if "_static" not in page.relative_to(SITE).parts
)
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed"),
    pytest.mark.skipif(not PAGES, reason="the site is not built: run `make docs`"),
]


class _QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        """Keep the test's output to itself."""

    def copyfile(self, source, outputfile):
        """Send a file, unless the page that asked for it is closed meanwhile."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            super().copyfile(source, outputfile)


@pytest.fixture(scope="module")
def address():
    """Serve the site; return its address."""
    handler = functools.partial(_QuietHandler, directory=SITE)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture
def complaints():
    """Collect what is wrong while pages load: outside requests, failures, errors in the console."""
    return []


@pytest.fixture
def tab(browser, address, complaints):
    """Open a tab on a light page, with a watch over all that it loads."""
    context = browser.new_context(base_url=address, color_scheme="light")
    page = context.new_page()

    def watch(request):
        if not request.url.startswith((address, "data:", "blob:")):
            complaints.append(f"asks for {request.url}")

    def listen(message):
        if message.type == "error":
            complaints.append(f"console: {message.text}")

    page.on("request", watch)
    page.on("requestfailed", lambda request: complaints.append(f"fails: {request.url}"))
    page.on("console", listen)
    page.on("pageerror", lambda error: complaints.append(f"script: {error}"))
    yield page
    context.close()


def test_the_watch_notices_outside_requests_missing_files_and_errors(tab, complaints):
    tab.goto("index.html")
    tab.evaluate("fetch('http://127.0.0.1:9/outside').catch(() => 0)")
    tab.evaluate("fetch('no-such-file')")
    tab.evaluate("setTimeout(() => { throw new Error('planted') })")
    tab.wait_for_timeout(200)
    for sign in ("asks for http://127.0.0.1:9", "404", "planted"):
        assert any(sign in complaint for complaint in complaints), sign


@pytest.mark.parametrize("page", PAGES)
def test_a_page_loads_by_itself_and_fits(tab, complaints, page):
    tab.goto(page, wait_until="load")
    images = tab.eval_on_selector_all(
        "img", "all => all.map(i => [i.getAttribute('src'), i.alt, i.naturalWidth])"
    )
    assert all(alt.strip() for _, alt, _ in images), "an image has no alt text"
    assert all(width for *_, width in images), "an image does not load"
    for width in (1280, 390):
        tab.set_viewport_size({"width": width, "height": 800})
        beyond = tab.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert beyond <= 0, f"the page is {beyond} pixels wider than a window of {width}"
    assert complaints == []


def test_a_phone_shows_by_a_shadow_that_a_table_or_a_picture_goes_on(tab):
    tab.set_viewport_size({"width": 390, "height": 800})
    tab.goto("chapters/operators.html", wait_until="load")
    backgrounds = tab.eval_on_selector_all(
        ".table-wrapper, figure.picture",
        """all => all.filter(each => each.scrollWidth > each.clientWidth)
            .map(each => [each.tagName, getComputedStyle(each).backgroundImage])""",
    )
    assert {tag for tag, _ in backgrounds} == {"DIV", "FIGURE"}
    assert all("radial-gradient" in background for _, background in backgrounds)


@pytest.mark.parametrize("page", [page for page in PAGES if page.startswith(("api/", "howto/"))])
def test_no_line_that_python_prints_is_cut_off(tab, page):
    tab.set_viewport_size({"width": 1280, "height": 800})
    tab.goto(page, wait_until="load")
    beyond = tab.eval_on_selector_all(
        ".doctest pre, .highlight-python pre",
        "all => all.map(each => each.scrollWidth - each.clientWidth)",
    )
    assert not any(beyond)


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize(
    "page", ["benches.html", "chapters/operators.html", "reports/nni-2023-ex1.html"]
)
def test_a_picture_is_shown_once_and_within_the_screen(tab, page, width):
    """In the form and theme that suit it; on a phone, what was drawn once scrolls as tables do."""
    tab.set_viewport_size({"width": width, "height": 800})
    tab.goto(page, wait_until="load")
    pictures = tab.eval_on_selector_all(
        "figure.picture",
        """all => all.filter(each => each.offsetParent).map(each => [
            [...each.querySelectorAll('img')].filter(i => i.offsetParent).length,
            !each.querySelector('img.for-narrow'),
            each.scrollWidth - each.clientWidth,
            getComputedStyle(each).overflowX])""",
    )
    assert pictures
    for shown, once, beyond, overflow in pictures:
        assert shown == 1
        assert (beyond > 0) is (once and width == 390), pictures
        assert not beyond or overflow == "auto", "a part of a picture is out of reach"


@pytest.mark.parametrize("page", PAGES)
def test_a_page_does_not_say_where_it_was_built(page):
    assert str(SITE.parents[2]) not in (SITE / page).read_text("utf-8")


def test_mathematics_is_typeset(tab, complaints):
    tab.goto("chapters/convolution.html")
    tab.wait_for_selector("mjx-container", state="attached")
    written = tab.locator(".math").count()
    tab.wait_for_function(f"document.querySelectorAll('mjx-container').length >= {written}")
    assert written > 10
    assert tab.locator("mjx-merror, .merror").count() == 0
    assert complaints == []


def test_the_theme_switch_exchanges_the_pictures(tab):
    tab.goto("chapters/convolution.html")

    def visible(theme):
        return tab.eval_on_selector_all(
            f"img.only-{theme}",
            "all => all.filter(i => getComputedStyle(i).display !== 'none').length",
        )

    shown = visible("light")
    assert shown > 3
    assert visible("dark") == 0
    switch = tab.locator(".theme-toggle:visible").first
    for _ in range(3):  # automatic, light, dark
        switch.click()
        if tab.locator("body").get_attribute("data-theme") == "dark":
            break
    assert (visible("light"), visible("dark")) == (0, shown)


def test_a_reader_whose_system_is_dark_sees_dark_pictures(browser, address):
    context = browser.new_context(base_url=address, color_scheme="dark")
    page = context.new_page()
    page.goto("chapters/operators.html")
    assert page.locator("img.only-dark").first.is_visible()
    assert not page.locator("img.only-light").first.is_visible()
    context.close()


def test_search_finds_a_chapter(tab, complaints):
    tab.goto("search.html?q=circulant")
    tab.wait_for_selector("#search-results li a")
    found = tab.eval_on_selector_all("#search-results li a", "all => all.map(a => a.href)")
    assert any("chapters/convolution.html" in target for target in found)
    assert complaints == []


def test_a_claim_on_a_chapter_leads_to_its_entry_in_the_ledger(tab):
    tab.goto("chapters/convolution.html")
    link = tab.locator(".claim-head a").first
    claim = link.inner_text()
    link.click()
    tab.wait_for_url("**/ledger.html#*")
    assert claim in tab.locator(".claim:target").inner_text()


def test_a_verdict_opens_by_keyboard_to_show_its_reason(tab, complaints):
    tab.goto("reports/nni-2023-ex1.html")
    first = tab.locator("details.reason").first
    assert not first.locator("p").is_visible()
    first.locator("summary").focus()
    tab.keyboard.press("Enter")
    assert first.locator("p").is_visible()
    assert first.locator("p").inner_text().strip()
    assert complaints == []
