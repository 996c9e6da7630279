"""Layer on store visits: customers who come often or seldom, and whose habits drift."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Floats = NDArray[np.float64]

__all__ = ["opening_probability", "visit_drift", "visit_effect"]


def visit_drift(
    previous_u: ArrayLike | None, normal_u: ArrayLike, drift_sd: float, drift_memory: float
) -> Floats:
    r"""Slow drift of each customer's store utility, stationary from the first week on.

    .. math:: x_{u1} = \sigma n_{u1},\quad
              x_{ut} = \rho x_{u,t-1} + \sigma \sqrt{1 - \rho^2}\, n_{ut}

    Args:
        previous_u: drift of last week, shape (U,); None in the first week.
        normal_u: standard normal draws of this week, shape (U,).
        drift_sd: standard deviation sigma >= 0.
        drift_memory: correlation rho of neighbouring weeks, in [0, 1).

    Returns:
        Drift of this week, shape (U,).

    Source: not in the paper; a first-order autoregression.
    """
    normal = drift_sd * np.asarray(normal_u, dtype=np.float64)
    if previous_u is None:
        return np.asarray(normal)
    fresh = np.sqrt(1.0 - drift_memory**2) * normal
    return np.asarray(drift_memory * np.asarray(previous_u) + fresh)


def visit_effect(intercept_u: ArrayLike, drift_u: ArrayLike, week: float) -> Floats:
    r"""What the layer adds to the store utility of eq. 11: :math:`a_u + x_{ut} + c_t`.

    Args:
        intercept_u: the customer's lasting utility, shape (U,).
        drift_u: the customer's drift, shape (U,).
        week: the week's effect on everybody.

    Returns:
        Effects, shape (U,).

    Source: not in the paper.
    """
    return np.asarray(np.asarray(intercept_u) + np.asarray(drift_u) + week)


def opening_probability(store_utility_u: ArrayLike, opening: float) -> Floats:
    r"""Probability of a visit in the first week, :math:`o\, s_{u1}`.

    Args:
        store_utility_u: store utilities, the layer's effect included, shape (U,).
        opening: share o in [0, 1] of the week that is observed.

    Returns:
        Probabilities, shape (U,).

    Source: not in the paper, where everybody visits in week 1 (eq. 10).
    """
    return np.asarray(opening * special.expit(np.asarray(store_utility_u, dtype=np.float64)))
