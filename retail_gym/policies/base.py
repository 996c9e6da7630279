"""What a policy is: something that decides the week's depth and frequency."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from retail_gym.world.store_config import PromotionPlan

if TYPE_CHECKING:
    from retail_gym.envs.pricing import RetailPricingEnv

__all__ = ["Action", "Policy", "bind_policy", "is_open_loop", "reset_policy"]

#: depth and frequency of each segment in natural units, or a plan the numbers cannot express.
Action = NDArray[np.float32] | PromotionPlan


@runtime_checkable
class Policy(Protocol):
    """``policy(observation, week) -> action`` with week = 1..weeks.

    An action of two numbers serves every segment. A policy with a ``reset(seed)`` method is
    reset at the start of every episode; its own random numbers must come from that seed. A
    policy with a ``bind(env)`` method is handed the running environment after that: it may look
    at more than a retailer sees, so it is a reference to compare with and no competitor. A policy
    that says ``open_loop = True`` never looks at the observation: what it does is known beforehand.
    """

    def __call__(self, observation: NDArray[np.float32], week: int) -> Any: ...


def reset_policy(policy: Policy, seed: int) -> None:
    """Reset a policy that can be reset."""
    reset = getattr(policy, "reset", None)
    if callable(reset):
        reset(seed)


def is_open_loop(policy: Policy) -> bool:
    """Whether a policy says that it never looks at the observation."""
    return bool(getattr(policy, "open_loop", False)) and not hasattr(policy, "bind")


def bind_policy(policy: Policy, env: RetailPricingEnv) -> None:
    """Hand the running environment to a policy that asks for it."""
    bind = getattr(policy, "bind", None)
    if callable(bind):
        bind(env)
