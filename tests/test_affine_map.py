"""What is affine has one map, and what is not has none."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn

from theory import affine_map as home
from theory.affine_map import affine_map
from theory.diagnosis.rounding import gamma

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (lambda x: (x, x, x), TypeError, "the network answers with a tuple, expected a tensor"),
        (lambda x: x.to("meta"), TypeError, "the network's answer is a Tensor that is no array"),
        (lambda x: x > 0, TypeError, "the network answers in bool, expected double precision"),
        (lambda x: x.sum(), ValueError, r"answers 3 inputs in shape \(\): expected as many"),
        (lambda x: x.flatten(), ValueError, r"answers 3 inputs in shape \(6,\)"),
        (lambda x: x / 0, ValueError, "answers are not all finite"),
    ],
)
def test_answers_that_tell_no_affine_map_are_refused(
    answer: Callable[[Any], Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        affine_map(answer, (2,))


def _ruined_elsewhere(x: torch.Tensor) -> torch.Tensor:
    return torch.where(x.abs() > 1, torch.nan, x)


@pytest.mark.parametrize(
    "op",
    [
        nn.ReLU(),
        nn.ReLU(inplace=True),
        nn.Sequential(nn.Linear(2, 3), nn.LeakyReLU(0.99)),
        nn.Dropout(),
        nn.Dropout(0.1),
        nn.BatchNorm1d(2),
        lambda x: x - x.mean(0),
        lambda x: x**2,
        lambda x: x.clamp(max=3),
        _ruined_elsewhere,
    ],
)
def test_what_is_not_affine_has_no_affine_map(op: Callable[[Any], Any]) -> None:
    """Red if the answers to the impulses are taken for all: those of a rectifier are linear."""
    with pytest.raises(ValueError, match=r"^the network is not affine: .*, call eval\(\) first$"):
        affine_map(op, (2,))


@pytest.mark.parametrize("cells", [1, 2, 30])
def test_half_of_the_line_shows_on_any_number_of_cells(cells: int) -> None:
    """Red if the further signals are of one sign."""
    for op in (torch.relu, lambda x: -torch.relu(-x)):
        with pytest.raises(ValueError, match="is not affine"):
            affine_map(op, (cells,))


def test_every_cell_is_asked_at_both_signs() -> None:
    """Red if what rectifies one cell of many may pass."""
    seen: list[torch.Tensor] = []

    def watched(x: torch.Tensor) -> torch.Tensor:
        seen.append(x)
        return x

    affine_map(watched, (300,))
    _, further = seen
    assert (further.amin(0) < 0).all()
    assert (further.amax(0) > 0).all()


@pytest.mark.parametrize("gain", [1.0, 2.0**-20])
@pytest.mark.parametrize("offset", [0.0, 8.0])
def test_what_differs_by_more_than_rounding_is_not_affine(gain: float, offset: float) -> None:
    """The bound is that of one product in single precision, with the answers that are added up."""
    largest = 9  # of the further signals: `theory.signals.integer_signal`
    norm = 2 * largest  # of the signal, and of the impulses that make it up
    allowed = gamma(8, 2.0**-24) * (gain * norm + offset * (2 + norm))

    def off_by(share: float) -> Callable[[torch.Tensor], torch.Tensor]:
        return lambda x: gain * x + offset + torch.where(x.abs() == largest, share * allowed, 0)

    affine_map(off_by(0.999), (1,))
    with pytest.raises(ValueError, match="is not affine"):
        affine_map(off_by(1.001), (1,))


def test_rounding_is_no_nonlinearity() -> None:
    """Red if the answers have to be equal, or the bound is that of one layer in double."""
    torch.manual_seed(0)
    layers = [nn.Linear(3, 3) for _ in range(200)]
    for op in (
        nn.Sequential(*layers).double(),
        lambda x: 1e-9 * (1e9 * x + 1e9) + x / 3,
        lambda x: x.float() / 3,
        lambda x: x.half() / 3,
        torch.fft.fft,
    ):
        affine_map(op, (3,))


def test_a_module_comes_back_as_it_was() -> None:
    norm = nn.Sequential(nn.BatchNorm1d(2), nn.Dropout())
    norm[0].weight.grad = torch.ones(2)
    before = {name: value.clone() for name, value in norm.state_dict().items()}
    torch.manual_seed(7)
    state = torch.get_rng_state()
    for mode in (True, False):
        norm.train(mode)
        with contextlib.suppress(ValueError):
            affine_map(norm, (2,))
        assert norm.training is norm[1].training is mode
    assert before.keys() == norm.state_dict().keys()
    assert all(torch.equal(value, before[name]) for name, value in norm.state_dict().items())
    assert norm[0].weight.dtype == torch.float32
    assert norm[0].weight.grad.tolist() == [1, 1]
    assert torch.equal(torch.get_rng_state(), state)


def test_in_evaluation_mode_a_normalisation_is_affine() -> None:
    norm = nn.BatchNorm1d(1, eps=0.0)
    norm.running_mean.fill_(3)  # type: ignore[union-attr]
    norm.running_var.fill_(4)  # type: ignore[union-attr]
    map_of = affine_map(nn.Sequential(norm, nn.Dropout()).eval(), (1,))
    assert (map_of.matrix.tolist(), map_of.offset.tolist()) == ([[0.5]], [-1.5])


def test_weights_in_single_precision_are_multiplied_in_double() -> None:
    layer = nn.Linear(1, 1)
    with torch.no_grad():
        layer.weight.fill_(1 / 3)
        layer.bias.fill_(1)
    map_of = affine_map(layer, (1,))
    assert map_of.matrix.item() == (1 + layer.weight.double().item()) - 1
    assert map_of.matrix.dtype == np.float64


def test_a_module_without_values_is_sent_back() -> None:
    told = r"^Linear has no values in weight, which is on the device meta"
    with pytest.raises(ValueError, match=told):
        affine_map(nn.Linear(2, 1, device="meta"), (2,))


def test_signals_lie_where_the_network_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """The meta device stands in for a GPU."""
    places = []

    def answer(x: torch.Tensor) -> torch.Tensor:
        places.append(x.device.type)
        return torch.zeros(len(x), 1)

    monkeypatch.setattr(home, "device_of", lambda op: torch.device({answer: "meta"}[op]))
    assert not affine_map(answer, (2,)).matrix.any()
    assert places == ["meta", "meta"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch finds no GPU")
def test_an_affine_map_of_a_network_on_a_gpu_is_that_on_the_cpu() -> None:
    layer = nn.Linear(3, 2)
    with torch.no_grad():
        layer.weight.copy_(torch.arange(6).view(2, 3))
    here = affine_map(layer, (3,)).matrix
    assert np.array_equal(affine_map(layer.to("cuda"), (3,)).matrix, here)


@pytest.mark.parametrize("shape", [(), (0,), (2, -1)])
def test_an_affine_map_is_of_signals_with_cells(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="has no cell"):
        affine_map(lambda x: x, shape)


def test_a_map_may_have_no_output() -> None:
    assert affine_map(lambda x: x[:, :0], (2,)).matrix.shape == (0, 2)


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        ([1, 2, 3], ValueError, "x has 3 values, expected 2"),
        ([[1], [1, 2]], TypeError, "^x is a list that is no array"),
    ],
)
def test_a_signal_of_another_kind_is_refused(x: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        affine_map(lambda x: x, (2,))(x)


def test_one_output_for_each_input_is_a_map() -> None:
    map_of = affine_map(lambda x: x.sum(1) + 1, (2,))
    assert (map_of.matrix.tolist(), map_of.offset.tolist()) == ([[1, 1]], [1])
    assert map_of([2, 3]).tolist() == [6]  # type: ignore[arg-type]
