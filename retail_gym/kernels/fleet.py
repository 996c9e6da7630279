"""A week of promotions in several episodes at once: what the compiled pass reads and leaves.

The interpreter's part is arranging arrays, once for all episodes; the threads of a crew meet in
:func:`retail_gym.kernels.episode.run_episodes`, which needs no interpreter.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from retail_gym import rng
from retail_gym.kernels.base import Figures, Memory, Purchases
from retail_gym.kernels.crew import Crew
from retail_gym.kernels.episode import Result, Scratch, Store, run_episodes
from retail_gym.kernels.memory import FastMemory, Stand, Week, empty_stand, join_stands
from retail_gym.kernels.packed import pack
from retail_gym.kernels.shelf import BLOCK, Laws, cap_sample
from retail_gym.kernels.visits import BLOCK as VISIT_BLOCK
from retail_gym.world.world import World

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

__all__ = ["Episode", "Promoted", "fits", "promote"]

#: Customers up to which a week is the work of one thread.
_CUSTOMERS: Final = 1024
_stores: WeakKeyDictionary[World, tuple[Any, Store]] = WeakKeyDictionary()
_own = threading.local()


class Episode(NamedTuple):
    """An episode about to see a week of promotions."""

    memory: Memory
    key: int
    week: int
    segment_u: Ints  # U
    last_purchase: Ints  # U


class Promoted(NamedTuple):
    """An episode after the week."""

    memory: FastMemory
    lines: Purchases
    unit_price: Floats  # L [$]
    base_price: Floats  # L [$]
    last_purchase: Ints  # U
    discounts: Callable[[], Floats]  # S, I
    segment_discount: Floats  # S
    figures: Figures | None  # None where quantities were left open


def fits(world: World, memory: Memory, week: int, n_segments: int) -> bool:
    """Whether a lazy store's next week can go this way."""
    if world.n_customers > _CUSTOMERS or world.marketing == "noise":
        return False
    if week == 1:
        return True
    if not isinstance(memory, FastMemory):
        return False
    last = memory.past[-1].board  # a stand: of a week that went this way
    return isinstance(last, Stand) and last.cap.shape[1] == n_segments


def promote(
    world: World,
    episodes: Sequence[Episode],
    laws: Laws,
    scale: float,
    accounts: tuple[float, int],
    crew: Crew,
) -> tuple[list[Promoted], Ints]:
    """A week in each episode.

    Args:
        world: the store, without inertia and with a cap.
        episodes: that fit.
        laws: of their discounts, whose states move.
        scale: of the guard.
        accounts: cost of a unit as a share of its base price; weeks of retention.
        crew: threads that share the episodes.

    Returns:
        The weeks, and the work done.
    """
    packed, n = pack(world), len(episodes)
    n_segments, n_customers = laws.state.shape[1], world.n_customers
    store = _store(world, accounts)
    board = empty_stand(
        packed,
        laws,
        np.stack([episode.segment_u for episode in episodes]),
        store.log_base_price,
        store.log_lowest,
    )
    past, past_row = _past([episode.memory for episode in episodes], board)
    room = _room(world, n_segments)
    room.grow(world, n, crew.size)
    result = Result(
        np.empty((n, n_segments)),
        np.empty((n, n_customers)),
        np.empty((n, n_customers), dtype=bool),
        np.stack([episode.last_purchase for episode in episodes]),
        room.lines,
        room.paid,
        room.rates,
        np.empty((n, len(Figures._fields))),
    )
    counts = np.zeros((crew.size, 5), dtype=np.int64)
    arguments = (
        store,
        packed.single,
        packed.double,
        laws,
        np.array([episode.key for episode in episodes], dtype=np.uint64),
        np.array([episode.week for episode in episodes], dtype=np.int64),
        board,
        past,
        past_row,
        np.stack([episode.memory.visited for episode in episodes]),
        result,
    )
    counter = np.zeros(1, dtype=np.int64)
    crew.run(
        [
            partial(run_episodes, *arguments, scratch, scale, counter, counts[t])
            for t, scratch in enumerate(room.scratch[: min(n, crew.size)])
        ]
    )
    for shared in (result.visited, result.last_purchase):
        shared.flags.writeable = False  # outcomes and states share them
    return _unpack(world, episodes, board, result), counts.sum(axis=0)


def _unpack(
    world: World, episodes: Sequence[Episode], board: Stand, result: Result
) -> list[Promoted]:
    none = np.zeros(world.n_customers)
    weeks = []
    rows = zip(
        episodes,
        result.figure.tolist(),
        result.lines,
        result.paid,
        result.marketing,
        result.visited,
        result.last_purchase,
        result.mean_discount,
        strict=False,  # the lines and prices paid have room for more
    )
    for e, (episode, row, lines, paid, marketing, visited, last_purchase, mean) in enumerate(rows):
        figures: Figures | None = Figures(*row)
        n = int(row[4])
        customer, category, product, quantity = lines[:, :n].copy()
        unit_price, base_price = paid[:, :n].copy()
        if row[-1]:  # rates of 30 and more
            left = np.flatnonzero(quantity == 0)
            rate, draw = result.rates[e][:, left]
            quantity[left] = 1 + rng.poisson_quantile(draw, rate)
            figures = None
        now = Week(episode.week, board, e, marketing, visited, None)
        memory = episode.memory
        past = (memory.past[-1], now) if isinstance(memory, FastMemory) else (now,)
        kept = FastMemory(world, episode.key, past, None, none, none)
        bought = Purchases(customer, category, product, quantity)
        discounts = partial(board.discount_si, e)
        weeks.append(
            Promoted(kept, bought, unit_price, base_price, last_purchase, discounts, mean, figures)
        )
    return weeks


def _past(memories: Sequence[Memory], board: Stand) -> tuple[Stand, Ints]:
    """Last week's prices and the row of each episode on them; -1 where there was no last week."""
    stands = [
        (memory.past[-1].board, memory.past[-1].row) if isinstance(memory, FastMemory) else None
        for memory in memories
    ]
    met = [(stand, row) for stand, row in filter(None, stands) if isinstance(stand, Stand)]
    if not met:
        return board, np.full(len(memories), -1)
    if all(stand is met[0][0] for stand, _ in met):
        rows = [-1 if found is None else found[1] for found in stands]
        return met[0][0], np.array(rows, dtype=np.int64)
    number = iter(range(len(met)))
    rows = [-1 if found is None else next(number) for found in stands]
    return join_stands(met), np.array(rows, dtype=np.int64)


def _store(world: World, accounts: tuple[float, int]) -> Store:
    found = _stores.get(world)
    if found is None or found[0] != accounts:
        packed = pack(world)
        store = Store(
            packed.single.item_hash,
            world.base_price,
            world.log_base_price,
            world.beta_i,
            packed.category_hash,
            packed.gamma_cate_0,
            packed.gamma_cate_1,
            packed.log_size,
            packed.feature_coefficients,
            packed.noise_coefficients,
            float(world.lowest_price),
            math.log(world.lowest_price),
            float(world.gamma_store_0),
            float(world.gamma_store_1),
            float(world.gamma_store_2),
            float(world.marketing_scale),
            float(accounts[0]),
            int(accounts[1]),
            cap_sample(world),
        )
        found = _stores[world] = (accounts, store)
    return found[1]


class _Room:
    """Memory in which one caller's weeks of a store are worked out, used again every week."""

    def __init__(self, world: World, n_segments: int) -> None:
        self.scratch: list[Scratch] = []
        self._segments = n_segments
        self._lines = world.n_customers * world.n_categories
        self._make_lines(0)

    def grow(self, world: World, n_episodes: int, threads: int) -> None:
        """Have room for so many. The store is not kept: rooms last only as long as it does."""
        while len(self.scratch) < threads:
            self.scratch.append(self._make_scratch(world))
        if len(self.lines) < n_episodes:
            self._make_lines(n_episodes)

    def _make_lines(self, n: int) -> None:
        self.lines = np.empty((n, 4, self._lines), dtype=np.int64)
        self.paid, self.rates = (np.empty((n, 2, self._lines)) for _ in range(2))

    def _make_scratch(self, world: World) -> Scratch:
        largest = int(world.category_sizes.max())
        stored = pack(world).single.heads.size == 0
        longest = max(largest, VISIT_BLOCK)
        return Scratch(
            np.empty((self._segments, world.n_products)),
            np.empty(world.n_products),
            np.empty(BLOCK),
            np.empty(BLOCK),
            np.empty(BLOCK, dtype=np.uint32),
            np.empty(world.cap_reference.level.size),
            np.empty(VISIT_BLOCK, dtype=np.float32),
            np.empty(largest, dtype=np.float32),
            None if stored else np.empty((2, longest), dtype=np.float32),
            np.empty(largest),
            np.empty(world.n_categories, dtype=np.uint32),
            np.empty(world.n_categories, dtype=np.int64),
        )


def _room(world: World, n_segments: int) -> _Room:
    """This thread's room for a store."""
    if not hasattr(_own, "rooms"):
        _own.rooms = WeakKeyDictionary()
    rooms: dict[int, _Room] = _own.rooms.setdefault(world, {})
    if n_segments not in rooms:
        rooms[n_segments] = _Room(world, n_segments)
    return rooms[n_segments]
