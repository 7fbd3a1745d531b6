"""Networks of affine layers as one affine map: equal to their layers, in fewer operations."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from experiments import networks
from experiments.networks.affine import Affine, back_through, is_affine

IMAGE = (3, 10, 10)
LINES = {
    "one layer": "fc4",
    "features": "fc7 fc4",
    "no padding": "conv5k3valid conv6k4valid fc4",
    "averages": "conv5k3 avg2 conv6k5 avg2 fc4",
    "averages that leave pixels over": "avg3 conv6k3 avg2 fc4",
    "a skip": "conv5k3 skip(conv5k3 conv5k3) fc4",
    "a skip with a projection": "skip(conv5k3 conv6k3) avg2 fc4",
    "a skip in a skip": "skip(conv4k3 skip(conv5k3)) fc4",
}
NOT_AFFINE = ("relu", "elu", "bn", "drop0.5", "max2", "skip(conv3k3 relu)")


def _built(line: str) -> Affine:
    torch.manual_seed(0)
    network = networks.build(line, IMAGE, None, 4).double()
    assert isinstance(network, Affine)
    return network


def _results(
    network: Affine, scores: Callable[[Tensor], Tensor], x: Tensor, slopes: Tensor
) -> list[Tensor]:
    """Return the scores, and the gradients of their sum with these slopes for all weights."""
    given = scores(x)
    return [given, *torch.autograd.grad((given * slopes).sum(), list(network.parameters()))]


def _bounds(network: Affine, x: Tensor, slopes: Tensor) -> list[Tensor]:
    """Bound how far the results of the map may be from those of the layers.

    Both add up products of the same weights, pixels and slopes, and the layers of the absolute
    values add up the magnitudes of these. On the way forward a product is rounded at most as often
    as there are weights and pixels, and as often on the way back: no sum has more terms from one
    layer than that has weights, or from one map than there are pixels. So are the magnitudes.
    """
    magnitudes = copy.deepcopy(network)
    with torch.no_grad():
        for weight in magnitudes.parameters():
            weight.abs_()
    roundings = 2 * (sum(weight.numel() for weight in network.parameters()) + x.numel())
    growth = math.expm1(2 * roundings * torch.finfo(torch.float64).eps / 2)
    sums = _results(magnitudes, magnitudes.layer_by_layer, x.abs(), slopes.abs())
    return [2 * growth * each for each in sums]  # for the map and for the layers


@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
def test_the_map_gives_the_scores_and_gradients_of_the_layers(line: str) -> None:
    network = _built(line)
    x = torch.randn(6, *IMAGE, dtype=torch.float64)
    slopes = torch.randn(6, 4, dtype=torch.float64)
    whole, layered = (
        _results(network, scores, x, slopes) for scores in (network, network.layer_by_layer)
    )
    for one, other, bound in zip(whole, layered, _bounds(network, x, slopes), strict=True):
        assert ((one - other).abs() <= bound).all()


@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
def test_every_weight_and_bias_has_its_part_in_the_map(line: str) -> None:
    """A layer that was passed over, or its bias, would be seen: the layers notice its change."""
    network = _built(line)
    x = torch.randn(1, *IMAGE, dtype=torch.float64)
    for weight in network.parameters():
        before = network(x)
        with torch.no_grad():
            weight += torch.randn_like(weight)
        bound = _bounds(network, x, torch.ones(1, 4, dtype=torch.float64))[0]
        assert ((network(x) - before).abs() > bound).any()
        assert ((network(x) - network.layer_by_layer(x)).abs() <= bound).all()


def test_no_layer_sees_the_batch() -> None:
    """What is saved: the rows of the map go through the layers, not the images."""
    network = _built("skip(conv5k3 conv6k3) avg2 fc4")
    for layer in network.modules():
        if layer is not network:
            layer.register_forward_hook(lambda *_: pytest.fail("a layer was called"))
    network(torch.randn(6, *IMAGE, dtype=torch.float64))


@pytest.mark.parametrize("layer", NOT_AFFINE)
def test_one_layer_that_is_not_affine_keeps_a_network_as_it_is(layer: str) -> None:
    network = networks.build(f"conv3k3 {layer} fc4", IMAGE, None, 4)
    assert type(network) is nn.Sequential


def test_a_layer_of_another_kind_is_named() -> None:
    assert not is_affine([nn.ReLU()])
    with pytest.raises(TypeError, match="ReLU is not known to be affine"):
        back_through(nn.ReLU(), torch.eye(4), torch.zeros(4))


def test_a_network_keeps_the_names_of_its_weights() -> None:
    """Weights that were saved from the layers fit the map."""
    network = _built("skip(conv5k3 conv6k3) avg2 fc4")
    layers = nn.Sequential(*network)
    assert list(network.state_dict()) == list(layers.state_dict())
