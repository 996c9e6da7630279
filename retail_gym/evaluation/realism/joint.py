"""How a customer's purchases hang together: what the separate distributions cannot see.

| key | what it is |
|---|---|
| ``icc`` | share of the variance of log(categories per trip) that lies between customers |
| ``sd_b``, ``sd_w`` | its standard deviations between customers and between their trips |
| ``corr_rate_basket`` | correlation of a customer's trip rate and mean categories per trip |
| ``pen_ratio`` | median over categories in at least 0.5 % of trips of: share of customers who ever bought it / share expected if its purchases fell on customers in proportion to all they bought |
| ``repeat`` | of rows after the customer's first trip with the category, the share whose product the customer had bought before |
| ``ppc`` | different products per purchased category |
| ``visit_ac1`` | correlation of visits in consecutive weeks within customers, the first week left out |
| ``half_corr`` | correlation over customers of visit rates in the two halves, the first week left out |

Variances between and within customers are the moment estimator of one-way analysis of variance.
A customer without a trip counts in shares of customers and in ``half_corr``. What cannot be
computed (no spread, say) is nan.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from retail_gym.evaluation.realism.baskets import Baskets
from retail_gym.evaluation.realism.distributions import Empirical

Floats = NDArray[np.float64]

__all__ = ["JOINT", "joint_diagnostics", "penetration"]

#: Key -> title.
JOINT: Final = {
    "icc": "basket size: share between customers",
    "sd_b": "basket size: sd between customers (log)",
    "sd_w": "basket size: sd between trips (log)",
    "corr_rate_basket": "trip rate and basket size, correlation",
    "pen_ratio": "penetration / that of random purchases",
    "repeat": "repeat purchases of a product",
    "ppc": "products per purchased category",
    "visit_ac1": "visits: autocorrelation",
    "half_corr": "visits: correlation of half-years",
}
#: Categories in a smaller share of trips are left out of ``pen_ratio``.
COMMON: Final = 0.005


def _correlation(x: Floats, y: Floats) -> float:
    if x.size < 2 or not (x.std() > 0.0 and y.std() > 0.0):
        return float("nan")
    return float(np.corrcoef(x, y)[0, 1])


def variance_components(y: Floats, group: NDArray[np.int64]) -> tuple[float, float]:
    """Variance between and within groups: moment estimator, unequal group sizes.

    Args:
        y: observations, shape (K,).
        group: group of each, codes from 0, shape (K,).

    Returns:
        Between (0 where the estimate is negative) and within; nan where every group has one
        observation or there is one group.
    """
    n = np.bincount(group).astype(np.float64)
    n, mean = n[n > 0], (np.bincount(group, weights=y)[n > 0] / n[n > 0])
    k, total = n.size, n.sum()
    if k < 2 or total <= k:
        return float("nan"), float("nan")
    between = float((n * (mean - y.mean()) ** 2).sum() / (k - 1))
    within = float(((y * y).sum() - (n * mean**2).sum()) / (total - k))
    size = float((total - (n**2).sum() / total) / (k - 1))
    return max(0.0, (between - within) / size), max(0.0, within)


def penetration(baskets: Baskets) -> Floats:
    """Share of customers who ever bought each category, shape (J,)."""
    n_customers = baskets.visited_ut.shape[0]
    bought_uj = np.zeros((n_customers, baskets.n_categories), dtype=bool)
    bought_uj[baskets.trip_customer[baskets.entry_trip], baskets.entry_category] = True
    return np.asarray(bought_uj.mean(axis=0))


def penetration_distribution(baskets: Baskets) -> Empirical:
    """Penetration of the categories that were bought."""
    return Empirical.of(penetration(baskets))


def _penetration_ratio(baskets: Baskets) -> float:
    trips_j = baskets.trips_of_category
    common = trips_j >= COMMON * baskets.n_trips
    n_customers = baskets.visited_ut.shape[0]
    customer_e = baskets.trip_customer[baskets.entry_trip]
    share_u = np.bincount(customer_e, minlength=n_customers) / customer_e.size
    # A customer misses all n purchases with probability (1 - share)^n.
    with np.errstate(divide="ignore"):  # a single customer: log 0
        missed = np.exp(np.outer(trips_j[common], np.log1p(-share_u)))
    ratio = penetration(baskets)[common] / (1.0 - missed).mean(axis=1)
    return float(np.median(ratio)) if ratio.size else float("nan")


def _repeat_share(baskets: Baskets) -> float:
    lines = baskets.lines
    n_customers, n_weeks = baskets.visited_ut.shape
    first_uj = np.full((n_customers, baskets.n_categories), n_weeks)
    np.minimum.at(first_uj, (lines.customer, lines.category), lines.week)
    later = lines.week > first_uj[lines.customer, lines.category]
    product = lines.customer * lines.product_category.size + lines.product
    fresh = np.unique(product, return_index=True)[1].size
    # A product bought before lies after its category's first trip.
    return float((product.size - fresh) / later.sum()) if later.any() else float("nan")


def _visit_autocorrelation(visited_ut: NDArray[np.bool_]) -> float:
    centred = visited_ut - visited_ut.mean(axis=1, keepdims=True)
    if centred.shape[1] < 2 or not centred.any():
        return float("nan")
    return float((centred[:, 1:] * centred[:, :-1]).mean() / (centred**2).mean())


def joint_diagnostics(baskets: Baskets) -> dict[str, float]:
    """The diagnostics of a table's trips, by the keys of :data:`JOINT`."""
    log_size = np.log(baskets.categories_per_trip)
    between, within = variance_components(log_size, baskets.trip_customer)
    came, visits = baskets.visited_ut.any(axis=1), baskets.visited_ut.sum(axis=1)
    entries_u = np.bincount(baskets.trip_customer[baskets.entry_trip], minlength=came.size)
    later_ut = baskets.visited_ut[:, 1:]
    half = later_ut.shape[1] // 2
    found = {
        "icc": between / (between + within) if between + within > 0.0 else float("nan"),
        "sd_b": float(np.sqrt(between)),
        "sd_w": float(np.sqrt(within)),
        "corr_rate_basket": _correlation(
            visits[came].astype(np.float64), entries_u[came] / visits[came]
        ),
        "pen_ratio": _penetration_ratio(baskets),
        "repeat": _repeat_share(baskets),
        "ppc": float(baskets.entry_products.mean()),
        "visit_ac1": _visit_autocorrelation(later_ut),
        "half_corr": _correlation(later_ut[:, :half].mean(axis=1), later_ut[:, half:].mean(axis=1)),
    }
    return {key: found[key] for key in JOINT}
