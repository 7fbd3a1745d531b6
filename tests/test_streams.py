"""Commands print on terminals and files that do not know every character."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
@pytest.mark.parametrize(
    "command",
    [
        ("experiments", "list"),
        ("experiments", "report", "nni-2023-ex1"),
        ("theory", "claims", "tp1-cnn-q9-pool"),
    ],
    ids=" ".join,
)
def test_unknown_characters_are_replaced(command: tuple[str, ...], encoding: str) -> None:
    """Tables have dashes and arrows; without a replacement they end in UnicodeEncodeError."""
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode(encoding)


def _redirected(command: str, output: Path | str) -> subprocess.CompletedProcess[str]:
    """Run a command whose standard output a shell sends elsewhere."""
    return subprocess.run(
        ["sh", "-c", f'"$0" -m {command} >{output}', sys.executable],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("command", ["theory claims tp1-cnn-q9-pool", "experiments list"])
def test_a_command_whose_output_is_closed_does_its_work(command: str) -> None:
    """Whoever starts runs in the background may close it."""
    done = _redirected(command, "&-")
    assert (done.returncode, done.stderr) == (0, "")


FULL = Path("/dev/full")


@pytest.mark.skipif(not FULL.exists(), reason=f"there is no {FULL}")
@pytest.mark.parametrize(
    "command",
    [
        "theory claims tp1-cnn-q9-pool",
        "theory claims tp1-cnn-q9-pool --json",
        "experiments list",
        "experiments list --json",
        "benches compare docs/results/bench.json docs/results/bench.json",
    ],
)
def test_a_command_that_prints_on_a_full_disk_says_so_in_one_line(command: str) -> None:
    done = _redirected(command, FULL)
    told = "error: [Errno 28] No space left on device: free some space, or write elsewhere\n"
    assert (done.returncode, done.stderr) == (2, told)


@pytest.mark.parametrize("command", ["theory claims", "theory claims --json", "experiments list"])
def test_a_command_whose_reader_has_gone_ends_without_a_word(command: str) -> None:
    """As with ``head``, which closes its end of the pipe."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as pipe:
        done = subprocess.run(
            [sys.executable, "-m", *command.split()],
            cwd=ROOT,
            stdout=pipe,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, b"")


def test_trials_run_where_their_marker_is_not_configured(tmp_path: Path) -> None:
    """Installed, they meet another project's settings, strict ones among them."""
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--pyargs", "theory.test_map_sizes"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "warning" not in done.stdout
