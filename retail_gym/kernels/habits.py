"""What customers of the fast kernel remember of products, kept without a copy a week.

The memory of everybody, (U, J, H) places in 16 bits, is one array that shows the newest week. A
week moves it on by its purchases, and leaves to the week before the few rows it changed: that
week, should somebody come back to it, is the newest with those rows put back.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retail_gym.kernels.base import Purchases
from retail_gym.kernels.layer_passes import remember

Ints = NDArray[np.int64]
Places = NDArray[np.int16]

__all__ = ["Habits"]


class _Change(NamedTuple):
    """How a week differs from the one after it."""

    after: Habits
    customer: Ints  # N
    category: Ints  # N
    places: Places  # N, H: as they were


class Habits:
    """Products bought last at the end of one week; does not change.

    Args:
        places: newest first, by place in the category, shape (U, J, H); negative: none. The
            array belongs to the object from now on.
    """

    def __init__(self, places: Places) -> None:
        self._places, self._lock = places, threading.Lock()  # of all weeks of the array
        self._change: _Change | None = None  # None: this is the week that the array shows
        self._lent = False

    def places(self) -> Places:
        """A copy, shape (U, J, H)."""
        with self._lock:
            return self._copy()

    def _copy(self) -> Places:
        changes, week = [], self
        while week._change is not None:
            changes.append(week._change)
            week = week._change.after
        places = self._places.copy()
        for change in reversed(changes):
            places[change.customer, change.category] = change.places
        return places

    def __reduce__(self) -> tuple[Any, ...]:
        return Habits, (self.places(),)

    @contextmanager
    def lend(self) -> Iterator[Habits]:
        """This week with an array of its own to read and to move on: the shared one, or a copy."""
        with self._lock:
            alone = self._change is None and not self._lent
            if alone:
                self._lent = True
            own = self if alone else Habits(self._copy())
        try:
            yield own
        finally:
            if alone:
                self._lent = False

    @property
    def array(self) -> Places:
        """The array, while it is lent: not to be written to."""
        return self._places

    def after(self, lines: Purchases, category_start: Ints) -> Habits:
        """The week after, while the array is lent.

        Args:
            lines: its purchases, by customer and category, in the order of choice.
            category_start: first product of each category, shape (J,).
        """
        new = lines.customer[1:] != lines.customer[:-1]
        new |= lines.category[1:] != lines.category[:-1]
        begin = np.concatenate([[0], 1 + np.flatnonzero(new)])[: lines.product.size]
        customer, category = lines.customer[begin], lines.category[begin]
        week = Habits(self._places)
        week._lock = self._lock
        with self._lock:
            before = self._places[customer, category]
            remember(self._places, begin, customer, category, lines.product, category_start)
            self._change = _Change(week, customer, category, before)
        return week
