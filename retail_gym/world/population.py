"""What is drawn once per customer, and per customer and product.

Any block of customers and products can be drawn on its own, and drawn again later: the value
of a pair depends on the world seed, the symbol, the customer and the product alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from retail_gym import rng
from retail_gym.world.priors import Prior
from retail_gym.world.store_config import StoreConfig

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]

__all__ = ["Coefficients", "draw_coefficients", "draw_customers"]


@dataclass(frozen=True)
class Coefficients:
    """Coefficients per customer and product, in single precision (that is their definition)."""

    beta_x: Floats32
    beta_z: Floats32
    gamma_prod_1: Floats32
    feature_mean: Floats32 | None  # only with persistent features
    feature_scale: Floats32 | None


def draw_customers(prior: Prior, seed: int, symbol: str, customers: ArrayLike) -> Floats:
    """Draw one value per customer from the symbol's own stream, shape of ``customers``."""
    key = rng.stream_key(seed, 0, rng.symbol_stage(symbol), customers)
    return prior.quantile(rng.uniform(rng.words(key, rng.item_hash(1)[0])))


def draw_coefficients(
    config: StoreConfig, seed: int, customers: ArrayLike, products: int | ArrayLike
) -> Coefficients:
    """Draw the coefficients of customers and products.

    Args:
        config: the store's priors.
        seed: world seed.
        customers: customer numbers, shape (U,) or, for single pairs, (N,).
        products: n for all products 0..n-1 (result shape (U, n)), or product numbers of shape
            (N,), one for each customer given (result shape (N,)).

    Returns:
        The coefficients, float32.

    Source: paper Table 3; X_uit = m + s n_t with m, s drawn once where features persist.
    """
    hashed = rng.item_hash(products)
    grid = isinstance(products, int | np.integer)

    def word(symbol: str) -> NDArray[np.uint32]:
        key = rng.stream_key(seed, 0, rng.symbol_stage(symbol), customers)
        if grid:
            key = rng.Key(key.k1[:, None], key.k2[:, None])
        return rng.words(key, hashed)

    def draw(symbol: str) -> Floats32:
        return config.prior(symbol).from_words(word(symbol)).astype(np.float32)

    persistent = config.features == "persistent"
    return Coefficients(
        beta_x=draw("beta_x"),
        beta_z=draw("beta_z"),
        gamma_prod_1=draw("gamma_prod_1"),
        feature_mean=rng.normal(word("feature_mean")).astype(np.float32) if persistent else None,
        feature_scale=np.abs(rng.normal(word("feature_scale"))).astype(np.float32)
        if persistent
        else None,
    )
