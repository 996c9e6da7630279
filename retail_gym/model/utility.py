"""Product utility: section 3.1, eq. 1, 2, 17 and 18."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

__all__ = ["capped_utility", "price_sensitivity", "product_utility"]


def price_sensitivity(c: ArrayLike, beta_u: ArrayLike, beta_i: ArrayLike) -> Floats:
    r"""Price coefficient of every customer and product, a product of two factors.

    .. math:: \beta^w_{ui} = c\, \beta^w_u\, \beta^w_i

    Args:
        c: scale, scalar (-1.4 in the paper).
        beta_u: customer factor, shape (U,), < 0.
        beta_i: product factor, shape (I,), < 0.

    Returns:
        Price sensitivity per unit of log price, shape (U, I), < 0.

    Source: paper eq. 18.
    """
    customer = np.asarray(c, dtype=np.float64) * np.asarray(beta_u, dtype=np.float64)
    return np.asarray(customer[:, None] * np.asarray(beta_i, dtype=np.float64)[None, :])


def product_utility(
    beta_x_ui: ArrayLike,
    x_ui: ArrayLike,
    beta_z_ui: ArrayLike,
    z_i: ArrayLike,
    beta_w_ui: ArrayLike,
    log_price_ui: ArrayLike,
    eps_ui: ArrayLike,
) -> Floats:
    r"""Utility of every product to every customer this week.

    .. math:: \mu^{prod}_{uit} = \beta^x_{ui} X_{uit} + \beta^z_{ui} Z_i
              + \beta^w_{ui} \log P_{uit} + \epsilon_{uit}

    Args:
        beta_x_ui: sensitivity to features, shape (U, I).
        x_ui: time-varying features, shape (U, I).
        beta_z_ui: sensitivity to quality, shape (U, I).
        z_i: unobserved quality, shape (I,).
        beta_w_ui: price sensitivity, shape (U, I).
        log_price_ui: log of the price paid [log $], shape (U, I) or (I,).
        eps_ui: noisy intercept, shape (U, I).

    Returns:
        Utilities, shape (U, I), before any cap.

    Source: paper eq. 17; eq. 2 with the quality term written out, eq. 1 with W = log P.
    """
    # One sum, left to right, in two buffers: this is the hot loop of the reference kernel.
    utility: Floats = np.multiply(beta_x_ui, x_ui, dtype=np.float64)
    term = np.multiply(beta_z_ui, z_i, dtype=np.float64)
    utility += term
    utility += np.multiply(beta_w_ui, log_price_ui, out=term)
    utility += np.asarray(eps_ui)
    return utility


def capped_utility(utility_ui: ArrayLike, cap_u: ArrayLike) -> Floats:
    r"""Utilities cut off above at the store's cap.

    .. math:: \min(\mu_{uit},\ \mathrm{cap}_u(P_t))

    Args:
        utility_ui: utilities, shape (U, I).
        cap_u: cap at the prices each customer sees, scalar or shape (U,); inf: no cap.

    Returns:
        Capped utilities, shape (U, I).

    Source: the paper has no cap. Upstream clips at a percentile pooled over its customers and
    this week's noise; ours is the percentile over a frozen reference sample
    (:mod:`retail_gym.world.reference`), so that no customer's demand depends on the others'.
    """
    cap = np.asarray(cap_u, dtype=np.float64)
    return np.minimum(utility_ui, cap[:, None] if cap.ndim else cap)
