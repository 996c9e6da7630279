"""Two other ways to see a coupon store: a vector of customers, and a contextual bandit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from retail_gym.config import check_int
from retail_gym.envs.coupons import COUPON_LEVELS, RetailCouponEnv

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Ints = NDArray[np.int64]
CouponPolicy = Callable[[Floats32, int], Any]

__all__ = [
    "CouponLog",
    "CustomerVectorEnv",
    "FixedArm",
    "UniformCoupons",
    "joint_env",
    "play",
    "policy_stream",
]

_ARMS: Final = 0xC0  # the stream of uniform random coupons


def joint_env(env: gym.Env[Any, Any]) -> RetailCouponEnv:
    """The joint environment below its wrappers, as ``gym.make`` puts around it.

    Raises:
        ValueError: if there is another environment below.
    """
    inner: Any = getattr(env, "unwrapped", env)
    if not isinstance(inner, RetailCouponEnv):
        raise ValueError(f"expected a coupon environment (RetailSynthCoupons-v0), got {inner!r}")
    return inner


def policy_stream(seed: int | None, tag: int) -> np.random.Generator:
    """Draws of a policy: apart from an environment's, which may be reset with the same seed.

    Args:
        seed: >= 0, or None for draws that cannot be repeated.
        tag: number of the stream, another one for each use.
    """
    return np.random.default_rng(None if seed is None else [seed, tag])


class CustomerVectorEnv(VectorEnv[Any, Any, NDArray[Any]]):
    """The customers of one store as the environments of a vector: for shared-parameter learners.

    ``num_envs`` = U customers, each with ``Discrete(11)`` arms, the nine figures of its own row
    and its own reward in units of R0 / U. Customers are in one store, so their episodes begin and
    end together. After the last week the next ``step`` ignores its actions and resets
    (``NEXT_STEP``). ``reset(seed=s)`` is the joint environment's.

    Args:
        env: the joint environment, wrapped or not; step it through the vector only.

    Raises:
        ValueError: for another environment.
    """

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        env = self.env = joint_env(env)
        self.num_envs = env.world.n_customers
        joint = env.observation_space
        self.single_observation_space = spaces.Box(joint.low[0], joint.high[0], dtype=np.float32)
        self.single_action_space = spaces.Discrete(COUPON_LEVELS.size)
        self.observation_space = joint
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self.observation_names = env.observation_names
        self.metadata = {"render_modes": [], "autoreset_mode": AutoresetMode.NEXT_STEP}
        self.render_mode = None
        self._ended = False

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Floats32, dict[str, Any]]:
        """Start a new episode of the store.

        Raises:
            ValueError: for a list of seeds: customers of one store share its randomness.
        """
        if isinstance(seed, list):
            raise ValueError("the customers of one store share one seed: give a whole number")
        self._ended = False
        observation, info = self.env.reset(seed=seed, options=options)
        return observation, self._columns(info)

    def step(self, actions: Any) -> tuple[Floats32, Floats, Any, Any, dict[str, Any]]:
        """Run one week.

        Args:
            actions: arm of each customer, shape (U,).

        Returns:
            Observations (U, 9), rewards (U,), terminations (all False), truncations (all
            alike) and info, whose figures are the store's, the same for every customer.
        """
        flags = np.zeros(self.num_envs, dtype=bool)
        if self._ended:
            self._ended = False
            observation, info = self.env.reset()
            return observation, np.zeros(self.num_envs), flags, flags.copy(), self._columns(info)
        observation, _, _, self._ended, info = self.env.step(actions)
        truncated = np.full(self.num_envs, self._ended)
        rewards = self.env.customer_rewards.copy()
        return observation, rewards, flags, truncated, self._columns(info)

    def _columns(self, info: dict[str, float]) -> dict[str, Any]:
        columns: dict[str, Any] = {}
        for name, value in info.items():
            columns[name] = np.full(self.num_envs, value)
            columns[f"_{name}"] = np.ones(self.num_envs, dtype=bool)
        return columns


class CouponLog(NamedTuple):
    """What a bandit learns from: T weeks of U customers."""

    contexts: Floats32  # T, U, 9: seen before the arm was chosen
    arms: Ints  # T, U
    rewards: Floats  # T, U: of each customer, in units of R0 / U
    infos: list[dict[str, float]]  # T: figures of the store

    @property
    def samples(self) -> tuple[Floats32, Ints, Floats]:
        """Contexts (T U, 9), arms (T U,) and rewards (T U,), one row a decision."""
        flat = self.contexts.reshape(-1, self.contexts.shape[-1])
        return flat, self.arms.reshape(-1), self.rewards.reshape(-1)


def play(
    env: gym.Env[Any, Any],
    policy: CouponPolicy,
    seed: int | None = None,
    observe: Callable[[Floats32, Ints, Floats], None] | None = None,
) -> CouponLog:
    """Play one episode as a contextual bandit, and keep the log.

    Args:
        env: the joint environment, wrapped or not.
        policy: ``policy(contexts (U, 9), week) -> arms (U,)``, week = 1, 2, ...
        seed: of the episode; the policy's ``reset(seed)`` is called where it has one.
        observe: called after every week with contexts, arms and rewards of the customers: the
            ``update`` of a bandit that learns online.

    Returns:
        The log of the whole episode.

    Raises:
        ValueError: for another environment.
    """
    env = joint_env(env)
    reset = getattr(policy, "reset", None)
    if reset is not None:
        reset(seed)
    context, _ = env.reset(seed=seed)
    contexts: list[Floats32] = []
    arms: list[Ints] = []
    rewards: list[Floats] = []
    infos: list[dict[str, float]] = []
    done = False
    while not done:
        arm = np.asarray(policy(context, len(arms) + 1), dtype=np.int64)
        after, _, _, done, info = env.step(arm)
        if observe is not None:
            observe(context, arm, env.customer_rewards)
        contexts.append(context)
        arms.append(arm)
        rewards.append(env.customer_rewards)
        infos.append(info)
        context = after
    return CouponLog(np.stack(contexts), np.stack(arms), np.stack(rewards), infos)


class UniformCoupons:
    """Every customer gets a uniformly random coupon every week: the logging policy.

    Args:
        seed: of the arms; ``reset(seed)`` starts another stream.
    """

    def __init__(self, seed: int = 0) -> None:
        self.reset(seed)

    def reset(self, seed: int | None = None) -> None:
        """Start the stream of a seed."""
        self._generator = policy_stream(seed, _ARMS)

    def __call__(self, observation: Floats32, week: int) -> Ints:
        """Arms of the customers, shape (U,)."""
        shape = observation.shape[:1]
        return np.asarray(self._generator.integers(COUPON_LEVELS.size, size=shape))


class FixedArm:
    """The same coupon for everybody, always.

    Args:
        arm: 0..10.
    """

    def __init__(self, arm: int) -> None:
        self.arm = check_int("arm", arm, 0, COUPON_LEVELS.size - 1)

    def __repr__(self) -> str:
        return f"FixedArm({self.arm})"

    def __call__(self, observation: Floats32, week: int) -> Ints:
        """Arms of the customers, shape (U,)."""
        return np.full(len(observation), self.arm)
