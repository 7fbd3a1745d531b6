"""Data sets: every container, canonical order, and each way a file can be wrong."""

from __future__ import annotations

import gzip
import hashlib
import json
import lzma
import os
import struct
from pathlib import Path
from typing import get_args

import numpy as np
import pooch
import pytest
import torch
from sklearn.datasets import load_digits

from experiments import datasets, image_files
from experiments.image_files import DATA_VARIABLE, DataError
from experiments.recipe import DatasetName

_RECORD = 3073
_COUNT = 10_000


@pytest.fixture(autouse=True)
def _fresh_cache():
    datasets._load.cache_clear()
    yield
    datasets._load.cache_clear()


def _cifar_batch(seed: int) -> bytearray:
    rng = np.random.default_rng(seed)
    rows = np.zeros((_COUNT, _RECORD), np.uint8)
    rows[:, 0] = rng.integers(0, 10, _COUNT)
    rows[:, 1:5] = rng.integers(0, 256, (_COUNT, 4))
    return bytearray(rows.tobytes())


@pytest.fixture(scope="session")
def cifar_files() -> dict[str, bytearray]:
    """Six well-formed batch files of mostly black images."""
    names = [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]
    return {name: _cifar_batch(seed) for seed, name in enumerate(names)}


def _write_cifar(root: Path, files: dict[str, bytearray], compress=bytes, suffix="") -> Path:
    folder = root / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / (name + suffix)).write_bytes(compress(bytes(content)))
    return root


def _write_mnist(root: Path, train: int = 20, test: int = 10, **faults: bytes) -> Path:
    folder = root / "mnist"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for prefix, count in (("train", train), ("t10k", test)):
        images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        files = {
            f"{prefix}-images-idx3-ubyte": struct.pack(">4I", 0x803, count, 28, 28)
            + images.tobytes(),
            f"{prefix}-labels-idx1-ubyte": struct.pack(">2I", 0x801, count) + labels.tobytes(),
        }
        for name, content in files.items():
            (folder / name).write_bytes(faults.get(name.replace("-", "_"), content))
    return root


def test_plain_gz_and_xz_files_give_the_same_cifar10(tmp_path, cifar_files):
    loaded = [
        datasets.load("cifar10", _write_cifar(tmp_path / name, cifar_files, compress, suffix))
        for name, compress, suffix in (
            ("plain", bytes, ""),
            ("gz", lambda b: gzip.compress(b, 1), ".gz"),
            ("xz", lambda b: lzma.compress(b, preset=0), ".xz"),
        )
    ]
    assert len({data.fingerprint for data in loaded}) == 1
    assert loaded[0].train_images.shape == (50_000, 3, 32, 32)
    assert loaded[0].train_images.is_contiguous(memory_format=torch.channels_last)
    assert loaded[0].test_labels.shape == (10_000,)
    assert all(torch.equal(loaded[0].train_images, data.train_images) for data in loaded[1:])


def test_shuffled_files_give_the_same_data_set_and_a_changed_pixel_another(tmp_path, cifar_files):
    original = datasets.load("cifar10", _write_cifar(tmp_path / "a", cifar_files))
    rows = np.frombuffer(b"".join(list(cifar_files.values())[:5]), np.uint8).reshape(-1, _RECORD)
    shuffled = np.random.default_rng(1).permutation(rows)
    files = dict(cifar_files)
    for i in range(5):
        part = shuffled[i * _COUNT : (i + 1) * _COUNT]
        files[f"data_batch_{i + 1}.bin"] = bytearray(part.tobytes())
    again = datasets.load("cifar10", _write_cifar(tmp_path / "b", files))
    assert again.fingerprint == original.fingerprint
    assert torch.equal(again.train_images, original.train_images)
    assert torch.equal(again.train_labels, original.train_labels)

    changed = dict(cifar_files)
    changed["test_batch.bin"] = cifar_files["test_batch.bin"].copy()
    changed["test_batch.bin"][-1] ^= 1
    other = datasets.load("cifar10", _write_cifar(tmp_path / "c", changed))
    assert other.fingerprint != original.fingerprint


def test_images_keep_their_labels_and_planes(tmp_path, cifar_files):
    files = dict(cifar_files)
    batch = np.zeros((_COUNT, _RECORD), np.uint8)
    batch[0, 0] = 7
    batch[0, 1:] = np.repeat([10, 20, 30], 1024)  # red, green and blue plane
    batch[0, 1 + 5] = 99  # row 0, column 5 of the red plane
    files["test_batch.bin"] = bytearray(batch.tobytes())
    data = datasets.load("cifar10", _write_cifar(tmp_path, files))
    (found,) = torch.nonzero(data.test_labels == 7).flatten().tolist()
    image = data.test_images[found]
    assert image[:, 1, 0].tolist() == [10, 20, 30]
    assert image[0, 0, 5] == 99


def test_a_batch_that_is_too_short_or_too_long_is_named_with_both_sizes(tmp_path, cifar_files):
    root = _write_cifar(tmp_path, cifar_files)
    path = root / "cifar-10-batches-bin" / "data_batch_3.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"data_batch_3.bin holds 30,729,999 bytes, expected 30,73"):
        datasets.load("cifar10", root)
    path.write_bytes(path.read_bytes() + bytes(2))
    with pytest.raises(DataError, match=r"data_batch_3.bin holds 30,730,001 bytes, expected 30,73"):
        datasets.load("cifar10", root)


def test_a_label_of_12_is_named_with_its_record(tmp_path, cifar_files):
    files = dict(cifar_files)
    files["data_batch_2.bin"] = cifar_files["data_batch_2.bin"].copy()
    files["data_batch_2.bin"][17 * _RECORD] = 12
    files["data_batch_2.bin"][20 * _RECORD] = 13  # the first is named, and not the worst
    with pytest.raises(DataError, match=r"data_batch_2.bin: record 17 has label 12"):
        datasets.load("cifar10", _write_cifar(tmp_path, files))


@pytest.mark.parametrize(("suffix", "compress"), [(".xz", lzma.compress), (".gz", gzip.compress)])
def test_a_damaged_archive_is_named(tmp_path, suffix, compress):
    root = _write_mnist(tmp_path)
    path = root / "mnist" / "t10k-labels-idx1-ubyte"
    (root / "mnist" / (path.name + suffix)).write_bytes(compress(path.read_bytes())[:-9])
    path.unlink()
    with pytest.raises(DataError, match=rf"t10k-labels-idx1-ubyte{suffix} cannot be read"):
        datasets.load("mnist", root)


def test_a_missing_file_and_a_missing_folder_say_what_to_do(tmp_path):
    with pytest.raises(DataError, match=r"does not exist; .*--data-root or CONVLAWS_DATA"):
        datasets.load("cifar10", tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"file is not a folder; .*--data-root or CONVLAWS_DATA"):
        datasets.load("cifar10", tmp_path / "file")
    (tmp_path / "cifar-10-batches-bin").mkdir()
    with pytest.raises(DataError, match=r"data_batch_1.bin is missing .*plain, .gz and .xz"):
        datasets.load("cifar10", tmp_path)


def test_mnist_is_read_by_its_headers(tmp_path):
    data = datasets.load("mnist", _write_mnist(tmp_path))
    assert data.train_images.shape == (20, 1, 28, 28)
    assert sorted(data.test_labels.tolist()) == list(range(10))
    written = np.random.default_rng(0).integers(0, 256, (20, 28, 28), dtype=np.uint8)
    labels = {image.tobytes(): i % 10 for i, image in enumerate(written)}
    for image, label in zip(data.train_images, data.train_labels, strict=True):
        assert labels.pop(image.numpy().tobytes()) == label


def test_images_are_in_the_order_of_their_digests_and_the_fingerprint_is_made_of_these(tmp_path):
    data = datasets.load("mnist", _write_mnist(tmp_path))
    train, test = (
        [
            hashlib.sha256(image.numpy().tobytes() + bytes([label])).digest()
            for image, label in zip(images, labels.tolist(), strict=True)
        ]
        for images, labels in (
            (data.train_images, data.train_labels),
            (data.test_images, data.test_labels),
        )
    )
    assert train == sorted(train)
    assert test == sorted(test)
    whole = hashlib.sha256(b"mnist" + b"".join(train + test))
    assert data.fingerprint == whole.hexdigest()


@pytest.mark.parametrize("split", ["train", "t10k"])
def test_a_changed_label_is_another_data_set(tmp_path, split):
    original = datasets.load("mnist", _write_mnist(tmp_path / "a"))
    count = {"train": 20, "t10k": 10}[split]
    labels = struct.pack(">2I", 0x801, count) + bytes([9, *(i % 10 for i in range(1, count))])
    changed = _write_mnist(tmp_path / "b", **{f"{split}_labels_idx1_ubyte": labels})
    assert datasets.load("mnist", changed).fingerprint != original.fingerprint


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train_images_idx3_ubyte", struct.pack(">2I", 0x801, 20), "is not an idx file of 3"),
        ("train_images_idx3_ubyte", b"", "is not an idx file of 3"),
        ("train_images_idx3_ubyte", b"Not found\n", "is not an idx file of 3"),
        (
            "train_images_idx3_ubyte",  # as long as it should be, and of floats
            struct.pack(">4I", 0xD03, 20, 28, 28) + bytes(20 * 28 * 28),
            "is not an idx file of 3",
        ),
        ("t10k_labels_idx1_ubyte", struct.pack(">2I", 0x801, 10) + bytes(11), "19 bytes, expected"),
        ("t10k_images_idx3_ubyte", struct.pack(">4I", 0x803, 10, 28, 28), "expected 7,856"),
        ("train_labels_idx1_ubyte", struct.pack(">2I", 0x801, 3) + bytes(3), "20 images but"),
        ("t10k_labels_idx1_ubyte", struct.pack(">2I", 0x801, 10) + bytes([10] * 10), "label 10"),
    ],
)
def test_a_wrong_mnist_file_is_named(tmp_path, name, content, message):
    with pytest.raises(DataError, match=message) as error:
        datasets.load("mnist", _write_mnist(tmp_path, **{name: content}))
    assert name.replace("_", "-") in str(error.value)


def test_pairs_of_digits_are_labelled_with_their_sum(tmp_path):
    root = _write_mnist(tmp_path)
    singles, pairs = datasets.load("mnist", root), datasets.load("mnist-pairs", root)
    assert (pairs.classes, pairs.image_shape) == (19, (1, 56, 28))
    for split in ("train", "test"):
        images, labels = (getattr(singles, f"{split}_{part}") for part in ("images", "labels"))
        digit = {
            image.numpy().tobytes(): int(label) for image, label in zip(images, labels, strict=True)
        }
        stacked = getattr(pairs, f"{split}_images")
        halves = [[half.numpy().tobytes() for half in stacked.split(28, 2)[i]] for i in (0, 1)]
        sums = [digit[upper] + digit[lower] for upper, lower in zip(*halves, strict=True)]
        assert getattr(pairs, f"{split}_labels").tolist() == sums
        assert sorted(halves[0]) == sorted(halves[1]) == sorted(digit)  # each once in either place
        assert halves[0] != halves[1]
    assert pairs.fingerprint != singles.fingerprint


def test_the_pairs_of_digits_are_those_of_every_run(tmp_path):
    """Other pairs are other data: a run could not be compared with those of yesterday."""
    root = _write_mnist(tmp_path)
    singles, pairs = datasets.load("mnist", root), datasets.load("mnist-pairs", root)
    lower = [4, 1, 7, 5, 3, 9, 0, 8, 6, 2]  # ten numbers shuffled by the seed 0
    expected = {
        torch.cat([singles.test_images[i], singles.test_images[j]], 1).numpy().tobytes()
        for i, j in enumerate(lower)
    }
    assert {image.numpy().tobytes() for image in pairs.test_images} == expected


def test_an_unknown_data_set_names_those_there_are():
    with pytest.raises(
        ValueError, match="'cifar100' is unknown; known: cifar10, mnist, mnist-pairs, digits"
    ):
        datasets.load("cifar100")


def test_without_a_network_the_error_says_what_to_fetch(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / name)
    monkeypatch.setattr(pooch, "retrieve", refuse)
    with pytest.raises(DataError, match=r"cannot download mnist/train-images.*--data-root"):
        datasets.load("mnist")


def test_where_the_cache_cannot_be_made_the_error_says_so(tmp_path, monkeypatch):
    """Red where each mirror is blamed for what the folder is to blame for."""
    home = tmp_path / "home"
    home.touch()
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    monkeypatch.setattr(pooch, "os_cache", lambda name: home / name)
    expected = (
        rf"cannot download mnist/.*: the folder {home}/.* cannot be made \(Not a directory\); or"
    )
    with pytest.raises(DataError, match=expected):
        datasets.load("mnist")


def test_a_mirror_that_fails_is_followed_by_the_next(tmp_path, monkeypatch):
    asked = []

    def retrieve(url, known_hash, fname, path, **kwargs):
        asked.append(url)
        assert known_hash.startswith("md5:")
        if "ossci" in url:
            raise OSError("down")

    _write_mnist(tmp_path / "convlaws")
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / name)
    monkeypatch.setattr(pooch, "retrieve", retrieve)
    assert datasets.load("mnist").train_images.shape == (20, 1, 28, 28)
    assert len(asked) == 8  # four files, each from the first mirror and then the second


def test_an_archive_that_was_not_unpacked_whole_is_fetched_again(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / name)
    monkeypatch.setattr(pooch, "retrieve", lambda url, *args, **kwargs: asked.append(url))
    folder = tmp_path / "convlaws" / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    for part in range(1, 6):
        (folder / f"data_batch_{part}.bin").touch()
    assert image_files._download_cifar10() == folder
    assert len(asked) == 1
    (folder / "test_batch.bin").touch()
    assert image_files._download_cifar10() == folder
    assert len(asked) == 1


def test_digits_need_no_files(monkeypatch):
    monkeypatch.setenv(DATA_VARIABLE, "/nowhere")
    data = datasets.load("digits")
    assert data.image_shape == (1, 8, 8)
    assert (len(data.train_labels), len(data.test_labels)) == (1347, 450)
    # Sixteen shades and none, rounded; the last quarter of scikit-learn's own order is the test.
    assert data.train_images.unique().tolist() == [round(255 * shade / 16) for shade in range(17)]
    last = load_digits().target[-450:]
    assert torch.bincount(data.test_labels).tolist() == np.bincount(last).tolist()


def _fingerprints(report: str, dataset: str) -> set[str]:
    """Return which data the stored records of a report were made from, of one data set."""
    folder = Path(__file__).resolve().parents[1] / "docs" / "results" / report
    records = [json.loads(path.read_text("utf-8")) for path in folder.glob("*.json")]
    return {each["dataset_fingerprint"] for each in records if each["recipe"]["dataset"] == dataset}


@pytest.mark.skipif(DATA_VARIABLE not in os.environ, reason=f"{DATA_VARIABLE} names no data folder")
def test_the_real_mnist_is_the_official_one():
    data = datasets.load("mnist")
    assert (len(data.train_labels), len(data.test_labels)) == (60_000, 10_000)
    # Published class counts of the test set (digit 0 first).
    assert torch.bincount(data.test_labels).tolist() == [
        980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009,
    ]  # fmt: skip
    for name in ("mnist", "mnist-pairs"):
        assert _fingerprints("mnist-2017", name) == {datasets.load(name).fingerprint}


@pytest.mark.skipif(DATA_VARIABLE not in os.environ, reason=f"{DATA_VARIABLE} names no data folder")
def test_the_real_cifar10_has_the_published_statistics():
    data = datasets.load("cifar10")
    assert torch.bincount(data.train_labels).tolist() == [5000] * 10
    assert torch.bincount(data.test_labels).tolist() == [1000] * 10
    mean = data.train_images.double().mean((0, 2, 3)) / 255
    # Channel means of the training images as widely published, to their printed digits.
    assert [round(value, 4) for value in mean.tolist()] == [0.4914, 0.4822, 0.4465]
    assert _fingerprints("nn4i-2023-a1", "cifar10") == {data.fingerprint}


def test_every_name_that_a_recipe_may_give_can_be_loaded():
    assert tuple(datasets._LOADERS) == get_args(DatasetName)
