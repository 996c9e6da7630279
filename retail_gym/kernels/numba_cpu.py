"""The fast kernel: compiled passes, the same decisions as the reference, and no more work than
a week's transactions need.

Two ways through a week::

    lazy    (a cap, no inertia)   visits from last week's rows, summed only as far as a draw
                                  asks; categories that a draw can still buy; nothing else
    full    (otherwise)           every row of a visitor once, its store value kept

In lazy mode nobody computes the store values. They are computed when somebody asks for
``memory.store_value`` or ``memory.visit_probability``, by the equations in double precision:
the noise is addressed, so last week can be evaluated at any time.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from numba.core import event
from numpy.typing import NDArray

from retail_gym import rng
from retail_gym.kernels import compiled
from retail_gym.kernels.base import Memory, Offer, Purchases
from retail_gym.kernels.packed import Packed, pack
from retail_gym.kernels.single import LOG2E
from retail_gym.model.category_choice import category_probability, category_value
from retail_gym.model.store_visit import (
    store_utility,
    store_value,
    visit_probability,
    visit_propensity,
)
from retail_gym.model.utility import capped_utility
from retail_gym.world.noise import noise_words, utility
from retail_gym.world.world import World

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

__all__ = ["FastMemory", "NumbaKernel", "Prices", "Week"]

#: Customers whose lines share one scratch array.
_CHUNK: Final = 1024


@dataclass(frozen=True)
class Prices:
    """A week's offer in the form the compiled passes read."""

    offer: Offer
    price_gi: NDArray[np.float32]  # G, I: beta_i log P
    size_gj: Floats  # G, J: largest absolute price term of a category
    size_g: Floats  # G
    noise_g: NDArray[np.float32]  # G, 9: noise coefficients with the cap taken out


def _prices(world: World, packed: Packed, offer: Offer) -> Prices:
    price_gi = (world.beta_i * offer.log_price_gi).astype(np.float32)
    size_gj = np.maximum.reduceat(np.abs(price_gi), world.category_start, axis=1)
    noise_g = np.tile(packed.noise_coefficients, (offer.cap_g.size, 1))
    noise_g[:, 0] -= LOG2E * np.where(np.isinf(offer.cap_g), 0.0, offer.cap_g)
    return Prices(
        offer,
        price_gi,
        size_gj.astype(np.float64),
        size_gj.max(axis=1).astype(np.float64),
        noise_g.astype(np.float32),
    )


@dataclass(frozen=True)
class Week:
    """A week gone by, as far as it may have to be evaluated again."""

    week: int
    prices: Prices
    visited: NDArray[np.bool_]
    probability: Floats | None  # U: visit probabilities, an estimate; None where not needed


class FastMemory:
    """What the fast kernel remembers; exact store values and probabilities on demand.

    Args:
        world: the store.
        episode_key: the episode's randomness.
        past: the weeks from which exact numbers follow, oldest first, the last one last.
        value: estimates of the store values, None in lazy mode.
        value_error: bounds on their error.
        probability_error: bounds on the error of the last week's probabilities.
    """

    def __init__(
        self,
        world: World,
        episode_key: int,
        past: tuple[Week, ...],
        value: Floats | None,
        value_error: Floats,
        probability_error: Floats,
    ) -> None:
        self._world, self._key = world, episode_key
        self.past = past
        self.visited = past[-1].visited
        self.value, self.value_error = value, value_error
        self.probability_error = probability_error

    @cached_property
    def store_value(self) -> Floats:
        """Store values of those who visited, 0 elsewhere, in double precision."""
        return self._store_value(self.past[-1], np.arange(self._world.n_customers))

    @cached_property
    def visit_probability(self) -> Floats:
        """Visit probabilities of the last week, in double precision."""
        return self._probability(np.arange(self._world.n_customers))

    def next_probability(self, offer: Offer, customers: Ints) -> Floats:
        """Exact visit probabilities of some customers in the week after, given its offer."""
        return self._step(self.past[-1], offer, self._probability(customers), customers)

    def _probability(self, customers: Ints) -> Floats:
        """Follow eq. 10 from the oldest week kept, whose estimate inertia has forgotten."""
        first = self.past[0].probability
        probability = np.ones(customers.size) if first is None else first[customers]
        for before, now in zip(self.past[:-1], self.past[1:], strict=True):
            probability = self._step(before, now.prices.offer, probability, customers)
        return probability

    def _step(self, before: Week, offer: Offer, probability: Floats, customers: Ints) -> Floats:
        world = self._world
        utility_u = store_utility(
            world.gamma_store_0,
            world.gamma_store_1,
            world.gamma_store_2,
            before.visited[customers],
            self._store_value(before, customers),
            offer.marketing_u[customers],
        )
        return visit_probability(world.theta[customers], visit_propensity(utility_u), probability)

    def _store_value(self, past: Week, customers: Ints) -> Floats:
        world, offer, values = self._world, past.prices.offer, np.zeros(customers.size)
        for k, u in enumerate(customers):
            if past.visited[u]:
                row, group = np.array([u]), offer.group_u[u]
                word = noise_words(world, self._key, past.week, row)
                utility_ui = capped_utility(
                    utility(world, row, word, offer.log_price_gi[group]), offer.cap_g[group]
                )
                values[k] = store_value(category_value(utility_ui, world.category_sizes))[0]
        return values


class NumbaKernel:
    """Compiled single-precision passes with a double-precision guard band.

    Args:
        guard: scale of the guard band; 1 makes the decisions those of the reference kernel.
        lazy: leave out what the draws settle, where the store allows it.
    """

    name = "numba"

    def __init__(self, guard: float = 1.0, lazy: bool = True) -> None:
        self._scale = float(guard)
        self._lazy = lazy
        self._lines = np.empty((4, 0), dtype=np.int64)
        self._rates = np.empty((2, 0))
        #: Work done: products evaluated for visits, rows begun for them, categories summed,
        #: categories and visits taken again in double precision.
        self.counts = np.zeros(5, dtype=np.int64)

    def is_lazy(self, world: World) -> bool:
        """Whether a week of this store goes the lazy way."""
        return (
            self._lazy
            and world.cap_reference.percentile < 100.0
            and not world.theta.any()
            and world.gamma_store_1 >= 0.0
            and bool((world.gamma_cate_1 >= 0.0).all())
        )

    def week(
        self, world: World, memory: Memory, offer: Offer, episode_key: int, week: int
    ) -> tuple[Memory, Purchases]:
        """One week; see :class:`retail_gym.kernels.base.Kernel`."""
        packed, lazy, n = pack(world), self.is_lazy(world), world.n_customers
        probability: Floats | None
        if week == 1:
            visited, probability, error = np.ones(n, dtype=bool), np.ones(n), np.zeros(n)
        elif lazy and isinstance(memory, FastMemory):
            visited = self._lazy_visits(world, packed, memory, offer, episode_key, week)
            probability, error = None, np.zeros(n)
        else:
            visited, probability, error = self._visits(world, memory, offer, episode_key, week)
        prices = _prices(world, packed, offer)
        lines, value, value_error = self._trips(
            world, packed, prices, episode_key, week, np.flatnonzero(visited), lazy
        )
        before = memory.past if isinstance(memory, FastMemory) and week > 1 else ()
        past = (*before[-_depth(world) :], Week(week, prices, visited, probability))
        return FastMemory(world, episode_key, past, value, value_error, error), lines

    def _lazy_visits(
        self,
        world: World,
        packed: Packed,
        memory: FastMemory,
        offer: Offer,
        episode_key: int,
        week: int,
    ) -> NDArray[np.bool_]:
        """Visits from last week's rows, each summed only as far as its draw asks."""
        last, answer = memory.past[-1].prices, np.empty(world.n_customers, dtype=np.int8)
        compiled.visits(
            packed.single,
            packed.feature_coefficients,
            last.noise_g,
            last.price_gi,
            last.offer.cap_g,
            last.offer.group_u,
            last.size_g,
            packed.size_u,
            np.uint64(episode_key),
            week,
            world.gamma_store_0 + world.gamma_store_2 * offer.marketing_u,
            world.gamma_store_1,
            memory.visited,
            self._scale,
            answer,
            self.counts,
        )
        visited = answer == compiled.YES
        unsettled = np.flatnonzero(answer == compiled.OPEN)
        if unsettled.size:
            probability = memory.next_probability(offer, unsettled)
            visited[unsettled] = _visit_draw(episode_key, week, unsettled) < probability
            self.counts[4] += unsettled.size
        return visited

    def _visits(
        self, world: World, memory: Memory, offer: Offer, episode_key: int, week: int
    ) -> tuple[NDArray[np.bool_], Floats, Floats]:
        """Visits from known store values; also the probabilities and bounds on their error."""
        n = world.n_customers
        if isinstance(memory, FastMemory) and memory.value is not None:
            estimate = memory.past[-1].probability
            before = np.ones(n) if estimate is None else estimate
            value, value_error = memory.value, memory.value_error
            before_error = memory.probability_error
        else:
            before, value = memory.visit_probability, memory.store_value
            value_error = before_error = np.zeros(n)
        utility_u = store_utility(
            world.gamma_store_0,
            world.gamma_store_1,
            world.gamma_store_2,
            memory.visited,
            value,
            offer.marketing_u,
        )
        probability = visit_probability(world.theta, visit_propensity(utility_u), before)
        # The logistic function is nowhere steeper than 1/4.
        error = 0.25 * (1.0 - world.theta) * abs(world.gamma_store_1) * value_error
        error = error * memory.visited + world.theta * before_error
        draw = _visit_draw(episode_key, week, np.arange(n))
        visited = draw < probability
        unsettled = np.flatnonzero(np.abs(draw - probability) < error)
        if unsettled.size and isinstance(memory, FastMemory):
            probability[unsettled] = memory.next_probability(offer, unsettled)
            visited[unsettled] = draw[unsettled] < probability[unsettled]
            self.counts[4] += unsettled.size
        return visited, probability, error

    def _trips(
        self,
        world: World,
        packed: Packed,
        prices: Prices,
        episode_key: int,
        week: int,
        customers: Ints,
        lazy: bool,
    ) -> tuple[Purchases, Floats | None, Floats]:
        """Decisions of those in the store; store values and error bounds in full mode."""
        offer = prices.offer
        finite = np.where(np.isinf(offer.cap_g), 0.0, offer.cap_g)
        best = finite[:, None] + packed.log_size
        bound_gj = category_probability(packed.gamma_cate_0, packed.gamma_cate_1, best) + 1e-12
        value, error = np.zeros(world.n_customers), np.zeros(world.n_customers)
        parts: list[Ints] = []
        for start in range(0, customers.size, _CHUNK):
            some = customers[start : start + _CHUNK]
            room = some.size * world.n_categories
            if self._lines.shape[1] < room:
                self._lines = np.empty((4, room), dtype=np.int64)
                self._rates = np.empty((2, room))
            some_value = np.zeros(some.size)
            count, some_error = compiled.trips(
                packed.single,
                packed.double,
                packed.feature_coefficients,
                prices.noise_g,
                prices.price_gi,
                offer.log_price_gi,
                offer.cap_g,
                offer.group_u,
                prices.size_gj,
                bound_gj,
                packed.category_hash,
                packed.gamma_cate_0,
                packed.gamma_cate_1,
                np.uint64(episode_key),
                week,
                some,
                lazy,
                self._scale,
                self._lines,
                self._rates,
                some_value,
                self.counts,
            )
            lines = self._lines[:, :count].copy()
            large = np.flatnonzero(lines[3] == 0)  # rates of 30 and more
            if large.size:
                rate, draw = self._rates[:, large]
                lines[3, large] = 1 + rng.poisson_quantile(draw, rate)
            parts.append(lines)
            value[some], error[some] = some_value, some_error
        lines = np.concatenate(parts, axis=1) if parts else np.zeros((4, 0), dtype=np.int64)
        return Purchases(*lines), None if lazy else value, error


def _visit_draw(episode_key: int, week: int, customers: Ints) -> Floats:
    key = rng.stream_key(episode_key, week, rng.Stage.VISIT, customers)
    return rng.uniform(rng.words(key, rng.item_hash(1)[0]))


def _depth(world: World) -> int:
    """Weeks to keep until inertia has forgotten an error of single precision."""
    inertia = float(world.theta.max())
    return 1 if inertia == 0.0 else min(64, math.ceil(math.log(1e-13) / math.log(inertia)))


class _Announcement(event.Listener):  # type: ignore[misc]
    """Says once that the kernel is being compiled, instead of leaving a silent pause."""

    said = False

    def on_start(self, event: Any) -> None:
        """A function begins to compile."""
        name = str(getattr(event.data.get("dispatcher"), "__module__", ""))
        if not self.said and name.startswith("retail_gym"):
            self.said = True
            print("retail_gym: compiling the kernel, once, a few seconds ...", file=sys.stderr)

    def on_end(self, event: Any) -> None:
        """A function is compiled."""


event.register("numba:compile", _Announcement())
