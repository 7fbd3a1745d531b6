"""Record which primitive operations an operator performs, as a graph without mutation.

The operator runs once on proxies (make_fx over ATen, functionalised, so that writing into a slice
becomes a pure operation). Reading a value during the run, for a branch, in numpy, as text or in a
pickle, raises: such an operator cannot be traced, not even where it catches the error. Only values
that come neither from the input nor from random numbers may be read, as those of a filter that is
made anew. What does not raise may still be baked into the graph as a constant (random numbers,
hidden state): the graph counts only if it computes what the operator computes. What an operator
does only with tensors that are not traced, since it asks for their type, is in no graph: whatever
is said of that is said of what it does with a traced one, which is the same on all inputs that are
compared.
"""

from __future__ import annotations

import contextlib
import itertools
import traceback
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np
import torch
from torch._higher_order_ops import effects
from torch._subclasses.functional_tensor import FunctionalTensorMode, dispatch_functionalize
from torch.fx.experimental.proxy_tensor import make_fx

from theory.diagnosis.calling import Array, Operator
from theory.diagnosis.errors import OperatorError, told
from theory.diagnosis.functional_state import MUTATES, followed_data, functional_copy, inner
from theory.diagnosis.generators import Generators
from theory.diagnosis.memory import dropped, kept_by, memory_of
from theory.diagnosis.nodes import writes_into
from theory.diagnosis.watching import ReadError, Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


class UntraceableError(Exception):
    """The operator has no graph that can be trusted; the message says why."""


@contextlib.contextmanager
def whole_primitives() -> Iterator[None]:
    """Record nearest upsampling as one primitive, and the checks of solvers without an order.

    PyTorch 2.9 takes the first apart into indexing. Later versions order the second by tokens that
    whoever traces would have to hand in.
    """
    implicit = torch._C.DispatchKey.CompositeImplicitAutograd
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(effects, "has_effects", _has_effects))
        for name, d in itertools.product(
            ("upsample_nearest", "_upsample_nearest_exact"), (1, 2, 3)
        ):
            kernels = getattr(torch.ops.aten, f"{name}{d}d").default.py_kernels
            stack.enter_context(mock.patch.dict(kernels))
            kernels.pop(implicit, None)
        yield


def _has_effects(op: Any, *args: Any, original: Callable[..., bool] = effects.has_effects) -> bool:
    return op is not torch.ops.aten._linalg_check_errors.default and original(op, *args)


def trace(operator: Operator, inputs: Iterable[Array]) -> torch.fx.Graph:
    """Return the operator's graph of ATen primitives.

    Parameters
    ----------
    operator : Operator
        The operator.
    inputs : iterable of array
        Inputs on which the graph must agree with the operator, value by value.

    Raises
    ------
    UntraceableError
        If it computes outside torch, branches on values, catches an error of torch, or the graph
        computes something else.
    """
    if not operator.takes_tensors:
        raise UntraceableError("it computes with numpy")
    example = operator.wrap(np.zeros(operator.shape))
    try:
        module = _recorded(operator.underlying, example)
    except _WriteError:
        owner = operator.underlying
        if not isinstance(owner, torch.nn.Module):
            raise
        module = _recorded_with_state(owner, example)
    for x in inputs:
        before = Generators.now()
        try:
            expected = operator(x)
        except OperatorError:
            continue
        drawn = Generators.now()
        before.restore()  # so that what both draw is the same
        try:
            found = operator.unwrap(module(operator.wrap(x)))
        except Exception as error:
            raise UntraceableError(f"its graph does not run ({error})") from error
        if drawn.moved():
            raise UntraceableError("it draws random numbers that its graph does not draw")
        if not np.array_equal(expected, found, equal_nan=True):
            raise UntraceableError("its graph does not reproduce it (hidden state or randomness)")
    return module.graph


class _WriteError(UntraceableError):
    """It writes what was traced into a tensor that was not, or takes the data of one."""


def _recorded(
    op: Callable[..., Any], example: Any, mode: FunctionalTensorMode | None = None
) -> torch.fx.GraphModule:
    watch = Watch()

    def watched(x: torch.Tensor) -> Any:
        with watch.on():
            return op(x)

    kept = kept_by(op)
    functional = dispatch_functionalize(watched, mode=mode or FunctionalTensorMode())
    try:
        # The first call of make_fx imports torch._dynamo, for more than a second. Only who traces
        # should wait for that, not who imports theory.
        with whole_primitives(), followed_data():
            module = make_fx(functional)(example)
    except Exception as error:
        raise _untraceable(error) from error
    if watch.first is not None:
        raise _untraceable(watch.first) from watch.first
    changed = _written(module) + dropped(kept, op)
    read, given = ({memory_of(inner(each)) for each in some} for some in (watch.read, changed))
    if read & given:
        raise UntraceableError("it reads values of a tensor and gives it others")
    return module


def _written(module: torch.fx.GraphModule) -> list[torch.Tensor]:
    """Return the tensors that a graph starts from and writes into in place."""
    given = [node for node in module.graph.nodes if node.op == "get_attr"]
    return [getattr(module, str(node.target)) for node in writes_into(given)]


def _recorded_with_state(op: torch.nn.Module, example: Any) -> torch.fx.GraphModule:
    """Record a module whose parameters and buffers are traced as well, if it leaves them alone."""
    mode = FunctionalTensorMode()
    twin, state = functional_copy(op, mode)
    before = {name: inner(each) for name, each in state.items()}
    module = _recorded(twin, example, mode)
    for name, each in state.items():
        if inner(each) is not before[name]:
            raise UntraceableError(f"it writes into {name} while it runs")
    return module


def _untraceable(error: Exception) -> UntraceableError:
    message = str(error)
    kind = _WriteError if _takes_data(message) or MUTATES in message else UntraceableError
    return kind(_why(error))


def _takes_data(message: str) -> bool:
    return "aten.detach" in message and "Parameter" in message


def _why(error: Exception) -> str:
    message = str(error)
    if "numpy" in message:
        return "it computes with numpy"
    if isinstance(error, ReadError) or any(words in message for words in _READS):
        return "it reads values of its input, as a data-dependent branch does"
    if "dynamo-optimized" in message:
        return "it is compiled: give it uncompiled"
    if "TorchScript interpreter" in message:
        return "its TorchScript cannot be traced: give it unscripted"
    if _takes_data(message):
        return "it takes .data of a parameter while it runs"
    if MUTATES in message:
        return "it writes into a tensor that it did not make"
    if isinstance(error, AssertionError) and _raised_by_torch(error):
        return f"torch cannot record a graph of it ({type(error).__name__} in its tracer)"
    return f"tracing raises {told(error)}"


_READS = ("get value out of a tracing tensor", "data-dependent", ".tolist() is not supported")


def _raised_by_torch(error: Exception) -> bool:
    """Whether the line that raised an error is torch's own, and says nothing to others."""
    frames = traceback.walk_tb(error.__traceback__)
    return [frame.f_globals.get("__name__", "") for frame, _ in frames][-1].startswith("torch.")
