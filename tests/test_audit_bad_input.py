"""What cannot be audited is refused, with an error that says why and what to do."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional

from tests.audit_modules import Counter, Fn
from theory import audit


@pytest.mark.parametrize("shape", [(1, 3, 8, 8), (4, 3, 8, 8)])
def test_a_batch_is_not_taken_for_an_input(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"for a batch: give the shape of one input, \(3, 8, 8\)"):
        audit(nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU()), shape)


@pytest.mark.parametrize(
    ("module", "shape", "error", "words"),
    [
        (nn.ReLU, (8,), TypeError, "give an instance of torch.nn.Module"),
        (functional.relu, (8,), TypeError, "give an instance of torch.nn.Module"),
        (nn.ReLU(), (), ValueError, "give one input without batch"),
        (nn.ReLU(), 8, ValueError, "give one input without batch"),
        (
            nn.Conv2d(3, 4, 3),
            (3, 10**8, 10**8),
            ValueError,
            "with 100000000 cells along an axis: receptive fields are found cell by cell, for up",
        ),
        (nn.ReLU(), (2**24 + 1,), ValueError, "with 16777217 cells along an axis"),
        (nn.ReLU(), (3, 0, 8), ValueError, "all sizes at least 1"),
        (nn.ReLU(), (1.5, 8), ValueError, "all sizes at least 1"),
        (nn.ReLU(), (1, 2, 3, 4, 5), ValueError, "give one input without batch"),
        (nn.Conv2d(3, 4, 3), (4, 8, 8), ValueError, "Conv2d fails on an input of shape (4, 8, 8)"),
        (nn.LazyLinear(3), (8,), ValueError, "call it once first"),
        (Fn(lambda x: x if x.sum() > 0 else -x), (8,), ValueError, "reads values of its input"),
        (Fn(lambda x: x[x > 0]), (8,), ValueError, "reads values of its input"),
        (Fn(lambda x: torch.tensor(x.tolist())), (8,), ValueError, "reads values of its input"),
        (Fn(lambda x: None), (8,), ValueError, "returns no tensor"),
    ],
)
def test_bad_input_is_named(module: Any, shape: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=re.escape(words)):
        audit(module, shape)


class TwoInputs(nn.Module):
    """A module that does not take one tensor alone."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the sum."""
        return x + y


def _without_values_any_numbers_are_indices() -> bool:
    with FakeTensorMode():
        try:
            functional.embedding(torch.ones(3), torch.ones(2, 2))
        except RuntimeError:
            return False
    return True


@pytest.mark.parametrize(
    ("module", "shape", "words"),
    [
        (TwoInputs(), (1, 8), "passes one tensor: wrap it in a module that takes one and makes"),
        (nn.Conv1d(1, 1, 3, dtype=torch.cfloat), (1, 8), "takes complex numbers"),
        (nn.Conv2d(1, 2, 3, dtype=torch.cdouble), (1, 8, 8), "takes complex numbers"),
        (nn.Embedding(9, 4), (8,), "takes integers"),
        (nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(32, 2)), (8,), "takes integers"),
        (nn.Embedding(9, 4).double(), (1, 2, 3), "takes integers"),
    ],
)
def test_what_takes_no_tensor_of_real_numbers_is_told_to_be_wrapped(
    module: nn.Module, shape: tuple[int, ...], words: str
) -> None:
    if words == "takes integers" and _without_values_any_numbers_are_indices():
        pytest.skip("this version of PyTorch does not look at the type of indices without values")
    with pytest.raises(ValueError, match="fails on an input of shape") as refusal:
        audit(module, shape)
    assert words in str(refusal.value)
    assert "wrap it in a module that" in str(refusal.value)


def test_no_wrapping_is_advised_where_it_is_of_no_use() -> None:
    in_c = nn.Module()
    in_c.forward = torch.nonzero_static  # whose signature cannot be read
    for module in (
        nn.Conv2d(3, 4, 3),
        nn.Conv2d(3, 4, 3, dtype=torch.cfloat),
        Fn(lambda x: 1 / 0),
        in_c,
    ):
        with pytest.raises(ValueError, match="fails on an input of shape") as refusal:
            audit(module, (4, 8, 8))
        assert "wrap" not in str(refusal.value)


class _Remembering:
    """It keeps its last input in a tensor that is neither a parameter nor a buffer."""

    def __init__(self) -> None:
        self.last = torch.zeros(1, 3, 8)

    def __call__(self, x: Tensor, _: nn.Module) -> Tensor:
        return x + self.last.copy_(x)


def _running_mean(x: Tensor, norm: nn.Module) -> Tensor:
    norm.running_mean.mul_(0.9).add_(0.1 * x.mean((0, 2)))
    return x - norm.running_mean[:, None]


def _replaced_data(x: Tensor, norm: nn.Module) -> Tensor:
    norm.running_mean.data = x.mean((0, 2))
    return x - norm.running_mean[:, None]


class _ReplacingData(_Remembering):
    def __call__(self, x: Tensor, _: nn.Module) -> Tensor:
        self.last.data = x
        return x + self.last


class _KeepingWhatItComputed(nn.Module):
    """It writes its input into a tensor that was computed from another, and is no buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.last = torch.zeros(1, 3, 8, requires_grad=True) * 2

    def forward(self, x: Tensor) -> Tensor:
        return x + self.last.detach().copy_(x)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda x, norm: x * norm.weight.numpy().sum(), "reads values of its own parameters"),
        (lambda x, norm: x * (x.sum() + norm.weight[0]).item(), "reads values of its input"),
        (lambda x, norm: x[:, norm.weight > x[0, 0, 0]], "reads values of its input"),
        (lambda x, norm: x if torch.equal(x, -x) else 2 * x, "reads values of its input"),
        (lambda x, norm: torch.roll(x, int(torch.randint(0, 2, (1,))), -1), "random numbers"),
        (lambda x, norm: x if torch.rand(()) > 0.5 else -x, "random numbers"),
        (lambda x, norm: x if torch.rand_like(x)[0, 0, 0] > 0.5 else -x, "random numbers"),
        (lambda x, norm: x if norm.bias.new_empty(1).uniform_() > 0.5 else -x, "random numbers"),
        (lambda x, norm: x * int(torch.rand(1) * norm.weight[0]), "random numbers"),
        (lambda x, norm: x[:, torch.rand(3) > 0.5], "random numbers"),
        (lambda x, norm: x.masked_select(torch.rand(8) > 0.5), "random numbers"),
        (lambda x, norm: x if torch.bernoulli(x.sigmoid())[0, 0, 0] else -x, "of its input"),
        (lambda x, norm: x if torch.rand(()) > x[0, 0, 0] else -x, "reads values of its input"),
        (lambda x, norm: x * x.new_ones(3).sum().item(), "reads values of tensors that it makes"),
        (_running_mean, "writes in place into layers.0.running_mean what depends on its input"),
        (_replaced_data, "writes in place into layers.0.running_mean what depends on its input"),
        (_Remembering(), "a tensor that is neither a parameter nor a buffer.*register"),
        (_ReplacingData(), "a tensor that is neither a parameter nor a buffer.*register"),
    ],
)
def test_whose_values_are_read_or_written_is_said(function: Callable[..., Any], words: str) -> None:
    with pytest.raises(ValueError, match=words + ".*audit its parts"):
        audit(Fn(function, nn.BatchNorm1d(3)), (3, 8))


def test_what_was_computed_before_may_not_be_written_into() -> None:
    with pytest.raises(ValueError, match="writes in place into last what depends on its input"):
        audit(_KeepingWhatItComputed(), (3, 8))


def test_a_new_tensor_may_take_the_place_of_a_buffer() -> None:
    def turned(x: Tensor, norm: nn.Module) -> Tensor:
        norm.running_mean = x.flip(-1)
        return x + norm.running_mean

    assert audit(Fn(turned, nn.BatchNorm1d(3)), (3, 8)).receptive_field == (8,)


def test_what_is_written_in_place_from_constants_is_followed() -> None:
    rows = audit(Counter(), (3, 8)).rows
    assert [(row.kind, row.buffers, row.linearity) for row in rows[:1]] == [("add", 1, "constant")]


def test_a_shape_that_does_not_fit_is_told_once_and_not_logged() -> None:
    log, told = logging.getLogger("torch._subclasses.fake_tensor"), []
    listener = logging.Handler()
    listener.emit = told.append  # type: ignore[method-assign]
    log.addHandler(listener)
    try:
        network = nn.Sequential(nn.Flatten(), nn.Linear(5, 3))
        with pytest.raises(ValueError, match="fails on an input of shape"):
            audit(network, (1, 2, 2))
        assert told == []
        log.error("what others log is let through")
        assert len(told) == 1
    finally:
        log.removeHandler(listener)


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_compiled_modules_are_sent_back() -> None:
    layer = nn.Conv1d(1, 1, 3)
    with pytest.raises(ValueError, match="OptimizedModule is compiled"):
        audit(torch.compile(layer, backend="eager"), (1, 8))
    for part, name in (
        (torch.compile(nn.ReLU(), backend="eager"), r"1 \(OptimizedModule\)"),
        (torch.jit.trace(nn.ReLU(), torch.ones(1)), r"1 \(TopLevelTracedModule\)"),
    ):
        with pytest.raises(ValueError, match=name + " is compiled, and hides its layers: audit"):
            audit(nn.Sequential(layer, part), (1, 8))


def test_channels_are_no_cells_along_an_axis() -> None:
    """Red if the bound on cells that are followed is one on channels as well."""
    assert audit(nn.ReLU(), (2**24 + 1, 2)).output_shape == (2**24 + 1, 2)
