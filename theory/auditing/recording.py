"""Run a module without data, and record its calls and the primitives that each call performs.

What runs is a copy whose parameters, buffers and input are shapes without values (fake tensors), in
evaluation mode: it costs neither memory nor arithmetic, but for what the module reads of values
that come from no input. It draws nothing, and the module itself is not touched. The run leaves one
graph of ATen primitives without mutation; a call is a stretch of it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch._subclasses.functional_tensor import FunctionalTensorMode, dispatch_functionalize
from torch.fx.experimental.proxy_tensor import make_fx

from theory.auditing.calls import Call, Recorder, named_tensors, nodes_of
from theory.auditing.changes import Changes
from theory.auditing.constants import HELD, Reader
from theory.auditing.readings import refusal
from theory.diagnosis.errors import told
from theory.diagnosis.functional_state import MUTATES, followed_data, functional_copy
from theory.diagnosis.isolation import isolated
from theory.diagnosis.nodes import upstream
from theory.diagnosis.remedies import takes_one
from theory.diagnosis.sequences import single_steps
from theory.diagnosis.tracing import whole_primitives

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor
    from torch._subclasses.functional_tensor import FunctionalTensor


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
    raise ValueError(
        f"{type(module).__name__} fails on an input of shape {shape}, given {tried}"
        f"{_wrapping(module, shape)}"
    )


def _wrapping(module: nn.Module, shape: tuple[int, ...]) -> str:
    """Return how to wrap a module that takes something else than one tensor of real numbers.

    Empty is returned where that is not why it fails.
    """
    if not takes_one(module):
        return "; an audit passes one tensor: wrap it in a module that takes one and makes the rest"
    complex_types = [each.dtype for each in named_tensors(module).values() if each.is_complex()]
    for dtype, takes, makes in (
        *((each, "complex numbers", "complex") for each in complex_types[:1]),
        (torch.int64, "integers", "an integer, as x.long()"),
    ):
        for size in ((1, *shape), shape):
            with contextlib.suppress(Exception), isolated(seed=0):
                _recorded(module, size, batched=size != shape, dtype=dtype)
                return (
                    f"; it takes {takes}, and an audit passes real floating-point numbers: wrap it "
                    f"in a module that makes its input {makes}"
                )
    return ""


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


def _recorded(
    module: nn.Module, size: tuple[int, ...], *, batched: bool, dtype: torch.dtype | None = None
) -> Recording:
    fake, mode = FakeTensorMode(allow_non_fake_inputs=True), FunctionalTensorMode()
    held = named_tensors(module)
    twin, tensors = _without_values(module, fake, mode)
    owned = {name: each for name, each in tensors.items() if name in held}
    changes = Changes(module, twin, held, owned)
    names = changes.names
    precision, device = _precision(module)
    with fake:
        x = torch.empty(size, dtype=dtype or precision, device=device)
    recorder, reader = Recorder(twin, names), Reader(held, names)

    def run(x: Tensor) -> list[Tensor]:
        with recorder, reader:
            returned = list(_tensors(twin(x)))
        _require_unwritten(tensors)
        return returned

    try:
        with _unlogged(), whole_primitives(), followed_data(), single_steps(twin) as noted:
            traced = make_fx(dispatch_functionalize(run, mode=mode), tracing_mode="fake")(x)
    except Exception as error:
        if any(words in told(error) for words in _READS):
            raise _UnreadableError(refusal(recorder.failed_on, told(error))) from error
        if MUTATES in str(error):
            raise _UnreadableError(
                "writes in place into a tensor that is neither a parameter nor a buffer, or into "
                "what it computes from one, which an audit cannot follow: register the tensor as a "
                "buffer, or audit its parts"
            ) from error
        raise
    for caught, nodes_read in recorder.raised:  # the module goes on where a run with values may not
        if any(words in told(caught) for words in _READS):
            raise _UnreadableError(refusal(nodes_read, told(caught)))
    nodes = [node for node in traced.graph.nodes if node.op == "get_attr"]
    constants = {node: getattr(traced, str(node.target)) for node in nodes}
    changed = changes.found(constants, reader.lent)
    for each in reader.read:
        if changes.memory_of(each) in changed:
            raise _UnreadableError(
                f"reads values of {names.get(id(each), 'a tensor')} and gives it others, so that "
                "one call may differ from the next, and no one audit holds: audit its parts"
            )
    state = {node: names[id(each)] for node, each in constants.items() if id(each) in names}
    for node, each in constants.items():
        if isinstance(each, torch.Tensor) and changes.memory_of(each) not in changed:
            node.meta[HELD] = held[state[node]] if node in state else each
    return Recording(traced.graph, tuple(recorder.calls), state, batched, noted if batched else {})


def _require_unwritten(tensors: Mapping[str, Tensor]) -> None:
    """Refuse a module into whose tensors a run writes what depends on its input."""
    for name, tensor in tensors.items():
        if any(node.op == "placeholder" for node in upstream(nodes_of(tensor))):
            raise _UnreadableError(
                f"writes in place into {name} what depends on its input, so that one call may "
                "differ from the next, and no one audit holds: audit its parts"
            )


def _tensors(returned: Any) -> Iterator[Tensor]:
    """Yield all tensors in what a module returns.

    A graph that returned a named tuple or a dataclass would hold a call of its class.
    """
    if isinstance(returned, torch.Tensor):
        yield returned
    elif isinstance(returned, Mapping):
        yield from _tensors(list(returned.values()))
    elif isinstance(returned, Sequence) and not isinstance(returned, str):
        for each in returned:
            yield from _tensors(each)
    elif dataclasses.is_dataclass(returned):
        yield from _tensors([getattr(returned, part.name) for part in dataclasses.fields(returned)])


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
    "DataDependentOutput",
)


def _without_values(
    module: nn.Module, fake: FakeTensorMode, mode: FunctionalTensorMode
) -> tuple[nn.Module, dict[str, FunctionalTensor]]:
    """Return a copy of a module in which tensors have no values, and these tensors by name."""
    for name, tensor in named_tensors(module).items():
        if nn.parameter.is_lazy(tensor):
            raise _UnreadableError(f"has not decided the shape of {name} yet: call it once first")
    try:
        twin, tensors = functional_copy(module, mode, lambda each: fake.from_tensor(each.detach()))
    except Exception as error:
        raise _UnreadableError(f"cannot be copied ({told(error)})") from error
    for each in twin.eval().modules():
        if isinstance(each, nn.DataParallel):
            each.device_ids = []  # no replicas: the input has no values to be scattered
    return twin, tensors


def _precision(module: nn.Module) -> tuple[torch.dtype, torch.device]:
    """Return the type and device of inputs: those of the first parameter or buffer of numbers."""
    for tensor in named_tensors(module).values():
        if tensor.is_floating_point():
            return tensor.dtype, tensor.device
    return torch.get_default_dtype(), torch.device("cpu")
