"""Layer on quantity: more unequal than the Poisson law of eq. 6."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Floats = NDArray[np.float64]

__all__ = ["household_rate", "unequal_quantity_probability"]


def household_rate(purchase_rate: ArrayLike, factor_u: ArrayLike) -> Floats:
    r"""Mean units beyond the first: the rate of eq. 5 times the customer's factor.

    .. math:: m_{uit} = \lambda_{uit}\, s_u

    Args:
        purchase_rate: rates of eq. 5 (which hold the price term), any shape.
        factor_u: factors s > 0 with mean 1, broadcast with the rates.

    Returns:
        Means, broadcast shape.

    Source: not in the paper.
    """
    return np.asarray(np.asarray(purchase_rate) * np.asarray(factor_u))


def unequal_quantity_probability(quantity: ArrayLike, mean: ArrayLike, size: float) -> Floats:
    r"""Probability of each quantity: one plus a Poisson number with a gamma-distributed rate.

    .. math:: P(Q = q) = \binom{n + r - 1}{n} (1-p)^n p^r,\quad n = q - 1,\ p = \frac{r}{r + m}

    Args:
        quantity: whole units, >= 1, broadcast with the means.
        mean: means m of the units beyond the first, > 0.
        size: shape r > 0 of the gamma law.

    Returns:
        Probabilities, broadcast shape.

    Source: not in the paper; eq. 6 is the limit of large r.
    """
    n = np.asarray(quantity, dtype=np.float64) - 1.0
    m = np.asarray(mean, dtype=np.float64)
    log_ways = special.gammaln(n + size) - special.gammaln(size) - special.gammaln(n + 1.0)
    log_p = size * -np.log1p(m / size) + n * (np.log(m) - np.log(size + m))
    return np.asarray(np.exp(log_ways + log_p))
