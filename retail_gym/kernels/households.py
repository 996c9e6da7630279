"""Weeks of stores with layers in the fast kernel: what is packed, drawn, kept between weeks.

Visits follow from their equations in double precision, for everybody at once; those who come are
taken through the store by the compiled :func:`retail_gym.kernels.baskets.baskets`. Store values
are computed along with a trip only where next week's visits need them (gamma_store_1).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from retail_gym import rng
from retail_gym.kernels.base import Memory, Purchases, Request
from retail_gym.kernels.baskets import Lines, Room, Trips, baskets
from retail_gym.kernels.layer_passes import Bounds, Layered, value_bounds, week_bounds
from retail_gym.kernels.layered import empty_places, layer_memory
from retail_gym.kernels.memory import Board, FastMemory, Week, make_board
from retail_gym.kernels.packed import Packed, pack
from retail_gym.kernels.shelf import terms
from retail_gym.kernels.single import LOG2E
from retail_gym.model.store_visit import store_utility, visit_probability, visit_propensity
from retail_gym.model.visit_effects import opening_probability
from retail_gym.rng import Stage
from retail_gym.world.noise import customer_words
from retail_gym.world.trip import drift, offered, trip_draws, visit_effects
from retail_gym.world.world import World

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Places = NDArray[np.int16]
Share = Callable[[Callable[[int, int], Any], int], list[Any]]

__all__ = ["FastLayerMemory", "household_week", "pack_layers"]


class FastLayerMemory(FastMemory):
    """A :class:`FastMemory` of a store with layers."""

    drift: Floats | None  # U: drift of the store utility, with a VisitLayer
    recent: Places | None  # U, J, H: products bought last (place in the category), HabitLayer


class PackedLayers(NamedTuple):
    """The layers in the form the passes read, and the price terms at base prices."""

    layered: Layered
    largest: int  # products of the largest category
    stored: bool  # whether coefficients are


_packed: WeakKeyDictionary[World, PackedLayers] = WeakKeyDictionary()


def pack_layers(world: World) -> PackedLayers:
    """The packed form of a world's layers, made once."""
    found = _packed.get(world)
    if found is None:
        found = _packed[world] = _pack(world)
    return found


def _pack(world: World) -> PackedLayers:
    assert world.layers is not None
    drawn, config, packed = world.layers, world.layers.config, pack(world)
    n, loading = world.n_categories, drawn.trip_loading_jk
    if loading is None:
        loading = np.zeros((n, 0))
    household = drawn.household_uj
    if household is None:
        household = np.zeros((1, n), dtype=np.float32)
        household.flags.writeable = False
    half = 0.5 * (loading**2).sum(axis=1)
    fixed = LOG2E * (world.gamma_cate_0 - half)
    largest, stored = int(world.category_sizes.max()), packed.single.heads.size == 0
    value = _largest_values(world, packed, largest, stored)
    size_u = np.abs(value).max(axis=1) + LOG2E * np.abs(household).max(axis=1)
    none = np.zeros(0)
    none.flags.writeable = False
    layered = Layered(
        something=config.basket is not None and config.basket.something,
        gamma_0=world.gamma_cate_0,
        gamma_1=world.gamma_cate_1,
        household=household,
        loading=np.ascontiguousarray(loading),
        half=half,
        further_j=none if drawn.further_j is None else drawn.further_j,
        further_size=1.0 if config.assortment is None else config.assortment.size,
        quantity_u=none if drawn.quantity_u is None else drawn.quantity_u,
        quantity_size=1.0 if config.quantity is None else config.quantity.size,
        repeat=0.0 if config.habit is None else config.habit.repeat,
        fixed=fixed.astype(np.float32),
        slope=world.gamma_cate_1.astype(np.float32),
        steepest=float(np.abs(world.gamma_cate_1).max()),
        value=value,
        loading_kj=np.ascontiguousarray((LOG2E * loading.T).astype(np.float32)),
        loading_k=(LOG2E * np.abs(loading).max(axis=0, initial=0.0)).astype(np.float32),
        size_u=(size_u + np.abs(fixed).max()).astype(np.float32),
    )
    return PackedLayers(layered, largest, stored)


def _largest_values(world: World, packed: Packed, largest: int, stored: bool) -> NDArray[np.float32]:
    """gamma_1 times the largest value of each category at base prices (log2 units), (U, J)."""
    price = np.empty(world.n_products, dtype=np.float32)
    price_size = terms(world.beta_i, world.log_base_price, price)
    out = np.empty((world.n_customers, world.n_categories), dtype=np.float32)
    value_bounds(
        packed.single,
        price,
        tuple(np.float32(0.0) for _ in packed.feature_coefficients),
        np.zeros(packed.noise_coefficients.size, dtype=np.float32),
        float(price_size),
        float(LOG2E * packed.double.noise.max()),
        float(np.abs(packed.double.feature).max()),
        world.gamma_cate_1,
        0,
        world.n_customers,
        None if stored else np.empty((2, largest), dtype=np.float32),
        np.empty(largest, dtype=np.float32),
        out,
    )
    return out


def household_week(
    world: World, request: Request, scale: float, share: Share, counts: Ints
) -> tuple[FastLayerMemory, Purchases]:
    """One week of a store with layers; see :class:`retail_gym.kernels.base.Kernel`.

    Args:
        world: the store.
        request: the week.
        scale: of the guard.
        share: does pieces of work, ``work(first, last)``, maybe at the same time.
        counts: gains the work done.

    Raises:
        ValueError: for a memory of a store without layers after the first week.
    """
    assert world.layers is not None
    packed, memory, offer = pack(world), request.memory, request.offer
    past = layer_memory(memory) if request.week > 1 else None
    visits = _visits(world, request, None if past is None else past.drift)
    counts[4] += visits.again
    habit, recent = world.layers.config.habit, None
    if habit is not None:
        known = None if past is None else past.recent
        recent = empty_places(world, habit) if known is None else known.copy()
    board = make_board(world, packed, [offer])
    customers = np.flatnonzero(visits.visited)
    lines, value, error = _trips(
        world, packed, board, request, customers, recent, scale, share, counts
    )
    weeks = memory.past if isinstance(memory, FastMemory) and request.week > 1 else ()
    visits.visited.flags.writeable = False
    now = Week(
        request.week, board, 0, offer.marketing_u, visits.visited, visits.probability, visits.effect
    )
    kept = FastLayerMemory(
        world,
        request.episode_key,
        (*weeks[-packed.weeks_kept :], now),
        value,
        error,
        visits.error,
    )
    kept.drift, kept.recent = visits.drift, recent
    return kept, lines


class _Visits(NamedTuple):
    visited: NDArray[np.bool_]
    probability: Floats
    error: Floats  # bounds on that of the probabilities
    drift: Floats | None
    effect: Floats | None  # what the layer adds to the store utility
    again: int  # taken again in double precision


def _visits(world: World, request: Request, drift_u: Floats | None) -> _Visits:
    """Who comes, from the equations; from estimates of store values where these are known."""
    assert world.layers is not None
    memory, offer, week, n = request.memory, request.offer, request.week, world.n_customers
    layer, effect, now = world.layers.config.visit, None, None
    if layer is not None:
        now = drift(world, request.episode_key, week, drift_u)
        effect = visit_effects(world, request.episode_key, week, now)
    word = customer_words(request.episode_key, week, Stage.VISIT, np.arange(n))
    draw, zero = rng.uniform(word), np.zeros(n)
    if week == 1 and (layer is None or effect is None):
        return _Visits(np.ones(n, dtype=bool), np.ones(n), zero, None, None, 0)  # eq. 10
    value, value_error, before_error = zero, zero, zero
    before: Floats = zero
    if week > 1:
        estimate = memory.past[-1].probability if isinstance(memory, FastMemory) else None
        if isinstance(memory, FastMemory) and estimate is not None:
            before, before_error = estimate, memory.probability_error
        else:
            before = memory.visit_probability
        if world.gamma_store_1 != 0.0:
            if isinstance(memory, FastMemory) and memory.value is not None:
                value, value_error = memory.value, memory.value_error
            else:
                value = memory.store_value
    utility = store_utility(
        world.gamma_store_0,
        world.gamma_store_1,
        world.gamma_store_2,
        memory.visited,
        value,
        offer.marketing_u,
    )
    if effect is not None:
        utility = utility + effect
    if week == 1 and layer is not None:
        probability = opening_probability(utility, layer.opening)
        return _Visits(draw < probability, probability, zero, now, effect, 0)
    probability = visit_probability(world.theta, visit_propensity(utility), before)
    # The logistic function is nowhere steeper than 1/4.
    error = 0.25 * (1.0 - world.theta) * abs(world.gamma_store_1) * value_error
    error = error * memory.visited + world.theta * before_error
    visited = draw < probability
    again = np.flatnonzero(np.abs(draw - probability) < error)
    if again.size and isinstance(memory, FastMemory):
        probability[again] = memory.next_probability(offer, again, effect)
        visited[again] = draw[again] < probability[again]
    return _Visits(visited, probability, error, now, effect, again.size)


def _trips(
    world: World,
    packed: Packed,
    board: Board,
    request: Request,
    customers: Ints,
    recent: Places | None,
    scale: float,
    share: Share,
    counts: Ints,
) -> tuple[Purchases, Floats | None, Floats]:
    """Decisions of those in the store; their store values, where needed, and bounds on them."""
    own, n, key, week = pack_layers(world), customers.size, request.episode_key, request.week
    layered = own.layered
    draws, assortment = trip_draws(world, key, week, customers), world.layers.config.assortment  # type: ignore[union-attr]
    weight = 0.0 if assortment is None else assortment.basket_weight
    trips = Trips(customers, draws.size_u, draws.factor_uk, np.exp(weight * draws.basket_u))
    shelf = offered(world, week)
    shelf = np.zeros(0, dtype=bool) if shelf is None or shelf.all() else shelf
    groups = board.cap.shape[1]
    bounds = Bounds(*(np.empty((groups, world.n_categories), dtype=np.float32) for _ in range(3)))
    week_bounds(
        world.beta_i, board.log_price[0], world.log_base_price, board.cap[0], packed.single,
        layered, bounds,
    )  # fmt: skip
    price_size = float(max(np.abs(bounds.high).max(), np.abs(bounds.low).max()))
    places = np.zeros((0, 0, 0), dtype=np.int16) if recent is None else recent
    wanted = world.gamma_store_1 != 0.0
    value_c, error_c = np.zeros((2, n if wanted else 0))
    each = np.minimum(world.category_sizes, 64 if layered.further_j.size else 1)
    capacity = int(each.sum()) + 64 * 1024

    def work(first: int, last: int) -> tuple[Ints, list[Ints]]:
        counted, parts = np.zeros(5, dtype=np.int64), []
        room = _room(world, own)
        out = Lines(
            np.empty((4, capacity), dtype=np.int64), np.empty((2, capacity)), value_c, error_c
        )
        while first < last:
            first, found = baskets(
                packed.single,
                packed.double,
                packed.feature_coefficients,
                board,
                layered,
                bounds,
                shelf,
                packed.category_hash,
                np.uint64(key),
                np.int64(week),
                trips,
                first,
                last,
                scale,
                price_size,
                room,
                places,
                out,
                counted,
            )
            lines = out.lines[:, :found].copy()
            large = np.flatnonzero(lines[3] == 0)  # rates of 30 and more
            if large.size:
                rate, draw = out.rates[:, large]
                lines[3, large] = 1 + rng.poisson_quantile(draw, rate)
            parts.append(lines)
        return counted, parts

    found: list[Ints] = [np.zeros((4, 0), dtype=np.int64)]
    for counted, parts in share(work, n):
        counts += counted
        found += parts
    lines = Purchases(*np.concatenate(found, axis=1))
    if not wanted:
        return lines, None, np.zeros(world.n_customers)
    value, error = np.zeros((2, world.n_customers))
    value[customers], error[customers] = value_c, error_c
    return lines, value, error


def _room(world: World, own: PackedLayers) -> Room:
    n = world.n_categories
    return Room(
        np.empty(own.largest, dtype=np.float32),
        None if own.stored else np.empty((2, own.largest), dtype=np.float32),
        np.empty(own.largest),
        np.empty(n, dtype=np.uint32),
        np.empty(n, dtype=np.float32),
        np.empty(n, dtype=np.int64),
        np.empty(n),
    )
