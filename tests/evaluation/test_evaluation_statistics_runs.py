"""Interquartile means over training runs, their intervals, and the probability of improvement."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import trim_mean

from retail_gym.evaluation import (
    bootstrap_iqm,
    bootstrap_mean,
    interquartile_mean,
    probability_of_improvement,
)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([7.0], 7.0),
        ([1.0, 2.0, 9.0], 4.0),  # nothing can be left out of three
        ([0.0, 1.0, 3.0, 100.0], 2.0),
        ([100.0, 3.0, -50.0, 1.0, 2.0], 2.0),  # the middle three: 1, 2, 3
        ([9.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], 4.5),  # without 1, 2 and 7, 9: 3 to 6
    ],
)
def test_interquartile_mean_by_hand(values: list[float], expected: float) -> None:
    assert float(interquartile_mean(values)) == pytest.approx(expected)


def test_interquartile_mean_is_the_trimmed_mean_of_each_row() -> None:
    table = np.random.default_rng(0).normal(size=(6, 11))
    assert interquartile_mean(table) == pytest.approx(trim_mean(table, 0.25, axis=1))


def test_one_run_has_the_interval_of_its_luck() -> None:
    luck = np.random.default_rng(1).normal(3.0, 1.0, 100)
    ours, plain = bootstrap_iqm(luck[None]), bootstrap_mean(luck)
    assert ours.mean == pytest.approx(luck.mean())
    assert [ours.low, ours.high] == pytest.approx([plain.low, plain.high], abs=0.02)


def test_a_run_that_failed_moves_the_mean_but_not_the_interquartile_mean() -> None:
    runs = np.tile([[1.0], [1.1], [0.9], [1.0], [-20.0]], (1, 10))
    found = bootstrap_iqm(runs)
    assert found.mean == pytest.approx((1.0 + 1.0 + 0.9) / 3)
    assert found.low < 0.5 < found.high  # but drawn three times it shows


def test_interval_covers_the_truth_as_often_as_it_says() -> None:
    # 400 planted boards of 8 runs (sd 0.5) on 30 lucks (sd 2 shared, 1 own): the truth is 0.
    # A 95 % interval covers 380; sd of the count is 4.4. A bootstrap of so few is narrower:
    # 0.91 is the least we accept. Luck drawn anew for every run covers 0.74.
    covered = 0
    for k in range(400):
        rng = np.random.default_rng(k)
        runs = rng.normal(0, 0.5, (8, 1)) + rng.normal(0, 2, 30) + rng.normal(0, 1, (8, 30))
        found = bootstrap_iqm(runs, resamples=300, seed=k)
        covered += found.low <= 0.0 <= found.high
    assert 0.91 <= covered / 400 <= 0.98


def test_normalised_score_by_hand_and_on_the_same_luck() -> None:
    rng = np.random.default_rng(3)
    luck = rng.normal(0, 5, 40)
    zero, one = luck + 10.0, luck + 30.0
    runs = luck + np.array([[20.0], [22.0], [25.0], [25.0], [28.0]])
    found = bootstrap_iqm(runs, (zero, one))
    assert found.mean == pytest.approx((12 / 20 + 15 / 20 + 15 / 20) / 3)
    assert found.low >= 0.5  # luck of sd 5 is shared, so none of it is in the interval
    assert found.high <= 0.9
    assert bootstrap_iqm(zero[None], (zero, one)).high == pytest.approx(0.0)
    assert bootstrap_iqm(one[None], (zero, one)).low == pytest.approx(1.0)


def test_stores_stay_together() -> None:
    # Ten stores that differ, five equal episodes in each: five times as many rows, no more news.
    by_store = np.random.default_rng(4).normal(0, 1, 10)
    together = bootstrap_iqm(np.repeat(by_store[:, None], 5, axis=1)[None])
    alone = bootstrap_iqm(by_store[None])
    assert (together.low, together.high) == pytest.approx((alone.low, alone.high))


def test_probability_of_improvement_by_hand() -> None:
    base = np.array([1.0, 2.0, 3.0, 4.0])
    runs = np.array([[2.0, 3.0, 4.0, 5.0], [1.0, 1.0, 4.0, 4.0]])
    found = probability_of_improvement(runs, base)
    assert found.mean == pytest.approx((4 + 0.5 + 0 + 1 + 0.5) / 8)
    assert 0.0 <= found.low <= found.mean <= found.high <= 1.0
    assert probability_of_improvement(base[None], base).mean == 0.5
    assert probability_of_improvement(runs - 10, base).high == 0.0


def test_probability_of_improvement_of_normals() -> None:
    # X - Y is normal with mean 1 and sd 2: P(X > Y) = Phi(0.5) = 0.6915; 400 pairs, sd 0.023.
    rng = np.random.default_rng(5)
    base = rng.normal(0, 3, 400)
    found = probability_of_improvement((base + rng.normal(1, 2, 400))[None], base)
    assert found.mean == pytest.approx(0.6915, abs=0.07)
    assert found.low <= 0.6915 <= found.high


@pytest.mark.parametrize(
    ("runs", "bounds", "message"),
    [
        ([1.0, 2.0], None, "shape"),
        ([[1.0, np.nan]], None, "finite"),
        (np.zeros((0, 3)), None, "finite"),
        ([[1.0, 2.0]], ([1.0], [2.0]), "2 lucks, a bound 1"),
        ([[1.0, 2.0]], ([1.0, 1.0], [1.0, 1.0]), "earn the same"),
    ],
)
def test_bad_tables_are_refused(runs, bounds, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bootstrap_iqm(runs, bounds)


def test_other_luck_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(2,\), the baseline \(3,\)"):
        probability_of_improvement([[1.0, 2.0]], [1.0, 2.0, 3.0])
