"""Several views of a test image, whose scores are averaged: training is over, they cost it nothing.

Training saw every image in both hands, so the network can judge both; a shift by one pixel, half
of the stem's stride, shows it patches that it would otherwise not see.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F  # noqa: N812

if TYPE_CHECKING:
    from jaxtyping import Float, Int64, UInt8
    from torch import Tensor, nn

VIEWS = {1: ((0, 0),), 2: ((0, 0),), 6: ((0, 0), (-1, -1), (1, 1))}
"""Shifts (down, right) by number of views; all but the single view are seen in both hands."""

_BATCH = 500


@torch.no_grad()
def accuracies(
    network: nn.Module,
    images: UInt8[Tensor, "n c h w"],
    labels: Int64[Tensor, " n"],
    mean: Float[Tensor, " c"],
) -> dict[int, float]:
    """Return the accuracy, in [0, 1], for each number of views.

    Parameters
    ----------
    network
        Takes images less their mean; put into evaluation mode.
    images, labels
        What to judge by.
    mean
        Mean byte of each channel, over the sample of training images that the stem is made from.
    """
    network.eval()
    correct = dict.fromkeys(VIEWS, 0)
    for part, truth in zip(images.split(_BATCH), labels.split(_BATCH), strict=True):
        scores = _scores(network, part.float() - mean[:, None, None])
        for views, shifts in VIEWS.items():
            hands = (False,) if views == 1 else (False, True)
            seen = torch.stack([scores[shift, hand] for shift in shifts for hand in hands])
            correct[views] += int((seen.mean(0).argmax(1) == truth).sum())
    return {views: count / len(labels) for views, count in correct.items()}


def _scores(
    network: nn.Module, x: Float[Tensor, "n c h w"]
) -> dict[tuple[tuple[int, int], bool], Tensor]:
    """Return the scores by shift and hand."""
    height, width = x.shape[2:]
    framed = F.pad(x, (1, 1, 1, 1), "reflect")
    scores = {}
    for down, right in VIEWS[6]:
        shifted = framed[:, :, 1 - down :, 1 - right :][:, :, :height, :width]
        for hand in (False, True):
            view = shifted.flip(3) if hand else shifted
            scores[(down, right), hand] = network(
                view.contiguous(memory_format=torch.channels_last)
            )
    return scores
