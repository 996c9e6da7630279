"""Intervals for comparisons: paired differences and bootstrap over seeds and worlds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Interval", "bootstrap_mean", "paired_difference"]


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
