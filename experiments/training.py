"""Training: one recipe, one seed, one device, measured."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from experiments import datasets, networks
from experiments.arguments import as_count, check_name
from experiments.augmentation import Inputs, inputs_of
from experiments.checkpoint import Checkpoint, Progress
from experiments.course import Course, Measured
from experiments.datasets import Dataset
from experiments.device import autocast, check_device, full_precision, reproducible, seeded
from experiments.errors import InputError
from experiments.provenance import provenance
from experiments.recipe import Optimizer, Recipe
from experiments.records import ENGINE_VERSION, Record, record_key
from experiments.sampling import LabelledImages, orders, random_stream, split, stream_seed

EpochCallback = Callable[[int], None]
"""Called after each epoch with its number, from 1; where a run goes on, with the last one first."""

TrainedCallback = Callable[[nn.Module, Inputs], None]
"""Called with a trained network, in evaluation mode, and the way to its inputs."""

_EVALUATED_ON_CPU, _EVALUATED_ON_GPU = 250, 1000
"""Images that are evaluated at once, in the size that they are stored in. The maps of more would
leave a processor's cache; fewer would leave a GPU idle."""

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
    on_trained: TrainedCallback | None = None,
    checkpoint: Checkpoint | None = None,
) -> Record:
    """Train one network and return what was measured.

    Every random draw comes from generators that ``seed`` fixes (the device's own for dropout, the
    CPU's for all else), and on CUDA only deterministic convolutions without TF32 are used: the same
    recipe, seed, device and thread count give the same record, bit for bit, apart from its
    provenance.

    Parameters
    ----------
    recipe, seed
        What to run; seeds are integers from 0.
    study
        The catalogue study the record belongs to.
    device
        ``"cpu"`` or ``"cuda"``.
    data_root
        Folder of the data sets, and of trained weights where the recipe starts from them; ``None``
        as in :func:`experiments.datasets.load`.
    threads
        CPU threads of this process; ``None`` leaves PyTorch's setting.
    on_epoch
        Progress callback.
    on_trained
        Called with the trained network in evaluation mode, the one with the lowest validation loss
        where patience ends the run, and the way from its images to its inputs.
    checkpoint
        Where to go on if an earlier call was interrupted, and what to keep for a later one. It
        changes nothing but times. On the CPU alone.

    Raises
    ------
    ValueError
        If the seed or the threads are no such number, the study's name could not be part of a
        file's, a name in the recipe is unknown, the device is not available, or a checkpoint is
        given for another than the CPU.
    experiments.image_files.DataError
        If the data cannot be had.
    """
    seed = as_count("seed", seed, least=0)
    check_name("a study's", study)
    if checkpoint is not None and device != "cpu":
        raise InputError("only a run on the CPU keeps a checkpoint: leave it out")
    check_device(device)
    data = datasets.load(recipe.dataset, data_root)
    with reproducible(threads):
        job = Job(recipe, seed, study, device, data)
        return _train(job, data_root, on_epoch, on_trained, checkpoint)


@dataclass(frozen=True)
class Job:
    """One run: its recipe and seed, the study it belongs to, and the device and data it has."""

    recipe: Recipe
    seed: int
    study: str
    device: str
    data: Dataset

    def finish(
        self, network: nn.Module, course: Course, train_set: LabelledImages, inputs: Inputs
    ) -> Record:
        """Restore the weights that a course kept, and return its record, without provenance.

        The record holds what the network scores on the whole training set with the weights that
        the course ended with and, where others are kept, with those.
        """
        final = evaluate(network, *train_set, self.recipe, inputs)
        kept = None
        if course.restore(network):
            kept = evaluate(network, *train_set, self.recipe, inputs)
        diverged = course.diverged or not math.isfinite(final[0])
        return Record(
            key=record_key(self.recipe, self.seed, self.data.fingerprint, self.device),
            study=self.study,
            recipe=self.recipe,
            seed=self.seed,
            device=self.device,
            dataset_fingerprint=self.data.fingerprint,
            engine=ENGINE_VERSION,
            parameters=sum(p.numel() for p in network.parameters()),
            train_size=len(train_set[1]),
            test_size=len(self.data.test_labels),
            curves=course.curves,
            final_train_loss=None if diverged else final[0],
            final_train_accuracy=None if diverged else final[1],
            best_train_accuracy=None if diverged or kept is None else kept[1],
            diverged=diverged,
            provenance={},
        )


def _train(
    job: Job,
    data_root: Path | None,
    on_epoch: EpochCallback | None,
    on_trained: TrainedCallback | None,
    checkpoint: Checkpoint | None,
) -> Record:
    recipe, seed, device, data = job.recipe, job.seed, job.device, job.data
    train_set, validation_set, test_set = (
        (images.to(device), labels.to(device))
        for images, labels in (*split(recipe, seed, data), (data.test_images, data.test_labels))
    )
    inputs = inputs_of(recipe, train_set[0])
    network = initialised(recipe, seed, inputs, data, data_root).to(device)
    optimizer = make_optimizer(recipe.optimizer, network)
    images, labels = inputs.padded(train_set[0]), train_set[1]
    order = orders(recipe, len(labels), random_stream(seed, "order"))
    random = random_stream(seed, "augmentation")
    course = Course(recipe)
    progress = Progress(network, optimizer, course, random)
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    started = time.perf_counter()
    with seeded(stream_seed(seed, "dropout"), device):
        if checkpoint is not None:
            checkpoint.resume(progress)
        started -= progress.wall_seconds
        for _ in range(progress.epochs):
            next(order)
        if on_epoch is not None and progress.epochs:
            on_epoch(progress.epochs)
        while not course.finished:
            epoch = progress.epochs + 1
            for group in optimizer.param_groups:
                group["lr"] = recipe.optimizer.lr_at(epoch, recipe.epochs)
            began = time.perf_counter()
            trained = train_epoch(
                network, optimizer, images, labels, next(order).to(device), recipe, inputs, random
            )
            progress.training_seconds += time.perf_counter() - began
            tested = evaluate(network, *test_set, recipe, inputs)
            validated = (
                evaluate(network, *validation_set, recipe, inputs) if recipe.validation else None
            )
            course.add(trained, tested, validated, network.state_dict)
            progress.wall_seconds = time.perf_counter() - started
            if checkpoint is not None and not course.finished:
                checkpoint.keep(progress)
            if on_epoch is not None and not course.diverged:
                on_epoch(epoch)
    record = job.finish(network, course, train_set, inputs)
    made = provenance(device, time.perf_counter() - started, progress.training_seconds)
    if progress.resumed_after:
        made["resumed_after_epochs"] = progress.resumed_after
    if on_trained is not None:
        on_trained(network.eval(), inputs)
    return replace(record, provenance=made)


def train_epoch(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    images: UInt8[Tensor, "n c h w"],
    labels: Int64[Tensor, " n"],
    order: Int64[Tensor, " m"],
    recipe: Recipe,
    inputs: Inputs = _PLAIN,
    generator: torch.Generator | None = None,
) -> Measured:
    """Train on the images that ``order`` names, in that order, in batches.

    All tensors lie on the network's device; nothing waits for the device before the end.
    ``inputs`` makes the network's inputs, with random numbers from ``generator``.

    Returns
    -------
    tuple
        Mean loss (nats) and accuracy over the epoch, as the weights changed.
    """
    loss_sum = torch.zeros((), device=images.device, dtype=next(network.parameters()).dtype)
    correct = torch.zeros((), device=images.device, dtype=torch.int64)
    for indices in order.split(recipe.batch):
        target = labels[indices]
        with autocast(recipe.precision, images.device):
            scores = full_precision(network(inputs.training(images, indices, generator)))
        loss = F.cross_entropy(scores, target)
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
) -> Measured:
    """Return the mean loss (nats) and the accuracy on a whole set, in evaluation mode.

    The network comes back in the mode that it was in.
    """
    loss_sum = torch.zeros((), device=images.device, dtype=torch.float64)
    correct = torch.zeros((), device=images.device, dtype=torch.int64)
    training = network.training
    network.eval()
    at_once = evaluated_at_once(inputs, images)
    for batch, target in zip(images.split(at_once), labels.split(at_once), strict=True):
        with autocast(recipe.precision, images.device):
            scores = full_precision(network(inputs.evaluation(batch)))
        loss_sum += F.cross_entropy(scores, target, reduction="sum")
        correct += (scores.argmax(1) == target).sum()
    network.train(training)
    return loss_sum.item() / len(labels), correct.item() / len(labels)


def evaluated_at_once(inputs: Inputs, images: UInt8[Tensor, "n c h w"]) -> int:
    """Return how many of a set's images are evaluated at once."""
    most = _EVALUATED_ON_CPU if images.device.type == "cpu" else _EVALUATED_ON_GPU
    return inputs.fitting(most, images)


def initialised(
    recipe: Recipe, seed: int, inputs: Inputs, data: Dataset, data_root: Path | None = None
) -> nn.Module:
    """Return the network of a recipe as a seed initialises it, on the CPU and channels last."""
    channels, height, width = data.image_shape
    with seeded(stream_seed(seed, "init")):
        network = networks.build(
            recipe.network,
            (channels, inputs.side(height), inputs.side(width)),
            recipe.filters,
            data.classes,
        )
        networks.initialise(network, recipe.initialisation, data_root)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def make_optimizer(
    settings: Optimizer, network: nn.Module, *, fused: bool = True
) -> torch.optim.Optimizer:
    """Return the optimiser that settings describe, for all weights of a network.

    ``fused`` updates all weights in one kernel; otherwise PyTorch chooses how.
    """
    common: dict[str, Any] = {
        "lr": settings.lr,
        "weight_decay": settings.weight_decay,
        "fused": fused or None,  # False would keep PyTorch from choosing
    }
    if settings.name == "adam":
        return torch.optim.Adam(network.parameters(), **common)
    return torch.optim.SGD(network.parameters(), momentum=settings.momentum, **common)
