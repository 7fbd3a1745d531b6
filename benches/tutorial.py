"""The loop of PyTorch's CIFAR-10 tutorial: what one would write, and what engines are held against.

Images are fetched item by item through a DataLoader with two workers, from a data set that turns
bytes into a normalised float tensor; the step is eager float32 in the layout that comes by itself,
and the loss is read after each one.

Source: "Training a classifier", PyTorch's tutorials.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from itertools import chain, islice, pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.utils.data import DataLoader, Dataset, RandomSampler

from experiments.networks.layers import FlattenChannelsLast

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from jaxtyping import Float, Int64, UInt8

    from experiments.augmentation import Inputs


def tutorial_network(network: nn.Module) -> nn.Sequential:
    """Return the same function in the tutorial's order: ReLU, then pooling; channels first.

    Parameters
    ----------
    network
        As `experiments.networks.build` makes it, of layers in a row; its layers are used on.

    Raises
    ------
    ValueError
        If the network is no row of layers.
    """
    if not isinstance(network, nn.Sequential):
        raise ValueError(f"{type(network).__name__} is no row of layers: bench one that is")
    modules = list(network)
    for i, (layer, following) in enumerate(pairwise(modules)):
        if isinstance(layer, nn.MaxPool2d) and isinstance(following, nn.ReLU):
            modules[i], modules[i + 1] = following, layer
    maps = 0
    for i, layer in enumerate(modules):
        if isinstance(layer, nn.Conv2d):
            maps = layer.out_channels
        elif isinstance(layer, FlattenChannelsLast):
            _flatten_channels_first(modules[i + 1], maps)
            modules[i] = nn.Flatten()
    return nn.Sequential(*modules)


@torch.no_grad()
def _flatten_channels_first(layer: nn.Module, maps: int) -> None:
    """Reorder a layer's inputs from channels last to channels first."""
    assert isinstance(layer, nn.Linear)
    by_pixel = layer.weight.unflatten(1, (-1, maps))
    layer.weight.copy_(by_pixel.transpose(1, 2).flatten(1))


class TutorialImages(Dataset):
    """Items as the tutorial's transforms make them: bytes to [0, 1], then normalised.

    Parameters
    ----------
    images, labels
        All of them.
    inputs
        Which numbers the bytes become; without augmentation.
    """

    def __init__(
        self, images: UInt8[Tensor, "n c h w"], labels: Int64[Tensor, " n"], inputs: Inputs
    ) -> None:
        self._images = images.permute(0, 2, 3, 1).numpy()
        self._labels = labels.tolist()
        # (b / 255 - mean) / std is b * scale + shift
        scale = torch.as_tensor(inputs.scale, dtype=torch.float32)
        self._mean = -inputs.shift / (255 * scale)
        self._std = 1 / (255 * scale)

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> tuple[Float[Tensor, "c h w"], int]:
        image = torch.from_numpy(self._images[index]).permute(2, 0, 1).contiguous()
        image = image.float().div(255).sub_(self._mean).div_(self._std)
        return image, self._labels[index]


def tutorial_loader(images: TutorialImages, batch: int, *, shuffle: bool) -> DataLoader:
    """Return what fetches the images in batches; its workers stay up from epoch to epoch.

    After the shuffled images there is a batch more for each worker, to fetch while the last of the
    images are trained on.
    """
    generator = torch.Generator().manual_seed(0)
    samples = len(images) + loader_workers() * batch
    order = RandomSampler(images, num_samples=samples, generator=generator) if shuffle else None
    return DataLoader(
        images,
        batch_size=batch,
        sampler=order,
        generator=generator,
        num_workers=loader_workers(),
        persistent_workers=True,
    )


def loader_workers() -> int:
    """Two workers as in the tutorial, unless PyTorch would warn that there are fewer processors."""
    return min(2, os.cpu_count() or 1)


class TutorialLoop:
    """The tutorial's loop, a call of which trains on some batches.

    Parameters
    ----------
    network, optimizer
        What is trained, and how.
    loader
        Of batches of images and labels.
    batches
        How many of them a call trains on.
    device
        Where the network lies.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        loader: Iterable[tuple[Tensor, Tensor]],
        batches: int,
        device: str,
    ) -> None:
        self._network, self._optimizer, self._device = network, optimizer, device
        self._loader, self._batches = loader, batches
        self._coming: Iterator[tuple[Tensor, Tensor]] | None = None

    def __call__(self) -> float:
        """Train as the tutorial does and return the mean loss (nats) over the batches."""
        losses = []
        for images, labels in islice(self._coming or iter(self._loader), self._batches):
            self._optimizer.zero_grad()
            scores = self._network(images.to(self._device))
            loss = F.cross_entropy(scores, labels.to(self._device))
            loss.backward()
            self._optimizer.step()
            losses.append(loss.item())
        return sum(losses) / len(losses)

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """Let a call inside begin with its first batch there, as in the middle of an epoch.

        What the loader holds beyond is fetched at the end, and left.
        """
        rest = iter(self._loader)
        self._coming = chain([next(rest)], rest)
        yield
        self._coming = None
        for _ in rest:
            pass
