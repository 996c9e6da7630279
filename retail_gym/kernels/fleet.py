"""A week of promotions in several episodes at once: what the compiled pass reads and leaves.

The interpreter's part is arranging arrays, once for all episodes; the threads of a crew meet in
:func:`retail_gym.kernels.episode.run_episodes`, which needs no interpreter.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import partial
from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from retail_gym import rng
from retail_gym.kernels.base import Figures, Memory, Purchases
from retail_gym.kernels.crew import Crew
from retail_gym.kernels.decisions import BLOCK as VISIT_BLOCK
from retail_gym.kernels.episode import Result, Scratch, Store, run_episodes
from retail_gym.kernels.memory import Board, FastMemory, Week, empty_board, join_boards
from retail_gym.kernels.packed import pack
from retail_gym.kernels.shelf import BLOCK, Laws, cap_sample
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
    discount_si: Floats  # S, I
    segment_discount: Floats  # S
    figures: Figures | None  # None where quantities were left open


def fits(world: World, memory: Memory, week: int, n_segments: int) -> bool:
    """Whether a lazy store's next week can go this way."""
    if world.n_customers > _CUSTOMERS or world.marketing == "noise":
        return False
    if week == 1:
        return True
    return isinstance(memory, FastMemory) and memory.past[-1].board.cap.shape[1] == n_segments


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
    n_segments, n_products = laws.state.shape[1:]
    n_customers = world.n_customers
    board = empty_board(
        packed,
        np.empty((n, n_segments, n_products)),
        np.empty((n, n_segments)),
        np.stack([episode.segment_u for episode in episodes]),
    )
    past, past_row = _past([episode.memory for episode in episodes], board)
    room = _room(world)
    room.grow(n, crew.size)
    result = Result(
        np.empty((n, n_segments, n_products)),
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
        _store(world, accounts),
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
    for shared in (result.visited, result.last_purchase, result.discount):
        shared.flags.writeable = False  # outcomes and states share them
    return _unpack(world, episodes, board, result), counts.sum(axis=0)


def _unpack(
    world: World, episodes: Sequence[Episode], board: Board, result: Result
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
        result.discount,
        result.mean_discount,
        strict=False,  # the lines and prices paid have room for more
    )
    for e, (episode, row, lines, paid, marketing, visited, *rest) in enumerate(rows):
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
        weeks.append(Promoted(kept, bought, unit_price, base_price, *rest, figures))
    return weeks


def _past(memories: Sequence[Memory], board: Board) -> tuple[Board, Ints]:
    """Last week's prices and the row of each episode on them; -1 where there was no last week."""
    weeks = [memory.past[-1] if isinstance(memory, FastMemory) else None for memory in memories]
    met = [week for week in weeks if week is not None]
    if not met:
        return board, np.full(len(memories), -1)
    if all(week.board is met[0].board for week in met):
        rows = [-1 if week is None else week.row for week in weeks]
        return met[0].board, np.array(rows, dtype=np.int64)
    joined = iter(range(len(met)))
    rows = [-1 if week is None else next(joined) for week in weeks]
    return join_boards([(week.board, week.row) for week in met]), np.array(rows, dtype=np.int64)


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

    def __init__(self, world: World) -> None:
        self.scratch: list[Scratch] = []
        self._world = world
        self._lines = world.n_customers * world.n_categories
        self._make_lines(0)

    def grow(self, n_episodes: int, threads: int) -> None:
        """Have room for so many."""
        while len(self.scratch) < threads:
            self.scratch.append(self._make_scratch())
        if len(self.lines) < n_episodes:
            self._make_lines(n_episodes)

    def _make_lines(self, n: int) -> None:
        self.lines = np.empty((n, 4, self._lines), dtype=np.int64)
        self.paid, self.rates = (np.empty((n, 2, self._lines)) for _ in range(2))

    def _make_scratch(self) -> Scratch:
        world, largest = self._world, int(self._world.category_sizes.max())
        stored = pack(world).single.heads.size == 0
        longest = max(largest, VISIT_BLOCK)
        return Scratch(
            np.empty(BLOCK),
            np.empty((2, BLOCK), dtype=np.uint32),
            np.empty(world.cap_reference.level.size),
            np.empty(VISIT_BLOCK, dtype=np.float32),
            np.empty(largest, dtype=np.float32),
            None if stored else np.empty((2, longest), dtype=np.float32),
            np.empty(largest),
            np.empty(world.n_categories, dtype=np.uint32),
            np.empty(world.n_categories, dtype=np.int64),
        )


def _room(world: World) -> _Room:
    """This thread's room for a store."""
    if not hasattr(_own, "rooms"):
        _own.rooms = WeakKeyDictionary()
    rooms: WeakKeyDictionary[World, _Room] = _own.rooms
    found = rooms.get(world)
    if found is None:
        found = rooms[world] = _Room(world)
    return found
