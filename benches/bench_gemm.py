"""Matrix products: how many operations a second does this machine do at best.

A large product of square matrices is the ceiling that the other benches are held against; beside
it stands a smaller one on a single thread. Entries are small integers, whose sums float32 holds
exactly; a product in bfloat16 is the exact one, each entry rounded once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
import torch

from benches.pace import FEWEST_ROUNDS

if TYPE_CHECKING:
    from benches.conftest import Measure
    from benches.probe import Probe

SIZES = {"smoke": 64, "default": 2048, "full": 4096}
"""Rows and columns on the CPU."""

ROUNDS = {"smoke": 1, "default": FEWEST_ROUNDS, "full": 16}

TIMES_LARGER_ON_CUDA = 4


@pytest.mark.parametrize(
    ("device", "library", "precision"),
    [
        ("cpu", "PyTorch", "float32"),
        ("cpu", "NumPy", "float32"),
        ("cpu", "PyTorch", "bfloat16"),
        ("cuda", "PyTorch", "float32"),
        ("cuda", "PyTorch", "bfloat16"),
    ],
    indirect=["device"],
)
def test_gemm(
    device: str,
    library: str,
    precision: str,
    scale: str,
    bfloat16_hardware: bool,
    probe: Callable[..., Probe],
    measure: Measure,
) -> None:
    if precision == "bfloat16" and device == "cpu" and scale != "smoke" and not bfloat16_hardware:
        pytest.skip("this processor only emulates bfloat16: that is no ceiling")
    n = SIZES[scale] * (TIMES_LARGER_ON_CUDA if device == "cuda" and scale != "smoke" else 1)
    _measure(n, device, library, precision, ROUNDS[scale], probe, measure)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_gemm_on_one_thread(
    precision: str,
    scale: str,
    bfloat16_hardware: bool,
    probe: Callable[..., Probe],
    measure: Measure,
) -> None:
    if precision == "bfloat16" and scale != "smoke" and not bfloat16_hardware:
        pytest.skip("this processor only emulates bfloat16: that is no ceiling")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        _measure(SIZES[scale] // 2, "cpu", "PyTorch", precision, ROUNDS[scale], probe, measure)
    finally:
        torch.set_num_threads(threads)


def _measure(
    n: int,
    device: str,
    library: str,
    precision: str,
    rounds: int,
    probe: Callable[..., Probe],
    measure: Measure,
) -> None:
    draws = torch.Generator().manual_seed(0)
    integers = [torch.randint(-2, 3, (n, n), generator=draws).to(device) for _ in range(2)]
    a, b = (matrix.to(getattr(torch, precision)) for matrix in integers)

    call = _product(a.numpy(), b.numpy()) if library == "NumPy" else _product(a, b)
    warm = probe(call, device)
    exact = a.double() @ b.double()
    assert torch.equal(torch.as_tensor(warm.result), exact.to(a.dtype)), f"{library} is wrong"
    measure(
        call,
        group=f"gemm, {precision}, {device}",
        rounds=rounds,
        device=device,
        flops=2 * n**3,
        peak_memory_bytes=warm.peak_memory_bytes,
        bytes=3 * a.nbytes,
        library=library,
        precision=precision,
        size=n,
    )


def _product(a: Any, b: Any) -> Callable[[], Any]:
    return lambda: a @ b
