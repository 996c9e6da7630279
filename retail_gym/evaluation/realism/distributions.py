"""The eleven distributions by which a simulated table is compared with a real one.

| key | one point for each | value |
|---|---|---|
| ``visit_week`` | week after the third | share of customers with a trip |
| ``visit_cust`` | customer | share of weeks with a trip |
| ``cat_prob`` | category bought | trips that contain it / trips |
| ``prod_prob`` | product bought | trips that contain it / trips that contain its category |
| ``qty`` | row | units of the product in the customer-week |
| ``tslp`` | customer with a trip in weeks 1-3, week after the third | weeks since the last trip |
| ``ncat`` | trip | distinct categories |
| ``nitem`` | trip | units |
| ``prodweek`` | product bought x week with purchases | units, zeros included |
| ``price`` | product bought | mean price paid over its rows |
| ``catsize`` | category bought | its products that were bought |

A trip is a customer-week with a purchase. Definitions as in RetailSynth's calibration, except
``visit_cust``, which replaces its ``visit_week`` (a distribution of some fifty means, on which
two samples of the same real customers score 0.7). Several depend on the number of customers:
compare tables of equal size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from retail_gym.data.table import Transactions
from retail_gym.evaluation.realism.baskets import Baskets

__all__ = [
    "DISTRIBUTIONS",
    "HEADLINE",
    "Empirical",
    "distributions",
    "ks_complement",
    "wasserstein",
]

#: Key -> title.
DISTRIBUTIONS: Final = {
    "visit_week": "store visits, by week",
    "visit_cust": "store visits, by customer",
    "cat_prob": "category purchase probability",
    "prod_prob": "product purchase probability",
    "qty": "item quantity",
    "tslp": "weeks since last purchase",
    "ncat": "categories per customer-week",
    "nitem": "items per customer-week",
    "prodweek": "items per product-week",
    "price": "price paid, by product",
    "catsize": "category size",
}
#: The eight that are averaged into one number.
HEADLINE: Final = (
    "visit_cust",
    "cat_prob",
    "prod_prob",
    "qty",
    "tslp",
    "ncat",
    "nitem",
    "prodweek",
)
#: Weeks since the last trip are counted from here on, for customers seen up to here.
WARM_UP: Final = 3


@dataclass(frozen=True, eq=False)
class Empirical:
    """An empirical distribution: distinct values in order, and how often each occurs."""

    values: NDArray[np.float64]
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, points: ArrayLike, zeros: int = 0) -> Empirical:
        """The distribution of some points and of ``zeros`` further zeros.

        Whole numbers are counted, anything else is sorted.
        """
        array = np.asarray(points)
        if array.dtype.kind in "iu" and array.size and array.min() >= 0 and array.max() < 1 << 20:
            tally = np.bincount(array)
            tally[0] += zeros
            values = np.flatnonzero(tally)
            return cls(values.astype(np.float64), tally[values])
        if zeros:
            array = np.concatenate([array, np.zeros(zeros, dtype=array.dtype)])
        values, counts = np.unique(array, return_counts=True)
        return cls(values.astype(np.float64), counts.astype(np.int64))

    @property
    def size(self) -> int:
        """Number of points."""
        return int(self.counts.sum())

    @property
    def mean(self) -> float:
        """Mean; nan without points."""
        return float(np.average(self.values, weights=self.counts)) if self.size else float("nan")

    @property
    def sd(self) -> float:
        """Sample standard deviation over the points; nan for fewer than two."""
        if self.size < 2:
            return float("nan")
        total = (self.counts * (self.values - self.mean) ** 2).sum()
        return float(np.sqrt(total / (self.size - 1)))

    def quantile(self, q: float) -> float:
        """Quantile, linear between neighbours (NumPy's default)."""
        cumulative = np.cumsum(self.counts)
        place = (self.size - 1) * q
        low, high = np.searchsorted(cumulative, [np.floor(place), np.ceil(place)], side="right")
        share = place - np.floor(place)
        return float(self.values[low] + share * (self.values[high] - self.values[low]))

    def cdf(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Share of points at or below each x."""
        total = np.concatenate([[0.0], np.cumsum(self.counts) / self.size])
        return np.asarray(total[np.searchsorted(self.values, x, side="right")])


def ks_complement(one: Empirical, other: Empirical) -> float:
    """1 - largest distance of two cumulative distributions: 1 is identical, 0 is disjoint.

    A side without points has nothing in common with one that has some: 0.
    """
    if not (one.size and other.size):
        return float(one.size == other.size)
    x = np.union1d(one.values, other.values)
    return float(1.0 - np.abs(one.cdf(x) - other.cdf(x)).max())


def wasserstein(one: Empirical, other: Empirical) -> float:
    """Area between two cumulative distributions, in the unit of the values."""
    if not (one.size and other.size):
        return float("nan")
    x = np.union1d(one.values, other.values)
    return float(np.sum(np.abs(one.cdf(x[:-1]) - other.cdf(x[:-1])) * np.diff(x)))


def _weeks_since_last(visited_ut: NDArray[np.bool_]) -> NDArray[np.int64]:
    early = visited_ut[:, :WARM_UP].any(axis=1)
    week_t = np.arange(1, visited_ut.shape[1] + 1)
    last_ut = np.maximum.accumulate(np.where(visited_ut[early], week_t, 0), axis=1)
    return (week_t[WARM_UP:] - last_ut[:, WARM_UP - 1 : -1]).ravel()


def distributions(table: Transactions, baskets: Baskets) -> dict[str, Empirical]:
    """The eleven distributions of a table, by the keys of :data:`DISTRIBUTIONS`.

    Args:
        table: the table, of more than three weeks.
        baskets: its trips.
    """
    lines, visited = baskets.lines, baskets.visited_ut
    n_products, n_weeks = lines.product_category.size, table.n_weeks
    rows_i = np.bincount(lines.product, minlength=n_products)
    trips_j = baskets.trips_of_category
    units = np.bincount(
        lines.product * n_weeks + lines.week - 1,
        weights=lines.quantity,
        minlength=n_products * n_weeks,
    )
    sold = units[units > 0].astype(np.int64)
    cells = n_products * int(visited.any(axis=0).sum())
    points: dict[str, ArrayLike] = {
        "visit_week": visited[:, WARM_UP:].mean(axis=0),
        "visit_cust": visited.sum(axis=1) / n_weeks,
        "cat_prob": trips_j / baskets.n_trips,
        "prod_prob": rows_i / trips_j[lines.product_category],
        "qty": lines.quantity,
        "tslp": _weeks_since_last(visited),
        "ncat": baskets.categories_per_trip,
        "nitem": np.bincount(baskets.trip_of_line, weights=lines.quantity).astype(np.int64),
        "price": np.bincount(lines.product, weights=lines.unit_price) / rows_i,
        "catsize": np.bincount(lines.product_category),
    }
    found = {key: Empirical.of(values) for key, values in points.items()}
    found["prodweek"] = Empirical.of(sold, zeros=cells - sold.size)
    return {key: found[key] for key in DISTRIBUTIONS}
