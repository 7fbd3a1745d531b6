"""A race of a few steps: its settings, images that can be told apart, and made-up results."""

from __future__ import annotations

from dataclasses import replace

import torch

from experiments import speed
from experiments.datasets import Dataset
from experiments.speed.settings import Settings

UNIT = torch.finfo(torch.float64).eps / 2
"""Unit roundoff."""

TINY = Settings(
    epochs=3, batch=32, components=6, widths=(8, 16), pooled=(True, True), small=0.25,
    rate=0.15, bias_rate=0.04, head_rate=0.4, precision="float32",
)  # fmt: skip


def pictures(count, side=16, channels=3, seed=0):
    """Make images with the long-range correlations that whitening is for."""
    rng = torch.Generator().manual_seed(seed)
    smooth = torch.rand(count, channels, side // 4, side // 4, generator=rng)
    rough = torch.rand(count, channels, side, side, generator=rng)
    large = torch.nn.functional.interpolate(smooth, size=(side, side), mode="bilinear")
    return (255 * (0.8 * large + 0.2 * rough)).to(torch.uint8)


def patterns(count, seed):
    """Make images of two classes, which a look at the upper and the lower half tells apart."""
    images = pictures(count, seed=seed)
    labels = torch.randint(2, (count,), generator=torch.Generator().manual_seed(seed))
    images[labels == 0, :, :8] //= 2
    images[labels == 1, :, 8:] //= 2
    return images.contiguous(memory_format=torch.channels_last), labels


def dataset(train=256, test=128):
    """Return training and test images of two classes."""
    return Dataset("patterns", *patterns(train, 0), *patterns(test, 1), 2, fingerprint="made up")


DATA = dataset()
TRAIN_SET = DATA.train_images, DATA.train_labels


def run(settings=TINY, seed=0, data=DATA, **options):
    """Race on those images."""
    return speed.race(settings, seed, data, **options)


def made_up(accuracy, seed=0, **changes):
    """Return the result of a run that never happened."""
    made = speed.Result(
        TINY, seed, "test", "cpu", "made up", dict.fromkeys(speed.VIEWS, accuracy), 2.0,
        {"training_seconds": 1.0 + seed, "hardware": "made up", "threads": 1},
    )  # fmt: skip
    return replace(made, **changes)
