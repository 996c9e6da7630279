"""Compiled passes over one customer's products: addresses, exponentials, sums, double precision.

Nothing is decided here; :mod:`retail_gym.kernels.decisions` does that. All functions release the
interpreter lock and depend on their arguments alone. Numba's cache does not notice when a function
called from another file changes: after an edit here, ``make clean-cache``.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numba import njit

from retail_gym import rng
from retail_gym.kernels.single import FAST, byte_sum, element, exp2, vector_sum, words

__all__ = [
    "as_uniform",
    "category64",
    "category_sums",
    "category_words",
    "choose",
    "element64",
    "exponentials",
    "exponentials_above",
    "guard_band",
    "key_halves",
    "poisson",
    "promotion_week",
    "stage_head",
    "sum_of",
    "utilities",
]

u32, u64, f32, f64, uintp = np.uint32, np.uint64, np.float32, np.float64, np.uintp

_GOLDEN, _WEEK = u64(rng.GOLDEN), u64(rng.WEEK)
_NOISE: Final = u64(rng.Stage.NOISE)


@njit(inline="always")
def _mix64(z: Any) -> Any:
    z = u64(z)
    z = u64(u64(z ^ u64(z >> u64(30))) * u64(0xBF58476D1CE4E5B9))
    z = u64(u64(z ^ u64(z >> u64(27))) * u64(0x94D049BB133111EB))
    return u64(z ^ u64(z >> u64(31)))


@njit(inline="always")
def stage_head(episode: Any, week: Any, stage: Any) -> Any:
    """What the keys of all customers in one stage and week share."""
    z = _mix64(u64(u64(episode) + _GOLDEN))
    z = _mix64(u64(z ^ u64(u64(stage) * _GOLDEN)))
    return _mix64(u64(z + u64(u64(week) * _WEEK)))


@njit(inline="always")
def key_halves(head: Any, customer: Any) -> Any:
    """The key halves of one customer (``rng.stream_key``)."""
    z = _mix64(u64(u64(head) + u64(u64(customer) * _GOLDEN)))
    return u32(z & u64(0xFFFFFFFF)), u32(u32(z >> u64(32)) | u32(1))


@njit(inline="always")
def as_uniform(word: Any) -> Any:
    """Uniform in (0, 1) of a word (``rng.uniform``)."""
    return (f64(word) + 0.5) * 2.0**-32


@njit(fastmath=FAST, nogil=True, cache=True)
def exponentials(single, u, k1, k2, price_i, x, g_row, a, b, out):
    """exp(utility - cap) of products a..b of customer u, into out[0:b-a]."""
    base, sigma, w = single.base[u], single.sigma[u], single.price_weight[u]
    g = _registers(g_row)
    for k in range(b - a):
        i = uintp(a + k)  # unsigned: an index that might be negative keeps loops from vectors
        mu = element(single.item_hash[i], k1, k2, base[i], sigma[i], f32(w * price_i[i]), x, g)
        out[k] = exp2(min(mu, f32(0.0)))


@njit(fastmath=FAST, nogil=True, cache=True)
def utilities(single, u, k1, k2, price_i, x, g_row, a, b, out):
    """Utilities in log2 units of products a..b of customer u, into out[0:b-a]."""
    base, sigma, w = single.base[u], single.sigma[u], single.price_weight[u]
    g = _registers(g_row)
    for k in range(b - a):
        i = uintp(a + k)
        price = f32(w * price_i[i])
        out[k] = element(single.item_hash[i], k1, k2, base[i], sigma[i], price, x, g)


@njit(inline="always")
def _registers(g):
    """The noise coefficients as a tuple: from an array they would be loaded for every product."""
    return (g[0], g[1], g[2], g[3], g[4], g[5], g[6], g[7], g[8])


@njit(nogil=True, cache=True)
def sum_of(values, a, b):
    """Sum of values[a:b], single precision, in a fixed order."""
    middle = a + ((b - a) // 16) * 16
    total = vector_sum(values, a, middle)
    for k in range(middle, b):
        total = f32(total + values[k])
    return total


@njit(fastmath=FAST, nogil=True, cache=True)
def exponentials_above(values, a, b):
    """Replace log2 utilities by exponentials relative to their largest, which is returned."""
    some = values[a:b]
    peak = some[0]
    for k in range(some.size):
        peak = max(peak, some[k])
    for k in range(some.size):
        some[k] = exp2(f32(some[k] - peak))
    return peak


@njit(nogil=True, cache=True)
def guard_band(size, scale):
    """Bound on the relative error of a single-precision sum of exponentials.

    ``size`` bounds the parts of a utility (log2 units). Each part carries a few roundings of
    2^-24; 7e-7 is twelve of them. 1e-5 covers exp2 and the additions of a row.
    """
    return scale * (1e-5 + 7e-7 * size)


@njit(nogil=True, cache=True)
def element64(double, u, i, k1, k2, hashed, log_price):
    """Utility in double precision, in the oracle's order of operations."""
    word, second = words(hashed, k1, k2)
    feature = double.feature[uintp(byte_sum(word))]
    if double.mean.size > 0:
        feature = f64(double.mean[u, i]) + f64(double.scale[u, i]) * feature
    mu = f64(double.beta_x[u, i]) * feature
    mu += f64(double.beta_z[u, i]) * double.z[i]
    mu += (double.weight_u[u] * double.beta_i[i]) * log_price
    return mu + double.noise[uintp(byte_sum(second))]


@njit(nogil=True, cache=True)
def category64(single, double, u, k1, k2, log_price_i, cap, a, b, out):
    """Exponentials of a category in double precision, into out; its value CV and their sum."""
    peak = -np.inf
    for i in range(a, b):
        mu = element64(double, u, i, k1, k2, single.item_hash[i], log_price_i[i])
        out[i - a] = min(mu, cap)
        peak = max(peak, out[i - a])
    total = 0.0
    for k in range(b - a):
        out[k] = math.exp(out[k] - peak)
        total += out[k]
    return peak + math.log(total), total


@njit(nogil=True, cache=True)
def choose(values, n, total, uniform, guard):
    """First position at which the running sum exceeds the draw; -1 if the guard is too near.

    ``total`` is the sum of the values; the guard is relative to it.
    """
    target, near = uniform * total, guard * total
    running = 0.0
    for k in range(n):
        running += values[k]
        if running > target - near:
            # Within the guard of the threshold here, or one step before?
            if near > 0.0 and running < target + near:
                return -1
            if running > target:
                return k
    return n - 1 if near == 0.0 else -1


@njit(nogil=True, cache=True)
def poisson(uniform, rate):
    """``rng.poisson_quantile`` for a rate below 30."""
    term = math.exp(-rate)
    total = term
    n = 0
    while n < 200 and total < uniform:
        n += 1
        term = term * rate / n
        total += term
    return n


@njit(nogil=True, cache=True)
def category_words(hashed, k1, k2, out):
    """The words of every category for one customer and stage."""
    for j in range(hashed.size):
        out[j], _ = words(hashed[j], k1, k2)


@njit(nogil=True, cache=True)
def promotion_week(hashed, state_key, depth_key, a01_i, a11_i, depth, state_i, discount_i):
    """Eq. 13-15 for every product: the next discount state, and the discount in it.

    Args:
        hashed: item hashes, shape (I,).
        state_key: key halves of the week's state draws.
        depth_key: key halves of the week's depth draws.
        a01_i: probability of entering the discount state, shape (I,).
        a11_i: probability of staying in it, shape (I,).
        depth: depth by byte sum, shape (1021,).
        state_i: True where discounted; updated in place.
        discount_i: receives the discounts.
    """
    # Whole passes without branches: states are random, and a branch on them guesses wrong.
    draw = np.empty(hashed.size, np.uint32)
    for i in range(hashed.size):
        draw[i], _ = words(hashed[i], state_key[0], state_key[1])
    for i in range(hashed.size):
        enter, stay = a01_i[i], a11_i[i]
        state_i[i] = as_uniform(draw[i]) < (stay if state_i[i] else enter)
    for i in range(hashed.size):
        word, _ = words(hashed[i], depth_key[0], depth_key[1])
        draw[i] = byte_sum(word)
    for i in range(hashed.size):
        discount_i[i] = depth[uintp(draw[i])] * state_i[i]


@njit(nogil=True, cache=True)
def category_sums(single, x, g, price_i, episode, week, customers, out):
    """Sums of exp(utility - cap) of every category: the full pass that ``make bench`` times."""
    n_products = single.item_hash.size
    row = np.empty(n_products, np.float32)
    head = stage_head(episode, week, _NOISE)
    for c in range(customers.size):
        k1, k2 = key_halves(head, customers[c])
        exponentials(single, customers[c], k1, k2, price_i, x, g, 0, n_products, row)
        for j in range(single.start.size):
            out[c, j] = sum_of(row, single.start[j], single.stop[j])
