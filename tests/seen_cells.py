"""Which input cells each output cell of a module sees: measured, and read off its graph."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from theory.auditing import dependence, propagation, reach
from theory.auditing.recording import record


class Unbatched(nn.Module):
    """A function of an input of one shape, and of no batch of it."""

    def __init__(self, function: Callable[[Tensor], Tensor], shape: tuple[int, ...]) -> None:
        super().__init__()
        self.function, self.shape = function, shape
        self.register_buffer("precision", torch.zeros((), dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        """Apply the function."""
        if tuple(x.shape) != self.shape:
            raise ValueError(f"a shape other than {self.shape}")
        return self.function(x)


def followed(
    function: Callable[[Tensor], Tensor], shape: tuple[int, ...], axis: int
) -> propagation.Seen:
    """Return what the result of a function sees along an axis of its input."""
    graph = record(Unbatched(function, shape), shape).graph
    (end,) = (node for node in graph.nodes if node.op == "output")
    (seen,) = (propagation.follow(graph, axis)[node] for node in end.all_input_nodes)
    return seen


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
