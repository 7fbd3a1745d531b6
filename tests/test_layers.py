"""Lines of layers: what they build, and what they refuse."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from experiments import networks
from experiments.networks import layers

CIFAR, DIGIT = (3, 32, 32), (1, 28, 28)


def _built(text: str, shape: tuple[int, int, int] = CIFAR) -> nn.Sequential:
    torch.manual_seed(0)
    network, result = layers.build(text, shape)
    with torch.no_grad():
        assert network.eval()(torch.zeros(1, *shape)).shape[1:] == result
    return network.double()


def _parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(
    ("text", "shape", "count"),
    [
        # Every count is the report's own: mnist-2017 q1 and q3a, assignment-3 1g, tp1-cnn q10 with
        # the third layer's misprint mended (64 input maps, not 32).
        ("conv32k5 relu max2 conv64k5 relu max2 fc1024 relu drop0.5 fc10", DIGIT, 3_274_634),
        ("conv8k8 relu fc10", DIGIT, 63_250),
        (
            "conv32k5 relu max2 conv64k5 relu max2 conv128k5 relu max2 fc64 relu fc10",
            CIFAR,
            390_410,
        ),
        (
            "conv32k5 relu max2 conv64k5 relu max2 conv64k5 relu max2 fc1000 relu fc10",
            CIFAR,
            2_432 + 51_264 + 102_464 + 1_025_000 + 10_010,
        ),
        ("conv20k5valid max2 relu conv60k5valid max2 relu fc10", CIFAR, 46_590),
        ("bn conv4k3 bn gap bn fc10", CIFAR, 2 * 3 + (27 + 1) * 4 + 2 * 4 + 2 * 4 + 50),
        ("skip(conv3k3) fc10", CIFAR, 27 * 3 + 3 + 30_730),
        ("skip(conv4k3) gap fc10", CIFAR, 27 * 4 + 4 + (3 * 4 + 4) + 50),
        ("halves(fc7) fc19", (1, 56, 28), (28 * 28 + 1) * 7 + (14 + 1) * 19),
    ],
)
def test_parameter_counts(text: str, shape: tuple[int, int, int], count: int) -> None:
    assert _parameters(_built(text, shape)) == count


def test_a_chain_computes_what_it_says() -> None:
    network = _built("conv4k5 relu max2 conv6k3valid elu avg2 drop0.5 fc5 relu fc10")
    first, second, *_ = (m for m in network.modules() if isinstance(m, nn.Conv2d))
    dense, scores = (m for m in network.modules() if isinstance(m, nn.Linear))
    x = torch.randn(2, *CIFAR, dtype=torch.float64)
    y = F.max_pool2d(F.relu(F.conv2d(x, first.weight, first.bias, padding=2)), 2)
    y = F.avg_pool2d(F.elu(F.conv2d(y, second.weight, second.bias)), 2)
    y = F.linear(y.permute(0, 2, 3, 1).flatten(1), dense.weight, dense.bias)
    assert torch.equal(network(x), F.linear(F.relu(y), scores.weight, scores.bias))


def test_the_order_of_pooling_and_activation_is_changed_only_where_it_may_be() -> None:
    def kinds(text: str) -> list[str]:
        return [type(module).__name__ for module in layers.build(text, CIFAR)[0]]

    assert kinds("relu max2 elu max2") == ["MaxPool2d", "ReLU", "MaxPool2d", "ELU"]
    assert kinds("relu avg2 bn max2") == ["ReLU", "AvgPool2d", "BatchNorm2d", "MaxPool2d"]


def test_an_even_kernel_pads_one_more_behind_as_tensorflow_does() -> None:
    network = _built("conv1k8", DIGIT)
    convolution = network[-1]
    x = torch.zeros(1, *DIGIT, dtype=torch.float64)
    x[..., 0, 0] = 1
    with torch.no_grad():
        convolution.bias.zero_()
    response = network(x)[0, 0]
    assert response.shape == (28, 28)
    # Output (i, j) sees rows i-3 … i+4, so the first pixel meets the weight at (3-i, 3-j).
    assert torch.equal(response[:4, :4], convolution.weight[0, 0, :4, :4].flip(0, 1))
    assert not response[4:].any()


def test_a_skip_adds_its_input() -> None:
    same, projected = _built("skip(conv3k3 relu)"), _built("skip(conv5k3 relu)")
    x = torch.randn(2, *CIFAR, dtype=torch.float64)
    assert torch.equal(same(x), x + same[0].body(x))
    assert torch.equal(projected(x), projected[0].projection(x) + projected[0].body(x))


def test_dropout_and_batch_normalisation_are_as_the_line_and_pytorch_say() -> None:
    dropout, *_ = _built("drop0.25 fc10")
    assert dropout.p == 0.25
    maps, _, _, features = _built("bn fc4 bn")
    for layer, plain in ((maps, nn.BatchNorm2d(3)), (features, nn.BatchNorm1d(4))):
        assert layer.extra_repr() == plain.extra_repr()


def test_the_upper_half_comes_first() -> None:
    network = _built("halves(fc5)", (1, 56, 28))
    x = torch.randn(3, 1, 56, 28, dtype=torch.float64)
    assert torch.equal(network(x)[:, :5], network[0].body(x[:, :, :28]))


def test_halves_share_their_weights() -> None:
    network = _built("halves(conv2k3 relu fc5)", (1, 56, 28))
    x = torch.randn(3, 1, 56, 28, dtype=torch.float64)
    y = network(x)
    assert y.shape == (3, 10)
    swapped = torch.cat([x[:, :, 28:], x[:, :, :28]], dim=2)
    assert torch.equal(network(swapped), torch.cat([y[:, 5:], y[:, :5]], dim=1))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("conv32k5 rely fc10", "'rely' at position 9 is no layer; known: conv32k5"),
        ("conv0k5", "'conv0k5' at position 0 does not fit"),
        ("conv8k33valid", "'conv8k33valid' at position 0 does not fit on maps of 32x32"),
        ("fc10 conv3k3", "'conv3k3' at position 5 needs maps, but they were flattened"),
        ("gap max2", "'max2' at position 4 needs maps"),
        ("max33", "does not fit on maps of 32x32"),
        ("fc0", "has no features"),
        ("drop1.0", "must drop less than everything"),
        ("skip(max2)", r"'skip\(' at position 0 must keep the size of its maps, \(32, 32\)"),
        ("skip(fc3)", "must keep the size of its maps"),
        ("halves(conv3k3)", "must end in a vector"),
        ("conv3k2valid halves(fc3)", "needs an even height, got 31"),
        ("fc3 skip(fc3)", "needs maps"),
        ("skip(conv3k3", r"'skip\(' is never closed"),
        ("fc10 )", r"'\)' at position 5 closes nothing"),
        ("", "at least one layer"),
    ],
)
def test_what_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        layers.build(text, CIFAR)


def test_a_recipes_network_must_end_with_the_classes() -> None:
    assert _parameters(networks.build("gap fc10", CIFAR, None, 10)) == 40
    with pytest.raises(ValueError, match=r"scores of shape \(9,\), expected 10; .* fc10"):
        networks.build("gap fc9", CIFAR, None, 10)
    with pytest.raises(ValueError, match="names its own filters"):
        networks.build("gap fc10", CIFAR, 3, 10)
    with pytest.raises(ValueError, match="'two-conv' needs its number of filters"):
        networks.build("two-conv", CIFAR, None, 10)


def test_initialisations_have_the_distribution_they_name() -> None:
    torch.manual_seed(0)
    network, _ = layers.build("conv64k5 relu fc10", CIFAR)
    convolution, linear = network[0], network[-1]
    before = [p.detach().clone() for p in network.parameters()]
    networks.initialise(network, "pytorch")
    assert all(torch.equal(p, q) for p, q in zip(network.parameters(), before, strict=True))

    networks.initialise(network, "kaiming-uniform")
    for layer in (convolution, linear):
        bound = (6 / layer.weight[0].numel()) ** 0.5  # uniform on ±b has variance b²/3 = 2/fan-in
        largest = layer.weight.abs().max().item()
        assert 0.99 * bound < largest <= bound
    assert torch.equal(convolution.bias, before[1])

    networks.initialise(network, "truncated-normal")
    for layer in (convolution, linear):
        assert 0.19 < layer.weight.abs().max() <= 0.2
        # A normal cut at two standard deviations keeps 0.774 of its variance; 4,800 weights or
        # more estimate that within 3 %.
        assert layer.weight.var().item() == pytest.approx(0.774 * 0.01, rel=0.05)
        assert torch.equal(layer.bias, torch.full_like(layer.bias, 0.1))


@pytest.mark.parametrize("name", ["resnet-34", "two_conv", "mlp"])
def test_a_name_that_is_no_line_is_an_unknown_network(name: str) -> None:
    for filters in (None, 20):
        with pytest.raises(ValueError, match=f"network '{name}' is unknown; known: two-conv"):
            networks.build(name, CIFAR, filters, 10)
    assert not layers.is_line(name)
