r"""What customers do under each action, in expectation: the model behind the references.

Weeks hang together in two ways only. A customer who was in the store last week remembers its
store value, which depends on last week's action; and this week's discounts are marketing. Given
a table of what a visit brings under every action, the rest is a chain of visits per customer
(:mod:`retail_gym.evaluation.planning`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import singledispatch
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from retail_gym import rng
from retail_gym.config import check_int
from retail_gym.envs.rewards import DiscountSpend, Margin, Retention, Revenue, WeightedSum
from retail_gym.evaluation.search import FINE_GRID
from retail_gym.model.price import price
from retail_gym.model.store_visit import marketing_feature, store_utility, visit_propensity
from retail_gym.outcome import COST_SHARE
from retail_gym.promotion import Promotion
from retail_gym.world.expectation import expected_visit
from retail_gym.world.store_config import PromotionPlan
from retail_gym.world.world import World

Floats = NDArray[np.float64]
Pair = tuple[float, float]

__all__ = ["ACTIONS", "Pair", "Response", "VisitReward", "measure_response", "visit_reward"]

#: The actions of the references.
ACTIONS: Final[tuple[Pair, ...]] = FINE_GRID


@dataclass(frozen=True)
class Response:
    """What a visit brings each customer under each action, the first of which is no discount."""

    actions: Floats  # K, 2: depth and frequency
    marketing_k: Floats  # K: marketing feature
    store_value_ku: Floats  # K, U: what the visitor remembers next week
    buys_ku: Floats  # K, U: probability that a visitor buys anything
    revenue_ku: Floats  # K, U: expected money of a visit [$]
    list_revenue_ku: Floats  # K, U: the same purchases at base prices [$]
    gamma_store: tuple[float, float, float]
    reward_scale: float  # R0 [$ a week]

    def visit_probability(self, before: ArrayLike | None, now: ArrayLike) -> Floats:
        """Probability of a visit this week.

        Args:
            before: last week's action of customers who visited then, any index into K; None:
                of customers who did not.
            now: this week's action, any index into K.

        Returns:
            Shape (..., U): of the indices, broadcast, by customer.

        Source: paper eq. 10-12 without inertia.
        """
        memory = 0.0 if before is None else self.store_value_ku[np.asarray(before)]
        marketing = self.marketing_k[np.asarray(now)][..., None]
        utility = store_utility(*self.gamma_store, before is not None, memory, marketing)
        return visit_propensity(utility)


def measure_response(
    world: World,
    actions: Iterable[Pair] = ACTIONS,
    draws: int | None = None,
    degree: int | None = 3,
) -> Response:
    r"""Measure what a visit brings under each action.

    Every action meets promotions and noise of its own, which no episode uses; figures are then
    smoothed over actions, for a maximum over noisy figures is not the best action.

    Args:
        world: the store; without inertia (theta = 0) and with discounts as its marketing.
        actions: (depth, frequency) pairs, depth in [0, 0.5], frequency in [0, 0.6]; no discount
            is put first whether or not it is among them.
        draws: weeks averaged; by default 1 for a store of 10,000 products or more, up to 50
            for a small one; no discount gets 20 times as many.
        degree: of the polynomial p in the least-squares fit
            :math:`y(d, f) = y_0 + d f\,p(d, f)`; None: no smoothing.

    Returns:
        The table. The expectation over decisions is exact given a draw; that the store value
        varies around its mean is left out.

    Raises:
        ValueError: for a store that the chain of visits does not describe.
    """
    if world.theta.any() or world.marketing != "discount":
        raise ValueError(
            f"the references' model needs a store without inertia (theta = 0) whose marketing is "
            f"its discounts; {world!r} has theta up to {world.theta.max():g} and marketing "
            f"{world.marketing!r}"
        )
    if draws is None:
        draws = int(np.clip(10_000 // world.n_products, 1, 50))
    check_int("draws", draws, 1)
    pairs = [(0.0, 0.0)] + [tuple(p) for p in actions if p[0] > 0.0 and p[1] > 0.0]
    plans = [PromotionPlan.high_low(*pair) for pair in pairs]
    count_k = np.full(len(pairs), draws)
    count_k[0] *= 20
    figures = np.zeros((4, len(pairs), world.n_customers))
    for k, plan in enumerate(plans):
        for draw in range(count_k[k]):
            figures[:, k] += _visit(world, plan, 1 + draw * len(plans) + k) / count_k[k]
    if degree is not None:
        figures = _smooth(figures, np.array(pairs), count_k, degree)
    store_value_ku, buys_ku, revenue_ku, list_revenue_ku = figures
    mean_discount = np.array([[plan.effective_discount] for plan in plans])
    return Response(
        np.array(pairs),
        marketing_feature(mean_discount, world.marketing_scale),
        store_value_ku,
        np.clip(buys_ku, 0.0, 1.0),
        revenue_ku,
        list_revenue_ku,
        (world.gamma_store_0, world.gamma_store_1, world.gamma_store_2),
        world.reward_scale,
    )


def _visit(world: World, plan: PromotionPlan, draw: int) -> Floats:
    """Store value, probability of a purchase, revenue and list revenue by customer, (4, U)."""
    luck = np.random.default_rng([world.seed, draw, 0x5E5])  # apart from every episode's
    (discount_i,) = Promotion(world.n_products, int(luck.integers(2**63))).step([plan], 1)
    visit = expected_visit(
        world,
        price(world.base_price, discount_i, world.lowest_price),
        seed=world.seed,
        week=draw,
        stage=rng.symbol_stage("response"),
    )
    chosen = visit.category_probability
    return np.stack(
        [
            visit.store_value,
            1.0 - np.exp(np.log1p(-chosen).sum(axis=1)),
            (chosen * visit.revenue).sum(axis=1),
            (chosen * visit.list_revenue).sum(axis=1),
        ]
    )


def _smooth(figures: Floats, pairs: Floats, count_k: NDArray[np.int64], degree: int) -> Floats:
    """Figures (F, K, U) as smooth functions of depth and frequency, weighted by their draws."""
    d, f = pairs[:, 0] / 0.5, pairs[:, 1] / 0.6
    terms = [d**i * f**j for i in range(degree + 1) for j in range(degree + 1 - i)]
    design = np.stack([np.ones_like(d), *(d * f * term for term in terms)], axis=1)
    weight = np.sqrt(count_k)[:, None]
    table = np.moveaxis(figures, 1, 0).reshape(len(pairs), -1)
    fitted = np.linalg.lstsq(design * weight, table * weight, rcond=None)[0]
    return np.moveaxis((design @ fitted).reshape(len(pairs), len(figures), -1), 0, 1)


@dataclass(frozen=True)
class VisitReward:
    """A reward as the chain of visits counts it."""

    visit_ku: Floats  # K, U: expected reward of a visit
    active: float = 0.0  # reward a week of all customers having bought in the last four weeks


@singledispatch
def visit_reward(reward: object, response: Response) -> VisitReward:
    """A reward in terms of visits.

    Args:
        reward: one of retail_gym.envs.rewards.
        response: the store.

    Raises:
        ValueError: for a reward of your own, which the model does not know.
    """
    raise ValueError(
        f"the references' model knows the rewards Revenue, Margin, DiscountSpend, Retention and "
        f"their weighted sums, not {reward!r}: register it with visit_reward.register"
    )


@visit_reward.register
def _(reward: Revenue, response: Response) -> VisitReward:
    return VisitReward(response.revenue_ku / response.reward_scale)


@visit_reward.register
def _(reward: Margin, response: Response) -> VisitReward:
    margin_ku = response.revenue_ku - COST_SHARE * response.list_revenue_ku
    return VisitReward(margin_ku / response.reward_scale)


@visit_reward.register
def _(reward: DiscountSpend, response: Response) -> VisitReward:
    return VisitReward((response.list_revenue_ku - response.revenue_ku) / response.reward_scale)


@visit_reward.register
def _(reward: Retention, response: Response) -> VisitReward:
    return VisitReward(np.zeros_like(response.revenue_ku), 1.0)


@visit_reward.register
def _(reward: WeightedSum, response: Response) -> VisitReward:
    terms = [(weight, visit_reward(term, response)) for weight, term in reward.terms]
    return VisitReward(
        np.sum([weight * term.visit_ku for weight, term in terms], axis=0),
        sum(weight * term.active for weight, term in terms),
    )
