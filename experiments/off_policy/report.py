"""Errors and coverage of the estimates: tables and the picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import polars as pl

from retail_gym.config import atomic_write

__all__ = ["COVERED", "draw", "report", "summary"]

#: An interval that claims 95 % and covers less than this is not to be believed.
COVERED: Final = 0.85
#: Names of the estimators where weeks are taken apart.
APART: Final = {"is": "IPS", "wis": "SNIPS", "dr": "DR, weeks apart", "fqe": "DM"}
_KEYS: Final = ("problem", "behaviour", "episodes", "reading", "horizon", "estimator")
_LABELS: Final = {"near": "near log", "far": "far log (uniform)"}


def summary(rows: pl.DataFrame) -> pl.DataFrame:
    """Errors over the logs of a size, as shares of the true value.

    Columns: ``bias``, ``rmse``, ``median`` absolute error, ``coverage`` of the intervals, ``ess``
    (median effective sample size), ``logs``, and
    ``trusted``: a smaller error than the log's own mean, which ignores that the policies differ,
    and coverage of at least 85 %. An estimate that is undefined counts as 0.
    """
    error = (pl.col("value").fill_nan(0.0) / pl.col("truth") - 1.0).alias("error")
    covered = (pl.col("low") <= pl.col("truth")) & (pl.col("truth") <= pl.col("high"))
    table = (
        rows.with_columns(error, covered=covered.fill_null(False))
        .group_by(_KEYS, maintain_order=True)
        .agg(
            bias=pl.col("error").mean(),
            rmse=(pl.col("error") ** 2).mean().sqrt(),
            median=pl.col("error").abs().median(),
            coverage=pl.col("covered").mean(),
            ess=pl.col("effective").median(),
            truth=pl.col("truth").first(),
            truth_se=pl.col("truth_se").first(),
            logs=pl.len(),
        )
    )
    keys = ["problem", "behaviour", "episodes", "horizon"]
    ignored = table.filter(pl.col("estimator") == "log").select(*keys, ignored="rmse")
    return table.join(ignored, on=keys, how="left", maintain_order="left").with_columns(
        trusted=(pl.col("rmse") < pl.col("ignored")) & (pl.col("coverage") >= COVERED)
    )


def _cell(row: dict[str, Any]) -> str:
    def percent(share: float) -> str:
        return f"{100 * share:.1f}" if share < 0.0995 else f"{100 * share:.0f}"

    size = "> 1000" if row["rmse"] > 9.995 else percent(row["rmse"])
    if row["estimator"] == "log":
        return f"{size} %"
    text = f"{size} % ({100 * row['coverage']:.0f})"
    return f"**{text}**" if row["trusted"] else text


def _name(row: dict[str, Any]) -> str:
    name = str(row["estimator"])
    return APART[name] if row["reading"] == "bandit" else name


def digest(table: pl.DataFrame, horizons: tuple[int, ...] = (4, 53)) -> list[str]:
    """Logs of the middle size, some horizons: lines of one table for all problems."""
    columns: dict[str, dict[str, str]] = {}
    for (problem, behaviour), part in table.group_by("problem", "behaviour", maintain_order=True):
        sizes = part["episodes"].unique(maintain_order=True).to_list()
        middle = part.filter(pl.col("episodes") == sizes[len(sizes) // 2])
        for horizon in horizons:
            cells = middle.filter(pl.col("horizon") == horizon).iter_rows(named=True)
            columns[f"{problem}, {behaviour}, {horizon}"] = {_name(r): _cell(r) for r in cells}
    names = dict.fromkeys(name for column in columns.values() for name in column)
    text = ["| estimator | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name in names:
        shown = [column.get(name, "") for column in columns.values()]
        text.append(f"| {name} | " + " | ".join(shown) + " |")
    return text


def report(rows: pl.DataFrame) -> str:
    """One table for all problems, and one for each and its logging policy, as markdown."""
    table = summary(rows)
    text = ["### All, logs of the middle size; problem, log, weeks", "", *digest(table), ""]
    for (problem, behaviour), part in table.group_by("problem", "behaviour", maintain_order=True):
        truths = part.filter(pl.col("estimator") == "log").unique("horizon", maintain_order=True)
        said = ", ".join(
            f"{r['truth']:.3f} ± {r['truth_se']:.3f}" for r in truths.iter_rows(named=True)
        )
        sizes = part["episodes"].unique(maintain_order=True).to_list()
        n_logs = {n: part.filter(pl.col("episodes") == n)["logs"][0] for n in sizes}
        horizons = part["horizon"].unique(maintain_order=True).to_list()
        heads = [f"{h} weeks, {n}" for h in horizons for n in sizes]
        text += [
            f"### {problem}, {_LABELS[str(behaviour)]}",
            "",
            f"True values over {', '.join(map(str, horizons))} weeks: {said}. "
            f"Logs of {', '.join(f'{n} episodes ({k} logs)' for n, k in n_logs.items())}.",
            "",
            "| estimator | " + " | ".join(heads) + " |",
            "|---" * (len(heads) + 1) + "|",
        ]
        found = {(_name(r), r["horizon"], r["episodes"]): r for r in part.iter_rows(named=True)}
        for name in dict.fromkeys(key[0] for key in found):
            shown = [found.get((name, h, n)) for h in horizons for n in sizes]
            text.append(
                f"| {name} | " + " | ".join("" if r is None else _cell(r) for r in shown) + " |"
            )
        ess = [found["is", h, n]["ess"] for h in horizons for n in sizes]
        text += ["| effective sample size | " + " | ".join(f"{e:.3g}" for e in ess) + " |", ""]
    return "\n".join(text)


def draw(rows: pl.DataFrame, path: Path) -> Path:
    """Error over the horizon, a panel a problem and logging policy, logs of the middle size.

    Errors beyond the axis are drawn on its edge.

    Args:
        rows: of the study.
        path: of the picture.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.lines import Line2D

    table = summary(rows)
    problems = table["problem"].unique(maintain_order=True).to_list()
    colours = {"is": "C3", "pdis": "C1", "wis": "C5", "wpdis": "C4", "dr": "C0", "wdr": "C9", "fqe": "C2", "fqe_types": "C8"}  # fmt: skip
    figure, axes = plt.subplots(
        2, len(problems), figsize=(4.6 * len(problems), 7.4), sharex=True, squeeze=False
    )
    for column, problem in enumerate(problems):
        for row, behaviour in enumerate(("near", "far")):
            axis = axes[row][column]
            part = table.filter(pl.col("problem") == problem, pl.col("behaviour") == behaviour)
            sizes = part["episodes"].unique(maintain_order=True).to_list()
            size = sizes[len(sizes) // 2]
            part = part.filter(pl.col("episodes") == size)
            _panel(axis, part, colours)
            axis.set_title(f"{problem}, {_LABELS[behaviour]}\n{size} logged episodes", fontsize=10)
            if row == 1:
                axis.set_xlabel("weeks")
            if column == 0:
                axis.set_ylabel("root mean square error / true value")
    handles = [
        Line2D([], [], color=c, marker="o", label=n.replace("_types", ", types of customers known"))
        for n, c in colours.items()
    ]
    handles += [
        Line2D([], [], color="grey", linestyle="--", label="mean of the log"),
        Line2D([], [], color="black", marker="D", linestyle="", label="weeks apart (bandit)"),
        Line2D([], [], color="black", marker="o", fillstyle="none", linestyle="",
               label="hollow: interval covers < 85 %"),
    ]  # fmt: skip
    figure.legend(handles=handles, loc="lower center", ncol=6, fontsize=9, frameon=False)
    figure.tight_layout(rect=(0, 0.07, 1, 1))
    with atomic_write(path) as stream:
        figure.savefig(stream, dpi=110, format="png")
    plt.close(figure)
    return path


def _panel(axis: Any, part: pl.DataFrame, colours: dict[str, str]) -> None:
    low, high = 2e-3, 5.0
    ticks = part["horizon"].unique(maintain_order=True).to_list()
    ignored = part.filter(pl.col("estimator") == "log").sort("horizon")
    axis.plot(ignored["horizon"], ignored["rmse"], "--", color="grey")
    for name, colour in colours.items():
        for reading, marker, shift in (("sequence", "o", 1.0), ("bandit", "D", 1.3)):
            rows = part.filter(pl.col("estimator") == name, pl.col("reading") == reading)
            rows = rows.sort("horizon")
            if rows.is_empty():
                continue
            x = [shift * h for h in rows["horizon"]]
            y = rows["rmse"].clip(low, high).to_list()
            axis.plot(x, y, "-", color=colour, linewidth=1.2)
            for a, b, coverage in zip(x, y, rows["coverage"], strict=True):
                full = coverage >= COVERED
                axis.plot(a, b, marker, color=colour, mfc=colour if full else "white", zorder=3)
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_ylim(low, 1.15 * high)
    axis.set_xticks(ticks, [str(tick) for tick in ticks])
    axis.minorticks_off()
    axis.set_yticks([0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0],
                    ["0.3 %", "1 %", "3 %", "10 %", "30 %", "100 %", "300 %"])  # fmt: skip
    axis.grid(alpha=0.25)
