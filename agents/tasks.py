"""From a task's id to environments: single ones to judge on, vectors to learn in.

Seeds of the three uses are disjoint: tests 0-999,999; references 1,000,000 up; validation
2,000,000 up; training 1,000,000,000 up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

import retail_gym  # noqa: F401 (registers the ids)
from retail_gym.config import check_choice
from retail_gym.envs.discrete import DiscretePricingVector
from retail_gym.envs.pricing import RetailPricingEnv
from retail_gym.evaluation.rollout import play
from retail_gym.policies import Policy

Floats = NDArray[np.float64]

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import VecEnv

__all__ = [
    "ELSEWHERE",
    "TASKS",
    "TEST_KWARGS",
    "TRAINING_SEED",
    "VALIDATION",
    "make_env",
    "make_vec_env",
    "task_id",
    "training_seed",
    "validate",
]

#: Luck that decides which of a run's policies is kept.
VALIDATION: Final = range(2_000_000, 2_000_010)
TRAINING_SEED: Final = 1_000_000_000

#: The tasks with tuned hyper-parameters.
TASKS: Final = ("RetailSynth-v0", "RetailSynthMargin-v0")

#: Arguments under which agents are judged, where they are not those of training.
TEST_KWARGS: Final[dict[str, dict[str, Any]]] = {"RetailSynthAdaptive-v0": {"pool": "test"}}

#: Tasks of other actions than depth and frequency, and what trains and scores their agents.
ELSEWHERE: Final = {"RetailSynthCoupons-v0": "python -m experiments.coupons"}


def task_id(task: str) -> str:
    """The registered id of a task, without a module before it.

    Raises:
        ValueError: for an unknown task, with the list.
    """
    name = task.removeprefix("retail_gym:")
    check_choice("task", name, sorted(i for i in gym.registry if i.startswith("RetailSynth")))
    return name


def make_env(task: str, env_kwargs: Mapping[str, Any] | None = None) -> RetailPricingEnv:
    """One environment of a task, without wrappers.

    Args:
        task: its id.
        env_kwargs: arguments of the environment (``preset``, ``horizon``, ...).

    Raises:
        ValueError: for an unknown task, or one that is not about depth and frequency.
    """
    env: Any = gym.make(task_id(task), disable_env_checker=True, **dict(env_kwargs or {}))
    if not isinstance(env.unwrapped, RetailPricingEnv):
        raise ValueError(f"{task} is not a task of depth and frequency")
    return env.unwrapped


def make_vec_env(
    task: str,
    n_envs: int,
    env_kwargs: Mapping[str, Any] | None = None,
    *,
    grid: bool = False,
    threads: int | None = None,
) -> VecEnv:
    """The native vector environment of a task, for stable-baselines3.

    Args:
        task: its id.
        n_envs: number of episodes side by side.
        env_kwargs: arguments of the environment.
        grid: actions are numbers of a grid of depth and frequency, one for all segments; else
            they are in [-1, 1].
        threads: of the vector; None for its own choice.
    """
    from retail_gym.envs.sb3 import make_sb3_vec_env

    # Not every vector environment has threads.
    own: dict[str, Any] = {} if threads is None else {"threads": threads}
    wrapper: dict[str, Any] = {}
    if grid:
        wrapper = {"wrapper_class": DiscretePricingVector, "wrapper_kwargs": {"joint": True}}
    return make_sb3_vec_env(task_id(task), n_envs, **wrapper, **(own | dict(env_kwargs or {})))


def training_seed(seed: int, step: int) -> int:
    """Seed of the environments and of the learner from this step on."""
    word = np.random.SeedSequence([seed, step]).generate_state(1)[0]
    return TRAINING_SEED + int(word) % TRAINING_SEED


def validate(env: RetailPricingEnv, policy: Policy, seeds: Iterable[int] = VALIDATION) -> Floats:
    """Undiscounted return of one episode for each seed, by default the validation seeds."""
    return np.array([sum(reward for _, reward in play(env, policy, s)) for s in seeds])
