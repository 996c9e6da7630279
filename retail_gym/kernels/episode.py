"""A week of promotions in several episodes, in one compiled call: from the shelf to the figures.

What happens in an episode, in this order, while its arrays stay in the nearest caches::

    laws --> discounts, prices --> cap --> price terms, limits      shelf.shelf_of, cap_of, terms
                   |                             |
                   v                             v
             mean discount --> marketing --> visits --> trips        visits.visits_of, decisions.trip_of
                                                          |
                                              lines, prices paid --> figures

Episodes are taken by number from a counter that the threads in this function share, so that a
thread which wakes late does less and none waits for another. An episode is a function of its own
row alone: who works on it makes no difference.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from retail_gym.kernels.decisions import trip_of
from retail_gym.kernels.shelf import (
    BLOCK,
    Sample,
    bounds_of,
    cap_of,
    draws_of,
    shelf_of,
    shelf_price,
    terms,
)
from retail_gym.kernels.visits import visits_of

__all__ = ["Result", "Scratch", "Store", "run_episodes"]

i64, uintp = np.int64, np.uintp

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Store(NamedTuple):
    """What a week reads of a store besides ``Single`` and ``Double``."""

    item_hash: NDArray[np.uint32]  # I
    base_price: Floats  # I [$]
    log_base_price: Floats  # I
    beta_i: Floats  # I
    category_hash: NDArray[np.uint32]  # J
    gamma_cate_0: Floats  # J
    gamma_cate_1: Floats  # J
    log_size: Floats  # J: log of the number of products
    feature: tuple[np.float32, ...]  # 5: odd coefficients
    noise: Floats  # 9: coefficients, without the cap
    lowest_price: float  # [$]
    log_lowest: float
    gamma_0: float  # of a visit
    gamma_1: float
    gamma_2: float
    marketing_scale: float
    cost_share: float  # of a unit, in its base price
    retention_weeks: int
    sample: Sample  # of the cap


class Result(NamedTuple):
    """What a week of E episodes leaves behind; the lines of an episode begin its row."""

    mean_discount: Floats  # E, S
    marketing: Floats  # E, U: marketing feature
    visited: NDArray[np.bool_]  # E, U
    last_purchase: Ints  # E, U: in: before the week; out: after it
    lines: Ints  # E, 4, L: customer, category, product, quantity
    paid: Floats  # E, 2, L: price paid and base price [$]
    rates: Floats  # E, 2, L: rate and draw of quantities that are left open (quantity 0)
    figure: Floats  # E, 9: see retail_gym.kernels.base.Figures


class Scratch(NamedTuple):
    """Memory of one thread."""

    log_price: Floats  # S, I: of the episode that is worked on
    log_row: Floats  # I
    discount: Floats  # products of a block
    chance: Floats  # products of a block
    where: NDArray[np.uint32]  # products of a block
    values: Floats  # N: pairs of the cap's sample
    block: NDArray[np.float32]
    row: NDArray[np.float32]  # products of the largest category
    drawn: NDArray[np.float32] | None  # 2, the longer of both; None where coefficients are stored
    exact: Floats  # products of the largest category
    draws: NDArray[np.uint32]  # J
    open_j: Ints  # J


@intrinsic
def _take(context: Any, counter: Any) -> Any:  # pragma: no cover (compiled)
    """The next number of a counter that threads share."""
    signature = types.int64(counter)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        return builder.atomic_rmw("add", data, ir.Constant(ir.IntType(64), 1), "monotonic")

    return signature, generate


@njit(nogil=True, cache=True, _nrt=False)
def run_episodes(
    store, single, double, laws, episode_e, week_e, board, past, past_row, visited_before, result,
    scratch, scale, counter, counts,
):  # fmt: skip
    """A week in each episode of which the counter has not been taken.

    Args:
        store: the store; ``single`` and ``double`` in both precisions.
        single: see :class:`~retail_gym.kernels.packed.Single`.
        double: see :class:`~retail_gym.kernels.packed.Double`.
        laws: of the discounts; their states move.
        episode_e: episode keys, shape (E,).
        week_e: this week of each episode.
        board: receives this week's shelf (a ``Stand``); its groups are the segments.
        past: last week's shelf, a ``Stand`` too.
        past_row: row of each episode on it; -1 in its first week, when everybody comes.
        visited_before: visits of last week, shape (E, U).
        result: receives the week.
        scratch: memory of this thread.
        scale: of the guard.
        counter: how many episodes have been taken, int64 (1,).
        counts: of this thread; see :class:`~retail_gym.kernels.numba_cpu.NumbaKernel`.
    """
    n_customers = visited_before.shape[1]
    e = _take(counter)
    while e < episode_e.size:
        episode, week = episode_e[e], week_e[e]
        log_price_si = scratch.log_price
        _shelf(e, episode, week, store, laws, scratch, board, log_price_si, result.mean_discount[e])
        for s in range(board.cap.shape[1]):
            board.cap[e, s] = cap_of(store.sample, log_price_si[s], scratch.values)
        bounds_of(
            e, store.noise, store.gamma_cate_0, store.gamma_cate_1, store.log_size, board
        )  # fmt: skip
        for u in range(n_customers):
            mean = result.mean_discount[e, board.group[e, u]]
            result.marketing[e, u] = store.marketing_scale * mean
        visited_u = result.visited[e]
        if past_row[e] < 0:
            visited_u[:] = True
        else:
            visits_of(
                single, double, store.feature, past, past_row[e], episode, week, store.gamma_0,
                store.gamma_1, store.gamma_2, result.marketing[e], visited_before[e], scale,
                i64(0), n_customers, scratch.block, scratch.drawn, scratch.exact, None,
                scratch.log_row, visited_u, counts,
            )  # fmt: skip
        n = i64(0)
        for u in range(n_customers):
            if visited_u[u]:
                n = trip_of(
                    single, double, store.feature, board, log_price_si, store.category_hash,
                    store.gamma_cate_0, store.gamma_cate_1, episode, week, e, u, u, scale,
                    scratch.row, scratch.drawn, scratch.exact, scratch.draws, scratch.open_j,
                    result.lines[e], result.rates[e], n, None, None, counts,
                )  # fmt: skip
        _figures(
            n, week, store, board.group[e], board.entry[e], laws.depth[e], result.visited[e],
            result.lines[e], result.paid[e], result.last_purchase[e], result.figure[e],
        )  # fmt: skip
        e = _take(counter)


@njit(inline="always")
def _shelf(e, episode, week, store, laws, scratch, board, log_price_si, mean_s):
    """Discounts, prices, price terms and mean discounts of episode e, block by block."""
    n = store.item_hash.size
    for s in range(mean_s.size):
        mean_s[s], board.size[e, s] = 0.0, 0.0
    for a in range(0, n, BLOCK):
        b = min(a + BLOCK, n)
        draws_of(store.item_hash[a:b], episode, week, scratch.chance, scratch.where)
        for s in range(mean_s.size):
            discount_k, log_price_k = scratch.discount[: b - a], log_price_si[s, a:b]
            shelf_of(
                e, s, a, b, laws, scratch.chance, scratch.where, store.log_base_price,
                store.log_lowest, board.entry[e, s, a:b], discount_k, log_price_k,
            )  # fmt: skip
            mean_s[s] += _sum(discount_k)
            largest = terms(store.beta_i[a:b], log_price_k, board.price[e, s, a:b])
            board.size[e, s] = max(board.size[e, s], largest)
    for s in range(mean_s.size):
        mean_s[s] /= n


@njit(inline="always")
def _sum(values):
    """Sum in eight lanes, the same order of additions on every processor."""
    a, b, c, d, e, f, g, h = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    whole = (values.size // 8) * 8
    for k in range(0, whole, 8):
        a, b, c, d = a + values[k], b + values[k + 1], c + values[k + 2], d + values[k + 3]
        e, f, g, h = e + values[k + 4], f + values[k + 5], g + values[k + 6], h + values[k + 7]
    for k in range(whole, values.size):
        a += values[k]
    return ((a + b) + (c + d)) + ((e + f) + (g + h))


@njit(inline="always")
def _figures(
    n, week, store, group_u, entry_si, depth_s, visited_u, lines, paid, last_purchase, figure
):
    """Prices paid, last purchases and the week's figures.

    Source: the definitions of :class:`retail_gym.outcome.WeekOutcome`.
    """
    units, revenue, margin, off, buyers, left = i64(0), 0.0, 0.0, 0.0, i64(0), i64(0)
    for k in range(n):
        u, i, quantity = lines[0, k], lines[2, k], lines[3, k]
        base = store.base_price[i]
        discount = depth_s[group_u[u], uintp(entry_si[group_u[u], i])]
        price = shelf_price(discount, base, store.lowest_price)
        paid[0, k], paid[1, k] = price, base
        units += quantity
        revenue += quantity * price
        margin += quantity * (price - store.cost_share * base)
        off += 1.0 - price / base
        if k == 0 or u != lines[0, k - 1]:
            buyers += 1
        if quantity == 0:
            left += 1
        last_purchase[u] = week
    visits, active = i64(0), i64(0)
    for u in range(visited_u.size):
        if visited_u[u]:
            visits += 1
        if last_purchase[u] > 0 and last_purchase[u] > week - store.retention_weeks:
            active += 1
    figure[0], figure[1], figure[2], figure[3], figure[4] = units, revenue, margin, off, n
    figure[5], figure[6], figure[7], figure[8] = buyers, visits, active, left
