r"""The high-low promotion process: from an action to the week's discount of each product.

A product is at its base price or discounted; it moves between the two states as a Markov chain
and, while discounted, draws a new depth every week (paper section 3.5). An agent changes the
laws from week to week, so each product keeps two uniform *ranks* for the episode: its
transition probabilities are the quantiles of the current laws at its ranks. A product that is
promoted often under one frequency is promoted often under every frequency.

All products start undiscounted, and the first action's transition applies before the first
week's prices. Segments share the product draws: equal plans give equal discounts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retail_gym import rng
from retail_gym.kernels.shelf import Laws, shelf_weeks
from retail_gym.world.priors import Beta
from retail_gym.world.store_config import Law, PromotionPlan

Floats = NDArray[np.float64]
Row = tuple[NDArray[Any], int]  # an array of several episodes, and the row of this one

__all__ = ["Promotion", "Shelf", "laws", "stock"]


class Promotion:
    """Discount states of every product in one episode.

    Args:
        n_products: I.
        episode_key: the episode's randomness.
        n_segments: segments of customers with a plan each; they share the product draws.
    """

    def __init__(self, n_products: int, episode_key: int, n_segments: int = 1) -> None:
        self.key = episode_key
        self.items = rng.item_hash(n_products)
        stages = (rng.Stage.RANK_A01, rng.Stage.RANK_A11)
        words = [rng.words(rng.stream_key(episode_key, 0, stage), self.items) for stage in stages]
        self.rank: Row = (rng.byte_sum(np.stack(words)).astype(np.uint16)[None], 0)  # 2, I
        self.discounted: Row = (np.zeros((1, n_segments, n_products), dtype=bool), 0)  # S, I

    def step(self, plans: Sequence[PromotionPlan], week: int) -> Floats:
        """Move every product's state and draw the week's discounts.

        Args:
            plans: one plan per segment.
            week: week of the episode, counted from 1.

        Returns:
            Discounts in [0, 1], shape (S, I).

        Source: paper eq. 13-15.
        """
        one, zero = np.ones(self.items.size), np.zeros(self.items.size)
        shelf = stock([self], [plans], [week], one, zero, 1e-300)
        return np.asarray(shelf.discount[0])

    def snapshot(self) -> NDArray[np.bool_]:
        """The discount states, shape (S, I)."""
        states, row = self.discounted
        return np.array(states[row])

    def restore(self, state: NDArray[np.bool_]) -> None:
        """Go back to a snapshot of the same episode."""
        self.discounted = (state[None].copy(), 0)


class Shelf(NamedTuple):
    """What is on offer in E episodes and S segments; arrays (E, S, I)."""

    discount: Floats  # drawn, in [0, 1], before the price floor
    price: Floats  # [$]
    log_price: Floats


def laws(promotions: Sequence[Promotion], plans: Sequence[Sequence[PromotionPlan]]) -> Laws:
    """What moves the shelf of several episodes, whose states from now on lie in one array.

    Args:
        promotions: one per episode, of the same catalogue and number of segments.
        plans: one plan per episode and segment.

    Raises:
        ValueError: for a plan with a probability per product of another catalogue.
    """
    items = promotions[0].items
    rank = _joined([promotion.rank for promotion in promotions])
    state = _joined([promotion.discounted for promotion in promotions])
    for e, promotion in enumerate(promotions):
        promotion.rank, promotion.discounted = (rank, e), (state, e)
    # A plan may have a probability for each product: then every law is written out in full.
    full = any(isinstance(law, np.ndarray) for row in plans for p in row for law in (p.a01, p.a11))
    shape = (len(promotions), state.shape[1])
    n_sums = rng.gumbel_lattice().size
    transition = np.zeros((*shape, 2, items.size if full else n_sums))
    depth, on = np.zeros((*shape, n_sums + 1)), np.zeros(shape, dtype=bool)
    for e, row in enumerate(plans):
        for s, plan in enumerate(row):
            if plan.a01 is None or plan.a11 is None or plan.depth is None:
                continue
            on[e, s], depth[e, s, :n_sums] = True, _by_rank(plan.depth)
            if plan.a01 is plan.a11 and not full:  # a (depth, frequency) policy
                transition[e, s] = _by_rank(plan.a01)
                continue
            for k, law in enumerate((plan.a01, plan.a11)):
                transition[e, s, k] = _per_product(law, rank[e, k]) if full else _by_rank(law)
    with np.errstate(divide="ignore"):  # a depth of 1 leaves nothing; the floor takes care
        log_kept = np.log(1.0 - depth)
    if full:  # every product is of its own rank
        each = np.arange(items.size, dtype=np.uint16)
        rank = np.broadcast_to(each, rank.shape).copy()
    return Laws(on, transition, rank, depth, log_kept, state)


def stock(
    promotions: Sequence[Promotion],
    plans: Sequence[Sequence[PromotionPlan]],
    weeks: Sequence[int],
    base_price_i: Floats,
    log_base_price_i: Floats,
    lowest_price: float,
) -> Shelf:
    """Move several episodes by a week each, in one pass; :meth:`Promotion.step` moves one.

    Args:
        promotions: one per episode, of the same catalogue and number of segments.
        plans: one plan per episode and segment.
        weeks: week of each episode, counted from 1.
        base_price_i: base prices [$], shape (I,).
        log_base_price_i: their logs.
        lowest_price: floor [$].

    Returns:
        Discounts, prices and their logs; log P = log base + log(1 - D), which is not rounded as
        the log of the product is.

    Raises:
        ValueError: for a plan with a probability per product of another catalogue.

    Source: paper eq. 13-16.
    """
    moving = laws(promotions, plans)
    discount, price, log_price = (np.empty(moving.state.shape) for _ in range(3))
    shelf_weeks(
        promotions[0].items,
        np.array([promotion.key for promotion in promotions], dtype=np.uint64),
        np.array(weeks, dtype=np.int64),
        moving,
        base_price_i,
        log_base_price_i,
        lowest_price,
        discount,
        price,
        log_price,
    )
    return Shelf(discount, price, log_price)


def _by_rank(law: Law) -> Floats | float:
    """A law's quantiles by byte sum, or the one value of a constant."""
    return rng.beta_lattice(law.a, law.b) if isinstance(law, Beta) else law


def _per_product(law: Law, rank_i: NDArray[np.uint16]) -> Floats | float:
    """Transition probability of every product: the law's quantile at the product's rank."""
    if isinstance(law, Beta):
        return np.asarray(rng.beta_lattice(law.a, law.b)[rank_i])
    if isinstance(law, np.ndarray) and law.size != rank_i.size:
        raise ValueError(
            f"the promotion plan has {law.size} transition probabilities for {rank_i.size} products"
        )
    return law


def _joined(rows: Sequence[Row]) -> NDArray[Any]:
    """The array of some rows; no copy where they lie in one array, one after the other."""
    array, first = rows[0]
    if all(other is array and row == first + k for k, (other, row) in enumerate(rows)):
        return array[first : first + len(rows)]
    return np.stack([other[row] for other, row in rows])
