"""Training: how fast is an epoch of the 20-filter network, and which choice buys how much.

A slice of an epoch is timed: first with the loop of PyTorch's CIFAR-10 tutorial, which fetches item
by item through a DataLoader, then with `experiments.training.train_epoch`, one choice added at a
time. Every rung starts from the same weights, and has to reach the same loss on the same batches.

The time does not depend on the pixels: without ``CONVLAWS_DATA`` they are random. The DataLoader's
workers are up before the clock starts: an epoch pays for them once, and so would each slice.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.utils.data import DataLoader, Dataset
from torch.utils.flop_counter import FlopCounterMode

from experiments import catalog, datasets, networks
from experiments.training import train_epoch

if TYPE_CHECKING:
    from jaxtyping import Float, Int64, UInt8

    from benches.conftest import Measure, Probe

IMAGES = {"smoke": 64, "default": 4096, "full": 50_000}
"""The slice."""

ROUNDS = {"smoke": 1, "default": 3, "full": 3}

CHECKED_IMAGES = 64
CHECKED_RATE = 0.1
"""Two steps at a high learning rate: a wrong first step shows in the loss of the second."""

RECIPE = catalog.study("nni-2023-ex1").recipe("filters-20-lr-0.001", "sgd-momentum")


@dataclass(frozen=True)
class Rung:
    """What one rung of the ladder chooses; the first is the tutorial's loop.

    Parameters
    ----------
    resident
        All images lie on the device as one tensor of bytes; otherwise a DataLoader fetches them.
    channels_last
        Memory order of images and weights.
    pool_first
        Max-pooling comes before ReLU, which then has a quarter of the work, and maps are flattened
        in their memory order: `experiments.networks`.
    fused
        The optimiser updates all weights in one kernel.
    bfloat16
        The forward pass is autocast.
    """

    resident: bool = True
    channels_last: bool = True
    pool_first: bool = True
    fused: bool = True
    bfloat16: bool = False


TUTORIAL = Rung(resident=False, channels_last=False, pool_first=False, fused=False)
LADDER = {
    "tutorial loop": TUTORIAL,
    "resident bytes": (resident := replace(TUTORIAL, resident=True)),
    "+ channels last": (channels_last := replace(resident, channels_last=True)),
    "+ pool before ReLU": (pool_first := replace(channels_last, pool_first=True)),
    "+ fused optimiser": (fused := replace(pool_first, fused=True)),
    "+ bfloat16": replace(fused, bfloat16=True),
}


class TutorialNet(networks.TwoConv):
    """The same layers in the tutorial's order: ReLU, then pooling; channels flattened first."""

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n classes"]:
        """Return the class scores (logits) of a batch."""
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.fc(x.flatten(1))


class TutorialImages(Dataset):
    """Items as the tutorial's transforms make them: bytes to [0, 1], then to [-1, 1]."""

    def __init__(self, images: UInt8[Tensor, "n c h w"], labels: Int64[Tensor, " n"]) -> None:
        self._images = images.permute(0, 2, 3, 1).numpy()
        self._labels = labels.tolist()

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> tuple[Float[Tensor, "c h w"], int]:
        image = torch.from_numpy(self._images[index]).permute(2, 0, 1).contiguous()
        return image.float().div(255).sub_(0.5).div_(0.5), self._labels[index]


def tutorial_epoch(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Iterable[tuple[Tensor, Tensor]],
    device: str,
) -> float:
    """Train as the tutorial does and return the mean loss (nats) over the batches."""
    losses = []
    for images, labels in batches:
        optimizer.zero_grad()
        loss = F.cross_entropy(network(images.to(device)), labels.to(device))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return sum(losses) / len(losses)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("name", LADDER)
@pytest.mark.parametrize("device", ["cpu", "cuda"], indirect=True)
def test_training(
    name: str,
    device: str,
    scale: str,
    bfloat16_hardware: bool,
    probe: Callable[..., Probe],
    measure: Measure,
) -> None:
    rung = LADDER[name]
    if rung.bfloat16 and device == "cpu" and scale == "default" and not bfloat16_hardware:
        pytest.skip("this processor only emulates bfloat16, which is slow: run it with --full")
    images, labels, source = _slice(scale)
    _check(name, device, scale)

    epoch = _epoch(rung, device, images, labels)
    warm = probe(epoch, device)  # starts the DataLoader's workers, and fills caches
    measure(
        epoch,
        group=f"training, {device}",
        rounds=ROUNDS[scale],
        device=device,
        flops=_flops_per_image() * len(images),
        peak_memory_bytes=warm.peak_memory_bytes,
        bytes=images.nbytes + labels.nbytes,
        rung=name,
        images=len(images),
        batch=RECIPE.batch,
        loader_workers=0 if rung.resident else _workers(),
        source=source,
    )


def _epoch(
    rung: Rung,
    device: str,
    images: UInt8[Tensor, "n c h w"],
    labels: Int64[Tensor, " n"],
    *,
    lr: float = RECIPE.optimizer.lr,
    shuffle: bool = True,
) -> Callable[[], float]:
    """Return the call that trains on every image once and returns the mean loss (nats)."""
    network = _network(rung, device)
    optimizer = torch.optim.SGD(
        network.parameters(),
        lr=lr,
        momentum=RECIPE.optimizer.momentum,
        fused=rung.fused,
    )
    draws = torch.Generator().manual_seed(0)
    if not rung.resident:
        loader = DataLoader(
            TutorialImages(images, labels),
            batch_size=RECIPE.batch,
            shuffle=shuffle,
            generator=draws,
            num_workers=_workers(),
            persistent_workers=True,
        )
        return lambda: tutorial_epoch(network, optimizer, loader, device)

    pixels = images.to(device, memory_format=_memory_format(rung))
    targets = labels.to(device)
    recipe = replace(RECIPE, precision="bfloat16" if rung.bfloat16 else "float32")

    def epoch() -> float:
        n = len(targets)
        order = torch.randperm(n, generator=draws) if shuffle else torch.arange(n)
        return train_epoch(network, optimizer, pixels, targets, order.to(device), recipe)[0]

    return epoch


def _network(rung: Rung, device: str) -> nn.Module:
    """Return the network of a rung; at the start they all compute the same function."""
    architecture = networks.TwoConv if rung.pool_first else TutorialNet
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = architecture(channels=3, size=32, filters=RECIPE.filters, classes=10, kernel=5)
    if not rung.pool_first:
        _flatten_channels_first(network.fc, maps=network.conv2.out_channels)
    return network.to(device, memory_format=_memory_format(rung))


@torch.no_grad()
def _flatten_channels_first(layer: nn.Linear, maps: int) -> None:
    """Reorder a layer's inputs from channels last to channels first."""
    by_pixel = layer.weight.unflatten(1, (-1, maps))
    layer.weight.copy_(by_pixel.transpose(1, 2).flatten(1))


def _memory_format(rung: Rung) -> torch.memory_format:
    return torch.channels_last if rung.channels_last else torch.contiguous_format


def _workers() -> int:
    """Two workers as in the tutorial, unless PyTorch would warn that there are fewer processors."""
    return min(2, os.cpu_count() or 1)


@cache
def _slice(scale: str) -> tuple[UInt8[Tensor, "n 3 32 32"], Int64[Tensor, " n"], str]:
    """Return images and labels, channels last in memory, and where they come from."""
    n = IMAGES[scale]
    if os.environ.get(datasets.DATA_VARIABLE) and scale != "smoke":
        data = datasets.load("cifar10")
        return data.train_images[:n], data.train_labels[:n], "CIFAR-10"
    rng = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (n, 32, 32, 3), dtype=torch.uint8, generator=rng)
    labels = torch.randint(10, (n,), generator=rng)
    return pixels.permute(0, 3, 1, 2), labels, "random bytes"


def _check(name: str, device: str, scale: str) -> None:
    """Compare the mean loss of a few steps with that of the tutorial's loop."""
    expected = _mean_loss(TUTORIAL, device, scale)
    loss = _mean_loss(LADDER[name], device, scale)
    tolerance = _tolerance(LADDER[name], device) * expected
    assert abs(loss - expected) <= tolerance, (
        f"{name!r} reaches a mean loss of {loss:.7f}, the tutorial's loop {expected:.7f}: rounding "
        f"explains a difference of {tolerance:.1g}"
    )


@cache
def _mean_loss(rung: Rung, device: str, scale: str) -> float:
    images, labels, _ = _slice(scale)
    images, labels = images[:CHECKED_IMAGES], labels[:CHECKED_IMAGES]
    return _epoch(rung, device, images, labels, lr=CHECKED_RATE, shuffle=False)()


def _tolerance(rung: Rung, device: str) -> float:
    """Return by how much, relatively, rounding may set two mean losses apart.

    Rounding errors that behave as independent ones grow with the square root of their number
    (Higham and Mary, SIAM J. Sci. Comput. 41, 2019; the guaranteed bound, their number itself times
    the sums of absolute values, would let a wrong network pass). A score goes through sums of 75,
    500 and 1,500 products in float32. Where the hardware rounds factors to a shorter format, each
    of three layers adds three such roundings: input, weight, output. Both losses may err.
    """
    products = 3 * 5**2 + 20 * 5**2 + 60 * 5**2
    relative = math.sqrt(products) * torch.finfo(torch.float32).eps / 2
    if rung.bfloat16:
        relative += math.sqrt(3 * 3) * torch.finfo(torch.bfloat16).eps / 2
    elif device == "cuda":
        relative += math.sqrt(3 * 3) * 2**-11  # TF32, cuDNN's default
    return 2 * relative


@cache
def _flops_per_image() -> int:
    """Floating-point operations, forward and backward, of convolutions and products."""
    network = _network(LADDER["+ fused optimiser"], "cpu")
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, 32, 32)).sum().backward()
    return counter.get_total_flops()
