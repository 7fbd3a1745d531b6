"""Hidden state and randomness are found, and all that is the user's comes back as it was."""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from tests.operator_table import OPERATORS, NoTensor, conv
from theory import audit, diagnose
from theory.diagnosis.isolation import isolated
from theory.testing import assert_linear
from theory.testing.replaying import Counterexample

if TYPE_CHECKING:
    from collections.abc import Callable


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


class _FirstInput(nn.Module):
    """Adds the first input that it ever got, as a scale is settled by the first call."""

    first: torch.Tensor | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.first is None:
            self.first = x.clone()
        return x + self.first


def test_what_was_called_first_is_a_witness_beside_a_fresh_copy() -> None:
    """No sequence of calls that begins with x answers x in two ways."""
    layer = _FirstInput()
    diagnosis = diagnose(layer, (8,))
    witness = diagnosis.deterministic.witness
    assert witness is not None
    before, x = witness.inputs
    assert np.array_equal(witness.left, 2 * x)
    assert np.array_equal(witness.right, x + before)
    assert not np.array_equal(before, x)
    left, right = witness.replay(layer)
    assert np.array_equal(left, witness.left)
    assert np.array_equal(right, witness.right)
    said = "f(x) of a fresh copy = 2 but f(x) = 1 at 0, call 2 after a call with y = 0"
    assert str(witness).endswith(said)
    assert "deterministic fails" in str(diagnosis)
    pasted: dict[str, Any] = {"op": layer}
    counterexample = str(Counterexample.of(witness))
    exec(counterexample, pasted)
    assert np.array_equal(pasted["left"], left)
    assert np.array_equal(pasted["right"], right)
    assert "f(y) of a fresh copy = 2.0 but f(y) = 1.0" in counterexample


def test_a_difference_that_was_seen_once_is_shown_as_it_was_seen() -> None:
    calls = itertools.count()
    diagnosis = diagnose(lambda x: x + (next(calls) == 100), (8,))
    witness = diagnosis.deterministic.witness
    assert witness is not None
    assert diagnosis.deterministic.reason.endswith("that was tried since shows it again")
    assert np.array_equal(witness.right, witness.left + 1)


@pytest.mark.parametrize(
    ("op", "primitive"),
    [
        (nn.Dropout(1e-7), "bernoulli"),
        (lambda x: x * (torch.rand(8) > 1e-9), "rand"),
        (lambda x: torch.bernoulli(torch.sigmoid(0 * x - 1000)) + x, "bernoulli"),
        (lambda x: x + 0 * torch.rand(8), "rand"),
    ],
    ids=["dropout", "drop path", "never", "times zero"],
)
def test_random_numbers_in_the_graph_leave_it_undecided(
    op: Callable[..., Any], primitive: str
) -> None:
    """Whether they ever change the output is not seen: nothing that needs a function is said."""
    diagnosis = diagnose(op, (8,))
    assert diagnosis.deterministic.holds is None
    assert diagnosis.deterministic.certainty == "undecided"
    assert diagnosis.deterministic.reason == (
        f"its graph draws random numbers ({primitive}), though 72 inputs give the same outputs "
        "when repeated"
    )
    for name in ("linear", "affine", "homogeneous", "additive", "shift_equivariant", "lti"):
        assert diagnosis.findings[name].holds is None
        assert f"draws random numbers ({primitive})" in diagnosis.findings[name].reason
    assert (diagnosis.period_certainty, diagnosis.kernel) == ("undecided", None)
    with pytest.raises(AssertionError, match=f"decided: deterministic.*random .*{primitive}"):
        assert_linear(op, (8,))


class _LayerDrop(nn.Module):
    """Leaves its activation out, as a rule: the numbers that decide it are in no graph."""

    def __init__(self, draw: Callable[[], Any], p: float = 1e-6) -> None:
        super().__init__()
        self.conv = conv()
        self.draw = draw
        self.p = p

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv(x)
        return 2 * torch.relu(y) if self.draw() < self.p else y


class _Owner(nn.Module):
    """Holds a generator of its own, one module down."""

    def __init__(self, generator: Any) -> None:
        super().__init__()
        self.drop = _LayerDrop(self._number)
        self.drop.generator = generator

    def _number(self) -> float:
        held: Any = self.drop.generator
        if isinstance(held, torch.Generator):
            return torch.rand((), generator=held).item()
        return float(held.random())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(self.drop(x))


class _DrawsRarely(nn.Module):
    """Draws for one input alone, which is none of those that are asked twice."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + (random.random() < 1e-6) if bool(x.max() == 2**20) else 2 * x


@pytest.mark.parametrize(
    ("op", "source"),
    [
        (_LayerDrop(random.random), "Python's generator"),
        (_LayerDrop(lambda: random.gauss(9, 1)), "Python's generator"),
        (_LayerDrop(lambda: np.random.rand()), "NumPy's global generator"),  # noqa: NPY002
        (_LayerDrop(np.random.RandomState(0).rand), "its generator draw"),
        (_LayerDrop(lambda: torch.rand(()).item()), "torch's generator"),
        (_Owner(np.random.default_rng(0)), "its generator drop.generator"),
        (_Owner(np.random.RandomState(0)), "its generator drop.generator"),
        (_Owner(random.Random(0)), "its generator drop.generator"),
        (_Owner(torch.Generator()), "its generator drop.generator"),
    ],
    ids=[
        *("Python", "gauss", "NumPy", "method", "torch"),
        *("own, NumPy", "own, NumPy, legacy", "own, Python", "own, torch"),
    ],
)
def test_random_numbers_outside_of_the_graph_leave_it_undecided(op: nn.Module, source: str) -> None:
    """Red where only the graph is asked: the rest of it is linear, proved, and LTI, exhausted."""
    diagnosis = diagnose(op, (2, 8))
    assert diagnosis.deterministic.holds is None
    assert diagnosis.deterministic.reason == (
        f"it draws random numbers from {source}, though 72 inputs give the same outputs when "
        "repeated"
    )
    for name in ("linear", "affine", "homogeneous", "additive", "shift_equivariant", "lti"):
        assert diagnosis.findings[name].holds is None
    with pytest.raises(AssertionError, match=f"decided: deterministic.*from {source}"):
        assert_linear(op, (2, 8))


def test_and_are_searched_for_a_difference_as_well() -> None:
    """The seed leads to no number below 0.001 in the first 400, that of a replay to one in 512."""
    layer = _LayerDrop(random.random, p=1e-3)
    finding = diagnose(layer, (2, 8), seed=2).deterministic
    assert finding.witness is not None
    assert not np.array_equal(*finding.witness.replay(layer))


def test_random_numbers_that_are_drawn_late_are_noticed() -> None:
    """Red where only the calls before the trials are watched."""
    assert "Python's generator" in diagnose(_DrawsRarely(), (8,)).deterministic.reason


def test_generators_that_the_operator_puts_back_have_drawn_nothing() -> None:
    """Red where a seed that is set inside and undone counts as a draw, as in a fixed projection."""

    def projects(x: torch.Tensor) -> torch.Tensor:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return x @ torch.rand(8, 8, dtype=x.dtype).round()

    layer = _LayerDrop(lambda: 1.0)
    layer.unused = random.Random(0)  # type: ignore[assignment]
    assert diagnose(layer, (2, 8)).lti.certainty == "exhausted"
    assert diagnose(NoTensor(lambda x: projects(torch.as_tensor(x)).numpy()), (8,)).linear.holds


def test_where_the_graph_draws_a_difference_is_searched_for_longer() -> None:
    """72 inputs asked twice do not show that one value of 1250 is dropped, 512 more calls do."""
    layer = nn.Dropout(8e-4)
    finding = diagnose(layer, (8,)).deterministic
    assert finding.certainty == "refuted"
    assert finding.witness is not None
    assert not np.array_equal(*finding.witness.replay(layer))


@pytest.mark.parametrize(
    ("op", "shape"),
    [
        (nn.Dropout().eval(), (8,)),
        (nn.Dropout(0.0), (8,)),
        (nn.RReLU().eval(), (8,)),
        (lambda x: F.scaled_dot_product_attention(x[None], x[None], x[None])[0], (1, 4, 3)),
        (lambda x: (torch.rand(3), 2 * x)[1], (8,)),
    ],
    ids=["evaluation", "never", "leaky", "attention without dropout", "unused"],
)
def test_what_draws_no_number_that_matters_is_sampled(
    op: Callable[..., Any], shape: tuple[int, ...]
) -> None:
    """Red where what could draw, but is switched off or feeds nothing, is taken for random."""
    assert diagnose(op, shape).deterministic.certainty == "sampled"


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


@pytest.mark.parametrize("enabled", [True, False])
def test_cudnn_stays_out_and_comes_back(enabled: bool) -> None:
    """Red where an operator on a GPU is one of cuDNN's own primitives, of which no table knows."""
    seen = set()

    class Watched(nn.Conv1d):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.add(torch.backends.cudnn.enabled)
            return super().forward(x)

    layer = Watched(2, 2, 3)
    with torch.backends.cudnn.flags(enabled=enabled):
        assert diagnose(layer, (2, 8)).affine.certainty == "proved"
        audit(layer, (2, 8))
        assert torch.backends.cudnn.enabled is enabled
    assert seen == {False}


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
