"""What a traced graph may leave out voids a proof, what it need not hold does not."""

from __future__ import annotations

import contextlib
import io
import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from theory import diagnose

if TYPE_CHECKING:
    from collections.abc import Callable


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


def _pickles_and_catches(x: torch.Tensor) -> torch.Tensor:
    try:
        if pickle.loads(pickle.dumps(x)).max() > 1e40:
            return 3 * x
    except Exception:
        return 2 * x
    return 2 * x


def _saves_and_catches(x: torch.Tensor) -> torch.Tensor:
    file = io.BytesIO()
    with contextlib.suppress(Exception):
        torch.save(x, file)
        file.seek(0)
        if torch.load(file).max() > 1e40:
            return 3 * x
    return 2 * x


def _asks_behind_torch(reading: Callable[[torch.Tensor], Any]) -> Callable[..., Any]:
    """Return what reads where torch's functions are switched off, and catches the error."""

    def asks(x: torch.Tensor) -> torch.Tensor:
        with contextlib.suppress(Exception), torch._C.DisableTorchFunction():
            if reading(x) > 1e40:
                return 3 * x
        return 2 * x

    return asks


def _plain_and_large(x: torch.Tensor) -> torch.Tensor:
    """Asks whether it is traced: then nothing is read, and 2 x is all that a graph can hold."""
    if type(x) is torch.Tensor and x.max() > 1e20:
        return x.abs()
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


def _begins_bags_out(x: torch.Tensor) -> torch.Tensor:
    try:
        F.embedding_bag(torch.arange(8), x[:, None], (x == 1.2345678).long())
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
        _begins_bags_out,
        _divides_by_none,
        lambda x: 3 * x if x[x == 0.3].numel() else 2 * x,
        lambda x: 3 * x if len(x.masked_select(x == 0.3)) else 2 * x,
        lambda x: 2 * x if len(torch.unique(x)) != 7 else 3 * x,
        _asks_and_catches,
        _reads_and_catches,
        _pickles_and_catches,
        _saves_and_catches,
        _asks_behind_torch(lambda x: x.max().item()),
        _asks_behind_torch(lambda x: max(x.tolist())),
        _asks_behind_torch(lambda x: x.numpy(force=True).max()),
        _asks_behind_torch(lambda x: np.from_dlpack(x).max()),
        _asks_behind_torch(lambda x: pickle.loads(pickle.dumps(x)).max()),
        _plain_and_large,
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
        "embedding_bag",
        "division",
        "mask",
        "masked_select",
        "unique",
        "swallowed",
        "numpy, swallowed",
        "pickle, swallowed",
        "torch.save, swallowed",
        *(f"behind torch, {how}" for how in ("item", "tolist", "numpy", "dlpack", "pickle")),
        "plain and large",
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


def test_a_tensor_of_the_operators_own_may_be_read() -> None:
    """Red where every pickle, text or array is taken for one of the input."""
    weight = torch.tensor([2.0])

    def op(x: torch.Tensor) -> torch.Tensor:
        assert pickle.dumps(weight)
        return x * float(weight) * torch.tensor(2.0).item()

    def by_what_it_computes(x: torch.Tensor) -> torch.Tensor:
        return x * float(weight[0] + 1) if (2 * weight > 1).any() else -x

    assert diagnose(by_what_it_computes, (8,)).linear.certainty == "proved"
    before = torch.Tensor.__reduce_ex__
    assert diagnose(op, (8,)).linear.certainty == "proved"
    assert torch.Tensor.__reduce_ex__ is before
    assert "numpy" not in vars(torch.Tensor)


def test_an_unknown_primitive_is_named() -> None:
    diagnosis = diagnose(lambda x: torch.special.entr(x * 0) + x, (8,))
    assert diagnosis.linear.certainty == "sampled"
    assert "special_entr is unknown" in diagnosis.additive.reason


@pytest.mark.parametrize(
    ("op", "blamed"),
    [
        (lambda x: torch.relu(0 * x) + torch.special.entr(0 * x) + x, "special_entr is unknown"),
        (lambda x: torch.special.entr(0 * x) + torch.relu(0 * x) + x, "special_entr is unknown"),
        (lambda x: (torch.special.entr(x), x + torch.relu(0 * x))[1], "relu is nonlinear"),
        (lambda x: (torch.relu(x), x + torch.special.entr(0 * x))[1], "special_entr is unknown"),
        (lambda x: x + 0 * torch.relu(x).sort().values.abs(), "relu is nonlinear"),
        (lambda x: 0 * x + x.float(), "_to_copy (rounding to float32) is nonlinear"),
        (
            lambda x: torch.zeros(8, dtype=torch.cfloat).copy_(x.to(torch.cdouble)).real,
            "copy (rounding to complex64) is nonlinear",
        ),
        (lambda x: x + 0 * torch.relu(x).float(), "relu is nonlinear"),
    ],
    ids=[
        *("unknown last", "unknown first", "unknown, unused", "nonlinear, unused", "two"),
        *("rounding", "rounding a complex number", "nonlinear, then rounded"),
    ],
)
def test_the_primitive_is_named_that_made_the_output_what_it_is(
    op: Callable[..., Any], blamed: str
) -> None:
    """Red where the first one is named of which nothing is known or known to be linear."""
    assert f"primitive {blamed}" in diagnose(op, (8,)).additive.reason


class _Masked(nn.Conv1d):
    """Multiplies its own weights by a mask whenever it runs, as pruned layers often do."""

    def __init__(self) -> None:
        super().__init__(1, 1, 3, padding=1)
        self.register_buffer("mask", torch.tensor([[[0.0, 1.0, 0.0]]]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.weight.data *= self.mask
        return super().forward(x)


def _keeps(last: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda x: 2 * last.copy_(x)


def _times(factor: nn.Parameter) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda x: x * factor.data


def _raises_where_it_is_traced(x: torch.Tensor) -> torch.Tensor:
    if type(x) is not torch.Tensor:
        raise ValueError("no subclass of Tensor is welcome\n\nat all")
    return 2 * x


def _asserts_where_it_is_traced(x: torch.Tensor) -> torch.Tensor:
    if type(x) is not torch.Tensor:
        raise AssertionError("plain tensors alone")
    return 2 * x


def _fails_in_torch_where_it_is_traced(x: torch.Tensor) -> torch.Tensor:
    torch.testing.assert_close(type(x) is torch.Tensor, True)
    return 2 * x


@pytest.mark.parametrize(
    ("op", "reason"),
    [
        (_Masked(), "it writes into weight while it runs"),
        (_keeps(torch.zeros(1, 8)), "it writes into a tensor that it did not make"),
        (_times(nn.Parameter(torch.ones(8))), "it takes .data of a parameter while it runs"),
        (torch.compile(lambda x: 2 * x, backend="eager"), "it is compiled: give it uncompiled"),
        (
            _raises_where_it_is_traced,
            "tracing raises ValueError: no subclass of Tensor is welcome",
        ),
        (
            _fails_in_torch_where_it_is_traced,
            "torch cannot record a graph of it (AssertionError in its tracer)",
        ),
        (_asserts_where_it_is_traced, "tracing raises AssertionError: plain tensors alone"),
    ],
    ids=[
        "its weights",
        "another's tensor",
        "data",
        "compiled",
        "another",
        "torch's own",
        "an assertion",
    ],
)
def test_the_reason_says_why_there_is_no_graph(op: Callable[..., Any], reason: str) -> None:
    found = diagnose(op, (1, 8))
    assert found.affine.certainty == "sampled"
    assert found.affine.holds
    assert found.affine.reason.endswith(f"not provable from its structure: {reason}")


def _by_a_filter_that_is_checked(x: torch.Tensor) -> torch.Tensor:
    taps = torch.linspace(-1, 1, 3, dtype=x.dtype).exp()
    if taps.sum() != 1:
        taps = taps / taps.sum()
    spread = float(taps[0]) * int(torch.arange(3).max())
    padded = nn.functional.pad(x[None], (1, 1), mode="circular")
    return spread * nn.functional.conv1d(padded, taps[None, None])[0]


def test_what_is_made_of_no_input_may_be_read() -> None:
    found = diagnose(_by_a_filter_that_is_checked, (1, 8))
    assert found.affine.certainty == "proved"
    assert found.lti.certainty == "exhausted"


@pytest.mark.parametrize(
    "read",
    [
        lambda x: torch.ones(8) * x,
        lambda x: torch.zeros(8).copy_(x),
        lambda x: torch.arange(8).masked_fill(x > 0, 0),
        lambda x: torch.ones(8).mul_(x)[:1],
    ],
)
@pytest.mark.parametrize("how", [bool, float, torch.Tensor.tolist, torch.Tensor.numpy])
def test_what_is_made_of_the_input_may_not_be_read(
    read: Callable[[torch.Tensor], torch.Tensor], how: Callable[[torch.Tensor], Any]
) -> None:
    def reads(x: torch.Tensor) -> torch.Tensor:
        how(read(x).sum())
        return 2 * x

    found = diagnose(reads, (8,)).affine
    assert found.certainty == "sampled"
    assert "reads values of its input" in found.reason or "numpy" in found.reason


class _Counting(nn.Module):
    """It behaves otherwise from some call on, or after some input: no graph of one call says so."""

    def __init__(self, count: Callable[[_Counting, torch.Tensor], int]) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(2, dtype=torch.long))
        self.register_buffer("part", self.calls[:1])
        self.kept = {"last": torch.zeros(8)}
        self.count = count

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.abs() if self.count(self, x) > 2**16 else 2 * x


def _written_after(state: _Counting, _: torch.Tensor) -> int:
    count = int(state.calls[0])
    state.calls.add_(1)
    return count


def _written_through_another(state: _Counting, _: torch.Tensor) -> int:
    state.part.add_(1)
    return int(state.calls[0] + 1)


def _replaced(state: _Counting, _: torch.Tensor) -> int:
    count = int(state.calls.sum())
    state.calls = state.calls + 1
    return count


def _keeping_the_input(state: _Counting, x: torch.Tensor) -> int:
    last = float(state.kept["last"].sum()) == 12345.678
    state.kept["last"] = x.detach().clone()
    return 2**17 * last


@pytest.mark.parametrize(
    "count", [_written_after, _written_through_another, _replaced, _keeping_the_input]
)
def test_what_is_read_may_not_change_from_call_to_call(
    count: Callable[[_Counting, torch.Tensor], int],
) -> None:
    found = diagnose(_Counting(count), (8,), batched=False).affine
    assert found.certainty == "sampled"
    assert found.reason.endswith("it reads values of a tensor and gives it others")


def _through_numpy(x: torch.Tensor) -> Any:
    kept = torch.zeros(8, dtype=x.dtype)
    values = kept.numpy()
    kept.copy_(x)
    return values[3]


def _through_dlpack(x: torch.Tensor) -> Any:
    kept = torch.zeros(8, dtype=x.dtype)
    values = np.from_dlpack(kept)
    kept.copy_(x)
    return values[3]


def _through_data(x: torch.Tensor) -> Any:
    kept = torch.zeros(8, dtype=x.dtype)
    kept.data = x
    return kept[3]


def _through_a_sparse_tensor(x: torch.Tensor) -> Any:
    kept = torch.zeros(8, dtype=x.dtype)
    sparse = torch.sparse_coo_tensor(torch.arange(8)[None], kept, (8,), check_invariants=False)
    kept.copy_(x)
    return sparse.to_dense()[3]


@pytest.mark.parametrize(
    "read", [_through_numpy, _through_dlpack, _through_data, _through_a_sparse_tensor]
)
def test_memory_that_the_input_is_written_into_may_not_be_read(
    read: Callable[[torch.Tensor], Any],
) -> None:
    found = diagnose(lambda x: 3 * x if read(x) == 12345.678 else 2 * x, (8,))
    assert found.affine.certainty == "sampled"


class _KeepingItsData(nn.Module):
    """It lets a buffer have the data of its input, turned round."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("last", torch.zeros(8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.last.data = x.flip(-1)
        return x + self.last


def test_a_buffer_whose_data_are_replaced_is_written_into() -> None:
    found = diagnose(_KeepingItsData(), (8,), batched=False).affine
    assert found.reason.endswith("it writes into last while it runs")


class _Convolution(nn.Conv1d):
    """A circular convolution by a weight that is computed anew whenever it runs."""

    def __init__(self, computed: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__(1, 1, 3, padding=1, padding_mode="circular", bias=False)
        self.computed = computed

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self._conv_forward(x, self.computed(self.weight), None)


def _causal(weight: torch.Tensor) -> torch.Tensor:
    weight = weight.clone()
    weight[..., 2:] = 0
    return weight


def _scaled(weight: torch.Tensor) -> torch.Tensor:
    weight = weight.clone()
    weight *= torch.arange(3)
    return weight


def _whitened(weight: torch.Tensor) -> torch.Tensor:
    return weight @ torch.linalg.inv(torch.diag(weight[0, 0].square() + 1))


@pytest.mark.parametrize("computed", [_causal, _scaled, _whitened, lambda weight: weight.data])
def test_a_weight_may_be_computed_by_writing_into_a_copy_or_by_a_solver(
    computed: Callable[[torch.Tensor], torch.Tensor],
) -> None:
    found = diagnose(_Convolution(computed), (1, 8))
    assert found.affine.certainty == "proved"
    assert found.lti.certainty == "exhausted"


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_a_scripted_function_is_called_as_it_is() -> None:
    scripted = torch.jit.trace(lambda x: 2 * x, torch.ones(8))
    assert diagnose(scripted, (8,)).lti.holds


def _branches(x: torch.Tensor) -> torch.Tensor:
    if bool(x.sum() > 1e30):
        return 3 * x
    return 2 * x


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_torchscript_that_has_no_graph_is_called_that() -> None:
    reason = diagnose(torch.jit.script(_branches), (8,)).affine.reason
    assert reason.endswith("its TorchScript cannot be traced: give it unscripted")
