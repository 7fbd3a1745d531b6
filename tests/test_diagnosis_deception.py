"""What `diagnose` must not be fooled by, and what it must leave as it was."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from tests.operator_table import OPERATORS, NoTensor, assert_replays, circulant, conv, dense
from theory import diagnose
from theory.diagnosis.isolation import isolated

if TYPE_CHECKING:
    from collections.abc import Callable

    from theory.diagnosis.equations import Boundary


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
        NoTensor(lambda x: np.clip(x, -1e4, 1e4)),
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
    assert_replays(diagnosis.linear, op)


def test_a_nonlinear_spelling_of_the_identity_is_never_called_proved() -> None:
    diagnosis = diagnose(lambda x: torch.relu(x) - torch.relu(-x), (8,))
    assert diagnosis.linear.holds
    assert diagnosis.linear.certainty == "sampled"
    assert "relu is nonlinear" in diagnosis.additive.reason
    assert diagnosis.lti.certainty == "sampled"


def _despiked(x: torch.Tensor) -> torch.Tensor:
    if len(torch.nonzero(x == -9999.0)):
        x = torch.where(x == -9999.0, 0.0, x)
    return 2 * x


def _asks_and_catches(x: torch.Tensor) -> torch.Tensor:
    try:
        if x.max() > 1e20:
            return 3 * x
    except RuntimeError:
        pass
    return 2 * x


def _reads_and_catches(x: torch.Tensor) -> torch.Tensor:
    try:
        if x.numpy().max() > 1e20:
            return 3 * x
    except (RuntimeError, TypeError, AttributeError):
        pass
    return 2 * x


def _counts_in_a_sparse_copy(x: torch.Tensor) -> torch.Tensor:
    return x * 2 if (x == 1.2345678).to_sparse()._nnz() == 0 else x.abs()


def _reaches_out(x: torch.Tensor) -> torch.Tensor:
    try:
        torch.gather(x, 0, (x == 1.2345678).long() * 100)
    except (IndexError, RuntimeError):
        return x.abs()
    return 2 * x


def _reaches_out_for_a_shape(x: torch.Tensor) -> torch.Tensor:
    try:
        return 2 * x + torch.zeros_like(x[(x == 1.2345678).long() * 100])
    except (IndexError, RuntimeError):
        return x.abs()


def _scatters_out(x: torch.Tensor) -> torch.Tensor:
    try:
        x.index_add(0, (x == 1.2345678).long() * 100, x)
    except (IndexError, RuntimeError):
        return x.abs()
    return 2 * x


def _divides_by_none(x: torch.Tensor) -> torch.Tensor:
    try:
        torch.remainder((x == x).long(), (x != 1.2345678).long())
    except RuntimeError:
        return x.roll(1).cumsum(0)
    return 2 * x


@pytest.mark.parametrize(
    "op",
    [
        _despiked,
        _counts_in_a_sparse_copy,
        _reaches_out,
        _reaches_out_for_a_shape,
        _scatters_out,
        _divides_by_none,
        lambda x: 3 * x if x[x == 0.3].numel() else 2 * x,
        lambda x: 3 * x if len(x.masked_select(x == 0.3)) else 2 * x,
        lambda x: 2 * x if len(torch.unique(x)) != 7 else 3 * x,
        _asks_and_catches,
        _reads_and_catches,
        lambda x: 3 * x if "0.1235" in repr(x) else 2 * x,
        lambda x: 3 * x if "0.1235" in str(x[0]) else 2 * x,
        lambda x: 3 * x if "0.1235" in f"{x.sum()}" else 2 * x,
    ],
    ids=[
        "nonzero",
        "sparse",
        "gather",
        "index",
        "index_add",
        "division",
        "mask",
        "masked_select",
        "unique",
        "swallowed",
        "numpy, swallowed",
        "repr",
        "str",
        "format",
    ],
)
def test_a_branch_that_tracing_does_not_see_is_not_called_proved(op: Callable[..., Any]) -> None:
    diagnosis = diagnose(op, (8,))
    for finding in diagnosis.findings.values():
        if finding is not diagnosis.deterministic:
            assert finding.certainty in ("sampled", "refuted")


def test_a_result_that_is_left_unused_hinders_no_proof_by_itself() -> None:
    """Red where every primitive that nothing uses is taken for a branch."""
    places = torch.tensor([0, 2])

    def unused(x: torch.Tensor) -> torch.Tensor:
        x.relu(), x[places], x.long() // 2, places // 2, x.sort()
        return 2 * x

    assert diagnose(unused, (8,)).linear.certainty == "proved"
    assert diagnose(lambda x: (x.long() % 2).to(x), (8,)).shift_equivariant.certainty == "proved"


def test_a_shape_that_constants_decide_hinders_no_proof() -> None:
    mask = torch.arange(8) % 2 == 0
    for op in (
        lambda x: x[mask],
        lambda x: x[torch.tensor([0, 2])],
        lambda x: x * torch.nonzero(mask).sum(),
    ):
        assert diagnose(op, (8,)).linear.certainty == "proved"


def test_the_text_of_a_constant_hinders_no_proof() -> None:
    weight = torch.tensor([2.0])
    op = lambda x: 2 * x if "2." in str(weight) else x  # noqa: E731
    assert diagnose(op, (8,)).linear.certainty == "proved"


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


def _raises_on_large_and_is_nan_in_a_cell(x: np.ndarray) -> np.ndarray:
    if abs(x).max() > 1e5:
        raise ValueError("too large")
    return np.where(np.arange(6) == 2, np.nan, x)


def test_one_nan_beside_finite_values_does_not_stand_for_an_error() -> None:
    diagnosis = diagnose(_raises_on_large_and_is_nan_in_a_cell, (6,))
    assert diagnosis.shift_equivariant.holds is False


@pytest.mark.parametrize("op", [torch.log, torch.exp, torch.reciprocal, np.sqrt])
def test_values_that_are_not_finite(op: Callable[..., Any]) -> None:
    diagnosis = diagnose(op, (8,))
    assert diagnosis.linear.holds is False
    assert diagnosis.shift_equivariant.holds
    assert_replays(diagnosis.linear, op)
    json.dumps(diagnosis.to_dict(), allow_nan=False)


@pytest.mark.parametrize("boundary", ["circular", "interior"])
@pytest.mark.parametrize(
    "weight", [1 / torch.arange(8.0), torch.tensor([1.0, 1, 1, float("nan"), 1, 1, 1, 1])]
)
def test_a_cell_that_is_never_finite_does_not_follow_shifts(
    boundary: Boundary, weight: torch.Tensor
) -> None:
    diagnosis = diagnose(lambda x: x * weight.to(x.dtype), (8,), boundary=boundary)
    assert diagnosis.shift_equivariant.holds is False
    assert diagnosis.lti.holds is not True
    witness = diagnosis.shift_equivariant.witness
    if boundary == "circular":
        assert witness is not None
        assert not np.array_equal(np.isfinite(witness.left), np.isfinite(witness.right))


def test_an_overflow_inside_a_transform_refutes_nothing() -> None:
    """Behind exp(1e4) cell 0 is infinite and the others NaN; after a shift all of them are NaN."""
    kernel = np.fft.rfft([1, 0.5, 0.25], 8)
    diagnosis = diagnose(lambda x: np.fft.irfft(np.fft.rfft(np.exp(x)) * kernel, 8), (8,))
    assert diagnosis.shift_equivariant.holds


class _Hilbert(nn.Module):
    """Quarter of a turn for every frequency, by a complex buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("turn", torch.tensor([0, -1j, -1j, -1j, 0], dtype=torch.complex64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.fft.irfft(torch.fft.rfft(x) * self.turn, n=8)


def test_complex_parameters_keep_their_imaginary_part() -> None:
    """Red where a conversion to real numbers makes this the zero operator."""
    module = _Hilbert()
    diagnosis = diagnose(module, (8,))
    assert diagnosis.lti.holds
    x = torch.zeros(8)
    x[0] = 1
    assert diagnosis.kernel is not None
    assert np.abs(diagnosis.kernel.ravel() - module(x).numpy()).max() < 8 * np.finfo(np.float32).eps
    assert np.abs(diagnosis.kernel).max() > 0.1
    assert module.turn.dtype == torch.complex64


class _NoDouble(nn.Linear):
    def _apply(self, fn: Any, recurse: bool = True) -> nn.Module:
        if fn(torch.zeros(1)).dtype is torch.float64:
            raise TypeError("this device has no float64")
        return super()._apply(fn, recurse)


class _OwnTo(nn.Module):
    """Keeps a tensor that is no buffer, and moves it by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.eye(4)

    def to(self, *args: Any, **options: Any) -> nn.Module:
        super().to(*args, **options)
        self.weight = self.weight.to(*args, **options)
        return self

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.weight


def test_a_module_that_moves_itself_is_asked_in_double_precision() -> None:
    assert diagnose(_OwnTo(), (4,)).dtype == "float64"


def test_a_module_without_double_precision_gets_single() -> None:
    diagnosis = diagnose(_NoDouble(4, 4, bias=False), (4,))
    assert diagnosis.linear.certainty == "proved"


def test_weights_that_no_tried_impulse_meets_do_not_refute_what_is_linear() -> None:
    """Two of eight weights are 1e12/3 and cancel: the rounding errors are theirs, not the sum's."""
    weights = np.ones(8)
    weights[2], weights[3] = 1e12 / 3, -1e12 / 3
    found = diagnose(lambda x: np.array([x @ weights]), (8,), batched=False).linear
    assert found.holds


def test_a_constant_nan_is_undecided() -> None:
    diagnosis = diagnose(lambda x: x * float("nan"), (8,))
    assert diagnosis.linear.holds is None
    assert "not finite" in diagnosis.additive.reason


def test_an_output_of_varying_shape() -> None:
    diagnosis = diagnose(lambda x: x[x > 0], (8,))
    assert diagnosis.linear.holds is not True
    assert diagnosis.lti.holds is not True


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
    random.seed(7)  # a state that no earlier diagnosis has left behind
    np.random.seed(7)  # noqa: NPY002
    torch.manual_seed(7)
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


def test_the_default_type_comes_back_as_it_was() -> None:
    def sets_it(x: torch.Tensor) -> torch.Tensor:
        torch.set_default_dtype(torch.float64)
        return x

    before = torch.get_default_dtype()
    try:
        diagnose(sets_it, (4,))
        assert torch.get_default_dtype() is before
    finally:
        torch.set_default_dtype(before)


@pytest.mark.skipif(torch.cuda.is_initialized(), reason="a seed is queued until CUDA is in use")
def test_a_seed_that_waits_for_cuda_still_waits() -> None:
    torch.manual_seed(123)
    before = torch.cuda._lazy_seed_tracker.get_calls()
    found = diagnose(nn.ReLU(), (4,))
    assert found.additive.witness is not None
    found.additive.witness.replay(nn.ReLU())
    assert torch.cuda._lazy_seed_tracker.get_calls() == before


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_generators_of_cuda_come_back_as_they_were() -> None:
    torch.cuda.init()
    before = torch.cuda.get_rng_state_all()
    with isolated(0):
        first = torch.rand(8, device="cuda")
    assert all(map(torch.equal, before, torch.cuda.get_rng_state_all()))
    with isolated(0):
        assert torch.equal(torch.rand(8, device="cuda"), first)


@pytest.mark.parametrize("name", ["ReLU", "FC", "max pooling", "batch norm, training", "numpy FFT"])
def test_same_seed_same_diagnosis(name: str) -> None:
    shape = OPERATORS[name].shapes[0]
    op = OPERATORS[name].make(shape)
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


def test_equivariance_to_even_shifts_only() -> None:
    """Nonlinear, so that no basis helps; odd shifts exchange two different functions."""

    def alternating(x: torch.Tensor) -> torch.Tensor:
        return torch.where(torch.arange(8) % 2 == 0, x.relu(), 0.75 * x.relu())

    found = diagnose(alternating, (8,))
    assert found.shift_equivariant.holds is False
    assert found.period == (2,)
    assert_replays(found.shift_equivariant, alternating)


def test_faint_is_not_zero() -> None:
    """Weights near zero count like any other: what matters is their size against each other."""
    assert diagnose(lambda x: 1e-9 * x.relu(), (8,)).linear.holds is False
    assert diagnose(dense(1e-9 * circulant(8, 8)), (8,)).lti.holds is False
    assert diagnose(dense(1e-9 * circulant(8)), (8,)).lti.holds
    nearly = dense(circulant(8))
    with torch.no_grad():
        nearly.weight[2, 5] += 2**-10
    assert diagnose(nearly, (8,)).lti.holds is False


class _SingleOnly(nn.Module):
    """A layer that keeps its weights in a list, where no conversion finds them."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = [torch.tensor([[[1.0, 2.0, 5.0]]])]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.conv1d(F.pad(x, (1, 1), "circular"), self.weights[0])


def test_a_module_for_single_precision_alone() -> None:
    found = diagnose(_SingleOnly(), (1, 8))
    assert found.lti.holds
    assert found.dtype == "float32"
    assert "float32" in str(found)
    assert diagnose(_SingleOnly(), (1, 8), boundary="interior").border == (1,)


@pytest.mark.parametrize("enabled", [True, False])
def test_the_autograd_state_comes_back(enabled: bool) -> None:
    x = torch.ones(2, 8, requires_grad=True)
    layer = conv()
    y = layer(x).sum()
    with torch.set_grad_enabled(enabled):
        diagnose(layer, (2, 8))
        assert torch.is_grad_enabled() is enabled
    y.backward()
    assert x.grad is not None
    assert layer.weight.grad is not None


def _faint_channel(x: torch.Tensor) -> torch.Tensor:
    """One channel rolls; of the other, each cell has its own, tiny weight."""
    return torch.stack([x.roll(1), 1e-15 * x * torch.arange(len(x))])


@pytest.mark.parametrize("boundary", ["circular", "interior"])
def test_what_drowns_beside_a_large_channel_is_never_called_exhausted(boundary: Boundary) -> None:
    found = diagnose(_faint_channel, (12,), boundary=boundary)
    assert found.lti.certainty == "sampled"
    assert "too faint" in found.shift_equivariant.reason
    follows = diagnose(
        lambda x: torch.stack([x, 1e-15 * x * torch.ones(12)]), (12,), boundary=boundary
    )
    assert follows.lti.certainty == "exhausted"


_ONES = torch.ones(3, 1, 1, 1)
_ONE_MISSING = torch.ones(8, dtype=torch.float64)
_ONE_MISSING[3] = 0


@pytest.mark.parametrize("boundary", ["circular", "interior"])
@pytest.mark.parametrize(
    ("op", "shape", "dtype"),
    [
        (
            lambda x: F.conv2d(x[None], _ONES, groups=3)[0] * torch.linspace(1, 1.004, 24),
            (3, 24, 24),
            torch.float32,
        ),
        (lambda x: x * torch.linspace(1, 1.001, 1024), (1024,), torch.float32),
        (lambda x: x * torch.linspace(1, 1.001, 1024).repeat(2, 1).T, (1024, 2), torch.float32),
        (lambda x: 1e15 * x + torch.roll(x, 1) * _ONE_MISSING, (8,), torch.float64),
        (lambda x: 1e17 * x + torch.roll(x, 1) * _ONE_MISSING, (8,), torch.float64),
    ],
    ids=["convolution", "weights", "along one axis", "beside 1e15", "beside 1e17"],
)
def test_what_differs_by_more_than_rounding_is_never_called_exhausted(
    op: Callable[..., Any], shape: tuple[int, ...], dtype: torch.dtype, boundary: Boundary
) -> None:
    found = diagnose(op, shape, dtype=dtype, boundary=boundary, axes=range(-min(len(shape), 2), 0))
    assert found.shift_equivariant.certainty in ("sampled", "refuted")
    assert found.lti.certainty in ("sampled", "refuted")
    # Along the first of two axes the shift is followed indeed.
    assert "exhausted" not in found.shift_equivariant.reason or "none)" in (
        found.shift_equivariant.reason
    )


def test_invariance_is_not_called_exhausted_either() -> None:
    weights = torch.linspace(1, 1.001, 1024)
    found = diagnose(lambda x: (x * weights).sum(0, keepdim=True), (1024,), dtype=torch.float32)
    assert "exhausted" not in found.shift_equivariant.reason


def test_a_period_that_only_a_basis_finds_is_confirmed_as_well() -> None:
    """Odd and even cells differ in one cell's weight alone, which no probe meets by itself."""
    weights = torch.ones(64, dtype=torch.float64)
    weights[1::2] = 1 + 2**-8
    weights[40] = 1 + 1e-14
    assert "exhausted" not in diagnose(lambda x: x * weights, (64,)).shift_equivariant.reason
    weights[40] = 1
    assert "2 (exhausted)" in diagnose(lambda x: x * weights, (64,)).shift_equivariant.reason


@pytest.mark.parametrize("boundary", ["circular", "interior"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rounding_alone_keeps_nothing_from_being_exhausted(
    dtype: torch.dtype, boundary: Boundary
) -> None:
    """An FFT's zeros are none, and the sums of two layers may be added in any order."""
    kernel = torch.tensor([0.1, 0.7, 0.3] + [0.0] * 61, dtype=torch.float64)

    def by_fft(x: torch.Tensor) -> torch.Tensor:
        return torch.fft.irfft(torch.fft.rfft(x) * torch.fft.rfft(kernel.to(x.dtype)), 64)

    assert diagnose(by_fft, (64,), dtype=dtype).lti.certainty == "exhausted"
    torch.manual_seed(0)
    layers = nn.Sequential(*(nn.Conv2d(3, 3, 3, padding=1, bias=False) for _ in range(2)))
    if boundary == "circular":
        for layer in layers:
            layer.padding_mode = "circular"
            layer._reversed_padding_repeated_twice = [1, 1, 1, 1]
    found = diagnose(layers, (3, 12, 12), dtype=dtype, boundary=boundary)
    assert found.lti.certainty == "exhausted"


def test_bits_that_are_read_as_another_number_are_not_called_linear() -> None:
    """Two singles in a row are the bits of a double, here one that is too small to show."""

    def reinterpreted(x: torch.Tensor) -> torch.Tensor:
        return x[::2].double() + 1e-250 * x.view(torch.float64)

    found = diagnose(reinterpreted, (8,), dtype=torch.float32)
    assert found.linear.certainty != "proved"
    assert "view is nonlinear" in found.additive.reason


@pytest.mark.parametrize(
    ("scale", "dtype"), [(1e-310, torch.float64), (3e-320, torch.float64), (1e-41, torch.float32)]
)
def test_underflow_refutes_nothing(scale: float, dtype: torch.dtype) -> None:
    found = diagnose(lambda x: x * scale, (8,), dtype=dtype)
    assert found.linear.certainty == "proved"
    assert found.shift_equivariant.certainty == "proved"
    kernel = torch.tensor([[[1.0, 2.0, 5.0]]], dtype=dtype) * scale
    sums = diagnose(lambda x: F.conv1d(x[None], kernel)[0], (1, 8), dtype=dtype)
    assert sums.linear.certainty == "proved"
    assert diagnose(lambda x: x.relu() * 1e-300, (8,)).linear.certainty == "refuted"


def test_amplified_rounding_is_not_blamed_on_the_tables_alone() -> None:
    found = diagnose(lambda x: (1e10 * x + x.roll(1)) - 1e10 * x, (8,))
    assert found.linear.holds is False
    assert "rounding is amplified" in found.additive.reason


@pytest.mark.parametrize("norm", [nn.utils.weight_norm, nn.utils.spectral_norm])
@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
def test_a_module_that_keeps_a_computed_weight(norm: Callable[[nn.Module], nn.Module]) -> None:
    """The weight is no leaf of autograd, and torch refuses to copy it."""
    layer = norm(nn.Conv1d(2, 2, 3, padding=1, padding_mode="circular", bias=False))
    layer(torch.ones(1, 2, 8))
    before = layer.weight
    assert diagnose(layer.eval(), (2, 8)).lti.certainty == "exhausted"
    assert layer.weight is before
    assert before.grad_fn is not None


def test_a_lazy_module_is_sent_back() -> None:
    with pytest.raises(ValueError, match="LazyConv1d has not decided the shape of weight yet"):
        diagnose(nn.LazyConv1d(1, 3), (1, 8))


def test_axes_have_to_be_several() -> None:
    with pytest.raises(ValueError, match="axes is 1: give the axes of shape"):
        diagnose(nn.ReLU(), (2, 8), axes=1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "op",
    [
        lambda x: torch.where((x > 0.1) & (x < 0.2), 0, x),
        lambda x: x.clamp(-1e16, 1e16),
        lambda x: torch.where(x.abs() < 1e-6, 0, x),
    ],
    ids=["hole", "distant clamp", "dead zone"],
)
def test_what_is_zero_at_zero_and_not_linear_is_not_affine(op: Callable[..., Any]) -> None:
    diagnosis = diagnose(op, (8,))
    assert diagnosis.linear.holds is False
    assert diagnosis.affine.holds is False
    assert_replays(diagnosis.affine, op)


def test_a_grid_between_values_of_the_input_is_no_constant() -> None:
    def grid(x: torch.Tensor) -> torch.Tensor:
        return x + 1e-15 * torch.linspace(x[0], x[1], 8).abs()

    assert diagnose(grid, (8,)).linear.certainty == "sampled"


def _rounded(x: torch.Tensor) -> torch.Tensor:
    return x.relu().bfloat16()


class _Autocast(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 1, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return self.conv(x).relu()


@pytest.mark.parametrize("boundary", ["circular", "interior"])
@pytest.mark.parametrize(
    ("op", "shape", "dtype"),
    [(_rounded, (64,), torch.float64), (_Autocast(), (1, 64), torch.float32)],
    ids=["cast", "autocast"],
)
def test_where_rounding_swallows_everything_nothing_is_concluded(
    op: Callable[..., Any], shape: tuple[int, ...], dtype: torch.dtype, boundary: Boundary
) -> None:
    diagnosis = diagnose(op, shape, dtype=dtype, boundary=boundary)
    for finding in (diagnosis.linear, diagnosis.affine, diagnosis.shift_equivariant, diagnosis.lti):
        assert finding.holds is None
        assert "64 cells are too many for its precision" in finding.reason
    assert diagnosis.period == diagnosis.border == (None,)


def test_on_a_few_cells_the_same_precision_still_refutes() -> None:
    assert diagnose(_rounded, (2,)).additive.certainty == "refuted"


@pytest.mark.parametrize("shape", [(1, 3, 8, 8), (4, 3, 8, 8)])
def test_a_batch_is_not_taken_for_an_input(shape: tuple[int, ...]) -> None:
    layer = nn.Conv2d(3, 3, 3, padding=1)
    with pytest.raises(ValueError, match=r"for a batch: give the shape of one input, \(3, 8, 8\)"):
        diagnose(layer, shape)
    assert diagnose(layer, shape, batched=False).linear.holds is False  # for it has a bias


def test_what_is_never_finite_follows_no_shifts() -> None:
    """Every NaN meets another one, of a zero-padded layer as well."""
    layer = nn.Conv1d(1, 1, 3, padding=1)
    nn.init.constant_(layer.weight, float("nan"))
    boundaries: tuple[Boundary, ...] = ("circular", "interior")
    for boundary in boundaries:
        found = diagnose(layer, (1, 8), boundary=boundary)
        assert found.shift_equivariant.holds is None
        assert "no output that was tried has a finite value" in found.shift_equivariant.reason


class _Masked(nn.Conv1d):
    """Multiplies its own weights by a mask whenever it runs, as pruned layers often do."""

    def __init__(self) -> None:
        super().__init__(1, 1, 3, padding=1)
        self.register_buffer("mask", torch.tensor([[[0.0, 1.0, 0.0]]]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.weight.data *= self.mask
        return super().forward(x)


def _raises_where_it_is_traced(x: torch.Tensor) -> torch.Tensor:
    if type(x) is not torch.Tensor:
        raise ValueError("no subclass of Tensor is welcome\n\nat all")
    return 2 * x


@pytest.mark.parametrize(
    ("op", "reason"),
    [
        (_Masked(), "it takes .data of a parameter while it runs"),
        (torch.compile(lambda x: 2 * x, backend="eager"), "it is compiled: give it uncompiled"),
        (
            _raises_where_it_is_traced,
            "tracing raises ValueError: no subclass of Tensor is welcome",
        ),
    ],
    ids=["data", "compiled", "another"],
)
def test_the_reason_says_why_there_is_no_graph(op: Callable[..., Any], reason: str) -> None:
    found = diagnose(op, (1, 8))
    assert found.affine.certainty == "sampled"
    assert found.affine.holds
    assert found.affine.reason.endswith(f"not provable from its structure: {reason}")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_scripted_function_is_called_as_it_is() -> None:
    scripted = torch.jit.trace(lambda x: 2 * x, torch.ones(8))
    assert diagnose(scripted, (8,)).lti.holds


def _branches(x: torch.Tensor) -> torch.Tensor:
    if bool(x.sum() > 1e30):
        return 3 * x
    return 2 * x


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_torchscript_that_has_no_graph_is_called_that() -> None:
    reason = diagnose(torch.jit.script(_branches), (8,)).affine.reason
    assert reason.endswith("its TorchScript cannot be traced: give it unscripted")
