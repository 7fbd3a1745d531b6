"""What the cells of a tensor see of the input, and what they see together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from theory.auditing import reach as reaching
from theory.auditing.primitive import Primitive, shape_of
from theory.auditing.windows import Scattered, Windows

if TYPE_CHECKING:
    from theory.auditing.reach import Reach


@dataclass(frozen=True)
class Dependence:
    """What the cells of a tensor see along one axis of the input.

    Attributes
    ----------
    reach : array
        The interval that each cell depends on, exactly.
    dim : int, optional
        The dimension of the tensor along which windows move.
    windows : Windows or Scattered, optional
        Their law, or that of what was put out of order; None, as the dimension, where there is
        none, as after a global pool.
    """

    reach: Reach
    dim: int | None = None
    windows: Windows | Scattered | None = None

    def along(self, dim: int | None, windows: Windows | Scattered | None) -> Dependence:
        """Return the same reach with another law, or with none if either is None."""
        if dim is None or windows is None:
            return Dependence(self.reach)
        return Dependence(self.reach, dim, windows)

    def tight(self) -> Dependence:
        """Return the same reach with the law of those cells that touch no edge.

        The law is a hull over channels: where some were left behind, it may have become too wide.
        """
        if not isinstance(self.windows, Windows) or self.dim is None:
            return self
        period, step = len(self.windows.bounds), self.windows.step
        bounds, inside = reaching.inside(self.reach, self.dim)
        sees = reaching.seeing(self.reach, self.dim)
        bounds -= np.arange(len(inside)) // period * step
        phases: list[tuple[int, int] | None] = []
        for phase, window in enumerate(self.windows.bounds):
            seen = bounds[:, phase::period][:, inside[phase::period]]
            if (seen != seen[:, :1]).any():
                return Dependence(self.reach)
            if seen.size:
                window = int(seen[0, 0]), int(seen[1, 0])
            elif len(sees) > phase and not sees[phase::period].any():  # as zeros among cells
                window = None
            phases.append(window)
        return Dependence(self.reach, self.dim, Windows(tuple(phases), step))


@dataclass(frozen=True)
class Unknown:
    """Nobody knows what the cells of a tensor see.

    Attributes
    ----------
    primitive : str
        The first primitive on the way that has no rule.
    """

    primitive: str


Sources = dict[torch.fx.Node, Dependence]
"""Those arguments of a primitive that depend on the input."""

Law = tuple[int | None, Windows | Scattered | None]
"""The dimension along which windows move, and how; None where there is no law."""

Rule = Callable[[Primitive, Sources], Dependence | list[Dependence] | Unknown | None]
"""What a primitive's result sees, or each of several results; None if it sees nothing."""


def only(sources: Sources) -> tuple[torch.fx.Node, Dependence]:
    """Return the one source of a primitive that takes one tensor."""
    ((node, source),) = sources.items()
    return node, source


def joined(reach: Reach, laws: Sequence[Law]) -> Dependence:
    """Return a reach with the hull of some laws, if they move alike along the same dimension."""
    dim, windows = laws[0]
    for other_dim, other in laws[1:]:
        if windows is None or other is None or dim != other_dim:
            return Dependence(reach)
        windows = windows.joined(other)
    return Dependence(reach).along(dim, windows)


def pointwise(call: Primitive, sources: Sources) -> Dependence:
    """Each value comes from the values at its place; dimensions are aligned at the last one."""
    rank = len(call.shape)
    reach = reaching.hull(each.reach for each in sources.values())
    reach = reach.reshape(3, *(1,) * (rank + 1 - reach.ndim), *reach.shape[1:])
    laws: list[Law] = []
    for node, each in sources.items():
        shape = shape_of(node)
        dim = None if each.dim is None else each.dim + rank - len(shape)
        repeated = dim is not None and shape[each.dim or 0] != call.shape[dim]
        laws.append((None, None) if repeated else (dim, each.windows))
    return joined(reach, laws)


def everything(call: Primitive, sources: Sources) -> Dependence:
    """Each value sees all that the sources see."""
    rank = len(call.shape)
    wholes = [
        reaching.reduced(each.reach, range(each.reach.ndim - 1), keepdim=False)
        for each in sources.values()
    ]
    return Dependence(reaching.hull(wholes).reshape(3, *(1,) * rank))
