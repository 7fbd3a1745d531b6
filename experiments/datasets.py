"""Data sets: CIFAR-10, MNIST, pairs of MNIST's digits, and scikit-learn's digits.

The images come back in a canonical order (sorted by the digest of image and label), so any copy
of a data set, however its files are shuffled, gives the same runs.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from experiments import image_files
from experiments.arguments import check_text
from experiments.errors import InputError
from experiments.image_files import CIFAR_FOLDER, DATA_VARIABLE, MNIST_FOLDER, DataError, Split
from experiments.recipe import CLASSES, DatasetName


@dataclass(frozen=True, eq=False)
class Dataset:
    """A labelled image set, as bytes.

    Images are uint8 of shape ``(n, channels, height, width)``, channels last in memory; labels are
    int64 of shape ``(n,)``. ``fingerprint`` is a SHA-256 (hex) of all images and labels.
    """

    name: str
    train_images: UInt8[Tensor, "n c h w"]
    train_labels: Int64[Tensor, " n"]
    test_images: UInt8[Tensor, "m c h w"]
    test_labels: Int64[Tensor, " m"]
    classes: int
    fingerprint: str

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """``(channels, height, width)`` of one image."""
        _, channels, height, width = self.train_images.shape
        return channels, height, width


def load(name: str, root: Path | str | None = None) -> Dataset:
    """Load a data set.

    Parameters
    ----------
    name
        ``"cifar10"``, ``"mnist"``, ``"mnist-pairs"`` (two MNIST images, one above the other, with
        the sum of both digits as label) or ``"digits"`` (embedded in scikit-learn, needs no files).
    root
        Folder with ``cifar-10-batches-bin/`` and ``mnist/``, whose files may be plain, ``.gz`` or
        ``.xz``. ``None``: the folder that ``CONVLAWS_DATA`` names; where that is unset, the
        official files are downloaded once to the user's cache.

    Raises
    ------
    ValueError
        If the name is unknown.
    DataError
        If a file is missing, truncated, corrupt or holds an impossible label, or a download fails.
    """
    check_text("a data set's name", name)
    if name not in _LOADERS:
        raise InputError(f"data set {name!r} is unknown; known: {', '.join(_LOADERS)}")
    folder = data_folder(root)
    return _load(name, None if folder is None else folder.resolve())


def data_folder(root: Path | str | None = None) -> Path | None:
    """Return the data folder that is meant, as an absolute path; None where none is named."""
    named = root or os.environ.get(DATA_VARIABLE)
    return Path(named).expanduser().absolute() if named else None


@cache
def _load(name: str, root: Path | None) -> Dataset:
    if root is not None and not root.is_dir() and name != "digits":
        wrong = "is not a folder" if root.exists() else "does not exist"
        raise DataError(
            f"data folder {root} {wrong}; pass one that holds {CIFAR_FOLDER}/ and "
            f"{MNIST_FOLDER}/ with --data-root or {DATA_VARIABLE}, or neither to download"
        )
    return _LOADERS[name](root)


def _mnist_pairs(root: Path | None) -> Dataset:
    """Pair every image of MNIST, as the upper half, with one drawn without replacement."""
    mnist = _load("mnist", root)
    return _dataset(
        "mnist-pairs",
        _pairs(mnist.train_images, mnist.train_labels),
        _pairs(mnist.test_images, mnist.test_labels),
    )


def _pairs(images: UInt8[Tensor, "n 1 28 28"], labels: Int64[Tensor, " n"]) -> Split:
    other = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    stacked = torch.cat([images, images[other]], dim=2)
    return stacked.numpy(), (labels + labels[other]).to(torch.uint8).numpy()


def _digits(root: Path | None) -> Dataset:
    del root  # embedded in scikit-learn
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = (bunch.images * (255 / 16)).round().astype(np.uint8)[:, None]
    labels = bunch.target.astype(np.uint8)
    split = 3 * len(labels) // 4  # 1,347 images to train on and 450 to test on
    return _dataset("digits", (images[:split], labels[:split]), (images[split:], labels[split:]))


_LOADERS: dict[str, Callable[[Path | None], Dataset]] = {
    "cifar10": lambda root: _dataset("cifar10", *image_files.cifar10(root)),
    "mnist": lambda root: _dataset("mnist", *image_files.mnist(root)),
    "mnist-pairs": _mnist_pairs,
    "digits": _digits,
}


def _dataset(name: DatasetName, train: Split, test: Split) -> Dataset:
    train_images, train_labels, train_digest = _canonical(*train)
    test_images, test_labels, test_digest = _canonical(*test)
    fingerprint = hashlib.sha256(name.encode() + train_digest + test_digest).hexdigest()
    return Dataset(
        name,
        train_images,
        train_labels,
        test_images,
        test_labels,
        classes=CLASSES[name],
        fingerprint=fingerprint,
    )


def _canonical(
    images: UInt8[np.ndarray, "n c h w"], labels: UInt8[np.ndarray, " n"]
) -> tuple[UInt8[Tensor, "n c h w"], Int64[Tensor, " n"], bytes]:
    """Return images and labels sorted by their digests, and all digests in that order."""
    digests = [
        hashlib.sha256(image.tobytes() + label.tobytes()).digest()
        for image, label in zip(images, labels, strict=True)
    ]
    order = sorted(range(len(digests)), key=digests.__getitem__)
    pixels = torch.from_numpy(images[order]).contiguous(memory_format=torch.channels_last)
    return (
        pixels,
        torch.from_numpy(labels[order].astype(np.int64)),
        b"".join(digests[i] for i in order),
    )
