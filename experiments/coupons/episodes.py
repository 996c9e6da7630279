"""One evaluated episode, and the figures of the table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retail_gym.envs.coupons import COUPON_LEVELS, SEGMENTS, RetailCouponEnv, customer_sums

Policy = Callable[[Any, int], Any]

__all__ = ["SegmentRule", "run"]


class SegmentRule:
    """50 % to the price-sensitive half, 0 % to the other: knows the true coefficients."""

    def __init__(self, env: RetailCouponEnv) -> None:
        self.arm_u = np.zeros(env.world.n_customers, dtype=np.int64)
        self.arm_u[env.segments[0]] = COUPON_LEVELS.size - 1

    def __call__(self, observation: NDArray[Any], week: int) -> NDArray[np.int64]:
        """Arms, shape (U,)."""
        return self.arm_u


def run(
    env: RetailCouponEnv,
    policy: Policy,
    observation: NDArray[np.float32],
    seed: int,
    units_before: float = 0.0,
) -> tuple[dict[str, float], NDArray[np.float64]]:
    """Play the rest of an episode.

    Args:
        env: at the start of the weeks to evaluate.
        policy: its ``reset(seed)`` is called where it has one.
        observation: what the policy sees first.
        seed: of the policy.
        units_before: units of the week before, which AgentSim counts instead of the last.

    Returns:
        The figures, and the revenue of each customer [$], shape (U,).

    Figures: ``revenue`` [$]; ``demand`` units; ``demand_lagged`` as AgentSim counts (from the
    week before to the last but one); ``retention`` share of customers with a purchase in the
    last 3 weeks; ``penetration`` categories bought per buyer and week; ``coupon`` mean offered;
    ``visit_rate``; and revenue and coupon of each half of the customers.
    """
    if hasattr(policy, "reset"):
        policy.reset(seed)
    weeks, done = [], False
    spent_u = np.zeros(env.world.n_customers)
    arms = []
    while not done:
        arm_u = np.asarray(policy(observation, len(weeks) + 1))
        observation, _, _, done, info = env.step(arm_u)
        outcome = env.outcome
        assert outcome is not None
        spent_u += customer_sums(outcome, outcome.line_revenue)
        arms.append(COUPON_LEVELS[arm_u])
        weeks.append({**info, "retention": float(outcome.active(3).mean())})
    units = np.array([week["units"] for week in weeks])
    bought = [week["category_penetration"] for week in weeks if week["units"]]
    coupon_u = np.mean(arms, axis=0)
    figures = {
        "revenue": float(spent_u.sum()),
        "demand": float(units.sum()),
        "demand_lagged": float(units_before + units[:-1].sum()),
        "retention": weeks[-1]["retention"],
        "penetration": float(np.mean(bought)) if bought else 0.0,
        "coupon": float(coupon_u.mean()),
        "visit_rate": float(np.mean([week["visit_rate"] for week in weeks])),
    }
    for name, customers in zip(SEGMENTS, env.segments, strict=True):
        figures[f"revenue_{name}"] = float(spent_u[customers].sum())
        figures[f"coupon_{name}"] = float(coupon_u[customers].mean())
    return figures, spent_u
