"""What could be earned by somebody who knows the model: the oracles of the corrected table.

Visits of this week do not depend on this week's coupon, so with the week's tastes known the best
coupon of the week is the one with the largest expected revenue of a visit. A coupon also moves
later visits: through the store value that a visitor remembers and, in the coupon-driven store,
by itself. A visit probability gained for next week is worth its sum over the weeks to come,
which inertia makes exactly one visit's revenue: (1 - theta) (1 + theta + theta^2 + ...) = 1.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from retail_gym import World
from retail_gym.envs.coupons import COUPON_LEVELS, RetailCouponEnv
from retail_gym.model.price import price, price_paid
from retail_gym.model.store_visit import (
    marketing_feature,
    store_utility,
    visit_propensity,
)
from retail_gym.model.utility import capped_utility, price_sensitivity
from retail_gym.model.week import expected_basket, store_visit
from retail_gym.promotion import Promotion
from retail_gym.rng import Stage
from retail_gym.world.noise import customer_words, features, noise_words, utility

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

__all__ = ["FarSightedOracle", "Knowledge", "Oracle", "StaticRule", "expected_visit_by_arm"]

#: Weeks of other luck over which a customer's average response is taken.
AVERAGE_WEEKS: Final = 6
#: Draws of random marketing over which next week's visit is averaged.
MARKETING_DRAWS: Final = 64


def expected_visit_by_arm(
    world: World, price_i: Floats, episode_key: int, week: int
) -> tuple[Floats, Floats]:
    """Expected revenue [$] and store value of a visit under every arm.

    Args:
        world: the store.
        price_i: shelf prices [$], shape (I,).
        episode_key: of the week's tastes.
        week: counted from 1.

    Returns:
        Revenue and store value, both shape (U, 11): exact over the decisions of the visit, given
        the week's tastes.
    """
    arms = COUPON_LEVELS.size
    paid_ki = price_paid(price_i, COUPON_LEVELS)
    log_price_ki = np.log(paid_ki)
    cap_k = np.array([world.cap_reference.cap(row) for row in log_price_ki])
    revenue_uk, value_uk = np.empty((2, world.n_customers, arms))
    for u in range(world.n_customers):
        row = np.array([u])
        word = noise_words(world, episode_key, week, row)
        level_i = utility(world, row, word, np.zeros(world.n_products))  # linear in log price
        slope_i = price_sensitivity(world.c, world.beta_u[row], world.beta_i)
        basket = expected_basket(
            capped_utility(level_i + slope_i * log_price_ki, cap_k),
            category_sizes=world.category_sizes,
            gamma_cate_0_j=world.gamma_cate_0,
            gamma_cate_1_j=world.gamma_cate_1,
            gamma_prod_0_i=world.gamma_prod_0,
            gamma_prod_1_ui=world.gamma_prod_1[row],
        )
        money = basket.product_probability_ui * basket.quantity_ui * paid_ki
        by_category = np.add.reduceat(money, world.category_start, axis=1)
        revenue_uk[u] = (basket.category_probability_uj * by_category).sum(axis=1)
        value_uk[u] = basket.store_value_u
    return revenue_uk, value_uk


class Knowledge:
    """The model's answers about the episode of an environment, each computed once.

    Args:
        env: the environment that the rules act in.
        seed: of the luck over which averages are taken, not the episode's.
    """

    def __init__(self, env: RetailCouponEnv, seed: int) -> None:
        self.env, self.seed = env, seed
        self._kept: dict[int, tuple[Floats, Floats]] = {}

    def coming_visit(self) -> tuple[Floats, Floats]:
        """Revenue [$] and store value by arm of a visit in the coming week, both (U, 11)."""
        state = self.env.snapshot()
        week = state.simulator.week + 1
        if week not in self._kept:
            world = self.env.world
            shelf = price(world.base_price, state.discount_i, world.lowest_price)
            self._kept[week] = expected_visit_by_arm(world, shelf, state.episode_key, week)
        return self._kept[week]

    @cached_property
    def best_static(self) -> tuple[Ints, Floats]:
        """Each customer's best lasting arm, and the revenue [$] of a visit under it, both (U,).

        It maximises average revenue of a visit times the long-run probability of a visit.
        """
        world = self.env.world
        promotion = Promotion(world.n_products, self.seed)
        revenue, value = np.zeros((2, world.n_customers, COUPON_LEVELS.size))
        for week in range(1, AVERAGE_WEEKS + 1):
            off = promotion.step([world.promotion], week)[0]
            shelf = price(world.base_price, off, world.lowest_price)
            one, two = expected_visit_by_arm(world, shelf, self.seed, week)
            revenue += one / AVERAGE_WEEKS
            value += two / AVERAGE_WEEKS
        visits = np.full_like(revenue, 0.7)
        for _ in range(50):  # to the long run, arm by arm
            visits = next_propensity(world, visits, value)
        arm_u = (revenue * visits).argmax(axis=1)
        return arm_u, np.take_along_axis(revenue, arm_u[:, None], axis=1)[:, 0]


class Oracle:
    """The arm with the largest expected revenue this week, tastes of the week known."""

    def __init__(self, known: Knowledge) -> None:
        self.known = known

    def __call__(self, observation: Any, week: int) -> Ints:
        """Arms, shape (U,)."""
        return self.known.coming_visit()[0].argmax(axis=1)


class StaticRule:
    """Each customer's best lasting arm by the model, every week."""

    def __init__(self, known: Knowledge) -> None:
        self.known = known

    def __call__(self, observation: Any, week: int) -> Ints:
        """Arms, shape (U,)."""
        return self.known.best_static[0]


class FarSightedOracle:
    """This week's expected revenue plus what the coupon does to later visits.

    A later visit is worth its customer's average revenue under the best lasting arm.
    """

    def __init__(self, known: Knowledge) -> None:
        self.known = known

    def __call__(self, observation: Any, week: int) -> Ints:
        """Arms, shape (U,)."""
        env = self.known.env
        revenue, value = self.known.coming_visit()
        world, state = env.world, env.snapshot()
        memory = state.simulator.memory
        marketing = observation[:, env.observation_names.index("marketing")]
        visit_u = store_visit(
            gamma_store_0=world.gamma_store_0,
            gamma_store_1=world.gamma_store_1,
            gamma_store_2=world.gamma_store_2,
            theta_u=world.theta,
            visited_u=memory.visited,
            store_value_u=memory.store_value,
            previous_probability_u=memory.visit_probability,
            marketing_u=marketing * (1.0 if world.marketing == "noise" else world.marketing_scale),
        )
        score = visit_u[:, None] * revenue
        if state.weeks + 1 < env.horizon:
            worth = self.known.best_static[1][:, None]
            score = score + next_propensity(world, visit_u[:, None], value) * worth
        return np.asarray(score.argmax(axis=1))


def next_propensity(world: World, visit_uk: Floats, value_uk: Floats) -> Floats:
    """Expected propensity to visit next week by this week's arm, shape (U, 11).

    Args:
        world: the store.
        visit_uk: probability of a visit this week, shape (U, 1) or (U, 11).
        value_uk: store value that a visitor remembers, shape (U, 11).
    """
    if world.marketing == "noise":
        word = customer_words(0, 0, Stage.MARKETING, np.arange(MARKETING_DRAWS))
        feature = features(word)[:, None, None]
    else:
        coupon = COUPON_LEVELS if world.marketing == "coupon" else 0.0
        mean = np.array([world.promotion.effective_discount])
        feature = marketing_feature(mean, world.marketing_scale, coupon)[None]
    weights = (world.gamma_store_0, world.gamma_store_1, world.gamma_store_2)
    came, stayed = (
        visit_propensity(store_utility(*weights, visited, value_uk, feature)).mean(axis=0)
        for visited in (True, False)
    )
    return np.asarray(visit_uk * came + (1.0 - visit_uk) * stayed)
