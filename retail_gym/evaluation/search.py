"""The best static policies: a grid of depth and frequency with common random numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from retail_gym.config import check_int
from retail_gym.evaluation.rollout import Env, evaluate
from retail_gym.policies.high_low import HighLow
from retail_gym.policies.targeted import Targeted

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "DEPTHS",
    "FINE_GRID",
    "FINE_STEPS",
    "FREQUENCIES",
    "StaticSearch",
    "TargetedSearch",
    "best_static",
    "best_targeted",
    "grid",
]


def grid(depth_step: float, frequency_step: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Depths and frequencies in steps over the action box, 0 only as a depth."""
    depths = (k * depth_step for k in range(round(0.5 / depth_step) + 1))
    frequencies = (k * frequency_step for k in range(1, round(0.6 / frequency_step) + 1))
    return tuple(round(d, 6) for d in depths), tuple(round(f, 6) for f in frequencies)


#: The default grid of the searches.
DEPTHS, FREQUENCIES = grid(0.05, 0.1)
#: Steps of the fine grid, and its points: no discount, then depth by depth.
FINE_STEPS: Final = (0.025, 0.05)
FINE_GRID: Final[tuple[tuple[float, float], ...]] = (
    (0.0, 0.0),
    *((d, f) for d, f in product(*grid(*FINE_STEPS)) if d),
)


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
    score: float  # mean return of the best policy over the seeds
    rounds: int  # sweeps over all segments, the one that changed nothing included


def _points(depths: Iterable[float], frequencies: Iterable[float]) -> list[HighLow]:
    """The grid; no discount is one point, whatever the other number."""
    grid = (HighLow(d, f) for d, f in product(depths, frequencies))
    return list(dict.fromkeys(p if p.depth and p.frequency else HighLow(0.0, 0.0) for p in grid))


def best_static(
    env: Env,
    *,
    depths: Iterable[float] = DEPTHS,
    frequencies: Iterable[float] = FREQUENCIES,
    weeks: int = 53,
    seeds: Iterable[int] = range(4),
    workers: int | None = 1,
    progress: bool = False,
    **env_kwargs: Any,
) -> StaticSearch:
    """Find the depth and frequency with the best mean return.

    Every point of the grid meets the same luck. No discount is one point, whatever the
    frequency.

    Args:
        env: a world, a preset, a path or a registered id.
        depths: depths to try, in [0, 0.5].
        frequencies: frequencies to try, in [0, 0.6].
        weeks: weeks of each episode.
        seeds: luck of the episodes.
        workers: processes; None for one per CPU.
        progress: show a progress bar.
        **env_kwargs: arguments of the environment, ``reward`` above all.

    Returns:
        The best policy, its mean return and the whole grid.
    """
    import polars as pl

    points = _points(depths, frequencies)
    policies = {f"{p.depth:g},{p.frequency:g}": p for p in points}
    runs = evaluate(env, policies, weeks, seeds, workers=workers, progress=progress, **env_kwargs)
    means = runs.group_by("policy", maintain_order=True).mean().drop("seed")
    pair = means["policy"].str.split(",").to_list()
    table = means.with_columns(
        pl.Series("depth", [float(p[0]) for p in pair]),
        pl.Series("frequency", [float(p[1]) for p in pair]),
    ).drop("policy")
    best = table.row(int(table["return"].arg_max() or 0), named=True)
    return StaticSearch(HighLow(best["depth"], best["frequency"]), best["return"], table)


def best_targeted(
    env: Env,
    segments: int,
    start: HighLow,
    *,
    depths: Iterable[float] = DEPTHS,
    frequencies: Iterable[float] = FREQUENCIES,
    weeks: int = 53,
    seeds: Iterable[int] = range(4),
    workers: int | None = 1,
    progress: bool = False,
    **env_kwargs: Any,
) -> TargetedSearch:
    """Find the best depth and frequency of each segment, by coordinate search.

    One segment after the other moves to the best point of the grid while the others stay, until a
    round changes nothing. No customer's demand depends on another's, so for a reward that is a sum
    over customers (revenue, margin, retention, their sums) the first round finds the best of all
    combinations on the grid, and the second one only confirms it.

    Args:
        env: a world, a preset, a path or a registered id.
        segments: S, number of customer segments.
        start: where every segment starts, and stays unless a point of the grid is better; the
            single best policy of :func:`best_static`.
        depths: depths to try, in [0, 0.5].
        frequencies: frequencies to try, in [0, 0.6].
        weeks: weeks of each episode.
        seeds: luck of the episodes.
        workers: processes; None for one per CPU.
        progress: show a progress bar.
        **env_kwargs: arguments of the environment, ``reward`` above all.

    Returns:
        The best policy, its mean return and the number of rounds.
    """
    points, luck = _points(depths, frequencies), list(seeds)
    best = [start] * check_int("segments", segments, 1)
    score, rounds, moved = -np.inf, 0, True
    while moved:
        moved, rounds = False, rounds + 1
        for s in range(segments):
            # The present one first: of equal ones it stays.
            tried = [[*best[:s], p, *best[s + 1 :]] for p in dict.fromkeys([best[s], *points])]
            policies = {
                f"{k}": Targeted([(p.depth, p.frequency) for p in pairs])
                for k, pairs in enumerate(tried)
            }
            runs = evaluate(
                env, policies, weeks, luck, workers=workers, progress=progress,
                segments=segments, **env_kwargs,
            )  # fmt: skip
            means = runs.group_by("policy", maintain_order=True).mean()["return"]
            top = int(means.arg_max() or 0)
            score, moved = float(means[top]), moved or top > 0
            best = tried[top]
    return TargetedSearch(Targeted([(p.depth, p.frequency) for p in best]), score, rounds)
