"""Product choice within a category: section 3.2, eq. 3-4."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

__all__ = ["choose_product", "product_probability"]


def product_probability(
    utility_ui: ArrayLike, category_value_uj: ArrayLike, category_sizes: ArrayLike
) -> Floats:
    r"""Probability of each product, given a purchase in its category (multinomial logit).

    .. math:: p^{prod}_{uit} = \frac{\exp \mu_{uit}}{\sum_{k \in J_j} \exp \mu_{ukt}}
              = \exp(\mu_{uit} - CV_{ujt})

    Args:
        utility_ui: utilities, shape (U, I).
        category_value_uj: category values of the same utilities (eq. 7), shape (U, J).
        category_sizes: products in each category, shape (J,).

    Returns:
        Probabilities, shape (U, I), summing to one within each category.

    Source: paper eq. 4.
    """
    value_ui = np.repeat(np.asarray(category_value_uj), np.asarray(category_sizes), axis=-1)
    return np.asarray(np.exp(np.asarray(utility_ui) - value_ui))


def choose_product(utility_k: ArrayLike, uniform: float) -> int:
    r"""The product at which the cumulative probability first exceeds the draw (inverse CDF).

    .. math:: \min \{ i : \textstyle\sum_{k \le i} p^{prod}_k > u \}

    Args:
        utility_k: utilities of one customer in one category, shape (K,).
        uniform: a draw in (0, 1).

    Returns:
        Position of the product within the category, in [0, K).

    Source: paper eq. 3-4.
    """
    utility = np.asarray(utility_k, dtype=np.float64)
    cumulative = np.cumsum(np.exp(utility - utility.max()))
    # Products too unlikely to move the sum repeat its last value, so the index stays in range.
    return int(np.searchsorted(cumulative, uniform * cumulative[-1], side="right"))
