"""Fitted exponents on trial, on times made up so that the exponent is known."""

from __future__ import annotations

import importlib
import json
import math
from pathlib import Path

import numpy as np
import pytest

scaling = importlib.import_module("benches.scaling")

SIZES = [2**p for p in range(4, 21, 2)]


@pytest.mark.parametrize(
    ("seconds", "exponent"),
    [
        (lambda n: 1e-9 * n**2, 2.0),
        (lambda n: 1e-9 * n * math.log2(n), 1 + 1 / math.log(2**17)),  # the slope in the middle
        (lambda n: 1e-2 + 1e-9 * n**2, 2.0),  # a fixed part that small sizes show
    ],
)
def test_exponents_of_noisy_times_lie_in_their_intervals(seconds, exponent):
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(200):
        times = {n: seconds(n) * math.exp(0.02 * rng.normal()) for n in SIZES}
        found = scaling.fit(times)
        assert found.exponent == pytest.approx(exponent, abs=0.05)
        assert found.sizes == tuple(SIZES[-4:])
        inside += found.low <= exponent <= found.high
    # 95 % of 200 are 190, give or take 3.1; a normal quantile in place of t would leave 162
    assert inside >= 190 - 4 * 3.1


def test_a_line_without_noise_has_no_width_and_two_sizes_give_none():
    found = scaling.fit({2**p: 1e-9 * 4.0**p for p in range(6, 10)})
    # logarithms rounded to 2^-53 of at most 21, over a range of 2
    assert found.low == pytest.approx(2, abs=1e-6)
    assert found.high == pytest.approx(2, abs=1e-6)
    assert scaling.fit({16: 1.0, 32: 2.0}) is None


def test_each_line_of_a_bench_is_fitted_by_itself():
    def convolution(samples, taps, seconds):
        facts = {"device": "cpu", "method": "m", "samples": samples, "taps": taps}
        return {"group": "convolution, n", "extra_info": facts, "stats": {"median": seconds}}

    benches = [convolution(n, 16, 1e-9 * n) for n in SIZES]
    benches += [convolution(n, 32, 1e-9 * n**2) for n in SIZES]
    benches += [convolution(n, 64, 1.0) for n in SIZES[:2]]
    benches += [{"group": "training, x", "extra_info": {}, "stats": {}}]
    one, two = scaling.fits(benches)
    assert one["line"] == {"device": "cpu", "method": "m", "taps": 16}
    assert (one["question"], one["size"]) == ("convolution", ("samples",))
    assert [one["exponent"], two["exponent"]] == pytest.approx([1, 2])


def test_a_size_is_a_product_of_facts():
    def spectrum(channels, cells):
        facts = {"device": "cpu", "method": "m", "channels": channels, "cells": cells}
        seconds = 1e-9 * channels**3 * cells
        return {"group": "spectrum, n", "extra_info": facts, "stats": {"median": seconds}}

    (found,) = scaling.fits([spectrum(4, 64), spectrum(16, 64), spectrum(16, 1024)])
    assert found["sizes"] == (2**12, 2**18, 2**22)
    assert found["exponent"] == pytest.approx(1)


def test_no_two_benches_share_a_place_on_a_line():
    """Red where what a line leaves open is not its size, so that one time takes another's place."""
    path = Path(__file__).resolve().parents[1] / "docs" / "results" / "bench.json"
    benches = json.loads(path.read_text())["benchmarks"]
    for question in scaling.QUESTIONS:
        asked = [b for b in benches if b["group"].partition(",")[0] == question.name]
        placed = sum(map(len, scaling._lines(question, benches).values()))
        assert placed == len(asked) > 0, question
