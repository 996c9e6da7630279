"""R0: expected revenue of one week at base prices if everybody visits."""

from __future__ import annotations

import math

import numpy as np
import pytest

import retail_gym
from retail_gym import rng
from retail_gym.simulator import Simulator


def expected_revenue(world, seed, week, stage):
    """Expected revenue of a visit of each customer at base prices, given the noise of an address.

    The equations once more, in NumPy, with nothing of the package but its draws.
    """
    people = np.arange(world.n_customers)
    key = rng.stream_key(seed, week, stage, people)
    word = rng.words(rng.Key(key.k1[:, None], key.k2[:, None]), rng.item_hash(world.n_products))
    log_price = np.log(world.base_price)
    beta_w = world.c * world.beta_u[:, None] * world.beta_i
    mu = (
        world.beta_x * rng.resampled_feature(word)
        + world.beta_z * world.z
        + beta_w * log_price
        + world.eps_scale * rng.gumbel(rng.second_word(word))
    )
    mu = np.minimum(mu, world.cap_reference.cap(log_price))
    units = 1 + np.exp(world.gamma_prod_0 + world.gamma_prod_1 * mu)
    total = np.zeros(world.n_customers)
    for j, size in enumerate(world.category_sizes):
        start = world.category_sizes[:j].sum()
        block = slice(start, start + size)
        weight = np.exp(mu[:, block])
        logit = world.gamma_cate_0[j] + world.gamma_cate_1[j] * np.log(weight.sum(axis=1))
        spent = (weight * units[:, block] * world.base_price[block]).sum(axis=1)
        total += spent / weight.sum(axis=1) / (1 + np.exp(-logit))
    return total


def literal_reward_scale(world, stage):
    """The equations in loops, noise from the addresses of the stage."""
    log_price = [math.log(p) for p in world.base_price]
    cap = world.cap_reference.cap(log_price)
    total = 0.0
    for u in range(world.n_customers):
        key = rng.stream_key(world.seed, 0, stage, u)
        word = rng.words(key, rng.item_hash(world.n_products))
        for j in range(world.n_categories):
            start = int(world.category_sizes[:j].sum())
            items = range(start, start + int(world.category_sizes[j]))
            mu = {}
            for i in items:
                x = rng.resampled_feature(word[i : i + 1])[0]
                eps = world.eps_scale * rng.gumbel(rng.second_word(word[i : i + 1]))[0]
                beta_w = world.c * world.beta_u[u] * world.beta_i[i]
                mu[i] = min(
                    float(world.beta_x[u, i]) * x
                    + float(world.beta_z[u, i]) * world.z[i]
                    + beta_w * log_price[i]
                    + eps,
                    cap,
                )
            value = math.log(sum(math.exp(m) for m in mu.values()))
            logit = world.gamma_cate_0[j] + world.gamma_cate_1[j] * value
            category = 1 / (1 + math.exp(-logit))
            for i, m in mu.items():
                rate = math.exp(world.gamma_prod_0[i] + float(world.gamma_prod_1[u, i]) * m)
                total += category * math.exp(m - value) * (1 + rate) * world.base_price[i]
    return total


@pytest.mark.parametrize("seed", [0, 3])
def test_reward_scale_is_the_literal_expectation(seed):
    world = retail_gym.make_world("tiny", seed)
    expected = literal_reward_scale(world, rng.symbol_stage("reward_scale"))
    assert world.reward_scale == pytest.approx(expected, rel=1e-9)


def test_reward_scale_agrees_with_simulated_first_weeks():
    """In week 1 everybody visits, so its mean revenue over episodes estimates R0.

    R0 is exact over decisions but stands on one frozen draw of the week's noise, whose scatter
    is measured on 500 other draws. Tolerances of 4 standard errors: error rate 6e-5 each.
    """
    world = retail_gym.make_world("tiny", 0, n_customers=40)
    expectation = np.array([expected_revenue(world, k, 1, 77).sum() for k in range(500)])
    revenue = np.array([Simulator(world, k).step(world.base_price).revenue for k in range(400)])
    error = math.hypot(revenue.std() / 400**0.5, expectation.std() / 500**0.5)
    assert abs(revenue.mean() - expectation.mean()) < 4 * error
    # The frozen draw is one of these.
    scatter = math.hypot(expectation.std(), revenue.std() / 400**0.5)
    assert abs(world.reward_scale - revenue.mean()) < 4 * scatter
    assert expectation.std() < 0.1 * revenue.mean()  # so that the line above says something


def test_reward_scale_of_many_customers_is_a_scaled_sample():
    """Beyond 200 customers a sample is scaled up: within 4 standard errors of all of them."""
    many = retail_gym.make_world("tiny", 0, n_customers=1000)
    each = expected_revenue(many, 0, 0, rng.symbol_stage("reward_scale"))
    error = each.std() * 1000 / 200**0.5
    assert abs(many.reward_scale - each.sum()) < 4 * error
    assert many.reward_scale != pytest.approx(each.sum(), rel=1e-12)


def test_reward_scale_does_not_read_the_store_stage(tiny_world):
    """Visits are certain in R0, so the coefficients of visits do not enter it."""
    other = retail_gym.make_world("tiny", 0, gamma_store_0=-9.0, gamma_store_1=0.0, theta=0.5)
    assert other.reward_scale == tiny_world.reward_scale


def test_reward_scale_is_computed_once(tiny_world, tmp_path):
    assert tiny_world.reward_scale is tiny_world.reward_scale
    loaded = retail_gym.World.load(tiny_world.save(tmp_path / "w.npz"))
    assert loaded.stored_reward_scale == tiny_world.reward_scale
