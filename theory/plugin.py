"""``pytest theory --operator module:name --shape 3,32,32``: the battery on an operator of yours.

The battery takes the place of whatever else was to be collected. `theory/conftest.py` loads this
plugin where the checkout is; ``pytest -p theory.plugin --operator ...`` does where it is installed.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, get_args

import pytest

from theory.commands.targets import (
    BadInputError,
    operator,
    parsed_boundary,
    parsed_dtype,
    parsed_kwargs,
    parsed_shape,
)
from theory.diagnosis.calling import Operator
from theory.diagnosis.equations import Boundary
from theory.diagnosis.isolation import isolated
from theory.testing import OperatorTests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from theory.testing.asserts import Options

_HERE = Path(__file__).parent
_BATTERY: pytest.StashKey[type[OperatorTests]] = pytest.StashKey()
_SEED = 0


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer ``--operator`` and what goes with it."""
    group = parser.getgroup("theory")
    group.addoption(
        "--operator",
        metavar="MODULE:NAME",
        help="run the battery on this operator instead of any other test",
    )
    group.addoption("--shape", metavar="SIZES", help="one input without batch: 8, or 3,32,32")
    group.addoption(
        "--operator-kwargs",
        metavar="JSON",
        help="arguments of the class or function, as a JSON object",
    )
    group.addoption(
        "--boundary",
        metavar="|".join(get_args(Boundary)),
        help="circular (the default): shifts wrap; interior: a border is left out",
    )
    group.addoption(
        "--dtype",
        metavar="float64|float32",
        help="the precision of the inputs and of the operator: float64 is the default",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the operator, and put its battery in the place of all other tests."""
    target = config.getoption("operator", None)
    if target is None:
        for option in ("shape", "operator_kwargs", "boundary", "dtype"):
            if config.getoption(option, None) is not None:
                name = option.replace("_", "-")
                raise pytest.UsageError(f"--{name} is for --operator module:name, which is missing")
        return
    if config.getoption("verdicts", None) is not None:
        raise pytest.UsageError("--verdicts is for the trials, none of which run with --operator")
    try:
        config.stash[_BATTERY] = _battery(
            target,
            config.getoption("shape"),
            config.getoption("operator_kwargs") or "{}",
            config.getoption("boundary") or "circular",
            config.getoption("dtype") or "float64",
        )
    except (TypeError, ValueError) as error:
        raise pytest.UsageError(" ".join(str(error).split())) from None
    config.args = [str(_HERE)]


def _battery(
    target: str, shape: str | None, kwargs: str, boundary: str, dtype: str
) -> type[OperatorTests]:
    """Return the battery that a subclass written for the operator would have."""
    if shape is None:
        raise BadInputError("give --shape: one input without batch, as 3,32,32")
    judged_on, precision = parsed_boundary(boundary), parsed_dtype(dtype)
    given = operator(target, parsed_kwargs(kwargs, "--operator-kwargs"), _SEED, "--operator-kwargs")
    sizes = parsed_shape(shape)
    with isolated(_SEED):
        Operator(given, sizes, precision)  # raises if it takes no such input

    class Given(OperatorTests):
        shape = sizes
        options: ClassVar[Options] = {
            "boundary": judged_on,
            "dtype": precision,
            "seed": _SEED,
        }

        def operator(self) -> Callable[..., Any]:
            return given

    Given.__name__ = target
    return Given


@pytest.hookimpl(tryfirst=True)
def pytest_collect_directory(path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect the battery in the place of this package."""
    battery = parent.config.stash.get(_BATTERY, None)
    if battery is None or path != _HERE:
        return None
    directory: pytest.Collector = _Operator.from_parent(parent, path=path)
    return directory


class _Operator(pytest.Directory):
    """The place of the battery among what pytest collects."""

    def collect(self) -> Iterator[pytest.Item]:
        target = self.config.stash[_BATTERY].__name__
        for test in vars(OperatorTests):
            if test.startswith("test_"):
                name = test.removeprefix("test_")
                yield _Question.from_parent(self, name=name, nodeid=f"{target}::{name}")


class _Question(pytest.Item):
    """One test of the battery."""

    def runtest(self) -> None:
        getattr(self.config.stash[_BATTERY](), f"test_{self.name}")()

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show the witness alone; where it came about in the battery helps nobody."""
        if excinfo.errisinstance(AssertionError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        return self.path, None, f"{self.config.stash[_BATTERY].__name__}: {self.name}"


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the diagnosis."""
    battery = config.stash.get(_BATTERY, None)
    if battery is not None and not config.getoption("collectonly"):
        terminalreporter.section("diagnosis")
        for line in str(battery.diagnosis()).splitlines():
            terminalreporter.write_line(line)
