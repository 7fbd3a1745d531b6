"""Weights that were trained on ImageNet, from a file or a download.

Source: the ResNet-18 of torchvision (``ResNet18_Weights.IMAGENET1K_V1``).
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import torch

from experiments import downloads
from experiments.datasets import data_folder
from experiments.errors import InputError
from experiments.image_files import DATA_VARIABLE, DataError

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

_FOLDER = "weights"
_NAME = "resnet18-f37072fd.pth"
_SHA256 = "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec"
_MIRRORS = ["https://download.pytorch.org/models/"]
_CLASSIFIER = "fc."
_COUNTERS = "num_batches_tracked"


def find(root: Path | str | None = None) -> Path:
    """Return where the file of weights lies, downloaded to the user's cache if it must be.

    Parameters
    ----------
    root
        Data folder, as in :func:`experiments.datasets.load`, which may hold the file in
        ``weights/``.

    Raises
    ------
    experiments.image_files.DataError
        If there is no such file and it cannot be downloaded, or it is not the official one.
    """
    folder = data_folder(root)
    path = None if folder is None else folder / _FOLDER / _NAME
    if path is not None and path.is_file():
        _check(path)
        return path
    try:
        return downloads.fetch(f"{_FOLDER}/{_NAME}", f"sha256:{_SHA256}", _MIRRORS)
    except downloads.DownloadError as error:
        raise DataError(
            f"{error}; fetch {_MIRRORS[0]}{_NAME} yourself and put it into {_FOLDER}/ of the "
            f"folder that --data-root or {DATA_VARIABLE} names"
        ) from error


@torch.no_grad()
def start_from_imagenet(network: nn.Module, root: Path | str | None = None) -> None:
    """Give a network the weights and statistics of ImageNet, all but those of its last layer.

    Parameters
    ----------
    network
        A :class:`experiments.networks.resnet.ResNet18` with the stem of 7x7, for three channels and
        with 64 filters; changed in place.
    root
        As in :func:`find`.

    Raises
    ------
    ValueError
        If the network is another one.
    experiments.image_files.DataError
        As :func:`find`.
    """
    state = network.state_dict()
    known = torch.load(find(root), map_location="cpu", weights_only=True)
    # The classifier is for other classes, and the counters of batches may not be in the file.
    known = {name: value for name, value in known.items() if not name.startswith(_CLASSIFIER)}
    needed = {name for name in state if not name.startswith(_CLASSIFIER)}
    missing = {name for name in needed - known.keys() if not name.endswith(_COUNTERS)}
    if (
        missing
        or known.keys() - needed
        or any(value.shape != state[name].shape for name, value in known.items())
    ):
        raise InputError(
            "only the network 'resnet-18-7x7' with 64 filters, on images of three channels, can "
            "start from the weights of ImageNet; choose another initialisation"
        )
    network.load_state_dict(state | known)


def _check(path: Path) -> None:
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error}); replace it") from error
    if digest != _SHA256:
        raise DataError(
            f"{path} has the SHA-256 {digest[:12]}…, expected {_SHA256[:12]}…; replace it with "
            f"{_MIRRORS[0]}{_NAME}"
        )
