"""Moments of the categories of a table: how often, to how many customers, and which together.

Two lifts of each pair of categories are told apart:

* within a trip, which tastes, what the trip is for and the basket's size all make;
* between a trip and *another trip of the same customer*, which only what lasts makes: tastes and
  the customer's basket size.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from retail_gym.data.table import Transactions
from retail_gym.evaluation.realism.baskets import trips_of

Floats = NDArray[np.float64]
Single = NDArray[np.float32]

__all__ = ["NEVER", "Moments", "by_customer", "category_moments", "moments_of"]

#: Probabilities count as no more than this where their complement is multiplied.
NEVER: Final = np.float32(1.0 - 1e-6)


class Moments(NamedTuple):
    """Categories of a table, and how they go together."""

    n_trips: int
    trips_j: Floats  # J: trips with the category
    same_jk: Floats  # J, J: lift within a trip; the diagonal is not used
    other_jk: Floats  # J, J: lift between trips of one customer; likewise
    ever_j: Floats  # J: share of customers who ever bought it


def category_moments(table: Transactions, labels: list[object]) -> Moments:
    """Measure a table.

    Args:
        table: purchases.
        labels: categories in the order of the store's; those of the table not among them are
            left out.
    """
    baskets = trips_of(table)
    place = {label: j for j, label in enumerate(labels)}
    code = np.array([place.get(label, -1) for label in baskets.lines.category_labels])
    category = code[baskets.entry_category]
    kept = category >= 0
    shape = (baskets.n_trips, len(labels))
    ones = np.ones(int(kept.sum()))
    contains = sparse.csr_array((ones, (baskets.entry_trip[kept], category[kept])), shape=shape)
    n_u = np.bincount(baskets.trip_customer, minlength=table.n_customers).astype(float)
    return moments_of(np.asarray(contains.toarray(), np.float32), baskets.trip_customer, n_u)


def moments_of(chance: Single, customer: NDArray[np.int64], n_u: Floats) -> Moments:
    """Moments of trips with given probabilities (or 0 and 1), sorted by customer."""
    n, p = chance.shape[0], chance.mean(axis=0, dtype=np.float64)
    floor = np.maximum(p, 0.3 / n)
    pairs = np.outer(floor, floor)
    never = never_bought(chance, customer, n_u)
    total = by_customer(chance, customer, n_u)
    weight = np.where(n_u > 1, 1.0 / np.maximum(n_u - 1.0, 1.0), 0.0).astype(np.float32)
    root_u, root_k = np.sqrt(weight)[:, None], np.sqrt(weight[customer])[:, None]
    both, own = total * root_u, chance * root_k
    return Moments(
        n,
        p * n,
        (chance.T @ chance) / n / pairs,
        (both.T @ both - own.T @ own) / float(n_u[n_u > 1].sum()) / pairs,
        1.0 - never.mean(axis=0, dtype=np.float64),
    )


def never_bought(chance: Single, customer: NDArray[np.int64], n_u: Floats) -> Single:
    """Probability that a customer never buys a category, shape (U, J)."""
    return np.exp(by_customer(np.log1p(-np.minimum(chance, NEVER)), customer, n_u))


def by_customer(chance: Single, customer: NDArray[np.int64], n_u: Floats) -> Single:
    """Sums over the trips of each customer, shape (U, J)."""
    total = np.zeros((n_u.size, chance.shape[1]), dtype=np.float32)
    starts = np.flatnonzero(np.diff(customer, prepend=-1))
    total[customer[starts]] = np.add.reduceat(chance, starts, axis=0)
    return total
