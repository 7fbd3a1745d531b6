"""What an operator returns, as one array in double precision."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Num


def to_array(y: Any) -> tuple[Num[np.ndarray, "..."], torch.dtype]:
    """Return an operator's output in double precision, and the precision it came in.

    Raises
    ------
    TypeError
        If it is not one array of numbers.
    """
    if isinstance(y, torch.Tensor):
        dtype = y.dtype.to_real() if y.is_complex() else y.dtype
        wide = torch.complex128 if y.is_complex() else torch.float64
        return y.detach().resolve_conj().resolve_neg().to("cpu", wide).numpy().copy(), dtype
    if isinstance(y, tuple | dict) or y is None or _holds_arrays(y):
        raise TypeError(f"it returns {type(y).__name__}: give a function that returns one array")
    array = np.asarray(y)
    if array.dtype.kind not in "biufc":
        raise TypeError(f"it returns {type(y).__name__} of {array.dtype}: expected numbers")
    dtype = torch.float32 if array.dtype in (np.float32, np.complex64) else torch.float64
    if array.dtype == np.float16:
        dtype = torch.float16
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64), dtype


def _holds_arrays(y: object) -> bool:
    """Whether a list holds several arrays, rather than the numbers of one."""
    if isinstance(y, list | tuple):
        return any(isinstance(e, torch.Tensor | np.ndarray) or _holds_arrays(e) for e in y)
    return False
