"""Petrol: a purchase beside the store's, for comparison with records that contain it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Floats = NDArray[np.float64]

__all__ = ["fuel_probability", "fuel_share", "fuel_units"]


def fuel_share(uniform_u: ArrayLike, never: float, a: float, b: float) -> Floats:
    r"""A customer's probability of buying petrol on a trip: 0 for some, a Beta number for others.

    .. math:: b_u = 0 \text{ if } v_u < \nu,\quad b_u \sim Beta(a, b) \text{ otherwise}

    Args:
        uniform_u: draws v in (0, 1), shape (U,).
        never: share nu in [0, 1) of customers who never buy petrol.
        a: of the Beta law, > 0.
        b: of the Beta law, > 0.

    Returns:
        Probabilities, shape (U,).

    Source: not in the paper.
    """
    rest = np.clip((np.asarray(uniform_u, dtype=np.float64) - never) / (1.0 - never), 0.0, 1.0)
    return np.asarray(special.betaincinv(a, b, rest))


def fuel_probability(share_u: ArrayLike, shopped_u: ArrayLike, away: float) -> Floats:
    r"""Probability of petrol in a week: :math:`b_u` with a trip to the store, else :math:`w b_u`.

    Args:
        share_u: b, shape (U,).
        shopped_u: whether each customer bought something in the store this week, shape (U,).
        away: w in [0, 1].

    Returns:
        Probabilities, shape (U,).

    Source: not in the paper.
    """
    return np.asarray(np.asarray(share_u) * np.where(np.asarray(shopped_u, dtype=bool), 1.0, away))


def fuel_units(normal: ArrayLike, log_mean: float, log_sd: float) -> NDArray[np.int64]:
    r"""Units of petrol of a week, rounded up: lognormal.

    Args:
        normal: standard normal draws, any shape.
        log_mean: mean of the log.
        log_sd: standard deviation of the log.

    Returns:
        Units, same shape, >= 1.

    Source: not in the paper.
    """
    units = np.exp(log_mean + log_sd * np.asarray(normal, dtype=np.float64))
    return np.ceil(units).astype(np.int64)
