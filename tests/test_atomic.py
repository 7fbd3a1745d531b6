"""Files written whole: nothing is left half-written, and an interrupt stays an interrupt."""

from __future__ import annotations

import os
import time

import pytest

from experiments.records import Store
from theory.atomic import write_whole


def test_an_interrupt_just_after_the_move_is_told(tmp_path, monkeypatch):
    """Red where the temporary file, which is no more, is missed in place of the interrupt."""
    move = os.replace

    def interrupted(*paths):
        move(*paths)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_whole(tmp_path / "folder" / "file", b"new")
    assert [path.read_bytes() for path in tmp_path.rglob("file")] == [b"new"]


@pytest.mark.parametrize("step", ["fsync", "chmod", "replace"])
def test_what_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, step):
    file = tmp_path / "file"
    write_whole(file, b"old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(file, b"new")
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == {file: b"old"}


def test_what_a_killed_process_left_is_removed_before_a_run_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "replace", _killed)
    monkeypatch.setattr(os, "unlink", lambda _: None)
    for name in ("old", "young"):
        with pytest.raises(KeyboardInterrupt):
            write_whole(tmp_path / "store" / name / "record.json", b"new")
    monkeypatch.undo()
    write_whole(tmp_path / "store" / "old" / "record.json", b"new")
    long_ago = time.time() - 86_400
    for file in (tmp_path / "store" / "old").iterdir():
        os.utime(file, (long_ago, long_ago))
    Store(tmp_path / "store").check_writable()
    assert [path.name for path in (tmp_path / "store" / "old").iterdir()] == ["record.json"]
    assert len(list((tmp_path / "store" / "young").iterdir())) == 1


def _killed(*_):
    raise KeyboardInterrupt
