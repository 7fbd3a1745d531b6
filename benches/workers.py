"""Worker processes whose calls are probed where they are made: what all of them take together."""

from __future__ import annotations

from concurrent.futures import Executor, Future
from functools import partial
from typing import TYPE_CHECKING, Any

from benches.probe import probe

if TYPE_CHECKING:
    from benches.probe import Probe


class ProbedWorkers(Executor):
    """Sends calls on to an executor, and notes what each adds to the memory of its process.

    Parameters
    ----------
    pool
        Where the calls are made.
    """

    def __init__(self, pool: Executor) -> None:
        self._pool = pool
        self._peaks: list[int | None] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Send a call on; what the future holds is the call's own result."""
        made: Future[Any] = Future()
        probed = self._pool.submit(probe, partial(fn, *args, **kwargs))
        probed.add_done_callback(partial(self._hand_on, made))
        return made

    def _hand_on(self, made: Future[Any], probed: Future[Probe]) -> None:
        if (error := probed.exception()) is not None:
            made.set_exception(error)
            return
        found = probed.result()
        self._peaks.append(found.peak_memory_bytes)
        made.set_result(found.result)

    def peak_memory_bytes(self) -> int | None:
        """Return what the calls since the last time took: the sum of their peaks, and begin anew.

        Each is that of one process, as `probe` finds it. Calls that are made at once need not reach
        their peaks in the same moment, so together they took no more than that, and perhaps less.
        None where the system does not tell.
        """
        peaks, self._peaks = self._peaks, []
        known = [peak for peak in peaks if peak is not None]
        return sum(known) if len(known) == len(peaks) else None
