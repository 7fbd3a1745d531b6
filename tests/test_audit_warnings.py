"""The warnings of an audit: what deserves a second look gets one, and sound layers get none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.audit_modules import Fn, Net
from theory import audit


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)), "0.bias is redundant: 1 subtracts"),
        (
            nn.Sequential(nn.Conv2d(1, 1, 5), nn.Conv2d(1, 1, 5, padding=4)),
            "larger than the input from 1 on: 9 x 9 cells of 8 x 8",
        ),
        (nn.Conv2d(1, 1, 1, stride=2), "the windows leave gaps in Conv2d"),
        (nn.MaxPool2d(2), "the stride aliases in MaxPool2d"),
        (
            Fn(lambda x, used, unused: used(x), nn.Conv2d(1, 1, 3), nn.Conv2d(1, 2, 3)),
            "does not use layers.1.weight, layers.1.bias: 20 parameters",
        ),
        (
            Fn(lambda x, a, b: (a(x), b(x))[0], nn.Conv2d(1, 1, 3), nn.Conv2d(1, 2, 3)),
            "does not use layers.1.weight, layers.1.bias: 20 parameters",
        ),
        (
            Fn(lambda x: torch.renorm(x, 2, 1, 1.0)),
            "receptive fields are unknown from renorm on: no rule for the primitive renorm",
        ),
    ],
)
def test_a_warning_says_what_deserves_a_second_look(module: nn.Module, words: str) -> None:
    assert any(words in warning for warning in audit(module, (1, 8, 8)).warnings)


@pytest.mark.parametrize(
    "module",
    [
        nn.Sequential(nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4)),
        nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.BatchNorm2d(4)),
        nn.Sequential(nn.Conv2d(1, 1, 5), nn.ReLU(), nn.Conv2d(1, 1, 4)),
        nn.AvgPool2d(2),
        nn.AvgPool2d(4, stride=2),
        nn.MaxPool2d(3, stride=1),
        nn.MaxPool2d(8),
        nn.Conv2d(1, 1, 3, stride=1),
        Net(),
    ],
)
def test_sound_layers_get_no_warning(module: nn.Module) -> None:
    if isinstance(module, Net):
        module.stem.bias = None
        assert audit(module, (3, 16, 16)).warnings == ()
    else:
        assert audit(module, (1, 8, 8)).warnings == ()


PADDINGS = ("zeros", "reflect", "replicate", "circular")


def _strided(kernel: int, stride: int = 1, **options: Any) -> nn.Conv1d:
    return nn.Conv1d(1, 1, kernel, stride, **options)


def _padded(mode: str, pads: tuple[int, int], *layers: nn.Module) -> nn.Module:
    mode = "constant" if mode == "zeros" else mode
    return nn.Sequential(Fn(lambda x: functional.pad(x, pads, mode=mode)), *layers)


@pytest.mark.parametrize(
    ("layer", "shape", "words"),
    [
        (nn.Conv2d(3, 4, 1, stride=2), (3, 1, 1), ""),  # there is one cell, and it is read
        (nn.Conv1d(1, 1, 2, stride=3), (1, 2), ""),
        (nn.Conv1d(1, 1, 2, stride=3), (1, 5), "gaps"),
        (nn.Conv1d(1, 1, 2, stride=2, dilation=2), (1, 16), "gaps"),  # no odd cell
        (nn.Conv1d(1, 1, 2, stride=3, dilation=2), (1, 16), "gaps"),
        (nn.Conv1d(1, 1, 3, stride=2, dilation=3), (1, 17), "gaps"),  # near both ends only
        (nn.Conv1d(1, 1, 1, stride=2, padding=1), (1, 8), "gaps"),  # no even cell
        (nn.Conv2d(1, 1, (3, 1), stride=(1, 2)), (1, 8, 8), "gaps"),
        (nn.AvgPool1d(2, stride=3), (1, 8), "gaps"),
        (nn.Conv1d(1, 1, 3, stride=2), (1, 8), "end"),
        (nn.Conv1d(1, 1, 3, stride=2), (1, 9), ""),
        (nn.Conv1d(1, 1, 3, stride=2, padding=1), (1, 8), ""),
        (nn.AvgPool2d(2), (1, 5, 4), "end"),
        (nn.AvgPool2d(2, ceil_mode=True), (1, 5, 4), ""),
        (nn.Conv1d(1, 1, 2, dilation=2), (1, 8), ""),
        # What is padding may go unread, wherever it comes from.
        *((_strided(3, 2, padding=1, padding_mode=mode), (1, 16), "") for mode in PADDINGS),
        *((_padded(mode, (1, 1), _strided(3, 2)), (1, 16), "") for mode in PADDINGS),
        (nn.Sequential(nn.ReflectionPad1d(1), nn.AvgPool1d(3, 2)), (1, 16), ""),
        (nn.Sequential(nn.ZeroPad2d(1), nn.AvgPool2d(3, 2)), (1, 6, 8), ""),
        (nn.Sequential(nn.CircularPad2d(1), nn.Conv2d(1, 1, 3, 2)), (1, 6, 8), ""),
        (_padded("reflect", (1, 1), _strided(3), _strided(1, 2)), (1, 8), ""),  # a blur before it
        (
            nn.Sequential(_padded("circular", (1, 1)), _padded("constant", (2, 0)), _strided(3, 2)),
            (1, 9),
            "",
        ),
        (
            Fn(lambda x, c: c(torch.cat([x[..., -1:], x, x[..., :1]], -1)), _strided(3, 2)),
            (1, 8),
            "",
        ),
        (_padded("constant", (0, 1), _strided(3, 2)), (1, 9), ""),  # none of the padding is read
        # What is not is still told of, as long as none of its copies is read either.
        (_padded("constant", (1, 2), _strided(4, 4)), (1, 8), "end"),
        (_padded("reflect", (1, 2), _strided(4, 4)), (1, 8), "end"),
        (_padded("replicate", (1, 0), _strided(3, 3)), (1, 7), "end"),
        (_padded("replicate", (1, 1), _strided(3, 3)), (1, 7), ""),
        (_padded("circular", (1, 2), _strided(4, 4)), (1, 8), ""),  # the last cell is the first
        (_padded("circular", (0, 1), _strided(4, 4)), (1, 10), "end"),
        *(
            (_padded(mode, (1, 1), _strided(1, 2)), (1, 8), "gaps")
            for mode in ("constant", "replicate")
        ),
        *((_padded(mode, (1, 1), _strided(2, 3)), (1, 16), "gaps") for mode in PADDINGS),
        (_padded("constant", (-1, -1), _strided(3, 2)), (1, 8), "end"),  # cropped
        (
            Fn(
                lambda x, c: c(
                    functional.pad(torch.cat([x, x.relu()], 1), (1, 1), mode="circular")
                ),
                nn.Conv1d(2, 1, 3, 2),
            ),
            (1, 8),
            "",
        ),
        (Fn(lambda x, c: c(torch.cat([x, x.relu()], 1)), nn.Conv1d(2, 1, 3, 2)), (1, 8), "end"),
        (
            Fn(
                lambda x, c: c(functional.pad(x, (1, 1)).transpose(2, 3)),
                nn.Conv2d(1, 1, 3, (2, 1)),
            ),
            (1, 5, 8),
            "",
        ),
    ],
)
def test_cells_are_called_unread_where_no_output_depends_on_them(
    layer: nn.Module, shape: tuple[int, ...], words: str
) -> None:
    told = {
        "gaps": "the windows leave gaps in",
        "end": "the windows stop before the end in",
    }
    for parameter in layer.parameters():
        nn.init.ones_(parameter)
    x = torch.ones(1, *shape, requires_grad=True)
    layer(x).sum().backward()
    assert x.grad is not None
    assert bool((x.grad == 0).any()) is bool(words)
    warnings = " ".join(audit(layer, shape).warnings)
    assert [key for key, value in told.items() if value in warnings] == ([words] if words else [])


def test_padding_that_a_max_pool_does_not_reach_is_not_told() -> None:
    for pad in (nn.ZeroPad2d(1), nn.ReflectionPad2d(1), nn.CircularPad2d(1)):
        (warning,) = audit(nn.Sequential(pad, nn.MaxPool2d(3, 2)), (1, 16, 16)).warnings
        assert warning.startswith("the stride aliases in 1:")


@pytest.mark.parametrize(
    ("function", "redundant"),
    [
        (lambda x, conv, norm: norm(conv(x)), True),
        (lambda x, conv, norm: norm(conv(x)) + norm(conv(2 * x)), True),
        (lambda x, conv, norm: norm(conv(x)) + conv(x), False),
        (lambda x, conv, norm: norm(conv(x)) + conv.bias[:, None], False),
        (lambda x, conv, norm: norm(conv(x)) + norm(conv(x).relu()), False),
        (lambda x, conv, norm: norm(conv(x)) - norm(x), False),  # one running mean for both
    ],
)
def test_a_bias_is_redundant_only_if_no_use_of_it_is_seen(
    function: Callable[..., Any], redundant: bool
) -> None:
    network = Fn(function, nn.Conv1d(3, 3, 3, padding=1), nn.BatchNorm1d(3))
    warnings = " ".join(audit(network, (3, 8)).warnings)
    assert ("layers.0.bias is redundant: layers.1 subtracts" in warnings) is redundant
    # Batch normalisation settles it: the bias is left out, and the running mean without it.
    x, (conv, norm) = torch.randn(4, 3, 8, dtype=torch.float64), network.double().layers
    nn.init.constant_(conv.bias, 0.5)
    norm.momentum = None  # the running mean is the mean of all calls
    network(x)
    given = network.eval()(x)
    # Values of up to v are sums of 11 terms; means and variances are sums of 32 values. So what is
    # left of a value without the mean, up to 2v, is off by at most 4 (32 + 11) u v. Divided by the
    # standard deviation s it is off by 1 / s of that, and as s is off as much, by 2v / s² besides;
    # twice, for both biases and for two norms. With the bias or without, and of 2x, v is at most:
    largest = 2 * conv.weight.abs().sum((1, 2)).max() * x.abs().max() + 0.5
    ratio = (largest.detach() / norm.running_var.min().sqrt()).item()
    bound = 2 * 2 * 4 * (32 + 11) * 2**-53 * ratio * (1 + 2 * ratio)
    network.train()
    norm.reset_running_stats()
    nn.init.zeros_(conv.bias)
    network(x)
    assert bool((network.eval()(x) - given).abs().max() <= bound) is redundant


@pytest.mark.parametrize(
    ("norm", "name"),
    [
        (nn.BatchNorm1d(3, track_running_stats=False), "layers.1"),
        (lambda x: functional.batch_norm(x, None, None, training=True), "batch_norm"),
        (nn.InstanceNorm1d(3, affine=True), "layers.1"),
        (nn.GroupNorm(3, 3), "layers.1"),
    ],
)
def test_a_bias_is_redundant_before_a_norm_by_statistics_of_the_input(
    norm: Callable[[Tensor], Tensor], name: str
) -> None:
    layers = [each for each in (nn.Conv1d(3, 3, 1), norm) if isinstance(each, nn.Module)]
    network = Fn(lambda x, conv, *norms: (norms or (norm,))[0](conv(x)), *layers)
    (warning,) = audit(network, (3, 8)).warnings
    assert warning.startswith(f"layers.0.bias is redundant: {name} subtracts the mean")
    seen = Fn(lambda x, conv, *norms: (norms or (norm,))[0](conv(x)) + conv(x), *layers)
    assert audit(seen, (3, 8)).warnings == ()
    # Batch normalisation settles it. The mean of n values up to v is off by at most n u v, which is
    # divided by no less than sqrt(eps); deviations and their mean square double it, twice over.
    x = torch.randn(4, 3, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        given, conv = network.double()(x), network.layers[0]
        bound = 4 * 32 * 2**-53 * conv(x).abs().max() / 1e-5**0.5
        conv.bias.zero_()
        assert (network(x) - given).abs().max() <= bound


def test_a_bias_counts_before_a_norm_of_several_channels_or_by_what_was_recorded_of_each_input():
    """One bias of the three moves its channel against the mean of all; a mean may be frozen."""
    for norm in (nn.GroupNorm(1, 3), nn.InstanceNorm1d(3, track_running_stats=True)):
        network = nn.Sequential(nn.Conv1d(3, 3, 1), norm)
        assert "redundant" not in " ".join(audit(network, (3, 8)).warnings)
        given = network.eval()(x := torch.arange(24.0).reshape(1, 3, 8))
        with torch.no_grad():
            network[0].bias[0] += 1
        assert not torch.allclose(network(x), given)


@pytest.mark.parametrize("frozen", [True, False])
def test_a_bias_before_a_running_mean_moves_into_it(frozen: bool) -> None:
    """What the advice says to do changes no output, of a network that is frozen as well."""
    conv, norm = nn.Conv1d(3, 3, 1), nn.BatchNorm1d(3)
    network = nn.Sequential(conv, norm)
    network(torch.randn(4, 3, 8))
    if frozen:
        network.eval().requires_grad_(False)
    (warning,) = audit(network, (3, 8)).warnings
    assert warning == (
        "0.bias is redundant: 1 subtracts the mean that it is part of; leave the bias out, and in "
        "a network that is trained already subtract it from the running mean"
    )
    # Integers and powers of two: nothing is rounded.
    x = torch.randint(-4, 5, (2, 3, 8)).double()
    with torch.no_grad():
        network.double().eval()
        for tensor in (*network.parameters(), norm.running_mean, norm.running_var):
            tensor.copy_(torch.randint(-4, 5, tensor.shape))
        norm.running_var.fill_(4.0 - norm.eps)
        given = network(x)
        norm.running_mean -= conv.bias
        conv.bias.zero_()
        assert torch.equal(network(x), given)


def test_a_bias_before_a_norm_that_stays_as_it_is_is_trained() -> None:
    """With the running mean fixed in training, the bias is no part of it: it moves the output."""
    network = nn.Sequential(nn.Conv1d(3, 3, 1), nn.BatchNorm1d(3), nn.ReLU())
    network[1].eval().requires_grad_(False)
    assert audit(network, (3, 8)).warnings == ()
    network[1].train()
    assert "0.bias is redundant" in audit(network, (3, 8)).warnings[0]


def test_sequences_of_one_step_are_told() -> None:
    words = (
        "layers.0 takes the first axis for the sequence (batch_first=False): with the batch axis"
    )

    def told(function: Callable[..., Any], layer: nn.Module) -> bool:
        return any(words in each for each in audit(Fn(function, layer), (8, 4)).warnings)

    def first(x: Tensor, layer: nn.Module) -> Tensor:
        return layer(x)[0]

    def turned(x: Tensor, layer: nn.Module) -> Tensor:
        return layer(x.transpose(0, 1))[0].transpose(0, 1)

    for kind in (nn.LSTM, nn.GRU, nn.RNN):
        assert told(first, kind(4, 4))
        assert not told(first, kind(4, 4, batch_first=True))
        assert not told(turned, kind(4, 4))  # the module itself puts the sequence first
    attention = nn.MultiheadAttention(4, 2)
    assert told(lambda x, layer: layer(x, x, x)[0], attention)
    assert told(lambda x, layer: layer(query=x, key=x, value=x)[0], attention)
    encoder = nn.TransformerEncoderLayer(4, 2, 8)
    (warning,) = (each for each in audit(encoder, (8, 4)).warnings if "sequence" in each)
    assert warning == (
        "self_attn takes the first axis for the sequence (batch_first=False): with the batch axis "
        "in front, one input is 8 sequences of length 1; make the layer with batch_first=True"
    )
