"""How good is a calibrated store, and the files that say so: preset, scores, pictures."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from retail_gym import __version__
from retail_gym.calibration.blocks import simulate_store
from retail_gym.calibration.pipeline import Calibration
from retail_gym.calibration.target import Target, responses
from retail_gym.config import atomic_write, stable_hash, to_toml
from retail_gym.data.table import Transactions
from retail_gym.evaluation.realism import (
    SCORES,
    Ceiling,
    PairAgreement,
    PairLifts,
    RealismReport,
    compare,
    noise_ceiling,
    pair_agreement,
    profile,
)
from retail_gym.world.store_config import StoreConfig

__all__ = ["Judgement", "judge", "write_calibration"]


@dataclass(frozen=True)
class Judgement:
    """A store beside a real table."""

    report: RealismReport = field(repr=False)
    figures: dict[str, tuple[float, float]]  # name -> real, simulated (mean over seeds)
    pairs: PairAgreement | None  # lifts of the real table and of all runs together
    ceiling: Ceiling | None = field(repr=False)

    def describe(self) -> str:
        """The judgement as text."""
        lines = [self.report.describe(), f"{'':48}{'real':>9}{'simulated':>11}"]
        lines += [
            f"  {name:46}{real:>9.3f}{simulated:>11.3f}"
            for name, (real, simulated) in self.figures.items()
        ]
        if self.pairs is not None:
            lines.append(
                f"lifts of {self.pairs.pairs:,} pairs of categories: rank correlation "
                f"{self.pairs.spearman:.3f}"
            )
        return "\n".join(lines)

    def plain(self) -> dict[str, Any]:
        """The judgement as plain values."""
        rows = self.report.frame.drop("title").rows_by_key("metric", named=True, unique=True)
        return {
            "against": self.report.real.name,
            "customers": self.report.real.n_customers,
            "seeds": len(self.report.simulated),
            "scores": {key: dict(row) for key, row in rows.items()},
            "figures": {k: {"real": r, "simulated": s} for k, (r, s) in self.figures.items()},
            "pairs": None if self.pairs is None else asdict(self.pairs),
            "ceiling": None if self.ceiling is None else self.ceiling.describe(),
        }


def _figures(table: Transactions) -> dict[str, float]:
    names = ("discounted_share", "discount_depth")
    return {key: table.facts[key] for key in names} | responses(table)


def judge(
    config: StoreConfig,
    real: Transactions,
    labels: Sequence[object],
    *,
    seeds: Sequence[int] = range(10),
    pool: Transactions | None = None,
    tick: Callable[[int], None] = lambda seed: None,
) -> Judgement:
    """Simulate a store and compare it with a real table of as many customers.

    Args:
        config: the store.
        real: the real table.
        labels: names of the store's categories, in order.
        seeds: of the simulated stores and their luck.
        pool: other real customers, for the noise ceiling; None for no ceiling.
        tick: called after every simulation with its seed.
    """
    profiles, figures = [], []
    together: np.ndarray[Any, Any] = np.zeros((len(labels), len(labels)), dtype=np.int64)
    trips = 0
    for seed in seeds:
        table = simulate_store(config, seed, real.n_customers, real.n_weeks)
        one = profile(table)
        place = np.array(one.lifts.labels, dtype=np.int64)
        together[np.ix_(place, place)] += one.lifts.together_jk
        trips += one.lifts.n_trips
        profiles.append(one)
        figures.append(_figures(table))
        tick(seed)
    wanted, other = profile(real), _figures(real)
    ceiling = None
    if pool is not None and pool.n_customers >= real.n_customers:
        ceiling = noise_ceiling(pool, against=real)
    seen = np.diag(together) > 0
    lifts = PairLifts(
        tuple(label for label, ok in zip(labels, seen, strict=True) if ok),
        together[np.ix_(seen, seen)],
        trips,
    )
    try:
        pairs: PairAgreement | None = pair_agreement(wanted.lifts, lifts)
    except ValueError:  # too few pairs
        pairs = None
    mean = {key: float(np.mean([row[key] for row in figures])) for key in other}
    return Judgement(
        compare(wanted, profiles, ceiling),
        {key: (other[key], mean[key]) for key in other},
        pairs,
        ceiling,
    )


def write_calibration(
    found: Calibration, target: Target, judgement: Judgement, out: Path, data: str
) -> list[Path]:
    """Write the preset, its scores and its pictures.

    Args:
        found: the calibration.
        target: what it was fitted to.
        judgement: of the store.
        out: file of the preset, ``.toml``; the others get its name.
        data: where the table is from, for the record.

    Returns:
        The files.
    """
    from retail_gym.calibration.pictures import plot_fit, plot_progress

    record = {
        "data": data,
        "table": target.table.name,
        "customers": target.table.n_customers,
        "weeks": target.weeks,
        "customers_compared": target.size,
        "effort": found.effort.name,
        "seed": found.seed,
        "config_hash": stable_hash(found.config),
        "versions": _versions(),
        "judgement": judgement.plain(),
        "categories": [str(label) for label in target.labels],
    }
    scores = judgement.report
    head = [
        f"# {found.config.name}: calibrated with retail-gym {__version__}",
        f"# to {target.table.n_customers:,} customers of {data}, {target.weeks} weeks",
        f"# ({found.effort.name} effort, seed {found.seed}); judged on {scores.real.name}:",
        f"# mean of the eight headline scores {scores.mean('mean_of_eight'):.3f}, "
        f"lift {scores.mean('lift_ks'):.3f}.",
        f"# All scores and the names of the categories: {out.with_suffix('.json').name}",
    ]
    text = "\n".join(head) + "\n" + to_toml(found.config)
    with atomic_write(out) as stream:
        stream.write(text.encode())
    with atomic_write(out.with_suffix(".json")) as stream:
        stream.write(json.dumps(record, indent=1).encode())
    pictures = [out.with_name(f"{out.stem}_{kind}.png") for kind in ("fit", "progress")]
    plot_fit(scores, pictures[0])
    plot_progress(found, pictures[1])
    return [out, out.with_suffix(".json"), *pictures]


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    packages = ("numpy", "scipy", "numba", "polars", "cmaes")
    return {
        "retail-gym": __version__,
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
    }


def score_rows(judgement: Judgement) -> list[list[str]]:
    """Rows of a table for the screen: measure, real, simulated, score, ceiling."""
    rows = []
    for row in judgement.report.frame.iter_rows(named=True):
        if row["metric"] in SCORES:
            numbers = [row[key] for key in ("real", "simulated", "score", "ceiling")]
            texts = ["-" if v is None or np.isnan(v) else f"{v:.3f}" for v in numbers]
            rows.append([row["title"], *texts])
    return rows
