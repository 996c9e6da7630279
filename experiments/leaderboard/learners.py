"""Learning agents as the leaderboard trains them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agents.recipes import read_recipe
from agents.registry import agent_module

__all__ = ["Learner", "PlainLearner"]


@dataclass(frozen=True)
class Learner:
    """An agent with a recipe (``agents/hyperparameters``) in the registry.

    Args:
        agent: its name there.
        seeds: training runs, with seeds 0, 1, ...
        steps: environment steps of each; None for the recipe's.
        hyperparameters: keys of the recipe to set otherwise.
    """

    agent: str
    seeds: int = 5
    steps: int | None = None
    hyperparameters: dict[str, Any] = field(default_factory=dict)

    def settings(self, task: str) -> dict[str, Any]:
        """Everything on which a run but for its seed depends."""
        recipe = read_recipe(self.agent, task, self.hyperparameters)
        return {"agent": self.agent, "steps": self.steps, "recipe": recipe.table()}

    def train(
        self,
        task: str,
        env_kwargs: Mapping[str, Any],
        seed: int,
        directory: Path,
        threads: int | None = None,
    ) -> Any:
        """Train on a registered id, or go on with the run in the folder."""
        return agent_module(self.agent).train(
            task, seed=seed, steps=self.steps, directory=directory, resume=True,
            env_kwargs=dict(env_kwargs), hyperparameters=self.hyperparameters, threads=threads,
            tensorboard=False,
        )  # fmt: skip


@dataclass(frozen=True)
class PlainLearner(Learner):
    """An agent without recipe, so short that a killed run begins again."""

    def settings(self, task: str) -> dict[str, Any]:
        """Everything on which a run but for its seed depends."""
        return {"agent": self.agent, "steps": self.steps, "options": self.hyperparameters}
