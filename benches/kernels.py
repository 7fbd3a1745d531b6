"""Where the time of a step goes: what PyTorch's profiler saw, by kinds of work."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

REST = "no operator"
"""What passes outside of operators: Python, autograd's engine, the profiler itself; on a GPU, all
time in which none of their kernels runs."""

OTHER = "other operators"

_KINDS = {
    "convolutions": r"conv(?!ert)",
    "matrix products": r"mm$|mm_$|bmm|linear|matmul",
    "pooling": r"pool",
    "activations": r"relu|elu|clamp|threshold|dropout|bernoulli",
    "normalisation": r"_norm",
    "optimiser": r"_fused_|_foreach_|optimizer\.",
    "copies": r"copy|fill|zero|index|gather|select|cat$|clone|contiguous|stack|convert",
}
"""What the names of the operators of each kind contain; the first that fits counts."""

KINDS = (*_KINDS, OTHER, REST)


def kind_of(operator: str) -> str:
    """Return the kind of work that an operator does, by its name, such as ``aten::addmm``."""
    name = operator.lower().removeprefix("aten::")
    return next((kind for kind, part in _KINDS.items() if re.search(part, name)), OTHER)


def shares(seconds: Mapping[str, float], wall: float) -> dict[str, float]:
    """Return the share of each kind of work in a time.

    Parameters
    ----------
    seconds
        What each operator took, by its name, without those that it called.
    wall
        Seconds of the whole; what operators leave of it is `REST`.

    Raises
    ------
    ValueError
        If operators took longer than the whole: the times are of several threads, or overlap.
    """
    spent = sum(seconds.values())
    if spent > 1.01 * wall:  # both clocks start and stop, one after the other
        raise ValueError(f"operators took {spent:.4f} s of {wall:.4f} s")
    found = dict.fromkeys(KINDS, 0.0)
    for operator, each in seconds.items():
        found[kind_of(operator)] += each
    found[REST] = max(0.0, wall - spent)
    return {kind: each / sum(found.values()) for kind, each in found.items()}


def profiled(call: Callable[[], Any], device: str) -> tuple[float, dict[str, float]]:
    """Return the seconds of a call, and the share of each kind of work in them.

    On the CPU an operator's time is that in which the calling thread waits for all threads; on a
    GPU it is that of its kernels.
    """
    profiler = Profiler(device)
    profiler.start()
    call()
    return profiler.stop()


class Profiler:
    """What `profiled` uses, for work that is no call by itself."""

    def __init__(self, device: str) -> None:
        activities = [ProfilerActivity.CPU]
        if device == "cuda":
            activities.append(ProfilerActivity.CUDA)
        self._device = device
        # There is one cycle; without the option some versions of PyTorch warn of losing others.
        self._profile = profile(activities=activities, acc_events=True)
        self._started = 0.0

    def start(self) -> None:
        """Begin; what the device does is waited for."""
        self._wait()
        self._profile.start()
        self._started = time.perf_counter()

    def stop(self) -> tuple[float, dict[str, float]]:
        """End, and return the seconds since the beginning with the share of each kind of work."""
        self._wait()
        wall = time.perf_counter() - self._started
        self._profile.stop()
        return wall, shares(_seconds(self._profile.key_averages(), self._device), wall)

    def _wait(self) -> None:
        if self._device == "cuda":
            torch.cuda.synchronize()


def _seconds(events: Iterable[Any], device: str) -> dict[str, float]:
    """Return what each operator took by itself.

    On a GPU, the profiler lists every kernel twice: by its own name, and in the time of the
    operator that launched it. The operators are what counts.
    """
    time_of = "self_device_time_total" if device == "cuda" else "self_cpu_time_total"
    operators = (event for event in events if event.device_type == DeviceType.CPU)
    return {event.key: getattr(event, time_of) / 1e6 for event in operators}
