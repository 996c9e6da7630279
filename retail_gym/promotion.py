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
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retail_gym import rng
from retail_gym.kernels.passes import promotion_week
from retail_gym.world.priors import Beta
from retail_gym.world.store_config import Law, PromotionPlan

Floats = NDArray[np.float64]

__all__ = ["Promotion"]


class Promotion:
    """Discount states of every product in one episode.

    Args:
        n_products: I.
        episode_key: the episode's randomness.
        n_segments: segments of customers with a plan each; they share the product draws.
    """

    def __init__(self, n_products: int, episode_key: int, n_segments: int = 1) -> None:
        self._key = episode_key
        self._items = rng.item_hash(n_products)
        self._rank = {
            "a01": rng.byte_sum(self._words(0, rng.Stage.RANK_A01)),
            "a11": rng.byte_sum(self._words(0, rng.Stage.RANK_A11)),
        }
        self._discounted_si = np.zeros((n_segments, n_products), dtype=bool)
        self._kept: dict[str, tuple[Law, Floats]] = {}

    def _words(self, week: int, stage: rng.Stage) -> NDArray[np.uint32]:
        return rng.words(rng.stream_key(self._key, week, stage), self._items)

    def step(self, plans: Sequence[PromotionPlan], week: int) -> Floats:
        """Move every product's state and draw the week's discounts.

        Args:
            plans: one plan per segment.
            week: week of the episode, counted from 1.

        Returns:
            Discounts in [0, 1], shape (S, I).

        Source: paper eq. 13-15 (:func:`retail_gym.model.price.discount_state` and
        :func:`~retail_gym.model.price.discount`, compiled in one pass).
        """
        state_key = _halves(self._key, week, rng.Stage.DISCOUNT_STATE)
        depth_key = _halves(self._key, week, rng.Stage.DISCOUNT_DEPTH)
        discount_si = np.zeros(self._discounted_si.shape)
        for s, plan in enumerate(plans):
            if plan.a01 is None or plan.a11 is None or plan.depth is None:
                self._discounted_si[s] = False
                continue
            promotion_week(
                self._items,
                state_key,
                depth_key,
                self._probability("a01", plan.a01),
                self._probability("a11", plan.a11),
                _depth_lattice(plan.depth),
                self._discounted_si[s],
                discount_si[s],
            )
        return discount_si

    def _probability(self, name: str, law: Law) -> Floats:
        """Transition probability of every product: the law's quantile at the product's rank."""
        kept = self._kept.get(name)
        if kept is not None and (kept[0] is law or (isinstance(law, Beta) and kept[0] == law)):
            return kept[1]
        rank = self._rank[name]
        if isinstance(law, Beta):
            values = rng.beta_lattice(law.a, law.b)[rank]
        else:
            values = np.asarray(law, dtype=np.float64)
            if values.ndim and values.shape != rank.shape:
                raise ValueError(
                    f"the promotion plan has {values.size} transition probabilities for "
                    f"{rank.size} products"
                )
            values = np.array(np.broadcast_to(values, rank.shape))
        self._kept[name] = (law, values)
        return values

    def snapshot(self) -> NDArray[np.bool_]:
        """The discount states, shape (S, I)."""
        return self._discounted_si.copy()

    def restore(self, state: NDArray[np.bool_]) -> None:
        """Go back to a snapshot of the same episode."""
        self._discounted_si = state.copy()


def _halves(key: int, week: int, stage: rng.Stage) -> tuple[Any, Any]:
    halves = rng.stream_key(key, week, stage)
    return halves.k1[()], halves.k2[()]


def _depth_lattice(law: Beta | float) -> Floats:
    """Depth by byte sum of the draw."""
    if isinstance(law, Beta):
        return rng.beta_lattice(law.a, law.b)
    depth = np.full(rng.beta_lattice(1.0, 1.0).size, float(law))
    depth.flags.writeable = False  # one type for the compiler, with the tables of rng
    return depth
