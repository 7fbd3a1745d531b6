"""Warnings: what in a network deserves a second look, one sentence each.

They are read off the graph and, where they are about weights, off the module's own values; what has
no values (on the meta device) gets no warning about them.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from theory.auditing import moving, subsampling
from theory.auditing.network import Network, listed
from theory.auditing.primitive import Primitive, shape_of
from theory.diagnosis.nodes import upstream
from theory.diagnosis.sequences import told_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import torch
    from torch import nn

    from theory.auditing.recording import Recording
    from theory.auditing.report import Row

_OF_THE_RUNNING_MEAN = (
    ", and in a network that is trained already subtract it from the running mean"
)


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
    network = Network(module, recording)
    checks = (
        told_of(recording.single_steps, "make the layer with batch_first=True"),
        _redundant_biases(network),
        _larger_than_the_input(rows, shape),
        subsampling.warnings(network),
        _dead_units(network),
        _unused_parameters(network),
    )
    return tuple(itertools.chain.from_iterable(checks))


def _redundant_biases(network: Network) -> Iterator[str]:
    """Find the biases of which every use is followed by nothing but a norm of each channel."""
    for name in dict.fromkeys(network.state.values()):
        found = [_normalised(network, Primitive(use), name) for use in network.uses(name)]
        norms = [norm for each in found for norm in each]
        # Running means that also average what the bias is no part of do not take it away again.
        recorded = [Primitive(norm).arguments.get("running_mean") for norm in norms]
        means = {network.state[mean] for mean in recorded if mean in network.state}
        if not (
            norms and all(found) and all(set(network.uses(each)) <= set(norms) for each in means)
        ):
            continue
        # Next to layers in training, a running mean that stays fixed does not follow the bias.
        if network.training and not all(network.trains(mean) for mean in means):
            continue
        yield (
            f"{name} is redundant: {network.name(norms[0])} subtracts the mean that it is part of; "
            f"leave the bias out{_OF_THE_RUNNING_MEAN if any(recorded) else ''}"
        )


def _normalised(network: Network, call: Primitive, name: str) -> list[torch.fx.Node]:
    """Return what normalises the channels to which a call adds a bias, if nothing else reads them.

    None is returned as well if the call does something else with the bias.
    """
    argument = {"convolution": "bias", "addmm": "self"}.get(call.name)
    places = [key for key, value in call.arguments.items() if network.reads(value, name)]
    if argument is None or places != [argument]:
        return []
    held: list[torch.fx.Node] = [call.node]
    users: list[torch.fx.Node] = []
    for user in call.node.users:
        if Primitive(user).name == "view" and shape_of(user) == call.shape:
            held.append(user)  # as instance normalisation does, which is one of a larger batch
            users += user.users
        else:
            users.append(user)
    norms = [user for user in users if _subtracts_means_of_channels(network, Primitive(user))]
    fed = [norm for norm in norms if Primitive(norm)["input"] in held]
    a_channel = all(size == 1 for size in shape_of(call[argument])[:-1])
    return fed if a_channel and len(fed) == len(users) else []


def _subtracts_means_of_channels(network: Network, call: Primitive) -> bool:
    """Whether a call is a normalisation of each channel by itself, by a mean that can be named."""
    if call.name == "native_group_norm":
        return bool(call["group"] == call["C"])
    mean = call.arguments.get("running_mean")
    return "batch_norm" in call.name and (mean is None or mean in network.state)


def _larger_than_the_input(rows: Sequence[Row], shape: Sequence[int]) -> Iterator[str]:
    for row in rows:
        pairs = zip(row.receptive_field, shape, strict=True)
        if any(size is not None and size > cells for size, cells in pairs):
            yield (
                f"the receptive field is larger than the input from {row.name} on: "
                f"{_by(row.receptive_field)} cells of {_by(shape)}; what lies outside is padding, "
                "or wraps around"
            )
            return


def _dead_units(network: Network) -> Iterator[str]:
    for each in network.filters():
        if not each.stored:  # as the zeros that stand for the derivative of a weight
            continue
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
    for call in network.primitives:
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
        divisor = call.arguments.get("divisor_override")
        if len(call.node.all_input_nodes) != 1 or (divisor is not None and divisor < 0):
            return False
        call = Primitive(call.node.all_input_nodes[0])
    return call.name in {"relu", "sigmoid", "_softmax", "exp", "abs", "hardsigmoid", "softplus"}


def _unused_parameters(network: Network) -> Iterator[str]:
    """Find what is never read, or only for what is thrown away."""
    read = upstream(node for node in network.graph.nodes if node.op == "output")
    used = {network.state[node] for node in read & network.state.keys()}
    unused = [name for name in network.parameters if name not in used]
    if unused:
        count = sum(network.parameters[name].numel() for name in unused)
        yield f"the output does not use {listed(unused)}: {count:,} parameters"


def _by(sizes: Sequence[int | None]) -> str:
    return " x ".join(map(str, sizes))
