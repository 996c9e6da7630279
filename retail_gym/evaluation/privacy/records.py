"""What counts as a record: a row of purchases, and a customer's profile.

The *pool* are the real customers: members (whose purchases the generator saw) and the holdout. If
a table leaks nothing about single members, then, given the pool, nobody can tell who was a
member: which of the customers are members is a random choice. All tests here rest on that, and
are exact for it whatever the synthetic table looks like.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from retail_gym.data.table import Transactions
from retail_gym.evaluation.realism.baskets import trips_of
from retail_gym.evaluation.sides import Labels, customer_codes

if TYPE_CHECKING:
    import polars as pl

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

__all__ = [
    "TOP",
    "Records",
    "coded_rows",
    "profiles",
    "row_key",
    "shared_purchases",
]

#: Categories whose share of purchases is part of a profile.
TOP: Final = 30


@dataclass(frozen=True, eq=False)
class Records:
    """The synthetic table and the pool, ready for attacks.

    Customers have codes from 0: synthetic ones 0..S-1, those of the pool 0..U-1.
    """

    synthetic: Transactions = field(repr=False)
    pool: Transactions = field(repr=False)
    member_u: Bools = field(repr=False)  # U: the generator saw this customer
    labels: Labels


def row_key(labels: Labels, *, exact: bool) -> dict[str, pl.Expr]:
    """What makes two rows the same, by name: the week and the item, at least.

    Args:
        labels: with products that both tables know, the item is the product; without, its
            base price (to the cent), and quantity and price paid belong to every key.
        exact: quantity, price paid (to the cent) and discount (to a tenth of a per cent) too.
    """
    import polars as pl

    def rounded(column: str, times: float) -> pl.Expr:
        return (pl.col(column) * times).round().cast(pl.Int64)

    key = {
        "week": pl.col("week"),
        "item": pl.col("product") if labels.products else rounded("base_price", 100.0),
    }
    if exact or not labels.products:
        key |= {"quantity": pl.col("quantity"), "unit_price": rounded("unit_price", 100.0)}
    if exact:
        key["discount"] = rounded("discount", 1000.0)
    return key


def coded_rows(table: Transactions, key: dict[str, pl.Expr]) -> pl.DataFrame:
    """Key and customer's code of every row."""
    import polars as pl

    rows = table.frame.select(**key)
    return rows.with_columns(pl.Series("code", customer_codes(table)))


def shared_purchases(records: Records) -> tuple[sparse.csr_array, sparse.csr_array]:
    """Who bought what when: customers by (week, product), for the synthetic table and the pool.

    Returns:
        Matrices of zeros and ones, shapes (S, K) and (U, K), over keys that a pool customer has;
        the first has one more column: how many of the customer's keys nobody in the pool has.
    """
    import polars as pl

    key = row_key(records.labels, exact=False)
    names = list(key)
    pool = coded_rows(records.pool, key).unique(maintain_order=True)
    known = pool.select(names).unique(maintain_order=True).with_row_index("place")
    mine = coded_rows(records.synthetic, key).unique(maintain_order=True)
    pool = pool.join(known, on=names, how="left", maintain_order="left")
    mine = mine.join(known, on=names, how="left", maintain_order="left")
    mine = mine.with_columns(pl.col("place").fill_null(known.height))

    def matrix(rows: pl.DataFrame, size: int, width: int) -> sparse.csr_array:
        place = (rows["code"].to_numpy(), rows["place"].to_numpy().astype(np.int64))
        return sparse.csr_array((np.ones(rows.height, np.float32), place), shape=(size, width))

    return (
        matrix(mine, records.synthetic.n_customers, known.height + 1),
        matrix(pool, records.pool.n_customers, known.height),
    )


def profiles(table: Transactions, categories: list[object]) -> tuple[Floats, Ints]:
    """What a customer is like, in numbers.

    Trips a week; means over trips of log categories, log units and log spending; mean discount
    and log price of a row; and the square roots of the shares of rows in each of some
    categories.

    Args:
        table: purchases.
        categories: labels of the categories.

    Returns:
        Profiles, shape (customers with a purchase, 6 + categories), and those customers' codes.
    """
    baskets, lines = trips_of(table), table.lines
    n_customers = table.n_customers
    customer_k, trip_l = baskets.trip_customer, baskets.trip_of_line
    trips = np.bincount(customer_k, minlength=n_customers).astype(np.float64)
    rows = np.bincount(lines.customer, minlength=n_customers).astype(np.float64)
    bought = np.flatnonzero(trips)
    spent_k = np.bincount(trip_l, weights=lines.quantity * lines.unit_price)
    per_trip = [
        baskets.categories_per_trip.astype(np.float64),
        np.bincount(trip_l, weights=lines.quantity),
        spent_k,
    ]
    columns = [trips / table.n_weeks]
    with np.errstate(invalid="ignore", divide="ignore"):  # customers without a purchase go below
        columns += [
            np.bincount(customer_k, weights=np.log(k), minlength=n_customers) / trips
            for k in per_trip
        ]
        columns += [
            np.bincount(lines.customer, weights=values, minlength=n_customers) / rows
            for values in (lines.discount, np.log(lines.unit_price))
        ]
        place = {label: k for k, label in enumerate(categories)}
        column_j = np.array([place.get(label, -1) for label in lines.category_labels])
        column_l = column_j[lines.category]
        kept = column_l >= 0
        shares = np.bincount(
            lines.customer[kept] * len(categories) + column_l[kept],
            minlength=n_customers * len(categories),
        ).reshape(n_customers, -1)
        columns += list(np.sqrt(shares / rows[:, None]).T)
    return np.stack(columns, axis=1)[bought], bought
