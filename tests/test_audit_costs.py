"""The MACs and FLOPs of an audit, and the primitives that they are counted for."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from tests.audit_modules import Fn, Net
from theory import audit
from theory.auditing import counting, propagation, reach
from theory.auditing.dependence import Dependence
from theory.diagnosis.primitives import POINTWISE
from theory.diagnosis.structure import Level, interpret


def test_macs_and_flops_are_counted_apart() -> None:
    rows = audit(Net(), (3, 8, 8)).rows
    cells = 64
    assert rows[0].macs == 4 * cells * 27
    assert rows[0].flops == 2 * rows[0].macs + 4 * cells  # one addition a bias
    assert (rows[1].macs, rows[1].flops) == (0, 2 * 4 * cells)  # scale and offset
    assert (rows[2].macs, rows[2].flops) == (0, 4 * cells)
    assert rows[3].macs == 4 * cells * 18  # a filter sees half of the channels
    assert (rows[6].macs, rows[6].flops) == (0, 4 * cells * 9)
    assert (rows[7].macs, rows[7].flops) == (0, 0)  # concatenation only moves values
    assert (rows[-1].macs, rows[-1].flops) == (40, 85)


@pytest.mark.parametrize(
    ("module", "flops"),
    [
        (Fn(lambda x: x.var(1)), 4 * 3 * 8),  # a sum; a subtraction, a square and a sum
        (Fn(lambda x: x.std(1)), 4 * 3 * 8 + 8),
        (Fn(lambda x: torch.std_mean(x, 1)), 4 * 3 * 8 + 8),
        (Fn(lambda x: torch.linalg.vector_norm(x, dim=1)), 2 * 3 * 8 + 8),
        (Fn(lambda x: x[:, torch.tensor([2, 0, 0])]), 0),
        (Fn(lambda x: x.index_select(1, torch.tensor([2, 0, 0]))), 0),
        (Fn(lambda x: x.as_strided((1, 2, 2), (8, 4, 2))), 0),
        (Fn(lambda x: x.rot90(1, (1, 2))), 0),
        (nn.GLU(), 2 * 3 * 4),  # a sigmoid, and a product with it
        (Fn(lambda x, table: table(torch.arange(8)), nn.Embedding(8, 2)), 0),
        (Fn(lambda x, bags: bags(x.long()), nn.EmbeddingBag(9, 2)), 3 * 8 * 2),
        (Fn(lambda x, bags: bags(x.long()), nn.EmbeddingBag(9, 2, mode="max")), 3 * 8 * 2),
        # 6 outputs of 2 channels, each with 9 products and a bias; a norm for each of 2 filters
        (
            nn.utils.parametrizations.weight_norm(nn.Conv1d(3, 2, 3)),
            2 * 6 * (2 * 9 + 1) + (2 + 1) * 18 + (1 + 1) * 2,
        ),
        # 6 outputs of 2 channels; the norm is u'Wv, by which each of the 18 weights is divided
        (
            nn.utils.parametrizations.spectral_norm(nn.Conv1d(3, 2, 3, bias=False)),
            2 * 6 * 2 * 9 + 2 * 18 + 2 * 2 + 18,
        ),
        (Fn(lambda x: torch.vdot(x.flatten(), x.flatten())), 2 * 3 * 8),
        # a sum for the mean; a difference, a square, a sum for the variance; a difference and a
        # product; a scale and an offset
        (nn.LayerNorm(8), 8 * 3 * 8),
        (nn.GroupNorm(3, 3), 8 * 3 * 8),
        (nn.BatchNorm1d(3, track_running_stats=False), 8 * 3 * 8),
        (nn.Softmax(-1), 5 * 3 * 8),  # the maximum, a difference, an exponential, a sum, a quotient
        (nn.LogSoftmax(-1), 5 * 3 * 8),
        (Fn(lambda x: x.cumsum(-1)), 3 * 8),
        (Fn(lambda x: x.cummax(-1)[0]), 3 * 8),
        (Fn(lambda x: x.take(torch.arange(9))), 0),
        (Fn(lambda x: x.amax(-1)), 3 * 8),
    ],
)
def test_flops_of_norms_and_of_values_that_are_looked_up(module: nn.Module, flops: int) -> None:
    facts = audit(module, (3, 8))
    assert facts.flops == flops
    assert not any("unknown cost" in warning for warning in facts.warnings)


@pytest.mark.parametrize(
    ("module", "macs", "added"),
    [
        (Fn(lambda x: torch.dot(x[0, 0], x[0, 1])), 8, 0),
        (Fn(lambda x: torch.mv(x[0], x[0, 0])), 3 * 8, 0),
        (Fn(lambda x: torch.addmv(x[0, :, 0], x[0], x[0, 0])), 3 * 8, 3),
        (Fn(lambda x: torch.mm(x[0].T, x[0])), 8 * 3 * 8, 0),
        (Fn(lambda x: torch.addmm(x[0, 0], x[0].T, x[0])), 8 * 3 * 8, 8 * 8),
        (Fn(lambda x: torch.bmm(x, x.transpose(1, 2))), 3 * 8 * 3, 0),
        (Fn(lambda x: torch.baddbmm(x[:, :, :3], x, x.transpose(1, 2))), 3 * 8 * 3, 3 * 3),
        (Fn(lambda x: torch.addbmm(x[0, :, :3], x, x.mT)), 3 * 8 * 3, 3 * 3),
        (nn.Conv1d(3, 2, 3, bias=False), 2 * 6 * 9, 0),
        (nn.Conv1d(3, 2, 3), 2 * 6 * 9, 2 * 6),
        (nn.ConvTranspose1d(3, 2, 3, bias=False), 3 * 8 * 6, 0),
        (nn.ConvTranspose1d(3, 2, 3), 3 * 8 * 6, 2 * 10),
    ],
)
def test_a_product_costs_two_operations_for_each_mac_and_one_for_what_it_is_added_to(
    module: nn.Module, macs: int, added: int
) -> None:
    facts = audit(module, (3, 8))
    assert (facts.macs, facts.flops) == (macs, 2 * macs + added)


def test_a_bilinear_layer_costs_two_products_and_a_sum_for_each_weight() -> None:
    facts = audit(Fn(lambda x, layer: layer(x, x[..., :5]), nn.Bilinear(8, 5, 7)), (3, 8))
    assert (facts.macs, facts.flops) == (3 * 8 * 5 * 7, 3 * 3 * 8 * 5 * 7 + 3 * 7)
    assert facts.rows[-1].linearity == "nonlinear"


def test_a_weighted_bag_costs_a_product_for_each_value_that_it_adds() -> None:
    bags = nn.EmbeddingBag(9, 2, mode="sum")
    weighted = Fn(lambda x, bags: bags(torch.arange(8)[None], per_sample_weights=x), bags)
    facts = audit(weighted, (8,))
    assert (facts.macs, facts.flops) == (8 * 2, 2 * 8 * 2)


@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}])
def test_an_lstm_has_the_products_of_its_four_gates(options: dict[str, Any]) -> None:
    """As a GRU has those of three."""
    lstm, gru = (kind(8, 16, batch_first=True, **options) for kind in (nn.LSTM, nn.GRU))
    facts = audit(lstm, (5, 8))
    assert 3 * facts.macs == 4 * audit(gru, (5, 8)).macs
    weights = sum(w.numel() for name, w in lstm.named_parameters() if "weight" in name)
    assert facts.macs == 5 * weights  # each step multiplies by each weight once
    assert facts.warnings == ()


def test_attention_costs_its_two_products() -> None:
    attention = Fn(lambda x: functional.scaled_dot_product_attention(x, x, x))
    products = 2 * 4 * 4 * 8  # of each of 2 heads, 4 queries with 4 keys, over 8 features
    assert audit(attention, (2, 4, 8)).macs == 2 * products


@pytest.mark.parametrize(
    ("function", "layers", "shape"),
    [
        (lambda x: functional.scaled_dot_product_attention(x, x, x), [], (2, 4, 8)),
        (lambda x: functional.scaled_dot_product_attention(_KEYS, _KEYS, x), [], (2, 4, 8)),
        (lambda x, layer: layer(x, x, x)[0], [nn.MultiheadAttention(8, 2)], (4, 8)),
        (lambda x, layer: layer(x), [nn.LSTM(8, 4, batch_first=True)], (4, 8)),
    ],
)
def test_whatever_computes_a_layer_its_facts_are_those_of_its_products(
    function: Callable[..., Any], layers: list[nn.Module], shape: tuple[int, ...]
) -> None:
    """Red where a kernel that is chosen around the audit, or in the module itself, is recorded."""
    plain = audit(Fn(function, *layers), shape)
    assert plain.macs > 0
    assert not any("linearity" in warning for warning in plain.warnings)
    for kernel in SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION:

        def forced(x: Tensor, *layers: nn.Module, kernel: SDPBackend = kernel) -> Any:
            with sdpa_kernel(kernel), torch.backends.mkldnn.flags(enabled=True):
                return function(x, *layers)

        assert audit(Fn(forced, *layers), shape) == plain
        with sdpa_kernel(kernel):
            assert audit(Fn(function, *layers), shape) == plain
            assert torch.backends.cuda.math_sdp_enabled() is False


_KEYS = torch.ones(1, 2, 4, 8)


@pytest.mark.parametrize(
    "kind",
    [
        "attention_math_for_mps",
        "cudnn_attention",
        "efficient_attention",
        "flash_attention",
        "flash_attention_for_cpu",
        "fused_attention_overrideable",
    ],
)
def test_every_kernel_of_attention_has_a_field_and_a_cost(kind: str) -> None:
    graph = torch.fx.Graph()
    packet = getattr(torch.ops.aten, f"_scaled_dot_product_{kind}")
    inputs = [graph.placeholder(name) for name in ("query", "key", "value")]
    for each, cells, features in zip(inputs, (4, 6, 6), (8, 8, 5), strict=True):
        each.meta["val"] = torch.empty(1, 2, cells, features, device="meta")
    between = [None, False] if kind in {"cudnn_attention", "efficient_attention"} else []
    node = graph.call_function(packet.default, (*inputs, *between))
    node.meta["val"] = (
        torch.empty(1, 2, 4, 5, device="meta"),
        torch.empty(1, 2, 4, device="meta"),
    )
    seen = propagation.follow(graph, 2)[node]
    assert isinstance(seen, Dependence)
    assert seen.dim is None
    assert {tuple(cell) for cell in seen.reach.reshape(3, -1).T.tolist()} == {(0, -5, 0)}
    pairs = 2 * 4 * 6  # of a query and a key, which a softmax weighs
    found = counting.cost(node)
    assert (found.macs, found.flops) == (pairs * (8 + 5), 2 * pairs * (8 + 5) + 5 * pairs)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.AdaptiveAvgPool2d(7), (1, 10, 10)),
        (nn.AdaptiveAvgPool1d(3), (2, 8)),
        (nn.AdaptiveAvgPool3d((2, 3, 4)), (1, 5, 6, 7)),
        (nn.AdaptiveAvgPool2d((5, 3)), (1, 3, 7)),  # more cells come out than went in
        (nn.AdaptiveAvgPool2d(1), (2, 5, 5)),
        (nn.AdaptiveMaxPool1d(3), (1, 8)),
        (nn.AdaptiveMaxPool2d((7, 2)), (2, 10, 9)),
        (nn.AdaptiveMaxPool3d((2, 3, 4)), (1, 5, 6, 7)),
        (nn.AvgPool1d(3, 2), (2, 9)),
    ],
)
def test_a_pool_costs_an_operation_for_each_cell_that_its_windows_take_in(
    layer: nn.Module, shape: tuple[int, ...]
) -> None:
    x = torch.zeros(1, *shape, dtype=torch.float64)
    taken = 0
    for cell in range(x.numel()):  # what is not 0 has taken in the one cell that is not
        impulse = x.flatten().index_fill(0, torch.tensor(cell), 1).reshape(x.shape)
        taken += int((layer(impulse) > 0).sum())
    assert audit(layer, shape).flops == taken


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Upsample(scale_factor=2, mode="linear"), (2, 6)),
        (nn.Upsample(scale_factor=2, mode="bilinear"), (1, 6, 4)),
        (nn.Upsample(scale_factor=2, mode="trilinear"), (1, 4, 5, 6)),
        (nn.Upsample(scale_factor=2, mode="bicubic"), (2, 6, 6)),
    ],
)
def test_a_resizing_costs_a_product_for_each_weight_and_the_sums_between_them(
    layer: nn.Module, shape: tuple[int, ...]
) -> None:
    cells = math.prod(shape[1:])
    impulses = torch.eye(cells, dtype=torch.float64).reshape(cells, 1, *shape[1:])
    weights = int((layer(impulses) != 0).sum(0).max())  # of an output away from the edges
    facts = audit(layer, shape)
    assert facts.flops == (2 * weights - 1) * math.prod(facts.output_shape)
    assert facts.macs == 0


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact"])
def test_a_resizing_that_only_copies_is_free(mode: str) -> None:
    assert audit(nn.Upsample(scale_factor=2, mode=mode), (1, 3, 3)).flops == 0


@pytest.mark.parametrize("name", sorted(POINTWISE))
def test_what_diagnose_calls_pointwise_has_a_field_and_a_cost(name: str) -> None:
    primitive, graph, x = getattr(torch.ops.aten, name).default, torch.fx.Graph(), torch.ones(2, 3)
    source = graph.placeholder("x")
    node = graph.call_function(primitive, (source,))
    source.meta["val"], node.meta["val"] = x, primitive(x)
    found = propagation.follow(graph, 1)
    before, after = found[source], found[node]
    assert isinstance(before, Dependence)
    assert isinstance(after, Dependence)
    assert (after.dim, after.windows) == (before.dim, before.windows)
    assert np.array_equal(after.reach, before.reach)
    assert counting.cost(node).uncounted == ()


@pytest.mark.parametrize(
    ("module", "shape"),
    [
        (nn.Conv1d(4, 6, 3, stride=2, dilation=2, groups=2), (4, 20)),
        (nn.Conv3d(2, 3, (1, 2, 3)), (2, 4, 5, 6)),
        (nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2, output_padding=1), (4, 5, 6)),
        (nn.Linear(7, 3), (7,)),
        (nn.Linear(7, 3, bias=False), (2, 5, 7)),
        (nn.MultiheadAttention(8, 2, batch_first=True), None),
        (nn.GRU(4, 3), (5, 4)),
        (Fn(lambda x: x @ x.transpose(1, 2)), (4, 5)),
        (Fn(lambda x: torch.einsum("nij,njk->nik", x, x)), (5, 5)),
    ],
)
def test_macs_are_half_the_flops_of_torchs_own_counter(
    module: nn.Module, shape: tuple[int, ...] | None
) -> None:
    if isinstance(module, nn.MultiheadAttention):
        module, shape = Fn(lambda x, layer: layer(x, x, x)[0], module), (5, 8)
    assert shape is not None
    module.eval()
    facts = audit(module, shape)
    with FlopCounterMode(display=False) as counter:
        module(torch.zeros(1, *shape))  # with gradients, so that no fused kernel hides its products
    assert 2 * facts.macs == counter.get_total_flops()
    assert facts.macs > 0


@pytest.mark.parametrize("affine", [True, False])
def test_what_a_gpu_fuses_is_what_its_parts_are(affine: bool) -> None:
    """On a GPU `torch.nn.RMSNorm` is one primitive, on the CPU a few."""
    (row,) = audit(nn.RMSNorm(5, elementwise_affine=affine), (3, 5, 5)).rows
    graph = torch.fx.Graph()
    x, weight = graph.placeholder("x"), graph.get_attr("weight") if affine else None
    fused = graph.call_function(torch.ops.aten._fused_rms_norm.default, (x, [5], weight, None))
    first = graph.call_function(operator.getitem, (fused, 0))
    graph.output(first)
    for node in graph.nodes:
        node.meta["val"] = torch.empty(1, 3, 5, 5, device="meta")
    fused.meta["val"] = (first.meta["val"], torch.empty(1, 3, 5, 1, device="meta"))
    assert operator.index(counting.cost(fused).flops) == row.flops  # a whole number
    seen = [propagation.follow(graph, axis)[first] for axis in (2, 3)]
    assert tuple(reach.largest(each.reach) for each in seen) == row.receptive_field
    assert affine or interpret(graph).level is Level.NONLINEAR
