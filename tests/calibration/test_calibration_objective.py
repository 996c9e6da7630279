"""Gaps and their scales, worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from retail_gym.calibration.objective import MISSING, SCALES, distance, gaps
from retail_gym.calibration.target import OFTEN, Summary, price_popularity, summary
from retail_gym.evaluation.realism import Empirical, profile


def side(values, **figures):
    law = Empirical.of(values)
    return Summary({"qty": law, "lift": law}, figures)


def test_gaps_by_hand():
    one, other = side([1, 1, 2, 2], icc=0.3), side([1, 2, 2, 4], icc=0.36)
    found = gaps(one, other, ["qty", "lift_w1", "icc"])
    assert found["qty"] == pytest.approx(0.25)
    assert found["lift_w1"] == pytest.approx(0.25 * 1 + 0.25 * 2)
    assert found["icc"] == pytest.approx(0.06)
    expected = np.sqrt(np.mean([(found[key] / SCALES[key]) ** 2 for key in found]))
    assert distance(found) == pytest.approx(expected)


def test_large_baskets_count_by_their_standard_deviation():
    one, other = (Summary({"ncat": Empirical.of(values)}, {}) for values in ([1, 2, 3], [1, 2, 6]))
    assert gaps(one, other, ["ncat_sd"])["ncat_sd"] == pytest.approx(np.sqrt(7.0) - 1.0)


def test_a_figure_that_is_missing_on_one_side():
    nan = float("nan")
    have, lack = side([1, 2], repeat=0.5), side([1, 2], repeat=nan)
    assert gaps(lack, have, ["repeat", "qty"]) == {"qty": 0.0}  # nothing to aim at
    assert gaps(have, lack, ["repeat"])["repeat"] == MISSING * SCALES["repeat"]
    # Nor does a distribution without points, as that of pairs no two of which were seen together.
    some, none = (Summary({"lift": Empirical.of(values)}, {}) for values in ([1.0, 2.0], []))
    assert gaps(none, some, ["lift", "lift_w1"]) == {}
    assert gaps(some, none, ["lift_w1"])["lift_w1"] == MISSING * SCALES["lift_w1"]
    assert gaps(some, none, ["lift"])["lift"] == 1.0


def test_price_and_popularity():
    price, rows = np.array([1.0, 2.0, 4.0]), np.array([100, 10, 1])
    assert price_popularity(price, rows) == pytest.approx(-1.0)
    assert np.isnan(price_popularity(price, np.array([5, 5, 5])))


def test_a_summary_of_tables_puts_their_points_together(table):
    parts = [table.select(np.arange(60)), table.select(np.arange(60, 120))]
    together = summary(parts)
    sides = [profile(part) for part in parts]
    for key, law in together.distributions.items():
        if key in sides[0].distributions:
            assert law.size == sum(one.distributions[key].size for one in sides)
    mean = np.mean([one.joint["ppc"] for one in sides])
    assert together.figures["ppc"] == pytest.approx(mean)
    often = [np.bincount(part.lines.product) >= OFTEN for part in parts]
    assert together.distributions["price_often"].size == sum(int(one.sum()) for one in often)
    shares = [part.facts["discounted_share"] for part in parts]
    assert together.figures["discounted_share"] == pytest.approx(np.mean(shares))
