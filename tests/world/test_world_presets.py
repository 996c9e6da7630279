"""Every preset builds, has the documented size, and its arrays follow the documented laws.

Statistical tests use fixed seeds. A mean is compared within 4 standard errors (two-sided error
rate 6e-5 each), a correlation within 4 / sqrt(n).
"""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import stats

import retail_gym
from retail_gym.policies import SCENARIOS, scenario
from retail_gym.world.presets import SCALES, category_names, load_config

PAPER = (100, 26_176, 303)
SIZES = {
    "calibrated": PAPER,
    "scenario": PAPER,
    "scenario_prior": PAPER,
    "scenario_spread": PAPER,
    "coupon_brand_loyalty": (100, 2_514, 30),
    "coupon_driven": (100, 2_514, 30),
    "small": (100, 2_500, 30),
    "tiny": (5, 9, 3),
}
#: Of real households, tested with its layers: 2,469 of them are many.
LAYERED = {"complete_journey": (2_469, 32_329, 302)}


def test_categories_of_real_data_have_names():
    store = load_config("complete_journey")
    names = category_names(store.override(n_customers=5))
    assert len(names) == len(set(names)) == 302
    size = dict(zip(names, store.category_sizes, strict=True))
    assert (size["cheese"], size["fluid milk products"]) == (220, 135)  # the product list's
    # What the calibration noted of the store that it fitted.
    noted = json.loads(Path(SCALES.parent.joinpath("complete_journey.json")).read_text("utf-8"))
    assert list(names) == noted["categories"]
    assert category_names(load_config("calibrated")) is None
    other = store.category_sizes
    assert category_names(load_config("tiny").override(category_sizes=other[::-1])) is None


def test_the_presets_are_the_documented_ones():
    assert sorted(retail_gym.preset_names()) == sorted(SIZES | LAYERED)


def test_the_store_of_real_households_has_its_documented_size():
    for name, (customers, products, categories) in LAYERED.items():
        world = retail_gym.make_world(name, 0)
        assert world.name == name
        assert (world.n_customers, world.n_products) == (customers, products)
        assert world.n_categories == world.category_sizes.size == categories
        assert retail_gym.make_world(name, 0, n_customers=7).n_customers == 7


@pytest.mark.parametrize("name", SIZES)
def test_preset_builds_with_its_documented_size(name):
    world = retail_gym.make_world(name, 0)
    customers, products, categories = SIZES[name]
    assert (world.n_customers, world.n_products, world.n_categories) == SIZES[name]
    assert world.name == name
    assert world.category_sizes.sum() == products
    assert world.category_sizes.min() >= 1
    for field in ("beta_x", "beta_z", "gamma_prod_1"):
        assert getattr(world, field).shape == (customers, products)
        assert getattr(world, field).dtype == np.float32
    for field in ("beta_i", "z", "alpha_0", "base_price", "gamma_prod_0"):
        assert getattr(world, field).shape == (products,)
    for field in ("gamma_cate_0", "gamma_cate_1"):
        assert getattr(world, field).shape == (categories,)
    for field in ("theta", "beta_u"):
        assert getattr(world, field).shape == (customers,)
    for value in vars(world).values():
        if isinstance(value, np.ndarray):
            assert np.isfinite(value).all()
    # Supports, Table 3.
    assert (world.beta_u < 0).all()
    assert (world.beta_i < 0).all()
    assert (world.z >= 0).all()
    assert (world.beta_x > 0).all()
    assert (world.beta_z > 0).all()
    assert (world.base_price >= world.lowest_price).all()
    assert ((world.gamma_cate_1 >= 0) & (world.gamma_cate_1 <= 0.12)).all()
    assert ((world.theta >= 0) & (world.theta < 1)).all()
    assert np.isfinite(world.reward_scale)
    assert world.reward_scale > 0


def test_category_sizes_of_the_coupon_store():
    sizes = retail_gym.make_world("coupon_driven", 0).category_sizes
    assert sizes[:6].tolist() == [59, 5, 2, 63, 18, 145]  # parameters.md
    assert sizes[-2:].tolist() == [14, 113]


def test_the_spread_store_has_the_coupon_stores_spread_and_is_else_the_scenario_store():
    spread, scenario, coupon = map(load_config, ("scenario_spread", "scenario", "coupon_driven"))
    for symbol, sd in (("beta_u", 1.5), ("beta_i", 2.0)):
        prior = getattr(spread, symbol)
        assert prior == getattr(coupon, symbol)
        assert (prior.mean, prior.sd, prior.low, prior.high) == (-3.0, sd, -np.inf, 0.0)
    differs = {
        item.name for item in fields(spread)
        if repr(getattr(spread, item.name)) != repr(getattr(scenario, item.name))
    }  # fmt: skip
    assert differs == {"name", "beta_u", "beta_i"}


def test_means_of_the_spread_store_are_the_documented_ones():
    """Truncation at 0 moves them. Products of 40 stores; customers of one large store."""
    tiny = {"category_sizes": (1,), "n_customers": 1}
    world = retail_gym.make_world("scenario_spread", 0, **(tiny | {"n_customers": 20_000}))
    _mean_within(world.beta_u, -3.0829, "beta_u")
    world = retail_gym.make_world("scenario_spread", 1, n_customers=1)
    _mean_within(world.beta_i, -3.2776, "beta_i")


def test_demand_of_the_spread_store_stays_in_order_and_in_bounds():
    """Units and retention rise from I to V; no customer and no few products carry the store."""
    units, retention = {}, {}
    for name in SCENARIOS:
        run = retail_gym.simulate("scenario_spread", scenario(name), record=True)
        units[name], retention[name] = run.metrics["units"], run.metrics["retention"]
        lines = run.transactions
        assert 10_000 < units[name] < 50_000
        for column, top, most in (("customer", 1, 0.1), ("product", 10, 0.25)):
            shares = lines.group_by(column).agg(pl.col("revenue").sum())["revenue"]
            assert shares.top_k(top).sum() < most * lines["revenue"].sum()
    assert max(units["I"], units["II"]) < units["III"] < units["IV"] < units["V"]
    assert retention["I"] < retention["III"] <= retention["IV"] < retention["V"]


@pytest.mark.parametrize("name", ["tiny", "small", "scenario", "scenario_spread"])
def test_scalars_of_the_scenario_stores_are_fixed_by_the_preset(name):
    config = load_config(name)
    for seed in (0, 1):
        world = retail_gym.make_world(name, seed, n_customers=1)
        for symbol in ("alpha_1", "gamma_store_0", "gamma_store_1", "gamma_store_2"):
            assert getattr(world, symbol) == getattr(config, symbol).value
        assert (world.theta == 0).all()  # Table 5
        assert world.c == -1.4  # Table 3
        assert world.lowest_price == 0.01
        assert world.marketing == "discount"
        assert world.marketing_scale == 26_176.0  # whatever the size of the store
        assert world.cap_reference.percentile == 99.0
        assert world.promotion.depth is None
        assert world.feature_mean is None
        assert (world.eps_loc, world.eps_scale) == (0.0, 0.1)


def test_scenario_prior_draws_its_scalars_from_table_5():
    worlds = [retail_gym.make_world("scenario_prior", seed, category_sizes=(1,), n_customers=1)
              for seed in range(400)]  # fmt: skip
    laws = {
        "gamma_store_0": stats.gumbel_r(-1.85, 0.1),
        "gamma_store_1": stats.truncnorm(-2, np.inf, 0.1, 0.05),
        "gamma_store_2": stats.uniform(0, 0.001),
        "alpha_1": stats.lognorm(1.2, scale=np.exp(0.8)),
    }
    draws = {s: np.array([getattr(world, s) for world in worlds]) for s in laws}
    for symbol, law in laws.items():
        # Error rate 1e-4 each.
        assert stats.kstest(draws[symbol], law.cdf).pvalue > 1e-4, symbol
    for a, b in (("gamma_store_0", "gamma_store_1"), ("alpha_1", "gamma_store_0")):
        r, p = stats.spearmanr(draws[a], draws[b])
        assert p > 1e-4, (a, b, r)


def _mean_within(values, mean, name):
    values = np.asarray(values, dtype=np.float64).ravel()
    error = values.std(ddof=1) / np.sqrt(values.size)
    assert abs(values.mean() - mean) <= 4 * error, f"{name}: {values.mean()} for {mean} +- {error}"


def _mean_quality() -> float:
    # Z ~ TN(mu, sigma; 0, inf), mu, sigma ~ HalfNormal(1): midpoints of 500 x 500 quantiles.
    q = stats.halfnorm.ppf((np.arange(500) + 0.5) / 500)
    mu, sigma = q[:, None], q[None, :]
    ratio = mu / sigma
    return float((mu + sigma * stats.norm.pdf(ratio) / stats.norm.cdf(ratio)).mean())


def test_means_of_the_arrays_are_those_of_table_3():
    """14 means, 4 standard errors each: error rate 9e-4 over seeds."""
    paper = retail_gym.make_world("calibrated", 0, n_customers=10)
    people = retail_gym.make_world("calibrated", 0, n_customers=20_000, category_sizes=(1,))
    many = retail_gym.make_world("calibrated", 0, n_customers=1, category_sizes=(1,) * 20_000)
    shift = load_config("calibrated").category_shift
    _mean_within(paper.beta_x, stats.lognorm(1.0, scale=np.exp(-1)).mean(), "beta_x")
    _mean_within(paper.beta_z, stats.lognorm(0.4, scale=np.exp(1)).mean(), "beta_z")
    _mean_within(paper.gamma_prod_1, stats.lognorm(0.05, scale=np.exp(-4)).mean(), "gamma_prod_1")
    _mean_within(paper.beta_i, stats.truncnorm(-np.inf, 3, -3, 1).mean(), "beta_i")
    _mean_within(paper.alpha_0, stats.truncnorm(-2.6, np.inf, 1.3, 0.5).mean(), "alpha_0")
    _mean_within(paper.gamma_prod_0, stats.gumbel_r(-2, 0.1).mean(), "gamma_prod_0")
    _mean_within(paper.z, _mean_quality(), "z")
    _mean_within(paper.gamma_cate_0, -5 + shift, "gamma_cate_0")
    _mean_within(many.gamma_cate_0, -5 + shift, "gamma_cate_0")
    _mean_within(many.gamma_cate_1, stats.truncnorm(-2.5, 0.5, 0.1, 0.04).mean(), "gamma_cate_1")
    _mean_within(people.beta_u, stats.truncnorm(-np.inf, 3.75, -3, 0.8).mean(), "beta_u")
    _mean_within(people.theta, 0.35, "theta")
    _mean_within(np.log(paper.beta_x[:, :5000]), -1.0, "log beta_x")
    _mean_within(np.log(paper.beta_z[:, :5000]), 1.0, "log beta_z")


def test_base_price_is_equation_16(small_world):
    world = small_world
    for i in range(0, world.n_products, 97):
        expected = max(world.alpha_0[i] + world.alpha_1 * world.z[i], 0.01)
        assert world.base_price[i] == pytest.approx(expected, rel=1e-14)


def _uncorrelated(a, b, name):
    a, b = np.ravel(a).astype(np.float64), np.ravel(b).astype(np.float64)
    r = np.corrcoef(a, b)[0, 1]
    assert abs(r) < 4 / np.sqrt(a.size), f"{name}: r = {r}"


def test_symbols_are_drawn_independently():
    """Upstream shares keys between priors (log beta_x and log beta_z correlate at 1)."""
    world = retail_gym.make_world("small", 0, features="persistent")
    pairs = {s: np.log(getattr(world, s)) for s in ("beta_x", "beta_z", "gamma_prod_1")}
    pairs |= {"feature_mean": world.feature_mean, "feature_scale": world.feature_scale}
    products = {s: getattr(world, s) for s in ("z", "alpha_0", "beta_i", "gamma_prod_0")}
    for group in (pairs, products):
        names = sorted(group)
        for k, a in enumerate(names):
            for b in names[k + 1 :]:
                _uncorrelated(group[a], group[b], f"{a}, {b}")
    people = retail_gym.make_world("calibrated", 0, n_customers=5_000, category_sizes=(1,))
    _uncorrelated(people.theta, people.beta_u, "theta, beta_u")
    _uncorrelated(people.beta_x, people.beta_u, "beta_x, beta_u")


def test_customers_and_products_are_drawn_independently(small_world):
    log_x = np.log(small_world.beta_x.astype(np.float64))
    _uncorrelated(log_x[:-1], log_x[1:], "beta_x of neighbouring customers")
    _uncorrelated(log_x[:, :-1], log_x[:, 1:], "beta_x of neighbouring products")
    # Means per customer and per product scatter as those of independent draws do (chi-square,
    # error rate 1e-4 a side).
    for axis in (0, 1):
        n = log_x.shape[axis]
        scatter = ((log_x.mean(axis=axis) + 1.0) ** 2 * n).sum()
        tail = stats.chi2(log_x.shape[1 - axis]).cdf(scatter)
        assert 1e-4 < tail < 1 - 1e-4


def test_features_have_the_law_of_a_lasting_mean_and_scale():
    world = retail_gym.make_world("small", 0, features="persistent")
    _mean_within(world.feature_mean, 0.0, "feature_mean")
    _mean_within(world.feature_mean.astype(np.float64) ** 2, 1.0, "variance of feature_mean")
    assert (world.feature_scale >= 0).all()
    _mean_within(world.feature_scale, np.sqrt(2 / np.pi), "feature_scale")
