"""Observations: what an agent sees, value and space together."""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from retail_gym.envs.actions import Decision
from retail_gym.outcome import WeekOutcome
from retail_gym.world.world import World

Floats32 = NDArray[np.float32]

__all__ = ["Observation", "SegmentAggregates"]


class Observation(Protocol):
    """Owns the space, the names and the values of what the agent sees."""

    space: spaces.Box[np.float32]
    names: list[str]

    def initial(self) -> Floats32:
        """Week 0, before anything is sold."""
        ...

    def value(self, outcome: WeekOutcome, decision: Decision, elapsed: float) -> Floats32:
        """After a week; ``elapsed`` is week / horizon."""
        ...


#: name, upper bound (J: number of categories, N: customers of the segment), value in week 0.
_FIELDS: Final[tuple[tuple[str, str | float, float], ...]] = (
    ("depth", 1.0, 0.0),
    ("frequency", 1.0, 0.0),
    ("visit_share", 1.0, 1.0),
    ("active_share", 1.0, 1.0),
    ("units", "1000 N", 0.0),
    ("revenue", 10.0, 0.0),
    ("realised_discount", 1.0, 0.0),
    ("effective_discount", 1.0, 0.0),
    ("categories_per_buyer", "J", 0.0),
)


class SegmentAggregates:
    """Aggregate figures of last week per segment, from transactions and door counts only.

    ========================  ==================  ==================================================
    per segment               bounds              meaning, unit
    ========================  ==================  ==================================================
    depth                     [0, 1]              last mean depth set
    frequency                 [0, 1]              last share of products promoted
    visit_share               [0, 1]              customers who visited / customers
    active_share              [0, 1]              customers with a purchase in the last 4 weeks
    units                     [0, 1000 N]         units sold
    revenue                   [0, 10]             the segment's revenue / R0
    realised_discount         [0, 1]              mean over lines of 1 - price paid / base price
    effective_discount        [0, 1]              mean discount drawn, before the floor
    categories_per_buyer      [0, J]              categories bought / customers who bought
    ========================  ==================  ==================================================

    then ``elapsed`` = week / horizon in [0, 1]. N: customers in the segment; J: categories.
    Names are ``segment_1.depth`` and so on (``depth`` when there is one segment). Values beyond
    a bound are clipped to it.

    Args:
        world: the store.
        segments: customer numbers of each segment.
    """

    def __init__(self, world: World, segments: list[NDArray[np.int64]]) -> None:
        self._size = np.array([len(customers) for customers in segments], dtype=np.float64)
        self._scale = world.reward_scale
        n = len(segments)
        prefixes = [""] if n == 1 else [f"segment_{s + 1}." for s in range(n)]
        self.names = [p + name for p in prefixes for name, _, _ in _FIELDS] + ["elapsed"]
        bound = {"J": float(world.n_categories)}
        high = [
            1000.0 * size if upper == "1000 N" else bound.get(str(upper), upper)
            for size in self._size
            for _, upper, _ in _FIELDS
        ]
        self._start = np.array([x for _ in segments for _, _, x in _FIELDS] + [0.0])
        top = np.array([*high, 1.0], dtype=np.float32)
        self.space: spaces.Box[np.float32] = spaces.Box(np.zeros_like(top), top, dtype=np.float32)

    def initial(self) -> Floats32:
        """Week 0: nothing sold, no discounts, visit and active share 1."""
        return self._start.astype(np.float32)

    def value(self, outcome: WeekOutcome, decision: Decision, elapsed: float) -> Floats32:
        """Figures of the week, shape (9 S + 1,)."""
        if self._size.size == 1:
            values = np.array([*self._of_everybody(outcome, decision), elapsed], dtype=np.float32)
        else:
            table = self._by_segment(outcome, decision)
            values = np.append(table.reshape(-1), elapsed).astype(np.float32)
        np.maximum(values, self.space.low, out=values)
        return np.minimum(values, self.space.high, out=values)

    def _of_everybody(self, outcome: WeekOutcome, decision: Decision) -> tuple[float, ...]:
        """The figures where there is one segment: those of the week."""
        return (
            decision.depth[0],
            decision.frequency[0],
            outcome.visit_rate,
            outcome.retention,
            outcome.units,
            outcome.revenue / self._scale,
            outcome.realised_discount,
            outcome.effective_discount,
            outcome.category_penetration,
        )

    def _by_segment(self, outcome: WeekOutcome, decision: Decision) -> NDArray[np.float64]:
        """The figures of each segment, shape (S, 9)."""
        of_lines, of_customers = outcome.lines_by_segment, outcome.customers_by_segment
        n_lines = of_lines(np.ones(outcome.lines.category.size))
        n_categories = of_lines(outcome.first_of_category)
        buyers = of_lines(outcome.first_lines)
        return np.stack(
            [
                decision.depth,
                decision.frequency,
                of_customers(outcome.visited) / self._size,
                of_customers(outcome.active()) / self._size,
                of_lines(outcome.lines.quantity),
                of_lines(outcome.line_revenue) / self._scale,
                of_lines(outcome.line_discount) / np.maximum(n_lines, 1.0),
                outcome.segment_discount,
                n_categories / np.maximum(buyers, 1.0),
            ],
            axis=1,
        )
