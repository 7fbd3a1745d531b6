"""Is `diagnose` right? A truth table derived by hand, deceptive operators, planted faults."""

from __future__ import annotations

import copy
import dataclasses
import json
import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import scipy.ndimage
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from theory import diagnose
from theory.diagnosis import primitives
from theory.signals import shift

Period = tuple[int | None, ...]


def _seeded(make: Callable[[], nn.Module], bias: bool = False) -> nn.Module:
    """Return a module whose weights are small non-zero integers, so that all its sums are exact."""
    module = make()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            values = torch.randint(1, 10, parameter.shape, generator=generator)
            parameter.copy_(values if bias or "bias" not in name else 0 * values)
    return module


def _conv1d(c_in: int = 1, c_out: int = 1, k: int = 3, **options: Any) -> nn.Module:
    options = {"padding": k // 2, "padding_mode": "circular", "bias": False, **options}
    return _seeded(lambda: nn.Conv1d(c_in, c_out, k, **options), bias=options["bias"])


def _matrix(rows: Sequence[Sequence[float]], bias: float = 0.0) -> nn.Module:
    layer = nn.Linear(len(rows[0]), len(rows)).double()
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(rows))
        layer.bias.fill_(bias)
    return layer


def _circulant(block: int) -> list[list[float]]:
    """Rows i and i + block agree up to the shift by block; block 1 is circulant."""
    first = np.random.default_rng(0).integers(1, 100, (block, 8)).astype(float)
    return [np.roll(first[i % block], i - i % block).tolist() for i in range(8)]


def _eval(module: nn.Module) -> nn.Module:
    return module.eval()


def _batch_norm() -> nn.Module:
    layer = nn.BatchNorm1d(2).double().eval()
    layer.running_mean.copy_(torch.tensor([1.0, 2.0]))
    return layer


def _fft_filter(x: torch.Tensor) -> torch.Tensor:
    response = torch.tensor([1.0, 0.5, 0.25, 0.0, 0.0], dtype=torch.float64)
    return torch.fft.irfft(torch.fft.rfft(x) * response, n=8)


def _median(x: torch.Tensor) -> torch.Tensor:
    return torch.stack([x.roll(1, -1), x, x.roll(-1, -1)]).median(0).values


class _ToArray:
    """A numpy operator that sees no tensor."""

    def __init__(self, f: Callable[[np.ndarray], np.ndarray]) -> None:
        self.f = f

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return self.f(np.asarray(x))


TILE = torch.tensor([1.0, 2.0] * 4, dtype=torch.float64)

# name: operator, shape, linear?, affine?, period per axis.
TRUTH: dict[str, tuple[Callable[..., Any], tuple[int, ...], bool, bool, Period]] = {
    "identity": (nn.Identity(), (8,), True, True, (1,)),
    "zero": (lambda x: 0 * x, (8,), True, True, (1,)),
    "constant": (torch.ones_like, (8,), False, True, (1,)),
    "negation": (torch.neg, (8,), True, True, (1,)),
    "scaling": (lambda x: x / 3, (8,), True, True, (1,)),
    "bias": (lambda x: x + 1, (8,), False, True, (1,)),
    "one minus x": (lambda x: 1 - x, (8,), False, True, (1,)),
    "bias by position": (lambda x: x + torch.arange(8), (8,), False, True, (None,)),
    "periodic bias": (lambda x: x + TILE, (8,), False, True, (2,)),
    "modulation": (lambda x: x * TILE, (8,), True, True, (2,)),
    "window": (lambda x: x * torch.arange(8), (8,), True, True, (None,)),
    "roll": (lambda x: x.roll(3), (8,), True, True, (1,)),
    "flip": (lambda x: x.flip(0), (8,), True, True, (4,)),
    "x - mean": (lambda x: x - x.mean(), (8,), True, True, (1,)),
    "mean everywhere": (lambda x: 0 * x + x.mean(), (8,), True, True, (1,)),
    "cumulative sum": (lambda x: x.cumsum(0), (8,), True, True, (None,)),
    "circular difference": (lambda x: x - x.roll(1), (8,), True, True, (1,)),
    "in-place sums": (
        lambda x: torch.zeros_like(x).index_add_(0, torch.arange(8), x),
        (8,),
        True,
        True,
        (1,),
    ),
    "circulant FC": (_matrix(_circulant(1)), (8,), True, True, (1,)),
    "circulant FC + bias": (_matrix(_circulant(1), 2.0), (8,), False, True, (1,)),
    "2-block-circulant FC": (_matrix(_circulant(2)), (8,), True, True, (2,)),
    "4-block-circulant FC": (_matrix(_circulant(4)), (8,), True, True, (4,)),
    "FC": (_matrix(_circulant(8)), (8,), True, True, (None,)),
    "FC to 4": (_matrix(_circulant(8)[:4]), (8,), True, True, (None,)),
    "circular conv": (_conv1d(), (1, 8), True, True, (1,)),
    "circular conv + bias": (_conv1d(bias=True), (1, 8), False, True, (1,)),
    "zero-padded conv": (_conv1d(padding_mode="zeros"), (1, 8), True, True, (None,)),
    "reflection-padded conv": (_conv1d(padding_mode="reflect"), (1, 8), True, True, (None,)),
    "replication-padded conv": (_conv1d(padding_mode="replicate"), (1, 8), True, True, (None,)),
    "unpadded conv": (_conv1d(padding=0, padding_mode="zeros"), (1, 8), True, True, (None,)),
    "1x1 conv": (_conv1d(2, 3, 1), (2, 8), True, True, (1,)),
    "strided circular conv": (_conv1d(stride=2), (1, 8), True, True, (2,)),
    "dilated circular conv": (_conv1d(dilation=2, padding=2), (1, 8), True, True, (1,)),
    "grouped circular conv": (_conv1d(2, 4, groups=2), (2, 8), True, True, (1,)),
    "two circular convs": (nn.Sequential(_conv1d(1, 2), _conv1d(2, 1)), (1, 8), True, True, (1,)),
    "conv relu conv": (
        nn.Sequential(_conv1d(1, 2), nn.ReLU(inplace=True), _conv1d(2, 1)),
        (1, 8),
        False,
        False,
        (1,),
    ),
    "2-D circular conv": (
        _seeded(lambda: nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular")),
        (2, 4, 6),
        True,
        True,
        (1, 1),
    ),
    "circular along the width": (
        lambda x: F.avg_pool2d(F.pad(F.pad(x, (1, 1, 0, 0), "circular"), (0, 0, 1, 1)), 3, 1),
        (1, 4, 4),
        True,
        True,
        (None, 1),
    ),
    "3-D circular conv": (
        _seeded(lambda: nn.Conv3d(1, 2, 3, padding=1, padding_mode="circular")),
        (1, 3, 3, 3),
        True,
        True,
        (1, 1, 1),
    ),
    "transposed conv": (
        _seeded(lambda: nn.ConvTranspose1d(1, 2, 2, stride=2)),
        (1, 4),
        True,
        True,
        (1,),
    ),
    "nearest upsampling": (nn.Upsample(scale_factor=2), (1, 4), True, True, (1,)),
    "linear upsampling": (nn.Upsample(scale_factor=2, mode="linear"), (1, 4), True, True, (None,)),
    "average pooling": (nn.AvgPool1d(2), (1, 8), True, True, (2,)),
    "average pooling 2x3": (nn.AvgPool2d((2, 3)), (1, 4, 6), True, True, (2, 3)),
    "global average": (nn.AdaptiveAvgPool1d(1), (1, 8), True, True, (None,)),
    "subsampling": (lambda x: x[::2], (8,), True, True, (2,)),
    "subsampling by 4": (lambda x: x[3::4], (8,), True, True, (4,)),
    "sample and hold": (lambda x: x[::2].repeat_interleave(2), (8,), True, True, (2,)),
    "max pooling": (nn.MaxPool1d(2), (1, 8), False, False, (2,)),
    "max pooling 2-D": (nn.MaxPool2d(2), (1, 4, 4), False, False, (2, 2)),
    "max filter with border": (nn.MaxPool1d(3, 1, 1), (1, 8), False, False, (None,)),
    "circular max filter": (lambda x: torch.maximum(x, x.roll(1)), (8,), False, False, (1,)),
    "median filter": (_median, (8,), False, False, (1,)),
    "ReLU": (nn.ReLU(), (8,), False, False, (1,)),
    "ReLU in place": (nn.ReLU(inplace=True), (8,), False, False, (1,)),
    "sigmoid": (nn.Sigmoid(), (8,), False, False, (1,)),
    "absolute value": (torch.abs, (8,), False, False, (1,)),
    "square": (torch.square, (8,), False, False, (1,)),
    "GELU": (nn.GELU(), (8,), False, False, (1,)),
    "softmax": (nn.Softmax(-1), (8,), False, False, (1,)),
    "rounding": (torch.round, (8,), False, False, (1,)),
    "to integers": (lambda x: x.long().double(), (8,), False, False, (1,)),
    "written into integers": (
        lambda x: torch.zeros(8, dtype=torch.int64).copy_(x).double(),
        (8,),
        False,
        False,
        (1,),
    ),
    "through single precision": (lambda x: x.float().double(), (8,), False, False, (1,)),
    "sort": (lambda x: x.sort().values, (8,), False, False, (None,)),
    "x times its sum": (lambda x: x * x.sum(), (8,), False, False, (1,)),
    "batch norm, evaluating": (_batch_norm(), (2, 8), False, True, (1,)),
    "batch norm, training": (nn.BatchNorm1d(2), (2, 8), False, False, (1,)),
    "layer norm": (nn.LayerNorm(8), (8,), False, False, (1,)),
    "dropout, evaluating": (_eval(nn.Dropout()), (8,), True, True, (1,)),
    "pixel shuffle": (nn.PixelShuffle(2), (4, 3, 3), True, True, (1, 1)),
    "pixel unshuffle": (nn.PixelUnshuffle(2), (1, 4, 4), True, True, (2, 2)),
    "channel sum": (lambda x: x.sum(0), (3, 8), True, True, (1,)),
    "stack of shifts": (lambda x: torch.stack([x, x.roll(1)]), (8,), True, True, (1,)),
    "FFT filter": (_fft_filter, (8,), True, True, (1,)),
    "numpy roll": (_ToArray(lambda x: np.roll(x, 2)), (8,), True, True, (1,)),
    "numpy convolve": (lambda x: np.convolve(x, [1, 2, 1], "same"), (8,), True, True, (None,)),
    "numpy reversed view": (lambda x: x[::-1], (8,), True, True, (4,)),
    "numpy clip": (_ToArray(lambda x: np.maximum(x, 0)), (8,), False, False, (1,)),
    "numpy FFT": (np.fft.fft, (8,), True, True, (None,)),
    "scipy wrap": (
        lambda x: scipy.ndimage.correlate1d(x, [1.0, 2.0, 4.0], mode="wrap"),
        (8,),
        True,
        True,
        (1,),
    ),
    "scipy reflect": (
        lambda x: scipy.ndimage.uniform_filter1d(x, 3, mode="reflect"),
        (8,),
        True,
        True,
        (None,),
    ),
}


@pytest.mark.parametrize("name", TRUTH)
def test_truth_table(name: str) -> None:
    op, shape, linear, affine, period = TRUTH[name]
    diagnosis = diagnose(op, shape)
    equivariant = all(p == 1 for p in period)
    assert diagnosis.linear.holds is linear
    assert diagnosis.affine.holds is affine
    assert diagnosis.period == period
    assert diagnosis.shift_equivariant.holds is equivariant
    lti = linear and equivariant and name not in TWO_RATES
    assert diagnosis.lti.holds is lti
    assert (diagnosis.kernel is not None) == lti
    assert (diagnosis.offset is not None) == affine
    for which, finding in diagnosis.findings.items():
        by_shape = name == "global average" or (which == "lti" and name in TWO_RATES)
        if finding.holds is not False or not by_shape:
            _assert_consistent(finding, op)
    traceable = not name.startswith(("numpy", "scipy"))
    if affine:
        assert diagnosis.affine.certainty == ("proved" if traceable else "sampled")
    if lti and traceable:
        assert diagnosis.lti.certainty == ("proved" if name in POINTWISE else "exhausted")


TWO_RATES = {"transposed conv", "nearest upsampling", "pixel shuffle"}
"""Equivariant, with several output cells for each input cell: linear, yet no convolution."""

POINTWISE = {"identity", "zero", "negation", "scaling", "dropout, evaluating"}


def _assert_consistent(finding: Any, op: Callable[..., Any]) -> None:
    """Check that a refutation replays, and that nothing else has a witness."""
    if finding.holds is not False:
        assert finding.witness is None
        return
    assert finding.certainty == "refuted"
    assert finding.witness is not None
    left, right = finding.witness.replay(op)
    assert np.array_equal(left, finding.witness.left)
    assert np.array_equal(right, finding.witness.right)
    assert not np.array_equal(left, right)
    assert str(finding.witness)


@pytest.mark.parametrize(
    ("name", "homogeneous", "additive"),
    [("median filter", True, False), ("max pooling", False, False), ("square", False, False)],
)
def test_homogeneous_and_additive_are_told_apart(
    name: str, homogeneous: bool, additive: bool
) -> None:
    op, shape, *_ = TRUTH[name]
    diagnosis = diagnose(op, shape)
    assert diagnosis.homogeneous.holds is homogeneous
    assert diagnosis.additive.holds is additive


def test_kernel_reproduces_the_operator() -> None:
    op = TRUTH["2-D circular conv"][0]
    kernel = diagnose(op, (2, 4, 6)).kernel
    assert kernel is not None
    assert kernel.shape == (3, 2, 4, 6)
    x = np.random.default_rng(1).integers(-9, 9, (2, 4, 6)).astype(float)
    expected = copy.deepcopy(op).double()(torch.from_numpy(x)[None])[0].detach().numpy()
    computed = np.zeros_like(expected)
    for c, i, j in np.ndindex(x.shape):
        computed += x[c, i, j] * shift(kernel[:, c], (i, j))
    assert np.array_equal(computed, expected)


def test_kernel_and_offset_of_a_signal_without_channels() -> None:
    diagnosis = diagnose(lambda x: x - 2 * x.roll(1), (5,))
    assert diagnosis.kernel is not None
    assert diagnosis.kernel.tolist() == [1, -2, 0, 0, 0]
    assert diagnosis.offset is not None
    assert diagnosis.offset.tolist() == [0] * 5
    assert diagnose(lambda x: x + 3, (2,)).offset.tolist() == [3, 3]  # type: ignore[union-attr]


def _cells(witness: Any) -> int:
    return int(np.any([x != 0 for x in witness.inputs], axis=0).sum())


def test_smallest_witness_of_relu() -> None:
    witness = diagnose(nn.ReLU(), (8,)).additive.witness
    assert witness is not None
    x, y = witness.inputs
    assert _cells(witness) == 1
    assert (x.sum(), y.sum()) == (1, -1)


def test_smallest_witness_of_a_bias_is_zero() -> None:
    diagnosis = diagnose(TRUTH["circular conv + bias"][0], (1, 8))
    assert diagnosis.additive.witness is not None
    assert _cells(diagnosis.additive.witness) == 0


@pytest.mark.parametrize("name", ["max pooling", "max pooling 2-D"])
def test_smallest_witnesses_of_max_pooling(name: str) -> None:
    op, shape, *_ = TRUTH[name]
    diagnosis = diagnose(op, shape)
    assert diagnosis.additive.witness is not None
    assert _cells(diagnosis.additive.witness) == 1
    witness = diagnosis.shift_equivariant.witness
    assert witness is not None
    assert sum(witness.shift or ()) == 1
    # One impulse is followed, by 0 or by 1 cell; it takes two cells to see that neither is right.
    assert _cells(witness) == 2
    assert set(np.unique(witness.inputs[0])) == {0, 1}


def test_smallest_witness_of_subsampling() -> None:
    witness = diagnose(lambda x: x[::2], (8,)).shift_equivariant.witness
    assert witness is not None
    assert (witness.shift, witness.output_shift) == ((1,), None)
    assert witness.inputs[0].tolist() == [1, 0, 0, 0, 0, 0, 0, 0]
    assert "no shift of" in str(witness)


def test_witnesses_are_shrunk_from_large_inputs() -> None:
    witness = diagnose(lambda x: x.clamp(max=1e4), (8,)).additive.witness
    assert witness is not None
    assert _cells(witness) == 1
    assert max(np.abs(x).max() for x in witness.inputs) <= 10_001


class _Counter(nn.Module):
    def __init__(self, after: int) -> None:
        super().__init__()
        self.calls = 0
        self.after = after

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return x if self.calls <= self.after else 2 * x


class _LastInput(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("last", torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x + self.last
        self.last = x.sum()
        return y


@pytest.mark.parametrize(
    "op",
    [
        nn.Dropout(),
        _Counter(after=1),
        _Counter(after=100),
        _LastInput(),
        lambda x: x + torch.rand(8, dtype=x.dtype),
        lambda x: x + random.random(),
        lambda x: x + np.random.rand(),  # noqa: NPY002
    ],
    ids=["dropout", "counter", "late counter", "memory", "torch.rand", "random", "np.random"],
)
def test_randomness_and_hidden_state_are_found(op: Callable[..., Any]) -> None:
    diagnosis = diagnose(op, (8,))
    assert diagnosis.deterministic.holds is False
    witness = diagnosis.deterministic.witness
    assert witness is not None
    left, right = witness.replay(op)
    assert not np.array_equal(left, right)
    assert np.array_equal(left, witness.left)
    assert np.array_equal(witness.inputs[0], witness.inputs[-1])
    assert diagnosis.linear.holds is None
    assert diagnosis.lti.certainty == "undecided"
    assert str(diagnosis)


def _branch(x: torch.Tensor) -> torch.Tensor:
    return x if x.sum() > 1000 else 2 * x


def _conv_and_a_little_square(x: torch.Tensor) -> torch.Tensor:
    kernel = torch.tensor([[[1.0, 2.0, 3.0]]], dtype=x.dtype)
    return F.conv1d(F.pad(x, (1, 1), "circular"), kernel) + 1e-6 * x**2


@pytest.mark.parametrize(
    "op",
    [
        _branch,
        _conv_and_a_little_square,
        lambda x: x.clamp(-1e4, 1e4),
        _ToArray(lambda x: np.clip(x, -1e4, 1e4)),
        lambda x: torch.from_numpy(np.clip(x.numpy(), -1e4, 1e4)),
        lambda x: torch.tensor([min(v, 1e4) for v in x.flatten().tolist()]).double().view(x.shape),
        lambda x: x + 1e-9 * torch.sin(x),
        lambda x: torch.where(x == 3, 0, x),
    ],
    ids=["branch", "square", "clamp", "numpy", "numpy inside", "tolist", "sine", "hole at 3"],
)
def test_rare_and_faint_nonlinearity_is_found(op: Callable[..., Any]) -> None:
    diagnosis = diagnose(op, (1, 8))
    assert diagnosis.deterministic.holds
    assert diagnosis.linear.holds is False
    assert diagnosis.affine.holds is False
    _assert_consistent(diagnosis.linear, op)


def test_a_nonlinear_spelling_of_the_identity_is_never_called_proved() -> None:
    diagnosis = diagnose(lambda x: torch.relu(x) - torch.relu(-x), (8,))
    assert diagnosis.linear.holds
    assert diagnosis.linear.certainty == "sampled"
    assert "relu is nonlinear" in diagnosis.additive.reason
    assert diagnosis.lti.certainty == "sampled"


def test_an_unknown_primitive_is_named() -> None:
    diagnosis = diagnose(lambda x: torch.special.entr(x * 0) + x, (8,))
    assert diagnosis.linear.certainty == "sampled"
    assert "special_entr is unknown" in diagnosis.additive.reason


def _raises_on_negatives(x: np.ndarray) -> np.ndarray:
    if np.asarray(x).min() < 0:
        raise RuntimeError("no negatives")
    return 2 * x


def test_raising_on_some_inputs_leaves_it_undecided() -> None:
    diagnosis = diagnose(_raises_on_negatives, (8,))
    assert diagnosis.linear.holds is None
    assert diagnosis.linear.certainty == "undecided"
    assert "no negatives" in diagnosis.additive.reason
    assert diagnosis.shift_equivariant.holds is None
    assert diagnosis.kernel is None


@pytest.mark.parametrize("op", [torch.log, torch.exp, torch.reciprocal, np.sqrt])
def test_values_that_are_not_finite(op: Callable[..., Any]) -> None:
    diagnosis = diagnose(op, (8,))
    assert diagnosis.linear.holds is False
    assert diagnosis.shift_equivariant.holds
    _assert_consistent(diagnosis.linear, op)
    json.dumps(diagnosis.to_dict(), allow_nan=False)


def test_a_constant_nan_is_undecided() -> None:
    diagnosis = diagnose(lambda x: x * float("nan"), (8,))
    assert diagnosis.linear.holds is None
    assert "not finite" in diagnosis.additive.reason


def test_an_output_of_varying_shape() -> None:
    diagnosis = diagnose(lambda x: x[x > 0], (8,))
    assert diagnosis.linear.holds is not True
    assert diagnosis.lti.holds is not True


@pytest.mark.parametrize("op", [torch.sum, lambda x: x.sum(), np.mean])
def test_an_output_without_axes_is_invariant_not_equivariant(op: Callable[..., Any]) -> None:
    diagnosis = diagnose(op, (8,))
    assert diagnosis.linear.holds
    assert diagnosis.shift_equivariant.holds is False
    assert "shift-invariant" in diagnosis.shift_equivariant.reason
    assert diagnosis.lti.holds is False
    assert "shift-invariant" not in diagnose(lambda x: x[0], (8,)).shift_equivariant.reason


def test_real_weights_and_single_precision() -> None:
    torch.manual_seed(0)
    layer = nn.Sequential(
        nn.Conv1d(2, 3, 3, padding=1, padding_mode="circular", bias=False),
        nn.Conv1d(3, 2, 3, padding=1, padding_mode="circular", bias=False),
    )
    for dtype in (torch.float64, torch.float32):
        diagnosis = diagnose(layer, (2, 8), dtype=dtype)
        assert diagnosis.lti.holds
        assert diagnosis.linear.certainty == "proved"
    witness = diagnose(nn.ReLU(), (8,), dtype=torch.float32).additive.witness
    assert witness is not None
    assert witness.inputs[0].dtype == np.float32


def _snapshot(module: nn.Module) -> dict[str, Any]:
    return {
        "state": {name: value.clone() for name, value in module.state_dict().items()},
        "identity": [id(p) for p in (*module.parameters(), *module.buffers())],
        "gradients": [None if p.grad is None else p.grad.clone() for p in module.parameters()],
        "requires": [p.requires_grad for p in module.parameters()],
        "dtypes": [p.dtype for p in module.parameters()],
        "training": [m.training for m in module.modules()],
        "hooks": [len(m._forward_hooks) for m in module.modules()],
        "calls": getattr(module, "calls", None),
    }


def test_the_module_and_the_generators_come_back_as_they_were() -> None:
    module = nn.Sequential(
        nn.Conv1d(2, 2, 3, padding=1), nn.BatchNorm1d(2), nn.Dropout(), _Counter(after=5)
    )
    module[0].weight.requires_grad_(False)
    module[0].register_forward_hook(lambda *_: None)
    module[2].eval()
    module(torch.randn(4, 2, 8)).sum().backward()
    before = _snapshot(module)
    generators = (torch.get_rng_state(), np.random.get_state(), random.getstate())  # noqa: NPY002
    diagnosis = diagnose(module, (2, 8))
    for finding in diagnosis.findings.values():
        if finding.witness is not None:
            finding.witness.replay(module)
    after = _snapshot(module)
    assert torch.equal(generators[0], torch.get_rng_state())
    assert repr(generators[1]) == repr(np.random.get_state())  # noqa: NPY002
    assert generators[2] == random.getstate()
    for name in ("state", "gradients"):
        old, new = before.pop(name), after.pop(name)
        pairs = zip(old.values(), new.values()) if isinstance(old, dict) else zip(old, new)  # noqa: B905
        assert all(torch.equal(a, b) if a is not None else b is None for a, b in pairs)
    assert before == after
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("name", ["ReLU", "FC", "max pooling", "batch norm, training", "numpy FFT"])
def test_same_seed_same_diagnosis(name: str) -> None:
    op, shape, *_ = TRUTH[name]
    torch.manual_seed(1)
    first = diagnose(op, shape, seed=3).to_dict()
    torch.manual_seed(2)
    assert diagnose(op, shape, seed=3).to_dict() == first


def test_inputs_are_not_shared_with_an_operator_that_overwrites_them() -> None:
    def doubled_in_place(x: torch.Tensor) -> torch.Tensor:
        return x.mul_(2)

    diagnosis = diagnose(doubled_in_place, (8,))
    assert diagnosis.deterministic.holds
    assert diagnosis.lti.holds


def test_a_batch_that_mixes_is_not_what_is_diagnosed() -> None:
    class MinusBatchMean(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 3 * x - x.mean(0, keepdim=True)

    kernel = diagnose(MinusBatchMean(), (4,)).kernel
    assert kernel is not None
    assert kernel.tolist() == [2, 0, 0, 0]


def _mislabelled(monkeypatch: pytest.MonkeyPatch, name: str, table: str) -> None:
    """Plant a fault: put a nonlinear primitive into one of the tables of harmless ones."""
    monkeypatch.setattr(primitives, "NONLINEAR", primitives.NONLINEAR - {name})
    monkeypatch.setattr(primitives, table, getattr(primitives, table) | {name})


@pytest.mark.parametrize(
    ("op", "name"),
    [
        (nn.ReLU(), "relu"),
        (torch.abs, "abs"),
        (lambda x: x.clamp(-1e4, 1e4), "clamp"),
        (torch.round, "round"),
        (lambda x: x**2, "pow"),
    ],
)
@pytest.mark.parametrize("table", ["LINEAR_IN_FIRST", "AFFINE_COMBINATION", "CONSTANT"])
def test_a_wrong_table_of_primitives_is_caught(
    monkeypatch: pytest.MonkeyPatch, op: Callable[..., Any], name: str, table: str
) -> None:
    _mislabelled(monkeypatch, name, table)
    diagnosis = diagnose(op, (8,))
    assert diagnosis.linear.holds is False
    assert diagnosis.affine.holds is False
    assert "table of primitives is wrong" in diagnosis.affine.reason
    _assert_consistent(diagnosis.affine, op)


def test_a_wrong_claim_of_pointwise_structure_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("theory.diagnosis.structure._is_pointwise", lambda graph: True)
    diagnosis = diagnose(lambda x: torch.relu(x * torch.arange(8)), (8,))
    assert diagnosis.shift_equivariant.holds is False


MUTANTS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "one weight differs": lambda x: F.linear(
        x, torch.tensor(_circulant(1)).double() + _one_at(2, 5)
    ),
    "bias in one cell": lambda x: x.roll(1) + _one_at(3),
    "last cell forgotten": lambda x: torch.cat([x[:-1], 0 * x[-1:]]),
    "off-by-one padding": lambda x: (
        F.pad(x[None], (2, 0), "circular")[0].unfold(0, 3, 1).sum(1) + F.pad(x, (0, 1))[1:]
    ),
    "wrong stride phase in one cell": lambda x: torch.cat([x[0:6:2], x[7:8]]),
}


def _one_at(*cell: int) -> torch.Tensor:
    values = torch.zeros((8,) * len(cell), dtype=torch.float64)
    values[cell] = 1
    return values


@pytest.mark.parametrize("name", MUTANTS)
def test_mutants_of_equivariant_operators_are_caught(name: str) -> None:
    diagnosis = diagnose(MUTANTS[name], (8,))
    assert diagnosis.shift_equivariant.holds is False
    assert diagnosis.lti.holds is False
    assert diagnosis.period == (None,)
    _assert_consistent(diagnosis.shift_equivariant, MUTANTS[name])


def test_printing() -> None:
    for name in ("ReLU", "average pooling 2x3", "2-D circular conv", "circulant FC + bias"):
        op, shape, *_ = TRUTH[name]
        diagnosis = diagnose(op, shape)
        text = str(diagnosis)
        assert max(map(len, text.splitlines())) <= 100
        page = diagnosis._repr_html_()
        for finding in diagnosis.findings:
            assert finding in text
            assert finding in page
        data = json.loads(json.dumps(diagnosis.to_dict(), allow_nan=False))
        assert data["linear"]["holds"] is diagnosis.linear.holds
        assert data["period"] == list(diagnosis.period)
    assert "x = [1 at 0], y = [-1 at 0]: f(x + y) = 0 but f(x) + f(y) = 1 at 0" in str(
        diagnose(nn.ReLU(), (8,))
    )


def test_a_faint_difference_is_printed_with_the_digits_that_differ() -> None:
    witness = diagnose(lambda x: x * (1 + 1e-12 * _one_at(2)), (8,)).shift_equivariant.witness
    assert witness is not None
    left, right = str(witness).split(": ")[1].split(" but ")
    assert left.split(" = ")[1] != right.split(" = ")[1].split(" at ")[0]


def test_results_are_frozen() -> None:
    diagnosis = diagnose(nn.ReLU(), (4,))
    with pytest.raises(dataclasses.FrozenInstanceError):
        diagnosis.period = (2,)  # type: ignore[misc]


@pytest.mark.parametrize(
    ("op", "shape", "options", "error", "match"),
    [
        (
            nn.Conv2d(3, 4, 3),
            (1, 8, 8),
            {},
            ValueError,
            r"Conv2d takes no input of shape \(1, 8, 8\)",
        ),
        (nn.Conv2d(1, 1, 3, padding=1), (1, 8), {}, ValueError, "takes no input"),
        (nn.Conv1d(1, 4, 3), (8,), {}, ValueError, "takes no input"),
        (nn.LSTM(8, 4), (8,), {}, ValueError, "returns tuple"),
        (nn.ReLU(), (0,), {}, ValueError, "all sizes at least 1"),
        (nn.ReLU(), (1, 2, 3, 4, 5), {}, ValueError, "one input without batch"),
        (nn.ReLU(), "8", {}, ValueError, "one input without batch"),
        (nn.ReLU(), (8,), {"boundary": "interior"}, ValueError, "boundary is 'interior'"),
        (nn.ReLU(), (8,), {"dtype": torch.int64}, ValueError, "give torch.float64"),
        (3, (8,), {}, TypeError, "3 is not callable"),
    ],
)
def test_bad_input(
    op: Any, shape: Any, options: dict[str, Any], error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        diagnose(op, shape, **options)
