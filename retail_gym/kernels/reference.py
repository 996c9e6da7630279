"""The reference kernel: a loop over the model's functions. Slow, obvious, the oracle."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from retail_gym import rng
from retail_gym.kernels.base import Memory, Offer, PlainMemory, Purchases, Request
from retail_gym.kernels.layered import has_layers, layered_week
from retail_gym.model.utility import capped_utility
from retail_gym.model.week import Basket, shopping_trip, store_visit
from retail_gym.rng import Stage
from retail_gym.world.noise import customer_words, noise_words, utility
from retail_gym.world.world import World

__all__ = ["ReferenceKernel"]


class ReferenceKernel:
    """Float64 NumPy, one customer at a time (a row of products then stays in cache)."""

    name = "reference"

    def supports(self, world: World) -> bool:
        """Every store."""
        return True

    def weeks(self, world: World, requests: Sequence[Request]) -> list[tuple[Memory, Purchases]]:
        """One week in each episode; see :class:`retail_gym.kernels.base.Kernel`."""
        return [self.week(world, *request) for request in requests]

    def week(
        self, world: World, memory: Memory, offer: Offer, episode_key: int, week: int
    ) -> tuple[Memory, Purchases]:
        """One week by the equations."""
        if has_layers(world):
            return layered_week(world, memory, offer, episode_key, week)
        everybody = np.arange(world.n_customers)
        if week == 1:
            probability_u = np.ones(world.n_customers)  # eq. 10
        else:
            probability_u = store_visit(
                gamma_store_0=world.gamma_store_0,
                gamma_store_1=world.gamma_store_1,
                gamma_store_2=world.gamma_store_2,
                theta_u=world.theta,
                visited_u=memory.visited,
                store_value_u=memory.store_value,
                previous_probability_u=memory.visit_probability,
                marketing_u=offer.marketing_u,
            )
        word_u = customer_words(episode_key, week, Stage.VISIT, everybody)
        visited_u = rng.uniform(word_u) < probability_u

        store_value_u = np.zeros(world.n_customers)
        baskets: list[tuple[int, Basket]] = []
        for u in np.flatnonzero(visited_u):
            basket = self._trip(world, offer, episode_key, week, int(u))
            store_value_u[u] = basket.store_value_u[0]
            baskets.append((int(u), basket))
        return PlainMemory(visited_u, probability_u, store_value_u), _lines(baskets)

    def _trip(self, world: World, offer: Offer, episode_key: int, week: int, u: int) -> Basket:
        row = np.array([u])
        group = offer.group_u[u]
        word = noise_words(world, episode_key, week, row)
        utility_ui = capped_utility(
            utility(world, row, word, offer.log_price_gi[group]), offer.cap_g[group]
        )
        draws = [
            self._uniform(world, episode_key, week, u, stage)
            for stage in (Stage.CATEGORY, Stage.PRODUCT, Stage.QUANTITY)
        ]
        return shopping_trip(
            utility_ui,
            category_sizes=world.category_sizes,
            gamma_cate_0_j=world.gamma_cate_0,
            gamma_cate_1_j=world.gamma_cate_1,
            gamma_prod_0_i=world.gamma_prod_0,
            gamma_prod_1_ui=world.coefficients.rows(row).gamma_prod_1,
            category_uniform_uj=draws[0][None, :],
            product_uniform_uj=draws[1][None, :],
            quantity_uniform_uj=draws[2][None, :],
        )

    def _uniform(
        self, world: World, episode_key: int, week: int, u: int, stage: Stage
    ) -> NDArray[np.float64]:
        """Draws of one stage for one customer, one per category, shape (J,)."""
        key = rng.stream_key(episode_key, week, stage, u)
        return rng.uniform(rng.words(key, rng.item_hash(world.n_categories)))


def _lines(baskets: list[tuple[int, Basket]]) -> Purchases:
    none = np.zeros(0, dtype=np.int64)
    parts = [none], [none], [none], [none]
    for u, basket in baskets:
        parts[0].append(np.full(basket.product.size, u))
        parts[1].append(basket.category)
        parts[2].append(basket.product)
        parts[3].append(basket.quantity)
    return Purchases(*(np.concatenate(part) for part in parts))
