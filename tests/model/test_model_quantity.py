"""Purchase quantities against numbers worked by hand (model/quantity.py)."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from retail_gym.model.quantity import expected_quantity, purchase_rate, quantity_probability
from retail_gym.rng import poisson_quantile


def test_purchase_rate_by_hand():
    # exp(log 2 + 0.5 x 0) = 2;  exp(0 + 0.5 x log 9) = 3;  exp(log 4 - 1 x log 8) = 0.5
    got = purchase_rate(
        [math.log(2), 0.0, math.log(4)], [[0.5, 0.5, -1.0]], [[0.0, math.log(9), math.log(8)]]
    )
    np.testing.assert_allclose(got, [[2.0, 3.0, 0.5]], rtol=1e-14)


def test_purchase_rate_of_extreme_utilities():
    # the largest weight in use is about 0.02: exp(0.02 x 1e4) = e^200, and its inverse
    got = purchase_rate([0.0, 0.0], [[0.02, 0.02]], [[1e4, -1e4]])
    np.testing.assert_allclose(got, [[math.exp(200), math.exp(-200)]], rtol=1e-12)


def test_purchase_rate_is_float64_for_single_precision_weights():
    got = purchase_rate(np.zeros(2), np.float32([[0.1, 0.2]]), np.array([[1.7, 2.3]]))
    assert got.dtype == np.float64
    assert got[0, 0] == pytest.approx(math.exp(float(np.float32(0.1)) * 1.7), rel=1e-15)


@given(st.floats(-5, 2), st.floats(0, 0.5), st.floats(-20, 20), st.floats(0, 5))
def test_purchase_rate_rises_with_utility(gamma_0, gamma_1, utility, more):
    low, high = purchase_rate([gamma_0] * 2, [[gamma_1] * 2], [[utility, utility + more]])[0]
    assert 0.0 < low <= high


def test_quantity_probability_by_hand():
    # rate 2: e^-2 (1, 2, 2^2/2!, 2^3/3!) = e^-2 (1, 2, 2, 4/3)
    got = quantity_probability([1, 2, 3, 4], 2.0)
    np.testing.assert_allclose(got, math.exp(-2) * np.array([1, 2, 2, 4 / 3]), rtol=1e-14)


def test_quantity_probability_without_a_rate_is_one_unit():
    assert quantity_probability([1, 2, 3], 0.0).tolist() == [1.0, 0.0, 0.0]


@pytest.mark.parametrize("rate", [1e-6, 0.01, 0.14, 1.0, 7.3, 40.0, 1000.0])
def test_quantity_probability_sums_to_one_and_has_the_expected_mean(rate):
    q = np.arange(1, 2000)
    p = quantity_probability(q, rate)
    assert p.sum() == pytest.approx(1.0, abs=1e-10)
    assert (q * p).sum() == pytest.approx(float(expected_quantity(rate)), rel=1e-10)
    np.testing.assert_allclose(p, stats.poisson.pmf(q - 1, rate), rtol=1e-9, atol=1e-300)


@pytest.mark.parametrize("rate", [0.02, 0.14, 0.9, 5.0, 45.0])
def test_quantity_probability_is_the_histogram_of_the_draws(rate):
    # stratified draws (k + 1/2) / n: each share is within 1/n of its probability
    n = 100_000
    drawn = 1 + poisson_quantile((np.arange(n) + 0.5) / n, rate)
    share = np.bincount(drawn, minlength=200) / n
    expected = quantity_probability(np.arange(1, share.size), rate)
    assert share[0] == 0.0
    np.testing.assert_allclose(share[1:], expected, rtol=0, atol=1.001 / n)


def test_quantity_probability_broadcasts():
    assert quantity_probability(np.array([1, 2, 3])[:, None], np.array([0.5, 1.0])).shape == (3, 2)


def test_expected_quantity_by_hand():
    got = expected_quantity([[0.0, 0.5], [2.0, 10.0]])
    assert got.tolist() == [[1.0, 1.5], [3.0, 11.0]]
