"""The fast kernel: compiled, the same decisions as the reference, and little more work than sales.

Two ways through a week::

    lazy    (a cap, no inertia)   visits from last week's rows, summed only as far as a draw
                                  asks; categories that a draw can still buy; nothing else
    full    (otherwise)           every row of a visitor once, its store value kept

A lazy week of promotions, what environments ask for, goes from discounts to purchases in one
compiled call (:mod:`retail_gym.kernels.fleet`); given prices and coupons go stage by stage.

In lazy mode nobody computes the store values. They are computed when somebody asks for
``memory.store_value`` or ``memory.visit_probability``, by the equations in double precision:
the noise is addressed, so last week can be evaluated at any time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from retail_gym import rng
from retail_gym.config import check_int
from retail_gym.kernels import decisions, visits
from retail_gym.kernels.announcement import announce
from retail_gym.kernels.base import Memory, Purchases, Request
from retail_gym.kernels.crew import Crew
from retail_gym.kernels.fleet import Episode, Promoted, promote
from retail_gym.kernels.households import household_week
from retail_gym.kernels.layered import has_layers
from retail_gym.kernels.memory import Board, FastMemory, Week, join_boards, make_board
from retail_gym.kernels.packed import Packed, pack
from retail_gym.kernels.shelf import Laws
from retail_gym.model.store_visit import store_utility, visit_probability, visit_propensity
from retail_gym.world.noise import customer_words
from retail_gym.world.world import World

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Result = TypeVar("Result")

__all__ = ["NumbaKernel"]

#: Trips in one piece of work, whose lines share one scratch array.
_CHUNK: Final = 1024


class NumbaKernel:
    """Compiled single-precision passes with a double-precision guard band.

    The object holds scratch memory: use one per thread. Exact visit probabilities of a store with
    inertia follow from the last 64 weeks at most: beyond theta of about 0.6 an estimate of single
    precision, from before them, keeps a share theta^64 of its error.

    Args:
        guard: scale of the guard band; 1 makes the decisions those of the reference kernel.
        lazy: leave out what the draws settle, where the store allows it.
        threads: that share the customers where there are thousands; default: every available
            processor. The result does not depend on it.
    """

    name = "numba"
    block: range | None = None  # the only customers who come, where there are layers

    def __init__(self, guard: float = 1.0, lazy: bool = True, threads: int | None = None) -> None:
        self._scale = float(guard)
        self._lazy = lazy
        mine = getattr(os, "sched_getaffinity", lambda _: range(os.cpu_count() or 1))
        self._threads = len(mine(0)) if threads is None else check_int("threads", threads, 1)
        self._scratch = _Scratch(0)
        #: Work done: products evaluated for visits, rows begun for them, categories summed,
        #: categories and visits taken again in double precision.
        self.counts = np.zeros(5, dtype=np.int64)

    def supports(self, world: World) -> bool:
        """Every store."""
        return True

    def is_lazy(self, world: World) -> bool:
        """Whether a week of this store goes the lazy way."""
        return self._lazy and pack(world).lazy and not has_layers(world)

    def together(self, world: World) -> Hashable | None:
        """What environments whose weeks of promotions go together have in common; None: do not."""
        return (self.name, self._scale) if self.is_lazy(world) else None

    def promote(
        self,
        world: World,
        episodes: Sequence[Episode],
        laws: Laws,
        accounts: tuple[float, int],
        crew: Crew,
    ) -> list[Promoted]:
        """A lazy week of promotions; see :func:`retail_gym.kernels.fleet.promote`."""
        weeks, counts = promote(world, episodes, laws, self._scale, accounts, crew)
        self.counts += counts
        return weeks

    def weeks(self, world: World, requests: Sequence[Request]) -> list[tuple[Memory, Purchases]]:
        """One week in each episode; see :class:`retail_gym.kernels.base.Kernel`."""
        if has_layers(world):
            how = self._scale, self._share, self.counts, self.block
            return [household_week(world, request, *how) for request in requests]
        if len({_groups(request) for request in requests}) > 1:
            return [self.weeks(world, [request])[0] for request in requests]
        packed, lazy = pack(world), self.is_lazy(world)
        came = self._visits(world, packed, requests, lazy)
        board = make_board(world, packed, [request.offer for request in requests])
        lines, value, error = self._trips(
            world, packed, board, requests, [visit.visited for visit in came], lazy
        )
        results: list[tuple[Memory, Purchases]] = []
        for e, (request, visit) in enumerate(zip(requests, came, strict=True)):
            memory, depth = request.memory, packed.weeks_kept
            past = memory.past if isinstance(memory, FastMemory) and request.week > 1 else ()
            visit.visited.flags.writeable = False
            marketing = request.offer.marketing_u
            now = Week(request.week, board, e, marketing, visit.visited, visit.probability)
            kept = FastMemory(
                world,
                request.episode_key,
                (*past[-depth:], now),
                None if lazy else value[e],
                error[e],
                visit.error,
            )
            results.append((kept, lines[e]))
        return results

    def _visits(
        self, world: World, packed: Packed, requests: Sequence[Request], lazy: bool
    ) -> list[_Visits]:
        n = world.n_customers
        found: dict[int, _Visits] = {}
        together: dict[int, FastMemory] = {}  # visits from last week's rows, in one call
        for e, request in enumerate(requests):
            if request.week == 1:
                found[e] = _Visits(
                    np.ones(n, dtype=bool), None if lazy else np.ones(n), np.zeros(n)
                )
            elif lazy and isinstance(request.memory, FastMemory):
                together[e] = request.memory
            else:
                found[e] = self._visits_from_values(world, request)
        if together:
            chosen = [requests[e] for e in together]
            some = self._visits_from_rows(world, packed, chosen, list(together.values()))
            found |= dict(zip(together, some, strict=True))
        return [found[e] for e in range(len(requests))]

    def _visits_from_rows(
        self,
        world: World,
        packed: Packed,
        requests: Sequence[Request],
        memories: Sequence[FastMemory],
    ) -> list[_Visits]:
        """Visits from last week's rows, each summed only as far as its draw asks."""
        keys, weeks = _addresses(requests)
        n = world.n_customers
        board = join_boards([memory.past[-1].on_board() for memory in memories])
        before = np.stack([memory.visited for memory in memories])
        marketing = np.stack([request.offer.marketing_u for request in requests])
        came = np.empty((len(requests), n), dtype=bool)
        largest, stored = int(world.category_sizes.max()), packed.single.heads.size == 0

        def work(first: int, last: int) -> Ints:
            counts = np.zeros(5, dtype=np.int64)
            visits.visits(
                packed.single,
                packed.double,
                packed.feature_coefficients,
                board,
                keys,
                weeks,
                float(world.gamma_store_0),
                float(world.gamma_store_1),
                float(world.gamma_store_2),
                marketing,
                before,
                self._scale,
                first,
                last,
                np.empty(visits.BLOCK, dtype=np.float32),
                None if stored else np.empty((2, max(largest, visits.BLOCK)), dtype=np.float32),
                np.empty(largest),
                came,
                counts,
            )
            return counts

        for counts in self._share(work, n):
            self.counts += counts
        return [_Visits(row, None, np.zeros(n)) for row in came]

    def _visits_from_values(self, world: World, request: Request) -> _Visits:
        """Visits from known store values; also the probabilities and bounds on their error."""
        memory, offer, n = request.memory, request.offer, world.n_customers
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
        draw = _visit_draw(request, np.arange(n))
        visited = draw < probability
        unsettled = np.flatnonzero(np.abs(draw - probability) < error)
        if unsettled.size and isinstance(memory, FastMemory):
            probability[unsettled] = memory.next_probability(offer, unsettled)
            visited[unsettled] = draw[unsettled] < probability[unsettled]
            self.counts[4] += unsettled.size
        return _Visits(visited, probability, error)

    def _trips(
        self,
        world: World,
        packed: Packed,
        board: Board,
        requests: Sequence[Request],
        visited: Sequence[NDArray[np.bool_]],
        lazy: bool,
    ) -> tuple[list[Purchases], Floats, Floats]:
        """Decisions of those in the store; store values (E, U) and error bounds in full mode."""
        keys, weeks = _addresses(requests)
        episode_c, customer_c = np.nonzero(np.stack(visited))
        n = customer_c.size
        ends = np.empty(n, dtype=np.int64)
        value_c, error_c = np.zeros((2, n))
        largest, stored = int(world.category_sizes.max()), packed.single.heads.size == 0

        def work(first: int, last: int) -> tuple[NDArray[np.int64], Ints]:
            counts = np.zeros(5, dtype=np.int64)
            scratch, part = self._scratch, slice(first, last)
            if n > _CHUNK:  # several at a time
                scratch = _Scratch((last - first) * world.n_categories)
            elif scratch.lines.shape[1] < n * world.n_categories:
                scratch = self._scratch = _Scratch(n * world.n_categories)
            longest = world.n_products if not lazy else largest
            decisions.trips(
                packed.single,
                packed.double,
                packed.feature_coefficients,
                board,
                packed.category_hash,
                packed.gamma_cate_0,
                packed.gamma_cate_1,
                keys,
                weeks,
                episode_c[part],
                customer_c[part],
                self._scale,
                np.empty(longest, dtype=np.float32),
                None if stored else np.empty((2, longest), dtype=np.float32),
                np.empty(largest),
                np.empty(world.n_categories, dtype=np.uint32),
                np.empty(world.n_categories, dtype=np.int64),
                scratch.lines,
                scratch.rates,
                ends[part],
                None if lazy else value_c[part],
                None if lazy else error_c[part],
                counts,
            )
            lines = scratch.lines[:, : int(ends[last - 1])].copy()
            large = np.flatnonzero(lines[3] == 0)  # rates of 30 and more
            if large.size:
                rate, draw = scratch.rates[:, large]
                lines[3, large] = 1 + rng.poisson_quantile(draw, rate)
            return counts, lines

        parts, before = [], 0
        for (counts, lines), start in zip(self._share(work, n), range(0, n, _CHUNK), strict=True):
            self.counts += counts
            ends[start : start + _CHUNK] += before
            before += lines.shape[1]
            parts.append(lines)
        lines = np.concatenate(parts, axis=1) if parts else np.zeros((4, 0), dtype=np.int64)
        # Trips come episode by episode: where each episode's lines end.
        trips = np.searchsorted(episode_c, np.arange(len(requests)), side="right")
        cuts = np.concatenate([[0], ends])[trips]
        shape = (len(requests), world.n_customers)
        value, error = np.zeros(shape), np.zeros(shape)
        if not lazy:
            value[episode_c, customer_c], error[episode_c, customer_c] = value_c, error_c
        purchases = [Purchases(*part) for part in np.split(lines, cuts[:-1], axis=1)]
        return purchases, value, error

    def _share(self, work: Callable[[int, int], Result], n: int) -> list[Result]:
        """Do ``work(first, last)`` for chunks of 0..n, at the same time where there are several."""
        pieces = [(first, min(first + _CHUNK, n)) for first in range(0, n, _CHUNK)]
        if len(pieces) < 2 or self._threads < 2:
            return [work(*piece) for piece in pieces]
        with ThreadPoolExecutor(self._threads, "retail_gym") as pool:
            return list(pool.map(lambda piece: work(*piece), pieces))


class _Visits(NamedTuple):
    """Who came, and where they are known the probabilities and bounds on their error."""

    visited: NDArray[np.bool_]
    probability: Floats | None
    error: Floats


class _Scratch:
    """Memory that the lines of a week are written to."""

    def __init__(self, capacity: int) -> None:
        self.lines = np.empty((4, capacity), dtype=np.int64)
        self.rates = np.empty((2, capacity))


def _groups(request: Request) -> tuple[int, int]:
    """Price groups of this week and of last; boards of unequal ones do not go together."""
    memory, now = request.memory, request.offer.cap_g.size
    last = memory.past[-1] if isinstance(memory, FastMemory) and request.week > 1 else None
    return now, now if last is None else last.board.cap.shape[1]


def _addresses(requests: Sequence[Request]) -> tuple[NDArray[np.uint64], Ints]:
    keys = np.array([request.episode_key for request in requests], dtype=np.uint64)
    return keys, np.array([request.week for request in requests], dtype=np.int64)


def _visit_draw(request: Request, customers: Ints) -> Floats:
    word = customer_words(request.episode_key, request.week, rng.Stage.VISIT, customers)
    return rng.uniform(word)


announce()
