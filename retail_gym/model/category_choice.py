"""Category choice: section 3.3, eq. 7-9."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Floats = NDArray[np.float64]

__all__ = ["category_probability", "category_start", "category_value"]


def category_start(category_sizes: ArrayLike) -> NDArray[np.int64]:
    """First product of each category, shape (J,), for products ordered by category."""
    sizes = np.asarray(category_sizes, dtype=np.int64)
    return np.asarray(np.cumsum(sizes) - sizes)


def category_value(utility_ui: ArrayLike, category_sizes: ArrayLike) -> Floats:
    r"""Inclusive value of each category: the expected best it offers the customer.

    .. math:: CV_{ujt} = \log \sum_{k \in J_j} \exp \mu_{ukt}

    Args:
        utility_ui: utilities, shape (U, I).
        category_sizes: products in each category, shape (J,), each >= 1.

    Returns:
        Category values, shape (U, J). The largest utility is taken out of each sum first, so
        utilities of any size neither overflow nor vanish.

    Source: paper eq. 7.
    """
    utility = np.asarray(utility_ui, dtype=np.float64)
    start = category_start(category_sizes)
    peak = np.maximum.reduceat(utility, start, axis=-1)
    shifted = np.exp(utility - np.repeat(peak, np.asarray(category_sizes), axis=-1))
    return np.asarray(peak + np.log(np.add.reduceat(shifted, start, axis=-1)))


def category_probability(
    gamma_cate_0_j: ArrayLike, gamma_cate_1_j: ArrayLike, category_value_uj: ArrayLike
) -> Floats:
    r"""Probability of a purchase in each category, given a store visit.

    .. math:: p^{cate}_{ujt} = \frac{\exp(\gamma_{0j} + \gamma_{1j} CV_{ujt})}
              {1 + \exp(\gamma_{0j} + \gamma_{1j} CV_{ujt})}

    Args:
        gamma_cate_0_j: base utility of the category, shape (J,).
        gamma_cate_1_j: weight of the category value, shape (J,).
        category_value_uj: category values, shape (U, J).

    Returns:
        Probabilities, shape (U, J). Categories are chosen independently.

    Source: paper eq. 9.
    """
    logit = np.asarray(gamma_cate_0_j) + np.asarray(gamma_cate_1_j) * np.asarray(category_value_uj)
    return np.asarray(special.expit(logit))
