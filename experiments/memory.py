"""Memory of the device: whether a failure means that it is too small, and giving it back."""

from __future__ import annotations

import gc

import torch

_SAID = ("out of memory", "ALLOC_FAILED", "can't allocate memory")
"""By CUDA, by cuBLAS and cuDNN, and by PyTorch on the CPU, in errors of no type of their own."""


def too_small(error: BaseException) -> bool:
    """Whether an error, or one that it followed from, says that memory is too small.

    Where memory runs out while a CUDA graph is captured, it is the end of the capture that fails.
    """
    met: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in met:
        told = isinstance(cause, RuntimeError) and any(words in str(cause) for words in _SAID)
        if told or isinstance(cause, torch.OutOfMemoryError | MemoryError):
            return True
        met.add(id(cause))
        cause = cause.__cause__ or cause.__context__
    return False


def give_back() -> None:
    """Give back what nothing refers to any more and the allocator keeps for later."""
    gc.collect()
    torch.cuda.empty_cache()
