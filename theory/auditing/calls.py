"""The calls of a module while it is traced: which stretch of the graph each of them adds."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch._C._functorch import get_unwrapped, is_functorch_wrapped_tensor
from torch.fx.experimental.proxy_tensor import get_proxy_mode
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode, resolve_name
from torch.utils._pytree import tree_leaves

from theory.diagnosis.functional_state import ASSIGN_DATA, node_of, require_same_kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from torch import Tensor


@dataclass(frozen=True)
class Call:
    """One call of a layer, or of a function outside of layers.

    Attributes
    ----------
    name : str
        Where it stands in the module: the layer's path, or the caller's path and the function.
    kind : str
        The layer's class or the function's name.
    owned : tuple of str
        Names of the layer's own parameters and buffers; a function has none.
    nodes : tuple of torch.fx.Node
        Its primitives in the order in which they ran, and the state that they read.
    outputs : tuple of torch.fx.Node
        What it returned, one node a tensor.
    """

    name: str
    kind: str
    owned: tuple[str, ...]
    nodes: tuple[torch.fx.Node, ...]
    outputs: tuple[torch.fx.Node, ...]


_SELECTING = {torch.Tensor.__getitem__, torch.Tensor.masked_select, torch.masked_select}
"""Functions that read the values of their second argument alone: those that say which cells."""


@dataclass
class _Frame:
    """A module that is being called."""

    path: str
    is_layer: bool
    before: torch.fx.Node | None


class Recorder(TorchFunctionMode):
    """Note, while a module is traced, which nodes of the graph each call adds.

    Parameters
    ----------
    module : torch.nn.Module
        What is traced. It gets hooks, and so has to be a copy.
    names : dict from int to str
        The names of its parameters and buffers, by the identity of the tensor.

    Attributes
    ----------
    calls : list of Call
        The calls in the order in which they ended.
    failed_on : tuple of torch.fx.Node
        What gave the last call that raised its values; none where they are the module's own.
    raised : list of (Exception, tuple of torch.fx.Node)
        All errors of calls, which the module may catch, each with what gave the call its values.
    """

    def __init__(self, module: nn.Module, names: dict[int, str]) -> None:
        super().__init__()
        self._names = names
        self.calls: list[Call] = []
        self.failed_on: tuple[torch.fx.Node, ...] = ()
        self.raised: list[tuple[Exception, tuple[torch.fx.Node, ...]]] = []
        self._frames: list[_Frame] = []
        for path, each in module.named_modules():
            each.register_forward_pre_hook(self._entering(path), prepend=True)
            each.register_forward_hook(self._leaving)

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        if get_proxy_mode() is None:  # torch itself: a view of what was written to is made again
            return func(*args, **(kwargs or {}))
        before = _last_node()
        try:
            if func == ASSIGN_DATA:
                require_same_kind(*args)
            with _unfused():  # here, and not around the run: the module may choose a kernel itself
                result = func(*args, **(kwargs or {}))
        except Exception as error:
            self.failed_on = nodes_of(args[1:] if func in _SELECTING else args)
            self.raised.append((error, self.failed_on))
            raise
        if any(frame.is_layer for frame in self._frames):
            return result
        outputs = nodes_of(result if result is not None else args[:1])
        nodes = _nodes_since(before)
        if nodes and outputs:
            kind = _function_name(func)
            caller = self._frames[-1].path if self._frames else ""
            self.calls.append(Call(_joined(caller, kind), kind, (), nodes, outputs))
        return result

    def _entering(self, path: str) -> Callable[[nn.Module, Any], None]:
        def enter(module: nn.Module, _args: Any) -> None:
            self._frames.append(_Frame(path, _is_layer(module), _last_node()))

        return enter

    def _leaving(self, module: nn.Module, _args: Any, result: Any) -> None:
        frame = self._frames.pop()
        if frame.is_layer and not any(outer.is_layer for outer in self._frames):
            kind = type(module).__name__
            held = [id(_unwrapped(each)) for each in named_tensors(module).values()]
            owned = tuple(self._names[key] for key in held if key in self._names)
            outputs, nodes = nodes_of(result), _nodes_since(frame.before)
            self.calls.append(Call(frame.path or kind, kind, owned, nodes, outputs))


@contextlib.contextmanager
def _unfused() -> Iterator[None]:
    """Let an LSTM and attention be the products that they are, whichever library is there.

    A kernel that does all at once would hide them, as the one of oneDNN for an LSTM.
    """
    mkldnn: Any = torch.backends.mkldnn  # a module that torch swaps as it loads, unseen by mypy
    before, mkldnn.enabled = mkldnn.enabled, False
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        mkldnn.enabled = before


def _is_layer(module: nn.Module) -> bool:
    """Whether a module is one layer of torch's own, rather than something made of layers."""
    own = type(module).forward.__module__.startswith("torch.nn.")
    inner = {name for name, _ in module.named_children()} - {"parametrizations"}
    return own and (isinstance(module, nn.MultiheadAttention) or not inner)


def _tracer() -> Any:
    mode = get_proxy_mode()
    assert mode is not None, "calls are noted while make_fx traces"
    return mode.tracer


def _last_node() -> torch.fx.Node | None:
    return next(iter(reversed(_tracer().graph.nodes)), None)


def _nodes_since(before: torch.fx.Node | None) -> tuple[torch.fx.Node, ...]:
    nodes = []
    for node in reversed(_tracer().graph.nodes):
        if node is before:
            break
        nodes.append(node)
    return tuple(reversed(nodes))


def nodes_of(result: Any) -> tuple[torch.fx.Node, ...]:
    """Return the graph's nodes for the tensors in what a call returned."""
    tensors = [each for each in map(_unwrapped, tree_leaves(result)) if torch.is_tensor(each)]
    nodes = [node_of(each, _tracer()) for each in tensors]
    return tuple(node for node in nodes if node is not None)


def _unwrapped(value: Any) -> Any:
    """Return the tensor in which a transform of `torch.func`, or several, keeps a value."""
    while isinstance(value, torch.Tensor) and is_functorch_wrapped_tensor(value):
        value = get_unwrapped(value)
    return value


def _function_name(func: Callable[..., Any]) -> str:
    """Return a function's plain name: relu, cat, getitem; T for the property Tensor.T."""
    parts = (resolve_name(func) or func.__name__).split(".")
    name = parts[-2] if parts[-1] == "__get__" else parts[-1]
    return name.strip("_")


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def named_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Return a module's parameters and buffers by name, shared ones by their first."""
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}
