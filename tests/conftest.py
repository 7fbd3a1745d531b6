"""Fixtures that several tests share."""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

import theory
from experiments import __main__ as experiments_cli
from experiments.layout.cache import PLACE
from experiments.records import ENGINE_VERSION, Curves, Record, record_key
from experiments.variants import variant
from tests.precision_pairs import RECIPE as PAIRED
from tests.reported_study import STUDY as REPORTED
from tests.toy_study import recipe as toy_recipe
from theory import __main__ as theory_cli
from theory.hypothesis_profiles import load_profiles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import ModuleType

    from experiments.recipe import Recipe

load_profiles()


@pytest.fixture(scope="session", autouse=True)
def _heed_interrupts() -> None:
    """Undo what a shell does to a program in the background: its children would ignore Ctrl-C."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Small tensors gain nothing from threads, which fight where several processes test at once."""
    torch.set_num_threads(1)


@pytest.fixture
def allowed() -> Iterator[Callable[[], list[str]]]:
    """Return what each library may make of float32, wherever a test has set that; undo it later."""
    backends: Any = torch.backends
    libraries = [
        *(backends.mkldnn.matmul, backends.mkldnn.conv, backends.mkldnn.rnn),
        *(backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn),
    ]
    yield lambda: [library.fp32_precision for library in libraries]
    backends.fp32_precision = "none"
    torch.set_float32_matmul_precision("highest")
    for library in libraries:
        library.fp32_precision = "none"
    backends.cudnn.allow_tf32 = True


@pytest.fixture
def load_chapter() -> Callable[[str], ModuleType]:
    """Load a chapter a second time, so that faults planted in it stay out of the real one."""

    def load(name: str) -> ModuleType:
        path = Path(theory.__file__).with_name(f"{name}.py")
        spec = importlib.util.spec_from_file_location(f"planted_{name}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture
def convlaws(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Run ``python -m experiments ARGUMENTS`` in this process: exit code, stdout, stderr."""
    return _command("experiments", experiments_cli.main, monkeypatch, capsys)


@pytest.fixture
def theory_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Run ``python -m theory ARGUMENTS`` in this process: exit code, stdout, stderr."""
    return _command("theory", theory_cli.main, monkeypatch, capsys)


def _command(
    package: str,
    main: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., tuple[int, str, str]]:
    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", [package, *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        captured = capsys.readouterr()
        # Typer colours its help where it believes that a terminal, or a CI, shows it.
        out, err = (re.sub(r"\x1b\[[0-9;]*m", "", text) for text in captured)
        return int(stop.value.code or 0), out, err

    return run


@pytest.fixture
def refused(convlaws: Callable[..., tuple[int, str, str]]) -> Callable[..., str]:
    """Run a command of the experiments that must be refused in one line; return that line."""

    def check(*arguments: object) -> str:
        code, out, err = convlaws(*arguments)
        assert code == 2
        assert out == ""
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        return err

    return check


@pytest.fixture
def make_record() -> Callable[..., Record]:
    """Build the record of a run that never happened.

    A curve may be given as one number, which then holds at every epoch; ``diverged_after`` cuts all
    curves short. ``provenance`` changes a complete one. Everything else is a field of the record.
    """

    def make(
        recipe: Recipe,
        seed: int,
        *,
        train_loss: float | list[float] = 1.0,
        train_accuracy: float | list[float] = 0.5,
        test_loss: float | list[float] = 1.0,
        test_accuracy: float | list[float] = 0.5,
        diverged_after: int | None = None,
        **fields: Any,
    ) -> Record:
        curves = [
            (curve if isinstance(curve, list) else [curve] * recipe.epochs)[:diverged_after]
            for curve in (train_loss, train_accuracy, test_loss, test_accuracy)
        ]
        diverged = diverged_after is not None
        made = {
            "wall_seconds": 1.0, "training_seconds": 1.0, "threads": 1, "hardware": "a processor",
            "python": "3.11", "torch": "2.9", "numpy": "2.0",
        } | fields.pop("provenance", {})  # fmt: skip
        settings = {
            "study": "toy",
            "device": "cpu",
            "dataset_fingerprint": "fingerprint",
            "engine": ENGINE_VERSION,
            "parameters": 100,
            "train_size": 50_000,
            "test_size": 10_000,
            "final_train_loss": None if diverged else 1.0,
            "final_train_accuracy": None if diverged else 0.5,
        } | fields
        return Record(
            key=record_key(
                recipe,
                seed,
                settings["dataset_fingerprint"],
                settings["device"],
                settings["engine"],
            ),
            recipe=recipe,
            seed=seed,
            curves=Curves(*curves),
            diverged=diverged,
            provenance=made,
            **settings,
        )

    return make


@pytest.fixture
def wide(make_record: Callable[..., Record]) -> Callable[..., list[Record]]:
    """Make records of the wide toy network, one for each test accuracy after the last epoch."""

    def records(accuracies: Iterable[float], **fields: Any) -> list[Record]:
        return [
            make_record(toy_recipe("wide", "slow"), seed, test_accuracy=float(accuracy), **fields)
            for seed, accuracy in enumerate(accuracies)
        ]

    return records


@pytest.fixture
def runs_in(make_record: Callable[..., Record]) -> Callable[..., list[Record]]:
    """Make the records of one recipe in one precision, a test accuracy a seed; None diverged."""

    def make(
        precision: str,
        accuracies: Iterable[float | None],
        *,
        recipe: Recipe = PAIRED,
        epochs_scale: float = 1,
        seconds: float = 100.0,
        **fields: Any,
    ) -> list[Record]:
        changed = variant(recipe, precision=precision, epochs_scale=epochs_scale)
        made = {"wall_seconds": 200.0, "training_seconds": seconds} | fields.pop("provenance", {})
        return [
            make_record(
                changed, seed, study="digits", provenance=made, test_accuracy=accuracy or 0.0,
                diverged_after=2 if accuracy is None else None, **fields,
            )
            for seed, accuracy in enumerate(accuracies)
        ]  # fmt: skip

    return make


@pytest.fixture
def rates_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return where rates of layouts are kept, in a new folder."""
    path = tmp_path / "cache" / "layouts.json"
    monkeypatch.setenv(PLACE, str(path))
    return path


@pytest.fixture
def noisy_records(make_record: Callable[..., Record]) -> list[Record]:
    """Make three noisy runs of every recipe; those of linear-6 under Adam diverge for seed 1."""
    generator = np.random.default_rng(11)

    def curve(recipe: Recipe, level: float) -> list[float]:
        return list(level + 0.05 * generator.standard_normal(recipe.epochs))

    return [
        make_record(
            recipe,
            seed,
            study=REPORTED.name,
            train_loss=curve(recipe, 1.0),
            train_accuracy=curve(recipe, 0.6),
            test_loss=curve(recipe, 1.2),
            test_accuracy=curve(recipe, 0.5),
            parameters=46590 if recipe.filters == 20 else 3172,
            diverged_after=4 if recipe.name == "linear-6.adam" and seed == 1 else None,
        )
        for recipe in REPORTED.recipes
        for seed in range(3)
    ]


@pytest.fixture
def build_page(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Build a site of one page with some extensions over a store; return its HTML, or raise."""
    pytest.importorskip("sphinx", reason="the docs extra is not installed")
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[1] / "docs"))
    testing, errors = map(importlib.import_module, ("sphinx.testing.util", "sphinx.errors"))
    source = tmp_path / "source"
    source.mkdir()
    apps = []

    def build(page: str, *extensions: str, store: Path = tmp_path) -> str:
        settings = (
            f"extensions = {['myst_parser', *extensions]}\nconvlaws_records = {str(store)!r}\n"
        )
        (source / "index.md").write_text(page, "utf-8")
        (source / "conf.py").write_text(settings, "utf-8")
        apps.append(testing.SphinxTestApp("html", srcdir=source))
        apps[-1].build()
        if problems := apps[-1].warning.getvalue():
            raise errors.ExtensionError(problems)
        html: str = (apps[-1].outdir / "index.html").read_text("utf-8")
        return html

    yield build
    for app in apps:
        app.cleanup()


@pytest.fixture
def store_benches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[object], object]:
    """Store the results of a run of benches where the pages of the site look for them."""
    path = tmp_path / "bench.json"
    monkeypatch.setattr("_ext.benches.STORED", path)
    return lambda results: path.write_text(json.dumps(results), "utf-8")
