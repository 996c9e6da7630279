"""What is drawn once per product, per category and for the whole store."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from retail_gym import rng
from retail_gym.model.price import base_price
from retail_gym.world.priors import Listed, Prior, truncated_normal_quantile
from retail_gym.world.store_config import StoreConfig

Floats = NDArray[np.float64]

__all__ = ["Catalog", "draw_catalog", "draw_vector"]


@dataclass(frozen=True)
class Catalog:
    """Products, categories and store-wide scalars of one world."""

    alpha_1: float
    gamma_store_0: float
    gamma_store_1: float
    gamma_store_2: float
    gamma_cate_0: Floats  # J
    gamma_cate_1: Floats  # J
    z: Floats  # I
    alpha_0: Floats  # I [$]
    base_price: Floats  # I [$]
    beta_i: Floats  # I
    gamma_prod_0: Floats  # I


def draw_vector(prior: Prior, seed: int, symbol: str, items: int | ArrayLike) -> Floats:
    """Draw one value per item from the symbol's own stream.

    Args:
        prior: the law, or a list of the n values.
        seed: world seed.
        symbol: name of the coefficient; each name is an independent stream.
        items: item numbers, or n for 0..n-1.

    Returns:
        Draws, shape (n,). The value of an item does not depend on how many others there are.
    """
    if isinstance(prior, Listed) and isinstance(items, int):
        return prior.of_items(symbol, items)
    key = rng.stream_key(seed, 0, rng.symbol_stage(symbol))
    return prior.quantile(rng.uniform(rng.words(key, rng.item_hash(items))))


def draw_catalog(config: StoreConfig, seed: int) -> Catalog:
    """Draw products, categories and store-wide scalars.

    Source: paper Tables 3 and 5, eq. 16; Z as when the published figures were made (its mean
    and scale per product; ``quality_scope="category"`` shares them within a category).
    """
    n_products, n_categories = config.n_products, len(config.category_sizes)

    def scalar(symbol: str) -> float:
        return float(draw_vector(config.prior(symbol), seed, symbol, 1)[0])

    def vector(symbol: str, n: int) -> Floats:
        return draw_vector(config.prior(symbol), seed, symbol, n)

    if config.quality_scope == "product":
        mean, sd = vector("quality_mean", n_products), vector("quality_sd", n_products)
    else:
        mean, sd = (
            np.repeat(vector(symbol, n_categories), config.category_sizes)
            for symbol in ("quality_mean", "quality_sd")
        )
    key = rng.stream_key(seed, 0, rng.symbol_stage("z"))
    uniform = rng.uniform(rng.words(key, rng.item_hash(n_products)))
    z = truncated_normal_quantile(uniform, mean, np.maximum(sd, 1e-12), 0.0, np.inf)
    alpha_0, alpha_1 = vector("alpha_0", n_products), scalar("alpha_1")
    return Catalog(
        alpha_1=alpha_1,
        gamma_store_0=scalar("gamma_store_0"),
        gamma_store_1=scalar("gamma_store_1"),
        gamma_store_2=scalar("gamma_store_2"),
        gamma_cate_0=vector("gamma_cate_0", n_categories) + config.category_shift,
        gamma_cate_1=vector("gamma_cate_1", n_categories),
        z=z,
        alpha_0=alpha_0,
        base_price=base_price(alpha_0, alpha_1, z, config.lowest_price),
        beta_i=vector("beta_i", n_products),
        gamma_prod_0=vector("gamma_prod_0", n_products),
    )
