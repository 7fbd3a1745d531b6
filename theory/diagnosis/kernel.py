"""The kernel of an LTI operator: its responses to unit impulses, channel by channel."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from theory.diagnosis.calling import Array, Operator
    from theory.diagnosis.search import Trials


def circular_kernel(trials: Trials) -> Array:
    """Return the responses to the unit impulse at the origin of each channel.

    Parameters
    ----------
    trials : Trials
        An operator that is LTI on the circle.

    Returns
    -------
    array of shape (c_out, c_in, *spatial)
        Without the channel axes that input or output do not have.
    """
    operator = trials.operator
    origin = (0,) * len(operator.axes)
    return _over_channels(
        operator, [trials.column(cell) for cell in _cells_of_channels(operator, origin)]
    )


def interior_kernel(trials: Trials, border: Sequence[int | None]) -> Array:
    """Return the responses to the unit impulse in the middle cell of each channel.

    An output cell in the border may respond in its own way. What it would have said is read off the
    nearest cell that is not in the border, whose distance to its impulse is the same.

    Parameters
    ----------
    trials : Trials
        An operator that is LTI in the interior.
    border : sequence of int
        Its border along each shifted axis.

    Returns
    -------
    array of shape (c_out, c_in, *spatial)
        Without the channel axes that input or output do not have; each response has the output's
        size.
    """
    operator = trials.operator
    middle = tuple(n // 2 for n in operator.spatial_shape)
    assert operator.output_spatial_shape is not None
    blocks = [
        list(_blocks(m, b or 0)) for m, b in zip(operator.output_spatial_shape, border, strict=True)
    ]
    responses = []
    for cell in _cells_of_channels(operator, middle):
        response = np.zeros_like(trials.column(cell))
        for block in product(*blocks):
            moved = list(cell)
            here = [slice(None)] * response.ndim
            there = here.copy()
            for axis, (cells, by) in zip(operator.axes, block, strict=True):
                moved[axis] += by
                here[axis] = slice(cells.start, cells.stop)
                there[axis] = slice(cells.start + by, cells.stop + by)
            if all(0 <= i < n for i, n in zip(moved, operator.shape, strict=True)):
                response[tuple(here)] = trials.column(tuple(moved))[tuple(there)]
        responses.append(response)
    return _over_channels(operator, responses)


def _blocks(m: int, border: int) -> Iterator[tuple[range, int]]:
    """Yield the interior and each cell of the border, with the way to the interior."""
    yield range(border, m - border), 0
    for cell in range(border):
        yield range(cell, cell + 1), border - cell
        yield range(m - 1 - cell, m - cell), cell - border


def _cells_of_channels(operator: Operator, at: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Yield, for each channel, the cell at one place along the shifted axes."""
    rank = len(operator.shape)
    places = {axis % rank: place for axis, place in zip(operator.axes, at, strict=True)}
    yield from product(
        *([places[a]] if a in places else range(n) for a, n in enumerate(operator.shape))
    )


def _over_channels(operator: Operator, responses: list[Array]) -> Array:
    """Stack the responses along an axis for the input's channels, if it has them.

    The shifted axes come last, wherever the operator has its channels.
    """
    shifted = len(operator.axes)
    responses = [np.moveaxis(each, operator.axes, range(-shifted, 0)) for each in responses]
    if len(operator.shape) == shifted:
        return responses[0]
    return np.stack(responses, axis=len(operator.output_shape) - shifted)
