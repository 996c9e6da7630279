"""The figures that drift is looked for in, as sums over customers or weeks.

| key | what it is |
|---|---|
| ``visit_rate`` | share of customer-weeks with a trip |
| ``categories`` | categories a trip |
| ``quantity`` | units a row |
| ``spending`` | revenue a trip |
| ``price_paid`` | mean log price paid of a row |
| ``discounted`` | share of rows bought at a discount |
| ``price_response`` | (mean log(1 - discount) of units - of products sold that week) / its variance: how much more is sold of what is cheaper, a rough price elasticity |
| ``category_mix`` | Jensen-Shannon distance of the categories' shares of rows |
| ``product_mix`` | the same of products: the assortment |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from retail_gym.data.table import DISCOUNTED, Transactions
from retail_gym.evaluation.realism.baskets import trips_of
from retail_gym.evaluation.sides import customer_codes

Floats = NDArray[np.float64]

__all__ = ["FIGURES", "MIXES", "Sums", "stacked", "sums_of"]

#: Key -> title.
FIGURES: Final = {
    "visit_rate": "visit rate",
    "categories": "categories a trip",
    "quantity": "units a row",
    "spending": "spending a trip",
    "price_paid": "log price paid",
    "discounted": "share bought at a discount",
    "price_response": "price response",
    "category_mix": "mix of categories",
    "product_mix": "mix of products",
}
#: Figures that compare shares of labels; the others are ratios of sums.
MIXES: Final = ("category_mix", "product_mix")


@dataclass(frozen=True, eq=False)
class Sums:
    """What is added up over customers or weeks."""

    above: Floats  # N, 7: numerators of the ratios
    below: Floats  # N, 7
    mixes: tuple[sparse.csr_array, ...]  # N, labels: rows by category, by product
    labels: tuple[tuple[object, ...], ...]  # of the columns of each mix


def _relative_price(tables: Sequence[Transactions], unit: str) -> list[Floats]:
    """Of every row, log(1 - discount) beyond that of the week's products, over its variance.

    Each product sold in a week counts once in the week's mean; where customers are compared, on
    both sides together, so that sides of unequal size meet the same prices.
    """
    import polars as pl

    own = pl.col("side") if unit == "weeks" else pl.lit(0)
    paid = (1.0 - pl.col("discount").clip(0.0, 0.99)).log()
    rows = pl.concat(
        [
            table.frame.select(
                "week", pl.col("product").cast(pl.String), paid.alias("paid"), side=pl.lit(side)
            )
            for side, table in enumerate(tables)
        ]
    )
    cells = rows.group_by("week", "product", own.alias("own"), maintain_order=True).agg(
        pl.col("paid").mean()
    )
    weeks = cells.group_by("week", "own", maintain_order=True).agg(
        pl.col("paid").mean().alias("usual")
    )
    gaps = cells.join(weeks, on=["week", "own"])
    variance = float(((gaps["paid"] - gaps["usual"]) ** 2).mean())  # type: ignore[arg-type]
    if not variance > 1e-12:
        variance = float("nan")  # nothing is ever cheaper
    joined = rows.with_columns(own=own).join(
        weeks, on=["week", "own"], how="left", maintain_order="left"
    )
    value = ((joined["paid"] - joined["usual"]) / variance).to_numpy()
    return list(np.split(value, np.cumsum([table.frame.height for table in tables])[:-1]))


def _sums(table: Transactions, unit: str, relative: Floats) -> Sums:
    """Add up a table's figures by customer or by week; ``relative`` by row of the frame."""
    baskets, lines = trips_of(table), table.lines
    n_weeks = table.n_weeks
    week_k = np.zeros(baskets.n_trips, dtype=np.int64)
    week_k[baskets.trip_of_line] = lines.week - 1
    by_weeks = unit == "weeks"
    n = n_weeks if by_weeks else table.n_customers
    unit_k = week_k if by_weeks else baskets.trip_customer
    unit_l = lines.week - 1 if by_weeks else lines.customer
    quantity = lines.quantity.astype(np.float64)

    def trips(weights: NDArray[Any] | None = None) -> Floats:
        return np.bincount(unit_k, weights=weights, minlength=n).astype(np.float64)

    def rows(weights: NDArray[Any] | None = None) -> Floats:
        return np.bincount(unit_l, weights=weights, minlength=n).astype(np.float64)

    k, r, q = trips(), rows(), rows(quantity)
    row_unit = table.frame["week"].to_numpy() - 1 if by_weeks else customer_codes(table)
    rows_relative = np.bincount(
        row_unit, weights=table.frame["quantity"].to_numpy() * relative, minlength=n
    )
    exposure = np.full(n, float(table.n_customers if by_weeks else n_weeks))
    pairs = [
        (k, exposure),
        (trips(baskets.categories_per_trip), k),
        (q, r),
        (rows(quantity * lines.unit_price), k),
        (rows(np.log(lines.unit_price)), r),
        (rows(lines.discount > DISCOUNTED), r),
        (rows_relative, q),
    ]
    products = table.frame["product"].unique().sort().to_list()
    mixes = []
    for codes, size in (
        (lines.category, len(lines.category_labels)),
        (lines.product, len(products)),
    ):
        ones = np.ones(codes.size)
        mixes.append(sparse.csr_array((ones, (unit_l, codes)), shape=(n, size)))
    return Sums(
        np.stack([above for above, _ in pairs], axis=1),
        np.stack([below for _, below in pairs], axis=1),
        tuple(mixes),
        (tuple(lines.category_labels), tuple(products)),
    )


def sums_of(tables: Sequence[Transactions], unit: str) -> list[Sums]:
    """The sums of tables that will be compared.

    Args:
        tables: purchases.
        unit: "customers" or "weeks".
    """
    relative = _relative_price(tables, unit)
    return [_sums(table, unit, price) for table, price in zip(tables, relative, strict=True)]


def stacked(one: Sums, other: Sums) -> Sums:
    """Both sides' units, one below the other, with the columns of all labels."""
    mixes, labels = [], []
    for k in range(len(MIXES)):
        every = tuple(dict.fromkeys([*one.labels[k], *other.labels[k]]))
        place = {label: column for column, label in enumerate(every)}
        parts = []
        for side in (one, other):
            found = side.mixes[k].tocoo()
            columns = np.array([place[label] for label in side.labels[k]])[found.coords[1]]
            shape = (found.shape[0], len(every))
            parts.append(sparse.csr_array((found.data, (found.coords[0], columns)), shape=shape))
        mixes.append(sparse.vstack(parts, format="csr"))
        labels.append(every)
    return Sums(
        np.concatenate([one.above, other.above]),
        np.concatenate([one.below, other.below]),
        tuple(mixes),
        tuple(labels),
    )
