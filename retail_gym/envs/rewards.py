"""Rewards: one number a week from the store's records, in units of R0 where it is money.

R0 is the expected revenue of one week at base prices if everybody visits, so weekly rewards are
of order one whatever the store. Under ``retention`` the largest discount is always best: it
is a diagnostic, not a task.

A reward with ``by_segment(outcome, scale)`` can also be told apart by segment of customers: the
parts, shape (S,), add up to the reward.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from retail_gym.config import check_choice, check_finite
from retail_gym.outcome import WeekOutcome

Floats = NDArray[np.float64]

__all__ = [
    "REWARDS",
    "DiscountSpend",
    "Margin",
    "Retention",
    "Revenue",
    "Reward",
    "SegmentReward",
    "WeightedSum",
    "as_reward",
    "as_segment_reward",
    "balanced",
]


class Reward(Protocol):
    """``reward(outcome, scale) -> float``; ``scale`` is R0 [$ per week]."""

    def __call__(self, outcome: WeekOutcome, scale: float) -> float: ...


class SegmentReward(Reward, Protocol):
    """A reward that is a sum of parts, one per segment of customers."""

    def by_segment(self, outcome: WeekOutcome, scale: float) -> Floats:
        """Each segment's part, shape (S,)."""
        ...


@dataclass(frozen=True)
class Revenue:
    """The week's revenue / R0."""

    def __call__(self, outcome: WeekOutcome, scale: float) -> float:
        return outcome.revenue / scale

    def by_segment(self, outcome: WeekOutcome, scale: float) -> Floats:
        return outcome.lines_by_segment(outcome.line_revenue) / scale


@dataclass(frozen=True)
class Margin:
    """The week's sum of quantity x (price paid - 0.70 base price) / R0; may be negative."""

    def __call__(self, outcome: WeekOutcome, scale: float) -> float:
        return outcome.margin / scale

    def by_segment(self, outcome: WeekOutcome, scale: float) -> Floats:
        return outcome.lines_by_segment(outcome.line_margin) / scale


@dataclass(frozen=True)
class Retention:
    """Share of customers with a purchase in the last min(t, 4) weeks."""

    def __call__(self, outcome: WeekOutcome, scale: float) -> float:
        return outcome.retention

    def by_segment(self, outcome: WeekOutcome, scale: float) -> Floats:
        # Active customers of the segment / customers of the store: the segment's own share,
        # weighted by its size, so that the parts add up to the whole.
        return outcome.customers_by_segment(outcome.active()) / outcome.n_customers


@dataclass(frozen=True)
class DiscountSpend:
    """The week's sum of quantity x (base price - price paid) / R0: a cost, to be weighed down."""

    def __call__(self, outcome: WeekOutcome, scale: float) -> float:
        return outcome.discount_spend / scale

    def by_segment(self, outcome: WeekOutcome, scale: float) -> Floats:
        return outcome.lines_by_segment(outcome.line_discount_spend) / scale


@dataclass(frozen=True)
class WeightedSum:
    """A sum of rewards; a negative weight makes a penalty.

    Args:
        terms: (weight, reward) pairs, e.g. ``((1.0, Margin()), (-0.2, DiscountSpend()))``.
    """

    terms: tuple[tuple[float, Reward], ...]

    def __post_init__(self) -> None:
        if not self.terms:
            raise ValueError("a weighted sum needs at least one (weight, reward) pair")
        for weight, reward in self.terms:
            check_finite("weight", weight)
            if not callable(reward):
                raise ValueError(f"not a reward: {reward!r}")

    def __call__(self, outcome: WeekOutcome, scale: float) -> float:
        return sum(weight * reward(outcome, scale) for weight, reward in self.terms)

    def by_segment(self, outcome: WeekOutcome, scale: float) -> Floats:
        parts = [
            weight * as_segment_reward(reward).by_segment(outcome, scale)
            for weight, reward in self.terms
        ]
        return np.asarray(np.sum(parts, axis=0))


def balanced() -> WeightedSum:
    """Margin plus 0.1 retention."""
    return WeightedSum(((1.0, Margin()), (0.1, Retention())))


REWARDS: Final[dict[str, Callable[[], Reward]]] = {
    "revenue": Revenue,
    "margin": Margin,
    "retention": Retention,
    "balanced": balanced,
}


def as_reward(reward: Any) -> Reward:
    """A reward by short name, or the object itself.

    Raises:
        ValueError: for an unknown name, with the list.
    """
    if isinstance(reward, str):
        check_choice("reward", reward, REWARDS)
        return REWARDS[reward]()
    if not callable(reward):
        raise ValueError(
            f"reward must be one of {', '.join(REWARDS)} or a callable(outcome, scale), "
            f"got {reward!r}"
        )
    chosen: Reward = reward
    return chosen


def as_segment_reward(reward: Any) -> SegmentReward:
    """A reward, by short name or the object, that can be told apart by segment.

    Raises:
        ValueError: for an unknown name, or a reward without ``by_segment`` (in a weighted sum:
            a term without it), naming those that have it.
    """
    chosen = as_reward(reward)
    if isinstance(chosen, WeightedSum):
        for _, term in chosen.terms:
            as_segment_reward(term)
    if not callable(getattr(chosen, "by_segment", None)):
        names = [name for name, make in REWARDS.items() if hasattr(make(), "by_segment")]
        raise ValueError(
            f"the reward {chosen!r} cannot be told apart by segment: choose from "
            f"{', '.join(names)}, a WeightedSum of such rewards, or give it a method "
            "by_segment(outcome, scale) that returns one part per segment"
        )
    parted: SegmentReward = chosen  # type: ignore[assignment]
    return parted
