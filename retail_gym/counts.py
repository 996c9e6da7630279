"""Counts by inverse distribution function: one uniform draw, one number of units."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

__all__ = ["negative_binomial_quantile", "poisson_quantile"]

#: No count of a negative binomial law is larger.
MOST: Final = 10_000


def poisson_quantile(u: ArrayLike, rate: ArrayLike) -> NDArray[np.int64]:
    r"""Inverse distribution function of the Poisson law: the smallest n with F(n) >= u.

    Args:
        u: uniform draws in (0, 1), any shape.
        rate: rates >= 0, same shape.

    Returns:
        Counts, same shape.
    """
    u, rate = np.broadcast_arrays(
        np.asarray(u, dtype=np.float64), np.asarray(rate, dtype=np.float64)
    )
    count = np.zeros(u.shape, dtype=np.int64)
    small = rate < 30.0
    term = np.exp(-np.where(small, rate, 0.0))
    total = term.copy()
    n = 0
    while n < 200 and (short := small & (total < u)).any():
        n += 1
        count[short] = n
        term = term * rate / n
        total = total + term
    if not small.all():
        large = ~small & (rate < 2e9)
        guess = np.ceil(special.pdtrik(u[large], rate[large]))
        below = special.pdtr(np.maximum(guess - 1.0, 0.0), rate[large]) >= u[large]
        guess = np.where(below, guess - 1.0, guess)
        above = special.pdtr(guess, rate[large]) < u[large]
        count[large] = np.where(above, guess + 1.0, guess).astype(np.int64)
        # Beyond, SciPy's quantile gives up; two terms of Cornish and Fisher are within a unit.
        huge = ~small & ~large
        z, cut = special.ndtri(u[huge]), np.minimum(rate[huge], 2.0**62)
        near = cut + z * np.sqrt(cut) + (z * z - 1.0) / 6.0
        count[huge] = np.round(near).astype(np.int64)
    return count


def negative_binomial_quantile(u: ArrayLike, mean: ArrayLike, size: float) -> NDArray[np.int64]:
    r"""Inverse distribution function of a Poisson law whose rate is a gamma draw.

    .. math:: P(n) = \binom{n + r - 1}{n} (1-p)^n p^r,\quad p = \frac{r}{r + m}

    Args:
        u: uniform draws in (0, 1), any shape.
        mean: means m >= 0, same shape.
        size: shape r > 0 of the gamma law; the variance is m + m^2 / r.

    Returns:
        Counts, same shape, at most 10,000: the smallest n with F(n) >= u.
    """
    u, mean = np.broadcast_arrays(
        np.asarray(u, dtype=np.float64), np.asarray(mean, dtype=np.float64)
    )
    count = np.zeros(u.shape, dtype=np.int64)
    odds = mean / (size + mean)
    term = np.exp(-size * np.log1p(mean / size))
    total = np.array(term)
    n = 0
    while n < MOST and (short := total < u).any():
        term = term * odds * ((n + size) / (n + 1.0))
        n += 1
        count[short] = n
        total = total + term
    return count
