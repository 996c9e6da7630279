"""Intervals: known cases, coverage, nesting, pairing."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy import stats

from retail_gym.evaluation import Interval, bootstrap_mean, evaluate, paired_difference
from retail_gym.policies import HighLow, no_discount


def test_interval_of_two_values_is_known_exactly() -> None:
    # Means of two draws from {0, 1}: 0, 1/2, 1 with probabilities 1/4, 1/2, 1/4.
    assert bootstrap_mean([0.0, 1.0], 0.95) == Interval(0.5, 0.0, 1.0)
    assert bootstrap_mean([0.0, 1.0], 0.40) == Interval(0.5, 0.5, 0.5)


def test_interval_has_the_width_of_the_normal_law() -> None:
    values = np.random.default_rng(0).normal(3.0, 2.0, 400)
    interval = bootstrap_mean(values)
    half = 1.96 * values.std() / 20
    assert interval.mean == pytest.approx(values.mean())
    # The 2.5 % point of 10,000 resamples lies within 0.03 standard errors (4 sigma: 0.11).
    assert interval.low == pytest.approx(values.mean() - half, abs=0.11 * half / 1.96 + 0.01)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.11 * half / 1.96 + 0.01)


def test_coverage_of_the_95_percent_interval() -> None:
    # 300 normal samples of 30: the percentile interval is mean +- 1.96 s_n / sqrt(n), so it
    # covers with the probability that |t_29| < 1.96 sqrt(29 / 30): 0.936. Two-sided alpha 1e-4.
    n, trials, truth = 30, 300, 1.5
    samples = np.random.default_rng(1).normal(truth, 1.0, (trials, n))
    hits = 0
    for k, sample in enumerate(samples):
        interval = bootstrap_mean(sample, resamples=2000, seed=k)
        hits += interval.low <= truth <= interval.high
    exact = 1 - 2 * stats.t.sf(1.96 * np.sqrt((n - 1) / n), n - 1)
    assert exact == pytest.approx(0.936, abs=0.001)
    assert stats.binom.ppf(5e-5, trials, exact) <= hits <= stats.binom.ppf(1 - 5e-5, trials, exact)


def test_wider_level_wider_interval() -> None:
    values = np.random.default_rng(2).normal(size=50)
    widths = [bootstrap_mean(values, level) for level in (0.5, 0.8, 0.95, 0.99)]
    assert np.all(np.diff([i.high - i.low for i in widths]) > 0)


def test_nested_interval_speaks_of_other_worlds() -> None:
    rng = np.random.default_rng(3)
    table = rng.normal(0.0, 5.0, (8, 1)) + rng.normal(0.0, 1.0, (8, 20))  # worlds differ
    nested, pooled = bootstrap_mean(table), bootstrap_mean(table.reshape(-1))
    assert nested.mean == pytest.approx(pooled.mean)
    assert nested.high - nested.low > 2 * (pooled.high - pooled.low)
    # Its spread is that of a mean of 8 worlds plus that of their runs.
    expected = np.sqrt(table.mean(1).var() / 8 + table.var(1).mean() / 160)
    assert nested.high - nested.low == pytest.approx(2 * 1.96 * expected, rel=0.15)


def test_nested_interval_of_equal_worlds_is_about_as_wide_as_the_pooled_one() -> None:
    table = np.random.default_rng(4).normal(size=(40, 20))
    nested, pooled = bootstrap_mean(table), bootstrap_mean(table.reshape(-1))
    # The variance of world means (1/20) is counted on top of that within: a factor sqrt(2).
    ratio = (nested.high - nested.low) / (pooled.high - pooled.low)
    assert 1.1 < ratio < 1.8


def test_one_world_is_a_plain_sample() -> None:
    values = np.random.default_rng(5).normal(size=30)
    nested, plain = bootstrap_mean(values[None, :]), bootstrap_mean(values)
    assert nested.mean == pytest.approx(plain.mean)
    assert nested.high - nested.low == pytest.approx(plain.high - plain.low, rel=0.1)


@pytest.mark.parametrize("values", [[2.5], 2.5, [[2.5]], [2.5, 2.5, 2.5]])
def test_no_spread_no_width(values) -> None:
    assert bootstrap_mean(values) == Interval(2.5, 2.5, 2.5)


def test_same_seed_same_interval() -> None:
    values = np.random.default_rng(6).normal(size=15)
    assert bootstrap_mean(values, seed=1) == bootstrap_mean(values, seed=1)
    assert bootstrap_mean(values, seed=1) != bootstrap_mean(values, seed=2)


@pytest.mark.parametrize("values", [[], [[]], [1.0, np.nan], [np.inf]])
def test_values_that_give_no_interval_are_refused(values) -> None:
    with pytest.raises(ValueError, match="finite values, at least one"):
        bootstrap_mean(values)


@pytest.mark.parametrize("level", [-0.5, 0.0, 1.0, 1.5, np.nan])
def test_level_is_checked(level: float) -> None:
    with pytest.raises(ValueError, match="level"):
        bootstrap_mean([1.0, 2.0, 3.0], level=level)


def test_interval_is_readable() -> None:
    assert str(Interval(1234.5678, 0.001234567, 2.0)) == "1235 [0.001235, 2]"


@pytest.fixture
def frame() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "policy": ["a"] * 4 + ["b"] * 4 + ["c"] * 3,
            "seed": [0, 1, 2, 3, 3, 2, 1, 0, 0, 1, 2],  # b in another order, c without 3
            "units": [10.0, 20.0, 30.0, 40.0, 41.0, 32.0, 23.0, 14.0, 0.0, 0.0, 0.0],
            "return": [1.0, 2.0, 3.0, 4.0, 4.5, 3.5, 2.5, 1.5, 0.0, 0.0, 0.0],
        }
    )


def test_difference_is_paired_by_seed_not_by_row(frame) -> None:
    found = paired_difference(frame, "b", "a", "units")
    differences = np.array([4.0, 3.0, 2.0, 1.0])
    assert found.mean == differences.mean()
    assert found == bootstrap_mean(differences)
    assert 1.0 <= found.low < found.mean < found.high <= 4.0  # never between unpaired values
    assert paired_difference(frame, "b", "a") == Interval(0.5, 0.5, 0.5)  # the return


def test_difference_changes_sign_with_its_order(frame) -> None:
    one, other = (paired_difference(frame, *p, "units") for p in (("a", "b"), ("b", "a")))
    assert one.mean == -other.mean


def test_difference_of_evaluated_policies_is_that_of_numpy() -> None:
    frame = evaluate("tiny", {"deep": HighLow(0.5, 0.6), "none": no_discount()}, 6, range(12))
    deep, none = (
        frame.filter(pl.col("policy") == p)["revenue"].to_numpy() for p in ("deep", "none")
    )
    found = paired_difference(frame, "deep", "none", "revenue")
    assert found.mean == pytest.approx(np.mean(deep - none))
    spread = (deep - none).std() / np.sqrt(12)
    assert found.high - found.low == pytest.approx(2 * 1.96 * spread, rel=0.15)


def test_level_of_a_difference_is_passed_on(frame) -> None:
    wide, narrow = (paired_difference(frame, "b", "a", "units", level) for level in (0.99, 0.5))
    assert wide.high - wide.low > narrow.high - narrow.low


@pytest.mark.parametrize("pair", [("x", "a"), ("a", "x")])
def test_unknown_policy_is_an_error_with_the_choices(frame, pair) -> None:
    with pytest.raises(ValueError, match="no policy 'x' in the table: it has a, b, c"):
        paired_difference(frame, *pair)


def test_unknown_column_is_an_error_with_the_choices(frame) -> None:
    with pytest.raises(ValueError, match=r"no column 'profit': .*units, return"):
        paired_difference(frame, "a", "b", "profit")


def test_different_seeds_are_an_error(frame) -> None:
    with pytest.raises(ValueError, match="not run on the same seeds"):
        paired_difference(frame, "a", "c")


def test_a_seed_that_occurs_twice_is_an_error_not_dropped(frame) -> None:
    # Tables of two worlds under one another: a seed is then no longer one pair.
    with pytest.raises(ValueError, match="seed"):
        paired_difference(pl.concat([frame, frame]), "a", "b")
