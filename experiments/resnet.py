"""ResNet-18 for small images: its stem neither strides nor pools."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

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
        self.shortcut = nn.Sequential()
        if stride != 1 or channels != filters:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels, filters, 1, stride, bias=False), nn.BatchNorm2d(filters)
            )

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n f h2 w2"]:
        """Return the maps after the last ReLU of the block."""
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class ResNet18(nn.Module):
    """A 3x3 convolution, four stages of two basic blocks, global average pooling, FC.

    The stages have 1, 2, 4 and 8 times ``filters`` channels, and all but the first halve the maps.
    On large images the first convolution is 7x7 with stride 2, before pooling; here, as usual for
    images of 32x32, it is 3x3 with stride 1 and nothing is pooled.

    Parameters
    ----------
    channels
        Channels of an image.
    filters
        Filters of the first convolution; 64 in the source.
    classes
        Number of scores.

    References
    ----------
    He, Zhang, Ren and Sun, "Deep residual learning for image recognition", 2015, table 1 (the
    stages) and section 4.2 (the first convolution on CIFAR-10).
    """

    def __init__(self, channels: int, filters: int, classes: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, filters, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(filters)
        blocks: list[nn.Module] = []
        width = filters
        for stage in range(4):
            for block in range(_BLOCKS_A_STAGE):
                stride = 2 if stage > 0 and block == 0 else 1
                blocks.append(BasicBlock(width, filters * 2**stage, stride))
                width = filters * 2**stage
        self.stages = nn.Sequential(*blocks)
        self.fc = nn.Linear(width, classes)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n classes"]:
        """Return the class scores (logits) of a batch."""
        maps = self.stages(F.relu(self.bn(self.conv(x))))
        return self.fc(maps.mean((2, 3)))
