"""The race to an accuracy as benches take its steps: recipes, images, and what a step costs."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING

import torch
from torch.utils.flop_counter import FlopCounterMode

from experiments import speed

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Int64, UInt8
    from torch import Tensor

FULL_SIZE = replace(speed.WHOLE, small=0.0)
HALF_SIZE = replace(speed.WHOLE, small=1.0)
"""The recipe, with all images of one size."""


@cache
def race_images(n: int, device: str) -> tuple[UInt8[Tensor, "n c h w"], Int64[Tensor, " n"]]:
    """Return random bytes of the race's shape, channels last in memory, and labels."""
    rng = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (n, 32, 32, 3), dtype=torch.uint8, generator=rng)
    labels = torch.randint(10, (n,), generator=rng)
    return pixels.to(device).permute(0, 3, 1, 2), labels.to(device)


@cache
def flops_of_step(settings: speed.Settings) -> int:
    """Floating-point operations of a step, forward and backward, of convolutions and products."""
    one, two = (counted(partial(_steps, settings, epochs)) for epochs in (1, 2))
    return two - one  # without what comes before the first step


def counted(call: Callable[[], object]) -> int:
    """Return the floating-point operations of a call."""
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()


def _steps(settings: speed.Settings, epochs: int) -> None:
    # in float32, where no zeros are laid between images
    settings = replace(settings, epochs=epochs, precision="float32")
    speed.train(settings, race_images(settings.batch, "cpu"), 10, "bench")
