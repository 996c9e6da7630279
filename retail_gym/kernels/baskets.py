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

from retail_gym.kernels.categories import (
    FAINT,
    Customer,
    draw_of,
    is_bought,
    one_category,
    sum64,
    sum_row,
    values_of,
)
from retail_gym.kernels.layer_bounds import open_categories
from retail_gym.kernels.layer_passes import choose_exactly, negative_binomial
from retail_gym.kernels.passes import (
    INSIDE,
    choose,
    coefficient,
    element64,
    key_halves,
    poisson,
    row_number,
    sum_of,
    with_value,
)
from retail_gym.kernels.single import prefetch
from retail_gym.rng import Stage
from retail_gym.world.layers import MOST_LINES

__all__ = ["STAGES", "Lines", "Trips", "baskets"]

u32, u64, i64, f32, f64 = np.uint32, np.uint64, np.int64, np.float32, np.float64
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: The at of a trip by number: what their heads are kept under.
STAGES: Final = (
    Stage.NOISE,
    Stage.CATEGORY,
    Stage.PRODUCT,
    Stage.QUANTITY,
    Stage.SOMETHING,
    Stage.FURTHER,
    Stage.FURTHER_PRODUCT,
    Stage.FURTHER_QUANTITY,
    Stage.HABIT,
    Stage.PAIR,
)
_NOISE, _CATEGORY, _PRODUCT, _QUANTITY, _SOMETHING, _FURTHER, _NEXT, _NEXT_QUANTITY, _HABIT, _PAIR = (
    range(len(STAGES))
)  # fmt: skip
_MOST: Final = i64(MOST_LINES)


class Trips(NamedTuple):
    """The trips of a week and what is drawn for each."""

    customer: Ints  # C
    size: Floats  # C: b, 0 without a BasketLayer
    factor: Floats  # C, K
    further: Floats  # C: factor of the mean number of further products


class Lines(NamedTuple):
    """What trips leave behind."""

    lines: Ints  # 4, capacity: customer, category, product, quantity
    rates: Floats  # 2, capacity: rate and draw of quantities that are left open (quantity 0)
    store_value: Floats  # C; empty: not wanted
    error: Floats  # C: bounds on its error


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
    at = Customer(
        single, double, x, g, u, k1, k2, price_i, log_price_i, cap, capped, common, shop, scale,
    )  # fmt: skip
    if out.store_value.size:
        guard = values_of(at, room, counts)
        top, above = -np.inf, 0.0
        for j in range(category_hash.size):
            top, above = with_value(top, above, room.value_j[j])
        out.store_value[c], out.error[c] = top + math.log(above), guard
    some = open_categories(
        single, layered, bounds, u, group, category_hash, c1, c2, size_c, factor_k, room.words,
        room.bounds, room.open_j,
    )  # fmt: skip
    _ask_for(recent, u, room.open_j, some)
    begun, o, wanted = n, i64(0), True
    while wanted:
        instead = o == some
        if not instead:
            j = room.open_j[o]
        elif n == begun and layered.something:
            draw = draw_of(heads, _SOMETHING, u, i64(0))
            j = one_category(at, layered, size_c, factor_k, draw, room, counts)
        else:
            break
        o, wanted = o + 1, not instead
        value, total, guard = sum_row(at, j, room, counts)
        bought = instead
        if not instead:
            bought, total, guard = is_bought(
                at, layered, j, value, total, guard, size_c, factor_k, room, counts
            )
        if bought:
            n = _products(
                at, layered, j, total, guard, trips.further[c], heads, room, recent,
                out.lines, n, counts,
            )  # fmt: skip
    _quantities(at, layered, heads, out, begun, n)
    return n


@njit(inline="always")
def _ask_for(recent, u, open_j, some):
    """Ask for the memory of some categories ahead of time."""
    held = recent.shape[2]
    if held:
        for o in range(some):
            prefetch(recent, (u * recent.shape[1] + open_j[o]) * held)


@njit(**INSIDE)
def _products(
    at, layered, j, total, guard, further, heads, room, recent, lines, n, counts,
):  # fmt: skip
    """Lines of a purchased category; its row is in ``room.row``, or ``room.exact`` (total 0)."""
    single, u, shop = at.single, at.u, at.shop
    a, start = single.start[j], layered.start[j]
    size, known, wanted, begun = single.stop[j] - a, total == 0.0, i64(1), n
    if layered.further_j.size:
        more = negative_binomial(
            draw_of(heads, _FURTHER, u, j), layered.further_j[j] * further, layered.further_size
        )
        wanted = min(1 + more, min(layered.size[j], _MOST))
    remembered, held = i64(0), recent.shape[2]
    while remembered < held and recent[u, j, remembered] >= 0:
        remembered += 1
    for k in range(wanted):
        place = i64(-1)  # among what is offered of the category
        if remembered:
            again = draw_of(heads, _HABIT, u, _MOST * j + k)
            if again < layered.repeat:
                h = min(i64(again / layered.repeat * remembered), remembered - 1)
                past = start + recent[u, j, h]
                place = max(i64(-1), shop.position[past] - a)
                for line in range(begun, n):
                    if lines[2, line] == past:
                        place = i64(-1)
        if place < 0:
            if k == 0:
                draw = draw_of(heads, _PRODUCT, u, j)
            else:
                draw = draw_of(heads, _NEXT, u, _MOST * j + k)
            if not known:
                total = f64(sum_of(room.row, i64(0), size))
                if total == 0.0:  # everything on the shelf is in the basket
                    break
                if total > FAINT:
                    place = choose(room.row[:size], size, total, draw, guard)
                if place < 0:
                    sum64(at, j, room, counts)
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
def _quantities(at, layered, heads, out, begun, n):
    """Quantities of lines begun..n: one element each, in double precision."""
    single, double, u, k1, k2 = at.single, at.double, at.u, at.k1, at.k2
    own = row_number(double.beta_z, u)
    stored = double.heads.size == 0
    for line in range(begun, n):
        i = out.lines[2, line]
        prefetch(double.z, i)
        prefetch(double.beta_i, i)
        prefetch(double.gamma_prod_0, i)
        prefetch(at.log_price_i, i)
        prefetch(at.shop.position, i)
        if stored:
            prefetch(double.beta_x[own], i)
            prefetch(double.beta_z[own], i)
            prefetch(double.gamma_prod_1[own], i)
    k = i64(0)
    for line in range(begun, n):
        j, i = out.lines[1, line], out.lines[2, line]
        k = k + 1 if line > begun and out.lines[1, line - 1] == j else i64(0)
        hashed = single.item_hash[at.shop.position[i]]
        mu = element64(double, u, i, k1, k2, hashed, at.log_price_i[i])
        weight = f64(
            coefficient(double.gamma_prod_1, double.heads, double.tables, i64(2), u, i, hashed)
        )
        rate = math.exp(double.gamma_prod_0[i] + weight * min(mu, at.cap))
        if k == 0:
            draw = draw_of(heads, _QUANTITY, u, j)
        else:
            draw = draw_of(heads, _NEXT_QUANTITY, u, _MOST * j + k)
        out.lines[3, line] = 0
        if layered.quantity_u.size:
            mean = rate * layered.quantity_u[u]
            units = 1 + negative_binomial(draw, mean, layered.quantity_size)
            odd = layered.pairs > 0.0 and units > 1 and units % 2 == 1
            if odd and draw_of(heads, _PAIR, u, _MOST * j + k) < layered.pairs:
                units -= 1
            out.lines[3, line] = units
        elif rate < 30.0:
            out.lines[3, line] = 1 + poisson(draw, rate)
        else:
            out.rates[0, line], out.rates[1, line] = rate, draw
