"""Independent marginals: every column on its own, the floor of any comparison."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from retail_gym.config import check_int
from retail_gym.data.table import Transactions
from retail_gym.generators.base import Arrays, Bools, Floats, Generator, Ints
from retail_gym.generators.calendar import Calendar
from retail_gym.generators.records import Records
from retail_gym.generators.shelf import Shelf, draw_rows

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Marginals"]


class Marginals(Generator):
    """Every category of a trip with its share of trips, every column of a line on its own.

    The lift of any two categories is 1, and price, discount and units say nothing about the
    product.
    """

    kind = "marginals"

    def __init__(self, calendar: Calendar, shelf: Shelf, share_j: Floats) -> None:
        super().__init__(calendar, shelf)
        self.share_j = share_j

    @classmethod
    def fit(cls, table: Transactions, *, seed: int = 0) -> Self:
        """Count. ``seed`` is not used: nothing is drawn."""
        check_int("seed", seed, 0)
        records = Records.of(table)
        share = records.bought_kj.mean(axis=0)
        return cls(Calendar.fit(records)[0], Shelf.fit(table, records), share)

    def baskets(self, score_kf: Floats, week_k: Ints, rng: np.random.Generator) -> Bools:
        return np.asarray(rng.random((week_k.size, self.share_j.size)) < self.share_j)

    def lines(
        self, trip_e: Ints, week_e: Ints, category_e: Ints, rng: np.random.Generator
    ) -> pl.DataFrame:
        """Lines whose product, units, base price and discount are drawn independently."""
        shelf = self.shelf
        pooled = shelf.products_jm.sum(axis=0, keepdims=True)
        number = draw_rows(pooled, np.zeros_like(category_e), rng) + 1
        trip, week, category = (np.repeat(x, number) for x in (trip_e, week_e, category_e))
        cumulative = np.concatenate([[0.0], np.cumsum(shelf.weight_o)])
        edge = cumulative[np.searchsorted(shelf.category_o, np.arange(shelf.n_categories + 1))]
        level = edge[category] + rng.random(category.size) * np.diff(edge)[category]

        def offer(at: Floats) -> Ints:
            found = np.searchsorted(cumulative, at, side="right") - 1
            return np.minimum(found, shelf.weight_o.size - 1)

        product = shelf.product_o[offer(level)]
        base = shelf.base_price_o[offer(rng.random(product.size) * cumulative[-1])]
        discount = shelf.discount_o[offer(rng.random(product.size) * cumulative[-1])]
        units = shelf.units_jq.sum(axis=0, keepdims=True)
        quantity = draw_rows(units, np.zeros_like(category), rng) + 1
        # A gift has no price; the smallest is a cent.
        price = np.maximum(base * (1.0 - discount), 0.01)
        return shelf.frame(trip, week, product, category, quantity, price, discount, base)

    def arrays(self) -> Arrays:
        return {"share_j": self.share_j}

    @classmethod
    def from_arrays(cls, calendar: Calendar, shelf: Shelf, arrays: Mapping[str, Any]) -> Self:
        return cls(calendar, shelf, arrays["share_j"])
