"""Warnings: what in a network deserves a second look, one sentence each.

They are read off the graph and, where they are about weights, off the module's own values; what has
no values (on the meta device) gets no warning about them.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from theory.auditing import moving
from theory.auditing.primitive import Primitive, shape_of
from theory.auditing.sliding import window_layers
from theory.auditing.windows import Taps
from theory.diagnosis.sequences import told_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from torch import Tensor, nn

    from theory.auditing.recording import Recording
    from theory.auditing.report import Row
    from theory.geometry import Layer

_NAMED = 3
"""Layers that a warning names before it counts the rest."""


def warnings(
    module: nn.Module, recording: Recording, rows: Sequence[Row], shape: Sequence[int]
) -> tuple[str, ...]:
    """Return what deserves a second look.

    Parameters
    ----------
    module : torch.nn.Module
        The module itself, with its values.
    recording : Recording
        What a run of it did.
    rows : sequence of Row
        The facts of its calls.
    shape : sequence of int
        The spatial sizes of its input.
    """
    network = _Network(module, recording)
    checks = (
        told_of(recording.single_steps, "make the layer with batch_first=True"),
        _redundant_biases(network),
        _larger_than_the_input(rows, shape),
        _skipped_cells(network),
        _aliasing(network),
        _dead_units(network),
        _unused_parameters(network),
    )
    return tuple(itertools.chain.from_iterable(checks))


@dataclass(frozen=True)
class _Filter:
    """A convolution or fully connected layer, as a primitive and in values: one bias a unit."""

    call: Primitive
    input: torch.fx.Node
    name: str
    weight: Tensor
    bias: Tensor | None


class _Network:
    """A recording with the values of the module and the names of its calls."""

    def __init__(self, module: nn.Module, recording: Recording) -> None:
        self.graph = recording.graph
        self.state = recording.state
        self.parameters = dict(module.named_parameters())
        self._values = {**self.parameters, **dict(module.named_buffers())}
        self.names = {node: call.name for call in recording.calls for node in call.nodes}
        self.calls = [Primitive(node) for node in self.graph.nodes if node in self.names]
        self.calls = [call for call in self.calls if call.node.op == "call_function"]

    def name(self, node: torch.fx.Node) -> str:
        return self.names.get(node, str(node))

    def reads(self, node: object, name: str) -> bool:
        """Whether a node is the parameter or buffer of some name."""
        return isinstance(node, torch.fx.Node) and self.state.get(node) == name

    def uses(self, name: str) -> list[torch.fx.Node]:
        """Return what reads a parameter or buffer, wherever it is read."""
        return [user for node in self.state if self.reads(node, name) for user in node.users]

    def value(self, node: object) -> Tensor | None:
        """Return the values of a parameter or buffer, None if the node is none or it has none."""
        if not isinstance(node, torch.fx.Node):
            return None
        tensor = self._values.get(self.state.get(node, ""))
        return None if tensor is None or tensor.is_meta else tensor.detach()

    def filters(self) -> Iterator[_Filter]:
        """Yield the layers whose weights are parameters with values, one filter a row."""
        for call in self.calls:
            if call.name == "convolution" and not call["transposed"]:
                x, weight, bias = call["input"], self.value(call["weight"]), call["bias"]
            elif call.name in {"addmm", "mm"}:
                if {call.arguments.get("alpha", 1), call.arguments.get("beta", 1)} != {1}:
                    continue  # its weights are not the parameter's
                bias = call["self"] if call.name == "addmm" else None
                x, factor = call.positional[-2:]
                transposed = Primitive(factor)
                weight = self.value(transposed.positional[0]) if transposed.name == "t" else None
            else:
                continue
            values = self.value(bias)
            if weight is not None and (bias is None or values is not None):
                if values is not None:  # of addmm it may be one a row, too: the largest is kept
                    values = torch.atleast_2d(values).amax(0).expand(len(weight))
                yield _Filter(call, x, self.name(call.node), weight, values)


def _redundant_biases(network: _Network) -> Iterator[str]:
    """Find the biases of which every use is followed by nothing but batch normalisation."""
    for name in dict.fromkeys(network.state.values()):
        found = [_normalised(network, Primitive(use), name) for use in network.uses(name)]
        norms = [norm for each in found for norm in each]
        # Running means that also average what the bias is no part of do not take it away again.
        recorded = [Primitive(norm).arguments.get("running_mean") for norm in norms]
        means = {network.state[mean] for mean in recorded if mean in network.state}
        if all(found) and all(set(network.uses(mean)) <= set(norms) for mean in means) and norms:
            yield (
                f"{name} is redundant: {network.name(norms[0])} subtracts the mean that it is part "
                "of; leave the bias out"
            )


def _normalised(network: _Network, call: Primitive, name: str) -> list[torch.fx.Node]:
    """Return what normalises the channels to which a call adds a bias, if nothing else reads them.

    None is returned as well if the call does something else with the bias.
    """
    argument = {"convolution": "bias", "addmm": "self"}.get(call.name)
    places = [key for key, value in call.arguments.items() if network.reads(value, name)]
    if argument is None or places != [argument]:
        return []
    norms = [user for user in call.node.users if "batch_norm" in Primitive(user).name]
    fed = [norm for norm in norms if Primitive(norm)["input"] is call.node]
    a_channel = all(size == 1 for size in shape_of(call[argument])[:-1])
    return fed if a_channel and len(fed) == len(call.node.users) else []


def _larger_than_the_input(rows: Sequence[Row], shape: Sequence[int]) -> Iterator[str]:
    for row in rows:
        pairs = zip(row.receptive_field, shape, strict=True)
        if any(size is not None and size > cells for size, cells in pairs):
            yield (
                f"the receptive field is larger than the input from {row.name} on: "
                f"{_by(row.receptive_field)} cells of {_by(shape)}; what lies outside is padding"
            )
            return


def _skipped_cells(network: _Network) -> Iterator[str]:
    """Find the windows that leave out cells of their input, between them or at its end."""
    gaps, ends = [], []
    for call, layers in _windowed(network):
        inputs = shape_of(call.node.all_input_nodes[0])[-len(layers) :]
        sizes = zip(layers, inputs, call.shape[-len(layers) :], strict=True)
        tables = [(n, np.unique(Taps.of(layer).table(n, m))) for layer, n, m in sizes]
        read = [(n, cells[cells >= 0]) for n, cells in tables]
        if any(len(cells) <= cells.max(initial=-1) - cells.min(initial=0) for _, cells in read):
            gaps.append(network.name(call.node))
        elif any(len(cells) < n for n, cells in read):
            ends.append(network.name(call.node))
    if gaps:
        yield f"the windows leave gaps in {_listed(gaps)}: the cells in them are never read"
    if ends:
        yield f"the windows stop before the end in {_listed(ends)}: the last cells are never read"


def _aliasing(network: _Network) -> Iterator[str]:
    """Find the strides before which no filter removes what folds onto what they keep.

    Subsampling by s adds the frequencies k / s, for k = 1 ... s - 1, onto frequency 0. A filter
    removes them all exactly if the taps at each phase of the stride have the same sum.
    """
    filters = {each.call.node: each.weight for each in network.filters()}
    names = []
    for call, layers in _windowed(network):
        cells = call.shape[len(call.shape) - len(layers) :]
        acts = [layer.stride > 1 and n > 1 for layer, n in zip(layers, cells, strict=True)]
        known = call.name != "convolution" or call.node in filters
        if any(acts) and known:
            sizes = [layer.kernel for layer in layers]
            weight = filters.get(call.node, torch.ones(1, 1, *sizes))
            if call.name.startswith("max") or not _is_low_pass(weight, layers):
                names.append(network.name(call.node))
    if names:
        yield (
            f"the stride aliases in {_listed(names)}: the finest patterns fold onto coarse ones, "
            "and a shift by one cell is not one of the output; blur or average first"
        )


def _is_low_pass(weight: Tensor, layers: Sequence[Layer]) -> bool:
    """Whether the sums of taps at every phase of the strides agree, up to rounding.

    Adding K numbers is off by at most K u times the sum of their absolute values.
    """
    weight = weight.double()
    phases: dict[tuple[int, ...], Tensor] = {
        phase: weight.new_zeros(weight.shape[:2])
        for phase in itertools.product(*(range(layer.stride) for layer in layers))
    }
    kernel = weight.flatten(2)
    for cell, taps in enumerate(itertools.product(*(range(layer.kernel) for layer in layers))):
        places = zip(taps, layers, strict=True)
        phase = tuple(tap * layer.dilation % layer.stride for tap, layer in places)
        phases[phase] = phases[phase] + kernel[:, :, cell]
    sums = torch.stack(list(phases.values()))
    single = torch.finfo(torch.float32).eps / 2
    count = math.prod(weight.shape[2:])
    bound = 2 * count * single * weight.abs().flatten(2).sum(2)
    return bool((sums.amax(0) - sums.amin(0) <= bound).all())


def _dead_units(network: _Network) -> Iterator[str]:
    for each in network.filters():
        weight = each.weight.flatten(1)
        constant = (weight == 0).all(1)
        if constant.any():
            yield (
                f"{int(constant.sum())} of {len(weight)} units of {each.name} are dead: "
                "their weights are all 0"
            )
        users = [Primitive(user).name for user in each.call.node.users]
        if set(users) == {"relu"} and _is_nonnegative(each.input):
            never = (weight <= 0).all(1) & ~constant
            never &= each.bias <= 0 if each.bias is not None else True
            if never.any():
                yield (
                    f"{int(never.sum())} of {len(weight)} units of {each.name} are dead: inputs "
                    "are not negative, weights and bias not positive, and ReLU follows"
                )
    for call in network.calls:
        if call.name == "_native_batch_norm_legit_no_training":
            scale = network.value(call["weight"])
            if scale is not None and (scale == 0).any():
                yield (
                    f"{int((scale == 0).sum())} of {len(scale)} units of {network.name(call.node)} "
                    "are dead: their scale is 0"
                )


def _is_nonnegative(node: torch.fx.Node) -> bool:
    """Whether a tensor comes from an activation without negative values, pooled or moved."""
    call = Primitive(node)
    while call.name in moving.MOVES or call.name == "getitem" or "pool" in call.name:
        if len(call.node.all_input_nodes) != 1:
            return False
        call = Primitive(call.node.all_input_nodes[0])
    return call.name in {"relu", "sigmoid", "_softmax", "exp", "abs", "hardsigmoid", "softplus"}


def _unused_parameters(network: _Network) -> Iterator[str]:
    """Find what is never read, or only for what is thrown away."""
    reached: set[torch.fx.Node] = set()
    stack = [node for node in network.graph.nodes if node.op == "output"]
    while stack:
        node = stack.pop()
        if node not in reached:
            reached.add(node)
            stack.extend(node.all_input_nodes)
    used = {network.state[node] for node in reached & network.state.keys()}
    unused = [name for name in network.parameters if name not in used]
    if unused:
        count = sum(network.parameters[name].numel() for name in unused)
        yield f"the output does not use {_listed(unused)}: {count:,} parameters"


def _windowed(network: _Network) -> Iterator[tuple[Primitive, list[Layer]]]:
    """Yield the convolutions and pools, each with its layer along every axis."""
    for call in network.calls:
        is_pool = "pool" in call.name and {"kernel_size", "stride"} <= call.arguments.keys()
        if is_pool or (call.name == "convolution" and not call["transposed"]):
            yield call, window_layers(call)


def _listed(names: Iterable[str]) -> str:
    names = list(dict.fromkeys(names))
    listed, rest = ", ".join(names[:_NAMED]), len(names) - _NAMED
    return f"{listed} and {rest} more" if rest > 0 else listed


def _by(sizes: Sequence[int | None]) -> str:
    return " x ".join(map(str, sizes))
