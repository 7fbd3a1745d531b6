"""Arrays that a caller gives, as NumPy's: what has no values, or hides some, is refused by name."""

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
