"""Impulses, shifts and exact random signals: what they hold, and what they refuse."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

from theory.signals import impulse, integer_signal, per_axis, rational_signal, shift


def test_impulse_is_one_in_its_cell_only():
    assert impulse(3).tolist() == [1, 0, 0]
    assert impulse((2, 3), at=(1, 2)).tolist() == [[0, 0, 0], [0, 0, 1]]
    assert impulse(2, dtype=np.int64).dtype == np.int64
    assert [type(sample) for sample in impulse(2, dtype=object)] == [int, int]


@pytest.mark.parametrize(("by", "expected"), [(1, [3, 1, 2]), (-1, [2, 3, 1]), (4, [3, 1, 2])])
def test_circular_shift_wraps(by, expected):
    assert shift(np.array([1, 2, 3]), by).tolist() == expected


@pytest.mark.parametrize(
    ("by", "expected"),
    [(0, [1, 2, 3]), (1, [0, 1, 2]), (-1, [2, 3, 0]), (3, [0] * 3), (-4, [0] * 3)],
)
def test_zero_filled_shift_loses_what_leaves(by, expected):
    assert shift(np.array([1, 2, 3]), by, boundary="zero").tolist() == expected


@pytest.mark.parametrize("boundary", ["circular", "zero"])
def test_shift_follows_its_definition_along_the_last_axes(boundary):
    x = integer_signal((2, 3, 4), seed=0)
    moved = shift(x, (1, -2), boundary=boundary)
    for c, i, j in np.ndindex(x.shape):
        inside = 0 <= i - 1 < 3 and 0 <= j + 2 < 4
        source = x[c, (i - 1) % 3, (j + 2) % 4]
        assert moved[c, i, j] == (source if inside or boundary == "circular" else 0)


def test_shift_leaves_its_input_alone():
    x = np.array([1, 2, 3])
    for boundary in ("circular", "zero"):
        for by in (0, 1):
            shift(x, by, boundary=boundary)[:] = 7
    assert x.tolist() == [1, 2, 3]


@pytest.mark.parametrize("make", [integer_signal, rational_signal])
def test_random_signals_depend_on_their_seed_alone(make):
    assert np.array_equal(make((3, 4), seed=1), make((3, 4), seed=1))
    assert not np.array_equal(make((3, 4), seed=1), make((3, 4), seed=2))


def test_integer_signals_are_integers_that_reach_both_bounds():
    x = integer_signal(1000, seed=0, bound=3)
    assert x.dtype == np.float64
    assert set(x.tolist()) == set(range(-3, 4))


def test_random_samples_reach_9_unless_told_otherwise():
    """Red if a default moves, or the numerators or denominators stop short of it."""
    assert set(integer_signal(1000, seed=0).tolist()) == set(range(-9, 10))
    samples = rational_signal(1000, seed=0)
    assert {abs(s.numerator) for s in samples} == set(range(10))
    assert {s.denominator for s in samples} == set(range(1, 10))


def test_the_smallest_bounds_and_shapes_are_allowed():
    assert integer_signal((1, 3), seed=0, bound=0).tolist() == [[0, 0, 0]]
    assert integer_signal(2, seed=0, bound=0, dtype=np.uint8).tolist() == [0, 0]
    assert set(rational_signal(100, seed=0, bound=1).tolist()) == {-1, 0, 1}
    assert impulse((2, 1)).tolist() == [[1], [0]]


def test_samples_have_the_type_that_was_asked_for():
    assert integer_signal(3, seed=0, dtype=np.int64).dtype == np.int64
    assert type(integer_signal(3, seed=0, dtype=object)[0]) is int
    for dtype, bound in [(np.int8, 127), (np.float16, 2048), (np.complex64, 2**24)]:
        assert integer_signal(3, seed=0, bound=bound, dtype=dtype).dtype == dtype


def test_rational_signals_are_fractions_within_their_bounds():
    x = rational_signal(200, seed=0, bound=4)
    assert all(type(sample) is Fraction for sample in x)
    assert all(abs(s.numerator) <= 4 and s.denominator <= 4 for s in x)
    assert any(s.denominator > 1 for s in x)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: impulse(0), "has no cell"),
        (lambda: impulse(()), "has no cell"),
        (lambda: impulse(3, at=3), "not a cell of shape"),
        (lambda: impulse(3, at=-1), "not a cell of shape"),
        (lambda: impulse((3, 3), at=1), "not a cell of shape"),
        (lambda: shift(np.zeros(3), (1, 1)), "2 offsets for a signal of 1 axes"),
        (
            lambda: shift(np.zeros(3), 1, boundary="reflect"),
            "unknown boundary 'reflect'; known: circular, zero",
        ),
        (lambda: integer_signal((2, 0), seed=0), "has no cell"),
        (lambda: integer_signal(2, seed=0, bound=-1), "larger bound"),
        (lambda: integer_signal(2, seed=0, bound=128, dtype=np.int8), "int8 does not hold"),
        (lambda: integer_signal(2, seed=0, dtype=np.uint8), "uint8 .* from -9 to 9: give a wider"),
        (lambda: integer_signal(2, seed=0, bound=2049, dtype=np.float16), "float16 does not hold"),
        (lambda: integer_signal(2, seed=0, dtype=bool), "bool does not hold"),
        (lambda: rational_signal(2, seed=0, bound=0), "larger bound"),
        (lambda: shift(np.zeros(3), ()), "0 offsets for a signal of 1 axes"),
        (lambda: shift(np.zeros(()), ()), "0 offsets for a signal of 0 axes"),
        (lambda: integer_signal(2, seed=0, bound=2**63, dtype=object), "beyond int64: give a sm"),
        (lambda: rational_signal(2, seed=0, bound=2**63), "beyond int64: give a smaller one"),
        (lambda: integer_signal(2, seed=-1), "seed is -1, expected at least 0"),
        (lambda: rational_signal(2, seed=-1), "seed is -1, expected at least 0"),
    ],
)
def test_bad_input_is_refused_by_name(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_fractional_offset_is_refused():
    with pytest.raises(TypeError, match=r"0\.5 given per axis: expected an integer for each"):
        shift(np.zeros(3), 0.5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: per_axis([(1, 2), 3]), "given per axis: expected an integer for each"),
        (lambda: per_axis([np.ones((2, 3)), np.ones((2, 4))]), "given per axis: expected an int"),
        (lambda: per_axis((True, 2)), r"\(True, 2\) given per axis: expected an integer for each"),
        (lambda: per_axis(np.array([True])), r"\[ True\]\) given per axis: expected an integer"),
        (lambda: impulse(True), "True given per axis: expected an integer for each"),
        (lambda: impulse(2.0), "given per axis: expected an integer for each"),
        (lambda: impulse(2, dtype="U1"), "<U1 does not hold 0 and 1: give a dtype of numbers"),
        (lambda: impulse(2, dtype="M8[s]"), "does not hold 0 and 1"),
        (lambda: integer_signal(2, seed=0, bound=2.5), r"bound is 2\.5, expected an integer"),
        (lambda: integer_signal(2, seed=0, bound=np.nan), "bound is nan, expected an integer"),
        (lambda: rational_signal(2, seed=0, bound=True), "bound is True, expected an integer"),
        (lambda: integer_signal(2, seed=None), "seed is None, expected an integer"),
        (lambda: rational_signal(2, seed=None), "seed is None, expected an integer"),
        (lambda: per_axis(torch.tensor([True])), r"tensor\(\[True\]\) given per axis: expected an"),
        (lambda: shift(np.ma.masked_array([1, 2], [0, 1]), 1), "signal is a masked array"),
        (lambda: shift(torch.ones(2, device="meta"), 1), "signal is a Tensor that is no array"),
        (lambda: shift([[1], [1, 2]], 1), "signal is a list that is no array of numbers"),
    ],
)
def test_what_is_of_no_use_as_a_size_or_a_signal_is_refused(call, message):
    with pytest.raises(TypeError, match=message):
        call()


@pytest.mark.parametrize("narrow", [np.int8, np.uint8, np.uint64])
def test_bounds_of_numpy_do_not_wrap_around(narrow):
    """Red if the lower bound is the negative of an unsigned number."""
    drawn = integer_signal(100, seed=0, bound=narrow(5))
    assert drawn.tolist() == integer_signal(100, seed=0, bound=5).tolist()
    drawn = rational_signal(100, seed=0, bound=narrow(5))
    assert drawn.tolist() == rational_signal(100, seed=0, bound=5).tolist()


def test_the_largest_bound_is_that_of_int64():
    assert integer_signal(2, seed=0, bound=2**63 - 1, dtype=object).dtype == object


@pytest.mark.parametrize(
    "given",
    [
        *(3, np.int64(3), (3,), [3], np.array(3), np.array([3]), torch.Size([3])),
        *(torch.tensor(3), torch.tensor([3])),  # red if NumPy warns
    ],
)
def test_sizes_are_given_in_many_ways(given):
    assert per_axis(given) == (3,)
    assert type(per_axis(given)[0]) is int
