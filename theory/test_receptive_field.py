"""Chapter 4, receptive fields: which input cells an output cell sees through a stack of layers.

Output cell o of one layer sees the cells start + jump o to start + jump o + size - 1. Two layers
compose into one such window, by a law that is associative; so the recursion may run from the first
layer forward or from the last one backward. The third way to the same window is to measure it: one
impulse at a time through a real stack of layers.

What passing does not prove: the window is where an output may depend on the input. On one image
and with given weights it may depend on less, and how much each pixel of the window weighs is not
asked. The window is an interval; what lies in its holes is not seen.
"""

from __future__ import annotations

from functools import reduce
from itertools import product

import pytest
import sympy
import torch
import z3
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from theory.geometry import Layer, ReceptiveField, map_sizes, output_size, receptive_field
from theory.ledger import settles
from theory.solver import follows, holds_always, maximum

layers = st.builds(
    Layer, st.integers(1, 4), st.integers(1, 3), st.integers(0, 2), st.integers(1, 3)
)
POOL = Layer(2, stride=2)


def symbolic(name: str) -> ReceptiveField:
    """Return an arbitrary receptive field."""
    return ReceptiveField(*sympy.symbols(f"size_{name} jump_{name} start_{name}", integer=True))


def expanded(field: ReceptiveField) -> list[sympy.Expr]:
    """Return the three numbers of a symbolic field in normal form."""
    return [sympy.expand(number) for number in (field.size, field.jump, field.start)]


def dependence(stack: list[Layer], cells: int, *, pools: bool = False) -> list[set[int]]:
    """Return which input cells each output cell of a real stack depends on.

    All weights are 1 and one impulse is put in at a time, so nothing cancels: an output cell is
    not 0 exactly if it sees the impulse. With `pools`, max pooling takes every second turn.
    """
    x = torch.eye(cells, dtype=torch.float64)[:, None]
    for turn, each in enumerate(stack):
        steps = each.stride, each.padding, each.dilation
        if pools and turn % 2 and 2 * each.padding <= each.kernel:
            x = functional.max_pool1d(x, each.kernel, *steps)
        else:
            weight = torch.ones(1, 1, each.kernel, dtype=torch.float64)
            x = functional.conv1d(x, weight, None, *steps).relu()
    return [set(torch.nonzero(column).flatten().tolist()) for column in x[:, 0].T]


@settles("nni-2023-ex1-q3-rf-definition", verdict="holds_if", certainty="proved")
def test_windows_compose() -> None:
    """The cells that the seen cells see have the composed window's ends as their first and last.

    For all integers: i counts the cells of the later window of output o, x those that cell sees.
    """
    size, jump, start, later_size, later_jump, later_start, o, i, x = z3.Ints(
        "size jump start later_size later_jump later_start o i x"
    )
    composed = ReceptiveField(size, jump, start).then(
        ReceptiveField(later_size, later_jump, later_start)
    )
    first = composed.start + composed.jump * o
    last = first + composed.size - 1
    sees = start + jump * (later_start + later_jump * o + i)
    premises = z3.And(jump >= 1, size >= 1, later_size >= 1, i >= 0, i < later_size)

    seen = z3.And(sees <= x, x < sees + size)
    assert holds_always(z3.Implies(z3.And(premises, seen), z3.And(first <= x, x <= last)))
    assert holds_always(z3.Implies(i == 0, sees == first))
    assert holds_always(z3.Implies(i == later_size - 1, sees + size - 1 == last))
    # Windows as wide as their jump leave no hole between them, and composition keeps them so.
    assert holds_always(z3.Implies(size >= jump, sees + jump <= sees + size))
    solid = z3.And(premises, size >= jump, later_size >= later_jump)
    assert holds_always(z3.Implies(solid, composed.size >= composed.jump))


def test_forward_and_backward_recursion_agree() -> None:
    """Composition is associative and a single cell is neutral: folds from both ends are equal.

    Forward, a layer adds (extent - 1) times the jump so far; backward, it multiplies the window by
    its stride. Each is one side of the same composition; written out, the size of L layers is
    1 + sum of (extent - 1) x the strides before.
    """
    a, b, c = map(symbolic, "abc")
    assert expanded(a.then(b).then(c)) == expanded(a.then(b.then(c)))
    assert a.then(ReceptiveField()) == a == ReceptiveField().then(a)

    extent, stride, padding = sympy.symbols("extent stride padding")
    layer = ReceptiveField(extent, stride, -padding)
    forward = [a.size + (extent - 1) * a.jump, a.jump * stride, a.start - padding * a.jump]
    backward = [(a.size - 1) * stride + extent, stride * a.jump, a.start * stride - padding]
    assert expanded(a.then(layer)) == [sympy.expand(term) for term in forward]
    assert expanded(layer.then(a)) == [sympy.expand(term) for term in backward]

    # The sum: for no layer it is 1, and one layer more adds its term at the jump so far.
    total, strides = sympy.symbols("total strides")
    assert expanded(ReceptiveField(1 + total, strides, 0).then(layer))[:2] == [
        sympy.expand(1 + total + (extent - 1) * strides),
        strides * stride,
    ]


@settings(max_examples=150)
@given(st.lists(layers, max_size=4))
def test_receptive_field_is_the_sum_over_the_layers(stack: list[Layer]) -> None:
    """The instrument against the closed form and the backward recursion, on arbitrary stacks."""
    field, jump, size, start = receptive_field(stack), 1, 1, 0
    for each in stack:
        size += each.dilation * (each.kernel - 1) * jump
        start -= each.padding * jump
        jump *= each.stride
    assert field == ReceptiveField(size, jump, start)

    backward = reduce(
        lambda seen, each: each.receptive_field.then(seen), reversed(stack), ReceptiveField()
    )
    assert backward == field


@settles(
    "nni-2023-ex1-q3-rf-definition",
    verdict="holds_if",
    certainty="sampled",
    condition="'Influences' means that it can, for some image and weights: on one image, with "
    "given weights, less may (a ReLU that is off, a value that is not the maximum); and the region "
    "is a box that dilated kernels, or strides longer than a window, leave holes in.",
)
@settings(max_examples=150)
@given(st.lists(layers, min_size=1, max_size=3), st.booleans())
def test_measured_dependence_fills_the_window(stack: list[Layer], pools: bool) -> None:
    """No output sees a cell outside its window; one that meets no padding sees both its ends.

    Without dilation, and with no stride beyond what the layer before sees, it sees all of it.
    """
    field = receptive_field(stack)
    cells = field.size + 2 * field.jump
    sizes = [cells, *map_sizes(cells, stack)]
    solid = all(each.dilation == 1 and each.kernel >= each.stride for each in stack)
    inside = 0
    for output, seen in enumerate(dependence(stack, cells, pools=pools)):
        window = field.window(output)
        assert seen <= set(window)
        parts = (receptive_field(stack[turn:]).window(output) for turn in range(len(stack)))
        if all(part[0] >= 0 and part[-1] < size for part, size in zip(parts, sizes, strict=False)):
            inside += 1
            assert {window[0], window[-1]} <= seen
            assert not solid or seen == set(window)
    assert inside > 0 or any(each.padding for each in stack)


@settles("nni-2023-ex1-q3-rf-definition", verdict="holds_if", certainty="sampled")
def test_on_one_image_less_may_influence_an_output_than_its_receptive_field() -> None:
    """The smaller of two pixels does not matter to the maximum, nor do both to a ReLU that is off.

    And of three neighbours a kernel of two taps, dilated by 2, never sees the middle one.
    """
    image = torch.tensor([[[1.0, 3.0]]], requires_grad=True)
    weight = torch.ones(1, 1, 2)
    pooled = functional.max_pool1d(image, 2)
    active = functional.conv1d(image, weight).relu()
    off = functional.conv1d(image, weight, torch.tensor([-9.0])).relu()
    gradients = [torch.autograd.grad(each.sum(), image)[0] for each in (pooled, active, off)]
    assert [each.flatten().tolist() for each in gradients] == [[0, 1], [1, 1], [0, 0]]
    assert receptive_field([Layer(2)]).size == 2

    assert dependence([Layer(2, dilation=2)], 3) == [{0, 2}]
    assert list(receptive_field([Layer(2, dilation=2)]).window(0)) == [0, 1, 2]
    assert dependence([Layer(1, stride=2), Layer(2)], 3) == [{0, 2}]


@settles(
    "tp1-cnn-q7-rf-first",
    verdict="holds_if",
    certainty="proved",
    condition="The kernel is not dilated (by d, the side is d(k - 1) + 1), and padding counts as "
    "seen or the window lies inside the picture; stride and padding do not matter otherwise.",
)
def test_the_first_layer_sees_its_kernel() -> None:
    """d(k - 1) + 1 = k exactly if d = 1 or k = 1; at the border padding takes cells away."""
    k, d = z3.Ints("k d")
    positive = z3.And(k >= 1, d >= 1)
    undilated = z3.Or(k == 1, d == 1)
    assert holds_always(z3.Implies(positive, (d * (k - 1) + 1 == k) == undilated))

    for kernel, stride, padding in product(range(1, 6), range(1, 4), range(3)):
        assert receptive_field([Layer(kernel, stride, padding)]).size == kernel
    assert dependence([Layer(3, padding=1)], 4) == [{0, 1}, {0, 1, 2}, {1, 2, 3}, {2, 3}]
    assert _box(nn.Conv2d(1, 1, 3), 7) == (3, 3)
    assert _box(nn.Conv2d(1, 1, 3, stride=2), 7) == (3, 3)
    assert _box(nn.Conv2d(1, 1, 3, dilation=2), 7) == (5, 5)


@settles(
    "tp1-cnn-q7-rf-second",
    verdict="holds_if",
    certainty="proved",
    condition="No dilation, no pooling in between (with a 2x2 pooling of stride 2, as in the "
    "report's own network, it is (3k - 1)^2), and padding counts as seen or the window lies inside "
    "the picture. Only the first layer's stride has to be 1.",
)
def test_two_layers_see_2k_minus_1_exactly_with_first_stride_1_and_no_dilation() -> None:
    """1 + (k - 1)(d1 + s1 d2) = 2k - 1 exactly if k = 1 or s1 = d1 = d2 = 1; s2 is not in it.

    Smallest witness with a larger field: kernels of 2, the first with stride 2, see 4 cells, not 3.
    """
    k, s1, s2, d1, d2 = z3.Ints("k s1 s2 d1 d2")
    first = ReceptiveField(d1 * (k - 1) + 1, s1, 0)
    size = first.then(ReceptiveField(d2 * (k - 1) + 1, s2, 0)).size
    positive = z3.And(k >= 1, s1 >= 1, s2 >= 1, d1 >= 1, d2 >= 1)
    plain = z3.And(s1 == 1, d1 == 1, d2 == 1)
    assert holds_always(z3.Implies(positive, (size == 2 * k - 1) == z3.Or(k == 1, plain)))

    pooled = ReceptiveField(k, 1, 0).then(ReceptiveField(2, 2, 0)).then(ReceptiveField(k, 1, 0))
    assert holds_always(pooled.size == 3 * k - 1)

    assert dependence([Layer(2, stride=2), Layer(2)], 4) == [{0, 1, 2, 3}]
    assert _box(nn.Sequential(nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, 3)), 9) == (5, 5)
    assert _box(nn.Sequential(nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, 3, stride=2)), 9) == (5, 5)
    assert _box(nn.Sequential(nn.Conv2d(1, 1, 3, stride=2), nn.Conv2d(1, 1, 3)), 9) == (7, 7)
    pooling = nn.Sequential(nn.Conv2d(1, 1, 3), nn.AvgPool2d(2), nn.Conv2d(1, 1, 3))
    assert _box(pooling, 9) == (8, 8)


@settles(
    "tp1-cnn-q7-padding-condition",
    verdict="holds_if",
    certainty="proved",
    condition="It is read as sufficient, and padding counts as seen: then the field is k x k and "
    "(2k - 1)^2 by stride 1 alone, whatever the padding. Of the pixels of the picture, with the "
    "p >= k - 1 that equally many passes need, unless it is at most k - p wide, p outputs at "
    "each border see fewer. Nor is it needed: without padding every output sees k x k, at any "
    "stride, and for (2k - 1)^2 only the first layer's stride matters.",
)
def test_stride_1_gives_the_receptive_field_and_equal_passes_have_no_part_in_it() -> None:
    """With padding seen, k and 2k - 1 hold for all paddings p and q of the two layers.

    Witnesses that equal passes are no reason: a kernel of 2 on 3 pixels.

    Unpadded, the pixels are passed 1, 2, 1 times and each output sees 2: the smallest case. Padded,
    they are passed twice each, and the first and last output see 1; so they do on a single pixel,
    the smallest case of that. The padding that keeps the size is unequal too.
    """
    k, p, q = z3.Ints("k p q")
    first = ReceptiveField(k, 1, -p)
    assert holds_always(first.then(ReceptiveField(k, 1, -q)).size == 2 * k - 1)
    assert holds_always(ReceptiveField(1, 1, 0).then(first).size == k)

    unpadded, padded = dependence([Layer(2)], 3), dependence([Layer(2, padding=1)], 3)
    assert _passes(unpadded, 3) == [1, 2, 1]
    assert unpadded == [{0, 1}, {1, 2}]
    assert _passes(padded, 3) == [2, 2, 2]
    assert padded == [{0}, {0, 1}, {1, 2}, {2}]
    assert _passes(dependence([Layer(2)], 2), 2) == [1, 1]
    assert dependence([Layer(2, padding=1)], 1) == [{0}, {0}]
    assert sum(len(seen) < 2 for seen in dependence([Layer(2, padding=3)], 6)) == 2 * 3
    assert _passes(dependence([Layer(3, padding=1)], 4), 4) == [2, 3, 3, 2]

    for cells, kernel, padding in product(range(1, 8), range(1, 6), range(6)):
        layer = Layer(kernel, padding=padding)
        if kernel <= cells + 2 * padding:
            seen = dependence([layer], cells)
            equal = len(set(_passes(seen, cells))) == 1
            assert equal == (padding >= kernel - 1 or cells + padding <= kernel)
            if padding == 0:
                assert {len(each) for each in seen} == {kernel}

    # Pixel i lies in the windows o with o <= i + p < o + k: k of them, unless the ends cut some.
    n, i = z3.Ints("n i")
    last_output = n + 2 * p - k
    uncut = z3.And(i + p - (k - 1) >= 0, i + p <= last_output)
    everywhere = z3.Implies(z3.And(k >= 1, p >= k - 1, i >= 0, i < n), uncut)
    assert holds_always(everywhere)

    def passes(pixel: z3.ArithRef | int) -> z3.ArithRef:
        last = z3.If(pixel + p <= last_output, pixel + p, last_output)
        return last - maximum(pixel + p - k + 1, 0) + 1

    fits = z3.And(n >= 1, k >= 1, p >= 0, last_output >= 0)
    alike = z3.And(n >= 2, passes(0) == passes(1))
    assert follows(z3.Or(p >= k - 1, n + p <= k), fits, alike)
    assert follows(passes(i) == last_output + 1, fits, n + p <= k, i >= 0, i < n)

    # Output o sees the whole kernel's width of pixels exactly if p <= o <= n + p - k.
    o = z3.Int("o")
    whole = z3.And(o - p >= 0, o - p + k <= n)
    assert follows(whole == z3.And(o >= p, last_output - o >= p), fits, o >= 0, o <= last_output)


@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
def test_depth_adds_and_pooling_multiplies(kernel: int) -> None:
    """L convolutions see 1 + L (k - 1) cells; with a halving after each, 1 + k (2^L - 1).

    Each step is proved for all k and jumps: a block of convolution and pooling adds (k - 1) j and
    then j, and doubles j. A global pooling of m cells at jump j adds (m - 1) j: all that is seen.
    """
    k, jump, size, m = sympy.symbols("k jump size m")
    before = ReceptiveField(size, jump, 0)
    block = before.then(ReceptiveField(k, 1, 0)).then(ReceptiveField(2, 2, 0))
    assert expanded(block)[:2] == [sympy.expand(size + k * jump), 2 * jump]
    doubled = 1 + k * (jump - 1) + k * jump  # the sum at jump = 2^L, and one block more
    assert sympy.expand(doubled - (1 + k * (2 * jump - 1))) == 0
    assert expanded(before.then(ReceptiveField(m, 1, 0)))[0] == sympy.expand(size + (m - 1) * jump)

    for depth in range(5):
        plain, pooled = [Layer(kernel)] * depth, [Layer(kernel), POOL] * depth
        assert receptive_field(plain).size == 1 + depth * (kernel - 1)
        assert receptive_field(pooled).size == 1 + kernel * (2**depth - 1)
    cells = output_size(32, Layer(kernel))
    assert receptive_field([Layer(kernel), Layer(cells)]).size == 32
    assert dependence([Layer(kernel), Layer(cells)], 32) == [set(range(32))]


def _box(module: nn.Module, side: int) -> tuple[int, int]:
    """Return height and width of what the middle output of a 2-D module sees of a picture."""
    for weights in module.parameters():
        nn.init.ones_(weights)
    image = torch.ones(1, 1, side, side, requires_grad=True)
    output = module(image)[0, 0]
    output[output.shape[0] // 2, output.shape[1] // 2].backward()
    assert image.grad is not None
    rows, columns = torch.nonzero(image.grad[0, 0], as_tuple=True)
    return int(rows.max() - rows.min()) + 1, int(columns.max() - columns.min()) + 1


def _passes(seen: list[set[int]], cells: int) -> list[int]:
    """Return how often each pixel is passed over: by how many outputs it is seen."""
    return [sum(cell in each for each in seen) for cell in range(cells)]
