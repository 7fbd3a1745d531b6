"""The audit of gradients, and of what runs within a transform of ``torch.func``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, jvp, vmap

from tests.audit_modules import Fn
from theory import audit


def test_a_gradient_within_a_module_has_no_rule_and_says_so() -> None:
    def gradient(x: Tensor, layer: nn.Module) -> Tensor:
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            return torch.autograd.grad(layer(x).square().sum(), x)[0]

    facts = audit(Fn(gradient, nn.Conv1d(1, 1, 3)), (1, 8))
    assert facts.receptive_field == (None,)
    assert "no rule for the primitive convolution_backward" in facts.warnings[0]

    def transformed(x: Tensor, layer: nn.Module) -> Tensor:
        return torch.func.grad(lambda y: layer(y).square().sum())(x)

    facts = audit(Fn(transformed, nn.Conv1d(1, 1, 3)), (1, 8))
    assert facts.receptive_field == (None,)
    assert [row.kind for row in facts.rows] == ["Conv1d", "square", "sum", "grad"]
    assert facts.warnings[0] == (
        "receptive fields are unknown from grad on: no rule for the primitive convolution_backward"
    )


_TRANSFORMED: dict[str, tuple[Callable[[Tensor, nn.Module], Any], list[str]]] = {
    "vmap": (lambda x, net: vmap(lambda row: net(row).sin())(x), ["Linear", "ReLU", "sin"]),
    "vmap twice": (lambda x, net: vmap(vmap(net))(x), ["Linear", "ReLU"]),
    "vmap along the last axis": (
        lambda x, net: vmap(lambda column: net(column[None]), in_dims=-1)(x.transpose(-1, -2)),
        ["transpose", "getitem", "Linear", "ReLU"],
    ),
    "grad in vmap": (
        lambda x, net: vmap(grad(lambda row: net(row).sum()))(x[:, 0]),
        ["getitem", "Linear", "ReLU", "sum", "grad"],
    ),
    "jvp": (
        lambda x, net: jvp(net, (x,), (torch.ones_like(x),))[0],
        ["make_dual", "Linear", "ReLU", "unpack_dual"],
    ),
    "the parameters given": (
        lambda x, net: functional_call(net, dict(net.named_parameters()), x),
        ["Linear", "ReLU"],
    ),
    "other parameters given": (
        lambda x, net: functional_call(net, {"0.weight": 2 * net[0].weight}, x),
        ["mul", "Linear", "ReLU"],
    ),
    "grad for the parameters": (
        lambda x, net: grad(lambda weights: functional_call(net, weights, x).sum())(
            dict(net.named_parameters())
        )["0.bias"],
        ["Linear", "ReLU", "sum", "grad"],
    ),
}


@pytest.mark.parametrize("name", _TRANSFORMED)
def test_what_runs_within_a_transform_has_its_rows(name: str) -> None:
    """Red where a tensor that torch.func wraps is not known: the totals have what no row has."""
    function, kinds = _TRANSFORMED[name]
    facts = audit(Fn(function, nn.Sequential(nn.Linear(6, 5), nn.ReLU())), (2, 6))
    assert [row.kind for row in facts.rows] == kinds
    assert sum(row.macs for row in facts.rows) == facts.macs > 0
    assert sum(row.flops for row in facts.rows) == facts.flops
    assert sum(row.parameters for row in facts.rows) == facts.parameters == 35


def test_reading_values_within_a_transform_is_blamed_on_the_input() -> None:
    def reading(x: Tensor, layer: nn.Module) -> Tensor:
        return grad(lambda y: layer(y).sum() * float(y.sum()))(x)

    with pytest.raises(ValueError, match="reads values of its input"):
        audit(Fn(reading, nn.Linear(6, 5)), (2, 6))
