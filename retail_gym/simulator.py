"""The simulator: the state of a store between weeks, moved on by one week of prices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from retail_gym import rng
from retail_gym.kernels import Kernel, Memory, Offer, PlainMemory, make_kernel
from retail_gym.model.price import price_paid
from retail_gym.model.store_visit import marketing_feature
from retail_gym.outcome import WeekOutcome
from retail_gym.world.noise import customer_words, features
from retail_gym.world.world import World

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

__all__ = ["Simulator", "SimulatorState"]


@dataclass(frozen=True)
class SimulatorState:
    """Everything that a week leaves behind; immutable, small, independent of the simulator."""

    week: int
    memory: Memory
    last_purchase: Ints  # U
    last_coupon: Floats  # U


class Simulator:
    """Simulates one store week by week.

    The same world, episode key and prices give the same weeks, in any process and after any
    number of snapshots.

    Args:
        world: the store.
        episode_key: 64 bits of luck, e.g. of ``numpy.random.default_rng(0).integers(2**63)``.
        segments: customer numbers of each segment that is priced apart; default: one segment.
        kernel: name of a kernel or the object, by default the fastest.

    Raises:
        ValueError: if the segments do not hold each customer exactly once.
    """

    def __init__(
        self,
        world: World,
        episode_key: int,
        segments: list[Ints] | None = None,
        kernel: str | Kernel | None = None,
    ) -> None:
        self.world = world
        if not 0 <= int(episode_key) < 2**64:
            raise ValueError(f"an episode key must lie in [0, 2**64), got {episode_key!r}")
        self.episode_key = int(episode_key)
        self.kernel: Kernel = make_kernel(kernel)
        groups = [np.arange(world.n_customers)] if segments is None else segments
        members = np.concatenate(groups) if groups else np.zeros(0, dtype=np.int64)
        if not np.array_equal(np.sort(members), np.arange(world.n_customers)):
            raise ValueError("segments must hold each customer number exactly once")
        self.n_segments = len(groups)
        self._segment_u = np.empty(world.n_customers, dtype=np.int64)
        for s, customers in enumerate(groups):
            self._segment_u[customers] = s
        n = world.n_customers
        self._state = SimulatorState(
            0, PlainMemory.before_first_week(n), np.zeros(n, dtype=np.int64), np.zeros(n)
        )

    @property
    def week(self) -> int:
        """Weeks simulated so far."""
        return self._state.week

    @property
    def memory(self) -> Memory:
        """Visits, visit probabilities and store values of the last week."""
        return self._state.memory

    def snapshot(self) -> SimulatorState:
        """The state, to come back to with :meth:`restore`."""
        return self._state

    def restore(self, state: SimulatorState) -> None:
        """Go back to a snapshot of a simulator of the same world and episode."""
        if state.last_coupon.size != self.world.n_customers:
            raise ValueError(
                f"the snapshot has {state.last_coupon.size} customers, "
                f"the store {self.world.n_customers}"
            )
        self._state = state

    def step(
        self,
        price_si: ArrayLike,
        coupon_u: ArrayLike | None = None,
        discount_si: ArrayLike | None = None,
    ) -> WeekOutcome:
        """Simulate one week.

        Args:
            price_si: shelf prices [$], shape (I,) or one row per segment (S, I), > 0.
            coupon_u: store-wide coupon of each customer, shape (U,), in [0, 1); default none.
            discount_si: the discounts D behind the prices, of their shape and at most 1, which
                count in the marketing feature; by default 1 - price / base price, negative where
                a price was raised.

        Returns:
            What happened.

        Raises:
            ValueError: for a wrong shape, or prices, coupons or discounts out of range or not
                finite.
        """
        world, state, week = self.world, self._state, self._state.week + 1
        price = self._check_prices(price_si)
        coupon = self._check_coupons(coupon_u)
        discount = self._check_discounts(discount_si, price)
        offer = self._offer(price, discount, coupon, week)
        memory, lines = self.kernel.week(world, state.memory, offer, self.episode_key, week)
        last_purchase = state.last_purchase.copy()
        last_purchase[lines.customer] = week
        for shared in (last_purchase, coupon, memory.visited):
            shared.flags.writeable = False  # the outcome and the state share them
        self._state = SimulatorState(week, memory, last_purchase, coupon)
        paid = price[self._segment_u[lines.customer], lines.product]
        return WeekOutcome(
            week=week,
            lines=lines,
            unit_price=(1.0 - coupon[lines.customer]) * paid,
            base_price=world.base_price[lines.product],
            visited=memory.visited,
            last_purchase=last_purchase,
            segment_of_customer=self._segment_u,
            discount_si=discount,
            coupon=coupon,
        )

    def _check_prices(self, price_si: ArrayLike) -> Floats:
        price = np.asarray(price_si, dtype=np.float64)
        if price.shape == (self.world.n_products,):
            price = np.broadcast_to(price, (self.n_segments, self.world.n_products))
        expected = (self.n_segments, self.world.n_products)
        if price.shape != expected:
            raise ValueError(
                f"prices must have shape {expected[1:]} or {expected} (segments, products), "
                f"got {price.shape}"
            )
        if not 0.0 < price.min() <= price.max() < np.inf:  # false for NaN as well
            raise ValueError("prices must be finite and above 0 [$]")
        return price

    def _check_discounts(self, discount_si: ArrayLike | None, price_si: Floats) -> Floats:
        if discount_si is None:
            return 1.0 - price_si / self.world.base_price
        discount = np.asarray(discount_si, dtype=np.float64)
        if discount.shape == (self.world.n_products,):
            discount = np.broadcast_to(discount, price_si.shape)
        if discount.shape != price_si.shape:
            raise ValueError(f"discounts must have shape {price_si.shape}, got {discount.shape}")
        if not -np.inf < discount.min() <= discount.max() <= 1.0:  # false for NaN as well
            raise ValueError("discounts must be finite and at most 1, shares of the base price")
        return discount

    def _check_coupons(self, coupon_u: ArrayLike | None) -> Floats:
        n = self.world.n_customers
        if coupon_u is None:
            return np.zeros(n)
        coupon = np.array(coupon_u, dtype=np.float64)
        if coupon.shape != (n,):
            raise ValueError(f"coupons must have shape ({n},), one per customer, {coupon.shape}")
        if not (np.isfinite(coupon).all() and (coupon >= 0).all() and (coupon < 1).all()):
            raise ValueError("coupons must lie in [0, 1), as a share of the shelf price")
        return coupon

    def _offer(self, price_si: Floats, discount_si: Floats, coupon_u: Floats, week: int) -> Offer:
        """Group customers who see the same prices: a segment's, less the same coupon."""
        group_u = self._segment_u
        if not coupon_u.any():
            log_price_gi = np.log(price_si)
            return Offer(
                group_u, log_price_gi, self._caps(log_price_gi), self._marketing(discount_si, week)
            )
        seen, group_u = np.unique(
            np.stack([self._segment_u.astype(np.float64), coupon_u]), axis=1, return_inverse=True
        )
        log_price_gi = np.log(
            np.concatenate(
                [price_paid(price_si[int(s)], [c]) for s, c in seen.T]  # one row a group
            )
        )
        return Offer(
            group_u.reshape(-1),
            log_price_gi,
            self._caps(log_price_gi),
            self._marketing(discount_si, week),
        )

    def _caps(self, log_price_gi: Floats) -> Floats:
        return np.array([self.world.cap_reference.cap(row) for row in log_price_gi])

    def _marketing(self, discount_si: Floats, week: int) -> Floats:
        world = self.world
        if world.marketing == "noise":
            customers = np.arange(world.n_customers)
            stage = rng.Stage.MARKETING
            return features(customer_words(self.episode_key, week, stage, customers))
        coupon_u = self._state.last_coupon if world.marketing == "coupon" else 0.0
        shelf_s = marketing_feature(discount_si, world.marketing_scale)
        return shelf_s[self._segment_u] + world.marketing_scale * np.asarray(coupon_u)
