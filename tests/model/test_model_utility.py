"""Utilities against numbers worked by hand (model/utility.py)."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_gym.model.utility import capped_utility, price_sensitivity, product_utility


def test_price_sensitivity_by_hand():
    # -1.4 x -2 x -1 = -2.8; -1.4 x -2 x -3 = -8.4; -1.4 x -0.5 x -1 = -0.7; ... x -3 = -2.1
    got = price_sensitivity(-1.4, [-2.0, -0.5], [-1.0, -3.0])
    np.testing.assert_allclose(got, [[-2.8, -8.4], [-0.7, -2.1]], rtol=1e-15)


def test_price_sensitivity_is_float64_for_single_precision_factors():
    got = price_sensitivity(-1.4, np.float32([-2.1]), np.float32([-1.3, -1.7, -0.9]))
    assert got.shape == (1, 3)
    assert got.dtype == np.float64
    assert got[0, 0] == -1.4 * float(np.float32(-2.1)) * float(np.float32(-1.3))


def test_product_utility_by_hand():
    # 2 x 0.5 + 3 x 0.2 - 2 x 0.5 + 0.1 = 1 + 0.6 - 1 + 0.1 = 0.7   (price e^0.5)
    # 1 x -1 + 0.5 x 4 - 1 x 0 + 0 = 1                               (price 1)
    got = product_utility(
        [[2.0, 1.0]], [[0.5, -1.0]], [[3.0, 0.5]], [0.2, 4.0], [[-2.0, -1.0]],
        np.log([math.exp(0.5), 1.0]), [[0.1, 0.0]],
    )  # fmt: skip
    np.testing.assert_allclose(got, [[0.7, 1.0]], rtol=1e-14)


@pytest.fixture
def terms():
    generator = np.random.default_rng(0)
    u, i = 3, 5
    return {
        "beta_x_ui": generator.normal(size=(u, i)).astype(np.float32),
        "x_ui": generator.normal(size=(u, i)),
        "beta_z_ui": generator.normal(size=(u, i)).astype(np.float32),
        "z_i": generator.random(i),
        "beta_w_ui": -generator.random((u, i)),
        "log_price_ui": np.log(1 + generator.random(i)),
        "eps_ui": generator.gumbel(size=(u, i)),
    }


def test_product_utility_equals_the_sum_element_by_element(terms):
    before = {name: value.copy() for name, value in terms.items()}
    got = product_utility(**terms)
    for u in range(3):
        for i in range(5):
            expected = (
                float(terms["beta_x_ui"][u, i]) * terms["x_ui"][u, i]
                + float(terms["beta_z_ui"][u, i]) * terms["z_i"][i]
                + terms["beta_w_ui"][u, i] * terms["log_price_ui"][i]
                + terms["eps_ui"][u, i]
            )
            assert got[u, i] == expected  # same order of the sum, so the same bits
    for name, value in terms.items():
        np.testing.assert_array_equal(value, before[name])  # buffers are its own


def test_product_utility_takes_one_price_per_customer(terms):
    per_customer = np.tile(terms["log_price_ui"], (3, 1))
    per_customer[1] += math.log(0.9)  # customer 1 has a coupon of 10 %
    shelf = product_utility(**terms)
    paid = product_utility(**{**terms, "log_price_ui": per_customer})
    np.testing.assert_array_equal(paid[[0, 2]], shelf[[0, 2]])
    np.testing.assert_allclose(paid[1] - shelf[1], math.log(0.9) * terms["beta_w_ui"][1], rtol=1e-9)


def test_capped_utility_by_hand():
    utility = np.array([[1.0, 5.0, -3.0], [4.0, 2.0, 9.0]])
    assert capped_utility(utility, 3.0).tolist() == [[1.0, 3.0, -3.0], [3.0, 2.0, 3.0]]
    # one cap per customer
    assert capped_utility(utility, [2.0, 4.5]).tolist() == [[1.0, 2.0, -3.0], [4.0, 2.0, 4.5]]
    np.testing.assert_array_equal(capped_utility(utility, np.inf), utility)
    np.testing.assert_array_equal(capped_utility(utility, [np.inf, np.inf]), utility)


@given(st.floats(-1e4, 1e4), st.floats(-1e4, 1e4), st.floats(-1e4, 1e4))
def test_capped_utility_is_monotone_and_idempotent(a, b, cap):
    low, high = sorted((a, b))
    capped = capped_utility([[low, high]], cap)
    assert capped[0, 0] <= capped[0, 1] <= cap
    np.testing.assert_array_equal(capped_utility(capped, cap), capped)
    np.testing.assert_array_equal(capped_utility([[low, high]], [cap]), capped)
