"""What the fast kernel keeps of the weeks gone by, and exact numbers from it on demand."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retail_gym.kernels.base import Offer
from retail_gym.kernels.packed import Packed
from retail_gym.kernels.shelf import Laws, boards
from retail_gym.model.availability import shelf_utility
from retail_gym.model.category_choice import category_value
from retail_gym.model.store_visit import (
    store_utility,
    store_value,
    visit_probability,
    visit_propensity,
)
from retail_gym.model.utility import capped_utility
from retail_gym.world.noise import noise_words, utility
from retail_gym.world.trip import offered
from retail_gym.world.world import World

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

__all__ = [
    "Board",
    "FastMemory",
    "Stand",
    "Week",
    "empty_stand",
    "join_boards",
    "join_stands",
    "make_board",
]  # fmt: skip


class Board(NamedTuple):
    """The prices of one week in E episodes, as the compiled passes read them."""

    price: NDArray[np.float32]  # E, G, I: beta_i log P
    log_price: Floats  # E, G, I
    cap: Floats  # E, G
    size: Floats  # E, G: largest absolute price term
    noise: NDArray[np.float32]  # E, G, 9: noise coefficients with the cap taken out
    limit: NDArray[np.uint32]  # E, G, J: category draws (words) above this settle the category
    group: Ints  # E, U: group of each customer


_OF_BOTH: Final = ("price", "cap", "size", "noise", "limit", "group")


class Stand(NamedTuple):
    """The shelf of one week of promotions in E episodes and S segments, in little memory.

    Prices in double precision are few of them needed; they follow from ``entry``.
    """

    price: NDArray[np.float32]  # E, S, I: as of a board, whose groups are the segments
    cap: Floats  # E, S
    size: Floats  # E, S
    noise: NDArray[np.float32]  # E, S, 9
    limit: NDArray[np.uint32]  # E, S, J
    group: Ints  # E, U
    entry: NDArray[np.uint16]  # E, S, I: where in its tables the discount of a product stands
    depth: Floats  # E, S, 1022: discounts
    log_kept: Floats  # E, S, 1022: log of 1 - discount
    log_base: Floats  # I: log of base prices
    log_lowest: float  # of the price floor

    def discount_si(self, e: int) -> Floats:
        """Discounts of an episode, before the price floor, shape (S, I)."""
        table: Floats = self.depth[e]
        return np.take_along_axis(table, self.entry[e].astype(np.int64), axis=1)

    def log_price_si(self, e: int) -> Floats:
        """Log prices of an episode, shape (S, I)."""
        kept = np.take_along_axis(self.log_kept[e], self.entry[e].astype(np.int64), axis=1)
        return np.asarray(np.maximum(self.log_base + kept, self.log_lowest))


def empty_stand(
    packed: Packed, laws: Laws, group: Ints, log_base: Floats, log_lowest: float
) -> Stand:
    """A shelf to be filled by the pass over a week of promotions."""
    shape = laws.on.shape
    return Stand(
        np.empty(laws.state.shape, dtype=np.float32),
        np.empty(shape),
        np.empty(shape),
        np.empty((*shape, packed.noise_coefficients.size), dtype=np.float32),
        np.empty((*shape, packed.log_size.size), dtype=np.uint32),
        group,
        np.empty(laws.state.shape, dtype=np.uint16),
        laws.depth,
        laws.log_kept,
        log_base,
        log_lowest,
    )


def join_stands(rows: Sequence[tuple[Stand, int]]) -> Stand:
    """The shelf of some episodes, each a row of a shelf of one store."""
    parts: dict[str, Any] = {
        field: np.stack([getattr(stand, field)[row] for stand, row in rows])
        for field in (*_OF_BOTH, "entry", "depth", "log_kept")
    }
    return rows[0][0]._replace(**parts)


def make_board(world: World, packed: Packed, offers: Sequence[Offer]) -> Board:
    """Convert offers, one per episode, with the same number of groups."""
    log_price = _together([offer.log_price_gi for offer in offers])
    cap = np.stack([offer.cap_g for offer in offers])
    shape = cap.shape
    board = Board(
        np.empty(log_price.shape, dtype=np.float32),
        log_price,
        cap,
        np.empty(shape),
        np.empty((*shape, packed.noise_coefficients.size), dtype=np.float32),
        np.empty((*shape, packed.log_size.size), dtype=np.uint32),
        np.stack([offer.group_u for offer in offers]),
    )
    boards(
        world.beta_i,
        packed.noise_coefficients,
        packed.gamma_cate_0,
        packed.gamma_cate_1,
        packed.log_size,
        board,
    )
    return board


def _together(rows: Sequence[Floats]) -> Floats:
    """The array whose rows these are, in order, or else a copy that has them so."""
    whole = rows[0].base
    if isinstance(whole, np.ndarray) and whole.shape == (len(rows), *rows[0].shape):
        places = [row.__array_interface__["data"][0] for row in whole]
        if places == [row.__array_interface__["data"][0] for row in rows]:
            return whole
    return np.stack(rows)


def join_boards(rows: Sequence[tuple[Board, int]]) -> Board:
    """The board of some episodes, each a row of a board; no copy where they lie in a row."""
    board, first = rows[0]
    if all(other is board and row == first + k for k, (other, row) in enumerate(rows)):
        parts: list[Any] = [values[first : first + len(rows)] for values in board]
        return Board(*parts)
    parts = [np.stack([other[field][row] for other, row in rows]) for field in range(len(board))]
    return Board(*parts)


class Week(NamedTuple):
    """A week gone by, as far as it may have to be evaluated again."""

    week: int
    board: Board | Stand
    row: int  # of the episode on the board
    marketing: Floats  # U: marketing feature
    visited: NDArray[np.bool_]
    probability: Floats | None  # U: visit probabilities, an estimate; None where not needed
    effect: Floats | None = None  # U: what a VisitLayer adds to the store utility

    @property
    def offer(self) -> Offer:
        """What customers met."""
        board, e = self.board, self.row
        log_price = board.log_price_si(e) if isinstance(board, Stand) else board.log_price[e]
        return Offer(board.group[e], log_price, board.cap[e], self.marketing)

    def on_board(self) -> tuple[Board, int]:
        """The board and the row of the week on it."""
        board, e = self.board, self.row
        if isinstance(board, Board):
            return board, e
        shared: list[Any] = [getattr(board, field)[e : e + 1] for field in _OF_BOTH]
        fields = dict(zip(_OF_BOTH, shared, strict=True))
        return Board(log_price=board.log_price_si(e)[None], **fields), 0


class FastMemory:
    """What the fast kernel remembers; exact store values and probabilities on demand.

    Args:
        world: the store.
        episode_key: the episode's randomness.
        past: the weeks from which exact numbers follow, oldest first, the last one last.
        value: estimates of the store values, None in lazy mode.
        value_error: bounds on their error.
        probability_error: bounds on the error of the last week's probabilities.
    """

    def __init__(
        self,
        world: World,
        episode_key: int,
        past: tuple[Week, ...],
        value: Floats | None,
        value_error: Floats,
        probability_error: Floats,
    ) -> None:
        self._world, self._key = world, episode_key
        self.past = past
        self.visited = past[-1].visited
        self.value, self.value_error = value, value_error
        self.probability_error = probability_error

    @cached_property
    def store_value(self) -> Floats:
        """Store values of those who visited, 0 elsewhere, in double precision."""
        return self._store_value(self.past[-1], np.arange(self._world.n_customers))

    @cached_property
    def visit_probability(self) -> Floats:
        """Visit probabilities of the last week, in double precision."""
        return self._probability(np.arange(self._world.n_customers))

    def next_probability(
        self, offer: Offer, customers: Ints, effect_u: Floats | None = None
    ) -> Floats:
        """Exact visit probabilities of some customers in the week after, given its offer."""
        before = self._probability(customers)
        return self._step(self.past[-1], offer, effect_u, before, customers)

    def _probability(self, customers: Ints) -> Floats:
        """Follow eq. 10 from the oldest week kept, whose estimate inertia has forgotten."""
        first = self.past[0].probability
        probability = np.ones(customers.size) if first is None else first[customers]
        for before, now in zip(self.past[:-1], self.past[1:], strict=True):
            probability = self._step(before, now.offer, now.effect, probability, customers)
        return probability

    def _step(
        self,
        before: Week,
        offer: Offer,
        effect_u: Floats | None,
        probability: Floats,
        customers: Ints,
    ) -> Floats:
        world = self._world
        utility_u = store_utility(
            world.gamma_store_0,
            world.gamma_store_1,
            world.gamma_store_2,
            before.visited[customers],
            self._store_value(before, customers),
            offer.marketing_u[customers],
        )
        if effect_u is not None:
            utility_u = utility_u + effect_u[customers]
        return visit_probability(world.theta[customers], visit_propensity(utility_u), probability)

    def _store_value(self, past: Week, customers: Ints) -> Floats:
        world, offer, values = self._world, past.offer, np.zeros(customers.size)
        shelf = offered(world, past.week)
        for k, u in enumerate(customers):
            if past.visited[u]:
                row, group = np.array([u]), offer.group_u[u]
                word = noise_words(world, self._key, past.week, row)
                utility_ui = capped_utility(
                    utility(world, row, word, offer.log_price_gi[group]), offer.cap_g[group]
                )
                if shelf is not None:
                    utility_ui = shelf_utility(utility_ui, shelf)
                values[k] = store_value(category_value(utility_ui, world.category_sizes))[0]
        return values
