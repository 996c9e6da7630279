"""Uniformity and independence of the words across every part of the address.

One family-wise error rate, ``ALPHA``, for the whole file: the seeds are fixed, so the p-values
are too, and each must exceed ALPHA / MAX_P_VALUES (Bonferroni). A generator without a flaw
fails the file for one choice of seeds in a thousand. Each pair of streams is compared on about
2^20 pairs of words, so a correlation of 0.006 is found with near certainty.
"""

from itertools import combinations

import numpy as np
import pytest
from scipy import special, stats

from retail_gym import rng
from retail_gym.rng import Key, Stage

ALPHA, MAX_P_VALUES = 1e-3, 1200
THRESHOLD = ALPHA / MAX_P_VALUES
N = 2**20
SEED = 20240901

SYMBOLS = ("beta_x", "beta_z", "beta_u", "beta_i", "z", "alpha_0", "gamma_prod_0", "gamma_prod_1")


@pytest.fixture(scope="module")
def ledger():
    """Every p-value of the file; their number is what the threshold was set for."""
    values = []
    yield values
    assert len(values) <= MAX_P_VALUES


def grid(n_customers, n_items, *, seed=SEED, week=3, stage=Stage.NOISE, first_customer=0):
    """Words of n_customers x n_items elements of one stage and week."""
    customers = np.arange(first_customer, first_customer + n_customers)
    key = rng.stream_key(seed, week, stage, customers)
    return rng.words(Key(key.k1[:, None], key.k2[:, None]), rng.item_hash(n_items))


# --- Tests of one stream ---------------------------------------------------------------------


def chi_square(counts, law):
    expected = counts.sum() * np.asarray(law)
    statistic = float(((counts - expected) ** 2 / expected).sum())
    return float(special.chdtrc(counts.size - 1, statistic))


def one_stream(word, mass):
    """P-values: byte sum, each byte, uniform."""
    word = word.ravel()
    counts = np.bincount(rng.byte_sum(word), minlength=1021)
    # the tails are pooled so that every cell expects 10 or more
    low = int(np.argmax(np.cumsum(mass) * word.size >= 10))
    high = 1020 - low
    pooled = [np.concatenate([[x[: low + 1].sum()], x[low + 1 : high], [x[high:].sum()]])
              for x in (counts, mass)]  # fmt: skip
    values = {"byte sum": chi_square(*pooled)}
    for byte in range(4):
        part = (word >> np.uint32(8 * byte)) & np.uint32(255)
        values[f"byte {byte}"] = chi_square(np.bincount(part, minlength=256), np.full(256, 1 / 256))
    u = rng.uniform(np.sort(word))
    rank = np.arange(word.size)
    distance = max((u - rank / word.size).max(), ((rank + 1) / word.size - u).max())
    values["uniform KS"] = float(special.kolmogorov(distance * np.sqrt(word.size)))
    return values


# --- Tests of a pair of streams --------------------------------------------------------------


def correlation(x, y):
    x, y = x - x.mean(), y - y.mean()
    r = float(np.dot(x, y) / np.sqrt(np.dot(x, x) * np.dot(y, y)))
    return float(2.0 * special.ndtr(-abs(r) * np.sqrt(x.size)))


def classes(mass):
    """Sixteen classes of the byte sum of nearly equal probability, and those probabilities."""
    label = np.minimum((16 * (np.cumsum(mass) - 0.5 * mass)).astype(np.int64), 15)
    return label, np.bincount(label, weights=mass)


def two_streams(a, b, mass):
    """P-values: correlation and 16 x 16 chi-square, of the uniforms and of the byte sums."""
    a, b = a.ravel(), b.ravel()
    top_a, top_b = a >> np.uint32(28), b >> np.uint32(28)
    sum_a, sum_b = rng.byte_sum(a), rng.byte_sum(b)
    label, law = classes(mass)
    return {
        "correlation of uniforms": correlation(a.astype(np.float64), b.astype(np.float64)),
        "correlation of byte sums": correlation(sum_a.astype(np.float64), sum_b.astype(np.float64)),
        "16 x 16 of uniforms": chi_square(
            np.bincount(16 * top_a + top_b, minlength=256), np.full(256, 1 / 256)
        ),
        "16 x 16 of byte sums": chi_square(
            np.bincount(16 * label[sum_a] + label[sum_b], minlength=256), np.outer(law, law).ravel()
        ),
    }


def blocks(word, lag, axis):
    """Disjoint pairs of elements ``lag`` apart along an axis (disjoint, so independent)."""
    word = np.moveaxis(word, axis, 0)
    word = word.reshape(-1, 2, lag, *word.shape[1:])
    return word[:, 0], word[:, 1]


@pytest.fixture
def independent(ledger, byte_sum_law):
    """A check that two arrays of words are independent."""

    def check(a, b):
        values = two_streams(a, b, byte_sum_law.mass)
        ledger.extend(values.values())
        assert {k: p for k, p in values.items() if not p > THRESHOLD} == {}

    return check


LAYOUTS = {
    "items of one customer": lambda: grid(1, N),
    "customers, one item": lambda: grid(N, 1, stage=Stage.VISIT),
    "customers and items": lambda: grid(1024, 1024),
    "a paper-size week": lambda: grid(41, 26_176)[:, : N // 41],
    "weeks and items": lambda: np.concatenate([grid(1, 1024, week=w) for w in range(1024)]),
    "episode keys and items": lambda: np.concatenate([grid(1, 1024, seed=s) for s in range(1024)]),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("which", ["first word", "second word"])
def test_one_stream_is_uniform(layout, which, ledger, byte_sum_law):
    word = LAYOUTS[layout]()
    word = rng.second_word(word) if which == "second word" else word
    values = one_stream(word, byte_sum_law.mass)
    ledger.extend(values.values())
    assert {k: p for k, p in values.items() if not p > THRESHOLD} == {}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_two_words_of_an_element_are_independent(layout, independent):
    word = LAYOUTS[layout]()
    independent(word, rng.second_word(word))


@pytest.mark.parametrize("lag", [1, 2, 16, 256])
def test_items_are_independent(lag, independent):
    word = grid(1024, 2048)
    first, second = blocks(word, lag, axis=1)
    independent(first, second)
    independent(rng.second_word(first), second)


@pytest.mark.parametrize("lag", [1, 16])
def test_items_of_one_customer_are_independent(lag, independent):
    first, second = blocks(grid(1, 2 * N), lag, axis=1)
    independent(first, second)


@pytest.mark.parametrize("lag", [1, 2, 16])
def test_customers_are_independent(lag, independent):
    independent(*blocks(grid(2048, 1024), lag, axis=0))


def test_visits_of_neighbouring_customers_are_independent(independent):
    independent(*blocks(grid(2 * N, 1, stage=Stage.VISIT), 1, axis=0))


@pytest.mark.parametrize("lag", [1, 4, 52])
def test_weeks_are_independent(lag, independent):
    independent(grid(1024, 1024, week=5), grid(1024, 1024, week=5 + lag))


def test_successive_weeks_of_one_element_are_independent(independent):
    weeks = np.concatenate([grid(1, 1024, week=w) for w in range(2048)])
    independent(*blocks(weeks, 1, axis=0))


@pytest.mark.parametrize(
    "other", [SEED + 1, SEED + 2, SEED ^ (1 << 31), SEED + 2**32, 0, 2**64 - 1]
)
def test_episode_keys_are_independent(other, independent):
    independent(grid(1024, 1024), grid(1024, 1024, seed=other))


def test_consecutive_episode_keys_are_independent(independent):
    episodes = np.concatenate([grid(1, 1024, seed=s) for s in range(2048)])
    independent(*blocks(episodes, 1, axis=0))


@pytest.fixture(scope="module")
def stage_grids():
    return {stage: grid(1024, 1024, stage=stage) for stage in Stage}


@pytest.mark.parametrize(("a", "b"), list(combinations(Stage, 2)), ids=lambda s: s.name.lower())
def test_every_pair_of_stages_is_independent(a, b, stage_grids, independent):
    independent(stage_grids[a], stage_grids[b])


@pytest.fixture(scope="module")
def symbol_grids():
    return {name: grid(1024, 1024, week=0, stage=rng.symbol_stage(name)) for name in SYMBOLS}


@pytest.mark.parametrize(("a", "b"), list(combinations(SYMBOLS, 2)))
def test_every_pair_of_symbols_is_independent(a, b, symbol_grids, independent):
    independent(symbol_grids[a], symbol_grids[b])


def test_swapped_parts_of_the_address_are_independent(independent):
    # week w of customer u against week u of customer w
    pairs = list(combinations(range(64), 2))
    straight = [grid(1, 512, week=w, first_customer=u) for u, w in pairs]
    swapped = [grid(1, 512, week=u, first_customer=w) for u, w in pairs]
    independent(np.concatenate(straight), np.concatenate(swapped))


def joint(words, bits, ledger):
    """One chi-square over all cells of the leading bits of several streams."""
    cell = np.zeros(words[0].size, dtype=np.int64)
    for word in words:
        cell = (cell << bits) | (word.ravel() >> np.uint32(32 - bits))
    size = 1 << (bits * len(words))
    p = chi_square(np.bincount(cell, minlength=size), np.full(size, 1 / size))
    ledger.append(p)
    assert p > THRESHOLD


DECISIONS = (Stage.VISIT, Stage.CATEGORY, Stage.PRODUCT, Stage.QUANTITY)


def test_visit_category_product_and_quantity_are_mutually_independent(ledger):
    # 2^20 customers, 8^4 cells: the four draws that decide a customer's first category
    joint([grid(N, 1, stage=stage) for stage in DECISIONS], 3, ledger)


def test_category_product_and_quantity_are_mutually_independent_over_categories(ledger):
    # 4,096 customers x 256 categories, 16^3 cells
    joint([grid(4096, 256, stage=stage) for stage in DECISIONS[1:]], 4, ledger)


def test_a_visit_is_independent_of_all_that_follows(ledger):
    # one visit draw stands before 256 category and product draws of the customer, so the cells
    # are counted over customers: the visit with the draws of one category each
    visit = grid(N, 1, stage=Stage.VISIT)[:, 0]
    follows = []
    for stage in DECISIONS[1:]:
        key = rng.stream_key(SEED, 3, stage, np.arange(N))
        follows.append(rng.words(key, rng.item_hash(np.arange(N) % 303)))
    joint([visit, *follows], 3, ledger)


def test_noise_and_decisions_are_mutually_independent(ledger):
    noise = grid(1024, 1024, stage=Stage.NOISE)
    decisions = [grid(1024, 1024, stage=stage) for stage in (Stage.CATEGORY, Stage.PRODUCT)]
    joint([noise, rng.second_word(noise), *decisions], 3, ledger)


def test_uniforms_agree_with_scipy(byte_sum_law):
    # the home-made p-values are the library's
    word = grid(64, 1024)
    ours = one_stream(word, byte_sum_law.mass)
    u = rng.uniform(word).ravel()
    assert ours["uniform KS"] == pytest.approx(
        stats.kstest(u, "uniform", method="asymp").pvalue, rel=1e-6
    )
    counts = np.bincount(word.ravel() & 255, minlength=256)
    assert ours["byte 0"] == pytest.approx(stats.chisquare(counts).pvalue, rel=1e-6)


@pytest.mark.parametrize("share", [0.01, 1.0])
def test_a_flawed_pair_is_noticed(share, byte_sum_law):
    # one word in a hundred copied from the other stream is a correlation of 0.01: 10 standard
    # errors
    a, b = grid(1024, 1024), grid(1024, 1024, week=4)
    copied = grid(1024, 1024, week=5) < share * 2**32
    values = two_streams(a, np.where(copied, a, b), byte_sum_law.mass)
    assert min(values.values()) < THRESHOLD
    assert values["correlation of uniforms"] < THRESHOLD
    assert values["correlation of byte sums"] < THRESHOLD


def test_a_flawed_stream_is_noticed(byte_sum_law):
    # one word in a hundred with its lowest bit cleared, and a byte that never is 255
    word = grid(1024, 1024).ravel()
    biased = np.where(grid(1024, 1024, week=4).ravel() < 2**32 // 20, word & ~np.uint32(1), word)
    assert one_stream(biased, byte_sum_law.mass)["byte 0"] < THRESHOLD
    narrow = np.where(word >> np.uint32(24) == 255, word ^ np.uint32(1 << 24), word)
    values = one_stream(narrow, byte_sum_law.mass)
    assert values["byte 3"] < THRESHOLD
    assert values["uniform KS"] < THRESHOLD
