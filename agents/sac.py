"""Soft actor-critic (Haarnoja et al. 2018); actions squashed by tanh."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from agents.library import Algorithm, load, train_model

__all__ = ["ALGORITHM", "load", "search_space", "train"]

ALGORITHM: Final = Algorithm("sac", "stable_baselines3", "SAC")

#: Train on a task; see :func:`agents.library.train_model` for the options.
train: Final = partial(train_model, ALGORITHM)


def search_space(trial: Any) -> dict[str, Any]:
    """Hyper-parameters to tune, drawn by an Optuna trial."""
    return {
        "learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True),
        "gamma": 1.0 - trial.suggest_float("one_minus_gamma", 0.005, 0.3, log=True),
        "tau": trial.suggest_float("tau", 0.005, 0.1, log=True),
        "gradient_steps": trial.suggest_categorical("gradient_steps", [1, 2, 4]),
        "ent_coef": trial.suggest_categorical("ent_coef", ["auto", 0.01, 0.03, 0.1]),
    }
