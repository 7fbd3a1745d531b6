"""Diagnosing an operator: what does it cost, against the cells of its input and its depth.

Convolutions on a circle, which are the dearest: they are what they are, so no witness ends the
search, and every unit impulse is tried. Beside the diagnosis stands what one would write in its
place: all unit impulses in one batch, each response compared with that at the origin. It takes for
granted that the operator is linear and keeps a batch apart. Both have to find the same kernel.

What this does not tell: what the search for a small witness costs where there is one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import nn

from benches.pace import FEWEST_ROUNDS
from theory import diagnose

if TYPE_CHECKING:
    from jaxtyping import Float

    from benches.conftest import Measure
    from benches.probe import Probe

CASES = {
    "smoke": [(1, 2, 4)],
    "default": [*((1, 16, n) for n in (6, 9, 12)), *((depth, 4, 4) for depth in (1, 2, 3))],
    "full": [
        *((1, 16, n) for n in (8, 16, 32, 64)),
        *((depth, 4, 16) for depth in (1, 2, 4, 8, 16)),
    ],
}
"""Convolutions in a row, filters of each, and cells along both axes of three channels."""

ROUNDS = {"smoke": 1, "default": FEWEST_ROUNDS, "full": FEWEST_ROUNDS}

FULL_SECONDS = 10.0

LARGEST_MATRIX = 2**28
"""Bytes of all responses together."""


def _diagnosed(network: nn.Module, n: int) -> Float[np.ndarray, "filters channels n n"]:
    diagnosis = diagnose(network, (3, n, n))
    assert diagnosis.lti.holds, diagnosis
    assert diagnosis.kernel is not None
    return diagnosis.kernel


def _impulses(network: nn.Module, n: int) -> Float[np.ndarray, "filters channels n n"]:
    with torch.no_grad():
        responses = network(torch.eye(3 * n**2, dtype=torch.float64).reshape(-1, 3, n, n))
    columns = responses.reshape(3, n, n, -1, n, n)
    for i in range(n):
        for j in range(n):
            shifted = columns[:, 0, 0].roll((i, j), (2, 3))
            torch.testing.assert_close(columns[:, i, j], shifted)
    return columns[:, 0, 0].transpose(0, 1).numpy()


METHODS: dict[str, tuple[str, Callable[[nn.Module, int], Any]]] = {
    "theory": ("theory", _diagnosed),
    "every impulse": ("PyTorch", _impulses),
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Try both ways on one operator before going on to the next."""
    metafunc.parametrize(
        ("depth", "filters", "n", "name"),
        [
            pytest.param(depth, filters, n, name, id=f"depth={depth}, n={n}, {name}")
            for depth, filters, n in CASES[metafunc.config.getoption("scale")]
            for name in METHODS
        ],
    )


def test_diagnose(
    depth: int,
    filters: int,
    n: int,
    name: str,
    scale: str,
    probe: Callable[..., Probe],
    measure: Measure,
) -> None:
    library, call = METHODS[name]
    size = 8 * 3 * filters * n**4
    if name == "every impulse" and size > LARGEST_MATRIX:
        pytest.skip(f"the responses take {size / 2**20:.0f} MiB")
    network = _network(depth, filters)
    diagnose(nn.ReLU(), (1,))  # the first diagnosis imports what tracing needs
    first = probe(lambda: call(network, n))
    exact = _impulse_response(network, n)
    error, bound = np.abs(first.result - exact).max(), _bound(network, n)
    assert error <= bound, f"{name} finds a kernel that is off by {error:.2g}, beyond {bound:.2g}"
    measure(
        lambda: call(network, n),
        group=f"diagnose, depth {depth}, {filters} filters, {n} x {n}",
        rounds=ROUNDS[scale],
        peak_memory_bytes=first.peak_memory_bytes,
        bytes=first.result.nbytes,
        method=name,
        library=library,
        depth=depth,
        filters=filters,
        cells=3 * n**2,
    )


@cache
def _network(depth: int, filters: int) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(depth)
        layers = [
            nn.Conv2d(
                3 if layer == 0 else filters,
                filters,
                kernel_size=3,
                padding=1,
                padding_mode="circular",
                bias=False,
                dtype=torch.float64,
            )
            for layer in range(depth)
        ]
    return nn.Sequential(*layers)


def _impulse_response(network: nn.Module, n: int) -> Float[np.ndarray, "filters channels n n"]:
    impulses = torch.zeros(3, 3, n, n, dtype=torch.float64)
    impulses[range(3), range(3), 0, 0] = 1
    with torch.no_grad():
        return network(impulses).transpose(0, 1).numpy()


def _bound(network: nn.Sequential, n: int) -> float:
    """Bound by how much two orders of the sums in a row of layers may differ.

    Each layer rounds sums of 9 products a channel, of magnitudes that are those of its weights.
    """
    unit, largest, roundings = float(np.finfo(np.float64).eps) / 2, 1.0, 0
    for weight in network.parameters():
        largest *= float(weight.detach().abs().sum(dim=(1, 2, 3)).max())
        roundings += weight[0].numel()
    return 2 * math.expm1(roundings * unit) * largest
