"""One way to call any operator: an array without batch axis in, an array out, no trace left behind.

The ways of passing an input (`theory.diagnosis.conventions`) are tried in a fixed order; the first
that works is kept. What takes no double precision in any of them is tried in single precision, and
a module that does not take that either, because it converts its input to the type of its own
weights, as it is.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Num

from theory.diagnosis.conventions import conventions
from theory.diagnosis.errors import OperatorError, told
from theory.diagnosis.isolation import isolated, private_copy
from theory.diagnosis.outputs import to_array
from theory.diagnosis.remedies import remedy, tensors
from theory.diagnosis.shapes import checked_axes, checked_shape

Array = Num[np.ndarray, "..."]

_NUMPY_TYPES: dict[torch.dtype, type[np.float32] | type[np.float64]] = {
    torch.float32: np.float32,
    torch.float64: np.float64,
}


class Operator:
    """A callable, normalised: numpy array of `shape` in, numpy array of one fixed shape out.

    It works on a deep copy of modules and callable objects, in the given precision, so that the
    original keeps its buffers, gradients, flags and precision. A plain function is used as it is.

    Parameters
    ----------
    op : callable
        A `torch.nn.Module`, or a function of one tensor or numpy array.
    shape : sequence of int
        Shape of one input without batch: ``(n,)``, ``(c, n)``, ``(c, h, w)`` or ``(c, d, h, w)``.
    dtype : torch.float64 or torch.float32
        Precision of inputs and of the module's floating-point parameters and buffers. What refuses
        double precision gets single precision.
    axes : sequence of int, optional
        Axes of `shape` that shifts act on; all but the channel if left out.
    batched : bool, optional
        Whether it is called with a batch axis in front; found out if left out.

    Attributes
    ----------
    name : str
        Name of the callable.
    axes : tuple of int
        The shifted axes of input and output, counted from the end: -1 is the last.
    dtype : torch.float64 or torch.float32
        The precision that it is called in.
    output_shape : tuple of int
        Shape of one output without batch.
    own_types : tuple of torch.dtype
        The types of a module's tensors where no copy in one precision takes an input, so that it is
        asked as it is; else empty.
    unit_roundoff, smallest : float
        Unit roundoff and smallest positive number of the coarsest type known to be computed in:
        those of input and output, `own_types` and those of `computes_in`.

    Raises
    ------
    TypeError
        If `op` is not callable, or a class of modules instead of one.
    ValueError
        If an option or the shape is none of the above, or `op` takes no input of that shape.
    """

    def __init__(
        self,
        op: Callable[..., Any],
        shape: Sequence[int],
        dtype: torch.dtype = torch.float64,
        *,
        axes: Sequence[int] | None = None,
        batched: bool | None = None,
    ) -> None:
        if not callable(op):
            raise TypeError(f"{op!r} is not callable: give a module or a function of one array")
        if isinstance(op, type) and any("__call__" in vars(base) for base in op.__mro__):
            raise TypeError(f"{op.__name__} is a class: give an instance, {op.__name__}(...)")
        self.name = _name(op)
        self.shape = checked_shape(shape)
        self.axes = checked_axes(axes, self.shape)
        if dtype not in _NUMPY_TYPES:
            raise ValueError(f"dtype is {dtype}: give torch.float64 or torch.float32")
        if not (batched is None or isinstance(batched, bool)):
            raise ValueError(f"batched is {batched!r}: give True or False, or None to find it out")
        self._device = device_of(op)
        if isinstance(op, torch.jit.ScriptFunction):
            op = _called(op)
        self._settle_somehow(op, dtype, batched)
        self.reset()

    def _settle_somehow(
        self, op: Callable[..., Any], dtype: torch.dtype, batched: bool | None
    ) -> None:
        """Find the first precision that it takes: the one asked for, single, its own types."""
        refusal: ValueError | None = None
        attempts = [(dtype, False), (torch.float32, False)]
        if any(each.is_floating_point() for each in tensors(op)):
            attempts.append((dtype, True))
        for precision, as_it_is in dict.fromkeys(attempts):
            try:
                self._settle(op, precision, batched, as_it_is)
            except ValueError as error:
                refusal = refusal or error
            else:
                return
        assert refusal is not None
        raise refusal

    def _settle(
        self, op: Callable[..., Any], dtype: torch.dtype, batched: bool | None, as_it_is: bool
    ) -> None:
        """Find out how the operator is called in one precision, or as it is."""
        self.dtype = dtype
        self._pristine = private_copy(op, self.name, None if as_it_is else dtype)
        self.output_shape, output_type = self._probe(op, batched)
        self.unit_roundoff = self.smallest = 0.0
        types = {each.dtype for each in tensors(op) if each.is_floating_point()}
        self.own_types = tuple(sorted(types, key=str)) if as_it_is else ()
        for each in (dtype, output_type, *self.own_types):
            if each.is_floating_point:
                self.computes_in(each)

    def computes_in(self, dtype: torch.dtype) -> None:
        """Take a floating-point type into account that it is known to compute in."""
        type_ = torch.finfo(dtype)
        self.unit_roundoff = max(self.unit_roundoff, type_.eps / 2)
        self.smallest = max(self.smallest, type_.tiny * type_.eps)

    @property
    def spatial_shape(self) -> tuple[int, ...]:
        """Sizes of the input's axes that are shifted."""
        return tuple(self.shape[axis] for axis in self.axes)

    @property
    def output_spatial_shape(self) -> tuple[int, ...] | None:
        """Sizes of the output's shifted axes; None where it lacks one of them."""
        span = -min(self.axes)
        if not span <= len(self.output_shape) <= max(span + 1, len(self.shape)):
            return None
        return tuple(self.output_shape[axis] for axis in self.axes)

    def along(self, axis: int, by: int) -> tuple[int, ...]:
        """Return the shift by some cells along one of `axes`, for `theory.signals.shift`."""
        span = -min(self.axes)
        return tuple(by if at == axis else 0 for at in range(-span, 0))

    @property
    def batched(self) -> bool:
        """Whether it is called with a batch axis in front."""
        return self._convention.batched

    @property
    def array_type(self) -> type[np.float32] | type[np.float64]:
        """The numpy type of the inputs."""
        return _NUMPY_TYPES[self.dtype]

    @property
    def significand(self) -> int:
        """How many bits the significand of an input has."""
        return int(np.finfo(self.array_type).nmant) + 1

    @property
    def takes_tensors(self) -> bool:
        """Whether it is called with tensors, the condition for tracing it."""
        return self._convention.array is torch.Tensor

    def reset(self) -> None:
        """Return to the state in which the operator was given."""
        self._op = copy.deepcopy(self._pristine)

    def __call__(self, x: Array) -> Array:
        """Return ``op(x)``; every call gets its own copy of the input.

        Raises
        ------
        OperatorError
            If the operator raises, or its output has another shape than before.
        """
        try:
            y, _ = self._call(x)
        except Exception as error:
            raise OperatorError(f"it raises {told(error)}") from error
        if y.shape != self.output_shape:
            raise OperatorError(f"its output has shape {y.shape}, elsewhere {self.output_shape}")
        return y

    def many(self, inputs: Array) -> Array:
        """Return the outputs for a stack of inputs, from a single call of a batched operator.

        Whether the inputs were kept apart is for the caller to find out.

        Raises
        ------
        OperatorError
            If the operator raises, or returns another shape than one output for each input.
        """
        try:
            outputs, _ = to_array(self._op(self._given(inputs)))
        except Exception as error:
            raise OperatorError(f"it raises {told(error)}") from error
        if outputs.shape != (len(inputs), *self.output_shape):
            raise OperatorError(f"a batch of {len(inputs)} comes back with shape {outputs.shape}")
        return outputs

    def wrap(self, x: Array, copies: int = 1) -> Any:
        """Return what the callable gets for the input `x`; in a batch, for some copies of it."""
        return self._given(np.stack([x] * copies) if self.batched else x)

    def unwrap(self, y: Any) -> Array:
        """Return what `wrap`'s counterpart returned as an array without batch axis."""
        array, _ = to_array(y)
        return array[0] if self.batched else array

    @property
    def called(self) -> Callable[..., Any]:
        """The copy that is called, in the state in which the calls before have left it."""
        return self._op

    @property
    def underlying(self) -> Callable[..., Any]:
        """A fresh copy of the callable itself, for tracing."""
        return copy.deepcopy(self._pristine)

    def _given(self, values: Array) -> Any:
        """Return a copy of some values as the array or the tensor that it takes."""
        values = values.astype(self.array_type)
        return torch.from_numpy(values).to(self._device) if self.takes_tensors else values

    def _call(self, x: Array, copies: int = 1) -> tuple[Array, torch.dtype]:
        y, dtype = to_array(self._op(self.wrap(x, copies)))
        if not self.batched:
            return y, dtype
        if y.ndim == 0 or y.shape[0] != copies:
            raise ValueError(f"a batch of {copies} comes back with shape {y.shape}")
        return y[0], dtype

    def _probe(
        self, op: Callable[..., Any], batched: bool | None
    ) -> tuple[tuple[int, ...], torch.dtype]:
        """Keep to the first way of calling that works on zeros, ones or a ramp."""
        is_module = isinstance(op, torch.nn.Module)
        zeros = np.zeros(self.shape)
        refusals: dict[str, str] = {}
        for convention in conventions(batched, is_module=is_module):
            self._convention = convention
            for x in (zeros, zeros + 1, np.arange(1.0, zeros.size + 1).reshape(self.shape)):
                self.reset()
                try:
                    y, dtype = self._call(x)
                    if convention.batched:
                        self._call(x, copies=2)
                except Exception as error:
                    refusals.setdefault(convention.name, told(error))
                    continue
                if is_module and batched is None and not convention.batched:
                    self._require_no_batch()
                return y.shape, dtype
        ways: dict[str, list[str]] = {}
        for way, why in refusals.items():
            ways.setdefault(why, []).append(way)
        tried = "; ".join(f"{' or '.join(names)}: {why}" for why, names in ways.items())
        raise ValueError(
            f"{self.name} takes no input of shape {self.shape}, given as {tried}{remedy(op, ways)}"
        )

    def _require_no_batch(self) -> None:
        """Refuse a shape whose first axis the module takes for a batch, of any size."""
        first, *rest = self.shape
        try:
            longer, _ = self._call(np.zeros((first + 1, *rest)))
        except Exception:
            return
        if len(rest) >= 2 and longer.shape[:1] == (first + 1,):
            raise ValueError(
                f"{self.name} takes the first axis of {self.shape} for a batch: give the shape of "
                f"one input, {tuple(rest)}, or batched=False if the axis belongs to it"
            )


def operator_on(op: Callable[..., Any], x: Array, batched: bool | None) -> Operator:
    """Return the operator that a callable is on inputs of the shape and the precision of `x`."""
    dtype = torch.float32 if x.dtype == np.float32 else torch.float64
    with isolated(seed=0):
        return Operator(op, x.shape, dtype, batched=batched)


def device_of(op: Callable[..., Any]) -> torch.device:
    """Return where an operator's inputs belong: with a module's tensors, else on the CPU."""
    held = tensors(op)
    return held[0].device if held else torch.device("cpu")


def _name(op: object) -> str:
    while isinstance(op, functools.partial):
        op = op.func
    return getattr(op, "__name__", type(op).__name__)


def _called(script: Callable[..., Any]) -> Callable[..., Any]:
    """Return a plain function that calls one of TorchScript, which nothing can copy."""
    return lambda x: script(x)
