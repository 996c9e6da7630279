"""Layer on quantity: more unequal than the Poisson law of eq. 6."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Floats = NDArray[np.float64]

__all__ = [
    "expected_unequal_quantity",
    "household_rate",
    "in_pairs",
    "unequal_quantity_probability",
]


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


def in_pairs(quantity: ArrayLike, uniform: ArrayLike, pairs: float) -> NDArray[np.int64]:
    r"""Some odd numbers above 1 become the even one below: shoppers buy in pairs.

    .. math:: Q - 1(Q \in \{3, 5, \ldots\},\ v < \pi)

    Args:
        quantity: whole units, >= 1, any shape.
        uniform: draws v in (0, 1), same shape.
        pairs: pi, in [0, 1].

    Returns:
        Units, same shape.

    Source: not in the paper.
    """
    units = np.asarray(quantity, dtype=np.int64)
    odd = (units > 1) & (units % 2 == 1)
    return np.asarray(units - (odd & (np.asarray(uniform) < pairs)))


def expected_unequal_quantity(mean: ArrayLike, size: float, pairs: float = 0.0) -> Floats:
    r"""Expected units, those in pairs included.

    .. math:: 1 + m - \pi \Bigl(\tfrac12 + \tfrac12 \bigl(\tfrac{p}{2 - p}\bigr)^r - p^r\Bigr),
              \quad p = \frac{r}{r + m}

    In brackets: the probability of an odd number above 1.

    Args:
        mean: means m of the units beyond the first, >= 0, any shape.
        size: shape r > 0 of the gamma law.
        pairs: pi, in [0, 1].

    Returns:
        Units >= 1, same shape.

    Source: not in the paper.
    """
    m = np.asarray(mean, dtype=np.float64)
    log_p = -np.log1p(m / size)
    even = np.exp(size * (log_p - np.log(2.0 - np.exp(log_p))))
    return np.asarray(1.0 + m - pairs * (0.5 + 0.5 * even - np.exp(size * log_p)))
