r"""Which categories a trip buys in, in a store with layers: compiled, serial, exact.

Single precision is off by at most the guard of :mod:`retail_gym.kernels.decisions`; a decision
nearer to its threshold than that is taken again in double precision.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from retail_gym.kernels.layer_passes import item_hash, row_of, utilities64
from retail_gym.kernels.passes import (
    INSIDE,
    as_uniform,
    choose,
    guard_band,
    key_halves,
    logistic,
    row_number,
    sum_of,
)
from retail_gym.kernels.single import words

__all__ = [
    "FAINT", "Customer", "Room", "Shop", "draw_of", "is_bought", "one_category", "sum64", "sum_row",
    "values_of",
]  # fmt: skip

i64, f64 = np.int64, np.float64
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_LN2: Final = math.log(2.0)
#: Below this a sum of exponentials has lost its digits (e is at least 2**-126).
FAINT: Final = 1e-26


class Shop(NamedTuple):
    """The shelf of a week: the products that are offered, or all of them and which are."""

    product: Ints  # I': product numbers
    position: Ints  # I: where among them a product is; -1: not offered
    price: NDArray[np.float32]  # G, I': price terms
    offered: NDArray[np.bool_]  # I' = I: whether each product is; empty: all of I' are


class Room(NamedTuple):
    """Memory of one thread."""

    row: NDArray[np.float32]  # products of the largest category
    drawn: NDArray[np.float32] | None  # 2, the same; None where coefficients are stored
    exact: Floats  # products of the largest category
    words: NDArray[np.uint32]  # J
    bounds: NDArray[np.float32]  # J
    open_j: Ints  # J
    value_j: Floats  # J


class Customer(NamedTuple):
    """A customer in the store: what the decisions of a trip share."""

    single: Any  # the store in single precision, of the products of ``shop``
    double: Any
    x: Any  # feature coefficients
    g: Any  # noise coefficients
    u: int
    k1: Any  # key halves of the noise
    k2: Any
    price_i: Any  # price terms, of the products of ``shop``
    log_price_i: Any
    cap: float
    capped: bool
    common: float  # bound on the parts of utilities that all categories share (log2 units)
    shop: Any
    scale: float  # of the guard


@njit(inline="always")
def draw_of(heads, stage, u, item):
    """Uniform draw of an item, from the stage's head of the week."""
    k1, k2 = key_halves(heads[stage], u)
    word, _ = words(item_hash(item), k1, k2)
    return as_uniform(word)


@njit(**INSIDE)
def sum_row(at, j, room, counts):
    """Value of a category, the sum of its row and the guard; sum 0: only exact is known."""
    a, b = at.single.start[j], at.single.stop[j]
    peak, size = row_of(
        at.single, at.u, at.k1, at.k2, at.price_i, at.x, at.g, a, b, room.drawn, at.capped,
        at.shop.offered, room.row,
    )  # fmt: skip
    if room.drawn is None:
        size = at.single.size_uj[at.u, j]
    total = f64(sum_of(room.row, i64(0), b - a))
    counts[2] += 1
    if total < FAINT:
        return sum64(at, j, room, counts), 0.0, 0.0
    peak64 = at.cap if at.capped else f64(peak) * _LN2
    return peak64 + math.log(total), total, guard_band(at.common + size, at.scale)


@njit(nogil=True, cache=True, _nrt=False)
def sum64(at, j, room, counts):
    """Value of a category in double precision; its utilities are then in ``room.exact``."""
    counts[3] += 1
    return utilities64(
        at.single, at.double, at.u, at.k1, at.k2, at.log_price_i, at.cap, at.single.start[j],
        at.single.stop[j], at.shop.offered, at.shop.product, room.exact,
    )  # fmt: skip


@njit(nogil=True, cache=True, _nrt=False)
def values_of(at, room, counts):
    """Values of all categories, into ``room.value_j``; returns a bound on their error."""
    most = 0.0
    for j in range(room.value_j.size):
        room.value_j[j], _, guard = sum_row(at, j, room, counts)
        most = max(most, guard)
    return most


@njit(**INSIDE)
def _log_odds(layered, u, j, value, size, factor_k):
    """Log-odds of a category, in the oracle's order of operations."""
    effect = 0.0
    for k in range(factor_k.size):
        effect += factor_k[k] * layered.loading[j, k]
    own = row_number(layered.household, u)
    effect = f64(layered.household[own, j]) + (size + (effect - layered.half[j]))
    return layered.gamma_0[j] + effect + layered.gamma_1[j] * value


@njit(**INSIDE)
def is_bought(at, layered, j, value, total, guard, size, factor_k, room, counts):
    """Whether an open category is bought, the sum of its row and the guard (0, 0: exact)."""
    uniform = as_uniform(room.words[j])
    p = logistic(_log_odds(layered, at.u, j, value, size, factor_k))
    near = p * (1.0 - p) * abs(layered.gamma_1[j]) * guard * 1.01
    if guard > 0.0 and p - near <= uniform < p + near:
        value, total, guard = sum64(at, j, room, counts), 0.0, 0.0
        p = logistic(_log_odds(layered, at.u, j, value, size, factor_k))
    return uniform < p, total, guard


@njit(nogil=True, cache=True, _nrt=False)
def one_category(at, layered, size, factor_k, uniform, room, counts):
    """The category of a trip that would buy nothing (``basket_effects.one_category``)."""
    odds, n = room.value_j, room.value_j.size
    guard, steepest, total = values_of(at, room, counts), 0.0, 0.0
    for j in range(n):
        odds[j] = math.exp(_log_odds(layered, at.u, j, odds[j], size, factor_k))
        total += odds[j]
        steepest = max(steepest, abs(layered.gamma_1[j]))
    # Odds are off by gamma_1 times the guard, and by the roundings of p / (1 - p).
    near = 2.0 * math.expm1(steepest * guard * 1.01) + 1e-9
    j = choose(odds, n, total, uniform, near)
    if j >= 0:
        return j
    total = 0.0
    for j in range(n):
        value = sum64(at, j, room, counts)
        p = logistic(_log_odds(layered, at.u, j, value, size, factor_k))
        odds[j] = p / max(1.0 - p, 1e-300)
        total += odds[j]
    return choose(odds, n, total, uniform, 0.0)
