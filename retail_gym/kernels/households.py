"""Weeks of stores with layers in the fast kernel: what is packed, drawn, kept between weeks.

Visits follow from their equations in double precision, for everybody at once; those who come are
taken through the store by the compiled :func:`retail_gym.kernels.baskets.baskets`. Store values
are computed along with a trip only where next week's visits need them (gamma_store_1).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, ClassVar, Final, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from retail_gym import rng
from retail_gym.kernels.base import Memory, Purchases, Request
from retail_gym.kernels.baskets import STAGES, Lines, Trips, baskets
from retail_gym.kernels.categories import Room
from retail_gym.kernels.habits import Habits
from retail_gym.kernels.layer_pack import layers_of, shelf_of_week
from retail_gym.kernels.layered import Remembered, empty_places, layer_memory
from retail_gym.kernels.memory import Board, FastMemory, Week, make_board
from retail_gym.kernels.packed import Packed, pack
from retail_gym.model.store_visit import store_utility, visit_probability, visit_propensity
from retail_gym.model.visit_effects import opening_probability
from retail_gym.rng import Stage
from retail_gym.world.layers import MOST_LINES
from retail_gym.world.noise import customer_words
from retail_gym.world.trip import drift, trip_draws, visit_effects
from retail_gym.world.world import World

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Places = NDArray[np.int16]
Share = Callable[[Callable[[int, int], Any], int], list[Any]]

__all__ = ["FastLayerMemory", "household_week"]

#: Lines that a thread writes down before they are collected.
_LINES: Final = 32_768
_own = threading.local()


class FastLayerMemory(FastMemory):
    """A :class:`FastMemory` of a store with layers."""

    layered: ClassVar[bool] = True
    drift: Floats | None = None  # U: drift of the store utility, with a VisitLayer
    habits: Habits | None = None  # products bought last, with a HabitLayer

    @property
    def recent(self) -> Places | None:
        """Products bought last, newest first, by place in the category, shape (U, J, H)."""
        return None if self.habits is None else self.habits.places()


def household_week(
    world: World,
    request: Request,
    scale: float,
    share: Share,
    counts: Ints,
    block: range | None = None,
) -> tuple[FastLayerMemory, Purchases]:
    """One week of a store with layers; see :class:`retail_gym.kernels.base.Kernel`.

    Args:
        world: the store.
        request: the week.
        scale: of the guard.
        share: does pieces of work, ``work(first, last)``, maybe at the same time.
        counts: gains the work done.
        block: the only customers that come; of others nothing is remembered. None: everybody.

    Raises:
        ValueError: for a memory of a store without layers after the first week.
    """
    assert world.layers is not None
    packed, memory, offer = pack(world), request.memory, request.offer
    past = layer_memory(memory) if request.week > 1 else None
    visits = _visits(world, request, None if past is None else past.drift)
    if block is not None:
        visits.visited[: block.start] = visits.visited[block.stop :] = False
    counts[4] += visits.again
    board = make_board(world, packed, [offer])
    customers, habits = np.flatnonzero(visits.visited), _habits(world, memory, past, block)
    with nullcontext() if habits is None else habits.lend() as lent:
        recent = np.zeros((0, 0, 0), dtype=np.int16) if lent is None else lent.array
        lines, value, error = _trips(
            world, packed, board, request, customers, recent, scale, share, counts
        )
        after = None if lent is None else lent.after(lines, world.category_start)
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
    kept.drift, kept.habits = visits.drift, after
    return kept, lines


def _habits(
    world: World, memory: Memory, past: Remembered | None, block: range | None
) -> Habits | None:
    """What customers remember of products."""
    assert world.layers is not None
    layer = world.layers.config.habit
    if layer is None:
        return None
    if past is not None and isinstance(memory, FastLayerMemory) and memory.habits is not None:
        return memory.habits
    places = None if past is None else past.recent
    return Habits(empty_places(world, layer, block) if places is None else places.copy())


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
    recent: Places,
    scale: float,
    share: Share,
    counts: Ints,
) -> tuple[Purchases, Floats | None, Floats]:
    """Decisions of those in the store; their store values, where needed, and bounds on them."""
    assert world.layers is not None
    layered, n, key, week = layers_of(world), customers.size, request.episode_key, request.week
    draws, assortment = trip_draws(world, key, week, customers), world.layers.config.assortment
    weight = 0.0 if assortment is None else assortment.basket_weight
    trips = Trips(customers, draws.size_u, draws.factor_uk, np.exp(weight * draws.basket_u))
    single, shop, bounds = shelf_of_week(world, board, week)
    wanted = world.gamma_store_1 != 0.0
    value_c, error_c = np.zeros((2, n if wanted else 0))
    heads = np.array([rng.stream_head(key, week, stage) for stage in STAGES], dtype=np.uint64)

    def work(first: int, last: int) -> tuple[Ints, list[Ints]]:
        counted, parts = np.zeros(5, dtype=np.int64), []
        room, scratch = _room(world)
        out = Lines(*scratch, value_c, error_c)
        while first < last:
            first, found = baskets(
                single,
                packed.double,
                packed.feature_coefficients,
                board,
                layered,
                bounds,
                shop,
                packed.category_hash,
                heads,
                trips,
                first,
                last,
                scale,
                room,
                recent,
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

    found: list[Ints] = []
    for counted, parts in share(work, n):
        counts += counted
        found += parts
    lines = Purchases(*np.concatenate(found or [np.zeros((4, 0), dtype=np.int64)], axis=1))
    if not wanted:
        return lines, None, np.zeros(world.n_customers)
    value, error = np.zeros((2, world.n_customers))
    value[customers], error[customers] = value_c, error_c
    return lines, value, error


def _room(world: World) -> tuple[Room, tuple[Ints, Floats]]:
    """This thread's memory for the trips of a store, and for their lines and rates."""
    if not hasattr(_own, "rooms"):
        _own.rooms = WeakKeyDictionary()
    if world not in _own.rooms:
        n, largest = world.n_categories, int(world.category_sizes.max())
        stored = pack(world).single.heads.size == 0
        room = Room(
            np.empty(largest, dtype=np.float32),
            None if stored else np.empty((2, largest), dtype=np.float32),
            np.empty(largest),
            np.empty(n, dtype=np.uint32),
            np.empty(n, dtype=np.float32),
            np.empty(n, dtype=np.int64),
            np.empty(n),
        )
        most = int(np.minimum(world.category_sizes, MOST_LINES).sum())  # of one trip
        capacity = most + _LINES
        scratch = np.empty((4, capacity), dtype=np.int64), np.empty((2, capacity))
        _own.rooms[world] = room, scratch
    found: tuple[Room, tuple[Ints, Floats]] = _own.rooms[world]
    return found
