"""The verdicts of the theory's trials, by running them; once for each state of their sources."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from functools import cache
from typing import TYPE_CHECKING

from sphinx.errors import ExtensionError
from sphinx.util import logging

from _ext.places import GENERATED, ROOT
from theory.ledger.tally import Settled

if TYPE_CHECKING:
    from pathlib import Path

_LOG = logging.getLogger(__name__)
_TAIL_LINES = 30


@cache
def theory_verdicts(root: Path = ROOT, store: Path = GENERATED / "verdicts") -> dict[str, Settled]:
    """Run the trials of ``<root>/theory``, unless they ran before, and return what they settled.

    Parameters
    ----------
    root : Path
        The folder that holds ``theory``.
    store : Path
        Where verdicts are kept, in a file named by the digest of the theory's sources.

    Returns
    -------
    dict from claim id to Settled
        The claims that are settled.

    Raises
    ------
    sphinx.errors.ExtensionError
        If a trial fails: a site would show verdicts that do not stand.
    """
    path = store / f"{_digest(root / 'theory')}.json"
    if not path.exists():
        _LOG.info("running the trials of the theory ...")
        _run_trials(root, path)
    verdicts = json.loads(path.read_text("utf-8"))
    return {
        claim: Settled(**{**settled, "trials": tuple(settled["trials"])})
        for claim, settled in verdicts.items()
    }


def _digest(folder: Path) -> str:
    """Hash what the verdicts follow from: the theory's sources, by name and content."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.suffix in {".py", ".toml"}):
        digest.update(f"{path.relative_to(folder).as_posix()}\n".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def _run_trials(root: Path, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    command = ["-m", "pytest", "theory", "-q", "-p", "no:cacheprovider", "--verdicts", str(partial)]
    run = subprocess.run(
        [sys.executable, *command], cwd=root, capture_output=True, text=True, check=False
    )
    if run.returncode != 0:
        partial.unlink(missing_ok=True)
        tail = "\n".join((run.stdout + run.stderr).splitlines()[-_TAIL_LINES:])
        raise ExtensionError(
            f"the trials of the theory do not pass, so there are no verdicts to show; "
            f"run `pytest theory` and mend what fails:\n{tail}"
        )
    partial.replace(path)
