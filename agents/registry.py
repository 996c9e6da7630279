"""Agents by name. A module is imported when its agent is asked for, and not before.

Adding an agent: a module with ``train(task, *, seed, steps, directory, **options) -> Policy`` and
``load(directory) -> Policy`` (and ``search_space(trial)`` if it can be tuned), and a line here.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import Final

from retail_gym.config import check_choice

__all__ = ["AGENTS", "agent_module", "library"]

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
