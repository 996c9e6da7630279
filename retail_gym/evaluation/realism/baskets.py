"""A table seen as trips: who came in which week, and which categories were in the basket."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retail_gym.data.table import Lines, Transactions

Ints = NDArray[np.int64]

__all__ = ["Baskets", "trips_of"]


class Baskets(NamedTuple):
    """Trips and their categories.

    A *trip* is a customer-week with a purchase; an *entry* is a category in a trip's basket.
    """

    lines: Lines
    visited_ut: NDArray[np.bool_]  # U, T
    trip_customer: Ints  # K
    trip_of_line: Ints  # L
    entry_trip: Ints  # E, sorted
    entry_category: Ints  # E
    entry_products: Ints  # E: different products of the category in the trip

    @property
    def n_trips(self) -> int:
        """K."""
        return int(self.trip_customer.size)

    @property
    def n_categories(self) -> int:
        """J, of the categories ever bought."""
        return len(self.lines.category_labels)

    @property
    def categories_per_trip(self) -> Ints:
        """Distinct categories of each trip, shape (K,)."""
        return np.bincount(self.entry_trip, minlength=self.n_trips)

    @property
    def trips_of_category(self) -> Ints:
        """Trips that contain each category, shape (J,)."""
        return np.bincount(self.entry_category, minlength=self.n_categories)


def _new(*columns: Ints) -> NDArray[np.bool_]:
    """True at the first of each run of equal rows."""
    first = np.ones(columns[0].size, dtype=bool)
    first[1:] = np.logical_or.reduce([c[1:] != c[:-1] for c in columns])
    return first


def trips_of(table: Transactions) -> Baskets:
    """Find the trips of a table."""
    lines = table.lines
    first = _new(lines.customer, lines.week)
    trip_l = np.cumsum(first) - 1
    entry = _new(trip_l, lines.category)
    starts = np.flatnonzero(entry)
    visited_ut = np.zeros((table.n_customers, table.n_weeks), dtype=bool)
    visited_ut[lines.customer[first], lines.week[first] - 1] = True
    return Baskets(
        lines,
        visited_ut,
        lines.customer[first],
        trip_l,
        trip_l[starts],
        lines.category[starts],
        np.diff(np.append(starts, trip_l.size)),
    )
