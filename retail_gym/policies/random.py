"""Uniformly random depth and frequency every week: the zero of the normalised score."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from retail_gym.config import check_int

__all__ = ["UniformRandom"]


class UniformRandom:
    """Draws every segment's depth and frequency uniformly from the action box.

    Args:
        segments: number of segments.
    """

    open_loop: ClassVar = True

    def __init__(self, segments: int = 1) -> None:
        self.segments = check_int("segments", segments, 1)
        self.reset(0)

    def __repr__(self) -> str:
        return f"UniformRandom(segments={self.segments})"

    def reset(self, seed: int) -> None:
        """Start the episode's stream of actions."""
        # A stream apart from the environment's, which is seeded with the same number.
        self._rng = np.random.default_rng([seed, 0x9E3779B9])

    def __call__(self, observation: NDArray[np.float32], week: int) -> NDArray[np.float32]:
        high = np.tile(np.array([0.5, 0.6], dtype=np.float32), self.segments)
        return self._rng.random(high.size, dtype=np.float32) * high
