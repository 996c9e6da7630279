r"""One simulated week in the order in which a customer decides: the table of contents.

::

    store visit      mu^store, s, P(visit)      eq. 10-12, 19    store_visit.py
        | visits
    utility          mu^prod, cap               eq. 17-18        utility.py
    category choice  CV, p^cate                 eq. 7-9          category_choice.py
        | buys in category j
    product choice   p^prod                     eq. 3-4          product_choice.py
    quantity         lambda, 1 + Poisson        eq. 5-6          quantity.py
    store value      SV, remembered next week   section 3.4      store_visit.py

The functions take the uniform draws as arguments; nothing here is random. Draws that decide a
category, its product and its quantity are independent of one another and of the visit (upstream
feeds one draw to all four decisions, which its paper does not say).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from retail_gym.model.category_choice import category_probability, category_start, category_value
from retail_gym.model.product_choice import choose_product, product_probability
from retail_gym.model.quantity import expected_quantity, purchase_rate
from retail_gym.model.store_visit import (
    store_utility,
    store_value,
    visit_probability,
    visit_propensity,
)
from retail_gym.rng import poisson_quantile

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

__all__ = ["Basket", "ExpectedBasket", "expected_basket", "shopping_trip", "store_visit"]


class Basket(NamedTuple):
    """Purchases of the customers in the store, one entry a line, by customer, then category."""

    row: Ints  # position of the customer in the arrays given
    category: Ints
    product: Ints
    quantity: Ints
    store_value_u: Floats


class ExpectedBasket(NamedTuple):
    """Expectations over the decisions of a visit, given the week's noise."""

    category_value_uj: Floats
    category_probability_uj: Floats
    product_probability_ui: Floats
    quantity_ui: Floats
    store_value_u: Floats


def store_visit(
    *,
    gamma_store_0: ArrayLike,
    gamma_store_1: ArrayLike,
    gamma_store_2: ArrayLike,
    theta_u: ArrayLike,
    visited_u: ArrayLike,
    store_value_u: ArrayLike,
    previous_probability_u: ArrayLike,
    marketing_u: ArrayLike,
) -> Floats:
    """Probability that each customer visits the store, in any week after the first.

    Args:
        gamma_store_0: base utility, scalar; likewise ``gamma_store_1``, ``gamma_store_2``.
        gamma_store_1: weight of last visit's store value.
        gamma_store_2: weight of the marketing feature.
        theta_u: inertia, shape (U,), in [0, 1).
        visited_u: visits of last week, shape (U,).
        store_value_u: store value of last week, shape (U,).
        previous_probability_u: visit probability of last week, shape (U,).
        marketing_u: this week's marketing feature, scalar or shape (U,).

    Returns:
        Visit probabilities, shape (U,).

    Source: paper eq. 10-12.
    """
    utility_u = store_utility(
        gamma_store_0, gamma_store_1, gamma_store_2, visited_u, store_value_u, marketing_u
    )
    return visit_probability(theta_u, visit_propensity(utility_u), previous_probability_u)


def shopping_trip(
    utility_ui: Floats,
    *,
    category_sizes: ArrayLike,
    gamma_cate_0_j: ArrayLike,
    gamma_cate_1_j: ArrayLike,
    gamma_prod_0_i: ArrayLike,
    gamma_prod_1_ui: ArrayLike,
    category_uniform_uj: ArrayLike,
    product_uniform_uj: ArrayLike,
    quantity_uniform_uj: ArrayLike,
) -> Basket:
    """Decisions of customers who are in the store: categories, products, quantities.

    Args:
        utility_ui: utilities after the cap, shape (U, I).
        category_sizes: products in each category, shape (J,).
        gamma_cate_0_j: base utility of the category, shape (J,).
        gamma_cate_1_j: weight of the category value, shape (J,).
        gamma_prod_0_i: baseline log rate of quantity, shape (I,).
        gamma_prod_1_ui: weight of utility in quantity, shape (U, I).
        category_uniform_uj: draws in (0, 1) for category choice, shape (U, J).
        product_uniform_uj: draws in (0, 1) for product choice, shape (U, J).
        quantity_uniform_uj: draws in (0, 1) for quantity, shape (U, J).

    Returns:
        The lines bought and the store value each customer will remember.

    Source: paper eq. 3-9.
    """
    value_uj = category_value(utility_ui, category_sizes)
    probability_uj = category_probability(gamma_cate_0_j, gamma_cate_1_j, value_uj)
    row, category = np.nonzero(np.asarray(category_uniform_uj) < probability_uj)

    start = category_start(category_sizes)
    end = start + np.asarray(category_sizes)
    product_uniform = np.asarray(product_uniform_uj)[row, category]
    product = np.empty(row.size, dtype=np.int64)
    for line, (u, j) in enumerate(zip(row, category, strict=True)):
        choice = choose_product(utility_ui[u, start[j] : end[j]], product_uniform[line])
        product[line] = start[j] + choice

    rate = purchase_rate(
        np.asarray(gamma_prod_0_i)[product],
        np.asarray(gamma_prod_1_ui)[row, product],
        utility_ui[row, product],
    )
    quantity_uniform = np.asarray(quantity_uniform_uj)[row, category]
    quantity = 1 + poisson_quantile(quantity_uniform, rate)
    return Basket(
        row.astype(np.int64), category.astype(np.int64), product, quantity, store_value(value_uj)
    )


def expected_basket(
    utility_ui: Floats,
    *,
    category_sizes: ArrayLike,
    gamma_cate_0_j: ArrayLike,
    gamma_cate_1_j: ArrayLike,
    gamma_prod_0_i: ArrayLike,
    gamma_prod_1_ui: ArrayLike,
) -> ExpectedBasket:
    """Probabilities and expected quantities of customers who are in the store.

    Args:
        utility_ui: utilities after the cap, shape (U, I).
        category_sizes: products in each category, shape (J,).
        gamma_cate_0_j: base utility of the category, shape (J,).
        gamma_cate_1_j: weight of the category value, shape (J,).
        gamma_prod_0_i: baseline log rate of quantity, shape (I,).
        gamma_prod_1_ui: weight of utility in quantity, shape (U, I).

    Returns:
        Category values and probabilities (U, J), product probabilities given the category and
        expected quantities given the product (U, I), store values (U,).

    Source: paper eq. 4-9.
    """
    value_uj = category_value(utility_ui, category_sizes)
    return ExpectedBasket(
        category_value_uj=value_uj,
        category_probability_uj=category_probability(gamma_cate_0_j, gamma_cate_1_j, value_uj),
        product_probability_ui=product_probability(utility_ui, value_uj, category_sizes),
        quantity_ui=expected_quantity(purchase_rate(gamma_prod_0_i, gamma_prod_1_ui, utility_ui)),
        store_value_u=store_value(value_uj),
    )
