"""Chapter 7, pictures of filters: what first and last maps can show, whatever the picture was.

The figures that two claims describe are lost and their network is not named, so the claims stay
undecided. What can be computed is what their words rest on: which kernels keep a flat area and
which only edges, how much of the image one cell of the last map depends on, and how many cells
there are.

What passing does not prove: which filters a trained network has, or what a person sees in a map.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from theory.ledger import settles


@settles(
    "assignment-3-4b-first-filters",
    verdict="undecided",
    condition="The maps are lost. It is true of kernels of both kinds: those whose weights sum to "
    "0 in each channel are blind to flat areas of any colour and show edges, upright or lying ones "
    "alone if in addition each row or each column, but not both, sums to 0; those with another sum "
    "show shape and background. Had all filters one kind, it would be false.",
)
def test_the_sum_of_a_kernel_decides_between_detail_and_background() -> None:
    """Cross-correlation of flat areas and of a step with an edge kernel and with a mean, exactly.

    A flat area of value v gives v times the sum of the weights. The edge kernel answers an upright
    step and not a lying one, its transpose the other way round; where rows and columns sum to 0,
    neither is seen. Weights that cancel between two channels show a flat area of one colour.
    """
    edge = torch.tensor([[-1.0, 0, 1]] * 3)
    mean = torch.ones(3, 3)
    flat, upright = torch.full((8, 8), 5.0), (torch.arange(8) > 3).float().expand(8, 8)

    def shown(image: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
        return functional.conv2d(image[None, None], kernel[None, None])[0, 0]

    for kernel in (edge, mean, edge + mean):
        assert (shown(flat, kernel) == 5 * kernel.sum()).all()
    assert shown(flat, edge).abs().max() == 0 < shown(flat, mean).min()
    for image, kernel in ((upright, edge), (upright.T, edge.T)):
        assert shown(image, kernel).abs().max() == 3
        assert shown(image, kernel.T).abs().max() == 0
        assert 0 < int((shown(image, kernel) != 0).sum()) < 36  # at the step only
        assert (shown(image, mean) != 0).sum() > (shown(image, kernel) != 0).sum()

    both = torch.tensor([[1.0, -1], [-1, 1]])
    assert shown(upright, both).abs().max() == shown(upright.T, both).abs().max() == 0
    red_against_green = functional.conv2d(
        torch.stack([flat, 0 * flat])[None], torch.stack([mean, -mean])[None]
    )
    assert (red_against_green == 5 * mean.sum()).all()


class _Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 1, 3, stride, 1, bias=False)
        self.second = nn.Conv2d(1, 1, 3, 1, 1, bias=False)
        self.shortcut = nn.Conv2d(1, 1, 1, stride, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.first(x)) + self.shortcut(x)


def _last_maps() -> nn.Sequential:
    """Return the convolutions of an 18-layer ResNet with one channel and all weights 1.

    An average pool stands for the maximum and there is no ReLU: dependence is then seen at once,
    for positive weights cannot cancel.
    """
    blocks = [_Block(stride) for stride in (1, 1, 2, 1, 2, 1, 2, 1)]
    network = nn.Sequential(
        nn.Conv2d(1, 1, 7, 2, 3, bias=False), nn.AvgPool2d(3, 2, 1), *blocks
    ).double()
    for parameter in network.parameters():
        nn.init.ones_(parameter)
    return network


@settles(
    "assignment-3-4c-last-filters",
    verdict="undecided",
    condition="The maps are lost and the depth is not stated. Read as 'no visible detail is left', "
    "it is true: the last maps of a ResNet have 7x7 cells for 224x224 pixels, and one depends on a "
    "window of 435 pixels already with 18 layers. Read as 'little information is left', it is "
    "false: a move of the input still moves the map, and the classes are read from it.",
)
def test_a_cell_of_the_last_map_sees_the_whole_image() -> None:
    """The gradient of the middle cell: every pixel of 224x224, and 435 of a larger image's side.

    49 cells stand for 50176 pixels, whatever the number of channels.
    """
    network = _last_maps()
    for side, seen in ((224, 224), (832, 435)):
        image = torch.zeros(1, 1, side, side, dtype=torch.float64, requires_grad=True)
        maps = network(image)
        middle = maps.shape[-1] // 2
        maps[0, 0, middle, middle].backward()
        assert maps.shape[-1] == side // 32
        assert image.grad is not None
        assert int((image.grad[0, 0] != 0).any(0).sum()) == seen


@settles("assignment-3-4c-last-filters", verdict="undecided")
@pytest.mark.parametrize("cells", [1, 2])
def test_the_last_map_still_tells_where(cells: int) -> None:
    """Moving a dot by 32 pixels moves the last map by one cell, far from the border of the image.

    Weights are 1 and the pool divides by 9, so with a dot of 9 everything is an integer.
    """
    network = _last_maps()
    maps = []
    for by in (0, cells):
        image = torch.zeros(1, 1, 1024, 1024, dtype=torch.float64)
        image[..., 480, 480 + 32 * by] = 9
        with torch.no_grad():
            maps.append(network(image)[0, 0])
    assert torch.equal(maps[0].roll(cells, 1), maps[1])
    assert not torch.equal(*maps)
