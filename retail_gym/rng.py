r"""Randomness as a pure function: (seed, week, stage, customer, item) -> 32 bits -> a draw.

Every draw of the simulator is *addressed*, there is no generator with a hidden position: the same
address gives the same number in any order, on any number of threads, processes or environments.
Two policies that run with the same episode key meet customers with the same luck (common random
numbers). The stage is part of the address: the four decisions are independent by construction.

From address to word, three steps::

    key    = chain of splitmix64 finalisers over seed, stage, week, customer     64 bits
    k1, k2 = low half of key, high half made odd                                 2 x 32 bits
    word   = two multiply-xorshift rounds of (item hash ^ k1) * k2               32 bits
    second_word = one more round of word       (a second draw for the same element)

Only the last two lines run per product, in 32-bit integer operations that every CPU vectorises.

From word to draw. ``uniform`` uses the word itself. The laws that are needed by the million use
the *byte sum* of the word, k = b0 + b1 + b2 + b3 in 0..1020, which is nearly normal already:
``normal``, ``resampled_feature`` and ``gumbel`` are fixed polynomials of it, ``beta`` is a table
over it. These functions are the definition of the simulator's noise, the same bits on every
platform; their KS distance from the exact laws is tested: at most 0.002 for the polynomials, 0.005
for Beta depths (0.00135 is the least). Their tails end where one word in four billion falls.

Draws of which there are few (visits, categories, quantities) use exact inverse distribution
functions of ``uniform``.
"""

from __future__ import annotations

import zlib
from enum import IntEnum
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from retail_gym.counts import negative_binomial_quantile, poisson_quantile

__all__ = [
    "Key",
    "Stage",
    "beta",
    "beta_lattice",
    "byte_sum",
    "feature_lattice",
    "gumbel",
    "gumbel_lattice",
    "item_hash",
    "negative_binomial_quantile",
    "normal",
    "normal_lattice",
    "poisson_quantile",
    "resampled_feature",
    "second_word",
    "stream_head",
    "stream_key",
    "symbol_stage",
    "uniform",
    "words",
]

Floats = NDArray[np.float64]
Words = NDArray[np.uint32]


class Stage(IntEnum):
    """What a draw is for: the stages of a week, each a stream of its own."""

    VISIT = 1  # store visit, item 0
    CATEGORY = 2  # category choice, item j
    PRODUCT = 3  # product choice, item j
    QUANTITY = 4  # quantity, item j
    NOISE = 5  # features X (word) and intercept eps (second word), item i
    MARKETING = 6  # random marketing feature, item 0
    DISCOUNT_STATE = 7  # customer 0, item i
    DISCOUNT_DEPTH = 8  # customer 0, item i
    RANK_A01 = 9  # week 0, customer 0, item i
    RANK_A11 = 10  # week 0, customer 0, item i
    # Of the layers; a store without them never asks.
    DRIFT = 32  # drift of the visit utility, item 0
    WEEK = 33  # effect of the week on everybody, customer 0, item 0
    TRIP = 34  # size of the trip (item 0), fill-in (1), factors (2, 3, ...)
    SOMETHING = 35  # the category of a trip that would buy nothing, item 0
    FURTHER = 36  # number of further products, item j
    FURTHER_PRODUCT = 37  # their choice, item 64 j + k
    FURTHER_QUANTITY = 38  # their quantity, item 64 j + k
    HABIT = 39  # repeat of a past product, item 64 j + k
    FUEL = 40  # petrol: bought (word), units (second word), item 0
    DISPERSION = 41  # price paid around the shelf price, customer 0, item i
    PAIR = 42  # quantities in pairs, item 64 j + k


class Key(NamedTuple):
    """Halves of the 64-bit stream keys, one per customer asked for."""

    k1: Words
    k2: Words  # odd


_ALL: Final = 2**64 - 1
GOLDEN: Final = 0x9E3779B97F4A7C15
WEEK: Final = 0xD1B54A32D192ED03
M1: Final = np.uint32(0x735A2D97)
M2: Final = np.uint32(0x9E3779B1)


def _mix64(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The splitmix64 finaliser, a bijection of 64-bit words (Steele, Lea, Flood 2014)."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def _mix64_int(z: int) -> int:
    """The same for one number."""
    z &= _ALL
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & _ALL
    z = (z ^ z >> 27) * 0x94D049BB133111EB & _ALL
    return z ^ z >> 31


def stream_head(seed: int, week: int, stage: int) -> int:
    """What the keys of all customers in one stage and week share; see :func:`stream_key`."""
    if not 0 <= int(seed) < 2**64:
        raise ValueError(f"a seed or episode key must lie in [0, 2**64), got {seed!r}")
    # In Python's integers: a tenth of NumPy's time for one number.
    head = _mix64_int(int(seed) + GOLDEN)
    head = _mix64_int(head ^ (int(stage) * GOLDEN & _ALL))
    return _mix64_int(head + int(week) * WEEK)


def stream_key(seed: int, week: int, stage: int, customers: ArrayLike = 0) -> Key:
    """Key of the streams of one stage in one week, one per customer.

    Args:
        seed: episode key or world seed, in [0, 2**64).
        week: week of the episode, >= 0; 0 for what is drawn once.
        stage: a :class:`Stage` or :func:`symbol_stage`.
        customers: customer numbers >= 0, scalar or shape (U,); the halves have its shape.

    Raises:
        ValueError: if the seed does not fit 64 bits.
    """
    head = stream_head(seed, week, stage)
    if np.ndim(customers) == 0:
        one = _mix64_int(head + int(np.asarray(customers)) * GOLDEN)
        return Key(np.array(one & 0xFFFFFFFF, np.uint32), np.array(one >> 32 | 1, np.uint32))
    customer = np.asarray(customers, dtype=np.uint64)
    with np.errstate(over="ignore"):
        key = _mix64(np.uint64(head) + customer * np.uint64(GOLDEN))
    low = (key & np.uint64(0xFFFFFFFF)).astype(np.uint32)
    high = (key >> np.uint64(32)).astype(np.uint32) | np.uint32(1)
    return Key(low, high)


@lru_cache(maxsize=256)
def symbol_stage(symbol: str) -> int:
    """Stream number of a coefficient by its name, apart from every :class:`Stage`."""
    return zlib.crc32(symbol.encode()) + 256


def _hash_items(items: NDArray[np.uint32]) -> Words:
    with np.errstate(over="ignore"):
        # Only products and left shifts, so that the low t bits stay a bijection of the item's:
        # words of two items that shared 24 or more low bits would be slightly dependent.
        h = (items + np.uint32(1)) * np.uint32(0x9E3779B1)
        h = (h ^ (h << np.uint32(15))) * np.uint32(0x85EBCA6B)
        return (h ^ (h << np.uint32(11))) * np.uint32(0xC2B2AE35)


@lru_cache(maxsize=8)
def _item_table(n: int) -> Words:
    table = _hash_items(np.arange(n, dtype=np.uint32))
    table.flags.writeable = False
    return table


def item_hash(items: int | ArrayLike) -> Words:
    """Hash of items 0..n-1 for an int n (cached), else of the item numbers given."""
    if isinstance(items, int | np.integer):
        return _item_table(int(items))
    return _hash_items(np.asarray(items, dtype=np.uint32))


def words(key: Key, hashed: Words) -> Words:
    """The 32-bit words of every key and item, which broadcast."""
    with np.errstate(over="ignore"):
        h = (hashed ^ key.k1) * key.k2
        h ^= h >> np.uint32(16)
        h *= M1
        h ^= h >> np.uint32(15)
    return h


def second_word(word: Words) -> Words:
    """A second word for the same element, for a draw independent of the first."""
    with np.errstate(over="ignore"):
        h = word * M2
        h ^= h >> np.uint32(12)
    return h


def uniform(word: Words) -> Floats:
    """Uniform in (0, 1): (word + 1/2) / 2**32, never 0 or 1."""
    return (np.asarray(word, dtype=np.float64) + 0.5) * 2.0**-32


# --- Laws over the byte sum ------------------------------------------------------------------

_LATTICE: Final = 1021  # values of the byte sum
_CENTRE: Final = 510.0
BYTE_SUM_SCALE: Final = 1.0 / (4 * (256**2 - 1) / 12) ** 0.5

#: Coefficients, lowest order first, of s = (k - 510) * BYTE_SUM_SCALE, fitted to the quantile
#: functions over the exact law of k: mean and variance to 1e-8, distance 0.0015 to 0.0017.
NORMAL_COEFFICIENTS: Final = (
    0.0, 0.9611604393, 0.0, 0.01598927415, 0.0, -0.002364773848, 0.0, 0.0003743366453,
)  # fmt: skip
FEATURE_COEFFICIENTS: Final = (
    0.0, 1.225173446, 0.0, 0.01665996166, 0.0, 0.02052165557, 0.0, -0.003138626986, 0.0,
    0.0002465871927,
)  # fmt: skip
GUMBEL_COEFFICIENTS: Final = (
    0.3664719495, 1.103841806, 0.1876011011, 0.05364197222, 0.01001376, -0.00505221151,
    -0.001421279932, 0.0008382317843, 0.000208570062,
)  # fmt: skip


def byte_sum(word: Words) -> Words:
    """Sum of the four bytes of each word, 0..1020."""
    word = np.asarray(word, dtype=np.uint32)
    pairs = word & np.uint32(0x00FF00FF)
    pairs += (word >> np.uint32(8)) & np.uint32(0x00FF00FF)
    return (pairs + (pairs >> np.uint32(16))) & np.uint32(0xFFFF)


@lru_cache(maxsize=8)
def _polynomial_lattice(coefficients: tuple[float, ...]) -> Floats:
    """A polynomial at every value of the byte sum: what the oracle looks up."""
    s = (np.arange(_LATTICE) - _CENTRE) * BYTE_SUM_SCALE
    value: Floats = np.polynomial.polynomial.polyval(s, coefficients)
    value.flags.writeable = False
    return value


def normal_lattice() -> Floats:
    """The 1,021 values of :func:`normal`, by byte sum."""
    return _polynomial_lattice(NORMAL_COEFFICIENTS)


def feature_lattice() -> Floats:
    """The 1,021 values of :func:`resampled_feature`, by byte sum."""
    return _polynomial_lattice(FEATURE_COEFFICIENTS)


def gumbel_lattice() -> Floats:
    """The 1,021 values of :func:`gumbel`, by byte sum."""
    return _polynomial_lattice(GUMBEL_COEFFICIENTS)


def normal(word: Words) -> Floats:
    """Standard normal draw of each word."""
    return np.asarray(normal_lattice()[byte_sum(word)])


def resampled_feature(word: Words) -> Floats:
    """Draw of X = m + s n with m, n ~ N(0, 1) and s ~ |N(0, 1)|, all fresh (variance 2)."""
    return np.asarray(feature_lattice()[byte_sum(word)])


def gumbel(word: Words) -> Floats:
    """Standard Gumbel draw (location 0, scale 1) of each word."""
    return np.asarray(gumbel_lattice()[byte_sum(word)])


@lru_cache(maxsize=1)
def _lattice_rank() -> Floats:  # probability below the middle of each value of the byte sum
    mass = np.ones(1)
    for _ in range(4):
        mass = np.convolve(mass, np.full(256, 1 / 256))
    return np.asarray(np.cumsum(mass) - 0.5 * mass)


#: Step of the means at which Beta quantiles of concentration 100 are tabulated.
_BETA_STEP: Final = 0.0025
_CONCENTRATION: Final = 100.0


@lru_cache(maxsize=1024)
def _beta_row(a: float, b: float) -> Floats:
    row: Floats = special.betaincinv(a, b, _lattice_rank())
    row.flags.writeable = False
    return row


def beta_lattice(a: float, b: float) -> Floats:
    """Quantiles of Beta(a, b), a and b > 0, at the 1,021 values of the byte sum.

    Where a + b = 100, the laws of a (depth, frequency) policy, the quantile at mean m is the
    linear interpolation between the tabulated means around it (multiples of 0.0025), which keeps
    the mean exact.
    """
    if abs(a + b - _CONCENTRATION) > 1e-9:
        return _beta_row(float(a), float(b))
    position = a / _CONCENTRATION / _BETA_STEP
    low = round(position) if abs(position - round(position)) < 1e-9 else int(position)
    weight = position - low
    row = _tabulated(low)
    if abs(weight) < 1e-9:
        return row
    row = (1.0 - weight) * row + weight * _tabulated(low + 1)
    row.flags.writeable = False
    return row


def _tabulated(step: int) -> Floats:
    mean = step * _BETA_STEP
    if step == 0 or mean >= 1.0 - 1e-9:
        return np.full(_LATTICE, float(step > 0))
    return _beta_row(_CONCENTRATION * mean, _CONCENTRATION * (1.0 - mean))


def beta(word: Words, a: float, b: float) -> Floats:
    """Beta(a, b) draw of each word."""
    return np.asarray(beta_lattice(a, b)[byte_sum(word)])
