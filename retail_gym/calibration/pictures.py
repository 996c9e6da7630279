"""Pictures of a calibration: how the search went, and how close it came."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from retail_gym.calibration.pipeline import Calibration
from retail_gym.evaluation.realism import DISTRIBUTIONS, Empirical, RealismReport
from retail_gym.figures import new_figure, save_figure

if TYPE_CHECKING:
    pass

__all__ = ["plot_fit", "plot_progress"]

_REAL, _SIMULATED = "#222222", "#2a6f97"
#: Distributions whose values spread over orders of magnitude.
_LOG: Final = ("prod_prob", "cat_prob", "qty", "nitem", "prodweek", "price", "catsize", "tslp")


def plot_progress(found: Calibration, path: Path) -> Path:
    """Draw the loss of every point tried and the best so far, one panel a stage."""
    stages = [stage for stage in found.stages if stage.losses]
    columns = min(4, len(stages))
    rows = -(-len(stages) // columns)
    figure = new_figure(3.0 * columns, 2.2 * rows)
    for k, stage in enumerate(stages):
        axis = figure.add_subplot(rows, columns, k + 1)
        losses = np.minimum(np.array(stage.losses), 20.0 * min(stage.losses))
        axis.plot(losses, ".", ms=2.5, color="#c9ccd1")
        axis.plot(np.minimum.accumulate(losses), color=_SIMULATED)
        axis.set_title(stage.name, fontsize=9)
        axis.set_yscale("log")
        axis.tick_params(labelsize=7)
        if k % columns == 0:
            axis.set_ylabel("loss", fontsize=8)
    return save_figure(figure, path)


def _step(axis: Any, points: Empirical, **style: Any) -> None:
    share = np.cumsum(points.counts) / points.size
    axis.step(points.values, share, where="post", **style)


def plot_fit(report: RealismReport, path: Path) -> Path:
    """Draw the cumulative distributions of the real table and of every simulated one."""
    figure = new_figure(12.0, 7.0)
    panels = {**DISTRIBUTIONS, "lift": "lift of category pairs"}
    for k, (key, title) in enumerate(panels.items()):
        axis = figure.add_subplot(3, 4, k + 1)
        for n, one in enumerate((*report.simulated, report.real)):
            real = n == len(report.simulated)
            points = one.lifts.distribution if key == "lift" else one.distributions[key]
            style = {"color": _REAL, "lw": 1.2} if real else {"color": _SIMULATED, "lw": 0.6}
            _step(axis, points, **style)
        score = report.mean("lift_ks" if key == "lift" else key)
        axis.set_title(f"{title}: {score:.3f}", fontsize=8)
        if key in _LOG:
            axis.set_xscale("symlog", linthresh=1e-3 if key.endswith("prob") else 1.0)
        axis.set_ylim(0.0, 1.02)
        axis.tick_params(labelsize=7)
    figure.suptitle(f"real (black) and simulated (blue): {report.real.name}", fontsize=9)
    return save_figure(figure, path)
