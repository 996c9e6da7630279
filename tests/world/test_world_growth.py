"""A coefficient belongs to its seed, symbol, customer and product: nobody else changes it."""

from __future__ import annotations

import numpy as np
import pytest

import retail_gym
from retail_gym.simulator import Simulator
from retail_gym.world.presets import load_config
from retail_gym.world.world import build_world

PER_CUSTOMER = ("theta", "beta_u", "beta_x", "beta_z", "gamma_prod_1")
PER_PRODUCT = ("z", "alpha_0", "base_price", "beta_i", "gamma_prod_0")
PER_CATEGORY = ("gamma_cate_0", "gamma_cate_1")
SCALARS = ("alpha_1", "gamma_store_0", "gamma_store_1", "gamma_store_2", "lowest_price")


@pytest.fixture(scope="module", params=["resampled", "persistent"])
def few_and_many(request):
    settings = {"features": request.param, "theta": retail_gym.world.priors.Uniform(0.25, 0.45)}
    return (
        retail_gym.make_world("tiny", 0, **settings),
        retail_gym.make_world("tiny", 0, n_customers=50, **settings),
    )


def test_more_customers_leave_coefficients_alone(few_and_many):
    few, many = few_and_many
    assert (few.n_customers, many.n_customers) == (5, 50)
    for name in PER_CUSTOMER:
        assert np.array_equal(getattr(few, name), getattr(many, name)[:5]), name
    for name in (*PER_PRODUCT, *PER_CATEGORY, *SCALARS):
        assert np.array_equal(getattr(few, name), getattr(many, name)), name
    if few.feature_mean is not None:
        assert np.array_equal(few.feature_mean, many.feature_mean[:5])
        assert np.array_equal(few.feature_scale, many.feature_scale[:5])


def test_more_customers_leave_the_cap_alone(few_and_many):
    few, many = few_and_many
    for factor in (1.0, 0.6):
        log_price = np.log(factor * few.base_price)
        assert few.cap_reference.cap(log_price) == many.cap_reference.cap(log_price)


def test_more_customers_leave_every_week_of_the_others_alone(few_and_many):
    few, many = few_and_many
    a, b = Simulator(few, 7), Simulator(many, 7)
    prices = few.base_price * (1 - 0.4 * np.random.default_rng(0).random((30, 9)))
    sold = 0
    for row in prices:
        small, large = a.step(row), b.step(row)
        first = large.lines.customer < 5
        for name in ("customer", "category", "product", "quantity"):
            ours, theirs = getattr(small.lines, name), getattr(large.lines, name)[first]
            assert np.array_equal(ours, theirs), name
        assert np.array_equal(small.unit_price, large.unit_price[first])
        for name in ("visited", "visit_probability", "store_value"):
            assert np.array_equal(getattr(a.memory, name), getattr(b.memory, name)[:5]), name
        sold += small.categories
    assert sold > 50  # the comparison is about something


def test_more_products_at_the_end_change_no_earlier_one():
    small = retail_gym.make_world("tiny", 0, features="persistent")
    large = retail_gym.make_world("tiny", 0, features="persistent", category_sizes=(4, 3, 2, 6))
    for name in PER_PRODUCT:
        assert np.array_equal(getattr(small, name), getattr(large, name)[:9]), name
    for name in ("beta_x", "beta_z", "gamma_prod_1", "feature_mean", "feature_scale"):
        assert np.array_equal(getattr(small, name), getattr(large, name)[:, :9]), name
    for name in PER_CATEGORY:
        assert np.array_equal(getattr(small, name), getattr(large, name)[:3]), name
    for name in ("theta", "beta_u"):
        assert np.array_equal(getattr(small, name), getattr(large, name)), name


def test_another_seed_is_another_store():
    a, b = (retail_gym.make_world("tiny", s, theta=retail_gym.world.priors.Uniform(0.1, 0.9))
            for s in (0, 1))  # fmt: skip
    for name in (*PER_CUSTOMER, *PER_PRODUCT, *PER_CATEGORY):
        x, y = getattr(a, name), getattr(b, name)
        assert x.shape == y.shape
        assert (x != y).mean() > 0.9, name
    assert not np.array_equal(a.cap_reference.level, b.cap_reference.level)
    assert a.reward_scale != b.reward_scale


def test_the_same_seed_is_the_same_store_built_anew(tiny_world):
    again = build_world(load_config("tiny"), 0)
    assert again is not tiny_world
    for name in (*PER_CUSTOMER, *PER_PRODUCT, *PER_CATEGORY, *SCALARS):
        assert np.array_equal(getattr(again, name), getattr(tiny_world, name)), name
    assert again.reward_scale == tiny_world.reward_scale


def test_asking_again_returns_the_world_already_built():
    assert retail_gym.make_world("tiny", 3) is retail_gym.make_world("tiny", 3)
    assert retail_gym.make_world("tiny", 3) is not retail_gym.make_world("tiny", 4)
    assert retail_gym.make_world("tiny", 3, c=-1.0).c == -1.0
