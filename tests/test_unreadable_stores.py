"""Stores that may not be read, as on a shared disk: their runs are not taken for missing."""

from __future__ import annotations

import errno
import os

import pytest

from experiments.catalog import study
from experiments.records import RecordError, Store

STUDY = study("digits")
RECIPE = STUDY.recipe("linear", "adam")


@pytest.fixture
def forbid(monkeypatch):
    """Make the names, or the files, of a folder unreadable; permissions do not bind root."""

    def forbid(call, folder):
        allowed = getattr(os, call)

        def refused(path, *arguments, **options):
            if os.path.abspath(path) == str(folder):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return allowed(path, *arguments, **options)

        monkeypatch.setattr(os, call, refused)

    return forbid


@pytest.fixture
def store(tmp_path, make_record):
    store = Store(tmp_path)
    store.write(make_record(RECIPE, 0, study=STUDY.name))
    return store


COMMANDS = (
    ("show", "digits", "linear"),
    ("status", "digits"),
    ("report", "digits"),
    ("run", "digits", "linear", "--seeds", 1),
)
OF_A_VARIANT = ("show", "digits", "linear@epochs-1")
"""Whose runs have a folder of their own in the store."""


@pytest.mark.parametrize("call", ["scandir", "stat"])
@pytest.mark.parametrize(
    ("command", "folder"),
    [
        *((command, folder) for command in COMMANDS for folder in (STUDY.name, ".")),
        (OF_A_VARIANT, "."),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(map(str, value)),
)
def test_a_folder_that_may_not_be_read_is_named(convlaws, store, forbid, command, folder, call):
    folder = store.root / folder
    forbid(call, folder)
    code, out, err = convlaws(*command, "--store", store.root)
    assert (code, out) == (2, "")
    assert f"error: folder {folder} cannot be read: Permission denied; get permission" in err


def test_a_record_that_may_not_be_read_is_not_to_be_deleted(store, monkeypatch):
    """Red where the advice is that for a damaged one: it may be whole."""

    def refused(path, *arguments, **options):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr("pathlib.Path.read_text", refused)
    with pytest.raises(RecordError, match=r"json cannot be read: Permission denied; get") as told:
        list(store.records(STUDY.name))
    assert "delete" not in str(told.value)
