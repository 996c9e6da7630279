r"""Own-price elasticities of expected demand: Appendix C, eq. 20-29.

Each function gives the elasticity of one stage at one customer and product; their sum is the
elasticity of the expected quantity, because the stages multiply. Two things go beyond the paper:

* the store term holds for any inertia theta (the paper's and upstream's hold for theta = 0);
* ``capped_ui`` marks products whose utility is cut off by the store's cap. Their utility does
  not move with their own price, so the category, product and quantity terms vanish. The cap
  itself is held fixed: one product's price moves a percentile over the whole store by nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

__all__ = [
    "category_elasticity",
    "overall_elasticity",
    "product_elasticity",
    "quantity_elasticity",
    "store_elasticity",
]


def _moving(value: Floats, capped_ui: ArrayLike | None) -> Floats:
    return value if capped_ui is None else np.where(capped_ui, 0.0, value)


def store_elasticity(
    gamma_store_2: ArrayLike,
    visit_probability_u: ArrayLike,
    discount_i: ArrayLike,
    *,
    propensity_u: ArrayLike | None = None,
    theta_u: ArrayLike = 0.0,
    weight: float = 1.0,
    coupon_u: ArrayLike = 0.0,
) -> Floats:
    r"""Elasticity of the visit probability, through the marketing feature.

    .. math:: e^{store}_{uit} = -\gamma_2\, w\, \frac{(1-\theta_u) s_{ut} (1 - s_{ut})}{p_{ut}}
              (1 - D_{it})(1 - C_{ut})

    Without inertia :math:`s = p` and this is the paper's
    :math:`-\gamma_2 (1 - p_{ut})(1 - D_{it})`.

    Args:
        gamma_store_2: weight of the marketing feature, scalar.
        visit_probability_u: p, shape (U,), in (0, 1].
        discount_i: discounts, shape (I,).
        propensity_u: s of eq. 12, shape (U,); by default equal to p (no inertia).
        theta_u: inertia, scalar or shape (U,).
        weight: marketing_scale / I, what one product counts in the feature (1 in the paper).
        coupon_u: coupons, where they count in the marketing feature, scalar or shape (U,).

    Returns:
        Elasticities, shape (U, I), <= 0.

    Source: paper eq. 22-23.
    """
    p = np.asarray(visit_probability_u, dtype=np.float64)
    s = p if propensity_u is None else np.asarray(propensity_u, dtype=np.float64)
    slope = (1.0 - np.asarray(theta_u)) * s * (1.0 - s) / p * (1.0 - np.asarray(coupon_u))
    offered = 1.0 - np.asarray(discount_i, dtype=np.float64)
    return -np.asarray(gamma_store_2) * weight * slope[:, None] * offered[None, :]


def category_elasticity(
    product_probability_ui: ArrayLike,
    category_probability_ui: ArrayLike,
    gamma_cate_1_i: ArrayLike,
    beta_w_ui: ArrayLike,
    capped_ui: ArrayLike | None = None,
) -> Floats:
    r"""Elasticity of the category probability.

    .. math:: e^{cate}_{uit} = p^{prod}_{uit} (1 - p^{cate}_{ujt}) \gamma^{cate}_{1j} \beta^w_{ui}

    Args:
        product_probability_ui: eq. 4, shape (U, I).
        category_probability_ui: eq. 9 of each product's category, shape (U, I).
        gamma_cate_1_i: category weight of each product's category, shape (I,).
        beta_w_ui: price sensitivity, shape (U, I).
        capped_ui: True where the utility is capped, shape (U, I).

    Returns:
        Elasticities, shape (U, I), <= 0.

    Source: paper eq. 24-25.
    """
    value = (
        np.asarray(product_probability_ui)
        * (1.0 - np.asarray(category_probability_ui))
        * np.asarray(gamma_cate_1_i)
        * np.asarray(beta_w_ui)
    )
    return _moving(value, capped_ui)


def product_elasticity(
    product_probability_ui: ArrayLike, beta_w_ui: ArrayLike, capped_ui: ArrayLike | None = None
) -> Floats:
    r"""Elasticity of the product probability.

    .. math:: e^{prod}_{u(ii)t} = (1 - p^{prod}_{uit}) \beta^w_{ui}

    Args:
        product_probability_ui: eq. 4, shape (U, I).
        beta_w_ui: price sensitivity, shape (U, I).
        capped_ui: True where the utility is capped, shape (U, I).

    Returns:
        Elasticities, shape (U, I), <= 0; 0 for the only product of a category.

    Source: paper eq. 26-27.
    """
    # A lone product has probability 1 up to rounding; the bound keeps its elasticity at 0.
    others = np.maximum(1.0 - np.asarray(product_probability_ui, dtype=np.float64), 0.0)
    return _moving(others * np.asarray(beta_w_ui), capped_ui)


def quantity_elasticity(
    purchase_rate_ui: ArrayLike,
    gamma_prod_1_ui: ArrayLike,
    beta_w_ui: ArrayLike,
    capped_ui: ArrayLike | None = None,
) -> Floats:
    r"""Elasticity of the expected quantity of a purchase.

    .. math:: e^{quant}_{u(ii)t} = \frac{\lambda_{uit}}{1 + \lambda_{uit}}
              \gamma^{prod}_{ui} \beta^w_{ui}

    Args:
        purchase_rate_ui: eq. 5, shape (U, I).
        gamma_prod_1_ui: weight of utility in the rate, shape (U, I).
        beta_w_ui: price sensitivity, shape (U, I).
        capped_ui: True where the utility is capped, shape (U, I).

    Returns:
        Elasticities, shape (U, I), <= 0.

    Source: paper eq. 28-29.
    """
    rate = np.asarray(purchase_rate_ui, dtype=np.float64)
    value = rate / (1.0 + rate) * np.asarray(gamma_prod_1_ui) * np.asarray(beta_w_ui)
    return _moving(value, capped_ui)


def overall_elasticity(
    store_ui: ArrayLike, category_ui: ArrayLike, product_ui: ArrayLike, quantity_ui: ArrayLike
) -> Floats:
    r"""Elasticity of the expected quantity bought.

    .. math:: e_{uit} = \frac{d E Q_{uit}}{E Q_{uit}} \Big/ \frac{d P_{uit}}{P_{uit}}
              = e^{store} + e^{cate} + e^{prod} + e^{quant}

    Args:
        store_ui: eq. 23, shape (U, I).
        category_ui: eq. 25, shape (U, I).
        product_ui: eq. 27, shape (U, I).
        quantity_ui: eq. 29, shape (U, I).

    Returns:
        Elasticities, shape (U, I).

    Source: paper eq. 20-21.
    """
    return np.asarray(
        np.asarray(store_ui) + np.asarray(category_ui) + np.asarray(product_ui)
        + np.asarray(quantity_ui)
    )  # fmt: skip
