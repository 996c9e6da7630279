"""Where a calibration begins: what can be read off the table without any simulation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from retail_gym.calibration.dispersion import fit_dispersion
from retail_gym.calibration.promotions import fit_promotions
from retail_gym.calibration.target import Target
from retail_gym.evaluation.realism.baskets import trips_of
from retail_gym.world.layers import (
    AssortmentLayer,
    AvailabilityLayer,
    BasketLayer,
    CatalogLayer,
    HabitLayer,
    Layers,
    QuantityLayer,
    VisitLayer,
)
from retail_gym.world.priors import Gumbel, Listed, LogitBeta, ScaledBeta, TruncatedNormal
from retail_gym.world.store_config import StoreConfig

Floats = NDArray[np.float64]

__all__ = ["FACTORS", "first_guess", "listed"]

#: Tastes, and factors of trips; more bring little (rank of the log-lift matrix of real baskets).
FACTORS: Final = 8
#: Purchases by which a category's own figure is pulled to that of all.
PULL: Final = 20.0
#: Share of the products whose prices are within the store's reach: beyond are oddities, and laws of
#: prices without end make products that cost thousands.
WITHIN: Final = 0.998
#: Largest weight of prices in quantities.
STEEPEST: Final = 3.0


def listed(values: Sequence[float] | Floats) -> Listed:
    """Estimates by category, in six digits."""
    return Listed(tuple(float(f"{value:.6g}") for value in np.asarray(values)))


def _visits(target: Target) -> VisitLayer:
    """Law of visit rates by its moments; what the first week and each week have of their own."""
    visited = trips_of(target.table).visited_ut
    later = visited[:, 1:].astype(float)
    weeks, rate = later.shape[1], later.mean(axis=1)
    mean = min(max(float(rate.mean()), 0.01), 0.99)
    chance = mean * (1.0 - mean)
    spread = (rate.var() - chance / weeks) / (1.0 - 1.0 / weeks)  # less what luck alone makes
    total = min(max(chance / min(max(spread, 1e-3), 0.95 * chance) - 1.0, 0.3), 50.0)
    weekly = later.mean(axis=0)
    luck = float((rate * (1.0 - rate)).mean())
    week_sd = math.sqrt(max(weekly.var() - luck / rate.size, 0.0)) / max(luck, 1e-3)
    return VisitLayer(
        intercept=LogitBeta(mean * total, (1.0 - mean) * total),
        drift_sd=0.9,
        drift_memory=0.94,
        week_sd=min(week_sd, 1.0),
        opening=min(1.0, float(visited[:, 0].mean()) / mean),
    )


def _by_category(total_j: Floats, n_j: Floats) -> Floats:
    """Mean of each category, pulled to that of all."""
    everywhere = max(total_j.sum() / max(n_j.sum(), 1.0), 1e-4)
    return np.asarray((total_j + PULL * everywhere) / (n_j + PULL))


def _price_weight(above_l: Floats, more_l: Floats, category_l: NDArray[np.int64]) -> float:
    r"""By how much fewer units of dear products are bought at a time.

    .. math:: E[q - 1 \mid i] = \mu_j e^{-w x_i}

    with x the log base price above the category's: Poisson pseudo-maximum likelihood, the
    categories' effects concentrated out.
    """
    total_j = np.bincount(category_l, weights=more_l)
    seen = float(more_l @ above_l)

    def score(weight: float) -> float:
        rate_l = np.exp(-weight * above_l)
        rate_j = np.maximum(np.bincount(category_l, weights=rate_l), 1e-300)
        mean_j = np.bincount(category_l, weights=rate_l * above_l) / rate_j
        return float(total_j @ mean_j) - seen

    low, high = score(STEEPEST), score(-STEEPEST)
    if high - low <= 1e-6 * more_l.sum():  # no quantities, or no prices within categories
        return 0.0
    if low >= 0.0 or high <= 0.0:
        return STEEPEST if low >= 0.0 else -STEEPEST
    found: float = optimize.brentq(score, -STEEPEST, STEEPEST)
    return float(f"{found:.4g}")


def first_guess(
    target: Target, name: str = "calibrated_store", factors: int = FACTORS
) -> StoreConfig:
    """A store with the table's size, its categories and what moments give; the rest is usual."""
    lines, n_j = target.table.lines, len(target.labels)
    place = {label: j for j, label in enumerate(target.labels)}
    code = np.array([place[label] for label in lines.category_labels])
    moments = target.moments

    def summed(place: NDArray[np.int64], weights: Floats | None = None) -> Floats:
        return np.bincount(place, weights=weights, minlength=n_j).astype(float)

    total_i = np.bincount(lines.product, weights=np.log(_base_price(target)))
    base_i = total_i / np.bincount(lines.product)
    category_i = code[lines.product_category]
    count_j = summed(category_i)
    level_j = (summed(category_i, base_i) + 3.0 * base_i.mean()) / (count_j + 3.0)
    above_i = np.asarray(base_i - level_j[category_i])
    squares_j = summed(category_i, above_i**2)
    spread_j = np.sqrt((squares_j + PULL * (above_i**2).mean()) / (count_j + PULL))

    category_l, above_l = code[lines.category], above_i[lines.product]
    rows_j, more_l = summed(category_l), lines.quantity.astype(float) - 1.0
    weight = _price_weight(above_l, more_l, category_l)
    usual_j = summed(category_l, np.exp(-weight * above_l))
    zero = [0.0] * n_j
    share = np.clip(moments.trips_j, 0.3, None) / moments.n_trips
    return StoreConfig(
        name=name,
        category_sizes=target.sizes,
        n_customers=target.table.n_customers,
        layers=Layers(
            catalog=CatalogLayer(
                appeal=listed(special.logit(np.clip(share, 1e-7, 0.99)) - 1.0),
                popularity_sd=1.6,
                popularity_lead=listed(zero),
                log_price=listed(level_j),
                price_product_sd=listed(np.clip(spread_j, 0.02, 2.0)),
                # Products that sell well are cheaper, and more alike.
                price_popularity_correlation=-0.5,
                price_product_skew=-0.15,
                price_narrowing=0.3,
                price_reach=max(float(f"{np.quantile(np.abs(above_i), WITHIN):.3g}"), 0.1),
            ),
            visit=_visits(target),
            basket=BasketLayer(
                size_sd=0.7,
                visit_correlation=0.7,
                trip_sd=0.3,
                fill_in_share=0.4,
                fill_in_spread=0.6,
                fill_in_depth=1.8,
                factors=factors,
                taste_loading=tuple(listed(zero) for _ in range(factors)),
                trip_loading=tuple(listed(zero) for _ in range(factors)),
                affinity_sd=listed([0.9] * n_j),
                something=True,
            ),
            assortment=AssortmentLayer(
                log_rate=listed(np.log(_by_category(rows_j - moments.trips_j, moments.trips_j))),
                size=0.6,
                basket_weight=0.25,
            ),
            quantity=QuantityLayer(
                size=0.8,
                customer_sd=0.7,
                price_weight=weight,
                pairs=0.3,
                log_rate=listed(np.log(_by_category(summed(category_l, more_l), usual_j))),
            ),
            habit=HabitLayer(repeat=0.55),
            availability=AvailabilityLayer(
                seasonal=0.4,
                shortest=min(4, target.weeks),
                longest=min(39, target.weeks),
                cycle=max(52, target.weeks - 1),
            ),
            dispersion=fit_dispersion(target.table),
        ),
        # Store visits: the layer decides. Weekly discounts of the whole store hardly vary, so
        # a table does not say what they would do to visits.
        gamma_store_0=0.0,
        gamma_store_1=0.0,
        gamma_store_2=0.0,
        theta=0.0,
        marketing="discount",
        marketing_scale=float(sum(target.sizes)),
        # Products differ widely: many whose sales hardly answer their price, some that do a lot.
        # The mean of c beta_u beta_i is -2.8. Customers less so: it multiplies log prices, and where
        # some customers hardly mind prices, they buy the dearest products by the dozen.
        c=-7.5,
        beta_u=TruncatedNormal(-1.0, 0.15, -math.inf, 0.0),
        beta_i=ScaledBeta(1.0, 0.6, -1.0, 0.0),
        gamma_cate_1=0.2,
        gamma_prod_1=0.15,
        promotion=fit_promotions(target.table),
        # No further noise on utilities than the choice itself.
        beta_x=0.0,
        beta_z=1.0,
        eps=Gumbel(0.0, 0.1),
        # Replaced by the catalogue of the layers.
        gamma_cate_0=0.0,
        alpha_0=0.0,
        alpha_1=0.0,
        quality_mean=0.0,
        quality_sd=1.0,
        gamma_prod_0=0.0,
        lowest_price=0.01,
    )


def _base_price(target: Target) -> Floats:
    """Base price of every row, in the order of the table's lines."""
    lines = target.table.lines
    return np.asarray(lines.unit_price / np.maximum(1.0 - lines.discount, 0.05))
