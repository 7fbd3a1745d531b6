"""ResNet-18: for images of 224x224 pixels, and, with another stem, for small ones.

Its layers have torchvision's names, so that it can take the weights that torchvision distributes
(:mod:`experiments.networks.pretrained`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

if TYPE_CHECKING:
    from collections.abc import Iterator

Stem = Literal["7x7", "3x3"]

_BLOCKS_A_STAGE = 2


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with batch normalisation, added to their input.

    Where the block changes the size or the number of channels, a 1x1 convolution with batch
    normalisation does the same to the input.
    """

    def __init__(self, channels: int, filters: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, filters, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(filters)
        self.downsample = nn.Sequential()
        if stride != 1 or channels != filters:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels, filters, 1, stride, bias=False), nn.BatchNorm2d(filters)
            )

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n f h2 w2"]:
        """Return the maps after the last ReLU of the block."""
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.downsample(x))


class ResNet18(nn.Module):
    """A stem, four stages of two basic blocks, global average pooling, FC.

    The stages have 1, 2, 4 and 8 times ``filters`` channels, and all but the first halve the maps.

    Parameters
    ----------
    channels
        Channels of an image.
    filters
        Filters of the first convolution; 64 in the source.
    classes
        Number of scores.
    stem
        ``"7x7"``: a convolution of stride 2, then max-pooling of stride 2, which makes a quarter of
        224 pixels. ``"3x3"``: a convolution of stride 1 and no pooling, as usual for images of
        32x32.

    References
    ----------
    He, Zhang, Ren and Sun, "Deep residual learning for image recognition", 2015, table 1 (the
    stages and the stem of 7x7) and section 4.2 (the first convolution on CIFAR-10).
    """

    def __init__(self, channels: int, filters: int, classes: int, stem: Stem) -> None:
        super().__init__()
        kernel, stride = (7, 2) if stem == "7x7" else (3, 1)
        self.conv1 = nn.Conv2d(channels, filters, kernel, stride, kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(filters)
        self.pool = nn.MaxPool2d(3, 2, padding=1) if stem == "7x7" else nn.Sequential()
        self.layer1 = _stage(filters, filters, stride=1)
        self.layer2 = _stage(filters, 2 * filters, stride=2)
        self.layer3 = _stage(2 * filters, 4 * filters, stride=2)
        self.layer4 = _stage(4 * filters, 8 * filters, stride=2)
        self.fc = nn.Linear(8 * filters, classes)

    @property
    def blocks(self) -> Iterator[nn.Module]:
        """The basic blocks of all stages, first to last."""
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            yield from stage

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n classes"]:
        """Return the class scores (logits) of a batch."""
        maps = self.pool(F.relu(self.bn1(self.conv1(x))))
        for block in self.blocks:
            maps = block(maps)
        return self.fc(maps.mean((2, 3)))


def _stage(channels: int, filters: int, stride: int) -> nn.Sequential:
    later = (BasicBlock(filters, filters, 1) for _ in range(_BLOCKS_A_STAGE - 1))
    return nn.Sequential(BasicBlock(channels, filters, stride), *later)
