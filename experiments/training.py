"""Training: one recipe, one seed, one device, measured."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from experiments import datasets, networks
from experiments.augmentation import Inputs, inputs_of
from experiments.datasets import Dataset
from experiments.provenance import provenance
from experiments.recipe import Optimizer, Recipe
from experiments.records import ENGINE_VERSION, Curves, Record, record_key
from experiments.sampling import LabelledImages, orders, split, stream_seed

EpochCallback = Callable[[int], None]
"""Called after each epoch with its number, from 1."""

_EVALUATION_BATCH = 1000
_PLAIN = Inputs()


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

    Every random draw comes from generators that ``seed`` fixes (the device's own for dropout, the
    CPU's for all else), and on CUDA only deterministic convolutions without TF32 are used: the same
    recipe, seed, device and thread count give the same record, bit for bit, apart from its
    provenance.

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
    train_set, validation_set, test_set = (
        (images.to(device), labels.to(device))
        for images, labels in (*split(recipe, seed, data), (data.test_images, data.test_labels))
    )
    inputs = inputs_of(recipe, train_set[0])
    height, width = inputs.evaluation(data.test_images[:1].to(device)).shape[2:]
    shape = (data.image_shape[0], height, width)
    network = _initialised(recipe, seed, shape, data.classes).to(device)
    run = _Run(recipe, network, _optimizer(recipe.optimizer, network), inputs, seed)
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    started = time.perf_counter()
    with _random_layers(seed, device):
        finite = run.train(train_set, validation_set, test_set, on_epoch)
    final = evaluate(network, *train_set, recipe, inputs)
    diverged = not (finite and math.isfinite(final[0]))
    best = run.evaluate_best(train_set)
    return Record(
        key=record_key(recipe, seed, data.fingerprint, device),
        study=study,
        recipe=recipe,
        seed=seed,
        device=device,
        dataset_fingerprint=data.fingerprint,
        engine=ENGINE_VERSION,
        parameters=sum(p.numel() for p in network.parameters()),
        train_size=len(train_set[1]),
        test_size=len(data.test_labels),
        curves=run.curves,
        final_train_loss=None if diverged else final[0],
        final_train_accuracy=None if diverged else final[1],
        best_train_accuracy=None if diverged or best is None else best[1],
        diverged=diverged,
        provenance=provenance(device, time.perf_counter() - started, run.training_seconds),
    )


class _Run:
    """A network on its way through the epochs of a recipe."""

    def __init__(
        self,
        recipe: Recipe,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        inputs: Inputs,
        seed: int,
    ) -> None:
        self.curves = Curves([], [], [], [])
        self.training_seconds = 0.0
        self._inputs = inputs
        self._recipe = recipe
        self._network = network
        self._optimizer = optimizer
        self._order = torch.Generator().manual_seed(stream_seed(seed, "order"))
        self._random = torch.Generator().manual_seed(stream_seed(seed, "augmentation"))
        self._best: dict[str, Tensor] | None = None

    def train(
        self,
        train_set: LabelledImages,
        validation_set: LabelledImages,
        test_set: LabelledImages,
        on_epoch: EpochCallback | None,
    ) -> bool:
        """Train to the end, or until patience does; return False where the loss was lost."""
        recipe, (images, labels) = self._recipe, train_set
        images = self._inputs.padded(images)
        order = orders(recipe, len(labels), self._order)
        for epoch in range(1, recipe.epochs + 1):
            for group in self._optimizer.param_groups:
                group["lr"] = recipe.optimizer.lr_at(epoch, recipe.epochs)
            started = time.perf_counter()
            trained = train_epoch(
                self._network,
                self._optimizer,
                images,
                labels,
                next(order).to(images.device),
                recipe,
                self._inputs,
                self._random,
            )
            self.training_seconds += time.perf_counter() - started
            tested = self._evaluate(test_set)
            validated = self._evaluate(validation_set) if recipe.validation else None
            if not all(math.isfinite(loss) for loss, _ in (trained, tested, validated or tested)):
                return False
            self.curves.append(trained, tested, validated)
            if on_epoch is not None:
                on_epoch(epoch)
            if recipe.patience is not None:
                self._keep_best()
                if _patience_ends(self.curves.validation_loss, recipe.patience):
                    break
        return True

    def evaluate_best(self, train_set: LabelledImages) -> tuple[float, float] | None:
        """Return loss and accuracy of the weights with the lowest validation loss, if kept."""
        if self._best is None:
            return None
        self._network.load_state_dict(self._best)
        return self._evaluate(train_set)

    def _evaluate(self, images_and_labels: LabelledImages) -> tuple[float, float]:
        return evaluate(self._network, *images_and_labels, self._recipe, self._inputs)

    def _keep_best(self) -> None:
        losses = self.curves.validation_loss
        if np.argmin(losses) == len(losses) - 1:  # of equal ones the first, as the quantities read
            state = self._network.state_dict()
            self._best = {name: value.clone() for name, value in state.items()}


def _patience_ends(losses: list[float], patience: int) -> bool:
    """Whether none of the last ``patience`` losses is lower than the one before them."""
    return len(losses) > patience and min(losses[-patience:]) >= losses[-patience - 1]


@contextlib.contextmanager
def _random_layers(seed: int, device: str) -> Iterator[None]:
    """Let dropout draw from a stream of the seed, and give the caller's random state back."""
    with torch.random.fork_rng(devices=["cuda"] if device == "cuda" else []):
        torch.manual_seed(stream_seed(seed, "dropout"))
        yield


def train_epoch(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    images: UInt8[Tensor, "n c h w"],
    labels: Int64[Tensor, " n"],
    order: Int64[Tensor, " m"],
    recipe: Recipe,
    inputs: Inputs = _PLAIN,
    generator: torch.Generator | None = None,
) -> tuple[float, float]:
    """Train on the images that ``order`` names, in that order, in batches.

    All tensors lie on the network's device; nothing waits for the device before the end.
    ``inputs`` makes the network's inputs, with random numbers from ``generator``.

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
            scores = network(inputs.training(images, indices, generator))
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
    inputs: Inputs = _PLAIN,
) -> tuple[float, float]:
    """Return the mean loss (nats) and the accuracy on a whole set, in evaluation mode."""
    loss_sum = torch.zeros((), device=images.device, dtype=torch.float64)
    correct = torch.zeros((), device=images.device, dtype=torch.int64)
    network.eval()
    for batch, target in zip(
        images.split(_EVALUATION_BATCH), labels.split(_EVALUATION_BATCH), strict=True
    ):
        with _precision(recipe, images.device):
            scores = network(inputs.evaluation(batch)).float()
        loss_sum += F.cross_entropy(scores, target, reduction="sum")
        correct += (scores.argmax(1) == target).sum()
    network.train()
    return loss_sum.item() / len(labels), correct.item() / len(labels)


def _initialised(
    recipe: Recipe, seed: int, image_shape: tuple[int, int, int], classes: int
) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream_seed(seed, "init"))
        network = networks.build(recipe.network, image_shape, recipe.filters, classes)
        networks.initialise(network, recipe.initialisation)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _optimizer(settings: Optimizer, network: nn.Module) -> torch.optim.Optimizer:
    if settings.name == "adam":
        return torch.optim.Adam(
            network.parameters(), lr=settings.lr, weight_decay=settings.weight_decay, fused=True
        )
    return torch.optim.SGD(
        network.parameters(),
        lr=settings.lr,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
        fused=True,
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
