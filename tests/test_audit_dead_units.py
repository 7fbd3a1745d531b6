"""The audit calls units dead where their weights say so, and never units that live."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.audit_modules import Fn
from theory import audit


def test_dead_units_are_read_off_the_weights() -> None:
    network = nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.ReLU(), nn.MaxPool2d(3, 1), nn.Conv2d(3, 4, 1), nn.ReLU()
    )
    with torch.no_grad():
        network[0].weight[1] = 0
        network[3].weight.abs_()
        network[3].bias.zero_()
        network[3].weight[2:] *= -1
    warnings = audit(network, (1, 8, 8)).warnings
    assert warnings == (
        "1 of 3 units of 0 are dead: their weights are all 0",
        "2 of 4 units of 3 are dead: inputs are not negative, weights and bias not positive, and "
        "ReLU follows",
    )
    with torch.no_grad():
        dead = nn.functional.relu(network(torch.randn(64, 1, 8, 8)))
    assert (dead[:, 2:] == 0).all()
    norm = nn.BatchNorm1d(3)
    nn.init.zeros_(norm.weight)
    assert audit(norm, (3, 8)).warnings == (
        "3 of 3 units of BatchNorm1d are dead: their scale is 0",
    )


@pytest.mark.parametrize("shape", [(5,), (1, 5), (1,), (1, 1), (4, 5)])
def test_dead_units_with_a_bias_of_any_shape_that_torch_adds(shape: tuple[int, ...]) -> None:
    class Added(nn.Module):
        """A fully connected layer that is written out, between two ReLUs."""

        def __init__(self, bias: Tensor) -> None:
            super().__init__()
            self.w = nn.Parameter(-torch.rand(5, 3) - 0.1)
            self.b = nn.Parameter(bias)

        def forward(self, x: Tensor) -> Tensor:
            """Return five numbers a row."""
            return torch.relu(torch.addmm(self.b, torch.relu(x), self.w.t()))

    dead = "5 of 5 units of addmm are dead: inputs"
    given = (4, 3) if shape[0] == 4 else (3,)
    assert dead in " ".join(audit(Added(torch.zeros(shape)), given).warnings)
    bias = torch.zeros(shape)
    bias[..., -1] = torch.eye(4)[2] if shape[0] == 4 else 1.0
    alive = " ".join(audit(Added(bias), given).warnings)
    assert ("4 of 5 units" if shape[-1] == 5 else "") in alive
    assert dead not in alive


@pytest.mark.parametrize(
    "function",
    [
        lambda x, layer: layer(x.relu().fill_(-3.0)),
        lambda x, layer: layer(-x.relu()),
        lambda x, layer: torch.addmm(layer.bias, x.relu(), layer.weight.t(), alpha=-1),
        lambda x, layer: torch.addmm(-layer.bias, x.relu(), layer.weight.t()),
    ],
)
def test_units_that_live_are_not_called_dead(function: Callable[..., Tensor]) -> None:
    layer = nn.Linear(4, 3)
    nn.init.constant_(layer.weight, -1.0)
    nn.init.constant_(layer.bias, -0.5)
    network = Fn(lambda x, layer: function(x, layer).relu(), layer)
    assert (network(-torch.ones(1, 4)) > 0).any() or (network(torch.ones(1, 4)) > 0).any()
    assert not any("dead" in warning for warning in audit(network, (4,)).warnings)


@pytest.mark.parametrize(("divisor", "dead"), [(None, True), (2, True), (-1, False)])
def test_an_average_with_a_negative_divisor_is_negative(divisor: int | None, dead: bool) -> None:
    conv = nn.Conv2d(1, 2, 1)
    nn.init.constant_(conv.weight, -1.0)
    nn.init.constant_(conv.bias, -1.0)

    def pooled(x: Tensor, conv: nn.Module) -> Tensor:
        return conv(functional.avg_pool2d(x.relu(), 1, divisor_override=divisor)).relu()

    network = Fn(pooled, conv)
    assert bool((network(torch.full((1, 1, 4, 4), 3.0)) == 0).all()) is dead
    assert any("dead" in each for each in audit(network, (1, 4, 4)).warnings) is dead


def test_a_factor_of_a_weight_has_no_dead_units() -> None:
    def low_rank(x: Tensor, full: nn.Module, down: nn.Module, up: nn.Module) -> Tensor:
        return functional.linear(x, full.weight + functional.linear(down.weight.T, up.weight).T)

    layers = [nn.Linear(8, 8, bias=False), nn.Linear(8, 2, bias=False), nn.Linear(2, 8, bias=False)]
    nn.init.zeros_(layers[2].weight)  # as usual, for training to begin at the full weight
    assert audit(Fn(low_rank, *layers), (8,)).warnings == ()


@pytest.mark.parametrize("layer", [nn.Conv1d(1, 2, 3), nn.Linear(8, 2)])
def test_the_derivative_of_a_weight_has_no_dead_units(layer: nn.Module) -> None:
    """Along the input, forward differentiation takes it for zeros."""

    def slope(x: Tensor, layer: nn.Module) -> Tensor:
        return torch.func.jvp(layer, (x,), (torch.ones_like(x),))[1]

    assert not any("dead" in each for each in audit(Fn(slope, layer), (1, 8)).warnings)
