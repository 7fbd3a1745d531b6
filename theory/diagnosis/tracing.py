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
import functools
import itertools
import traceback
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np
import torch
from torch._higher_order_ops import effects
from torch._subclasses.functional_tensor import (
    FunctionalTensor,
    FunctionalTensorMode,
    disable_functional_mode,
    dispatch_functionalize,
)
from torch.fx.experimental.proxy_tensor import (
    disable_proxy_modes_tracing,
    get_proxy_mode,
    make_fx,
)
from torch.overrides import TorchFunctionMode

from theory.diagnosis.calling import Array, Operator
from theory.diagnosis.errors import OperatorError, told
from theory.diagnosis.functional_state import (
    ASSIGN_DATA,
    MUTATES,
    followed_data,
    functional_copy,
    inner,
    node_of,
    require_same_kind,
)
from theory.diagnosis.generators import Generators
from theory.diagnosis.memory import dropped, kept_by, memory_of
from theory.diagnosis.nodes import is_pure, upstream, writes_into

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence


class UntraceableError(Exception):
    """The operator has no graph that can be trusted; the message says why."""


class _ReadError(Exception):
    """The values of a traced tensor were asked for, in a way that torch may answer."""


class _Errors(TorchFunctionMode):
    """Remembers the first error of a torch function, which the operator may catch.

    Where it does, the graph holds what it does after an error that a run without tracing may never
    meet. To make text or a pickle of a traced tensor, which torch allows, is an error here.
    """

    def __init__(self) -> None:
        super().__init__()
        self.first: Exception | None = None
        self.read: list[torch.Tensor] = []  # what values that were read are made of

    @contextlib.contextmanager
    def remembered(self) -> Iterator[None]:
        """Remember the first error in the context, also where torch functions are switched off."""
        with contextlib.ExitStack() as stack:
            for name in _READING:
                method = getattr(torch.Tensor, name)
                reading = functools.partialmethod(_read, self, method)
                stack.enter_context(mock.patch.object(torch.Tensor, name, reading))
            stack.enter_context(self)
            yield

    def of(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return what a function returns, and remember the error if it raises one."""
        try:
            if func in _TELLING and _is_traced(args[0]):
                raise _ReadError
            if func == ASSIGN_DATA:
                require_same_kind(*args)
            return func(*args, **kwargs)
        except Exception as error:
            self.first = self.first or error
            raise

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        return self.of(func, args, kwargs or {})


_TELLING = (torch.Tensor.__repr__, torch.Tensor.__format__, torch.Tensor.__reduce_ex__)
"""What tells the values of a traced tensor, and does not raise by itself."""

_COPYING = (
    *("item", "tolist"),
    *("__bool__", "__int__", "__float__", "__complex__", "__index__"),
)
"""Methods that read values, and give no one the memory that holds them."""

_READING = (*_COPYING, "numpy", "__dlpack__", "__reduce_ex__")
"""Methods that read values. All of pickle, torch.save and copy.copy goes by `__reduce_ex__`."""


def _read(
    tensor: torch.Tensor, errors: _Errors, method: Callable[..., Any], *args: Any, **kwargs: Any
) -> Any:
    with contextlib.ExitStack() as untraced:
        # Memory that is given away may hold the input later, and no graph shows who reads it then.
        made_of = _known(tensor) if method.__name__ in _COPYING else None
        if made_of is not None:
            tensor = inner(tensor) if isinstance(tensor, FunctionalTensor) else tensor
            untraced.enter_context(disable_functional_mode())
            untraced.enter_context(disable_proxy_modes_tracing())
        errors.read.extend([tensor] if made_of is None else made_of)
        return errors.of(method, (tensor, *args), kwargs)


def _known(tensor: torch.Tensor) -> list[torch.Tensor] | None:
    """Return the tensors that a tensor is made of, None if the input or random numbers are.

    None is also returned for what is made of a sparse tensor, which has no `val` in a graph: it
    shares the memory of its values, and writing into that is not followed.
    """
    mode = get_proxy_mode()
    tracer: Any = None if mode is None else mode.tracer
    node = None if tracer is None else node_of(tensor, tracer)
    made = [] if node is None else upstream([node])
    known = node is not None and all(
        each.op == "get_attr"
        or (each.op == "call_function" and is_pure(each) and each.meta.get("val") is not None)
        for each in made
    )
    if not known:
        return None
    return [getattr(tracer.root, str(each.target)) for each in made if each.op == "get_attr"]


def _is_traced(tensor: torch.Tensor) -> bool:
    return isinstance(tensor, FunctionalTensor) or torch._is_functional_tensor(tensor)


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
    errors = _Errors()

    def watched(x: torch.Tensor) -> Any:
        with errors.remembered():
            return op(x)

    kept = kept_by(op) if isinstance(op, torch.nn.Module) else []
    functional = dispatch_functionalize(watched, mode=mode or FunctionalTensorMode())
    try:
        # The first call of make_fx imports torch._dynamo, for more than a second. Only who traces
        # should wait for that, not who imports theory.
        with whole_primitives(), followed_data():
            module = make_fx(functional)(example)
    except Exception as error:
        raise _untraceable(error) from error
    if errors.first is not None:
        raise _untraceable(errors.first) from errors.first
    constants = {
        node: getattr(module, str(node.target))
        for node in module.graph.nodes
        if node.op == "get_attr"
    }
    changed = [constants[node] for node in writes_into(constants)]
    if isinstance(op, torch.nn.Module):
        changed += dropped(kept, op)
    if {*map(_memory_of, errors.read)} & {*map(_memory_of, changed)}:
        raise UntraceableError("it reads values of a tensor and gives it others")
    return module


def _memory_of(tensor: torch.Tensor) -> int:
    return memory_of(inner(tensor) if isinstance(tensor, FunctionalTensor) else tensor)


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
    if isinstance(error, _ReadError) or any(words in message for words in _READS):
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
