"""PPO with an LSTM: the policy remembers the weeks of the episode."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from agents.library import Algorithm, load, train_model

__all__ = ["ALGORITHM", "load", "search_space", "train"]

ALGORITHM: Final = Algorithm("recurrent_ppo", "sb3_contrib", "RecurrentPPO")

#: Train on a task; see :func:`agents.library.train_model` for the options.
train: Final = partial(train_model, ALGORITHM)


def search_space(trial: Any) -> dict[str, Any]:
    """Hyper-parameters to tune, drawn by an Optuna trial."""
    return {
        "learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True),
        "gamma": 1.0 - trial.suggest_float("one_minus_gamma", 0.005, 0.3, log=True),
        "n_epochs": trial.suggest_categorical("n_epochs", [4, 8, 16]),
        "policy_kwargs": {
            "lstm_hidden_size": trial.suggest_categorical("lstm_hidden_size", [16, 32, 64]),
            "log_std_init": trial.suggest_float("log_std_init", -2.0, 0.0),
        },
    }
