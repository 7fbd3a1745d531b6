"""Receptive fields three ways: closed formula, graph of the traced network, measured dependence.

Networks are generated with branches, and each way knows nothing of the others: the formula composes
`theory.geometry` along every path and takes the hull; the graph is what `audit` reads; the measured
dependence sends one impulse at a time through the module itself, all weights 1, so that nothing
cancels and an output is not 0 exactly if it sees the impulse.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.seen_cells import in_graph, interval, measured, reached
from theory.auditing import dependence, reach, sliding, windows
from theory.auditing.taps import Taps
from theory.geometry import Layer, ReceptiveField, output_size, receptive_field

NETWORKS = 500
CHUNK = 20


@dataclass(frozen=True)
class Step:
    """A layer, or branches side by side that are added or concatenated."""

    layer: Layer | None = None
    kind: str = "conv"
    branches: tuple[tuple[Step, ...], ...] = ()
    join: str = "add"


def paths(steps: tuple[Step, ...]) -> Iterator[list[Layer]]:
    """Yield the layers along every path through some steps."""
    choices = [
        [[step.layer]] if step.layer else [p for branch in step.branches for p in paths(branch)]
        for step in steps
    ]
    for parts in product(*choices):
        yield [layer for part in parts for layer in part]


def formula(steps: tuple[Step, ...]) -> ReceptiveField:
    """Return the hull over all paths, each composed by the closed recursion."""
    fields = [receptive_field(path) for path in paths(steps)]
    (jump,) = {field.jump for field in fields}
    start = min(field.start for field in fields)
    end = max(field.start + field.size for field in fields)
    return ReceptiveField(end - start, jump, start)


class Network(nn.Module):
    """The module that some steps describe, with all weights 1.

    With `fill` the padding is explicit and holds that value: what is not 0 on an input of zeros has
    then seen padding.
    """

    def __init__(self, steps: tuple[Step, ...], *, fill: float | None = None) -> None:
        super().__init__()
        self.steps = steps
        self.layers = nn.ModuleList(self._made(step, fill) for step in steps)

    def _made(self, step: Step, fill: float | None) -> nn.Module:
        if step.layer is None:
            return nn.ModuleList(Network(branch, fill=fill) for branch in step.branches)
        a = step.layer
        padding = a.padding if fill is None else 0
        sizes = (a.kernel, 1), (a.stride, 1), (padding, 0)
        if step.kind == "max":
            window: nn.Module = nn.MaxPool2d(*sizes, dilation=(a.dilation, 1))
        elif step.kind == "average":
            window = nn.AvgPool2d(*sizes)
        else:
            window = nn.Conv2d(1, 1, *sizes, dilation=(a.dilation, 1), bias=False)
            nn.init.ones_(window.weight)
        if fill is None:
            return window
        return nn.Sequential(nn.ConstantPad2d((0, 0, a.padding, a.padding), fill), window)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the steps, then ReLU."""
        for step, layer in zip(self.steps, self.layers, strict=True):
            if step.layer is not None:
                x = layer(x)
            elif step.join == "add":
                x = functools.reduce(torch.add, [branch(x) for branch in layer])
            else:
                x = torch.cat([branch(x) for branch in layer], 1).amax(1, keepdim=True)
        return functional.relu(x)


class SideBySide(nn.Module):
    """Several networks on one input."""

    def __init__(self, networks: list[Network]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return what each network gives."""
        return [network(x) for network in self.networks]


def random_steps(rng: np.random.Generator, cells: int) -> tuple[Step, ...]:
    """Return steps that fit a number of input cells, at least one of them with branches."""

    def number(low: int, high: int) -> int:
        return int(rng.integers(low, high + 1))

    def kind(layer: Layer) -> str:
        choices = ["conv", "conv"]
        if 2 * layer.padding <= layer.kernel:
            choices += ["max"] if layer.dilation > 1 else ["max", "average"]
        return choices[number(0, len(choices) - 1)]

    def keeping(stride: int) -> Step:
        """Return a layer that gives one size to branches of one stride, whatever its kernel."""
        kernel, dilation = 2 * number(0, 2) + 1, number(1, 2)
        layer = Layer(kernel, stride, dilation * (kernel - 1) // 2, dilation)
        return Step(layer, kind(layer))

    def branch(stride: int) -> tuple[Step, ...]:
        first = [keeping(stride)] if stride > 1 or rng.random() < 0.5 else []
        return tuple(first + [keeping(1) for _ in range(number(0, 1))])

    def fork() -> Step:
        stride = number(1, 2)
        ways = tuple(branch(stride) for _ in range(2 + (rng.random() < 0.25)))
        return Step(branches=ways, join="add" if rng.random() < 0.5 else "cat")

    def window() -> Step:
        layer = Layer(number(1, 4), number(1, 3), number(0, 2), number(1, 2))
        return Step(layer, kind(layer))

    while True:
        steps = [window() for _ in range(number(0, 1))] + [fork()]
        steps.insert(number(0, len(steps)), fork() if rng.random() < 0.2 else window())
        if fits(cells, tuple(steps)):
            return tuple(steps)


def fits(cells: int, steps: tuple[Step, ...]) -> bool:
    """Whether every window fits, and no pool is global: the formula knows no map's size."""
    size = cells
    for step in steps:
        for branch in step.branches:
            if not fits(size, branch):
                return False
        for each in [step.layer] if step.layer else next(paths((step,))):
            if size + 2 * each.padding < each.extent:
                return False
            if step.kind != "conv" and size <= each.kernel - each.padding:
                return False
            size = output_size(size, each)
    return True


def generated(chunk: int) -> tuple[int, list[tuple[Step, ...]]]:
    """Return a number of input cells, and networks for it."""
    cells = 6 + chunk
    seeds = range(chunk * CHUNK, (chunk + 1) * CHUNK)
    return cells, [random_steps(np.random.default_rng(seed), cells) for seed in seeds]


def agree(chunk: int) -> None:
    """Hold the three ways against each other on some networks, which one trace reads at once."""
    cells, several = generated(chunk)
    networks = [Network(steps) for steps in several]
    seen = reached(SideBySide(networks), (1, cells, 1), 1)
    for steps, network, found in zip(several, networks, seen, strict=True):
        _agree_on(cells, steps, network, found)


def _agree_on(
    cells: int, steps: tuple[Step, ...], network: Network, found: dependence.Dependence
) -> None:
    expected = formula(steps)
    sees = measured(network, cells, 1)[:, 0, :, 0]
    outputs = sees.shape[1]

    assert found.windows is not None
    assert found.windows.largest == astuple(expected), "graph and formula"
    dependent = [interval(sees[:, o]) for o in range(outputs)]
    assert in_graph(found.reach, (1, 1, outputs, 1)) == dependent, "graph and measurement"

    with torch.no_grad():
        filled = Network(steps, fill=1.0).eval()(torch.zeros(1, 1, cells, 1))
    touched = (filled[0, 0, :, 0] > 0).tolist()
    flags = np.broadcast_to(found.reach[2], filled.shape)[0, 0, :, 0] < 0
    assert flags.tolist() == touched, "what touches padding"
    for o, saw in enumerate(dependent):
        window = expected.window(o)
        if not touched[o]:
            assert saw == (window[0], window[-1]), "inside, the window is what is seen"
        elif saw is not None:
            assert window[0] <= saw[0] <= saw[1] <= window[-1], "windows hold what is seen"


@pytest.mark.parametrize("chunk", range(NETWORKS // CHUNK))
def test_formula_graph_and_measurement_agree(chunk: int) -> None:
    agree(chunk)


def test_the_generated_networks_have_branches_and_every_kind_of_layer() -> None:
    networks = [steps for chunk in range(NETWORKS // CHUNK) for steps in generated(chunk)[1]]
    assert len(networks) == NETWORKS
    assert all(any(step.branches for step in steps) for steps in networks)
    assert len(set(networks)) > 0.98 * NETWORKS
    layers = [layer for steps in networks for path in paths(steps) for layer in path]
    for name, sizes in {
        "kernel": {1, 2, 3, 4, 5},
        "stride": {1, 2, 3},
        "padding": {0, 1, 2, 4},
        "dilation": {1, 2},
    }.items():
        assert {getattr(layer, name) for layer in layers} == sizes
    assert {step.kind for steps in networks for step in steps} == {"conv", "max", "average"}


def _planted(name: str) -> tuple[Any, str, Any]:
    """Return where a fault goes, and the fault."""
    true_layers, true_through = sliding.window_layers, windows.Windows.through
    true_joined, true_hull = windows.Windows.joined, reach.hull

    def altered(**changes: Callable[[Layer], int]) -> Any:
        def layers(call: Any) -> list[Layer]:
            return [
                Layer(**{**vars(each), **{key: change(each) for key, change in changes.items()}})
                for each in true_layers(call)
            ]

        return sliding, "window_layers", layers

    def forgetful(self: windows.Windows, taps: Taps) -> windows.Windows:
        return true_through(windows.Windows(), taps)

    return {
        "padding off by one": altered(padding=lambda a: a.padding + 1),
        "dilation left out": altered(dilation=lambda a: 1),
        "kernel off by one": altered(kernel=lambda a: a.kernel + 1),
        "stride left out": altered(stride=lambda a: 1),
        "layers before it forgotten": (windows.Windows, "through", forgetful),
        "the law of the first branch only": (
            windows.Windows,
            "joined",
            lambda self, other: true_joined(self, self),
        ),
        "the reach of the first branch only": (reach, "hull", lambda each: true_hull([*each][:1])),
        "no edge": (reach, "_EDGE", reach._NOTHING),
    }[name]


@pytest.mark.parametrize(
    "fault",
    [
        "padding off by one",
        "dilation left out",
        "kernel off by one",
        "stride left out",
        "layers before it forgotten",
        "the law of the first branch only",
        "the reach of the first branch only",
        "no edge",
    ],
)
def test_a_planted_fault_is_caught(monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    monkeypatch.setattr(*_planted(fault))
    with pytest.raises((AssertionError, IndexError)):
        agree(1)
