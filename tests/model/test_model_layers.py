"""The layers' equations: by hand, against plain loops, and against the laws they state."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from retail_gym import rng
from retail_gym.counts import negative_binomial_quantile
from retail_gym.model.availability import on_shelf, shelf_utility
from retail_gym.model.basket_effects import household_effect, one_category, trip_effect, trip_size
from retail_gym.model.category_choice import category_value
from retail_gym.model.further_products import choose_another, further_rate
from retail_gym.model.habit import remember, repeated_product
from retail_gym.model.price_dispersion import dispersion_factor
from retail_gym.model.product_choice import choose_product, product_probability
from retail_gym.model.quantity import quantity_probability
from retail_gym.model.unequal_quantity import (
    expected_unequal_quantity,
    household_rate,
    in_pairs,
    unequal_quantity_probability,
)
from retail_gym.model.visit_effects import opening_probability, visit_drift, visit_effect

#: Family-wise error rate of the chi-square tests of this file, shared by at most 10 p-values.
THRESHOLD = 1e-3 / 10


def test_drift_by_hand():
    # sd 2, memory 0.6: first week 2 n; then 0.6 x + 2 * 0.8 n
    first = visit_drift(None, [1.0, -0.5], 2.0, 0.6)
    assert first.tolist() == [2.0, -1.0]
    np.testing.assert_allclose(visit_drift(first, [1.0, 0.0], 2.0, 0.6), [2.8, -0.6], rtol=1e-15)


def test_drift_is_stationary_with_the_stated_correlation():
    generator = np.random.default_rng(3)
    n, sd, memory = 20_000, 0.9, 0.7
    x = visit_drift(None, generator.standard_normal(n), sd, memory)
    for _ in range(5):
        before, x = x, visit_drift(x, generator.standard_normal(n), sd, memory)
    # standard errors: sd / sqrt(2 n) = 0.0045; (1 - 0.49) / sqrt(n) = 0.0036; five of them
    assert x.std() == pytest.approx(sd, abs=0.0225)
    assert np.corrcoef(before, x)[0, 1] == pytest.approx(memory, abs=0.018)


def test_visit_effect_and_opening_by_hand():
    assert visit_effect([1.0, 0.0], [0.5, -0.25], 0.25).tolist() == [1.75, 0.0]
    got = opening_probability([0.0, math.log(3.0)], 0.5)
    np.testing.assert_allclose(got, [0.25, 0.375], rtol=1e-15)


def test_household_effect_is_the_literal_sum():
    g = np.random.default_rng(0)
    size, taste, loading = g.normal(size=4), g.normal(size=(4, 2)), g.normal(size=(3, 2))
    own, sd = g.normal(size=(4, 3)), g.uniform(0.1, 1.0, 3)
    got = household_effect(size, taste, loading, own, sd)
    for u in range(4):
        for j in range(3):
            expected = size[u]
            for k in range(2):
                expected += loading[j, k] * taste[u, k] - 0.5 * loading[j, k] ** 2
            expected += sd[j] * own[u, j] - 0.5 * sd[j] ** 2
            assert got[u, j] == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_trip_effect_is_the_literal_sum():
    size = trip_size([1.0, -1.0], [0.29, 0.31], 0.5, [0.3, 0.3], 2.0)
    assert size.tolist() == [-1.5, -0.5]  # the first is a fill-in trip
    g = np.random.default_rng(1)
    factor, loading = g.normal(size=(2, 3)), g.normal(size=(4, 3))
    got = trip_effect(size, factor, loading)
    for u in range(2):
        for j in range(4):
            terms = [loading[j, k] * factor[u, k] - 0.5 * loading[j, k] ** 2 for k in range(3)]
            assert got[u, j] == pytest.approx(size[u] + sum(terms), rel=1e-12)


def test_tastes_and_affinities_leave_the_mean_odds():
    g = np.random.default_rng(2)
    n = 200_000
    loading, sd = np.array([[0.5, -0.4]]), np.array([0.6])
    effect = household_effect(
        np.zeros(n), g.normal(size=(n, 2)), loading, g.normal(size=(n, 1)), sd
    )
    odds = np.exp(effect)
    # variance of the effect 0.25 + 0.16 + 0.36: five standard errors
    assert odds.mean() == pytest.approx(1.0, abs=5 * odds.std() / math.sqrt(n))


def test_one_category_is_the_law_given_exactly_one_purchase():
    p = np.array([0.1, 0.5, 0.3])
    alone = [p[j] * np.prod(np.delete(1 - p, j)) for j in range(3)]
    n = 30_000
    uniform = (np.arange(n) + 0.5) / n
    counts = np.bincount([one_category(p, x) for x in uniform], minlength=3)
    np.testing.assert_allclose(counts / n, np.array(alone) / sum(alone), atol=1.5 / n)


def test_one_category_of_hardly_possible_and_of_certain_ones():
    assert one_category([0.0, 1e-12, 0.0], 0.999999) == 1
    assert one_category([0.2, 1.0, 0.2], 0.5) == 1


def test_further_rate_by_hand():
    np.testing.assert_allclose(further_rate([0.1, 0.2], 0.5, math.log(4.0)), [0.2, 0.4], rtol=1e-14)


def test_another_product_is_chosen_among_the_others():
    utility = np.log([0.1, 0.2, 0.3, 0.4])
    # without product 3: 1/6, 2/6, 3/6; without 1 and 3: 1/4, 3/4
    assert [choose_another(utility, [3], x) for x in (0.16, 0.17, 0.49, 0.51)] == [0, 1, 1, 2]
    assert [choose_another(utility, [1, 3], x) for x in (0.24, 0.26)] == [0, 2]
    assert choose_another(utility, [], 0.05) == choose_product(utility, 0.05)
    assert choose_another(utility, [0, 1, 2, 3], 0.5) is None
    assert choose_another([-np.inf, 0.0, -np.inf], [1], 0.5) is None


def test_products_in_order_follow_the_law_of_the_largest_noisy_utilities():
    # Plackett-Luce equals the ranking by utility + Gumbel noise: all 12 ordered pairs of 4
    utility, n = np.array([0.0, 0.7, -0.5, 1.1]), 20_000
    g = np.random.default_rng(7)
    order = np.argsort(-(utility + g.gumbel(size=(n, 4))), axis=1)[:, :2]
    noisy = np.bincount(4 * order[:, 0] + order[:, 1], minlength=16)
    weight = np.exp(utility)
    law = np.zeros(16)
    drawn = np.zeros(16, dtype=np.int64)
    for a in range(4):
        for b in set(range(4)) - {a}:
            law[4 * a + b] = weight[a] / weight.sum() * weight[b] / (weight.sum() - weight[a])
    for x, y in g.random((n, 2)):
        first = choose_product(utility, x)
        drawn[4 * first + choose_another(utility, [first], y)] += 1
    some = law > 0
    for counts in (noisy, drawn):
        assert counts[~some].sum() == 0
        assert stats.chisquare(counts[some], n * law[some]).pvalue > THRESHOLD


def test_a_past_product_by_hand():
    recent = [7, 3, 3, -1]
    # phi = 0.6: below 0.2 the first, to 0.6 one of the two others, above anew
    assert [repeated_product(recent, 0.6, v) for v in (0.1, 0.199, 0.201, 0.59)] == [7, 7, 3, 3]
    assert repeated_product(recent, 0.6, 0.6) is None
    assert repeated_product([-1, -1], 0.9, 0.1) is None
    assert repeated_product([5], 1.0, 1 - 2.0**-33) == 5
    assert repeated_product([5], 0.0, 2.0**-33) is None


def test_memory_forgets_the_oldest():
    recent = np.array([4, 9, -1], dtype=np.int32)
    once = remember(recent, 2)
    assert once.tolist() == [2, 4, 9]
    assert once.dtype == np.int32
    assert remember(once, 2).tolist() == [2, 2, 4]
    assert recent.tolist() == [4, 9, -1]


def test_windows_by_hand():
    # opens in week 50 for 4 weeks of a cycle of 52: 50, 51, 52 and 53 = 1 of the next cycle
    weeks = [t for t in range(1, 110) if on_shelf([50], [4], 52, t)[0]]
    assert weeks == [1, 50, 51, 52, 53, 102, 103, 104, 105]
    assert all(on_shelf([17], [52], 52, t)[0] for t in range(200))


def test_what_is_not_offered_is_not_chosen_and_has_no_value():
    utility = np.array([[0.3, 5.0, -1.0, 0.2, 0.1]])
    shelf = shelf_utility(utility, [True, False, True, True, True])
    value = category_value(shelf, [3, 2])
    np.testing.assert_allclose(value[0, 0], math.log(math.exp(0.3) + math.exp(-1.0)), rtol=1e-14)
    chance = product_probability(shelf, value, [3, 2])
    assert chance[0, 1] == 0.0
    np.testing.assert_allclose(chance.sum(), 2.0, rtol=1e-14)
    assert utility[0, 1] == 5.0


@pytest.mark.parametrize("size", [0.3, 1.0, 7.5])
def test_unequal_quantity_is_a_poisson_law_with_gamma_rates(size):
    g = np.random.default_rng(11)
    mean, n = 0.8, 40_000
    units = 1 + g.poisson(g.gamma(size, mean / size, n))
    q = np.arange(1, 400)
    p = unequal_quantity_probability(q, mean, size)
    assert p.sum() == pytest.approx(1.0, abs=1e-9)
    assert (q * p).sum() == pytest.approx(1.0 + mean, rel=1e-8)
    last = int(np.argmax(p * n < 20))
    counts = np.bincount(np.minimum(units, last + 1), minlength=last + 2)[1:]
    law = np.append(p[:last], 1.0 - p[:last].sum())
    assert stats.chisquare(counts, n * law).pvalue > THRESHOLD


def test_unequal_quantity_tends_to_the_paper_s():
    q = np.arange(1, 12)
    np.testing.assert_allclose(
        unequal_quantity_probability(q, 0.7, 1e6), quantity_probability(q, 0.7), rtol=1e-4
    )


def test_household_rate_by_hand():
    assert household_rate([0.5, 1.0], [2.0, 0.25]).tolist() == [1.0, 0.25]


@pytest.mark.parametrize("size", [0.2, 0.79, 5.0])
def test_negative_binomial_quantile_equals_scipy(size):
    u = (np.arange(2_000) + 0.5) / 2_000
    for mean in (1e-3, 0.4, 3.0, 40.0):
        expected = stats.nbinom.ppf(u, size, size / (size + mean))
        np.testing.assert_array_equal(negative_binomial_quantile(u, mean, size), expected)


def test_negative_binomial_quantile_at_the_ends():
    low, high = 2.0**-33, 1 - 2.0**-33
    assert negative_binomial_quantile([low, 0.5, high], 0.0, 0.5).tolist() == [0, 0, 0]
    assert negative_binomial_quantile(high, 1e6, 0.1) == 10_000  # the stated bound
    assert rng.negative_binomial_quantile is negative_binomial_quantile


def test_dispersion_factor_by_hand_and_on_average():
    found = dispersion_factor([0.0, 1.0, -2.0], [0.5, 0.2, 0.0])
    np.testing.assert_allclose(found, [np.exp(-0.125), np.exp(0.18), 1.0])
    x, weight = np.polynomial.hermite_e.hermegauss(40)
    mean = (weight * dispersion_factor(x, np.full(40, 0.6))).sum() / weight.sum()
    assert mean == pytest.approx(1.0, abs=1e-12)


def test_pairs_by_hand():
    found = in_pairs([1, 2, 3, 3, 4, 7], [0.0, 0.0, 0.29, 0.31, 0.0, 0.1], 0.3)
    assert found.tolist() == [1, 2, 2, 3, 4, 6]
    assert in_pairs([3, 5], [1e-9, 1e-9], 0.0).tolist() == [3, 5]


@pytest.mark.parametrize("size", [0.3, 1.0, 7.5])
@pytest.mark.parametrize("mean", [0.0, 0.2, 3.0])
def test_expected_quantity_in_pairs_is_the_sum_over_its_law(size, mean):
    units = np.arange(1, 3_000)
    p = stats.nbinom.pmf(units - 1, size, size / (size + mean))
    expected = sum((p * in_pairs(units, np.full(units.size, v), 0.4)).sum() * w
                   for v, w in ((0.0, 0.4), (0.9, 0.6)))  # fmt: skip
    assert expected_unequal_quantity(mean, size, 0.4) == pytest.approx(expected, rel=1e-9)
    assert expected_unequal_quantity(mean, size) == pytest.approx(1.0 + mean)
