"""Chapter 5, shared weights: what two positions, or two digits, learn from each other.

A shared weight takes part in the equations of every position. So one example may settle a
convolution where a fully connected layer needs as many as it has inputs, if the target is a
convolution at all. Sharing the weights of two halves of an image makes them alike as far as
neither half sees the other.

What passing does not prove: how much natural images profit. The examples are in general position
and free of noise, and the layers are linear except in the digit network.
"""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import nn
from torch.nn.functional import conv1d

from theory.geometry import Layer, receptive_field
from theory.independence import independent_parameters
from theory.ledger import claims, settles
from theory.parameters import conv_parameters, linear_parameters

META = torch.device("meta")  # allocates shapes only


def _integers(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-99, 100, shape, generator=generator).double()


class _Unshared(nn.Module):
    """A one-dimensional cross-correlation with a kernel of its own at each position."""

    def __init__(self, cells: int, taps: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(cells - taps + 1, taps).double())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (self.weight * x.unfold(-1, self.weight.shape[1], 1)).sum(-1)


@settles(
    "tp1-cnn-q2-weight-sharing",
    verdict="holds_if",
    certainty="sampled",
    condition="The dependency is the same at every position (the target is a cross-correlation): "
    "then one example in general position may settle its k weights if it has k outputs "
    "(n >= 2k - 1), where k examples settle those of an unshared layer and n a fully connected "
    "one's. Shared weights alone cannot learn a dependency that is tied to its position, unless "
    "padding shows where the border is.",
)
@pytest.mark.parametrize(("cells", "taps"), [(4, 2), (5, 3), (6, 2), (7, 4)])
def test_sharing_multiplies_the_equations_for_each_weight(cells: int, taps: int) -> None:
    """Independent equations among those of 1, 2, ... examples, until all weights are settled.

    With n >= 2k - 1 an example has k outputs or more, each an equation for the same k weights.
    """
    layers = {
        "shared": (nn.Conv1d(1, 1, taps, bias=False), taps, 1),
        "unshared": (_Unshared(cells, taps), (cells - taps + 1) * taps, taps),
        "dense": (
            nn.Linear(cells, cells - taps + 1, bias=False),
            cells * (cells - taps + 1),
            cells,
        ),
    }
    assert cells >= 2 * taps - 1
    for layer, weights, examples in layers.values():
        module = layer.double()
        ranks = [
            independent_parameters(module, _integers(n, 1, cells)) for n in range(1, examples + 2)
        ]
        outputs = cells - taps + 1
        assert ranks == [min(weights, n * outputs) for n in range(1, examples + 2)]
        assert ranks.index(weights) + 1 == examples


@settles("tp1-cnn-q2-weight-sharing", verdict="holds_if", certainty="sampled")
def test_what_is_learned_at_one_position_holds_at_all_with_shared_weights_only() -> None:
    """A step on a pattern at the left: the shared layer answers the pattern at the right alike.

    The fully connected layer, at the right, still says what it said before. But it can learn to
    answer the pattern at the left and not at the right, for which the shared layer has no weights.
    """
    left, right = torch.tensor([[1.0, 2, 0, 0, 0, 0], [0, 0, 0, 0, 1, 2]]).double().view(2, 1, 6)
    conv, dense = nn.Conv1d(1, 1, 2, bias=False).double(), nn.Linear(6, 5, bias=False).double()
    for layer in (conv, dense):
        layer.weight.data.zero_()
        loss = (layer(left)[0, 0] - 5).square() / 2
        (gradient,) = torch.autograd.grad(loss, layer.weight)
        layer.weight.data -= gradient / 4

    assert conv(left)[0, 0] == conv(right)[0, 4] == 6.25
    assert dense(left)[0, 0] == 6.25
    assert dense(right).tolist() == [[0] * 5]
    for weights in product((-1, 0, 1), repeat=2):
        kernel = torch.tensor(weights).double().view(1, 1, 2)
        assert conv1d(left, kernel)[0, 0] == conv1d(right, kernel)[0, 4]


@settles("tp1-cnn-q2-weight-sharing", verdict="holds_if", certainty="sampled")
@pytest.mark.parametrize("padding", [0, 1])
def test_padding_with_zeros_lets_shared_weights_tell_the_border(padding: int) -> None:
    """Two layers answer the pattern (1, 2) with 1 at the left border and with 0 anywhere else.

    The first has a channel that scores the pattern and one that is 1 everywhere. The second takes
    from the score what the other channel says to the left of it: 0 only where zeros pad.
    """
    score, one = torch.tensor([[0.0, 1, 2], [0, 0, 0]]), torch.tensor([-4.0, 1])
    less_neighbour = torch.tensor([[[0.0, 1, 0], [-1, 0, 0]]])

    def answers(at: int) -> list[float]:
        x = torch.zeros(1, 1, 9)
        x[..., at : at + 2] = torch.tensor([1.0, 2])
        scores = conv1d(x, score[:, None], one, padding=padding).relu()
        return conv1d(scores, less_neighbour, padding=padding).relu().flatten().tolist()

    assert answers(0)[0] == padding
    assert not any(any(answers(at)) for at in range(1, 8))


class _DigitSum(nn.Module):
    """The network for the sum of two digits, one above the other (mnist-2017-q5-network)."""

    def __init__(self, padding: int, widths: tuple[int, int] = (32, 64), half: int = 1024) -> None:
        super().__init__()
        first, second = widths
        self.features = nn.Sequential(
            nn.Conv2d(1, first, 5, padding=padding),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(first, second, 5, padding=padding),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        rows, columns = self.features(torch.zeros(1, 1, 56, 28)).shape[2:]
        self.shared = nn.Linear(second * (rows // 2) * columns, half)
        self.sums = nn.Linear(2 * half, 19)

    def halves(self, x: torch.Tensor) -> torch.Tensor:
        """Return what the shared layer says of the upper and of the lower half of the map."""
        upper, lower = self.features(x).chunk(2, 2)
        return torch.stack([self.shared(half.flatten(1)) for half in (upper, lower)], 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.sums(self.halves(x).flatten(1))


@settles(
    "mnist-2017-q5-network",
    verdict="holds_if",
    certainty="exhausted",
    condition="The convolutions pad so that the map has an even number of rows: of equal paddings "
    "below the kernel's side, 1 or 2 (at 2, 14 rows of 7 pixels; unpadded there are 11, which have "
    "no halves), and each half is mapped to 1024 values. At padding 2 the network has 3303315 "
    "parameters.",
)
def test_the_digit_network_needs_two_equal_halves() -> None:
    """Paddings up to 4 (a fifth row of zeros would be seen by no pixel); then the network runs."""
    printed = {"input": [56, 28], "hidden": 2048, "outputs": 19}
    assert claims()["mnist-2017-q5-network"].reported == printed
    runs = {}
    for padding in range(5):
        network = _DigitSum(padding, (1, 1), 3)
        rows = network.features(torch.zeros(1, 1, 56, 28)).shape[2]
        runs[padding] = rows
        if rows % 2:
            with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
                network(torch.zeros(1, 1, 56, 28))
        else:
            assert network(torch.zeros(1, 1, 56, 28)).shape == (1, 19)
    assert runs == {0: 11, 1: 12, 2: 14, 3: 15, 4: 17}

    network = _DigitSum(2)
    assert network.halves(torch.zeros(1, 1, 56, 28)).flatten(1).shape == (1, 2048)
    count = sum(parameter.numel() for parameter in network.parameters())
    convolutions = conv_parameters(1, 32, 5) + conv_parameters(32, 64, 5)
    shared = linear_parameters(7 * 7 * 64, 1024)
    assert convolutions + shared + linear_parameters(2048, 19) == count == 3_303_315


@settles("mnist-2017-q5-19-outputs", verdict="holds", certainty="exhausted")
def test_two_digits_have_nineteen_sums() -> None:
    """0 to 18, every one of them; a target in each place that a sum can name."""
    sums = {a + b for a, b in product(range(10), repeat=2)}
    assert sums == set(range(19))
    assert [len(sums)] == claims()["mnist-2017-q5-19-outputs"].reported


@settles(
    "mnist-2017-q5-shared-processing",
    verdict="holds_if",
    certainty="sampled",
    condition="Read of the weights up to the vector of 2048, or of two separate 28x28 images. In "
    "one 56x28 image at padding 2, only the middle 3 of each half's 7 rows process a digit alike "
    "in both places: the outer 2 see padding, the inner 2 the other digit. The last layer has "
    "weights of its own for each half.",
)
def test_swapping_the_digits_swaps_the_middle_rows_only() -> None:
    """With integer weights, so exactly; the padded rows follow from the receptive field.

    A row of the map sees 16 rows of the image, from 6 before 4 times its index on.
    """
    network = _DigitSum(2, (2, 3), 4).double()
    for seed, parameter in enumerate(network.parameters()):
        parameter.data = _integers(*parameter.shape, seed=seed)
    first, second = _integers(2, 1, 1, 28, 28, seed=9)
    a, b = (network.features(torch.cat(pair, 2)) for pair in ((first, second), (second, first)))

    upper, lower = a[..., :7, :], b[..., 7:, :]  # the first digit, above and below
    alike = [row for row in range(7) if torch.equal(upper[..., row, :], lower[..., row, :])]
    conv, pool = Layer(5, padding=2), Layer(2, stride=2)
    field = receptive_field([conv, pool, conv, pool])
    inside = [row for row in range(7) if set(field.window(row)) <= set(range(28))]
    assert alike == inside == [2, 3, 4]

    changed = network.features(torch.cat((first, second + 1), 2))
    sees_other = [row for row in range(7) if not torch.equal(changed[..., row, :], a[..., row, :])]
    assert sees_other == [5, 6]

    vectors = [network.shared(network.features(digit).flatten(1)) for digit in (first, second)]
    answers = [network.sums(torch.cat(pair, 1)) for pair in (vectors, vectors[::-1])]
    assert not torch.equal(*answers)
    network.sums.weight.data = network.sums.weight[:, :4].repeat(1, 2)
    assert torch.equal(*(network.sums(torch.cat(pair, 1)) for pair in (vectors, vectors[::-1])))
