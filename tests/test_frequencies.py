"""Frequencies by stretches and threads: however they are divided, the same values come out."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from torch import nn

from theory import frequencies
from theory.frequencies import spread
from theory.gram_iteration import gram_bound
from theory.layer_matrix import layer_matrix
from theory.spectrum import circle_axes, real_weights, singular_values


def layer(shape: tuple[int, ...], stride: int = 1, groups: int = 1) -> nn.Module:
    conv = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}[len(shape)]
    options = {"padding": 1, "padding_mode": "circular", "bias": False, "dtype": torch.float64}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return conv(4, 6, 3, stride=stride, groups=groups, **options)


@pytest.fixture
def threads():
    """Allow two threads, and put back what was allowed."""
    allowed = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(allowed)


@pytest.mark.parametrize("together", [1, 16 * 24 * 3, 2**20])
@pytest.mark.parametrize("shape", [(1,), (8,), (9,), (6, 8), (5, 4), (2, 4, 6)])
def test_stretches_hold_each_frequency_once(monkeypatch, together, shape):
    monkeypatch.setattr(frequencies, "_BYTES_TOGETHER", together)
    conv = layer(shape)
    whole = frequencies.Frequencies(real_weights(conv), 1, circle_axes(conv, shape))
    seen = np.zeros_like(whole.occurrences(whole.everything))
    for stretch in whole.stretches:
        seen[stretch.last, stretch.others] += 1
        assert whole.matrices(stretch).shape[:2] == whole.occurrences(stretch).shape
    assert (seen == 1).all()
    assert whole.occurrences(whole.everything).sum() == np.prod(shape)
    one_each = len(whole.stretches) == seen.size
    assert one_each == (together == 1 or seen.size == 1)


@pytest.mark.parametrize(("stride", "groups"), [(1, 1), (2, 1), (1, 2), (2, 2)])
@pytest.mark.parametrize("shape", [(8,), (6, 8), (2, 4, 6)])
def test_values_do_not_depend_on_stretches_and_threads(monkeypatch, threads, shape, stride, groups):
    """Red if a stretch is left out, taken twice, or given the frequencies of another."""
    conv = layer(shape, stride, groups)
    dense = np.linalg.svd(layer_matrix(conv, shape), compute_uv=False)
    bound = gram_bound(conv, shape)
    monkeypatch.setattr(frequencies, "_BYTES_TOGETHER", 1)
    assert singular_values(conv, shape) == pytest.approx(dense, rel=1e-12, abs=1e-12)
    assert gram_bound(conv, shape) == pytest.approx(bound, rel=1e-5)  # in single precision


def test_values_are_the_same_to_the_last_bit_on_one_thread_and_on_two(monkeypatch, threads):
    """Red if the threads, and not the stretches alone, decide which matrices are taken together."""
    conv = layer((6, 8))
    monkeypatch.setattr(frequencies, "_BYTES_TOGETHER", 16 * 24 * 7)
    values, bound = singular_values(conv, (6, 8)), gram_bound(conv, (6, 8))
    torch.set_num_threads(1)
    assert np.array_equal(singular_values(conv, (6, 8)), values)
    assert gram_bound(conv, (6, 8)) == bound


@pytest.mark.parametrize(("together", "expected"), [(30, 1), (16, 1), (15, 2), (10, 3)])
def test_a_thread_has_no_less_to_do_than_one_whole_stretch(monkeypatch, together, expected):
    """Of 6 * 5 matrices; red where a second thread is started for what is left of a stretch."""
    monkeypatch.setattr(frequencies, "_BYTES_TOGETHER", 16 * 24 * together)
    conv = layer((6, 8))
    whole = frequencies.Frequencies(real_weights(conv), 1, circle_axes(conv, (6, 8)))
    assert whole.threads == expected


def test_threads_share_the_stretches_and_have_no_threads_of_their_own(threads):
    together = threading.Barrier(2, timeout=30)

    def told(stretch):
        together.wait()
        return stretch, threading.get_ident(), torch.get_num_threads()

    first, second = spread(told, [1, 2], 2)
    assert (first[0], second[0]) == (1, 2)
    assert first[1] != second[1]
    assert first[2] == second[2] == 1
    assert torch.get_num_threads() == 2

    def where(_stretch):
        return threading.get_ident()

    assert spread(where, [1], 2) == [threading.get_ident()]
    assert spread(where, [1, 2], 1) == [threading.get_ident()] * 2
    assert spread(where, [], 2) == []


def test_what_a_thread_raises_is_raised_and_threads_are_allowed_again(threads):
    with pytest.raises(ZeroDivisionError):
        spread(lambda stretch: 1 / stretch, [1, 0], 2)
    assert torch.get_num_threads() == 2
    fresh = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    seen: list[int] = []
    fresh.start()
    fresh.join()
    assert seen == [2]
