"""Priors against scipy's laws, in the bulk, in the tails and through the words."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from retail_gym import rng
from retail_gym.world.priors import (
    Beta,
    Constant,
    Gumbel,
    HalfNormal,
    LogNormal,
    Normal,
    Prior,
    TruncatedNormal,
    Uniform,
    as_prior,
    truncated_normal_quantile,
)

U = np.array([2.0**-33, 1e-6, 1e-3, 0.025, 0.3, 0.5, 0.8, 0.975, 0.999, 1 - 1e-6, 1 - 2.0**-33])

LAWS = [  # prior, scipy's law
    (Normal(0.0, 1.0), stats.norm()),
    (Normal(-3.0, 0.25), stats.norm(-3.0, 0.25)),
    (LogNormal(0.7, 0.4), stats.lognorm(s=0.4, scale=math.exp(0.7))),
    (LogNormal(-5.0, 1.5), stats.lognorm(s=1.5, scale=math.exp(-5.0))),
    (HalfNormal(2.0), stats.halfnorm(scale=2.0)),
    (TruncatedNormal(1.0, 2.0, 0.0), stats.truncnorm(-0.5, np.inf, 1.0, 2.0)),
    (TruncatedNormal(1.0, 2.0, high=0.0), stats.truncnorm(-np.inf, -0.5, 1.0, 2.0)),
    (TruncatedNormal(0.0, 1.0, 2.0, 3.0), stats.truncnorm(2.0, 3.0)),
    (TruncatedNormal(0.0, 1.0, -1.0, 0.5), stats.truncnorm(-1.0, 0.5)),
    (TruncatedNormal(5.0, 3.0), stats.norm(5.0, 3.0)),
    (Gumbel(0.0, 0.1), stats.gumbel_r(0.0, 0.1)),
    (Gumbel(2.0, 3.0), stats.gumbel_r(2.0, 3.0)),
    (Uniform(-2.0, 3.0), stats.uniform(-2.0, 5.0)),
    (Beta(5.0, 95.0), stats.beta(5.0, 95.0)),
    (Beta(2.0, 5.0), stats.beta(2.0, 5.0)),
]
law_cases = pytest.mark.parametrize(("prior", "law"), LAWS, ids=[repr(prior) for prior, _ in LAWS])


@law_cases
def test_quantile_equals_scipy(prior, law):
    np.testing.assert_allclose(prior.quantile(U), law.ppf(U), rtol=1e-8, atol=1e-9)


@law_cases
def test_quantile_inverts_the_distribution_function(prior, law):
    u = (np.arange(1, 1000)) / 1000
    np.testing.assert_allclose(law.cdf(prior.quantile(u)), u, rtol=1e-9)


@law_cases
def test_quantile_increases_and_keeps_the_shape(prior, law):
    assert (np.diff(prior.quantile(U)) > 0).all()
    assert np.shape(prior.quantile(0.5)) == ()
    assert float(prior.quantile(0.5)) == prior.quantile(U)[5]
    table = prior.quantile(U[:10].reshape(2, 5))
    assert table.shape == (2, 5)
    np.testing.assert_array_equal(table.ravel(), prior.quantile(U[:10]))


def words_of(n, seed=17):
    return rng.words(rng.stream_key(seed, 0, rng.symbol_stage("test_priors")), rng.item_hash(n))


@law_cases
@pytest.mark.parametrize("route", ["quantile", "words"])
def test_sampled_mean_and_standard_deviation(prior, law, route):
    # 2^17 draws at fixed words: within 4.5 standard errors, the error of the standard
    # deviation from the law's own kurtosis
    n = 2**17
    word = words_of(n)
    x = prior.quantile(rng.uniform(word)) if route == "quantile" else prior.from_words(word)
    mean, variance, kurtosis = (float(v) for v in law.stats("mvk"))
    if math.isnan(kurtosis):  # scipy does not say
        kurtosis = float(law.expect(lambda t: (t - mean) ** 4)) / variance**2 - 3.0
    sd = math.sqrt(variance)
    assert x.mean() == pytest.approx(mean, abs=4.5 * sd / math.sqrt(n))
    assert x.std() == pytest.approx(sd, abs=4.5 * sd * math.sqrt((kurtosis + 2.0) / (4 * n)))


LATTICE = [pair for pair in LAWS if isinstance(pair[0], Normal | LogNormal | Beta)]


@pytest.mark.parametrize(("prior", "law"), LATTICE, ids=[repr(prior) for prior, _ in LATTICE])
def test_from_words_over_the_byte_sum_is_the_same_law(prior, law, byte_sum_law):
    # exact, not sampled: these priors depend on the word through its byte sum
    lattice = prior.from_words(byte_sum_law.words)
    assert byte_sum_law.ks_distance(lattice, law.cdf) <= 0.002
    word = words_of(1000)
    np.testing.assert_array_equal(prior.from_words(word), lattice[rng.byte_sum(word)])


OTHERS = [prior for prior, _ in LAWS if not isinstance(prior, Normal | LogNormal | Beta)]


@pytest.mark.parametrize("prior", OTHERS, ids=repr)
def test_from_words_of_the_others_is_the_quantile_of_the_uniform(prior):
    word = words_of(1000)
    np.testing.assert_array_equal(prior.from_words(word), prior.quantile(rng.uniform(word)))


def test_from_words_of_a_lognormal_is_the_exponential_of_the_normals():
    word = words_of(1000).reshape(20, 50)
    np.testing.assert_array_equal(
        LogNormal(0.3, 0.7).from_words(word), np.exp(0.3 + 0.7 * rng.normal(word))
    )


def test_constant():
    assert Constant(2.5).quantile(U).tolist() == [2.5] * U.size
    assert Constant(3).quantile(0.5).dtype == np.float64
    assert Constant(2.5).from_words(words_of(6).reshape(2, 3)).shape == (2, 3)


def test_uniform_of_no_width_is_a_constant():
    assert Uniform(2.0, 2.0).quantile(U).tolist() == [2.0] * U.size


def test_beta_mean():
    assert Beta(1.0, 3.0).mean == 0.25


def test_the_base_class_has_no_quantile():
    with pytest.raises(NotImplementedError):
        Prior().quantile(0.5)


# --- Truncated normal ------------------------------------------------------------------------


def test_truncated_normal_by_hand():
    # N(0, 1) on [0, inf): the median is the 0.75 quantile of the normal, 0.6745
    assert float(truncated_normal_quantile(0.5, 0, 1, 0, np.inf)) == pytest.approx(
        0.6744897501960817, rel=1e-12
    )
    # symmetric interval: the median is the mean
    assert float(truncated_normal_quantile(0.5, 3, 2, 1, 5)) == pytest.approx(3.0, abs=1e-12)


@pytest.mark.parametrize("a", [5.0, 10.0, 20.0, 30.0, 37.0])
@pytest.mark.parametrize("width", [0.1, 1.0, np.inf])
def test_truncated_normal_far_in_both_tails(a, width):
    expected = stats.truncnorm.ppf(U, a, a + width)
    upper = truncated_normal_quantile(U, 0.0, 1.0, a, a + width)
    lower = truncated_normal_quantile(1.0 - U, 0.0, 1.0, -a - width, -a)
    np.testing.assert_allclose(upper, expected, rtol=1e-8)
    np.testing.assert_allclose(lower, -expected, rtol=1e-8)


@pytest.mark.parametrize("a", [39.0, 100.0, 1000.0])
@pytest.mark.parametrize("width", [1.0, np.inf])
def test_truncated_normal_beyond_the_range_of_the_distribution_function(a, width):
    # Phi(-39) underflows; a prior such as TruncatedNormal(1, 0.01, high=0) lies there
    expected = stats.truncnorm.ppf(U, a, a + width)
    upper = truncated_normal_quantile(U, 0.0, 1.0, a, a + width)
    lower = truncated_normal_quantile(1.0 - U, 0.0, 1.0, -a - width, -a)
    np.testing.assert_allclose(upper, expected, rtol=1e-6)
    np.testing.assert_allclose(lower, -expected, rtol=1e-6)


def test_truncated_normal_broadcasts():
    mean = np.array([0.0, 5.0, -5.0])
    got = truncated_normal_quantile(np.array([[0.2], [0.9]]), mean, 1.0, 0.0, [1.0, np.inf, 2.0])
    assert got.shape == (2, 3)
    for row, u in enumerate((0.2, 0.9)):
        for column, (m, high) in enumerate(zip(mean, (1.0, np.inf, 2.0), strict=True)):
            expected = stats.truncnorm.ppf(u, 0.0 - m, high - m, m, 1.0)
            assert got[row, column] == pytest.approx(expected, rel=1e-9)


@given(
    st.integers(0, 2**32 - 1), st.floats(-50, 50), st.floats(0.01, 10), st.floats(-50, 50),
    st.floats(0.01, 100),
)  # fmt: skip
def test_truncated_normal_stays_in_its_interval(word, mean, sd, low, width):
    u = (word + 0.5) * 2.0**-32
    got = float(truncated_normal_quantile(u, mean, sd, low, low + width))
    assert low <= got <= low + width


# --- Validation ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Normal(0, 0), r"Normal\.sd must be a finite number in \[1e-300, inf\], got 0"),
        (lambda: Normal(0, -1), r"Normal\.sd must be .* got -1"),
        (lambda: Normal(math.nan, 1), r"Normal\.mean must be a finite number, got nan"),
        (lambda: Normal(0, math.inf), r"Normal\.sd must be a finite number"),
        (lambda: Normal("a", 1), r"Normal\.mean must be a number, got 'a'"),
        (lambda: Normal(None, 1), r"Normal\.mean must be a number, got None"),
        (lambda: LogNormal(0, -0.1), r"LogNormal\.sigma must be a finite number"),
        (lambda: HalfNormal(0), r"HalfNormal\.sd must be a finite number"),
        (lambda: Gumbel(0, 0), r"Gumbel\.scale must be a finite number"),
        (lambda: Beta(0, 1), r"Beta\.a must be a finite number"),
        (lambda: Beta(1, -1), r"Beta\.b must be a finite number"),
        (lambda: Constant(math.inf), r"Constant\.value must be a finite number"),
        (lambda: Uniform(1, 0), r"Uniform needs low <= high, got 1 and 0"),
        (lambda: Uniform(-math.inf, 0), r"Uniform\.low must be a finite number"),
        (lambda: Uniform(0, math.nan), r"Uniform\.high must be a finite number"),
        (lambda: TruncatedNormal(0, 0), r"TruncatedNormal\.sd must be a finite number"),
        (lambda: TruncatedNormal(0, 1, 2, 2), r"needs low < high, got low=2, high=2"),
        (lambda: TruncatedNormal(0, 1, 3, 2), r"TruncatedNormal needs low < high"),
        (lambda: TruncatedNormal(0, 1, math.nan), r"TruncatedNormal\.low must not be NaN"),
        (lambda: TruncatedNormal(0, 1, 0, math.nan), r"TruncatedNormal\.high must not be NaN"),
        (lambda: TruncatedNormal(0, 1, "a"), r"TruncatedNormal\.low must be a number, got 'a'"),
    ],
)
def test_parameters_are_checked(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize("value", ["1", True])
def test_a_string_or_a_bool_is_no_parameter(value):
    with pytest.raises(ValueError, match=r"Normal\.mean must be a (finite )?number"):
        Normal(value, 1.0)


def test_priors_are_values():
    assert Normal(0.0, 1.0) == Normal(0.0, 1.0)
    assert Normal(0.0, 1.0) != Normal(0.0, 2.0)
    assert hash(Beta(1.0, 2.0)) == hash(Beta(1.0, 2.0))
    with pytest.raises(AttributeError):
        Normal(0.0, 1.0).mean = 3.0


# --- as_prior --------------------------------------------------------------------------------


def test_as_prior_keeps_a_prior_and_takes_numbers():
    prior = Normal(0.0, 1.0)
    assert as_prior("theta", prior) is prior
    for number in (2, 2.0, np.float32(2.0), np.int64(2)):
        assert as_prior("theta", number) == Constant(2.0)


TABLES = [
    ({"kind": "constant", "value": 1.0}, Constant(1.0)),
    ({"kind": "normal", "mean": 0.0, "sd": 2.0}, Normal(0.0, 2.0)),
    ({"kind": "lognormal", "mu": 0.0, "sigma": 2.0}, LogNormal(0.0, 2.0)),
    ({"kind": "half_normal", "sd": 2.0}, HalfNormal(2.0)),
    (
        {"kind": "truncated_normal", "mean": 0.0, "sd": 2.0, "low": 0.0},
        TruncatedNormal(0.0, 2.0, 0.0),
    ),
    ({"kind": "gumbel", "loc": 0.0, "scale": 2.0}, Gumbel(0.0, 2.0)),
    ({"kind": "uniform", "low": 0.0, "high": 2.0}, Uniform(0.0, 2.0)),
    ({"kind": "beta", "a": 1.0, "b": 2.0}, Beta(1.0, 2.0)),
]


@pytest.mark.parametrize(("table", "prior"), TABLES, ids=[table["kind"] for table, _ in TABLES])
def test_as_prior_reads_a_table_and_leaves_it_alone(table, prior):
    before = dict(table)
    assert as_prior("theta", table) == prior
    assert table == before


@pytest.mark.parametrize("kind", ["norml", None, 3, ["normal"]])
def test_as_prior_names_the_kinds(kind):
    with pytest.raises(ValueError, match="unknown kind of prior for theta") as caught:
        as_prior("theta", {"kind": kind, "mean": 0.0})
    for table, _ in TABLES:
        assert table["kind"] in str(caught.value)


def test_as_prior_suggests_a_kind():
    with pytest.raises(ValueError, match="Did you mean 'normal'"):
        as_prior("theta", {"kind": "norml"})


def test_as_prior_of_a_table_without_a_kind():
    with pytest.raises(ValueError, match=r"unknown kind of prior for theta None: choose from"):
        as_prior("theta", {"mean": 0.0, "sd": 1.0})


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"kind": "normal", "mu": 0.0}, "theta: a normal prior takes mean, sd, got mu"),
        ({"kind": "normal"}, "theta: a normal prior takes mean, sd, got nothing"),
        ({"kind": "beta", "a": 1, "b": 1, "c": 1}, "theta: a beta prior takes a, b, got a, b, c"),
    ],
)
def test_as_prior_names_the_parameters(table, message):
    with pytest.raises(ValueError, match=message):
        as_prior("theta", table)


@pytest.mark.parametrize("value", ["normal", True, None, [1.0], np.array([1.0]), 1j])
def test_as_prior_refuses_what_is_no_prior(value):
    with pytest.raises(ValueError, match="theta must be a number or a prior such as"):
        as_prior("theta", value)


def test_as_prior_refuses_a_number_that_is_not_finite():
    with pytest.raises(ValueError, match="must be a finite number"):
        as_prior("theta", math.nan)
