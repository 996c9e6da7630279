"""Customers of coupon stores as environments for stable-baselines3.

Needs ``pip install "retail-gym[agents]"``; nothing else of the package imports this module::

    from stable_baselines3 import PPO
    from retail_gym.envs.sb3_coupons import make_customer_vec_env

    env = make_customer_vec_env(stores=4, seed=0, world_seeds=range(100))
    PPO("MlpPolicy", env, n_steps=32).learn(200_000)  # 400 customers share one network
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from retail_gym.config import check_int
from retail_gym.envs.coupon_views import joint_env
from retail_gym.envs.coupons import COUPON_LEVELS, RetailCouponEnv

try:
    from stable_baselines3.common.vec_env import VecEnv, VecMonitor
    from stable_baselines3.common.vec_env.base_vec_env import VecEnvStepReturn

    from retail_gym.envs.sb3 import StoreVecEnv
except ImportError as error:  # pragma: no cover (tested in a process without it)
    raise ImportError(
        'retail_gym.envs.sb3_coupons needs stable-baselines3: pip install "retail-gym[agents]"'
    ) from error

__all__ = ["CustomerVecEnv", "make_customer_vec_env"]


class CustomerVecEnv(StoreVecEnv):
    """The customers of some stores side by side: environment s U + u is customer u of store s.

    The end of an episode is a time limit: ``done`` with ``TimeLimit.truncated`` True and the
    last observation in ``terminal_observation``, so that algorithms bootstrap there.

    Args:
        stores: joint environments, wrapped or not, with equally many customers; step them through
            this one only.

    Raises:
        ValueError: for no stores or stores with different numbers of customers.
    """

    def __init__(self, stores: Sequence[gym.Env[Any, Any]]) -> None:
        self.stores = tuple(joint_env(env) for env in stores)
        sizes = {env.world.n_customers for env in self.stores}
        if len(sizes) != 1:
            raise ValueError(f"the stores must have equally many customers, got {sorted(sizes)}")
        self.customers = sizes.pop()
        joint = self.stores[0].observation_space
        space = spaces.Box(joint.low[0], joint.high[0], dtype=np.float32)
        self._pending: NDArray[Any] | None = None
        n = len(self.stores) * self.customers
        super().__init__(n, space, spaces.Discrete(COUPON_LEVELS.size))

    def reset(self) -> NDArray[np.float32]:
        """Start new episodes; store k is seeded with the seed of its first customer."""
        rows = []
        for k, env in enumerate(self.stores):
            observation, _ = env.reset(seed=self._seeds[k * self.customers])
            rows.append(observation)
        self.reset_infos = [{} for _ in range(self.num_envs)]
        self._reset_seeds()
        self._reset_options()  # the stores know none
        return np.concatenate(rows)

    def step_async(self, actions: NDArray[Any]) -> None:
        """Keep the arms for :meth:`step_wait`."""
        self._pending = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Run one week in every store.

        Returns:
            Observations (of the new episode where one ended), rewards of the customers
            (float32), dones and infos.
        """
        if self._pending is None:
            raise RuntimeError("call step_async() before step_wait()")
        arms, self._pending = np.asarray(self._pending), None
        rows, rewards, dones, infos = [], [], [], []
        for env, arm_u in zip(self.stores, arms.reshape(len(self.stores), -1), strict=True):
            observation, _, _, done, _ = env.step(arm_u)
            rewards.append(env.customer_rewards)
            own: list[dict[str, Any]] = [
                {"TimeLimit.truncated": done} for _ in range(self.customers)
            ]
            if done:
                for info, last in zip(own, observation, strict=True):
                    info["terminal_observation"] = last
                observation, _ = env.reset()
            rows.append(observation)
            dones.append(np.full(self.customers, done))
            infos += own
        reward = np.concatenate(rewards).astype(np.float32)
        return np.concatenate(rows), reward, np.concatenate(dones), infos

    def close(self) -> None:
        """Nothing to release."""

    def store(self, row: int) -> RetailCouponEnv:
        """The joint environment of a customer."""
        return self.stores[row // self.customers]


def make_customer_vec_env(
    stores: int = 4, seed: int | None = None, monitor: bool = True, **kwargs: Any
) -> VecEnv:
    """Make the customers of some stores for stable-baselines3.

    Args:
        stores: how many stores side by side.
        seed: of the next reset: customer u of store s has seed + s U + u, and a store runs on
            the seed of its first customer. An algorithm that is given a seed sets it again.
        monitor: wrap in ``VecMonitor``, which reports ``rollout/ep_rew_mean``.
        **kwargs: arguments of :class:`RetailCouponEnv`: ``preset``, ``reward``,
            ``world_seeds``, ``burn_in``, ...

    Returns:
        The environments, in a ``VecMonitor`` unless told otherwise.
    """
    made = [RetailCouponEnv(**kwargs) for _ in range(check_int("stores", stores, 1))]
    env: VecEnv = CustomerVecEnv(made)
    if seed is not None:
        env.seed(seed)
        env.action_space.seed(seed)
    return VecMonitor(env) if monitor else env
