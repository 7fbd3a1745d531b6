"""Convolution of small maps in bfloat16, whose weight gradient sees images side by side.

A processor's bfloat16 kernel for the gradient of the weights runs along the rows of a map, which
may have as few as four or eight pixels. The gradient is a sum over images, so it does not care
which image a pixel belongs to: laid side by side, with columns of zeros between them so that none
sees its neighbour, many small images are a few wide ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

TOGETHER = 16
"""Images that are laid side by side."""

_WIDEST = 8
"""Pixels in a row up to which it is faster."""


class SmallMapConv2d(nn.Conv2d):
    """A 3x3 convolution that keeps the size, without bias; computes what `torch.nn.Conv2d` does."""

    def __init__(self, channels: int, filters: int) -> None:
        super().__init__(channels, filters, 3, padding=1, bias=False)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n filters h w"]:
        """Return the cross-correlation of ``x`` with each filter."""
        slow = (
            x.dtype == torch.bfloat16
            and x.device.type == "cpu"
            and x.shape[3] <= _WIDEST
            and len(x) % TOGETHER == 0
        )
        if not slow or not torch.is_grad_enabled():
            return super().forward(x)
        convolved: Tensor = _Convolution.apply(x, self.weight.to(x.dtype))
        return convolved


class _Convolution(torch.autograd.Function):
    """The convolution, and its gradients by hand."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.conv2d(x, weight, padding=1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None]:
        (gradient,) = gradients
        x, weight = ctx.saved_tensors
        of_x = of_weight = None
        if ctx.needs_input_grad[0]:
            of_x = _backward(gradient, x, weight, (True, False, False))[0]
        if ctx.needs_input_grad[1]:
            wide = side_by_side(gradient, 1), side_by_side(x, 1)
            of_weight = _backward(*wide, weight, (False, True, False))[1]
        return of_x, of_weight


def _backward(
    gradient: Tensor, x: Tensor, weight: Tensor, which: tuple[bool, bool, bool]
) -> tuple[Tensor, Tensor, Tensor]:
    return torch.ops.aten.convolution_backward(
        gradient, x, weight, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, which
    )


def side_by_side(maps: Float[Tensor, "n c h w"], gap: int) -> Float[Tensor, "rows c h columns"]:
    """Return the maps in rows of `TOGETHER`, each with ``gap`` columns of zeros to its right.

    Both are channels last in memory.
    """
    n, c, h, w = maps.shape
    rows = maps.new_zeros(n // TOGETHER, h, TOGETHER, w + gap, c)
    images = maps.permute(0, 2, 3, 1).reshape(-1, TOGETHER, h, w, c)
    rows[:, :, :, :w] = images.transpose(1, 2)
    return rows.flatten(2, 3).permute(0, 3, 1, 2)
