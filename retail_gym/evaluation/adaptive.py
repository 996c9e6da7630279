"""Policies over a pool of stores: the references, and how much of the gap a policy closes.

The score of a policy that does not know the store lies between two static references: the one
depth and frequency that is best for all stores, and the best of each store, known in hindsight.
A store's luck is the same for all policies; intervals draw stores first, then runs within.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from retail_gym.evaluation.rollout import Job, run_jobs
from retail_gym.evaluation.statistics import Interval, bootstrap_mean
from retail_gym.policies import SCENARIOS, HighLow, Policy, UniformRandom, no_discount, scenario
from retail_gym.world.pool import StorePool, best_single

if TYPE_CHECKING:
    import polars as pl

Floats = NDArray[np.float64]

__all__ = ["HINDSIGHT", "SINGLE", "evaluate_pool", "gap_closed", "pool_difference", "references"]

#: Names of the two references that bound the gap.
SINGLE: Final = "best single static"
HINDSIGHT: Final = "hindsight static"


def references() -> dict[str, Policy]:
    """Policies that are the same in every store; :func:`evaluate_pool` adds the hindsight."""
    return {
        "random": UniformRandom(),
        "no discount": no_discount(),
        **{name: scenario(name) for name in SCENARIOS},
        SINGLE: HighLow(*best_single()),
    }


def evaluate_pool(
    policies: Mapping[str, Policy],
    pool: StorePool,
    seeds: Iterable[int] = range(4),
    *,
    weeks: int = 53,
    workers: int | None = 1,
    progress: bool = False,
) -> pl.DataFrame:
    """Run every policy over the same seeds in every store of a pool.

    Args:
        policies: name -> policy. The best static policy of each store, if the pool has it on
            record, is added as ``hindsight static``.
        pool: the stores.
        seeds: luck of the episodes in each store.
        weeks: weeks of each episode.
        workers: processes; None for one per CPU.
        progress: show a progress bar.

    Returns:
        One row a store, policy and seed: ``world_seed``, ``policy``, ``seed``, the figures of
        :class:`RunMetrics` and ``return`` [R0 per episode].

    Raises:
        ValueError: for a policy named as the hindsight reference.
    """
    import polars as pl

    if HINDSIGHT in policies:
        raise ValueError(f"the name {HINDSIGHT!r} is kept for the best static policy of a store")
    jobs, names, luck = [], [], list(seeds)
    for k, world_seed in enumerate(pool.world_seeds):
        kwargs = (("pool", pool.part([k])),)
        here = dict(policies)
        if pool.records:
            here[HINDSIGHT] = HighLow(pool.records[k].depth, pool.records[k].frequency)
        for name, policy in here.items():
            for seed in luck:
                jobs.append(Job("RetailSynthAdaptive-v0", kwargs, name, policy, seed, weeks))
                names.append(world_seed)
    rows = run_jobs(jobs, workers, "pool" if progress else None)
    table = pl.DataFrame([row[0] for row in rows]).drop("segment")
    return table.select(pl.Series("world_seed", names), pl.all())


def _returns(runs: pl.DataFrame, policy: str) -> Floats:
    """Returns by store and seed, shape (stores, seeds)."""
    rows = runs.filter(runs["policy"] == policy).sort("world_seed", "seed")
    if rows.is_empty():
        known = ", ".join(runs["policy"].unique(maintain_order=True))
        raise ValueError(f"no policy {policy!r} in the table: it has {known}")
    return np.asarray(rows["return"].to_numpy().reshape(rows["world_seed"].n_unique(), -1))


def pool_difference(
    runs: pl.DataFrame, policy: str, baseline: str, level: float = 0.95, seed: int = 0
) -> Interval:
    """Mean paired difference of the return, with an interval over stores and seeds.

    Raises:
        ValueError: for an unknown policy.
    """
    return bootstrap_mean(_returns(runs, policy) - _returns(runs, baseline), level, seed=seed)


def gap_closed(
    runs: pl.DataFrame, policy: str, level: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> Interval:
    """Share of the gap from the best single static policy to hindsight that a policy closes.

    Args:
        runs: a table of :func:`evaluate_pool` that holds both references.
        policy: name of the policy.
        level: confidence level; stores are resampled.
        resamples: bootstrap samples.
        seed: of the resampling.

    Returns:
        0 for the best single static policy, 1 for hindsight; more is possible for a policy that
        changes its action from week to week.

    Raises:
        ValueError: for an unknown policy, or no gap.
    """
    floor = _returns(runs, SINGLE).mean(axis=1)
    gain, gap = (_returns(runs, name).mean(axis=1) - floor for name in (policy, HINDSIGHT))
    if gap.mean() <= 0.0:
        raise ValueError("hindsight is no better than the best single policy in these runs")
    picks = np.random.default_rng(seed).integers(gap.size, size=(resamples, gap.size))
    shares = gain[picks].sum(axis=1) / gap[picks].sum(axis=1)
    tail = 50.0 * (1.0 - level)
    low, high = np.percentile(shares, [tail, 100.0 - tail])
    return Interval(float(gain.sum() / gap.sum()), float(low), float(high))
