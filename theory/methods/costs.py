"""What the parts of each method cost on a machine, and where that is kept.

`SHIPPED` are the costs of one machine. `theory.methods.calibration` measures those of the machine
at hand and stores them here, in a file of the user's cache that is read once for each process. A
file that is damaged, that cannot be read, or that another machine wrote counts for nothing.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pooch
import scipy

from theory.atomic import write_whole
from theory.processor import model, processor

PLACE = "CONVLAWS_METHOD_COSTS"
"""Environment variable that names the file, if it is not to be in the user's cache."""

KNOTS = tuple(3 * 2**power for power in range(4, 20))
"""Cells for which the cost of a transform is known: no powers of 2, which are the fastest. Where a
cache ends, the cost of a cell doubles from one to the next."""


@dataclass(frozen=True)
class Costs:
    """What the parts of the methods take, in seconds, in float64.

    Parameters
    ----------
    call
        One sum over one axis, whatever its length.
    output, product
        Each output and each product of a sum over one axis, by dot products.
    streamed_product
        Each product where the dot products are too long for a core's cache.
    unrolled_output, unrolled_product
        The same where `numpy.convolve` keeps the kernel in registers.
    tap, tap_cell
        One pass for one tap of a kernel with several axes, and each cell of it.
    matrix, matrix_entry, matrix_product
        One product of matrices; each entry of the one that is laid out for it, and each product.
    spectral_product
        Each product of two spectra among many, which are multiplied as matrices.
    fft, fft_cell
        One convolution by transforms; and each cell of them, where there are as many as `KNOTS`.
    blocks, block_cell
        One convolution by blocks; and each cell of them all, for blocks of `KNOTS` cells, with the
        kernel's own as half of one: it is transformed once, theirs there and back.
    windows
        One gradient by blocks, which are windows of the signal.
    plane
        How many times as much a cell of blocks with several axes costs.
    """

    call: float
    output: float
    product: float
    streamed_product: float
    unrolled_output: float
    unrolled_product: float
    tap: float
    tap_cell: float
    matrix: float
    matrix_entry: float
    matrix_product: float
    spectral_product: float
    fft: float
    fft_cell: tuple[float, ...]
    blocks: float
    block_cell: tuple[float, ...]
    windows: float
    plane: float

    def of(self, parts: Mapping[str, float]) -> float:
        """Return the seconds of so many parts of each name."""
        return sum(count * getattr(self, name) for name, count in parts.items())


SHIPPED = Costs(
    call=2.8e-6,
    output=1.4e-8,
    product=1.2e-10,
    streamed_product=3.0e-10,
    unrolled_output=0.0,
    unrolled_product=4.2e-10,
    tap=7.7e-6,
    tap_cell=1.9e-9,
    matrix=4.1e-6,
    matrix_entry=2.8e-10,
    matrix_product=4.4e-11,
    spectral_product=4.5e-10,
    fft=2.7e-5,
    fft_cell=(
        *(9.7e-08, 7.4e-08, 5.1e-08, 2.8e-08, 2.5e-08, 2.2e-08, 1.9e-08, 2.0e-08),
        *(2.2e-08, 2.3e-08, 3.8e-08, 5.3e-08, 6.8e-08, 1.0e-07, 1.4e-07, 1.7e-07),
    ),
    blocks=6.3e-5,
    block_cell=(
        *(1.3e-08, 1.3e-08, 1.2e-08, 1.2e-08, 1.3e-08, 1.4e-08, 1.5e-08, 1.8e-08),
        *(2.1e-08, 2.4e-08, 3.4e-08, 4.5e-08, 5.5e-08, 7.5e-08, 9.5e-08, 1.2e-07),
    ),
    windows=2.7e-4,
    plane=2.4,
)
"""Costs of one core with AVX-512, as `theory.methods.calibration` found them; those of a cell at
every third of `KNOTS`, with straight lines between; ``plane``, the streamed products, those of
matrices and of spectra, and how ``windows`` compare with ``blocks`` are from other machines."""


@cache
def machine_costs() -> Costs:
    """Return the costs of this machine where they have been measured, and otherwise `SHIPPED`."""
    return read(costs_file()) or SHIPPED


def costs_file() -> Path:
    """Return where the costs of this machine are kept."""
    named = os.environ.get(PLACE)
    return Path(named) if named else Path(pooch.os_cache("convlaws")) / "method-costs.json"


def read(path: Path) -> Costs | None:
    """Return the costs in a file; None if it does not hold those of this machine, in whole.

    Parameters
    ----------
    path
        What `write` has written.
    """
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["machine"] != _machine():
            return None
        return _checked(kept["seconds"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write(costs: Costs, path: Path) -> None:
    """Write the costs of this machine, all or nothing.

    Parameters
    ----------
    costs
        The costs.
    path
        The file; its folder is made where it is missing.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    text = json.dumps({"machine": _machine(), "seconds": asdict(costs)}, indent=1)
    write_whole(path, text.encode())


def _checked(seconds: dict[str, Any]) -> Costs:
    """Return costs if every part has as many numbers as it needs, none of them negative."""
    costs: dict[str, Any] = {}
    for field in fields(Costs):
        stored = seconds[field.name]
        several = field.name in ("fft_cell", "block_cell")
        values = [float(value) for value in (stored if several else [stored])]
        if len(values) != (len(KNOTS) if several else 1):
            raise ValueError(field.name)
        if not all(math.isfinite(value) and value >= 0 for value in values):
            raise ValueError(field.name)
        costs[field.name] = tuple(values) if several else values[0]
    return Costs(**costs)


def _machine() -> dict[str, str | int | None]:
    """Return what the costs depend on."""
    return {
        "processor": processor(),
        "model": model(),  # virtual machines give different processors one name
        "cpus": os.cpu_count(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
    }
