"""Portrait: what a trained network looks at, its first filters and its first and last maps.

A portrait is a small file beside the records, so that figures are drawn without weights and without
the data set.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from experiments.errors import InputError
from theory.atomic import write_whole

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor


@dataclass(frozen=True)
class Portrait:
    """What one trained network computes, in half precision.

    Parameters
    ----------
    filters
        Weights of the first convolution.
    first, last
        Outputs of the first and of the last convolution for some images, before any activation.
    """

    filters: Float[np.ndarray, "f c k k"]
    first: Float[np.ndarray, "n f h w"]
    last: Float[np.ndarray, "n g i j"]


@torch.no_grad()
def take(network: nn.Module, images: Float[Tensor, "n c h w"]) -> Portrait:
    """Return the portrait of a network that is shown some images.

    Parameters
    ----------
    network
        Runs in evaluation mode, and comes back in the mode that it was in.
    images
        Its inputs, scaled as it was trained with.

    Raises
    ------
    ValueError
        If it has no convolution, or computes its scores without calling it, or there are no images.
    """
    if not len(images):
        raise InputError("a portrait needs at least one image, got none")
    convolutions = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d)]
    if not convolutions:
        raise InputError("the network has no convolution, and so neither filters nor maps to show")
    seen: dict[nn.Module, Tensor] = {}
    hooks = [
        layer.register_forward_hook(lambda layer, args, maps: seen.update({layer: maps}))
        for layer in {convolutions[0], convolutions[-1]}
    ]
    training = network.training
    try:
        network.eval()(images)
    finally:
        network.train(training)
        for hook in hooks:
            hook.remove()
    if not seen:
        raise InputError(
            "the network does not compute the maps of its convolutions one by one, and has none to "
            "show; take a network with nonlinearities between them"
        )
    shown = (convolutions[0].weight, seen[convolutions[0]], seen[convolutions[-1]])
    return Portrait(*(each.float().cpu().contiguous().numpy().astype(np.float16) for each in shown))


def place(record: Path) -> Path:
    """Return where the portrait of a run lies: beside its record, under the same key."""
    return record.with_suffix(".portrait.npz")


def save(portrait: Portrait, path: Path) -> None:
    """Write a portrait, whole or not at all.

    Raises
    ------
    ValueError
        If the file cannot be written.
    """
    content = io.BytesIO()
    np.savez_compressed(content, **asdict(portrait))
    try:
        write_whole(path, content.getvalue())
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}; name another folder") from error


def load(path: Path) -> Portrait:
    """Read a portrait.

    Raises
    ------
    ValueError
        If there is no such file, or it is none of a portrait.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return Portrait(**arrays)
    except FileNotFoundError:
        raise InputError(
            f"there is no portrait {path}; make it with 'python -m experiments portrait'"
        ) from None
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path} is no portrait ({error}); remove it and make it anew with "
            "'python -m experiments portrait'"
        ) from error
