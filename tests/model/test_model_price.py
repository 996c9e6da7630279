"""Prices and discounts against numbers worked by hand (model/price.py)."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_gym.model.price import (
    base_price,
    discount,
    discount_state,
    discount_state_probability,
    price,
    price_paid,
)

probability = st.floats(0.0, 1.0)


def test_base_price_by_hand():
    # 1 + 2 x 0.5 = 2;  2.5 + 2 x 0.25 = 3;  -3 + 2 x 1 = -1, below the floor of 0.01
    got = base_price([1.0, 2.5, -3.0], 2.0, [0.5, 0.25, 1.0], 0.01)
    np.testing.assert_allclose(got, [2.0, 3.0, 0.01], rtol=1e-15)


def test_base_price_takes_a_store_scalar_of_shape_one():
    assert base_price([1.0, 2.0], np.array([3.0]), [1.0, 1.0], 0.01).shape == (2,)


def test_discount_state_by_hand():
    # off, u = 0.2 < a01 = 0.3: enters;  off, 0.3 not < 0.3: stays off;
    # on, 0.5 < a11 = 0.6: stays on;     on, 0.6 not < 0.6: leaves
    state = np.array([False, False, True, True])
    got = discount_state(state, np.full(4, 0.3), np.full(4, 0.6), [0.2, 0.3, 0.5, 0.6])
    assert got.dtype == bool
    assert got.tolist() == [True, False, True, False]


def test_discount_state_uses_each_products_own_probability():
    # u = 0.5 everywhere: off products enter where a01 > 0.5, on products stay where a11 > 0.5
    state = np.array([False, False, True, True])
    a01, a11 = np.array([0.9, 0.1, 0.1, 0.9]), np.array([0.1, 0.9, 0.9, 0.1])
    assert discount_state(state, a01, a11, np.full(4, 0.5)).tolist() == [True, False, True, False]


@pytest.mark.parametrize("u", [2.0**-33, 0.5, 1 - 2.0**-33])
def test_discount_state_is_certain_at_probability_zero_and_one(u):
    state = np.array([False, True])
    assert discount_state(state, np.zeros(2), np.ones(2), [u, u]).tolist() == [False, True]
    assert discount_state(state, np.ones(2), np.zeros(2), [u, u]).tolist() == [True, False]


def test_discount_by_hand():
    got = discount(np.array([True, False, True]), [0.25, 0.5, 0.0])
    assert got.tolist() == [0.25, 0.0, 0.0]


def test_price_by_hand():
    # (1 - 0.25) x 4 = 3;  (1 - 0) x 2 = 2;  (1 - 0.999) x 5 = 0.005, below the floor
    got = price([4.0, 2.0, 5.0], [0.25, 0.0, 0.999], 0.01)
    np.testing.assert_allclose(got, [3.0, 2.0, 0.01], rtol=1e-15)


def test_price_of_segments_has_a_row_each():
    # segment 1: 0.5 x 4 = 2 and 0.9 x 10 = 9;  segment 2: 4 and 5
    got = price([4.0, 10.0], [[0.5, 0.1], [0.0, 0.5]], 0.01)
    np.testing.assert_allclose(got, [[2.0, 9.0], [4.0, 5.0]], rtol=1e-15)


def test_full_discount_costs_the_floor():
    assert price([4.0], [1.0], 0.01).tolist() == [0.01]


@given(
    st.floats(0.02, 1e4), st.floats(0.0, 1.0), st.floats(0.0, 1.0), st.floats(1e-6, 0.02)
)  # fmt: skip
def test_price_falls_with_the_discount_between_floor_and_base(base, d1, d2, floor):
    low, high = sorted((d1, d2))
    dear, cheap = price([base, base], [low, high], floor)
    assert floor <= cheap <= dear <= base


def test_price_paid_by_hand():
    # coupon 0: shelf prices;  coupon 0.1: 0.9 x 2 = 1.8, 0.9 x 5 = 4.5, 0.9 x 1 = 0.9
    got = price_paid([2.0, 5.0, 1.0], [0.0, 0.1])
    np.testing.assert_allclose(got, [[2.0, 5.0, 1.0], [1.8, 4.5, 0.9]], rtol=1e-15)


def test_discount_state_probability_by_hand():
    # 0.1 / (1 - 0.7 + 0.1) = 0.25;  a01 = a11 = f gives f;  never entered: 0
    got = discount_state_probability([0.1, 0.3, 0.0, 0.0], [0.7, 0.3, 1.0, 0.5])
    np.testing.assert_allclose(got, [0.25, 0.3, 0.0, 0.0], rtol=1e-14)


def test_discount_state_probability_of_an_absorbing_state_is_one():
    assert discount_state_probability(0.2, 1.0) == 1.0


@given(probability, probability)
def test_discount_state_probability_is_stationary(a01, a11):
    pi = float(discount_state_probability(a01, a11))
    assert 0.0 <= pi <= 1.0
    assert pi == pytest.approx((1 - pi) * a01 + pi * a11, abs=1e-12)


def test_long_run_share_of_discounted_weeks():
    # 5,000 products, 60 weeks, a01 = 0.15, a11 = 0.7: pi = 0.15 / 0.45 = 1/3. The process
    # forgets at rate 0.55 a week, so after 30 weeks the share is pi to 1e-8; the standard error
    # of the mean over 30 weeks is sqrt(2/9 / 5000 x 1.55/0.45 / 30) = 0.0023.
    generator = np.random.default_rng(5)
    state, a01, a11 = np.zeros(5000, dtype=bool), np.full(5000, 0.15), np.full(5000, 0.7)
    share = []
    for _ in range(60):
        state = discount_state(state, a01, a11, generator.random(5000))
        share.append(state.mean())
    assert np.mean(share[30:]) == pytest.approx(1 / 3, abs=4 * 0.0023)
