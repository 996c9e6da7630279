r"""The decisions of a trip, compiled: serial, without the interpreter lock, exact.

What is decided, and from what (S: sum of e = exp(utility - cap) in single precision)::

    category    U < p(CV), CV = cap + log S_j; p is at most sigmoid(g0 + g1 (cap + log n_j)),
                so most categories are settled by their draw alone and never summed
    product     first product at which the running sum exceeds the draw times S_j
    quantity    one element in double precision

Single precision is off by at most ``guard`` (relative, ``guard_band``). A decision that lies
nearer to its threshold than that is taken again in double precision from the same bits, so that
the decisions are those of the reference kernel. Uncapped stores have no bound on a category's
value: there each row is computed in full, with the largest utility of each category taken out.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numba import njit

from retail_gym.kernels.passes import (
    INSIDE,
    as_uniform,
    category64,
    category_words,
    choose,
    coefficient,
    element64,
    exponentials,
    exponentials_above,
    guard_band,
    key_halves,
    logistic,
    poisson,
    row_number,
    stage_head,
    sum_of,
    utilities,
    with_value,
)
from retail_gym.kernels.single import prefetch, words
from retail_gym.rng import Stage

__all__ = ["trip_of", "trips"]

u32, u64, i64, f32, f64 = np.uint32, np.uint64, np.int64, np.float32, np.float64

_LN2: Final = math.log(2.0)
_CATEGORY, _PRODUCT, _QUANTITY, _NOISE = (
    u64(s) for s in (Stage.CATEGORY, Stage.PRODUCT, Stage.QUANTITY, Stage.NOISE)
)
#: Below this a sum of exponentials has lost its digits (e is at least 2**-126).
_FAINT: Final = 1e-26
#: Products of a category whose coefficients are asked for ahead of time: a cache line.
_LINE: Final = 16


@njit(nogil=True, cache=True)
def trips(
    single, double, x, board, category_hash, gamma_0, gamma_1, episodes, weeks, episode_c,
    customer_c, scale, row, drawn, exact, draws, open_j, lines, rates, ends, store_value, error,
    counts,
):  # fmt: skip
    """Decisions of customers in the store.

    Args:
        single: the store in single precision.
        double: the store in double precision.
        x: feature coefficients.
        board: this week's prices in each episode.
        category_hash: hashes of category numbers.
        gamma_0: base utility of categories.
        gamma_1: weight of category values.
        episodes: episode keys, shape (E,).
        weeks: this week of each episode.
        episode_c: which episode each trip belongs to, shape (C,), in order.
        customer_c: whose it is.
        scale: of the guard.
        row: scratch for exponentials, float32 of the largest category, or of a row.
        drawn: scratch for coefficients that are not stored, float32 of two such; else None.
        exact: scratch for the largest category, float64.
        draws: scratch for category draws, uint32 (J,).
        open_j: scratch for category numbers, int64 (J,).
        lines: receives customer, category, product, quantity, int64 (4, capacity).
        rates: receives rate and draw of quantities left to the caller (quantity 0).
        ends: receives the number of lines up to the end of each trip, int64 (C,).
        store_value: receives the store value of each trip; None to leave out what draws settle.
        error: receives a bound on its error (likewise).
        counts: [2] gains the categories summed, [3] the double-precision ones.
    """
    n = i64(0)  # not a literal, for which the compiler would make everything twice
    for c in range(customer_c.size):
        e = episode_c[c]
        n = trip_of(
            single, double, x, board, board.log_price[e], category_hash, gamma_0, gamma_1,
            episodes[e], weeks[e], e, customer_c[c], c, scale, row, drawn, exact, draws, open_j, lines, rates, n,
            store_value, error, counts,
        )  # fmt: skip
        ends[c] = n


@njit(**INSIDE)
def trip_of(
    single, double, x, board, log_price_gi, category_hash, gamma_0, gamma_1, episode, week, e, u, c,
    scale, row, drawn, exact, draws, open_j, lines, rates, n, store_value, error, counts,
):  # fmt: skip
    """Trip c: its lines from number n on; returns the number of lines after it."""
    group = board.group[e, u]
    cap, capped = board.cap[e, group], not math.isinf(board.cap[e, group])
    price_i, log_price_i, g = (
        board.price[e, group], log_price_gi[group], board.noise[e, group],
    )  # fmt: skip
    k1, k2 = key_halves(stage_head(episode, week, _NOISE), u)
    c1, c2 = key_halves(stage_head(episode, week, _CATEGORY), u)
    p1, p2 = key_halves(stage_head(episode, week, _PRODUCT), u)
    common = abs(single.price_weight[u]) * board.size[e, group] + (6.0 * abs(cap) if capped else 0)
    whole, some = f32(0.0), draws.size
    category_words(category_hash, c1, c2, draws)
    if store_value is None:
        some = _open_categories(draws, board.limit[e, group], open_j)
        if drawn is None:
            _ask_for(single, u, open_j, some)
    else:
        n_products = single.item_hash.size
        if capped:
            whole = exponentials(single, u, k1, k2, price_i, x, g, i64(0), n_products, drawn, row)
        else:
            whole = utilities(single, u, k1, k2, price_i, x, g, i64(0), n_products, drawn, row)
    top, above = -np.inf, 0.0  # running log-sum-exp of category values
    begun = n
    for o in range(some):
        j, first, peak = o, i64(0), cap
        if store_value is None:
            j = open_j[o]
        uniform = as_uniform(draws[j])
        a, b = single.start[j], single.stop[j]
        size = whole
        if store_value is None:
            size = exponentials(single, u, k1, k2, price_i, x, g, a, b, drawn, row)
        else:
            first = a
            if not capped:
                peak = f64(exponentials_above(row, first, first + b - a)) * _LN2
        if drawn is None:
            size = single.size_uj[u, j]
        total = f64(sum_of(row, first, first + b - a))
        counts[2] += 1
        guard = guard_band(common + size, scale)
        value = peak + math.log(max(total, _FAINT))
        # A faint sum has lost its digits; its value is then an upper bound.
        faint, known = total < _FAINT, False
        if store_value is None:  # noqa: SIM102 (what is not None is known to the compiler)
            if faint and uniform >= logistic(gamma_0[j] + gamma_1[j] * value):
                continue
        if faint:
            value, total = category64(single, double, u, k1, k2, log_price_i, cap, a, b, exact)
            counts[3] += 1
            guard, known = 0.0, True
        if store_value is not None:
            error[c] = max(error[c], guard)
            top, above = with_value(top, above, value)
        p = logistic(gamma_0[j] + gamma_1[j] * value)
        near = p * (1.0 - p) * abs(gamma_1[j]) * guard * 1.01
        if uniform >= p + near:
            continue
        if uniform >= p - near and not known:
            value, total = category64(single, double, u, k1, k2, log_price_i, cap, a, b, exact)
            counts[3] += 1
            known = True
            p = logistic(gamma_0[j] + gamma_1[j] * value)
        if uniform >= p:
            continue
        # Product: within the category, by inverse distribution function.
        word, _ = words(category_hash[j], p1, p2)
        k = -1
        if not known:
            k = choose(row[first : first + b - a], b - a, total, as_uniform(word), guard)
            if k < 0:
                _, total = category64(single, double, u, k1, k2, log_price_i, cap, a, b, exact)
                counts[3] += 1
        if k < 0:
            k = choose(exact, b - a, total, as_uniform(word), 0.0)
        lines[0, n], lines[1, n], lines[2, n] = u, j, a + k
        n += 1
    if store_value is not None:
        store_value[c] = top + math.log(above)
    q1, q2 = key_halves(stage_head(episode, week, _QUANTITY), u)
    _quantities(
        single, double, u, k1, k2, q1, q2, category_hash, log_price_i, cap, drawn, lines, rates,
        begun, n,
    )  # fmt: skip
    return n


@njit(inline="always")
def _open_categories(draws, limit, open_j):
    """Categories that their draw can still buy."""
    some = 0
    for j in range(draws.size):
        if draws[j] <= limit[j]:
            open_j[some] = j
            some += 1
    return some


@njit(inline="always")
def _ask_for(single, u, open_j, some):
    """Ask for the coefficients of some categories ahead of time."""
    own = row_number(single.base, u)
    base, sigma = single.base[own], single.sigma[own]
    for o in range(some):
        for i in range(single.start[open_j[o]], single.stop[open_j[o]], _LINE):
            prefetch(base, i)
            prefetch(sigma, i)


@njit(inline="always")
def _quantities(
    single, double, u, k1, k2, q1, q2, category_hash, log_price_i, cap, drawn, lines, rates,
    begun, n,
):  # fmt: skip
    """Quantities of lines begun..n: one element each, in double precision."""
    if drawn is None:
        own = row_number(double.beta_x, u)
        beta_x, beta_z, weight_i = double.beta_x[own], double.beta_z[own], double.gamma_prod_1[own]
        for line in range(begun, n):
            prefetch(beta_x, lines[2, line])
            prefetch(beta_z, lines[2, line])
            prefetch(weight_i, lines[2, line])
    for line in range(begun, n):
        j, i = lines[1, line], lines[2, line]
        hashed = single.item_hash[i]
        mu = element64(double, u, i, k1, k2, hashed, log_price_i[i])
        weight = f64(
            coefficient(double.gamma_prod_1, double.heads, double.tables, i64(2), u, i, hashed)
        )
        rate = math.exp(double.gamma_prod_0[i] + weight * min(mu, cap))
        word, _ = words(category_hash[j], q1, q2)
        if rate < 30.0:
            lines[3, line] = 1 + poisson(as_uniform(word), rate)
        else:
            lines[3, line] = 0
            rates[0, line], rates[1, line] = rate, as_uniform(word)
