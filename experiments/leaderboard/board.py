"""What the leaderboard runs: tasks, the agents on each, and the order of the work.

Adding an agent to a task is a line in ``FULL``; a task is a :class:`StoreTask` or a
:class:`PoolTask`, or a class with the same methods.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import polars as pl

from agents.recipes import read_recipe
from agents.registry import agent_module
from experiments.references import TASKS
from retail_gym import evaluate
from retail_gym.evaluation.adaptive import HINDSIGHT, evaluate_pool
from retail_gym.evaluation.adaptive import references as pool_references
from retail_gym.evaluation.references import (
    KNOW_THE_MODEL,
    ReferenceTask,
    Seeds,
    compute_references,
)
from retail_gym.policies import Policy
from retail_gym.world.pool import shipped_pool

__all__ = ["FULL", "QUICK", "Entry", "Learner", "PlainLearner", "PoolTask", "StoreTask", "Task"]

#: How a policy came by what it does.
REFERENCE: Final = "reference"
INFORMED: Final = "reference that knows the store"
LEARNER: Final = "learner"


class Task(Protocol):
    """A task of the leaderboard."""

    @property
    def name(self) -> str:
        """Name in the tables, by which results are kept."""

    @property
    def id(self) -> str:
        """Registered id that agents are trained on; their recipes are keyed by it."""

    def settings(self) -> dict[str, Any]:
        """Everything on which a score depends, as plain values."""

    def references(self, folder: Path) -> pl.DataFrame:
        """Episodes of the references: agent, kind, best_known, store, seed, return."""

    def learn(self, learner: Learner, seed: int, folder: Path) -> Policy:
        """Train; a run that was killed goes on."""

    def score(self, policy: Policy) -> pl.DataFrame:
        """Test episodes of a policy: store, seed, return."""


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
    ) -> Policy:
        """Train on a registered id, or go on with the run in the folder."""
        policy: Policy = agent_module(self.agent).train(
            task, seed=seed, steps=self.steps, directory=directory, resume=True,
            env_kwargs=dict(env_kwargs), hyperparameters=self.hyperparameters, threads=threads,
            tensorboard=False,
        )  # fmt: skip
        return policy


@dataclass(frozen=True)
class PlainLearner(Learner):
    """An agent without recipe, so short that a killed run begins again."""

    def settings(self, task: str) -> dict[str, Any]:
        """Everything on which a run but for its seed depends."""
        return {"agent": self.agent, "steps": self.steps, "options": self.hyperparameters}

    def train(
        self,
        task: str,
        env_kwargs: Mapping[str, Any],
        seed: int,
        directory: Path,
        threads: int | None = None,
    ) -> Policy:
        """Train on a registered id, in one thread."""
        policy: Policy = agent_module(self.agent).train(
            task, seed=seed, steps=self.steps, directory=directory,
            **self.hyperparameters, **env_kwargs,
        )  # fmt: skip
        return policy


@dataclass(frozen=True)
class StoreTask:
    """Episodes in one store.

    Args:
        id: registered id that agents are trained on.
        reference: the same task for :func:`compute_references`.
        env_kwargs: arguments of the environment beyond the id's own.
        weeks: of an episode.
        seeds: how many episodes the references and the test have.
        label: name, where it is not the id.
    """

    id: str
    reference: ReferenceTask
    env_kwargs: dict[str, Any] = field(default_factory=dict)
    weeks: int = 53
    seeds: Seeds = field(default_factory=Seeds)
    label: str | None = None

    @property
    def name(self) -> str:
        """Name in the tables."""
        return self.label or self.id

    def settings(self) -> dict[str, Any]:
        """Everything on which a score depends."""
        return asdict(self)

    def references(self, folder: Path) -> pl.DataFrame:
        """The references of the task on its test seeds."""
        found = compute_references(self.reference, folder, seeds=self.seeds)
        test = found.runs.filter(pl.col("part") == "test")
        informed = pl.col("policy").is_in(KNOW_THE_MODEL)
        return test.select(
            pl.col("policy").alias("agent"),
            pl.when(informed).then(pl.lit(INFORMED)).otherwise(pl.lit(REFERENCE)).alias("kind"),
            (pl.col("policy") == found.best).alias("best_known"),
            pl.lit(None, dtype=pl.Int64).alias("store"),
            "seed",
            "return",
        )

    def learn(self, learner: Learner, seed: int, folder: Path) -> Policy:
        """Train in the store."""
        env_kwargs = self.env_kwargs | ({} if self.weeks == 53 else {"horizon": self.weeks})
        return learner.train(self.id, env_kwargs, seed, folder, threads=1)

    def score(self, policy: Policy) -> pl.DataFrame:
        """Episodes on unseen luck: the test seeds."""
        luck = self.seeds.ranges["test"]
        runs = evaluate(self.id, {"it": policy}, self.weeks, luck, **self.env_kwargs)
        return runs.select(pl.lit(None, dtype=pl.Int64).alias("store"), "seed", "return")


@dataclass(frozen=True)
class PoolTask:
    """Episodes in the unseen stores of ``RetailSynthAdaptive-v0``.

    Args:
        stores: the first so many test stores.
        episodes: in each, with seeds 0, 1, ...
        label: name, where it is not the id.
    """

    stores: int = 32
    episodes: int = 4
    label: str | None = None
    id: str = "RetailSynthAdaptive-v0"

    @property
    def name(self) -> str:
        """Name in the tables."""
        return self.label or self.id

    def settings(self) -> dict[str, Any]:
        """Everything on which a score depends."""
        return asdict(self)

    def _runs(self, policies: Mapping[str, Policy]) -> pl.DataFrame:
        pool = shipped_pool("test").part(range(self.stores))
        runs = evaluate_pool(policies, pool, range(self.episodes))
        return runs.sort("policy", "world_seed", "seed", maintain_order=True)

    def references(self, folder: Path) -> pl.DataFrame:
        """The policies that are the same everywhere, and the best of each store in hindsight."""
        policies = pool_references()
        hindsight = pl.col("policy") == HINDSIGHT
        return self._runs(policies).select(
            pl.col("policy").alias("agent"),
            pl.when(hindsight).then(pl.lit(INFORMED)).otherwise(pl.lit(REFERENCE)).alias("kind"),
            hindsight.alias("best_known"),
            pl.col("world_seed").cast(pl.Int64).alias("store"),
            "seed",
            "return",
        )

    def learn(self, learner: Learner, seed: int, folder: Path) -> Policy:
        """Train on the training stores."""
        return learner.train(self.id, {}, seed, folder)

    def score(self, policy: Policy) -> pl.DataFrame:
        """Episodes in the test stores."""
        runs = self._runs({"it": policy}).filter(pl.col("policy") == "it")
        return runs.select(pl.col("world_seed").cast(pl.Int64).alias("store"), "seed", "return")


@dataclass(frozen=True)
class Entry:
    """Learners on a task; the work is done in the order of the entries."""

    task: Task
    learners: tuple[Learner, ...]


REVENUE, MARGIN, SEGMENTS = (
    StoreTask(name, TASKS[name])
    for name in ("RetailSynth-v0", "RetailSynthMargin-v0", "RetailSynthSegments-v0")
)
ADAPTIVE: Final = PoolTask()

#: What matters most comes first, so that a run that is cut short has complete rows.
FULL: Final = (
    Entry(MARGIN, (Learner("ppo"), Learner("sac"))),
    Entry(REVENUE, (Learner("ppo"), Learner("sac"))),
    Entry(ADAPTIVE, (PlainLearner("bayes_adaptive"), Learner("ppo"), Learner("recurrent_ppo"))),
    Entry(SEGMENTS, (Learner("ppo"), Learner("sac"))),
    Entry(MARGIN, (Learner("cma"), Learner("tqc"), Learner("dqn"), Learner("recurrent_ppo"))),
    # Diagnostic: fewer runs.
    Entry(REVENUE, (Learner("cma", 3), Learner("tqc", 3), Learner("dqn", 3))),
    Entry(ADAPTIVE, (Learner("sac"),)),
)

_FEW: Final = Seeds(search=1, choice=2, test=8)
#: Minutes: the small store, few stores, short training.
QUICK: Final = (
    Entry(
        StoreTask(
            "RetailSynthMargin-v0",
            ReferenceTask("small-margin", "small", {"reward": "margin"}),
            {"preset": "small"},
            seeds=_FEW,
            label="small-margin",
        ),
        (
            Learner("ppo", 2, 20_000),
            Learner("sac", 2, 5_000),
            Learner("cma", 2, 20_000),
        ),
    ),
    Entry(
        PoolTask(stores=4, episodes=2, label="small-adaptive"),
        (PlainLearner("bayes_adaptive", 2, 3_000),),
    ),
)
