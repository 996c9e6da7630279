"""The pictures of the verdict."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from experiments.judgement.curves import LEVELS
from experiments.judgement.tables import KEYS, number, order, summary
from retail_gym.figures import new_figure, save_figure

__all__ = ["draw"]

_COLOURS: Final = {
    "real": "#444444", "complete_journey": "#2a6f97", "calibrated": "#61a5c2",
    "marginals": "#c9ccd1", "copula": "#bc6c25", "vae": "#dda15e", "gan": "#8a3324",
    "dp-gan": "#d08c60",
}  # fmt: skip
#: A ratio of distances beyond this is the darkest.
_DARKEST: Final = 30.0
LIFTS: Final = (1, 2, 5, 10, 20, 50)


def _plain(axis: Any, ticks: tuple[float, ...]) -> None:
    """Ticks of a logarithmic axis as plain numbers."""
    axis.set_ticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.set_ticks([], minor=True)


def _colour(name: str) -> str:
    return _COLOURS.get(name, "#7f7f7f")


def ratio(row: dict[str, Any]) -> float:
    """How much farther from perfect than real customers; 1 is as far, nan if it cannot be said."""
    value, ideal, ceiling = row["value"], row["ideal"], row["ceiling"]
    if value is None or ceiling is None or np.isnan(value) or np.isnan(ceiling):
        return float("nan")
    if ideal is None:  # a score: errors are compared
        return float((1.0 - value) / max(1.0 - ceiling, 1e-9))
    return float(abs(ideal - value) / max(abs(ideal - ceiling), 1e-9))


def _heat_map(rows: pl.DataFrame, path: Path) -> Path:
    found = summary(rows)
    names = order(found)
    keys = [key for part in ("fidelity", "utility") for key in KEYS[part]]
    table = {(r["candidate"], r["key"]): r for r in found.iter_rows(named=True)}
    keys = [key for key in keys if any((name, key) in table for name in names)]
    shade = np.full((len(keys), len(names)), np.nan)
    figure = new_figure(3.6 + 1.05 * len(names), 1.2 + 0.29 * len(keys), 110)
    axis = figure.subplots()
    for i, key in enumerate(keys):
        for j, name in enumerate(names):
            row = table.get((name, key))
            if row is None:
                continue
            shade[i, j] = np.log(np.clip(ratio(row), 1.0, _DARKEST))
            mark = "" if row["passed"] is not False else " *"
            dark = shade[i, j] > 0.6 * np.log(_DARKEST)
            colour = "white" if dark else "black"
            axis.text(
                j, i, number(row["value"]) + mark, ha="center", va="center", size=7, color=colour
            )
    image = axis.imshow(shade, cmap="YlOrBr", vmin=0.0, vmax=np.log(_DARKEST), aspect="auto")
    titles = [
        next(table[name, key]["title"] for name in names if (name, key) in table) for key in keys
    ]
    axis.set_yticks(range(len(keys)), titles, fontsize=7)
    axis.set_xticks(range(len(names)), names, fontsize=8)
    axis.xaxis.tick_top()
    axis.tick_params(length=0)
    ticks = [1, 2, 5, 10, 30]
    bar = figure.colorbar(image, ax=axis, ticks=np.log(ticks), shrink=0.5)
    bar.ax.set_yticklabels(
        [f"{t}x" if t < _DARKEST else f"{t}x or more" for t in ticks], fontsize=7
    )
    bar.set_label("distance from perfect, in units of real customers'", fontsize=7)
    return save_figure(figure, path)


def _association(curves: pl.DataFrame, path: Path) -> Path:
    """Lift of matched rules, candidate against real: on the diagonal it is the same."""
    names = order(curves)
    figure = new_figure(1.75 * len(names) + 0.6, 4.2, 110)
    axes = figure.subplots(2, len(names), sharex="row", sharey="row", squeeze=False)
    for column, name in enumerate(names):
        mine = curves.filter((pl.col("candidate") == name) & (pl.col("seed") == 0))
        for row, level in enumerate(LEVELS):
            axis = axes[row, column]
            part = mine.filter(pl.col("curve") == f"{level} rules")
            axis.plot([0.5, 100], [0.5, 100], color="black", lw=0.6)
            axis.plot(
                part["x"], part["y"], ".", ms=2.5, alpha=0.5, color=_colour(name), rasterized=True
            )
            axis.set(xscale="log", yscale="log")
            _plain(axis.xaxis, LIFTS)
            _plain(axis.yaxis, LIFTS)
            axis.tick_params(labelsize=6)
            axis.spines[["top", "right"]].set_visible(False)
            if not part.height:
                axis.text(
                    0.5, 0.5, "no rule\nin common", transform=axis.transAxes, ha="center", size=7
                )
        axes[0, column].set_title(name, fontsize=8)
        axes[1, column].set_xlabel("lift, real", fontsize=7)
    for row, level in enumerate(LEVELS):
        every = curves.filter(pl.col("curve") == f"{level} rules")
        if every.height:
            top = max(2.0, float(every["x"].max()), float(every["y"].max())) * 1.2  # type: ignore[arg-type]
            axes[row, 0].set(xlim=(0.7, top), ylim=(0.7, top))
        axes[row, 0].set_ylabel(f"{level} rules:\nlift, candidate", fontsize=7)
    return save_figure(figure, path)


def _shapes(curves: pl.DataFrame, path: Path) -> Path:
    """Quantiles of the lift of category pairs, and basket sizes."""
    figure = new_figure(9.5, 3.6, 110)
    axes = figure.subplots(1, 2)
    for name in order(curves):
        mine = curves.filter((pl.col("candidate") == name) & (pl.col("seed") == 0))
        style = {"color": _colour(name), "lw": 2.2 if name == "real" else 1.2, "label": name}
        for axis, curve in zip(axes, ("lift", "basket"), strict=True):
            part = mine.filter(pl.col("curve") == curve)
            axis.plot(part["x"], part["y"], **style)
    axes[0].set(yscale="log", xlabel="quantile", ylabel="lift of category pairs")
    _plain(axes[0].yaxis, (0.5, 1, 1.5, 2, 3, 5, 10))
    axes[1].set(xlabel="categories per trip, at most", ylabel="share of trips")
    for axis in axes:
        axis.tick_params(labelsize=7)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].legend(fontsize=7, frameon=False)
    return save_figure(figure, path)


def draw(rows: pl.DataFrame, curves: pl.DataFrame, folder: Path) -> dict[str, Path]:
    """Draw all pictures.

    Returns:
        Caption -> file.
    """
    found = {
        "Every measure, shaded by its distance from perfect in units of real customers' distance; "
        "* fails the judge's test": _heat_map(rows, folder / "judgement.png")
    }
    if curves.height:
        found |= {
            "Lift of the rules that a candidate has in common with real households (labels that "
            "are not shared are matched by rank of sales)": _association(
                curves, folder / "judgement_rules.png"
            ),
            "Lift of category pairs in at least 1 % of trips, and sizes of baskets": _shapes(
                curves, folder / "judgement_shapes.png"
            ),
        }
    return found
