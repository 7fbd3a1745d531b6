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
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from theory import audit
from theory.auditing import dependence, propagation, reach, sliding, windows
from theory.auditing.recording import record
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


def measured(module: nn.Module, *shape: int) -> torch.Tensor:
    """Return which output cells see which input cells: shape (input cells, *output)."""
    cells = int(np.prod(shape))
    impulses = torch.eye(cells, dtype=torch.float64).reshape(cells, 1, *shape)
    with torch.no_grad():
        return module.double().eval()(impulses) > 0


def interval(sees: torch.Tensor) -> tuple[int, int] | None:
    """Return the first and the last input cell that is seen, None if none is."""
    cells = torch.nonzero(sees).flatten().tolist()
    return (cells[0], cells[-1]) if cells else None


def reached(module: nn.Module, shape: tuple[int, ...], axis: int) -> list[dependence.Dependence]:
    """Return what each output of a module sees along one axis of its input, read off its graph."""
    graph = record(module, shape).graph
    (end,) = (node for node in graph.nodes if node.op == "output")
    found = propagation.follow(graph, axis + 1)
    seen = [found[node] for node in end.all_input_nodes]
    return [each for each in seen if isinstance(each, dependence.Dependence)]


def in_graph(bounds: reach.Reach, shape: tuple[int, ...]) -> list[tuple[int, int] | None]:
    """Return the interval of each output cell that a graph was found to reach."""
    first, last, _ = np.broadcast_to(bounds, (3, *shape)).reshape(3, -1)
    return [
        (a, -b) if a <= -b else None for a, b in zip(first.tolist(), last.tolist(), strict=True)
    ]


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

    def forgetful(self: windows.Windows, taps: windows.Taps) -> windows.Windows:
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


class Ones(nn.Sequential):
    """Layers in a row with all weights 1 and no biases."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__(*layers)
        for parameter in self.parameters():
            nn.init.ones_(parameter)


class Fn(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        """Apply the function."""
        return self.function(x)


def _conv(inputs: int = 1, outputs: int = 1, kernel: int = 3, **options: Any) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, bias=False, **options)


def _first_row_zeroed(x: Tensor) -> Tensor:
    x = x.clone()
    x[:, :, 0] = 0
    return x


def _written_in_place(x: Tensor) -> Tensor:
    y = torch.zeros_like(x)
    y[:, :, 2:] = x[:, :, :-2]
    y[:, :, :1].add_(x[:, :, -1:])
    return y


def _sums_twice(x: Tensor) -> Tensor:
    return x.sum(2, keepdim=True).expand(-1, -1, 2, -1)


# Each sees what it sees through something that no closed formula of a chain covers.
SPECIAL: dict[str, Callable[[], nn.Module]] = {
    "transposed": lambda: Ones(nn.ConvTranspose2d(1, 1, 3, 2, 1, bias=False)),
    "transposed with gaps": lambda: Ones(
        nn.ConvTranspose2d(1, 1, 2, 3, output_padding=1, bias=False)
    ),
    "transposed and dilated": lambda: Ones(
        nn.ConvTranspose2d(1, 1, 3, 2, padding=2, dilation=2, bias=False), _conv()
    ),
    "down and up": lambda: Ones(
        _conv(stride=2, padding=1), _conv(padding=1), nn.ConvTranspose2d(1, 1, 2, 2, bias=False)
    ),
    "depthwise": lambda: Ones(_conv(1, 4), _conv(4, 4, groups=4, dilation=2), _conv(4, 1, 1)),
    "grouped branches": lambda: Ones(
        Fn(lambda x: torch.cat([x, functional.avg_pool2d(x, 3, 1, 1)], 1)),
        _conv(2, 2, 1, groups=2),
        Fn(lambda x: x[:, :1]),
    ),
    "shuffled channels": lambda: Ones(
        Fn(lambda x: torch.cat([x, x, functional.max_pool2d(x, 3, 1, 1), x], 1)),
        nn.ChannelShuffle(2),
        Fn(lambda x: x.chunk(2, 1)[0]),
    ),
    "circular padding": lambda: Ones(_conv(padding=1, padding_mode="circular"), _conv()),
    "reflected padding": lambda: Ones(_conv(padding=2, padding_mode="reflect"), _conv()),
    "replicated padding": lambda: Ones(nn.ReplicationPad2d((2, 1, 0, 3)), _conv()),
    "padding as a layer": lambda: Ones(nn.ZeroPad2d((2, 1, 0, 3)), _conv()),
    "cropped": lambda: Ones(nn.ZeroPad2d(-1), _conv()),
    "nearest upsampling": lambda: Ones(nn.Upsample(scale_factor=2), _conv(padding=1)),
    "odd upsampling": lambda: Ones(nn.Upsample(size=(11, 10)), _conv()),
    "bilinear upsampling": lambda: Ones(
        nn.Upsample(scale_factor=2, mode="bilinear"), _conv(padding=1)
    ),
    "aligned upsampling": lambda: Ones(
        nn.Upsample(size=13, mode="bilinear", align_corners=True), _conv()
    ),
    "pixel shuffle": lambda: Ones(_conv(1, 4), nn.PixelShuffle(2), _conv(1, 1)),
    "pixel unshuffle": lambda: Ones(nn.PixelUnshuffle(2), _conv(4, 1, 2)),
    "adaptive pooling": lambda: Ones(_conv(padding=1), nn.AdaptiveAvgPool2d((3, 5))),
    "adaptive max pooling": lambda: Ones(nn.AdaptiveMaxPool2d((4, 1)), _conv(1, 1, 1)),
    "global pooling": lambda: Ones(_conv(), nn.AdaptiveAvgPool2d(1)),
    "ceil mode": lambda: Ones(nn.MaxPool2d(3, 2, ceil_mode=True), _conv(1, 1, 2)),
    "fully connected": lambda: Ones(_conv(stride=3), nn.Flatten(), nn.Linear(4, 3, bias=False)),
    "flattened and back": lambda: Ones(
        _conv(stride=2, padding=1), Fn(lambda x: x.flatten(2).view(x.shape)), _conv()
    ),
    "flattened and turned": lambda: Ones(Fn(lambda x: x.flatten(1).view(-1, 1, 4, 16)), _conv()),
    "part of a flat map": lambda: Ones(_conv(stride=3), nn.Flatten(), Fn(lambda x: x[:, 1:3])),
    "linear along rows": lambda: Ones(nn.Linear(8, 3, bias=False)),
    "squeeze and excite": lambda: Ones(Fn(lambda x: x + x.mean((2, 3), keepdim=True)), _conv()),
    "transposed axes": lambda: Ones(Fn(lambda x: x.transpose(2, 3)), _conv(dilation=2)),
    "axes added": lambda: Ones(Fn(lambda x: x + x.transpose(2, 3)), _conv()),
    "flipped": lambda: Ones(Fn(lambda x: x.flip(2)), _conv(stride=2)),
    "rolled": lambda: Ones(Fn(lambda x: x.roll(3, 2)), _conv()),
    "rows side by side": lambda: Ones(Fn(lambda x: torch.cat([x, x[:, :, :3]], 2)), _conv()),
    "every second row": lambda: Ones(Fn(lambda x: x[:, :, ::2]), _conv()),
    "stacked": lambda: Ones(Fn(lambda x: torch.stack([x, x.roll(1, 3)], 1).sum(1)), _conv()),
    "sums in two rows": lambda: Ones(_conv(), Fn(_sums_twice)),
    "row of zeros": lambda: Ones(Fn(_first_row_zeroed), _conv()),
    "written in place": lambda: Ones(Fn(_written_in_place), _conv()),
    "attention weights": lambda: Ones(Fn(lambda x: x @ x.transpose(2, 3) + x)),
    "normalised": lambda: Ones(_conv(), nn.BatchNorm2d(1, affine=False), nn.Dropout(), nn.ReLU()),
    "strided window of the map": lambda: Ones(nn.AvgPool2d(8)),
}


@pytest.mark.parametrize("name", SPECIAL)
def test_measured_dependence_is_what_the_graph_reaches(name: str) -> None:
    module, sides = SPECIAL[name](), (8, 8)
    # Where factors multiply, one impulse alone would meet zeros: the background is 1 there.
    sees = (_changed if name == "attention weights" else measured)(module, *sides)
    output = tuple(sees.shape[1:])
    for axis in (0, 1):
        (found,) = reached(module.float(), (1, *sides), axis + 1)
        others = torch.stack([each.any(1 - axis) for each in sees.reshape(*sides, -1).unbind(-1)])
        expected = [interval(each) for each in others]
        graph = in_graph(found.reach, (1, *output))
        # Along one axis, what matters is where a cell is along the dimensions the axis lies in.
        assert _over_other_cells(graph, found.reach, output) == _over_other_cells(
            expected, found.reach, output
        )
        if found.windows is not None and found.dim is not None:
            _follows_its_law(found, expected, output)


def _changed(module: nn.Module, *shape: int) -> torch.Tensor:
    cells = int(np.prod(shape))
    impulses = torch.eye(cells, dtype=torch.float64).reshape(cells, 1, *shape)
    with torch.no_grad():
        module = module.double().eval()
        return module(impulses + 1) != module(torch.ones(1, 1, *shape, dtype=torch.float64))


def _over_other_cells(
    intervals: list[tuple[int, int] | None], bounds: reach.Reach, output: tuple[int, ...]
) -> list[tuple[int, int] | None]:
    """Return the hulls over the dimensions along which a reach is said to be all the same."""
    never = 10**6
    pairs = np.array([each or (never, -1) for each in intervals]).reshape(*output, 2)
    same = tuple(d for d, n in enumerate(bounds.shape[2:]) if n == 1)
    first, last = pairs[..., 0].min(same), pairs[..., 1].max(same)
    hulls = zip(first.ravel().tolist(), last.ravel().tolist(), strict=True)
    return [(a, b) if a <= b else None for a, b in hulls]


def _follows_its_law(
    found: dependence.Dependence,
    expected: list[tuple[int, int] | None],
    output: tuple[int, ...],
) -> None:
    """Windows hold what is seen, and are what is seen wherever no edge is touched."""
    assert found.windows is not None
    assert found.dim is not None
    pairs = np.array([each or (10**6, -1) for each in expected]).reshape(*output, 2)
    others = tuple(d for d in range(len(output)) if d != found.dim - 1)
    crossed = tuple(d for d in range(found.reach.ndim - 1) if d != found.dim)
    touched = found.reach[2].min(crossed) < 0
    first, last = pairs[..., 0].min(others), pairs[..., 1].max(others)
    inside = 0
    for cell, edge in enumerate(np.broadcast_to(touched, first.shape)):
        window = found.windows.at(cell)
        if not edge and window is not None and 0 <= window[0] <= window[1] < 8:
            inside += window == (first[cell], last[cell])
    assert inside > 0, "the law holds somewhere"


@pytest.mark.parametrize("cells", [2, 3, 8, 15, 29])
@pytest.mark.parametrize(
    ("mode", "aligned"),
    [
        ("linear", True),
        ("linear", False),
        ("bicubic", True),
        ("bicubic", False),
        ("nearest", None),
        ("nearest-exact", None),
        ("area", None),
    ],
)
def test_a_law_of_resizing_holds_in_every_cell(mode: str, aligned: bool | None, cells: int) -> None:
    outputs = [2, 3, 4, 5, 7, 8, 9, 11, 15, 16, 29, 32, 51]
    flat = {"linear": "bilinear"}.get(mode, mode)
    resized = Fn(
        lambda x: [  # type: ignore[arg-type,return-value]
            functional.interpolate(x, size=(n, 1), mode=flat, align_corners=aligned)
            for n in outputs
        ]
    )
    impulses = torch.eye(cells, dtype=torch.float64).reshape(cells, 1, cells, 1)
    # A weight is the distance of two places among the cells, rounded.
    rounded = cells * torch.finfo(torch.float64).eps
    weights = resized(impulses)
    for n, weight, found in zip(outputs, weights, reached(resized, (1, cells, 1), 1), strict=True):
        seen = [interval(each) for each in (weight[:, 0, :, 0].abs() > rounded).T]
        assert in_graph(found.reach, (1, 1, n, 1)) == seen
        if mode == "linear" and aligned:
            assert found.windows is not None
            assert found.windows.jump == Fraction(cells - 1, n - 1)
            assert (found.reach[2] == 0).all(), "no window hangs over the edge"
        if found.windows is not None:
            windows = [found.windows.at(cell) for cell in range(n)]
            held = [w and (max(w[0], 0), min(w[1], cells - 1)) for w in windows]
            assert held == seen, "what hangs over the edge is folded back"


@pytest.mark.parametrize(
    ("name", "size", "jump", "start"),
    [
        ("down and up", 7, 1, -3),
        ("circular padding", 5, 1, -1),
        ("nearest upsampling", 2, "1/2", -1),
        ("bilinear upsampling", 3, "1/2", -1),
        ("aligned upsampling", 4, "7/12", 0),
        ("flattened and back", 7, 2, -1),
        ("transposed", 2, "1/2", 0),
        ("pixel unshuffle", 4, 2, 0),
        ("every second row", 5, 2, 0),
    ],
)
def test_windows_that_take_turns_have_the_mean_jump(
    name: str, size: int, jump: int | str, start: int
) -> None:
    row = audit(SPECIAL[name](), (1, 8, 8)).rows[-1].to_dict()
    assert (row["receptive_field"][0], row["jump"][0], row["start"][0]) == (size, jump, start)


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("kernel", [3, 5])
def test_circular_padding_hangs_over_the_edge_as_zero_padding_does(axes: int, kernel: int) -> None:
    kind = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[axes - 1]

    def rows(mode: str) -> list[tuple[Any, ...]]:
        layers = [kind(1, 1, kernel, padding=kernel // 2, padding_mode=mode) for _ in range(2)]
        facts = audit(nn.Sequential(*layers), (1, *(12, 16, 14)[:axes]))
        return [(row.receptive_field, row.jump, row.start, row.border) for row in facts.rows]

    width, reach = (kernel,) * axes, (-(kernel // 2),) * axes
    assert rows("circular") == rows("zeros")
    assert rows("circular")[0] == (width, (1,) * axes, reach, ((kernel // 2,) * 2,) * axes)


@pytest.mark.parametrize(
    "pad",
    [
        lambda x: functional.pad(x, (2, 1), mode="circular"),
        lambda x: torch.cat([x[..., -2:], x, x[..., :1]], -1),
        lambda x: torch.cat([x[..., :2].flip(-1), x, x[..., -1:]], -1),
        lambda x: torch.cat([torch.zeros(1, 1, 2), x, torch.zeros(1, 1, 1)], -1),
        nn.ConstantPad1d((2, 1), 0.0),
    ],
)
def test_padding_by_hand_is_padding(pad: Callable[[Tensor], Tensor]) -> None:
    row = audit(nn.Sequential(Fn(pad), nn.Conv1d(1, 1, 3)), (1, 16)).rows[-1]
    assert (row.receptive_field, row.jump, row.start) == ((3,), (1,), (-2,))
    assert row.border == ((2, 1),)


def test_the_parts_of_a_map_side_by_side_have_no_edge() -> None:
    row = audit(Fn(lambda x: torch.cat([x[..., :11], x[..., 11:]], -1)), (1, 16)).rows[-1]
    assert (row.jump, row.border) == ((1,), ((0, 0),))


class Tokens(nn.Module):
    """Cells in a row, each with its channels last, and back."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layers to every cell by itself."""
        rows = x.flatten(2).transpose(1, 2)
        return (rows + self.layers(rows)).transpose(1, 2).reshape(x.shape)


FLATTENED: dict[str, nn.Module] = {
    "to a map of rows": Fn(lambda x: x.flatten(2).view(x.shape)),
    "with the channels": Fn(lambda x: x.flatten(1).view(x.shape)),
    "with the columns first": Fn(
        lambda x: x.transpose(2, 3).flatten(2).view(*x.shape[:2], 7, 6).transpose(2, 3)
    ),
    "by einsum": Fn(lambda x: torch.einsum("oc,bchw->bohw", x.new_ones(4, 4), x)),
    "by a product": Fn(lambda x: (x.new_ones(4, 4) @ x.flatten(2)).view(x.shape)),
    "by a convolution of rows": nn.Sequential(
        nn.Flatten(2), nn.Conv1d(4, 4, 1), nn.Unflatten(2, (6, 7))
    ),
    "as tokens": Tokens(nn.LayerNorm(4), nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 4)),
}


@pytest.mark.parametrize("name", FLATTENED)
def test_a_flatten_that_is_undone_leaves_the_law(name: str) -> None:
    def facts(pointwise: nn.Module) -> list[Any]:
        before, after = _conv(4, 4, stride=1, padding=1), _conv(4, 4, kernel=2, padding=1)
        row = audit(nn.Sequential(before, pointwise, after), (4, 6, 7)).rows[-1]
        return [row.receptive_field, row.jump, row.start, row.border]

    assert facts(FLATTENED[name]) == facts(nn.Conv2d(4, 4, 1))


@pytest.mark.parametrize(
    "between",
    [
        lambda x: x.flatten(2).view(1, 4, 7, 6),
        lambda x: x.flatten(2).roll(3, 2).view(x.shape),
        lambda x: (x.flatten(2) + x.transpose(2, 3).flatten(2)).view(x.shape),
        lambda x: functional.pad(x.flatten(2)[:, :, 2:], (0, 2)).view(x.shape),
        lambda x: functional.avg_pool1d(x.flatten(2), 3, 1, 1).view(x.shape),
    ],
)
def test_cells_that_come_back_elsewhere_follow_no_law(between: Callable[[Tensor], Tensor]) -> None:
    row = audit(Fn(between), (4, 6, 7)).rows[-1]
    assert (row.jump[1], row.start[1], row.border[1]) == (None, None, None)


def test_cells_in_a_row_have_no_border_and_no_jump() -> None:
    row = audit(nn.Sequential(_conv(padding=1), nn.Flatten(1)), (1, 6, 7)).rows[-1]
    assert row.receptive_field == (3, 3)
    assert (row.jump[1], row.start[1], row.border[1]) == (None, None, None)
