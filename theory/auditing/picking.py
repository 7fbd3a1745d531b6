"""Primitives that pick cells by an index: of a tensor, of the rows of a table, of a map."""

from __future__ import annotations

import itertools

import numpy as np
import torch

from theory.auditing import reach as reaching
from theory.auditing.constants import integers
from theory.auditing.dependence import Dependence, Rule, Sources, Unknown, everything, only
from theory.auditing.moving import moved
from theory.auditing.primitive import Primitive, shape_of
from theory.diagnosis.errors import told


def _pick(call: Primitive, sources: Sources) -> Dependence | list[Dependence] | Unknown:
    """Follow an index that does not depend on the input; an audit may have no values of it.

    Where it picks among cells that see alike, it is all the same whether it picks others or, as
    then here, always the first.
    """
    node = call.positional[0]
    if [*sources] != [node]:
        return Unknown(call.name)
    source = sources[node]
    if call.name == "take":  # from all cells in a row
        dims, source = [*range(len(shape_of(node)))], Dependence(source.reach)
    elif call.name == "index":
        dims = [dim for dim, index in enumerate(call["indices"]) if index is not None]
    else:
        dims = [call["dim"] % rank] if (rank := len(shape_of(node))) else []
    indices = {each: integers(each) for each in call.node.all_input_nodes if each != node}
    if all(index is not None for index in indices.values()):
        try:
            return moved(call, node, source, indices)
        except (IndexError, RuntimeError) as error:  # a run without values checks no index
            raise ValueError(
                f"{call.name} fails at the index that it is given: {told(error)}"
            ) from error
    if any(n > 1 for n in np.take(source.reach.shape[1:], dims)):
        return Unknown(call.name)
    indices = {each: torch.zeros(shape_of(each)).long() for each in indices}
    return moved(call, node, source, indices)


def _picked(call: Primitive, sources: Sources) -> Dependence | list[Dependence] | Unknown:
    """Any value of a row may be picked by an index that varies; another's choice is unknown."""
    table, index, rank = call["self"], call["index"], len(call.shape)
    if index not in sources:
        return _pick(call, sources)
    parts = [sources[index].reach]
    if table in sources:
        # A single number has no row: it is itself all that an index may pick.
        row = reaching.reduced(sources[table].reach, [call["dim"]] if rank else [])
        parts.append(row[(slice(None), *(slice(n) for n in call.shape))])
    return Dependence(reaching.hull(parts))


def _sampled(call: Primitive, sources: Sources) -> Dependence | Unknown:
    """Points of a grid that varies may lie anywhere in the map; where another's lie is unknown."""
    if call["grid"] not in sources:
        return Unknown(call.name)
    # Its last dimension holds the places, and it has none for the channels.
    places = reaching.reduced(sources[call["grid"]].reach, [-1], keepdim=False)[:, :, None]
    parts = [places]
    if call["input"] in sources:
        seen = sources[call["input"]].reach
        parts.append(reaching.reduced(seen, range(2, seen.ndim - 1)))
    return Dependence(reaching.hull(parts))


def _lookup(call: Primitive, sources: Sources) -> Dependence:
    """Each index becomes the row of a table, along a new last dimension."""
    if set(sources) != {call["indices"]}:
        return everything(call, sources)
    _, source = only(sources)
    return Dependence(source.reach[..., None]).along(source.dim, source.windows)


def _bags(call: Primitive, sources: Sources) -> Dependence | Unknown:
    """Each bag sees the indices from its offset up to the next one's, and their weights."""
    if not set(sources) <= {call["indices"], call["per_sample_weights"]}:
        return everything(call, sources)
    (cells,) = shape_of(call["indices"])
    values = integers(call["offsets"])
    if values is None:
        return Unknown(call.name)
    offsets = values.tolist()
    if offsets and (offsets[0] != 0 or offsets[-1] > cells):  # a run without values checks neither
        raise ValueError(
            f"{call.name} fails at the offsets that it is given: expected the first to be 0 and "
            f"the last at most {cells}, the number of indices, got {offsets}"
        )
    if not call["include_last_offset"]:
        offsets.append(cells)
    if offsets != sorted(offsets):
        return Unknown(call.name)
    table = np.full((len(offsets) - 1, max(cells, 1)), reaching.NO_CELL)
    for bag, (start, end) in enumerate(itertools.pairwise(offsets)):
        table[bag, : end - start] = range(start, end)
    reach = reaching.hull(
        reaching.read_by(each.reach, 0, cells, table) for each in sources.values()
    )
    return Dependence(reach[..., None])


BAGS = frozenset({"_embedding_bag", "_embedding_bag_forward_only"})
"""What looks up rows of a table, and makes one of each bag of them."""

RULES: dict[str, Rule] = {
    **dict.fromkeys(BAGS, _bags),
    "embedding": _lookup,
    "gather": _picked,
    **dict.fromkeys(["grid_sampler_2d", "grid_sampler_3d"], _sampled),
    **dict.fromkeys(["index", "index_select", "take"], _pick),
}
"""The rules by primitive."""
