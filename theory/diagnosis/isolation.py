"""No trace left behind: a copy of the operator, and torch's global state put back as it was."""

from __future__ import annotations

import contextlib
import copy
import functools
import itertools
import random
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from theory.diagnosis.errors import told
from theory.diagnosis.generators import Generators
from theory.single_precision import single_precision
from theory.tensors import require_shape

_ALONE = threading.RLock()
"""Held by the thread that is isolated: generators and filters are those of the whole process."""


@contextlib.contextmanager
def isolated(seed: int) -> Iterator[None]:
    """Seed the global random generators, silence warnings, and put all of it back afterwards.

    The generators are those of Python, NumPy, torch on the CPU and, once it is in use, CUDA. No
    other device is touched: ``torch.manual_seed`` would seed them all, and replace a seed that
    waits for CUDA. Another thread that wants the same waits until this one is done. The default
    type of torch, which an operator may set, is put back as well.

    Meanwhile float32 means float32: on a GPU torch may cut the factors of convolutions to TF32
    from the start, which no bound on the rounding of single precision allows. Nor does any cover
    cuDNN, which may compute convolutions by transforms; it stays out, so that the primitives on a
    GPU are those of the CPU: its batch normalisation, for one, is a primitive of its own.
    """
    with _ALONE:
        before = Generators.now()
        dtype, cudnn = torch.get_default_dtype(), torch.backends.cudnn.enabled
        seed = int(seed)  # Python's generator takes no integer of NumPy
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002  the operator may draw from the global generator
        torch.default_generator.manual_seed(seed)
        if before.cuda:
            torch.cuda.manual_seed_all(seed)
        torch.backends.cudnn.enabled = False
        try:
            with warnings.catch_warnings(), torch.no_grad(), single_precision():
                warnings.simplefilter("ignore")
                yield
        finally:
            torch.backends.cudnn.enabled = cudnn
            torch.set_default_dtype(dtype)
            before.restore()


def private_copy(
    op: Callable[..., Any], name: str, dtype: torch.dtype | None
) -> Callable[..., Any]:
    """Return a copy of an operator that shares nothing with it.

    Parameters
    ----------
    op : callable
        The operator.
    name : str
        What errors call it.
    dtype : torch.dtype, optional
        The precision of a module's tensors; None leaves each in its own.

    Raises
    ------
    ValueError
        If it cannot be copied, or not be held in that precision.
    """
    if isinstance(op, torch.nn.Module):
        for path, value in itertools.chain(op.named_parameters(), op.named_buffers()):
            require_shape(op, path, value)
            if value.is_meta:
                raise ValueError(
                    f"{name} has no values in {path}, which is on the device meta: give it some, "
                    "by to_empty and load_state_dict for one"
                )
    try:
        private = copy.deepcopy(op, {id(each): each.detach().clone() for _, each in computed(op)})
    except Exception as error:
        raise ValueError(
            f"{name} cannot be copied ({told(error)}), and would not come back as it was: "
            "give a function that calls it"
        ) from error
    if not isinstance(private, torch.nn.Module) or dtype is None:
        return private
    try:
        if any(each.is_complex() for each in (*private.parameters(), *private.buffers())):
            return private._apply(functools.partial(_in_precision, dtype))  # `to` keeps real parts
        return private.to(dtype)
    except (TypeError, RuntimeError) as error:
        raise ValueError(f"{name} cannot be held in {dtype}: {told(error)}") from error


def _in_precision(dtype: torch.dtype, tensor: torch.Tensor) -> torch.Tensor:
    if tensor.is_complex():
        return tensor.to(dtype.to_complex())
    return tensor.to(dtype) if tensor.is_floating_point() else tensor


def computed(op: object) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield, with their names, the tensors that a module has computed and keeps.

    Torch refuses to copy them.
    """
    modules = op.named_modules() if isinstance(op, torch.nn.Module) else []
    for path, module in modules:
        for name, value in vars(module).items():
            if isinstance(value, torch.Tensor) and not value.is_leaf:
                yield f"{path}.{name}" if path else name, value
