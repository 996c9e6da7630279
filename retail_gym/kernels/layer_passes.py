"""Compiled pieces of a trip in a store with layers: draws, rows of what is offered, memory.

Nothing is decided here; :mod:`retail_gym.kernels.baskets` does that.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from retail_gym.counts import MOST
from retail_gym.kernels.passes import (
    INSIDE,
    element64,
    exponentials,
    exponentials_above,
    utilities,
)
from retail_gym.kernels.single import prefetch

__all__ = [
    "choose_exactly",
    "item_hash",
    "negative_binomial",
    "remember",
    "row_of",
    "utilities64",
]

u32, u64, i64, f32, f64, uintp, i32 = (
    np.uint32, np.uint64, np.int64, np.float32, np.float64, np.uintp, np.int32,
)  # fmt: skip
Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]

#: Rows that are asked for ahead of time.
_AHEAD: Final = 8
_LOWEST: Final = np.float32(-1e30)  # utility of what is not on the shelf


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


@njit(nogil=True, cache=True)
def remember(places, begin, customer, category, product, start, old):
    """``habit.remember`` of some purchases, in place.

    Args:
        places: of everybody, shape (U, J, H).
        begin: line with which the purchases of a customer in a category begin, shape (N,).
        customer: of each line.
        category: of each line.
        product: of each line, in the order of choice.
        start: first product of each category.
        old: receives the rows as they were, shape (N, H).
    """
    held, n = places.shape[2], begin.size
    for b in range(n):
        if b + _AHEAD < n:
            line = begin[b + _AHEAD]
            prefetch(places, (customer[line] * places.shape[1] + category[line]) * held)
        end = begin[b + 1] if b + 1 < n else product.size
        row, j, new = (
            places[customer[begin[b]], category[begin[b]]],
            category[begin[b]],
            end - begin[b],
        )
        for h in range(held):
            old[b, h] = row[h]
        for h in range(held):  # the newest first
            row[h] = old[b, h - new] if h >= new else product[end - 1 - h] - start[j]
