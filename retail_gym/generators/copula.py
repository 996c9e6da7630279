r"""Gaussian copula: correlated normals behind the yes and no of each category.

Category j is in a basket if z_j < \Phi^{-1}(p_j), with z ~ N(0, R) and p_j its share of trips.
The correlation of two categories is tetrachoric: that at which both fall below their thresholds
as often as the two are bought together,

    \Phi_2(a_j, a_k; r) = p_j p_k + \int_0^r \phi_2(a_j, a_k; t) dt   (Drezner and Wesolowsky 1990);

that of a category and a customer's feature is biserial. So every pair's lift is fitted, up to the
projection on positive definite matrices; associations of three or more follow from the pairs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Self

import numpy as np
from scipy.special import ndtr, ndtri

from retail_gym.config import check_int
from retail_gym.data.table import Transactions
from retail_gym.generators.base import Arrays, Bools, Floats, Generator, Ints
from retail_gym.generators.calendar import Calendar
from retail_gym.generators.records import Records, normal_scores
from retail_gym.generators.shelf import Shelf

__all__ = ["GaussianCopula", "nearest_correlation", "tetrachoric"]

#: A correlation counts in full where independence would give many more joint trips than this.
PRIOR_TRIPS: Final = 5.0
_LIMIT: Final = 0.995
_BISECTIONS: Final = 30
_NODES: Final = np.polynomial.legendre.leggauss(20)


def joint_probability(a: Floats, b: Floats, r: Floats) -> Floats:
    """P(z_1 < a, z_2 < b) of standard normals with correlation r, elementwise."""
    # With t = sin(theta) the integrand is smooth up to |r| = 1.
    top = np.arcsin(r)
    total = np.zeros_like(r)
    for node, weight in zip(*_NODES, strict=True):
        theta = 0.5 * top * (node + 1.0)
        square = np.cos(theta) ** 2
        total += weight * np.exp(-(a * a + b * b - 2.0 * a * b * np.sin(theta)) / (2.0 * square))
    return np.asarray(ndtr(a) * ndtr(b) + 0.5 * top * total / (2.0 * np.pi))


def tetrachoric(p_j: Floats, together_jk: Floats) -> Floats:
    """Latent correlation of every pair of yes-or-no columns.

    Args:
        p_j: share of yes of each column, shape (J,).
        together_jk: share of records with yes in both, shape (J, J).

    Returns:
        Shape (J, J), ones on the diagonal.
    """
    j, k = np.triu_indices(p_j.size, 1)
    threshold = ndtri(np.clip(p_j, 1e-9, 1.0 - 1e-9))
    a, b, target = threshold[j], threshold[k], together_jk[j, k]
    low, high = np.full(j.size, -_LIMIT), np.full(j.size, _LIMIT)
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        above = joint_probability(a, b, middle) > target
        high, low = np.where(above, middle, high), np.where(above, low, middle)
    correlation = np.eye(p_j.size)
    correlation[j, k] = correlation[k, j] = 0.5 * (low + high)
    return correlation


def nearest_correlation(matrix: Floats, smallest: float = 1e-3) -> Floats:
    """The matrix with eigenvalues of at least ``smallest``, scaled back to ones on the diagonal."""
    value, vector = np.linalg.eigh(matrix)
    positive = (vector * np.maximum(value, smallest)) @ vector.T
    scale = np.sqrt(np.diag(positive))
    return np.asarray(positive / np.outer(scale, scale))


class GaussianCopula(Generator):
    """Categories through correlated normals, given those behind the customer's features."""

    kind = "copula"

    def __init__(
        self, calendar: Calendar, shelf: Shelf, share_j: Floats, knots_fn: Floats, joint: Floats
    ) -> None:
        super().__init__(calendar, shelf)
        self.share_j, self.knots_fn, self.joint = share_j, knots_fn, joint
        n_features = knots_fn.shape[0]
        inner, cross = joint[:n_features, :n_features], joint[n_features:, :n_features]
        self._slope_jf = np.linalg.solve(inner, cross.T).T
        rest = joint[n_features:, n_features:] - self._slope_jf @ cross.T
        self._root_jj = np.linalg.cholesky(rest)

    @classmethod
    def fit(cls, table: Transactions, *, seed: int = 0) -> Self:
        """Fit shares and correlations. ``seed`` is not used: nothing is drawn."""
        check_int("seed", seed, 0)
        records = Records.of(table)
        calendar, scores = Calendar.fit(records)
        bought = records.bought_kj.astype(np.float32)
        n_trips, share = bought.shape[0], records.bought_kj.mean(axis=0)
        together = (bought.T @ bought).astype(np.float64) / n_trips
        pairs = tetrachoric(share, together)
        expected = n_trips * np.outer(share, share)
        pairs = pairs * expected / (expected + PRIOR_TRIPS)
        np.fill_diagonal(pairs, 1.0)
        # Frequent customers make more trips: the features' scores over trips.
        by_trip = scores[records.customer_k]
        score_kf = np.stack([normal_scores(f) for f in by_trip.T], axis=1)
        threshold = ndtri(np.clip(share, 1e-9, 1.0 - 1e-9))
        density = np.exp(-0.5 * threshold**2) / np.sqrt(2.0 * np.pi)
        # E[z_f 1(z_j < a)] = -r phi(a).
        biserial = -(bought.T @ score_kf) / n_trips / density[:, None]
        n_features = scores.shape[1]
        joint = np.eye(n_features + share.size)
        joint[:n_features, :n_features] = score_kf.T @ score_kf / n_trips
        joint[n_features:, :n_features] = np.clip(biserial, -_LIMIT, _LIMIT)
        joint[:n_features, n_features:] = joint[n_features:, :n_features].T
        joint[n_features:, n_features:] = pairs
        np.fill_diagonal(joint, 1.0)
        # From a customer's score to that over trips: matching quantiles.
        grid = np.linspace(0.002, 0.998, 250)
        knots = np.stack([np.quantile(by_trip[:, f], grid) for f in range(n_features)])
        return cls(calendar, Shelf.fit(table, records), share, knots, nearest_correlation(joint))

    def baskets(self, score_kf: Floats, week_k: Ints, rng: np.random.Generator) -> Bools:
        normal = ndtri(np.linspace(0.002, 0.998, self.knots_fn.shape[1]))
        score = np.stack(
            [
                np.interp(x, knots, normal)
                for x, knots in zip(score_kf.T, self.knots_fn, strict=True)
            ],
            axis=1,
        )
        noise = rng.standard_normal((week_k.size, self.share_j.size))
        latent = score @ self._slope_jf.T + noise @ self._root_jj.T
        return np.asarray(latent < ndtri(self.share_j))

    def arrays(self) -> Arrays:
        return {"share_j": self.share_j, "knots_fn": self.knots_fn, "joint": self.joint}

    @classmethod
    def from_arrays(cls, calendar: Calendar, shelf: Shelf, arrays: Mapping[str, Any]) -> Self:
        return cls(calendar, shelf, arrays["share_j"], arrays["knots_fn"], arrays["joint"])
