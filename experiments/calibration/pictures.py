"""Pictures of the calibration study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from experiments.calibration.elasticity import LITERATURE
from retail_gym.evaluation.realism import (
    DISTRIBUTIONS,
    HEADLINE,
    Empirical,
    Profile,
    ks_complement,
)
from retail_gym.evaluation.simulated_elasticities import SimulatedElasticities
from retail_gym.figures import new_figure, save_figure
from retail_gym.plotting import OURS, PUBLISHED, SHADES

__all__ = [
    "FIGURE_5",
    "FIGURE_6",
    "plot_distributions",
    "plot_elasticities",
    "plot_pairs",
    "plot_parts",
    "plot_prices",
]

#: Distributions of the paper's Figures 5 and 6.
FIGURE_5: Final = ("price", "catsize")
FIGURE_6: Final = (
    "visit_cust", "cat_prob", "prod_prob", "qty", "tslp", "ncat", "nitem", "prodweek",
)  # fmt: skip
#: Drawn over the logarithm, zeros at the left edge.
LOGARITHMIC: Final = {"cat_prob", "prod_prob", "nitem", "price", "catsize", "qty", "prodweek"}
WHOLE: Final = {"qty", "tslp", "ncat", "nitem", "prodweek", "catsize"}
BINS: Final = 36


def _pooled(several: Sequence[Empirical]) -> Empirical:
    """The points of several tables as one distribution."""
    values = np.concatenate([one.values for one in several])
    found, place = np.unique(values, return_inverse=True)
    counts = np.bincount(place, weights=np.concatenate([one.counts for one in several]))
    return Empirical(found, counts.astype(np.int64))


def _edges(key: str, sides: Sequence[Empirical]) -> NDArray[np.float64]:
    """Bins that hold all but the outermost 0.1 % of every side."""
    low = min(one.quantile(0.001) for one in sides)
    high = max(one.quantile(0.999) for one in sides)
    if key in WHOLE:  # between whole numbers, so that every bin holds as many as it is wide
        first = max(low, 1.0)
        if key in LOGARITHMIC:
            inner = np.unique(np.round(np.geomspace(first, max(high, first + 1) + 1, BINS)))
        else:
            inner = np.arange(first, high + 2 * (step := max(1, round((high - low) / BINS))), step)
        edges = inner - 0.5
        return np.insert(edges, 0, 0.25 if key in LOGARITHMIC else -0.5) if low == 0 else edges
    if key in LOGARITHMIC:
        positive = min(float(one.values[one.values > 0].min()) for one in sides)
        return np.geomspace(max(low, positive), 1.001 * high, BINS + 1)
    return np.linspace(-0.01, 1.01, BINS // 2 + 1)  # shares of weeks: no bin finer than they are


def _draw(axis: Any, key: str, sides: Mapping[str, Empirical], styles: Mapping[str, Any]) -> None:
    edges = _edges(key, list(sides.values()))
    logarithmic = key in LOGARITHMIC
    axis.set_xscale("log" if logarithmic else "linear")
    for name, one in sides.items():
        values = np.clip(one.values, edges[0] + 1e-9, edges[-1] - 1e-9)
        share, _ = np.histogram(values, edges, weights=one.counts / one.size)
        width = np.diff(np.log(edges) if logarithmic else edges)
        axis.stairs(share / width, edges, **styles[name])
    axis.set_yticks([])
    axis.tick_params(labelsize=7)
    axis.spines[["top", "right", "left"]].set_visible(False)


def plot_distributions(
    keys: Sequence[str],
    real: Profile,
    simulated: Mapping[str, Sequence[Profile]],
    path: Path,
    published: Mapping[str, float] | None = None,
) -> Path:
    """Densities of real and simulated customers, one panel a distribution (Figures 5 and 6).

    Args:
        keys: distributions.
        real: the real side, filled.
        simulated: name -> runs, pooled; the first is the store, the others are for comparison.
        path: of the picture.
        published: scores of the paper's run, written in the panels.

    Returns:
        The path of the picture written.
    """
    columns = min(4, len(keys))
    rows = -(-len(keys) // columns)
    figure = new_figure(3.3 * columns, 2.7 * rows + 0.5)
    axes = np.atleast_1d(np.asarray(figure.subplots(rows, columns), dtype=object)).ravel()
    styles: dict[str, Any] = {"real": {"fill": True, "color": PUBLISHED}}
    for name, colour in zip(simulated, (OURS, SHADES[1], SHADES[0]), strict=False):
        styles[name] = {"color": colour, "lw": 1.4}
    for axis in axes[len(keys) :]:
        axis.set_visible(False)
    for axis, key in zip(axes, keys, strict=False):
        runs = {name: _pooled([p.distributions[key] for p in side])
                for name, side in simulated.items()}  # fmt: skip
        _draw(axis, key, {"real": real.distributions[key]} | runs, styles)
        scores = [
            np.mean([ks_complement(real.distributions[key], p.distributions[key]) for p in side])
            for side in simulated.values()
        ]
        texts = [f"{name} {value:.3f}" for name, value in zip(simulated, scores, strict=True)]
        if published and key in published:
            texts.append(f"published {published[key]:.3f}")
        axis.set_title(f"{DISTRIBUTIONS[key]}\n{', '.join(texts)}", fontsize=7)
    handles = [axis_handle(style) for style in styles.values()]
    figure.legend(handles, list(styles), fontsize=8, frameon=False, ncols=len(styles),
                  loc="outside lower center")  # fmt: skip
    figure.suptitle(f"{real.name}; mean KS-complement over runs", fontsize=9)
    return save_figure(figure, path)


def axis_handle(style: Mapping[str, Any]) -> Any:
    """An entry of a legend."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    if style.get("fill"):
        return Patch(color=style["color"])
    return Line2D([], [], color=style["color"], lw=style["lw"])


def plot_parts(table: pl.DataFrame, path: Path) -> Path:
    """What each part of the store brings: scores without it less scores with all.

    Args:
        table: columns store (the first row has all parts) and the scores.
        path: of the picture.

    Returns:
        The path of the picture written.
    """
    keys = [*HEADLINE, "mean_of_eight", "price", "catsize", "lift_ks", "pen_ks"]
    values = table.select(keys).to_numpy()
    loss = values[1:] - values[0]
    figure = new_figure(9.6, 1.4 + 0.34 * loss.shape[0])
    axis = figure.subplots()
    bound = 0.2
    image = axis.imshow(loss, cmap="RdBu", vmin=-bound, vmax=bound, aspect="auto")
    for (row, column), value in np.ndenumerate(loss):
        shade = "white" if abs(value) > 0.7 * bound else "black"
        axis.text(column, row, f"{value:+.3f}".replace("0.", ".", 1), ha="center", va="center",
                  fontsize=7, color=shade)  # fmt: skip
    axis.set_xticks(range(len(keys)), keys, fontsize=7, rotation=30, ha="right")
    axis.set_yticks(range(loss.shape[0]), [f"without {s}" for s in table["store"][1:]], fontsize=8)
    axis.set_title("Change of scores without a part, all else unchanged", fontsize=9)
    figure.colorbar(image, ax=axis)
    return save_figure(figure, path)


def plot_pairs(panels: Mapping[str, tuple[Any, Any, float]], real: str, path: Path) -> Path:
    """Lifts of category pairs against the real side's, one panel a comparison.

    Args:
        panels: title -> real lifts, other lifts, rank correlation.
        real: name of the real side.
        path: of the picture.

    Returns:
        The path of the picture written.
    """
    figure = new_figure(4.4 * len(panels), 4.5)
    axes = np.atleast_1d(np.asarray(figure.subplots(1, len(panels)), dtype=object))
    highest = max(float(max(x.max(), y.max())) for x, y, _ in panels.values())
    for axis, (title, (x, y, rank)) in zip(axes, panels.items(), strict=True):
        axis.plot([0.5, highest], [0.5, highest], color=PUBLISHED, lw=1)
        axis.scatter(x, y, s=4, alpha=0.25, color=OURS, linewidths=0)
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_xlim(0.5, 1.1 * highest)
        axis.set_ylim(0.5, 1.1 * highest)
        ticks = [t for t in (0.5, 1, 2, 4, 8, 16) if t <= 1.1 * highest]
        for side in (axis.xaxis, axis.yaxis):
            side.set_ticks(ticks, [f"{t:g}" for t in ticks])
            side.set_ticks([], minor=True)
        axis.set_xlabel(f"lift, {real}", fontsize=8)
        axis.set_ylabel(f"lift, {title}", fontsize=8)
        axis.set_title(f"{x.size:,} pairs, Spearman {rank:.3f}", fontsize=9)
        axis.tick_params(labelsize=7)
        axis.spines[["top", "right"]].set_visible(False)
    return save_figure(figure, path)


def plot_prices(
    real: NDArray[np.float64], simulated: Sequence[NDArray[np.float64]], pooled: tuple[float, float],
    path: Path,
) -> Path:  # fmt: skip
    """Price coefficients of products in real and simulated tables.

    Args:
        real: coefficients of the real side's products.
        simulated: of each simulated table.
        pooled: the pooled coefficients, real and simulated.
        path: of the picture.

    Returns:
        The path of the picture written.
    """
    figure = new_figure(6.4, 3.8)
    axis = figure.subplots()
    edges = np.linspace(-6.0, 3.0, 46)
    axis.hist(np.clip(real, -6, 3), edges, density=True, color=PUBLISHED,
              label=f"real, pooled {pooled[0]:.2f}")  # fmt: skip
    axis.hist(np.clip(np.concatenate(simulated), -6, 3), edges, density=True, histtype="step",
              color=OURS, lw=1.5, label=f"simulated, pooled {pooled[1]:.2f}")  # fmt: skip
    for value, colour in zip(pooled, ("#777777", OURS), strict=True):
        axis.axvline(value, color=colour, lw=1, ls="--")
    axis.set_xlabel("log units on log price paid, one coefficient a product", fontsize=8)
    axis.set_yticks([])
    axis.tick_params(labelsize=7)
    axis.set_title("The price regression on real and on as many simulated households", fontsize=9)
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.legend(fontsize=8, frameon=False)
    return save_figure(figure, path)


def plot_elasticities(stores: Mapping[str, SimulatedElasticities], path: Path) -> Path:
    """Figure 7: own-price elasticities over products, and against what is sold.

    Args:
        stores: name -> what was measured.
        path: of the picture.

    Returns:
        The path of the picture written.
    """
    figure = new_figure(9.6, 3.9)
    left, right = figure.subplots(1, 2)
    low = min(float(np.quantile(found.by_product, 0.005)) for found in stores.values())
    edges = np.linspace(min(low, -4.0), 1.0, 45)
    for (name, found), colour in zip(stores.items(), (OURS, SHADES[1]), strict=False):
        values = np.clip(found.by_product, edges[0], edges[-1])
        label = f"{name}: mean {found.by_product.mean():.1f}, by units {found.mean:.1f}"
        left.hist(values, edges, density=True, histtype="step", lw=1.5, color=colour, label=label)  # type: ignore[arg-type]
        share = found.units / found.units.sum()
        right.scatter(share, values, s=5, alpha=0.4, color=colour, linewidths=0, label=name)
    left.axvline(LITERATURE, color="#777777", lw=1, ls="--", label=f"literature {LITERATURE}")
    left.set_xlabel("own-price elasticity, one a product", fontsize=8)
    left.set_yticks([])
    left.legend(fontsize=7, frameon=False, loc="upper left")
    right.set_xscale("log")
    right.set_xlabel("share of the units measured", fontsize=8)
    right.set_ylabel("own-price elasticity", fontsize=8)
    right.set_ylim(edges[0], edges[-1])
    for axis in (left, right):
        axis.tick_params(labelsize=7)
        axis.spines[["top", "right"]].set_visible(False)
    return save_figure(figure, path)
