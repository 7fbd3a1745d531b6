"""Run a module without data, and record its calls and the primitives that each call performs.

What runs is a copy whose parameters, buffers and input are shapes without values (fake tensors), in
evaluation mode: it costs neither memory nor arithmetic, draws nothing, and the module itself is not
touched. The run leaves one graph of ATen primitives without mutation; a call is a stretch of it.
"""

from __future__ import annotations

import contextlib
import copy
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch._subclasses.functional_tensor import (
    FunctionalTensor,
    FunctionalTensorMode,
    dispatch_functionalize,
)
from torch.fx.experimental.proxy_tensor import get_proxy_mode, get_proxy_slot, make_fx
from torch.overrides import TorchFunctionMode, resolve_name
from torch.utils._pytree import tree_leaves

from theory.diagnosis.errors import told
from theory.diagnosis.isolation import computed, isolated
from theory.diagnosis.sequences import single_steps

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


@dataclass(frozen=True)
class Recording:
    """Everything that one run of a module did.

    Attributes
    ----------
    graph : torch.fx.Graph
        Its primitives; ``meta["val"]`` of a node is a tensor of the right shape without values.
    calls : tuple of Call
        The calls in the order in which they ended.
    state : dict from torch.fx.Node to str
        Which parameter or buffer a node reads, by its first name in the module.
    batched : bool
        Whether the input had a batch axis, of one.
    single_steps : dict from str to int
        How many sequences of length 1 a layer made of one input with a batch axis, by its name.
    """

    graph: torch.fx.Graph
    calls: tuple[Call, ...]
    state: dict[torch.fx.Node, str]
    batched: bool
    single_steps: dict[str, int] = field(default_factory=dict)

    def shape(self, node: torch.fx.Node) -> tuple[int, ...]:
        """Return the shape of a node's tensor, without the batch axis if there is one."""
        shape = tuple(node.meta["val"].shape)
        return shape[1:] if self.batched and shape[:1] == (1,) else shape


def record(module: nn.Module, shape: tuple[int, ...]) -> Recording:
    """Record a run of a module on an input of some shape, with a batch axis if it takes one.

    Raises
    ------
    ValueError
        If the module or a part of it is compiled, if it cannot be copied, fails on an input of this
        shape, does what depends on values, or writes into its own state what depends on its input.
    """
    # Not before here: torch imports _dynamo when asked for it, for more than a second.
    for path, each in module.named_modules():
        if isinstance(each, torch.jit.ScriptModule | torch._dynamo.OptimizedModule):
            kind = type(each).__name__
            raise ValueError(
                f"{f'{path} ({kind})' if path else kind} is compiled, and hides its layers: audit "
                "the module before it was compiled"
            )
    refusals: dict[str, str] = {}
    for batched in (True, False):
        size = (1, *shape) if batched else shape
        try:
            with isolated(seed=0):
                found = _recorded(module, size, batched=batched)
            if not batched:
                _require_no_batch(module, shape)
            return found
        except _UnreadableError as error:
            raise ValueError(f"{type(module).__name__} {error}") from error
        except Exception as error:
            refusals.setdefault(told(error), f"as {size}")
    tried = "; ".join(f"{given}: {why}" for why, given in refusals.items())
    raise ValueError(f"{type(module).__name__} fails on an input of shape {shape}, given {tried}")


def _require_no_batch(module: nn.Module, shape: tuple[int, ...]) -> None:
    """Refuse a shape whose first axis the module takes for a batch, of any size."""
    first, *rest = shape
    try:
        with isolated(seed=0):
            _recorded(module, (first + 1, *rest), batched=False)
    except Exception:
        return
    if len(rest) >= 2:
        raise _UnreadableError(
            f"takes the first axis of {shape} for a batch: give the shape of one input, "
            f"{tuple(rest)}"
        )


class _UnreadableError(Exception):
    """No other way of passing the input would help; the message completes "the module ..."."""


def _recorded(module: nn.Module, size: tuple[int, ...], *, batched: bool) -> Recording:
    fake = FakeTensorMode(allow_non_fake_inputs=True)
    names, twin = _without_values(module, fake)
    dtype, device = _precision(module)
    with fake:
        x = torch.empty(size, dtype=dtype, device=device)
    recorder = _Recorder(twin, names)

    def run(x: Tensor) -> Any:
        with recorder:
            return twin(x)

    functional = dispatch_functionalize(run, mode=FunctionalTensorMode())
    try:
        with _unlogged(), single_steps(twin) as noted:
            traced = make_fx(functional, tracing_mode="fake")(x)
    except Exception as error:
        if any(words in told(error) for words in _READS):
            raise _UnreadableError(
                "reads values of its own parameters or buffers, and an audit runs without values "
                f"({told(error)}): keep them as numbers, or audit its parts"
                if recorder.failed_on_state
                else "reads values of its input, so that what it calls may differ from input to "
                f"input and no one audit holds ({told(error)}): audit its parts"
            ) from error
        if "mutating a non-functional tensor" in str(error):
            raise _UnreadableError(
                "writes in place into a parameter or buffer what depends on its input, which an "
                "audit cannot follow: assign a new tensor instead, or audit its parts"
            ) from error
        raise
    nodes = [node for node in traced.graph.nodes if node.op == "get_attr"]
    read = {node: id(getattr(traced, str(node.target))) for node in nodes}
    state = {node: names[key] for node, key in read.items() if key in names}
    return Recording(traced.graph, tuple(recorder.calls), state, batched, noted if batched else {})


@contextlib.contextmanager
def _unlogged() -> Iterator[None]:
    """Keep torch from logging a traceback of what fails: the error is raised as well, and told."""
    log = logging.getLogger("torch._subclasses.fake_tensor")
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before


_READS = (
    "value out of a tracing tensor",
    "data-dependent",
    "data dependent",
    "_local_scalar_dense",
    ".numpy() is not supported",
    "Cannot access data pointer",
    "DynamicOutputShape",
)


def _without_values(module: nn.Module, fake: FakeTensorMode) -> tuple[dict[int, str], nn.Module]:
    """Return a copy of a module in which tensors have no values, and the names of its tensors."""
    memo: dict[int, Any] = {id(each): fake.from_tensor(each) for each in computed(module)}
    names: dict[int, str] = {}
    for name, tensor in named_tensors(module).items():
        if nn.parameter.is_lazy(tensor):
            raise _UnreadableError(f"has not decided the shape of {name} yet: call it once first")
        memo[id(tensor)] = fake.from_tensor(tensor)
        names[id(memo[id(tensor)])] = name
    try:
        twin = copy.deepcopy(module, memo).eval()
    except Exception as error:
        raise _UnreadableError(f"cannot be copied ({told(error)})") from error
    for each in twin.modules():
        if isinstance(each, nn.DataParallel):
            each.device_ids = []  # no replicas: the input has no values to be scattered
    return names, twin


def named_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Return a module's parameters and buffers by name, shared ones by their first."""
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def _precision(module: nn.Module) -> tuple[torch.dtype, torch.device]:
    """Return the type and device of inputs: those of the first parameter or buffer of numbers."""
    for tensor in named_tensors(module).values():
        if tensor.is_floating_point():
            return tensor.dtype, tensor.device
    return torch.get_default_dtype(), torch.device("cpu")


@dataclass
class _Frame:
    """A module that is being called."""

    path: str
    is_layer: bool
    before: torch.fx.Node | None


class _Recorder(TorchFunctionMode):
    """Note, while a module is traced, which nodes of the graph each call adds."""

    def __init__(self, module: nn.Module, names: dict[int, str]) -> None:
        super().__init__()
        self._names = names
        self.calls: list[Call] = []
        self.failed_on_state = False
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
            result = func(*args, **(kwargs or {}))
        except Exception:
            read = args[1:] if func is torch.Tensor.__getitem__ else args
            self.failed_on_state = not any(
                isinstance(t, FunctionalTensor) for t in tree_leaves(read)
            )
            raise
        if any(frame.is_layer for frame in self._frames):
            return result
        outputs = _nodes_of(result if result is not None else args[:1])
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
            owned = tuple(self._names[id(each)] for each in named_tensors(module).values())
            outputs, nodes = _nodes_of(result), _nodes_since(frame.before)
            self.calls.append(Call(frame.path or kind, kind, owned, nodes, outputs))


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


def _nodes_of(result: Any) -> tuple[torch.fx.Node, ...]:
    """Return the graph's nodes for the tensors in what a call returned."""
    nodes = []
    for value in tree_leaves(result):
        if isinstance(value, FunctionalTensor):
            torch._sync(value)  # writing into a view reaches its base, and the graph, only now
            value = torch._from_functional_tensor(value.elem)
        # What is computed from parameters alone is no FunctionalTensor, but has its node as well.
        if isinstance(value, torch.Tensor):
            traced = get_proxy_slot(value, _tracer(), None)
            nodes += [] if traced is None else [traced.proxy.node]
    return tuple(nodes)


def _function_name(func: Callable[..., Any]) -> str:
    """Return a function's plain name: relu, cat, getitem; T for the property Tensor.T."""
    parts = (resolve_name(func) or func.__name__).split(".")
    name = parts[-2] if parts[-1] == "__get__" else parts[-1]
    return name.strip("_")


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
