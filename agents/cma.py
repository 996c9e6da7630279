"""CMA-ES search over static and linear policies; needs ``cmaes`` and NumPy, no torch.

Every candidate of a generation meets the same luck (common random numbers, new in each
generation), so that candidates are compared by what they do and not by whom they met.
Hansen & Ostermeier 2001; with many parameters the covariance is kept diagonal (Ros & Hansen 2008).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from agents.card import POLICY, finish, new_card, open_run
from agents.numpy_policy import NumpyPolicy
from agents.recipes import read_recipe
from agents.registry import check_ignored, library
from agents.tasks import TRAINING_SEED, make_env, training_seed, validate
from retail_gym.config import atomic_write, check_choice, check_int
from retail_gym.envs.pricing import RetailPricingEnv
from retail_gym.policies import Policy, UniformRandom
from retail_gym.world.storage import read_arrays

Floats = NDArray[np.float64]

__all__ = ["FORMS", "load", "search_space", "train"]

_STATE: Final = "search.npz"
_SETTINGS: Final = ("form", "population", "episodes", "spread")
#: Generations between validations.
_EVERY: Final = 10


def _static(theta: Floats, inputs: int) -> tuple[Floats, Floats]:
    return np.zeros((theta.size, inputs)), theta


def _linear(theta: Floats, inputs: int) -> tuple[Floats, Floats]:
    table = theta.reshape(-1, inputs + 1)
    return table[:, :-1], table[:, -1]


#: Parameters and number of inputs -> weight and bias.
FORMS: Final[dict[str, Callable[[Floats, int], tuple[Floats, Floats]]]] = {
    "static": _static,
    "linear": _linear,
}


def _observations(env: RetailPricingEnv) -> tuple[Floats, Floats]:
    """Mean and scale of what a random policy sees, so that parameters have one size."""
    policy, seen = UniformRandom(len(env.segments)), []
    for seed in (TRAINING_SEED, TRAINING_SEED + 1):
        policy.reset(seed)
        observation, _ = env.reset(seed=seed)
        for week in range(1, env.horizon + 1):
            seen.append(observation)
            observation, *_ = env.step(policy(observation, week))
    table = np.array(seen, dtype=np.float64)
    return table.mean(axis=0), np.maximum(table.std(axis=0), 1e-3)


def train(
    task: str,
    *,
    seed: int = 0,
    steps: int | None = None,
    directory: Path,
    resume: bool = False,
    env_kwargs: Mapping[str, Any] | None = None,
    hyperparameters: Mapping[str, Any] | None = None,
    on_evaluation: Callable[[int, float], None] | None = None,
    **ignored: Any,
) -> Policy:
    """Search, generation by generation; a run that is killed goes on with the last complete one.

    Args:
        task: id.
        seed: of the candidates and of the luck they meet.
        steps: environment steps, by default the recipe's.
        directory: gets ``policy.npz`` and ``card.json``.
        resume: go on with the run in the folder; the result is that of an unbroken run.
        env_kwargs: arguments of the environment.
        hyperparameters: changes of the recipe: ``form``, ``population``, ``episodes``, ``spread``.
        on_evaluation: called with steps and validation score every ten generations.
        **ignored: options that only learners by gradient have.

    Returns:
        The policy with the best validation score.
    """
    check_ignored(ignored)
    cmaes = library("cmaes")
    recipe = read_recipe("cma", task, hyperparameters)
    total = recipe.n_timesteps if steps is None else check_int("steps", steps, 1)
    kw = recipe.settings
    for name in kw:
        check_choice("hyper-parameter", name, _SETTINGS)
    check_choice("form", kw["form"], FORMS)
    population = check_int("population", kw["population"], 4)
    episodes = check_int("episodes", kw["episodes"], 1)
    env = make_env(task, env_kwargs)
    card = new_card(
        "cma", task, seed=seed, steps=total, env=env_kwargs or {},
        hyperparameters=recipe.table(), changes=hyperparameters, packages=("cmaes",),
    )  # fmt: skip
    space: Any = env.action_space
    mean, scale = _observations(env)

    def policy(theta: Floats) -> NumpyPolicy:
        weight, bias = FORMS[kw["form"]](theta, mean.size)
        arrays = {"layer0.weight": weight, "layer0.bias": bias}
        arrays |= {"observation.mean": mean, "observation.scale": scale}
        return NumpyPolicy(arrays | {"action.low": space.low, "action.high": space.high}, "clip")

    outputs = int(space.shape[0])
    size = outputs if kw["form"] == "static" else outputs * (mean.size + 1)
    search = (cmaes.CMA if size <= 10 else cmaes.SepCMA)(
        np.zeros(size), float(kw["spread"]), seed=seed, population_size=population
    )
    open_run(directory, card, resume)
    # The search's own state follows from the scores, which are all that is kept.
    state: dict[str, Any] = {
        "scores": np.zeros((0, population)), "history": np.zeros((0, 2)),
        "best": np.zeros(size), "best_score": np.array(-np.inf), "seconds": np.zeros(2),
    }  # fmt: skip
    if resume and (directory / _STATE).exists():
        state = read_arrays(directory / _STATE)
    cost = population * episodes * env.horizon
    generations = max(1, round(total / cost))
    for g in range(generations):
        clock, cpu = time.perf_counter(), time.process_time()
        theta = np.array([search.ask() for _ in range(population)])
        known = g < len(state["scores"])
        if not known:
            luck = [training_seed(seed, g * episodes + k) for k in range(episodes)]
            scores = [validate(env, policy(t), luck).mean() for t in theta]
            state["scores"] = np.vstack([state["scores"], scores])
        search.tell([(t, -x) for t, x in zip(theta, state["scores"][g], strict=True)])
        due = (g + 1) % _EVERY == 0 or g + 1 == generations
        due = due and (g + 1) * cost not in state["history"][:, 0]
        if known and not due:
            continue
        if due:
            value = validate(env, policy(search.mean)).mean()
            state["history"] = np.vstack([state["history"], [(g + 1) * cost, value]])
            if value > state["best_score"]:
                state |= {"best": search.mean.copy(), "best_score": np.array(value)}
            if on_evaluation is not None:
                on_evaluation((g + 1) * cost, float(value))
        spent = [time.perf_counter() - clock, time.process_time() - cpu]
        state["seconds"] = state["seconds"] + spent
        with atomic_write(directory / _STATE) as stream:
            np.savez(stream, **state)
    policy(state["best"]).save(directory / POLICY)
    wall, used = state["seconds"].tolist()
    finish(
        directory, card, validation_score=float(state["best_score"]), wall_seconds=wall,
        cpu_seconds=used, evaluations=state["history"],
    )  # fmt: skip
    return load(directory)


def load(directory: Path) -> Policy:
    """The policy of a finished run."""
    return NumpyPolicy.load(directory / POLICY)


def search_space(trial: Any) -> dict[str, Any]:
    """Hyper-parameters to tune, drawn by an Optuna trial."""
    return {
        "population": trial.suggest_categorical("population", [8, 12, 16, 24]),
        "spread": trial.suggest_float("spread", 0.05, 1.0, log=True),
        "episodes": trial.suggest_int("episodes", 1, 4),
    }
