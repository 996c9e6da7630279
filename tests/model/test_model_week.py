"""A week's decisions against a literal re-implementation and against their probabilities."""

import math

import numpy as np
import pytest
from scipy import stats

from retail_gym.model.quantity import quantity_probability
from retail_gym.model.week import expected_basket, shopping_trip, store_visit

#: Family-wise error rate of the chi-square tests of this file, shared by at most 40 p-values.
ALPHA, MAX_P_VALUES = 1e-3, 40
THRESHOLD = ALPHA / MAX_P_VALUES


def test_store_visit_by_hand():
    # customer 0 visited: mu = -1 + 0.1 x 10 + 0.02 x 50 = 1 -> s = e/(1+e); theta 0: p = s
    # customer 1 did not: mu = -1 + 0 + 1 = 0 -> s = 0.5; p = 0.6 x 0.5 + 0.4 x 0.25 = 0.4
    got = store_visit(
        gamma_store_0=-1.0, gamma_store_1=0.1, gamma_store_2=0.02,
        theta_u=np.array([0.0, 0.4]), visited_u=np.array([True, False]),
        store_value_u=np.array([10.0, 99.0]), previous_probability_u=np.array([0.9, 0.25]),
        marketing_u=50.0,
    )  # fmt: skip
    np.testing.assert_allclose(got, [math.e / (1 + math.e), 0.4], rtol=1e-14)


def make_case(seed, u, sizes, spread=2.0):
    g = np.random.default_rng(seed)
    i, j = int(np.sum(sizes)), len(sizes)
    return (
        g,
        {
            "category_sizes": np.array(sizes),
            "gamma_cate_0_j": g.normal(-0.5, 1.0, j),
            "gamma_cate_1_j": g.uniform(0.1, 0.6, j),
            "gamma_prod_0_i": g.normal(-0.3, 0.7, i),
            "gamma_prod_1_ui": g.uniform(0.0, 0.3, (u, i)),
        },
        g.normal(0.0, spread, (u, i)),
    )


def draws(g, u, j):
    names = ("category_uniform_uj", "product_uniform_uj", "quantity_uniform_uj")
    return {name: g.random((u, j)) for name in names}


def literal_trip(utility, case, uniforms):
    """Section 3 read aloud: for each customer, for each category."""
    lines, remembered = [], []
    for u, row in enumerate(utility):
        first, everything = 0, 0.0
        for j, size in enumerate(case["category_sizes"]):
            mu = [float(x) for x in row[first : first + size]]
            total = math.fsum(math.exp(x) for x in mu)
            everything += total
            logit = case["gamma_cate_0_j"][j] + case["gamma_cate_1_j"][j] * math.log(total)
            if uniforms["category_uniform_uj"][u, j] < 1.0 / (1.0 + math.exp(-logit)):
                k, cumulative = 0, math.exp(mu[0]) / total
                while cumulative <= uniforms["product_uniform_uj"][u, j]:
                    k += 1
                    cumulative += math.exp(mu[k]) / total
                i = first + k
                rate = math.exp(case["gamma_prod_0_i"][i] + case["gamma_prod_1_ui"][u, i] * mu[k])
                units, term = 1, math.exp(-rate)
                below = term
                while below < uniforms["quantity_uniform_uj"][u, j]:
                    term *= rate / units
                    below += term
                    units += 1
                lines.append((u, j, i, units))
            first += size
        remembered.append(math.log(everything))
    return lines, remembered


@pytest.mark.parametrize("seed", range(12))
def test_shopping_trip_equals_a_literal_reading(seed):
    sizes = [[1, 2, 3], [4], [1, 1, 1, 5], [6, 2]][seed % 4]
    g, case, utility = make_case(seed, 25, sizes)
    uniforms = draws(g, 25, len(sizes))
    basket = shopping_trip(utility, **case, **uniforms)
    lines, remembered = literal_trip(utility, case, uniforms)
    got = list(
        zip(*(x.tolist() for x in (basket.row, basket.category, basket.product, basket.quantity)),
            strict=True)
    )  # fmt: skip
    assert got == lines
    assert len(lines) > 0
    np.testing.assert_allclose(basket.store_value_u, remembered, rtol=1e-12)


def test_shopping_trip_of_nobody_and_of_empty_baskets():
    g, case, utility = make_case(0, 3, [2, 3])
    uniforms = draws(g, 3, 2)
    uniforms["category_uniform_uj"][:] = 1 - 2.0**-33
    case["gamma_cate_0_j"] = np.full(2, -30.0)
    empty = shopping_trip(utility, **case, **uniforms)
    assert empty.product.size == empty.quantity.size == empty.row.size == 0
    assert empty.store_value_u.shape == (3,)
    nobody = shopping_trip(
        utility[:0], **{**case, "gamma_prod_1_ui": case["gamma_prod_1_ui"][:0]},
        **{name: value[:0] for name, value in uniforms.items()},
    )  # fmt: skip
    assert nobody.row.size == 0
    assert nobody.store_value_u.shape == (0,)


def test_shopping_trip_of_extreme_utilities():
    # category 0: product 1 certain; category 1: worthless, never bought
    utility = np.array([[-1e4, 1e4, -1e4]])
    basket = shopping_trip(
        utility, category_sizes=[2, 1], gamma_cate_0_j=[0.0, 0.0], gamma_cate_1_j=[1.0, 1.0],
        gamma_prod_0_i=np.zeros(3), gamma_prod_1_ui=np.zeros((1, 3)),
        category_uniform_uj=[[0.999, 1e-9]], product_uniform_uj=[[0.001, 0.5]],
        quantity_uniform_uj=[[0.3, 0.5]],
    )  # fmt: skip
    # rate 1: P(Q = 1) = 0.368 >= 0.3
    assert (basket.category.tolist(), basket.product.tolist()) == ([0], [1])
    assert basket.quantity.tolist() == [1]
    assert basket.store_value_u.tolist() == [1e4]


@pytest.fixture(scope="module")
def crowd():
    """One customer's week, lived 40,000 times with fresh draws."""
    n, sizes = 40_000, [1, 2, 4]
    g, case, utility = make_case(77, 1, sizes, spread=1.0)
    expected = expected_basket(utility, **case)
    many = {**case, "gamma_prod_1_ui": np.tile(case["gamma_prod_1_ui"], (n, 1))}
    basket = shopping_trip(np.tile(utility, (n, 1)), **many, **draws(g, n, 3))
    return n, case, expected, basket


def test_categories_are_bought_as_often_as_their_probability_says(crowd):
    n, _, expected, basket = crowd
    for j, p in enumerate(expected.category_probability_uj[0]):
        bought = int((basket.category == j).sum())
        assert stats.binomtest(bought, n, p).pvalue > THRESHOLD


def test_categories_are_chosen_independently(crowd):
    # all 2^3 baskets of categories against the product of the probabilities
    n, _, expected, basket = crowd
    pattern = np.zeros(n, dtype=np.int64)
    np.add.at(pattern, basket.row, 1 << basket.category)
    p = expected.category_probability_uj[0]
    law = [math.prod(p[j] if k >> j & 1 else 1 - p[j] for j in range(3)) for k in range(8)]
    counts = np.bincount(pattern, minlength=8)
    assert stats.chisquare(counts, n * np.array(law)).pvalue > THRESHOLD


def test_products_are_bought_as_often_as_their_probability_says(crowd):
    _, case, expected, basket = crowd
    first = 0
    for j, size in enumerate(case["category_sizes"]):
        inside = basket.product[basket.category == j] - first
        assert ((inside >= 0) & (inside < size)).all()
        if size > 1:
            counts = np.bincount(inside, minlength=size)
            p = expected.product_probability_ui[0, first : first + size]
            assert stats.chisquare(counts, counts.sum() * p / p.sum()).pvalue > THRESHOLD
        first += size


def test_quantities_follow_the_shifted_poisson_law(crowd):
    _, _, expected, basket = crowd
    for i, mean in enumerate(expected.quantity_ui[0]):
        units = basket.quantity[basket.product == i]
        assert units.min() >= 1
        p = quantity_probability(np.arange(1, 200), mean - 1.0)
        last = max(1, int(np.argmin(np.cumsum(p[::-1])[::-1] * units.size >= 10)) - 1)
        counts = np.bincount(np.minimum(units, last + 1), minlength=last + 2)[1:]
        law = np.append(p[:last], p[last:].sum())
        assert stats.chisquare(counts, units.size * law / law.sum()).pvalue > THRESHOLD


def test_expected_basket_is_the_mean_of_shopping_trips(crowd):
    n, _, expected, basket = crowd
    category = np.repeat(expected.category_probability_uj[0], [1, 2, 4])
    mean = category * expected.product_probability_ui[0] * expected.quantity_ui[0]
    for i in range(7):
        units = np.zeros(n)
        chosen = basket.product == i
        units[basket.row[chosen]] = basket.quantity[chosen]
        assert units.mean() == pytest.approx(mean[i], abs=4 * units.std() / math.sqrt(n))


def test_expected_basket_shapes():
    _, case, utility = make_case(1, 5, [2, 1, 4])
    got = expected_basket(utility, **case)
    shapes = [np.shape(x) for x in got]
    assert shapes == [(5, 3), (5, 3), (5, 7), (5, 7), (5,)]
    assert (got.quantity_ui > 1.0).all()
