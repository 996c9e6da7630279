"""The store's own discounts, read off the purchases of products that sell nearly every week.

Of such a product a week's purchases show whether it was discounted, and how deep: chains discount
a product for everybody or for nobody. The two transition probabilities of each product are those
of its own weeks; their laws over products are Beta, by maximum likelihood of the counts (beta-
binomial). What stood on the shelf of products that seldom sell is not seen: they are taken to be
promoted like the others.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from retail_gym.data.table import DISCOUNTED, Transactions
from retail_gym.world.priors import Beta
from retail_gym.world.store_config import PromotionPlan

__all__ = ["fit_promotions"]

#: A product is used that sells in this share of the weeks, to this many customers a week.
WEEKS_SOLD: Final = 0.75
CUSTOMERS: Final = 3.0
#: Fewer such products than this: the laws are those of all together.
LEAST_PRODUCTS: Final = 20
#: a + b of a law that cannot be estimated.
VAGUE: Final = 4.0
#: A table with a smaller share of discounted purchases has no promotions.
NEGLIGIBLE: Final = 0.002


def fit_promotions(table: Transactions) -> PromotionPlan:
    """Estimate the discount process of a table."""
    import polars as pl

    facts = table.facts
    if facts["discounted_share"] < NEGLIGIBLE:
        return PromotionPlan.none()
    off = pl.col("discount") > DISCOUNTED
    weeks = (
        table.frame.filter(pl.col("week").is_between(2, table.n_weeks - 1))
        .group_by("product", "week")
        .agg(
            (off.mean() > 0.5).alias("on"),
            pl.col("discount").filter(off).median().alias("depth"),
            pl.len().alias("rows"),
        )
        .filter(
            (pl.len().over("product") >= WEEKS_SOLD * (table.n_weeks - 2))
            & (pl.col("rows").mean().over("product") >= CUSTOMERS)
        )
        .sort("product", "week")
    )
    after = pl.col("on").shift(-1).over("product")
    next_week = pl.col("week").shift(-1).over("product") == pl.col("week") + 1
    moves = weeks.with_columns(then=after).filter(next_week)
    if moves["product"].n_unique() < LEAST_PRODUCTS:
        share = facts["discounted_share"]
        stay = 1.0 - 0.3 * (1.0 - share)  # a promotion of some weeks
        enter = share * (1.0 - stay) / max(1.0 - share, 1e-3)
        typical = _depth(facts["discount_depth"], facts["discount_depth_sd"])
        return PromotionPlan(_beta(min(enter, 0.95), VAGUE), _beta(stay, VAGUE), typical)
    counts = moves.group_by("product", maintain_order=True).agg(
        (~pl.col("on")).sum().alias("off"),
        (~pl.col("on") & pl.col("then")).sum().alias("enter"),
        pl.col("on").sum().alias("on"),
        (pl.col("on") & pl.col("then")).sum().alias("stay"),
    )
    n = {key: counts[key].to_numpy().astype(float) for key in ("off", "enter", "on", "stay")}
    depth = weeks.filter(pl.col("on"))["depth"].drop_nulls().to_numpy()
    return PromotionPlan(
        beta_of_counts(n["enter"], n["off"]),
        beta_of_counts(n["stay"], n["on"]),
        _depth(float(depth.mean()), float(depth.std())),
    )


def _beta(mean: float, total: float) -> Beta:
    mean = min(max(mean, 0.005), 0.995)
    return Beta(mean * total, (1.0 - mean) * total)


def _depth(mean: float, sd: float) -> Beta:
    """Beta law of depths by its moments."""
    mean = min(max(mean, 0.01), 0.95)
    return _beta(mean, max(mean * (1.0 - mean) / max(sd, 1e-3) ** 2 - 1.0, 0.5))


def beta_of_counts(hits: NDArray[np.float64], of: NDArray[np.float64]) -> Beta:
    """Beta law of probabilities of which only counts are seen: maximum likelihood.

    Args:
        hits: shape (N,).
        of: trials, likewise; those without are left out.
    """
    from scipy import optimize, special

    hits, of = hits[of > 0], of[of > 0]
    if hits.size == 0:
        return _beta(0.5, VAGUE)
    start = (hits.sum() + 1.0) / (of.sum() + 2.0)

    def loss(x: NDArray[np.float64]) -> float:
        a, b = np.exp(x)
        likelihood = special.betaln(hits + a, of - hits + b) - special.betaln(a, b)
        # A weak pull to a moderate spread, so that equal counts do not run off to a point.
        return float(-likelihood.sum() + 0.05 * (np.log(a + b) - np.log(VAGUE)) ** 2)

    found = optimize.minimize(
        loss, np.log([VAGUE * start, VAGUE * (1.0 - start)]), method="Nelder-Mead",
        options={"xatol": 1e-4, "fatol": 1e-6, "maxiter": 2000},
    )  # fmt: skip
    a, b = np.exp(found.x)
    return Beta(float(a), float(b))
