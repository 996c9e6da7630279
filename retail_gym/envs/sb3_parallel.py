"""Segment managers for stable-baselines3: one policy that all of them share.

Needs ``pip install "retail-gym[agents]"``; nothing else of the package imports this module::

    from stable_baselines3 import PPO
    from retail_gym.envs.sb3_parallel import make_sb3_managers

    env = make_sb3_managers("scenario", n_envs=8, seed=0, segments=3, reward="margin")
    model = PPO("MlpPolicy", env, seed=0).learn(100_000)
    policy = env.unwrapped.as_policy(model)     # of the whole store, for retail_gym.evaluate
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

try:
    from stable_baselines3.common.vec_env import VecEnv, VecMonitor
    from stable_baselines3.common.vec_env.base_vec_env import VecEnvStepReturn
except ImportError as error:  # pragma: no cover (tested in a process without it)
    raise ImportError(
        'retail_gym.envs.sb3_parallel needs stable-baselines3: pip install "retail-gym[agents]"'
    ) from error

from retail_gym.config import check_choice
from retail_gym.envs.managers import REWARD_MODES, ManagerViews, WithRewardParts
from retail_gym.envs.observations import SegmentAggregates
from retail_gym.envs.pricing import RetailPricingEnv
from retail_gym.envs.rewards import Reward, as_reward, as_segment_reward
from retail_gym.envs.sb3 import RetailVecEnv, StoreVecEnv
from retail_gym.envs.vector import RetailPricingVectorEnv
from retail_gym.world.store_config import StoreConfig
from retail_gym.world.world import World

Floats32 = NDArray[np.float32]

__all__ = ["SegmentManagersVecEnv", "make_sb3_managers"]

#: Settings of an episode, which are not the store's.
_EPISODE: Final = ("horizon", "burn_in", "kernel", "render_mode")
#: Settings of the vector alone.
_VECTOR: Final = ("threads", "max_episode_steps")


class Predictor(Protocol):
    """What a trained model of stable-baselines3 can do."""

    def predict(self, observation: Any, *, deterministic: bool) -> tuple[NDArray[Any], Any]: ...


class SegmentManagersVecEnv(StoreVecEnv):
    """N stores of S segment managers as a ``VecEnv`` of N S rows with the same spaces.

    Row k S + s is agent ``segment_s`` of store k, equal, step for step, to the
    :class:`~retail_gym.envs.parallel.SegmentManagersEnv` of the same seed; rewards are float32.
    The end of an episode is a time limit, as in :class:`~retail_gym.envs.sb3.RetailVecEnv`:
    ``done`` for all agents of a store, ``TimeLimit.truncated`` True, and the agent's last
    observation in ``terminal_observation``. Attributes and methods of a row are its store's.

    Args:
        stores: the stores, whose observation ends in the reward's parts if ``own_reward``.
        own_reward: an agent's reward is its segment's part (see
            :class:`~retail_gym.envs.managers.WithRewardParts`), else the whole.
        observe: ``"own"`` or ``"all"``.
        identity: append S entries to the observation that say which agent it is.

    Attributes:
        views: what the managers see of a store's observation.
    """

    def __init__(
        self,
        stores: RetailVecEnv,
        own_reward: bool = False,
        observe: str = "own",
        identity: bool = False,
    ) -> None:
        self.stores = stores
        self._own_reward = own_reward
        self.segments = len(stores.get_attr("segments", 0)[0])
        names = stores.get_attr("observation_names", 0)[0]
        seen: Any = stores.observation_space
        self._n_seen = len(names) - (self.segments if own_reward else 0)
        space: spaces.Box[np.float32] = spaces.Box(
            seen.low[: self._n_seen], seen.high[: self._n_seen], dtype=np.float32
        )
        self.views = ManagerViews(space, names[: self._n_seen], self.segments, observe, identity)
        joint: Any = stores.action_space
        action = spaces.Box(joint.low[:2], joint.high[:2], dtype=np.float32)
        super().__init__(stores.num_envs * self.segments, self.views.space, action)
        self.metadata = stores.metadata

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Seed store k of the next reset with seed + k: the seeds of the rows."""
        self._seeds = [each for each in self.stores.seed(seed) for _ in range(self.segments)]
        return self._seeds

    def reset(self) -> Floats32:
        """Start new episodes; seeds given by :meth:`seed` are used once.

        Returns:
            The observations; infos are in ``reset_infos``.
        """
        observation = self._rows(self.stores.reset())
        self._keep_reset_infos()
        self._reset_seeds()
        self._reset_options()  # the environment knows none
        return observation

    def step_async(self, actions: NDArray[Any]) -> None:
        """Keep the actions, one row per agent, for :meth:`step_wait`."""
        self.stores.step_async(np.reshape(actions, (self.stores.num_envs, 2 * self.segments)))

    def step_wait(self) -> VecEnvStepReturn:
        """Run one week in every store.

        Returns:
            Observations (of the new episode where one ended), rewards, dones and infos (of the
            week that was simulated), one row per agent.
        """
        stepped: Any = self.stores.step_wait()
        observation, reward, done, infos = stepped
        rows = [dict(info) for info in infos for _ in range(self.segments)]
        parts = observation[:, self._n_seen :].copy()
        for k in np.flatnonzero(done):
            last = infos[k]["terminal_observation"]
            parts[k] = last[self._n_seen :]
            for s, view in enumerate(self._split(last)):
                rows[k * self.segments + s]["terminal_observation"] = view
        rewards = parts.reshape(-1) if self._own_reward else np.repeat(reward, self.segments)
        self._keep_reset_infos()
        return self._rows(observation), rewards, np.repeat(done, self.segments), rows

    def as_policy(self, model: Predictor) -> Callable[[Floats32, int], NDArray[Any]]:
        """A model that these rows trained, as a policy of the whole store.

        Args:
            model: has ``predict(observations, deterministic=True)``; trained without
                normalised observations.

        Returns:
            ``policy(observation, week) -> action``, natural units, of the segments environment.
        """

        def policy(observation: Floats32, week: int) -> NDArray[Any]:
            actions, _ = model.predict(self.views.split(observation), deterministic=True)
            return self.stores.natural(actions.reshape(-1))

        return policy

    def close(self) -> None:
        """End the threads."""
        self.stores.close()

    def get_images(self) -> Sequence[NDArray[np.uint8] | None]:
        """One picture per store under ``rgb_array``, else None for each."""
        return self.stores.get_images()

    def store(self, row: int) -> RetailPricingEnv:
        """The store of an agent."""
        return self.stores.store(row // self.segments)

    def _split(self, observation: Floats32) -> Floats32:
        """The managers' views, the reward's parts left out."""
        return self.views.split(observation[..., : self._n_seen])

    def _rows(self, observation: Any) -> Floats32:
        return self._split(observation).reshape(self.num_envs, -1)

    def _keep_reset_infos(self) -> None:
        self.reset_infos = [
            dict(info) for info in self.stores.reset_infos for _ in range(self.segments)
        ]


def make_sb3_managers(
    preset: str | os.PathLike[str] | World | StoreConfig = "scenario",
    n_envs: int = 8,
    seed: int | None = None,
    monitor: bool = True,
    rescale: bool = True,
    *,
    segments: int = 3,
    reward: str | Reward = "revenue",
    reward_mode: str = "own",
    observe: str = "own",
    identity: bool = False,
    **settings: Any,
) -> VecEnv:
    """Make segment managers that stable-baselines3 trains by sharing one policy.

    Args:
        preset: name of a preset, a path or a world.
        n_envs: how many stores; the result has ``n_envs x segments`` rows.
        seed: store k of the next reset is seeded with seed + k; None: as it comes. An algorithm
            that is given a seed sets it again.
        monitor: wrap in ``VecMonitor``, which reports ``rollout/ep_rew_mean`` per agent.
        rescale: actions in [-1, 1] instead of natural units.
        segments: S, the managers of each store.
        reward: short name or object; under ``"own"`` one with ``by_segment``.
        reward_mode: ``"own"`` or ``"shared"``.
        observe: ``"own"`` or ``"all"``.
        identity: append S entries to the observation that say which agent it is.
        **settings: other arguments of :class:`RetailPricingVectorEnv`: ``horizon``,
            ``threads``, ``n_customers``, ...

    Returns:
        A :class:`SegmentManagersVecEnv`, in a ``VecMonitor`` unless told otherwise.

    Raises:
        ValueError: for an unknown choice, or a reward that cannot be told apart by segment.
        TypeError: for an unknown argument.
    """
    check_choice("reward_mode", reward_mode, REWARD_MODES)
    whole = as_reward(reward)
    common: dict[str, Any] = {"segments": segments, "reward": whole}
    parts = as_segment_reward(whole) if reward_mode == "own" else None
    vector_only = {name: settings.pop(name) for name in _VECTOR if name in settings}
    observation = settings.pop("observation", None)
    try:
        store = RetailPricingEnv(preset, observation=observation, **common, **settings)
    except TypeError as error:
        more = ", ".join(("reward_mode", "observe", "identity", *_VECTOR))
        raise TypeError(f"{error}; of the segment managers: {more}") from None
    if parts is not None:
        inner = observation or SegmentAggregates(store.world, store.segments)
        observation = WithRewardParts(inner, parts, store.reward_scale, segments)
    vector = RetailPricingVectorEnv(
        store.world,
        num_envs=n_envs,
        autoreset_mode=AutoresetMode.SAME_STEP,
        observation=observation,
        **common,
        **vector_only,
        **{name: settings[name] for name in _EPISODE if name in settings},
    )
    env: VecEnv = SegmentManagersVecEnv(
        RetailVecEnv(vector, rescale), parts is not None, observe, identity
    )
    if seed is not None:
        env.seed(seed)
        env.action_space.seed(seed)
    return VecMonitor(env) if monitor else env
