"""The verdicts of the theory's trials, by running them; once for each state of their sources.

The trials run while the pages are read.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from sphinx.errors import ExtensionError
from sphinx.util import logging

from _ext.places import GENERATED, ROOT
from theory.ledger.tally import Settled

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment
    from sphinx.util.typing import ExtensionMetadata

KEPT = GENERATED / "verdicts"
"""The folder of verdicts, in a file named by the digest of the theory's sources."""

_LOG = logging.getLogger(__name__)
_TAIL_LINES = 30
_VERDICTS = re.compile(r"\{(claims|other-claims|ledger|tally)\}")


@dataclass(frozen=True)
class Trials:
    """The trials of one state of the sources, ended or under way.

    Parameters
    ----------
    path : Path
        Where their verdicts are kept.
    process : subprocess.Popen or None
        Who runs them; None where they ran before.
    """

    path: Path
    process: subprocess.Popen[bytes] | None


@cache
def start_trials() -> Trials:
    """Run the trials of the theory in a process of their own, unless they ran before."""
    path = KEPT / f"{_digest(ROOT / 'theory')}.json"
    if path.exists():
        return Trials(path, None)
    KEPT.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pytest", "theory", "-q", "-p", "no:cacheprovider"]
    with _output(path).open("wb") as output:
        process = subprocess.Popen(
            [*command, "--verdicts", str(_partial(path))],
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    atexit.register(process.kill)  # a build that fails before leaves nothing running
    return Trials(path, process)


@cache
def theory_verdicts() -> dict[str, Settled]:
    """Return what the trials of the theory settled, once they have ended.

    Returns
    -------
    dict from claim id to Settled
        The claims that are settled.

    Raises
    ------
    sphinx.errors.ExtensionError
        If a trial fails: a site would show verdicts that do not stand.
    """
    trials = start_trials()
    if trials.process is not None and not trials.path.exists():
        _LOG.info("waiting for the trials of the theory ...")
        _finish(trials.process, trials.path)
    verdicts = json.loads(trials.path.read_text("utf-8"))
    return {
        claim: Settled(**{**settled, "trials": tuple(settled["trials"])})
        for claim, settled in verdicts.items()
    }


def _finish(process: subprocess.Popen[bytes], path: Path) -> None:
    failed = process.wait() != 0
    output = _output(path).read_text("utf-8", errors="replace")
    _output(path).unlink()
    if failed:
        _partial(path).unlink(missing_ok=True)
        tail = "\n".join(output.splitlines()[-_TAIL_LINES:])
        raise ExtensionError(
            f"the trials of the theory do not pass, so there are no verdicts to show; "
            f"run `pytest theory` and mend what fails:\n{tail}"
        )
    _partial(path).replace(path)


def _partial(path: Path) -> Path:
    return path.with_suffix(".partial")


def _output(path: Path) -> Path:
    return path.with_suffix(".output")


def _digest(folder: Path) -> str:
    """Hash what the verdicts follow from: the theory's sources, and what they were run with."""
    digest = hashlib.sha256(sys.version.encode())
    for package in ("numpy", "scipy", "sympy", "torch"):
        digest.update(f"{package} {version(package)}\n".encode())
    for path in sorted(p for p in folder.rglob("*") if p.suffix in {".py", ".toml"}):
        digest.update(f"{path.relative_to(folder).as_posix()}\n".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def start_if_needed(app: Sphinx, env: BuildEnvironment, docnames: list[str]) -> None:
    """Start the trials if a page shows verdicts."""
    if any(_shows_verdicts(Path(env.doc2path(name))) for name in docnames):
        start_trials()


def _shows_verdicts(page: Path) -> bool:
    return _VERDICTS.search(page.read_text("utf-8")) is not None


def setup(app: Sphinx) -> ExtensionMetadata:
    """Run the trials while the pages are read."""
    app.connect("env-before-read-docs", start_if_needed)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
