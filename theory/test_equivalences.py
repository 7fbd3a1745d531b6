"""Chapter 6, equivalences: a layer that is another layer, with its weights.

A fully connected layer on a map is a convolution whose kernels cover the map, a convolution is a
fully connected layer with shared weights, and average pooling is a convolution.

What passing does not prove: that layers which compute the same learn the same. A convolution
written as a dense layer has free weights where the convolution ties them, and the trials of
training cover one layer and the optimisers that are named.
"""

from __future__ import annotations

import math
from functools import partial
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
import z3
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from theory.equivalences import averaging_weight, convolution_from_dense, dense_from_convolution
from theory.ledger import settles
from theory.signals import integer_signal
from theory.solver import follows, holds_always

if TYPE_CHECKING:
    from collections.abc import Callable

seeds = st.integers(0, 2**16)


def integers(*shape: int, seed: int, bound: int = 9) -> torch.Tensor:
    """Return a tensor of random integers in double precision."""
    return torch.from_numpy(integer_signal(shape, seed=seed, bound=bound))


# Convolution and fully connected layer


@settings(max_examples=40)
@given(
    st.tuples(*[st.integers(1, 3)] * 4), st.integers(1, 3), st.integers(0, 2), st.booleans(), seeds
)
def test_a_convolution_layer_is_a_fully_connected_layer(
    sizes: tuple[int, int, int, int], stride: int, padding: int, flat: bool, seed: int
) -> None:
    """With the matrix read off the definition, torch's layer agrees on random integers, exactly."""
    filters, channels, k1, k2 = sizes
    kernel, shape = ((k1,), (6,)) if flat else ((k1, k2), (5, 4))
    weight = integers(filters, channels, *kernel, seed=seed)
    x = integers(2, channels, *shape, seed=seed + 1)
    convolve = functional.conv1d if flat else functional.conv2d
    matrix = dense_from_convolution(weight.numpy(), shape, stride=stride, padding=padding)

    by_torch = convolve(x, weight, stride=stride, padding=padding).flatten(1)
    assert torch.equal(functional.linear(x.flatten(1), torch.from_numpy(matrix)), by_torch)


@settings(max_examples=40)
@given(st.tuples(*[st.integers(1, 4)] * 4), seeds)
def test_a_fully_connected_layer_is_a_convolution_and_back(
    sizes: tuple[int, int, int, int], seed: int
) -> None:
    """Kernels as large as the map: one output pixel; on a larger map, one for every window."""
    outputs, *shape = sizes
    matrix = integers(outputs, math.prod(shape), seed=seed)
    weight = torch.from_numpy(convolution_from_dense(matrix.numpy(), shape))
    x = integers(2, *shape, seed=seed + 1)
    assert torch.equal(
        functional.conv2d(x, weight).flatten(1), functional.linear(x.flatten(1), matrix)
    )
    assert np.array_equal(dense_from_convolution(weight.numpy(), shape[1:]), matrix)

    larger = integers(1, shape[0], shape[1] + 2, shape[2] + 1, seed=seed + 2)
    slid = functional.conv2d(larger, weight)
    for i, j in product(range(3), range(2)):
        window = larger[:, :, i : i + shape[1], j : j + shape[2]]
        assert torch.equal(slid[:, :, i, j], functional.linear(window.flatten(1), matrix))


@settles("tp1-cnn-q5-fc-as-conv", verdict="holds_if", certainty="exhausted")
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_a_central_pixel_sees_the_image_if_the_stride_divides_the_padding(stride: int) -> None:
    """For sides 1 to 5 and padding 0 to 3, and for no other stride.

    Dilated by 2, a filter of as many taps as pixels sees no two neighbours, wherever it lies.
    """
    for side, padding in product(range(1, 6), range(4)):
        ones = torch.ones(1, 1, side, side)
        dilated = functional.conv2d(ones, ones, None, stride, padding + side - 1, dilation=2)
        assert (int(dilated.max()) == side**2) <= (side == 1)
        seen = functional.conv2d(ones, ones, stride=stride, padding=padding)[0, 0]
        n = len(seen)
        central = n % 2 == 1 and int(seen[n // 2, n // 2]) == side**2
        assert central is (padding % stride == 0)


@settles(
    "tp1-cnn-q5-fc-as-conv",
    verdict="holds_if",
    certainty="proved",
    condition="The stride divides the padding (any stride does without padding), both sides are "
    "padded alike, the filter is not dilated and each output of the fully connected layer gets a "
    "filter of its own. Padding to the same size is not alike for an "
    "image of even side: of its four middle pixels one sees the whole image, the others do not.",
)
def test_only_the_central_pixel_sees_each_pixel_through_a_weight_of_its_own() -> None:
    """Along an axis, output o sees pixel i through tap i + p - o: all n taps exactly if o = p.

    With p zeros on both sides there are 2 p + 1 outputs, whatever n is, and p is the central one.
    At stride s it is output p / s, if s divides p: that is the central one as well; if not, no
    central output sees all.
    """
    n, before, after, out = z3.Ints("n before after out")
    size = n + before + after - n + 1
    possible = z3.And(n >= 1, before >= 0, after >= 0, out >= 0, out < size)
    first, last = before - out, n - 1 + before - out  # the taps for pixels 0 and n - 1
    whole = z3.And(first >= 0, last <= n - 1)
    central = 2 * out == size - 1
    assert holds_always(z3.Implies(possible, whole == (out == before)))
    assert holds_always(z3.Implies(z3.And(possible, before == after), whole == central))
    assert not holds_always(z3.Implies(possible, whole == central))
    same = z3.And(before + after == n - 1, n % 2 == 0)
    assert holds_always(z3.Implies(z3.And(possible, same), z3.Not(central)))

    p, stride, last_out, rest = z3.Ints("p stride last_out rest")
    floored = z3.And(2 * p == stride * last_out + rest, rest >= 0, rest < stride)
    strided = z3.And(n >= 1, p >= 0, stride >= 1, out >= 0, out <= last_out, floored)
    first, last = p - stride * out, n - 1 + p - stride * out
    whole = z3.And(first >= 0, last <= n - 1)
    central = 2 * out == last_out
    assert follows(whole == (stride * out == p), strided)
    assert follows(central, strided, whole)  # whole: the stride divides the padding
    multiple = z3.Int("multiple")
    assert follows(last_out == 2 * multiple, strided, p == stride * multiple)


@settles("tp1-cnn-q5-fc-as-conv", verdict="holds_if", certainty="exhausted")
@pytest.mark.parametrize("side", range(1, 6))
@pytest.mark.parametrize("padding", range(4))
def test_the_central_pixels_are_the_fully_connected_layer(side: int, padding: int) -> None:
    """On integer images, of odd and even side, with three channels and four outputs.

    With padding, all other pixels leave something out; with torch's padding to the same size, an
    even side has no central pixel, and of the middle four the first is the one.
    """
    weight, x = integers(4, 3, side, side, seed=side), integers(2, 3, side, side, seed=7)
    dense = functional.linear(x.flatten(1), weight.flatten(1))
    output = functional.conv2d(x, weight, padding=padding)
    middle = output.shape[-1] // 2
    assert output.shape[-2:] == (2 * padding + 1, 2 * padding + 1)
    assert torch.equal(output[:, :, middle, middle], dense)

    seen = functional.conv2d(
        torch.ones(1, 1, side, side), torch.ones(1, 1, side, side), padding=padding
    )
    assert (seen == side**2).sum() == 1
    if side % 2 == 0:
        same = functional.conv2d(functional.pad(x, ((side - 1) // 2, side // 2) * 2), weight)
        half = (side - 1) // 2
        agree = [
            (i, j)
            for i, j in product(range(side), repeat=2)
            if torch.equal(same[:, :, i, j], dense)
        ]
        assert same.shape == (2, 4, side, side)
        assert agree == [(half, half)]


# Average pooling


@settings(max_examples=40)
@given(st.sampled_from([1, 2, 4]), st.integers(1, 3), st.integers(0, 2), st.integers(1, 3), seeds)
def test_average_pooling_is_a_convolution_with_equal_weights(
    size: int, stride: int, padding: int, channels: int, seed: int
) -> None:
    """One kernel for each channel. Blocks of 4 or 16 pixels have exact means of integers."""
    x, padding = integers(2, channels, 6, 5, seed=seed), min(padding, size // 2)
    weight = torch.from_numpy(averaging_weight(channels, size))
    pooled = functional.avg_pool2d(x, size, stride, padding)
    by_weight = functional.conv2d(x, weight, stride=stride, padding=padding, groups=channels)
    assert torch.equal(pooled, by_weight)


def test_a_mean_that_leaves_the_padding_out_is_no_convolution() -> None:
    """Its weights depend on the position: 1/4, 1/6 and 1/9 in the corner, at the edge, inside."""
    ones = torch.ones(1, 1, 4, 4).double()
    counted = functional.avg_pool2d(ones, 3, 1, 1, count_include_pad=True)
    left_out = functional.avg_pool2d(ones, 3, 1, 1, count_include_pad=False)
    assert torch.equal(left_out, ones)
    seen = functional.conv2d(ones, ones[..., :3, :3], padding=1)
    assert seen[0, 0, :2, :2].tolist() == [[4, 6], [6, 9]]
    # Nine sums and one division, each rounded once, of values whose sum is at most 1.
    assert ((counted - seen / 9).abs() <= 10 * torch.finfo(torch.float64).eps).all()


# The order of the inputs, again: rules that keep a history for each weight


RULES: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "Adam": partial(torch.optim.Adam, lr=0.25),
    "AMSGrad": partial(torch.optim.Adam, lr=0.25, amsgrad=True, weight_decay=0.125),
    "AdamW": partial(torch.optim.AdamW, lr=0.25),
    "RMSprop": partial(torch.optim.RMSprop, lr=0.25, momentum=0.5),
    "Adagrad": partial(torch.optim.Adagrad, lr=0.25),
}


def train(
    rule: str, order: np.ndarray, masks: np.ndarray, steps: int = 6
) -> tuple[torch.Tensor, list[list[float]]]:
    """Train one dense layer behind dropout, on inputs in some order; masks are for that order.

    Returns the weights, put back into the first order, and the outputs before each step. Outputs
    are sums rounded once (`math.fsum`), which no order of the summands changes.
    """
    inputs, targets = integers(steps, 16, seed=1)[:, order], integers(steps, 2, seed=2)
    weights = nn.Parameter(integers(2, 16, seed=3)[:, order] / 8)
    optimiser = RULES[rule]([weights])
    outputs = []
    for x, target, mask in zip(inputs, targets, torch.from_numpy(masks), strict=True):
        kept = 2 * x * mask
        terms = (weights.detach() * kept).tolist()
        outputs.append([math.fsum(row) for row in terms])
        weights.grad = torch.outer(torch.tensor(outputs[-1]).double() - target, kept)
        optimiser.step()
    return weights.detach()[:, np.argsort(order)], outputs


@pytest.mark.parametrize("rule", RULES)
def test_no_order_of_the_inputs_changes_an_elementwise_rule(rule: str) -> None:
    """With the dropout masks permuted as the inputs are, outputs and weights agree bit for bit.

    The rules treat each weight by its own gradients alone, and sums are rounded once; without that
    they would agree up to the rounding of the sums. Masks that stay in place are another training.
    """
    masks = np.random.default_rng(0).integers(0, 2, (6, 16))
    order = np.random.default_rng(1).permutation(16)
    straight = np.arange(16)

    weights, outputs = train(rule, straight, masks)
    permuted_weights, permuted_outputs = train(rule, order, masks[:, order])
    assert permuted_outputs == outputs
    assert torch.equal(permuted_weights, weights)
    assert not torch.equal(weights, integers(2, 16, seed=3) / 8)
    assert train(rule, order, masks)[1] != outputs
