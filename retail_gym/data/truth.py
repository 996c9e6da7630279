r"""What no real table has: probabilities, elasticities and demand at other discounts.

Everything is exact given what a customer has lived through up to last week and meets this week
(features and intercepts of the products): an expectation over the draws that decide visit,
category, product and quantity, no simulation. Averages over customers and weeks are therefore
averages over the noise as well.

**Dose and response.** For a customer u, a week t and a discount d of *every* product this week,

.. math:: E[Q_{ut} | d] = P_{ut}(d) \sum_j p^{cate}_{ujt}(d) \sum_{i \in j} p^{prod}_{uit}(d)
          (1 + \lambda_{uit}(d))

with the prices max((1 - d) base price, lowest price) in utilities and cap, and d as the mean
discount of the marketing feature. Weeks before t are as they were.

In a store with layers habits and the rule that a trip buys something are left out, so responses
are close, not exact, and elasticities, which have no closed form there, are NaN.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from retail_gym import rng
from retail_gym.data.plan import episode_key
from retail_gym.model import elasticity
from retail_gym.model.price import price
from retail_gym.model.store_visit import (
    marketing_feature,
    store_utility,
    visit_probability,
    visit_propensity,
)
from retail_gym.model.utility import price_sensitivity
from retail_gym.model.visit_effects import opening_probability
from retail_gym.outcome import WeekOutcome
from retail_gym.promotion import Shelf
from retail_gym.world.expectation import ExpectedTrip, expected_trips, expected_visit
from retail_gym.world.noise import customer_words, features
from retail_gym.world.trip import drift, visit_effects
from retail_gym.world.world import World

if TYPE_CHECKING:
    from retail_gym.data.recipe import Recipe
    from retail_gym.data.star import TableWriter

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

__all__ = ["TruthKeeper"]

_ELASTICITIES = ("store", "category", "product", "quantity")


class TruthKeeper:
    """Follows the customers of the sample through the weeks of a shard.

    Args:
        recipe: of the dataset, with ``truth``.
        world: that holds the shard's customers.
        number_u: numbers of the shard's customers.
        segment_u: segment of each customer of the world.
    """

    def __init__(self, recipe: Recipe, world: World, number_u: Ints, segment_u: Ints) -> None:
        assert recipe.truth is not None
        sample = recipe.truth.sample(recipe.config.n_customers)
        self._levels = recipe.truth.levels
        self._row = sample[np.isin(sample, number_u)]
        self._world, self._key = world, episode_key(recipe.seed)
        self._segment = segment_u[self._row]
        n = self._row.size
        self._came, self._value, self._probability = (
            np.zeros(n, dtype=bool),
            np.zeros(n),
            np.ones(n),
        )
        self._drift: Floats | None = None

    def write_customers(self, out: TableWriter) -> None:
        """Write what is drawn once per customer."""
        world, row = self._world, self._row
        out.add(
            "truth_customers",
            customer=self._row,
            price_sensitivity=world.c * world.beta_u[row] * world.beta_i.mean(),
            inertia=world.theta[row],
        )

    def add_week(self, out: TableWriter, week: int, shelf: Shelf, outcome: WeekOutcome) -> None:
        """Write a week's truth, and go on to the next."""
        if not self._row.size:
            return
        drawn_si, price_si = shelf.discount[0], shelf.price[0]
        effect = self._visit_effect(week)
        marketing = self._marketing(week, drawn_si)
        propensity, visit = self._visits(week, marketing, effect)

        met = np.empty((3, self._row.size))  # units, revenue, store value of a visit
        lines: list[dict[str, Floats]] = []
        for k, row in enumerate(self._row):
            s = self._segment[k]
            (trip,) = expected_trips(
                self._world, price_si[s], seed=self._key, week=week, customers=[row]
            )
            met[:, k] = self._brings(trip, price_si[s])
            if outcome.visited[row]:
                lines.append(self._lines(k, trip, outcome, drawn_si[s], propensity[k], visit[k]))
        if lines:
            columns = {name: np.concatenate([part[name] for part in lines]) for name in lines[0]}
            out.add("truth_purchases", week=week, **columns)
        offered = drawn_si.mean(axis=1)[self._segment]
        self._add_response(out, week, -1, offered, visit, met[0], met[1])
        for level, depth in enumerate(self._levels):
            discount_i = np.full(self._world.n_products, depth)
            at = expected_visit(
                self._world,
                price(self._world.base_price, discount_i, self._world.lowest_price),
                seed=self._key,
                week=week,
                customers=self._row,
            )
            _, chance = self._visits(week, self._marketing(week, discount_i), effect)
            chosen = at.category_probability
            units, revenue = ((chosen * each).sum(axis=1) for each in (at.units, at.revenue))
            self._add_response(out, week, level, depth, chance, units, revenue)

        self._came = outcome.visited[self._row]
        self._value = np.where(self._came, met[2], 0.0)
        self._probability = visit

    def _add_response(
        self, out: TableWriter, week: int, level: int, discount: Floats | float, visit: Floats,
        units: Floats, revenue: Floats,
    ) -> None:  # fmt: skip
        out.add(
            "truth_responses",
            week=week,
            customer=self._row,
            level=level,
            discount=discount,
            visit_probability=visit,
            units_if_visit=units,
            revenue_if_visit=revenue,
            units=visit * units,
            revenue=visit * revenue,
        )

    def _marketing(self, week: int, discount_si: Floats) -> Floats:
        """Marketing feature of the sample at some discounts, shape (I,) or (S, I)."""
        if self._world.marketing == "noise":
            stage = rng.Stage.MARKETING
            return features(customer_words(self._key, week, stage, self._row))
        feature_s = np.atleast_1d(marketing_feature(discount_si, self._world.marketing_scale))
        return np.asarray(feature_s[self._segment if feature_s.size > 1 else 0 * self._segment])

    def _visit_effect(self, week: int) -> Floats | None:
        """What a VisitLayer adds to the store utility; None without the layer."""
        layers = self._world.layers
        if layers is None or layers.config.visit is None:
            return None
        self._drift = drift(self._world, self._key, week, self._drift)
        return np.asarray(visit_effects(self._world, self._key, week, self._drift)[self._row])

    def _visits(self, week: int, marketing: Floats, effect: Floats | None) -> tuple[Floats, Floats]:
        """Propensity and probability of a visit, given the past."""
        world = self._world
        utility = store_utility(
            world.gamma_store_0,
            world.gamma_store_1,
            world.gamma_store_2,
            self._came,
            self._value,
            marketing,
        )
        if effect is not None:
            utility = utility + effect
        propensity = visit_propensity(utility)
        if week > 1:
            inertia = world.theta[self._row]
            return propensity, visit_probability(inertia, propensity, self._probability)
        if effect is None:  # eq. 10: everybody, whatever the prices
            return np.ones_like(propensity), np.ones_like(propensity)
        assert world.layers is not None
        assert world.layers.config.visit is not None
        return propensity, opening_probability(utility, world.layers.config.visit.opening)

    def _brings(self, trip: ExpectedTrip, price_i: Floats) -> tuple[float, float, float]:
        """Expected units and revenue of a visit, and its store value."""
        basket = trip.basket
        in_category = np.repeat(basket.category_probability_uj[0], self._world.category_sizes)
        bought = in_category * basket.product_probability_ui[0] * basket.quantity_ui[0]
        bought = bought * trip.products
        return float(bought.sum()), float(bought @ price_i), float(basket.store_value_u[0])

    def _lines(
        self, k: int, trip: ExpectedTrip, outcome: WeekOutcome, discount_i: Floats,
        propensity: float, visit: float,
    ) -> dict[str, Floats]:  # fmt: skip
        """Probabilities and elasticities of what a customer of the sample bought."""
        world, row, basket = self._world, self._row[k], trip.basket
        part = slice(*np.searchsorted(outcome.lines.customer, [row, row + 1]))
        category, product = outcome.lines.category[part], outcome.lines.product[part]
        in_category = basket.category_probability_uj[:, category]
        chosen, quantity = basket.product_probability_ui[:, product], basket.quantity_ui[:, product]
        parts = np.full((4, product.size), np.nan)
        if world.layers is None or not world.layers.config.change_decisions:
            price_effect = price_sensitivity(world.c, world.beta_u[[row]], world.beta_i[product])
            rate_effect = world.coefficients.rows(np.array([row])).gamma_prod_1[:, product]
            capped = trip.capped[None, product]
            moves = world.marketing != "noise" and outcome.week > 1
            slope = world.marketing_scale / world.n_products if moves else 0.0
            parts[0] = elasticity.store_elasticity(
                world.gamma_store_2,
                np.array([visit]),
                discount_i[product],
                propensity_u=np.array([propensity]),
                theta_u=world.theta[[row]],
                weight=slope,
            )
            parts[1] = elasticity.category_elasticity(
                chosen, in_category, world.gamma_cate_1[category], price_effect, capped
            )
            parts[2] = elasticity.product_elasticity(chosen, price_effect, capped)
            parts[3] = elasticity.quantity_elasticity(
                quantity - 1.0, rate_effect, price_effect, capped
            )
        return {
            "customer": np.full(product.size, self._row[k]),
            "category": category,
            "product": product,
            "visit_probability": np.full(product.size, visit),
            "category_probability": in_category[0],
            "product_probability": chosen[0],
            "expected_quantity": quantity[0],
            **{f"elasticity_{name}": parts[n] for n, name in enumerate(_ELASTICITIES)},
            "elasticity": elasticity.overall_elasticity(*parts),
        }
