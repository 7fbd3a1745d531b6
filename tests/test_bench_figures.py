"""The page of benches on trial: it draws what is stored, and nothing from what is stale."""

from __future__ import annotations

import importlib
import json
import math
import re
import sys
from pathlib import Path

import pytest

pytest.importorskip("sphinx", reason="the docs extra is not installed")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "docs"))

import bench_choices
import bench_figures
import bench_ratios
import bench_results
from _ext import bench_curves, tables
from _ext import benches as bench_page
from goal_outcomes import Sources
from speed_goals import GOALS
from sphinx.errors import ExtensionError
from sphinx.testing.util import SphinxTestApp

from experiments.figures import NARROW, WIDE

VERSIONS = {"python": "3.11", "torch": "2.9", "numpy": "2.0", "scipy": "1.17"}
RUNGS = ["tutorial loop", "resident bytes", "+ channels last"]


def bench(group, seconds, **facts):
    known = {"device": "cpu", "hardware": "a processor", "threads": 2, **VERSIONS}
    stats = {"min": 0.9, "q1": 0.95, "median": 1.0, "q3": 1.05, "max": 1.2}
    return {
        "group": group,
        "extra_info": known | facts,
        "stats": {name: value * seconds for name, value in stats.items()}
        | {"data": [seconds * value for value in (1.2, 0.9, 1.0)]},
    }


def training(network, rungs=RUNGS):
    """Make up a ladder on which each rung is as fast again as the first one."""
    return [
        bench(
            f"training, {network}, cpu",
            1 / (1 + i),
            network=network,
            parameters=3172,
            rung=rung,
            images=1000,
            gflops=50.0 * (1 + i),
        )
        for i, rung in enumerate(rungs)
    ]


def convolution(method, algorithm, seconds, samples=256, taps=16, **facts):
    known = {"library": "SciPy", "precision": "float64"} | facts
    return bench(
        f"convolution, n = {samples}, k = {taps}",
        seconds,
        method=method,
        algorithm=algorithm,
        samples=samples,
        taps=taps,
        **known,
    )


CONVOLUTION = [
    convolution(method, algorithm, seconds * samples, samples, taps)
    for taps in (16, 64)
    for samples in (256, 1024)
    for method, algorithm, seconds in (("a", "direct", 2.0), ("b", "fft", 4.0), ("c", "auto", 3.0))
]


SPECTRUM = {"channels": 4, "library": "NumPy"}


def results(*benches, scaling=()):
    return {
        "machine_info": {"processor": "a processor"},
        "benchmarks": list(benches),
        "scaling": list(scaling),
        "datetime": "2026-01-02T03:04:05",
    }


@pytest.fixture
def store(monkeypatch, tmp_path):
    """Store results where the page looks for them."""
    monkeypatch.setattr(bench_page, "STORED", tmp_path / "bench.json")
    return lambda content: bench_page.STORED.write_text(json.dumps(content), "utf-8")


@pytest.fixture
def build_page(tmp_path):
    """Build a site of one page; return what a reader reads."""
    apps = []

    def run(page, extension="_ext.benches"):
        source = tmp_path / "source"
        source.mkdir()
        (source / "index.md").write_text(f"# Page\n\n{page}", "utf-8")
        (source / "conf.py").write_text(f"extensions = ['myst_parser', '{extension}']", "utf-8")
        app = SphinxTestApp("html", srcdir=source)
        apps.append(app)
        app.build()
        assert not app.warning.getvalue()
        html = (app.outdir / "index.html").read_text("utf-8")
        return " ".join(re.sub(r"<[^>]*>", " ", html).split())

    yield run
    for app in apps:
        app.cleanup()


# Reading


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"benchmarks": []}', '{"benchmarks": [1]}'])
def test_a_file_that_holds_no_results_is_refused(tmp_path, text):
    path = tmp_path / "bench.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="does not hold the results of a bench run"):
        bench_results.load(path)


def test_questions_are_told_apart_by_the_first_word_of_a_group():
    found = results(*training("a"), *CONVOLUTION, bench("training speed, x", 1.0))
    assert len(bench_results.of(found, "training")) == len(RUNGS)
    assert bench_results.of(found, "convolution") == CONVOLUTION
    assert bench_results.of(found, "gemm") == []


def test_results_that_lack_a_fact_are_stale():
    with pytest.raises(ValueError, match="of training lack the fact 'weather': they are stale"):
        bench_results.of(results(*training("a")), "training", ["rung", "weather"])


def test_conditions_name_machine_and_versions():
    one = bench("x, y", 1.0, threads=1)
    assert bench_results.conditions(results(one), [one]) == (
        "a processor, 1 thread; Python 3.11, PyTorch 2.9, NumPy 2.0, SciPy 1.17; 2026-01-02"
    )


def test_gains_are_paired_round_by_round():
    first, second = bench("x", 1.0, images=1000), bench("x", 0.5, images=1000)
    second["stats"]["data"][0] *= 2  # a stall in one of its rounds
    assert bench_results.gains(second, first) == pytest.approx([1, 2, 2])
    second["extra_info"]["images"] = 4000
    assert bench_results.gains(second, first) == pytest.approx([4, 8, 8])


# Figures


def test_ladders_have_a_panel_for_each_network_and_a_bar_for_each_rung():
    benches = [*training("a"), *training("b", RUNGS[:2])]
    figure = bench_figures.draw_ladder(benches, bench_page.LADDERS["training"])
    first, second = figure.axes
    assert [bar.get_width() for bar in first.containers[1]] == pytest.approx([1, 2, 3])
    assert [label.get_text() for label in first.get_yticklabels()] == RUNGS
    assert [note.get_text() for note in first.texts] == [
        "×1.00  (1,000/s)",
        "×2.00  (2,000/s)",
        "×3.00  (3,000/s)",
    ]
    assert [note.get_text() for note in second.texts][2:] == ["–"]
    assert [axes.get_title("left") for axes in figure.axes] == ["a", "b"]


def test_no_row_of_a_ladder_is_empty():
    lacking = [training("b")[0], training("b")[2]]
    panels = [*training("a"), *lacking, *training("c", RUNGS[:2]), *training("d", RUNGS[:2])]
    figure = bench_figures.draw_ladder(panels, bench_page.LADDERS["training"])
    whole, beside, below, _ = figure.axes
    notes = {note.get_text(): note.xy[1] for note in beside.texts}
    assert notes == {"×1.00  (1,000/s)": RUNGS[0], "×3.00  (3,000/s)": RUNGS[2], "–": RUNGS[1]}
    assert [bar.get_y() + 0.325 for bar in beside.containers[1]] == pytest.approx([0, 2])
    assert [label.get_text() for label in whole.get_yticklabels()] == RUNGS
    assert [label.get_text() for label in below.get_yticklabels()] == RUNGS[:2]


def test_a_ladder_starts_with_its_base_and_needs_it():
    ladder = bench_page.LADDERS["training"]
    rows = ladder.rows(training("a")[::-1])
    assert [row["extra_info"]["rung"] for row in rows] == [RUNGS[0], *RUNGS[:0:-1]]
    with pytest.raises(ValueError, match="lack 'tutorial loop', which others are held against"):
        ladder.rows(training("a")[1:])


def test_curves_have_a_panel_for_each_value_and_a_line_for_each_method():
    figure = bench_figures.draw_curves(CONVOLUTION, *bench_page.CURVES["convolution"])
    assert [axes.get_title("left") for axes in figure.axes] == ["16 taps", "64 taps"]
    for axes in figure.axes:
        assert [list(line.get_xdata()) for line in axes.lines] == [[256, 1024]] * 3
        assert list(axes.lines[0].get_ydata()) == [512, 2048]
        assert len({line.get_linestyle() for line in axes.lines}) == 3
    (key,) = figure.legends
    assert [label.get_text() for label in key.get_texts()] == ["SciPy", "direct", "fft", "auto"]


def test_a_panel_needs_a_second_size():
    lonely = [convolution(method, "fft", 1.0, 256, 128) for method in ("a", "b")]
    (curves,) = bench_page.CURVES["convolution"]
    figure = bench_figures.draw_curves(CONVOLUTION + lonely, curves)
    assert [axes.get_title("left") for axes in figure.axes] == ["16 taps", "64 taps"]


def test_a_choice_is_held_against_the_fastest_of_its_precision():
    peers = [
        convolution("slow", "direct", 4.0),
        convolution("fast", "fft", 2.0),
        convolution("rough", "fft", 1.0, precision="float32"),
        convolution("chooser", "auto", 3.0),
        convolution("elsewhere", "fft", 0.5, samples=512),
    ]
    assert bench_choices.choices(peers) == {"chooser": {(256, 16): 1.5}}
    alone = [convolution("chooser", "auto", 1.0), convolution("slow", "fft", 2.0)]
    assert bench_choices.choices(alone) == {"chooser": {(256, 16): 1.0}}


def test_choices_are_drawn_cell_by_cell():
    figure = bench_choices.draw_choices(CONVOLUTION)
    (axes,) = figure.axes
    assert axes.get_title("left") == "c"
    assert [cell.get_text() for cell in axes.texts] == ["1.50"] * 4
    shades = [cell.get_alpha() for cell in axes.patches]
    assert shades == pytest.approx([math.log(1.5) / math.log(8)] * 4)


# The page


FITTED = {
    **{"question": "convolution", "size": ["samples"]},
    **{"exponent": 1.02, "low": 0.98, "high": 1.06, "line": {"method": "c", "taps": 16}},
}


def test_the_page_shows_what_is_stored(build_page, store):
    gemm = bench("gemm, float32, cpu", 1.0, precision="float32", gflops=200.0, library="NumPy")
    rungs = [*RUNGS, "+ fused optimiser"]
    store(results(*training("3-filters", rungs), *CONVOLUTION, gemm, scaling=[FITTED]))
    page = build_page("```{bench} training\n```\n\n```{bench} convolution\n```\n")
    assert "tutorial loop (images/s) 1,000" in page
    assert "resident bytes 2.00×" in page
    assert "“+ fused optimiser”, of a float32 matrix product’s 200 GFLOP/s 100%" in page
    assert "“+ bfloat16” was not measured" in page
    assert "c: 1.500 in the median, 1.500 at worst" in page
    assert "c 1.02 (0.98 to 1.06)" in page
    assert page.count("Measured on a processor, 2 threads; Python 3.11") == 3


def test_a_question_without_results_is_left_out_with_a_word(build_page, store):
    store(results(*training("3-filters")))
    page = build_page("```{bench} convolution\n```\n")
    assert "not run yet No results of convolution are stored." in page


def test_stale_results_and_unknown_questions_fail_the_build(build_page, store):
    old = training("3-filters")
    del old[0]["extra_info"]["network"]
    store(results(*old, bench("weather, x", 1.0)))
    with pytest.raises(ExtensionError, match="of training lack the fact 'network': they are stale"):
        build_page("```{bench} training\n```\n")


def test_a_question_without_a_figure_fails_the_build(build_page, store):
    store(results(bench("weather, x", 1.0)))
    with pytest.raises(ExtensionError, match="no figure is known for the bench question 'weather'"):
        build_page("```{bench} weather\n```\n")


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


def test_ceilings_stand_beside_the_product_or_are_said_to_lack(build_page, store):
    known = {"network": "net", "precision": "bfloat16", "order": "channels last"}
    gemm = bench("gemm, bfloat16, cpu", 1.0, precision="bfloat16", gflops=2000.0)
    store(results(bench("layer, net, cpu", 1.0, gflops=1234.0, **known), gemm))
    page = build_page("```{goal-ceilings}\n```\n", "_ext.goals")
    assert "matrix product net" in page
    assert "bfloat16, contiguous 2,000 – bfloat16, channels last 2,000 1,234" in page


def test_a_run_without_ceilings_says_so(build_page, store):
    store(results(*training("3-filters")))
    page = build_page("```{goal-ceilings}\n```\n", "_ext.goals")
    assert "The rates of convolutions alone are not in the stored run." in page


def test_every_chapter_of_goals_stands_on_their_page():
    page = (Path(bench_page.__file__).resolve().parents[1] / "goals.md").read_text("utf-8")
    assert re.findall(r"^```\{goals\} (.+)$", page, flags=re.MULTILINE) == list(GOALS)


def test_goals_are_shown_reached_not_reached_and_not_run(build_page, store):
    gemm = bench("gemm, float32, cpu", 1.0, precision="bfloat16", gflops=80.0, library="PyTorch")
    ladder = training("3-filters", ["tutorial loop", "a", "+ bfloat16"])
    store(results(*ladder, *training("tp1-cnn", ["tutorial loop", "+ bfloat16"]), gemm))
    page = build_page("```{goals} training\n```\n", "_ext.goals")
    assert "3-filters 2.69× 3.00× reached 20-filters" in page
    assert "tp1-cnn 5× 2.00× not reached The goal needs 250 GFLOP/s" in page
    assert "tp1-cnn, its backward pass by hand 6.4× 2.00× not reached" in page
    assert "training to 80.26 % on CIFAR-10 1 s – not run yet It needs a GPU." in page
    assert "mnist-2017 3.6× – not run yet It is not in" in page


def test_why_a_goal_is_not_reached_has_a_row_of_its_own_as_wide_as_the_table():
    goals = importlib.import_module("_ext.goals")
    unmeasured = Sources(results(), {}, lambda _: 1.0)
    figures, (why,) = goals._rows(GOALS["benches"][0], unmeasured)
    assert len(figures) == why["morecols"] + 1 == len(goals._HEAD)
    assert why.astext() == "It is not in the stored run."
    reached = results() | {"scale": "default", "whole": True, "seconds": 1.0}
    reached["machine_info"]["cpus"] = 2
    (only,) = goals._rows(GOALS["benches"][0], Sources(reached, {}, lambda _: 1.0))
    assert only[:3] == ["a default run on two cores", "4 minutes", "0.0 minutes"]


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        ("-0.6 pp (-1.1 to +2)", "−0.6 pp (−1.1 to +2)"),
        ("lr-0.01 at 2026-11-29", "lr-0.01 at 2026-11-29"),
        ("nni-2023-ex1 − conv-9x9", "nni-2023-ex1 − conv-9x9"),
        ("1e-3 - 2", "1e-3 - 2"),
    ],
)
def test_numbers_of_a_table_have_minus_signs_and_names_keep_their_hyphens(cell, shown):
    assert tables.table(["head"], [[cell]]).astext().endswith(f"\n\n{shown}")


def test_unknown_goals_fail_the_build(build_page, store):
    store(results(*training("3-filters")))
    with pytest.raises(ExtensionError, match="no goals of 'weather'; known: training"):
        build_page("```{goals} weather\n```\n", "_ext.goals")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (58e-6, "58.0 µs"),
        (0.0187, "18.7 ms"),
        (1.5, "1.50 s"),
        (9.996e-4, "1,000 µs"),
        (120, "120 s"),
    ],
)
def test_a_time_has_three_digits_in_the_unit_that_suits_it(seconds, text):
    assert tables.duration(seconds) == text


def test_times_are_tabulated_by_method_and_size_where_sizes_are_few(build_page, store):
    few = [
        convolution(method, "fft", seconds * samples, samples, 16)
        for samples in (256, 1024)
        for method, seconds in (("a", 2e-6), ("b", 4e-6))
        if (samples, method) != (1024, "b")
    ]
    store(results(*few))
    page = build_page("```{bench} convolution\n```\n")
    assert "method 256 samples; 16 taps 1,024 samples; 16 taps" in page
    assert "a 512 µs 2.05 ms b 1.02 ms –" in page
    many = [convolution("a", "fft", 1.0, 2**power, 16) for power in range(3, 13)]
    store(results(*many))
    assert bench_curves._times_table(many, bench_curves.CURVES["convolution"][0]) is None


def test_modes_are_a_row_each_with_our_time_against_the_fastest_other(build_page, store):
    seconds = {"theory auto": 3e-6, "numpy": 2e-6, "scipy": 9e-6}
    store(
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
    page = build_page("```{bench} modes\n```\n")
    assert "operation mode samples taps theory auto numpy scipy theory auto / fastest" in page
    assert "convolution same 64 3 3.00 µs 2.00 µs 9.00 µs 1.50" in page
    assert "convolution same 4,096 3 3.00 µs – 9.00 µs 0.33" in page


def test_the_ratio_of_modes_is_that_of_the_rounds_which_took_turns(build_page, store):
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
    store(results(*benches))
    assert "10.0 µs 1.00 µs 1.00" in build_page("```{bench} modes\n```\n")


def test_gradients_of_layers_hold_our_choice_against_our_other_methods_as_well(build_page, store):
    """Red where a method of ours that was not chosen counts as our own, or tensors as arrays."""
    methods = {"theory direct": 2e-6, "theory auto": 3e-6, "theory auto, tensors": 1e-6}
    store(
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
    page = build_page("```{bench} layer gradient\n```\n")
    assert page.count(" a float32 2.00 µs 3.00 µs 1.00 µs 1.50 float64 2.00 µs") == 1


@pytest.mark.parametrize("high", [1.9, 2.1], ids=["narrow", "wide"])
def test_an_exponent_whose_interval_says_nothing_is_left_out(build_page, store, high):
    store(results(*CONVOLUTION, scaling=[FITTED | {"low": 1.0, "high": high}]))
    page = build_page("```{bench} convolution\n```\n")
    assert ("Exponents p of seconds" in page) == ("1.02 (1.00 to" in page) == (high == 1.9)


def test_a_tick_stands_at_every_size_where_sizes_are_few():
    sizes = (192, 432, 2**20)
    benches = [convolution("a", "fft", 1.0, samples, 16) for samples in sizes]
    (axes,) = bench_figures.draw_curves(benches, *bench_page.CURVES["convolution"]).axes
    assert list(axes.get_xticks()) == list(sizes)
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["192", "432", "$2^{20}$"]


def test_no_two_lines_look_alike_where_each_has_a_style_of_its_own():
    methods = [f"method {index}" for index in range(8)]
    benches = [
        bench("spectrum, x", 1.0, method=method, cells=cells, **SPECTRUM)
        for method in methods
        for cells in (16, 64)
    ]
    figure = bench_figures.draw_curves(benches, *bench_page.CURVES["spectrum"])
    keys = figure.legends[0].get_lines()
    assert [key.get_label() for key in keys] == methods
    assert len({(key.get_marker(), str(key._unscaled_dash_pattern)) for key in keys}) == 8


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_a_key_takes_nothing_of_the_room_of_the_lines(width):
    """However many names it has: it stays within the figure, which grows by it."""
    heights = []
    for count in (2, 8):
        benches = [
            bench(
                "spectrum, x", 1.0, method=f"a method of a long name, {index}", **SPECTRUM, cells=n
            )
            for index in range(count)
            for n in (16, 64)
        ]
        figure = bench_figures.draw_curves(benches, *bench_page.CURVES["spectrum"], width)
        figure.draw_without_rendering()
        heights.append(figure.axes[0].get_window_extent().height)
        key = figure.legends[0].get_window_extent()
        assert key.x0 >= 0
        assert key.x1 <= figure.bbox.width == width * figure.dpi
    assert heights[1] == pytest.approx(heights[0], rel=0.05)


def test_sparse_sizes_are_cells_beside_the_fastest():
    benches = [
        *(convolution(name, "fft", s, 256, 16) for name, s in (("a", 2e-6), ("b", 5e-6))),
        *(convolution(name, "fft", s, 1024, 3) for name, s in (("a", 0.3), ("c", 1e-3))),
    ]
    assert bench_ratios.sizes_of(benches) == [(3, 1024), (16, 256)]
    (axes,) = bench_ratios.draw_ratios(benches).axes
    names = [tick.get_text() for tick in axes.get_yticklabels()]
    assert names == ["a", "b", "c", "the fastest took"]
    cells = {(text.get_position(), text.get_text()) for text in axes.texts}
    assert cells >= {((0, 0), "300"), ((0, 2), "1.0"), ((1, 0), "1.0"), ((1, 1), "2.5")}
    assert cells >= {((0, 3), "1.00\nms"), ((1, 3), "2.00\nµs")}
    depths = {patch.get_xy(): patch.get_alpha() for patch in axes.patches}
    assert depths[-0.5, -0.5] == 1
    assert depths[-0.5, 1.5] == 0
    assert len(bench_ratios.draw_ratios(benches, 2.3).axes) == 2  # a column each


def test_the_filter_gradient_says_what_is_fastest_where_and_what_choosing_costs(build_page, store):
    store(results(*(each | {"group": "filter gradient, x"} for each in CONVOLUTION)))
    page = build_page("```{bench} filter gradient\n```\n")
    assert "Time of one call over that of the fastest" in page
    assert "c: 1.500 in the median, 1.500 at worst" in page


def test_panels_stand_below_each_other_where_a_figure_is_narrow():
    ladder = bench_page.LADDERS["training"]
    benches = [*training("a"), *training("b")]
    for width, columns in ((WIDE, 2), (NARROW, 1)):
        figure = bench_figures.draw_ladder(benches, ladder, width)
        assert figure.axes[0].get_gridspec().ncols == columns
