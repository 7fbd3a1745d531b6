"""What `diagnose` takes and returns: options, kernels, offsets, printing, warnings."""

from __future__ import annotations

import copy
import dataclasses
import json
import pkgutil
import re
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

import theory.diagnosis
from tests.operator_table import OPERATORS, conv, integers
from theory import diagnose
from theory.diagnosis import equivariance
from theory.signals import impulse, shift


def test_kernel_in_the_interior_is_not_spoilt_by_the_border() -> None:
    """Five cells wide, reflection puts a second response into the border: the kernel is without."""
    shape = (2, 8, 8)
    kernels = {
        mode: diagnose(conv(2, k=5, padding_mode=mode), shape, boundary="interior").kernel
        for mode in ("reflect", "replicate", "zeros", "circular")
    }
    zeros = np.zeros(shape)
    zeros[0, 4, 4] = 1
    with torch.no_grad():
        layer = conv(2, k=5, padding_mode="zeros").double()
        expected = layer(torch.from_numpy(zeros)).numpy()
    for kernel in kernels.values():
        assert kernel is not None
        assert kernel.shape == (2, 2, 8, 8)
        assert np.array_equal(kernel[:, 0], expected)


@pytest.mark.parametrize(
    ("n", "k", "border"), [(8, 3, 1), (9, 3, 1), (12, 5, 2), (12, 7, 3), (16, 9, 4), (5, 3, 1)]
)
def test_the_border_of_a_zero_padded_convolution_is_tight(n: int, k: int, border: int) -> None:
    found = diagnose(conv(k=k, padding_mode="zeros"), (2, n), boundary="interior")
    assert found.lti.holds
    assert (found.lti.certainty, found.border) == ("exhausted", (border,))


def test_what_is_lost_when_the_last_cells_leave_belongs_to_the_border() -> None:
    """Three cells ahead is seen too faintly for any other input to show it."""
    found = diagnose(lambda x: x.roll(1) + 1e-13 * F.pad(x, (0, 3))[3:], (16,), boundary="interior")
    assert found.border == (3,)


def test_a_border_that_leaves_nothing_to_compare() -> None:
    found = diagnose(conv(k=9, padding_mode="zeros"), (2, 8), boundary="interior")
    assert found.lti.holds is False
    assert found.border == (None,)


def test_the_shifted_axes_can_be_told() -> None:
    """A sequence of features: shifts act on the first axis, the features mix."""
    mix = torch.tensor([[1.0, 2.0], [3.0, 5.0]], dtype=torch.float64)
    found = diagnose(lambda x: x @ mix, (6, 2), axes=(0,))
    assert found.lti.holds
    assert found.period == (1,)
    assert diagnose(lambda x: x @ mix, (6, 2), axes=(0, 1)).period == (1, None)
    circular_width = conv(2, k=3, padding=(0, 1))
    assert diagnose(circular_width, (2, 6, 6), axes=(2,)).lti.holds
    assert diagnose(circular_width, (2, 6, 6), axes=(-2,)).lti.holds is False


def test_the_batch_can_be_told() -> None:
    def without_mean(x: torch.Tensor) -> torch.Tensor:
        return x - x.mean(0)

    bare = diagnose(without_mean, (4,)).kernel
    batched = diagnose(without_mean, (4,), batched=True).kernel
    assert bare is not None
    assert batched is not None
    assert bare.tolist() == [0.75, -0.25, -0.25, -0.25]
    assert batched.tolist() == [0, 0, 0, 0]
    flat = diagnose(lambda x: x.flatten(1), (2, 3, 3), batched=True)
    assert flat.output_shape == (18,)
    witness = diagnose(lambda x: x.flatten(1).relu(), (2, 3), batched=True).additive.witness
    assert witness is not None
    left, right = witness.replay(lambda x: x.flatten(1).relu())
    assert left.shape == (6,)
    assert not np.array_equal(left, right)


def test_a_small_budget_is_kept_and_said() -> None:
    generous = diagnose(conv(), (2, 8))
    frugal = diagnose(conv(), (2, 8), budget=4)
    assert generous.shift_equivariant.certainty == "exhausted"
    assert frugal.shift_equivariant.certainty == "sampled"


@pytest.mark.parametrize(
    ("op", "shape", "certainty"),
    [
        (nn.AdaptiveAvgPool2d(1), (2, 4, 4), "exhausted"),
        (nn.AdaptiveMaxPool2d(1), (2, 4, 4), "sampled"),
        (torch.sum, (8,), "exhausted"),
        (np.max, (8,), "sampled"),
    ],
)
def test_shift_invariance_is_stated(op: Any, shape: tuple[int, ...], certainty: str) -> None:
    diagnosis = diagnose(op, shape)
    assert diagnosis.shift_equivariant.holds is False
    assert diagnosis.shift_invariance == certainty
    assert diagnosis.to_dict()["shift_invariance"] == certainty
    assert f"shift-invariant ({certainty})" in diagnosis.shift_equivariant.reason
    assert "invariant" not in diagnose(op, shape, boundary="interior").lti.reason


def test_a_classifier_is_invariant_only_if_nothing_in_it_sees_the_border() -> None:
    def classifier(padding_mode: str) -> nn.Module:
        pool = nn.Sequential(nn.AdaptiveAvgPool1d(1), nn.Flatten(), integers(nn.Linear(2, 5)))
        return nn.Sequential(conv(padding_mode=padding_mode), nn.ReLU(), pool)

    assert diagnose(classifier("circular"), (2, 8)).shift_invariance == "sampled"
    assert diagnose(classifier("zeros"), (2, 8)).shift_invariance is None


def test_impulses_are_made_one_by_one_until_one_moves_the_output(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Red if the whole basis is laid out in advance: as many floats as cells, squared."""
    made = []
    monkeypatch.setattr(
        equivariance, "impulse", lambda *where: made.append(where) or impulse(*where)
    )
    kept = torch.arange(64.0).double()
    assert diagnose(lambda x: x * kept, (64,)).shift_equivariant.holds is False
    assert len(made) == 1
    assert diagnose(torch.sum, (64,)).shift_equivariant.holds is False
    assert len(made) == 1 + 64


def test_equivariant_at_two_rates_is_not_lti() -> None:
    for boundary in ("circular", "interior"):
        found = diagnose(nn.Upsample(scale_factor=2), (1, 4), boundary=boundary)  # type: ignore[arg-type]
        assert found.shift_equivariant.holds
        assert found.lti.holds is False
        assert "two rates" in found.lti.reason


def test_kernel_reproduces_the_operator() -> None:
    op = conv(2, c_out=3)
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


@pytest.mark.parametrize("op", [torch.sum, lambda x: x.sum(), np.mean])
def test_an_output_without_axes_is_invariant_not_equivariant(op: Callable[..., Any]) -> None:
    diagnosis = diagnose(op, (8,))
    assert diagnosis.linear.holds
    assert diagnosis.shift_equivariant.holds is False
    assert diagnosis.shift_invariance is not None
    assert diagnosis.lti.holds is False
    first = diagnose(lambda x: x[0], (8,))
    assert first.shift_invariance is None
    assert "shift-invariant" not in first.shift_equivariant.reason


def test_what_follows_or_is_random_is_not_asked_whether_it_stays() -> None:
    assert diagnose(nn.ReLU(), (8,)).shift_invariance is None
    assert diagnose(nn.Dropout().train(), (8,)).shift_invariance is None


def test_a_batch_that_mixes_is_not_what_is_diagnosed() -> None:
    class MinusBatchMean(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 3 * x - x.mean(0, keepdim=True)

    kernel = diagnose(MinusBatchMean(), (4,)).kernel
    assert kernel is not None
    assert kernel.tolist() == [2, 0, 0, 0]


def test_printing() -> None:
    for name in ("ReLU", "2-D average pooling, 2x4", "2-D circular conv", "circulant FC + bias"):
        row = OPERATORS[name]
        shape = row.shapes[0]
        diagnosis = diagnose(row.make(shape), shape)
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


def test_results_are_frozen() -> None:
    diagnosis = diagnose(nn.ReLU(), (4,))
    with pytest.raises(dataclasses.FrozenInstanceError):
        diagnosis.period = (2,)  # type: ignore[misc]


def test_a_batch_axis_that_is_taken_for_the_sequence_is_told() -> None:
    encoder = nn.TransformerEncoderLayer(4, 2, 8).eval()
    diagnosis = diagnose(encoder, (8, 4), budget=20)
    words = "one input is 8 sequences of length 1; make the layer with batch_first=True, or give "
    (warning,) = diagnosis.warnings
    assert words in warning
    assert diagnosis.to_dict()["warnings"] == [warning]
    assert "self_attn takes the first axis for the sequence" in str(diagnosis)
    assert diagnose(encoder, (8, 4), budget=20, batched=False).warnings == ()
    encoder = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True).eval()
    assert diagnose(encoder, (8, 4), budget=20).warnings == ()


def test_a_list_of_numbers_is_one_array() -> None:
    diagnosis = diagnose(lambda x: [[2 * float(each) for each in x]], (4,))
    assert (diagnosis.output_shape, diagnosis.linear.holds) == ((1, 4), True)


@pytest.mark.parametrize(("cells", "threads"), [(7, 1), (8, 2)])
def test_small_operators_are_called_on_one_thread_and_the_caller_keeps_all(
    monkeypatch, cells, threads
):
    """Red if each of thousands of small calls wakes threads, or the caller loses its own."""
    monkeypatch.setattr("theory.diagnosis._LARGE", 8)
    seen = []

    def identity(x):
        seen.append(torch.get_num_threads())
        return x

    allowed = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert diagnose(identity, (cells,)).lti.holds
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(allowed)
    assert seen[-1] == threads


def test_the_map_of_the_package_names_each_module_once() -> None:
    modules = [module.name for module in pkgutil.iter_modules(theory.diagnosis.__path__)]
    named = re.findall(r"``(\w+)``", theory.diagnosis.__doc__ or "")
    assert sorted(named) == sorted(modules)
