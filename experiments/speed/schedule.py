"""When which image is seen, in which hand, and at which rate."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from experiments.sampling import random_stream

if TYPE_CHECKING:
    from jaxtyping import Bool, Int64
    from torch import Tensor


def triangle(progress: float, peak: float) -> float:
    """Return a height that grows from 0 to 1 at ``peak`` and shrinks to 0 again.

    Parameters
    ----------
    progress
        Share of the way, in [0, 1].
    peak
        Where the height is 1, in [0, 1].
    """
    return progress / peak if progress < peak else (1 - progress) / (1 - peak)


def appearances(
    count: int, epochs: float, streams: str
) -> tuple[Int64[Tensor, " m"], Bool[Tensor, " m"]]:
    """Return which image is seen when, and whether it is mirrored then.

    A coin decides for each image about its hand in the first epoch, and from then on it changes
    hands every epoch: two epochs show it in both, which two coins would not promise.

    Parameters
    ----------
    count
        Number of images.
    epochs
        Passes over them; a part of one is filled up.
    streams
        Names the run: runs of one name draw the same random numbers.
    """
    generator = random_stream(0, f"race/{streams}/order")
    coins = torch.randint(2, (count,), generator=generator)
    orders = [torch.randperm(count, generator=generator) for _ in range(math.ceil(epochs))]
    hands = [(coins[order] + epoch) % 2 == 1 for epoch, order in enumerate(orders)]
    return torch.cat(orders), torch.cat(hands)
