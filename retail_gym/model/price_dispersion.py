"""Layer on prices: what is paid varies around the shelf price."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

__all__ = ["dispersion_factor"]


def dispersion_factor(normal_i: ArrayLike, sd_i: ArrayLike) -> Floats:
    r"""Factor of the price paid and of the base price of a product in a week.

    .. math:: \phi_{it} = \exp(s_i n_{it} - \tfrac12 s_i^2)

    Its mean is 1: revenue is what it would be without, on average. Choices follow the shelf price.

    Args:
        normal_i: standard normal draws of the week, shape (I,).
        sd_i: standard deviations s of its log, shape (I,), >= 0.

    Returns:
        Factors > 0, shape (I,).

    Source: not in the paper.
    """
    sd = np.asarray(sd_i, dtype=np.float64)
    return np.asarray(np.exp(sd * np.asarray(normal_i) - 0.5 * sd**2))
