"""The audit of weights that are computed from parameters: each call and parameter has a row."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.audit_modules import Fn
from theory import audit


@pytest.mark.parametrize(
    "norm",
    [
        pytest.param(
            nn.utils.weight_norm,
            marks=pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning"),
        ),
        nn.utils.spectral_norm,
        nn.utils.parametrizations.weight_norm,
        nn.utils.parametrizations.spectral_norm,
    ],
)
def test_a_computed_weight_belongs_to_its_layer(norm: Callable[[nn.Module], nn.Module]) -> None:
    layer = norm(nn.Conv1d(2, 3, 3))
    layer(torch.ones(1, 2, 8))
    facts = audit(nn.Sequential(layer, nn.ReLU()), (2, 8))
    assert [row.name for row in facts.rows] == ["0", "1"]
    assert (
        facts.rows[0].parameters == facts.parameters == sum(p.numel() for p in layer.parameters())
    )
    assert facts.rows[0].macs >= 3 * 6 * 2 * 3
    assert (facts.rows[0].receptive_field, facts.rows[0].linearity) == ((3,), "affine")


def _masked(x: Tensor, conv: nn.Module) -> Tensor:
    return functional.conv2d(x, conv.weight * conv.mask, conv.bias, padding=1)


def _masked_conv(inputs: int, outputs: int) -> nn.Module:
    conv = nn.Conv2d(inputs, outputs, 3, padding=1)
    conv.register_buffer("mask", torch.ones_like(conv.weight).triu())
    return conv


def _low_rank(x: Tensor, full: nn.Module, up: nn.Module, down: nn.Module) -> Tensor:
    return functional.linear(x, full.weight + up.weight @ down.weight, full.bias)


def _standardised(x: Tensor, conv: nn.Module) -> Tensor:
    mean = conv.weight.mean((1, 2, 3), keepdim=True)
    deviation = conv.weight - mean
    scale = deviation.square().mean((1, 2, 3), keepdim=True).rsqrt()
    return functional.conv2d(x, deviation * scale, conv.bias)


def _with_token(x: Tensor, token: nn.Module, position: nn.Module) -> Tensor:
    place = position(torch.arange(x.shape[1] + 1))
    return torch.cat([token.weight[None].expand(len(x), -1, -1), x], 1) + place


class _Causal(nn.Conv1d):
    """It multiplies its own weight by a mask whenever it runs."""

    def __init__(self) -> None:
        super().__init__(2, 2, 3, padding=2)
        self.register_buffer("mask", torch.tensor([1.0, 1.0, 0.0]))

    def forward(self, x: Tensor) -> Tensor:
        self.weight.data *= self.mask
        return super().forward(x)


def _half_of_it(x: Tensor, conv: nn.Module) -> Tensor:
    weight = conv.weight.clone()
    weight[:, :, 2:] = 0
    return functional.conv1d(x, weight, conv.bias, padding=2)


def _similarities(x: Tensor, classes: nn.Module) -> Tensor:
    return functional.cosine_similarity(x[:, None], classes.weight[None], dim=2)


def _solved(x: Tensor, mixing: nn.Module) -> Tensor:
    return x @ torch.linalg.inv(mixing.weight)


# Each with the calls that it has: their names, parameters and MACs.
COMPUTED: dict[str, tuple[nn.Module, tuple[int, ...], list[tuple[str, int, int]]]] = {
    "masked": (
        nn.Sequential(Fn(_masked, _masked_conv(1, 4)), Fn(_masked, _masked_conv(4, 28))),
        (1, 8, 8),
        [("0.mul", 36, 0), ("0.conv2d", 4, 2304), ("1.mul", 1008, 0), ("1.conv2d", 28, 64512)],
    ),
    "low rank": (
        Fn(_low_rank, nn.Linear(8, 8), *(nn.Linear(*n, bias=False) for n in ((2, 8), (8, 2)))),
        (8,),
        [("matmul", 32, 128), ("add", 64, 0), ("linear", 8, 64)],
    ),
    "standardised": (
        Fn(_standardised, nn.Conv2d(2, 4, 3)),
        (2, 8, 8),
        [
            *[("mean", 72, 0), ("sub", 0, 0), ("square", 0, 0), ("mean", 0, 0), ("rsqrt", 0, 0)],
            *[("mul", 0, 0), ("conv2d", 4, 2592)],
        ],
    ),
    "written into": (
        _Causal(),
        (2, 8),
        [("data", 12, 0), ("mul", 0, 0), ("conv1d", 2, 10 * 2 * 2 * 3)],
    ),
    "copied and written into": (
        Fn(_half_of_it, nn.Conv1d(2, 2, 3)),
        (2, 8),
        [("clone", 12, 0), ("conv1d", 2, 10 * 2 * 2 * 3)],
    ),
    "classes": (
        Fn(_similarities, nn.Linear(6, 5, bias=False)),
        (6,),
        [("getitem", 0, 0), ("getitem", 30, 0), ("cosine_similarity", 0, 0)],
    ),
    "an inverse": (
        Fn(_solved, nn.Linear(4, 4, bias=False)),
        (4, 4),
        [("inv", 16, 0), ("matmul", 0, 64)],
    ),
    "tokens": (
        Fn(_with_token, nn.Embedding(1, 4), nn.Embedding(9, 4)),
        (8, 4),
        [("layers.1", 36, 0), ("getitem", 4, 0), ("cat", 0, 0), ("add", 0, 0)],
    ),
}


@pytest.mark.parametrize("name", COMPUTED)
def test_what_is_computed_from_parameters_has_rows(name: str) -> None:
    module, shape, rows = COMPUTED[name]
    facts = audit(module, shape)
    assert [(row.name, row.parameters, row.macs) for row in facts.rows] == rows
    for total in ("parameters", "buffers", "macs", "flops"):
        assert sum(getattr(row, total) for row in facts.rows) == getattr(facts, total)


def _noisy(x: Tensor, conv: nn.Module) -> Tensor:
    return functional.conv2d(x, conv.weight + 0 * torch.randn_like(conv.weight), stride=2)


@pytest.mark.parametrize(
    ("module", "aliases"),
    [
        (Fn(lambda x, conv: functional.conv2d(x, conv.weight, stride=2)), True),
        (Fn(lambda x, conv: functional.conv2d(x, conv.weight * conv.mask, stride=2)), True),
        (Fn(lambda x, conv: functional.conv2d(x, conv.weight.abs() / 4, stride=2)), False),
        (Fn(lambda x, conv: functional.conv2d(x, torch.ones(1, 1, 2, 2) / 4, stride=2)), False),
        (Fn(_noisy), False),  # of a weight that is drawn anew nothing is said
        (Fn(lambda x, conv: functional.conv2d(x, conv.weight * x.mean(), stride=2)), False),
    ],
    ids=["given", "masked", "a blur", "no parameter", "noisy", "of the input"],
)
def test_a_stride_is_judged_by_the_weights_that_are_computed(module: Fn, aliases: bool) -> None:
    """The weights are ±1/4 in a checkerboard: what a mask leaves of them is no blur either."""
    conv = nn.Conv2d(1, 1, 2, bias=False)
    conv.register_buffer("mask", torch.tensor([[1.0, 1], [1, 0]]))
    with torch.no_grad():
        conv.weight.copy_(torch.tensor([[1.0, -1], [-1, 1]]) / 4)
    module.layers.append(conv)
    told = [each for each in audit(module, (1, 8, 8)).warnings if "aliases" in each]
    assert len(told) == aliases


def test_weights_that_cannot_be_computed_are_not_judged() -> None:
    """A run would fail on these values, too; but shapes and costs do not depend on them."""

    def chosen(x: Tensor, layer: nn.Module) -> Tensor:
        return functional.linear(x, layer.weight[layer.rows])

    layer = nn.Linear(3, 3, bias=False)
    layer.register_buffer("rows", torch.tensor([0, 3]))
    module = Fn(chosen, layer)
    assert audit(module, (3,)).output_shape == (2,)
    with pytest.raises(IndexError):
        module(torch.ones(3))


def test_units_that_a_mask_cuts_off_are_dead() -> None:
    conv = _masked_conv(1, 4)
    conv.mask.zero_()
    assert "4 of 4 units of conv2d are dead: their weights are all 0" in (
        audit(Fn(_masked, conv), (1, 8, 8)).warnings
    )
