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
    as_uniform,
    category64,
    category_words,
    choose,
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

u32, u64, f64 = np.uint32, np.uint64, np.float64

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


@njit(inline="always")
def _logistic(x):
    return 1.0 / (1.0 + math.exp(-x))


@njit(nogil=True, cache=True)
def visits(
    single, x, g_g, price_gi, cap_g, group_u, price_size_g, size_u, episode, week, utility_u,
    gamma_1, visited_before, scale, out, counts,
):  # fmt: skip
    """Visits of a store without inertia, from last week's prices and noise.

    Args:
        single: the store.
        x: feature coefficients.
        g_g: noise coefficients of last week's groups, the cap taken out.
        price_gi: last week's price terms, float32 (G, I).
        cap_g: last week's caps (finite).
        group_u: last week's groups.
        price_size_g: largest absolute price term of each group.
        size_u: largest size of each customer's other terms.
        episode: episode key.
        week: this week (> 1).
        utility_u: store utility without memory, gamma_0 + gamma_2 X.
        gamma_1: weight of the store value, >= 0.
        visited_before: visits of last week.
        scale: of the guard.
        out: receives 0, 1 or OPEN per customer.
        counts: [0] gains the products evaluated, [1] the rows begun.
    """
    n_products = single.item_hash.size
    block = np.empty(_BLOCK, np.float32)
    head_visit, head_noise = (
        stage_head(episode, week, _VISIT),
        stage_head(episode, week - 1, _NOISE),
    )
    for u in range(out.size):
        k1, k2 = key_halves(head_visit, u)
        word, _ = words(_FIRST_ITEM, k1, k2)
        uniform = as_uniform(word)
        m = utility_u[u]
        if not visited_before[u] or gamma_1 == 0.0:
            out[u] = 1 if uniform < _logistic(m) else 0
            continue
        group = group_u[u]
        # SV - cap must exceed this; it is at most the log of the number of products.
        needed = (math.log(uniform / (1.0 - uniform)) - m) / gamma_1 - cap_g[group]
        if needed > math.log(n_products) + 1e-6:
            out[u] = 0
            continue
        threshold = math.exp(needed)
        size = size_u[u] + abs(single.price_weight[u]) * price_size_g[group]
        guard = guard_band(size + 6.0 * abs(cap_g[group]), scale)
        # exp2 never falls below 2**-126: so much of a sum may be nothing.
        high = threshold * (1.0 + guard) + n_products * 2.0**-125
        low = threshold * (1.0 - guard)
        k1, k2 = key_halves(head_noise, u)
        total, done, answer = 0.0, 0, OPEN
        counts[1] += 1
        while done < n_products:
            end = min(done + _BLOCK, n_products)
            exponentials(single, u, k1, k2, price_gi[group], x, g_g[group], done, end, block)
            total += sum_of(block, 0, end - done)
            done = end
            if total > high:
                answer = 1
                break
            if total + (n_products - done) < low:
                answer = 0
                break
        out[u] = answer
        counts[0] += done


@njit(nogil=True, cache=True)
def trips(
    single, double, x, g_g, price_gi, log_price_gi, cap_g, group_u, price_size_g, limit_gj,
    category_hash, gamma_0, gamma_1, episode, week, customers, lazy, scale, lines, rates,
    store_value, counts,
):  # fmt: skip
    """Decisions of customers in the store.

    Args:
        single: the store in single precision; ``double`` in double.
        double: the store in double precision.
        x: feature coefficients.
        g_g: noise coefficients per price group, the cap (if any) taken out.
        price_gi: price terms, float32 (G, I).
        log_price_gi: log prices (G, I).
        cap_g: caps, inf for none.
        group_u: group of each customer.
        price_size_g: largest absolute price term of each group.
        limit_gj: category draws (words) above this settle the category, uint32 (G, J).
        category_hash: hashes of category numbers.
        gamma_0: base utility of categories.
        gamma_1: weight of category values.
        episode: episode key.
        week: this week.
        customers: who is in the store, in order.
        lazy: leave out what the draws settle; then no store value is known.
        scale: of the guard.
        lines: receives customer, category, product, quantity, int64 (4, capacity).
        rates: receives rate and draw of quantities left to the caller (quantity 0).
        store_value: receives the store value per customer given (not if lazy).
        counts: [2] gains the categories summed, [3] the double-precision ones.

    Returns:
        The number of lines, and per customer given the error bound of its store value.
    """
    n_products, n_categories = single.item_hash.size, single.start.size
    largest = 0
    for j in range(n_categories):
        largest = max(largest, single.stop[j] - single.start[j])
    row = np.empty(largest if lazy else n_products, np.float32)
    exact, draws = np.empty(largest, np.float64), np.empty(n_categories, np.uint32)
    open_categories = np.empty(n_categories, np.int64)
    error = np.zeros(customers.size)
    head_category, head_product = (
        stage_head(episode, week, _CATEGORY),
        stage_head(episode, week, _PRODUCT),
    )
    head_quantity, head_noise = (
        stage_head(episode, week, _QUANTITY),
        stage_head(episode, week, _NOISE),
    )
    n = 0
    for c in range(customers.size):
        u = customers[c]
        group = group_u[u]
        cap, capped = cap_g[group], not math.isinf(cap_g[group])
        price_i, log_price_i, g, limit = (
            price_gi[group], log_price_gi[group], g_g[group], limit_gj[group],
        )  # fmt: skip
        k1, k2 = key_halves(head_noise, u)
        c1, c2 = key_halves(head_category, u)
        category_words(category_hash, c1, c2, draws)
        if not lazy:
            if capped:
                exponentials(single, u, k1, k2, price_i, x, g, 0, n_products, row)
            else:
                utilities(single, u, k1, k2, price_i, x, g, 0, n_products, row)
        top, above = -np.inf, 0.0  # running log-sum-exp of category values
        some = 0
        for j in range(n_categories):
            if not lazy or draws[j] <= limit[j]:
                open_categories[some] = j
                some += 1
        if lazy:
            base, sigma = single.base[u], single.sigma[u]
            for o in range(some):
                for i in range(
                    single.start[open_categories[o]], single.stop[open_categories[o]], 16
                ):
                    prefetch(base, i)
                    prefetch(sigma, i)
        begun = n
        for o in range(some):
            j = open_categories[o]
            uniform = as_uniform(draws[j])
            a, b = single.start[j], single.stop[j]
            size = single.size_uj[u, j] + abs(single.price_weight[u]) * price_size_g[group]
            first = 0 if lazy else a
            if lazy:
                exponentials(single, u, k1, k2, price_i, x, g, a, b, row)
            if capped:
                peak = cap
                size += 6.0 * abs(cap)
            else:
                peak = f64(exponentials_above(row, first, first + b - a)) * _LN2
            total = f64(sum_of(row, first, first + b - a))
            counts[2] += 1
            guard = guard_band(size, scale)
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
            p1, p2 = key_halves(head_product, u)
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
        # Quantities: one element each, in double precision.
        beta_x, beta_z, weight = double.beta_x[u], double.beta_z[u], double.gamma_prod_1[u]
        for line in range(begun, n):
            prefetch(beta_x, lines[2, line])
            prefetch(beta_z, lines[2, line])
            prefetch(weight, lines[2, line])
        for line in range(begun, n):
            j, i = lines[1, line], lines[2, line]
            mu = element64(double, u, i, k1, k2, single.item_hash[i], log_price_i[i])
            rate = math.exp(double.gamma_prod_0[i] + f64(weight[i]) * min(mu, cap))
            q1, q2 = key_halves(head_quantity, u)
            word, _ = words(category_hash[j], q1, q2)
            if rate < 30.0:
                lines[3, line] = 1 + poisson(as_uniform(word), rate)
            else:
                lines[3, line] = 0
                rates[0, line], rates[1, line] = rate, as_uniform(word)
        if not lazy:
            store_value[c] = top + math.log(above)
    return n, error
