"""Layer on the shelf: products that are offered only part of the year."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

__all__ = ["on_shelf", "shelf_utility"]


def on_shelf(start_i: ArrayLike, weeks_i: ArrayLike, cycle: int, week: int) -> NDArray[np.bool_]:
    r"""Whether each product is offered: :math:`(t - s_i) \bmod c < w_i`.

    Args:
        start_i: week s in which the product's window opens, shape (I,).
        weeks_i: length w of the window [weeks], shape (I,); c or more: always offered.
        cycle: weeks c after which the window opens again.
        week: week t of the episode, counted from 1.

    Returns:
        True where offered, shape (I,).

    Source: not in the paper.
    """
    return np.asarray((week - np.asarray(start_i)) % cycle < np.asarray(weeks_i))


def shelf_utility(utility_ui: ArrayLike, offered_i: ArrayLike) -> Floats:
    r"""Utilities on this week's shelf: :math:`-\infty` for what is not offered.

    Args:
        utility_ui: utilities after the cap, shape (U, I).
        offered_i: whether each product is offered, shape (I,).

    Returns:
        Utilities, shape (U, I); eq. 4 and 7 then leave out what is not offered.

    Source: not in the paper.
    """
    return np.where(np.asarray(offered_i), utility_ui, -np.inf)
