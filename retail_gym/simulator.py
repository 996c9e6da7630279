"""The simulator: the state of a store between weeks, moved on by one week of prices."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from retail_gym import rng
from retail_gym.kernels import (
    Kernel,
    Memory,
    Offer,
    PlainMemory,
    Purchases,
    Request,
    make_kernel,
)
from retail_gym.kernels.crew import ALONE, Crew
from retail_gym.kernels.fleet import Episode, Promoted, fits
from retail_gym.kernels.numba_cpu import NumbaKernel
from retail_gym.kernels.shelf import Laws, caps
from retail_gym.model.price import price_paid
from retail_gym.model.price_dispersion import dispersion_factor
from retail_gym.model.store_visit import marketing_feature
from retail_gym.outcome import COST_SHARE, RETENTION_WEEKS, WeekOutcome
from retail_gym.promotion import Shelf
from retail_gym.world.noise import customer_words, features
from retail_gym.world.world import World

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

__all__ = ["Simulator", "SimulatorState", "promote_weeks", "simulate_weeks"]


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
        self.kernel: Kernel = make_kernel(kernel, world)
        groups = [np.arange(world.n_customers)] if segments is None else segments
        members = np.concatenate(groups) if groups else np.zeros(0, dtype=np.int64)
        if not np.array_equal(np.sort(members), np.arange(world.n_customers)):
            raise ValueError("segments must hold each customer number exactly once")
        self.n_segments = len(groups)
        self._segment_u = np.empty(world.n_customers, dtype=np.int64)
        for s, customers in enumerate(groups):
            self._segment_u[customers] = s
        n = world.n_customers
        self._no_coupon = np.zeros(n)
        self._no_coupon.flags.writeable = False
        self._dispersion_i = None if world.layers is None else world.layers.dispersion_i
        made, plain = self.kernel, self._dispersion_i is None
        kind = made.together(world) if plain and type(made) is NumbaKernel else None
        self._kind = None if kind is None else (id(world), self.n_segments, kind)
        self._state = SimulatorState(
            0, PlainMemory.before_first_week(n), np.zeros(n, dtype=np.int64), self._no_coupon
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
        price = self._check_prices(price_si)
        coupon = self._check_coupons(coupon_u)
        discount = self._check_discounts(discount_si, price)
        shelf = Shelf(discount[None], price[None], np.log(price)[None])
        return simulate_weeks([self], shelf, [coupon])[0]

    def request(
        self, price_si: Floats, log_price_si: Floats, cap_s: Floats, discount_si: Floats,
        coupon_u: Floats | None,
    ) -> Request:  # fmt: skip
        """What the kernel is asked for: the next week at these prices."""
        group_u, log_price_gi, cap_g = self._segment_u, log_price_si, cap_s
        if coupon_u is not None and coupon_u.any():
            # A group of customers sees the same prices: a segment's, less the same coupon.
            seen, group_u = np.unique(
                np.stack([group_u.astype(np.float64), coupon_u]), axis=1, return_inverse=True
            )
            group_u = group_u.reshape(-1)
            paid = [price_paid(price_si[int(s)], [c]) for s, c in seen.T]  # one row a group
            log_price_gi = np.log(np.concatenate(paid))
            cap_g = caps(self.world, log_price_gi)
        week = self._state.week + 1
        offer = Offer(group_u, log_price_gi, cap_g, self.marketing(discount_si, week))
        return Request(self._state.memory, offer, self.episode_key, week)

    def together(self) -> Hashable | None:
        """What simulators whose next weeks of promotions go in one pass have in common.

        None where the week goes stage by stage, at prices that are known beforehand.
        """
        state = self._state
        if self._kind is None or (state.last_coupon is not self._no_coupon and self._reminded()):
            return None
        week, n = state.week + 1, self.n_segments
        return self._kind if fits(self.world, state.memory, week, n) else None

    def _reminded(self) -> bool:
        """Whether last week's coupons count in the marketing feature."""
        return self.world.marketing == "coupon" and bool(self._state.last_coupon.any())

    def episode(self) -> Episode:
        """What a pass over a week of promotions is given."""
        state = self._state
        return Episode(
            state.memory, self.episode_key, state.week + 1, self._segment_u, state.last_purchase
        )

    def finish_promoted(self, done: Promoted) -> WeekOutcome:
        """Move on to the week of promotions that the kernel computed."""
        memory, week = done.memory, self._state.week + 1
        self._state = SimulatorState(week, memory, done.last_purchase, self._no_coupon)
        outcome = WeekOutcome(
            week,
            done.lines,
            done.unit_price,
            done.base_price,
            memory.visited,
            done.last_purchase,
            self._segment_u,
            done.discounts,
            self._no_coupon,
        )
        if done.figures is not None:
            outcome.know(done.figures, done.segment_discount)
        return outcome

    def finish(
        self, memory: Memory, lines: Purchases, price_si: Floats, discount_si: Floats,
        coupon_u: Floats | None,
    ) -> WeekOutcome:  # fmt: skip
        """Move on to the week that the kernel computed."""
        state, week = self._state, self._state.week + 1
        last_purchase = state.last_purchase.copy()
        last_purchase[lines.customer] = week
        coupon = self._no_coupon if coupon_u is None else coupon_u
        for shared in (last_purchase, coupon, memory.visited):
            shared.flags.writeable = False  # the outcome and the state share them
        self._state = SimulatorState(week, memory, last_purchase, coupon)
        paid = price_si[self._segment_u[lines.customer], lines.product]
        base_price = self.world.base_price[lines.product]
        if self._dispersion_i is not None:
            factor = self._dispersion(self._dispersion_i, lines.product, week)
            paid, base_price = factor * paid, factor * base_price
        return WeekOutcome(
            week=week,
            lines=lines,
            unit_price=paid if coupon_u is None else (1.0 - coupon[lines.customer]) * paid,
            base_price=base_price,
            visited=memory.visited,
            last_purchase=last_purchase,
            segment_of_customer=self._segment_u,
            discounts=discount_si,
            coupon=coupon,
        )

    def _dispersion(self, sd_i: Floats, product: Ints, week: int) -> Floats:
        """Factor of the prices of some products in a week."""
        key = rng.stream_key(self.episode_key, week, rng.Stage.DISPERSION)
        normal = rng.normal(rng.words(key, rng.item_hash(product)))
        return dispersion_factor(normal, sd_i[product])

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

    def _check_coupons(self, coupon_u: ArrayLike | None) -> Floats | None:
        if coupon_u is None:
            return None
        n, coupon = self.world.n_customers, np.array(coupon_u, dtype=np.float64)
        if coupon.shape != (n,):
            raise ValueError(f"coupons must have shape ({n},), one per customer, {coupon.shape}")
        if not (np.isfinite(coupon).all() and (coupon >= 0).all() and (coupon < 1).all()):
            raise ValueError("coupons must lie in [0, 1), as a share of the shelf price")
        return coupon

    def marketing(self, discount_si: Floats, week: int) -> Floats:
        """The marketing feature of each customer in a week, shape (U,)."""
        world = self.world
        if world.marketing == "noise":
            customers = np.arange(world.n_customers)
            stage = rng.Stage.MARKETING
            return features(customer_words(self.episode_key, week, stage, customers))
        coupon_u = self._state.last_coupon if world.marketing == "coupon" else 0.0
        shelf_s = marketing_feature(discount_si, world.marketing_scale)
        return shelf_s[self._segment_u] + world.marketing_scale * np.asarray(coupon_u)


def simulate_weeks(
    simulators: Sequence[Simulator],
    shelf: Shelf,
    coupon_eu: Sequence[Floats | None] | None = None,
) -> list[WeekOutcome]:
    """Simulate a week in several episodes of one store; :meth:`Simulator.step` simulates one.

    Args:
        simulators: one per episode, of the same world, kernel and number of segments.
        shelf: what is on offer in each (not checked again here).
        coupon_eu: coupons of each episode, None for none.

    Returns:
        What happened in each; the outcome of an episode does not depend on the others.
    """
    world, kernel = simulators[0].world, simulators[0].kernel
    coupons = [None] * len(simulators) if coupon_eu is None else coupon_eu
    discount, price, log_price = shelf
    cap = caps(world, log_price)
    requests = [
        simulator.request(price[e], log_price[e], cap[e], discount[e], coupons[e])
        for e, simulator in enumerate(simulators)
    ]
    results = kernel.weeks(world, requests)
    return [
        simulator.finish(*results[e], price[e], discount[e], coupons[e])
        for e, simulator in enumerate(simulators)
    ]


def promote_weeks(
    simulators: Sequence[Simulator], laws: Laws, crew: Crew = ALONE
) -> list[WeekOutcome]:
    """Simulate a week of promotions in several episodes, in one pass from discounts to purchases.

    The outcome of an episode is that of :func:`simulate_weeks` at the prices that follow from its
    laws, the figures to the last rounding of their sums.

    Args:
        simulators: one per episode, alike in :meth:`Simulator.together`, which is not None.
        laws: of the discounts in each; their states move.
        crew: threads that share the episodes.
    """
    kernel = simulators[0].kernel
    assert isinstance(kernel, NumbaKernel)
    episodes = [simulator.episode() for simulator in simulators]
    accounts = (COST_SHARE, RETENTION_WEEKS)
    weeks = kernel.promote(simulators[0].world, episodes, laws, accounts, crew)
    return [
        simulator.finish_promoted(week) for simulator, week in zip(simulators, weeks, strict=True)
    ]
