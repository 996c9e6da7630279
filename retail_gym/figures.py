"""A figure without a display, and its picture in a file."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from retail_gym.config import atomic_write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["new_figure", "save_figure"]


def new_figure(width: float, height: float, dpi: int = 120) -> Figure:
    """A figure of a width and height [inch] that needs no display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=dpi, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG, whole or not at all."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    with atomic_write(path) as stream:
        stream.write(buffer.getvalue())
    return path
