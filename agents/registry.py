"""Agents by name. A module is imported when its agent is asked for, and not before.

Adding an agent: a module with ``train(task, *, seed, steps, directory, **options) -> Policy`` and
``load(directory) -> Policy`` (and ``search_space(trial)`` if it can be tuned), and a line here.
The options are ``OPTIONS``; a run begins by ``card.open_run`` and ends by ``card.finish``.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from types import ModuleType
from typing import Final

from retail_gym.config import check_choice

__all__ = ["AGENTS", "OPTIONS", "agent_module", "check_ignored", "library"]

#: name -> module.
AGENTS: Final[dict[str, str]] = {
    "bayes_adaptive": "agents.bayes_adaptive",
    "cma": "agents.cma",
    "dqn": "agents.dqn",
    "linucb": "agents.linucb",
    "neural_boltzmann": "agents.neural_boltzmann",
    "ppo": "agents.ppo",
    "recurrent_ppo": "agents.recurrent_ppo",
    "sac": "agents.sac",
    "thompson": "agents.thompson",
    "tqc": "agents.tqc",
}


#: What every ``train`` takes; the last four may be of no use to an agent.
OPTIONS: Final = (
    "seed", "steps", "directory", "resume", "env_kwargs", "hyperparameters",
    "threads", "tensorboard", "progress", "on_evaluation",
)  # fmt: skip


def check_ignored(options: Iterable[str]) -> None:
    """Refuse options of training that no agent knows, among those that this one has no use for.

    Raises:
        ValueError: for an unknown one, with the list.
    """
    for name in options:
        check_choice("option of training", name, OPTIONS)


def agent_module(name: str) -> ModuleType:
    """The module of an agent.

    Raises:
        ValueError: for an unknown name, with the list.
    """
    check_choice("agent", name, AGENTS)
    return import_module(AGENTS[name])


def library(name: str) -> ModuleType:
    """A module of a library that is an extra.

    Raises:
        ImportError: if it is missing, naming what to install.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise ImportError(
            f'this needs {error.name or name}: pip install "retail-gym[agents]"', name=error.name
        ) from error
