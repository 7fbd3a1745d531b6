"""The facts of any module, layer by layer: shapes, parameters, costs, receptive fields.

Which module answers which question, in the order in which an audit asks:

- ``recording``: what does the module do? A copy without values runs, and leaves a graph of
  primitives. ``calls`` says which stretch of it each layer adds, ``primitive`` reads one node of
  it. ``constants`` lets it read the values that come from no input, as long as none of its
  ``changes`` concerns them; ``readings`` says why there is no audit of what reads others.
- ``propagation``: what of the input does each tensor see? ``dependence`` is the answer: the exact
  interval of each cell (``reach``), and the law by which intervals move (``windows``). The rules
  are in ``sliding`` (with ``taps``, what one operation reads), ``gathering``, ``products``,
  ``moving``, ``picking`` and ``arranging``.
- ``linearity``: what is each call as a function of its inputs?
- ``counting``: what does each primitive cost?
- ``advice``: what deserves a second look? ``network`` is the graph with its values.
  ``subsampling`` asks it of strides, each in a row with the filters before it (``chains``): which
  cells are copies of others (``copies``), and which frequencies pass (``responses``).
- ``report``: how is it told?
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

import torch
from torch import nn

from theory.auditing import reach as reaching
from theory.auditing.advice import warnings
from theory.auditing.calls import Call
from theory.auditing.counting import Cost, cost
from theory.auditing.dependence import Dependence, Unknown
from theory.auditing.linearity import call_linearity, unknown_linearities
from theory.auditing.primitive import shape_of
from theory.auditing.propagation import Seen, follow
from theory.auditing.recording import Recording, record
from theory.auditing.report import Audit, Linearity, Row
from theory.auditing.windows import Windows
from theory.diagnosis.shapes import checked_shape

__all__ = ["Audit", "Row", "audit"]


def audit(module: nn.Module, shape: Sequence[int]) -> Audit:
    """Find out what a module does with inputs of one shape, layer by layer.

    Parameters
    ----------
    module : torch.nn.Module
        Any module of one tensor of real floating-point numbers. A copy without values is run, in
        evaluation mode: dropout does nothing, and batch normalisation uses its running statistics.
        The module stays as it is. Hooks run with the copy, since they may change what a layer
        gives. What they keep outside of the module are then tensors without values, which no later
        computation takes.
    shape : sequence of int
        Shape of one input without batch: ``(n,)``, ``(c, n)``, ``(c, h, w)`` or ``(c, d, h, w)``.
        All axes but the channel c are spatial. The module gets a batch of one if it takes batches.

    Returns
    -------
    Audit
        One row for each call of a layer of `torch.nn` or of a function outside of them, in order;
        totals; and warnings. A call within a transform of `torch.func` has one row for all that the
        transform makes of it, such as the whole batch of a vmap. What nothing is known of is None,
        and a warning names it.

    Raises
    ------
    TypeError
        If `module` is no module.
    ValueError
        If a spatial axis is longer than 2**24 cells, the module fails on an input of this shape, is
        compiled, cannot be copied, calls what depends on
        values, or writes in place into its own state what depends on its input.

    Examples
    --------
    >>> from torch import nn
    >>> from theory import audit
    >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 8, 3))
    >>> facts = audit(net, (3, 32, 32))
    >>> facts.parameters, facts.macs, facts.receptive_field
    (808, 291744, (8, 8))
    >>> [(row.kind, row.receptive_field, row.jump, row.linearity) for row in facts.rows[2:]]
    [('MaxPool2d', (4, 4), (2, 2), 'nonlinear'), ('Conv2d', (8, 8), (2, 2), 'affine')]
    """
    if not isinstance(module, nn.Module):
        raise TypeError(
            f"module is {type(module).__name__} {module!r}: give an instance of torch.nn.Module"
        )
    sizes = checked_shape(shape)
    longest = max(_spatial(sizes))
    if longest > _LONGEST:
        raise ValueError(
            f"shape is {shape!r}, with {longest} cells along an axis: receptive fields are found "
            f"cell by cell, for up to {_LONGEST}; give a smaller input"
        )
    recording = record(module, sizes)
    with torch.device("cpu"), torch.no_grad():  # whatever the user's defaults are
        return _Facts(module, sizes, recording).audit()


_LONGEST = 2**24
"""Cells along an axis whose numbers are exact in all types that the cells are followed in."""


def _spatial(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the sizes of the spatial axes: all but that of the channels."""
    return shape if len(shape) == 1 else shape[1:]


class _Facts:
    """What is known of a module after a run of it."""

    def __init__(self, module: nn.Module, shape: tuple[int, ...], recording: Recording) -> None:
        self.module = module
        self.shape = shape
        self.parameters = dict(module.named_parameters())
        self.buffers = dict(module.named_buffers())
        self.recording = recording
        self.spatial = _spatial(shape)
        first = len(shape) - len(self.spatial) + recording.batched
        axes = range(first, first + len(self.spatial))
        self.seen = [follow(recording.graph, axis) for axis in axes]
        self.varying = {node for node, seen in self.seen[0].items() if seen is not None}
        self.counted: set[str] = set()

    def audit(self) -> Audit:
        """Return everything."""
        calls = [call for call in self.recording.calls if self._matters(call)]
        found = [call_linearity(call, self.varying) for call in calls]
        rows = tuple(self._row(call, what) for call, (what, _) in zip(calls, found, strict=True))
        costs = [cost(node) for node in self.recording.graph.nodes]
        total = sum(costs, Cost())
        (end,) = (node for node in self.recording.graph.nodes if node.op == "output")
        outputs = end.all_input_nodes
        if not outputs:
            raise ValueError(f"{type(self.module).__name__} returns no tensor")
        fields = [[_Axis(seen[node], node).size for node in outputs] for seen in self.seen]
        gaps = [
            *self._unknown_fields(calls, outputs),
            *unknown_linearities(calls, [unknown for _, unknown in found]),
            *_uncounted(total),
        ]
        advice = warnings(self.module, self.recording, rows, self.spatial)
        return Audit(
            module=type(self.module).__name__,
            shape=self.shape,
            output_shape=self.recording.shape(outputs[0]),
            rows=rows,
            parameters=sum(each.numel() for each in self.parameters.values()),
            buffers=sum(each.numel() for each in self.buffers.values()),
            macs=total.macs,
            flops=total.flops,
            receptive_field=tuple(
                None if None in sizes else max(size for size in sizes if size is not None)
                for sizes in fields
            ),
            warnings=(*gaps, *advice),
        )

    def _unknown_fields(
        self, calls: Sequence[Call], outputs: Sequence[torch.fx.Node]
    ) -> Iterator[str]:
        """Say from where on what is seen is unknown, if calls tell."""
        places = [(f" from {call.name} on", node) for call in calls for node in call.outputs]
        for place, node in [*places, *(("", node) for node in outputs)]:
            seen = self.seen[0][node]
            if isinstance(seen, Unknown):
                yield (
                    f"receptive fields are unknown{place}: no rule for the primitive "
                    f"{seen.primitive}"
                )
                return

    def _matters(self, call: Call) -> bool:
        """Whether a call sees the input, reads a parameter or costs something."""
        sees = not self.varying.isdisjoint(call.outputs)
        works = any(n in self.recording.state or cost(n) != Cost() for n in call.nodes)
        return bool(call.outputs) and (sees or works)

    def _row(self, call: Call, linearity: Linearity) -> Row:
        parameters, buffers = self._first_used(call)
        total = sum((cost(node) for node in call.nodes), Cost())
        output = call.outputs[0]
        axes = [_Axis(seen[output], output) for seen in self.seen]
        return Row(
            name=call.name,
            kind=call.kind,
            output_shape=self.recording.shape(output),
            parameters=parameters,
            buffers=buffers,
            macs=total.macs,
            flops=total.flops,
            receptive_field=tuple(axis.size for axis in axes),
            jump=tuple(axis.jump for axis in axes),
            start=tuple(axis.start for axis in axes),
            border=tuple(axis.border for axis in axes),
            linearity=linearity,
        )

    def _first_used(self, call: Call) -> tuple[int, int]:
        """Count the parameters and buffers that no call before has used."""
        state = self.recording.state
        new = {*call.owned, *(state[node] for node in call.nodes if node in state)} - self.counted
        self.counted |= new
        return (
            sum(self.parameters[name].numel() for name in new & self.parameters.keys()),
            sum(self.buffers[name].numel() for name in new & self.buffers.keys()),
        )


def _uncounted(total: Cost) -> Iterator[str]:
    if total.uncounted:
        yield f"MACs and FLOPs leave out primitives of unknown cost: {', '.join(total.uncounted)}"


class _Axis:
    """One axis of a row: what the cells of a tensor see of one axis of the input."""

    def __init__(self, seen: Seen, node: torch.fx.Node) -> None:
        self.size: int | None = 0 if seen is None else None
        self.jump: int | Fraction | None = None
        self.start: int | None = None
        self.border: tuple[int, int] | None = None
        if not isinstance(seen, Dependence):
            return
        law = seen.windows if isinstance(seen.windows, Windows) else None
        window = None if law is None else law.largest
        if window is None:
            self.size = reaching.largest(seen.reach)
        else:
            self.size, self.jump, self.start = window
        if law is not None and seen.dim is not None:
            self.border = reaching.border(seen.reach, seen.dim, shape_of(node)[seen.dim])
