"""Functions that remember what they returned, also for callers who give what has no hash."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, ParamSpec, Protocol, TypeVar, cast

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)


class Remembered(Protocol[P, R_co]):
    """A function that remembers."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Return what the function does, as it did before."""
        ...

    def cache_clear(self) -> None:
        """Forget all of it."""
        ...


def remembered(function: Callable[P, R_co]) -> Remembered[P, R_co]:
    """Let a function remember what it returned; it takes its arguments by position, for speed.

    Where one of them has no hash the function itself is called, which says what is wrong with it.
    """
    cached: Any = lru_cache(maxsize=4096)(function)

    @wraps(function)
    def call(*args: Any) -> Any:
        try:
            return cached(*args)
        except TypeError:  # of the cache itself, maybe
            pass
        return cached.__wrapped__(*args)

    call.cache_clear = cached.cache_clear  # type: ignore[attr-defined]
    return cast("Remembered[P, R_co]", call)
