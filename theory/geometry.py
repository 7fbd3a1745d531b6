"""The geometry of layers, axis by axis: how many cells come out, and which cells each one sees.

A layer slides a window of taps along its input. Output sizes count the positions of the window;
a receptive field is where the window of a stack of layers lies, how wide it is and how far it jumps
from one output cell to the next. Axes are independent, so everything here is one-dimensional.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from typing import Any

from theory.counts import as_count, as_integer


@dataclass(frozen=True)
class Layer:
    """One axis of a convolution or pooling layer.

    Attributes
    ----------
    kernel : int
        Taps of the kernel, or cells of the pooling window.
    stride : int
        Input cells from one position of the window to the next.
    padding : int
        Cells that are added before the first and after the last input cell.
    dilation : int
        Input cells from one tap to the next.

    Raises
    ------
    TypeError
        If one of them is not an integer; of NumPy's they become Python's.
    ValueError
        If a number is too small: the padding may be 0, the others are at least 1.
    """

    kernel: int
    stride: int = 1
    padding: int = 0
    dilation: int = 1

    def __post_init__(self) -> None:
        for name, least in (("kernel", 1), ("stride", 1), ("padding", 0), ("dilation", 1)):
            object.__setattr__(self, name, as_count(name, getattr(self, name), least))

    @property
    def extent(self) -> int:
        """Input cells from the first tap to the last, both included."""
        return self.dilation * (self.kernel - 1) + 1

    @property
    def receptive_field(self) -> ReceptiveField:
        """What the output cells of this layer see of its input."""
        return ReceptiveField(size=self.extent, jump=self.stride, start=-self.padding)


@dataclass(frozen=True)
class ReceptiveField:
    """The window of input cells that an output cell sees; of a single cell by default.

    It is the smallest interval that holds them all: taps that are further apart than the windows
    between them are wide leave holes in it, and cells outside the input do not exist.

    Attributes
    ----------
    size : int
        Input cells in the window.
    jump : int
        Input cells from the window of one output cell to that of the next.
    start : int
        Index of the first input cell in the window of output cell 0; negative in the padding.

    Raises
    ------
    TypeError
        If a number is not an integer. What is made of symbols of SymPy or z3, of which windows are
        composed as well, passes as it is where it may be one.
    ValueError
        If size or jump is below 1.
    """

    size: int = 1
    jump: int = 1
    start: int = 0

    def __post_init__(self) -> None:
        for name in ("size", "jump", "start"):
            value = getattr(self, name)
            if not _symbolic(value):
                number = as_integer(name, value) if name == "start" else as_count(name, value)
                object.__setattr__(self, name, number)

    def then(self, later: ReceptiveField) -> ReceptiveField:
        """Return what the output of a later layer sees through this one.

        Parameters
        ----------
        later : ReceptiveField
            What the later layer sees of this one's output.

        Raises
        ------
        TypeError
            If `later` is no `ReceptiveField`.
        """
        if not isinstance(later, ReceptiveField):
            raise TypeError(
                f"{later!r} is given as what a later layer sees, expected a ReceptiveField: of a "
                "Layer give its receptive_field"
            )
        return ReceptiveField(
            size=self.size + (later.size - 1) * self.jump,
            jump=self.jump * later.jump,
            start=self.start + later.start * self.jump,
        )

    def window(self, output: int) -> range:
        """Return the indices of the input cells that an output cell sees, padding included.

        Raises
        ------
        TypeError, ValueError
            If the output cell is not an integer, or negative.
        """
        first = self.start + as_count("output", output, 0) * self.jump
        return range(first, first + self.size)


def _symbolic(value: Any) -> bool:
    """Whether it is made of symbols, as SymPy and z3 do, which are not imported to tell."""
    if getattr(value, "free_symbols", None):
        return value.is_integer is not False  # which is None where that is not known
    return hasattr(value, "is_int") and value.is_int()


def receptive_field(layers: Iterable[Layer]) -> ReceptiveField:
    """Return what the last of some layers sees of the input of the first.

    Parameters
    ----------
    layers : iterable of Layer
        The layers in the order in which they are applied. Layers that act on each cell by itself
        (activations, biases, normalisation by fixed statistics) do not count.

    Raises
    ------
    TypeError
        If what is given are no layers.

    Examples
    --------
    >>> receptive_field([Layer(5), Layer(2, stride=2), Layer(5), Layer(2, stride=2)])
    ReceptiveField(size=16, jump=4, start=0)
    """
    fields = (each.receptive_field for each in _sequence(layers))
    return reduce(ReceptiveField.then, fields, ReceptiveField())


def output_size(n: int, layer: Layer) -> int:
    """Return how many cells come out of a convolution, or of a pooling without ceil mode.

    Parameters
    ----------
    n : int
        Input cells.
    layer : Layer
        The layer.

    Returns
    -------
    int
        ``floor((n + 2 padding - extent) / stride) + 1``: the positions at which the window lies
        within the padded input.

    Raises
    ------
    TypeError
        If `n` is not an integer, or `layer` no `Layer`.
    ValueError
        If there is no input cell, or the window does not fit.

    Examples
    --------
    >>> output_size(32, Layer(5, stride=2, padding=2))
    16
    """
    n, layer = as_count("n", n), _single(layer)
    room = n + 2 * layer.padding - layer.extent
    if room < 0:
        raise ValueError(
            f"a window of {layer.extent} cells does not fit into {n} with {layer.padding} more at "
            "either end: pad more or take a smaller kernel"
        )
    return room // layer.stride + 1


def pool_output_size(n: int, layer: Layer, *, ceil_mode: bool = False) -> int:
    """Return how many cells come out of a pooling.

    Parameters
    ----------
    n : int
        Input cells.
    layer : Layer
        The layer.
    ceil_mode : bool, optional
        Whether a last window may stick out at the end, as long as it starts within the input or
        the padding before it.

    Returns
    -------
    int
        The size as torch defines it: as of a convolution, with `ceil_mode` rounded up.

    Raises
    ------
    TypeError
        If `n` is not an integer, or `layer` no `Layer`.
    ValueError
        If there is no input cell, no window fits, or the padding is more than half of the window.
    """
    if 2 * _single(layer).padding > layer.kernel:
        raise ValueError(
            f"padding {layer.padding} is more than half of a window of {layer.kernel} cells: "
            "pad less, or before the layer"
        )
    if not ceil_mode:
        return output_size(n, layer)
    n = as_count("n", n)
    room = n + 2 * layer.padding - layer.extent
    last = -(-room // layer.stride)
    if last < 0:
        raise ValueError(
            f"no window of {layer.extent} cells starts in {n} with padding {layer.padding}: "
            "take a smaller window"
        )
    return last + (last * layer.stride < n + layer.padding)


def transposed_output_size(n: int, layer: Layer, *, output_padding: int = 0) -> int:
    """Return how many cells come out of a transposed convolution.

    Parameters
    ----------
    n : int
        Input cells.
    layer : Layer
        The convolution whose transpose it is.
    output_padding : int, optional
        Which of the sizes that the convolution takes to `n` is meant: how much larger it is than
        the smallest. There are `stride` such sizes.

    Returns
    -------
    int
        ``(n - 1) stride - 2 padding + extent + output_padding``.

    Raises
    ------
    TypeError
        If `n` or the output padding is not an integer, or `layer` no `Layer`.
    ValueError
        If there is no input cell, the output padding is negative or not below the stride, or
        nothing is left.
    """
    n, output_padding = as_count("n", n), as_integer("output_padding", output_padding)
    if not 0 <= output_padding < _single(layer).stride:
        raise ValueError(
            f"output_padding is {output_padding}, expected 0 to {layer.stride - 1}: the "
            "convolution takes no other size to the same output"
        )
    size = (n - 1) * layer.stride - 2 * layer.padding + layer.extent + output_padding
    if size < 1:
        raise ValueError(f"padding {layer.padding} leaves nothing of the output: pad less")
    return size


def same_padding(kernel: int, *, dilation: int = 1) -> tuple[int, int]:
    """Return the padding before and after the input with which stride 1 keeps every size.

    The two differ by one if the kernel is even and the dilation odd; then no `Layer`, which pads
    alike at both ends, keeps a size.

    Raises
    ------
    TypeError, ValueError
        As `Layer`, for kernel and dilation.

    Examples
    --------
    >>> same_padding(5), same_padding(4)
    ((2, 2), (1, 2))
    """
    total = Layer(kernel, dilation=dilation).extent - 1
    return total // 2, total - total // 2


def map_sizes(n: int, layers: Iterable[Layer]) -> list[int]:
    """Return the sizes of the map after each of some layers, in cells.

    Parameters
    ----------
    n : int
        Input cells of the first layer.
    layers : iterable of Layer
        The layers in the order in which they are applied.

    Raises
    ------
    TypeError, ValueError
        As `output_size`.
    """
    sizes = []
    for each in _sequence(layers):
        n = output_size(n, each)
        sizes.append(n)
    return sizes


def _sequence(layers: Iterable[Layer]) -> list[Layer]:
    if isinstance(layers, Layer):
        raise TypeError("a single Layer is given, expected a sequence: put it into a list")
    return list(map(_single, layers))


def _single(layer: Layer) -> Layer:
    if not isinstance(layer, Layer):
        raise TypeError(f"{layer!r} is given as a layer, expected a Layer: Layer(kernel, stride)")
    return layer
