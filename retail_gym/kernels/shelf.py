"""The shelf of a week, compiled: discounts, prices and what is derived from prices.

One call for several episodes, because every return from compiled code is a wait for the
interpreter where threads share it.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from retail_gym.kernels.passes import INSIDE, as_uniform
from retail_gym.kernels.single import FAST, byte_sum, words

__all__ = ["cap_utilities", "price_terms", "shelf_weeks"]

f32, f64, uintp = np.float32, np.float64, np.uintp

_BLOCK = 1024  # products: a block stays in the nearest cache
_NOWHERE = np.uint32(1021)  # after the byte sums: no discount


@njit(nogil=True, cache=True)
def shelf_weeks(
    hashed, key_e, on_es, transition, rank, depth, log_kept, base, log_base, lowest, state,
    discount, price, log_price,
):  # fmt: skip
    """The next discount state of every product, its discount and its price.

    Args:
        hashed: item hashes, shape (I,).
        key_e: key halves of the week's state draws, then of its depth draws, uint32 (E, 4).
        on_es: whether anything is promoted in a segment, shape (E, S).
        transition: probability of entering the discount state, then of staying in it, by rank,
            shape (E, S, 2, R).
        rank: rank of each product in either law, shape (E, 2, I).
        depth: depth by byte sum, then 0 for products that are not discounted, shape
            (E, S, 1022).
        log_kept: log of 1 - depth, same shape.
        base: base prices [$], shape (I,).
        log_base: their logs.
        lowest: floor of prices [$].
        state: True where discounted, shape (E, S, I); updated in place.
        discount: receives the discounts, shape (E, S, I).
        price: receives the prices [$], same shape.
        log_price: receives their logs, same shape.

    Source: paper eq. 13-16 (:func:`~retail_gym.model.price.discount_state`,
    :func:`~retail_gym.model.price.discount`, :func:`~retail_gym.model.price.price`).
    """
    n, log_lowest = hashed.size, math.log(lowest)
    chance, where = np.empty(_BLOCK, np.float64), np.empty(_BLOCK, np.uint32)
    entry_i = np.empty(_BLOCK, np.uint32)
    for e in range(key_e.shape[0]):
        s1, s2, d1, d2 = key_e[e, 0], key_e[e, 1], key_e[e, 2], key_e[e, 3]
        for start in range(0, n, _BLOCK):
            stop = min(start + _BLOCK, n)
            # In passes without branches: states are random, and a branch on them guesses wrong.
            for k in range(stop - start):
                word, _ = words(hashed[uintp(start + k)], s1, s2)
                chance[k] = as_uniform(word)
            for k in range(stop - start):
                word, _ = words(hashed[uintp(start + k)], d1, d2)
                where[k] = byte_sum(word)
            for s in range(on_es.shape[1]):
                _block(
                    chance, where, entry_i, on_es[e, s], transition[e, s, 0],
                    transition[e, s, 1], rank[e, 0, start:stop], rank[e, 1, start:stop],
                    depth[e, s], log_kept[e, s], base[start:stop], log_base[start:stop],
                    lowest, log_lowest, state[e, s, start:stop], discount[e, s, start:stop],
                    price[e, s, start:stop], log_price[e, s, start:stop],
                )  # fmt: skip


@njit(**INSIDE)
def _block(
    chance, where, entry_i, on, enter, stay, enter_rank, stay_rank, depth, log_kept, base,
    log_base, lowest, log_lowest, state_i, discount_i, price_i, log_price_i,
):  # fmt: skip
    n = state_i.size
    if not on:
        for k in range(n):
            state_i[k], discount_i[k] = False, 0.0
            price_i[k] = max(base[k], lowest)
            log_price_i[k] = max(log_base[k], log_lowest)
        return
    for k in range(n):
        held, from_here = stay[uintp(stay_rank[k])], enter[uintp(enter_rank[k])]
        state_i[k] = chance[k] < (held if state_i[k] else from_here)
    for k in range(n):
        entry_i[k] = where[k] if state_i[k] else _NOWHERE
    for k in range(n):
        entry = entry_i[k]
        discount_i[k], log_price_i[k] = depth[uintp(entry)], log_kept[uintp(entry)]
    for k in range(n):
        paid = (1.0 - discount_i[k]) * base[k]
        price_i[k] = paid if paid > lowest else lowest
        log_paid = log_base[k] + log_price_i[k]
        log_price_i[k] = log_paid if log_paid > log_lowest else log_lowest


@njit(fastmath=FAST, nogil=True, cache=True)
def price_terms(beta_i, log_price, out, size):
    """Single-precision price terms beta_i log P, shape (E, G, I), and the largest size of each row.

    Args:
        beta_i: product factors of price sensitivity, shape (I,).
        log_price: log prices, shape (E, G, I).
        out: receives the terms, float32.
        size: receives the largest absolute term of each row, shape (E, G).
    """
    for e in range(out.shape[0]):
        for g in range(out.shape[1]):
            row, log_row, largest = out[e, g], log_price[e, g], f32(0.0)
            for i in range(beta_i.size):
                row[i] = f32(beta_i[i] * log_row[i])
            for i in range(beta_i.size):
                largest = max(largest, abs(row[i]))
            size[e, g] = largest


@njit(nogil=True, cache=True)
def cap_utilities(product, level, slope, log_price, out):
    """Utilities of the cap's reference sample at some price vectors.

    Args:
        product: product of each pair, shape (N,).
        level: everything but price, shape (N,).
        slope: price sensitivity, shape (N,).
        log_price: log prices, shape (E, S, I).
        out: receives the utilities, shape (E, S, N).

    Source: :meth:`retail_gym.world.reference.CapReference.caps`.
    """
    for e in range(out.shape[0]):
        for s in range(out.shape[1]):
            for n in range(product.size):
                out[e, s, n] = level[n] + slope[n] * log_price[e, s, product[n]]
