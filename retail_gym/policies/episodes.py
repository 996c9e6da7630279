"""An episode under a policy, week by week."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from retail_gym.envs.pricing import RetailPricingEnv
from retail_gym.outcome import WeekOutcome
from retail_gym.policies.base import Policy, bind_policy, reset_policy
from retail_gym.world.store_config import PromotionPlan

__all__ = ["for_every_segment", "play"]


def for_every_segment(action: Any, segments: int) -> Any:
    """A policy's action, repeated for every segment where it is one pair of numbers."""
    plans = action if isinstance(action, list | tuple) else [action]
    if any(isinstance(plan, PromotionPlan) for plan in plans):
        return action
    values = np.asarray(action)
    return np.tile(values, segments) if values.shape == (2,) else values


def play(env: RetailPricingEnv, policy: Policy, seed: int) -> Iterator[tuple[WeekOutcome, float]]:
    """Run one episode; yields every week's outcome and reward.

    An action of two numbers is used for every segment.

    Raises:
        ValueError: if an action is not allowed; the message names the week.
    """
    observation, _ = env.reset(seed=seed)
    reset_policy(policy, seed)
    bind_policy(policy, env)
    for week in range(1, env.horizon + 1):
        action = for_every_segment(policy(observation, week), len(env.segments))
        try:
            observation, reward, _, _, _ = env.step(action)
        except ValueError as error:
            raise ValueError(f"policy {policy!r} in week {week}: {error}") from None
        assert env.outcome is not None
        yield env.outcome, float(reward)
