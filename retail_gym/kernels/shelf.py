"""The discounts of a week, compiled: eq. 13-15 for every product of several episodes."""

from __future__ import annotations

import numpy as np
from numba import njit

from retail_gym.kernels.passes import as_uniform
from retail_gym.kernels.single import byte_sum, words

__all__ = ["promotion_weeks"]

uintp = np.uintp


@njit(nogil=True, cache=True)
def promotion_weeks(hashed, key_e, on_es, transition, rank, depth, state, discount):
    """The next discount state of every product, and its discount in it.

    Args:
        hashed: item hashes, shape (I,).
        key_e: key halves of the week's state draws, then of its depth draws, uint32 (E, 4).
        on_es: whether anything is promoted in a segment, shape (E, S).
        transition: probability of entering the discount state, then of staying in it, by rank,
            shape (E, S, 2, R).
        rank: rank of each product in either law, shape (E, 2, I).
        depth: depth by byte sum, shape (E, S, 1021).
        state: True where discounted, shape (E, S, I); updated in place.
        discount: receives the discounts, shape (E, S, I).

    Source: paper eq. 13-15 (:func:`retail_gym.model.price.discount_state` and
    :func:`~retail_gym.model.price.discount`).
    """
    n = hashed.size
    # Whole passes without branches: states are random, and a branch on them guesses wrong.
    chance, where = np.empty(n, np.float64), np.empty(n, np.uint32)
    for e in range(key_e.shape[0]):
        for i in range(n):
            word, _ = words(hashed[i], key_e[e, 0], key_e[e, 1])
            chance[i] = as_uniform(word)
        for i in range(n):
            word, _ = words(hashed[i], key_e[e, 2], key_e[e, 3])
            where[i] = byte_sum(word)
        enter_i, stay_i = rank[e, 0], rank[e, 1]
        for s in range(on_es.shape[1]):
            state_i, discount_i = state[e, s], discount[e, s]
            if not on_es[e, s]:
                state_i[:] = False
                discount_i[:] = 0.0
                continue
            enter, stay, by_sum = transition[e, s, 0], transition[e, s, 1], depth[e, s]
            for i in range(n):
                held, from_here = stay[uintp(stay_i[i])], enter[uintp(enter_i[i])]
                state_i[i] = chance[i] < (held if state_i[i] else from_here)
            for i in range(n):
                discount_i[i] = by_sum[uintp(where[i])] * state_i[i]
