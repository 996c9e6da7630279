r"""Layer on category choice: large and small baskets, tastes, complements.

With it the logit of eq. 9 is

.. math:: \operatorname{logit} p^{cate}_{ujt} = \gamma_{0j} + \gamma_{1j} CV_{ujt}
          + h_{uj} + b_{ut} + \mu_j \cdot g_{ut} - \tfrac12 |\mu_j|^2

with a lasting household effect h, the trip's size b and the trip's factors g. Price acts through
the category value, as in the paper. Effects that differ over categories are centred so that they
multiply the odds by 1 on average.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

__all__ = ["household_effect", "one_category", "trip_effect", "trip_size"]


def household_effect(
    size_u: ArrayLike,
    taste_uk: ArrayLike,
    loading_jk: ArrayLike,
    affinity_uj: ArrayLike,
    affinity_sd_j: ArrayLike,
) -> Floats:
    r"""What a customer's log-odds of a category have for good.

    .. math:: h_{uj} = \eta_u + \lambda_j \cdot f_u - \tfrac12 |\lambda_j|^2
              + a_j n_{uj} - \tfrac12 a_j^2

    Args:
        size_u: basket effect eta, shape (U,).
        taste_uk: standard normal tastes f, shape (U, K).
        loading_jk: loadings lambda, shape (J, K).
        affinity_uj: standard normal n, shape (U, J).
        affinity_sd_j: a, shape (J,), >= 0.

    Returns:
        Effects, shape (U, J).

    Source: not in the paper.
    """
    loading = np.asarray(loading_jk, dtype=np.float64)
    sd = np.asarray(affinity_sd_j, dtype=np.float64)
    taste = np.asarray(taste_uk) @ loading.T - 0.5 * (loading**2).sum(axis=1)
    own = sd * np.asarray(affinity_uj) - 0.5 * sd**2
    return np.asarray(np.asarray(size_u)[:, None] + taste + own)


def trip_size(
    normal_u: ArrayLike, uniform_u: ArrayLike, trip_sd: float, fill_in_u: ArrayLike, depth: float
) -> Floats:
    r"""Major or fill-in trip: what it adds to the log-odds of every category.

    .. math:: b_{ut} = \sigma n_{ut} - \delta\, 1(v_{ut} < \pi_u)

    Args:
        normal_u: standard normal draws, shape (U,).
        uniform_u: draws v in (0, 1), shape (U,).
        trip_sd: sigma >= 0.
        fill_in_u: probability pi of a fill-in trip, shape (U,).
        depth: delta, what a fill-in trip takes off.

    Returns:
        Effects, shape (U,).

    Source: not in the paper; major and fill-in trips as in the literature on shopping trips.
    """
    fill_in = np.asarray(uniform_u) < np.asarray(fill_in_u)
    return np.asarray(trip_sd * np.asarray(normal_u) - np.where(fill_in, depth, 0.0))


def trip_effect(size_u: ArrayLike, factor_uk: ArrayLike, loading_jk: ArrayLike) -> Floats:
    r"""What a trip adds to the log-odds of each category.

    .. math:: b_{ut} + \mu_j \cdot g_{ut} - \tfrac12 |\mu_j|^2

    Args:
        size_u: b, shape (U,).
        factor_uk: standard normal g, shape (U, K).
        loading_jk: mu, shape (J, K). Categories with like loadings are complements.

    Returns:
        Effects, shape (U, J).

    Source: not in the paper.
    """
    loading = np.asarray(loading_jk, dtype=np.float64)
    factors = np.asarray(factor_uk) @ loading.T - 0.5 * (loading**2).sum(axis=1)
    return np.asarray(np.asarray(size_u)[:, None] + factors)


def one_category(probability_j: ArrayLike, uniform: float) -> int:
    r"""The category of a trip that would buy nothing, in proportion to the odds.

    .. math:: P(j) \propto p_j / (1 - p_j)

    which is the probability that j is bought, given that exactly one category is.

    Args:
        probability_j: category probabilities, shape (J,).
        uniform: a draw in (0, 1).

    Returns:
        The category.

    Source: not in the paper, where a visit can end without a purchase.
    """
    p = np.asarray(probability_j, dtype=np.float64)
    cumulative = np.cumsum(p / np.maximum(1.0 - p, 1e-300))
    return int(np.searchsorted(cumulative, uniform * cumulative[-1], side="right"))
