"""Single precision as it is, where torch was told that it may do with less.

A bound on rounding takes the factors of a product as they are. `torch.set_float32_matmul_precision`
lets torch cut them to fewer bits, and `fp32_precision` lets each library below it.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def single_precision() -> Iterator[None]:
    """Let products of float32 tensors be computed in float32, and allow afterwards what was before.

    The setting is one for all threads: of calls that overlap, the first to return brings back for
    the others, too, what was allowed.
    """
    backends: Any = torch.backends  # whose modules torch swaps as they load, unseen by mypy
    libraries = backends.mkldnn.matmul, backends.cuda.matmul
    before = [library.fp32_precision for library in libraries]
    try:
        overall = torch.get_float32_matmul_precision()
    except RuntimeError:  # the libraries were set one by one, which torch does not sum up
        overall = "highest"
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(overall)
        for library, precision in zip(libraries, before, strict=True):
            library.fp32_precision = "none"  # it takes up what is set for all libraries again
            if library.fp32_precision != precision:
                library.fp32_precision = precision
