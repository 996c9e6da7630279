r"""The catalogue of a store with a CatalogLayer: appeal, popularity and prices drawn together.

For the average customer (medians of beta_u and beta_z) at base prices

.. math:: \beta^z Z_i + c\,\beta^w_u \beta^w_i \log P_i = \text{popularity}_i + \text{constant},\quad
          \gamma_{0j} + \gamma_{1j} CV_j = \text{appeal}_j

so qualities Z and intercepts gamma_0 follow from the figures drawn, and prices act as in the
paper. The noise of a week is not counted in CV_j.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from retail_gym.model.category_choice import category_value
from retail_gym.world.catalog import Catalog, draw_catalog, draw_vector
from retail_gym.world.priors import Listed, Prior, Uniform
from retail_gym.world.store_config import StoreConfig

Floats = NDArray[np.float64]

__all__ = ["appeal_score", "by_category", "category_appeal", "draw_store_catalog", "normal_scores"]


def normal_scores(values: ArrayLike) -> Floats:
    """Standard normal quantiles at (rank + 1/2) / n: stratified, whatever the values' law."""
    values = np.asarray(values)
    rank = np.empty(values.size)
    rank[np.argsort(values, kind="stable")] = np.arange(values.size)
    return np.asarray(special.ndtri((rank + 0.5) / values.size))


def _correlated(score: Floats, correlation: float, seed: int, symbol: str) -> Floats:
    """Stratified normal scores that correlate with given ones, drawn from the symbol's stream."""
    own = special.ndtri(draw_vector(Uniform(0.0, 1.0), seed, symbol, score.size))
    return normal_scores(correlation * score + np.sqrt(1.0 - correlation**2) * own)


def appeal_score(config: StoreConfig, seed: int) -> Floats:
    """Normal scores of the categories' appeal, shape (J,); 0 without a CatalogLayer."""
    if config.layers is None or config.layers.catalog is None:
        return np.zeros(len(config.category_sizes))
    layer = config.layers.catalog
    if isinstance(layer.appeal, Listed):
        return normal_scores(layer.appeal.of_items("appeal", len(config.category_sizes)))
    size = normal_scores(config.category_sizes)
    return _correlated(size, layer.size_correlation, seed, "appeal")


def by_category(prior: Prior, score: Floats, correlation: float, seed: int, symbol: str) -> Floats:
    """A figure of each category that goes with its appeal, shape (J,): drawn, or as listed.

    Args:
        prior: the law, met at stratified quantiles, or the list of values.
        score: normal scores of appeal, shape (J,).
        correlation: of the figure's normal score with them.
        seed: world seed.
        symbol: its stream.
    """
    if isinstance(prior, Listed):
        return prior.of_items(symbol, score.size)
    return prior.quantile(special.ndtr(_correlated(score, correlation, seed, symbol)))


def category_appeal(config: StoreConfig, seed: int) -> Floats:
    """Log-odds of each category for the average customer at base prices, shape (J,).

    Args:
        config: a store with a CatalogLayer.
        seed: world seed.
    """
    assert config.layers is not None
    assert config.layers.catalog is not None
    prior, n = config.layers.catalog.prior("appeal"), len(config.category_sizes)
    if isinstance(prior, Listed):
        return prior.of_items("appeal", n) + config.category_shift
    return prior.quantile(special.ndtr(appeal_score(config, seed))) + config.category_shift


def median_of(prior: Prior) -> float:
    """The median of a law."""
    return float(prior.quantile(0.5))


def _of_products(prior: Prior, name: str, sizes: NDArray[np.int64]) -> Floats | float:
    """One number, or of each product its category's."""
    if isinstance(prior, Listed):
        return np.repeat(prior.of_items(name, sizes.size), sizes)
    return median_of(prior)


def draw_store_catalog(config: StoreConfig, seed: int) -> Catalog:
    """Draw products, categories and store-wide scalars, by the CatalogLayer where there is one."""
    plain = draw_catalog(config, seed)
    if config.layers is None or config.layers.catalog is None:
        return plain
    layer, sizes = config.layers.catalog, np.asarray(config.category_sizes)
    appeal = appeal_score(config, seed)

    none = np.zeros(config.n_products)
    score = _correlated(none, 0.0, seed, "popularity")
    lead = _of_products(layer.prior("popularity_lead"), "popularity_lead", sizes)
    shape = score + layer.popularity_skew * (score**2 - 1.0) + lead * np.maximum(score, 0.0) ** 2
    popularity = layer.popularity_sd * shape
    of_category = _correlated(appeal, layer.price_appeal_correlation, seed, "price_category")
    of_product = _correlated(score, layer.price_popularity_correlation, seed, "price_product")
    log_price = np.repeat(layer.price_category_sd * of_category, sizes)
    of_product = of_product + layer.price_product_skew * (of_product**2 - 1.0)
    spread = _of_products(layer.prior("price_product_sd"), "price_product_sd", sizes)
    spread = np.maximum(spread, 0.0) * np.exp(-layer.price_narrowing * score)
    above = np.clip(spread * of_product, -layer.price_reach, layer.price_reach)
    log_price += above
    level = layer.prior("log_price")
    if isinstance(level, Listed):
        log_price += np.repeat(level.of_items("log_price", sizes.size), sizes)
    else:  # large categories weigh more
        log_price += median_of(level) - log_price.mean()
    price = np.maximum(np.exp(log_price), config.lowest_price)

    def median(symbol: str) -> float:
        return median_of(config.prior(symbol))

    beta_w = config.c * median("beta_u") * plain.beta_i
    beta_z = median("beta_z")
    if beta_z <= 0.0:
        raise ValueError(
            "a CatalogLayer needs a positive median of beta_z, which carries popularity"
        )
    quality = (popularity - beta_w * np.log(price)) / beta_z
    quality -= quality.min()
    utility = beta_z * quality + beta_w * np.log(price)
    value = category_value(utility, sizes)
    gamma_prod_0 = plain.gamma_prod_0
    quantity = config.layers.quantity
    if quantity is not None and quantity.log_rate is not None:
        log_rate = by_category(
            quantity.prior("log_rate"), appeal, quantity.appeal_correlation, seed, "quantity_rate"
        )
        gamma_prod_0 = np.repeat(log_rate, sizes) - median("gamma_prod_1") * utility
        gamma_prod_0 -= quantity.price_weight * above
    return replace(
        plain,
        gamma_cate_0=category_appeal(config, seed) - plain.gamma_cate_1 * value,
        z=quality,
        alpha_0=price - plain.alpha_1 * quality,
        base_price=price,
        gamma_prod_0=gamma_prod_0,
    )
