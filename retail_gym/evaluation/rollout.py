"""Running policies: one episode in full, or many policies over many seeds.

With seed s every policy meets the luck of ``env.reset(seed=s)``: the same customers with the
same draws (common random numbers), so that differences between policies are paired.
"""

from __future__ import annotations

import os
import pickle
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from retail_gym.config import check_int
from retail_gym.envs.multi_objective import MultiObjectivePricingEnv
from retail_gym.envs.pricing import RetailPricingEnv
from retail_gym.evaluation.metrics import METRICS, RunMetrics
from retail_gym.policies.base import Policy
from retail_gym.policies.episodes import play
from retail_gym.policies.high_low import scenario
from retail_gym.world.store_config import StoreConfig
from retail_gym.world.world import World

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Env", "Job", "Run", "evaluate", "make_env", "play", "run_jobs", "simulate"]

Env = str | os.PathLike[str] | World | StoreConfig


@dataclass(frozen=True)
class Run:
    """The result of one simulated episode."""

    metrics: dict[str, float]  # by the names of METRICS, and "return"
    rewards: NDArray[np.float64]  # one a week
    segments: list[dict[str, float]]  # the figures per reporting segment, if asked for
    transactions: pl.DataFrame | None  # with record=True

    @property
    def score(self) -> float:
        """Undiscounted sum of rewards."""
        return float(self.rewards.sum())


@dataclass(frozen=True)
class Job:
    """One episode to run: an environment, a policy and a seed."""

    env: Env
    kwargs: tuple[tuple[str, Any], ...]
    name: str
    policy: Policy
    seed: int
    weeks: int
    segments: int = 0  # reporting segments


def make_env(env: Env, weeks: int, kwargs: Mapping[str, Any]) -> RetailPricingEnv:
    """The environment behind a world, a preset, a path or a registered id.

    Raises:
        ValueError: for anything else, or for ``horizon`` among the arguments.
    """
    if not isinstance(env, str | os.PathLike | World | StoreConfig):
        raise ValueError(f"give a World, a preset, a path or a registered id, not {env!r:.60}")
    if "horizon" in kwargs:
        raise ValueError("the number of weeks is the argument weeks, not horizon")
    if isinstance(env, str) and (env in gym.registry or ":" in env):
        made: Any = gym.make(env, horizon=weeks, disable_env_checker=True, **kwargs).unwrapped
        if not isinstance(made, RetailPricingEnv):
            raise ValueError(
                f"{env} is not a retail pricing environment (a coupon store is played by "
                "retail_gym.envs.coupon_views.play)"
            )
        if isinstance(made, MultiObjectivePricingEnv):
            raise ValueError(
                f"{env} has a reward vector and no one return: evaluate a scalar id, where revenue, "
                "margin and retention are columns of the table"
            )
        return made
    return RetailPricingEnv(env, horizon=weeks, **kwargs)


def _run(env: RetailPricingEnv, job: Job, record: bool = False) -> Run:
    everybody = RunMetrics(env.world.n_customers)
    by_segment = None
    rewards, frames = [], []
    for outcome, reward in play(env, job.policy, job.seed):
        if job.segments and by_segment is None:  # once the episode has its store
            group_u = np.empty(env.world.n_customers, dtype=np.int64)
            for s, customers in enumerate(env.world.segment_customers(job.segments)):
                group_u[customers] = s
            by_segment = RunMetrics(group_u=group_u)
        everybody.add(outcome)
        if by_segment is not None:
            by_segment.add(outcome)
        rewards.append(reward)
        if record:
            frames.append(outcome.transactions())
    transactions = None
    if record:
        import polars as pl

        transactions = pl.concat(frames)
    metrics = everybody.total() | {"return": float(np.sum(rewards))}
    groups = [] if by_segment is None else by_segment.groups()
    return Run(metrics, np.array(rewards), groups, transactions)


def simulate(
    env: Env,
    policy: Policy,
    weeks: int = 53,
    seed: int = 0,
    record: bool = False,
    segments_reported: int = 0,
    **env_kwargs: Any,
) -> Run:
    """Run one policy for one episode.

    Args:
        env: a :class:`World`, a preset, a path or a registered id.
        policy: ``policy(observation, week) -> action``.
        weeks: weeks to run.
        seed: luck: that of ``env.reset(seed=seed)``.
        record: keep every purchase line in ``.transactions``.
        segments_reported: number of price-sensitivity segments whose figures to report.
        **env_kwargs: arguments of the environment (``reward``, ``segments``, ...).

    Returns:
        The run: ``.metrics``, ``.rewards``, ``.score``, ``.segments``, ``.transactions``.
    """
    weeks = check_int("weeks", weeks, 1)
    if not callable(policy):
        raise ValueError(f"a policy is a callable policy(observation, week), not {policy!r}")
    job = Job(env, (), "policy", policy, check_int("seed", seed, 0), weeks, segments_reported)
    return _run(make_env(env, weeks, env_kwargs), job, record)


_cached_env: tuple[Job, RetailPricingEnv] | None = None


def _run_job(job: Job) -> list[dict[str, Any]]:
    """Rows of one job; the environment is kept for the next job of the same store."""
    global _cached_env
    kept, spec = _cached_env, (job.env, job.kwargs, job.weeks)
    if kept is None or (kept[0].env, kept[0].kwargs, kept[0].weeks) != spec:
        kept = _cached_env = (job, make_env(job.env, job.weeks, dict(job.kwargs)))
    run = _run(kept[1], job)
    base = {"policy": job.name, "seed": job.seed}
    rows = [base | {"segment": 0} | run.metrics]
    rows += [base | {"segment": s + 1} | figures for s, figures in enumerate(run.segments)]
    return rows


def run_jobs(
    jobs: Sequence[Job], workers: int | None = 1, progress: str | None = None
) -> list[list[dict[str, Any]]]:
    """Run episodes, in this process or in several, and return their rows in order.

    Args:
        jobs: the episodes; neighbours of the same store share one environment.
        workers: processes; None for one per CPU. The rows do not depend on it.
        progress: label of a progress bar, None for none.

    Raises:
        ValueError: if a policy cannot be sent to another process.
    """
    global _cached_env
    from tqdm import tqdm

    _cached_env = None  # a file may have changed since the last call
    count = os.cpu_count() or 1 if workers is None else check_int("workers", workers, 1)
    bar = tqdm(total=len(jobs), desc=progress, disable=progress is None, unit="run")
    results: list[list[dict[str, Any]]] = [[] for _ in jobs]
    with bar, tempfile.TemporaryDirectory(prefix="retail_gym-") as folder:
        if min(count, len(jobs)) <= 1:
            for k, job in enumerate(jobs):
                results[k] = _run_job(job)
                bar.update()
            return results
        sent = [_portable(job, Path(folder)) for job in jobs]
        # Compile here, once, where that is due; the processes then find it on disk.
        simulate("tiny", scenario("III"), weeks=2)
        # Spawned, not forked: a fork copies the threads' locks of other libraries.
        with ProcessPoolExecutor(min(count, len(jobs)), mp_context=get_context("spawn")) as pool:
            futures = {pool.submit(_run_job, job): k for k, job in enumerate(sent)}
            try:
                for future in as_completed(futures):
                    results[futures[future]] = future.result()
                    bar.update()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    return results


def _portable(job: Job, folder: Path) -> Job:
    """The job with its world on disk, checked to fit through to another process."""
    if isinstance(job.env, World):
        path = folder / f"{id(job.env)}.npz"
        if not path.exists():
            job.env.save(path)
        job = Job(path, job.kwargs, job.name, job.policy, job.seed, job.weeks, job.segments)
    for what, part in ((f"policy {job.name!r}", job.policy), ("an argument", job.kwargs)):
        try:
            pickle.dumps(part)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise ValueError(
                f"{what} cannot be sent to another process ({error}). Define it at the top level "
                "of a module, or use workers=1"
            ) from None
    return job


def evaluate(
    env: Env,
    policies: Mapping[str, Policy],
    weeks: int = 53,
    seeds: Iterable[int] = range(20),
    *,
    workers: int | None = 1,
    progress: bool = False,
    **env_kwargs: Any,
) -> pl.DataFrame:
    """Run every policy over the same seeds.

    Args:
        env: a :class:`World`, a preset, a path or a registered id.
        policies: name -> policy.
        weeks: weeks of each episode.
        seeds: luck of each episode; the same for every policy.
        workers: processes; None for one per CPU. With more than one, call from under
            ``if __name__ == "__main__":``.
        progress: show a progress bar.
        **env_kwargs: arguments of the environment (``reward``, ``segments``, ...).

    Returns:
        One row a policy and seed: ``policy``, ``seed``, the figures of :data:`METRICS` (see
        :class:`RunMetrics`) and ``return``, the undiscounted sum of rewards.
    """
    import polars as pl

    weeks = check_int("weeks", weeks, 1)
    if not hasattr(policies, "items") or not all(map(callable, policies.values())):
        raise ValueError("policies must map names to callables policy(observation, week)")
    try:
        luck = [check_int("seed", seed, 0) for seed in seeds]
    except TypeError:
        raise ValueError(f"seeds must be several, as range(20) or [3], got {seeds!r}") from None
    if len(set(luck)) < len(luck):
        raise ValueError("seeds must differ from one another")
    if not policies or not luck:
        raise ValueError("evaluate needs at least one policy and one seed")
    kwargs = tuple(env_kwargs.items())
    jobs = [
        Job(env, kwargs, name, policy, seed, weeks)
        for name, policy in policies.items()
        for seed in luck
    ]
    rows = run_jobs(jobs, workers, "evaluate" if progress else None)
    return pl.DataFrame([row[0] for row in rows]).select("policy", "seed", *METRICS, "return")
