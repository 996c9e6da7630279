"""Tasks of the leaderboard: their references, how agents are trained, on what they are scored."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import gymnasium as gym
import polars as pl

from experiments.coupons.episodes import SegmentRule
from experiments.coupons.references import FarSightedOracle, Knowledge, Oracle
from experiments.leaderboard.learners import Learner
from retail_gym import evaluate
from retail_gym.envs.coupon_views import CouponPolicy, FixedArm, UniformCoupons, play
from retail_gym.envs.coupons import COUPON_LEVELS, RetailCouponEnv
from retail_gym.evaluation.adaptive import HINDSIGHT, evaluate_pool
from retail_gym.evaluation.adaptive import references as pool_references
from retail_gym.evaluation.references import (
    KNOW_THE_MODEL,
    ReferenceTask,
    Seeds,
    compute_references,
)
from retail_gym.policies import SCENARIOS, Policy
from retail_gym.world.pool import shipped_pool

__all__ = [
    "INFORMED",
    "LEARNER",
    "REFERENCE",
    "YARDSTICK",
    "CouponTask",
    "PoolTask",
    "StoreTask",
    "Task",
]

#: How a policy came by what it does.
REFERENCE: Final = "reference"
YARDSTICK: Final = "yardstick"  # a reference among those whose best is to be beaten
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

    def learn(self, learner: Learner, seed: int, folder: Path) -> Any:
        """Train; a run that was killed goes on."""

    def score(self, policy: Any) -> pl.DataFrame:
        """Test episodes of a policy: store, seed, return."""


def _kind(informed: Iterable[str], yardsticks: Iterable[str]) -> pl.Expr:
    """The column of a reference's kind."""
    name = pl.col("policy")
    known = pl.when(name.is_in(list(informed))).then(pl.lit(INFORMED))
    both = known.when(name.is_in(list(yardsticks))).then(pl.lit(YARDSTICK))
    return both.otherwise(pl.lit(REFERENCE)).alias("kind")


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
        return test.select(
            pl.col("policy").alias("agent"),
            _kind(KNOW_THE_MODEL, SCENARIOS),
            (pl.col("policy") == found.best).alias("best_known"),
            pl.lit(None, dtype=pl.Int64).alias("store"),
            "seed",
            "return",
        )

    def learn(self, learner: Learner, seed: int, folder: Path) -> Any:
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
        return self._runs(policies).select(
            pl.col("policy").alias("agent"),
            _kind([HINDSIGHT], SCENARIOS),
            (pl.col("policy") == HINDSIGHT).alias("best_known"),
            pl.col("world_seed").cast(pl.Int64).alias("store"),
            "seed",
            "return",
        )

    def learn(self, learner: Learner, seed: int, folder: Path) -> Any:
        """Train on the training stores."""
        return learner.train(self.id, {}, seed, folder)

    def score(self, policy: Policy) -> pl.DataFrame:
        """Episodes in the test stores."""
        runs = self._runs({"it": policy}).filter(pl.col("policy") == "it")
        return runs.select(pl.col("world_seed").cast(pl.Int64).alias("store"), "seed", "return")


@dataclass(frozen=True)
class CouponTask:
    """Episodes of ``RetailSynthCoupons-v0`` in stores that no agent has trained in.

    Args:
        preset: the setting.
        stores: world seeds 0, 1, ...
        label: name, where it is not the id.
    """

    preset: str = "coupon_brand_loyalty"
    stores: int = 12
    label: str | None = None
    id: str = "RetailSynthCoupons-v0"

    @property
    def name(self) -> str:
        """Name in the tables."""
        return self.label or self.id

    def settings(self) -> dict[str, Any]:
        """Everything on which a score depends."""
        return asdict(self)

    def _runs(
        self, policies: Callable[[RetailCouponEnv, int], Mapping[str, CouponPolicy]]
    ) -> pl.DataFrame:
        """One episode in each store, with the store's number as seed; for policies of a store."""
        rows = []
        for store in range(self.stores):
            env: Any = gym.make(self.id, preset=self.preset, world_seed=store).unwrapped
            for name, policy in policies(env, store).items():
                log = play(env, policy, seed=store)
                value = float(log.rewards.mean(axis=1).sum())
                rows.append({"policy": name, "store": store, "seed": store, "return": value})
        return pl.DataFrame(rows)

    def references(self, folder: Path) -> pl.DataFrame:
        """Random coupons, each coupon for everybody, and those who know the model."""
        fixed: dict[str, CouponPolicy]
        fixed = {f"{100 * level:.0f} %": FixedArm(k) for k, level in enumerate(COUPON_LEVELS)}
        best = "far_sighted"

        def policies(env: RetailCouponEnv, store: int) -> dict[str, CouponPolicy]:
            known = Knowledge(env, 1_000_000 + store)  # averages over other luck
            informed: dict[str, CouponPolicy]
            informed = {"segment_rule": SegmentRule(env), "oracle": Oracle(known)}
            return {
                "random": UniformCoupons(), **fixed, **informed, best: FarSightedOracle(known)
            }  # fmt: skip

        return self._runs(policies).select(
            pl.col("policy").alias("agent"),
            _kind(["segment_rule", "oracle", best], fixed),
            (pl.col("policy") == best).alias("best_known"),
            "store",
            "seed",
            "return",
        )

    def learn(self, learner: Learner, seed: int, folder: Path) -> Any:
        """Train in the training stores."""
        return learner.train(self.id, {"preset": self.preset}, seed, folder)

    def score(self, policy: CouponPolicy) -> pl.DataFrame:
        """Episodes in the test stores."""
        return self._runs(lambda env, store: {"it": policy}).drop("policy")
