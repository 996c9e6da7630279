"""True own-price elasticities of a store: what an econometrician would like to know."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from retail_gym import rng
from retail_gym.kernels.base import Memory
from retail_gym.model import elasticity
from retail_gym.model.store_visit import (
    marketing_feature,
    store_utility,
    visit_probability,
    visit_propensity,
)
from retail_gym.model.utility import capped_utility, price_sensitivity
from retail_gym.model.week import expected_basket
from retail_gym.world.noise import customer_words, features, noise_words, utility
from retail_gym.world.world import World

Floats = NDArray[np.float64]

__all__ = ["Demand", "expected_demand"]


@dataclass(frozen=True)
class Demand:
    """Expected demand of some customers in one week, and its elasticities (Appendix C)."""

    quantity: Floats  # B, I: expected units this week
    visit_probability: Floats  # B
    store: Floats  # B, I, eq. 23, true for theta > 0
    category: Floats  # B, I, eq. 25
    product: Floats  # B, I, eq. 27
    units: Floats  # B, I, eq. 29: of the quantity of a purchase
    overall: Floats  # B, I, eq. 21
    capped: NDArray[np.bool_]  # B, I: where the utility does not move with the price


def expected_demand(
    world: World,
    price_i: ArrayLike,
    memory: Memory,
    *,
    seed: int,
    week: int = 2,
    customers: ArrayLike | None = None,
    discount_i: ArrayLike | None = None,
    last_coupon_u: ArrayLike = 0.0,
    cap: float | None = None,
) -> Demand:
    """Expected demand and elasticities of customers, given last week and this week's noise.

    Args:
        world: the store.
        price_i: shelf prices [$], shape (I,).
        memory: what customers remember of last week.
        seed: episode key of the noise.
        week: week of the noise.
        customers: customer numbers, shape (B,); default everybody.
        discount_i: the discounts drawn, which count in the marketing feature, shape (I,); by
            default 1 - price / base price, which differs where the price floor binds.
        last_coupon_u: coupons of last week, where they count in the marketing feature, scalar
            or shape (B,). This week's prices are without coupons.
        cap: utility cap; by default the store's cap at these prices. A finite difference of
            ``quantity`` must hold it fixed.

    Returns:
        Demand and elasticities, shape (B, I). Under random marketing the store term is zero.

    Raises:
        ValueError: for a store with layers.

    Source: paper eq. 20-29.
    """
    if world.layers is not None and world.layers.config.change_decisions:
        raise ValueError(
            f"{world.name} has layers, for which the closed forms of eq. 20-29 do not hold: use "
            "retail_gym.evaluation.price_response on simulated purchases"
        )
    rows = np.arange(world.n_customers) if customers is None else np.asarray(customers)
    price = np.asarray(price_i, dtype=np.float64)
    log_price, sizes = np.log(price), world.category_sizes
    discount = 1.0 - price / world.base_price if discount_i is None else np.asarray(discount_i)
    if world.marketing == "noise":
        marketing = features(customer_words(seed, week, rng.Stage.MARKETING, rows))
        slope = 0.0
    else:
        coupon = last_coupon_u if world.marketing == "coupon" else 0.0
        marketing = marketing_feature(discount, world.marketing_scale, coupon)
        slope = world.marketing_scale / world.n_products
    propensity = visit_propensity(
        store_utility(
            world.gamma_store_0,
            world.gamma_store_1,
            world.gamma_store_2,
            memory.visited[rows],
            memory.store_value[rows],
            marketing,
        )
    )
    visit = visit_probability(world.theta[rows], propensity, memory.visit_probability[rows])
    if week == 1:  # eq. 10: everybody visits, whatever the prices
        visit, slope = np.ones(rows.size), 0.0

    limit = world.cap_reference.cap(log_price) if cap is None else cap
    free = utility(world, rows, noise_words(world, seed, week, rows), log_price)
    capped = free > limit
    gamma_prod_1 = world.coefficients.rows(rows).gamma_prod_1
    basket = expected_basket(
        capped_utility(free, limit),
        category_sizes=sizes,
        gamma_cate_0_j=world.gamma_cate_0,
        gamma_cate_1_j=world.gamma_cate_1,
        gamma_prod_0_i=world.gamma_prod_0,
        gamma_prod_1_ui=gamma_prod_1,
    )
    in_category = np.repeat(basket.category_probability_uj, sizes, axis=1)
    beta_w = price_sensitivity(world.c, world.beta_u[rows], world.beta_i)
    store = elasticity.store_elasticity(
        world.gamma_store_2,
        visit,
        discount,
        propensity_u=propensity,
        theta_u=world.theta[rows],
        weight=slope,
    )
    category = elasticity.category_elasticity(
        basket.product_probability_ui,
        in_category,
        np.repeat(world.gamma_cate_1, sizes),
        beta_w,
        capped,
    )
    product = elasticity.product_elasticity(basket.product_probability_ui, beta_w, capped)
    units = elasticity.quantity_elasticity(basket.quantity_ui - 1.0, gamma_prod_1, beta_w, capped)
    chosen = basket.product_probability_ui * basket.quantity_ui
    return Demand(
        quantity=visit[:, None] * in_category * chosen,
        visit_probability=visit,
        store=store,
        category=category,
        product=product,
        units=units,
        overall=elasticity.overall_elasticity(store, category, product, units),
        capped=capped,
    )
