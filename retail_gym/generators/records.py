"""A table as records for generators: one record a trip, a yes or no for each category."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import rankdata

from retail_gym.data.table import Transactions
from retail_gym.evaluation.realism.baskets import Baskets, trips_of

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

__all__ = ["PREFERENCES", "Records", "customer_scores"]

#: Principal components of a household's category shares that describe its taste.
PREFERENCES = 6


@dataclass(frozen=True)
class Records:
    """Trips of a table; a *trip* is a customer-week with a purchase.

    Attributes:
        baskets: the trips as lists of entries.
        n_customers: those without a trip included, U.
        n_weeks: T.
    """

    baskets: Baskets
    n_customers: int
    n_weeks: int

    @classmethod
    def of(cls, table: Transactions) -> Records:
        """The trips of a table.

        Raises:
            ValueError: for fewer than two customers with a trip, or fewer than two categories.
        """
        found = cls(trips_of(table), table.n_customers, table.n_weeks)
        buyers = np.unique(found.customer_k).size
        if buyers < 2 or found.bought_kj.shape[1] < 2:
            raise ValueError(
                f"{table.name} has {buyers} customers with a purchase and "
                f"{found.bought_kj.shape[1]} categories; a generator needs at least two of each"
            )
        return found

    @property
    def customer_k(self) -> Ints:
        """Customer of each trip, codes from 0, shape (K,)."""
        return self.baskets.trip_customer

    @cached_property
    def week_k(self) -> Ints:
        """Week of each trip, from 1, shape (K,)."""
        week = np.empty(self.baskets.n_trips, dtype=np.int64)
        week[self.baskets.trip_of_line] = self.baskets.lines.week
        return week

    @cached_property
    def bought_kj(self) -> NDArray[np.bool_]:
        """Whether a trip's basket has a category, shape (K, J)."""
        bought = np.zeros((self.baskets.n_trips, self.baskets.n_categories), dtype=bool)
        bought[self.baskets.entry_trip, self.baskets.entry_category] = True
        return bought

    @cached_property
    def trips_u(self) -> Ints:
        """Trips of each customer, shape (U,)."""
        return np.bincount(self.customer_k, minlength=self.n_customers)


def normal_scores(values: Floats) -> Floats:
    """Ranks as quantiles of the standard normal; ties share their mean rank."""
    return np.asarray(ndtri((rankdata(values) - 0.5) / values.size))


def customer_scores(records: Records) -> Floats:
    """What sets a customer apart, each feature as normal scores over customers with a trip.

    Features: number of trips; mean of log(categories per trip); :data:`PREFERENCES` principal
    components of the share of trips with each category.

    Returns:
        Shape (U, F); 0 for customers without a trip.
    """
    came = records.trips_u > 0
    trips = records.trips_u[came].astype(np.float64)
    size = np.log(records.baskets.categories_per_trip)
    customer = records.customer_k
    mean = np.bincount(customer, weights=size, minlength=records.n_customers)[came] / trips
    share_uj = np.zeros((records.n_customers, records.bought_kj.shape[1]))
    entry = customer[records.baskets.entry_trip], records.baskets.entry_category
    np.add.at(share_uj, entry, 1.0)
    share_uj = share_uj[came] / trips[:, None]
    centred = share_uj - share_uj.mean(axis=0)
    left, weight, right = np.linalg.svd(centred, full_matrices=False)
    kept = min(PREFERENCES, weight.size)
    # A component's sign is arbitrary: the largest loading is positive.
    largest = np.abs(right[:kept]).argmax(axis=1)
    sign = np.sign(right[np.arange(kept), largest])
    features = [trips, mean, *(left[:, :kept] * sign).T]
    scores = np.zeros((records.n_customers, len(features)))
    scores[came] = np.stack([normal_scores(f) for f in features], axis=1)
    return scores
