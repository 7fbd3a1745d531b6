"""Training: one recipe, one seed, one device, measured."""

from __future__ import annotations

import contextlib
import hashlib
import math
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from experiments import datasets, networks
from experiments.datasets import Dataset
from experiments.recipe import Optimizer, Recipe
from experiments.records import ENGINE_VERSION, Curves, Record, record_key

EpochCallback = Callable[[int], None]
"""Called after each epoch with its number, from 1."""

_EVALUATION_BATCH = 1000
_MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024
_CHECKOUT = Path(__file__).resolve().parent.parent


def stream_seed(seed: int, purpose: str) -> int:
    """Return the seed of one random stream (``"init"``, ``"order"``) of a run.

    Streams are independent of each other and of the recipe, so runs of one seed share the order
    of the images, and networks of one architecture start from the same weights.
    """
    digest = hashlib.sha256(f"{seed}/{purpose}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def train(
    recipe: Recipe,
    seed: int,
    *,
    study: str,
    device: str = "cpu",
    data_root: Path | None = None,
    threads: int | None = None,
    on_epoch: EpochCallback | None = None,
) -> Record:
    """Train one network and return what was measured.

    Every random draw comes from CPU generators that ``seed`` fixes, and on CUDA only deterministic
    convolutions without TF32 are used: the same recipe, seed, device and thread count give the same
    record, bit for bit, apart from its provenance.

    Parameters
    ----------
    recipe, seed
        What to run.
    study
        The catalogue study the record belongs to.
    device
        ``"cpu"`` or ``"cuda"``.
    data_root
        Folder of the data sets; ``None`` as in :func:`experiments.datasets.load`.
    threads
        CPU threads of this process; ``None`` leaves PyTorch's setting.
    on_epoch
        Progress callback.

    Raises
    ------
    ValueError
        If the device is not available, or a name in the recipe is unknown.
    experiments.datasets.DataError
        If the data cannot be had.
    """
    check_device(device)
    data = datasets.load(recipe.dataset, data_root)
    with _threads(threads), _exact_convolutions():
        return _train(recipe, seed, study, device, data, on_epoch)


def _train(
    recipe: Recipe,
    seed: int,
    study: str,
    device: str,
    data: Dataset,
    on_epoch: EpochCallback | None,
) -> Record:
    network = _initialised(recipe, seed, data).to(device)
    optimizer = _optimizer(recipe.optimizer, network)
    train_set = (data.train_images.to(device), data.train_labels.to(device))
    test_set = (data.test_images.to(device), data.test_labels.to(device))
    curves = Curves([], [], [], [])
    order = torch.Generator().manual_seed(stream_seed(seed, "order"))
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    training_seconds = 0.0
    started = time.perf_counter()
    for epoch in range(1, recipe.epochs + 1):
        permutation = torch.randperm(len(data.train_labels), generator=order).to(device)
        epoch_started = time.perf_counter()
        loss, accuracy = train_epoch(network, optimizer, *train_set, permutation, recipe)
        training_seconds += time.perf_counter() - epoch_started
        test_loss, test_accuracy = evaluate(network, *test_set, recipe)
        if not (math.isfinite(loss) and math.isfinite(test_loss)):
            break
        curves.train_loss.append(loss)
        curves.train_accuracy.append(accuracy)
        curves.test_loss.append(test_loss)
        curves.test_accuracy.append(test_accuracy)
        if on_epoch is not None:
            on_epoch(epoch)
    final_loss, final_accuracy = evaluate(network, *train_set, recipe)
    diverged = len(curves.train_loss) < recipe.epochs or not math.isfinite(final_loss)
    return Record(
        key=record_key(recipe, seed, data.fingerprint, device),
        study=study,
        recipe=recipe,
        seed=seed,
        device=device,
        dataset_fingerprint=data.fingerprint,
        engine=ENGINE_VERSION,
        parameters=sum(p.numel() for p in network.parameters()),
        train_size=len(data.train_labels),
        test_size=len(data.test_labels),
        curves=curves,
        final_train_loss=None if diverged else final_loss,
        final_train_accuracy=None if diverged else final_accuracy,
        diverged=diverged,
        provenance=_provenance(device, time.perf_counter() - started, training_seconds),
    )


def train_epoch(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    images: UInt8[Tensor, "n c h w"],
    labels: Int64[Tensor, " n"],
    order: Int64[Tensor, " m"],
    recipe: Recipe,
) -> tuple[float, float]:
    """Train on the images that ``order`` names, in that order, in batches.

    All tensors lie on the network's device; nothing waits for the device before the end.

    Returns
    -------
    tuple
        Mean loss (nats) and accuracy over the epoch, as the weights changed.
    """
    loss_sum = torch.zeros((), device=images.device)
    correct = torch.zeros((), device=images.device, dtype=torch.int64)
    for indices in order.split(recipe.batch):
        target = labels[indices]
        with _precision(recipe, images.device):
            scores = network(normalized(images[indices]))
        loss = F.cross_entropy(scores.float(), target)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        loss_sum += loss.detach() * len(indices)
        correct += (scores.detach().argmax(1) == target).sum()
    return loss_sum.item() / len(order), correct.item() / len(order)


@torch.no_grad()
def evaluate(
    network: nn.Module,
    images: UInt8[Tensor, "n c h w"],
    labels: Int64[Tensor, " n"],
    recipe: Recipe,
) -> tuple[float, float]:
    """Return the mean loss (nats) and the accuracy on a whole set, in evaluation mode."""
    loss_sum = torch.zeros((), device=images.device, dtype=torch.float64)
    correct = torch.zeros((), device=images.device, dtype=torch.int64)
    network.eval()
    for batch, target in zip(
        images.split(_EVALUATION_BATCH), labels.split(_EVALUATION_BATCH), strict=True
    ):
        with _precision(recipe, images.device):
            scores = network(normalized(batch)).float()
        loss_sum += F.cross_entropy(scores, target, reduction="sum")
        correct += (scores.argmax(1) == target).sum()
    network.train()
    return loss_sum.item() / len(labels), correct.item() / len(labels)


def normalized(images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """Map bytes 0…255 to [-1, 1], the scale of PyTorch's CIFAR-10 tutorial."""
    return images.float().mul_(1 / 127.5).sub_(1)


def _initialised(recipe: Recipe, seed: int, data: Dataset) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream_seed(seed, "init"))
        network = networks.build(recipe.network, data.image_shape, recipe.filters, data.classes)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _optimizer(settings: Optimizer, network: nn.Module) -> torch.optim.Optimizer:
    if settings.name == "adam":
        return torch.optim.Adam(network.parameters(), lr=settings.lr, fused=True)
    return torch.optim.SGD(
        network.parameters(), lr=settings.lr, momentum=settings.momentum, fused=True
    )


def _precision(recipe: Recipe, device: torch.device) -> contextlib.AbstractContextManager[Any]:
    if recipe.precision == "bfloat16":
        return torch.autocast(device.type, torch.bfloat16)
    return contextlib.nullcontext()


def check_device(device: str) -> None:
    """Raise a ValueError that says what to do if this device cannot be trained on."""
    if device not in ("cpu", "cuda"):
        raise ValueError(f"device {device!r} is unknown; known: cpu, cuda")
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device 'cuda' was asked for, but PyTorch finds no GPU; use --device cpu")


@contextlib.contextmanager
def _threads(count: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    if count is not None:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _exact_convolutions() -> contextlib.AbstractContextManager[Any]:
    """Make float32 mean float32, and twice the same run the same bits, in cuDNN."""
    return torch.backends.cudnn.flags(
        enabled=True, benchmark=False, deterministic=True, allow_tf32=False
    )


def _provenance(device: str, wall_seconds: float, training_seconds: float) -> dict[str, Any]:
    return {
        "wall_seconds": round(wall_seconds, 3),
        "training_seconds": round(training_seconds, 3),
        "peak_memory_bytes": (
            torch.cuda.max_memory_allocated()
            if device == "cuda"
            else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MAXRSS_UNIT
        ),
        "threads": torch.get_num_threads(),
        "hardware": torch.cuda.get_device_name() if device == "cuda" else _processor(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "commit": _commit(),
    }


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


@cache
def _commit() -> str | None:
    """Return the commit that is run, with ``-dirty`` behind it where files differ from it."""
    if _git("rev-parse", "--show-toplevel") != str(_CHECKOUT):
        return None  # installed elsewhere, perhaps inside somebody else's repository
    return _git("describe", "--always", "--abbrev=40", "--dirty", "--exclude", "*")


def _git(*arguments: str) -> str | None:
    try:
        result = subprocess.run(
            ["git", *arguments], cwd=_CHECKOUT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return result.stdout.strip()
