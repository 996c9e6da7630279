r"""Compiled pieces of a trip in a store with layers: draws, masked rows, bounds on categories.

Nothing is decided here; :mod:`retail_gym.kernels.baskets` does that. A category can be bought
only where its draw U is below the logistic function of

.. math:: \gamma_0 + \min(V_j + \gamma_1 w_u d_j,\; \gamma_1 (cap + \log n_j)) + h_{uj}
          + b_{ut} + \mu_j \cdot g_{ut} - \tfrac12 |\mu_j|^2

where V_j is gamma_1 times the largest category value that noise and features allow. Where only
the sensitivity to prices w differs between customers, V is a convex function of it, tabulated
every week at a few points, the chords between them being bounds too (then d is 0). Else it is
each customer's at base prices, made once, and w d the most that this week's prices add.
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
    row_number,
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
    "remember",
    "row_of",
    "utilities64",
    "value_bounds",
    "week_rises",
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
    start: NDArray[np.int64]  # J: first product
    size: NDArray[np.int64]  # J: products
    # Of the bounds, in log2 units
    fixed: Floats32  # J: gamma_0 less half
    slope: Floats32  # J: gamma_1
    steepest: float  # largest absolute gamma_1
    loading_kj: Floats32  # K, J
    loading_k: Floats32  # K: largest absolute loading
    size_u: Floats32  # U or 1: largest lasting effect


class Bounds(NamedTuple):
    """Bounds on category values in one week, times gamma_1 (log2 units)."""

    value: Floats32  # G or 1, M, J: at M sensitivities to prices; or 1, U, J: at base prices
    lowest: float  # sensitivity: of the first of M ...
    step: float  # ... and between them; 0: of each customer
    high: Floats32  # G, J: largest beta_i (log P - log base price)
    low: Floats32  # G, J: least
    most: Floats32  # G, J: the value of a category at the cap
    size: float  # largest absolute value, and change of a price term


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
def utilities64(single, double, u, k1, k2, log_price_i, cap, a, b, shelf, product, out):
    """Utilities of a category in double precision, into out; its value CV."""
    peak = -np.inf
    for k in range(a, b):
        i = product[k]
        mu = element64(double, u, i, k1, k2, single.item_hash[k], log_price_i[i])
        mu = min(mu, cap)
        if shelf.size and not shelf[k]:
            mu = -np.inf
        out[k - a] = mu
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
def _bounds(
    household, below, above, part, high, low, most, weight, layered, size, factor_k, slack, word_j,
    x,
):  # fmt: skip
    n = x.size
    for j in range(n):
        rise = max(f32(weight * high[j]), f32(weight * low[j]))
        value = f32(below[j] + f32(part * f32(above[j] - below[j])))
        bound = min(f32(value + f32(layered.slope[j] * rise)), most[j])
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
    single, layered, bounds, u, group, category_hash, c1, c2, size, factor_k, word_j, x, open_j,
):  # fmt: skip
    """Categories that their draw can still buy.

    Args:
        single: the store.
        layered: its layers.
        bounds: of this week's category values.
        u: the customer.
        group: whose prices they see.
        category_hash: hashes of category numbers.
        c1: low key half of the category draws.
        c2: high key half.
        size: the trip's size b.
        factor_k: the trip's factors g.
        word_j: receives the category draws, uint32 (J,).
        x: scratch, float32 (J,).
        open_j: receives category numbers.

    Returns:
        How many there are.
    """
    weight = single.price_weight[u]
    # Some roundings of each term of a sum of K + 6, and of the conversions.
    whole = f64(layered.size_u[row_number(layered.size_u, u)]) + LOG2E * abs(size)
    whole += bounds.size * (1.0 + layered.steepest * abs(weight))
    for k in range(factor_k.size):
        whole += abs(factor_k[k]) * layered.loading_k[k]
    slack = f32(1e-5 + 1.2e-7 * (factor_k.size + 12) * whole)
    category_words(category_hash, c1, c2, word_j)
    table, m, part = row_number(bounds.value, group), i64(u), f32(0.0)
    if bounds.step > 0.0:
        place = (weight - bounds.lowest) / bounds.step
        m = max(i64(0), min(i64(place), bounds.value.shape[1] - 2))
        part = f32(min(1.0, max(0.0, place - m)))
    own, next_m = row_number(layered.household, u), m + i64(bounds.step > 0.0)
    _bounds(
        layered.household[own], bounds.value[table, m], bounds.value[table, next_m], part,
        bounds.high[group], bounds.low[group], bounds.most[group], weight, layered,
        f32(LOG2E * size), factor_k, slack, word_j, x,
    )  # fmt: skip
    some = 0
    for j in range(x.size):
        open_j[some] = j
        some += i64(x[j] < f32(1.00001))
    return some


@njit(nogil=True, cache=True, _nrt=False)
def value_bounds(
    single, weight_m, price_i, x, g, price_size, noise, feature, gamma_1, drawn, row, out,
):  # fmt: skip
    """gamma_1 times the largest value of each category (log2 units).

    Args:
        single: the store.
        weight_m: sensitivities to prices (log2 units), shape (M,): of all customers, or where
            there is one row of coefficients any.
        price_i: price terms.
        x: coefficients of a feature that is 0.
        g: coefficients of a noise that is 0.
        price_size: largest absolute price term.
        noise: the largest noise (log2 units).
        feature: the largest absolute feature.
        gamma_1: weight of category values; where it is negative there is no bound.
        drawn: scratch for coefficients that are not stored; else None.
        row: scratch, float32 of the largest category.
        out: receives the bounds, float32 (M, J).
    """
    for m in range(weight_m.size):
        for j in range(gamma_1.size):
            if gamma_1[j] < 0.0:
                out[m, j] = f32(NEVER)
                continue
            a, b = single.start[j], single.stop[j]
            if drawn is None:
                own, size = (
                    row_number(single.base, m),
                    single.size_uj[row_number(single.size_uj, m), j],
                )
                for k in range(b - a):
                    constant = single.base[own, a + k] + f32(
                        feature * abs(single.sigma[own, a + k])
                    )
                    row[k] = f32(constant + f32(weight_m[m] * price_i[a + k]))
            else:
                size = utilities(single, m, u32(0), u32(1), price_i, x, g, a, b, drawn, row)
                for k in range(b - a):
                    row[k] += f32(feature * abs(drawn[1, k]))
            peak = f64(exponentials_above(row, i64(0), b - a))
            guard = guard_band(size + abs(weight_m[m]) * price_size, 1.0)
            value = peak + LOG2E * (math.log(f64(sum_of(row, i64(0), b - a))) + guard) + noise
            out[m, j] = f32(gamma_1[j] * value)


@njit(nogil=True, cache=True)
def week_rises(beta_i, log_price_gi, log_base, layered, high, low):
    """Largest and least change of a price term since base prices, by group and category."""
    for g in range(log_price_gi.shape[0]):
        for j in range(layered.size.size):
            most, least = -np.inf, np.inf
            for i in range(layered.start[j], layered.start[j] + layered.size[j]):
                rise = beta_i[i] * (log_price_gi[g, i] - log_base[i])
                most, least = max(most, rise), min(least, rise)
            high[g, j], low[g, j] = f32(most), f32(least)


@njit(nogil=True, cache=True)
def remember(places, begin, customer, category, product, start):
    """``habit.remember`` of some purchases: those of a customer and category from ``begin`` on."""
    held = places.shape[2]
    for b in range(begin.size):
        end = begin[b + 1] if b + 1 < begin.size else product.size
        u, j = customer[b], category[b]
        for h in range(held - 1, -1, -1):  # the newest first
            before = h - (end - begin[b])
            place = places[u, j, before] if before >= 0 else product[end - 1 - h] - start[j]
            places[u, j, h] = place
