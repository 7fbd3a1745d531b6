"""Files from the network, fetched once into the user's cache and checked against their hashes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pooch

if TYPE_CHECKING:
    from collections.abc import Iterable


class DownloadError(Exception):
    """A file that no mirror gave; the message says what each of them answered."""


def cache() -> Path:
    """Return the folder that downloads go to."""
    return Path(pooch.os_cache("convlaws"))


def fetch(
    name: str, known_hash: str, mirrors: Iterable[str], processor: pooch.Untar | None = None
) -> Path:
    """Return where a file lies in the cache, downloaded if it does not lie there yet.

    Parameters
    ----------
    name
        Its path inside the cache; the last part is its name on every mirror.
    known_hash
        Its hash, with the algorithm before it: ``"md5:…"``, ``"sha256:…"``.
    mirrors
        Addresses of the folders that hold it, in the order in which they are asked.
    processor
        What unpacks it.

    Raises
    ------
    DownloadError
        If its folder cannot be made, or no mirror gives a file of this hash: no network,
        no space, or another file.
    """
    path = cache() / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:  # a container, for one, may have no home
        raise DownloadError(
            f"cannot download {name}: the folder {path.parent} cannot be made ({error.strerror})"
        ) from error
    failures = []
    for mirror in mirrors:
        try:
            pooch.retrieve(
                mirror + path.name,
                known_hash,
                fname=path.name,
                path=path.parent,
                processor=processor,
                downloader=pooch.HTTPDownloader(timeout=30, progressbar=False),
            )
        except ValueError:
            failures.append(f"{mirror}: its file has another hash")
        except OSError as error:  # no network, or no space
            failures.append(f"{mirror}: {error.strerror or type(error).__name__}")
        else:
            return path
    raise DownloadError(f"cannot download {name} ({'; '.join(failures)})")
