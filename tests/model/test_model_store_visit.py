"""Store visits against numbers worked by hand (model/store_visit.py)."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_gym.model.category_choice import category_value
from retail_gym.model.store_visit import (
    marketing_feature,
    store_utility,
    store_value,
    visit_probability,
    visit_propensity,
)

probability = st.floats(0.0, 1.0)


def test_store_value_by_hand():
    # log(2 + 6) = log 8;  log(1 + 1) = log 2
    got = store_value([[math.log(2), math.log(6)], [0.0, 0.0]])
    np.testing.assert_allclose(got, [math.log(8), math.log(2)], rtol=1e-15)


def test_store_value_of_extreme_category_values():
    got = store_value([[1e4, 1e4], [-1e4, -1e4], [1e4, -1e4]])
    np.testing.assert_allclose(got, [1e4 + math.log(2), -1e4 + math.log(2), 1e4], rtol=1e-15)


def test_store_value_does_not_depend_on_how_products_are_grouped():
    utility = np.random.default_rng(3).normal(0, 3, size=(5, 12))
    one = store_value(category_value(utility, [12]))
    many = store_value(category_value(utility, [1, 4, 2, 5]))
    assert one.shape == (5,)
    np.testing.assert_allclose(one, many, rtol=1e-13)
    np.testing.assert_allclose(one, np.log(np.exp(utility).sum(axis=1)), rtol=1e-13)


def test_marketing_feature_by_hand():
    # 1000 x mean(0.1, 0.3, 0.2) = 200;  with last week's coupons: 1000 x (0.2 + 0.1) = 300
    discount = [0.1, 0.3, 0.2]
    assert marketing_feature(discount, 1000.0).shape == ()
    assert float(marketing_feature(discount, 1000.0)) == pytest.approx(200.0, rel=1e-14)
    got = marketing_feature(discount, 1000.0, [0.0, 0.1])
    np.testing.assert_allclose(got, [200.0, 300.0], rtol=1e-14)


def test_marketing_feature_of_segments():
    # mean discounts 0.25 and 0.5, scale 10
    got = marketing_feature([[0.5, 0.0], [0.5, 0.5]], 10.0)
    np.testing.assert_allclose(got, [2.5, 5.0], rtol=1e-15)


def test_marketing_feature_is_the_sum_of_discounts_at_the_catalogues_own_size():
    discount = np.random.default_rng(4).random(37)
    got = float(marketing_feature(discount, 37.0))
    assert got == pytest.approx(discount.sum(), rel=1e-13)


def test_store_utility_by_hand():
    # no visit: -1 + 0.01 x 50 = -0.5;  visit: -1 + 0.1 x 20 + 0.01 x 50 = 1.5
    got = store_utility(-1.0, 0.1, 0.01, [False, True], [20.0, 20.0], 50.0)
    np.testing.assert_allclose(got, [-0.5, 1.5], rtol=1e-15)


def test_store_utility_takes_numbers_for_visits_and_a_feature_per_customer():
    # -1 + 2 x 0.5 x 3 + 0.1 x 10 = 3;  -1 + 0.1 x 20 = 1
    got = store_utility([-1.0], [1.0], [0.1], [1.0, 0.0], [3.0, 3.0], [10.0, 20.0])
    np.testing.assert_allclose(got, [3.0, 1.0], rtol=1e-15)


@pytest.mark.parametrize("stale", [np.nan, np.inf, -np.inf, 1e300])
def test_store_value_is_not_used_where_there_was_no_visit(stale):
    got = store_utility(-1.0, 0.1, 0.01, [False, True], [stale, 20.0], 50.0)
    np.testing.assert_allclose(got, [-0.5, 1.5], rtol=1e-15)


def test_visit_propensity_by_hand():
    # odds 1, 3, 1/4 give 1/2, 3/4, 1/5
    got = visit_propensity([0.0, math.log(3), -math.log(4)])
    np.testing.assert_allclose(got, [0.5, 0.75, 0.2], rtol=1e-15)
    assert visit_propensity([1e4, -1e4]).tolist() == [1.0, 0.0]


def test_visit_probability_by_hand():
    # 0.75 x 0.8 + 0.25 x 0.4 = 0.7;  no inertia: the propensity itself
    got = visit_probability([0.25, 0.0], [0.8, 0.8], [0.4, 0.4])
    np.testing.assert_allclose(got, [0.7, 0.8], rtol=1e-15)


@given(st.floats(0.0, 1.0, exclude_max=True), probability, probability)
def test_visit_probability_lies_between_propensity_and_past(theta, propensity, past):
    got = float(visit_probability(theta, propensity, past))
    assert min(propensity, past) - 1e-12 <= got <= max(propensity, past) + 1e-12


def test_visit_probability_settles_at_the_propensity():
    # the distance shrinks by theta each week: 0.5^60 < 1e-18
    p = np.ones(1)
    for _ in range(60):
        p = visit_probability([0.5], [0.3], p)
    assert p[0] == pytest.approx(0.3, abs=1e-15)
