"""The cap: a percentile over a frozen reference sample, a function of the price vector alone."""

from __future__ import annotations

import numpy as np
import pytest

import retail_gym
from retail_gym import rng


def percentile(values, percent):
    """By hand: linear interpolation between the order statistics."""
    ordered = sorted(values)
    place = percent / 100 * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (place - low) * (ordered[high] - ordered[low])


def draw(function, seed, symbol, customer, product):
    key = rng.stream_key(seed, 0, rng.symbol_stage(symbol), customer)
    return function(rng.words(key, rng.item_hash([product])))[0]


@pytest.mark.parametrize("seed", [0, 1])
def test_the_cap_is_a_literal_percentile_of_the_reference_customers(seed):
    """The tiny store: customers 0 to 99 of its law and all 9 products."""
    world = retail_gym.make_world("tiny", seed)
    hundred = retail_gym.make_world("tiny", seed, n_customers=100)
    level = np.empty((100, 9))
    for u in range(100):
        for i in range(9):
            x = draw(rng.resampled_feature, seed, "cap_noise", u, i)
            eps = draw(lambda w: 0.1 * rng.gumbel(rng.second_word(w)), seed, "cap_noise", u, i)
            level[u, i] = (
                float(hundred.beta_x[u, i]) * x + float(hundred.beta_z[u, i]) * hundred.z[i] + eps
            )
    prices = world.base_price
    generator = np.random.default_rng(0)
    for price in (prices, 0.5 * prices, prices * (1 - 0.5 * generator.random(9))):
        utility = [
            level[u, i] - 1.4 * hundred.beta_u[u] * world.beta_i[i] * np.log(price[i])
            for u in range(100)
            for i in range(9)
        ]
        expected = percentile(utility, 99.0)
        assert world.cap_reference.cap(np.log(price)) == pytest.approx(expected, rel=1e-12)


def test_a_large_store_takes_hashed_pairs_of_its_own_law(small_world):
    """100 x 2,500 pairs are too many: 20,000 of them, spread evenly."""
    reference = small_world.cap_reference
    n = reference.product.size
    assert 10_000 <= n <= 30_000
    customer = np.arange(n) % 100
    some = range(0, n, 151)
    for k in some:
        u, i = int(customer[k]), int(reference.product[k])
        x = draw(rng.resampled_feature, 0, "cap_noise", u, i)
        eps = draw(lambda w: 0.1 * rng.gumbel(rng.second_word(w)), 0, "cap_noise", u, i)
        level = (
            float(small_world.beta_x[u, i]) * x
            + float(small_world.beta_z[u, i]) * small_world.z[i]
            + eps
        )
        assert reference.level[k] == pytest.approx(level, rel=1e-12)
        slope = -1.4 * small_world.beta_u[u] * small_world.beta_i[i]
        assert reference.slope[k] == pytest.approx(slope, rel=1e-12)
    # Products are drawn evenly: chi-square over 50 blocks of 50, error rate 1e-4.
    from scipy import stats

    counts = np.bincount(reference.product // 50, minlength=50)
    assert stats.chisquare(counts).pvalue > 1e-4


def test_the_cap_moves_with_prices_and_only_with_prices(small_world):
    reference, price = small_world.cap_reference, small_world.base_price
    at_base = reference.cap(np.log(price))
    assert reference.cap(np.log(price)) == at_base
    caps = [reference.cap(np.log(price * (1 - d))) for d in (0.1, 0.3, 0.5)]
    assert at_base < caps[0] < caps[1] < caps[2]  # cheaper is more useful
    assert reference.cap(np.log(price * 1.2)) < at_base


def test_the_cap_does_not_depend_on_the_number_of_customers(tiny_world):
    log_price = np.log(tiny_world.base_price)
    caps = {
        retail_gym.make_world("tiny", 0, n_customers=n).cap_reference.cap(log_price)
        for n in (1, 5, 100, 130)
    }
    assert caps == {tiny_world.cap_reference.cap(log_price)}


def test_about_one_percent_of_utilities_lies_above_the_cap(small_world):
    """What the cap is for; the sample's own error and the store's customers allow 0.5 to 1.5 %."""
    from retail_gym.world.noise import noise_words, utility

    log_price = np.log(small_world.base_price)
    word = noise_words(small_world, 3, 1, np.arange(100))
    values = utility(small_world, slice(None), word, log_price)
    share = (values > small_world.cap_reference.cap(log_price)).mean()
    assert 0.005 < share < 0.015


def test_percentile_100_is_no_cap():
    world = retail_gym.make_world("tiny", 0, clip_percentile=100)
    assert world.cap_reference.cap(np.log(world.base_price)) == np.inf
    assert retail_gym.make_world("calibrated", n_customers=1).cap_reference.percentile == 100


@pytest.mark.parametrize("percent", [0.0, 50.0, 99.99])
def test_other_percentiles(percent):
    world = retail_gym.make_world("tiny", 0, clip_percentile=percent)
    log_price = np.log(world.base_price)
    reference = world.cap_reference
    values = (reference.level + reference.slope * log_price[reference.product]).tolist()
    assert len(values) == 900
    assert reference.cap(log_price) == pytest.approx(percentile(values, percent), rel=1e-12)
