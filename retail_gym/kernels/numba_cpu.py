"""The fast kernel: compiled, the same decisions as the reference, and little more work than sales.

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
from typing import Any, Final

import numpy as np
from numba.core import event
from numpy.typing import NDArray

from retail_gym import rng
from retail_gym.kernels import decisions
from retail_gym.kernels.base import Memory, Offer, Purchases
from retail_gym.kernels.memory import FastMemory, Prices, Week, make_prices
from retail_gym.kernels.packed import Packed, pack
from retail_gym.model.category_choice import category_probability
from retail_gym.model.store_visit import store_utility, visit_probability, visit_propensity
from retail_gym.world.noise import customer_words
from retail_gym.world.world import World

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

__all__ = ["NumbaKernel"]

#: Customers whose lines share one scratch array.
_CHUNK: Final = 1024


class NumbaKernel:
    """Compiled single-precision passes with a double-precision guard band.

    The object holds scratch memory: one per thread. Exact visit probabilities of a store with
    inertia follow from the last 64 weeks at most: beyond theta of about 0.6 an estimate of single
    precision, from before them, keeps a share theta^64 of its error.

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
        visited.flags.writeable = False
        prices = make_prices(world, packed, offer)
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
        decisions.visits(
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
        visited: NDArray[np.bool_] = answer == decisions.YES
        unsettled = np.flatnonzero(answer == decisions.OPEN)
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
        bound_gj = category_probability(packed.gamma_cate_0, packed.gamma_cate_1, best)
        limit_gj = np.ceil(np.minimum(bound_gj + 1e-9, 1.0) * (2.0**32 - 1)).astype(np.uint32)
        value, error = np.zeros(world.n_customers), np.zeros(world.n_customers)
        parts: list[Ints] = []
        for start in range(0, customers.size, _CHUNK):
            some = customers[start : start + _CHUNK]
            room = some.size * world.n_categories
            if self._lines.shape[1] < room:
                self._lines = np.empty((4, room), dtype=np.int64)
                self._rates = np.empty((2, room))
            some_value = np.zeros(some.size)
            count, some_error = decisions.trips(
                packed.single,
                packed.double,
                packed.feature_coefficients,
                prices.noise_g,
                prices.price_gi,
                offer.log_price_gi,
                offer.cap_g,
                offer.group_u,
                prices.size_g,
                limit_gj,
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
    return rng.uniform(customer_words(episode_key, week, rng.Stage.VISIT, customers))


def _depth(world: World) -> int:
    """Weeks to keep until inertia has forgotten an error of single precision."""
    inertia = float(world.theta.max())
    return 1 if inertia == 0.0 else min(64, math.ceil(math.log(1e-13) / math.log(inertia)))


class _Announcement(event.Listener):
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


event.register("numba:compile", _Announcement())  # type: ignore[no-untyped-call]
