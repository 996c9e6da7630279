"""Deep Q-network (Mnih et al. 2015) over a grid of depth and frequency."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from agents.library import Algorithm, load, train_model

__all__ = ["ALGORITHM", "load", "search_space", "train"]

ALGORITHM: Final = Algorithm("dqn", "stable_baselines3", "DQN", grid=True)

#: Train on a task; see :func:`agents.library.train_model` for the options.
train: Final = partial(train_model, ALGORITHM)


def search_space(trial: Any) -> dict[str, Any]:
    """Hyper-parameters to tune, drawn by an Optuna trial."""
    return {
        "learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True),
        "gamma": 1.0 - trial.suggest_float("one_minus_gamma", 0.005, 0.3, log=True),
        "exploration_fraction": trial.suggest_float("exploration_fraction", 0.1, 0.8),
        "exploration_final_eps": trial.suggest_float("exploration_final_eps", 0.02, 0.2),
        "gradient_steps": trial.suggest_categorical("gradient_steps", [1, 2, 4]),
    }
