"""A module may read values that come from no input, unless it gives them others."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.audit_modules import Fn
from theory import audit


def _state() -> nn.Module:
    """Return a module that holds a distance of 2, a flag, a mask and a weight."""
    layer = nn.Identity()
    layer.register_buffer("distance", torch.tensor(2))
    layer.register_buffer("mask", torch.tensor([True, False, False, True]))
    layer.weight = nn.Parameter(torch.tensor([1.5, -1.0]))
    layer.plain = torch.tensor([1, 2])
    return layer


def _pair(x: Tensor, distance: int) -> Tensor:
    return functional.conv1d(x, torch.ones(1, 1, 2), dilation=distance)


@pytest.mark.parametrize(
    "read",
    [
        lambda state: int(state.distance),
        lambda state: state.distance.item(),
        lambda state: range(5)[state.distance],
        lambda state: (state.distance + state.plain).tolist()[0] - 1,
        lambda state: int(float(2 * state.weight[0])) - 1,
        lambda state: 2 if (state.weight > 0).any() else 3,
        lambda state: 2 if torch.equal(state.mask, state.mask.flip(0)) else 3,
        lambda state: int(state.plain[1]),
        lambda state: int(torch.arange(3)[2]),
        lambda state: len(state.mask.nonzero()),
        lambda state: int(state.mask.nonzero().add_(1)[0, 0]) + 1,
        lambda state: int(state.weight.sort()[1][1]) + 2,
    ],
)
def test_values_that_come_from_no_input_are_read(read: Callable[[nn.Module], int]) -> None:
    reading = Fn(lambda x, state: _pair(x, read(state)), _state())
    assert audit(reading, (1, 8)).receptive_field == (3,)


def test_masks_may_be_computed_from_weights_and_written_through() -> None:
    def kept(x: Tensor, state: nn.Module) -> Tensor:
        return x[:, state.weight > 0]

    facts = audit(nn.Sequential(Fn(kept, _state()), nn.Conv1d(1, 1, 3)), (2, 8))
    assert (facts.receptive_field, facts.output_shape) == ((3,), (1, 6))

    def written(x: Tensor, state: nn.Module) -> Tensor:
        return x.index_put([state.mask], torch.zeros(8)).sum(0, keepdim=True)

    assert audit(Fn(written, _state()), (4, 8)).output_shape == (1, 8)


def _replaced(x: Tensor, state: nn.Module) -> Tensor:
    x = x.roll(int(state.distance), -1)
    state.distance = state.distance + 1
    return x


def _written_after(x: Tensor, state: nn.Module) -> Tensor:
    x = x.roll(int(state.distance), -1)
    state.distance += 1
    return x


def _written_before(x: Tensor, state: nn.Module) -> Tensor:
    state.distance += 1
    return x.roll(int(state.distance), -1)


def _written_mask(x: Tensor, state: nn.Module) -> Tensor:
    x = x[..., state.mask]
    state.mask.logical_not_()
    return x


def _written_by_data(x: Tensor, state: nn.Module) -> Tensor:
    x = x[..., state.mask]
    state.mask.data = ~state.mask
    return x


def _no_buffer(x: Tensor, state: nn.Module) -> Tensor:
    x = x.roll(int(state.plain[1]), -1)
    state.plain.add_(1)
    return x


@pytest.mark.parametrize(
    ("function", "whose"),
    [
        (_replaced, "layers.0.distance"),
        (_written_after, "layers.0.distance"),
        (_written_before, "layers.0.distance"),
        (_written_mask, "layers.0.mask"),
        (_written_by_data, "layers.0.mask"),
        (_no_buffer, "a tensor"),
    ],
)
def test_what_is_read_may_not_change(
    function: Callable[[Tensor, nn.Module], Tensor], whose: str
) -> None:
    module = Fn(function, _state())
    with pytest.raises(ValueError, match=f"reads values of {whose} and gives it others"):
        audit(module, (1, 4))
    assert (int(module.layers[0].distance), module.layers[0].plain.tolist()) == (2, [1, 2])


def test_an_index_that_changes_is_unknown() -> None:
    def replaced(x: Tensor, state: nn.Module) -> Tensor:
        x = x.cumsum(-1)[..., state.plain]
        state.plain += 1
        return x

    layer = _state()
    assert audit(Fn(replaced, layer), (1, 4)).receptive_field == (None,)
    layer.register_buffer("order", layer.__dict__.pop("plain"))

    def exchanged(x: Tensor, state: nn.Module) -> Tensor:
        x = x.cumsum(-1)[..., state.order]
        state.order = state.order + 1
        return x

    assert audit(Fn(exchanged, layer), (1, 4)).receptive_field == (None,)


def test_a_mask_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"fails on an input of shape.*The shape of the mask"):
        audit(Fn(lambda x, state: x[..., state.mask], _state()), (1, 5))


def test_what_has_no_values_is_not_read() -> None:
    state = _state().to("meta")
    with pytest.raises(ValueError, match="reads values of its own parameters"):
        audit(Fn(lambda x, state: _pair(x, int(state.distance)), state), (1, 8))


def _written_through_another(x: Tensor, state: nn.Module) -> Tensor:
    x = x.roll(int(state.distance), -1)
    state.other.add_(1)
    return x


def _sharing(state: nn.Module, *, buffer: bool) -> nn.Module:
    if buffer:
        state.register_buffer("other", state.distance.view(1))
    else:
        state.other = [state.distance.view(1)][0]
    return state


@pytest.mark.parametrize("buffer", [True, False])
def test_what_is_read_may_not_change_through_memory_that_it_shares(buffer: bool) -> None:
    state = _sharing(_state(), buffer=buffer)
    with pytest.raises(
        ValueError, match=r"reads values of layers\.0\.distance and gives it others"
    ):
        audit(Fn(_written_through_another, state), (1, 4))
    assert int(state.distance) == 2


def _plain_replaced(x: Tensor, state: nn.Module) -> Tensor:
    x = x.roll(int(state.plain[1]), -1)
    state.plain = state.plain + 1
    return x


def _plain_written_through_a_view(x: Tensor, state: nn.Module) -> Tensor:
    x = x.roll(int(state.plain[1]), -1)
    state.kept[0].add_(1)
    return x


def _array_written(x: Tensor, _: nn.Module) -> Tensor:
    values = np.zeros(1, dtype=np.int64)
    later = torch.from_numpy(values) + 1
    values[0] = 5
    return x.roll(int(later[0]), -1)


@pytest.mark.parametrize(
    "function", [_plain_replaced, _plain_written_through_a_view, _array_written]
)
def test_nor_may_a_tensor_that_is_neither_parameter_nor_buffer(
    function: Callable[[Tensor, nn.Module], Tensor],
) -> None:
    state = _state()
    state.kept = [state.plain[1:]]
    with pytest.raises(ValueError, match="reads values of a tensor and gives it others"):
        audit(Fn(function, state), (1, 4))


def test_an_index_is_unknown_that_is_written_through_shared_memory_or_an_array() -> None:
    def shared(x: Tensor, state: nn.Module) -> Tensor:
        state.other.add_(1)
        return x.cumsum(-1)[..., state.distance[None]]

    state = _sharing(_state(), buffer=True)
    assert audit(Fn(shared, state), (1, 4)).receptive_field == (None,)

    def by_an_array(x: Tensor) -> Tensor:
        values = np.array([1, 2])
        x = x.cumsum(-1)[..., torch.from_numpy(values)]
        values[:] = 0
        return x

    assert audit(Fn(by_an_array), (1, 4)).receptive_field == (None,)

    def left_alone(x: Tensor) -> Tensor:
        return x.cumsum(-1)[..., torch.from_numpy(np.array([1, 2]))]

    assert audit(Fn(left_alone), (1, 4)).receptive_field == (3,)


def _cells_into(x: Tensor, state: nn.Module) -> Tensor:
    torch.nonzero(state.mask, out=state.cells)
    return x


def _kept_into(x: Tensor, state: nn.Module) -> Tensor:
    torch.masked_select(state.cells, state.mask[:2, None], out=state.cells)
    return x


@pytest.mark.parametrize("function", [_cells_into, _kept_into])
def test_what_is_read_is_not_written_into_the_module(
    function: Callable[[Tensor, nn.Module], Tensor],
) -> None:
    state = _state()
    state.register_buffer("cells", torch.full((2, 1), 7))
    with pytest.raises(ValueError, match="reads values of its own parameters"):
        audit(Fn(function, state), (1, 4))
    assert state.cells.tolist() == [[7], [7]]


def test_what_a_sparse_tensor_shares_is_not_read() -> None:
    def shared(x: Tensor) -> Tensor:
        values = torch.zeros(2)
        sparse = torch.sparse_coo_tensor(
            torch.arange(2)[None], values, (2,), check_invariants=False
        )
        values.fill_(2.0)
        return x.roll(int(sparse.to_dense()[0]), -1)

    with pytest.raises(ValueError, match="reads values of tensors that it makes"):
        audit(Fn(shared), (1, 4))


def test_an_index_that_cannot_be_computed_is_refused() -> None:
    state = _state()
    state.register_buffer("rows", torch.tensor([0, 9]))
    with pytest.raises(ValueError, match="fails at the values that it is given: IndexError"):
        audit(Fn(lambda x, state: x.cumsum(-1)[..., state.plain[state.rows]], state), (1, 4))


def test_an_error_of_reading_values_may_not_be_caught() -> None:
    def catching(x: Tensor) -> Tensor:
        try:
            shift = int(x.sum())
        except RuntimeError:
            shift = 1
        return x[..., shift:]

    with pytest.raises(ValueError, match="reads values of its input"):
        audit(Fn(catching), (1, 8))


def test_an_index_of_a_type_that_the_cpu_does_not_compute_with_is_unknown() -> None:
    """Where the module runs, it may."""
    state = _state()
    state.register_buffer("short", torch.tensor([0, 2], dtype=torch.uint16))
    found = audit(Fn(lambda x, state: x[..., (state.short + 1).long()], state), (1, 4))
    assert found.rows[-1].receptive_field == (None,)


@pytest.mark.parametrize(
    ("constant", "expected"),
    [
        (lambda x, state: torch.zeros_like(x), "linear"),
        (lambda x, state: x.new_zeros(1, 2, 1).expand(1, 2, 3).flip(2), "linear"),
        (lambda x, state: torch.full((1, 2, 3), 0.0), "linear"),
        (lambda x, state: torch.cat([torch.zeros(1, 1, 3), torch.zeros(1, 1, 3)], 1), "linear"),
        (lambda x, state: torch.ones(1, 2, 3), "affine"),
        (lambda x, state: torch.cat([torch.zeros(1, 1, 3), torch.ones(1, 1, 3)], 1), "affine"),
        (lambda x, state: torch.zeros(1, 2, 3).cos(), "affine"),
        (lambda x, state: state.zeros, "affine"),  # it may be trained
        (lambda x, state: 2 * state.zeros.expand(1, 2, 3), "affine"),
        (lambda x, state: torch.rand(1, 2, 3), "affine"),
        (lambda x, state: torch.zeros(1, 2, 3) + torch.rand(1, 2, 3), "affine"),
    ],
)
def test_what_is_made_of_zeros_is_zero_whatever_a_module_holds(
    constant: Callable[[Tensor, nn.Module], Tensor], expected: str
) -> None:
    state = nn.Identity()
    state.register_buffer("zeros", torch.zeros(1, 2, 3))
    facts = audit(Fn(lambda x, state: torch.cat([x, constant(x, state)], 2), state), (2, 8))
    (row,) = (each for each in facts.rows if each.name == "cat" and each.linearity != "constant")
    assert row.linearity == expected
