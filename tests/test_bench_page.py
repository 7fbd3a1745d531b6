"""The page of benches draws what is stored, and nothing from what is stale."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

pytest.importorskip("sphinx", reason="the docs extra is not installed")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "docs"))

from _ext import bench_curves
from _ext import benches as bench_page
from sphinx.errors import ExtensionError

from tests.site_pages import words
from tests.stored_benches import CONVOLUTION, RUNGS, bench, convolution, results, training

FITTED = {
    **{"question": "convolution", "size": ["samples"]},
    **{"exponent": 1.02, "low": 0.98, "high": 1.06, "line": {"method": "c", "taps": 16}},
}


@pytest.fixture
def shown(build_page):
    """Build a site of one page; return what a reader reads."""
    return lambda page: words(build_page(f"# Page\n\n{page}", "_ext.benches"))


def test_the_page_shows_what_is_stored(shown, store_benches):
    gemm = bench("gemm, float32, cpu", 1.0, precision="float32", gflops=200.0, library="NumPy")
    rungs = [*RUNGS, "+ fused optimiser"]
    store_benches(results(*training("3-filters", rungs), *CONVOLUTION, gemm, scaling=[FITTED]))
    page = shown("```{bench} training\n```\n\n```{bench} convolution\n```\n")
    assert "tutorial loop (images/s) 1,000" in page
    assert "resident bytes 2.00×" in page
    assert "“+ fused optimiser”, of a float32 matrix product’s 200 GFLOP/s 100%" in page
    assert "“+ bfloat16” was not measured" in page
    assert "c: 1.500 in the median, 1.500 at worst" in page
    assert "c 1.02 (0.98 to 1.06)" in page
    assert page.count("Measured on a processor, 2 threads; Python 3.11") == 3


def test_a_question_without_results_is_left_out_with_a_word(shown, store_benches):
    store_benches(results(*training("3-filters")))
    page = shown("```{bench} convolution\n```\n")
    assert "not run yet No results of convolution are stored." in page


def test_stale_results_and_unknown_questions_fail_the_build(shown, store_benches):
    old = training("3-filters")
    del old[0]["extra_info"]["network"]
    store_benches(results(*old, bench("weather, x", 1.0)))
    with pytest.raises(ExtensionError, match="of training lack the fact 'network': they are stale"):
        shown("```{bench} training\n```\n")


def test_a_question_without_a_figure_fails_the_build(shown, store_benches):
    store_benches(results(bench("weather, x", 1.0)))
    with pytest.raises(ExtensionError, match="no figure is known for the bench question 'weather'"):
        shown("```{bench} weather\n```\n")


def test_every_bench_stands_on_the_page():
    root = Path(bench_page.__file__).resolve().parents[2]
    page = (root / "docs" / "benches.md").read_text("utf-8")
    files = {path.name for path in (root / "benches").glob("bench_*.py")}
    assert set(re.findall(r"`(bench_\w+\.py)`", page)) == files
    shown = re.findall(r"^```\{bench\} (.+)$", page, flags=re.MULTILINE)
    assert set(shown) == {
        *bench_page.LADDERS,
        *bench_page.CURVES,
        bench_page.STEP,
        *bench_page.TABLES,
        bench_page.LAYER,
    }


def test_times_are_tabulated_by_method_and_size_where_sizes_are_few(shown, store_benches):
    few = [
        convolution(method, "fft", seconds * samples, samples, 16)
        for samples in (256, 1024)
        for method, seconds in (("a", 2e-6), ("b", 4e-6))
        if (samples, method) != (1024, "b")
    ]
    store_benches(results(*few))
    page = shown("```{bench} convolution\n```\n")
    assert "method 256 samples; 16 taps 1,024 samples; 16 taps" in page
    assert "a 512 µs 2.05 ms b 1.02 ms –" in page
    many = [convolution("a", "fft", 1.0, 2**power, 16) for power in range(3, 13)]
    store_benches(results(*many))
    assert bench_curves._times_table(many, bench_curves.CURVES["convolution"][0]) is None


def test_modes_are_a_row_each_with_our_time_against_the_fastest_other(shown, store_benches):
    seconds = {"theory auto": 3e-6, "numpy": 2e-6, "scipy": 9e-6}
    store_benches(
        results(
            *(
                bench(
                    f"modes, convolution, same, n = {n}, k = 3",
                    time,
                    method=method,
                    library="theory" if method == "theory auto" else method,
                    algorithm="auto" if method == "theory auto" else "direct",
                    operation="convolution",
                    mode="same",
                    samples=n,
                    taps=3,
                )
                for n in (64, 4096)
                for method, time in seconds.items()
                if (n, method) != (4096, "numpy")
            )
        )
    )
    page = shown("```{bench} modes\n```\n")
    assert "operation mode samples taps theory auto numpy scipy theory auto / fastest" in page
    assert "convolution same 64 3 3.00 µs 2.00 µs 9.00 µs 1.50" in page
    assert "convolution same 4,096 3 3.00 µs – 9.00 µs 0.33" in page


def test_the_ratio_of_modes_is_that_of_the_rounds_which_took_turns(shown, store_benches):
    """In the medians ours takes ten times as long; in two of three rounds, just as long."""
    taken = {"theory": (1e-6, 1e-5, 1e-5), "numpy": (1e-6, 1e-6, 1e-5)}
    facts = {"operation": "convolution", "mode": "same", "samples": 64, "taps": 3}
    facts["algorithm"] = "auto"
    benches = [
        bench("modes, convolution", sorted(data)[1], method=name, library=name, **facts)
        for name, data in taken.items()
    ]
    for each, data in zip(benches, taken.values(), strict=True):
        each["stats"]["data"] = list(data)
    store_benches(results(*benches))
    assert "10.0 µs 1.00 µs 1.00" in shown("```{bench} modes\n```\n")


def test_gradients_of_layers_hold_our_choice_against_our_other_methods_as_well(
    shown, store_benches
):
    """Red where a method of ours that was not chosen counts as our own, or tensors as arrays."""
    methods = {"theory direct": 2e-6, "theory auto": 3e-6, "theory auto, tensors": 1e-6}
    store_benches(
        results(
            *(
                bench(
                    "layer gradient, a, float32",
                    seconds,
                    method=method,
                    library="theory",
                    algorithm="auto" if "auto" in method else "direct",
                    layer="a",
                    precision=precision,
                )
                for precision in ("float32", "float64")
                for method, seconds in methods.items()
            )
        )
    )
    page = shown("```{bench} layer gradient\n```\n")
    assert page.count(" a float32 2.00 µs 3.00 µs 1.00 µs 1.50 float64 2.00 µs") == 1


@pytest.mark.parametrize("high", [1.9, 2.1], ids=["narrow", "wide"])
def test_an_exponent_whose_interval_says_nothing_is_left_out(shown, store_benches, high):
    store_benches(results(*CONVOLUTION, scaling=[FITTED | {"low": 1.0, "high": high}]))
    page = shown("```{bench} convolution\n```\n")
    assert ("Exponents p of seconds" in page) == ("1.02 (1.00 to" in page) == (high == 1.9)


def test_the_filter_gradient_says_what_is_fastest_where_and_what_choosing_costs(
    shown, store_benches
):
    store_benches(results(*(each | {"group": "filter gradient, x"} for each in CONVOLUTION)))
    page = shown("```{bench} filter gradient\n```\n")
    assert "Time of one call over that of the fastest" in page
    assert "c: 1.500 in the median, 1.500 at worst" in page
