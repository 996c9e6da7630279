"""Category choice against numbers worked by hand (model/category_choice.py)."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_gym.model.category_choice import category_probability, category_start, category_value


def test_category_start_by_hand():
    assert category_start([2, 1, 4]).tolist() == [0, 2, 3]
    assert category_start([7]).tolist() == [0]


def test_category_value_by_hand():
    # log(1 + 3) = log 4;  one product: its utility;  log(2 + 2 + 4) = log 8
    utility = [[0.0, math.log(3), -1.5, math.log(2), math.log(2), math.log(4)]]
    got = category_value(utility, [2, 1, 3])
    np.testing.assert_allclose(got, [[math.log(4), -1.5, math.log(8)]], rtol=1e-15)


def test_category_value_of_one_product_is_its_utility_to_the_bit():
    utility = np.array([[0.1, -1e4, 1e4, 1 / 3]])
    np.testing.assert_array_equal(category_value(utility, [1, 1, 1, 1]), utility)


def test_category_value_of_extreme_utilities():
    # exp(1e4) overflows and exp(-1e4) vanishes; equal pairs are worth utility + log 2
    utility = [[1e4, 1e4, -1e4, -1e4, 1e4, -1e4]]
    got = category_value(utility, [2, 2, 2])
    np.testing.assert_allclose(got, [[1e4 + math.log(2), -1e4 + math.log(2), 1e4]], rtol=1e-15)


def test_category_value_rows_and_categories_do_not_mix():
    generator = np.random.default_rng(1)
    utility, sizes = generator.normal(size=(4, 9)), [4, 2, 3]
    got = category_value(utility, sizes)
    assert got.shape == (4, 3)
    for u in range(4):
        for j, (start, size) in enumerate(zip([0, 4, 6], sizes, strict=True)):
            expected = math.log(sum(math.exp(x) for x in utility[u, start : start + size]))
            assert got[u, j] == pytest.approx(expected, rel=1e-13)


@given(st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=8), st.floats(-1e3, 1e3))
def test_category_value_bounds_and_shift(utility, shift):
    value = category_value([utility], [len(utility)])[0, 0]
    assert max(utility) <= value <= max(utility) + math.log(len(utility)) + 1e-9
    shifted = category_value([np.add(utility, shift)], [len(utility)])[0, 0]
    assert shifted == pytest.approx(value + shift, abs=1e-8)


@given(st.lists(st.floats(-50, 50), min_size=2, max_size=6))
def test_category_value_rises_with_every_product(utility):
    value = category_value([utility], [len(utility)])
    better = category_value([[utility[0] + 1.0, *utility[1:]]], [len(utility)])
    assert better >= value


def test_category_probability_by_hand():
    # -1 + 0.5 x 2 = 0: 1/2;  log 3 + 0 x 7 = log 3: 3/4;  0 + 1 x -log 4: 1/5
    value = [[2.0, 7.0, -math.log(4)]]
    got = category_probability([-1.0, math.log(3), 0.0], [0.5, 0.0, 1.0], value)
    np.testing.assert_allclose(got, [[0.5, 0.75, 0.2]], rtol=1e-14)


def test_category_probability_of_extreme_values():
    value = np.array([[1e4, -1e4, 0.0]])
    got = category_probability(np.zeros(3), np.ones(3), value)
    assert got.tolist() == [[1.0, 0.0, 0.5]]


@given(st.floats(-30, 30), st.floats(0, 3), st.floats(-10, 10), st.floats(0, 5))
def test_category_probability_rises_with_the_value(gamma_0, gamma_1, value, more):
    low, high = category_probability([gamma_0] * 2, [gamma_1] * 2, [[value, value + more]])[0]
    assert 0.0 <= low <= high <= 1.0
