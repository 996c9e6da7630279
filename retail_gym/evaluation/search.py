"""The best static policy: a grid of depth and frequency with common random numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from retail_gym.evaluation.rollout import Env, evaluate
from retail_gym.policies.high_low import HighLow

if TYPE_CHECKING:
    import polars as pl

__all__ = ["DEPTHS", "FREQUENCIES", "StaticSearch", "best_static"]

#: The default grid: 0.05 x 0.1 over the action box.
DEPTHS = tuple(np.round(np.arange(0.0, 0.501, 0.05), 3).tolist())
FREQUENCIES = tuple(np.round(np.arange(0.1, 0.601, 0.1), 3).tolist())


@dataclass(frozen=True)
class StaticSearch:
    """Result of :func:`best_static`."""

    policy: HighLow
    score: float  # mean return of the best policy over the seeds
    table: pl.DataFrame  # depth, frequency, return (mean over seeds), every figure likewise


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

    grid = [HighLow(d, f) for d, f in product(depths, frequencies)]
    points = {p if p.depth and p.frequency else HighLow(0.0, 0.0): None for p in grid}
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
