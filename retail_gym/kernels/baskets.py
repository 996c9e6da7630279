r"""The decisions of a trip in a store with layers, compiled: serial, without the interpreter lock.

What :mod:`retail_gym.kernels.decisions` is for the paper's trip, with the same guard: what single
precision cannot tell is taken again in double precision, so that the decisions are those of
:mod:`retail_gym.kernels.layered`.

    category    draws against bounds (layer_passes); what stays open is summed and decided
    something   a trip without a purchase: the odds of every category
    product     again from memory, or by the running sum of what is left on the shelf
    quantity    one element in double precision, Poisson or negative binomial
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from retail_gym.kernels.layer_passes import (
    choose_exactly,
    item_hash,
    negative_binomial,
    open_categories,
    row_of,
    utilities64,
)
from retail_gym.kernels.passes import (
    INSIDE,
    as_uniform,
    choose,
    coefficient,
    element64,
    guard_band,
    key_halves,
    logistic,
    poisson,
    row_number,
    sum_of,
    with_value,
)
from retail_gym.kernels.single import words
from retail_gym.rng import Stage
from retail_gym.world.layers import MOST_LINES

__all__ = ["STAGES", "Lines", "Room", "Shop", "Trips", "baskets"]

u32, u64, i64, f32, f64 = np.uint32, np.uint64, np.int64, np.float32, np.float64
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_LN2: Final = math.log(2.0)
#: The stages of a trip by number: what their heads are kept under.
STAGES: Final = (
    Stage.NOISE, Stage.CATEGORY, Stage.PRODUCT, Stage.QUANTITY, Stage.SOMETHING, Stage.FURTHER,
    Stage.FURTHER_PRODUCT, Stage.FURTHER_QUANTITY, Stage.HABIT,
)  # fmt: skip
_NOISE, _CATEGORY, _PRODUCT, _QUANTITY, _SOMETHING, _FURTHER, _NEXT, _NEXT_QUANTITY, _HABIT = range(
    len(STAGES)
)
#: Below this a sum of exponentials has lost its digits (e is at least 2**-126).
_FAINT: Final = 1e-26
_MOST: Final = i64(MOST_LINES)


class Trips(NamedTuple):
    """The trips of a week and what is drawn for each."""

    customer: Ints  # C
    size: Floats  # C: b, 0 without a BasketLayer
    factor: Floats  # C, K
    further: Floats  # C: factor of the mean number of further products


class Shop(NamedTuple):
    """The shelf of a week: the products that are offered, or all of them and which are."""

    product: Ints  # I': product numbers
    position: Ints  # I: where among them a product is; -1: not offered
    price: NDArray[np.float32]  # G, I': price terms
    offered: NDArray[np.bool_]  # I' = I: whether each product is; empty: all of I' are


class Lines(NamedTuple):
    """What trips leave behind."""

    lines: Ints  # 4, capacity: customer, category, product, quantity
    rates: Floats  # 2, capacity: rate and draw of quantities that are left open (quantity 0)
    store_value: Floats  # C; empty: not wanted
    error: Floats  # C: bounds on its error


class Room(NamedTuple):
    """Memory of one thread."""

    row: NDArray[np.float32]  # products of the largest category
    drawn: NDArray[np.float32] | None  # 2, the same; None where coefficients are stored
    exact: Floats  # products of the largest category
    words: NDArray[np.uint32]  # J
    bounds: NDArray[np.float32]  # J
    open_j: Ints  # J
    value_j: Floats  # J


@njit(inline="always")
def _draw(heads, stage, u, item):
    """Uniform draw of an item, from the stage's head of the week."""
    k1, k2 = key_halves(heads[stage], u)
    word, _ = words(item_hash(item), k1, k2)
    return as_uniform(word)


@njit(nogil=True, cache=True, _nrt=False)
def baskets(
    single, double, x, board, layered, bounds, shop, category_hash, heads, trips, first, last,
    scale, room, recent, out, counts,
):  # fmt: skip
    """Decisions of the trips ``first`` to before ``last`` of one episode.

    Args:
        single: the store in single precision, of the products of ``shop``.
        double: the store in double precision.
        x: feature coefficients.
        board: this week's prices, of one episode.
        layered: the layers.
        bounds: of this week's prices.
        shop: this week's shelf.
        category_hash: hashes of category numbers.
        heads: what the keys of each of ``STAGES`` share this week (``rng.stream_head``), uint64.
        trips: all of the week.
        first: trips from here ...
        last: ... to before here.
        scale: of the guard.
        room: scratch.
        recent: places in the category of past purchases, int16 (U, J, H); H is 0 without a
            HabitLayer.
        out: receives the lines from number 0 on.
        counts: [2] gains the categories summed, [3] the double-precision ones.

    Returns:
        The trips done (fewer than asked for where there might be no room for the lines of the
        next) and the number of lines.
    """
    most = i64(0)
    for j in range(category_hash.size):
        most += min(layered.size[j], _MOST) if layered.further_j.size else 1
    n = i64(0)
    for c in range(first, last):
        if n + most > out.lines.shape[1]:
            return c, n
        n = _trip(
            single, double, x, board, layered, bounds, shop, category_hash, heads, trips, c, scale,
            room, recent, out, n, counts,
        )  # fmt: skip
    return last, n


@njit(**INSIDE)
def _trip(
    single, double, x, board, layered, bounds, shop, category_hash, heads, trips, c, scale, room,
    recent, out, n, counts,
):  # fmt: skip
    """Trip c: its lines from number n on; returns the number of lines after it."""
    u, size_c, factor_k = trips.customer[c], trips.size[c], trips.factor[c]
    group = board.group[0, u]
    cap, capped = board.cap[0, group], not math.isinf(board.cap[0, group])
    price_i, log_price_i = shop.price[group], board.log_price[0, group]
    g = board.noise[0, group]
    k1, k2 = key_halves(heads[_NOISE], u)
    c1, c2 = key_halves(heads[_CATEGORY], u)
    common = abs(single.price_weight[u]) * board.size[0, group]
    common += 6.0 * abs(cap) if capped else 0.0
    stages = (
        single, double, x, g, u, k1, k2, price_i, log_price_i, cap, capped, common, shop, scale,
    )  # fmt: skip
    if out.store_value.size:
        guard = _values(stages, room, counts)
        top, above = -np.inf, 0.0
        for j in range(category_hash.size):
            top, above = with_value(top, above, room.value_j[j])
        out.store_value[c], out.error[c] = top + math.log(above), guard
    some = open_categories(
        single, layered, bounds, u, group, category_hash, c1, c2, size_c, factor_k, room.words,
        room.bounds, room.open_j,
    )  # fmt: skip
    begun, o, wanted = n, i64(0), True
    while wanted:
        instead = o == some
        if not instead:
            j = room.open_j[o]
        elif n == begun and layered.something:
            draw = _draw(heads, _SOMETHING, u, i64(0))
            j = _one_category(stages, layered, size_c, factor_k, draw, room, counts)
        else:
            break
        o, wanted = o + 1, not instead
        value, total, guard = _sum(stages, j, room, counts)
        bought = instead
        if not instead:
            bought, total, guard = _bought(
                stages, layered, j, value, total, guard, size_c, factor_k, room, counts
            )
        if bought:
            n = _products(
                stages, layered, j, total, guard, trips.further[c], heads, room, recent,
                out.lines, n, counts,
            )  # fmt: skip
    _quantities(stages, layered, heads, out, begun, n)
    return n


@njit(**INSIDE)
def _sum(stages, j, room, counts):
    """Value of a category, the sum of its row and the guard; sum 0: only exact is known."""
    (
        single, double, x, g, u, k1, k2, price_i, log_price_i, cap, capped, common, shop, scale,
    ) = stages  # fmt: skip
    a, b = single.start[j], single.stop[j]
    peak, size = row_of(
        single, u, k1, k2, price_i, x, g, a, b, room.drawn, capped, shop.offered, room.row
    )
    if room.drawn is None:
        size = single.size_uj[u, j]
    total = f64(sum_of(room.row, i64(0), b - a))
    counts[2] += 1
    if total < _FAINT:
        return _sum64(stages, j, room, counts), 0.0, 0.0
    peak64 = cap if capped else f64(peak) * _LN2
    return peak64 + math.log(total), total, guard_band(common + size, scale)


@njit(nogil=True, cache=True, _nrt=False)
def _sum64(stages, j, room, counts):
    """Value of a category in double precision; its utilities are then in ``room.exact``."""
    (
        single, double, x, g, u, k1, k2, price_i, log_price_i, cap, capped, common, shop, scale,
    ) = stages  # fmt: skip
    counts[3] += 1
    a, b = single.start[j], single.stop[j]
    return utilities64(
        single, double, u, k1, k2, log_price_i, cap, a, b, shop.offered, shop.product, room.exact
    )


@njit(nogil=True, cache=True, _nrt=False)
def _values(stages, room, counts):
    """Values of all categories, into ``room.value_j``; returns a bound on their error."""
    most = 0.0
    for j in range(room.value_j.size):
        room.value_j[j], _, guard = _sum(stages, j, room, counts)
        most = max(most, guard)
    return most


@njit(**INSIDE)
def _logit(layered, u, j, value, size, factor_k):
    """Log-odds of a category, in the oracle's order of operations."""
    effect = 0.0
    for k in range(factor_k.size):
        effect += factor_k[k] * layered.loading[j, k]
    own = row_number(layered.household, u)
    effect = f64(layered.household[own, j]) + (size + (effect - layered.half[j]))
    return layered.gamma_0[j] + effect + layered.gamma_1[j] * value


@njit(**INSIDE)
def _bought(stages, layered, j, value, total, guard, size, factor_k, room, counts):
    """Whether an open category is bought, the sum of its row and the guard (0, 0: exact)."""
    u = stages[4]
    uniform = as_uniform(room.words[j])
    p = logistic(_logit(layered, u, j, value, size, factor_k))
    near = p * (1.0 - p) * abs(layered.gamma_1[j]) * guard * 1.01
    if guard > 0.0 and p - near <= uniform < p + near:
        value, total, guard = _sum64(stages, j, room, counts), 0.0, 0.0
        p = logistic(_logit(layered, u, j, value, size, factor_k))
    return uniform < p, total, guard


@njit(nogil=True, cache=True, _nrt=False)
def _one_category(stages, layered, size, factor_k, uniform, room, counts):
    """The category of a trip that would buy nothing (``basket_effects.one_category``)."""
    u, odds, n = stages[4], room.value_j, room.value_j.size
    guard, steepest, total = _values(stages, room, counts), 0.0, 0.0
    for j in range(n):
        odds[j] = math.exp(_logit(layered, u, j, odds[j], size, factor_k))
        total += odds[j]
        steepest = max(steepest, abs(layered.gamma_1[j]))
    # Odds are off by gamma_1 times the guard, and by the roundings of p / (1 - p).
    near = 2.0 * math.expm1(steepest * guard * 1.01) + 1e-9
    j = choose(odds, n, total, uniform, near)
    if j >= 0:
        return j
    total = 0.0
    for j in range(n):
        value = _sum64(stages, j, room, counts)
        p = logistic(_logit(layered, u, j, value, size, factor_k))
        odds[j] = p / max(1.0 - p, 1e-300)
        total += odds[j]
    return choose(odds, n, total, uniform, 0.0)


@njit(**INSIDE)
def _products(
    stages, layered, j, total, guard, further, heads, room, recent, lines, n, counts,
):  # fmt: skip
    """Lines of a purchased category; its row is in ``room.row``, or ``room.exact`` (total 0)."""
    single, u, shop = stages[0], stages[4], stages[12]
    a, start = single.start[j], layered.start[j]
    size, known, wanted, begun = single.stop[j] - a, total == 0.0, i64(1), n
    if layered.further_j.size:
        more = negative_binomial(
            _draw(heads, _FURTHER, u, j), layered.further_j[j] * further, layered.further_size
        )
        wanted = min(1 + more, min(layered.size[j], _MOST))
    remembered, held = i64(0), recent.shape[2]
    while remembered < held and recent[u, j, remembered] >= 0:
        remembered += 1
    for k in range(wanted):
        place = i64(-1)  # among what is offered of the category
        if remembered:
            again = _draw(heads, _HABIT, u, _MOST * j + k)
            if again < layered.repeat:
                h = min(i64(again / layered.repeat * remembered), remembered - 1)
                past = start + recent[u, j, h]
                place = max(i64(-1), shop.position[past] - a)
                for line in range(begun, n):
                    if lines[2, line] == past:
                        place = i64(-1)
        if place < 0:
            if k == 0:
                draw = _draw(heads, _PRODUCT, u, j)
            else:
                draw = _draw(heads, _NEXT, u, _MOST * j + k)
            if not known:
                total = f64(sum_of(room.row, i64(0), size))
                if total == 0.0:  # everything on the shelf is in the basket
                    break
                if total > _FAINT:
                    place = choose(room.row[:size], size, total, draw, guard)
                if place < 0:
                    _sum64(stages, j, room, counts)
                    for line in range(begun, n):
                        room.exact[shop.position[lines[2, line]] - a] = -np.inf
                    known = True
            if known:
                place = choose_exactly(room.exact, size, draw)
                if place < 0:
                    break
        lines[0, n], lines[1, n], lines[2, n] = u, j, shop.product[a + place]
        n += 1
        room.row[place], room.exact[place] = f32(0.0), -np.inf
    return n


@njit(**INSIDE)
def _quantities(stages, layered, heads, out, begun, n):
    """Quantities of lines begun..n: one element each, in double precision."""
    single, double, u, k1, k2, log_price_i, cap, shop = (
        stages[0], stages[1], stages[4], stages[5], stages[6], stages[8], stages[9], stages[12],
    )  # fmt: skip
    k = i64(0)
    for line in range(begun, n):
        j, i = out.lines[1, line], out.lines[2, line]
        k = k + 1 if line > begun and out.lines[1, line - 1] == j else i64(0)
        hashed = single.item_hash[shop.position[i]]
        mu = element64(double, u, i, k1, k2, hashed, log_price_i[i])
        weight = f64(
            coefficient(double.gamma_prod_1, double.heads, double.tables, i64(2), u, i, hashed)
        )
        rate = math.exp(double.gamma_prod_0[i] + weight * min(mu, cap))
        if k == 0:
            draw = _draw(heads, _QUANTITY, u, j)
        else:
            draw = _draw(heads, _NEXT_QUANTITY, u, _MOST * j + k)
        out.lines[3, line] = 0
        if layered.quantity_u.size:
            mean = rate * layered.quantity_u[u]
            out.lines[3, line] = 1 + negative_binomial(draw, mean, layered.quantity_size)
        elif rate < 30.0:
            out.lines[3, line] = 1 + poisson(draw, rate)
        else:
            out.rates[0, line], out.rates[1, line] = rate, draw
