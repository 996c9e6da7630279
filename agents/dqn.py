"""Deep Q-network (Mnih et al. 2015) over a grid of depth and frequency."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from agents.library import Algorithm, load, train_model
from retail_gym.policies import Policy

__all__ = ["ALGORITHM", "load", "search_space", "train"]

ALGORITHM: Final = Algorithm("dqn", "stable_baselines3", "DQN", grid=True)


def train(
    task: str, *, seed: int = 0, steps: int | None = None, directory: Path, **options: Any
) -> Policy:
    """Train DQN on a task; see :func:`agents.library.train_model` for the options."""
    return train_model(ALGORITHM, task, seed=seed, steps=steps, directory=directory, **options)


def search_space(trial: Any) -> dict[str, Any]:
    """Hyper-parameters to tune, drawn by an Optuna trial."""
    return {
        "learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True),
        "gamma": 1.0 - trial.suggest_float("one_minus_gamma", 0.005, 0.3, log=True),
        "exploration_fraction": trial.suggest_float("exploration_fraction", 0.1, 0.8),
        "exploration_final_eps": trial.suggest_float("exploration_final_eps", 0.02, 0.2),
        "gradient_steps": trial.suggest_categorical("gradient_steps", [1, 2, 4]),
    }
