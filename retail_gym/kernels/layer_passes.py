r"""Compiled pieces of a trip in a store with layers: draws, masked rows, bounds on categories.

Nothing is decided here; :mod:`retail_gym.kernels.baskets` does that. A category can be bought
only where its draw U is below the logistic function of

.. math:: \gamma_0 + \min(V_{uj} + \gamma_1 w_u d_j,\; \gamma_1 (cap + \log n_j)) + h_{uj}
          + b_{ut} + \mu_j \cdot g_{ut} - \tfrac12 |\mu_j|^2

with V the largest category value at base prices that noise and features allow (times gamma_1),
made once a store, and w d the most that this week's prices can add to a utility.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from retail_gym.counts import MOST
from retail_gym.kernels.passes import (
    INSIDE,
    category_words,
    element64,
    exponentials,
    exponentials_above,
    guard_band,
    sum_of,
    utilities,
)
from retail_gym.kernels.single import FAST, LOG2E, exp2

__all__ = [
    "NEVER",
    "Bounds",
    "Layered",
    "choose_exactly",
    "item_hash",
    "negative_binomial",
    "open_categories",
    "row_of",
    "utilities64",
    "value_bounds",
    "week_bounds",
]

u32, u64, i64, f32, f64, uintp, i32 = (
    np.uint32, np.uint64, np.int64, np.float32, np.float64, np.uintp, np.int32,
)  # fmt: skip
Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]

#: Where there is no bound (log2 units).
NEVER: Final = 1e6
_LOWEST: Final = np.float32(-1e30)  # utility of what is not on the shelf
_LOG2E: Final = np.float32(LOG2E)


class Layered(NamedTuple):
    """The layers of a store as the compiled passes read them; off: without effect."""

    something: bool  # a trip that would buy nothing buys in one category
    gamma_0: Floats  # J
    gamma_1: Floats  # J
    household: Floats32  # U, J; or 1, J of zeros
    loading: Floats  # J, K
    half: Floats  # J: half of the sum of squared loadings
    further_j: Floats  # J: mean further products of the average trip; empty: none
    further_size: float
    quantity_u: Floats  # U: factor of the rate; empty: Poisson quantities
    quantity_size: float
    repeat: float
    # Of the bounds, in log2 units
    fixed: Floats32  # J: gamma_0 less half
    slope: Floats32  # J: gamma_1
    steepest: float  # largest absolute gamma_1
    value: Floats32  # U, J: gamma_1 times the largest value at base prices
    loading_kj: Floats32  # K, J
    loading_k: Floats32  # K: largest absolute loading
    size_u: Floats32  # U: bound on what is lasting of the sum


class Bounds(NamedTuple):
    """What this week's prices can add, per group of customers and category."""

    high: Floats32  # G, J: largest beta_i (log P - log base price)
    low: Floats32  # G, J: least
    most: Floats32  # G, J: gamma_1 times the value of a category at the cap (log2 units)


@njit(inline="always")
def item_hash(item: Any) -> Any:
    """Hash of an item number (``rng.item_hash``)."""
    h = u32(u32(u32(item) + u32(1)) * u32(0x9E3779B1))
    h = u32(u32(h ^ u32(h << u32(15))) * u32(0x85EBCA6B))
    return u32(u32(h ^ u32(h << u32(11))) * u32(0xC2B2AE35))


@njit(nogil=True, cache=True)
def negative_binomial(uniform, mean, size):
    """``counts.negative_binomial_quantile`` of one draw, operation for operation."""
    odds = mean / (size + mean)
    term = math.exp(-size * math.log1p(mean / size))
    total, n = term, 0
    while n < MOST and total < uniform:
        term = term * odds * ((n + size) / (n + 1.0))
        n += 1
        total += term
    return n


@njit(nogil=True, cache=True)
def _remove(row, shelf, a, n, value):
    for k in range(n):
        row[k] = row[k] if shelf[uintp(a + k)] else value


@njit(**INSIDE)
def row_of(single, u, k1, k2, price_i, x, g, a, b, drawn, capped, shelf, row):
    """exp(utility - peak) of products a..b, into row[0:b-a]; 0 for what is not on the shelf.

    Args:
        single: the store; ``u`` the customer, ``k1``, ``k2`` the key halves of the noise.
        u: customer.
        k1: low key half.
        k2: high key half.
        price_i: price terms.
        x: feature coefficients.
        g: noise coefficients, the cap taken out.
        a: first product.
        b: product after the last.
        drawn: scratch for coefficients that are not stored; else None.
        capped: whether the peak is the cap; else it is the largest utility of the row.
        shelf: whether each product is offered; empty: all are.
        row: receives the exponentials.

    Returns:
        The peak relative to the cap (log2 units), and a bound on the parts of utilities that
        have to do with coefficients that are drawn again.
    """
    peak = f32(0.0)
    if capped:
        size = exponentials(single, u, k1, k2, price_i, x, g, a, b, drawn, row)
    else:
        size = utilities(single, u, k1, k2, price_i, x, g, a, b, drawn, row)
        if shelf.size:
            _remove(row, shelf, a, b - a, _LOWEST)
        peak = exponentials_above(row, i64(0), b - a)
    if shelf.size:
        _remove(row, shelf, a, b - a, f32(0.0))
    return peak, size


@njit(nogil=True, cache=True, _nrt=False)
def utilities64(single, double, u, k1, k2, log_price_i, cap, a, b, shelf, out):
    """Utilities of a category in double precision, into out; its value CV."""
    peak = -np.inf
    for i in range(a, b):
        mu = element64(double, u, i, k1, k2, single.item_hash[i], log_price_i[i])
        mu = min(mu, cap)
        if shelf.size and not shelf[i]:
            mu = -np.inf
        out[i - a] = mu
        peak = max(peak, mu)
    total = 0.0
    for k in range(b - a):
        total += math.exp(out[k] - peak)
    return peak + math.log(total)


@njit(nogil=True, cache=True)
def choose_exactly(utility_k, n, uniform):
    """``further_products.choose_another`` of what is left (above -inf); -1: nothing is."""
    peak, total, place = -np.inf, 0.0, -1
    for k in range(n):
        peak = max(peak, utility_k[k])
    if peak == -np.inf:
        return place
    for k in range(n):
        total += math.exp(utility_k[k] - peak)
    target, running = uniform * total, 0.0
    for k in range(n):
        if utility_k[k] > -np.inf:
            place = k
            running += math.exp(utility_k[k] - peak)
            if running > target:
                break
    return place


@njit(fastmath=FAST, nogil=True, cache=True)
def _bounds(household, value, high, low, most, weight, layered, size, factor_k, slack, word_j, x):
    n = x.size
    for j in range(n):
        rise = max(f32(weight * high[j]), f32(weight * low[j]))
        bound = min(f32(value[j] + f32(layered.slope[j] * rise)), most[j])
        x[j] = f32(f32(bound + layered.fixed[j]) + f32(size + f32(_LOG2E * household[j])))
    for k in range(factor_k.size):
        factor, loading = f32(factor_k[k]), layered.loading_kj[k]
        for j in range(n):
            x[j] = f32(x[j] + f32(factor * loading[j]))
    for j in range(n):
        # A word's upper bits convert as signed, and never to more than the draw.
        draw = f32(f32(i32(word_j[j] >> u32(1))) * f32(2.0**-31))
        odds = exp2(min(f32(-x[j] - slack), f32(120.0)))
        x[j] = f32(draw * f32(f32(1.0) + odds))


@njit(nogil=True, cache=True, _nrt=False)
def open_categories(
    single, layered, bounds, u, group, category_hash, c1, c2, size, factor_k, price_size, word_j, x,
    open_j,
):  # fmt: skip
    """Categories that their draw can still buy.

    Args:
        single: the store.
        layered: its layers.
        bounds: of this week's prices.
        u: the customer.
        group: whose prices they see.
        category_hash: hashes of category numbers.
        c1: low key half of the category draws; ``c2`` the high one.
        c2: high key half.
        size: the trip's size b.
        factor_k: the trip's factors g.
        price_size: largest absolute change of a price term.
        word_j: receives the category draws, uint32 (J,).
        x: scratch, float32 (J,).
        open_j: receives category numbers.

    Returns:
        How many there are.
    """
    weight = single.price_weight[u]
    # Some roundings of each term of a sum of K + 6, and of the conversions.
    whole = layered.size_u[u] + LOG2E * abs(size) + layered.steepest * abs(weight) * price_size
    for k in range(factor_k.size):
        whole += abs(factor_k[k]) * layered.loading_k[k]
    slack = f32(1e-5 + 1.2e-7 * (factor_k.size + 12) * whole)
    category_words(category_hash, c1, c2, word_j)
    own = min(u, layered.household.shape[0] - 1)
    _bounds(
        layered.household[own], layered.value[u], bounds.high[group], bounds.low[group],
        bounds.most[group], weight, layered, f32(LOG2E * size), factor_k, slack, word_j, x,
    )  # fmt: skip
    some = 0
    for j in range(x.size):
        open_j[some] = j
        some += i64(x[j] < f32(1.00001))
    return some


@njit(nogil=True, cache=True, _nrt=False)
def value_bounds(
    single, price_i, x, g, price_size, noise, feature, gamma_1, first, last, drawn, row, out,
):  # fmt: skip
    """gamma_1 times the largest value of each category at base prices (log2 units).

    Args:
        single: the store.
        price_i: price terms at base prices.
        x: coefficients of a feature that is 0, and ``g`` of a noise that is.
        g: likewise.
        price_size: largest absolute price term.
        noise: the largest noise (log2 units).
        feature: the largest absolute feature.
        gamma_1: weight of category values; where it is negative there is no bound.
        first: customers from here ...
        last: ... to before here.
        drawn: scratch for coefficients that are not stored; else None.
        row: scratch, float32 of the largest category.
        out: receives the bounds, float32 (U, J).
    """
    for u in range(first, last):
        for j in range(gamma_1.size):
            if gamma_1[j] < 0.0:
                out[u, j] = f32(NEVER)
                continue
            a, b = single.start[j], single.stop[j]
            size = utilities(single, u, u32(0), u32(1), price_i, x, g, a, b, drawn, row)
            if drawn is None:
                size = single.size_uj[u, j]
                for k in range(b - a):
                    row[k] += f32(feature * abs(single.sigma[u, a + k]))
            else:
                for k in range(b - a):
                    row[k] += f32(feature * abs(drawn[1, k]))
            peak = f64(exponentials_above(row, i64(0), b - a))
            guard = guard_band(size + abs(single.price_weight[u]) * price_size, 1.0)
            value = peak + LOG2E * (math.log(f64(sum_of(row, 0, b - a))) + guard) + noise
            out[u, j] = f32(gamma_1[j] * value)


@njit(nogil=True, cache=True)
def week_bounds(beta_i, log_price_gi, log_base, cap_g, single, layered, bounds):
    """Fill ``bounds`` for a week's prices and caps."""
    for g in range(cap_g.size):
        for j in range(layered.gamma_1.size):
            high, low = -np.inf, np.inf
            for i in range(single.start[j], single.stop[j]):
                rise = beta_i[i] * (log_price_gi[g, i] - log_base[i])
                high, low = max(high, rise), min(low, rise)
            bounds.high[g, j], bounds.low[g, j] = f32(high), f32(low)
            most = NEVER
            if layered.gamma_1[j] >= 0.0 and not math.isinf(cap_g[g]):
                value = cap_g[g] + math.log(f64(single.stop[j] - single.start[j]))
                most = min(NEVER, LOG2E * layered.gamma_1[j] * value)
            bounds.most[g, j] = f32(most)
