"""The paper's main comparison: policies I-V over several worlds, beside Figure 8(a)."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from retail_gym.config import atomic_write, stable_hash
from retail_gym.evaluation.metrics import METRICS
from retail_gym.evaluation.rollout import Job, run_jobs
from retail_gym.evaluation.statistics import Interval, bootstrap_mean
from retail_gym.policies.base import Policy
from retail_gym.policies.high_low import SCENARIOS, scenario
from retail_gym.world.presets import load_config
from retail_gym.world.storage import config_to_json
from retail_gym.world.store_config import StoreConfig
from retail_gym.world.world import World

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "FIGURE_8",
    "Comparison",
    "Leader",
    "compare_scenarios",
    "figure_8",
    "relative_error",
    "store_of",
]

#: Published metric -> our figure. The figure's code counts retention over three weeks.
FIGURE_8: Final = {
    "realised_discount": "realised_discount",
    "units_sold": "units",
    "revenue": "revenue",
    "categories_per_visiting_customer_week": "categories_per_visiting_customer_week",
    "retention": "retention_3w",
}


def figure_8() -> dict[str, dict[str, float]]:
    """The 25 bars of Figure 8(a) under our names: policy -> figure -> value."""
    text = resources.files(__package__).joinpath("figure8.csv").read_text(encoding="utf-8")
    return {
        row["policy"]: {ours: float(row[theirs]) for theirs, ours in FIGURE_8.items()}
        for row in csv.DictReader(text.splitlines())
    }


def relative_error(means: dict[str, dict[str, float]]) -> float:
    """Mean absolute relative error over the 25 numbers of Figure 8(a).

    Args:
        means: policy -> figure -> value.
    """
    published = figure_8()
    return float(
        np.mean(
            [
                abs(means[policy][name] / value - 1.0)
                for policy, row in published.items()
                for name, value in row.items()
            ]
        )
    )


@dataclass(frozen=True)
class Leader:
    """The policy with the largest mean of a figure, and its lead."""

    policy: str
    runner_up: str
    lead: Interval  # over the next one, as a share of the next one's mean


@dataclass(frozen=True)
class Comparison:
    """All runs of a scenario comparison, and the tables made of them."""

    runs: pl.DataFrame  # world, policy, seed, segment (0: everybody), METRICS, return
    published: bool = True  # whether Figure 8(a) is about stores like this

    def policies(self) -> list[str]:
        """The policies, in the order they were run."""
        return self.runs["policy"].unique(maintain_order=True).to_list()

    def world_means(self) -> dict[int, dict[str, dict[str, float]]]:
        """World -> policy -> figure -> mean over the luck seeds, everybody."""
        import polars as pl

        means = (
            self.runs.filter(pl.col("segment") == 0)
            .group_by("world", "policy", maintain_order=True)
            .mean()
        )
        table: dict[int, dict[str, dict[str, float]]] = {}
        for row in means.iter_rows(named=True):
            table.setdefault(row["world"], {})[row["policy"]] = {m: row[m] for m in METRICS}
        return table

    def errors(self) -> dict[int, float]:
        """Mean absolute relative error against Figure 8(a), per world; nothing for other stores."""
        if not self.published:
            return {}
        return {w: relative_error(means) for w, means in self.world_means().items()}

    def table(self, segment: int = 0) -> pl.DataFrame:
        """Ours beside the published figure.

        Columns: policy, metric, ours (mean over worlds and seeds), low and high (95 % bootstrap
        interval over worlds and seeds), published (null by segment and for other stores) and
        difference, the share by which ours is off.
        """
        import polars as pl

        published = figure_8() if segment == 0 and self.published else {}
        part = self.runs.filter(pl.col("segment") == segment)
        rows = []
        for policy in self.policies():
            of_policy = part.filter(pl.col("policy") == policy)
            for metric in METRICS:
                values = [frame[metric].to_numpy() for frame in of_policy.partition_by("world")]
                interval = bootstrap_mean(np.stack(values), resamples=2000)
                target = published.get(policy, {}).get(metric)
                rows.append(
                    {
                        "policy": policy,
                        "metric": metric,
                        "ours": interval.mean,
                        "low": interval.low,
                        "high": interval.high,
                        "published": target,
                        "difference": None if target is None else interval.mean / target - 1.0,
                    }
                )
        optional = {"published": pl.Float64, "difference": pl.Float64}
        return pl.DataFrame(rows, schema_overrides=optional)

    def orderings(self) -> dict[str, bool]:
        """Qualitative findings of the figure, each true or false in the mean over worlds."""
        worlds = self.world_means().values()

        def mean(metric: str) -> dict[str, float]:
            return {p: float(np.mean([w[p][metric] for w in worlds])) for p in SCENARIOS}

        def rising(metric: str) -> bool:
            m = mean(metric)
            alike = abs(m["I"] - m["II"]) < 0.10 * m["II"]
            return alike and max(m["I"], m["II"]) < m["III"] < min(m["IV"], m["V"])

        realised, revenue = mean("realised_discount"), mean("revenue")
        alike = abs(revenue["I"] - revenue["II"]) < 0.10 * revenue["II"]
        return {
            "demand I = II < III < IV, V": rising("units"),
            "retention I = II < III < IV, V": rising("retention_3w"),
            "penetration I = II < III < IV, V": rising("categories_per_visiting_customer_week"),
            "revenue I = II < III, IV < V": alike
            and max(revenue["I"], revenue["II"])
            < min(revenue["III"], revenue["IV"])
            <= max(revenue["III"], revenue["IV"])
            < revenue["V"],
            "realised discount highest for IV": max(realised, key=lambda p: realised[p]) == "IV",
        }

    def leader(self, metric: str) -> Leader:
        """Which policy does best on a figure, and by how much, everybody, on the same luck."""
        import polars as pl

        part = self.runs.filter(pl.col("segment") == 0)
        tables = {
            policy: np.stack(
                [frame[metric].to_numpy() for frame in rows.sort("seed").partition_by("world")]
            )
            for (policy,), rows in part.group_by("policy", maintain_order=True)
        }
        first, second = sorted(tables, key=lambda name: -float(tables[name].mean()))[:2]
        unit = abs(float(tables[second].mean())) or 1.0
        lead = bootstrap_mean((tables[first] - tables[second]) / unit, resamples=2000)
        return Leader(str(first), str(second), lead)


def compare_scenarios(
    preset: str = "scenario",
    worlds: Iterable[int] = range(10, 20),
    seeds: Iterable[int] = range(20),
    *,
    weeks: int = 53,
    segments: int = 3,
    workers: int | None = 1,
    progress: bool = False,
    cache: Path | None = None,
    beside: Mapping[str, Policy] | None = None,
    **env_kwargs: Any,
) -> Comparison:
    """Run policies I-V, and others beside them, over worlds and luck seeds.

    Args:
        preset: a preset's name or a path.
        worlds: world seeds, each another store.
        seeds: luck seeds, the same for every policy and world.
        weeks: weeks of each run.
        segments: price-sensitivity segments to report.
        workers: processes; None for one per CPU.
        progress: show a progress bar.
        cache: folder in which each finished world is kept, so that an interrupted run goes on
            where it stopped.
        beside: name -> further policy, for figures that nobody has published.
        **env_kwargs: further arguments of the environment.

    Returns:
        The comparison.
    """
    import polars as pl

    from retail_gym import __version__

    luck: Sequence[int] = list(seeds)
    stores = list(worlds)
    if not luck or not stores:
        raise ValueError("a comparison needs at least one world and one seed")
    field: dict[str, Policy] = {name: scenario(name) for name in SCENARIOS}
    if twice := field.keys() & (beside or {}).keys():
        raise ValueError(f"{', '.join(twice)} is a name of the paper's policies: choose another")
    field |= beside or {}
    store, frames = _fingerprint(preset), []
    for world in stores:
        kept = None
        if cache is not None:
            spec = [store, world, luck, weeks, segments, repr(env_kwargs), repr(field)]
            kept = cache / f"world-{world}-{stable_hash([__version__, *spec])}.parquet"
        if kept is not None and kept.exists():
            frames.append(pl.read_parquet(kept))
            continue
        kwargs = (("world_seed", world), *env_kwargs.items())
        jobs = [
            Job(preset, kwargs, name, policy, seed, weeks, segments)
            for seed in luck
            for name, policy in field.items()
        ]
        rows = run_jobs(jobs, workers, f"world {world}" if progress else None)
        frame = pl.DataFrame([{"world": world, **row} for run in rows for row in run])
        if kept is not None:
            with atomic_write(kept) as stream:
                frame.write_parquet(stream)
        frames.append(frame)
    return Comparison(pl.concat(frames, how="diagonal_relaxed"), store_of(preset).layers is None)


def store_of(preset: str) -> StoreConfig | World:
    """The configuration behind a name or file, or the world in one: both know its promotions."""
    return World.load(preset) if str(preset).endswith(".npz") else load_config(preset)


def _fingerprint(preset: str) -> str:
    """What a store is made of, so that a changed file is another store."""
    if str(preset).endswith(".npz"):
        return hashlib.sha256(Path(preset).read_bytes()).hexdigest()
    return config_to_json(load_config(preset))
