"""Training with stable-baselines3 and sb3-contrib: what PPO, SAC and the others share.

A run is a sequence of sections of ``steps / 20`` steps. At each boundary the policy is validated
and a checkpoint written; then environments and random generators are seeded afresh from (seed,
step) and new episodes begin. So a section depends on nothing but the checkpoint before it, and a
run that was killed and resumed ends with the very weights of an unbroken one (same machine, same
versions, one torch thread; the seconds on the card differ).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from agents.card import POLICY, finish, new_card, open_run
from agents.numpy_policy import NumpyPolicy
from agents.recipes import Recipe, read_recipe
from agents.registry import library
from agents.tasks import make_env, make_vec_env, validate
from retail_gym.config import check_int
from retail_gym.policies import Policy

__all__ = ["LAST", "MODEL", "Algorithm", "build_model", "load", "train_model"]

CHECKPOINT: Final = "checkpoint.pt"
#: The model in stable-baselines3's own form, for those who go on with it there.
MODEL: Final = "model.zip"
#: The same model as a NumPy policy; ``policy.npz`` is the best one on the validation seeds.
LAST: Final = "last.npz"
_SECTIONS: Final = 20
_PACKAGES: Final = ("torch", "stable-baselines3", "sb3-contrib")


@dataclass(frozen=True)
class Algorithm:
    """What tells one recipe from another.

    Args:
        name: in the registry and of the YAML file.
        module: where the class is.
        kind: name of the class.
        grid: whether it chooses from a grid of actions.
    """

    name: str
    module: str
    kind: str
    grid: bool = False

    def load_class(self) -> Any:
        """The class of the algorithm; an ImportError names what to install."""
        return getattr(library(self.module), self.kind)


def build_model(
    algorithm: Algorithm,
    task: str,
    recipe: Recipe,
    seed: int,
    env_kwargs: Mapping[str, Any],
    threads: int | None = None,
) -> Any:
    """The untrained model with its environments."""
    kind = algorithm.load_class()
    from stable_baselines3.common.vec_env import VecNormalize

    from agents.actions import StretchedActions

    env = make_vec_env(task, recipe.n_envs, env_kwargs, grid=algorithm.grid, threads=threads)
    if recipe.stretch > 1.0 and not algorithm.grid:
        env = StretchedActions(env, recipe.stretch)
    settings = recipe.arguments()
    if recipe.normalize:
        gamma = settings.get("gamma", 0.99)
        env = VecNormalize(env, **({"gamma": gamma} | recipe.normalize))
    model = kind(recipe.policy, env, seed=seed, device="cpu", verbose=0, **settings)
    return model


def train_model(
    algorithm: Algorithm,
    task: str,
    *,
    seed: int = 0,
    steps: int | None = None,
    directory: Path,
    resume: bool = False,
    env_kwargs: Mapping[str, Any] | None = None,
    hyperparameters: Mapping[str, Any] | None = None,
    threads: int | None = None,
    tensorboard: bool = True,
    progress: bool = False,
    on_evaluation: Callable[[int, float], None] | None = None,
) -> Policy:
    """Train, validating and saving at every boundary.

    Args:
        algorithm: which.
        task: id.
        seed: of weights, exploration and training luck.
        steps: environment steps, by default the recipe's. The last rollout is completed.
        directory: gets ``policy.npz`` (the best on the validation seeds), ``last.npz``,
            ``model.zip``, ``card.json``, ``checkpoint.pt`` and ``tensorboard/``.
        resume: go on with the run in the folder.
        env_kwargs: arguments of the environment.
        hyperparameters: keys of the recipe to set otherwise.
        threads: of the environments; None for their own choice. torch works with one: the
            networks are small.
        tensorboard: whether to log.
        progress: whether to show a bar.
        on_evaluation: called with steps and validation score at every boundary.

    Returns:
        The best policy, in NumPy and natural units.
    """
    recipe = read_recipe(algorithm.name, task, hyperparameters)
    algorithm.load_class()
    import torch

    from agents.export import policy_of
    from agents.sections import Sections

    torch.set_num_threads(1)
    total = recipe.n_timesteps if steps is None else check_int("steps", steps, 1)
    card = new_card(
        algorithm.name, task, seed=seed, steps=total, env=env_kwargs or {},
        hyperparameters=recipe.table(), changes=hyperparameters, packages=_PACKAGES,
    )  # fmt: skip
    # Whatever can be wrong with the settings is, before the folder holds a run.
    env = make_env(task, env_kwargs)
    model = build_model(algorithm, task, recipe, seed, env_kwargs or {}, threads)
    open_run(directory, card, resume)
    if tensorboard:
        from stable_baselines3.common.logger import Logger, TensorBoardOutputFormat

        log = str(directory / "tensorboard")
        model.set_logger(Logger(log, [TensorBoardOutputFormat(log)]))
    week = recipe.n_envs * env.horizon
    every = week * max(1, round(total / _SECTIONS / week))
    sections = Sections(
        directory / CHECKPOINT, every, seed, lambda policy: validate(env, policy), on_evaluation
    )
    done = sections.resume(model) if resume else 0
    if done < total:
        model.learn(
            total - done, callback=sections, reset_num_timesteps=False, progress_bar=progress
        )
    sections.best.save(directory / POLICY)
    policy_of(model).save(directory / LAST)
    model.save(directory / MODEL)
    model.env.close()
    finish(
        directory, card, validation_score=sections.best_score, evaluations=sections.history,
        wall_seconds=sections.seconds[0], cpu_seconds=sections.seconds[1],
        steps_taken=int(model.num_timesteps),
    )  # fmt: skip
    return load(directory)


def load(directory: Path) -> Policy:
    """The policy of a finished run: NumPy, natural units."""
    return NumpyPolicy.load(directory / POLICY)
