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
from retail_gym.kernels.packed import LARGEST_FEATURE
from retail_gym.kernels.single import (
    FAST,
    LOG2E,
    byte_sum,
    element,
    exp2,
    lognormal,
    normal,
    vector_sum,
    words,
)

__all__ = [
    "INSIDE",
    "as_uniform",
    "category64",
    "category_sums",
    "category_words",
    "choose",
    "coefficient",
    "draw",
    "element64",
    "exponentials",
    "exponentials_above",
    "guard_band",
    "key_halves",
    "logistic",
    "poisson",
    "row_number",
    "stage_head",
    "sum_of",
    "utilities",
    "with_value",
]

u32, u64, i64, f32, f64, uintp = (
    np.uint32, np.uint64, np.int64, np.float32, np.float64, np.uintp,
)  # fmt: skip

_GOLDEN, _WEEK = u64(rng.GOLDEN), u64(rng.WEEK)
_NOISE: Final = u64(rng.Stage.NOISE)
_LOG2E, _FEATURE = f32(LOG2E), f32(LARGEST_FEATURE)


#: Inlined by LLVM, and without reference counts: views of arrays that somebody else keeps alive
#: need none, and counting (atomically, twice a view) took five times as long as the arithmetic.
#: Not kept on disk: what calls them is, with them in it. What is called in one place alone has
#: ``inline="always"`` instead, which compiles sooner.
INSIDE: Final = {"nogil": True, "forceinline": True, "_nrt": False}


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


@njit(inline="always")
def logistic(x: Any) -> Any:
    """1 / (1 + exp(-x))."""
    return 1.0 / (1.0 + math.exp(-x))


@njit(inline="always")
def with_value(top: Any, above: Any, value: Any) -> Any:
    """One value more in a running log-sum-exp, which is ``top + log(above)``."""
    if value > top:
        return value, above * math.exp(top - value) + 1.0
    return top, above + math.exp(value - top)


@njit(inline="always")
def row_number(values: Any, u: Any) -> Any:
    """The row of a customer; that of everybody where there is one."""
    return min(u, values.shape[0] - 1)


@njit(fastmath=FAST, nogil=True, cache=True)
def draw(single, u, a, b, out):
    """Base and sigma of products a..b of customer u, drawn again into out[0] and out[1].

    Returns:
        A bound on the parts of their utilities (log2 units) that have to do with them, three
        times as large as it is: the exponential of a drawn coefficient is off by up to three
        times the roundings that ``guard_band`` counts.
    """
    x1, x2 = key_halves(single.heads[0], u)
    z1, z2 = key_halves(single.heads[1], u)
    mean_x, spread_x, mean_z, spread_z = (
        single.laws[0, 0], single.laws[0, 1], single.laws[1, 0], single.laws[1, 1],
    )  # fmt: skip
    base, sigma, n = out[0], out[1], single.normal
    for k in range(b - a):
        i = uintp(a + k)
        hashed = single.item_hash[i]
        sigma[k] = f32(_LOG2E * lognormal(hashed, x1, x2, n, mean_x, spread_x))
        base[k] = f32(f32(_LOG2E * lognormal(hashed, z1, z2, n, mean_z, spread_z)) * single.z[i])
    size = f32(0.0)
    if single.persistent:
        m1, m2 = key_halves(single.heads[3], u)
        s1, s2 = key_halves(single.heads[4], u)
        for k in range(b - a):
            hashed = single.item_hash[uintp(a + k)]
            spread = sigma[k]
            lasting = f32(spread * normal(hashed, m1, m2, n))
            sigma[k] = f32(spread * abs(normal(hashed, s1, s2, n)))
            # Of the parts: their errors stay where the parts themselves cancel, and a normal
            # near 0 is no more exact than any other.
            size = max(size, abs(base[k]) + abs(lasting) + _FEATURE * sigma[k] + f32(2.0) * spread)
            base[k] = f32(base[k] + lasting)
    else:
        for k in range(b - a):
            size = max(size, f32(abs(base[k]) + f32(_FEATURE * sigma[k])))
    return f32(3.0) * f32(size + single.noise_size)


@njit(fastmath=FAST, nogil=True, cache=True)
def _exponentials(hashed, base, sigma, first, w, k1, k2, price_i, x, g_row, a, b, out):
    g = _registers(g_row)
    for k in range(b - a):
        # Unsigned: an index that might be negative keeps loops from vectors.
        i, c = uintp(a + k), uintp(first + k)
        mu = element(hashed[i], k1, k2, base[c], sigma[c], f32(w * price_i[i]), x, g)
        out[k] = exp2(min(mu, f32(0.0)))


@njit(**INSIDE)
def exponentials(single, u, k1, k2, price_i, x, g_row, a, b, drawn, out):
    """exp(utility - cap) of products a..b of customer u, into out[0:b-a].

    Args:
        single: the store.
        u: the customer.
        k1: low key half of the customer's noise.
        k2: high key half.
        price_i: price terms, shape (I,).
        x: feature coefficients.
        g_row: noise coefficients, the cap taken out.
        a: first product.
        b: product after the last.
        drawn: scratch for coefficients that are not stored, shape (2, b - a or more); else None
            (which leaves the drawing out of what is compiled).
        out: receives the exponentials.

    Returns:
        What :func:`draw` does; 0 where coefficients are stored.
    """
    hashed, w = single.item_hash, single.price_weight[u]
    if drawn is None:
        own = row_number(single.base, u)
        base, sigma = single.base[own], single.sigma[own]
        _exponentials(hashed, base, sigma, a, w, k1, k2, price_i, x, g_row, a, b, out)
        return f32(0.0)
    size = draw(single, u, a, b, drawn)
    _exponentials(hashed, drawn[0], drawn[1], i64(0), w, k1, k2, price_i, x, g_row, a, b, out)
    return size


@njit(fastmath=FAST, nogil=True, cache=True)
def _utilities(hashed, base, sigma, first, w, k1, k2, price_i, x, g_row, a, b, out):
    g = _registers(g_row)
    for k in range(b - a):
        i, c = uintp(a + k), uintp(first + k)
        out[k] = element(hashed[i], k1, k2, base[c], sigma[c], f32(w * price_i[i]), x, g)


@njit(**INSIDE)
def utilities(single, u, k1, k2, price_i, x, g_row, a, b, drawn, out):
    """Utilities in log2 units of products a..b of customer u; see :func:`exponentials`."""
    hashed, w = single.item_hash, single.price_weight[u]
    if drawn is None:
        own = row_number(single.base, u)
        base, sigma = single.base[own], single.sigma[own]
        _utilities(hashed, base, sigma, a, w, k1, k2, price_i, x, g_row, a, b, out)
        return f32(0.0)
    size = draw(single, u, a, b, drawn)
    _utilities(hashed, drawn[0], drawn[1], i64(0), w, k1, k2, price_i, x, g_row, a, b, out)
    return size


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


@njit(**INSIDE)
def coefficient(values, heads, tables, symbol, u, i, hashed):
    """A coefficient of ``SYMBOLS`` in the single precision that defines it, stored or drawn."""
    if heads.size == 0:
        return values[row_number(values, u), i]
    k1, k2 = key_halves(heads[symbol], u)
    word, _ = words(hashed, k1, k2)
    return tables[symbol, uintp(byte_sum(word))]


@njit(**INSIDE)
def element64(double, u, i, k1, k2, hashed, log_price):
    """Utility in double precision, in the oracle's order of operations."""
    word, second = words(hashed, k1, k2)
    feature = double.feature[uintp(byte_sum(word))]
    heads, tables = double.heads, double.tables
    if double.persistent:
        mean = coefficient(double.mean, heads, tables, i64(3), u, i, hashed)
        scale = coefficient(double.scale, heads, tables, i64(4), u, i, hashed)
        feature = f64(mean) + f64(scale) * feature
    mu = f64(coefficient(double.beta_x, heads, tables, i64(0), u, i, hashed)) * feature
    mu += f64(coefficient(double.beta_z, heads, tables, i64(1), u, i, hashed)) * double.z[i]
    mu += (double.weight_u[u] * double.beta_i[i]) * log_price
    return mu + double.noise[uintp(byte_sum(second))]


@njit(nogil=True, cache=True, _nrt=False)
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


@njit(nogil=True, cache=True, _nrt=False)
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
def category_sums(single, x, g, price_i, episode, week, customers, drawn, out):
    """Sums of exp(utility - cap) of every category: the full pass that ``make bench`` times."""
    n_products = single.item_hash.size
    row = np.empty(n_products, np.float32)
    head = stage_head(episode, week, _NOISE)
    for c in range(customers.size):
        u = customers[c]
        k1, k2 = key_halves(head, u)
        exponentials(single, u, k1, k2, price_i, x, g, i64(0), n_products, drawn, row)
        for j in range(single.start.size):
            out[c, j] = sum_of(row, single.start[j], single.stop[j])
