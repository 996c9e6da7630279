r"""Who comes to the store, compiled: serial, without the interpreter lock, exact.

Of a store without inertia, from last week's prices and noise (S: sum of exp(utility - cap))::

    V < sigmoid(m + gamma_1 SV)   <=>   SV = cap + log S > (logit V - m) / gamma_1 = s*

    row of last week   |===block===|===block===|== ... left as soon as the partial sum exceeds
                                                   exp(s* - cap), or can no longer reach it

What single precision cannot tell, by the guard of :mod:`retail_gym.kernels.decisions`, is summed
again in double precision.
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
    exponentials,
    guard_band,
    key_halves,
    logistic,
    stage_head,
    sum_of,
    with_value,
)
from retail_gym.kernels.single import words
from retail_gym.rng import Stage, item_hash

__all__ = ["BLOCK", "visits", "visits_of"]

u32, u64, i64, f32, uintp = np.uint32, np.uint64, np.int64, np.float32, np.uintp

BLOCK: Final = 512  # products between two looks at a partial sum
_VISIT, _NOISE = u64(Stage.VISIT), u64(Stage.NOISE)
_FIRST_ITEM: Final = u32(item_hash(1)[0])


@njit(nogil=True, cache=True)
def visits(
    single, double, x, board, episode_e, week_e, gamma_0, gamma_1, gamma_2, marketing_eu,
    visited_eu, scale, first, last, block, drawn, exact, out, counts,
):  # fmt: skip
    """Visits of a store without inertia, from last week's prices and noise.

    Args:
        single: the store in single precision.
        double: the store in double precision.
        x: feature coefficients.
        board: last week's prices in each episode, with finite caps.
        episode_e: episode keys, shape (E,).
        week_e: this week (> 1) of each episode.
        gamma_0: base utility of a visit.
        gamma_1: weight of the store value, >= 0.
        gamma_2: weight of the marketing feature.
        marketing_eu: this week's marketing feature.
        visited_eu: visits of last week.
        scale: of the guard.
        first: customers from here ...
        last: ... to before here.
        block: scratch for exponentials, float32 of a block.
        drawn: scratch for coefficients that are not stored, float32 of two blocks; else None.
        exact: scratch for the largest category, float64.
        out: receives the visits, bool (E, U).
        counts: [0] gains the products evaluated, [1] the rows begun, [4] those in double precision.
    """
    for e in range(episode_e.size):
        visits_of(
            single, double, x, board, e, episode_e[e], week_e[e], gamma_0, gamma_1, gamma_2,
            marketing_eu[e], visited_eu[e], scale, first, last, block, drawn, exact,
            board.log_price[e], None, out[e], counts,
        )  # fmt: skip


@njit(**INSIDE)
def visits_of(
    single, double, x, board, e, episode, week, gamma_0, gamma_1, gamma_2, marketing_u, visited_u,
    scale, first, last, block, drawn, exact, log_price_gi, log_row, out_u, counts,
):  # fmt: skip
    """Visits of one episode, whose last week is in row e of the board; see :func:`visits`.

    Of a ``Board`` the log prices are given, and ``log_row`` is None; of a ``Stand`` they are None,
    and ``log_row`` is memory to work them out in.
    """
    n_products = single.item_hash.size
    head_visit = stage_head(episode, week, _VISIT)
    head_noise = stage_head(episode, week - 1, _NOISE)
    for u in range(first, last):
        k1, k2 = key_halves(head_visit, u)
        word, _ = words(_FIRST_ITEM, k1, k2)
        uniform = as_uniform(word)
        m = gamma_0 + gamma_2 * marketing_u[u]
        if not visited_u[u] or gamma_1 == 0.0:
            out_u[u] = uniform < logistic(m)
            continue
        group = board.group[e, u]
        cap = board.cap[e, group]
        # SV - cap must exceed this; it is at most the log of the number of products.
        needed = (math.log(uniform / (1.0 - uniform)) - m) / gamma_1 - cap
        if needed > math.log(n_products) + 1e-6:
            out_u[u] = False
            continue
        threshold = math.exp(needed)
        size = abs(single.price_weight[u]) * board.size[e, group] + 6.0 * abs(cap)
        own = f32(0.0)
        if drawn is None:
            own = single.size_u[u]
        price_i, g = board.price[e, group], board.noise[e, group]
        k1, k2 = key_halves(head_noise, u)
        total, done, settled = 0.0, i64(0), False
        counts[1] += 1
        while done < n_products and not settled:
            end = min(done + BLOCK, n_products)
            met = exponentials(single, u, k1, k2, price_i, x, g, done, end, drawn, block)
            total += sum_of(block, 0, end - done)
            done, own = end, max(own, met)
            guard = guard_band(size + own, scale)
            # exp2 never falls below 2**-126: so much of a sum may be nothing.
            out_u[u] = total > threshold * (1.0 + guard) + n_products * 2.0**-125
            settled = out_u[u] or total + (n_products - done) < threshold * (1.0 - guard)
        counts[0] += done
        if not settled:
            top, above = -np.inf, 0.0
            if log_price_gi is not None:
                log_price_i = log_price_gi[group]
            if log_row is not None:
                log_price_i = log_row
                for i in range(n_products):
                    kept = board.log_kept[e, group, uintp(board.entry[e, group, i])]
                    log_price_i[i] = max(board.log_base[i] + kept, board.log_lowest)
            for j in range(single.start.size):
                value, _ = category64(
                    single, double, u, k1, k2, log_price_i, cap, single.start[j], single.stop[j],
                    exact,
                )  # fmt: skip
                top, above = with_value(top, above, value)
            out_u[u] = uniform < logistic(m + gamma_1 * (top + math.log(above)))
            counts[4] += 1
