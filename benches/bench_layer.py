"""Convolution layers: how many operations a second do their forward and backward passes reach.

One call is the forward and backward pass of every convolution of a network, one after another, at
the recipe's batch, and nothing else: what a training step could reach if all but its convolutions
were free. As in training, the first layer has no gradient of its input. Operations are counted as
those of direct convolution, products with the zeros of a padding included.

Entries are small integers. Results of a smaller batch are held against float64: of sums that are
exact but for their rounding to the precision, none may be further off than two such roundings of
the sum of absolute products. On a GPU cuDNN may convolve by transforms, which round what sums do
not; there the exact integer has at least to be the nearest one.
"""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d
from torch.utils.flop_counter import FlopCounterMode

from benches import workload
from benches.pace import FEWEST_ROUNDS
from benches.probe import probe
from benches.turns import Replay, Timed, take_turns
from benches.workload import engine_network, training_images

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benches.conftest import Measure

NETWORKS = {name: recipe for name, recipe in workload.NETWORKS.items() if name != "batch-norm"}
"""The one with BatchNorm has the convolutions of assignment-3."""

WAYS = {
    f"{precision}, {order}": (getattr(torch, precision), memory_format)
    for precision in ("float32", "bfloat16")
    for order, memory_format in (
        ("contiguous", torch.contiguous_format),
        ("channels last", torch.channels_last),
    )
}

ROUNDS = {"smoke": 1, "default": FEWEST_ROUNDS, "full": 20}
CHECKED_BATCH = 4
NEAREST = 0.49
"""A result that is off by no more is nearest to the right integer."""

CLOCK = Replay()

Layer = tuple[Tensor, Tensor, Tensor, tuple[int, ...]]
"""Input, weight, gradient of the output, and padding."""


@pytest.mark.benchmark(timer=CLOCK)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("device", ["cpu", "cuda"], indirect=True)
def test_layer(
    network: str, way: str, device: str, scale: str, bfloat16_hardware: bool, measure: Measure
) -> None:
    ways = tuple(
        name
        for name, (dtype, _) in WAYS.items()
        if dtype == torch.float32 or device == "cuda" or scale == "smoke" or bfloat16_hardware
    )
    if way not in ways:
        pytest.skip("this processor only emulates bfloat16: that is no ceiling")
    assert (fault := _fault(network, way, device)) is None, fault
    timed = _timed(network, ways, device, scale)[way]
    precision, order = way.split(", ")
    batch = CHECKED_BATCH if scale == "smoke" else NETWORKS[network].batch
    measure(
        CLOCK.replayed(timed.seconds),
        group=f"layer, {network}, {device}",
        rounds=len(timed.seconds),
        device=device,
        flops=_flops(network, batch),
        peak_memory_bytes=timed.peak_memory_bytes,
        bytes=_bytes(_layers(network, way, device, batch)),
        network=network,
        precision=precision,
        order=order,
        batch=batch,
    )


def _bytes(layers: Sequence[Layer]) -> int:
    """Return those of what goes in and out forward, and of the gradients that come back."""
    forward = sum(each.nbytes for x, weight, y, _ in layers for each in (x, weight, y))
    return forward + sum(x.nbytes * x.requires_grad + weight.nbytes for x, weight, *_ in layers)


@cache
def _timed(network: str, ways: tuple[str, ...], device: str, scale: str) -> dict[str, Timed]:
    """Time the ways in turns."""
    batch = CHECKED_BATCH if scale == "smoke" else NETWORKS[network].batch
    calls = {way: partial(passes, _layers(network, way, device, batch)) for way in ways}
    warm = {way: probe(call, device) for way, call in calls.items()}
    seconds = take_turns(calls, rounds=ROUNDS[scale], device=device)
    return {way: Timed(seconds[way], warm[way].peak_memory_bytes) for way in ways}


def passes(layers: Sequence[Layer]) -> list[Tensor]:
    """Return outputs and gradients of each layer, those of the first without that of its input."""
    found = []
    for images, weight, gradient, padding in layers:
        output = conv2d(images, weight, padding=padding)
        asked = [each for each in (images, weight) if each.requires_grad]
        found += [output.detach(), *torch.autograd.grad(output, asked, gradient)]
    return found


def _flops(network: str, batch: int) -> int:
    layers = _layers(network, "float32, contiguous", "cpu", batch)
    with FlopCounterMode(display=False) as counter:
        passes(layers)
    return counter.get_total_flops()


def _layers(network: str, way: str, device: str, batch: int) -> list[Layer]:
    """Return the convolutions of a network with random integers for their entries."""
    dtype, memory_format = WAYS[way]
    layers: list[Layer] = []
    draws = torch.Generator().manual_seed(0)

    def drawn(shape: Sequence[int]) -> Tensor:
        integers = torch.randint(-2, 3, tuple(shape), generator=draws)
        return integers.to(device, dtype).contiguous(memory_format=memory_format)

    def keep(module: nn.Conv2d, inputs: tuple[Tensor], output: Tensor) -> None:
        images = drawn((batch, *inputs[0].shape[1:])).requires_grad_(bool(layers))
        weight = drawn(module.weight.shape).requires_grad_()
        assert isinstance(module.padding, tuple)
        layers.append((images, weight, drawn((batch, *output.shape[1:])), module.padding))

    model = engine_network(network)
    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    hooks = [module.register_forward_hook(keep) for module in convolutions]
    with torch.no_grad():
        model(training_images(NETWORKS[network], 1, real=False)[0].float())
    for hook in hooks:
        hook.remove()
    return layers


@cache
def _fault(network: str, way: str, device: str) -> str | None:
    """Hold each result of a few images against float64."""
    layers = _layers(network, way, device, CHECKED_BATCH)
    exact = passes(_converted(layers, Tensor.double))
    sizes = passes(_converted(layers, lambda tensor: tensor.double().abs()))
    unit = torch.finfo(WAYS[way][0]).eps / 2
    for got, true, size in zip(passes(layers), exact, sizes, strict=True):
        off = (got.double() - true).abs()
        if not (off <= _explained(size, unit, device)).all():  # NaN is no small difference
            share = float((off / size.clamp(min=1)).max())
            return (
                f"{way} is off by {share:.2g} of the sum of absolute products on {network}: "
                f"rounding explains {2 * unit:.2g}"
            )
    return None


def _explained(size: Tensor, unit: float, device: str) -> Tensor:
    """Return by how much results may be off, given the sums of absolute products."""
    two_roundings = 2 * unit * size.clamp(min=1)
    return two_roundings if device == "cpu" else two_roundings.clamp(min=NEAREST)


def _converted(layers: Sequence[Layer], to: Callable[[Tensor], Tensor]) -> list[Layer]:
    return [
        (
            to(images.detach()).requires_grad_(images.requires_grad),
            to(weight.detach()).requires_grad_(),
            to(gradient),
            padding,
        )
        for images, weight, gradient, padding in layers
    ]
