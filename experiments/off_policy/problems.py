"""The problems: a target policy to evaluate, logging policies near and far, and the true value."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from agents import load_pretrained
from agents.coupon_training import coupon_env, log_uniform, samples_of
from agents.linear_arms import LinearArms, fit_arms
from retail_gym.config import atomic_write
from retail_gym.data.logged import log_episode
from retail_gym.evaluation.trajectories import Trajectories, trajectories
from retail_gym.policies.behaviour import Behaviour, Gaussian, Softmax, Uniform
from retail_gym.world.storage import read_arrays

Floats = NDArray[np.float64]

__all__ = ["Pool", "Problem", "coupons", "store"]

#: First seed of the logs of each policy and of the true values, far apart.
_SEEDS: Final = {"truth": 50_000_000, "near": 60_000_000, "far": 70_000_000}
_ARRAYS: Final = ("rewards", "ratios", "states", "actions", "target_actions", "target_weights")


@dataclass(frozen=True)
class Problem:
    """A target policy in an environment, and those that log.

    Args:
        name: of its files.
        env: makes the environment.
        policies: makes, for the environment and a folder to keep things in, the policies
            ``target``, ``near`` and ``far``.
        block: episodes of a part file.
    """

    name: str
    env: Callable[[], gym.Env[Any, Any]]
    policies: Callable[[gym.Env[Any, Any], Path], dict[str, Behaviour]]
    block: int


class Pool:
    """Logged episodes of a problem, block by block on disk: what is there is not run again.

    Args:
        problem: what is logged.
        folder: where the blocks are.
    """

    def __init__(self, problem: Problem, folder: Path) -> None:
        self.problem, self.folder = problem, folder

    @cached_property
    def _made(self) -> tuple[gym.Env[Any, Any], dict[str, Behaviour]]:
        env = self.problem.env()
        return env, self.problem.policies(env, self.folder)

    def _blocks(
        self, name: str, episodes: int, make: Callable[[range], Mapping[str, NDArray[Any]]]
    ) -> Iterator[dict[str, NDArray[Any]]]:
        size = self.problem.block
        for k in range(-(-episodes // size)):
            file = self.folder / f"{self.problem.name}_{name}_{k:04d}.npz"
            if not file.exists():
                first = _SEEDS[name] + k * size
                arrays = make(range(first, first + size))
                with atomic_write(file) as stream:
                    np.savez(stream, **arrays)  # type: ignore[arg-type]
                print(f"{file.name}", flush=True)
            yield read_arrays(file)

    def truth(self, episodes: int) -> Floats:
        """Rewards of the target itself, mean over the customers, (episodes, T)."""

        def play(seeds: range) -> dict[str, NDArray[Any]]:
            env, policies = self._made
            rows = [log_episode(env, policies["target"], s).store_rewards for s in seeds]
            return {"rewards": np.stack(rows)}

        return np.concatenate([block["rewards"] for block in self._blocks("truth", episodes, play)])

    def log(self, behaviour: str, episodes: int) -> Trajectories:
        """Trajectories that a policy logged, those of an episode together.

        Raises:
            ValueError: for episodes that are no whole blocks.
        """
        if episodes % self.problem.block:
            raise ValueError(f"log a multiple of {self.problem.block} episodes, not {episodes}")

        def play(seeds: range) -> dict[str, NDArray[Any]]:
            env, policies = self._made
            logged = [log_episode(env, policies[behaviour], seed) for seed in seeds]
            data = trajectories(logged, policies["target"])
            return {name: getattr(data, name) for name in _ARRAYS}

        blocks = list(self._blocks(behaviour, episodes, play))
        joined = {
            name: np.concatenate([block[name] for block in blocks])
            for name in _ARRAYS
            if name != "target_actions" or blocks[0][name].ndim == 4
        }
        return Trajectories(**{"target_actions": blocks[0]["target_actions"]} | joined)


def store(preset: str) -> Problem:
    """Margin of a store under a trained policy with some noise, from logs with more."""

    def policies(env: gym.Env[Any, Any], folder: Path) -> dict[str, Behaviour]:
        space, ppo = env.action_space, load_pretrained("ppo-RetailSynthMargin-v0")
        return {
            "target": Gaussian(ppo, space, (0.05, 0.06)),
            "near": Gaussian(ppo, space, (0.0625, 0.075)),
            "far": Uniform(space),
        }

    def env() -> gym.Env[Any, Any]:
        return gym.make("RetailSynthMargin-v0", preset=preset, disable_env_checker=True)

    return Problem(f"store_{preset}", env, policies, 250)


def coupons(preset: str, temperature: float = 0.03, logged: int = 60_000) -> Problem:
    """Revenue of a store under coupons that a linear model of every arm finds best.

    Args:
        preset: of the coupon store.
        temperature: of the target's softmax; the near log has twice as much.
        logged: customer-weeks of uniform random coupons, in other stores, for the model.
    """

    def policies(env: gym.Env[Any, Any], folder: Path) -> dict[str, Behaviour]:
        file = folder / f"{preset}_arms.npz"
        if not file.exists():
            training = coupon_env("RetailSynthCoupons-v0", preset=preset)
            fit_arms(*samples_of(log_uniform(training, logged, 0)), 1.0).save(file)
        model, _ = LinearArms.load(file)

        def scores(observation: NDArray[Any], week: int) -> Floats:
            return model.predict(observation)[0]

        space = env.action_space
        return {
            "target": Softmax(scores, space, temperature, "linear arms"),
            "near": Softmax(scores, space, 2 * temperature, "linear arms"),
            "far": Uniform(space),
        }

    def env() -> gym.Env[Any, Any]:
        return gym.make("RetailSynthCoupons-v0", preset=preset, disable_env_checker=True)

    return Problem(preset, env, policies, 10)
