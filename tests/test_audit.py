"""``audit``: every kind of call has its row, which says what the call is and does."""

from __future__ import annotations

import copy
import doctest
import json
from collections import UserDict
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.audit_modules import Fn, Net
from theory import audit

ROOT = Path(__file__).parents[1]


def test_one_row_a_call_in_the_order_of_execution() -> None:
    facts = audit(Net(), (3, 12, 12))
    assert [(row.name, row.kind) for row in facts.rows] == [
        ("stem", "Conv2d"),
        ("norm", "BatchNorm2d"),
        ("relu", "relu"),
        ("shared", "Conv2d"),
        ("shared", "Conv2d"),
        ("add", "add"),
        ("max_pool2d", "max_pool2d"),
        ("cat", "cat"),
        ("adaptive_avg_pool2d", "adaptive_avg_pool2d"),
        ("flatten", "flatten"),
        ("head", "Linear"),
    ]
    assert [row.parameters for row in facts.rows] == [112, 8, 0, 76, 0, 0, 0, 0, 0, 0, 45]
    assert [row.buffers for row in facts.rows] == [0, 9, *[0] * 9]
    assert [row.receptive_field[0] for row in facts.rows] == [
        *[3, 3, 3, 5, 7, 7, 9, 9],
        *[12, 12, 12],
    ]
    assert [row.border[0] for row in facts.rows[:8]] == [
        *[(1, 1)] * 3,
        *[(2, 2), (3, 3), (3, 3), (4, 4), (4, 4)],
    ]
    assert [row.linearity for row in facts.rows] == [
        *["affine", "affine", "nonlinear", "affine", "affine", "linear", "nonlinear", "linear"],
        *["linear", "linear", "affine"],
    ]
    assert [row.output_shape for row in facts.rows[-4:]] == [(8, 12, 12), (8, 1, 1), (8,), (5,)]
    assert facts.parameters == sum(each.numel() for each in Net().parameters()) == 241
    assert facts.receptive_field == (12, 12)
    assert facts.rows[-1].jump == facts.rows[-1].start == (None, None)


def test_a_layer_by_itself_and_an_input_without_channels() -> None:
    facts = audit(nn.Linear(6, 2), (6,))
    assert [(row.name, row.kind) for row in facts.rows] == [("Linear", "Linear")]
    assert facts.receptive_field == (6,)
    identity = audit(nn.Identity(), (6,)).rows[0]
    assert (identity.receptive_field, identity.jump, identity.linearity) == ((1,), (1,), "linear")
    assert audit(nn.Dropout(), (3, 8)).rows[0].linearity == "linear"


def test_a_module_that_takes_no_batch() -> None:
    facts = audit(Fn(lambda x: x.reshape(3, 8).flip(1)), (3, 8))
    assert facts.output_shape == (3, 8)
    only_bare = Fn(lambda x: functional.pad(x, (1, 1)) if x.ndim == 2 else x[5])
    assert audit(only_bare, (3, 8)).output_shape == (3, 10)


def test_the_layout_in_memory_changes_nothing() -> None:
    layers = nn.Conv2d(3, 4, 3), nn.Hardswish(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    network = nn.Sequential(*layers, nn.Linear(4, 2), nn.LogSigmoid())
    expected = audit(network, (3, 8, 8))
    assert expected.receptive_field == (8, 8)
    assert expected.warnings == ()
    assert audit(network.to(memory_format=torch.channels_last), (3, 8, 8)) == expected


def test_fractions_of_a_jump_and_several_outputs() -> None:
    up = audit(nn.ConvTranspose1d(1, 1, 2, 2), (1, 8))
    assert up.rows[0].jump == (Fraction(1, 2),)
    assert up.to_dict()["rows"][0]["jump"] == ["1/2"]
    two = audit(Fn(lambda x, conv: {"a": x, "b": conv(x)}, nn.Conv1d(1, 1, 5)), (1, 8))
    assert two.receptive_field == (5,)


class _Pair(NamedTuple):
    """A named tuple of outputs."""

    a: Tensor
    b: Tensor | None


@dataclass
class _Output:
    """A dataclass of outputs, one of them within another collection."""

    a: Tensor
    b: Any


@pytest.mark.parametrize(
    "returned",
    [
        _Pair,
        _Output,
        lambda x, y: _Output(x, _Pair(y, None)),
        lambda x, y: {"a": x, "b": [y, "name"]},
        lambda x, y: UserDict(a=x, b=_Output(y, 3)),
    ],
)
def test_tensors_are_found_in_what_a_module_returns(returned: Callable[..., Any]) -> None:
    facts = audit(Fn(lambda x, conv: returned(x, conv(x)), nn.Conv1d(1, 1, 5)), (1, 8))
    assert (facts.output_shape, facts.receptive_field) == ((1, 8), (5,))
    assert facts.warnings == ()


def test_a_replicated_module_is_the_module() -> None:
    layers = nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten()
    network = nn.Sequential(nn.DataParallel(nn.Sequential(*layers[:2])), layers[2])
    expected = audit(nn.Sequential(nn.Sequential(*layers[:2]), layers[2]), (1, 8, 8))
    for devices in ([], [0, 1]):  # without and with GPUs
        network[0].device_ids, network[0].src_device_obj = devices, torch.device("meta")
        facts = audit(network, (1, 8, 8))
        assert [row.name for row in facts.rows] == ["0.module.0", "0.module.1", "1"]
        assert facts.receptive_field == expected.receptive_field
        assert (facts.parameters, facts.flops) == (expected.parameters, expected.flops)
        assert facts.warnings == expected.warnings == ()
        assert network[0].device_ids == devices


@pytest.mark.parametrize(
    "noted",
    [
        lambda x: torch._assert_async(x.sum() > 0),
        lambda x: torch.profiler.record_function("noted").__enter__(),
    ],
)
def test_what_returns_no_tensor_sees_nothing(noted: Callable[[Tensor], Any]) -> None:
    def function(x: Tensor, layer: nn.Module) -> Tensor:
        noted(x)
        return layer(x)

    facts = audit(Fn(function, nn.Conv1d(1, 1, 3)), (1, 8))
    assert facts.rows[-1].receptive_field == (3,)
    assert facts.warnings == ()


@pytest.mark.parametrize(
    "between",
    [
        [nn.Flatten()],
        [nn.Dropout(), nn.Flatten()],
        [nn.Unflatten(1, (2, 2)), nn.Flatten(), nn.ReLU6(inplace=True), nn.Unflatten(1, (4, 36))],
    ],
)
def test_a_view_of_what_was_written_in_place_is_read(between: list[nn.Module]) -> None:
    layers = [nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), *between]
    facts = audit(nn.Sequential(*layers), (3, 8, 8))
    assert [row.name for row in facts.rows] == [str(i) for i in range(len(layers))]
    expected = audit(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), *between), (3, 8, 8))
    assert facts == expected


def test_it_is_deterministic() -> None:
    network = Net()
    assert audit(network, (3, 8, 8)) == audit(network, (3, 8, 8))
    assert audit(copy.deepcopy(network), (3, 8, 8)) == audit(network, (3, 8, 8))


def test_the_table_fits_its_width_and_json_and_html_say_the_same() -> None:
    deep = nn.Sequential()
    inner = deep
    for name in ("a_rather_long_stage_name", "another_block_name", "sub_block"):
        inner.add_module(name, nn.Sequential())
        inner = inner.get_submodule(name)
    inner.add_module("convolution", nn.Conv2d(3, 8, 3, padding=(1, 0)))
    facts = audit(nn.Sequential(deep, nn.MaxPool2d((2, 3))), (3, 64, 32))
    table = str(facts)
    assert max(map(len, table.splitlines())) <= 100
    assert "in evaluation mode" in table
    plain = json.loads(json.dumps(facts.to_dict(), allow_nan=False))
    assert plain["parameters"] == facts.parameters
    assert plain["rows"][1]["receptive_field"] == [4, 5]
    assert plain["rows"][1]["border"] == [[1, 1], [0, 0]]
    html = facts._repr_html_()
    assert html.count("<tr>") == 1 + len(facts.rows)
    assert "<table>" in html
    assert "a_rather_long_stage_name" in html


@pytest.mark.parametrize(
    ("module", "shape", "field"),
    [
        (nn.PReLU(2), (2, 8), 1),
        (nn.InstanceNorm1d(2), (2, 8), 8),
        (nn.AdaptiveMaxPool1d(2), (2, 8), 4),
        (Fn(Tensor.half), (2, 8), 1),
        (Fn(lambda x: functional.scaled_dot_product_attention(x, x, x)), (2, 8), 8),
        (Fn(lambda x, layer: layer(x, x, x)[0], nn.MultiheadAttention(2, 1)), (2, 2), 2),
        (nn.LSTM(2, 4, batch_first=True), (3, 2), 2),
        (nn.GRU(2, 4, batch_first=True), (3, 2), 2),
    ],
)
def test_nonlinear_calls_are_called_nonlinear(
    module: nn.Module, shape: tuple[int, ...], field: int
) -> None:
    (row,) = audit(module, shape).rows
    assert row.linearity == "nonlinear"
    assert row.receptive_field == (field,)


def _attention(x: Tensor, *, causal: bool = False) -> Tensor:
    return functional.scaled_dot_product_attention(x, x, x, is_causal=causal)


@pytest.mark.parametrize(
    ("module", "shape"),
    [
        (Fn(_attention), (4, 8)),
        (Fn(_attention), (2, 4, 8)),
        (Fn(lambda x: _attention(x, causal=True)), (2, 4, 8)),
        (nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), (4, 8)),
        (
            nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2),
            (4, 8),
        ),
    ],
)
def test_attention_is_known_in_whichever_way_it_is_called(
    module: nn.Module, shape: tuple[int, ...]
) -> None:
    facts = audit(module, shape)
    attention = [row for row in facts.rows if "attention" in row.kind.lower()]
    assert {row.linearity for row in attention} == {"nonlinear"}
    assert {row.receptive_field for row in attention} == {shape[-2:] if len(shape) > 2 else (8,)}
    assert not any("unknown" in warning for warning in facts.warnings)


@pytest.mark.parametrize(
    ("function", "kinds"),
    [
        (lambda x: x[..., 1::2], {"getitem": 0}),
        (lambda x: x[..., 1::2].relu() + 1, {"getitem": 0, "relu": 0, "add": 0}),
        (lambda x: x[..., 1::2].transpose(1, 2).sum(1), {"getitem": 0, "transpose": 0, "sum": 0}),
        (lambda x: torch.cat([x[:, :0], x], 1), {"getitem": 0, "cat": 1}),
        (lambda x: x.split([0, 2], 1)[1], {"split": 0}),
        (lambda x: functional.pad(x[..., 1::2], (1, 1)), {"getitem": 0, "pad": 0}),
        (lambda x: x[..., 1::2] @ x[..., 1::2].mT, {"getitem": 0, "mT": 0, "matmul": 0}),
    ],
)
def test_a_map_without_cells_has_a_row_and_sees_nothing(
    function: Callable[..., Any], kinds: dict[str, int]
) -> None:
    rows = audit(Fn(function), (2, 1)).rows
    assert {row.kind: row.receptive_field[0] for row in rows} == kinds
    assert all(row.jump == (None,) for row in rows if 0 in row.output_shape)


@pytest.mark.parametrize(
    ("function", "layers", "kinds"),
    [
        (
            lambda x: torch.where(x > 0, x, 0.1 * x),
            [],
            {"gt": "nonlinear", "mul": "linear", "where": "nonlinear"},
        ),
        (lambda x: (x > 0).float(), [], {"gt": "nonlinear", "to": "linear"}),
        (lambda x: (x > 0) * x, [], {"gt": "nonlinear", "mul": "nonlinear"}),
        (lambda x: x * (x > 0), [], {"gt": "nonlinear", "mul": "nonlinear"}),
        (
            lambda x, table: table(x.long()),
            [nn.Embedding(9, 3)],
            {"to": "nonlinear", "Embedding": "nonlinear"},
        ),
        (
            lambda x: functional.one_hot(x.argmax(-1), 8),
            [],
            {"argmax": "nonlinear", "one_hot": "nonlinear"},
        ),
        (lambda x: x.half().exp().double(), [], {"to": "linear", "exp": "nonlinear"}),
    ],
)
def test_calls_on_truth_values_and_integers_have_rows(
    function: Callable[..., Any], layers: list[nn.Module], kinds: dict[str, str]
) -> None:
    rows = audit(Fn(function, *layers), (2, 8)).rows
    assert {row.kind: row.linearity for row in rows} == kinds


_FOUR = torch.tensor([0, 2, 1, 1])
_PAIRS = torch.tensor([[0, 2], [1, 1]])


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize(
    "of",
    [
        lambda x, bag: bag(x.long()),  # which has two dimensions, with the batch
        lambda x, bag: bag(x.flatten().long(), torch.tensor([0, 3])),
        lambda x, bag: bag(_FOUR, x.flatten().long()),
    ],
)
def test_bags_of_what_indices_look_up_are_nonlinear(of: Callable[..., Any], mode: str) -> None:
    facts = audit(Fn(of, nn.EmbeddingBag(3, 2, mode=mode)), (4,))
    assert facts.rows[-1].kind == "EmbeddingBag"
    assert facts.rows[-1].linearity == "nonlinear"
    assert facts.warnings == ()


@pytest.mark.parametrize(
    ("function", "linearity"),
    [
        (lambda x: functional.embedding(_FOUR, x[0].T), "linear"),
        (lambda x: functional.embedding_bag(_PAIRS, x[0].T, mode="sum"), "linear"),
        (lambda x: functional.embedding_bag(_FOUR, x[0].T, torch.tensor([0, 1])), "linear"),
        (lambda x: functional.embedding_bag(_PAIRS, x[0].T, mode="max"), "nonlinear"),
        (lambda x: functional.embedding_bag(_PAIRS, x[0].T + 1, mode="mean"), "linear"),
        (lambda x: _weighted(_TABLE, x[0, :, :2]), "linear"),
        (lambda x: _weighted(x[0].T, torch.ones(2, 2)), "linear"),
        (lambda x: _weighted(x[0].T, x[0, :, :2]), "nonlinear"),
    ],
)
def test_lookups_are_linear_in_the_table_and_weighted_ones_in_the_weights(
    function: Callable[[Tensor], Tensor], linearity: str
) -> None:
    facts = audit(Fn(function), (2, 3))
    assert facts.rows[-1].linearity == linearity
    assert facts.warnings == ()


_TABLE = torch.ones(3, 2)


def _weighted(table: Tensor, weights: Tensor) -> Tensor:
    return functional.embedding_bag(_PAIRS, table, mode="sum", per_sample_weights=weights)


def test_the_examples_of_the_guide_run() -> None:
    page = ROOT / "docs" / "howto" / "audit-your-model.md"
    result = doctest.testfile(str(page), module_relative=False)
    assert result.attempted > 5
    assert result.failed == 0


def test_the_example_of_the_function_runs() -> None:
    tests = doctest.DocTestFinder().find(audit, globs={})
    results = [doctest.DocTestRunner().run(each) for each in tests]
    assert sum(each.attempted for each in results) > 3
    assert not any(each.failed for each in results)
