"""The device that a run computes on: whether it is there, its precision, equal bits twice."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from experiments.arguments import as_count, check_device_name
from experiments.errors import InputError
from experiments.recipe import Precision
from theory.single_precision import single_precision


def check_device(device: str) -> None:
    """Raise a ValueError that says what to do if this device cannot be trained on."""
    check_device_name(device)
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("device 'cuda' was asked for, but PyTorch finds no GPU; use --device cpu")


@contextlib.contextmanager
def reproducible(threads: int | None) -> Iterator[None]:
    """Let a run compute the same bits twice: on so many threads, and float32 meaning float32.

    On CUDA only deterministic convolutions are used, and neither they nor matrix products round
    their factors to TF32. On the CPU the calling thread computes with zeros in place of numbers
    below the normal range, which Adam's averages for units that died sink to: they are too small to
    move a weight, and processors take many times longer for them.

    Raises
    ------
    InputError
        If that is no number of threads.
    """
    before = torch.get_num_threads()
    if threads is not None:
        torch.set_num_threads(as_count("threads", threads))
    try:
        with single_precision(), _deterministic_convolutions(), _without_subnormals():
            yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def _deterministic_convolutions() -> Iterator[None]:
    # `torch.backends.cudnn.flags` sets precisions, too, and fails where they are not all alike
    cudnn, flags = torch.backends.cudnn, ("enabled", "benchmark", "deterministic")
    before = [getattr(cudnn, flag) for flag in flags]
    cudnn.enabled, cudnn.benchmark, cudnn.deterministic = True, False, True
    try:
        yield
    finally:
        for flag, value in zip(flags, before, strict=True):
            setattr(cudnn, flag, value)


@contextlib.contextmanager
def _without_subnormals() -> Iterator[None]:
    subnormal = torch.tensor(1e-39)
    before = (subnormal * 1).item() == 0  # PyTorch can set this and does not tell it
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


def float32_products(device: str) -> str:
    """Return what products and convolutions of a device make of float32 factors: a format's name.

    ``"ieee"`` leaves them as they are, ``"tf32"`` and ``"bf16"`` round them to that. Where products
    and convolutions differ, it is both names with a ``/`` between.
    """
    backends: Any = torch.backends  # whose modules torch swaps as they load, unseen by mypy
    cuda = device == "cuda"
    products = backends.cuda.matmul if cuda else backends.mkldnn.matmul
    convolutions = backends.cudnn.conv if cuda else backends.mkldnn.conv
    formats = (each.fp32_precision for each in (products, convolutions))
    return "/".join(dict.fromkeys("ieee" if name == "none" else name for name in formats))


@contextlib.contextmanager
def seeded(seed: int, device: str = "cpu") -> Iterator[None]:
    """Let a device's own random state follow from a seed, and give the caller's back.

    ``torch.manual_seed`` would seed all devices, of which only this one's state is restored.
    """
    with torch.random.fork_rng(devices=["cuda"] if device == "cuda" else []):
        if device == "cuda":
            torch.cuda.manual_seed(seed)
        else:
            torch.default_generator.manual_seed(seed)
        yield


def autocast(precision: Precision, device: torch.device) -> contextlib.AbstractContextManager[Any]:
    """Return the context in which forward passes of a precision are computed."""
    if precision == "bfloat16":
        return torch.autocast(device.type, torch.bfloat16)
    return contextlib.nullcontext()


def full_precision(scores: Tensor) -> Tensor:
    """Return scores in float32, in which losses are computed, or in float64 where they are."""
    return scores.to(torch.promote_types(scores.dtype, torch.float32))
