"""Rewards: one number a week from the store's records, in units of R0 where it is money.

R0 is the expected revenue of one week at base prices if everybody visits, so weekly rewards are
of order one whatever the store. Under ``retention`` the largest discount is always best: it
is a diagnostic, not a task.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from retail_gym.config import check_choice, check_finite
from retail_gym.outcome import WeekOutcome

__all__ = [
    "REWARDS",
    "DiscountSpend",
    "Margin",
    "Retention",
    "Revenue",
    "Reward",
    "WeightedSum",
    "as_reward",
    "balanced",
]


class Reward(Protocol):
    """``reward(outcome, scale) -> float``; ``scale`` is R0 [$ per week]."""

    def __call__(self, outcome: WeekOutcome, scale: float) -> float: ...


@dataclass(frozen=True)
class Revenue:
    """The week's revenue / R0."""

    def __call__(self, outcome: WeekOutcome, scale: float) -> float:
        return outcome.revenue / scale


@dataclass(frozen=True)
class Margin:
    """The week's sum of quantity x (price paid - 0.70 base price) / R0; may be negative."""

    def __call__(self, outcome: WeekOutcome, scale: float) -> float:
        return outcome.margin / scale


@dataclass(frozen=True)
class Retention:
    """Share of customers with a purchase in the last min(t, 4) weeks."""

    def __call__(self, outcome: WeekOutcome, scale: float) -> float:
        return outcome.retention


@dataclass(frozen=True)
class DiscountSpend:
    """The week's sum of quantity x (base price - price paid) / R0: a cost, to be weighed down."""

    def __call__(self, outcome: WeekOutcome, scale: float) -> float:
        return outcome.discount_spend / scale


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
