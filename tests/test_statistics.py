"""The error bars: against published numbers, and against how often they cover the truth."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from experiments.errors import InputError
from experiments.statistics import (
    Interval,
    binomial_interval,
    mean_interval,
    prediction_interval,
    prediction_rank,
    two_test_sets_sd,
)

# Extra hours of sleep under two drugs, ten patients (Student, Biometrika 6, 1908): the differences.
SLEEP = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4]

REPLICATIONS = 4000
# Four standard errors of a coverage of 0.95: a sound interval fails this once in 30,000 seeds.
COVERAGE_SLACK = 4 * math.sqrt(0.95 * 0.05 / REPLICATIONS)


def test_mean_interval_of_students_sleep_data() -> None:
    # As printed by R's t.test for these data, to seven decimals.
    interval = mean_interval(SLEEP)
    assert interval is not None
    assert interval.low == pytest.approx(0.7001142, abs=5e-8)
    assert interval.high == pytest.approx(2.4598858, abs=5e-8)


@pytest.mark.parametrize(
    ("successes", "images", "low", "high"),
    [
        # Newcombe, Statistics in Medicine 17, 1998, table I, method 3; four decimals.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_binomial_interval_of_newcombes_table(
    successes: int, images: int, low: float, high: float
) -> None:
    interval = binomial_interval(successes / images, images)
    assert interval.low == pytest.approx(low, abs=5e-5)
    assert interval.high == pytest.approx(high, abs=5e-5)


def test_binomial_interval_stays_in_the_unit_interval() -> None:
    """Without a limit, rounding would carry it beyond at 40 images, on either side."""
    for images in (5, 40):
        assert binomial_interval(1.0, images).high == 1.0
        assert binomial_interval(0.0, images).low == 0.0


def test_prediction_interval_is_wider_than_the_mean_interval_by_sqrt_of_n_plus_one() -> None:
    predicted, confident = prediction_interval(SLEEP), mean_interval(SLEEP)
    assert predicted is not None
    assert confident is not None
    ratio = predicted.half_width / confident.half_width
    assert ratio == pytest.approx(math.sqrt(len(SLEEP) + 1), rel=1e-12)


def test_noise_alone_gives_the_normal_interval() -> None:
    interval = prediction_interval([0.5, 0.5, 0.5], noise_sd=0.01)
    assert interval is not None
    assert interval.half_width == pytest.approx(1.959964 * 0.01, rel=1e-6)


def test_many_seeds_predict_a_further_one_by_their_ranks() -> None:
    """The share of a further value between ranks k and n + 1 - k is (n + 1 - 2k) / (n + 1)."""
    generator = np.random.default_rng(5)
    for n, rank in ((38, 0), (39, 1), (78, 1), (79, 2), (100, 2), (119, 3), (399, 10)):
        assert prediction_rank(n) == rank
        assert rank == 0 or (n + 1 - 2 * rank) / (n + 1) >= 0.95
        assert (n + 1 - 2 * (rank + 1)) / (n + 1) < 0.95
        values = list(generator.standard_exponential(n))
        interval = prediction_interval(values, grid=0.5 if rank else 0.0)
        ordered = sorted(values)
        if rank:
            assert interval == Interval(ordered[rank - 1], ordered[n - rank])
        else:
            assert interval.low + interval.high == pytest.approx(2 * np.mean(values), rel=1e-12)


def test_noise_widens_ranks_on_either_side() -> None:
    """From the median, 10, it is 5 down to the lowest value and 9 up to the highest."""
    values = [5.0] + [10.0] * 37 + [19.0]
    interval = prediction_interval(values, noise_sd=12 / 1.959964)
    assert interval.low == pytest.approx(10 - math.hypot(5, 12), rel=1e-6)
    assert interval.high == pytest.approx(10 + math.hypot(9, 12), rel=1e-6)


def test_values_that_coincide_on_a_grid_may_differ_by_its_rounding() -> None:
    rounding = 1 / math.sqrt(12)
    t = 4.302653  # the 97.5 % quantile for two degrees of freedom
    assert mean_interval([5, 5, 5]).half_width == 0
    confident = mean_interval([5, 5, 5], grid=1)
    assert confident.half_width == pytest.approx(t * rounding / math.sqrt(3), rel=1e-6)
    predicted = prediction_interval([5, 5, 5], grid=1)
    assert predicted.half_width == pytest.approx(t * rounding * math.sqrt(4 / 3), rel=1e-6)
    both = mean_interval([4, 5, 6], grid=1)
    assert both.half_width == pytest.approx(t * math.sqrt((1 + 1 / 12) / 3), rel=1e-6)


def test_one_value_has_no_error_bars() -> None:
    assert mean_interval([0.5]) is None
    assert prediction_interval([0.5], noise_sd=0.01) is None
    assert mean_interval([]) is None


def test_intervals_contain_their_ends() -> None:
    interval = Interval(0.0, 1.0)
    assert 0.0 in interval
    assert 1.0 in interval
    assert 1.0000001 not in interval
    assert interval.half_width == 0.5


def test_an_interval_is_cut_off_only_at_the_bounds_that_it_crosses() -> None:
    assert Interval(-0.1, 0.6).within(0, 1) == Interval(0, 0.6)
    assert Interval(0.4, 1.1).within(0, 1) == Interval(0.4, 1)
    assert Interval(-0.1, 1.1).within(0, 1) == Interval(0, 1)


def coverage(interval_of, *, seed_sd: float, test_set_sd: float, seeds: int) -> tuple[float, float]:
    """Return how often an interval holds a further run's value, and the mean over all seeds.

    Runs on one test set share its error; the further run is on another.
    """
    generator = np.random.default_rng(20230402)
    further_run = mean = 0
    for _ in range(REPLICATIONS):
        ours, theirs = test_set_sd * generator.standard_normal(2)
        values = ours + seed_sd * generator.standard_normal(seeds)
        interval = interval_of(list(values))
        further_run += theirs + seed_sd * generator.standard_normal() in interval
        mean += ours in interval
    return further_run / REPLICATIONS, mean / REPLICATIONS


@pytest.mark.parametrize("seeds", [2, 3, 10])
def test_intervals_cover_what_they_promise(seeds: int) -> None:
    further_run, _ = coverage(prediction_interval, seed_sd=1.0, test_set_sd=0.0, seeds=seeds)
    assert further_run == pytest.approx(0.95, abs=COVERAGE_SLACK)
    _, mean = coverage(mean_interval, seed_sd=1.0, test_set_sd=0.0, seeds=seeds)
    assert mean == pytest.approx(0.95, abs=COVERAGE_SLACK)


def test_a_confidence_interval_misses_further_runs() -> None:
    further_run, _ = coverage(mean_interval, seed_sd=1.0, test_set_sd=0.0, seeds=10)
    assert further_run < 0.6


def test_ranks_miss_as_often_on_the_side_of_a_long_tail() -> None:
    """Where a normal model misses a further value above twice as often as it says, and never below.

    The coverage is exact in 38 of 40, so that each side is missed by one in 40.
    """
    generator = np.random.default_rng(20230402)
    missed = {39: [0, 0], 38: [0, 0]}  # by ranks, and by the normal model
    for seeds, sides in missed.items():
        for _ in range(REPLICATIONS):
            interval = prediction_interval(list(generator.standard_exponential(seeds)))
            further = generator.standard_exponential()
            sides[0] += further < interval.low
            sides[1] += further > interval.high
    slack = 4 * math.sqrt(0.025 * 0.975 / REPLICATIONS)
    for side in missed[39]:
        assert side / REPLICATIONS == pytest.approx(0.025, abs=slack)
    below, above = missed[38]
    assert below == 0
    assert above / REPLICATIONS > 0.025 + slack


@pytest.mark.parametrize("test_set_sd", [0.2, 1.0, 5.0])
def test_noise_of_two_test_sets_is_covered(test_set_sd: float) -> None:
    def widened(values: list[float]) -> Interval | None:
        return prediction_interval(values, noise_sd=math.sqrt(2) * test_set_sd)

    further_run, _ = coverage(widened, seed_sd=1.0, test_set_sd=test_set_sd, seeds=3)
    assert further_run > 0.95 - COVERAGE_SLACK


def test_one_image_is_a_test_set() -> None:
    """Right or wrong, it leaves all but the 95 % that the other answer would make implausible."""
    lowest = 1 / (1 + 1.959964**2)  # where the score test rejects: (1 - p)**2 = z**2 p (1 - p)
    assert binomial_interval(1, 1).ends == pytest.approx([lowest, 1], rel=1e-6)
    assert binomial_interval(0, 1).ends == pytest.approx([0, 1 - lowest], rel=1e-6)


@pytest.mark.parametrize("images", [np.uint8(200), np.int16(20_000), np.array(10_000)])
def test_images_may_be_counted_by_numpy(images: Any) -> None:
    """Red if products of narrow integers wrap around."""
    for accuracy in (0.9, np.float64(0.9)):
        interval, plain = binomial_interval(accuracy, images), binomial_interval(0.9, int(images))
        assert interval == plain
        assert {type(each) for each in interval.ends} == {float}
        assert two_test_sets_sd(accuracy, images) == two_test_sets_sd(0.9, int(images))


def test_without_the_noise_another_test_set_is_missed() -> None:
    further_run, _ = coverage(prediction_interval, seed_sd=1.0, test_set_sd=5.0, seeds=3)
    assert further_run < 0.8


def test_spread_between_two_test_sets_by_simulation() -> None:
    images, accuracy = 400, 0.7
    correct = np.random.default_rng(7).binomial(images, accuracy, size=(2, 20_000)) / images
    # The standard error of a standard deviation from N normal values is sd / sqrt(2 N).
    slack = 4 / math.sqrt(2 * 20_000)
    assert np.std(correct[0] - correct[1]) == pytest.approx(
        two_test_sets_sd(accuracy, images), rel=slack
    )


@pytest.mark.parametrize("accuracy", [0.5, 0.9, 0.98, 0.995, 0.998])
def test_another_test_set_is_seldom_missed_near_all_right(accuracy: float) -> None:
    """Counted over all outcomes of 250 images; the accuracy at hand as it is misses up to 24 %."""
    images = 250
    counts = np.arange(images + 1)
    missed = 0.0
    for ours, weight in zip(counts, stats.binom.pmf(counts, images, accuracy), strict=True):
        half_width = 1.959964 * two_test_sets_sd(ours / images, images)
        outside = np.abs(counts - ours) / images > half_width
        missed += weight * stats.binom.pmf(counts[outside], images, accuracy).sum()
    assert missed < 0.06


@pytest.mark.parametrize("interval_of", [mean_interval, prediction_interval])
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([0.5, math.nan], "takes finite values, got nan; leave out the runs that diverged"),
        ([0.5, -math.inf, 0.5], "takes finite values, got -inf; leave out"),
        ([0.5] * 38 + [math.nan], "takes finite values, got nan"),
        (["0.5", 0.5], "a value must be a number, got '0.5'"),
        ([[0.5, 0.6], [0.5, 0.6]], r"a value must be a number, got \[0\.5, 0\.6\]"),
    ],
)
def test_no_interval_is_made_of_what_is_no_number(interval_of, values, message) -> None:
    """Red where it is made, from NaN to NaN, and nothing lies in it."""
    with pytest.raises(InputError, match=message):
        interval_of(values)


@pytest.mark.parametrize("width", [-0.1, math.nan, math.inf])
def test_a_width_is_refused_that_is_none(width) -> None:
    for interval_of in (mean_interval, prediction_interval):
        with pytest.raises(InputError, match="grid must be finite and not negative, got"):
            interval_of([0.5, 0.6], grid=width)
    with pytest.raises(InputError, match="noise_sd must be finite and not negative, got"):
        prediction_interval([0.5, 0.6], noise_sd=width)


def test_ranks_and_images_are_counted() -> None:
    with pytest.raises(InputError, match="the number of values must be at least 0, got -5"):
        prediction_rank(-5)
    for function in (binomial_interval, two_test_sets_sd):
        for images in (math.nan, 1.5, "3"):
            with pytest.raises(InputError, match="the number of images must be an integer, got"):
                function(0.5, images)
        with pytest.raises(InputError, match="an accuracy must be a number, got 'a'"):
            function("a", 3)


@pytest.mark.parametrize("function", [binomial_interval, two_test_sets_sd])
def test_bad_proportions_are_named(function) -> None:
    for accuracy in (71.0, 1.5, -0.5):
        with pytest.raises(ValueError, match=rf"accuracy lies in \[0, 1\], got {accuracy}"):
            function(accuracy, 100)
    with pytest.raises(ValueError, match="at least one image, got 0"):
        function(0.71, 0)
