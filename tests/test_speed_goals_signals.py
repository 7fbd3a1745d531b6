"""Goals of convolutions, gradients and spectra: ours are held against peers and the fastest."""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

import pytest

pytest.importorskip("sphinx", reason="the docs extra is not installed")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "docs"))

import signal_goals

from tests.timed_benches import bench, chooser, method, sources


def test_choosing_is_held_against_the_fastest_of_all_at_each_size():
    found = sources(
        *(method("peer", 1.0), chooser(1.2), method("theory fft", 1.1)),
        *(method("peer", 2.0, taps=9), chooser(2.0, taps=9), method("theory fft", 2.0, taps=9)),
    )
    median = signal_goals.choosing("convolution", statistics.median, 1.05, found)
    worst = signal_goals.choosing("convolution", max, 1.5, found)
    assert (median.measured, median.reached) == ("1.100 over 2 sizes", False)
    assert (worst.measured, worst.reached) == ("1.200 over 2 sizes", True)
    assert worst.distance == "Worst with 64 samples and 3 taps."
    assert median.distance == (
        "At most 1.05 at 1 of 2 sizes. Called by name, the methods that it chose take 1.050 times "
        "as long as the fastest."
    )


def test_where_choosing_misses_worst_the_chosen_method_is_timed_by_its_name():
    at_once = (method("peer", 1e-6), chooser(2e-6), method("theory fft", 1.9e-6))
    later = (method("peer", 1.0, taps=9), chooser(1.0, taps=9), method("theory fft", 1.0, taps=9))
    worst = signal_goals.choosing("convolution", max, 1.5, sources(*at_once, *later))
    assert worst.distance == (
        "Worst with 64 samples and 3 taps. There peer takes 1.0 µs, and theory fft, called by "
        "name, 1.9 µs."
    )
    left_out = signal_goals.choosing("convolution", max, 1.5, sources(*at_once[:2], *later))
    assert left_out.distance == "Worst with 64 samples and 3 taps."
    none = signal_goals.choosing("convolution", statistics.median, 1.5, sources(*at_once[:2]))
    assert none.distance == "At most 1.5 at 0 of 1 size."


def test_what_the_shipped_costs_choose_is_another_method_or_the_same():
    peers = method("peer", 1.0), method("theory fft", 1.1), method("theory direct", 3.0)
    same = signal_goals.shipped("convolution", 1.25, sources(*peers, chooser(1.2)))
    other = signal_goals.shipped(
        "convolution", 1.25, sources(*peers, chooser(1.2, shipped="direct"))
    )
    absent = signal_goals.shipped(
        "convolution", 1.25, sources(*peers, chooser(1.2, shipped="overlap-add"))
    )
    assert (same.measured, same.reached) == ("1.200 over 1 size", True)
    assert (other.measured, other.reached) == ("3.000 over 1 size", False)
    assert (absent.measured, absent.reached) == ("not measured at every size", False)


def test_blocks_are_held_against_one_transform_and_both_against_a_peer():
    def gradient(name, seconds):
        return bench("filter gradient, n", seconds, method=name, samples=2**16, taps=128)

    found = sources(
        gradient("theory fft", 3.0),
        gradient("theory blocked-fft", 1.0),
        gradient("scipy matmul_toeplitz", 4.0),
    )
    outcome = signal_goals.blocked(2**16, 128, 3, found)
    assert (outcome.measured, outcome.reached) == ("3.00×", True)
    # 3 transforms of 2^16 cells, against 2 * 73 + 1 of 1,024 that move on by 897
    saved = 3 * 2**16 * 16 / (147 * 1024 * 10)
    assert f"are {saved:.1f} times less work" in outcome.distance
    assert "product takes 4.00 times as long as the blocks" in outcome.distance
    assert signal_goals.blocked(128, 3, 3, found) is None


def test_one_gradient_is_timed_beside_those_of_others():
    def gradient(name, library, seconds):
        facts = {"method": name, "library": library, "samples": 64, "taps": 3}
        return bench("filter gradient, n", seconds, **facts)

    own = gradient("theory fft", "theory", 1e-4)
    found = sources(own, gradient("autograd", "PyTorch", 0.0144))
    outcome = signal_goals.gradient("theory fft", 64, 3, 58e-6, found)
    assert (outcome.measured, outcome.reached) == ("100 µs", False)
    assert signal_goals.gradient("theory fft", 64, 3, 99.8e-6, found).measured == "100.0 µs"
    assert outcome.distance == "In the same run: autograd 14,400 µs."
    assert signal_goals.gradient("theory fft", 64, 3, 58e-6, sources(own)) is None


def test_singular_values_are_timed_for_the_layer_of_the_goal():
    def values(name, seconds, channels=64):
        return bench("spectrum, x", seconds, method=name, channels=channels, cells=1024)

    found = sources(
        values("theory", 0.1),
        values("theory", 0.001, channels=4),
        values("theory, one thread", 0.18),
        values("full spectrum, NumPy", 0.4),
        values("half spectrum, NumPy", 0.15),
    )
    outcome = signal_goals.spectrum(0.075, found)
    assert outcome.measured == "100 ms"
    assert outcome.distance == (
        "1.5 times as fast as the fastest peer (half spectrum, NumPy). One thread takes 180 ms, so "
        "two at twice its rate would take 90 ms."
    )
    assert not outcome.reached
    assert signal_goals.spectrum(0.1, found).reached
    assert signal_goals.spectrum(0.0998, found).measured == "100.0 ms"


def test_facts_that_an_older_run_lacks_are_named():
    stale = chooser(1.2)
    del stale["extra_info"]["chosen_as_shipped"]
    with pytest.raises(ValueError, match="lack the fact 'chosen_as_shipped'"):
        signal_goals.shipped("convolution", 1.25, sources(stale))


def test_a_layer_that_was_timed_without_peers_says_nothing():
    ours = [
        bench("spectrum, x", 1.0, method=name, channels=64, cells=1024)
        for name in ("theory", "theory, one thread")
    ]
    assert signal_goals.spectrum(0.075, sources(*ours)) is None
