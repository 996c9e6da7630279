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

import numpy as np
from numpy.typing import NDArray

from retail_gym import rng
from retail_gym.model import price as model
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
        self._rank_a01 = self._words(0, rng.Stage.RANK_A01)
        self._rank_a11 = self._words(0, rng.Stage.RANK_A11)
        self._discounted_si = np.zeros((n_segments, n_products), dtype=bool)

    def _words(self, week: int, stage: rng.Stage) -> NDArray[np.uint32]:
        return rng.words(rng.stream_key(self._key, week, stage), self._items)

    def step(self, plans: Sequence[PromotionPlan], week: int) -> Floats:
        """Move every product's state and draw the week's discounts.

        Args:
            plans: one plan per segment.
            week: week of the episode, counted from 1.

        Returns:
            Discounts in [0, 1], shape (S, I).
        """
        state_word = self._words(week, rng.Stage.DISCOUNT_STATE)
        depth_word = self._words(week, rng.Stage.DISCOUNT_DEPTH)
        discount_si = np.zeros(self._discounted_si.shape)
        for s, plan in enumerate(plans):
            if plan.depth is None:
                self._discounted_si[s] = False
                continue
            self._discounted_si[s] = model.discount_state(
                self._discounted_si[s],
                self._draw(plan.a01, self._rank_a01),
                self._draw(plan.a11, self._rank_a11),
                rng.uniform(state_word),
            )
            depth = self._draw(plan.depth, depth_word)
            discount_si[s] = model.discount(self._discounted_si[s], depth)
        return discount_si

    @staticmethod
    def _draw(law: Law | None, word: NDArray[np.uint32]) -> Floats:
        if isinstance(law, Beta):
            return rng.beta(word, law.a, law.b)
        values = np.asarray(law, dtype=np.float64)
        if values.ndim and values.shape != word.shape:
            raise ValueError(
                f"the promotion plan has {values.size} transition probabilities for "
                f"{word.size} products"
            )
        return values

    def snapshot(self) -> NDArray[np.bool_]:
        """The discount states, shape (S, I)."""
        return self._discounted_si.copy()

    def restore(self, state: NDArray[np.bool_]) -> None:
        """Go back to a snapshot of the same episode."""
        self._discounted_si = state.copy()
