"""The shelf of a week, compiled: discounts, prices and what is derived from prices.

Each pass is written for one episode; a loop over episodes around it serves the path of single
stages, and :mod:`retail_gym.kernels.episode` puts the passes of one week behind each other.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from numba import njit
from numpy.typing import NDArray

from retail_gym.kernels.passes import INSIDE, as_uniform, key_halves, logistic, stage_head
from retail_gym.kernels.single import FAST, LOG2E, byte_sum, words
from retail_gym.rng import Stage
from retail_gym.world.world import World

__all__ = [
    "BLOCK",
    "Laws",
    "Sample",
    "boards",
    "bounds_of",
    "cap_of",
    "cap_sample",
    "caps",
    "draws_of",
    "shelf_of",
    "shelf_price",
    "shelf_weeks",
    "terms",
]

u32, u64, f32, f64, i64, uintp = np.uint32, np.uint64, np.float32, np.float64, np.int64, np.uintp

BLOCK: Final = 1024  # products: a block stays in the nearest cache
_NOWHERE = np.uint32(1021)  # after the byte sums: no discount
_STATE, _DEPTH = u64(Stage.DISCOUNT_STATE), u64(Stage.DISCOUNT_DEPTH)


class Laws(NamedTuple):
    """What moves the shelf of E episodes and S segments, R ranks in either transition law."""

    on: NDArray[np.bool_]  # E, S: whether anything is promoted
    transition: NDArray[np.float64]  # E, S, 2, R: of entering the discount state, of staying in it
    rank: NDArray[np.uint16]  # E, 2, I: rank of each product in either law
    depth: NDArray[np.float64]  # E, S, 1022: by byte sum, then 0 where not discounted
    log_kept: NDArray[np.float64]  # E, S, 1022: log of 1 - depth
    state: NDArray[np.bool_]  # E, S, I: True where discounted; moved in place


class Sample(NamedTuple):
    """The cap's reference sample, as the passes read it: ordered by product."""

    product: NDArray[np.int32]  # N
    level: NDArray[np.float64]  # N
    slope: NDArray[np.float64]  # N
    low: int  # rank below the percentile, from 0
    weight: float  # of the rank above it
    floor: float  # the value of that rank at base prices; utilities mostly rise from there


@njit(nogil=True, cache=True)
def shelf_weeks(
    hashed, episode_e, week_e, laws, base, log_base, lowest, discount, price, log_price,
):  # fmt: skip
    """The next discount state of every product, its discount and its price.

    Args:
        hashed: item hashes, shape (I,).
        episode_e: episode keys, shape (E,).
        week_e: week of each episode.
        laws: of the discounts.
        base: base prices [$], shape (I,).
        log_base: their logs.
        lowest: floor of prices [$].
        discount: receives the discounts, shape (E, S, I).
        price: receives the prices [$], same shape.
        log_price: receives their logs, same shape.
    """
    chance, where = np.empty(BLOCK, np.float64), np.empty(BLOCK, np.uint32)
    entry, log_lowest = np.empty(BLOCK, np.uint16), math.log(lowest)
    for e in range(episode_e.size):
        for a in range(0, hashed.size, BLOCK):
            b = min(a + BLOCK, hashed.size)
            draws_of(hashed[a:b], episode_e[e], week_e[e], chance, where)
            for s in range(discount.shape[1]):
                shelf_of(
                    e, s, a, b, laws, chance, where, log_base, log_lowest, entry,
                    discount[e, s, a:b], log_price[e, s, a:b],
                )  # fmt: skip
        for s in range(price.shape[1]):
            for i in range(base.size):
                price[e, s, i] = shelf_price(discount[e, s, i], base[i], lowest)


@njit(inline="always")
def shelf_price(discount, base, lowest):
    """Shelf price [$] of one product (:func:`~retail_gym.model.price.price`)."""
    paid = (1.0 - discount) * base
    return paid if paid > lowest else lowest


@njit(inline="always")
def draws_of(hashed, episode, week, chance, where):
    """The draws of a block of products: of the state a uniform, of the depth a byte sum."""
    s1, s2 = key_halves(stage_head(episode, week, _STATE), u64(0))
    d1, d2 = key_halves(stage_head(episode, week, _DEPTH), u64(0))
    for k in range(hashed.size):
        word, _ = words(hashed[k], s1, s2)
        chance[k] = as_uniform(word)
    for k in range(hashed.size):
        word, _ = words(hashed[k], d1, d2)
        where[k] = byte_sum(word)


@njit(inline="always")
def shelf_of(
    e, s, a, b, laws, chance, where, log_base, log_lowest, entry_k, discount_k, log_price_k,
):  # fmt: skip
    """The shelf of episode e and segment s from product a to before b, at most a block.

    Args:
        e: the episode; ``s`` the segment, ``a`` the first product, ``b`` the one after the last.
        s: segment.
        a: first product.
        b: product after the last.
        laws: of the discounts; the states move.
        chance: see :func:`draws_of`.
        where: likewise.
        log_base: logs of base prices, shape (I,).
        log_lowest: log of the price floor.
        entry_k: receives where in the tables of the laws the discount stands, uint16.
        discount_k: receives the discounts.
        log_price_k: receives the logs of prices.

    Source: paper eq. 13-16 (:func:`~retail_gym.model.price.discount_state`,
    :func:`~retail_gym.model.price.discount`, :func:`~retail_gym.model.price.price`).
    """
    n, state = b - a, laws.state[e, s, a:b]
    if not laws.on[e, s]:
        for k in range(n):
            state[k], entry_k[k], discount_k[k] = False, _NOWHERE, 0.0
            log_price_k[k] = log_base[uintp(a + k)]
    else:
        transition, rank = laws.transition[e, s], laws.rank[e, :, a:b]
        depth, log_kept = laws.depth[e, s], laws.log_kept[e, s]
        # Without branches: states are random, and a branch on them guesses wrong.
        for k in range(n):
            before = uintp(state[k])
            state[k] = chance[k] < transition[before, uintp(rank[before, k])]
        for k in range(n):
            entry_k[k] = _NOWHERE + u32(state[k]) * u32(where[k] - _NOWHERE)
        for k in range(n):
            entry = uintp(entry_k[k])
            discount_k[k], log_price_k[k] = depth[entry], log_kept[entry]
        for k in range(n):
            log_price_k[k] += log_base[uintp(a + k)]
    for k in range(n):
        log_price_k[k] = log_price_k[k] if log_price_k[k] > log_lowest else log_lowest


_samples: WeakKeyDictionary[World, Sample] = WeakKeyDictionary()


def cap_sample(world: World) -> Sample:
    """The reference sample of a world with a cap, made once."""
    found = _samples.get(world)
    if found is None:
        given = world.cap_reference
        n, order = given.level.size, np.argsort(given.product, kind="stable")
        place = given.percentile / 100.0 * (n - 1)
        low = min(int(place), n - 2) if n > 1 else 0
        log_price = np.log(np.maximum(world.base_price, world.lowest_price))
        usual = np.sort(given.level + given.slope * log_price[given.product])
        found = _samples[world] = Sample(
            given.product[order].astype(np.int32),
            given.level[order],
            given.slope[order],
            low,
            float(place - low),
            float(usual[low]),
        )
    return found


def caps(world: World, log_price: NDArray[np.float64]) -> NDArray[np.float64]:
    """The cap at log prices (..., I), as ``CapReference.caps``; inf where there is none."""
    out = np.full(log_price.shape[:-1], np.inf)
    if world.cap_reference.percentile < 100.0:
        _caps(cap_sample(world), log_price.reshape(-1, log_price.shape[-1]), out.reshape(-1))
    return out


@njit(nogil=True, cache=True)
def _caps(sample, log_price, out):
    values = np.empty(sample.product.size, np.float64)
    for k in range(out.size):
        out[k] = cap_of(sample, log_price[k], values)


@njit(inline="always")
def cap_of(sample, log_price_i, values):
    """The cap at a price vector: ``CapReference.cap``, digit for digit.

    Only utilities at or above ``sample.floor`` are looked at where there are enough of them:
    those above the percentile are then among them.

    Args:
        sample: the reference sample.
        log_price_i: log prices, shape (I,).
        values: scratch, shape (N,).
    """
    n = sample.product.size
    if n < 2:
        return sample.level[0] + sample.slope[0] * log_price_i[sample.product[0]]
    some, needed = _collect(sample, log_price_i, sample.floor, values), n - sample.low
    if some < needed:
        some = _collect(sample, log_price_i, -np.inf, values)
    k = some - needed + 1
    _select(values, some, k)
    below = values[0]
    for i in range(k):
        below = values[i] if values[i] > below else below
    return below + sample.weight * (values[k] - below)


@njit(inline="always")
def _collect(sample, log_price_i, floor, values):
    some = 0
    for k in range(sample.product.size):
        utility = sample.level[k] + sample.slope[k] * log_price_i[uintp(sample.product[k])]
        if utility >= floor:
            values[some] = utility
            some += 1
    return some


@njit(inline="always")
def _select(values, n, k):
    """Reorder values[:n] so that number k is in its place and none before it is larger."""
    a, b = 0, n - 1
    while a < b:
        pivot, i, j = values[(a + b) // 2], a, b
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if k <= j:
            b = j
        elif k >= i:
            a = i
        else:
            return


@njit(nogil=True, cache=True)
def boards(beta_i, noise, gamma_0, gamma_1, log_size, board):
    """Everything on the boards that follows from their log prices and caps.

    Args:
        beta_i: product factors of price sensitivity, shape (I,).
        noise: noise coefficients, without the cap.
        gamma_0: base utility of categories.
        gamma_1: weight of category values.
        log_size: log of the number of products of each category.
        board: receives price, size, noise and limit.
    """
    for e in range(board.cap.shape[0]):
        for g in range(board.cap.shape[1]):
            board.size[e, g] = terms(beta_i, board.log_price[e, g], board.price[e, g])
        bounds_of(e, noise, gamma_0, gamma_1, log_size, board)


@njit(fastmath=FAST, **INSIDE)
def terms(beta_i, log_price_i, out):
    """Single-precision price terms beta_i log P; returns the largest size among them."""
    largest = f32(0.0)
    for i in range(beta_i.size):
        out[i] = f32(beta_i[i] * log_price_i[i])
    for i in range(beta_i.size):
        largest = max(largest, abs(out[i]))
    return f64(largest)


@njit(inline="always")
def bounds_of(e, noise, gamma_0, gamma_1, log_size, board):
    """What the passes read of the caps of episode e; see :func:`boards`."""
    for g in range(board.cap.shape[1]):
        cap = board.cap[e, g]
        finite = 0.0 if math.isinf(cap) else cap
        board.noise[e, g, 0] = f32(noise[0] - LOG2E * finite)
        for k in range(1, noise.size):
            board.noise[e, g, k] = f32(noise[k])
        for j in range(log_size.size):
            utility = gamma_0[j] + gamma_1[j] * (finite + log_size[j])
            bound = logistic(utility) + 1e-9
            bound = bound if bound < 1.0 else 1.0
            board.limit[e, g, j] = u32(i64(math.ceil(bound * (2.0**32 - 1))))
