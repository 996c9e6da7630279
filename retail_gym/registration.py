"""Gymnasium ids. Registering twice changes nothing."""

from __future__ import annotations

from typing import Final

import gymnasium as gym

__all__ = ["IDS", "register_envs"]

IDS: Final[dict[str, str]] = {
    "RetailSynth-v0": "retail_gym.envs.pricing:RetailPricingEnv",
    "RetailSynthCoupons-v0": "retail_gym.envs.coupons:RetailCouponEnv",
}
#: What ``gymnasium.make_vec`` makes of them by default.
VECTORS: Final[dict[str, str]] = {"RetailSynth-v0": "retail_gym.envs.vector:RetailPricingVectorEnv"}


def register_envs() -> None:
    """Make the ids known to ``gymnasium.make`` and ``gymnasium.make_vec``."""
    for env_id, entry_point in IDS.items():
        if env_id not in gym.registry:
            gym.register(id=env_id, entry_point=entry_point, vector_entry_point=VECTORS.get(env_id))
