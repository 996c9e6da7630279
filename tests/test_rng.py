"""Draws: frozen golden values, any element recomputed alone, exact distance from the exact laws.

The laws over the byte sum have 1,021 values of known probability, so their distance from the
exact law is computed, not sampled. Independence is tested in ``test_rng_independence.py``.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, special, stats

from retail_gym import rng
from retail_gym.rng import Key, Stage

# --- Golden values: another platform or a refactoring must not move a bit --------------------

ADDRESSES = [  # seed, week, stage, customer, item
    (0, 0, Stage.VISIT, 0, 0),
    (1, 1, Stage.NOISE, 2, 3),
    (123456789, 53, Stage.QUANTITY, 99, 302),
    (2**64 - 1, 7, Stage.DISCOUNT_DEPTH, 0, 26175),
    (42, 0, 1805245062, 1_000_000, 26175),  # symbol_stage("beta_x")
]
K1 = [0x675853A5, 0x1C910812, 0xF237D986, 0x01B780EC, 0x0F6D0FD7]
K2 = [0xE2352BDF, 0x97AAADB3, 0x45DF480F, 0xC5A16609, 0x660AD0A9]
WORD = np.array([0x23034F36, 0xD8D62412, 0x927139F8, 0xDD2258DC, 0xB07CAA5D], dtype=np.uint32)
SECOND = [0x1E55AF12, 0xFEF69DE5, 0x48F3C30C, 0x00036C2A, 0xF2BD9466]
BYTE_SUM = [171, 484, 564, 563, 563]
UNIFORM = [
    0.13676924782339483, 0.8470175309339538, 0.5720401984872296, 0.8638053453760222,
    0.689402244403027,
]  # fmt: skip
NORMAL = [
    -2.3723737732345764, -0.1691670221965233, 0.35193166747663446, 0.34538738495505494,
    0.34538738495505494,
]  # fmt: skip
FEATURE = [
    -3.6988669438652026, -0.21561776492416737, 0.44856941337102996, 0.4402241439620003,
    0.4402241439620003,
]  # fmt: skip
GUMBEL = [
    -1.554928621820126, 0.1778158557842459, 0.7975697430191957, 0.7890300648182985,
    0.7890300648182985,
]  # fmt: skip
BETA = {
    (25.0, 75.0): [
        0.15595099065082169, 0.24103026960687984, 0.263792616428201, 0.2635023801864204,
        0.2635023801864204,
    ],
    (12.34, 87.66): [
        0.057772211938879894,
        0.11542377108482801,
        0.13270171674288742,
        0.13247710941790802,
        0.13247710941790802,
    ],
    (2.0, 5.0): [
        0.02488502581685375, 0.2360297229615554, 0.3277654474040007, 0.3265467952809072,
        0.3265467952809072,
    ],
}  # fmt: skip
POISSON_RATES = [0.14, 3.0, 29.0, 31.0, 1000.0]
POISSON = [
    [0, 1, 23, 25, 965], [0, 5, 35, 37, 1032], [0, 3, 30, 32, 1006], [0, 5, 35, 37, 1035],
    [0, 4, 32, 34, 1016],
]  # fmt: skip


def test_golden_keys():
    keys = [rng.stream_key(seed, week, stage, u) for seed, week, stage, u, _ in ADDRESSES]
    assert [int(key.k1) for key in keys] == K1
    assert [int(key.k2) for key in keys] == K2


def test_golden_words():
    for (seed, week, stage, u, i), word, second in zip(ADDRESSES, WORD, SECOND, strict=True):
        got = rng.words(rng.stream_key(seed, week, stage, u), rng.item_hash([i]))
        assert got.dtype == np.uint32
        assert got.tolist() == [int(word)]
        assert rng.second_word(got).tolist() == [second]


def test_golden_symbol_stages_and_item_hashes():
    assert rng.symbol_stage("beta_x") == 1805245062
    assert rng.symbol_stage("z") == 1657960623
    assert rng.item_hash(4).tolist() == [0x44CFC3F7, 0x899F87EE, 0x03AF4BE5, 0x133F0FDC]


def test_golden_draws():
    assert rng.byte_sum(WORD).tolist() == BYTE_SUM
    assert rng.uniform(WORD).tolist() == UNIFORM
    assert rng.normal(WORD).tolist() == NORMAL
    assert rng.resampled_feature(WORD).tolist() == FEATURE
    assert rng.gumbel(WORD).tolist() == GUMBEL


def test_golden_beta_draws():
    # a library's incomplete Beta function may differ in the last digits
    for (a, b), expected in BETA.items():
        np.testing.assert_allclose(rng.beta(WORD, a, b), expected, rtol=1e-10)


def test_golden_poisson_draws():
    got = rng.poisson_quantile(rng.uniform(WORD)[:, None], POISSON_RATES)
    assert got.tolist() == POISSON


def test_stage_numbers_are_frozen():
    assert {stage.name: int(stage) for stage in Stage} == {
        "VISIT": 1, "CATEGORY": 2, "PRODUCT": 3, "QUANTITY": 4, "NOISE": 5, "MARKETING": 6,
        "DISCOUNT_STATE": 7, "DISCOUNT_DEPTH": 8, "RANK_A01": 9, "RANK_A11": 10,
        "DRIFT": 32, "WEEK": 33, "TRIP": 34, "SOMETHING": 35, "FURTHER": 36, "FURTHER_PRODUCT": 37,
        "FURTHER_QUANTITY": 38, "HABIT": 39, "FUEL": 40, "DISPERSION": 41,
        "PAIR": 42,
    }  # fmt: skip


def literal_word(seed, week, stage, customer, item):
    """The definition of the module's docstring in plain Python integers."""
    mask64, mask32, golden = 2**64 - 1, 2**32 - 1, 0x9E3779B97F4A7C15

    def mix(z):
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask64
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask64
        return z ^ (z >> 31)

    key = mix((seed + golden) & mask64)
    key = mix(key ^ ((stage * golden) & mask64))
    key = mix((key + week * 0xD1B54A32D192ED03) & mask64)
    key = mix((key + customer * golden) & mask64)
    k1, k2 = key & mask32, (key >> 32) | 1
    h = ((item + 1) * 0x9E3779B1) & mask32
    h = ((h ^ (h << 15)) * 0x85EBCA6B) & mask32
    h = ((h ^ (h << 11)) * 0xC2B2AE35) & mask32
    h = ((h ^ k1) * k2) & mask32
    h = ((h ^ (h >> 16)) * 0x735A2D97) & mask32
    h ^= h >> 15
    second = (h * 0x9E3779B1) & mask32
    return h, second ^ (second >> 12)


@given(
    st.integers(0, 2**64 - 1), st.integers(0, 10**6), st.sampled_from(list(Stage)),
    st.integers(0, 2**40), st.integers(0, 2**31),
)  # fmt: skip
def test_words_equal_a_literal_reading(seed, week, stage, customer, item):
    got = rng.words(rng.stream_key(seed, week, stage, customer), rng.item_hash([item]))
    first, second = literal_word(seed, week, int(stage), customer, item)
    assert (int(got[0]), int(rng.second_word(got)[0])) == (first, second)


# --- A draw is a function of its address alone ------------------------------------------------


def grid(customers, items, seed=9, week=4, stage=Stage.NOISE):
    key = rng.stream_key(seed, week, stage, customers)
    return rng.words(Key(key.k1[:, None], key.k2[:, None]), rng.item_hash(items))


def test_any_subset_of_customers_and_items_gives_the_same_words():
    full = grid(np.arange(40), 300)
    assert full.shape == (40, 300)
    u, i = np.array([39, 3, 3, 17]), np.array([299, 0, 128, 5, 5])
    np.testing.assert_array_equal(grid(u, i), full[np.ix_(u, i)])
    np.testing.assert_array_equal(grid(np.arange(7), 12), full[:7, :12])


def test_one_element_at_a_time_gives_the_same_words():
    full = grid(np.arange(6), 8)
    for u in range(6):
        key = rng.stream_key(9, 4, Stage.NOISE, u)
        assert key.k1.shape == ()
        np.testing.assert_array_equal(rng.words(key, rng.item_hash(8)), full[u])
        for i in range(8):
            assert int(rng.words(key, rng.item_hash(8)[i])) == full[u, i]
            assert int(rng.words(key, rng.item_hash([i]))[0]) == full[u, i]


def test_elementwise_pairs_of_customer_and_item():
    full = grid(np.arange(10), 20)
    u, i = np.array([1, 9, 4]), np.array([19, 0, 7])
    got = rng.words(rng.stream_key(9, 4, Stage.NOISE, u), rng.item_hash(i))
    np.testing.assert_array_equal(got, full[u, i])


def test_item_hash_of_a_number_of_items_and_of_the_items():
    np.testing.assert_array_equal(rng.item_hash(50), rng.item_hash(np.arange(50)))
    np.testing.assert_array_equal(rng.item_hash(np.int64(50)), rng.item_hash(50))
    assert not rng.item_hash(50).flags.writeable


@pytest.mark.parametrize(
    "draw", [rng.uniform, rng.normal, rng.resampled_feature, rng.gumbel, rng.byte_sum,
             rng.second_word, lambda w: rng.beta(w, 20, 80)],
)  # fmt: skip
def test_draws_of_one_word_and_of_many_agree(draw):
    word = grid(np.arange(3), 5)
    before = word.copy()
    full = draw(word)
    assert full.shape == (3, 5)
    for index in np.ndindex(3, 5):
        assert draw(word[index]) == full[index]
    np.testing.assert_array_equal(word, before)  # a word may be drawn from twice


def test_every_part_of_the_address_matters():
    base = rng.stream_key(5, 6, Stage.VISIT, 7)
    others = [
        (6, 6, Stage.VISIT, 7), (5, 7, Stage.VISIT, 7), (5, 6, Stage.CATEGORY, 7),
        (5, 6, Stage.VISIT, 8), (6, 5, Stage.VISIT, 7), (5, 7, Stage.VISIT, 6),
    ]  # fmt: skip
    for other in others:
        key = rng.stream_key(*other)
        assert (int(key.k1), int(key.k2)) != (int(base.k1), int(base.k2))


def test_no_two_addresses_share_a_key():
    # 8 seeds x 22 stages x 16 weeks x 256 customers: 720,896 keys of 63 bits; by chance two of
    # them would meet with probability 720896^2 / 2^64 = 3e-8
    stages = [*Stage, rng.symbol_stage("beta_x")]
    keys = [
        rng.stream_key(seed, week, stage, np.arange(256))
        for seed in range(8) for stage in stages for week in range(16)
    ]  # fmt: skip
    joined = np.concatenate([(k.k2.astype(np.uint64) << np.uint64(32)) | k.k1 for k in keys])
    assert joined.size == 8 * 22 * 16 * 256
    assert (np.diff(np.sort(joined)) > 0).all()
    assert (joined >> np.uint64(32) & np.uint64(1) == 1).all()  # the second half is odd


def test_words_are_a_bijection_of_the_items():
    # odd multipliers and xorshifts lose nothing: no two items of a customer share a word
    hashed = rng.item_hash(2**18)
    word = rng.words(rng.stream_key(1, 2, Stage.NOISE, 3), hashed)
    for values in (hashed, word, rng.second_word(word)):
        assert (np.diff(np.sort(values)) > 0).all()


@pytest.mark.parametrize("seed", [-1, 2**64, -(2**70)])
def test_a_seed_beyond_64_bits_is_refused(seed):
    with pytest.raises(ValueError, match=r"must lie in \[0, 2\*\*64\)"):
        rng.stream_key(seed, 0, Stage.VISIT)


def test_symbol_stages_stand_apart_from_the_stages_of_a_week():
    symbols = ["beta_x", "beta_z", "beta_u", "beta_i", "z", "theta", "gamma_cate_0",
               "gamma_prod_0", "gamma_prod_1", "alpha_0", "reward_scale", "cap_noise"]  # fmt: skip
    numbers = {rng.symbol_stage(symbol) for symbol in symbols}
    assert len(numbers) == len(symbols)
    assert min(numbers) > max(Stage)


# --- Words to draws ----------------------------------------------------------------------------


def test_uniform_by_hand():
    # (0 + 1/2) / 2^32 = 2^-33;  (2^31 + 1/2) / 2^32 = 1/2 + 2^-33;  (2^32 - 1/2) / 2^32
    got = rng.uniform(np.array([0, 2**31, 2**32 - 1], dtype=np.uint32))
    assert got.tolist() == [2.0**-33, 0.5 + 2.0**-33, 1 - 2.0**-33]
    assert got.min() > 0.0
    assert got.max() < 1.0


def test_byte_sum_by_hand():
    # 0x01020304: 1 + 2 + 3 + 4 = 10;  0xFF00FF80: 255 + 255 + 128 = 638;  all ones: 1020
    got = rng.byte_sum(np.array([0, 0x01020304, 0xFF00FF80, 0xFFFFFFFF], dtype=np.uint32))
    assert got.tolist() == [0, 10, 638, 1020]


@given(st.integers(0, 2**32 - 1))
def test_byte_sum_is_the_sum_of_the_bytes(word):
    assert int(rng.byte_sum(np.uint32(word))) == sum(word.to_bytes(4, "little"))


def test_byte_sum_law_of_the_fixture(byte_sum_law):
    # the tests below rest on it: 1021 values, 2^-32 at both ends, mean 510, variance 21845
    np.testing.assert_array_equal(rng.byte_sum(byte_sum_law.words), np.arange(1021))
    assert byte_sum_law.mass[0] == byte_sum_law.mass[-1] == 2.0**-32
    k = np.arange(1021.0)
    assert byte_sum_law.mean(k) == pytest.approx(510.0, rel=1e-12)
    assert byte_sum_law.variance(k) == pytest.approx(4 * (256**2 - 1) / 12, rel=1e-12)
    scale = byte_sum_law.variance(k) ** -0.5
    assert scale == pytest.approx(rng.BYTE_SUM_SCALE, rel=1e-12)


# --- Exact laws ------------------------------------------------------------------------------

_S = np.linspace(-12.0, 12.0, 4801)
_S_WEIGHT = stats.norm.pdf(_S) / stats.norm.pdf(_S).sum()


def feature_cdf(x):
    """P(m + s n <= x) = E_s Phi(x / sqrt(1 + s^2)), by the trapezoidal rule over s ~ N(0, 1).

    s ~ |N| gives the same law: s and n are independent and n is symmetric.
    """
    return (special.ndtr(np.asarray(x)[..., None] / np.sqrt(1 + _S * _S)) * _S_WEIGHT).sum(-1)


def feature_quantile(p):
    return optimize.brentq(lambda x: float(feature_cdf(x)) - p, -60.0, 60.0, xtol=1e-12)


LAWS = {  # draw, exact distribution function, exact quantile, mean, variance
    "normal": (rng.normal, stats.norm.cdf, stats.norm.ppf, 0.0, 1.0),
    "feature": (rng.resampled_feature, feature_cdf, feature_quantile, 0.0, 2.0),
    "gumbel": (
        rng.gumbel, stats.gumbel_r.cdf, stats.gumbel_r.ppf, np.euler_gamma, np.pi**2 / 6,
    ),
}  # fmt: skip

#: Largest error of the quantile at each tail probability p and at 1 - p, in units of x. The
#: quantile is read off the lattice between the middles of neighbouring values.
TAIL_TOLERANCE = {
    "normal": {0.1: 0.005, 0.01: 0.01, 1e-3: 0.03, 1e-4: 0.06},
    "feature": {0.1: 0.01, 0.01: 0.01, 1e-3: 0.04, 1e-4: 0.12},
    "gumbel": {0.1: 0.01, 0.01: 0.03, 1e-3: 0.09, 1e-4: 0.12},
}


def test_feature_cdf_by_simulation():
    # the quadrature itself, against 10^6 literal draws m + s n: KS 1.63e-3 at the 1 % level
    g = np.random.default_rng(8)
    x = np.sort(g.normal(size=10**6) + np.abs(g.normal(size=10**6)) * g.normal(size=10**6))
    at = x[:: 10**4]
    assert np.abs(feature_cdf(at) - np.arange(0, 10**6, 10**4) / 10**6).max() < 1.63e-3


@pytest.mark.parametrize("law", LAWS)
def test_distance_from_the_exact_law(law, byte_sum_law):
    draw, cdf, _, mean, variance = LAWS[law]
    lattice = draw(byte_sum_law.words)
    assert byte_sum_law.ks_distance(lattice, cdf) <= 0.002
    assert byte_sum_law.mean(lattice) == pytest.approx(mean, abs=1e-4)
    assert byte_sum_law.variance(lattice) == pytest.approx(variance, abs=1e-4)


@pytest.mark.parametrize("law", LAWS)
def test_lattice_is_increasing(law, byte_sum_law):
    assert (np.diff(LAWS[law][0](byte_sum_law.words)) > 0.0).all()


@pytest.mark.parametrize("law", LAWS)
def test_tail_quantiles(law, byte_sum_law):
    draw, _, quantile, _, _ = LAWS[law]
    lattice = draw(byte_sum_law.words)
    middle = byte_sum_law.cumulative - 0.5 * byte_sum_law.mass
    for p, tolerance in TAIL_TOLERANCE[law].items():
        for at in (p, 1.0 - p):
            got = np.interp(at, middle, lattice)
            assert got == pytest.approx(quantile(at), abs=tolerance)


@pytest.mark.parametrize("law", ["normal", "feature"])
def test_symmetric_laws_are_symmetric_to_the_bit(law, byte_sum_law):
    lattice = LAWS[law][0](byte_sum_law.words)
    np.testing.assert_array_equal(lattice, -lattice[::-1])


def test_the_ks_distance_notices_a_wrong_law(byte_sum_law):
    # a normal with a standard deviation 1 % too large is 0.0024 further away
    lattice = rng.normal(byte_sum_law.words)
    assert byte_sum_law.ks_distance(1.01 * lattice, stats.norm.cdf) > 0.002
    assert byte_sum_law.ks_distance(lattice + 0.01, stats.norm.cdf) > 0.002


def test_normal_lattice_is_the_table_of_normal(byte_sum_law):
    np.testing.assert_array_equal(rng.normal_lattice(), rng.normal(byte_sum_law.words))
    assert not rng.normal_lattice().flags.writeable


def test_polynomials_equal_a_literal_evaluation(byte_sum_law):
    k = 700
    s = (k - 510) * rng.BYTE_SUM_SCALE
    word = byte_sum_law.words[k]
    for draw, coefficients in [
        (rng.normal, rng.NORMAL_COEFFICIENTS),
        (rng.resampled_feature, rng.FEATURE_COEFFICIENTS),
        (rng.gumbel, rng.GUMBEL_COEFFICIENTS),
    ]:
        literal = sum(c * s**power for power, c in enumerate(coefficients))
        assert float(draw(word)) == pytest.approx(literal, rel=1e-13)


# --- Beta ------------------------------------------------------------------------------------

SHAPES = [
    (5, 95), (10, 90), (25, 75), (40, 60), (50, 50), (60, 40), (30, 70), (15, 35), (1, 5), (2, 5),
]  # fmt: skip
#: Means of concentration 100 that are no multiples of the table's step: what an agent may ask.
MEANS_BETWEEN = [
    m for m in np.linspace(0.0137, 0.5987, 40) if abs(m / 0.005 - round(m / 0.005)) > 1e-3
]
LOW_MEANS_BETWEEN = [0.0105, 0.011, 0.0118, 0.0125, 0.013]


def assert_beta_is_close(law, a, b):
    lattice = rng.beta(law.words, a, b)
    assert law.ks_distance(lattice, lambda x: stats.beta.cdf(x, a, b)) <= 0.005
    assert law.mean(lattice) == pytest.approx(a / (a + b), abs=1e-4)
    assert (np.diff(lattice) >= 0.0).all()
    assert 0.0 <= lattice[0] <= lattice[-1] <= 1.0


@pytest.mark.parametrize(("a", "b"), SHAPES)
def test_beta_distance_from_the_exact_law(a, b, byte_sum_law):
    assert_beta_is_close(byte_sum_law, a, b)


@pytest.mark.parametrize(("a", "b"), SHAPES)
def test_beta_variance(a, b, byte_sum_law):
    got = byte_sum_law.variance(rng.beta(byte_sum_law.words, a, b))
    assert got == pytest.approx(stats.beta.var(a, b), rel=1e-3)


@pytest.mark.parametrize("mean", MEANS_BETWEEN)
def test_beta_between_the_tabulated_means(mean, byte_sum_law):
    assert_beta_is_close(byte_sum_law, 100 * mean, 100 * (1 - mean))


@pytest.mark.parametrize("mean", LOW_MEANS_BETWEEN)
def test_beta_between_the_lowest_tabulated_means(mean, byte_sum_law):
    assert_beta_is_close(byte_sum_law, 100 * mean, 100 * (1 - mean))


def test_beta_is_continuous_and_rises_with_the_mean(byte_sum_law):
    means = np.linspace(0.0, 0.6, 1201)[1:]
    rows = np.array([rng.beta(byte_sum_law.words, 100 * m, 100 * (1 - m)) for m in means])
    assert (np.diff(rows, axis=0) >= -1e-12).all()
    # a mean 1e-6 higher moves no quantile by 1e-4, at tabulated means, between them and at 0
    for m in np.linspace(0.0, 0.6, 481):
        here, near = (rng.beta(byte_sum_law.words, 100 * x, 100 * (1 - x)) for x in (m, m + 1e-6))
        assert np.abs(near - here).max() < 1e-4


def test_beta_means_are_exact_at_every_action(byte_sum_law):
    for m in np.linspace(0.0, 0.6, 601)[1:]:
        lattice = rng.beta_lattice(100 * m, 100 * (1 - m))
        assert byte_sum_law.mean(lattice) == pytest.approx(m, abs=1e-4)


def test_beta_is_continuous_at_a_tabulated_mean():
    at = rng.beta_lattice(20.0, 80.0)
    for near in (20.0 - 1e-7, 20.0 + 1e-7):
        np.testing.assert_allclose(rng.beta_lattice(near, 100.0 - near), at, atol=1e-8, rtol=0)


def test_beta_at_the_ends_of_the_mean():
    assert (rng.beta_lattice(0.0, 100.0) == 0.0).all()
    assert (rng.beta_lattice(100.0, 0.0) == 1.0).all()
    assert rng.beta_lattice(1e-5, 100.0 - 1e-5).max() < 1e-5
    assert rng.beta_lattice(100.0 - 1e-5, 1e-5).min() > 1.0 - 1e-5


def test_beta_of_a_tabulated_mean_is_the_exact_quantile(byte_sum_law):
    middle = byte_sum_law.cumulative - 0.5 * byte_sum_law.mass
    for a, b in [(25.0, 75.0), (0.5, 99.5), (2.0, 5.0)]:
        np.testing.assert_allclose(
            rng.beta_lattice(a, b), special.betaincinv(a, b, middle), rtol=1e-9, atol=1e-300
        )


def test_beta_lattices_are_read_only():
    for a, b in [(20.0, 80.0), (20.3, 79.7), (2.0, 5.0)]:
        with pytest.raises(ValueError, match="read-only"):
            rng.beta_lattice(a, b)[0] = 1.0


# --- Poisson ---------------------------------------------------------------------------------

EDGE_UNIFORMS = [2.0**-33, 1e-9, 1e-6, 1 - 1e-6, 1 - 1e-9, 1 - 2.0**-33]


def test_poisson_quantile_equals_scipy_on_a_dense_grid():
    u = np.concatenate([(np.arange(997) + 0.5) / 997, EDGE_UNIFORMS])[:, None]
    rate = np.concatenate([np.geomspace(1e-6, 1e4, 251), [29.999999, 30.0, 30.000001]])[None]
    got = rng.poisson_quantile(u, rate)
    assert got.dtype == np.int64
    assert got.shape == (1003, 254)
    np.testing.assert_array_equal(got, stats.poisson.ppf(u, rate))


@pytest.mark.parametrize("rate", [1e5, 1e7, 1e9])
def test_poisson_quantile_of_large_rates(rate):
    u = np.array([2.0**-33, 0.01, 0.5, 0.99, 1 - 2.0**-33])
    np.testing.assert_array_equal(rng.poisson_quantile(u, rate), stats.poisson.ppf(u, rate))


@pytest.mark.parametrize("rate", [1e11, 1e12, 1e15])
def test_poisson_quantile_of_huge_rates_is_near_the_rate(rate):
    # where scipy's quantile gives up: 6.4 standard deviations are one chance in 2^33
    got = rng.poisson_quantile(np.array([2.0**-33, 0.5, 1 - 2.0**-33]), rate)
    assert (np.abs(got - rate) <= 6.5 * rate**0.5).all()


def test_poisson_quantile_by_hand():
    # rate log 2: F = 1/2, 1/2 (1 + 0.693) = 0.847, ...: u = 0.49 -> 0, 0.6 -> 1, 0.85 -> 2
    got = rng.poisson_quantile([0.49, 0.6, 0.85], np.log(2.0))
    assert got.tolist() == [0, 1, 2]
    assert rng.poisson_quantile([2.0**-33, 0.5, 1 - 2.0**-33], 0.0).tolist() == [0, 0, 0]


def test_poisson_quantile_shapes():
    assert rng.poisson_quantile(0.5, 1.0).shape == ()
    assert int(rng.poisson_quantile(0.5, 1.0)) == 1  # F(0) = 0.368, F(1) = 0.736
    assert rng.poisson_quantile(np.zeros((0,)), np.zeros((0,))).shape == (0,)
    assert rng.poisson_quantile(np.full((2, 1), 0.5), np.ones((1, 3))).shape == (2, 3)


def test_poisson_quantile_does_not_depend_on_its_neighbours():
    u, rate = np.array([0.3, 0.9, 0.999]), np.array([0.2, 50.0, 3.0])
    together = rng.poisson_quantile(u, rate)
    alone = [int(rng.poisson_quantile(a, b)) for a, b in zip(u, rate, strict=True)]
    assert together.tolist() == alone


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.floats(0.0, 1e4))
def test_poisson_quantile_rises_with_the_draw(a, b, rate):
    low, high = sorted((a, b))
    first, second = rng.poisson_quantile(rng.uniform(np.uint32([low, high])), rate)
    assert 0 <= first <= second


@given(st.integers(0, 2**32 - 1), st.floats(0.0, 1e4), st.floats(0.0, 100.0))
def test_poisson_quantile_rises_with_the_rate(word, rate, more):
    u = rng.uniform(np.uint32([word, word]))
    first, second = rng.poisson_quantile(u, [rate, rate + more])
    assert first <= second
