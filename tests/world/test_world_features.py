"""The two feature processes and the two scopes of quality."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import retail_gym
from retail_gym.simulator import Simulator
from retail_gym.world.noise import features, noise, noise_words


def weekly(world, weeks):
    customers = np.arange(world.n_customers)
    return [
        features(noise_words(world, 12, week, customers), world.feature_mean, world.feature_scale)
        for week in weeks
    ]


@pytest.fixture(scope="module")
def persistent():
    return retail_gym.make_world("small", 0, features="persistent")


def correlation(a, b):
    return np.corrcoef(np.ravel(a), np.ravel(b))[0, 1]


def test_resampled_features_forget_from_week_to_week(small_world):
    x = weekly(small_world, (1, 2, 3))
    n = x[0].size
    for lag in (1, 2):  # 4 / sqrt(250,000): error rate 6e-5 each
        assert abs(correlation(x[0], x[lag])) < 4 / np.sqrt(n)


def test_persistent_features_keep_half_of_their_variance(persistent):
    """X_t = m + s n_t: Cov(X_t, X_t') = Var m = 1, Var X = 1 + E s^2 = 2, at every lag."""
    x = weekly(persistent, (1, 2, 20))
    for lag in (1, 2):
        # 4 standard errors; X X' has a variance below 16, so one is below 0.5 * 4 / 500.
        assert correlation(x[0], x[lag]) == pytest.approx(0.5, abs=0.016)


def test_persistent_features_are_mean_plus_scale_times_normal(persistent):
    m, s = persistent.feature_mean.astype(float), persistent.feature_scale.astype(float)
    x = np.stack(weekly(persistent, range(1, 41)))
    wide = s > 0.1
    z = (x.mean(axis=0) - m)[wide] / (s[wide] / np.sqrt(40))
    assert z.mean() == pytest.approx(0, abs=4 / np.sqrt(z.size))
    assert z.std() == pytest.approx(1, abs=4 / np.sqrt(2 * z.size))
    assert correlation(x.std(axis=0), s) > 0.95


def test_both_processes_have_the_same_law_within_a_week(small_world, persistent):
    """Kolmogorov-Smirnov distance of the marginals; the draws lie on a lattice, hence 0.005."""
    a, b = (weekly(world, (1,))[0].ravel() for world in (small_world, persistent))
    assert stats.ks_2samp(a, b).statistic < 0.005 + 1.95 * np.sqrt(2 / a.size)
    assert a.var() == pytest.approx(2.0, rel=0.03)
    assert b.var() == pytest.approx(2.0, rel=0.03)


def test_eps_is_gumbel_and_independent_of_x(small_world):
    word = noise_words(small_world, 12, 1, np.arange(100))
    eps = noise(word, 0.0, 0.1)
    error = eps.std() / np.sqrt(eps.size)
    assert eps.mean() == pytest.approx(0.1 * np.euler_gamma, abs=4 * error)
    assert eps.std() == pytest.approx(0.1 * np.pi / np.sqrt(6), rel=0.01)
    assert abs(correlation(eps, features(word))) < 4 / np.sqrt(eps.size)


def test_lasting_tastes_make_customers_buy_the_same_product_again():
    """Share of purchases that repeat the customer's last product of the category.

    Quality and price are the same for all products, so only X tells them apart: with resampled
    features a category of 8 repeats with 1 / 8 or little more (beta_x differs), with persistent
    ones far more often. The two shares differ by far more than 4 standard errors.
    """
    share = {}
    for process in ("resampled", "persistent"):
        world = retail_gym.make_world(
            "tiny", 0, category_sizes=(8,) * 3, n_customers=40, features=process, beta_x=2.0,
            beta_z=0.0, alpha_0=2.0, beta_i=-1.0, beta_u=-1.0, clip_percentile=100,
            gamma_store_0=5.0,
        )  # fmt: skip
        simulator, last, same, again = Simulator(world, 5), {}, 0, 0
        price = np.full(24, 2.0)
        for _ in range(40):
            lines = simulator.step(price).lines
            for u, j, i in zip(lines.customer, lines.category, lines.product, strict=True):
                again += (u, j) in last
                same += last.get((u, j)) == i
                last[u, j] = i
        assert again > 400
        share[process] = same / again
    assert share["resampled"] < 0.125 + 4 * np.sqrt(0.125 * 0.875 / 400)
    assert share["persistent"] > 0.25


def test_quality_per_product_or_per_category():
    """With scope "category" the law of Z is shared, so Z clusters within categories."""
    within = {}
    for scope in ("product", "category"):
        world = retail_gym.make_world(
            "tiny", 0, quality_scope=scope, category_sizes=(50,) * 40, n_customers=1
        )
        z = world.z.reshape(40, 50)
        within[scope] = z.mean(axis=1).var() / (z.var(axis=1).mean() / 50)  # F statistic
        assert (world.base_price == world.alpha_0 + world.alpha_1 * world.z).all()
    # Z is skewed, so the F law is only a guide; 4 is far beyond its 0.9999 quantile (1.8).
    assert within["product"] < 2.5
    assert within["category"] > 4


def test_quality_scope_leaves_other_symbols_alone(tiny_world):
    other = retail_gym.make_world("tiny", 0, quality_scope="category")
    assert not np.array_equal(other.z, tiny_world.z)
    for name in ("alpha_0", "beta_i", "gamma_prod_0", "beta_x", "beta_u", "gamma_cate_0"):
        assert np.array_equal(getattr(other, name), getattr(tiny_world, name)), name
