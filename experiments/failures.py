"""Failures: many runs are attempted, none stops the others, and one error tells of all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from experiments.errors import SweepError
from experiments.executors import what_was_lost
from experiments.runs import Run, missing


class Failures:
    """What attempts at runs have failed with so far, to be raised when all else is done."""

    def __init__(self) -> None:
        self._found: list[tuple[Exception, Sequence[Run]]] = []

    @contextmanager
    def caught(self, runs: Sequence[Run], kind: type[Exception] = Exception) -> Iterator[None]:
        """Keep the error, of a kind, that an attempt at these runs ends with."""
        try:
            yield
        except kind as error:
            self._found.append((error, runs))

    def raise_first(self) -> None:
        """Raise the first error, if there is one, with a note of whose it is and how many failed.

        Raises
        ------
        SweepError
            If a worker process was killed, or a Dask scheduler was lost: no run is to blame then.
        Exception
            The first error otherwise.
        """
        if not self._found:
            return
        error = self._found[0][0]
        if lost := what_was_lost(error):
            raise SweepError(
                f"{lost}; finished records are kept, run the same command again to resume"
            ) from error
        # of a batch, some records may have been written
        failed = dict.fromkeys(run for _, runs in self._found for run in missing(runs) or runs)
        first, *others = failed
        also = f", and {len(others)} more run{'s' * (len(others) > 1)} failed" if others else ""
        error.add_note(f"in {first.recipe.name}, seed {first.seed}{also}")
        raise error
