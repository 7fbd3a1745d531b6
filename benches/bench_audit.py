"""Auditing a network: what does it cost against depth and size, and what do other counters cost.

A row of convolutions of 3 x 3 and ReLUs, all without bias: there torchinfo, fvcore and torch's own
counter of operations mean the same by a MAC, and have to count the same. They count and print
shapes; the audit finds receptive fields, borders, linearity and advice besides. All but the audit
and fvcore's tracing run the network on numbers.

What this does not tell: how the counts differ elsewhere, and which of them is right.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benches.pace import rounds_within
from benches.peers import skip_without
from theory import audit

if TYPE_CHECKING:
    from benches.conftest import Measure
    from benches.probe import Probe

CASES = {
    "smoke": [(2, 8)],
    "default": [(2, 32), (8, 32), (32, 32), (8, 8), (8, 128)],
    "full": [
        *((depth, 32) for depth in (2, 4, 8, 16, 32, 64, 128)),
        *((8, n) for n in (8, 16, 64, 128, 256)),
    ],
}
"""Convolutions, each followed by ReLU, and cells along both axes."""

BUDGET = {"smoke": 0.0, "default": 0.25, "full": 2.0}
"""Seconds for the rounds of one bench."""

CHANNELS = 16


@dataclass(frozen=True)
class Counter:
    """A way to count multiply-accumulates.

    Parameters
    ----------
    library
        Whose it is.
    macs
        From a network and the cells along an axis to its count for one input.
    requires
        The module that must be installed.
    """

    library: str
    macs: Callable[[nn.Module, int], int]
    requires: str | None = None


def _audit(network: nn.Module, n: int) -> int:
    return audit(network, (CHANNELS, n, n)).macs


def _torch(network: nn.Module, n: int) -> int:
    with FlopCounterMode(display=False) as counted, torch.no_grad():
        network(_input(n))
    return counted.get_total_flops() // 2  # a multiply-add is two there


def _torchinfo(network: nn.Module, n: int) -> int:
    import torchinfo

    return torchinfo.summary(network, input_data=_input(n), verbose=0).total_mult_adds


def _fvcore(network: nn.Module, n: int) -> int:
    from fvcore.nn import FlopCountAnalysis

    analysis = FlopCountAnalysis(network, _input(n))
    return int(analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).total())


COUNTERS = {
    "theory audit": Counter("theory", _audit),
    "torch FlopCounterMode": Counter("PyTorch", _torch),
    "torchinfo": Counter("torchinfo", _torchinfo, requires="torchinfo"),
    "fvcore": Counter("fvcore", _fvcore, requires="fvcore"),
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run every counter on one network before going on to the next."""
    metafunc.parametrize(
        ("depth", "n", "name"),
        [
            pytest.param(depth, n, name, id=f"depth={depth}, n={n}, {name}")
            for depth, n in CASES[metafunc.config.getoption("scale")]
            for name in COUNTERS
        ],
    )


@pytest.mark.filterwarnings("ignore:.*torch.jit")  # with which fvcore traces
def test_audit(
    depth: int, n: int, name: str, scale: str, probe: Callable[..., Probe], measure: Measure
) -> None:
    counter = COUNTERS[name]
    skip_without(counter.requires)
    network = _network(depth)
    counter.macs(network, n)  # the first call imports
    first = probe(lambda: counter.macs(network, n))
    exact = depth * 9 * CHANNELS**2 * n**2
    assert first.result == exact, f"{name} counts {first.result} MACs, expected {exact}"
    measure(
        lambda: counter.macs(network, n),
        group=f"audit, depth {depth}, {n} x {n}",
        rounds=rounds_within(BUDGET[scale], first.seconds),
        peak_memory_bytes=first.peak_memory_bytes,
        bytes=sum(weight.nbytes for weight in network.parameters()),
        method=name,
        library=counter.library,
        depth=depth,
        cells=n**2,
        macs=exact,
    )


def _network(depth: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Conv2d(CHANNELS, CHANNELS, kernel_size=3, padding=1, bias=False), nn.ReLU()]
    return nn.Sequential(*layers).eval()


def _input(n: int) -> torch.Tensor:
    return torch.zeros(1, CHANNELS, n, n)
