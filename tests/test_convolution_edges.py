"""Convolution at its edges: the largest integer, groups that do not fit, rounding bounds exactly.

A bound that is too wide passes wherever it is met; here each is compared with the number itself.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction

import numpy as np
import pytest
import torch

from theory.convolution import convolve, correlate, correlate_channels, rounding_bound
from theory.methods import convolution_plan
from theory.methods.convolution_plan import plan
from theory.methods.fast_convolution import fft_roundings, overlap_add_roundings
from theory.signals import integer_signal
from theory.structured_matrices import circulant_matrix, toeplitz_matrix

# Norms 5 and 3: the Pythagorean triple and quadruple.
X = np.array([3.0, 0.0, 4.0])
H = np.array([1.0, 2.0, 2.0, 0.0])


def growth(roundings: float, dtype: type) -> float:
    return math.expm1(roundings * 2.0 ** -(24 if dtype in (np.float32, np.complex64) else 53))


def exactly(bound: float):
    # Computed in another order, with a handful of roundings of its own; by itself `approx` would
    # also take what is off by 1e-12, far more than these bounds.
    return pytest.approx(bound, rel=1e-13, abs=0)


@pytest.mark.parametrize(
    ("x_type", "h_type", "widest"),
    [
        (np.float64, np.float64, np.float64),
        (np.float32, np.float32, np.float32),
        (np.float32, np.float64, np.float64),
        (np.float64, np.float32, np.float64),
        (np.float64, np.int64, np.float64),
    ],
)
def test_the_direct_sum_of_3_taps_rounds_3_times(x_type, h_type, widest):
    """One product and two additions; red if a rounding is left out, or the wrong type counts."""
    bound = rounding_bound(X.astype(x_type), H.astype(h_type))
    assert bound == exactly(growth(3, widest) * 5 * 3)


@pytest.mark.parametrize(
    ("method", "together"), [("direct", 1), ("fft", 1), ("overlap-add", math.sqrt(2))]
)
def test_integers_that_floats_cannot_hold_round_once_more(method, together):
    """Red if what int64 loses on its way to float64 is left out, or counted where nothing is."""
    large, other = np.array([2**53 + 1]), np.array([1 + 2.0**-40])
    of_integers = rounding_bound(large, other, method=method)
    of_floats = rounding_bound(large.astype(float), other, method=method)
    one_more = growth(1, float) * together * 2.0**53 * other.item()
    assert of_integers - of_floats == pytest.approx(one_more, rel=1e-9)
    found = convolve(large, other, method=method).item()
    assert abs(Fraction(found) - int(large[0]) * Fraction(other.item())) <= of_integers


def test_objects_that_meet_floats_round():
    thirds, floats = np.array([Fraction(1, 3)] * 2), np.array([0.1, 0.7])
    found = convolve(thirds, floats)
    exact = convolve(thirds, np.array([Fraction(each) for each in floats.tolist()]))
    errors = [abs(Fraction(a) - b) for a, b in zip(found, exact, strict=True)]
    assert 0 < max(errors) <= Fraction(rounding_bound(thirds, floats))
    assert rounding_bound(thirds, thirds) == rounding_bound(thirds, np.array([1, 2])) == 0


@pytest.mark.parametrize("scale", [2.0**-1000, 2.0**-600, 2.0**600, 2.0**1000])
def test_squares_that_leave_the_range_do_not_take_the_bound_along(scale):
    assert rounding_bound(X * scale, H / scale) == exactly(growth(3, np.float64) * 15)


def test_a_complex_product_weighs_the_root_of_5_and_in_a_sum_that_of_8():
    one = rounding_bound(X * 1j, np.array([2.0]))
    assert one == exactly(growth(math.sqrt(5), np.complex128) * 5 * 2)
    assert rounding_bound(X * 1j, H) == exactly(growth(3 * math.sqrt(8), np.complex128) * 5 * 3)
    single = rounding_bound(X.astype(np.complex64), H.astype(np.float32))
    assert single == exactly(growth(3 * math.sqrt(8), np.complex64) * 5 * 3)


def test_a_sum_of_complex_products_may_round_part_by_part():
    """These two lose 3.54 units, and two products and an addition one by one √5 + 1 at most."""
    x, h = (
        np.array([complex(*map(float.fromhex, parts)) for parts in pairs])
        for pairs in (
            [
                ("0x1.6a0f8c1083340p-1", "0x1.6a0d8d8eccbb7p-1"),
                ("-0x1.31f6e5d26bc61p-26", "0x1.32bb4b36be421p-26"),
            ],
            [
                ("0x1.77773718498264p-26", "0x1.76856ae5a78b8p-26"),
                ("0x1.6a172409d76adp-1", "-0x1.6a0ba96b45d6bp-1"),
            ],
        )
    )
    found = convolve(x, h, mode="valid").item()
    real = imaginary = Fraction(0)
    for a, b in zip(x.tolist(), h[::-1].tolist(), strict=True):
        (p, q), (r, s) = (map(Fraction, (each.real, each.imag)) for each in (a, b))
        real, imaginary = real + p * r - q * s, imaginary + p * s + q * r
    error = math.hypot(Fraction(found.real) - real, Fraction(found.imag) - imaginary)
    assert error <= rounding_bound(x, h, mode="valid")


@pytest.mark.parametrize("method", ["direct", "fft", "overlap-add", "auto"])
def test_halves_are_computed_in_float32_by_every_method(method):
    """65,504 is the largest half; the middle of the sum is 40 times 4,096."""
    x, h = np.full(3000, 64, np.float16), np.full(40, 64, np.float16)
    y = convolve(x, h, method=method)
    assert y.dtype == np.float32
    assert y[1500] == pytest.approx(40 * 4096, rel=1e-5)
    wide = rounding_bound(x.astype(np.float32), h.astype(np.float32), method=method)
    assert rounding_bound(x, h, method=method) == wide
    assert correlate(x, h, method=method).dtype == np.float32


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"groups": 2.0}, TypeError, "groups is 2.0, expected an integer"),
        ({"groups": (2, 1)}, TypeError, r"groups is \(2, 1\), expected an integer"),
        ({"padding": 0.5}, TypeError, "0.5 given per axis: expected an integer"),
        (
            {"padding": (1, 1)},
            ValueError,
            r"padding \(1, 1\): expected a count of zeros for all 1 ax",
        ),
        ({"padding": -1}, ValueError, "padding -1: expected a count of zeros"),
    ],
)
def test_a_layer_names_the_setting_that_does_not_fit(options, error, message):
    with pytest.raises(error, match=message):
        correlate_channels(np.ones((2, 4)), np.ones((2, 2, 1)), **options)


@pytest.mark.parametrize("odd", [np.array([["a", "b"]]), np.array([[1, 2]], "datetime64[s]")])
def test_a_layer_of_what_is_no_number_is_refused_by_name(odd):
    held = re.escape(f"holds {odd.dtype} entries: expected numbers")
    with pytest.raises(TypeError, match=f"the signal {held}"):
        correlate_channels(odd, np.ones((1, 1, 1)))
    with pytest.raises(TypeError, match=f"the weight {held}"):
        correlate_channels(np.ones((1, 2)), odd[None])


@pytest.mark.parametrize("matrix", [toeplitz_matrix, circulant_matrix])
def test_a_matrix_names_the_kernel_that_is_beyond_int64(matrix):
    with pytest.raises(ValueError, match=r"^the kernel holds integers beyond int64"):
        matrix(np.array([2**64 - 1], np.uint64), 3)


def test_a_cube_is_cut_into_blocks_of_which_eight_meet():
    cube, kernel = np.multiply.outer(np.outer(X, X), X), np.ones((2, 2, 1))  # norms 125 and 2
    bound = rounding_bound(cube, kernel, method="overlap-add")
    roundings = overlap_add_roundings(cube, kernel)
    assert bound == exactly(growth(roundings, np.float64) * 125 * 2 * math.sqrt(8))


def test_the_fft_methods_count_their_own_roundings():
    fft = rounding_bound(X, H, method="fft")
    assert fft == exactly(growth(fft_roundings(X, H), np.float64) * 15)
    blocks = rounding_bound(X, H, method="overlap-add")
    assert blocks == exactly(growth(overlap_add_roundings(X, H), np.float64) * 15 * math.sqrt(2))
    plane, kernel = np.outer(X, X), np.outer(H, H)  # norms 25 and 9; up to 4 blocks meet
    blocks = rounding_bound(plane, kernel, method="overlap-add")
    assert blocks == exactly(growth(overlap_add_roundings(plane, kernel), np.float64) * 25 * 9 * 2)


@pytest.mark.parametrize(
    ("method", "roundings", "together"),
    [
        ("direct", lambda *_: 3, 1),
        ("fft", fft_roundings, 1),
        ("overlap-add", overlap_add_roundings, math.sqrt(2)),
    ],
)
def test_each_turn_round_the_circle_adds_one_output_and_one_rounding(method, roundings, together):
    """6 outputs on a circle of 3 are two turns; on one of 4 they are two turns too."""
    bound = rounding_bound(X, H, mode="circular", method=method)
    assert bound == exactly(growth(roundings(X, H) + 1, np.float64) * 2 * together * 15)
    bound = rounding_bound(H, X, mode="circular", method=method)
    assert bound == exactly(growth(roundings(X, H) + 1, np.float64) * 2 * together * 15)


def test_the_largest_integer_is_still_allowed():
    largest = 2**63 - 1
    assert convolve(np.array([largest]), np.array([1])).tolist() == [largest]
    assert convolve(np.array([largest], np.uint64), np.array([1])).tolist() == [largest]
    with pytest.raises(ValueError, match="the kernel holds integers beyond int64"):
        convolve(np.array([1]), np.array([2**64 - 1], np.uint64))  # as int64 it would be -1
    with pytest.raises(ValueError, match="may reach 18446744073709551614, beyond int64"):
        convolve(np.array([largest]), np.array([1, 1]))


def test_the_largest_integer_may_be_negative():
    with pytest.raises(ValueError, match="may reach 18446744073709551616, beyond int64"):
        convolve(np.array([-(2**62), 1]), np.array([4]))


@pytest.mark.parametrize(
    ("channels", "weight", "groups"),
    [
        (4, (3, 2), 2),  # 3 filters in 2 groups
        (3, (2, 2), 2),  # 3 channels for 2 groups of 2
        (2, (2, 2), 0),
        (2, (2, 2), -1),
    ],
)
def test_groups_that_do_not_fit_are_refused(channels, weight, groups):
    """Red if one of the conditions alone is not enough to refuse."""
    with pytest.raises(ValueError, match="groups do not fit"):
        correlate_channels(np.ones((channels, 4)), np.ones((*weight, 1)), groups=groups)


def test_cross_correlation_on_a_torus_keeps_its_axes_apart():
    """Red if the origin moves along one axis only, or along the flattened array."""
    x, h = integer_signal((3, 4), seed=1), integer_signal((2, 3), seed=2)
    y = correlate(x, h, mode="circular")
    for n in np.ndindex(x.shape):
        cells = [((n[0] + k[0]) % 3, (n[1] + k[1]) % 4) for k in np.ndindex(h.shape)]
        assert y[n] == sum(x[cell] * w for cell, w in zip(cells, h.ravel(), strict=True))


def test_the_method_of_a_cross_correlation_is_the_one_that_was_asked_for():
    x = np.array([1, 2, 3])
    assert correlate(x, x).dtype == np.int64
    assert correlate(x, x, method="fft").dtype == np.float64


def test_a_matrix_names_the_modes_that_it_has():
    with pytest.raises(ValueError, match="unknown mode 'circular'; known: full, same, valid"):
        toeplitz_matrix(X, 4, mode="circular")


@pytest.mark.parametrize("types", [(np.float32, np.float64), (np.int64, np.float64)])
@pytest.mark.parametrize("sizes", [(2, 5), (5, 2)])
def test_the_sum_is_kept_in_the_wider_type_of_either_factor(types, sizes):
    x, h = (np.full(n, 1 + 2.0**-20, dtype) for n, dtype in zip(sizes, types, strict=True))
    for a, b in [(x, h), (h, x)]:
        y = convolve(a, b)
        assert y.dtype == types[1]
        assert y[0] == types[1](x[0]) * h[0]  # 41 bits, more than a float32 has


@pytest.mark.parametrize("matrix", [toeplitz_matrix, circulant_matrix])
def test_a_signal_without_axes_has_no_matrix(matrix):
    with pytest.raises(ValueError, match="expected as many axes, and at least one cell"):
        matrix(np.array(2.0), ())


@pytest.mark.parametrize("mode", ["full", "same", "valid", "circular"])
@pytest.mark.parametrize("method", ["direct", "fft", "overlap-add", "auto"])
@pytest.mark.parametrize(("n", "k"), [((9,), (4,)), ((3000,), (2500,)), ((4, 5), (3, 2))])
@pytest.mark.parametrize("dtype", [np.float64, np.complex128, np.uint8])
def test_a_cross_correlation_is_the_convolution_with_the_flipped_kernel(mode, method, n, k, dtype):
    """To the last bit, and on a circle with the origin brought back to the front."""
    x, h = (np.abs(integer_signal(size, seed=s)).astype(dtype) for s, size in enumerate((n, k)))
    if dtype is np.complex128:
        x, h = x * (1 + 2j), h * (3 - 1j)
    expected = convolve(x, np.conj(np.flip(h)), mode=mode, method=method)
    if mode == "circular":
        expected = np.roll(expected, [1 - size for size in k], range(len(k)))
    found = correlate(x, h, mode=mode, method=method)
    assert found.dtype == expected.dtype
    assert np.array_equal(found, expected)


@pytest.mark.parametrize(("n", "k"), [(5, 2), (5, 5), (5, 6), (3, 14), (1, 4)])
def test_a_circle_adds_up_as_many_turns_as_there_are(n, k):
    """Red where what reaches round the circle more than once is left out."""
    x, h = np.arange(1, n + 1), np.arange(1, k + 1)
    expected = [sum(x[(i - j) % n] * h[j] for j in range(k)) for i in range(n)]
    assert convolve(x, h, mode="circular").tolist() == expected
    assert (circulant_matrix(h, n) @ x).tolist() == expected


@pytest.fixture(params=["fft", "overlap-add"])
def chosen(request, monkeypatch):
    """Let this be the fastest method, whatever the machine."""
    plan.cache_clear()
    monkeypatch.setattr(convolution_plan, "fastest_convolution", lambda *_, **__: request.param)
    yield request.param
    plan.cache_clear()


@pytest.mark.parametrize("mode", ["full", "same", "valid", "circular"])
@pytest.mark.parametrize(
    ("dtype", "large", "small"),
    [(np.float64, 1e305, 1e-4), (np.float32, 1e36, 1e-3), (np.complex64, 1e36j, 1e-3j)],
)
def test_the_choice_is_the_sum_where_the_transforms_alone_overflow(
    chosen, mode, dtype, large, small
):
    """No output is larger than 400 * large * small, which is representable."""
    x, h = np.full(20000, large, dtype), np.full(400, small, dtype)
    x[::2] /= 2
    y = convolve(x, h, mode=mode, method="auto")
    assert np.isfinite(y).all()
    assert np.array_equal(y, convolve(x, h, mode=mode, method="direct"))


def test_a_convolution_that_overflows_is_that_of_the_sum(chosen):
    """Infinite where the sum is, instead of NaN everywhere."""
    x, h = np.ones(1000), np.ones(100)
    x[0] = h[0] = 1e200
    with np.errstate(over="ignore"):
        y = convolve(x, h, method="auto")
        assert np.flatnonzero(~np.isfinite(y)).tolist() == [0]
    assert y[0] == np.inf


def test_a_transform_that_was_asked_for_may_overflow():
    x, h = np.full(20000, 1e305), np.full(400, 1e-4)
    with np.errstate(over="ignore", invalid="ignore"):
        assert not np.isfinite(convolve(x, h, method="fft")).any()


@pytest.mark.parametrize("operation", [convolve, correlate])
def test_what_an_array_would_hide_is_refused_by_name(operation):
    masked = np.ma.array([1.0, 2.0], mask=[True, False])
    with pytest.raises(TypeError, match=r"^the signal is a masked array"):
        operation(masked, np.ones(2))
    with pytest.raises(TypeError, match=r"^the kernel is a masked array"):
        operation(np.ones(2), masked)
    with pytest.raises(TypeError, match=r"^the weight is a Tensor that is no array of numbers"):
        correlate_channels(np.ones((1, 2)), torch.ones((1, 1, 1), requires_grad=True))
    assert operation(torch.ones(2), [1.0]).tolist() == [1, 1]


def test_a_layer_pads_each_axis_as_it_is_told():
    y = correlate_channels(np.ones((1, 2, 2)), np.ones((1, 1, 1, 1)), padding=(0, 1))
    assert y.tolist() == [[[0, 1, 1, 0], [0, 1, 1, 0]]]


def test_a_layer_and_a_bound_name_the_factor_that_is_masked_or_beyond_int64():
    masked = np.ma.array([[1.0, 2.0]], mask=[[True, False]])
    beyond = np.array([[2**64 - 1]], np.uint64)
    with pytest.raises(TypeError, match=r"^the signal is a masked array"):
        correlate_channels(masked, np.ones((1, 1, 1)))
    with pytest.raises(TypeError, match=r"^the signal is a masked array"):
        rounding_bound(masked, np.ones((1, 1)))
    with pytest.raises(TypeError, match=r"^the kernel is a masked array"):
        rounding_bound(np.ones((1, 1)), masked)
    with pytest.raises(ValueError, match=r"^the signal holds integers beyond int64"):
        correlate_channels(beyond, np.ones((1, 1, 1), int))
    with pytest.raises(ValueError, match=r"^the weight holds integers beyond int64"):
        correlate_channels(np.ones((1, 1), int), beyond[None])


def test_valid_outputs_round_as_on_a_circle_as_long_as_the_signal():
    x, h = np.tile(X, 11)[:32], X  # a circle of 32 cells, or of 34, rounded up to 36
    whole, inside = (fft_roundings(x, h, valid=valid) for valid in (False, True))
    assert whole != inside
    bound = rounding_bound(x, h, mode="valid", method="fft")
    assert bound == exactly(growth(inside, np.float64) * math.sqrt(259) * 5)
