"""A run of the race: from bytes in memory to trained weights against the clock, then the test.

The clock runs from the making of the stem to the last step. It does not run while the data set is
read from disk, nor while the network is tested. On CUDA two steps of another network come before it
starts: the first run of a process would pay for loading libraries and kernels. The CPU's are loaded
with PyTorch.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, get_args

import torch
from torch.nn import functional as F  # noqa: N812

from experiments.device import autocast, check_device, full_precision, reproducible, seeded
from experiments.errors import InputError
from experiments.provenance import provenance
from experiments.sampling import random_stream, stream_seed
from experiments.speed.inputs import Pixels, channel_means, halved
from experiments.speed.muon import Muon
from experiments.speed.network import RaceNet, whitening_filters
from experiments.speed.results import Result, Split
from experiments.speed.schedule import appearances, triangle
from experiments.speed.views import accuracies

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Float, UInt8
    from torch import Tensor, nn

    from experiments.datasets import Dataset
    from experiments.sampling import LabelledImages
    from experiments.speed.settings import Settings

VALIDATION_SHARE = 0.1
"""Share of the training images that is held out where settings are chosen."""

_SAMPLE = 500
"""Images that mean and stem are taken from: more than 100,000 patches for 48 numbers each."""


def race(
    settings: Settings,
    seed: int,
    data: Dataset,
    *,
    split: Split = "test",
    device: str = "cpu",
    threads: int | None = None,
    on_step: Callable[[int, int], None] | None = None,
) -> Result:
    """Train once against the clock, and measure.

    Random numbers are drawn on the CPU, from streams of the seed that runs on the validation split
    do not share, and convolutions are computed deterministically: the same settings, seed, split,
    device and number of threads give the same accuracies.

    Parameters
    ----------
    settings, seed
        What to run.
    data
        Where the images come from.
    split
        ``"test"`` trains on all training images and measures on the test images;
        ``"validation"`` does both on parts of the training images, for choosing settings.
    device
        ``"cpu"`` or ``"cuda"``.
    threads
        CPU threads of this process; None leaves PyTorch's setting.
    on_step
        Called after each step with its number, from 1, and that of all steps.

    Raises
    ------
    InputError
        If the device is not available, the split unknown, or the epochs do not fill a batch.
    """
    check_device(device)
    import torch._dynamo  # else the first optimiser does, on the clock

    train_set, judged = (
        (images.to(device), labels.to(device)) for images, labels in parts(data, split)
    )
    started = time.perf_counter()
    with reproducible(threads):
        if device == "cuda":
            _warm_up(settings, train_set, data.classes)
            torch.cuda.reset_peak_memory_stats()
        clock = _Clock(device)
        network, mean = train(settings, train_set, data.classes, f"{split}/{seed}", on_step)
        seconds, processor_seconds = clock.read()
        return Result(
            settings=settings,
            seed=seed,
            split=split,
            device=device,
            dataset_fingerprint=data.fingerprint,
            accuracy=accuracies(network, *judged, mean),
            processor_seconds=round(processor_seconds, 3),
            provenance=provenance(device, time.perf_counter() - started, seconds),
        )


def parts(data: Dataset, split: Split) -> tuple[LabelledImages, LabelledImages]:
    """Return the images to train on and those to measure on, each with their labels.

    Which training images are held out for validation is the same for all seeds and settings, so
    that these are compared on the same images.

    Raises
    ------
    InputError
        If there is no such split.
    """
    if split not in get_args(Split):
        raise InputError(f"split {split!r} is unknown; known: {', '.join(get_args(Split))}")
    images, labels = data.train_images, data.train_labels
    if split == "test":
        return (images, labels), (data.test_images, data.test_labels)
    generator = random_stream(0, "race/validation")
    order = torch.randperm(len(labels), generator=generator)
    held_out, kept = order.tensor_split([int(VALIDATION_SHARE * len(order))])
    return (images[kept], labels[kept]), (images[held_out], labels[held_out])


def train(
    settings: Settings,
    train_set: LabelledImages,
    classes: int,
    streams: str,
    on_step: Callable[[int, int], None] | None = None,
) -> tuple[RaceNet, Float[Tensor, " c"]]:
    """Return the trained network, and the mean byte of each channel that its inputs are less.

    Parameters
    ----------
    settings
        The recipe.
    train_set
        Bytes and labels, on the device to train on.
    classes
        Number of classes.
    streams
        Names the run: runs of one name draw the same random numbers.
    on_step
        As in :func:`race`.

    Raises
    ------
    InputError
        As :func:`race`.
    """
    images, labels = train_set
    count = len(labels)
    steps = int(settings.epochs * count) // settings.batch
    if not steps:
        raise InputError(
            f"{settings.epochs:g} epochs of {count} images do not fill one batch of "
            f"{settings.batch}; take more epochs, or a smaller batch"
        )
    small_steps = round(settings.small * steps)
    mean = channel_means(images[:_SAMPLE])
    network = _initialised(settings, images, mean, classes, streams)
    optimisers = _optimisers(settings, network)
    peaks = [[group["lr"] for group in each.param_groups] for each in optimisers]
    pixels = Pixels(images, mean)
    order, mirrored = appearances(count, settings.epochs, streams)
    batches = zip(order.split(settings.batch), mirrored.split(settings.batch), strict=True)
    for step, (indices, hands) in zip(range(steps), batches, strict=False):
        upright, turned = (
            indices[which].to(images.device, non_blocking=True) for which in (~hands, hands)
        )
        batch = pixels.batch(upright, turned)
        target = labels[torch.cat([upright, turned])]
        with autocast(settings.precision, images.device):
            scores = network(halved(batch) if step < small_steps else batch)
        loss = F.cross_entropy(full_precision(scores), target, label_smoothing=settings.smoothing)
        network.zero_grad(set_to_none=True)
        loss.backward()
        factor = triangle((step + 0.5) / steps, settings.peak)
        for optimiser, rates in zip(optimisers, peaks, strict=True):
            for group, rate in zip(optimiser.param_groups, rates, strict=True):
                group["lr"] = rate * factor
            optimiser.step()
        if on_step is not None:
            on_step(step + 1, steps)
    return network, mean


def _warm_up(settings: Settings, train_set: LabelledImages, classes: int) -> None:
    """Take two steps, one with images of each size if both come, and keep nothing of them."""
    both = 0 < settings.small < 1
    epochs = (2 * settings.batch + 0.5) / len(train_set[1])  # the half is for what division rounds
    brief = replace(settings, epochs=epochs, small=0.5 if both else settings.small)
    train(brief, train_set, classes, "warm-up")


class _Clock:
    """Seconds since it was made: of the wall, and of all threads of this process."""

    def __init__(self, device: str) -> None:
        self._device = device
        self._started = self._now()

    def read(self) -> tuple[float, float]:
        wall, processor = self._now()
        return wall - self._started[0], processor - self._started[1]

    def _now(self) -> tuple[float, float]:
        if self._device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter(), time.process_time()


def _initialised(
    settings: Settings,
    images: UInt8[Tensor, "n c h w"],
    mean: Float[Tensor, " c"],
    classes: int,
    streams: str,
) -> RaceNet:
    stem: int | Tensor = settings.components
    if settings.whitened:
        sample = images[:_SAMPLE].float() - mean[:, None, None]
        stem = whitening_filters(sample, settings.components)
    with seeded(stream_seed(0, f"race/{streams}/init")):
        network = RaceNet(stem, images.shape[1], settings.widths, settings.pooled, classes)
    return network.to(images.device, memory_format=torch.channels_last)  # type: ignore[call-overload]


def _optimisers(settings: Settings, network: nn.Module) -> list[torch.optim.Optimizer]:
    """Return what trains the convolutions, and what trains the rest."""
    trained = [weight for weight in network.parameters() if weight.requires_grad]
    banks, heads, biases = ([w for w in trained if w.ndim == ndim] for ndim in (4, 2, 1))
    rest = torch.optim.SGD(
        [{"params": biases, "lr": settings.bias_rate}, {"params": heads, "lr": settings.head_rate}],
        momentum=settings.head_momentum,
        nesterov=True,
        fused=True,
    )
    if settings.optimiser == "muon":
        return [Muon(banks, settings.rate, settings.momentum), rest]
    return [
        torch.optim.SGD(banks, settings.rate, settings.momentum, nesterov=True, fused=True),
        rest,
    ]
