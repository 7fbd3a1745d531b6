"""``python -m theory audit``: what a user sees, for good and for bad input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

CONV = ("torch.nn:Conv2d", "--kwargs", '{"in_channels": 3, "out_channels": 8, "kernel_size": 3}')


def test_an_audit_as_a_table(
    theory_command: Callable[..., tuple[int, str, str]],
) -> None:
    code, out, err = theory_command("audit", *CONV, "--shape", "3,32,32")
    assert (code, err) == (0, "")
    assert "Conv2d: (3, 32, 32) -> (8, 30, 30), in evaluation mode" in out
    assert "parameters       224" in out
    assert max(map(len, out.splitlines())) <= 100


def test_the_same_audit_as_json(
    theory_command: Callable[..., tuple[int, str, str]],
) -> None:
    code, out, _ = theory_command("audit", *CONV, "--shape", "3x32x32", "--json")
    report = json.loads(out)
    assert code == 0
    assert report["target"] == "torch.nn:Conv2d"
    assert report["macs"] == 8 * 30 * 30 * 27
    assert report["rows"][0]["receptive_field"] == [3, 3]


def test_a_function_that_builds_a_model(
    theory_command: Callable[..., tuple[int, str, str]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    (tmp_path / "models_of_mine.py").write_text(
        "from torch import nn\n\n\ndef build(width):\n    return nn.Linear(4, width)\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(tmp_path)
    arguments = ("models_of_mine:build", "--kwargs", '{"width": 5}', "--shape", "4", "--json")
    code, out, _ = theory_command("audit", *arguments)
    assert code == 0
    assert json.loads(out)["parameters"] == 4 * 5 + 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["torch.nn:ReLU"], "give --shape"),
        (["torch.nn:Nope", "--shape", "8"], "torch.nn has no 'Nope'"),
        (["torch.nn:Conv2d", "--shape", "3,8,8"], "cannot be made"),
        (["torch:relu", "--shape", "8"], "torch:relu makes no model"),
        (["os:getcwd", "--shape", "8"], "os:getcwd gives a str"),
        (["torch.nn:ReLU", "--shape", "eight"], "--shape 'eight' is not integers"),
        (["torch.nn:ReLU", "--shape", "0"], "all sizes at least 1"),
        (["torch.nn:ReLU", "--shape", "8", "--kwargs", "{a"], "is not JSON"),
        ([*CONV, "--shape", "4,8,8"], "Conv2d fails on an input of shape (4, 8, 8)"),
        (["torch.nn:ReLU", "--shape", "8", "--seed", str(2**64)], f"--seed {2**64} is too large"),
        (
            ["torch.nn:ReLU", "--shape", "99999999999999"],
            "cells along an axis: receptive fields are found cell by cell",
        ),
        (["torch.nn:ReLU", "--shape", "9" * 30], "no array has as many cells"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    theory_command: Callable[..., tuple[int, str, str]],
    arguments: list[str],
    message: str,
) -> None:
    code, out, err = theory_command("audit", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err
