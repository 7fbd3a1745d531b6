"""Chapter 4, sizes through a network: which images fit, and how deep they let it be.

The law of one layer, applied layer after layer. Convolutions and poolings take any image that their
windows fit; each halving costs a factor two, so the number of halvings is bounded by the image, and
the number of convolutions only if each has to bring a halving, or a row to take off.

What passing does not prove: the laws are proved for all integers, by z3; which networks of the
reports fit depends on kernels and paddings that the reports do not print, and that are tried here.
"""

from __future__ import annotations

from itertools import product

import pytest
import torch
import z3
from torch import nn

from theory.geometry import Layer, map_sizes
from theory.ledger import claims, settles
from theory.solver import follows

n, k, p, s, q, r = z3.Ints("n k p s q r")
room = n + 2 * p - k
# Every undilated layer whose window fits; its output has q + 1 cells.
fits = z3.And(n >= 1, k >= 1, p >= 0, s >= 1, room == s * q + r, r >= 0, r < s, q >= 0)
HALVING = Layer(2, stride=2)


@settles("tp1-cnn-q4-image-size", verdict="holds", certainty="proved")
def test_a_larger_image_fits_all_layers_but_the_fully_connected_one() -> None:
    """A window that fits n cells fits more, at no fewer positions; a matrix fits one size only.

    Images may grow as far as the strides round off: 35 like 32 here. Averaged to one cell, each
    channel has the same size for any image, and the fully connected layer fits again.
    """
    more, q_more, r_more = z3.Ints("more q_more r_more")
    grown = room + more == s * q_more + r_more
    assert follows(q_more >= q, fits, more >= 0, grown, r_more >= 0, r_more < s)

    body = nn.Sequential(*(nn.Sequential(nn.Conv2d(1, 1, 5, padding=2), nn.MaxPool2d(2)),) * 3)
    head = nn.Linear(4 * 4, 10)
    fitting = []
    for side in range(32, 66):
        features = body(torch.zeros(1, 1, side, side))
        assert features.shape[-1] == side // 8
        try:
            head(features.flatten(1))
            fitting.append(side)
        except RuntimeError:
            assert nn.Linear(1, 10)(features.mean((2, 3))).shape == (1, 10)
    assert fitting == list(range(32, 40))


def _alternating(side: int, convolution: Layer) -> int:
    """Return how many convolutions fit into an image, each followed by a halving."""
    count = 0
    while True:
        try:
            (_, side) = map_sizes(side, [convolution, HALVING])
        except ValueError:
            return count
        count += 1


@settles(
    "nn4i-2023-a1-q1c-depth-limit",
    verdict="refuted",
    certainty="refuted",
    correction="32 = 2^5 can be halved five times: five convolutions that keep the size, each "
    "followed by a pooling, end with one pixel. Four is the limit if each convolution takes one "
    "row (2x2, unpadded), three for 3x3 and two for 5x5 unpadded; nothing limits those that "
    "enlarge the map.",
)
def test_an_image_of_32_takes_five_convolutions_with_halvings() -> None:
    """Five by floor(n / 2): 32, 16, 8, 4, 2, 1; then no window of two cells fits.

    The witness runs on torch. Only the rows that a convolution takes, k - 1 - 2p, matter.
    """
    limits = {side: _alternating(32, Layer(side)) for side in range(1, 6)}
    assert limits == {1: 5, 2: 4, 3: 3, 4: 3, 5: 2}
    assert claims()["nn4i-2023-a1-q1c-depth-limit"].reported == [limits[2]]
    assert all(_alternating(32, Layer(2 * half + 1, 1, half)) == 5 for half in range(4))
    assert map_sizes(1, [Layer(2, padding=1), HALVING]) == [2, 1]  # and so on, for ever

    x = torch.zeros(1, 1, 32, 32)
    for _ in range(5):
        x = nn.MaxPool2d(2)(nn.Conv2d(1, 1, 3, padding=1)(x).relu())
    assert x.shape == (1, 1, 1, 1)
    with pytest.raises(RuntimeError, match="too small"):
        nn.MaxPool2d(2)(x)


@settles(
    "nn4i-2023-a1-q1c-nine-layers",
    verdict="holds_if",
    certainty="exhausted",
    condition="'Layers' are convolution layers (ten with the output layer). Equal convolutions may "
    "each take at most one row off the map, 3x3 and larger ones by being padded: nine unpadded 3x3 "
    "convolutions with three halvings do not fit into 32x32, though three of them in the first "
    "block do.",
)
def test_three_blocks_of_three_are_nine_padded_convolutions() -> None:
    """Every network of the grid: the deepest has nine, and what they may take off follows."""
    grid = list(product((1, 2, 3), (1, 3)))
    assert claims()["nn4i-2023-a1-q1c-grid"].reported == {
        "network_depth": sorted({blocks for blocks, _ in grid}),
        "block_depth": sorted({convolutions for _, convolutions in grid}),
        "runs": len(grid),
    }
    deepest = max(blocks * convolutions for blocks, convolutions in grid)
    assert [deepest] == claims()["nn4i-2023-a1-q1c-nine-layers"].reported

    def network(convolution: Layer) -> list[Layer]:
        return [*(convolution,) * 3, HALVING] * 3

    assert map_sizes(32, network(Layer(3, padding=1)))[3::4] == [16, 8, 4]
    assert map_sizes(32, network(Layer(2)))[3::4] == [14, 5, 1]
    for convolution in (Layer(3), Layer(5), Layer(5, padding=1)):
        with pytest.raises(ValueError, match="does not fit"):
            map_sizes(32, network(convolution))
    unpadded_first = [*[Layer(3)] * 3, HALVING, *[*[Layer(3, padding=1)] * 3, HALVING] * 2]
    assert map_sizes(32, unpadded_first)[-1] == 3


@settles("tp1-cnn-q3-pool-dimension", verdict="holds_if", certainty="proved")
def test_when_pooling_lowers_the_number_of_cells() -> None:
    """Exactly if 2p < (k - 1) + (s - 1)(n - 1), undilated: unpadded with k > 1 or s > 1, if n > 1.

    A pooling of window 3 and stride 1, padded by 1, keeps the size; window 2 padded by 1 adds one.
    """
    lowers = q + 1 < n
    assert follows(lowers == (2 * p < (k - 1) + (s - 1) * (n - 1)), fits)
    assert follows(lowers, fits, p == 0, k > 1)
    assert follows(lowers == z3.Or(k > 1, s > 1), fits, p == 0, n > 1)

    sizes = {side: nn.MaxPool1d(side, 1, 1)(torch.zeros(1, 5)).shape[-1] for side in (2, 3)}
    assert sizes == {2: 6, 3: 5}
    assert map_sizes(32, [HALVING] * 5) == [16, 8, 4, 2, 1]
