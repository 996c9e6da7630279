"""Blocks alone are the store's own; moments, gradients and planted parameters."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import special, stats

from retail_gym.calibration import tastes
from retail_gym.calibration.baskets import CategoryValues, category_values, simulate_baskets
from retail_gym.calibration.blocks import (
    BLOCKS,
    FIRST_SEED,
    measure_prices,
    run_block,
    simulate_store,
)
from retail_gym.calibration.moments import category_moments
from retail_gym.calibration.promotions import beta_of_counts, fit_promotions
from retail_gym.calibration.target import Target, catalogue_sizes, summary
from retail_gym.calibration.visits import Households, simulate_visits
from retail_gym.world.layer_draws import draw_layers
from retail_gym.world.layers import DispersionLayer
from retail_gym.world.priors import Beta, LogitBeta, LogNormal
from retail_gym.world.store_config import PromotionPlan

from .conftest import SIZES, WEEKS, planted_config


def trips(table):
    return set(table.frame.select("customer", "week").unique().iter_rows())


def test_visits_alone_are_those_of_the_store(planted, table):
    households = Households(120, draw_layers(planted, 5))
    visited = simulate_visits(households, 5, WEEKS)
    came = {(int(u), int(t) + 1) for u, t in zip(*np.nonzero(visited), strict=True)}
    assert came == trips(table)  # a trip always buys something


def test_prices_alone_are_those_of_the_store(planted, table):
    target = Target.of(table, 60)
    layers = replace(planted.layers, dispersion=DispersionLayer(LogNormal(-2.0, 0.3)))
    store = planted.override(layers=layers)
    alone = measure_prices(store, target, 1)(store)
    seeds = (FIRST_SEED, FIRST_SEED + 1)
    whole = summary([simulate_store(store, seed, 60, WEEKS) for seed in seeds])
    for key in ("price", "price_often"):
        one, other = whole.distributions[key], alone.distributions[key]
        np.testing.assert_allclose(other.values, one.values, rtol=1e-12)
        np.testing.assert_array_equal(other.counts, one.counts)
    expected = pytest.approx(whole.figures["price_popularity"], rel=1e-9)
    assert alone.figures["price_popularity"] == expected


def test_categories_alone_are_those_of_the_store():
    # Without gamma_cate_1 the value of a category does not matter, and nothing is approximate.
    store = planted_config(gamma_cate_1=0.0)
    whole = simulate_store(store, 5, 120, WEEKS)
    values = category_values(store, 5, 5, WEEKS)
    assert not values.effect_gtj.any()
    alone = simulate_baskets(store, 5, 5, WEEKS, values)
    columns = ["customer", "week", "category"]
    assert set(alone.frame.select(columns).iter_rows()) == set(
        whole.frame.select(columns).unique().iter_rows()
    )


def test_category_values_come_close_where_prices_matter(planted, table):
    alone = simulate_baskets(planted, 5, 5, WEEKS, category_values(planted, 5, 5, WEEKS))
    columns = ["customer", "week", "category"]
    one = set(alone.frame.select(columns).iter_rows())
    other = set(table.frame.select(columns).unique().iter_rows())
    assert len(one ^ other) < 0.01 * len(other)


def test_moments_are_those_of_a_loop(table):
    few = table.select(np.arange(12))
    found = category_moments(few, list(range(len(SIZES))))
    rows = few.frame.select("customer", "week", "category").unique()
    baskets = {key: np.zeros(len(SIZES)) for key in rows.select("customer", "week").iter_rows()}
    for u, t, j in rows.iter_rows():
        baskets[u, t][j] = 1
    n = len(baskets)
    p = sum(baskets.values()) / n
    same = sum(np.outer(b, b) for b in baskets.values()) / n / np.outer(p, p)
    other, weight = np.zeros_like(same), 0
    for u in range(12):
        mine = [b for (v, _), b in baskets.items() if v == u]
        if len(mine) < 2:
            continue
        weight += len(mine)
        for k, one in enumerate(mine):
            rest = [b for m, b in enumerate(mine) if m != k]
            other += np.outer(one, np.mean(rest, axis=0))
    other /= weight * np.outer(p, p)
    ever = np.mean(
        [np.max([b for (v, _), b in baskets.items() if v == u] or [p * 0], axis=0)
         for u in range(12)], axis=0,
    )  # fmt: skip
    assert found.n_trips == n
    np.testing.assert_allclose(found.trips_j, p * n, rtol=1e-6)
    np.testing.assert_allclose(found.same_jk, same, rtol=1e-4)
    np.testing.assert_allclose(found.other_jk, other, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found.ever_j, ever, atol=1e-4)


def taste_problem(planted, table, factors=2):
    real = category_moments(table, list(range(len(SIZES))))
    none = CategoryValues(np.array([-1.5, -0.5]), np.zeros((2, WEEKS, len(SIZES))))
    basket = replace(planted.layers.basket, factors=factors, taste_loading=0.0, trip_loading=0.0)
    return real, planted.layers.visit, basket, planted.prior("beta_u"), none


def test_gradient_is_that_of_the_loss(planted, table):
    real, visit, basket, beta_u, values = taste_problem(planted, table)
    generator = np.random.default_rng(1)
    batch = tastes._batch(generator, visit, basket, beta_u, values, 60)
    now = tastes._begin(real, basket, special.logit(real.trips_j / real.n_trips), 0)
    loss, gradient = tastes._gradient(batch, now, real, something=False)
    assert loss > 0.0
    for key, place in (("taste", (3, 1)), ("taste", (0, 0)), ("trip", (5, 0)), ("sizes", (1,))):
        step = 1e-2
        sides = []
        for sign in (1.0, -1.0):
            moved = {k: v.copy() for k, v in now.items()}
            moved[key][place] += sign * step
            sides.append(tastes._gradient(batch, moved, real, something=False)[0])
        slope = (sides[0] - sides[1]) / (2 * step)
        assert gradient[key][place] == pytest.approx(slope, rel=0.03, abs=2e-5), (key, place)


def test_planted_tastes_are_found_again():
    # Two groups of categories; 500 customers. The rank correlation of 28 lifts with those of
    # fresh customers of the truth exceeds 0.8 (0.5 by chance: p < 0.01).
    from retail_gym.world.priors import Listed

    loading = np.array([1.2, 1.2, 1.2, 0.0, 0.0, -1.2, -1.2, -1.2])
    truth = planted_config(n_customers=500, gamma_cate_1=0.0)
    basket = replace(
        truth.layers.basket, factors=1, taste_loading=(Listed(tuple(loading)),), trip_loading=0.0
    )
    truth = truth.override(layers=replace(truth.layers, basket=basket))
    none = CategoryValues(np.array([-1.5, -0.5]), np.zeros((2, WEEKS, len(SIZES))))
    one, other = (simulate_baskets(truth, 5, key, WEEKS, none) for key in (1, 2))
    real = category_moments(one, list(range(8)))
    start = replace(basket, taste_loading=0.0)
    found = tastes.fit_tastes(
        real, truth.layers.visit, start, truth.prior("beta_u"), none, steps=60, seed=1
    )
    got = found.taste_jk @ found.taste_jk.T
    pairs = np.triu_indices(8, 1)
    rank = stats.spearmanr(got[pairs], np.outer(loading, loading)[pairs]).statistic
    assert rank > 0.75
    fitted = replace(
        basket, size_sd=found.size_sd, trip_sd=found.trip_sd,
        taste_loading=(Listed(tuple(found.taste_jk[:, 0])),),
        trip_loading=(Listed(tuple(found.trip_jk[:, 0])),),
        affinity_sd=Listed(tuple(found.affinity_j)),
    )  # fmt: skip
    catalog = replace(truth.layers.catalog, appeal=Listed(tuple(found.appeal_j)))
    store = truth.override(layers=replace(truth.layers, basket=fitted, catalog=catalog))
    again = category_moments(simulate_baskets(store, 6, 3, WEEKS, none), list(range(8)))
    fresh = category_moments(other, list(range(8)))
    assert stats.spearmanr(again.same_jk[pairs], fresh.same_jk[pairs]).statistic > 0.8
    share = fresh.trips_j / fresh.n_trips
    np.testing.assert_allclose(again.trips_j / again.n_trips, share, atol=0.05)
    np.testing.assert_allclose(again.ever_j, fresh.ever_j, atol=0.1)


def test_planted_visits_are_found_again(planted):
    pytest.importorskip("cmaes")
    truth = planted_config(n_customers=400)
    real = Target.of(simulate_store(truth, 5, 400, WEEKS), 400)
    wrong = replace(truth.layers.visit, intercept=LogitBeta(4.0, 4.0), drift_sd=0.3)
    start = truth.override(layers=replace(truth.layers, visit=wrong))
    found, search = run_block(
        BLOCKS["visits"], start, real, trials=60, seeds=1, seed=0, log=None, step=0.15,
        tick=lambda loss: None,
    )  # fmt: skip
    assert search.loss < 0.35 * search.history[0]
    visit = found.layers.visit
    # Spread of rates: Beta(1.5, 1.2) has sd 0.258, the wrong start 0.167.
    law = stats.beta(visit.intercept.a, visit.intercept.b)
    assert law.mean() == pytest.approx(1.5 / 2.7, abs=0.06)
    assert law.std() == pytest.approx(0.258, abs=0.05)


def test_planted_transition_law_is_found_again():
    # 600 products with 30 weeks each; the standard error of the mean is 0.008.
    generator = np.random.default_rng(2)
    p = generator.beta(0.9, 2.6, 600)
    law = beta_of_counts(generator.binomial(30, p).astype(float), np.full(600, 30.0))
    assert law.mean == pytest.approx(0.9 / 3.5, abs=0.03)
    assert law.a + law.b == pytest.approx(3.5, rel=0.25)


def test_promotions_are_read_off_purchases(planted, table):
    many = simulate_store(planted, 5, 400, 40)
    plan = fit_promotions(many)
    world_plan = planted.promotion
    assert plan.a01.mean == pytest.approx(world_plan.a01.mean, abs=0.08)
    assert plan.a11.mean == pytest.approx(world_plan.a11.mean, abs=0.12)
    assert plan.depth.mean == pytest.approx(world_plan.depth.mean, abs=0.05)
    assert fit_promotions(table).depth is not None  # too few products: one law for all
    dull = simulate_store(planted.override(promotion=PromotionPlan.none()), 5, 60, 12)
    assert fit_promotions(dull) == PromotionPlan.none() or fit_promotions(dull).depth is None


def test_promotion_laws_of_equal_products_do_not_run_off():
    law = beta_of_counts(np.full(50, 10.0), np.full(50, 20.0))
    assert isinstance(law, Beta)
    assert law.mean == pytest.approx(0.5, abs=0.02)
    assert law.a + law.b < 1e4


def test_catalogue_sizes_by_hand():
    import polars as pl

    from retail_gym.data import read_transactions

    # Category a: products bought 1, 1, 1, 2, 5 times: f1 = 3, f2 = 1, so 3 x 2 / (2 x 2) = 1.5
    # more. Category b: two products bought three times each: none more.
    times = {"a1": 1, "a2": 1, "a3": 1, "a4": 2, "a5": 5, "b1": 3, "b2": 3}
    rows = [
        {"week": w + 1, "customer": 1, "category": name[0], "product": name, "quantity": 1,
         "unit_price": 1.0, "discount": 0.0}
        for name, n in times.items() for w in range(n)
    ]  # fmt: skip
    table = read_transactions(pl.DataFrame(rows), weeks=6)
    assert catalogue_sizes(table) == {"a": 7, "b": 2}


def test_small_and_foreign_tables_are_refused(table):
    with pytest.raises(
        ValueError, match=r"too small to calibrate a store: it has 30 customers of 50"
    ):
        Target.of(table.select(np.arange(30)))
    with pytest.raises(ValueError, match="customers to compare must be 50 to 120"):
        Target.of(table, 500)
    with pytest.raises(ValueError, match="the catalogue lacks the category 7"):
        Target.of(table, sizes=dict(enumerate(SIZES[:-1])))
