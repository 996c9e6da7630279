"""AgentSim's weekly noise put back into the simulator: what its random keys make of the paper.

Mean and scale of a feature come from one key, so s = |m| and X = m + |m| n instead of
X = m + s n: the same variance, heavier tails, and at its weights more visits (0.77 instead of
0.71 of the weeks). One key also decides a customer's visit and every product choice of the week,
so a visitor only reaches products below the visit's own quantile. Not put back: the hundred keys
(which repeat weeks), and the cap pooled over the customers of the week.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from retail_gym import World, rng
from retail_gym.kernels import Memory, Offer, Purchases
from retail_gym.kernels.reference import ReferenceKernel
from retail_gym.model.utility import capped_utility, price_sensitivity, product_utility
from retail_gym.model.week import Basket, shopping_trip
from retail_gym.rng import Stage
from retail_gym.world.noise import customer_words, noise, noise_words
from retail_gym.world.reference import cap_reference_of_arrays

Floats = NDArray[np.float64]

__all__ = ["AgentSimKernel", "agentsim_cap", "agentsim_feature"]


@cache
def _lattice() -> Floats:
    """X = m + |m| n at the ranks of the 1,021 values of a word's byte sum."""
    generator = np.random.default_rng(0)
    m, n = generator.standard_normal((2, 2_000_000))
    rank = rng.beta_lattice(1.0, 1.0)  # of the uniform law: the probabilities themselves
    return np.quantile(m + np.abs(m) * n, rank)


def agentsim_feature(word: NDArray[np.uint32]) -> Floats:
    """Draw of X = m + |m| n of each word: rank by rank that of ``resampled_feature``."""
    return np.asarray(_lattice()[rng.byte_sum(word)])


def _utility(world: World, u: int, word: NDArray[np.uint32], log_price_i: Floats) -> Floats:
    row = np.array([u])
    return product_utility(
        world.beta_x[row],
        agentsim_feature(word),
        world.beta_z[row],
        world.z,
        price_sensitivity(world.c, world.beta_u[row], world.beta_i),
        log_price_i,
        noise(word, world.eps_loc, world.eps_scale),
    )


def agentsim_cap(world: World) -> World:
    """The same store with the reference sample of its cap drawn from this noise."""
    stage, zero = rng.symbol_stage("cap_noise"), np.zeros(world.n_products)
    level = np.concatenate(
        [
            _utility(world, u, noise_words(world, world.seed, 0, np.array([u]), stage), zero)
            for u in range(world.n_customers)
        ]
    )
    slope = price_sensitivity(world.c, world.beta_u, world.beta_i)
    cap = cap_reference_of_arrays(world.cap_reference.percentile, world.seed, level, slope)
    return replace(world, cap_reference=cap)


class AgentSimKernel(ReferenceKernel):
    """The paper's week with AgentSim's noise; for stores with random marketing."""

    name = "agentsim"

    def week(
        self, world: World, memory: Memory, offer: Offer, episode_key: int, week: int
    ) -> tuple[Memory, Purchases]:
        """One week; the marketing feature is the one with s = |m|."""
        words = customer_words(episode_key, week, Stage.MARKETING, np.arange(world.n_customers))
        seen = replace(offer, marketing_u=agentsim_feature(words))
        return super().week(world, memory, seen, episode_key, week)

    def _trip(self, world: World, offer: Offer, episode_key: int, week: int, u: int) -> Basket:
        row, group = np.array([u]), offer.group_u[u]
        word = noise_words(world, episode_key, week, row)
        utility_ui = _utility(world, u, word, offer.log_price_gi[group])
        visit = rng.uniform(customer_words(episode_key, week, Stage.VISIT, u))
        category, quantity = (
            self._uniform(world, episode_key, week, u, stage)[None, :]
            for stage in (Stage.CATEGORY, Stage.QUANTITY)
        )
        return shopping_trip(
            capped_utility(utility_ui, offer.cap_g[group]),
            category_sizes=world.category_sizes,
            gamma_cate_0_j=world.gamma_cate_0,
            gamma_cate_1_j=world.gamma_cate_1,
            gamma_prod_0_i=world.gamma_prod_0,
            gamma_prod_1_ui=world.gamma_prod_1[row],
            category_uniform_uj=category,
            product_uniform_uj=np.full_like(category, visit),
            quantity_uniform_uj=quantity,
        )
