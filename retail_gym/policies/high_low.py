"""High-low pricing with a fixed depth and frequency, and the paper's scenarios I-V."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from retail_gym.config import check_choice, check_finite

__all__ = ["SCENARIOS", "HighLow", "no_discount", "scenario"]

#: Table 4: depth and frequency of the five policies.
SCENARIOS: Final[dict[str, tuple[float, float]]] = {
    "I": (0.05, 0.60),
    "II": (0.10, 0.30),
    "III": (0.25, 0.60),
    "IV": (0.50, 0.30),
    "V": (0.40, 0.60),
}


@dataclass(frozen=True)
class HighLow:
    """The same depth and frequency every week.

    Args:
        depth: mean discount of a discounted product, in [0, 0.5].
        frequency: share of products discounted, in [0, 0.6].
    """

    open_loop: ClassVar = True

    depth: float
    frequency: float

    def __post_init__(self) -> None:
        check_finite("depth", self.depth, 0.0, 0.5)
        check_finite("frequency", self.frequency, 0.0, 0.6)

    def __call__(self, observation: NDArray[np.float32], week: int) -> NDArray[np.float32]:
        return np.array([self.depth, self.frequency], dtype=np.float32)


def scenario(name: str) -> HighLow:
    """One of the paper's policies, "I" to "V" (Table 4).

    Raises:
        ValueError: for another name.
    """
    check_choice("scenario", name, SCENARIOS)
    return HighLow(*SCENARIOS[name])


def no_discount() -> HighLow:
    """Base prices, always."""
    return HighLow(0.0, 0.0)
