"""Quantiles of a truncated normal law."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Floats = NDArray[np.float64]

__all__ = ["truncated_normal_quantile"]


def truncated_normal_quantile(
    u: ArrayLike, mean: ArrayLike, sd: ArrayLike, low: ArrayLike, high: ArrayLike
) -> Floats:
    r"""Quantile of a normal law cut to [low, high]; every argument broadcasts.

    .. math:: m + s\,\Phi^{-1}\bigl(\Phi(a) + u(\Phi(b) - \Phi(a))\bigr),\quad
              a = (low - m)/s,\ b = (high - m)/s

    Where the interval lies above the mean the mirrored law is used, so that an interval far in
    the upper tail keeps its digits.
    """
    u, mean, sd, low, high = np.broadcast_arrays(
        *(np.asarray(x, dtype=np.float64) for x in (u, mean, sd, low, high))
    )
    a, b = (low - mean) / sd, (high - mean) / sd
    mirror = a > 0
    a, b = np.where(mirror, -b, a), np.where(mirror, -a, b)
    u = np.where(mirror, 1.0 - u, u)
    p_a, p_b = special.ndtr(a), special.ndtr(b)
    z = np.array(special.ndtri(p_a + u * (p_b - p_a)))
    if (far := p_b < 1e-290).any():  # 36 standard deviations out: the same in logarithms
        below = np.log1p(-u[far]) + special.log_ndtr(a[far])
        z[far] = special.ndtri_exp(np.logaddexp(below, np.log(u[far]) + special.log_ndtr(b[far])))
    z = np.clip(z, a, b)
    return np.asarray(np.clip(mean + sd * np.where(mirror, -z, z), low, high))
