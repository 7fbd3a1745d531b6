"""Networks of affine layers as one affine map: equal to their layers, in fewer operations."""

from __future__ import annotations

import pytest
import torch
from torch import nn

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


@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
def test_the_map_gives_the_scores_and_gradients_of_the_layers(line: str) -> None:
    network = _built(line)
    x = torch.randn(6, *IMAGE, dtype=torch.float64)
    weights = torch.randn(6, 4, dtype=torch.float64)
    results = []
    for scores in (network(x), network.layer_by_layer(x)):
        gradients = torch.autograd.grad((scores * weights).sum(), list(network.parameters()))
        results.append([scores, *gradients])
    # No sum on the way has more terms than there are weights and pixels: gamma_k for so many,
    # times a bound on what is summed.
    terms = sum(p.numel() for p in network.parameters()) + x.numel()
    for whole, layered in zip(*results, strict=True):
        bound = terms * torch.finfo(torch.float64).eps * layered.abs().max()
        assert (whole - layered).abs().max() <= bound


@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
def test_every_weight_and_bias_has_its_part_in_the_map(line: str) -> None:
    """A layer that was passed over, or its bias, would be seen: the layers notice its change."""
    network = _built(line)
    x = torch.randn(1, *IMAGE, dtype=torch.float64)
    for weight in network.parameters():
        before = network(x)
        with torch.no_grad():
            weight += torch.randn_like(weight)
        change = network(x) - before
        assert change.abs().max() > 1e-3
        assert torch.allclose(network(x), network.layer_by_layer(x))


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
