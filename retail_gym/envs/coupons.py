"""The coupon environment: one coupon level per customer and week."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from numpy.typing import NDArray

from retail_gym.config import check_choice, check_int
from retail_gym.envs.customer_records import (
    CUSTOMER_FEATURES,
    CustomerRecords,
    coming_week,
    customer_space,
    mean_product_feature,
)
from retail_gym.kernels import Kernel, make_kernel
from retail_gym.model.price import price
from retail_gym.outcome import WeekOutcome
from retail_gym.promotion import Promotion
from retail_gym.simulator import Simulator, SimulatorState
from retail_gym.world.store_config import StoreConfig
from retail_gym.world.world import World, make_world

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Ints = NDArray[np.int64]

__all__ = ["COUPON_LEVELS", "CUSTOMER_REWARDS", "CouponState", "RetailCouponEnv"]

#: The arms: share of the shelf price taken off everything a customer buys in the week.
COUPON_LEVELS: Final[Floats] = np.arange(11, dtype=np.float64) * 0.05
COUPON_LEVELS.flags.writeable = False
#: Names of the halves of the customers at the median price coefficient.
SEGMENTS: Final = ("sensitive", "insensitive")

CustomerReward = Callable[[WeekOutcome], Floats]


def customer_sums(outcome: WeekOutcome, values_l: NDArray[Any]) -> Floats:
    """Sum of a figure of the purchase lines over each customer's lines, shape (U,)."""
    return np.bincount(outcome.lines.customer, values_l, outcome.n_customers).astype(np.float64)


#: Money of each customer in a week [$], shape (U,): before normalisation.
CUSTOMER_REWARDS: Final[dict[str, CustomerReward]] = {
    "revenue": lambda outcome: customer_sums(outcome, outcome.line_revenue),
    "margin": lambda outcome: customer_sums(outcome, outcome.line_margin),
}


class CouponState(NamedTuple):
    """A point of an episode, to come back to."""

    world: World
    episode_key: int
    simulator: SimulatorState
    discounted_si: NDArray[np.bool_]
    discount_i: Floats  # of the coming week
    records: CustomerRecords
    weeks: int
    outcome: WeekOutcome | None


class RetailCouponEnv(gym.Env[Floats32, Ints]):
    """A retailer sends every customer one store-wide coupon a week; the shelf has its own prices.

    The store of RetailSynth-AgentSim (arXiv 2405.10469): the shelf runs the preset's own
    promotions, the agent decides who gets how much off. U customers.

    ## Action
    ``MultiDiscrete([11] * U)``: arm k takes 5 k % off everything that customer buys this week.

    ## Observation
    ``Box`` float32, shape (U, 9), a row per customer, from records that a retailer has; nothing
    of coefficients, utilities or probabilities (``observation_names`` names the columns):

    | figure                 | bounds      | meaning                                              |
    |------------------------|-------------|------------------------------------------------------|
    | ``units``              | [0, 10,000] | units bought last week                               |
    | ``shelf_price``        | [0, 10^6]   | mean shelf price of the coming week [$]              |
    | ``marketing``          | [-50, 50]   | marketing intensity of the coming week               |
    | ``product_feature``    | [-50, 50]   | mean over products of the observed features X        |
    | ``mean_price``         | [0, 10^6]   | mean shelf price of the lines bought so far [$]      |
    | ``mean_discount``      | [0, 1]      | mean shelf discount of the lines bought so far       |
    | ``purchase_share``     | [0, 1]      | weeks with a purchase / weeks                        |
    | ``units_per_purchase`` | [0, 10,000] | mean units in weeks with a purchase                  |
    | ``mean_redeemed_coupon`` | [0, 1]    | mean coupon of the lines bought with one             |

    Where a customer has no such line yet, the mean over the customers who have one stands.

    ## Reward
    ``revenue`` (default): the week's revenue after coupons, in units of R0, the store's expected
    revenue of a week at base prices if everybody visits (``reward_scale`` [$]). ``margin``: sum
    of quantity x (price paid - 0.70 base price) / R0. It is the mean over customers of
    ``customer_rewards``, shape (U,), each in units of R0 / U.

    ## Start and end
    Everybody visits in week 1. ``burn_in`` weeks under uniform random coupons can come before
    the episode; records then start full. Truncated after ``horizon`` weeks, never terminated.

    ## Info
    Python floats: the figures of :class:`~retail_gym.envs.RetailPricingEnv`, ``mean_coupon``
    (offered) and ``redeemed_coupon`` (mean over purchase lines); and for the halves of the
    customers at the median price coefficient ``sensitive.revenue`` [$], ``.units``,
    ``.mean_coupon``, ``.retention`` and the same for ``insensitive``. The week itself is
    ``env.unwrapped.outcome``.

    ## Arguments
    Args:
        preset: ``"coupon_brand_loyalty"`` (random marketing drives visits) or
            ``"coupon_driven"`` (last week's coupon does); or any other preset, path,
            configuration or ``World``.
        reward: ``"revenue"``, ``"margin"`` or a callable(outcome) giving money of each customer.
        horizon: weeks per episode.
        n_customers: overrides the preset's number.
        world_seed: another seed is another store, by default 0.
        world_seeds: instead: every reset draws one of these stores.
        burn_in: weeks under uniform random coupons before the episode.
        kernel: name of a kernel or the object, by default the fastest.
        **overrides: fields of the store's configuration.

    ## Version history
    v0: first release.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012 (gymnasium declares it so)

    action_space: spaces.MultiDiscrete
    observation_space: spaces.Box[np.float32]

    def __init__(
        self,
        preset: str | os.PathLike[str] | World | StoreConfig = "coupon_brand_loyalty",
        *,
        reward: str | CustomerReward = "revenue",
        horizon: int = 53,
        n_customers: int | None = None,
        world_seed: int | None = None,
        world_seeds: Sequence[int] | None = None,
        burn_in: int = 0,
        kernel: str | Kernel | None = None,
        **overrides: Any,
    ) -> None:
        if n_customers is not None:
            overrides["n_customers"] = n_customers
        if isinstance(reward, str):
            check_choice("reward", reward, CUSTOMER_REWARDS)
            reward = CUSTOMER_REWARDS[reward]
        if world_seeds is not None and (isinstance(preset, World) or len(world_seeds) == 0):
            raise ValueError("world_seeds needs at least one seed, and a preset to draw stores of")
        if world_seeds is not None and world_seed is not None:
            raise ValueError("give world_seed for one store or world_seeds for several, not both")
        self._reward = reward
        self._preset, self._overrides = preset, overrides
        pool = () if world_seeds is None else world_seeds
        self._pool = tuple(check_int("world_seeds", seed, 0, 2**63 - 1) for seed in pool)
        self.horizon = check_int("horizon", horizon, 1)
        self.burn_in = check_int("burn_in", burn_in, 0)
        self._enter(
            make_world(preset, self._pool[0] if self._pool else world_seed or 0, **overrides)
        )
        self._kernel = make_kernel(kernel, self.world)
        n = self.world.n_customers
        self.action_space = spaces.MultiDiscrete([COUPON_LEVELS.size] * n)
        self.observation_space = customer_space(n)
        self.observation_names = [name for name, _, _ in CUSTOMER_FEATURES]
        self.outcome: WeekOutcome | None = None
        self.customer_rewards: Floats = np.zeros(n)
        self._weeks = 0  # of the episode, the burn-in not counted
        self._simulator: Simulator | None = None
        self._features_of: tuple[World, int] | None = None  # what the kept features belong to
        self._product_feature: dict[int, Floats] = {}  # by week: policies meet it again

    def _enter(self, world: World) -> None:
        self.world = world
        self.reward_scale = world.reward_scale
        self.segments = world.segment_customers(min(len(SEGMENTS), world.n_customers))

    @property
    def episode_key(self) -> int:
        """The episode's randomness."""
        return self._running().episode_key

    def _running(self) -> Simulator:
        if self._simulator is None:
            raise ResetNeeded("call reset() before step() or snapshot()")
        return self._simulator

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Floats32, dict[str, Any]]:
        """Start a new episode.

        Args:
            seed: seeds ``np_random``; without it the stream goes on, so every unseeded reset
                is another episode.
            options: none are used.

        Returns:
            The observation before the first coupons, and its info.
        """
        super().reset(seed=seed)
        if self._pool:
            chosen = self._pool[int(self.np_random.integers(len(self._pool)))]
            self._enter(make_world(self._preset, chosen, **self._overrides))
        n = self.world.n_customers
        self._begin(self.world, int(self.np_random.integers(2**63)))
        self._draw_shelf()
        for _ in range(self.burn_in):
            self._week(self.np_random.integers(COUPON_LEVELS.size, size=n))
        self._weeks, self.customer_rewards = 0, np.zeros(n)
        return self._observation(), self._info()

    def _begin(self, world: World, key: int) -> None:
        if world is not self.world:
            self._enter(world)
        if self._features_of != (world, key):
            self._features_of, self._product_feature = (world, key), {}
        self._simulator = Simulator(world, key, kernel=self._kernel)
        self._promotion = Promotion(world.n_products, key)
        self._records = CustomerRecords.empty(world.n_customers)
        self._coupon_u: Floats = np.zeros(world.n_customers)
        self._weeks, self.outcome = 0, None

    def _draw_shelf(self) -> None:
        """Discounts and prices of the coming week, known before coupons are sent."""
        week = self._running().week + 1
        self._discount_i = self._promotion.step([self.world.promotion], week)[0]
        self._price_i = self._shelf_price()

    def _shelf_price(self) -> Floats:
        return price(self.world.base_price, self._discount_i, self.world.lowest_price)

    def _week(self, arm_u: Ints) -> WeekOutcome:
        self._coupon_u = COUPON_LEVELS[arm_u]
        outcome = self._running().step(self._price_i, self._coupon_u, self._discount_i)
        self._records = self._records.after(outcome, self._price_i)
        self.outcome = outcome
        self._weeks += 1
        self._draw_shelf()
        return outcome

    def _observation(self) -> Floats32:
        key, week = self.episode_key, self._running().week + 1
        if week not in self._product_feature:
            self._product_feature[week] = mean_product_feature(self.world, key, week)
        coming = coming_week(
            self.world,
            key,
            week,
            self._discount_i,
            self._price_i,
            self._coupon_u,
            self._product_feature[week],
        )
        return self._records.observation(coming)

    def _check(self, action: Any) -> Ints:
        arm = np.asarray(action)
        allowed = f"expected {self.world.n_customers} whole numbers, one arm 0..10 per customer"
        if arm.shape != (self.world.n_customers,):
            raise ValueError(f"action has shape {arm.shape}: {allowed}")
        if not np.issubdtype(arm.dtype, np.integer):
            raise ValueError(f"action has type {arm.dtype}: {allowed}")
        if arm.min() < 0 or arm.max() >= COUPON_LEVELS.size:
            raise ValueError(f"action has arms {arm.min()}..{arm.max()}: {allowed}")
        return arm.astype(np.int64)

    def step(self, action: Any) -> tuple[Floats32, float, bool, bool, dict[str, Any]]:
        """Run one week.

        Args:
            action: arm of each customer, whole numbers 0..10, shape (U,).

        Returns:
            Observation, reward, ``terminated`` (always False), ``truncated`` (at the horizon)
            and info.

        Raises:
            ValueError: for an action of the wrong shape or type or out of range.
            gymnasium.error.ResetNeeded: before the first reset or after the last week.
        """
        self._running()
        if self._weeks >= self.horizon:
            raise ResetNeeded(f"the episode ended after {self.horizon} weeks: call reset()")
        outcome = self._week(self._check(action))
        self.customer_rewards = self._reward(outcome) * (self.world.n_customers / self.reward_scale)
        reward = float(self.customer_rewards.mean())
        return self._observation(), reward, False, self._weeks >= self.horizon, self._info()

    def _info(self) -> dict[str, float]:
        outcome = self.outcome
        if outcome is None:
            return self._info_before()
        info = outcome.info()
        coupon_l = outcome.coupon[outcome.lines.customer]
        info["mean_coupon"] = float(outcome.coupon.mean())
        info["redeemed_coupon"] = float(coupon_l.mean()) if coupon_l.size else 0.0
        columns = {
            "revenue": customer_sums(outcome, outcome.line_revenue),
            "units": customer_sums(outcome, outcome.lines.quantity),
        }
        for name, customers in zip(SEGMENTS, self.segments, strict=False):
            for figure, values in columns.items():
                info[f"{name}.{figure}"] = float(values[customers].sum())
            info[f"{name}.mean_coupon"] = float(outcome.coupon[customers].mean())
            info[f"{name}.retention"] = float(outcome.active()[customers].mean())
        return info

    def _info_before(self) -> dict[str, float]:
        names = ("units", "revenue", "margin", "realised_discount", "effective_discount")
        info = dict.fromkeys((*names, "category_penetration"), 0.0)
        info |= {"visit_rate": 1.0, "active_customers": float(self.world.n_customers)}
        info |= {"retention": 1.0, "mean_coupon": 0.0, "redeemed_coupon": 0.0}
        for name, _ in zip(SEGMENTS, self.segments, strict=False):
            info |= {f"{name}.{figure}": 0.0 for figure in ("revenue", "units", "mean_coupon")}
            info[f"{name}.retention"] = 1.0
        return info

    def snapshot(self) -> CouponState:
        """The point of the episode reached, to come back to with :meth:`restore`."""
        simulator = self._running()
        return CouponState(
            self.world,
            simulator.episode_key,
            simulator.snapshot(),
            self._promotion.snapshot(),
            self._discount_i,
            self._records,
            self._weeks,
            self.outcome,
        )

    def restore(self, state: CouponState) -> Floats32:
        """Go back to a snapshot of this environment, and return its observation."""
        self._begin(state.world, state.episode_key)
        self._running().restore(state.simulator)
        self._promotion.restore(state.discounted_si)
        self._coupon_u = state.simulator.last_coupon
        self._discount_i, self._records = state.discount_i, state.records
        self._price_i = self._shelf_price()
        self._weeks, self.outcome = state.weeks, state.outcome
        return self._observation()
