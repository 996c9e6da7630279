"""The law of the noise that the compiled kernel adds, drawn at the size of the paper's store.

18.3 million float32 draws of each kind, 100 customers x 26,176 products x 7 weeks, taken from the
passes that simulate (``passes.utilities`` with everything else zero, the promotion process).
Fixed seeds: a bound either holds or not. Sampling errors are given where they matter.

Tails. The laws are functions of the sum of four bytes, so they end where one word in four billion
falls: the feature X at 13.77 either side (the exact law has 2e-7 beyond), the normal at 5.00
(3e-7), the Gumbel at -2.61 (1e-6) and 14.24 (7e-7). ``QUANTILES`` states how far the quantiles
lie from the exact ones: the Gumbel, read off this sample, 11.16 instead of 11.51 at one in 100,000
and 12.47 instead of 13.82 at one in a million.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
from scipy import special, stats

import retail_gym
from retail_gym import rng
from retail_gym.kernels import passes
from retail_gym.kernels.packed import pack
from retail_gym.promotion import Promotion
from retail_gym.rng import Stage
from retail_gym.world.priors import Beta
from retail_gym.world.store_config import PromotionPlan

KEY = 2_718_281_828
CUSTOMERS, PRODUCTS, WEEKS = 100, 26_176, 7
N = CUSTOMERS * PRODUCTS * WEEKS
SIGMAS = 4.5  # of a correlation or a moment; error rate 7e-6 each
KS = 0.002
KS_BETA = 0.005

_S = np.linspace(0.0, 9.0, 3_001)
_WEIGHT = 2.0 * stats.norm.pdf(_S) * (_S[1] - _S[0])
_WEIGHT[0] /= 2.0


def feature_cdf(x):
    """P(m + s n <= x) with s ~ |N|: the mean of Phi(x / sqrt(1 + s^2)) over s."""
    return (special.ndtr(np.asarray(x)[..., None] / np.sqrt(1.0 + _S * _S)) * _WEIGHT).sum(-1)


@lru_cache(maxsize=1)
def _feature_table():
    grid = np.linspace(-16.0, 16.0, 6_401)
    return grid, np.concatenate([feature_cdf(part) for part in np.array_split(grid, 20)])


def feature_quantile(p):
    """Quantile by interpolation of a table with steps of 0.005."""
    grid, cdf = _feature_table()
    return np.interp(p, cdf, grid)


#: Distribution function, quantile; mean, variance, skewness, excess kurtosis. The variance of
#: m + s n is 1 + E s^2 = 2, its fourth moment 3 E (1 + s^2)^2 = 18: excess 1.5.
LAWS = {
    "feature": (feature_cdf, feature_quantile, (0.0, 2.0, 0.0, 1.5)),
    "normal": (stats.norm.cdf, stats.norm.ppf, (0.0, 1.0, 0.0, 0.0)),
    "gumbel": (
        stats.gumbel_r.cdf,
        stats.gumbel_r.ppf,
        (np.euler_gamma, np.pi**2 / 6, 1.1395470994, 2.4),
    ),
}
ENDS = {"feature": (-13.77, 13.77), "normal": (-5.00, 5.00), "gumbel": (-2.61, 14.24)}
#: Largest error of the quantile at p and at 1 - p, in units of the draw.
QUANTILES = {
    "feature": {1e-2: 0.01, 1e-3: 0.04, 1e-4: 0.15, 1e-5: 0.10, 1e-6: 0.60},
    "normal": {1e-2: 0.01, 1e-3: 0.02, 1e-4: 0.06, 1e-5: 0.03, 1e-6: 0.20},
    "gumbel": {1e-2: 0.02, 1e-3: 0.11, 1e-4: 0.08, 1e-5: 0.40, 1e-6: 1.40},
}


def _draw(feature_coefficients, noise_coefficients, sigma):
    """What the pass returns where all but the noise is zero, shape (weeks, customers, products)."""
    zero, hashed = np.zeros(PRODUCTS, np.float32), rng.item_hash(PRODUCTS).copy()
    single = pack(retail_gym.make_world("tiny", 0)).single._replace(
        item_hash=hashed,
        base=zero[None],
        sigma=np.full((1, PRODUCTS), sigma, np.float32),
        price_weight=np.zeros(1, np.float32),
    )
    x = tuple(np.float32(c) for c in feature_coefficients)
    g = np.array(noise_coefficients, dtype=np.float32)
    out = np.empty((WEEKS, CUSTOMERS, PRODUCTS), dtype=np.float32)
    for week in range(WEEKS):
        key = rng.stream_key(KEY, week + 1, Stage.NOISE, np.arange(CUSTOMERS))
        for u in range(CUSTOMERS):
            passes.utilities(
                single, 0, key.k1[u], key.k2[u], zero, x, g, 0, PRODUCTS, None, out[week, u]
            )
    return out


def _odd(coefficients):
    return (*coefficients[1::2], 0.0)[:5]


@pytest.fixture(scope="module")
def draws():
    """Features, the normals of persistent ones, and intercepts, of the same elements."""
    none, silent = np.zeros(5), np.zeros(9)
    return {
        "feature": _draw(_odd(rng.FEATURE_COEFFICIENTS), silent, 1.0),
        "normal": _draw(_odd(rng.NORMAL_COEFFICIENTS), silent, 1.0),
        "gumbel": _draw(none, rng.GUMBEL_COEFFICIENTS, 0.0),
    }


@pytest.fixture(scope="module")
def counted(draws):
    """Distinct values and how often each was drawn."""
    return {name: np.unique(x.reshape(-1), return_counts=True) for name, x in draws.items()}


def _ks(values, count, cdf):
    """Kolmogorov-Smirnov distance of a sample from a continuous law."""
    above = np.cumsum(count) / count.sum()
    below = above - count / count.sum()
    exact = cdf(values.astype(np.float64))
    return max(np.abs(exact - above).max(), np.abs(exact - below).max())


@pytest.mark.parametrize("name", LAWS)
def test_distance_from_the_exact_law(counted, name):
    """At most 0.002, sampling included (its own part is 0.0003 at this size)."""
    assert _ks(*counted[name], LAWS[name][0]) <= KS


@pytest.mark.parametrize("name", LAWS)
def test_moments(counted, name):
    """Mean and variance within 4.5 standard errors, skewness within 0.01, kurtosis 0.05.

    The polynomials have the exact mean and variance; higher moments feel the bounded tails.
    """
    values, count = counted[name]
    x, p = values.astype(np.float64), count / N
    mean, variance, skewness, kurtosis = LAWS[name][2]
    first = float((p * x).sum())
    assert abs(first - mean) < SIGMAS * np.sqrt(variance / N)
    central = [float((p * (x - first) ** k).sum()) for k in (2, 3, 4)]
    error = variance * np.sqrt((kurtosis + 2.0) / N)
    assert abs(central[0] - variance) < SIGMAS * error
    assert central[1] / central[0] ** 1.5 == pytest.approx(skewness, abs=0.01)
    assert central[2] / central[0] ** 2 - 3.0 == pytest.approx(kurtosis, abs=0.05)


@pytest.mark.parametrize("name", LAWS)
def test_tails_are_as_stated(counted, name):
    values, count = counted[name]
    cumulative = np.cumsum(count) / N
    for p, allowed in QUANTILES[name].items():
        for q in (p, 1.0 - p):
            ours = float(values[np.searchsorted(cumulative, q)])
            assert abs(ours - LAWS[name][1](q)) < allowed, (q, ours, LAWS[name][1](q))


@pytest.mark.parametrize("name", LAWS)
def test_the_ends_are_stated(counted, name):
    low, high = ENDS[name]
    lattice = {
        "feature": rng.feature_lattice, "normal": rng.normal_lattice, "gumbel": rng.gumbel_lattice
    }[name]()  # fmt: skip
    assert (lattice[0], lattice[-1]) == pytest.approx((low, high), abs=0.005)
    assert low - 0.005 < counted[name][0][0]
    assert counted[name][0][-1] < high + 0.005


def test_single_precision_is_the_definition(draws):
    """Draws of :mod:`retail_gym.rng` to float32 accuracy, element by element."""
    key = rng.stream_key(KEY, 3, Stage.NOISE, 41)
    word = rng.words(key, rng.item_hash(PRODUCTS))
    for name, exact in (
        ("feature", rng.resampled_feature(word)),
        ("normal", rng.normal(word)),
        ("gumbel", rng.gumbel(rng.second_word(word))),
    ):
        np.testing.assert_allclose(draws[name][2, 41], exact, rtol=2e-6, atol=2e-6)


# --- Beta depths -----------------------------------------------------------------------------


@pytest.mark.parametrize(("a", "b"), [(5, 95), (10, 90), (25, 75), (40, 60), (50, 50)])
def test_depths_of_the_policies(a, b):
    """1.7 million depths, every product discounted: distance at most 0.005, mean exact.

    Sampling alone gives 0.001.
    """
    plan, promotion = PromotionPlan(1.0, 1.0, Beta(float(a), float(b))), Promotion(PRODUCTS, KEY)
    out = np.stack([promotion.step([plan], week)[0] for week in range(1, 65)])
    law = stats.beta(a, b)
    values, count = np.unique(out, return_counts=True)
    assert _ks(values, count, law.cdf) <= KS_BETA
    assert abs(out.mean() - law.mean()) < SIGMAS * law.std() / np.sqrt(out.size)
    assert out.std() == pytest.approx(law.std(), rel=5e-3)
    assert values[0] > 0.0
    assert values[-1] < 1.0
    # Weeks and neighbours are independent.
    z = (out - law.mean()) / law.std()
    for one, other in ((z[1:], z[:-1]), (z[:, 1:], z[:, :-1]), (z[:, 16:], z[:, :-16])):
        assert abs((one * other).mean()) < SIGMAS / np.sqrt(one.size)


# --- Independence ----------------------------------------------------------------------------


def _standard(draws, name):
    mean, variance, *_ = LAWS[name][2]
    return (draws[name] - np.float32(mean)) / np.float32(np.sqrt(variance))


def _product_mean(one, other):
    return float(np.multiply(one, other).sum(dtype=np.float64)) / one.size


def test_feature_and_intercept_of_an_element_are_uncorrelated(draws):
    """Themselves, their sizes and their squares: two draws from two words of one address."""
    x, eps = _standard(draws, "feature"), _standard(draws, "gumbel")
    for transform in (lambda v: v, np.abs, np.square):
        a, b = transform(x), transform(eps)
        a = a - a.mean(dtype=np.float64).astype(np.float32)
        b = b - b.mean(dtype=np.float64).astype(np.float32)
        spread = a.std(dtype=np.float64) * b.std(dtype=np.float64)
        assert abs(_product_mean(a, b)) < SIGMAS * spread / np.sqrt(N)


_NEIGHBOURS = {
    "next product": (np.s_[:, :, 1:], np.s_[:, :, :-1]),
    "16 products on": (np.s_[:, :, 16:], np.s_[:, :, :-16]),
    "next customer": (np.s_[:, 1:], np.s_[:, :-1]),
    "next week": (np.s_[1:], np.s_[:-1]),
    "next customer and product": (np.s_[:, 1:, 1:], np.s_[:, :-1, :-1]),
}


@pytest.mark.parametrize("where", _NEIGHBOURS)
@pytest.mark.parametrize("name", ["feature", "gumbel"])
def test_neighbours_are_uncorrelated(draws, name, where):
    """Themselves and their squares, within 4.5 standard errors."""
    z = _standard(draws, name)
    one, other = (z[part] for part in _NEIGHBOURS[where])
    assert abs(_product_mean(one, other)) < SIGMAS / np.sqrt(one.size)
    square = z * z - 1.0
    one, other = (square[part] for part in _NEIGHBOURS[where])
    variance = float(np.square(square).mean(dtype=np.float64))
    assert abs(_product_mean(one, other)) < SIGMAS * variance / np.sqrt(one.size)


def test_feature_of_one_element_and_intercept_of_another(draws):
    x, eps = _standard(draws, "feature"), _standard(draws, "gumbel")
    for a, b in _NEIGHBOURS.values():
        assert abs(_product_mean(x[a], eps[b])) < SIGMAS / np.sqrt(x[a].size)
        assert abs(_product_mean(x[b], eps[a])) < SIGMAS / np.sqrt(x[a].size)


def _cells(draws, name):
    """Which 32nd of the law each draw falls into, by its value; and the exact share of each."""
    mass = np.ones(1)
    for _ in range(4):
        mass = np.convolve(mass, np.full(256, 1 / 256))
    lattice = rng.feature_lattice() if name == "feature" else rng.gumbel_lattice()
    cell_of_k = np.minimum((np.cumsum(mass) - mass / 2) * 32, 31).astype(np.int64)
    edges = (lattice[1:] + lattice[:-1])[np.diff(cell_of_k) > 0] / 2
    share = np.bincount(cell_of_k, mass, 32)
    return np.searchsorted(edges.astype(np.float32), draws[name].reshape(-1)), share


def test_feature_and_intercept_are_independent(draws):
    """Chi-square over 32 x 32 cells of known probability; error rate 1e-4 on either side."""
    (a, share_a), (b, share_b) = _cells(draws, "feature"), _cells(draws, "gumbel")
    expected = N * np.outer(share_a, share_b)
    observed = np.bincount(a * 32 + b, minlength=1024).reshape(32, 32)
    assert expected.min() > 5_000
    p = stats.chi2(1023).sf(((observed - expected) ** 2 / expected).sum())
    assert 1e-4 < p < 1 - 1e-4


@pytest.mark.parametrize("where", ["next product", "next customer", "next week"])
def test_neighbours_are_independent(draws, where):
    """The same over pairs of neighbours; error rate 1e-4 on either side.

    A draw is in two pairs, which leaves the cells uncorrelated (shares are known) and the law
    of the sum close to chi-square.
    """
    cell, share = _cells(draws, "feature")
    cell = cell.reshape(WEEKS, CUSTOMERS, PRODUCTS)
    one, other = (cell[part].reshape(-1) for part in _NEIGHBOURS[where])
    expected = one.size * np.outer(share, share)
    observed = np.bincount(one * 32 + other, minlength=1024).reshape(32, 32)
    p = stats.chi2(1023).sf(((observed - expected) ** 2 / expected).sum())
    assert 1e-4 < p < 1 - 1e-4


def test_means_of_rows_and_columns(draws):
    """Means over products per customer and week, and over customers per product: no more spread.

    Sums of squares of standardised means; chi-square, error rate 1e-4 on either side.
    """
    for name in ("feature", "gumbel"):
        z = _standard(draws, name)
        rows = z.mean(axis=2, dtype=np.float64).reshape(-1) * np.sqrt(PRODUCTS)
        columns = z.mean(axis=(0, 1), dtype=np.float64) * np.sqrt(WEEKS * CUSTOMERS)
        for means in (rows, columns):
            p = stats.chi2(means.size).sf((means**2).sum())
            assert 1e-4 < p < 1 - 1e-4
