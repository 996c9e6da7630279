"""Another policy for each segment of customers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from retail_gym.policies.high_low import HighLow

__all__ = ["Targeted"]


class Targeted:
    """A fixed depth and frequency per segment, the most price-sensitive segment first.

    Args:
        pairs: (depth, frequency) of each segment, depth in [0, 0.5], frequency in [0, 0.6].
    """

    open_loop: ClassVar = True

    def __init__(self, pairs: Sequence[tuple[float, float]]) -> None:
        self.segments = [HighLow(*pair) for pair in pairs]
        if not self.segments:
            raise ValueError("give one (depth, frequency) pair per segment")

    def __repr__(self) -> str:
        return f"Targeted({[(s.depth, s.frequency) for s in self.segments]})"

    def __call__(self, observation: NDArray[np.float32], week: int) -> NDArray[np.float32]:
        return np.concatenate([segment(observation, week) for segment in self.segments])
