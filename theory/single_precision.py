"""Single precision as it is, where torch was told that it may do with less.

A bound on rounding takes the factors of a product as they are. `torch.set_float32_matmul_precision`
and `torch.backends.cudnn.allow_tf32` let torch cut them to fewer bits, and `fp32_precision` lets
each operation of each library below it. Within `torch.autocast` it rounds them to a shorter type.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import torch

Setting = TypeVar("Setting")


@contextlib.contextmanager
def single_precision() -> Iterator[None]:
    """Let products and convolutions of float32 tensors be computed in float32.

    Afterwards is allowed what was before. The setting is one for all threads: of calls that
    overlap, the first to return brings back for the others, too, what was allowed. That of
    autocast is the thread's own; what is computed meanwhile may switch it on for itself.
    """
    backends: Any = torch.backends  # whose modules torch swaps as they load, unseen by mypy
    operations = [
        *(backends.mkldnn.matmul, backends.mkldnn.conv, backends.mkldnn.rnn),
        *(backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn),
    ]
    before = [operation.fp32_precision for operation in operations]
    with warnings.catch_warnings():  # PyTorch 2.9 announces the end of these two
        warnings.filterwarnings("ignore", "Please use the new API settings to control TF32")
        products = _summed_up(torch.get_float32_matmul_precision, "highest")
        convolutions = _summed_up(lambda: backends.cudnn.allow_tf32, False)
    torch.set_float32_matmul_precision("highest")
    backends.cudnn.allow_tf32 = False
    for operation in operations:  # else convolutions heed what is set for all libraries
        operation.fp32_precision = "ieee"
    try:
        with _no_autocast():
            yield
    finally:
        torch.set_float32_matmul_precision(products)
        for operation, precision in zip(operations, before, strict=True):
            operation.fp32_precision = "none"  # it takes up what is set for all libraries again
            if operation.fp32_precision != precision:
                operation.fp32_precision = precision
        if convolutions:  # which sets both of cuDNN's operations, as torch does from the start
            backends.cudnn.allow_tf32 = True


@contextlib.contextmanager
def _no_autocast() -> Iterator[None]:
    """Switch off an autocast that the caller is in.

    Its cache as well: until the outermost autocast ends, another one within it would go on with
    weights as they were before a step of training.
    """
    with contextlib.ExitStack() as stack:
        for device in ("cpu", "cuda"):
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False, cache_enabled=False))
        yield


def _summed_up(setting: Callable[[], Setting], otherwise: Setting) -> Setting:
    """Return a setting for several operations, which torch does not sum up where they differ."""
    try:
        return setting()
    except RuntimeError:
        return otherwise
