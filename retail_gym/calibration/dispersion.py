"""How much the price paid for a product varies around its shelf price, read off a table.

What a purchase would have cost without its discount varies from week to week: local prices, sizes of
packs, weights. Of products that sell nearly every week the standard deviation of its log, week by
week, is seen; its law over products is taken to be lognormal. Part of it may be changes of the shelf
price, which customers do answer; how much of it they do not is fitted afterwards, by the response to
prices (:mod:`retail_gym.calibration.levels`).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from retail_gym.calibration.promotions import CUSTOMERS, LEAST_PRODUCTS, WEEKS_SOLD
from retail_gym.calibration.promotions import NEGLIGIBLE as NO_DISCOUNTS
from retail_gym.data.table import Transactions
from retail_gym.world.layers import DispersionLayer
from retail_gym.world.priors import LogNormal

__all__ = ["fit_dispersion"]

#: Smaller standard deviations of the median product are no dispersion.
NEGLIGIBLE: Final = 0.003
#: Largest discount that a base price is told from.
DEEPEST: Final = 0.95


def fit_dispersion(table: Transactions) -> DispersionLayer | None:
    """Estimate the layer; None for a table without it, or that does not show it.

    A table without discounts may have those of which it does not say so: then what moves prices
    is not known.
    """
    import polars as pl

    if table.facts["discounted_share"] < NO_DISCOUNTS:
        return None

    full = (pl.col("unit_price") / (1.0 - pl.col("discount")).clip(1.0 - DEEPEST)).log()
    spreads = (
        table.frame.filter(pl.col("week").is_between(2, table.n_weeks - 1))
        .group_by("product", "week")
        .agg(full.mean().alias("price"), pl.len().alias("rows"))
        .filter(
            (pl.len().over("product") >= WEEKS_SOLD * (table.n_weeks - 2))
            & (pl.col("rows").mean().over("product") >= CUSTOMERS)
        )
        .sort("product", "week")  # groups come in any order, and sums depend on it
        .group_by("product", maintain_order=True)
        .agg(pl.col("price").std())["price"]
        .to_numpy()
    )
    if spreads.size < LEAST_PRODUCTS or np.median(spreads) < NEGLIGIBLE:
        return None
    logs = np.log(np.maximum(spreads, NEGLIGIBLE))
    low, middle, high = np.quantile(logs, [0.16, 0.5, 0.84])  # a standard deviation each way
    return DispersionLayer(LogNormal(float(middle), max(float(high - low) / 2.0, 0.05)))
