"""Everyday low price, and a store's own promotion process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from retail_gym.config import check_finite
from retail_gym.world.store_config import PromotionPlan

__all__ = ["EverydayLow", "Planned"]


@dataclass(frozen=True)
class EverydayLow:
    """Every product at the same reduction, every week: no promotions, low prices.

    It lies outside the agent's action box (which promotes at most 60 % of the products).

    Args:
        depth: reduction of every base price, in [0, 0.5].
    """

    open_loop: ClassVar = True

    depth: float

    def __post_init__(self) -> None:
        check_finite("depth", self.depth, 0.0, 0.5)

    def __call__(self, observation: NDArray[np.float32], week: int) -> PromotionPlan:
        return PromotionPlan(1.0, 1.0, self.depth) if self.depth else PromotionPlan.none()


@dataclass(frozen=True)
class Planned:
    """A fixed promotion process, e.g. that of the paper's Table 1 (``world.promotion``)."""

    open_loop: ClassVar = True

    plan: PromotionPlan

    def __call__(self, observation: NDArray[np.float32], week: int) -> PromotionPlan:
        return self.plan
