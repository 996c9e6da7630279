"""Which categories are in the basket, without products: the basket layer alone.

The full store's category choice with one simplification: the value of a category, which moves
with prices and with what is on the shelf, is that of products without their weekly noise, and is
interpolated over customers' price sensitivity. The draws are the store's own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import special

from retail_gym import rng
from retail_gym.calibration.visits import Households, simulate_visits
from retail_gym.data.table import Transactions
from retail_gym.model.basket_effects import one_category
from retail_gym.model.category_choice import category_value
from retail_gym.promotion import Promotion
from retail_gym.rng import Stage
from retail_gym.world.layer_draws import draw_layers
from retail_gym.world.layered_catalog import category_appeal
from retail_gym.world.population import draw_customers
from retail_gym.world.store_config import StoreConfig
from retail_gym.world.trip import offered, trips
from retail_gym.world.world import build_world

Floats = NDArray[np.float64]

__all__ = ["CategoryValues", "category_values", "simulate_baskets"]

#: Quantiles of price sensitivity at which category values are computed.
NODES: Final = (0.02, 0.25, 0.5, 0.75, 0.98)


@dataclass(frozen=True)
class CategoryValues:
    """What prices and shelves add to the log-odds of categories, week by week."""

    beta_u: Floats  # G: customer factors of price sensitivity, in order
    effect_gtj: Floats  # G, T, J: gamma_cate_1 (CV - CV of the average customer at base prices)

    def rows(self, beta_u: Floats, week: int) -> Floats:
        """Effects of some customers in a week, shape (B, J)."""
        place = np.interp(beta_u, self.beta_u, np.arange(self.beta_u.size))
        low = np.minimum(place.astype(np.int64), self.beta_u.size - 2)
        share = (place - low)[:, None]
        effect_gj = self.effect_gtj[:, week - 1]
        return np.asarray((1.0 - share) * effect_gj[low] + share * effect_gj[low + 1])


def category_values(config: StoreConfig, seed: int, episode_key: int, weeks: int) -> CategoryValues:
    """Compute them for a store under its own promotions."""
    world = build_world(config.override(n_customers=1), seed)
    sizes = world.category_sizes
    nodes = np.sort(config.prior("beta_u").quantile(np.array(NODES)))
    if nodes[0] == nodes[-1]:
        nodes = nodes[0] + np.array([-1e-9, 1e-9])
    beta_z = float(config.prior("beta_z").quantile(0.5))
    average = float(config.prior("beta_u").quantile(0.5))

    def value(beta: float, log_price: Floats, shelf: NDArray[np.bool_] | None) -> Floats:
        utility = beta_z * world.z + world.c * beta * world.beta_i * log_price
        if shelf is not None:
            utility = np.where(shelf, utility, -np.inf)
        return category_value(utility, sizes)

    base = value(average, world.log_base_price, None)
    promotion = Promotion(world.n_products, episode_key)
    effect = np.empty((nodes.size, weeks, sizes.size))
    for week in range(1, weeks + 1):
        discount = promotion.step([world.promotion], week)
        log_price = world.log_base_price + np.log1p(-np.minimum(discount, 1.0 - 1e-9))
        shelf = offered(world, week)
        for g, beta in enumerate(nodes):
            effect[g, week - 1] = world.gamma_cate_1 * (value(beta, log_price, shelf) - base)
    return CategoryValues(nodes, effect)


def simulate_baskets(
    config: StoreConfig,
    seed: int,
    episode_key: int,
    weeks: int,
    values: CategoryValues,
    name: str = "baskets",
) -> Transactions:
    """Simulate visits and categories: a table with one product in each category.

    Args:
        config: a store with a CatalogLayer, a VisitLayer and a BasketLayer.
        seed: world seed.
        episode_key: luck.
        weeks: weeks.
        values: of the categories.
        name: of the table.
    """
    import polars as pl

    layers = config.layers
    assert layers is not None
    drawn = draw_layers(
        config.override(layers=replace(layers, assortment=None, quantity=None, availability=None)),
        seed,
    )
    assert drawn is not None
    n = config.n_customers
    households = Households(n, drawn)
    visited_ut = simulate_visits(households, episode_key, weeks)
    beta_u = draw_customers(config.prior("beta_u"), seed, "beta_u", np.arange(n))
    appeal_j = category_appeal(config, seed)
    items = rng.item_hash(appeal_j.size)
    columns: list[tuple[NDArray[np.int64], ...]] = []
    for week in range(1, weeks + 1):
        who = np.flatnonzero(visited_ut[:, week - 1])
        effect = trips(households.world, episode_key, week, who).category_uj
        assert effect is not None
        chance = special.expit(appeal_j + effect + values.rows(beta_u[who], week))
        key = rng.stream_key(episode_key, week, Stage.CATEGORY, who)
        word = rng.words(rng.Key(key.k1[:, None], key.k2[:, None]), items)
        bought = rng.uniform(word) < chance
        if layers.basket is not None and layers.basket.something:
            _something(bought, chance, episode_key, week, who)
        row, category = np.nonzero(bought)
        columns.append((np.full(row.size, week), who[row], category))
    week_l, customer_l, category_l = (
        np.concatenate(column) for column in zip(*columns, strict=True)
    )
    frame = pl.DataFrame(
        {"week": week_l, "customer": customer_l, "category": category_l, "product": category_l}
    ).with_columns(
        quantity=pl.lit(1, pl.Int64), unit_price=1.0, discount=0.0, base_price=1.0, revenue=1.0
    )
    return Transactions(frame, np.arange(n), weeks, name)


def _something(
    bought: NDArray[np.bool_],
    chance: Floats,
    episode_key: int,
    week: int,
    who: NDArray[np.int64],
) -> None:
    """A trip that would buy nothing buys in one category."""
    empty = np.flatnonzero(~bought.any(axis=1))
    key = rng.stream_key(episode_key, week, Stage.SOMETHING, who[empty])
    for row, uniform in zip(empty, rng.uniform(rng.words(key, rng.item_hash(1)[0])), strict=True):
        bought[row, one_category(chance[row], float(uniform))] = True
