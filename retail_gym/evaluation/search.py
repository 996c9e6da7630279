"""Searches over policies that do not look: fixed actions, and schedules of the whole horizon.

Every candidate of a search meets the same luck (common random numbers).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from retail_gym.envs.actions import MAX_DEPTH, MAX_FREQUENCY
from retail_gym.evaluation.rollout import Env, evaluate
from retail_gym.policies.base import Policy
from retail_gym.policies.cyclic import Schedule
from retail_gym.policies.high_low import HighLow
from retail_gym.policies.targeted import Targeted

if TYPE_CHECKING:
    import polars as pl

Pair = tuple[float, float]

__all__ = [
    "DEPTHS",
    "FINE",
    "FREQUENCIES",
    "ScheduleSearch",
    "StaticSearch",
    "TargetedSearch",
    "best_schedule",
    "best_static",
    "best_targeted",
]

#: The default grid: 0.05 x 0.1 over the action box.
DEPTHS = tuple(np.round(np.arange(0.0, 0.501, 0.05), 3).tolist())
FREQUENCIES = tuple(np.round(np.arange(0.1, 0.601, 0.1), 3).tolist())
#: Steps of depth and frequency to which a search is refined.
FINE: Final[Pair] = (0.025, 0.05)


@dataclass(frozen=True)
class StaticSearch:
    """Result of :func:`best_static`."""

    policy: HighLow
    score: float  # mean return of the best policy over the seeds
    table: pl.DataFrame  # depth, frequency, return (mean over seeds), every figure likewise


@dataclass(frozen=True)
class TargetedSearch:
    """Result of :func:`best_targeted`."""

    policy: Targeted
    score: float  # mean return over the seeds
    tried: int  # points simulated


@dataclass(frozen=True)
class ScheduleSearch:
    """Result of :func:`best_schedule`."""

    policy: Schedule
    score: float  # mean return over the seeds
    start_score: float  # that of the start, never higher


class _Scores:
    """Mean returns of the points simulated so far; a point has one pair for each segment."""

    def __init__(self, env: Env, **settings: Any) -> None:
        self._env, self._settings = env, settings
        self.rows: dict[tuple[Pair, ...], dict[str, float]] = {}

    def add(self, points: Iterable[tuple[Pair, ...]]) -> None:
        """Simulate the points that are new. No discount is one point, whatever the frequency."""
        wanted = [tuple(p if p[0] and p[1] else (0.0, 0.0) for p in point) for point in points]
        new = {str(point): point for point in wanted if point not in self.rows}
        if not new and self.rows:
            return
        policies: dict[str, Policy] = {
            name: HighLow(*point[0]) if len(point) == 1 else Targeted(point)
            for name, point in new.items()
        }
        runs = evaluate(self._env, policies, **self._settings)
        means = runs.group_by("policy", maintain_order=True).mean().drop("seed")
        for row in means.iter_rows(named=True):
            self.rows[new[row.pop("policy")]] = row

    def best(self) -> tuple[Pair, ...]:
        """The point with the largest mean return."""
        return max(self.rows, key=lambda point: self.rows[point]["return"])

    def climb(self, steps: Pair) -> None:
        """Try the neighbours of the best point, segment by segment, until none is better."""
        while True:
            best = self.best()
            for s in range(len(best)):
                at = self.best()
                self.add((*at[:s], pair, *at[s + 1 :]) for pair in _neighbours(at[s], steps))
            if self.best() == best:
                return


def _neighbours(pair: Pair, steps: Pair) -> list[Pair]:
    """The eight points around a pair, or as many as lie in the action box."""
    if pair == (0.0, 0.0):
        pair = (0.0, MAX_FREQUENCY)  # no discount has a neighbour at the largest frequency
    moved = [
        (round(pair[0] + i * steps[0], 6), round(pair[1] + j * steps[1], 6))
        for i, j in product((-1, 0, 1), repeat=2)
        if i or j
    ]
    return [(d, f) for d, f in moved if 0.0 <= d <= MAX_DEPTH and 0.0 <= f <= MAX_FREQUENCY]


def best_static(
    env: Env,
    *,
    depths: Iterable[float] = DEPTHS,
    frequencies: Iterable[float] = FREQUENCIES,
    refine: Pair | None = None,
    weeks: int = 53,
    seeds: Iterable[int] = range(4),
    workers: int | None = 1,
    progress: bool = False,
    **env_kwargs: Any,
) -> StaticSearch:
    """Find the depth and frequency with the best mean return, the same for every segment.

    No discount is one point, whatever the frequency.

    Args:
        env: a world, a preset, a path or a registered id.
        depths: depths to try, in [0, 0.5].
        frequencies: frequencies to try, in [0, 0.6].
        refine: steps of depth and frequency, e.g. :data:`FINE`: from the best point of the grid
            on, neighbours at these steps are tried until none is better. The best of the whole
            fine grid where the return has one hill.
        weeks: weeks of each episode.
        seeds: luck of the episodes.
        workers: processes; None for one per CPU.
        progress: show a progress bar.
        **env_kwargs: arguments of the environment, ``reward`` above all.

    Returns:
        The best policy, its mean return and every point tried.
    """
    import polars as pl

    settings = {"weeks": weeks, "seeds": list(seeds), "workers": workers, "progress": progress}
    scores = _Scores(env, **settings, **env_kwargs)
    scores.add(((d, f),) for d, f in product(depths, frequencies))
    if refine is not None:
        scores.climb(refine)
    (best,) = scores.best()
    rows = [{"depth": p[0], "frequency": p[1], **row} for (p,), row in scores.rows.items()]
    return StaticSearch(HighLow(*best), scores.rows[(best,)]["return"], pl.DataFrame(rows))


def best_targeted(
    env: Env,
    start: Sequence[Pair],
    *,
    steps: Pair = FINE,
    weeks: int = 53,
    seeds: Iterable[int] = range(4),
    workers: int | None = 1,
    progress: bool = False,
    **env_kwargs: Any,
) -> TargetedSearch:
    """Improve one pair per segment, a segment at a time, until no neighbour is better.

    Args:
        env: a world, a preset, a path or a registered id.
        start: (depth, frequency) of each segment, e.g. the best static pair for all of them.
        steps: steps of depth and frequency.
        weeks: weeks of each episode.
        seeds: luck of the episodes.
        workers: processes; None for one per CPU.
        progress: show a progress bar.
        **env_kwargs: arguments of the environment, ``segments`` above all.

    Returns:
        The best policy found, never worse than the start on these seeds.
    """
    settings = {"weeks": weeks, "seeds": list(seeds), "workers": workers, "progress": progress}
    scores = _Scores(env, **settings, **env_kwargs)
    scores.add([tuple((float(d), float(f)) for d, f in start)])
    scores.climb(steps)
    best = scores.best()
    return TargetedSearch(Targeted(best), scores.rows[best]["return"], len(scores.rows))


def best_schedule(
    env: Env,
    start: Schedule,
    proposals: Iterable[Schedule] = (),
    *,
    steps: Pair = FINE,
    rounds: int = 1,
    weeks: int = 53,
    seeds: Iterable[int] = range(8),
    workers: int | None = 1,
    progress: bool = False,
    **env_kwargs: Any,
) -> ScheduleSearch:
    """Find a good action for every week of the horizon, written down beforehand.

    The best of the start and the proposals is improved a block of weeks at a time: the first
    week, the last, the three before it, and all others.

    Args:
        env: a world, a preset, a path or a registered id.
        start: the schedule to start from, e.g. the best static policy every week.
        proposals: other schedules, e.g. the model's (:meth:`StoreModel.schedule`).
        steps: steps of depth and frequency.
        rounds: passes over the blocks; 0 to choose among start and proposals only.
        weeks: weeks of each episode.
        seeds: luck of the episodes.
        workers: processes; None for one per CPU.
        progress: show a progress bar.
        **env_kwargs: arguments of the environment.

    Returns:
        The best schedule found, never worse than the start on these seeds.
    """
    luck = list(seeds)

    def means(schedules: list[Schedule]) -> list[float]:
        named = {str(k): schedule for k, schedule in enumerate(schedules)}
        runs = evaluate(env, named, weeks, luck, workers=workers, progress=progress, **env_kwargs)
        table = runs.group_by("policy", maintain_order=True).mean()
        return [float(value) for value in table["return"]]

    candidates = [start, *proposals]
    values = means(candidates)
    best = int(np.argmax(values))
    schedule, score, start_score = candidates[best], values[best], values[0]
    edges = sorted({0, 1, max(weeks - 4, 1), max(weeks - 1, 1), weeks})
    for _ in range(rounds):
        before = score
        for first, last in pairwise(edges):
            moved = _moved(schedule, weeks, slice(first, last), steps)
            values = means(moved)
            best = int(np.argmax(values))
            if values[best] > score:
                schedule, score = moved[best], values[best]
        if score == before:
            break
    return ScheduleSearch(schedule, score, start_score)


def _moved(schedule: Schedule, weeks: int, block: slice, steps: Pair) -> list[Schedule]:
    """Schedules with one number of one segment moved up or down in a block of weeks."""
    actions: NDArray[np.float64] = np.array(
        [schedule(np.zeros(0, dtype=np.float32), week) for week in range(1, weeks + 1)],
        dtype=np.float64,
    )
    limit = np.tile([MAX_DEPTH, MAX_FREQUENCY], actions.shape[1] // 2)
    step = np.tile(steps, actions.shape[1] // 2)
    moved = []
    for column, sign in product(range(actions.shape[1]), (-1.0, 1.0)):
        other = actions.copy()
        shifted = other[block, column] + sign * step[column]
        other[block, column] = np.round(np.clip(shifted, 0.0, limit[column]), 6)
        moved.append(Schedule(other))
    return moved
