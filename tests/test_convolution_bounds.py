"""A bound is refused wherever the convolution is, in the same words, and given wherever it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pytest

from theory.convolution import convolve, correlate, rounding_bound
from theory.methods import convolution_plan
from theory.methods.convolution_plan import Method, Mode, plan

FACTORS: dict[str, tuple[Any, Any]] = {
    "floats": ([1.0, 2.0, 4.0], [1.0, 3.0]),
    "integers": ([1, 2, 4], [1, 3]),
    "objects": (np.array([2**70, 1], object), [1, 3]),
    "a product beyond int64": ([2**62, 1], [4]),
    "a sum beyond int64": ([2**62, 1], [1, 1]),
    "uint64 beyond int64": (np.array([2**63, 1], np.uint64), [1]),
    "a kernel of uint64 beyond int64": ([1.0, 2.0], np.array([2**63], np.uint64)),
    "an infinity": ([1.0, np.inf, 2.0], [1.0, 3.0]),
    "NaN in the kernel": ([1.0, 2.0, 4.0], [np.nan, 3.0]),
    "a complex NaN": ([1.0, 2.0, 4.0], [complex(0, np.nan), 3.0]),
    "a half that is infinite": (np.array([np.inf, 1], np.float16), np.ones(2, np.float16)),
    "words": (["a", "b"], ["c"]),
}


@pytest.fixture(params=["direct", "fft", "overlap-add"])
def chosen(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let this be the fastest method, whatever the machine."""
    plan.cache_clear()
    monkeypatch.setattr(convolution_plan, "fastest_convolution", lambda *_, **__: request.param)
    yield request.param
    plan.cache_clear()


def refusal(law: Callable[..., Any], *arguments: Any, **options: Any) -> str | None:
    try:
        law(*arguments, **options)
    except (TypeError, ValueError) as error:
        return repr(error)
    return None


@pytest.mark.parametrize("name", FACTORS)
@pytest.mark.parametrize("mode", get_args(Mode))
def test_a_bound_is_refused_exactly_where_the_convolution_is(
    chosen: str, name: str, mode: Mode
) -> None:
    """Red if 0, an infinity or NaN is given as the bound of what is not computed at all."""
    factors = FACTORS[name]
    for method in get_args(Method):
        options = {"mode": mode, "method": method}
        found = refusal(rounding_bound, *factors, **options)
        assert found == refusal(convolve, *factors, **options)
        assert found == refusal(correlate, *factors, **options)
    if name in ("floats", "integers", "an infinity", "NaN in the kernel"):
        assert found is None  # of the last method, which is left to choose


def test_the_bound_of_what_is_left_to_the_sum_is_as_little_finite_as_its_samples(
    chosen: str,
) -> None:
    assert rounding_bound([1.0, np.inf], [1.0], method="auto") == np.inf
    assert np.isnan(rounding_bound([1.0, np.nan], [1.0], method="auto"))
    finite = [1.0, 2.0], [1.0]
    assert rounding_bound(*finite, method="auto") == rounding_bound(*finite, method=chosen)
