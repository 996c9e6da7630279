"""How sales of a product move with its own price, measured alike in real and simulated tables.

The regression: over product-weeks with a sale, log units on log mean price paid (revenue /
units), with effects of products and of weeks taken out by demeaning; products that sell in nearly
every week and whose price moves. A coefficient of -1.5 says: in a week in which a product is 1 %
cheaper than usual, 1.5 % more of it is sold.

What it is not: an elasticity of the customers. Weeks without a sale are missing, which pulls it
towards zero; prices are averaged over stores, baskets and coupons; promotions bring display and
advertising as well as a lower price; and shoppers who stock up buy earlier, not more. It is a
reduced form, to be matched by the same regression on simulated purchases (indirect inference).
The mean over the literature on grocery products is about -2.6 (Bijmolt, van Heerde, Pieters 2005).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from retail_gym.config import check_finite, check_int
from retail_gym.data.table import Transactions

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

__all__ = ["PriceResponse", "price_response"]

#: Weeks without a sale that a product may have, unless told otherwise.
GAPS: Final = 3
#: Smallest standard deviation of a product's demeaned log price.
MIN_SPREAD: Final = 0.05
#: Alternating projections end when no value moves by more than this.
TOLERANCE: Final = 1e-9


@dataclass(frozen=True)
class PriceResponse:
    """The price coefficient of a table, pooled and by product."""

    coefficient: float  # pooled over products
    standard_error: float  # robust to heteroscedasticity and correlation within a product
    n_products: int
    n_product_weeks: int
    by_product: Floats = field(repr=False)  # one coefficient each

    @property
    def mean(self) -> float:
        """Mean of the products' coefficients."""
        return float(self.by_product.mean())

    def quantile(self, q: float) -> float:
        """Quantile of the products' coefficients."""
        return float(np.quantile(self.by_product, q))

    def describe(self) -> str:
        """The figures as text."""
        low, middle, high = (self.quantile(q) for q in (0.25, 0.5, 0.75))
        return (
            f"price coefficient {self.coefficient:.2f} (standard error "
            f"{self.standard_error:.2f}; {self.n_products:,} products, "
            f"{self.n_product_weeks:,} product-weeks); by product: median {middle:.2f}, mean "
            f"{self.mean:.2f}, quartiles {low:.2f} to {high:.2f}"
        )


def _demean(values: Floats, product: Ints, week: Ints) -> Floats:
    """Residual of effects of products and weeks, by alternating projections."""
    values = values.copy()
    n_i = np.maximum(np.bincount(product), 1)
    n_t = np.maximum(np.bincount(week), 1)
    for _ in range(1000):
        mean_i = np.bincount(product, weights=values) / n_i
        values -= mean_i[product]
        mean_t = np.bincount(week, weights=values) / n_t
        values -= mean_t[week]
        if max(np.abs(mean_i).max(), np.abs(mean_t).max()) < TOLERANCE:
            return values
    raise ValueError("effects of products and weeks do not separate: too few product-weeks")


def price_response(
    table: Transactions,
    *,
    weeks: tuple[int, int] | None = None,
    min_weeks: int | None = None,
    min_spread: float = MIN_SPREAD,
) -> PriceResponse:
    """Estimate the within-product price coefficient of a table.

    Args:
        table: purchases. Of the Complete Journey use ``products="raw"``: merged products mix
            several prices.
        weeks: first and last week to use; by default the first and last of the table, often
            stubs, are left out.
        min_weeks: weeks with a sale that a product needs; by default all but three.
        min_spread: standard deviation of the demeaned log price that a product needs; at a fixed
            price there is nothing to learn.

    Returns:
        The coefficients. Noise of estimation widens the spread over products, the more so the
        fewer customers: compare tables of equal size. Discounts are in ``table.facts``.

    Raises:
        ValueError: if the weeks are not in the table, or no product qualifies.
    """
    import polars as pl

    first, last = (2, table.n_weeks - 1) if weeks is None else weeks
    first = check_int("first week", first, 1, table.n_weeks)
    last = check_int("last week", last, first, table.n_weeks)
    span = last - first + 1
    needed = check_int("min_weeks", max(2, span - GAPS) if min_weeks is None else min_weeks, 2)
    min_spread = check_finite("min_spread", min_spread, 0.0)
    cells = (
        table.frame.filter(pl.col("week").is_between(first, last))
        .group_by("product", "week")
        .agg(pl.col("quantity").sum(), pl.col("revenue").sum())
        .filter(pl.len().over("product") >= needed)
        .sort("product", "week")
    )
    spread_i: Floats = np.zeros(0)
    if not cells.is_empty():
        product = cells["product"].rank("dense").to_numpy().astype(np.int64) - 1
        week = cells["week"].to_numpy().astype(np.int64) - first
        units = cells["quantity"].to_numpy().astype(np.float64)
        x = _demean(np.log(cells["revenue"].to_numpy() / units), product, week)
        y = _demean(np.log(units), product, week)
        n_i = np.bincount(product)
        centre = x - (np.bincount(product, weights=x) / n_i)[product]
        spread_i = np.sqrt(np.bincount(product, weights=centre**2) / (n_i - 1))
    kept = spread_i > min_spread
    if not kept.any():
        raise ValueError(
            f"no product of {table.name} sells in {needed} of weeks {first}-{last} at a price that "
            f"varies (standard deviation of its log above {min_spread:g}): use more customers, or "
            "lower min_weeks or min_spread"
        )
    xx, xy = (np.bincount(product, weights=x * v)[kept] for v in (x, y))
    pooled = xy.sum() / xx.sum()
    clusters = xy - pooled * xx  # sum of x times residual, by product
    n = clusters.size
    error = np.sqrt((clusters**2).sum() * n / (n - 1)) / xx.sum() if n > 1 else np.nan
    return PriceResponse(float(pooled), float(error), n, int(n_i[kept].sum()), xy / xx)
