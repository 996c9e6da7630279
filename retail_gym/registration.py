"""Gymnasium ids. Registering twice changes nothing."""

from __future__ import annotations

from typing import Final

import gymnasium as gym

__all__ = ["IDS", "register_envs"]

IDS: Final[dict[str, str]] = {"RetailSynth-v0": "retail_gym.envs.pricing:RetailPricingEnv"}


def register_envs() -> None:
    """Make the ids known to ``gymnasium.make``."""
    for env_id, entry_point in IDS.items():
        if env_id not in gym.registry:
            gym.register(id=env_id, entry_point=entry_point)
