"""An audit leaves the module, its values, the generators and the default device as they were."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.audit_modules import Counter, Net
from theory import audit, diagnose
from theory.auditing import calls, recording


def _state(module: nn.Module) -> dict[str, Any]:
    return {
        "tensors": {name: value.clone() for name, value in module.state_dict().items()},
        "gradients": [None if p.grad is None else p.grad.clone() for p in module.parameters()],
        "requires": [p.requires_grad for p in module.parameters()],
        "modes": [each.training for each in module.modules()],
        "hooks": [
            (dict(each._forward_hooks), dict(each._forward_pre_hooks), dict(each._backward_hooks))
            for each in module.modules()
        ],
        "attributes": [sorted(vars(each)) for each in module.modules()],
        "torch": torch.get_rng_state(),
        "numpy": np.random.get_state()[1].tolist(),  # noqa: NPY002
        "python": random.getstate(),
        "grad": torch.is_grad_enabled(),
        "kernels": [
            torch.backends.mkldnn.enabled,
            torch.backends.cuda.flash_sdp_enabled(),
            torch.backends.cuda.mem_efficient_sdp_enabled(),
            torch.backends.cuda.cudnn_sdp_enabled(),
            torch.backends.cuda.math_sdp_enabled(),
        ],
    }


@pytest.mark.parametrize("training", [True, False])
def test_the_module_comes_back_exactly_as_it_was(training: bool) -> None:
    module = nn.Sequential(Net(), nn.Dropout(), nn.ReLU(inplace=True), Counter()).train(training)
    module[1].eval()
    seen = []
    module[0].register_forward_hook(lambda *arguments: seen.append(type(arguments[2])) or None)
    module[0].stem.weight.grad = torch.ones_like(module[0].stem.weight)
    module[0].head.bias.requires_grad_(False)
    before = _state(module)
    audit(module, (3, 8, 8))
    after = _state(module)
    assert all(torch.equal(after["tensors"][k], v) for k, v in before.pop("tensors").items())
    grads = zip(before.pop("gradients"), after["gradients"], strict=True)
    assert all((a is None) == (b is None) and (a is None or torch.equal(a, b)) for a, b in grads)
    assert torch.equal(before.pop("torch"), after["torch"])
    assert all(after[key] == value for key, value in before.items())
    assert module[3].times == 0


@pytest.mark.parametrize(
    ("instrument", "changed"),
    [
        (audit, lambda facts: facts.output_shape == (1, 2)),
        (diagnose, lambda facts: facts.affine.holds is False),
    ],
)
def test_hooks_run_on_the_copy_and_keep_what_they_are_given(
    instrument: Callable[..., Any], changed: Callable[[Any], bool]
) -> None:
    layer, kept = nn.Conv1d(1, 1, 3), []
    layer.register_forward_hook(lambda module, args, output: kept.append((module, output)))
    layer.register_forward_hook(lambda module, args, output: output[..., :2].relu())
    # What a hook makes of an output counts, so that none can be left out.
    assert changed(instrument(layer, (1, 8)))
    assert kept
    assert all(module is not layer for module, _ in kept)
    # What it keeps is of the copy, and of an audit has no values: the user is told.
    if instrument is audit:
        with pytest.raises(RuntimeError, match="FunctionalTensor"):
            kept[0][1].mean()
    assert instrument.__doc__ is not None
    assert "hooks run" in instrument.__doc__.lower()


def test_an_audit_copies_no_values() -> None:
    class Precious(nn.Parameter):
        """A parameter that refuses to be copied."""

        def __deepcopy__(self, memo: object) -> None:
            raise AssertionError("the values were copied")

    module = nn.Linear(3, 2)
    module.weight = Precious(torch.zeros(2, 3))
    assert audit(module, (3,)).parameters == 8


def test_the_default_device_is_left_to_the_user() -> None:
    with torch.device("meta"):
        network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(72, 3))
        assert audit(network, (1, 8, 8)).receptive_field == (8, 8)


def test_the_autocast_of_the_caller_is_no_part_of_the_module() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(72, 3))
    alone = str(audit(network, (1, 8, 8)))
    with torch.autocast("cpu", torch.bfloat16):
        assert str(audit(network, (1, 8, 8))) == alone


def test_a_module_that_was_run_itself_would_be_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def on_the_module_itself(module: nn.Module, fake: Any) -> tuple[dict[int, str], nn.Module]:
        return {id(t): name for name, t in calls.named_tensors(module).items()}, module.eval()

    monkeypatch.setattr(recording, "_without_values", on_the_module_itself)
    with pytest.raises((AssertionError, ValueError)):
        test_the_module_comes_back_exactly_as_it_was(training=True)
