"""Networks written from their papers, to audit; build them on the meta device to save memory.

Parameter counts are those that the papers or torchvision's model pages print; see
`test_audit_networks`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class Subsampling(nn.Module):
    """Sum of 2 x 2 cells, times one coefficient a map, plus one bias a map."""

    def __init__(self, maps: int) -> None:
        super().__init__()
        self.coefficient = nn.Parameter(torch.ones(maps, 1, 1))
        self.bias = nn.Parameter(torch.zeros(maps, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return what comes out of a batch of inputs."""
        return 4 * functional.avg_pool2d(x, 2) * self.coefficient + self.bias


class PartialConvolution(nn.Module):
    """A convolution in which every output map has its own choice of input maps."""

    def __init__(self, choices: list[list[int]], kernel: int) -> None:
        super().__init__()
        self.choices = choices
        self.maps = nn.ModuleList([nn.Conv2d(len(chosen), 1, kernel) for chosen in choices])

    def forward(self, x: Tensor) -> Tensor:
        """Return what comes out of a batch of inputs."""
        pairs = zip(self.choices, self.maps, strict=True)
        return torch.cat(
            [conv(torch.cat([x[:, i : i + 1] for i in maps], 1)) for maps, conv in pairs], 1
        )


class LeNet5(nn.Module):
    """LeNet-5 as printed: trainable subsampling, partly connected C3, fixed RBF outputs.

    LeCun, Bottou, Bengio, Haffner 1998, Gradient-based learning applied to document recognition,
    section II.B and table I.
    """

    def __init__(self) -> None:
        super().__init__()
        threes = [[(i + k) % 6 for k in range(3)] for i in range(6)]
        fours = [[(i + k) % 6 for k in range(4)] for i in range(6)]
        split = [[i, (i + 1) % 6, (i + 3) % 6, (i + 4) % 6] for i in range(3)]
        self.c1 = nn.Conv2d(1, 6, 5)
        self.s2 = Subsampling(6)
        self.c3 = PartialConvolution([*threes, *fours, *split, [*range(6)]], 5)
        self.s4 = Subsampling(16)
        self.c5 = nn.Conv2d(16, 120, 5)
        self.f6 = nn.Linear(120, 84)
        self.register_buffer("prototypes", torch.zeros(10, 84))

    def forward(self, x: Tensor) -> Tensor:
        """Return what comes out of a batch of inputs."""
        x = torch.sigmoid(self.s2(torch.tanh(self.c1(x))))
        x = torch.sigmoid(self.s4(torch.tanh(self.c3(x))))
        x = 1.7159 * torch.tanh(self.f6(torch.tanh(self.c5(x)).flatten(1)) * 2 / 3)
        return ((x[:, None] - self.prototypes) ** 2).sum(2)


class AlexNet(nn.Module):
    """AlexNet in one column: Krizhevsky 2014, One weird trick, as torchvision has it."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, 11, stride=4, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(64, 192, 5, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(192, 384, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(384, 256, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(256, 256, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2),
        )
        self.classifier = nn.Sequential(
            nn.AdaptiveAvgPool2d(6),
            nn.Flatten(),
            nn.Dropout(),
            nn.Linear(256 * 36, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(),
            nn.Linear(4096, 4096),
            nn.ReLU(inplace=True),
            nn.Linear(4096, 1000),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return what comes out of a batch of inputs."""
        return self.classifier(self.features(x))


class VGG16(nn.Module):
    """Configuration D of Simonyan and Zisserman 2015, Very deep convolutional networks."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for width, convolutions in [(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)]:
            for _ in range(convolutions):
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace=True)]
                channels = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Linear(512 * 49, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(),
            nn.Linear(4096, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(),
            nn.Linear(4096, 1000),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return what comes out of a batch of inputs."""
        return self.classifier(self.features(x).flatten(1))


def _conv_bn(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> list:
    conv = nn.Conv2d(
        inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False
    )
    return [conv, nn.BatchNorm2d(outputs)]


class Residual(nn.Module):
    """A body beside a shortcut, which is a 1 x 1 convolution where the shapes differ."""

    def __init__(self, body: nn.Module, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = body
        same = stride == 1 and inputs == outputs
        self.shortcut = (
            nn.Identity() if same else nn.Sequential(*_conv_bn(inputs, outputs, 1, stride))
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return what comes out of a batch of inputs."""
        return functional.relu(self.body(x) + self.shortcut(x))


class ResNet(nn.Module):
    """He, Zhang, Ren, Sun 2016, Deep residual learning, table 1; strides in the 3 x 3 layers."""

    def __init__(self, blocks: list[int], *, bottleneck: bool) -> None:
        super().__init__()
        layers: list[nn.Module] = [*_conv_bn(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
        channels = 64
        for stage, count in enumerate(blocks):
            width = 64 * 2**stage
            for block in range(count):
                stride = 2 if stage > 0 and block == 0 else 1
                outputs = 4 * width if bottleneck else width
                body = (self._bottleneck if bottleneck else self._basic)(channels, width, stride)
                layers.append(Residual(body, channels, outputs, stride))
                channels = outputs
        self.features = nn.Sequential(*layers)
        self.fc = nn.Linear(channels, 1000)

    @staticmethod
    def _basic(inputs: int, width: int, stride: int) -> nn.Module:
        first = _conv_bn(inputs, width, 3, stride)
        return nn.Sequential(*first, nn.ReLU(), *_conv_bn(width, width, 3))

    @staticmethod
    def _bottleneck(inputs: int, width: int, stride: int) -> nn.Module:
        layers = [*_conv_bn(inputs, width, 1), nn.ReLU(), *_conv_bn(width, width, 3, stride)]
        return nn.Sequential(*layers, nn.ReLU(), *_conv_bn(width, 4 * width, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return what comes out of a batch of inputs."""
        return self.fc(functional.adaptive_avg_pool2d(self.features(x), 1).flatten(1))


class InvertedResidual(nn.Module):
    """Expansion, depthwise convolution, linear bottleneck; a shortcut where the shapes agree."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        layers = [] if expansion == 1 else [*_conv_bn(inputs, wide, 1), nn.ReLU6()]
        layers += [*_conv_bn(wide, wide, 3, stride, groups=wide), nn.ReLU6()]
        self.body = nn.Sequential(*layers, *_conv_bn(wide, outputs, 1))
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Return what comes out of a batch of inputs."""
        return x + self.body(x) if self.residual else self.body(x)


class MobileNetV2(nn.Module):
    """Sandler, Howard, Zhu, Zhmoginov, Chen 2018, MobileNetV2, table 2."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [*_conv_bn(3, 32, 3, 2), nn.ReLU6()]
        channels = 32
        for expansion, width, count, stride in [
            (1, 16, 1, 1),
            (6, 24, 2, 2),
            (6, 32, 3, 2),
            (6, 64, 4, 2),
            (6, 96, 3, 1),
            (6, 160, 3, 2),
            (6, 320, 1, 1),
        ]:
            for block in range(count):
                step = stride if block == 0 else 1
                layers.append(InvertedResidual(channels, width, step, expansion))
                channels = width
        self.features = nn.Sequential(*layers, *_conv_bn(320, 1280, 1), nn.ReLU6())
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, 1000))

    def forward(self, x: Tensor) -> Tensor:
        """Return what comes out of a batch of inputs."""
        return self.classifier(self.features(x).mean((2, 3)))


def _two_convolutions(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3), nn.ReLU(), nn.Conv2d(outputs, outputs, 3), nn.ReLU()
    )


class UNet(nn.Module):
    """Ronneberger, Fischer, Brox 2015, U-Net, figure 1: no padding, cropped skips."""

    def __init__(self, width: int = 64, depth: int = 4) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(depth + 1)]
        self.down = nn.ModuleList(
            [_two_convolutions(a, b) for a, b in zip([1, *widths[:-1]], widths, strict=True)]
        )
        self.pool = nn.MaxPool2d(2)
        self.up = nn.ModuleList([nn.ConvTranspose2d(2 * w, w, 2, 2) for w in widths[-2::-1]])
        self.merge = nn.ModuleList([_two_convolutions(2 * w, w) for w in widths[-2::-1]])
        self.head = nn.Conv2d(width, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return what comes out of a batch of inputs."""
        skips = []
        for level, convolutions in enumerate(self.down):
            x = convolutions(self.pool(x) if level else x)
            skips.append(x)
        for up, merge, skip in zip(self.up, self.merge, skips[-2::-1], strict=True):
            x = up(x)
            top, left = ((skip.shape[d] - x.shape[d]) // 2 for d in (2, 3))
            crop = skip[:, :, top : top + x.shape[2], left : left + x.shape[3]]
            x = merge(torch.cat([crop, x], 1))
        return self.head(x)


class DenseBlock(nn.Module):
    """Each layer sees the maps of all before it: Huang, Liu, van der Maaten, Weinberger 2017."""

    def __init__(self, channels: int, layers: int, growth: int = 32) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.BatchNorm2d(channels + i * growth),
                nn.ReLU(),
                *_conv_bn(channels + i * growth, 4 * growth, 1),
                nn.ReLU(),
                nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False),
            )
            for i in range(layers)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return what comes out of a batch of inputs."""
        for layer in self.layers:
            x = torch.cat([x, layer(x)], 1)
        return x


class DenseNet121(nn.Module):
    """DenseNet-BC with growth 32: table 1 of the paper."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [*_conv_bn(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
        channels = 64
        for stage, count in enumerate([6, 12, 24, 16]):
            if stage:
                layers += [nn.BatchNorm2d(channels), nn.ReLU()]
                layers += [nn.Conv2d(channels, channels // 2, 1, bias=False), nn.AvgPool2d(2)]
                channels //= 2
            layers.append(DenseBlock(channels, count))
            channels += 32 * count
        self.features = nn.Sequential(*layers, nn.BatchNorm2d(channels), nn.ReLU())
        self.classifier = nn.Linear(channels, 1000)

    def forward(self, x: Tensor) -> Tensor:
        """Return what comes out of a batch of inputs."""
        return self.classifier(self.features(x).mean((2, 3)))
