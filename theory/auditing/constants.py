"""The values that come from no input: while a module runs without values, these may be read.

The graph says what they are made of, and the module holds what that starts from.
"""

from __future__ import annotations

import operator as builtin
from typing import TYPE_CHECKING, Any

import torch
from torch._subclasses.fake_tensor import FakeTensor
from torch._subclasses.functional_tensor import FunctionalTensor
from torch.fx.experimental.proxy_tensor import get_proxy_mode
from torch.fx.node import map_arg
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves, tree_map_only

from theory.diagnosis.errors import told
from theory.diagnosis.functional_state import inner, node_of
from theory.diagnosis.nodes import is_pure, is_real_or_complex, upstream

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import Tensor

HELD = "held"
"""The entry of a node's ``meta`` with the values of the tensor that it reads.

It has none where the run gives the tensor others, which the next one would read.
"""


def integers(node: torch.fx.Node) -> Tensor | None:
    """Return the integers or truth values that a node holds whatever the input is.

    None is returned where they are not known without a run. What is computed from numbers that are
    held, such as weights, is not known: training changes them.

    Raises
    ------
    ValueError
        If computing them fails, as a run would.
    """

    def held(each: torch.fx.Node) -> Any:
        value = each.meta.get(HELD)
        return None if _is_inexact(value) else value

    try:
        return computed(node, held)
    except NotImplementedError:  # on the CPU, where the values are, perhaps not elsewhere
        return None
    except (IndexError, RuntimeError) as error:  # a run without values does not meet it
        raise ValueError(
            f"{node.name} fails at the values that it is given: {told(error)}"
        ) from error


def _is_inexact(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and is_real_or_complex(value.dtype)


def computed(node: torch.fx.Node, held: Callable[[torch.fx.Node], Any]) -> Tensor | None:
    """Return the tensor that a node gives whatever the input is, computed from what is held.

    None is returned where it depends on the input or on random numbers, or where nothing is held.
    """
    made = upstream([node])
    values: dict[torch.fx.Node, Any] = {}
    with _disable_current_modes():
        for each in node.graph.nodes:
            if each not in made:
                continue
            if not _is_strided(each):
                return None
            if each.op == "get_attr":
                value = held(each)
                if not has_values(value):
                    return None
                values[each] = value.cpu()
            elif each.target is builtin.getitem or is_pure(each):
                args, kwargs = map_arg((each.args, each.kwargs), values.__getitem__)
                device = {"device": "cpu"} if "device" in kwargs else {}
                values[each] = each.target(*args, **{**kwargs, **device})
            else:
                return None
    result: Tensor = values[node]
    return result


def _is_strided(node: torch.fx.Node) -> bool:
    """Whether a node gives no sparse tensor: writing into what that is made of is not followed."""
    tensors = [each for each in tree_leaves(node.meta.get("val")) if isinstance(each, torch.Tensor)]
    return all(each.layout is torch.strided for each in tensors)


def has_values(value: Any) -> bool:
    """Whether a value is a tensor with values in memory, one for each cell."""
    traced = isinstance(value, FakeTensor | FunctionalTensor)
    tensor = isinstance(value, torch.Tensor) and not traced
    return tensor and value.layout is torch.strided and not value.is_meta


def lends_memory(value: Any) -> bool:
    """Whether a tensor has the memory of an array: what is written into that, no graph shows."""
    return has_values(value) and not value.untyped_storage().resizable()


class Reader(TorchDispatchMode):
    """Lets a module that runs without values read those that come from no input.

    Parameters
    ----------
    held : mapping from str to Tensor
        The parameters and buffers by name, with their values.
    names : mapping from int to str
        The names of those that are traced instead, by the identity of the tensor.

    Attributes
    ----------
    read : list of Tensor
        The tensors, traced or not, on which it depends what was read.
    lent : dict from int to (Tensor, Tensor)
        Tensors whose memory is that of arrays, by their identity, and a copy of each when it was
        first used.
    """

    supports_higher_order_operators = True

    def __init__(self, held: Mapping[str, Tensor], names: Mapping[int, str]) -> None:
        super().__init__()
        self._held, self._names = held, names
        self.read: list[Tensor] = []
        self.lent: dict[int, tuple[Tensor, Tensor]] = {}

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        for each in tree_leaves((args, kwargs)):
            if lends_memory(each) and id(each) not in self.lent:
                with _disable_current_modes():
                    self.lent[id(each)] = each, each.clone()
        if func is torch.ops.aten.masked_select.default:
            x, mask = args
            shape = torch.broadcast_shapes(x.shape, mask.shape)
            func, args = torch.ops.aten.index.Tensor, (x.expand(shape), [mask.expand(shape)])
        if func in _INDEXING:
            args = (args[0], self._cells(args[0].shape, args[1]), *args[2:])
        elif _READING & {*getattr(func, "tags", ())} and not func._schema.is_mutable:
            given = [e for e in tree_leaves((args, kwargs)) if isinstance(e, torch.Tensor)]
            values = {id(each): self._value(each) for each in given}
            if all(each is not None for each in values.values()):
                args, kwargs = tree_map_only(
                    torch.Tensor, lambda each: values[id(each)], (args, kwargs)
                )
                with _disable_current_modes():
                    result = tree_map_only(
                        torch.Tensor,
                        lambda each: each.to(given[0].device),
                        func(*args, **kwargs),
                    )
                return tree_map_only(torch.Tensor, FunctionalTensor.to_functional, result)
        with torch._C.DisableTorchFunction():  # this is no call of the module
            return func(*args, **kwargs)

    def _cells(self, shape: Sequence[int], indices: Sequence[Any]) -> list[Any]:
        """Return indices with the numbers of the cells that known masks let through instead."""
        found: list[Any] = []
        for index in indices:
            masks = index is not None and index.dtype is torch.bool and index.ndim
            mask = self._value(index) if masks else None
            if mask is None:
                found.append(index)
                continue
            with _disable_current_modes():
                cells = mask.nonzero(as_tuple=True)
                anything = torch.empty(tuple(shape), device="meta")
                torch.ops.aten.index(anything, [None] * len(found) + [mask])  # raises if none fits
            found.extend(map(FunctionalTensor.to_functional, cells))
        return found

    def _value(self, tensor: Tensor) -> Tensor | None:
        """Return a traced tensor with its values, None where they may come from the input."""
        mode = get_proxy_mode()
        assert mode is not None  # values are read while make_fx traces
        tracer: Any = mode.tracer
        node = node_of(tensor, tracer)
        if node is not None:
            return computed(node, lambda each: self._of(getattr(tracer.root, str(each.target))))
        value = self._of(inner(tensor))
        return value if has_values(value) else None

    def _of(self, tensor: Tensor) -> Tensor:
        """Return what is traced instead of a parameter or buffer with its values; others as is."""
        self.read.append(tensor)
        name = self._names.get(id(tensor))
        return tensor if name is None else self._held[name]


_READING = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}
"""What torch says of primitives whose results, or their shapes, depend on values."""

_INDEXING = {
    torch.ops.aten.index.Tensor,
    torch.ops.aten.index_put.default,
    torch.ops.aten.index_put_.default,
}
"""Those that take masks among their indices."""
