"""The choice of a method on trial: exact where it can be, cheap, and deaf to files that are wrong.

Costs are made up here, so that what is chosen does not depend on the machine.
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import asdict, replace

import numpy as np
import pytest

from theory.convolution import convolve, correlate, rounding_bound
from theory.methods import calibration, convolution_plan, fast_convolution
from theory.methods import costs as method_costs
from theory.methods.choice import (
    fastest_convolution,
    fastest_filter_gradient,
    sum_parts,
    sums_tap_by_tap,
    taps_parts,
)
from theory.methods.convolution_plan import plan
from theory.methods.costs import KNOTS, PLACE, SHIPPED, costs_file, machine_costs, read, write
from theory.methods.direct_convolution import MOST_RUNS, UNROLLED_TAPS, by_sum, runs
from theory.methods.fast_gradients import by_blocked_fft
from theory.methods.gradient_plan import plan_gradient
from theory.methods.gradient_sums import by_taps
from theory.signals import integer_signal

NOTHING = replace(
    SHIPPED,
    **{name: 0.0 for name, value in asdict(SHIPPED).items() if isinstance(value, float)},
    fft_cell=(0.0,) * len(KNOTS),
    block_cell=(0.0,) * len(KNOTS),
)
# Each makes one method dear, in a way that only a look at the right part can tell.
SLOW_SUM = replace(NOTHING, call=1.0, tap=1.0, matrix=1.0)
SLOW_BLOCKS = replace(SLOW_SUM, blocks=0.5, windows=0.5)
SLOW_FFT = replace(SLOW_SUM, fft=0.5)


@pytest.fixture
def file(monkeypatch, tmp_path):
    """Return where costs are looked for, in a new folder; forget choices before and after."""
    remembered = (machine_costs, plan, plan_gradient, fastest_filter_gradient)
    path = tmp_path / "cache" / "costs.json"
    monkeypatch.setenv(PLACE, str(path))
    for each in remembered:
        each.cache_clear()
    yield path
    for each in remembered:
        each.cache_clear()


# What is chosen


@pytest.mark.parametrize(
    ("costs", "expected"),
    [(SLOW_BLOCKS, "fft"), (SLOW_FFT, "overlap-add"), (NOTHING, "direct")],
)
def test_the_cheapest_method_is_chosen_and_used(monkeypatch, file, costs, expected):
    write(costs, file)
    x, h = integer_signal(3000, seed=0), integer_signal(50, seed=1)
    used = []
    for name in ("by_fft", "by_overlap_add"):
        method = getattr(fast_convolution, name)
        monkeypatch.setattr(
            convolution_plan, name, lambda x, h, m=method, n=name: used.append(n) or m(x, h)
        )
    y = convolve(x, h, method="auto")
    assert used == {"direct": [], "fft": ["by_fft"], "overlap-add": ["by_overlap_add"]}[expected]
    assert rounding_bound(x, h, method="auto") == rounding_bound(x, h, method=expected)
    assert np.abs(y - convolve(x, h)).max() <= rounding_bound(x, h, method="auto")


@pytest.mark.parametrize(
    ("costs", "expected"),
    [(SLOW_BLOCKS, "fft"), (SLOW_FFT, "blocked-fft"), (NOTHING, "direct")],
)
def test_the_gradient_has_a_choice_of_its_own(file, costs, expected):
    write(costs, file)
    assert fastest_filter_gradient((1, 1, 3000), (1, 1, 2951)) == expected
    assert fastest_filter_gradient((2, 3, 30, 30), (2, 4, 28, 28)) == expected
    assert fastest_filter_gradient((1, 1, 3000), (1, 1, 2951), by_taps=True) == expected


def test_the_shipped_costs_find_what_is_known_of_every_machine():
    """Few taps by the sum, half as many taps as cells by one transform, a long signal by blocks."""
    assert fastest_convolution((64,), (3,)) == "direct"
    assert fastest_convolution((2**20,), (3,)) == "direct"
    assert fastest_convolution((2**14,), (2**13,)) == "fft"
    assert fastest_convolution((2**20,), (1025,)) == "overlap-add"
    assert fastest_convolution((1025,), (2**20,)) == "overlap-add"
    assert fastest_convolution((512, 512), (3, 3)) == "direct"
    assert fastest_convolution((512, 512), (255, 255)) == "fft"
    assert fastest_filter_gradient((1, 1, 2**20), (1, 1, 2**20 - 1023)) == "blocked-fft"
    assert fastest_filter_gradient((1, 1, 2**20), (1, 1, 2**20 - 127)) == "blocked-fft"
    assert fastest_filter_gradient((1, 1, 4096), (1, 1, 2049)) == "fft"
    assert fastest_filter_gradient((1, 1, 4096), (1, 1, 4094)) == "direct"


def test_only_valid_outputs_make_a_long_kernel_cheap(file):
    """Red if the sum is charged for outputs that it does not compute."""
    assert fastest_convolution((2**16,), (2**16 - 2,), valid=True) == "direct"
    assert fastest_convolution((2**16,), (2**16 - 2,)) != "direct"


def test_a_transform_of_the_signal_alone_is_charged_where_that_is_enough(file):
    """Red where valid outputs are charged for a circle that holds all of them."""
    cells = replace(NOTHING, fft_cell=(1.0,) * len(KNOTS), call=1100.0, blocks=1e9)
    assert fastest_convolution((1024,), (512,), valid=True, costs=cells) == "fft"
    assert fastest_convolution((1024,), (512,), costs=cells) == "direct"


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, bool, object])
@pytest.mark.parametrize("operation", [convolve, correlate])
def test_what_is_exact_stays_exact(file, dtype, operation):
    write(SLOW_SUM, file)
    x, h = np.ones(3000, dtype), np.ones(1500, dtype)
    y = operation(x, h, method="auto")
    assert y.dtype == (object if dtype is object else np.int64)
    assert y.max() == 1500
    assert rounding_bound(x, h, method="auto") == 0
    mixed = operation(x[:20], h[:10].astype(object), method="auto")
    assert mixed.dtype == object


def test_samples_that_are_not_finite_are_left_to_the_sum(file):
    write(SLOW_SUM, file)
    x, h = integer_signal(3000, seed=0), integer_signal(50, seed=1)
    x[70] = np.inf
    x[2000] = np.nan
    for method in ("fft", "overlap-add"):
        with pytest.raises(ValueError, match="spread infinities and NaN"):
            convolve(x, h, method=method)
    expected = convolve(x, h)
    assert np.array_equal(convolve(x, h, method="auto"), expected, equal_nan=True)
    assert np.isfinite(expected).any()
    h[3] = -np.inf
    for method in ("fft", "overlap-add"):
        with pytest.raises(ValueError, match="spread infinities and NaN"):
            convolve(np.ones(3000), h, method=method)


def test_sums_that_overflow_are_not_taken_for_samples_that_are_not_finite():
    x = np.full(3000, 1e306)
    for method in ("fft", "overlap-add"):
        with np.errstate(over="ignore", invalid="ignore"):
            assert convolve(x, np.ones(50), method=method).shape == (3049,)


def test_choosing_takes_microseconds():
    """For a thousand pairs of shapes that were never seen, by the clock of the CPU."""
    machine_costs()
    started = time.process_time()
    for k in range(1000):
        fastest_convolution((2**16 + k,), (100 + k,))
    assert (time.process_time() - started) / 1000 < 1e-3  # in fact a hundredth of it


@pytest.mark.parametrize("taps", [2**17, 2**17 + 1])
def test_long_dot_products_wait_for_memory(taps):
    """Three outputs: red if short sums pay for memory, or long ones do not."""
    x, g = (1, 1, taps + 2), (1, 1, taps)
    dear = replace(NOTHING, streamed_product=1.0, windows=1e9)
    below, above = (replace(dear, fft=3 * taps + half) for half in (-0.5, 0.5))
    chosen = [fastest_filter_gradient(x, g, costs=costs) for costs in (below, above)]
    assert chosen == ["fft" if taps > 2**17 else "direct", "direct"]


@pytest.mark.parametrize(
    ("x", "g", "expected"),
    [
        ((1, 1, 40), (1, 1, 36), False),  # 5 taps, one pair
        ((1, 2, 40), (1, 2, 36), False),  # 4 pairs
        ((1, 2, 40), (1, 3, 36), True),  # 6 pairs
        ((5, 1, 40), (5, 1, 36), True),  # 5 examples of one pair
        ((1, 1, 9, 9), (1, 1, 7, 7), False),  # one pair
        ((1, 2, 9, 9), (1, 1, 7, 7), True),  # several axes, whatever the taps
    ],
)
def test_a_layer_of_many_channels_is_summed_tap_by_tap(x, g, expected):
    assert sums_tap_by_tap(x, g) is expected


@pytest.mark.parametrize(
    ("part", "x", "g", "count"),
    [
        ("matrix", (2, 3, 30, 30), (2, 4, 28, 29), 6),  # 3 x 2 taps
        ("matrix_entry", (2, 3, 30, 30), (2, 4, 28, 29), 6 * 2 * 3 * 28 * 29),
        ("matrix_product", (2, 3, 30, 30), (2, 4, 28, 29), 6 * 2 * 3 * 4 * 28 * 29),
    ],
)
def test_products_of_matrices_are_charged_by_their_parts(part, x, g, count):
    assert taps_parts(x, g)[part] == count
    dear = replace(NOTHING, **{part: 1.0})
    assert fastest_filter_gradient(x, g, costs=replace(dear, fft=count - 0.5, windows=1e9)) == "fft"
    least = replace(dear, fft=count + 0.5, windows=1e9)
    assert fastest_filter_gradient(x, g, costs=least) == "direct"


def test_products_of_spectra_are_charged_beyond_the_first():
    """A circle of 1024 cells has 512 frequencies, 9 blocks of 128 cells together 576."""
    one, layer = ((1, 1, 1024), (1, 1, 1009)), ((2, 3, 1024), (2, 4, 1009))
    dear = replace(SLOW_SUM, call=1e9, matrix=1e9, spectral_product=1.0)
    less = (576 - 512) * (2 * 3 * 4 - 1)
    for fft, expected in [(less - 0.5, "fft"), (less + 0.5, "blocked-fft")]:
        assert fastest_filter_gradient(*layer, costs=replace(dear, fft=fft)) == expected
    assert fastest_filter_gradient(*one, costs=replace(dear, fft=0.5)) == "blocked-fft"


def test_windows_of_a_gradient_have_a_price_of_their_own():
    """Red where they are charged what blocks of a convolution cost before their first cell."""
    x, g = (1, 1, 2**14), (1, 1, 2**14 - 255)
    dear = replace(SLOW_SUM, fft=0.5)
    assert fastest_filter_gradient(x, g, costs=replace(dear, windows=0.6)) == "fft"
    assert fastest_filter_gradient(x, g, costs=replace(dear, blocks=0.6)) == "blocked-fft"
    assert fastest_convolution((2**14,), (256,), costs=replace(dear, windows=0.6)) == "overlap-add"


# Where the costs are kept


def test_costs_are_read_back_as_they_were_written(file):
    assert costs_file() == file
    write(SLOW_SUM, file)
    assert read(file) == SLOW_SUM
    assert machine_costs() == SLOW_SUM
    assert list(file.parent.iterdir()) == [file]  # nothing half-written is left beside


def test_the_cache_of_the_user_is_the_place_unless_told_otherwise(monkeypatch):
    monkeypatch.delenv(PLACE, raising=False)
    assert costs_file().name == "method-costs.json"
    assert costs_file().parent.name == "convlaws"


@pytest.mark.parametrize("fact", ["processor", "model"])
def test_costs_of_another_processor_are_not_those_of_this_one(monkeypatch, file, fact):
    """Red where every x86 processor with as many cores is taken for the same machine."""
    monkeypatch.setattr(method_costs, fact, lambda: "this")
    write(SHIPPED, file)
    assert read(file) == SHIPPED
    monkeypatch.setattr(method_costs, fact, lambda: "another")
    assert read(file) is None


def damaged(change):
    def write_damaged(path):
        write(SHIPPED, path)
        kept = json.loads(path.read_text())
        change(kept)
        path.write_text(json.dumps(kept))

    return write_damaged


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: None,  # no file
        lambda path: path.mkdir(parents=True),
        lambda path: (path.parent.mkdir(), path.write_bytes(b"\xff\xfe")),
        lambda path: (path.parent.mkdir(), path.write_text("{")),
        lambda path: (path.parent.mkdir(), path.write_text("[1]")),
        damaged(lambda kept: kept["machine"].update(processor="another")),
        damaged(lambda kept: kept["machine"].update(numpy="0.1")),
        damaged(lambda kept: kept.pop("machine")),
        damaged(lambda kept: kept["seconds"].pop("tap")),
        damaged(lambda kept: kept["seconds"].update(tap="fast")),
        damaged(lambda kept: kept["seconds"].update(tap=-1.0)),
        damaged(lambda kept: kept["seconds"].update(tap=float("nan"))),
        damaged(lambda kept: kept["seconds"].update(tap=[1.0])),
        damaged(lambda kept: kept["seconds"].update(fft_cell=1.0)),
        damaged(lambda kept: kept["seconds"]["block_cell"].pop()),
    ],
)
def test_a_file_that_is_missing_damaged_or_foreign_counts_for_nothing(file, spoil):
    spoil(file)
    assert read(file) is None
    assert machine_costs() == SHIPPED


def test_others_of_the_machine_may_read_its_costs(file):
    write(SLOW_SUM, file)
    assert file.stat().st_mode & 0o777 == 0o644


def test_an_interrupted_write_leaves_the_old_file(monkeypatch, file):
    write(SLOW_SUM, file)
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError, match="full"):
        write(SLOW_FFT, file)
    assert read(file) == SLOW_SUM
    assert list(file.parent.iterdir()) == [file]


def test_a_calibration_is_kept_and_holds_at_once(monkeypatch, file):
    monkeypatch.setattr(calibration, "measured", lambda: SLOW_BLOCKS)
    x, h = np.ones(3000), np.ones(50)
    assert plan(x.shape, h.shape, x.dtype, h.dtype, "full", "auto").method != "fft"
    assert calibration.calibrate() == SLOW_BLOCKS == read(file)
    assert plan(x.shape, h.shape, x.dtype, h.dtype, "full", "auto").method == "fft"
    elsewhere = file.parent / "elsewhere.json"
    calibration.calibrate(elsewhere)
    assert read(elsewhere) == SLOW_BLOCKS


def test_nothing_calibrates_by_itself(monkeypatch, file):
    monkeypatch.setattr(calibration, "measured", lambda: pytest.fail("calibrated"))
    convolve(np.ones(3000), np.ones(50), method="auto")
    assert not file.exists()


def test_a_calibration_solves_for_the_costs_that_a_machine_has(monkeypatch):
    """On a clock that runs by known costs; red if a size, a part or a knot goes astray."""
    costs = replace(SHIPPED, unrolled_output=3e-9)

    def seconds(method, n, k, dtype=float):
        if method is by_sum:
            return costs.of(sum_parts(n, k))
        if getattr(method, "func", None) is by_sum:
            return costs.of(sum_parts(n, k, valid=True))
        if method is by_taps:
            return costs.of(taps_parts(n, k))
        if dtype is complex:  # 8 x 16 x 513 of either side
            return costs.spectral_product * 8 * 16 * 16 * 513
        if method is by_blocked_fft:
            return costs.windows
        cells = n[0] + k[0] - 1
        if n == (2,):
            return costs.fft if method is fast_convolution.by_fft else costs.blocks
        if method is fast_convolution.by_fft:
            return costs.fft + cells * costs.fft_cell[KNOTS.index(cells)]
        if len(n) == 2:  # 18 x 18 blocks of 32 x 32 cells: between the knots at 768 and 1536
            assert (n, k) == ((512, 512), (3, 3))
            share = math.log2(1024 / 768)
            cell = (1 - share) * costs.block_cell[4] + share * costs.block_cell[5]
            return costs.blocks + 2.4 * (18**2 + 0.5) * 32**2 * cell
        (block,) = fast_convolution.block_cells(k, (cells,))
        blocks = -(-n[0] // (block - k[0] + 1))
        return costs.blocks + (blocks + 0.5) * block * costs.block_cell[KNOTS.index(block)]

    monkeypatch.setattr(calibration, "_seconds", seconds)
    found, known = asdict(calibration.measured()), asdict(costs)
    for name, value in known.items():
        assert found[name] == pytest.approx(value, rel=1e-6), name


# What the sum is made of


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.complex128, np.int64])
@pytest.mark.parametrize("k", [1, 2, UNROLLED_TAPS, UNROLLED_TAPS + 1, 30, 44, 45])
def test_runs_of_taps_add_up(dtype, k):
    x, h = (integer_signal(n, seed=n, dtype=dtype) for n in (1500, k))
    expected = np.convolve(x, h)
    assert np.array_equal(by_sum(x, h), expected)
    assert np.array_equal(by_sum(h, x), expected)
    assert runs(1500, k) == runs(k, 1500) == (-(-k // 11) if k <= 11 * MOST_RUNS else 1)


@pytest.mark.parametrize("k", [3, 5000])
def test_a_valid_correlation_of_real_floats_is_one_call_of_numpy(k):
    of_both = np.dtype(np.float64), np.dtype(np.float32)
    assert plan((9000,), (k,), *of_both, "valid", "direct").correlate is np.correlate
    assert sum_parts((9000,), (k,), valid=True)["call"] == 1


@pytest.mark.parametrize("sizes", [((6, 7), (5, 6)), ((6, 7), (2, 3)), ((6, 7), (6, 1))])
@pytest.mark.parametrize("dtype", [np.int64, object])
def test_valid_sums_compute_what_the_full_ones_keep(sizes, dtype):
    x, h = (integer_signal(n, seed=s, dtype=np.int64).astype(dtype) for s, n in enumerate(sizes))
    inside = tuple(slice(k - 1, n) for n, k in zip(*sizes, strict=True))
    assert np.array_equal(by_sum(x, h, valid=True), by_sum(x, h)[inside])


def test_the_command_keeps_the_costs_and_says_where(
    monkeypatch, file, tmp_path, theory_command
) -> None:
    monkeypatch.setattr(calibration, "measured", lambda: SLOW_BLOCKS)
    assert theory_command("calibrate") == (0, f"costs of this machine are kept in {file}\n", "")
    assert read(file) == SLOW_BLOCKS
    elsewhere = tmp_path / "elsewhere.json"
    code, out, err = theory_command("calibrate", "--path", elsewhere, "--json")
    assert code == 0
    assert json.loads(out)["seconds"]["blocks"] == SLOW_BLOCKS.blocks
    assert read(elsewhere) == SLOW_BLOCKS
    assert err == f"set CONVLAWS_METHOD_COSTS={elsewhere} to have them used\n"
    (tmp_path / "plain").write_text("")
    code, out, err = theory_command("calibrate", "--path", tmp_path / "plain" / "costs.json")
    assert (code, out) == (2, "")
    assert err.startswith("error: cannot write ")
    assert "name another --path" in err
