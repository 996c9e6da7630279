"""What a line of a basket looks like, given its category and week: the shelf of each week.

An *offer* is a product at a price in a week. Offers are shelf facts that customers do not decide
on; what customers decide (how often an offer is taken, how many units, how many products of a
category) is counted apart.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from retail_gym.data.table import Transactions
from retail_gym.generators.records import Records

if TYPE_CHECKING:
    import polars as pl

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

__all__ = ["MOST_PRODUCTS", "MOST_UNITS", "Shelf", "draw_rows"]

#: Longer tails are put into the last bin.
MOST_UNITS, MOST_PRODUCTS = 30, 12


def draw_rows(share: Floats, rows: Ints, rng: np.random.Generator) -> Ints:
    """A column index for each row number, with the probabilities of that row of ``share``."""
    cumulative = np.cumsum(share, axis=1)
    level = rng.random(rows.size) * cumulative[rows, -1]
    return np.asarray((cumulative[rows] <= level[:, None]).sum(axis=1))


def counted(group: Ints, value: Ints, n_groups: int, most: int) -> Floats:
    """How often each value 1..most occurs in each group, shape (n_groups, most)."""
    place = group * most + np.minimum(value, most) - 1
    return np.bincount(place, minlength=n_groups * most).reshape(n_groups, most).astype(np.float64)


@dataclass(frozen=True, eq=False)
class Shelf:
    """Offers by category and week, and how they are bought.

    An offer is drawn in proportion to how often it was taken in its week, which keeps products,
    prices and promotions of a week together; units and the number of products of a category are
    drawn apart from it. A product drawn twice for one basket is kept once.
    """

    category_labels: NDArray[np.generic]  # J
    product_labels: NDArray[np.generic]  # I
    category_o: Ints  # O, sorted by category and week
    week_o: Ints  # O: from 1
    product_o: Ints  # O
    unit_price_o: Floats  # O
    base_price_o: Floats  # O
    discount_o: Floats  # O
    weight_o: Floats  # O: times taken
    units_jq: Floats  # J, MOST_UNITS: lines with 1, 2, ... units
    products_jm: Floats  # J, MOST_PRODUCTS: entries with 1, 2, ... products

    @classmethod
    def fit(cls, table: Transactions, records: Records) -> Self:
        """Count the offers of a table."""
        import polars as pl

        lines = records.baskets.lines
        n_categories = len(lines.category_labels)
        key = ["category", "week", "product", "unit_price", "base_price", "discount"]
        offers = table.frame.group_by(key).len().sort(key)
        labels = table.frame["product"].unique().sort()
        places = pl.DataFrame({"product": labels, "product_code": range(labels.len())})
        sorted_labels = pl.Series(lines.category_labels, dtype=table.frame["category"].dtype)
        groups = pl.DataFrame({"category": sorted_labels, "code": range(n_categories)})
        offers = offers.join(places, on="product", maintain_order="left", how="left")
        offers = offers.join(groups, on="category", maintain_order="left", how="left")
        offers = offers.sort("code", "week", maintain_order=True)
        entry = records.baskets
        return cls(
            np.asarray(lines.category_labels),
            np.asarray(labels.to_list()),
            offers["code"].to_numpy().astype(np.int64),
            offers["week"].to_numpy().astype(np.int64),
            offers["product_code"].to_numpy().astype(np.int64),
            offers["unit_price"].to_numpy(),
            offers["base_price"].to_numpy(),
            offers["discount"].to_numpy(),
            offers["len"].to_numpy().astype(np.float64),
            counted(lines.category, lines.quantity, n_categories, MOST_UNITS),
            counted(entry.entry_category, entry.entry_products, n_categories, MOST_PRODUCTS),
        )

    @property
    def n_categories(self) -> int:
        """J."""
        return int(self.category_labels.size)

    def stocked_tj(self, n_weeks: int) -> NDArray[np.bool_]:
        """Whether a week has an offer of a category, shape (T, J)."""
        stocked = np.zeros((n_weeks, self.n_categories), dtype=bool)
        stocked[self.week_o - 1, self.category_o] = True
        return stocked

    def lines(
        self, trip_e: Ints, week_e: Ints, category_e: Ints, rng: np.random.Generator
    ) -> pl.DataFrame:
        """Lines of baskets.

        Args:
            trip_e: trip of each entry (a category in a basket), shape (E,).
            week_e: its week, from 1, shape (E,).
            category_e: its category, codes, shape (E,).
            rng: of the draws.

        Returns:
            Columns trip, week, category, product (labels), quantity, unit_price, discount,
            base_price.
        """
        number = draw_rows(self.products_jm, category_e, rng) + 1
        trip, week, category = (np.repeat(x, number) for x in (trip_e, week_e, category_e))
        offer = self._offers(category, week, rng)
        quantity = draw_rows(self.units_jq, category, rng) + 1
        return self.frame(
            trip, week, self.product_o[offer], category, quantity,
            self.unit_price_o[offer], self.discount_o[offer], self.base_price_o[offer],
        )  # fmt: skip

    def frame(
        self, trip: Ints, week: Ints, product: Ints, category: Ints, quantity: Ints,
        unit_price: Floats, discount: Floats, base_price: Floats,
    ) -> pl.DataFrame:  # fmt: skip
        """Columns with labels in the place of codes, each product of a trip once."""
        import polars as pl

        columns = {
            "trip": trip,
            "week": week,
            "category": self.category_labels[category],
            "product": self.product_labels[product],
            "quantity": quantity,
            "unit_price": unit_price,
            "discount": discount,
            "base_price": base_price,
        }
        return pl.DataFrame(columns).unique(["trip", "product"], keep="first", maintain_order=True)

    def _offers(self, category: Ints, week: Ints, rng: np.random.Generator) -> Ints:
        """An offer for each line: of its category and week, or of any week where that has none."""
        stride = int(max(self.week_o.max(), week.max(initial=1))) + 2
        cell_o = self.category_o * stride + self.week_o
        cell = category * stride + week
        low, high = np.searchsorted(cell_o, cell), np.searchsorted(cell_o, cell, side="right")
        empty = low == high
        low[empty] = np.searchsorted(self.category_o, category[empty])
        high[empty] = np.searchsorted(self.category_o, category[empty], side="right")
        total = np.concatenate([[0.0], np.cumsum(self.weight_o)])
        level = total[low] + rng.random(cell.size) * (total[high] - total[low])
        found = np.searchsorted(total, level, side="right") - 1
        return np.asarray(np.clip(found, low, high - 1))

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """For a file."""
        return {item.name: getattr(self, item.name) for item in fields(self)}
