"""The vector environment for stable-baselines3, which has an interface of its own.

Needs ``pip install "retail-gym[agents]"``; nothing else of the package imports this module::

    from stable_baselines3 import PPO
    from retail_gym.envs.sb3 import make_sb3_vec_env

    env = make_sb3_vec_env("RetailSynth-v0", n_envs=8, seed=0, reward="margin")
    PPO("MlpPolicy", env).learn(100_000)
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from retail_gym.envs.discrete import DiscretePricingVector
from retail_gym.envs.pricing import RetailPricingEnv
from retail_gym.envs.vector import RetailPricingVectorEnv
from retail_gym.registration import TASKS
from retail_gym.world.store_config import StoreConfig
from retail_gym.world.world import World

try:
    from stable_baselines3.common.vec_env import VecEnv, VecMonitor
    from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvStepReturn
except ImportError as error:  # pragma: no cover (tested in a process without it)
    raise ImportError(
        'retail_gym.envs.sb3 needs stable-baselines3: pip install "retail-gym[agents]"'
    ) from error

__all__ = ["RetailVecEnv", "StoreVecEnv", "make_sb3_vec_env"]


class StoreVecEnv(VecEnv):
    """A ``VecEnv`` whose attributes and methods are those of the store behind each row."""

    def store(self, row: int) -> gym.Env[Any, Any]:
        """The environment of a row."""
        raise NotImplementedError

    def _chosen(self, indices: VecEnvIndices) -> list[gym.Env[Any, Any]]:
        return [self.store(row) for row in self._get_indices(indices)]

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """An attribute of each row's store."""
        return [env.get_wrapper_attr(attr_name) for env in self._chosen(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Set an attribute of each row's store."""
        for env in self._chosen(indices):
            setattr(env, attr_name, value)

    def env_method(
        self, method_name: str, *args: Any, indices: VecEnvIndices = None, **kwargs: Any
    ) -> list[Any]:
        """Call a method of each row's store (not ``step`` or ``reset``: use the vector)."""
        return [getattr(env, method_name)(*args, **kwargs) for env in self._chosen(indices)]

    def env_is_wrapped(self, wrapper_class: Any, indices: VecEnvIndices = None) -> list[bool]:
        """No store is wrapped."""
        return [False for _ in self._chosen(indices)]


class RetailVecEnv(StoreVecEnv):
    """A :class:`RetailPricingVectorEnv` as a ``VecEnv``, equal to a ``DummyVecEnv`` of singles.

    The end of an episode is a time limit: ``done`` with ``TimeLimit.truncated`` True and the
    last observation in ``terminal_observation``, so that algorithms bootstrap there. Infos hold
    Python numbers, one dict per environment. ``vector`` is the environment within.

    Args:
        vector: the environment, in ``SAME_STEP`` mode, or a grid of actions around it.
        rescale: take actions in [-1, 1], as learning algorithms need them, and hand natural
            units on; without it actions are natural units. A grid's actions are numbers anyway.

    Raises:
        ValueError: for another autoreset mode.
    """

    def __init__(
        self, vector: RetailPricingVectorEnv | DiscretePricingVector, rescale: bool = True
    ) -> None:
        inner: Any = vector.unwrapped
        if inner.autoreset_mode != AutoresetMode.SAME_STEP:
            raise ValueError(
                "stable-baselines3 needs autoreset_mode 'SameStep', "
                f"got {inner.autoreset_mode.value!r}"
            )
        self.vector: RetailPricingVectorEnv = inner
        self._numbered = vector if isinstance(vector, DiscretePricingVector) else None
        # Gymnasium's own arithmetic, so that the last bit is that of the wrapped single one.
        self._rescale: gym.wrappers.RescaleAction[Any, Any, Any] | None = None
        if rescale and self._numbered is None:
            self._rescale = gym.wrappers.RescaleAction(
                self.envs[0], np.float32(-1.0), np.float32(1.0)
            )
        space = self._rescale.action_space if self._rescale else vector.single_action_space
        self._pending: NDArray[Any] | None = None
        super().__init__(vector.num_envs, vector.single_observation_space, space)
        self.metadata = vector.metadata

    @property
    def envs(self) -> tuple[RetailPricingEnv, ...]:
        """The single environments; step them through the vector only."""
        return self.vector.envs

    def natural(self, action: NDArray[Any]) -> NDArray[Any]:
        """Actions of an agent in natural units: depth and frequency of each segment."""
        if self._numbered is not None:
            return self._numbered.actions(action)
        return self._rescale.action(action) if self._rescale else action

    def reset(self) -> NDArray[np.float32]:
        """Start new episodes; seeds given by :meth:`seed` are used once.

        Returns:
            The observations; infos are in ``reset_infos``.
        """
        observation, info = self.vector.reset(seed=self._seeds)
        self.reset_infos = _dicts(info, self.num_envs)
        self._reset_seeds()
        self._reset_options()  # the environment knows none
        return observation

    def step_async(self, actions: NDArray[Any]) -> None:
        """Keep the actions for :meth:`step_wait`."""
        self._pending = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Run one week in every environment.

        Returns:
            Observations (of the new episode where one ended), rewards (float32), dones and
            infos (of the week that was simulated).
        """
        if self._pending is None:
            raise RuntimeError("call step_async() before step_wait()")
        actions, self._pending = self.natural(np.asarray(self._pending)), None
        observation, reward, terminated, truncated, info = self.vector.step(actions)
        final_obs, final_info = info.pop("final_obs", None), info.pop("final_info", None)
        rows = _dicts(info, self.num_envs)
        lasts = _dicts(final_info, self.num_envs) if final_info else rows
        done = terminated | truncated
        for k in range(self.num_envs):
            if done[k]:
                self.reset_infos[k], rows[k] = rows[k], lasts[k]
                rows[k]["terminal_observation"] = final_obs[k]
            rows[k]["TimeLimit.truncated"] = bool(truncated[k] and not terminated[k])
        return observation, reward.astype(np.float32), done, rows

    def close(self) -> None:
        """End the threads."""
        self.vector.close()

    def get_images(self) -> Sequence[NDArray[np.uint8] | None]:
        """One picture per environment under ``rgb_array``, else None for each."""
        frames = self.vector.render() if self.render_mode == "rgb_array" else None
        return [None] * self.num_envs if frames is None else list(frames)

    def store(self, row: int) -> RetailPricingEnv:
        """The single environment of a row."""
        return self.envs[row]


def make_sb3_vec_env(
    env_id_or_preset: str | os.PathLike[str] | World | StoreConfig = "RetailSynth-v0",
    n_envs: int = 8,
    seed: int | None = None,
    monitor: bool = True,
    rescale: bool = True,
    wrapper_class: Callable[..., DiscretePricingVector] | None = None,
    wrapper_kwargs: Mapping[str, Any] | None = None,
    **kwargs: Any,
) -> VecEnv:
    """Make environments that stable-baselines3 trains on.

    Args:
        env_id_or_preset: a registered id with a native vector environment, such as
            ``"RetailSynthMargin-v0"`` (``preset`` is then an argument like others), or a preset,
            a path or a world.
        n_envs: how many.
        seed: environment k of the next reset is seeded with seed + k; None: as it comes. An
            algorithm that is given a seed sets it again.
        monitor: wrap in ``VecMonitor``, which reports ``rollout/ep_rew_mean``.
        rescale: actions in [-1, 1] instead of natural units (see ``RetailVecEnv.natural``).
        wrapper_class: :class:`~retail_gym.envs.DiscretePricingVector` for algorithms that choose
            among finitely many actions, such as DQN.
        wrapper_kwargs: its arguments.
        **kwargs: arguments of :class:`RetailPricingVectorEnv`: ``preset``, ``reward``,
            ``segments``, ``threads``, ...

    Returns:
        The environments, in a ``VecMonitor`` unless told otherwise.

    Raises:
        TypeError: where a preset is given twice, or for an unknown argument.
        ValueError: for an id without a native vector environment.
    """
    given = env_id_or_preset
    name = given.removeprefix("retail_gym:") if isinstance(given, str) else ""
    if name in TASKS:
        if TASKS[name].vector_entry_point is None:
            raise ValueError(f"{name} has no native vector environment, which this needs")
    elif "preset" in kwargs:
        raise TypeError(f"two presets: {given!r} and preset={kwargs['preset']!r}")
    else:
        name, kwargs["preset"] = "RetailSynth-v0", given
    vector: Any = gym.make_vec(
        name,
        num_envs=n_envs,
        vectorization_mode="vector_entry_point",
        autoreset_mode=AutoresetMode.SAME_STEP,
        **kwargs,
    )
    if wrapper_class is not None:
        vector = wrapper_class(vector, **(wrapper_kwargs or {}))
    env: VecEnv = RetailVecEnv(vector, rescale)
    if seed is not None:
        env.seed(seed)
        env.action_space.seed(seed)
    return VecMonitor(env) if monitor else env


def _dicts(info: dict[str, Any], n: int) -> list[dict[str, Any]]:
    """Columns of a vector as one dict of Python numbers per environment."""
    columns = {name: info[name].tolist() for name in info if not name.startswith("_")}
    return [{name: column[k] for name, column in columns.items()} for k in range(n)]
