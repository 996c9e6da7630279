"""Pictures of a run: a small dashboard (matplotlib, no display needed) and plain text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["SIZE", "dashboard", "text"]

#: Height and width of the dashboard [pixels].
SIZE: Final = (480, 800)
_DPI: Final = 100
_PANELS: Final = (
    ("Revenue and margin [$ a week]", (("revenue", "revenue"), ("margin", "margin"))),
    ("Units a week", (("units", "units"),)),
    ("Customers [share]", (("visit_rate", "visited"), ("retention", "active"))),
    (
        "Discounts",
        (("depth", "depth set"), ("frequency", "frequency set"), ("realised_discount", "realised")),
    ),
)


def dashboard(history: Sequence[dict[str, float]], store: str, horizon: int) -> NDArray[np.uint8]:
    """Draw the weeks so far.

    Args:
        history: one row per week, with ``week``, ``reward`` and the figures of info.
        store: name of the store, for the title.
        horizon: weeks of the episode.

    Returns:
        Picture, uint8, shape (480, 800, 3).
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(SIZE[1] / _DPI, SIZE[0] / _DPI), dpi=_DPI, layout="constrained")
    canvas: Any = FigureCanvasAgg(figure)
    week = [row["week"] for row in history]
    total = sum(row["reward"] for row in history)
    figure.suptitle(f"{store}: week {len(history)} of {horizon}, return {total:.2f}", fontsize=11)
    for axis, (title, lines) in zip(figure.subplots(2, 2).flat, _PANELS, strict=True):
        for field, label in lines:
            axis.plot(week, [row[field] for row in history], label=label, linewidth=1.6)
        axis.set_title(title, fontsize=9)
        axis.set_xlim(1, max(horizon, 2))
        axis.set_ylim(*((0, 1.02) if "share" in title or title == "Discounts" else (None, None)))
        axis.tick_params(labelsize=8)
        axis.grid(alpha=0.3)
        if len(lines) > 1:
            axis.legend(fontsize=7, loc="best", frameon=False)
    for axis in figure.axes[2:]:
        axis.set_xlabel("week", fontsize=8)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba(), dtype=np.uint8)[..., :3].copy()


def text(history: Sequence[dict[str, float]], store: str, horizon: int) -> str:
    """The last week and the totals so far, in a few lines."""
    head = f"{store}: week {len(history)} of {horizon}"
    if not history:
        return f"{head}, nothing sold yet\n"
    last = history[-1]
    total = {key: sum(row[key] for row in history) for key in ("reward", "revenue", "units")}
    return (
        f"{head}\n"
        f"  set       depth {last['depth']:.3f}  frequency {last['frequency']:.3f}\n"
        f"  this week revenue {last['revenue']:10.2f} $  units {last['units']:7.0f}  "
        f"visits {last['visit_rate']:.2f}  active {last['retention']:.2f}\n"
        f"  so far    revenue {total['revenue']:10.2f} $  units {total['units']:7.0f}  "
        f"return {total['reward']:.3f}\n"
    )
