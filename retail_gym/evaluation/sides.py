"""Two tables made comparable: customers, weeks, labels.

Many figures depend on how many customers were seen and for how long: both sides are cut to the
same weeks, and customers are drawn until both have equally many. Labels of categories and
products mean something only if both tables use the same ones. A generator trained on the real
rows repeats its labels; a simulator invents its own. Then labels are *ranked*: on both sides, the
category (product) with the most rows is called 1, the next 2, and so on, which compares the shape
of sales but not which product is which.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from retail_gym.config import check_choice
from retail_gym.data.table import Transactions

__all__ = [
    "LABELS",
    "Labels",
    "customer_codes",
    "first_weeks",
    "match_labels",
    "ranked",
    "same_customers",
]

LABELS: Final = ("auto", "shared", "ranked")
#: Share of synthetic rows whose (category, product) must be real for labels to count as shared.
#: By chance few are: numbers that coincide seldom stand in the same category.
SHARED: Final = 0.9


@dataclass(frozen=True)
class Labels:
    """Whether labels of categories and of products mean the same in both tables."""

    categories: bool
    products: bool

    @property
    def note(self) -> str:
        """For tables; empty where both are shared."""
        invented = [
            name
            for name, shared in (("categories", self.categories), ("products", self.products))
            if not shared
        ]
        return f"labels of {' and '.join(invented)} matched by rank of sales" if invented else ""

    def apply(self, table: Transactions) -> Transactions:
        """The table, with ranks in place of the labels that are not shared."""
        columns = ([] if self.categories else ["category"]) + ([] if self.products else ["product"])
        return ranked(table, columns) if columns else table


def customer_codes(table: Transactions) -> NDArray[np.int64]:
    """Code of each row's customer: its place among the table's customers."""
    import polars as pl

    codes = pl.DataFrame({"customer": table.customers.tolist(), "code": range(table.n_customers)})
    rows = table.frame.select("customer")
    joined = rows.join(codes, on="customer", how="left", maintain_order="left")
    return joined["code"].to_numpy().astype(np.int64)


def match_labels(real: Transactions, synthetic: Transactions, labels: str = "auto") -> Labels:
    """Find out which labels two tables share, or believe the caller.

    Args:
        real: the real table.
        synthetic: the other.
        labels: "auto", "shared" or "ranked". "auto" takes products as shared if 90 % of the
            synthetic rows have a real product in its real category, and categories if products
            are or, where they are texts, 90 % of the rows have a real one.

    Raises:
        ValueError: for another choice, or "shared" where not one product is.
    """
    import polars as pl

    check_choice("labels", labels, LABELS)
    if labels == "ranked":
        return Labels(False, False)
    one, other = real.frame, synthetic.frame
    types = [one[c].dtype == other[c].dtype for c in ("category", "product")]
    key = ["category", "product"]
    both = other.join(one.select(key).unique(), on=key, how="semi").height if all(types) else 0
    if labels == "shared":
        if not both:
            raise ValueError(
                f"{synthetic.name} has no product of {real.name}: its labels are not shared. Use "
                'labels="ranked" (or "auto")'
            )
        return Labels(True, True)
    products = both >= SHARED * other.height
    text = types[0] and one["category"].dtype == pl.String
    known = other["category"].is_in(one["category"].unique().to_list()).mean() if text else 0.0
    return Labels(products or float(known or 0.0) >= SHARED, products)  # type: ignore[arg-type]


def ranked(table: Transactions, columns: list[str]) -> Transactions:
    """The table with labels replaced by ranks: 1 for the label with the most rows.

    Ties are broken by the labels' order.
    """
    import polars as pl

    frame = table.frame
    for column in columns:
        ranks = (
            frame.group_by(column)
            .agg(pl.len().alias("rows"))
            .sort(["rows", column], descending=[True, False])
            .with_columns(rank=pl.int_range(1, pl.len() + 1))
        )
        place = frame.select(column).join(
            ranks.select(column, "rank"), on=column, how="left", maintain_order="left"
        )["rank"]
        frame = frame.with_columns(place.alias(column))
    return replace(table, frame=frame)


def first_weeks(table: Transactions, weeks: int) -> Transactions:
    """The table's first weeks; every customer stays.

    Raises:
        ValueError: if nothing was bought in them.
    """
    import polars as pl

    if table.n_weeks == weeks:
        return table
    frame = table.frame.filter(pl.col("week") <= weeks)
    if frame.is_empty():
        raise ValueError(f"{table.name} has no purchases in weeks 1-{weeks}")
    return replace(table, frame=frame, n_weeks=weeks)


def same_customers(table: Transactions, size: int, seed: list[int]) -> Transactions:
    """``size`` customers of the table drawn by seed, or all where it has as many."""
    return table if table.n_customers == size else table.sample(size, np.random.default_rng(seed))
