r"""Bounds on the categories of a trip in a store with layers, compiled.

A category can be bought
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
from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from retail_gym.kernels.passes import (
    category_words,
    exponentials_above,
    guard_band,
    row_number,
    sum_of,
    utilities,
)
from retail_gym.kernels.single import FAST, LOG2E, exp2

__all__ = ["NEVER", "Bounds", "Layered", "open_categories", "value_bounds", "week_rises"]

u32, i64, f32, f64, i32, uintp = (
    np.uint32, np.int64, np.float32, np.float64, np.int32, np.uintp,
)  # fmt: skip
Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]

#: Where there is no bound (log2 units).
NEVER: Final = 1e6
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
    pairs: float  # 0: quantities as drawn
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


@njit(fastmath=FAST, nogil=True, cache=True)
def _largest(base, sigma, first, weight, price_i, a, b, feature, out):
    """Utilities of products a..b without noise, at their largest features (log2 units)."""
    for k in range(b - a):
        i, c = uintp(a + k), uintp(first + k)
        constant = f32(base[c] + f32(feature * abs(sigma[c])))
        out[k] = f32(constant + f32(weight * price_i[i]))


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
            weight = f32(weight_m[m])
            if drawn is None:
                own = row_number(single.base, m)
                size = single.size_uj[row_number(single.size_uj, m), j]
                _largest(
                    single.base[own], single.sigma[own], a, weight, price_i, a, b, feature, row
                )
            else:
                size = utilities(single, m, u32(0), u32(1), price_i, x, g, a, b, drawn, row)
                _largest(drawn[0], drawn[1], i64(0), weight, price_i, a, b, feature, row)
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
