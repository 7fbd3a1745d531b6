"""``python -m theory``: what a user sees, for good and for bad input."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from rich.console import Console

from theory.commands import audit, diagnose, options
from theory.commands.targets import BadInputError

ROOT = Path(__file__).parents[1]


def test_a_diagnosis_as_a_table(
    theory_command: Callable[..., tuple[int, str, str]],
) -> None:
    code, out, err = theory_command("diagnose", "torch.nn:ReLU", "--shape", "8")
    assert (code, err) == (0, "")
    assert "ReLU: (8,) -> (8,), circular boundary" in out
    assert "x = [1 at 0], y = [-1 at 0]: f(x + y) = 0 but f(x) + f(y) = 1 at 0" in out
    assert "No --shape" not in out


def test_the_same_diagnosis_as_json(
    theory_command: Callable[..., tuple[int, str, str]],
) -> None:
    arguments = ("diagnose", "torch.nn:MaxPool2d", "--kwargs", '{"kernel_size": 2}', "--json")
    code, out, _ = theory_command(*arguments, "--shape", "1x4x4")
    report = json.loads(out)
    assert code == 0
    assert report["target"] == "torch.nn:MaxPool2d"
    assert report["shape"] == [1, 4, 4]
    assert report["default_shape"] is False
    assert report["linear"]["holds"] is False
    assert report["period"] == [2, 2]
    assert report["shift_equivariant"]["witness"]["shift"] == [1, 0]


@pytest.mark.parametrize(
    ("target", "kwargs", "shape"),
    [
        ("torch.nn:ReLU", {}, [8]),
        ("torch.nn:Linear", {"in_features": 5, "out_features": 2}, [5]),
        ("torch.nn:Conv1d", {"in_channels": 2, "out_channels": 1, "kernel_size": 3}, [2, 8]),
        ("torch.nn:MaxPool2d", {"kernel_size": 2}, [1, 8, 8]),
        ("torch.nn:BatchNorm3d", {"num_features": 2}, [2, 4, 4, 4]),
        ("torch.nn.functional:relu", {}, [8]),
        ("torch:roll", {"shifts": 1}, [8]),
        ("numpy:flip", {}, [8]),
    ],
)
def test_the_default_shape_fits_the_operator_and_is_said(
    theory_command: Callable[..., tuple[int, str, str]],
    target: str,
    kwargs: dict[str, int],
    shape: list[int],
) -> None:
    arguments = ("diagnose", target, "--kwargs", json.dumps(kwargs))
    code, out, _ = theory_command(*arguments, "--json")
    report = json.loads(out)
    assert code == 0
    assert report["shape"] == shape
    assert report["default_shape"] is True
    _, out, _ = theory_command(*arguments)
    assert f"--shape {','.join(map(str, shape))}." in out


@pytest.mark.parametrize("command", ["diagnose", "audit"])
def test_what_the_users_code_prints_is_no_part_of_the_report(
    theory_command: Callable[..., tuple[int, str, str]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    command: str,
) -> None:
    (tmp_path / f"printing_{command}.py").write_text(
        "from torch import nn\n\nprint('imported')\n\n\nclass Layer(nn.ReLU):\n"
        "    def __init__(self):\n        super().__init__()\n        print('made')\n\n"
        "    def forward(self, x):\n        print('called')\n        return super().forward(x)\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(tmp_path)
    code, out, err = theory_command(command, f"printing_{command}:Layer", "--shape", "8", "--json")
    assert code == 0
    assert json.loads(out)["shape"] == [8]
    assert {"imported", "made", "called"} == set(err.split())


def test_boundary_and_axes_are_passed_on(
    theory_command: Callable[..., tuple[int, str, str]],
) -> None:
    kwargs = '{"in_channels": 1, "out_channels": 1, "kernel_size": 3, "padding": 1, "bias": false}'
    arguments = ("diagnose", "torch.nn:Conv2d", "--kwargs", kwargs, "--shape", "1,6,6", "--json")
    code, out, _ = theory_command(*arguments, "--boundary", "interior", "--axes", "2")
    report = json.loads(out)
    assert code == 0
    assert report["boundary"] == "interior"
    assert report["lti"]["holds"] is True
    assert report["border"] == [1]


def test_the_precision_is_passed_on(
    theory_command: Callable[..., tuple[int, str, str]],
) -> None:
    arguments = ("diagnose", "torch.nn:ReLU", "--shape", "8", "--json")
    for given, expected in (((), "float64"), (("--dtype", "float32"), "float32")):
        code, out, _ = theory_command(*arguments, *given)
        assert code == 0
        assert json.loads(out)["dtype"] == expected


class _AtOnce(threading.Timer):
    """A timer that has run out as soon as it is started."""

    def start(self) -> None:
        self.function()

    def join(self, timeout: float | None = None) -> None: ...


@pytest.mark.parametrize("terminal", [True, False])
def test_what_takes_long_is_shown_on_a_terminal_alone(
    monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    monkeypatch.setattr(threading, "Timer", _AtOnce)
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=terminal, force_interactive=terminal)
    with options.working("diagnosing ReLU", console):
        pass
    assert ("diagnosing ReLU" in shown.getvalue()) is terminal
    assert bool(shown.getvalue()) is terminal


def test_what_is_over_soon_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options, "_QUIET_SECONDS", 1e6)
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, force_interactive=True)
    with options.working("diagnosing ReLU", console):
        pass
    assert shown.getvalue() == ""


def test_the_budget_is_passed_on(
    theory_command: Callable[..., tuple[int, str, str]],
) -> None:
    arguments = ("diagnose", "torch:roll", "--kwargs", '{"shifts": 1}', "--shape", "8", "--json")
    for given, expected in (((), "exhausted"), (("--budget", "4"), "sampled")):
        code, out, _ = theory_command(*arguments, *given)
        assert code == 0
        assert json.loads(out)["shift_equivariant"]["certainty"] == expected


def test_the_seed_fixes_random_weights(
    theory_command: Callable[..., tuple[int, str, str]],
) -> None:
    kwargs = json.dumps({"in_features": 4, "out_features": 4})
    arguments = ("diagnose", "torch.nn:Linear", "--kwargs", kwargs, "--json", "--seed")
    first = theory_command(*arguments, "1")
    assert theory_command(*arguments, "1") == first
    assert theory_command(*arguments, "2") != first


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["torch.nn:Nope"], "torch.nn has no 'Nope'"),
        (["torch.nn:Relu"], "did you mean ReLU"),
        (["nowhere.at.all:x"], "cannot import 'nowhere.at.all'"),
        (["torch.nn"], "is not module:attribute"),
        ([":ReLU"], "is not module:attribute"),
        (["torch:pi"], "not a class or function"),
        (["torch.nn:Conv2d"], "missing 3 required positional arguments"),
        (["torch.nn:Parameter"], "cannot be called"),
        (["torch.nn:ReLU", "--kwargs", "{a"], "is not JSON"),
        (["torch.nn:ReLU", "--kwargs", "[1]"], "is no JSON object"),
        (["torch.nn:ReLU", "--shape", "eight"], "--shape 'eight' is not integers"),
        (["torch.nn:ReLU", "--shape", "8,"], "is not integers"),
        (["torch.nn:ReLU", "--shape", "0"], "all sizes at least 1"),
        (["torch.nn:ReLU", "--shape", "8", "--boundary", "open"], "--boundary 'open': give circ"),
        (["torch.nn:ReLU", "--boundary", "open"], "--boundary 'open': give circular or interior"),
        (["torch.nn:ReLU", "--shape", "8", "--dtype", "half"], "--dtype 'half': give float64 or"),
        (["torch.nn:ReLU", "--shape", "8", "--axes", "x"], "--axes 'x' is not integers"),
        (["torch.nn:ReLU", "--shape", "8", "--axes", "1"], "axes is (1,)"),
        (
            [
                "torch.nn:Linear",
                "--kwargs",
                '{"in_features": 3, "out_features": 3}',
                "--shape",
                "8",
            ],
            "Linear takes no input of shape (8,)",
        ),
        (["os:getcwd"], "no default shape fits"),
        (["sys:exit", "--shape", "8"], "what is called ends the program, with sys.exit("),
        (["sys:exit"], "what is called ends the program, with sys.exit("),
        (["ending:x"], "cannot import 'ending': it calls sys.exit(3)"),
        (["ends:Ends"], "ends:Ends cannot be made: it calls sys.exit('made'); give --kwargs"),
        (
            ["torch.nn:Conv1d", "--kwargs", '{"taps": 3}'],
            "unexpected keyword argument 'taps'; mend --kwargs",
        ),
        (["torch.nn:ReLU", "--seed", str(2**64)], f"--seed {2**64} is too large"),
        (["torch:relu", "--seed", str(2**64)], f"--seed {2**64} is too large"),
        (["torch.nn:ReLU", "--shape", "99999999999999"], "does not fit into memory"),
        (["torch.nn:ReLU", "--shape", "9" * 30], "no array has as many cells"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    theory_command: Callable[..., tuple[int, str, str]],
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "ending.py").write_text("import sys\nsys.exit(3)\n")
    (tmp_path / "ends.py").write_text(
        "import sys\nclass Ends:\n    def __init__(self):\n        sys.exit('made')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    code, out, err = theory_command("diagnose", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert message in err


@pytest.mark.parametrize(
    "command",
    [
        lambda: diagnose.diagnose("torch.nn:ReLU", shape="eight"),
        lambda: diagnose.diagnose("torch.nn:ReLU", shape="8", axes="x"),
        lambda: diagnose.diagnose("torch.nn:ReLU", shape="8", axes="1"),
        lambda: diagnose.diagnose("os:getcwd"),
        lambda: audit.audit("torch.nn:ReLU", shape="eight"),
        lambda: audit.audit("torch.nn:Flatten", shape="0"),
    ],
)
def test_bad_input_is_a_value_error_and_not_its_own_cause(command: Callable[[], None]) -> None:
    with pytest.raises(BadInputError) as caught:
        command()
    assert isinstance(caught.value, ValueError)
    assert not isinstance(caught.value.__cause__, BadInputError)


def test_the_largest_seed_is_taken(
    theory_command: Callable[..., tuple[int, str, str]],
) -> None:
    for command in ("diagnose", "audit"):
        code, _, err = theory_command(
            command, "torch.nn:ReLU", "--shape", "8", "--seed", str(2**64 - 1)
        )
        assert (code, err) == (0, "")


def test_the_ledger_and_the_help_need_no_pytorch() -> None:
    """Importing it takes seconds; what claims say must not."""
    code = "import sys, theory.__main__, theory.ledger; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_convolutions_of_arrays_need_no_pytorch() -> None:
    """Red if a module on the way imports it, which takes longer than most convolutions."""
    modules = "theory.convolution, theory.signals, theory.structured_matrices"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_help_shows_examples(
    theory_command: Callable[..., tuple[int, str, str]],
) -> None:
    code, out, _ = theory_command("diagnose", "--help")
    assert code == 0
    for option in (
        "--shape",
        "--kwargs",
        "--boundary",
        "--axes",
        "--dtype",
        "--budget",
        "--seed",
        "--json",
        "torch.nn:ReLU",
    ):
        assert option in out


def test_as_a_program() -> None:
    command = [sys.executable, "-W", "error", "-m", "theory", "diagnose", "torch.nn:Nope"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.strip() == "error: torch.nn has no 'Nope'"


def test_a_maker_of_models_that_ends_the_program_is_told(
    theory_command: Callable[..., tuple[int, str, str]],
) -> None:
    code, out, err = theory_command("audit", "sys:exit", "--shape", "8")
    assert (code, out) == (2, "")
    assert "sys:exit makes no model: it calls sys.exit(None); give --kwargs" in err
