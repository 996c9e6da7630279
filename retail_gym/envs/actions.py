"""Actions: what an agent sets, as a Gymnasium space and as promotion plans."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from retail_gym.world.store_config import PromotionPlan

Floats32 = NDArray[np.float32]

__all__ = ["MAX_DEPTH", "MAX_FREQUENCY", "Decision", "DepthFrequency"]

#: Design limits of the paper's scenarios (section 4.3).
MAX_DEPTH: Final = 0.5
MAX_FREQUENCY: Final = 0.6
_TOLERANCE: Final = 1e-6


@dataclass(frozen=True)
class Decision:
    """An action understood: one plan per segment, and its numbers for the observation."""

    plans: list[PromotionPlan]
    depth: NDArray[np.float64]  # S
    frequency: NDArray[np.float64]  # S


class DepthFrequency:
    """Depth and frequency of each segment, in natural units.

    ``[depth_1, frequency_1, ..., depth_S, frequency_S]``, float32, depth in [0, 0.5] and
    frequency in [0, 0.6]. Segments are ordered from the most price-sensitive.

    Args:
        segments: S.
    """

    def __init__(self, segments: int = 1) -> None:
        self.segments = segments
        high = np.tile(np.array([MAX_DEPTH, MAX_FREQUENCY], dtype=np.float32), segments)
        self.space: spaces.Box[np.float32] = spaces.Box(np.zeros_like(high), high, dtype=np.float32)

    def decode(self, action: Any) -> Decision:
        """Turn an action into plans.

        Args:
            action: array of the space; within 1e-6 of its bounds it is clipped. Or a
                :class:`PromotionPlan` (or a list of one per segment), for processes that two
                numbers cannot express.

        Raises:
            ValueError: for NaN, a wrong shape or a value out of bounds, saying what is allowed.
        """
        if isinstance(action, PromotionPlan):
            action = [action] * self.segments
        if isinstance(action, list | tuple) and any(isinstance(a, PromotionPlan) for a in action):
            if len(action) != self.segments or not all(
                isinstance(a, PromotionPlan) for a in action
            ):
                raise ValueError(f"give one PromotionPlan per segment ({self.segments})")
            return Decision(
                list(action),
                np.array([plan.mean_depth for plan in action]),
                np.array([plan.frequency for plan in action]),
            )
        return self.decisions(self.check(action)[None])[0]

    def decisions(self, rows: NDArray[Any]) -> list[Decision]:
        """Turn rows of numbers within the bounds, shape (N, 2 S), into plans."""
        # Float32 numbers as their users mean them: 0.6, not 0.60000002.
        values = np.round(rows.astype(np.float64), 6)
        return [
            Decision(
                [PromotionPlan.high_low(d, f) for d, f in zip(row[0::2], row[1::2], strict=True)],
                value[0::2],
                value[1::2],
            )
            for value, row in zip(values, values.tolist(), strict=True)
        ]

    def check(self, action: Any) -> Floats32:
        """Return the action as float32 within the bounds, or refuse it."""
        low, high = self.space.low, self.space.high
        try:
            value = np.asarray(action, dtype=np.float32)
        except (TypeError, ValueError):
            value = None
        if (
            value is not None
            and value.shape == low.shape
            and ((value >= low) & (value <= high)).all()
        ):
            return value
        allowed = (
            f"expected shape {low.shape} float32, depth in [0, {MAX_DEPTH}] and frequency in "
            f"[0, {MAX_FREQUENCY}] for each of {self.segments} segments"
        )
        if value is None:
            raise ValueError(f"action {action!r} is not an array of numbers: {allowed}")
        if value.shape != low.shape:
            raise ValueError(f"action has shape {value.shape}: {allowed}")
        if not np.isfinite(value).all():
            raise ValueError(f"action {value} holds NaN or infinite values: {allowed}")
        if (value < low - _TOLERANCE).any() or (value > high + _TOLERANCE).any():
            raise ValueError(f"action {value} is out of bounds: {allowed}")
        return np.clip(value, low, high)
