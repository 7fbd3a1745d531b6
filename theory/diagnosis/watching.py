"""Watch an operator while its graph is recorded: its first error, and the values that it reads.

Only values that come neither from the input nor from random numbers may be read.
"""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING, Any
from unittest import mock

import torch
from torch._subclasses.functional_tensor import FunctionalTensor, disable_functional_mode
from torch.fx.experimental.proxy_tensor import disable_proxy_modes_tracing, get_proxy_mode
from torch.overrides import TorchFunctionMode

from theory.diagnosis.functional_state import ASSIGN_DATA, inner, node_of, require_same_kind
from theory.diagnosis.nodes import is_pure, upstream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


class ReadError(Exception):
    """The values of a traced tensor were asked for, in a way that torch may answer."""


class Watch(TorchFunctionMode):
    """Remembers the first error of a torch function, which the operator may catch.

    Where it does, the graph holds what it does after an error that a run without tracing may never
    meet. To make text or a pickle of a traced tensor, which torch allows, is an error here.

    Attributes
    ----------
    first : Exception or None
        That error.
    read : list of Tensor
        What the values that were read are made of.
    """

    def __init__(self) -> None:
        super().__init__()
        self.first: Exception | None = None
        self.read: list[torch.Tensor] = []

    @contextlib.contextmanager
    def on(self) -> Iterator[None]:
        """Watch what runs in the context, also where torch functions are switched off."""
        with contextlib.ExitStack() as stack:
            for name in _READING:
                method = getattr(torch.Tensor, name)
                reading = functools.partialmethod(_read, self, method)
                for kind in (torch.Tensor, FunctionalTensor):  # which has a `tolist` of its own
                    stack.enter_context(mock.patch.object(kind, name, reading))
            stack.enter_context(self)
            yield

    def of(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return what a function returns, and remember the error if it raises one."""
        try:
            if func in _TELLING and _is_traced(args[0]):
                raise ReadError
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
    tensor: torch.Tensor, watch: Watch, method: Callable[..., Any], *args: Any, **kwargs: Any
) -> Any:
    with contextlib.ExitStack() as untraced:
        # Memory that is given away may hold the input later, and no graph shows who reads it then.
        made_of = _known(tensor) if method.__name__ in _COPYING else None
        if made_of is not None:
            tensor = inner(tensor)
            untraced.enter_context(disable_functional_mode())
            untraced.enter_context(disable_proxy_modes_tracing())
        watch.read.extend([tensor] if made_of is None else made_of)
        return watch.of(method, (tensor, *args), kwargs)


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
