"""Arrays that a caller gives, as NumPy's, and the types in which their values are computed with.

What has no values, hides some, or holds no numbers is refused by name.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Shaped


def as_array(name: str, values: Any) -> Shaped[np.ndarray, "..."]:
    """Return what is given as an array of NumPy, without copying an array.

    Parameters
    ----------
    name : str
        What the caller calls it.
    values : array, tensor or nested sequence
        What the caller gave.

    Raises
    ------
    TypeError
        If some of it is masked, which an array could not tell, or NumPy makes no array of it: it is
        ragged, or a tensor that is sparse, without values, or known to autograd.
    """
    if type(values) is np.ndarray:  # short signals would feel each step below
        return values
    if np.ma.isMaskedArray(values):
        raise TypeError(f"{name} is a masked array: fill in what is masked, with its filled()")
    try:
        return np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise TypeError(
            f"{name} is a {type(values).__name__} that is no array of numbers: {reason}"
        ) from error


def require_numbers(name: str, dtype: np.dtype) -> None:
    """Raise a TypeError that names a factor unless its entries are numbers."""
    if dtype.kind not in "biufcO":
        raise TypeError(f"the {name} holds {dtype} entries: expected numbers")


def computed_type(held: np.dtype) -> np.dtype:
    """Return the type that factors are computed in: wider for booleans, integers and halves.

    Its bytes are in the order of the machine, in which alone torch takes an array.
    """
    if held.kind in "biu":
        return np.dtype(np.int64)
    native = held if held.isnative else held.newbyteorder("=")
    return np.dtype(np.float32) if native == np.float16 else native


def widened(name: str, factor: np.ndarray) -> np.ndarray:
    """Return a factor in its `computed_type`.

    Raises
    ------
    ValueError
        If integers are too large for int64; the message names the factor.
    """
    if factor.dtype == np.uint64 and factor.max(initial=0) > np.iinfo(np.int64).max:
        raise ValueError(f"the {name} holds integers beyond int64: use dtype=object")
    return factor.astype(computed_type(factor.dtype), copy=False)
