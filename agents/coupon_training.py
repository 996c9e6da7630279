"""What the coupon bandits share: the offline log, online weeks, and the card of a trained agent."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

import retail_gym
from retail_gym.config import atomic_write, check_int
from retail_gym.envs.coupon_views import CouponLog, UniformCoupons, play
from retail_gym.envs.coupons import RetailCouponEnv

__all__ = ["TRAINING_STORES", "coupon_env", "log_uniform", "samples_of", "write_card"]

#: World seeds of the stores that agents are trained in; those below 10,000 stay for tests.
TRAINING_STORES: Final = range(10_000, 11_000)


def coupon_env(task: str, **options: Any) -> RetailCouponEnv:
    """The joint environment of a coupon task, over the training stores unless told otherwise.

    Raises:
        ValueError: if the id is no coupon task.
    """
    if "world_seed" not in options:
        options.setdefault("world_seeds", TRAINING_STORES)
    env = gym.make(task, **options).unwrapped
    if not isinstance(env, RetailCouponEnv):
        raise ValueError(f"{task} is no coupon task: these agents need one arm per customer")
    return env


def log_uniform(env: RetailCouponEnv, steps: int, seed: int) -> list[CouponLog]:
    """Episodes under uniform random coupons until ``steps`` customer-weeks are logged."""
    steps = check_int("steps", steps, 1)
    policy, logs, done = UniformCoupons(), list[CouponLog](), 0
    sequence = np.random.SeedSequence(seed)
    while done < steps:
        episode_seed = int(sequence.spawn(1)[0].generate_state(1)[0])
        logs.append(play(env, policy, episode_seed))
        done += logs[-1].arms.size
    return logs


def samples_of(
    logs: list[CouponLog],
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float64]]:
    """Contexts (N, 9), arms (N,) and rewards (N,) of all decisions in some logs."""
    parts = [log.samples for log in logs]
    contexts, arms, rewards = (np.concatenate(column) for column in zip(*parts, strict=True))
    return contexts, arms, rewards


def online(
    env: RetailCouponEnv,
    policy: Any,
    episodes: int,
    seed: int,
    update: Callable[..., None],
) -> None:
    """Play episodes with the policy's own arms, learning after every week."""
    for k in range(check_int("online_episodes", episodes, 0)):
        play(env, policy, seed + 1_000_003 * (k + 1), observe=update)


def write_card(directory: Path, **facts: Any) -> None:
    """Write ``card.json``: what was trained, on what, with which versions."""
    versions = {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "retail_gym": retail_gym.__version__,
    }
    with atomic_write(Path(directory) / "card.json") as stream:
        stream.write(json.dumps({**facts, "versions": versions}, indent=2).encode())
