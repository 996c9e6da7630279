"""Searches from a start: fixed actions by their neighbours, schedules by blocks of weeks.

Every candidate of a search meets the same luck (common random numbers).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from retail_gym.envs.actions import MAX_DEPTH, MAX_FREQUENCY
from retail_gym.evaluation.response import Pair
from retail_gym.evaluation.rollout import Env, evaluate
from retail_gym.policies.base import Policy
from retail_gym.policies.cyclic import Schedule
from retail_gym.policies.targeted import Targeted

__all__ = ["FINE", "Climb", "ScheduleSearch", "best_schedule", "climb"]

#: Steps of depth and frequency to which a search is refined.
FINE: Final[Pair] = (0.025, 0.05)


@dataclass(frozen=True)
class Climb:
    """Result of :func:`climb`."""

    policy: Targeted
    score: float  # mean return over the seeds
    tried: int  # points simulated

    @property
    def pairs(self) -> list[Pair]:
        """Depth and frequency of each segment."""
        return [(segment.depth, segment.frequency) for segment in self.policy.segments]


@dataclass(frozen=True)
class ScheduleSearch:
    """Result of :func:`best_schedule`."""

    policy: Schedule
    score: float  # mean return over the seeds
    start_score: float  # that of the start, never higher


def climb(
    env: Env,
    start: Sequence[Pair],
    *,
    steps: Pair = FINE,
    weeks: int = 53,
    seeds: Iterable[int] = range(8),
    workers: int | None = 1,
    progress: bool = False,
    **env_kwargs: Any,
) -> Climb:
    """Improve a fixed action until no neighbour is better, one segment after the other.

    From the best point of a coarse grid (:func:`~retail_gym.evaluation.best_static`) it finds the
    best of the fine grid where the return has one hill.

    Args:
        env: a world, a preset, a path or a registered id.
        start: (depth, frequency) of each segment, or one pair for all of them.
        steps: steps of depth and frequency.
        weeks: weeks of each episode.
        seeds: luck of the episodes.
        workers: processes; None for one per CPU.
        progress: show a progress bar.
        **env_kwargs: arguments of the environment.

    Returns:
        The best policy found, never worse than the start on these seeds.
    """
    luck = list(seeds)
    score: dict[tuple[Pair, ...], float] = {}

    def simulate(points: Iterable[tuple[Pair, ...]]) -> None:
        new = {str(point): point for point in points if point not in score}
        if not new:
            return
        policies: dict[str, Policy] = {name: Targeted(point) for name, point in new.items()}
        runs = evaluate(
            env, policies, weeks, luck, workers=workers, progress=progress, **env_kwargs
        )
        means = runs.group_by("policy", maintain_order=True).mean()
        score.update(
            (new[name], value) for name, value in means.select("policy", "return").iter_rows()
        )

    best = tuple((float(d), float(f)) if d and f else (0.0, 0.0) for d, f in start)
    simulate([best])
    moved = True
    while moved:
        moved = False
        for s in range(len(best)):
            simulate((*best[:s], pair, *best[s + 1 :]) for pair in _neighbours(best[s], steps))
            top = max(score, key=lambda point: score[point])
            best, moved = top, moved or top != best
    return Climb(Targeted(best), score[best], len(score))


def _neighbours(pair: Pair, steps: Pair) -> list[Pair]:
    """The eight points around a pair, or as many as lie in the action box."""
    if pair == (0.0, 0.0):
        pair = (0.0, MAX_FREQUENCY)  # no discount is next to the smallest depth, however frequent
    moved = [
        (round(pair[0] + i * steps[0], 6), round(pair[1] + j * steps[1], 6))
        for i, j in product((-1, 0, 1), repeat=2)
        if i or j
    ]
    inside = [(d, f) for d, f in moved if 0.0 <= d <= MAX_DEPTH and 0.0 <= f <= MAX_FREQUENCY]
    # No discount is one point, whatever the other number.
    return list(dict.fromkeys(p if p[0] and p[1] else (0.0, 0.0) for p in inside))


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
