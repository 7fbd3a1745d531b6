"""Networks: parameter counts, and the shortcuts against the definitions."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F  # noqa: N812

from experiments import networks
from experiments.errors import InputError

_CIFAR = (3, 32, 32)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def _built(name: str, filters: int, shape=_CIFAR) -> torch.nn.Module:
    return networks.build(name, shape, filters, 10).double()


@pytest.mark.parametrize(
    ("name", "filters", "parameters"),
    [
        ("two-conv", 3, 3_172),
        ("two-conv", 20, 46_590),
        ("linear-two-conv", 20, 1_520 + 30_060 + 24 * 24 * 60 * 10 + 10),
        ("conv-fc", 20, 1_520 + 28 * 28 * 20 * 10 + 10),
        ("conv-gap", 20, 1_520 + 20 * 10 + 10),
        ("resnet-18", 64, 11_173_962),
        ("resnet-18-7x7", 64, 11_173_962 + (7 * 7 - 3 * 3) * 3 * 64),
    ],
)
def test_parameter_counts_on_cifar10(name, filters, parameters):
    assert sum(p.numel() for p in _built(name, filters).parameters()) == parameters


def test_pooling_before_relu_is_relu_before_pooling():
    network = _built("two-conv", 3)
    x = torch.randn(4, *_CIFAR, dtype=torch.float64)
    conv1, conv2, fc = (layer for layer in network if list(layer.parameters()))
    y = F.max_pool2d(F.relu(conv1(x)), 2)
    y = F.max_pool2d(F.relu(conv2(y)), 2)
    y = fc(y.permute(0, 2, 3, 1).flatten(1))
    assert torch.equal(network(x), y)


def test_the_collapsed_linear_network_is_the_layered_one():
    """Scores and every gradient agree to the roundoff of their sums."""
    network = _built("linear-two-conv", 6)
    x = torch.randn(4, *_CIFAR, dtype=torch.float64)
    weights = torch.randn(4, 10, dtype=torch.float64)
    results = []
    for scores in (network(x), network.layer_by_layer(x)):
        gradients = torch.autograd.grad((scores * weights).sum(), list(network.parameters()))
        results.append([scores, *gradients])
    # Longest chain of sums: 75 + 150 products a pixel of two layers, then 24·24·18 products, and
    # 4·24·24 terms in a filter's gradient; its gamma_k times the size of the entries summed.
    operations = 75 + 150 + 24 * 24 * 18 + 4 * 24 * 24
    for collapsed, layered in zip(*results, strict=True):
        scale = layered.abs().max() * operations**0.5
        bound = operations * torch.finfo(torch.float64).eps * scale
        assert (collapsed - layered).abs().max() <= bound


def test_a_dropped_bias_in_the_collapse_would_be_seen():
    network = _built("linear-two-conv", 6)
    x = torch.zeros(1, *_CIFAR, dtype=torch.float64)
    expected = network.layer_by_layer(x)
    for layer in (network.conv1, network.conv2, network.fc):
        with torch.no_grad():
            kept = layer.bias.clone()
            layer.bias.zero_()
            assert (network(x) - expected).abs().max() > 1e-3
            layer.bias.copy_(kept)


def test_global_average_pooling_is_the_mean():
    network = _built("conv-gap", 5)
    x = torch.randn(3, *_CIFAR, dtype=torch.float64)
    expected = network[-1](F.relu(network[0](x)).mean((2, 3)))
    # A mean of 28·28 entries of order one, then 5 products.
    bound = 2 * (28 * 28 + 5) * torch.finfo(torch.float64).eps * expected.abs().max()
    assert (network(x) - expected).abs().max() <= bound


@pytest.mark.parametrize("name", ["two-conv", "linear-two-conv", "conv-fc", "conv-gap"])
def test_every_network_fits_the_small_digits(name):
    network = _built(name, 4, shape=(1, 8, 8))
    assert network(torch.zeros(2, 1, 8, 8, dtype=torch.float64)).shape == (2, 10)


@pytest.mark.parametrize("name", ["two-conv", "resnet-18"])
def test_a_named_network_takes_square_images(name):
    with pytest.raises(ValueError, match=f"{name!r} takes square images, got 56x28"):
        networks.build(name, (1, 56, 28), 3, 10)


def test_an_unknown_network_names_those_there_are():
    with pytest.raises(ValueError, match="'resnet' is unknown; known: two-conv"):
        networks.build("resnet", _CIFAR, 3, 10)


def test_an_unknown_initialisation_is_refused_before_anything_is_drawn():
    """Red where an unknown name becomes a truncated normal."""
    network, state = _built("conv-gap", 3), torch.get_rng_state()
    before = [parameter.clone() for parameter in network.parameters()]
    with pytest.raises(InputError, match="'xavier' is unknown; known: pytorch, kaiming-uniform, "):
        networks.initialise(network, "xavier")
    assert torch.equal(torch.get_rng_state(), state)
    assert all(map(torch.equal, network.parameters(), before))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((None, _CIFAR, None, 10), "a network's name must be text, got None"),
        (("resnet-18", _CIFAR, 0, 10), "network 'resnet-18': filters must be at least 1, got 0"),
        (("two-conv", _CIFAR, 1.5, 10), r"filters must be an integer, got 1\.5"),
        (("resnet-18", _CIFAR, 4, 0), "classes must be at least 1, got 0"),
        (("fc10", (28, 28), None, 10), r"has channels, height and width, got \(28, 28\)"),
        (("two-conv", (0, 32, 32), 4, 10), "the channels of an image must be at least 1, got 0"),
        (("fc\u0661\u0660", _CIFAR, None, 10), "is unknown; known: two-conv"),
    ],
)
def test_what_makes_no_network_is_named(arguments, message):
    """Red where a network without a single weight is built, or another digit's."""
    with pytest.raises(InputError, match=message):
        networks.build(*arguments)
