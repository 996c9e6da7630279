"""From a task's id to environments: single ones to judge on, vectors to learn in.

Seeds of the three uses are disjoint: tests 0-999,999; references 1,000,000 up; validation
2,000,000 up; training 1,000,000,000 up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

import retail_gym  # registers the ids
from retail_gym.config import check_choice
from retail_gym.envs.pricing import RetailPricingEnv
from retail_gym.evaluation.rollout import play
from retail_gym.policies import Cyclic, Policy

Floats = NDArray[np.float64]

if TYPE_CHECKING:
    from stable_baselines3.common.vec_env import VecEnv

__all__ = [
    "BEST_KNOWN",
    "TASKS",
    "TRAINING_SEED",
    "VALIDATION",
    "make_env",
    "make_vec_env",
    "resolve",
    "training_seed",
    "validate",
]

#: Luck that decides which of a run's policies is kept.
VALIDATION: Final = range(2_000_000, 2_000_010)
TRAINING_SEED: Final = 1_000_000_000

#: Ids that are an id and arguments as long as they are not registered themselves.
_STAND_INS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "RetailSynthMargin-v0": ("RetailSynth-v0", {"reward": "margin"}),
}

#: The tasks with tuned hyper-parameters.
TASKS: Final = ("RetailSynth-v0", "RetailSynthMargin-v0")

#: What scores 1: plans of the 53 weeks. Everybody visits in week 1, discounted or not; then
#: revenue is best served by deep and shallow weeks in turn, margin by steady ones; the last week
#: has no later ones to win customers for.
BEST_KNOWN: Final[dict[str, Policy]] = {
    "RetailSynth-v0": Cyclic(
        [(0.0, 0.0), *[(0.5, 0.6), (0.2, 0.6)] * 25, (0.475, 0.6), (0.15, 0.55)]
    ),
    "RetailSynthMargin-v0": Cyclic(
        [(0.0, 0.0), *[(0.175, 0.6), (0.2, 0.6)] * 25, (0.175, 0.6), (0.075, 0.6)]
    ),
}


def resolve(task: str) -> tuple[str, dict[str, Any]]:
    """The registered id of a task and the arguments that make it so.

    Raises:
        ValueError: for an unknown task, with the list.
    """
    name = task.removeprefix("retail_gym:")
    ours = [spec for spec in gym.registry if spec.startswith("RetailSynth")]
    check_choice("task", name, sorted({*ours, *_STAND_INS}))
    if name in gym.registry:
        return name, {}
    env_id, kwargs = _STAND_INS[name]
    return env_id, dict(kwargs)


def make_env(task: str, env_kwargs: Mapping[str, Any] | None = None) -> RetailPricingEnv:
    """One environment of a task, without wrappers.

    Args:
        task: its id.
        env_kwargs: arguments of the environment (``preset``, ``horizon``, ...).

    Raises:
        ValueError: for an unknown task, or one that is not about depth and frequency.
    """
    env_id, kwargs = resolve(task)
    env: Any = gym.make(env_id, disable_env_checker=True, **(kwargs | dict(env_kwargs or {})))
    if not isinstance(env.unwrapped, RetailPricingEnv):
        raise ValueError(f"{task} is not a task of depth and frequency")
    return env.unwrapped


def make_vec_env(
    task: str,
    n_envs: int,
    env_kwargs: Mapping[str, Any] | None = None,
    *,
    rescale: bool = True,
    threads: int | None = None,
) -> VecEnv:
    """The native vector environment of a task, for stable-baselines3.

    Args:
        task: its id.
        n_envs: number of episodes side by side.
        env_kwargs: arguments of the environment.
        rescale: actions in [-1, 1] instead of natural units.
        threads: of the vector; None for its own choice.
    """
    from stable_baselines3.common.vec_env import VecMonitor

    from retail_gym.envs.sb3 import RetailVecEnv

    env_id, kwargs = resolve(task)
    # Not every vector environment has threads.
    own: dict[str, Any] = {} if threads is None else {"threads": threads}
    vector: Any = gym.make_vec(
        env_id,
        num_envs=n_envs,
        vectorization_mode="vector_entry_point",
        autoreset_mode=AutoresetMode.SAME_STEP,
        **(own | kwargs | dict(env_kwargs or {})),
    )
    return VecMonitor(RetailVecEnv(vector.unwrapped, rescale))


def training_seed(seed: int, step: int) -> int:
    """Seed of the environments and of the learner from this step on."""
    word = np.random.SeedSequence([seed, step]).generate_state(1)[0]
    return TRAINING_SEED + int(word) % TRAINING_SEED


def validate(env: RetailPricingEnv, policy: Policy, seeds: Iterable[int] = VALIDATION) -> Floats:
    """Undiscounted return of one episode for each seed, by default the validation seeds."""
    return np.array([sum(reward for _, reward in play(env, policy, s)) for s in seeds])


def version() -> str:
    """Version of the package, for cards."""
    return retail_gym.__version__
