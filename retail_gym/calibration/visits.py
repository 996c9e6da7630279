"""Who comes when, without the store: the visit layer alone, with the store's own draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from retail_gym import rng
from retail_gym.model.store_visit import visit_propensity
from retail_gym.model.visit_effects import opening_probability
from retail_gym.rng import Stage
from retail_gym.world.layer_draws import DrawnLayers
from retail_gym.world.noise import customer_words
from retail_gym.world.trip import drift, visit_effects
from retail_gym.world.world import World

__all__ = ["Households", "simulate_visits"]


@dataclass(frozen=True)
class Households:
    """Customers with the layers drawn for them, and no store."""

    n_customers: int
    layers: DrawnLayers

    @property
    def world(self) -> World:
        """As the draws of a week take it: of a world they read these two fields alone."""
        return cast(World, self)


def simulate_visits(households: Households, episode_key: int, weeks: int) -> NDArray[np.bool_]:
    """Visits of a store whose prices do not move them, shape (U, T).

    The very visits of a full simulation with this episode key if gamma_store_0 to 2 and theta
    are 0 and the store has a VisitLayer.
    """
    layer = households.layers.config.visit
    assert layer is not None
    visited = np.zeros((households.n_customers, weeks), dtype=bool)
    drift_u = None
    for week in range(1, weeks + 1):
        drift_u = drift(households.world, episode_key, week, drift_u)
        utility_u = visit_effects(households.world, episode_key, week, drift_u)
        chance_u = (
            opening_probability(utility_u, layer.opening)
            if week == 1
            else visit_propensity(utility_u)
        )
        word_u = customer_words(episode_key, week, Stage.VISIT, np.arange(visited.shape[0]))
        visited[:, week - 1] = rng.uniform(word_u) < chance_u
    return visited
