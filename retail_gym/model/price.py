"""Prices and discounts: the high-low process of section 3.5 and Appendix B."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

__all__ = [
    "base_price",
    "discount",
    "discount_state",
    "discount_state_probability",
    "price",
    "price_paid",
]


def base_price(
    alpha_0_i: ArrayLike, alpha_1: ArrayLike, z_i: ArrayLike, lowest_price: ArrayLike
) -> Floats:
    r"""Price of a product that is not discounted.

    .. math:: P_i = \max(\alpha_{i0} + \alpha_1 Z_i,\ P_{min})

    Args:
        alpha_0_i: observed price component [$], shape (I,).
        alpha_1: price weight of unobserved quality [$], scalar.
        z_i: unobserved quality, shape (I,), >= 0.
        lowest_price: floor [$], scalar > 0.

    Returns:
        Base prices [$], shape (I,).

    Source: paper eq. 16, state 0; the floor is upstream's.
    """
    observed = np.asarray(alpha_0_i, dtype=np.float64)
    return np.asarray(np.maximum(observed + np.asarray(alpha_1) * np.asarray(z_i), lowest_price))


def discount_state(
    state_i: NDArray[np.bool_], a01_i: ArrayLike, a11_i: ArrayLike, uniform_i: ArrayLike
) -> NDArray[np.bool_]:
    r"""Next state of the two-state Markov process of each product.

    .. math:: A = \begin{bmatrix} 1-a_{01} & a_{01} \\ 1-a_{11} & a_{11} \end{bmatrix}

    Args:
        state_i: True where the product is discounted now, shape (I,).
        a01_i: probability of entering the discount state, shape (I,), in [0, 1].
        a11_i: probability of staying in it, shape (I,), in [0, 1].
        uniform_i: uniform draws in (0, 1), shape (I,).

    Returns:
        The state of the next week, shape (I,).

    Source: paper eq. 13-14.
    """
    return np.asarray(np.asarray(uniform_i) < np.where(state_i, a11_i, a01_i))


def discount(state_i: NDArray[np.bool_], depth_i: ArrayLike) -> Floats:
    r"""Discount of each product: its depth where it is in the discount state, else 0.

    .. math:: D_{it} = 0 \text{ if } s = 0,\quad D_{it} \sim Beta(\alpha, \beta) \text{ if } s = 1

    Args:
        state_i: True where the product is discounted, shape (I,).
        depth_i: draws of the depth in [0, 1], shape (I,).

    Returns:
        Share of the base price taken off, shape (I,), in [0, 1].

    Source: paper eq. 15.
    """
    return np.where(state_i, np.asarray(depth_i, dtype=np.float64), 0.0)


def price(base_price_i: ArrayLike, discount_i: ArrayLike, lowest_price: ArrayLike) -> Floats:
    r"""Shelf price after the week's discount.

    .. math:: P_{it} = \max((1 - D_{it}) P_i,\ P_{min})

    Args:
        base_price_i: base prices [$], shape (I,).
        discount_i: discounts in [0, 1], shape (I,) or (S, I).
        lowest_price: floor [$], scalar > 0.

    Returns:
        Prices [$], shape of ``discount_i``.

    Source: paper eq. 16.
    """
    off = np.asarray(discount_i, dtype=np.float64)
    return np.asarray(np.maximum((1.0 - off) * np.asarray(base_price_i), lowest_price))


def price_paid(price_i: ArrayLike, coupon_u: ArrayLike) -> Floats:
    r"""Price each customer pays: the shelf price less the customer's store-wide coupon.

    .. math:: P_{uit} = (1 - C_{ut}) P_{it}

    Args:
        price_i: shelf prices [$], shape (I,).
        coupon_u: coupon of each customer in [0, 1), shape (U,).

    Returns:
        Prices [$], shape (U, I).

    Source: upstream's and AgentSim's store-wide coupon; no floor is applied again.
    """
    kept = 1.0 - np.asarray(coupon_u, dtype=np.float64)
    return np.asarray(kept[:, None] * np.asarray(price_i)[None, :])


def discount_state_probability(a01: ArrayLike, a11: ArrayLike) -> Floats:
    r"""Long-run share of weeks in the discount state.

    .. math:: \pi_1 = \frac{a_{01}}{1 - a_{11} + a_{01}}

    Args:
        a01: probability of entering the discount state, any shape, in [0, 1].
        a11: probability of staying in it, same shape, in [0, 1].

    Returns:
        Stationary probability, same shape; 0 for a process that never enters the state.

    Source: Appendix B (Chapman-Kolmogorov at the mean transitions gives its tables).
    """
    enter = np.asarray(a01, dtype=np.float64)
    flow = 1.0 - np.asarray(a11, dtype=np.float64) + enter
    return np.divide(enter, flow, out=np.zeros_like(flow), where=flow > 0)
