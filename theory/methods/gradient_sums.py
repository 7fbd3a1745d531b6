"""The filter gradient as the sum of its definition, exact wherever the arithmetic is.

`theory.gradients.filter_gradient` offers it as the method ``direct``, checks its input and flips
its output.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from jaxtyping import Shaped

from theory.methods.choice import sums_tap_by_tap
from theory.methods.convolution_plan import plan
from theory.methods.direct_convolution import valid_shape, window_at
from theory.methods.fast_gradients import Array


def by_sum(
    x: Shaped[Array, "batch channels *n"], g: Shaped[Array, "batch filters *m"]
) -> Shaped[Array, "filters channels *k"]:
    """Return the filter gradient, term by term.

    Parameters
    ----------
    x : array or tensor of shape (batch, channels, *n)
        The input of the layer; integers in int64.
    g : array or tensor of shape (batch, filters, *m)
        The gradient of the loss for its output, of the same library and device.

    Returns
    -------
    array or tensor of shape (filters, channels, *k)
        The sum over the batch, with ``k = n - m + 1`` taps per axis.
    """
    # For tensors always: a convolution of torch may round otherwise than a sum.
    if isinstance(x, torch.Tensor) or sums_tap_by_tap(x.shape, g.shape):
        return by_taps(x, g)
    correlate = plan(x.shape[2:], g.shape[2:], x.dtype, g.dtype, "valid", "direct").correlate
    pairs = [
        [zip(x[:, c], g[:, f], strict=True) for c in range(x.shape[1])] for f in range(g.shape[1])
    ]
    return np.stack([[sum(correlate(*pair) for pair in batch) for batch in row] for row in pairs])


def by_taps(
    x: Shaped[Array, "batch channels *n"], g: Shaped[Array, "batch filters *m"]
) -> Shaped[Array, "filters channels *k"]:
    """Return the same as one product of matrices for each tap, of all filters with all channels.

    Parameters and returns as `by_sum`.
    """
    taps, filters, channels = valid_shape(x.shape[2:], g.shape[2:]), g.shape[1], x.shape[1]
    slopes = g.swapaxes(0, 1).reshape(filters, -1)
    seen = (part.swapaxes(0, 1).reshape(channels, -1) for part in _windows(x, taps, g.shape[2:]))
    library: Any = torch if isinstance(x, torch.Tensor) else np
    gradient: Array = library.stack([slopes @ each.T for each in seen], -1)
    return gradient.reshape(filters, channels, *taps)


def _windows(x: Any, taps: tuple[int, ...], shape: tuple[int, ...]) -> Iterator[Any]:
    """Yield what each tap meets."""
    for tap in np.ndindex(taps):
        yield x[(..., *window_at(tap, shape))]
