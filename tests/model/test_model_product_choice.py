"""Product choice against numbers worked by hand (model/product_choice.py)."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_gym.model.category_choice import category_value
from retail_gym.model.product_choice import choose_product, product_probability

utilities = st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=12)
uniforms = st.integers(0, 2**32 - 1).map(lambda word: (word + 0.5) * 2.0**-32)


def probabilities(utility, sizes):
    return product_probability(utility, category_value(utility, sizes), sizes)


def test_product_probability_by_hand():
    # 1 : 3 gives 1/4, 3/4;  alone: 1;  2 : 2 : 4 gives 1/4, 1/4, 1/2
    utility = [[0.0, math.log(3), -7.0, math.log(2), math.log(2), math.log(4)]]
    got = probabilities(utility, [2, 1, 3])
    np.testing.assert_allclose(got, [[0.25, 0.75, 1.0, 0.25, 0.25, 0.5]], rtol=1e-14)


def test_product_probability_of_extreme_utilities():
    utility = [[1e4, -1e4, 0.0, 1e4, 1e4, -1e4, -1e4]]
    got = probabilities(utility, [3, 2, 2])
    np.testing.assert_allclose(got, [[1.0, 0.0, 0.0, 0.5, 0.5, 0.5, 0.5]], rtol=1e-11)


def test_product_probability_sums_to_one_in_each_category():
    generator = np.random.default_rng(2)
    sizes = np.array([5, 1, 9, 30])
    utility = generator.normal(0, 20, size=(6, 45))
    got = probabilities(utility, sizes)
    assert got.shape == (6, 45)
    total = np.add.reduceat(got, np.cumsum(sizes) - sizes, axis=1)
    np.testing.assert_allclose(total, 1.0, rtol=1e-12)


def test_product_probability_ratio_ignores_the_others():
    # multinomial logit: p_a / p_b = exp(mu_a - mu_b) whatever the third product is
    for third in (-5.0, 0.0, 5.0):
        p = probabilities([[1.0, 0.4, third]], [3])[0]
        assert p[0] / p[1] == pytest.approx(math.exp(0.6), rel=1e-13)


@pytest.mark.parametrize(
    ("u", "chosen"),
    [(2.0**-33, 0), (0.2499, 0), (0.25, 1), (0.5, 1), (0.7499, 1), (0.75, 2), (1 - 2.0**-33, 2)],
)
def test_choose_product_by_hand(u, chosen):
    # weights 1, 2, 1: cumulative 0.25, 0.75, 1; the first that exceeds u. log(2) is rounded,
    # but exp(log(1) - log(2)) = 0.5 exactly, so the two edges are exact.
    assert choose_product(np.log([1.0, 2.0, 1.0]), u) == chosen


def test_choose_product_of_extreme_utilities():
    for u in (2.0**-33, 0.5, 1 - 2.0**-33):
        assert choose_product([-1e4, 1e4], u) == 1
        assert choose_product([1e4, -1e4], u) == 0
        assert choose_product([-1e4, 0.0, -1e4], u) == 1
        assert choose_product([1e4], u) == 0
        assert choose_product([-1e4], u) == 0


@given(utilities, st.floats(0.0, 1.0, exclude_min=True, exclude_max=True))
def test_choose_product_is_a_position_of_the_category(utility, u):
    assert 0 <= choose_product(utility, u) < len(utility)


@given(utilities, uniforms, uniforms)
def test_choose_product_rises_with_the_draw(utility, u, v):
    low, high = sorted((u, v))
    assert choose_product(utility, low) <= choose_product(utility, high)


@given(st.lists(st.floats(-20, 20), min_size=1, max_size=8), uniforms)
def test_choose_product_is_the_first_to_exceed_the_draw(utility, u):
    weight = [math.exp(x - max(utility)) for x in utility]
    total, below = math.fsum(weight), 0.0
    position = choose_product(utility, u)
    below = math.fsum(weight[:position]) / total
    upto = math.fsum(weight[: position + 1]) / total
    assert below - 1e-12 <= u <= upto + 1e-12


def test_choose_product_shares_are_the_probabilities():
    # stratified draws (k + 1/2) / n: each share is within 1/n of its probability
    utility, n = np.array([0.3, -1.0, 1.2, 0.0]), 20_000
    chosen = [choose_product(utility, (k + 0.5) / n) for k in range(n)]
    share = np.bincount(chosen, minlength=4) / n
    np.testing.assert_allclose(share, probabilities([utility], [4])[0], atol=1.001 / n, rtol=0)
