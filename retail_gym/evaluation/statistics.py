"""Intervals for comparisons: paired differences, and bootstraps over seeds, worlds and runs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    import polars as pl

Floats = NDArray[np.float64]

__all__ = [
    "Interval",
    "bootstrap_iqm",
    "bootstrap_mean",
    "interquartile_mean",
    "paired_difference",
    "probability_of_improvement",
]


@dataclass(frozen=True)
class Interval:
    """An estimate and its confidence interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.4g} [{self.low:.4g}, {self.high:.4g}]"


def bootstrap_mean(
    values: ArrayLike, level: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> Interval:
    """Mean with a percentile bootstrap interval.

    Args:
        values: shape (n,), independent runs; or (W, n), runs nested in worlds: then worlds are
            drawn first and runs within each, so the interval speaks of other worlds too.
        level: confidence level in (0, 1).
        resamples: bootstrap samples.
        seed: of the resampling.

    Returns:
        The interval; without width where there is a single value.

    Raises:
        ValueError: for no values or values that are not finite.
    """
    table = np.atleast_1d(np.asarray(values, dtype=np.float64))
    if not 0.0 < level < 1.0:
        raise ValueError(f"level must lie between 0 and 1, got {level!r}")
    if table.size == 0 or not np.isfinite(table).all():
        raise ValueError("a bootstrap needs finite values, at least one")
    generator = np.random.default_rng(seed)
    if table.ndim == 1:
        picks = generator.integers(table.size, size=(resamples, table.size))
        means = table[picks].mean(axis=1)
    else:
        worlds, runs = table.shape
        outer = generator.integers(worlds, size=(resamples, worlds))
        means = np.zeros(resamples)
        for k in range(worlds):  # one world of every resample at a time: bounded memory
            inner = generator.integers(runs, size=(resamples, runs))
            means += table[outer[:, k, None], inner].mean(axis=1) / worlds
    tail = 50.0 * (1.0 - level)
    low, high = np.percentile(means, [tail, 100.0 - tail])
    return Interval(float(table.mean()), float(low), float(high))


def _column(frame: pl.DataFrame, policy: str, metric: str) -> dict[int, float]:
    rows = frame.filter(frame["policy"] == policy)
    if rows.is_empty():
        known = ", ".join(frame["policy"].unique(maintain_order=True))
        raise ValueError(f"no policy {policy!r} in the table: it has {known}")
    if rows["seed"].n_unique() != rows.height:
        raise ValueError(
            f"policy {policy!r} has a seed more than once: compare one world at a time"
        )
    return dict(zip(rows["seed"].to_list(), rows[metric].to_list(), strict=True))


def paired_difference(
    frame: pl.DataFrame,
    policy: str,
    baseline: str,
    metric: str = "return",
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Mean difference of a figure between two policies on the same seeds.

    Args:
        frame: a table of :func:`retail_gym.evaluate`.
        policy: name of the one.
        baseline: name of the other.
        metric: column to compare.
        level: confidence level.
        seed: of the bootstrap.

    Returns:
        Mean of policy minus baseline, with a bootstrap interval over seeds.

    Raises:
        ValueError: for an unknown policy or column, or different seeds.
    """
    if metric not in frame.columns:
        raise ValueError(f"no column {metric!r}: the table has {', '.join(frame.columns)}")
    one, other = (_column(frame, name, metric) for name in (policy, baseline))
    if one.keys() != other.keys():
        raise ValueError(f"{policy} and {baseline} were not run on the same seeds")
    differences: NDArray[np.float64] = np.array([one[s] - other[s] for s in sorted(one)])
    return bootstrap_mean(differences, level, seed=seed)


def interquartile_mean(values: ArrayLike) -> Floats:
    """Mean of the middle half along the last axis (Agarwal et al. 2021).

    Args:
        values: shape (..., n). floor(n / 4) values are left out at either end, so three are
            averaged of five, and all of three or fewer.

    Returns:
        Shape (...).
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64), axis=-1)
    out = ordered.shape[-1] // 4
    return np.asarray(ordered[..., out : ordered.shape[-1] - out].mean(axis=-1))


def _runs(values: ArrayLike) -> Floats:
    """Training runs by luck, shape (K, C), checked; repetitions of one luck are averaged."""
    table = np.asarray(values, dtype=np.float64)
    if table.ndim < 2 or table.size == 0 or not np.isfinite(table).all():
        raise ValueError(f"give finite returns of shape (runs, luck), got shape {table.shape}")
    by_luck: Floats = table.reshape(*table.shape[:2], -1).mean(axis=2)
    return by_luck


@lru_cache(maxsize=2)
def _luck_drawn(n_luck: int, resamples: int, seed: int) -> NDArray[np.int64]:
    """How often each luck is drawn; kept, for all rows of a table meet the same."""
    generator = np.random.default_rng(seed)
    return generator.multinomial(n_luck, np.full(n_luck, 1.0 / n_luck), size=resamples)


def _crossed(
    rows: Floats, n_runs: int, resamples: int, seed: int
) -> tuple[Floats, NDArray[np.int64]]:
    """Luck and runs drawn again: means of each row, shape (resamples, rows), and the runs."""
    n_luck = rows.shape[1]
    drawn = np.random.default_rng([seed, n_runs]).integers(n_runs, size=(resamples, n_runs))
    return _luck_drawn(n_luck, resamples, seed) @ rows.T / n_luck, drawn


def _percentiles(estimate: float, values: Floats, level: float) -> Interval:
    tail = 50.0 * (1.0 - level)
    low, high = np.percentile(values, [tail, 100.0 - tail])
    return Interval(estimate, float(low), float(high))


def bootstrap_iqm(
    runs: ArrayLike,
    bounds: tuple[ArrayLike, ArrayLike] | None = None,
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Interval:
    """Interquartile mean over training runs of the mean return, with a bootstrap interval.

    Training runs and luck are crossed, every run meets the same luck; both are drawn again,
    independently of each other. With few runs the interval is somewhat narrow: a bootstrap of
    five values does not know how rare they are.

    Args:
        runs: shape (K, C) or (K, C, E): K runs on C episodes, or on C stores with E episodes
            each (stores are drawn, their episodes stay together).
        bounds: returns, shape (C,) or (C, E), of the policies that score 0 and 1 on the same
            luck; the result is then the normalised score.
        level: confidence level in (0, 1).
        resamples: bootstrap samples.
        seed: of the resampling.

    Returns:
        The interval; one run has only that of its luck.

    Raises:
        ValueError: for tables that are empty, not finite or of different luck, or equal bounds.
    """
    table = _runs(runs)
    rows = [table]
    for bound in bounds or ():
        row = _runs(np.asarray(bound, dtype=np.float64)[None])
        if row.shape[1] != table.shape[1]:
            raise ValueError(f"runs meet {table.shape[1]} lucks, a bound {row.shape[1]}")
        rows.append(row)
    every, n_runs = np.concatenate(rows), len(table)
    means, drawn = _crossed(every, n_runs, resamples, seed)
    means = np.concatenate([every.mean(axis=1)[None], means])  # the sample itself first
    scores = means[:, :n_runs]
    if bounds is not None:
        zero, one = means[:, n_runs, None], means[:, n_runs + 1, None]
        if float(zero[0, 0]) == float(one[0, 0]):
            raise ValueError("the policies that score 0 and 1 earn the same")
        scores = (scores - zero) / (one - zero)
    values = interquartile_mean(np.take_along_axis(scores[1:], drawn, axis=1))
    return _percentiles(float(interquartile_mean(scores[0])), values, level)


def probability_of_improvement(
    runs: ArrayLike,
    baseline: ArrayLike,
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Interval:
    """How often a run earns more than a baseline on the same luck; a tie counts half.

    Args:
        runs: shape (K, C) or (K, C, E), as for :func:`bootstrap_iqm`.
        baseline: returns on the same luck, shape (C,) or (C, E).
        level: confidence level.
        resamples: bootstrap samples.
        seed: of the bootstrap over runs and luck.

    Returns:
        The share of (run, episode) pairs; 0.5 where there is no difference.

    Raises:
        ValueError: for tables that are empty, not finite or of different shapes.
    """
    table, other = (np.asarray(values, dtype=np.float64) for values in (runs, baseline))
    if table.shape[1:] != other.shape:
        raise ValueError(f"runs met luck of shape {table.shape[1:]}, the baseline {other.shape}")
    wins = _runs(0.5 * (np.sign(table - other) + 1.0))
    means, drawn = _crossed(wins, len(wins), resamples, seed)
    return _percentiles(
        float(wins.mean()), np.take_along_axis(means, drawn, axis=1).mean(axis=1), level
    )
