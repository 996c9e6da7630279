"""Pictures of the studies (matplotlib, no display needed)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from retail_gym.evaluation.scenarios import FIGURE_8, Comparison
from retail_gym.evaluation.statistics import Interval
from retail_gym.figures import new_figure, save_figure
from retail_gym.policies.high_low import SCENARIOS

if TYPE_CHECKING:
    import polars as pl
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]

__all__ = [
    "OURS",
    "PUBLISHED",
    "SHADES",
    "new_figure",
    "plot_elasticities",
    "plot_landscape",
    "plot_leaderboard",
    "plot_learning_curves",
    "plot_lookahead",
    "plot_pool_gains",
    "plot_scenarios",
    "save_figure",
]

_TITLES: Final = {
    "realised_discount": "Realised discount",
    "units": "Demand [units]",
    "revenue": "Revenue [$]",
    "categories_per_visiting_customer_week": "Categories per buying\ncustomer-week",
    "retention_3w": "Retention\n(last 3 weeks)",
}
_SEGMENTS: Final = ("high price sensitivity", "medium", "low")
OURS, PUBLISHED = "#2a6f97", "#c9ccd1"
SHADES = ("#8a3324", "#d08c60", "#f0c9a4")


def _bars(
    axis: Any, table: pl.DataFrame, metric: str, offset: float, width: float, **kw: Any
) -> None:
    rows = [row for row in table.iter_rows(named=True) if row["metric"] == metric]
    mean, low, high = (np.array([row[key] for row in rows]) for key in ("ours", "low", "high"))
    axis.bar(
        np.arange(len(mean)) + offset,
        mean,
        width,
        yerr=np.maximum(np.stack([mean - low, high - mean]), 0.0),
        error_kw={"lw": 0.8, "capsize": 1.5},
        **kw,
    )


def _wrapped(name: str) -> str:
    """A long name in lines that fit under a bar."""
    return name.replace("-", "-\n", 1) if len(name) > 5 else name


def plot_scenarios(comparison: Comparison, path: Path) -> Path:
    """Figure 8(a) redrawn: everybody beside the published bars, and by segment.

    Returns:
        The path of the picture written.
    """
    figure = new_figure(12.0, 5.6)
    axes = figure.subplots(2, len(FIGURE_8))
    everybody = comparison.table()
    if set(comparison.runs["segment"]) != {0, 1, 2, 3}:
        raise ValueError("the picture needs a comparison with three segments reported")
    segments = [comparison.table(s) for s in (1, 2, 3)]
    names = comparison.policies()
    ticks = np.arange(len(names))
    for column, metric in enumerate(FIGURE_8.values()):
        top, bottom = axes[0, column], axes[1, column]
        rows = {
            r["policy"]: r["published"]
            for r in everybody.iter_rows(named=True)
            if r["metric"] == metric
        }
        published = [rows[p] for p in SCENARIOS]
        if comparison.published:
            places = ticks[: len(published)] - 0.2
            top.bar(places, published, 0.38, color=PUBLISHED, label="published")
        aside = 0.2 if comparison.published else 0.0
        _bars(top, everybody, metric, aside, 0.38, color=OURS, label="ours, 95 % interval")
        top.set_title(_TITLES[metric], fontsize=10)
        for s, table in enumerate(segments):
            _bars(bottom, table, metric, 0.26 * (s - 1), 0.25, color=SHADES[s], label=_SEGMENTS[s])
        for axis in (top, bottom):
            axis.set_xticks(ticks, [_wrapped(name) for name in names])
            axis.tick_params(labelsize=8)
            axis.spines[["top", "right"]].set_visible(False)
    axes[0, 0].set_ylabel("all customers")
    axes[1, 0].set_ylabel("by segment")
    for axis in axes[:, 0]:
        axis.set_ylim(top=1.3 * axis.get_ylim()[1])  # room for the legend
        axis.legend(fontsize=7, frameon=False, loc="upper left", ncols=1)
    others = "".join(f", {name}" for name in names if name not in SCENARIOS)
    source = " (paper, Figure 8a)" if comparison.published else ""
    figure.suptitle(f"Policies I-V{source}{others}", fontsize=11)
    return save_figure(figure, path)


def plot_elasticities(
    elasticity_ui: Floats, quantity_u: Floats, elasticity_u: Floats, path: Path
) -> Path:
    """Figure 7 redrawn: elasticities of a sample, and elasticity against expected quantity.

    Args:
        elasticity_ui: elasticities of sampled customers and products, sorted by their means.
        quantity_u: expected weekly quantity of one product, per customer.
        elasticity_u: its elasticity, per customer.
        path: where the picture goes.
    """
    figure = new_figure(11.0, 4.6)
    left, right = figure.subplots(1, 2)
    image = left.imshow(elasticity_ui, aspect="auto", cmap="viridis", interpolation="nearest")
    left.set_xlabel("products, by mean elasticity")
    left.set_ylabel("customers, by mean elasticity")
    left.set_title("(a) own-price elasticity of demand", fontsize=10)
    figure.colorbar(image, ax=left)
    right.scatter(quantity_u, elasticity_u, s=14, alpha=0.6, color=OURS, linewidths=0)
    right.set_xscale("log")
    right.set_xlabel("expected quantity a week, one product (log scale)")
    right.set_ylabel("elasticity")
    right.set_title("(b) elasticity against demand, by customer", fontsize=10)
    right.grid(alpha=0.3)
    return save_figure(figure, path)


def plot_landscape(tables: dict[str, pl.DataFrame], marks: dict[str, str], path: Path) -> Path:
    """Return over depth and frequency, one panel a reward.

    Args:
        tables: reward -> grid with columns depth, frequency, return.
        marks: reward -> the best of policies I-V under it.
        path: where the picture goes.
    """
    figure = new_figure(4.2 * len(tables), 3.9)
    axes = np.atleast_1d(np.asarray(figure.subplots(1, len(tables)), dtype=object))
    for axis, (reward, table) in zip(axes, tables.items(), strict=True):
        grid = table.filter((table["depth"] > 0) & (table["frequency"] > 0))
        depth = np.unique(grid["depth"].to_numpy())
        frequency = np.unique(grid["frequency"].to_numpy())
        values = np.full((frequency.size, depth.size), np.nan)
        for row in grid.iter_rows(named=True):
            i, k = (
                np.searchsorted(frequency, row["frequency"]),
                np.searchsorted(depth, row["depth"]),
            )
            values[i, k] = row["return"]
        image = axis.pcolormesh(depth, frequency, values, cmap="magma", shading="nearest")
        figure.colorbar(image, ax=axis)
        best = grid.row(int(grid["return"].arg_max() or 0), named=True)
        axis.plot(
            best["depth"], best["frequency"], "*", ms=13, mfc="white", mec="black", label="best"
        )
        for name, (d, f) in SCENARIOS.items():
            chosen = name == marks[reward]
            axis.text(
                d, f, name, ha="center", va="center", fontsize=10 if chosen else 8,
                color="black", weight="bold" if chosen else "normal",
                bbox={"boxstyle": "round,pad=0.2", "fc": "#ffd166" if chosen else "white", "lw": 0.5},
            )  # fmt: skip
        axis.set_title(f"return under {reward}", fontsize=10)
        axis.set_xlabel("depth")
        axis.set_ylabel("frequency")
        axis.legend(loc="lower right", fontsize=7, frameon=True)
    return save_figure(figure, path)


def plot_lookahead(table: pl.DataFrame, path: Path) -> Path:
    """What looking ahead adds, one group of bars a task.

    Args:
        table: columns task, against, percent, percent_low, percent_high.
        path: where the picture goes.
    """
    tasks = table["task"].unique(maintain_order=True).to_list()
    figure = new_figure(1.8 + 1.9 * len(tasks), 3.9)
    axis = figure.subplots()
    for k, against in enumerate(table["against"].unique(maintain_order=True)):
        rows = table.filter(table["against"] == against)
        place = np.array([tasks.index(task) for task in rows["task"]]) + 0.36 * (k - 0.5)
        mean, low, high = (
            rows[name].to_numpy() for name in ("percent", "percent_low", "percent_high")
        )
        error = np.maximum(np.stack([mean - low, high - mean]), 0.0)
        axis.bar(
            place, mean, 0.34, yerr=error, color=(OURS, SHADES[1])[k], label=f"over {against}",
            error_kw={"lw": 0.9, "capsize": 2},
        )  # fmt: skip
    axis.axhline(0.0, color="black", lw=0.8)
    axis.set_xticks(range(len(tasks)), [task.replace("-", "-\n", 1) for task in tasks], fontsize=8)
    axis.set_ylabel("gain in return [%]")
    axis.set_title("Does looking ahead pay? 95 % intervals of paired differences", fontsize=10)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(fontsize=8, frameon=False)
    return save_figure(figure, path)


def plot_pool_gains(gains: Mapping[str, Floats], bound: Floats, path: Path) -> Path:
    """What each policy gains in each store of a pool, against what hindsight would gain.

    Args:
        gains: policy -> mean return minus that of the best single static policy, by store.
        bound: the same for the best static policy of each store in hindsight.
        path: of the picture.

    Returns:
        The path of the picture written.
    """
    figure = new_figure(6.4, 5.2)
    axis = figure.subplots()
    top = 1.05 * max(float(bound.max()), 0.1)
    axis.plot([0, top], [0, top], color=PUBLISHED, lw=1, label="all of the gap closed")
    axis.axhline(0.0, color="#555555", lw=0.8, label="best single static policy")
    for (name, values), colour in zip(gains.items(), (OURS, *SHADES), strict=False):
        axis.scatter(bound, values, s=22, color=colour, label=name, zorder=3)
    axis.set_xlabel("gain of the store's best static policy in hindsight [R0 per episode]")
    axis.set_ylabel("gain over the best single static policy [R0 per episode]")
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(fontsize=8, frameon=False, loc="upper left")
    axis.set_title("One point a test store", fontsize=10)
    return save_figure(figure, path)


def _panels(n: int, height: float) -> tuple[Figure, list[Any]]:
    """A figure of n panels of a height [inches], at most three in a row."""
    columns = min(n, 3)
    rows = -(-n // columns)
    figure = new_figure(4.4 * columns, height * rows)
    panels = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for spare in panels[n:]:
        spare.remove()
    return figure, panels[:n]


def plot_leaderboard(
    scores: Mapping[str, list[tuple[str, bool, Interval]]], path: Path, least: float = -0.25
) -> Path:
    """Normalised scores with their intervals, one panel a task.

    Args:
        scores: task -> (agent, whether it learns, score), the best first.
        path: of the picture.
        least: left end of the axis; scores below it are written at the edge.

    Returns:
        The path of the picture written.
    """
    figure, panels = _panels(len(scores), 0.8 + 0.22 * max(map(len, scores.values())))
    for axis, (task, rows) in zip(panels, scores.items(), strict=True):
        for k, (_, learns, score) in enumerate(rows):
            color = OURS if learns else "#777777"
            if score.mean < least:
                axis.text(
                    least + 0.02, k, f"← {score.mean:.2f}", va="center", fontsize=7, color=color
                )
                continue
            # A bootstrap interval of few values may leave its own estimate out.
            error = np.maximum([[score.mean - score.low], [score.high - score.mean]], 0.0)
            axis.errorbar(
                score.mean, k, xerr=error, fmt="o" if learns else "s", ms=4, lw=1.2, color=color
            )
        axis.axvline(0.0, color=PUBLISHED, lw=0.8)
        axis.axvline(1.0, color=PUBLISHED, lw=0.8)
        axis.set_yticks(range(len(rows)), [name for name, _, _ in rows], fontsize=7)
        axis.set_xlim(least, 1.1)
        axis.set_ylim(len(rows) - 0.5, -0.5)
        axis.tick_params(axis="x", labelsize=7)
        axis.set_title(task, fontsize=9)
        axis.set_xlabel("normalised score", fontsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    return save_figure(figure, path)


def plot_learning_curves(
    curves: pl.DataFrame, levels: Mapping[str, Mapping[str, float]], path: Path
) -> Path:
    """Validation return against steps: median and range over training seeds, one panel a task.

    Args:
        curves: columns task, agent, training_seed, steps, return.
        levels: task -> policy -> return, drawn as lines.
        path: of the picture.

    Returns:
        The path of the picture written.
    """
    tasks = [task for task in levels if task in set(curves["task"])]
    figure, panels = _panels(len(tasks), 3.4)
    for axis, task in zip(panels, tasks, strict=True):
        mine = curves.filter(curves["task"] == task)
        for (agent,), rows in mine.group_by("agent", maintain_order=True):
            points = {steps[0]: part["return"].to_numpy() for steps, part in rows.group_by("steps")}
            x = np.array(sorted(points), dtype=np.float64)
            low, middle, high = np.array([np.quantile(points[k], (0, 0.5, 1)) for k in x]).T
            (line,) = axis.plot(x, middle, lw=1.2, label=str(agent))
            axis.fill_between(x, low, high, color=line.get_color(), alpha=0.2, lw=0)
        for name, level in levels[task].items():
            axis.axhline(level, color="#777777", lw=0.8, ls="--")
            axis.annotate(name, (1.0, level), xycoords=("axes fraction", "data"), fontsize=7)
        axis.set_title(task, fontsize=9)
        axis.set_xlabel("environment steps", fontsize=8)
        axis.tick_params(labelsize=7)
        axis.legend(fontsize=7, frameon=False)
        axis.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("validation return", fontsize=8)
    return save_figure(figure, path)
