"""Coefficients that are drawn again week by week: the same store, the same sales, no memory."""

from __future__ import annotations

import numpy as np
import pytest

import retail_gym
from retail_gym import rng
from retail_gym.kernels import passes
from retail_gym.kernels.numba_cpu import NumbaKernel
from retail_gym.kernels.packed import LARGEST_FEATURE, pack
from retail_gym.kernels.single import LOG2E
from retail_gym.promotion import Promotion
from retail_gym.simulator import Simulator
from retail_gym.world.population import SYMBOLS, Coefficients, DrawnCoefficients, stored_gib
from retail_gym.world.priors import Uniform
from retail_gym.world.store_config import PromotionPlan

KEY = 987_654_321
#: Stores whose weeks go the lazy way, the full way, and with features that last.
STORES = {
    "small": {},
    "small, persistent": {"preset": "small", "features": "persistent"},
    "no cap": {"preset": "small", "clip_percentile": 100.0},
    "inertia": {"preset": "small", "theta": 0.3},
    "coupon_driven": {},
    "constants": {"preset": "small", "beta_z": 2.0, "beta_x": 0.0},
    "alike": {"preset": "small", "beta_z": 2.0, "beta_x": 0.0, "gamma_prod_1": 0.02},
}


def pair(name, n_customers=60):
    """The same store twice: stored and drawn."""
    settings = dict(STORES[name])
    preset = settings.pop("preset", name)
    make = [
        retail_gym.make_world(preset, 3, n_customers=n_customers, memory_gib=gib, **settings)
        for gib in (1.0, 0.0)
    ]
    assert isinstance(make[0].coefficients, Coefficients)
    assert isinstance(make[1].coefficients, DrawnCoefficients)
    return make


def weeks(world, kernel, n=40):
    plans = [PromotionPlan.high_low(0.25, 0.6), PromotionPlan.high_low(0.5, 0.3)]
    simulator, promotion = Simulator(world, KEY, kernel=kernel), Promotion(world.n_products, KEY)
    for week in range(1, n + 1):
        discount = promotion.step([plans[week // 8 % 2]], week)
        coupon = None
        if week % 7 == 0:
            coupon = np.where(np.arange(world.n_customers) % 3 == 0, 0.2, 0.0)
        yield simulator.step(world.base_price * (1.0 - discount) + 0.01, coupon), simulator


@pytest.mark.parametrize("name", STORES)
def test_sales_are_those_of_the_stored_store(name):
    """Every visit and line of 40 weeks, on one thread and on two, and the memory at the end."""
    stored, drawn = pair(name)
    lines, memories = 0, []
    walks = [weeks(stored, NumbaKernel()), weeks(drawn, NumbaKernel(threads=1))]
    for (ours, a), (theirs, b) in zip(*walks, strict=True):
        memories = [a.memory, b.memory]
        assert np.array_equal(ours.visited, theirs.visited)
        for field in ("customer", "category", "product", "quantity"):
            assert np.array_equal(getattr(ours.lines, field), getattr(theirs.lines, field))
        lines += ours.categories
    assert lines > 500
    np.testing.assert_allclose(memories[0].store_value, memories[1].store_value, rtol=1e-12)


def test_the_reference_kernel_draws_them_too():
    stored, drawn = pair("small", 8)
    walks = [weeks(world, "reference", 6) for world in (stored, drawn)]
    for (ours, _), (theirs, _) in zip(*walks, strict=True):
        assert np.array_equal(ours.lines.product, theirs.lines.product)
        assert np.array_equal(ours.lines.quantity, theirs.lines.quantity)


@pytest.mark.parametrize("memory_gib", [8.0, 0.0])
@pytest.mark.parametrize("preset", ["tiny", "coupon_brand_loyalty"])
def test_the_result_does_not_depend_on_threads(preset, memory_gib):
    """Thousands of customers make several pieces of work; one thread or three."""
    world = retail_gym.make_world(preset, 1, n_customers=2_600, memory_gib=memory_gib)
    one, three = (weeks(world, NumbaKernel(threads=n), 4) for n in (1, 3))
    for (ours, a), (theirs, b) in zip(one, three, strict=True):
        assert np.array_equal(ours.visited, theirs.visited)
        for field in ("customer", "category", "product", "quantity"):
            assert np.array_equal(getattr(ours.lines, field), getattr(theirs.lines, field))
        assert np.array_equal(a.kernel.counts, b.kernel.counts)
    np.testing.assert_array_equal(a.memory.store_value, b.memory.store_value)


@pytest.mark.parametrize("name", ["small", "small, persistent", "coupon_driven", "constants"])
def test_drawn_rows_lie_within_the_bound_on_their_error(name):
    """Base and sigma of the compiled draw, against double precision, and the bound it returns.

    ``guard_band`` counts 7e-7 of the size. A drawn coefficient is off by less than 1.4e-6 of its
    own size (of its parts, where features last; there a normal is off by 6e-7), and the bound has
    three times the size.
    """
    stored, drawn = pair(name, 6)
    single, out = pack(drawn).single, np.empty((2, stored.n_products), dtype=np.float32)
    for u in range(6):
        bound = passes.draw(single, u, 0, stored.n_products, out)
        row = stored.coefficients.rows(np.array([u]))
        parts = [row.beta_z[0] * stored.z, np.zeros(stored.n_products)]
        sigma, spread = row.beta_x[0].astype(np.float64), np.zeros(stored.n_products)
        if row.feature_mean is not None:
            parts[1] = sigma * row.feature_mean[0]
            spread, sigma = LOG2E * sigma, sigma * row.feature_scale[0]
        size = LOG2E * (np.abs(parts[0]) + np.abs(parts[1]))
        slack = 6e-7 * spread + 1e-30
        assert (np.abs(out[0] - LOG2E * (parts[0] + parts[1])) <= 1.4e-6 * size + slack).all()
        assert (np.abs(out[1] - LOG2E * sigma) <= 1.4e-6 * LOG2E * sigma + slack).all()
        largest = (size + LARGEST_FEATURE * LOG2E * sigma + 2.0 * spread).max() + single.noise_size
        assert bound == pytest.approx(3.0 * largest, rel=1e-5)


@pytest.mark.parametrize("name", ["small, persistent", "coupon_driven", "constants"])
def test_single_coefficients_are_the_stored_ones_bit_for_bit(name):
    stored, drawn = pair(name, 5)
    a, b = pack(stored).double, pack(drawn).double
    hashed = rng.item_hash(stored.n_products)
    fields = ("beta_x", "beta_z", "gamma_prod_1", "mean", "scale")
    for k, (symbol, field) in enumerate(zip(SYMBOLS, fields, strict=True)):
        if getattr(a, field).size == 0:
            continue
        for u, i in ((0, 0), (4, 17), (2, stored.n_products - 1)):
            found = [
                passes.coefficient(getattr(p, field), p.heads, p.tables, k, u, i, hashed[i])
                for p in (a, b)
            ]
            assert found[0] == found[1], symbol
        rows = drawn.coefficients.rows(np.array([1, 3]))
        assert np.array_equal(getattr(rows, symbol), getattr(stored.coefficients, symbol)[[1, 3]])


def test_the_budget_decides():
    config = retail_gym.make_world("tiny", 0).n_customers * 9
    need = 4.0 * 5 * config / 2.0**30
    small = retail_gym.make_world("tiny", 0, memory_gib=need)
    none = retail_gym.make_world("tiny", 0, memory_gib=0.99 * need)
    assert isinstance(small.coefficients, Coefficients)
    assert isinstance(none.coefficients, DrawnCoefficients)
    assert none.reward_scale == pytest.approx(small.reward_scale, rel=1e-12)
    from retail_gym.world.presets import load_config

    assert stored_gib(load_config("tiny")) == pytest.approx(need)
    persistent = load_config("tiny").override(features="persistent")
    assert stored_gib(persistent) == pytest.approx(need * 7 / 5)


def test_a_drawn_store_has_no_arrays_and_says_how_to_get_them():
    world = retail_gym.make_world("tiny", 0, memory_gib=0)
    for name in ("beta_x", "beta_z", "gamma_prod_1", "feature_mean", "feature_scale"):
        with pytest.raises(ValueError, match=r"coefficients\.rows.*memory_gib"):
            getattr(world, name)
    assert world.coefficients.rows(slice(1, 3)).beta_x.shape == (2, world.n_products)


@pytest.mark.parametrize("symbol", ["beta_x", "beta_z", "gamma_prod_1"])
def test_laws_that_cannot_be_drawn_again_are_refused(symbol):
    with pytest.raises(ValueError, match=f"{symbol}.*memory_gib"):
        retail_gym.make_world("tiny", 0, memory_gib=0, **{symbol: Uniform(0.1, 0.2)})
    for wrong in (-1.0, float("nan"), "much"):
        with pytest.raises(ValueError, match="memory_gib"):
            retail_gym.make_world("tiny", 0, memory_gib=wrong)


def test_a_drawn_store_is_saved_as_what_draws_it(tmp_path):
    world = retail_gym.make_world("small", 2, memory_gib=0)
    path = world.save(tmp_path / "store.npz")
    assert path.stat().st_size < 2_000_000  # the arrays of 100 customers alone take 3 MB
    again = retail_gym.World.load(path)
    assert isinstance(again.coefficients, DrawnCoefficients)
    walks = (weeks(one, None, 3) for one in (world, again))
    for (ours, _), (theirs, _) in zip(*walks, strict=True):
        assert np.array_equal(ours.lines.product, theirs.lines.product)


def test_an_environment_takes_the_budget():
    env = retail_gym.RetailPricingEnv("tiny", memory_gib=0.0)
    same = retail_gym.RetailPricingEnv("tiny")
    assert isinstance(env.world.coefficients, DrawnCoefficients)
    action = np.array([0.3, 0.5], dtype=np.float32)
    for one in (env, same):
        one.reset(seed=5)
    for _ in range(5):
        ours, theirs = env.step(action), same.step(action)
        assert np.array_equal(ours[0], theirs[0])
        assert ours[1:] == theirs[1:]
