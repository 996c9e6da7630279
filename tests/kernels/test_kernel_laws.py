"""Decisions have the probabilities of the equations, over many episodes.

Given the week's noise every probability is known, so counts less their expectations are sums of
independent zero-mean terms of known variance. Fixed seeds; each chi-square test has an error
rate of 1e-4 (two-sided where too good a fit would be wrong as well).
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import retail_gym
from retail_gym.kernels import KERNELS, make_kernel
from retail_gym.model.utility import capped_utility
from retail_gym.model.week import expected_basket
from retail_gym.simulator import Simulator
from retail_gym.world.noise import noise_words, utility
from retail_gym.world.priors import Uniform

EPISODES = 1_200


@pytest.fixture(scope="module")
def world():
    return retail_gym.make_world("tiny", 0, theta=Uniform(0.25, 0.45), gamma_prod_0=0.3)


@pytest.fixture(scope="module")
def counts(world):
    """Decisions of weeks 1 and 2 of many episodes, and their expectations."""
    price = 0.75 * world.base_price
    log_price = np.log(price)
    cap = world.cap_reference.cap(log_price)
    people = np.arange(5)
    got = {"visit": [], "p_visit": [], "category": [], "p_category": [], "product": [],
           "p_product": [], "rate": [], "extra": []}  # fmt: skip
    for key in range(EPISODES):
        simulator = Simulator(world, key)
        for week in (1, 2):
            outcome = simulator.step(price)
            word = noise_words(world, key, week, people)
            mu = capped_utility(utility(world, slice(None), word, log_price), cap)
            basket = expected_basket(
                mu,
                category_sizes=world.category_sizes,
                gamma_cate_0_j=world.gamma_cate_0,
                gamma_cate_1_j=world.gamma_cate_1,
                gamma_prod_0_i=world.gamma_prod_0,
                gamma_prod_1_ui=world.gamma_prod_1,
            )
            if week == 2:
                got["visit"].append(outcome.visited)
                got["p_visit"].append(simulator.memory.visit_probability)
            else:
                assert outcome.visited.all()
            lines = outcome.lines
            bought = np.zeros((5, 3))
            bought[lines.customer, lines.category] = 1
            here = outcome.visited[:, None]
            got["category"].append(bought)
            got["p_category"].append(np.where(here, basket.category_probability_uj, 0.0))
            chosen = np.zeros((5, 9))
            chosen[lines.customer, lines.product] = 1
            in_basket = np.repeat(bought, world.category_sizes, axis=1)
            got["product"].append(chosen)
            got["p_product"].append(in_basket * basket.product_probability_ui)
            rate = basket.quantity_ui[lines.customer, lines.product] - 1
            got["rate"].extend(rate)
            got["extra"].extend(lines.quantity - 1)
    return {name: np.array(value) for name, value in got.items()}


def _chi_square(values, n):
    p = stats.chi2(n).sf(values)
    assert 1e-4 < p < 1 - 1e-4, f"chi-square {values} with {n} degrees of freedom"


def test_visits(counts):
    hit, p = counts["visit"], counts["p_visit"]
    assert (p.std(axis=0) > 0).all()
    z = (hit - p).sum(0) / np.sqrt((p * (1 - p)).sum(0))
    _chi_square((z**2).sum(), z.size)


def test_categories(counts):
    hit, p = counts["category"], counts["p_category"]
    z = (hit - p).sum(0) / np.sqrt((p * (1 - p)).sum(0))
    _chi_square((z**2).sum(), z.size)


def test_products(world, counts):
    """Per customer and category: (count - expected)' V^-1 (count - expected), K - 1 degrees."""
    total, degrees = 0.0, 0
    for u in range(5):
        for start, size in zip(world.category_start, world.category_sizes, strict=True):
            block = slice(start, start + size - 1)  # the last product follows from the others
            d = (counts["product"] - counts["p_product"])[:, u, block].sum(axis=0)
            p = counts["p_product"][:, u, block]
            v = np.diag(p.sum(axis=0)) - p.T @ p
            total += d @ np.linalg.solve(v, d)
            degrees += int(size) - 1
    _chi_square(total, degrees)


def test_quantities(counts):
    extra, rate = counts["extra"], counts["rate"]
    assert extra.size > 5_000
    z = (extra - rate).sum() / np.sqrt(rate.sum())
    assert abs(z) < 3.9  # error rate 1e-4
    # The whole law: counts of 0, 1, 2, 3 and more against the mixture of Poisson laws.
    p = np.stack([stats.poisson.pmf(k, rate) for k in range(4)])
    p = np.vstack([p, 1 - p.sum(axis=0)])
    observed = [(extra == k).sum() for k in range(4)]
    observed = np.array([*observed, (extra > 3).sum()])
    v = np.diag(p.sum(axis=1)) - p @ p.T
    d = (observed - p.sum(axis=1))[:-1]
    _chi_square(d @ np.linalg.solve(v[:-1, :-1], d), 4)


def test_decisions_of_a_week_are_independent_of_one_another(counts):
    """Residuals of the stages: visits against next decisions, categories against each other.

    Upstream feeds one draw to all of them. Correlations within 4 / sqrt(n).
    """
    category = counts["category"] - counts["p_category"]
    for a, b in ((0, 1), (0, 2), (1, 2)):
        r = np.corrcoef(category[..., a].ravel(), category[..., b].ravel())[0, 1]
        assert abs(r) < 4 / np.sqrt(category[..., a].size)
    visit = (counts["visit"] - counts["p_visit"]).ravel()
    later = category[1::2].sum(axis=2).ravel()  # week 2 of each episode
    assert abs(np.corrcoef(visit, later)[0, 1]) < 4 / np.sqrt(visit.size)


def test_an_unknown_kernel_names_the_kernels():
    with pytest.raises(ValueError, match="reference"):
        make_kernel("fortran")
    for name in KERNELS:
        assert make_kernel(name).name == name
    assert make_kernel().name in KERNELS


@pytest.mark.parametrize("name", KERNELS)
def test_every_kernel_makes_the_decisions_of_the_reference(name, small_world):
    price = 0.8 * small_world.base_price
    a, b = Simulator(small_world, 9, kernel=name), Simulator(small_world, 9, kernel="reference")
    for _ in range(3):
        ours, theirs = a.step(price).lines, b.step(price).lines
        for field in ("customer", "category", "product", "quantity"):
            assert np.array_equal(getattr(ours, field), getattr(theirs, field)), field


def test_lines_are_sorted_by_customer_then_category(small_world):
    lines = Simulator(small_world, 2).step(small_world.base_price).lines
    order = np.lexsort((lines.category, lines.customer))
    assert np.array_equal(order, np.arange(order.size))
    assert (lines.quantity >= 1).all()
    assert np.array_equal(small_world.category_of_product[lines.product], lines.category)
    pairs = set(zip(lines.customer.tolist(), lines.category.tolist(), strict=True))
    assert len(pairs) == lines.customer.size > 100  # one line per customer and category
