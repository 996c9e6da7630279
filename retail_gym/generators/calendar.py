"""Who comes when: new customers with their number of trips, weeks and features."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from retail_gym.generators.records import Records, customer_scores

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

__all__ = ["Calendar", "Visits"]


class Visits(NamedTuple):
    """Trips of new customers, sorted by customer and week."""

    score_uf: Floats  # U, F: normal scores of the features
    customer_k: Ints  # K
    week_k: Ints  # K: from 1

    @property
    def score_kf(self) -> Floats:
        """Features of each trip's customer, shape (K, F)."""
        return self.score_uf[self.customer_k]


@dataclass(frozen=True, eq=False)
class Calendar:
    """Draws customers and their weeks.

    A customer's features are normal scores z ~ N(0, R); the first gives the number of trips, as
    its quantile over customers. The weeks are drawn without replacement, in proportion to how
    many customers come in each. Habits beyond that, a customer who stays away for a season, say,
    are not in it.
    """

    trips_n: Floats  # T + 1: share of customers with n trips
    week_t: Floats  # T: share of trips in each week
    correlation_ff: Floats  # F, F

    @classmethod
    def fit(cls, records: Records) -> tuple[Self, Floats]:
        """Count trips and weeks; also the features of the customers counted, shape (U, F)."""
        scores = customer_scores(records)
        came = records.trips_u > 0
        trips = np.bincount(records.trips_u, minlength=records.n_weeks + 1)
        week = np.bincount(records.week_k - 1, minlength=records.n_weeks)
        spread = scores[came].std(axis=0)
        correlation = np.eye(scores.shape[1])
        varies = np.flatnonzero(spread > 0)
        if varies.size > 1:
            correlation[np.ix_(varies, varies)] = np.corrcoef(scores[came][:, varies].T)
        return cls(trips / trips.sum(), week / week.sum(), correlation), scores

    def rate_score(self, trips_u: Ints) -> Floats:
        """Normal score of numbers of trips, by this calendar's shares."""
        cumulative = np.cumsum(self.trips_n)
        middle = cumulative - 0.5 * self.trips_n
        return np.asarray(ndtri(np.clip(middle[trips_u], 1e-4, 1.0 - 1e-4)))

    def draw(self, n_customers: int, rng: np.random.Generator) -> Visits:
        """New customers and their trips."""
        n_features, n_weeks = self.correlation_ff.shape[0], self.week_t.size
        # Eigenvectors, not Cholesky: features may depend on each other.
        value, vector = np.linalg.eigh(self.correlation_ff)
        root = vector * np.sqrt(np.maximum(value, 0.0))
        scores = rng.standard_normal((n_customers, n_features)) @ root.T
        never = self.trips_n[0]
        comes = rng.random(n_customers) >= never
        # The scores rank customers who come: the first feature's quantile among them.
        level = never + (1.0 - never) * ndtr(scores[:, 0])
        trips = np.searchsorted(np.cumsum(self.trips_n), level, side="left")
        trips = np.where(comes, np.clip(trips, 1, n_weeks), 0)
        with np.errstate(divide="ignore"):  # a week nobody comes in
            gumbel = np.log(self.week_t) + rng.gumbel(size=(n_customers, n_weeks))
        trips = np.minimum(trips, int((self.week_t > 0).sum()))
        rank = np.argsort(np.argsort(-gumbel, axis=1), axis=1)
        customer, week = np.nonzero(rank < trips[:, None])
        return Visits(scores, customer, week + 1)

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """For a file."""
        return {item.name: getattr(self, item.name) for item in fields(self)}
