"""Expectations over the decisions of a visit, given prices and the week's noise."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from retail_gym import rng
from retail_gym.model.availability import shelf_utility
from retail_gym.model.further_products import further_rate
from retail_gym.model.unequal_quantity import expected_unequal_quantity, household_rate
from retail_gym.model.utility import capped_utility
from retail_gym.model.week import ExpectedBasket, expected_basket
from retail_gym.world.noise import noise_words, utility
from retail_gym.world.trip import offered, trips

if TYPE_CHECKING:
    from retail_gym.world.world import World

Floats = NDArray[np.float64]

__all__ = ["ExpectedTrip", "ExpectedVisit", "expected_trips", "expected_visit"]


@dataclass(frozen=True)
class ExpectedVisit:
    """What a visit brings, per customer and category; purchases given that j is bought."""

    category_value: Floats  # U, J
    category_probability: Floats  # U, J
    units: Floats  # U, J: expected units if the category is bought
    revenue: Floats  # U, J: expected money if the category is bought [$]
    list_revenue: Floats  # U, J: the same purchases at base prices [$]
    discount: Floats  # U, J: expected discount of the line if the category is bought
    store_value: Floats  # U


@dataclass(frozen=True)
class ExpectedTrip:
    """What one visit brings, per product."""

    customer: int
    basket: ExpectedBasket  # one row; quantities with the household's own rate
    products: Floats  # I or 1: expected number of products of the category, if it is bought
    capped: NDArray[np.bool_]  # I: utility cut off, which does not move with the price


def expected_visit(
    world: World,
    price_i: ArrayLike,
    *,
    seed: int,
    week: int = 0,
    customers: ArrayLike | None = None,
    stage: int = rng.Stage.NOISE,
) -> ExpectedVisit:
    """Expectations of a visit by each customer under one draw of the week's noise.

    Args:
        world: the store.
        price_i: prices [$], shape (I,).
        seed: episode key of the noise.
        week: week of the noise.
        customers: customer numbers, shape (B,); default everybody.
        stage: stream of the noise; that of simulated weeks by default.

    Returns:
        Arrays with one row per customer. Work goes customer by customer, so memory stays small.

    In a store with layers, given the week's draw of the trip's effects as well: further products
    of a category count as much as the first, and habits and the rule that a trip buys something
    are left out. So it is close, not exact, there.

    Source: paper eq. 4-9.
    """
    price = np.asarray(price_i, dtype=np.float64)
    off, start = 1.0 - price / world.base_price, world.category_start
    parts: list[tuple[Floats, ...]] = []
    for trip in expected_trips(
        world, price, seed=seed, week=week, customers=customers, stage=stage
    ):
        basket, chosen = trip.basket, trip.basket.product_probability_ui
        bought = chosen * basket.quantity_ui * trip.products
        terms = (bought, bought * price, bought * world.base_price, chosen * off)
        sums = (np.add.reduceat(x, start, axis=1) for x in terms)
        parts.append(
            (basket.category_value_uj, basket.category_probability_uj, *sums, basket.store_value_u)
        )
    return ExpectedVisit(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def expected_trips(
    world: World,
    price_i: ArrayLike,
    *,
    seed: int,
    week: int = 0,
    customers: ArrayLike | None = None,
    stage: int = rng.Stage.NOISE,
) -> Iterator[ExpectedTrip]:
    """Expectations product by product, one customer after the other.

    Arguments and what they leave out: see :func:`expected_visit`.
    """
    rows = np.arange(world.n_customers) if customers is None else np.asarray(customers)
    log_price = np.log(np.asarray(price_i, dtype=np.float64))
    cap, layers = world.cap_reference.cap(log_price), world.layers
    shelf, effects = offered(world, week), trips(world, seed, week, rows)
    for k, u in enumerate(rows):
        row = np.array([u])
        word = noise_words(world, seed, week, row, stage)
        met = capped_utility(utility(world, row, word, log_price), cap)
        capped = met[0] >= cap
        effect = 0.0 if effects.category_uj is None else effects.category_uj[k]
        with np.errstate(invalid="ignore"):  # quantities of what is not offered may be 0 x inf
            basket = expected_basket(
                met if shelf is None else shelf_utility(met, shelf),
                category_sizes=world.category_sizes,
                gamma_cate_0_j=world.gamma_cate_0 + effect,
                gamma_cate_1_j=world.gamma_cate_1,
                gamma_prod_0_i=world.gamma_prod_0,
                gamma_prod_1_ui=world.coefficients.rows(row).gamma_prod_1,
            )
        quantity = np.where(basket.product_probability_ui > 0.0, basket.quantity_ui, 1.0)
        products: Floats = np.ones(1)
        if layers is not None and layers.quantity_u is not None:
            law = layers.config.quantity
            assert law is not None
            mean = household_rate(quantity - 1.0, layers.quantity_u[u])
            quantity = expected_unequal_quantity(mean, law.size, law.pairs)
        if layers is not None and layers.further_j is not None:
            assert layers.config.assortment is not None
            weight = layers.config.assortment.basket_weight
            products = np.repeat(
                1.0 + further_rate(layers.further_j, weight, effects.basket_u[k]),
                world.category_sizes,
            )
        yield ExpectedTrip(int(u), basket._replace(quantity_ui=quantity), products, capped)
