"""Commands print on terminals and files that do not know every character, and end with a word."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from theory.command_line import ended_by_interrupts

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


@pytest.mark.skipif(os.name != "posix", reason="a signal is sent as Unix has it")
@pytest.mark.parametrize("package", ["theory", "experiments", "benches"])
def test_an_interrupt_among_the_imports_ends_a_command_at_once(
    package: str, tmp_path: Path
) -> None:
    """They take seconds on a busy machine; Python's own handler would print a traceback."""
    (tmp_path / "typer.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGINT)")
    done = subprocess.run(
        [sys.executable, "-m", package, "--help"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, b"", b"")


@pytest.mark.parametrize("handler", [signal.default_int_handler, signal.SIG_IGN])
def test_who_handles_interrupts_after_the_imports_is_as_before(
    handler: Any,
) -> None:
    before = signal.signal(signal.SIGINT, handler)
    try:
        with ended_by_interrupts():
            within = signal.getsignal(signal.SIGINT)
        after = signal.getsignal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
    assert within == (signal.SIG_IGN if handler == signal.SIG_IGN else signal.SIG_DFL)
    assert after == handler


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
