"""The geometry of layers: wrong laws turn the trials red, bad layers are named."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import sympy
import z3
from torch import nn

from theory import geometry, test_joint_dependence, test_map_sizes
from theory import test_geometry as chapter
from theory import test_receptive_field as chapter_fields
from theory.geometry import Layer, ReceptiveField, map_sizes, output_size, receptive_field

Law = Callable[..., int]

WRONG_SIZES: dict[str, Law] = {
    "no + 1": lambda n, a: output_size(n, a) - 1,
    "rounded up": lambda n, a: output_size(n + a.stride - 1, a),
    "padding at one end": lambda n, a: output_size(n - a.padding, a),
    "dilation left out": lambda n, a: output_size(n, Layer(a.kernel, a.stride, a.padding)),
    "taps times dilation": lambda n, a: (n + 2 * a.padding - a.kernel * a.dilation) // a.stride + 1,
    "no refusal": lambda n, a: (n + 2 * a.padding - a.extent) // a.stride + 1,
}


@pytest.mark.parametrize("wrong", WRONG_SIZES.values(), ids=WRONG_SIZES)
def test_a_wrong_output_size_turns_the_trial_red(
    monkeypatch: pytest.MonkeyPatch, wrong: Law
) -> None:
    monkeypatch.setattr(chapter, "output_size", wrong)
    with pytest.raises((AssertionError, pytest.fail.Exception, ValueError)):
        chapter.test_sizes_are_those_of_torch()


def _always_one_more(n: int, layer: Layer, *, ceil_mode: bool = False) -> int:
    """Forget that a window may not start in the padding at the end."""
    size = geometry.pool_output_size(n, layer)
    room = n + 2 * layer.padding - layer.extent
    return size + (ceil_mode and room % layer.stride > 0)


def _from_the_unpadded(n: int, layer: Layer, *, ceil_mode: bool = False) -> int:
    """Ask of a last window that it starts in the input proper."""
    size = geometry.pool_output_size(n, layer, ceil_mode=ceil_mode)
    return size - (ceil_mode and (size - 1) * layer.stride >= n)


@pytest.mark.parametrize("wrong", [_always_one_more, _from_the_unpadded])
def test_a_wrong_ceil_mode_turns_the_trial_red(monkeypatch: pytest.MonkeyPatch, wrong: Law) -> None:
    monkeypatch.setattr(chapter, "pool_output_size", wrong)
    with pytest.raises((AssertionError, pytest.fail.Exception, ValueError)):
        chapter.test_sizes_are_those_of_torch()


@pytest.mark.parametrize("off", [1, -1])
def test_a_wrong_transposed_size_turns_the_trial_red(
    monkeypatch: pytest.MonkeyPatch, off: int
) -> None:
    def wrong(n: int, layer: Layer, *, output_padding: int = 0) -> int:
        return geometry.transposed_output_size(n, layer, output_padding=output_padding) + off

    monkeypatch.setattr(chapter, "transposed_output_size", wrong)
    with pytest.raises(AssertionError):
        chapter.test_sizes_are_those_of_torch()


def test_padding_that_starts_with_the_odd_cell_turns_the_trial_red(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def wrong(kernel: int, *, dilation: int = 1) -> tuple[int, int]:
        return geometry.same_padding(kernel, dilation=dilation)[::-1]

    monkeypatch.setattr(chapter, "same_padding", wrong)
    with pytest.raises(AssertionError):
        chapter.test_stride_1_keeps_every_size_exactly_with_half_of_the_extent_less_one()


# The bodies of the generated trials, on one stack that has everything: no search, no shrinking.
MEASUREMENT = chapter_fields.test_measured_dependence_fills_the_window.hypothesis.inner_test
CLOSED_FORM = chapter_fields.test_receptive_field_is_the_sum_over_the_layers.hypothesis.inner_test
STACK = [Layer(3, 2, 1), Layer(2, 2, 1, 2), Layer(3, 2)]

Composition = Callable[[ReceptiveField, ReceptiveField], ReceptiveField]

WRONG_COMPOSITIONS: dict[str, Composition] = {
    "sizes added": lambda a, b: ReceptiveField(
        a.size + b.size - 1, a.jump * b.jump, a.start + b.start * a.jump
    ),
    "later stride": lambda a, b: ReceptiveField(
        a.size + (b.size - 1) * a.jump * b.jump, a.jump * b.jump, a.start + b.start * a.jump
    ),
    "no - 1": lambda a, b: ReceptiveField(
        a.size + b.size * a.jump, a.jump * b.jump, a.start + b.start * a.jump
    ),
    "strides added": lambda a, b: ReceptiveField(
        a.size + (b.size - 1) * a.jump, a.jump + b.jump, a.start + b.start * a.jump
    ),
    "padding unscaled": lambda a, b: ReceptiveField(
        a.size + (b.size - 1) * a.jump, a.jump * b.jump, a.start + b.start
    ),
}


@pytest.mark.parametrize("wrong", WRONG_COMPOSITIONS.values(), ids=WRONG_COMPOSITIONS)
def test_a_wrong_composition_turns_proof_and_measurement_red(
    monkeypatch: pytest.MonkeyPatch, wrong: Composition
) -> None:
    monkeypatch.setattr(ReceptiveField, "then", wrong)
    with pytest.raises(AssertionError):
        chapter_fields.test_windows_compose()
    with pytest.raises(AssertionError):
        MEASUREMENT(STACK, pools=False)
    with pytest.raises(AssertionError):
        CLOSED_FORM(STACK)


def test_a_window_on_the_wrong_side_of_the_padding_is_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def wrong(self: Layer) -> ReceptiveField:
        return ReceptiveField(self.extent, self.stride, self.padding)

    monkeypatch.setattr(Layer, "receptive_field", property(wrong))
    with pytest.raises(AssertionError):
        MEASUREMENT(STACK, pools=False)


def test_a_nonlinearity_after_the_average_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    added_up = test_joint_dependence.added_up

    def with_relu(body: list[nn.Module], cells: int, *, average: bool = False) -> nn.Sequential:
        return nn.Sequential(added_up(body, cells, average=average), nn.ReLU())

    monkeypatch.setattr(test_joint_dependence, "added_up", with_relu)
    with pytest.raises(AssertionError):
        test_joint_dependence.test_one_convolution_relates_pixels_within_its_kernel_only(2)


def test_a_field_that_is_claimed_too_large_is_not_solved() -> None:
    layers = [Layer(3), Layer(2, stride=2), Layer(3)]
    field = receptive_field(layers).size
    assert test_joint_dependence.solves(test_joint_dependence.exclusive_or(layers), field - 1)
    assert not test_joint_dependence.solves(test_joint_dependence.exclusive_or(layers), field)


def test_a_pooling_that_rounds_up_would_change_the_depth_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def shallow(n: int, layers: list[Layer]) -> list[int]:
        sizes = map_sizes(n, layers)
        if sizes[-1] < 2:
            raise ValueError("no image of one pixel")
        return sizes

    monkeypatch.setattr(test_map_sizes, "map_sizes", shallow)
    with pytest.raises(AssertionError):
        test_map_sizes.test_an_image_of_32_takes_five_convolutions_with_halvings()


@pytest.mark.parametrize(
    ("sides", "message"),
    [
        ({"kernel": 0}, "kernel is 0, expected at least 1"),
        ({"kernel": 3, "stride": 0}, "stride is 0, expected at least 1"),
        ({"kernel": 3, "padding": -1}, "padding is -1, expected at least 0"),
        ({"kernel": 3, "dilation": 0}, "dilation is 0, expected at least 1"),
    ],
)
def test_a_layer_that_cannot_be_is_refused(sides: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Layer(**sides)


@pytest.mark.parametrize("number", [2.5, 2.0, True, np.True_, "2", None, np.float64(2), [2]])
def test_what_is_no_integer_counts_nothing(number: Any) -> None:
    """Red if a number that is taken as it is gives a fraction of a cell, or True is one cell."""
    laws: dict[str, Callable[[], object]] = {
        "kernel": lambda: Layer(number),
        "stride": lambda: Layer(3, stride=number),
        "padding": lambda: Layer(3, padding=number),
        "dilation": lambda: geometry.same_padding(3, dilation=number),
        "n": lambda: output_size(number, Layer(1)),
        "output_padding": lambda: geometry.transposed_output_size(
            3, Layer(3, stride=3), output_padding=number
        ),
        "output": lambda: ReceptiveField().window(number),
    }
    for name, law in laws.items():
        with pytest.raises(TypeError, match=rf"^{name} is .*, expected an integer"):
            law()


@pytest.mark.parametrize("law", [output_size, geometry.transposed_output_size])
def test_an_input_without_cells_is_refused(law: Law) -> None:
    for cells in (0, -3):
        with pytest.raises(ValueError, match=f"n is {cells}, expected at least 1"):
            law(cells, Layer(5, stride=4, padding=2))


@pytest.mark.parametrize("ceil_mode", [False, True])
def test_a_pooling_without_cells_is_refused(ceil_mode: bool) -> None:
    with pytest.raises(ValueError, match="n is 0, expected at least 1"):
        geometry.pool_output_size(0, Layer(2, padding=1), ceil_mode=ceil_mode)


def test_numbers_of_numpy_do_not_wrap_around() -> None:
    """Red if the product of two narrow numbers is as narrow."""
    narrow: Any = np.int8(100)
    wide = Layer(100, 100, 100, 100)
    layer = Layer(narrow, narrow, narrow, narrow)
    assert layer == wide
    assert layer.extent == 100 * 99 + 1
    assert [type(each) for each in vars(layer).values()] == [int] * 4
    pool, most = Layer(100, padding=50), Layer(1, padding=100)
    assert output_size(narrow, most) == 300
    for ceil_mode in (False, True):
        assert geometry.pool_output_size(narrow, pool, ceil_mode=ceil_mode) == 101
    assert geometry.transposed_output_size(narrow, wide, output_padding=narrow - 1) == 19_700
    field = ReceptiveField(narrow, narrow, narrow)
    assert field.then(field) == ReceptiveField(100 + 99 * 100, 100 * 100, 100 + 100 * 100)
    assert field.window(narrow) == range(10_100, 10_200)


@pytest.mark.parametrize(
    ("numbers", "error", "message"),
    [
        ({"size": 0}, ValueError, "size is 0, expected at least 1"),
        ({"jump": -1}, ValueError, "jump is -1, expected at least 1"),
        ({"size": 1.5}, TypeError, r"size is 1\.5, expected an integer"),
        ({"jump": True}, TypeError, "jump is True, expected an integer"),
        ({"start": Fraction(1, 2)}, TypeError, "start is .*, expected an integer"),
    ],
)
def test_a_window_that_cannot_be_is_refused(
    numbers: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        ReceptiveField(**numbers)


@pytest.mark.parametrize("name", ["size", "jump", "start"])
@pytest.mark.parametrize(
    "value",
    [
        *(None, [], "x", 1.5, np.True_, Fraction(1, 2)),
        *(sympy.Symbol("s", integer=False), sympy.pi),
        *(z3.Real("s"), z3.Bool("s")),
    ],
    ids=str,
)
def test_what_is_no_integer_whatever_its_symbols_are_is_refused(name: str, value: Any) -> None:
    with pytest.raises(TypeError, match=f"^{name} is .*, expected an integer$"):
        ReceptiveField(**{name: value})


@pytest.mark.parametrize("name", ["size", "jump", "start"])
@pytest.mark.parametrize(
    "value",
    [
        sympy.Symbol("s"),
        sympy.Symbol("s", integer=True),
        2 * sympy.Symbol("s", integer=True) - 1,
        z3.Int("s") + 1,
    ],
    ids=str,
)
def test_what_is_made_of_symbols_stays_as_it_is(name: str, value: Any) -> None:
    assert getattr(ReceptiveField(**{name: value}), name) is value


def test_a_number_of_sympy_is_no_symbol() -> None:
    """Red if it stays one, of which no range is made."""
    number: Any = sympy.Integer(3)
    assert [type(each) for each in vars(ReceptiveField(number, number, number)).values()] == [
        int,
        int,
        int,
    ]
    assert ReceptiveField(number, number, number).window(1) == range(6, 9)


@pytest.mark.parametrize(
    "law",
    [
        lambda layer: output_size(5, layer),
        lambda layer: geometry.pool_output_size(5, layer),
        lambda layer: geometry.transposed_output_size(5, layer),
        lambda layer: geometry.map_sizes(5, [Layer(1), layer]),
        lambda layer: geometry.receptive_field([Layer(1), layer]),
    ],
)
def test_a_number_is_no_layer(law: Callable[[Any], object]) -> None:
    with pytest.raises(TypeError, match=r"^3 is given as a layer, expected a Layer: Layer\(kernel"):
        law(3)


def test_one_layer_is_no_sequence() -> None:
    layer: Any = Layer(3)
    for law in (geometry.receptive_field, lambda layers: geometry.map_sizes(5, layers)):
        with pytest.raises(TypeError, match=r"^a single Layer is given, expected a sequence"):
            law(layer)


@pytest.mark.parametrize("later", [Layer(3), 3])
def test_what_a_later_layer_sees_is_no_layer(later: Any) -> None:
    with pytest.raises(TypeError, match=rf"^{re.escape(repr(later))} is given .* receptive_field$"):
        ReceptiveField().then(later)


def test_no_output_lies_before_the_first() -> None:
    with pytest.raises(ValueError, match="output is -1, expected at least 0"):
        ReceptiveField().window(-1)


@pytest.mark.parametrize(
    ("law", "message"),
    [
        (lambda: output_size(3, Layer(5)), "a window of 5 cells does not fit into 3"),
        (lambda: geometry.pool_output_size(9, Layer(2, padding=2)), "more than half of a window"),
        (lambda: geometry.pool_output_size(1, Layer(5), ceil_mode=True), "no window of 5 cells"),
        (
            lambda: geometry.transposed_output_size(3, Layer(3, stride=2), output_padding=2),
            "output_padding is 2, expected 0 to 1",
        ),
        (lambda: geometry.transposed_output_size(1, Layer(2, padding=1)), "leaves nothing"),
        (lambda: map_sizes(8, [Layer(2, stride=2)] * 4), "does not fit into 1"),
    ],
)
def test_what_has_no_size_is_refused_in_words(law: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        law()


def test_windows_are_read_off_by_output_cell() -> None:
    field = receptive_field([Layer(3, padding=1), Layer(2, stride=2)])
    assert field == ReceptiveField(size=4, jump=2, start=-1)
    assert [list(field.window(output)) for output in (0, 3)] == [[-1, 0, 1, 2], [5, 6, 7, 8]]
    assert receptive_field([]) == ReceptiveField()


def test_what_is_left_out_does_nothing() -> None:
    """Red if a default pads, strides, dilates or rounds up."""
    assert Layer(3) == Layer(3, stride=1, padding=0, dilation=1)
    assert geometry.pool_output_size(6, Layer(3, stride=2)) == 2  # rounded up it would be 3
    assert geometry.transposed_output_size(4, Layer(3, stride=2)) == 9
    assert geometry.same_padding(4) == (1, 2)
