"""What the primitives of a graph prove: that it is linear, affine, pointwise.

The graph is interpreted over the lattice zero < constant < linear < affine < nonlinear < unknown,
where `linear` is a linear function of the operator's input. A primitive that the tables do not name
is `unknown`, unless all that it sees is constant; nothing is guessed from a name.

The operator may have branched on values in ways that leave no other mark in a graph than a result
that nothing uses. All of a graph is therefore `unknown` if it holds a result whose shape depends on
the input's values; and nothing is proved linear or affine if it holds, used or not, what no table
names, an index that depends on the input or an integer divided by such a one: with one input it may
raise an error, which the operator catches, and with another not.

The proof is of the traced program in exact arithmetic: rounding is not part of it. What is called
zero was given as zero, or is made of that alone: a zero that was only computed may be a sum that
rounding has swallowed.
"""

from __future__ import annotations

import enum
import operator as builtin
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from theory.diagnosis import primitives
from theory.diagnosis.nodes import (
    arguments,
    holds_zeros,
    is_pure,
    is_real_or_complex,
    primitive_name,
    value_type,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


class Level(enum.IntEnum):
    """How a value depends on the operator's input."""

    ZERO = 0
    CONSTANT = 1
    LINEAR = 2
    AFFINE = 3
    NONLINEAR = 4
    UNKNOWN = 5

    @property
    def is_fixed(self) -> bool:
        """Whether it does not depend on it at all."""
        return self <= Level.CONSTANT


@dataclass(frozen=True)
class Structure:
    """What a graph proves.

    Attributes
    ----------
    level : Level
        How the output depends on the input.
    culprit : str
        The primitive that made the output nonlinear or unknown, and the first of them if there are
        several, with the type that it rounds to if that is why; empty if none did.
    primitives : tuple of str
        Names of the primitives that depend on the input, each once, in order of appearance.
    pointwise : bool
        Whether every output cell is one and the same function of the input cell at its place.
    coarsest : torch.dtype
        The coarsest real type that anything that depends on the input is held in.
    """

    level: Level
    culprit: str
    primitives: tuple[str, ...]
    pointwise: bool
    coarsest: torch.dtype

    @property
    def is_affine(self) -> bool:
        """Whether it proves that the output is affine."""
        return self.level <= Level.AFFINE

    @property
    def is_linear(self) -> bool:
        """Whether it proves that the output is linear, zero included."""
        return self.level in (Level.ZERO, Level.LINEAR)

    @property
    def transforms(self) -> bool:
        """Whether there is a Fourier transform of what depends on the input."""
        return any("fft" in name for name in self.primitives)


UNSEEN = Structure(Level.UNKNOWN, "", (), False, torch.float64)
"""That of an operator without a graph, which proves nothing."""


def interpret(graph: torch.fx.Graph) -> Structure:
    """Interpret a graph over the lattice of levels."""
    levels: dict[torch.fx.Node, Level] = {}
    culprits: dict[torch.fx.Node, str] = {}
    sizing = raising = ""
    names: list[str] = []
    for node in graph.nodes:
        if node.op == "placeholder":
            levels[node] = Level.LINEAR
        elif node.op == "get_attr":
            levels[node] = Level.ZERO if holds_zeros(node) else Level.CONSTANT
        elif node.op == "output":
            level = levels[node] = _argument_level(node.args, levels)
        elif node.target is builtin.getitem:
            levels[node] = levels[node.args[0]]
        else:
            levels[node] = _level(node, levels)
            if not levels[node].is_fixed:  # what makes constants may be anything
                names.append(primitive_name(node))
            if _is_sized_by_values(node, levels):
                sizing = sizing or primitive_name(node)
            if _may_raise(node, levels):
                raising = raising or primitive_name(node)
        rounding = ""
        depends = node.op == "call_function" and not levels[node].is_fixed
        if depends and levels[node] <= Level.AFFINE and _rounds(node, levels):
            levels[node] = Level.NONLINEAR
            rounding = f" (rounding to {str(value_type(node)).removeprefix('torch.')})"
        culprits[node] = _culprit(node, levels, culprits) + rounding
    culprit = culprits[node]  # the last node is the output
    if sizing or (raising and level <= Level.AFFINE):
        level, culprit = Level.UNKNOWN, sizing or raising
    primitives_used, pointwise = tuple(dict.fromkeys(names)), _is_pointwise(graph, levels)
    return Structure(level, culprit, primitives_used, pointwise, _coarsest(levels))


def _culprit(
    node: torch.fx.Node, levels: dict[torch.fx.Node, Level], culprits: dict[torch.fx.Node, str]
) -> str:
    """Return which primitive brought a value to its level; empty if that is affine or less."""
    if levels[node] < Level.NONLINEAR:
        return ""
    before = (culprits[n] for n in node.all_input_nodes if levels[n] is levels[node])
    return next(before, primitive_name(node))


def _level(node: torch.fx.Node, levels: dict[torch.fx.Node, Level]) -> Level:
    """Return the level of one primitive's result."""
    name = primitive_name(node)
    seen = [levels[n] for n in node.all_input_nodes]
    if not is_pure(node) or Level.UNKNOWN in seen:
        return Level.UNKNOWN
    if name in primitives.CONSTANT:
        given = arguments(node)
        filled = given.get("fill_value", given.get("s", 1))
        zero = name in primitives.ZERO or _argument_level(filled, levels) is Level.ZERO
        return Level.ZERO if zero else Level.CONSTANT
    level = _level_by_rule(node, levels)
    return min(level, Level.CONSTANT) if all(each.is_fixed for each in seen) else level


def _level_by_rule(node: torch.fx.Node, levels: dict[torch.fx.Node, Level]) -> Level:
    """Return the level of what is made of the arguments, as if all of them were variable."""
    name, args = primitive_name(node), node.args
    if name in primitives.NONLINEAR or Level.NONLINEAR in map(levels.get, node.all_input_nodes):
        return Level.NONLINEAR
    if "reduce" in node.kwargs:
        return Level.UNKNOWN
    if node.target is torch.ops.aten.view.dtype:
        return Level.NONLINEAR  # the same bits read as another number

    def of(*arguments: Any) -> Level:
        return _join([_argument_level(argument, levels) for argument in arguments])

    first, others = (args[0] if args else None), args[1:]
    rest = of(*others, *node.kwargs.values())
    divides = name == "div" and "rounding_mode" not in node.kwargs
    if name in primitives.LINEAR_IN_FIRST or divides:
        return of(first) if rest.is_fixed else Level.NONLINEAR
    if name == "constant_pad_nd":
        return of(first, *args[2:3])
    if name == "_to_copy":
        return of(first)
    if name in primitives.AFFINE_COMBINATION:
        given = arguments(node).items()
        places = of(*(each for name, each in given if name in primitives.PLACING))
        summands = of(*(each for name, each in given if name not in primitives.PLACING))
        return summands if places.is_fixed else Level.NONLINEAR
    if name in primitives.PRODUCT:
        return _product(of(args[0]), of(args[1]))
    if name in primitives.PRODUCT_AND_SUM:
        return _join([of(args[0]), _product(of(args[1]), of(args[2]))])
    if name == "_trilinear":
        return _product(_product(of(args[0]), of(args[1])), of(args[2]))
    if name in {"lerp", "addcdiv"}:
        return of(*args[:2]) if of(args[2]).is_fixed else Level.NONLINEAR
    if name in {"where", "masked_fill"}:
        mask, values = (args[0], args[1:]) if name == "where" else (args[1], (args[0], args[2]))
        return of(*values) if of(mask).is_fixed else Level.NONLINEAR
    if name == "convolution":
        return _join([_product(of(args[0]), of(args[1])), of(args[2])])
    if name == "_native_batch_norm_legit_no_training":
        bias, mean = args[2:4]
        return of(first, bias, mean) if rest.is_fixed else Level.NONLINEAR
    if name in {"_embedding_bag", "_embedding_bag_forward_only"}:
        return _bags_level(arguments(node), levels)
    return Level.UNKNOWN


def _bags_level(given: dict[str, Any], levels: dict[torch.fx.Node, Level]) -> Level:
    """Return the level of sums, means or maxima over bags of rows of a table, or weighted sums."""
    table = _argument_level(given["weight"], levels)
    placed = _argument_level([given["indices"], given["offsets"]], levels).is_fixed
    takes_maxima = given.get("mode", 0) == _MAXIMA and not table.is_fixed
    if takes_maxima or not placed:
        return Level.NONLINEAR
    weights = given.get("per_sample_weights")
    return table if weights is None else _product(table, _argument_level(weights, levels))


_MAXIMA = 2
"""The mode of `torch.nn.EmbeddingBag` that takes maxima, as the primitive has it."""


def _join(levels: Sequence[Level]) -> Level:
    """Return the level of a sum: a constant beside something linear makes it affine."""
    highest = max(levels, default=Level.ZERO)
    return Level.AFFINE if highest is Level.LINEAR and Level.CONSTANT in levels else highest


def _product(left: Level, right: Level) -> Level:
    if left.is_fixed and right.is_fixed:
        return min(left, right)
    return max(left, right) if left.is_fixed or right.is_fixed else Level.NONLINEAR


def _argument_level(argument: Any, levels: dict[torch.fx.Node, Level]) -> Level:
    if isinstance(argument, torch.fx.Node):
        return levels[argument]
    if isinstance(argument, list | tuple):
        return _join([_argument_level(each, levels) for each in argument])
    zero = argument is None or (isinstance(argument, int | float | complex) and not argument)
    return Level.ZERO if zero else Level.CONSTANT


def _rounds(node: torch.fx.Node, levels: dict[torch.fx.Node, Level]) -> bool:
    """Whether a result has less precision than what it is made of, as integers have."""
    dtype = value_type(node)
    if dtype is None:
        return False
    if not is_real_or_complex(dtype):
        return True
    made = node.args[0] if node.target is builtin.getitem else node
    assert isinstance(made, torch.fx.Node), "getitem takes from what another node returns"
    # Truth values and integers, as of a comparison before, are exact: nothing is finer.
    given = [value_type(each) for each in made.all_input_nodes if not levels[each].is_fixed]
    finer = [each for each in given if each is not None and is_real_or_complex(each)]
    return any(torch.finfo(dtype).eps > torch.finfo(each).eps for each in finer)


def _coarsest(levels: dict[torch.fx.Node, Level]) -> torch.dtype:
    """Return the coarsest real type of what is not constant; integers are exact."""
    types = [value_type(node) for node, level in levels.items() if not level.is_fixed]
    real = [each.to_real() for each in types if each is not None and is_real_or_complex(each)]
    return max(real, key=lambda each: torch.finfo(each).eps, default=torch.float64)


def _is_sized_by_values(node: torch.fx.Node, levels: dict[torch.fx.Node, Level]) -> bool:
    """Whether the values of the operator's input decide a primitive's shape, or a Python number."""
    tags = getattr(node.target, "tags", ())
    if torch.Tag.dynamic_output_shape not in tags and torch.Tag.data_dependent_output not in tags:
        return False
    seen = node.all_input_nodes
    if node.target is torch.ops.aten.index.Tensor:  # whole numbers pick as many cells as they are
        masks = {torch.bool, torch.uint8}
        seen = [n for n in seen[1:] if value_type(n) is None or value_type(n) in masks]
    return any(not levels[n].is_fixed for n in seen)


def _may_raise(node: torch.fx.Node, levels: dict[torch.fx.Node, Level]) -> bool:
    """Whether the values of the operator's input may decide if a primitive raises an error.

    Or anything else that tells of them, where no table says what the primitive is.
    """
    if all(levels[n].is_fixed for n in node.all_input_nodes):
        return False
    if levels[node] is Level.UNKNOWN or primitive_name(node) not in primitives.KNOWN:
        return True
    given = arguments(node)
    places = [given.get(name) for name in ("index", "indices", "offsets")]
    return not _argument_level(places, levels).is_fixed or _divides_by_integers(node, levels)


def _divides_by_integers(node: torch.fx.Node, levels: dict[torch.fx.Node, Level]) -> bool:
    """Whether integers that depend on the operator's input divide others."""
    dtype = value_type(node)
    if primitive_name(node) not in primitives.INTEGER_DIVISION or dtype is None:
        return False
    return not (is_real_or_complex(dtype) or _argument_level(node.args[1], levels).is_fixed)


def _is_pointwise(graph: torch.fx.Graph, levels: dict[torch.fx.Node, Level]) -> bool:
    """Whether every primitive maps cell to cell; constant arrays could differ between cells."""
    return all(
        node.op in {"placeholder", "output"}
        or node.target is builtin.getitem
        or (
            isinstance(node.target, torch._ops.OpOverload)
            and (
                torch.Tag.pointwise in node.target.tags
                or primitive_name(node) in primitives.POINTWISE
            )
            and is_pure(node)
            and not _divides_by_integers(node, levels)
        )
        for node in graph.nodes
    )
