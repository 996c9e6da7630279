"""Store visit: section 3.4, eq. 10-12, and the marketing feature of eq. 19."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Floats = NDArray[np.float64]

__all__ = [
    "marketing_feature",
    "store_utility",
    "store_value",
    "visit_probability",
    "visit_propensity",
]


def store_value(category_value_uj: ArrayLike) -> Floats:
    r"""Inclusive value of the whole store.

    .. math:: SV_{ut} = \log \sum_j \exp CV_{ujt}

    Args:
        category_value_uj: category values, shape (U, J).

    Returns:
        Store values, shape (U,).

    Source: paper section 3.4.
    """
    value = np.asarray(category_value_uj, dtype=np.float64)
    peak = value.max(axis=-1)
    return np.asarray(peak + np.log(np.exp(value - peak[..., None]).sum(axis=-1)))


def marketing_feature(
    discount_i: ArrayLike, marketing_scale: ArrayLike, last_coupon_u: ArrayLike = 0.0
) -> Floats:
    r"""Marketing intensity: the sum of the week's discounts, plus last week's coupon.

    .. math:: X^{store}_{ut} = \sum_i (D_{it} + C_{u,t-1}) = N\,(\bar D_t + C_{u,t-1})

    Args:
        discount_i: discounts in [0, 1], shape (I,) or (S, I).
        marketing_scale: N, the catalogue size for which gamma_store_2 was set, scalar >= 0.
        last_coupon_u: coupon of each customer last week, in [0, 1), scalar or shape (U,).

    Returns:
        The feature, broadcast of shape () or (S,) with (U,).

    Source: paper eq. 19; the coupon term is AgentSim's ("hfhd").
    """
    mean_discount = np.asarray(discount_i, dtype=np.float64).mean(axis=-1)
    return np.asarray(marketing_scale * (mean_discount + np.asarray(last_coupon_u)))


def store_utility(
    gamma_store_0: ArrayLike,
    gamma_store_1: ArrayLike,
    gamma_store_2: ArrayLike,
    visited_u: ArrayLike,
    store_value_u: ArrayLike,
    marketing_u: ArrayLike,
) -> Floats:
    r"""Utility of visiting the store this week.

    .. math:: \mu^{store}_{ut} = \gamma_0 + I_{u,t-1}\, \gamma_1 SV_{u,t-1}
              + \gamma_2 X^{store}_{ut}

    Args:
        gamma_store_0: base utility, scalar.
        gamma_store_1: weight of last visit's store value, scalar >= 0.
        gamma_store_2: weight of the marketing feature, scalar.
        visited_u: whether each customer visited last week, shape (U,).
        store_value_u: store value of last week, shape (U,); not used where there was no visit.
        marketing_u: this week's marketing feature, scalar or shape (U,).

    Returns:
        Store utilities, shape (U,).

    Source: paper eq. 11.
    """
    memory = np.where(np.asarray(visited_u, dtype=bool), store_value_u, 0.0)
    return np.asarray(
        np.asarray(gamma_store_0)
        + np.asarray(gamma_store_1) * memory
        + np.asarray(gamma_store_2) * np.asarray(marketing_u)
    )


def visit_propensity(store_utility_u: ArrayLike) -> Floats:
    r"""Short-term propensity to visit, :math:`s_{ut} = e^{\mu} / (1 + e^{\mu})`.

    Args:
        store_utility_u: store utilities, shape (U,).

    Returns:
        Propensities, shape (U,), in (0, 1).

    Source: paper eq. 12.
    """
    return np.asarray(special.expit(np.asarray(store_utility_u, dtype=np.float64)))


def visit_probability(
    theta_u: ArrayLike, propensity_u: ArrayLike, previous_probability_u: ArrayLike
) -> Floats:
    r"""Probability of a visit in any week after the first (in the first it is 1).

    .. math:: P(I_{ut}) = (1 - \theta_u) s_{ut} + \theta_u P(I_{u,t-1})

    Args:
        theta_u: inertia, shape (U,), in [0, 1).
        propensity_u: this week's propensity (eq. 12), shape (U,).
        previous_probability_u: last week's visit probability, shape (U,).

    Returns:
        Probabilities, shape (U,).

    Source: paper eq. 10.
    """
    theta = np.asarray(theta_u, dtype=np.float64)
    now, before = np.asarray(propensity_u), np.asarray(previous_probability_u)
    return np.asarray((1.0 - theta) * now + theta * before)
