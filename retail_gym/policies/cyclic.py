"""Policies that follow a calendar: cycles, pulses and whole schedules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from retail_gym.config import check_int
from retail_gym.policies.high_low import HighLow
from retail_gym.policies.targeted import Targeted

__all__ = ["Cyclic", "Pulse", "Schedule"]


class Cyclic:
    """Goes through a list of (depth, frequency) pairs, one a week, over and over.

    Args:
        pairs: at least one pair, depth in [0, 0.5] and frequency in [0, 0.6].
    """

    open_loop: ClassVar = True

    def __init__(self, pairs: Sequence[tuple[float, float]]) -> None:
        self.steps = [HighLow(*pair) for pair in pairs]
        if not self.steps:
            raise ValueError("a cycle needs at least one (depth, frequency) pair")

    def __repr__(self) -> str:
        return f"Cyclic({[(step.depth, step.frequency) for step in self.steps]})"

    def __call__(self, observation: NDArray[np.float32], week: int) -> NDArray[np.float32]:
        return self.steps[(week - 1) % len(self.steps)](observation, week)


class Pulse(Cyclic):
    """A strong promotion every few weeks, a quiet level between.

    Args:
        every: weeks from one pulse to the next, >= 1; the first pulse is in week 1.
        depth: depth in a pulse, in [0, 0.5].
        frequency: frequency in a pulse, in [0, 0.6].
        quiet: (depth, frequency) in the other weeks.
    """

    def __init__(
        self,
        every: int = 4,
        depth: float = 0.40,
        frequency: float = 0.60,
        quiet: tuple[float, float] = (0.05, 0.60),
    ) -> None:
        rest = check_int("every", every, 1) - 1
        super().__init__([(depth, frequency), *[quiet] * rest])


class Schedule:
    """One action a week, written down beforehand; the last one stays.

    Args:
        actions: shape (T, 2 S), rows ``[depth_1, frequency_1, ...]``, depth in [0, 0.5] and
            frequency in [0, 0.6].
    """

    open_loop: ClassVar = True

    def __init__(self, actions: ArrayLike) -> None:
        rows = np.round(np.asarray(actions, dtype=np.float64), 6)  # float32 0.6 is 0.6
        if rows.ndim != 2 or not rows.size or rows.shape[1] % 2:
            raise ValueError(
                f"a schedule has one row a week of depths and frequencies, got shape {rows.shape}"
            )
        for row in rows:
            Targeted(list(zip(row[0::2].tolist(), row[1::2].tolist(), strict=True)))  # in bounds
        self.actions: NDArray[np.float32] = rows.astype(np.float32)

    def __repr__(self) -> str:
        return f"Schedule({np.round(self.actions.astype(np.float64), 6).tolist()})"

    def __call__(self, observation: NDArray[np.float32], week: int) -> NDArray[np.float32]:
        row: NDArray[np.float32] = self.actions[min(week, len(self.actions)) - 1]
        return row.copy()
