"""The network of the race: a stem that whitens patches and is never trained, then a few filters.

In the first layer of a trained network one finds edges and colour blobs: what the statistics of
small patches already hold. So the stem takes them from there, before the first step. Whitened
inputs have no direction in which the loss is much steeper than in others, and the first layer needs
neither gradient nor optimiser.

Sources: Coates and Ng, "Learning feature representations with k-means", in *Neural Networks: Tricks
of the Trade* (2012), for whitened patches; LeCun, Bottou, Orr and Müller, "Efficient BackProp"
(1998), for why decorrelated inputs train faster; Ioffe and Szegedy (2015) for batch normalisation.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from experiments.errors import InputError
from experiments.speed.side_by_side import SmallMapConv2d

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float
    from torch import Tensor

PATCH, STRIDE = 4, 2
"""Side of the stem's patches, and their distance: 32x32 pixels become 16x16."""

FLOOR = 1e-3 * 62**2
"""Added to each variance (in levels² of a byte, about 62 being the deviation of a pixel): the last
components are mostly noise, which whitening would blow up to the size of the rest."""


def patches(images: Float[Tensor, "n c h w"]) -> Float[Tensor, "m taps"]:
    """Return every patch of all images as a row, laid out as the weights of a filter are."""
    columns = F.unfold(images.contiguous(), PATCH, stride=STRIDE)
    return columns.mT.reshape(-1, columns.shape[1])


def whitening_filters(
    images: Float[Tensor, "n c h w"], components: int, floor: float = FLOOR
) -> Float[Tensor, "k c side side"]:
    """Return filters whose outputs on patches of the images are uncorrelated and of one size.

    The k-th filter is the k-th principal component of the patches, divided by the square root of
    its variance λ plus ``floor``: the second moments of its outputs are 0 off the diagonal and
    λ / (λ + floor) on it.

    Parameters
    ----------
    images
        A sample, of mean zero.
    components
        How many components to keep, those of greatest variance first.
    floor
        What is added to each variance.

    Raises
    ------
    InputError
        If a patch has fewer components, or one of them is constant and there is no floor.
    """
    rows = patches(images).double()
    if not 1 <= components <= rows.shape[1]:
        raise InputError(
            f"{components} components were asked for, but a patch of {PATCH}x{PATCH} pixels and "
            f"{images.shape[1]} channels has 1 to {rows.shape[1]}"
        )
    variances, axes = torch.linalg.eigh(rows.mT @ rows / len(rows))
    variances, axes = variances.flip(0)[:components], axes.mT.flip(0)[:components]
    if not bool((variances + floor > 0).all()):
        raise InputError(
            "some component of the patches is constant and cannot be brought to variance 1; "
            "give fewer components, or a floor"
        )
    # An eigenvector's sign is arbitrary and may differ between libraries: its sum is made positive.
    axes = axes * torch.where(axes.sum(1) < 0, -1.0, 1.0)[:, None]
    filters = axes / (variances + floor).sqrt()[:, None]
    return filters.view(components, images.shape[1], PATCH, PATCH).to(images.dtype)


class RaceNet(nn.Module):
    """Stem – ReLU – (convolution – [max-pool] – batch normalisation – ReLU)… – mean – linear.

    The first convolution has 2x2 kernels, which cost less than half of 3x3 where the maps are
    largest, and look at patches that overlap; the others have 3x3 kernels.

    Parameters
    ----------
    stem
        Filters as `whitening_filters` gives them, which are not trained. Each is used with both
        signs, so that the ReLU behind them drops nothing. An integer: so many components in a
        convolution that is trained and normalised like the others.
    channels
        Channels of an image.
    widths
        Filters of each convolution.
    pooled
        Whether max-pooling follows, for each convolution.
    classes
        Number of scores.
    """

    def __init__(
        self,
        stem: Float[Tensor, "k c side side"] | int,
        channels: int,
        widths: Sequence[int],
        pooled: Sequence[bool],
        classes: int,
    ) -> None:
        super().__init__()
        trained = isinstance(stem, int)
        filters = 2 * (stem if isinstance(stem, int) else len(stem))
        # So much padding that the 2x2 convolution leaves half of the pixels of an image.
        self.stem = nn.Conv2d(channels, filters, PATCH, STRIDE, padding=PATCH // 2, bias=False)
        self.stem_norm = _bias_norm(filters) if trained else nn.Identity()
        if not isinstance(stem, int):
            self.stem.weight.data = torch.cat([stem, -stem])
            self.stem.requires_grad_(False)
        self.convolutions = nn.ModuleList()
        for before, width in pairwise((filters, *widths)):
            if not self.convolutions:
                self.convolutions.append(nn.Conv2d(before, width, 2, bias=False))
            else:
                self.convolutions.append(SmallMapConv2d(before, width))
        self.norms = nn.ModuleList(_bias_norm(width) for width in widths)
        self.pooled = tuple(pooled)
        self.head = nn.Linear(widths[-1], classes)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n classes"]:
        """Return the class scores (logits) of images of mean zero."""
        x = F.relu_(self.stem_norm(self.stem(x)))
        for convolution, norm, pooled in zip(
            self.convolutions, self.norms, self.pooled, strict=True
        ):
            x = convolution(x)
            if pooled:  # first of the three: the other two then have a quarter of the work
                x = F.max_pool2d(x, 2)
            x = F.relu_(norm(x))
        return self.head(x.mean((2, 3)))


def _bias_norm(channels: int) -> nn.BatchNorm2d:
    """Return batch normalisation that trains its bias only.

    A positive factor passes the ReLU behind it, and the next convolution, itself normalised, can
    undo it.
    """
    norm = nn.BatchNorm2d(channels)
    norm.weight.requires_grad_(False)
    return norm
