"""What ``pytest theory`` adds to pytest: the tally of verdicts, ``--verdicts PATH``, the plugin."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from theory import plugin
from theory.hypothesis_profiles import load_profiles
from theory.ledger.claims import LedgerError
from theory.ledger.tally import Outcome, Tally, table, write
from theory.ledger.trials import Ruling, rulings_of

if TYPE_CHECKING:
    from collections.abc import Iterator

load_profiles()

_MARKER = "settles(ruling): what the trial says about claims; made by theory.ledger.settles"
_PROPERTY = "settles"
_NARROWING = ("keyword", "markexpr", "deselect", "lf", "ignore", "ignore_glob", "collectonly")


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    """Offer ``--verdicts``, and what the plugin offers if it is not there yet."""
    if not pluginmanager.is_registered(plugin):
        pluginmanager.register(plugin, plugin.__name__)
    parser.getgroup("theory").addoption(
        "--verdicts",
        type=Path,
        metavar="PATH",
        help="write the verdicts on the ledger's claims as JSON",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse a path that cannot be written before any trial runs, then listen to the reports."""
    config.addinivalue_line("markers", _MARKER)
    path = config.getoption("verdicts", None)
    if path is not None and (path.is_dir() or not path.resolve().parent.is_dir()):
        raise pytest.UsageError(f"--verdicts {path}: expected a file in an existing folder")
    if config.getoption("operator", None) is not None:
        return  # the battery on somebody's operator says nothing about the claims
    if not hasattr(config, "workerinput"):  # an xdist worker's reports reach the controller
        config.pluginmanager.register(_Court(config, path))


def pytest_itemcollected(item: pytest.Item) -> None:
    """Hang the rulings of a trial on its reports, which is how they leave an xdist worker."""
    try:
        rulings = [ruling.to_dict() for ruling in rulings_of(item)]
    except LedgerError as error:
        raise pytest.UsageError(str(error)) from None
    if rulings:
        item.user_properties.append((_PROPERTY, rulings))


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Run the trials on one thread: their arrays are tiny, more threads only get in the way."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


class _Court:
    """Hears every report of the run, then prints, writes and enforces the tally."""

    def __init__(self, config: pytest.Config, path: Path | None) -> None:
        self._config = config
        self._path = path
        self._tally = Tally()
        self._outcome: Outcome | None = None
        self._errors: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for name, value in report.user_properties:
            if name == _PROPERTY and isinstance(value, list):
                rulings = [Ruling(**ruling) for ruling in value]
                self._tally.add(report.nodeid, rulings, report.outcome, body=report.when == "call")

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if exitstatus not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            return  # interrupted: a tally of what happened to run would mislead
        self._outcome = outcome = self._tally.settle()
        self._errors = [f"{claim}: {why}" for claim, why in outcome.disputed.items()]
        if self._whole and exitstatus == pytest.ExitCode.OK:
            self._errors += [f"{claim}: no trial settles it" for claim in outcome.untried]
            self._errors += [
                f"{claim}: no trial gives its correction or condition" for claim in outcome.textless
            ]
        if self._path is not None:
            try:
                write(outcome, self._path)
            except OSError as error:
                self._errors.append(f"--verdicts {self._path}: not written: {error}")
        if self._errors:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._outcome is None:
            return
        terminalreporter.section("verdicts on the claims")
        for line in table(self._outcome):
            terminalreporter.write_line(line)
        for claim, trials in self._outcome.failed.items():
            terminalreporter.write_line(f"failed: {claim} in {', '.join(trials)}", red=True)
        for error in self._errors:
            terminalreporter.write_line(f"ERROR {error}", red=True)

    @property
    def _whole(self) -> bool:
        """Whether the run was asked for all of the theory rather than for a part."""
        here = Path(__file__).parent
        roots = (self._config.invocation_params.dir / argument for argument in self._config.args)
        return any(here.is_relative_to(root) for root in roots) and not any(
            self._config.getoption(option, None) for option in _NARROWING
        )
