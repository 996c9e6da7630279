"""Logged decisions: episodes of a random policy with the exact propensity of every action.

::

    env = gym.make("RetailSynthCoupons-v0")
    episodes = log_episodes(env, Uniform(env.action_space), seeds=range(20))
    write_minari("retail/coupons-uniform-v0", env, behaviour, episodes)

Two levels, by the environment. *Store* (depth and frequency): one action, one reward and one
propensity a week; segments are priced independently, so the propensity is the product of theirs.
*Customer* (coupons): one of each for every customer and week.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from retail_gym.config import check_int
from retail_gym.envs.coupons import RetailCouponEnv
from retail_gym.envs.multi_objective import MultiObjectivePricingEnv
from retail_gym.envs.pricing import RetailPricingEnv
from retail_gym.policies.base import bind_policy
from retail_gym.policies.behaviour import Behaviour

Floats = NDArray[np.float64]

__all__ = ["LEVELS", "LoggedEpisode", "level_of", "lineage", "log_episode", "log_episodes"]

#: Who an action is for.
LEVELS: Final = ("store", "customer")


@dataclass(frozen=True, eq=False)
class LoggedEpisode:
    """One episode of T weeks; at the level of customers every array but infos has an axis U.

    ``observations[t]`` was seen before ``actions[t]``; ``rewards[t]`` and the infos of week
    t + 1 came after it. Rewards are those of the environment: weeks of base revenue, of each
    customer in units of R0 / U.
    """

    seed: int  # of ``env.reset``: with the actions it gives the episode again
    observations: NDArray[np.float32]  # T + 1, [U,] d
    actions: NDArray[Any]  # T, [U] or T, A
    rewards: Floats  # T, [U]
    propensities: Floats  # T, [U]: of the action taken, under the logging policy
    probabilities: Floats | None  # T, [U,] K: of every action; None where they are a continuum
    infos: dict[str, Floats]  # T + 1: the environment's figures of the store, entry 0 of reset

    def __len__(self) -> int:
        return len(self.rewards)

    @property
    def store_rewards(self) -> Floats:
        """Rewards of the environment itself, shape (T,): of customers the mean."""
        return self.rewards if self.rewards.ndim == 1 else self.rewards.mean(axis=1)


def level_of(env: gym.Env[Any, Any]) -> str:
    """Whether an environment's actions are for the store or for each customer.

    Raises:
        ValueError: for an environment of another kind.
    """
    inner = env.unwrapped
    if isinstance(inner, RetailCouponEnv):
        return "customer"
    if isinstance(inner, RetailPricingEnv) and not isinstance(inner, MultiObjectivePricingEnv):
        return "store"
    raise ValueError(
        f"decisions are logged in pricing and coupon environments with one reward, not in {inner!r}"
    )


def log_episode(env: gym.Env[Any, Any], behaviour: Behaviour, seed: int) -> LoggedEpisode:
    """Play one episode and keep it.

    Args:
        env: as ``gym.make`` returns it; a grid of actions by
            :class:`~retail_gym.envs.DiscretePricing` around it.
        behaviour: who acts, made for ``env.action_space``.
        seed: of the environment and of the behaviour, whose streams are apart.

    Raises:
        ValueError: for another environment, or a behaviour of another action space.
    """
    seed = check_int("seed", seed, 0)
    customers = level_of(env) == "customer"
    if behaviour.space != env.action_space:
        raise ValueError(
            f"the behaviour acts in {behaviour.space}, the environment in {env.action_space}: "
            "make it with space=env.action_space"
        )
    inner: Any = env.unwrapped
    observation, info = env.reset(seed=seed)
    behaviour.reset(seed)
    bind_policy(behaviour, inner)
    observations, infos = [observation], [info]
    actions: list[NDArray[Any]] = []
    rewards: list[Any] = []
    propensities: list[Any] = []
    probabilities: list[Floats | None] = []
    done = False
    while not done:
        chosen = behaviour.decide(observation, len(actions) + 1)
        observation, reward, terminated, truncated, info = env.step(chosen.action)
        done = terminated or truncated
        observations.append(observation)
        infos.append(info)
        actions.append(chosen.action)
        rewards.append(inner.customer_rewards if customers else float(reward))
        propensities.append(chosen.propensity if customers else np.prod(chosen.propensity))
        probabilities.append(chosen.probabilities)
    return LoggedEpisode(
        seed,
        np.stack(observations),
        np.stack(actions),
        np.asarray(rewards, dtype=np.float64),
        np.asarray(propensities, dtype=np.float64),
        None if probabilities[0] is None else np.asarray(probabilities),
        {name: np.array([row[name] for row in infos], dtype=np.float64) for name in infos[0]},
    )


def log_episodes(
    env: gym.Env[Any, Any],
    behaviour: Behaviour,
    seeds: Iterable[int],
    progress: bool = False,
) -> Iterator[LoggedEpisode]:
    """Play and keep episodes, one at a time: any number in the memory of one.

    Args:
        env: the environment.
        behaviour: who acts.
        seeds: of the episodes.
        progress: show a progress bar.
    """
    from tqdm import tqdm

    for seed in tqdm(list(seeds), desc="log", unit="episode", disable=not progress):
        yield log_episode(env, behaviour, seed)


def lineage(env: gym.Env[Any, Any], behaviour: Behaviour) -> dict[str, Any]:
    """Where a log comes from, as plain values: all it takes to make it again.

    The environment's own arguments are in its spec (``env.spec.to_json()``), the seeds with the
    episodes.
    """
    from importlib.metadata import version

    from retail_gym import __version__

    world = env.unwrapped.world  # type: ignore[attr-defined]
    level = level_of(env)
    return {
        "level": level,
        "behaviour": behaviour.describe(),
        "propensity": behaviour.definition,
        "propensity_of": "each customer's arm" if level == "customer" else "the store's action",
        "store": {
            "preset": world.name,
            "world_seed": world.seed,
            "customers": world.n_customers,
            "products": world.n_products,
            "reward_scale": world.reward_scale,
        },
        "observation_names": list(env.unwrapped.observation_names),  # type: ignore[attr-defined]
        "versions": {
            "retail-gym": __version__,
            **{name: version(name) for name in ("gymnasium", "numpy", "numba")},
        },
    }
