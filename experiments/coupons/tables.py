"""Ratios to the random policy with errors over independent stores; tables and the picture."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import polars as pl

from retail_gym.config import atomic_write
from retail_gym.evaluation.statistics import Interval, paired_difference

__all__ = [
    "PUBLISHED",
    "Estimate",
    "corrected_table",
    "coupons_by_run",
    "distances",
    "draw",
    "gain_in_r0",
    "headline",
    "ratio",
    "replication_table",
]

#: Figure -> (mean, standard error) by agent, from AgentSim's notebook. Its category penetration
#: equals its demand, in value and error.
PUBLISHED: Final[dict[str, dict[str, tuple[float, float]]]] = {}
with (
    resources.files(__name__.rpartition(".")[0])
    .joinpath("agentsim_table1.csv")
    .open(encoding="utf-8") as _stream
):
    for _row in csv.DictReader(_stream):
        PUBLISHED[_row["agent"]] = {
            name: (float(_row[name]), float(_row[f"{name}_se"]))
            for name in ("revenue", "demand", "retention", "coupon")
        }

#: Column of our rows behind each published figure: AgentSim counts demand one week late.
COUNTED: Final = {
    "revenue": "revenue",
    "demand": "demand_lagged",
    "retention": "retention",
    "coupon": "coupon",
}
CORRECTED: Final = ("revenue", "demand", "retention", "penetration", "coupon")


class Estimate(NamedTuple):
    """A mean over stores and its standard error."""

    mean: float
    se: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} ± {self.se:.3f}"


def ratio(rows: pl.DataFrame, agent: str, figure: str, baseline: str = "random") -> Estimate:
    """Mean over stores of a figure, as a ratio to the baseline in the same store.

    Runs of an agent in one store are averaged first: stores are independent, runs in one store
    are not, so the error is that of the stores (clustered) and copies of a row change nothing.

    Args:
        rows: columns store, agent, run and figures.
        agent: whose.
        figure: column.
        baseline: agent in the denominator.

    Raises:
        ValueError: for an unknown agent, or if the two were not run in the same stores.
    """
    means = []
    for name in (agent, baseline):
        of_agent = rows.filter(pl.col("agent") == name)
        if of_agent.is_empty():
            known = ", ".join(sorted(rows["agent"].unique()))
            raise ValueError(f"no agent {name!r} in the table: it has {known}")
        means.append(of_agent.group_by("store").agg(pl.col(figure).mean()).sort("store"))
    if not means[0]["store"].equals(means[1]["store"]):
        raise ValueError(f"{agent} and {baseline} were not run in the same stores")
    values = means[0][figure].to_numpy() / means[1][figure].to_numpy()
    spread = values.std(ddof=1) if values.size > 1 else np.nan
    return Estimate(float(values.mean()), float(spread / np.sqrt(values.size)))


def _agent(published: str) -> str:
    return "fixed_0" if published == "no_coupon" else published


def distances(rows: pl.DataFrame) -> dict[tuple[str, str], float]:
    """(ours - published) / published error, by agent and figure; 0 where both are exactly 0."""
    found = {}
    for agent, figures in PUBLISHED.items():
        for figure, (mean, se) in figures.items():
            gap = ratio(rows, _agent(agent), COUNTED[figure]).mean - mean
            found[agent, figure] = gap / se if se else (0.0 if gap == 0.0 else float("inf"))
    return found


def replication_table(rows: pl.DataFrame) -> str:
    """Ours and published side by side, as markdown, with the distance in published errors."""
    lines = [
        "| agent | " + " | ".join(f"{name}: ours (published; distance)" for name in COUNTED) + " |",
        "|" + "---|" * (len(COUNTED) + 1),
    ]
    gaps = distances(rows)
    for agent, figures in PUBLISHED.items():
        cells = []
        for figure, (mean, se) in figures.items():
            ours = ratio(rows, _agent(agent), COUNTED[figure])
            cells.append(f"{ours} ({mean:.3f} ± {se:.3f}; {gaps[agent, figure]:+.1f})")
        lines.append(f"| {agent} | " + " | ".join(cells) + " |")
    inside = sum(abs(gap) <= 2.0 for gap in gaps.values())
    lines.append(f"\n{inside} of {len(gaps)} ratios within two published standard errors.")
    return "\n".join(lines)


def coupons_by_run(rows: pl.DataFrame) -> str:
    """Mean coupon [%] of each training run of the deep agents: what the luck of training does."""
    said = []
    for agent in ("PPO", "NeuralBoltzmann", "DQN"):
        of_run = rows.filter(pl.col("agent") == agent).group_by("run").agg(pl.col("coupon").mean())
        values = of_run.sort("run")["coupon"]
        said.append(f"{agent} " + ", ".join(f"{100 * value:.1f}" for value in values) + " %")
    return "; ".join(said) + "."


def corrected_table(rows: pl.DataFrame, agents: Sequence[str]) -> str:
    """Ratios to random with clustered errors, as markdown, the best revenue first."""
    table = {name: [ratio(rows, name, figure) for figure in CORRECTED] for name in agents}
    lines = ["| agent | " + " | ".join(CORRECTED) + " |", "|" + "---|" * (len(CORRECTED) + 1)]
    for name in sorted(agents, key=lambda key: -table[key][0].mean):
        lines.append(f"| {name} | " + " | ".join(str(cell) for cell in table[name]) + " |")
    return "\n".join(lines)


def gain_in_r0(
    rows: pl.DataFrame, scales: Mapping[int, float], agent: str, baseline: str
) -> Interval:
    """Gain in revenue over another agent [%], stores weighted by R0, with a 95 % interval.

    The revenue of both is taken in units of the store's R0; the gain is the mean paired
    difference over stores, in per cent of the baseline's mean.

    Args:
        rows: of one setting: columns store, agent, run and revenue.
        scales: R0 [$] of each store.
        agent: whose gain.
        baseline: over whom.
    """
    scale = pl.col("store").replace_strict(dict(scales), return_dtype=pl.Float64)
    table = (
        rows.with_columns(revenue=pl.col("revenue") / scale)
        .group_by(policy=pl.col("agent"), seed=pl.col("store"))
        .agg(pl.col("revenue").mean())
        .sort("policy", "seed")
    )
    whole = 100.0 / table.filter(pl.col("policy") == baseline)["revenue"].mean()
    gain = paired_difference(table, agent, baseline, "revenue")
    return Interval(whole * gain.mean, whole * gain.low, whole * gain.high)


def headline(rows: pl.DataFrame, scales: Mapping[int, float]) -> str:
    """Gains over the best arm that is the same for everybody, in R0, by agent; one line each."""
    agents = rows["agent"].unique(maintain_order=True).to_list()
    fixed = [name for name in agents if name.startswith("fixed_")]
    best = fixed[0]
    for name in fixed[1:]:
        best = name if gain_in_r0(rows, scales, name, best).mean > 0.0 else best
    lines = [f"Revenue in R0 over {best}, the best arm for everybody, paired over stores [%]:", ""]
    for name in ("static_model", "far_sighted_oracle", *PUBLISHED):
        if name in agents:
            gain = gain_in_r0(rows, scales, name, best)
            lines.append(f"* {name} {gain.mean:+.1f} [{gain.low:.1f}, {gain.high:.1f}]")
    return "\n".join(lines)


def draw(parts: dict[str, pl.DataFrame], path: Path) -> Path:
    """Revenue ratios: published against replicated, and the corrected ones per setting.

    Args:
        parts: rows by part: ``agentsim``, ``independent``, and the settings.
        path: of the picture.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(parts) - 1, figsize=(5 * (len(parts) - 1), 4.5))
    names = list(PUBLISHED)
    place = np.arange(len(names))
    sources: dict[str, list[Any]] = {
        "published": [PUBLISHED[name]["revenue"] for name in names],
        "its stores, rerun": [ratio(parts["agentsim"], _agent(n), "revenue") for n in names],
        "independent draws": [ratio(parts["independent"], _agent(n), "revenue") for n in names],
    }
    for k, (label, cells) in enumerate(sources.items()):
        mean, se = np.array(cells).T
        axes[0].errorbar(mean, place + 0.2 * (k - 1), xerr=2 * se, fmt="o", label=label)
    axes[0].set_yticks(place, names)
    axes[0].legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncol=3, fontsize=8)
    axes[0].set_title("AgentSim's Table 1 and its replication")
    others = [name for name in parts if name not in ("agentsim", "independent")]
    for axis, setting in zip(axes[1:], others, strict=True):
        agents = shown_agents(parts[setting])
        cells = {name: ratio(parts[setting], name, "revenue") for name in agents}
        order = sorted(agents, key=lambda name: cells[name].mean)
        mean, se = np.array([cells[name] for name in order]).T
        axis.errorbar(mean, np.arange(len(order)), xerr=2 * se, fmt="o", color="C2")
        axis.set_yticks(np.arange(len(order)), order)
        axis.set_title(f"corrected, {setting}")
    for axis in axes:
        axis.axvline(1.0, color="grey", linewidth=0.8)
        axis.set_xlabel("revenue / random (± 2 standard errors)")
        axis.invert_yaxis() if axis is axes[0] else None
    figure.tight_layout()
    with atomic_write(path) as stream:
        figure.savefig(stream, dpi=110, format="png")
    plt.close(figure)
    return path


def shown_agents(rows: pl.DataFrame) -> list[str]:
    """Agents of the corrected table: of the fixed arms only the best one and none at all."""
    agents = rows["agent"].unique(maintain_order=True).to_list()
    fixed = [name for name in agents if name.startswith("fixed_")]
    best = max(fixed, key=lambda name: ratio(rows, name, "revenue").mean)
    return [name for name in agents if name not in fixed or name in (best, "fixed_0")]
