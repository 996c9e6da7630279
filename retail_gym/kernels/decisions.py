r"""The decisions of a week, compiled: serial, without the interpreter lock, exact.

What is decided, and from what (S: sum of e = exp(utility - cap) in single precision)::

    visit       V < sigmoid(m + gamma_1 SV)  <=>  SV > (logit V - m) / gamma_1 = s*
                last week's row is summed block by block and left as soon as the partial sum
                exceeds exp(s*), or can no longer reach it
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
    poisson,
    stage_head,
    sum_of,
    utilities,
)
from retail_gym.kernels.single import prefetch, words
from retail_gym.rng import Stage, item_hash

__all__ = ["OPEN", "YES", "trips", "visits"]

u32, u64, i64, f32, f64 = np.uint32, np.uint64, np.int64, np.float32, np.float64

#: Outcome of a visit decision: 0 no, 1 yes, 2 to be taken again in double precision.
YES: Final = 1
OPEN: Final = 2

_BLOCK: Final = 512  # products between two looks at a partial sum
_LN2: Final = math.log(2.0)
_VISIT, _CATEGORY, _PRODUCT, _QUANTITY, _NOISE = (
    u64(s) for s in (Stage.VISIT, Stage.CATEGORY, Stage.PRODUCT, Stage.QUANTITY, Stage.NOISE)
)
_FIRST_ITEM: Final = u32(item_hash(1)[0])
#: Below this a sum of exponentials has lost its digits (e is at least 2**-126).
_FAINT: Final = 1e-26
#: Products of a category whose coefficients are asked for ahead of time: a cache line.
_LINE: Final = 16


@njit(inline="always")
def _logistic(x):
    return 1.0 / (1.0 + math.exp(-x))


@njit(nogil=True, cache=True)
def visits(
    single, x, board, episodes, weeks, utility_eu, gamma_1, visited_eu, scale, first, last, out,
    counts,
):  # fmt: skip
    """Visits of a store without inertia, from last week's prices and noise.

    Args:
        single: the store.
        x: feature coefficients.
        board: last week's prices in each episode, with finite caps.
        episodes: episode keys, shape (E,).
        weeks: this week (> 1) of each episode.
        utility_eu: store utility without memory, gamma_0 + gamma_2 X.
        gamma_1: weight of the store value, >= 0.
        visited_eu: visits of last week.
        scale: of the guard.
        first: customers from here ...
        last: ... to before here.
        out: receives 0, 1 or OPEN, int8 (E, U).
        counts: [0] gains the products evaluated, [1] the rows begun.
    """
    n_products = single.item_hash.size
    block, drawn = np.empty(_BLOCK, np.float32), np.empty((2, _BLOCK), np.float32)
    for e in range(episodes.size):
        head_visit = stage_head(episodes[e], weeks[e], _VISIT)
        head_noise = stage_head(episodes[e], weeks[e] - 1, _NOISE)
        for u in range(first, last):
            k1, k2 = key_halves(head_visit, u)
            word, _ = words(_FIRST_ITEM, k1, k2)
            uniform = as_uniform(word)
            m = utility_eu[e, u]
            if not visited_eu[e, u] or gamma_1 == 0.0:
                out[e, u] = 1 if uniform < _logistic(m) else 0
                continue
            group = board.group[e, u]
            cap = board.cap[e, group]
            # SV - cap must exceed this; it is at most the log of the number of products.
            needed = (math.log(uniform / (1.0 - uniform)) - m) / gamma_1 - cap
            if needed > math.log(n_products) + 1e-6:
                out[e, u] = 0
                continue
            threshold = math.exp(needed)
            w = single.price_weight[u]
            size = abs(w) * board.size[e, group] + 6.0 * abs(cap)
            own = single.size_u[u] if single.heads.size == 0 else f32(0.0)
            price_i, g = board.price[e, group], board.noise[e, group]
            k1, k2 = key_halves(head_noise, u)
            total, done, answer = 0.0, i64(0), OPEN
            counts[1] += 1
            while done < n_products:
                end = min(done + _BLOCK, n_products)
                met = exponentials(single, u, k1, k2, price_i, x, g, done, end, drawn, block)
                total += sum_of(block, 0, end - done)
                done, own = end, max(own, met)
                guard = guard_band(size + own, scale)
                # exp2 never falls below 2**-126: so much of a sum may be nothing.
                if total > threshold * (1.0 + guard) + n_products * 2.0**-125:
                    answer = 1
                    break
                if total + (n_products - done) < threshold * (1.0 - guard):
                    answer = 0
                    break
            out[e, u] = answer
            counts[0] += done


@njit(nogil=True, cache=True)
def trips(
    single, double, x, board, category_hash, gamma_0, gamma_1, episodes, weeks, episode_c,
    customer_c, lazy, scale, lines, rates, ends, store_value, error, counts,
):  # fmt: skip
    """Decisions of customers in the store.

    Args:
        single: the store in single precision; ``double`` in double.
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
        lazy: leave out what the draws settle; then no store value is known.
        scale: of the guard.
        lines: receives customer, category, product, quantity, int64 (4, capacity).
        rates: receives rate and draw of quantities left to the caller (quantity 0).
        ends: receives the number of lines up to the end of each trip, int64 (C,).
        store_value: receives the store value of each trip (not if lazy).
        error: receives a bound on its error (likewise).
        counts: [2] gains the categories summed, [3] the double-precision ones.
    """
    n_products, n_categories = single.item_hash.size, single.start.size
    largest = 0
    for j in range(n_categories):
        largest = max(largest, single.stop[j] - single.start[j])
    long = largest if lazy else n_products
    row, drawn = np.empty(long, np.float32), np.empty((2, long), np.float32)
    exact, draws = np.empty(largest, np.float64), np.empty(n_categories, np.uint32)
    open_j = np.empty(n_categories, np.int64)
    n = i64(0)  # not a literal, for which the compiler would make everything twice
    for c in range(customer_c.size):
        n = _trip(
            single, double, x, board, category_hash, gamma_0, gamma_1, episodes, weeks,
            episode_c[c], customer_c[c], c, lazy, scale, lines, rates, n, store_value, error,
            counts, row, drawn, exact, draws, open_j,
        )  # fmt: skip
        ends[c] = n


@njit(**INSIDE)
def _trip(
    single, double, x, board, category_hash, gamma_0, gamma_1, episodes, weeks, e, u, c, lazy,
    scale, lines, rates, n, store_value, error, counts, row, drawn, exact, draws, open_j,
):  # fmt: skip
    """One trip: its lines from number n on; returns the number of lines after it."""
    episode, week, group = episodes[e], weeks[e], board.group[e, u]
    cap, capped = board.cap[e, group], not math.isinf(board.cap[e, group])
    price_i, log_price_i, g = (
        board.price[e, group], board.log_price[e, group], board.noise[e, group],
    )  # fmt: skip
    k1, k2 = key_halves(stage_head(episode, week, _NOISE), u)
    c1, c2 = key_halves(stage_head(episode, week, _CATEGORY), u)
    p1, p2 = key_halves(stage_head(episode, week, _PRODUCT), u)
    common = abs(single.price_weight[u]) * board.size[e, group] + (6.0 * abs(cap) if capped else 0)
    stored, whole = single.heads.size == 0, f32(0.0)
    category_words(category_hash, c1, c2, draws)
    some = 0
    if lazy:
        some = _open_categories(single, u, draws, board.limit[e, group], stored, open_j)
    else:
        some = draws.size
        n_products = single.item_hash.size
        if capped:
            whole = exponentials(single, u, k1, k2, price_i, x, g, i64(0), n_products, drawn, row)
        else:
            whole = utilities(single, u, k1, k2, price_i, x, g, i64(0), n_products, drawn, row)
    top, above = -np.inf, 0.0  # running log-sum-exp of category values
    begun = n
    for o in range(some):
        j = open_j[o] if lazy else o
        uniform = as_uniform(draws[j])
        a, b = single.start[j], single.stop[j]
        first = 0 if lazy else a
        size = whole
        if lazy:
            size = exponentials(single, u, k1, k2, price_i, x, g, a, b, drawn, row)
        if stored:
            size = single.size_uj[u, j]
        peak = cap
        if not capped:
            peak = f64(exponentials_above(row, first, first + b - a)) * _LN2
        total = f64(sum_of(row, first, first + b - a))
        counts[2] += 1
        guard = guard_band(common + size, scale)
        value = peak + math.log(max(total, _FAINT))
        # A faint sum has lost its digits; its value is then an upper bound.
        faint, known = total < _FAINT, False
        if faint and lazy and uniform >= _logistic(gamma_0[j] + gamma_1[j] * value):
            continue
        if faint:
            value, total = category64(single, double, u, k1, k2, log_price_i, cap, a, b, exact)
            counts[3] += 1
            guard, known = 0.0, True
        if not lazy:
            error[c] = max(error[c], guard)
            if value > top:
                above = above * math.exp(top - value) + 1.0
                top = value
            else:
                above += math.exp(value - top)
        p = _logistic(gamma_0[j] + gamma_1[j] * value)
        near = p * (1.0 - p) * abs(gamma_1[j]) * guard * 1.01
        if uniform >= p + near:
            continue
        if uniform >= p - near and not known:
            value, total = category64(single, double, u, k1, k2, log_price_i, cap, a, b, exact)
            counts[3] += 1
            known = True
            p = _logistic(gamma_0[j] + gamma_1[j] * value)
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
    if not lazy:
        store_value[c] = top + math.log(above)
    q1, q2 = key_halves(stage_head(episode, week, _QUANTITY), u)
    _quantities(
        single, double, u, k1, k2, q1, q2, category_hash, log_price_i, cap, stored, lines, rates,
        begun, n,
    )  # fmt: skip
    return n


@njit(**INSIDE)
def _open_categories(single, u, draws, limit, stored, open_j):
    """Categories that their draw can still buy; asks for their coefficients ahead of time."""
    some = 0
    for j in range(draws.size):
        if draws[j] <= limit[j]:
            open_j[some] = j
            some += 1
    if stored:
        base, sigma = single.base[u], single.sigma[u]
        for o in range(some):
            for i in range(single.start[open_j[o]], single.stop[open_j[o]], _LINE):
                prefetch(base, i)
                prefetch(sigma, i)
    return some


@njit(**INSIDE)
def _quantities(
    single, double, u, k1, k2, q1, q2, category_hash, log_price_i, cap, stored, lines, rates,
    begun, n,
):  # fmt: skip
    """Quantities of lines begun..n: one element each, in double precision."""
    if stored:
        beta_x, beta_z, weight_i = double.beta_x[u], double.beta_z[u], double.gamma_prod_1[u]
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
