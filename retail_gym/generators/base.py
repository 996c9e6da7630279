"""The contract of a generator: fit a table, sample new customers, keep it in a file.

The record is a *trip*: a customer-week with a purchase, as a yes or no for each category. A
generator is a law of that record given the week and the customer's features; the steps around it
are the same for all, so that a comparison is one of these laws:

1. :class:`~retail_gym.generators.calendar.Calendar` draws customers (features, number of trips)
   and their weeks;
2. the generator draws each trip's categories;
3. :class:`~retail_gym.generators.shelf.Shelf` draws products, prices and units of each category
   from the offers of the week.

Independent marginals draw every column of the lines on its own, too. A trip whose basket is
drawn empty is no trip.
"""

from __future__ import annotations

import io
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from retail_gym.config import atomic_write, check_int
from retail_gym.data.schema import read_transactions
from retail_gym.data.table import Transactions
from retail_gym.generators.calendar import Calendar, Visits
from retail_gym.generators.shelf import Shelf

if TYPE_CHECKING:
    import polars as pl

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Arrays = dict[str, NDArray[np.generic]]

__all__ = ["Arrays", "Bools", "Floats", "Generator", "Ints"]

#: Marks a generator's file.
FORMAT: Final = "retail_gym.Generator"
#: Trips drawn at once, so that memory does not grow with the number of customers.
CHUNK: Final = 8192


class Generator(ABC):
    """A fitted generator of purchase tables.

    Made by ``fit`` of a class, ``Marginals.fit(table, seed=0)``, or by
    :func:`~retail_gym.generators.storage.load`.

    Attributes:
        calendar: who comes when.
        shelf: what lines look like.
    """

    kind: ClassVar[str]  # a key of storage.KINDS

    def __init__(self, calendar: Calendar, shelf: Shelf) -> None:
        self.calendar, self.shelf = calendar, shelf

    @classmethod
    @abstractmethod
    def fit(cls, table: Transactions, *, seed: int = 0) -> Self:
        """Learn a table's law; the same seed gives the same generator.

        Args:
            table: the real purchases.
            seed: of whatever is drawn in training.

        Raises:
            ValueError: for fewer than two customers with a purchase, or fewer than two categories.
        """

    @abstractmethod
    def baskets(self, score_kf: Floats, week_k: Ints, rng: np.random.Generator) -> Bools:
        """Which categories some trips have.

        Args:
            score_kf: features of each trip's customer, normal scores, shape (K, F).
            week_k: week of each trip, from 1, shape (K,).
            rng: of the draws.

        Returns:
            Shape (K, J).
        """

    @abstractmethod
    def arrays(self) -> Arrays:
        """What the generator has learnt besides calendar and shelf, for a file."""

    @classmethod
    @abstractmethod
    def from_arrays(cls, calendar: Calendar, shelf: Shelf, arrays: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`arrays`."""

    def lines(
        self, trip_e: Ints, week_e: Ints, category_e: Ints, rng: np.random.Generator
    ) -> pl.DataFrame:
        """Lines of the entries; see :meth:`Shelf.lines`."""
        return self.shelf.lines(trip_e, week_e, category_e, rng)

    def sample(self, n_customers: int, seed: int = 0, name: str | None = None) -> Transactions:
        """A table of new customers, numbered from 0, over as many weeks as the fitted table.

        Args:
            n_customers: how many.
            seed: of the draws; the same seed gives the same table.
            name: of the table; by default the generator's kind.

        Raises:
            ValueError: if nobody buys anything.
        """
        import polars as pl

        n_customers = check_int("n_customers", n_customers, 1)
        rng = np.random.default_rng(check_int("seed", seed, 0))
        visits = self.calendar.draw(n_customers, rng)
        parts = []
        for start in range(0, visits.customer_k.size, CHUNK):
            parts.append(self._part(visits, slice(start, start + CHUNK), rng))
        if not any(part.height for part in parts):
            raise ValueError(f"none of {n_customers} sampled customers buys: sample more")
        frame = pl.concat(parts)
        customer = pl.Series("customer", visits.customer_k[frame["trip"].to_numpy()])
        return read_transactions(
            frame.with_columns(customer),
            customers=range(n_customers),
            weeks=self.calendar.week_t.size,
            name=name or self.kind,
        )

    def _part(self, visits: Visits, part: slice, rng: np.random.Generator) -> pl.DataFrame:
        week = visits.week_k[part]
        bought = self.baskets(visits.score_uf[visits.customer_k[part]], week, rng)
        trip, category = np.nonzero(bought)
        return self.lines(trip + part.start, week[trip], category, rng)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything into one ``.npz`` file of plain arrays."""
        arrays: dict[str, Any] = {"format": FORMAT, "kind": self.kind}
        for part, own in (
            ("calendar", self.calendar.arrays()),
            ("shelf", self.shelf.arrays()),
            ("own", self.arrays()),
        ):
            arrays |= {f"{part}.{key}": value for key, value in own.items()}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **arrays)
        with atomic_write(path) as stream:
            stream.write(buffer.getvalue())
