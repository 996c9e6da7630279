"""Purchase quantity: section 3.2, eq. 5-6."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Floats = NDArray[np.float64]

__all__ = ["expected_quantity", "purchase_rate", "quantity_probability"]


def purchase_rate(
    gamma_prod_0_i: ArrayLike, gamma_prod_1_ui: ArrayLike, utility_ui: ArrayLike
) -> Floats:
    r"""Rate of the units bought beyond the first.

    .. math:: \lambda_{uit} = \exp(\gamma^{prod}_{0i} + \gamma^{prod}_{ui}\, \mu_{uit})

    Args:
        gamma_prod_0_i: baseline log rate, shape (I,).
        gamma_prod_1_ui: weight of utility, shape (U, I).
        utility_ui: utilities (capped, where the store has a cap), shape (U, I).

    Returns:
        Rates, shape (U, I), > 0.

    Source: paper eq. 5.
    """
    exponent = np.multiply(gamma_prod_1_ui, utility_ui, dtype=np.float64)
    return np.asarray(np.exp(np.asarray(gamma_prod_0_i) + exponent))


def expected_quantity(purchase_rate_ui: ArrayLike) -> Floats:
    r"""Mean units of a purchase, :math:`1 + \lambda_{uit}`.

    The quantity is one plus a Poisson number; upstream's ``expected_demand`` leaves the one out.

    Args:
        purchase_rate_ui: rates, any shape.

    Returns:
        Units, same shape, > 1.

    Source: paper eq. 6.
    """
    return 1.0 + np.asarray(purchase_rate_ui, dtype=np.float64)


def quantity_probability(quantity: ArrayLike, purchase_rate_ui: ArrayLike) -> Floats:
    r"""Probability of each quantity, given that the product is bought (shifted Poisson).

    .. math:: P(Q = q) = \lambda^{q-1} e^{-\lambda} / (q-1)!

    Args:
        quantity: whole units, >= 1, broadcast with the rates.
        purchase_rate_ui: rates > 0.

    Returns:
        Probabilities, broadcast shape.

    Source: paper eq. 6.
    """
    extra = np.asarray(quantity, dtype=np.float64) - 1.0
    rate = np.asarray(purchase_rate_ui, dtype=np.float64)
    return np.asarray(np.exp(special.xlogy(extra, rate) - rate - special.gammaln(extra + 1.0)))
