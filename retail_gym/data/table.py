"""The table of purchases that every measure of realism reads, whoever made it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from retail_gym.config import check_int

if TYPE_CHECKING:
    import polars as pl

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

__all__ = ["COLUMNS", "DISCOUNTED", "KEY", "Lines", "Transactions", "merge_lines"]

#: Columns of a table, in order.
COLUMNS: Final = (
    "week",
    "customer",
    "category",
    "product",
    "quantity",
    "unit_price",
    "discount",
    "base_price",
    "revenue",
)

#: One row of a table each.
KEY: Final = ("week", "customer", "product")
#: A purchase with a smaller discount counts as undiscounted: rounding of prices, not a promotion.
DISCOUNTED: Final = 1e-6


class Lines(NamedTuple):
    """A table's rows as arrays of codes, sorted by customer, week, category and product.

    Codes count from 0. Every customer of the table has one; of categories and products those
    that were bought.
    """

    customer: Ints  # L
    week: Ints  # L: from 1
    category: Ints  # L
    product: Ints  # L
    quantity: Ints  # L
    unit_price: Floats  # L
    discount: Floats  # L
    category_labels: Sequence[object]  # J, of code 0, 1, ...
    product_category: Ints  # I: category of each product


def merge_lines(frame: pl.DataFrame, key: Sequence[str]) -> pl.DataFrame:
    """One row for each key: quantity and revenue added, prices and discount averaged over rows.

    Args:
        frame: columns of a table, and the key's.
        key: columns that identify a row afterwards; ``product`` is one of them.
    """
    import polars as pl

    total = [pl.col("quantity").sum(), pl.col("revenue").sum()]
    mean = [pl.col(c).mean() for c in ("unit_price", "discount", "base_price")]
    # In the order of the rows, so that sums are the same bits every time.
    return frame.group_by(*key, maintain_order=True).agg(pl.col("category").first(), *total, *mean)


def _codes(column: pl.Series) -> tuple[Ints, Sequence[object]]:
    """Codes 0, 1, ... of a column in the order of its sorted labels, and the labels."""
    import polars as pl

    labels = column.unique().sort()
    if column.dtype.is_integer() and labels[-1] - labels[0] < 4 * column.len() + 1_000_000:
        low = int(labels[0])
        lookup = np.zeros(int(labels[-1]) - low + 1, dtype=np.int64)
        lookup[labels.to_numpy() - low] = np.arange(labels.len())
        return lookup[column.to_numpy() - low], labels.to_list()
    if column.dtype == pl.String:  # looked up, where ranking would sort a million texts
        codes = column.cast(pl.Enum(labels)).to_physical()
    else:
        codes = column.rank("dense") - 1
    return codes.to_numpy().astype(np.int64), labels.to_list()


@dataclass(frozen=True)
class Transactions:
    """Who bought what in which week: one row for each customer, week and product.

    Made by :func:`~retail_gym.data.complete_journey.load_complete_journey` and
    :func:`~retail_gym.data.schema.read_transactions`, which check the rows.

    Attributes:
        frame: columns week (1..n_weeks), customer, category, product, quantity, unit_price [$],
            discount (share of the base price), base_price [$], revenue [$].
        customers: label of every customer, those who never bought included, shape (U,).
        n_weeks: weeks observed, T.
        name: for tables and messages.
    """

    frame: pl.DataFrame = field(repr=False)
    customers: NDArray[np.generic] = field(repr=False)
    n_weeks: int
    name: str = "transactions"

    @property
    def n_customers(self) -> int:
        """Customers, those who never bought included, U."""
        return int(self.customers.size)

    @cached_property
    def lines(self) -> Lines:
        """The rows as sorted arrays of codes."""
        import polars as pl

        frame = self.frame
        code_u = pl.DataFrame(
            {"customer": self.customers.tolist(), "code": range(self.n_customers)}
        )
        codes = frame.select("customer").join(
            code_u, on="customer", how="left", maintain_order="left"
        )
        customer_l = codes["code"].to_numpy().astype(np.int64)
        category_l, categories = _codes(frame["category"])
        product_l, _ = _codes(frame["product"])
        week_l = frame["week"].to_numpy().astype(np.int64)
        n_products = int(product_l.max()) + 1
        product_category = np.empty(n_products, dtype=np.int64)
        product_category[product_l] = category_l
        # One sort of one number: customer, week, category, product. Tables come in runs that are
        # sorted already, which the stable sort uses.
        place = (customer_l * (self.n_weeks + 1) + week_l) * len(categories) + category_l
        sorted_l = np.argsort(place * n_products + product_l, kind="stable")
        return Lines(
            customer_l[sorted_l],
            week_l[sorted_l],
            category_l[sorted_l],
            product_l[sorted_l],
            frame["quantity"].to_numpy()[sorted_l].astype(np.int64),
            frame["unit_price"].to_numpy()[sorted_l],
            frame["discount"].to_numpy()[sorted_l],
            categories,
            product_category,
        )

    @cached_property
    def facts(self) -> dict[str, float]:
        """Size of the table and its discounts.

        ``discounted_share`` is the share of rows bought at a discount, ``discount_depth`` and
        ``discount_depth_sd`` mean and standard deviation of the discount among those. These are
        facts of purchases: what stood on the shelf unbought is not in the table.
        """
        lines = self.lines
        trips = np.unique(lines.customer * (self.n_weeks + 1) + lines.week).size
        depth = lines.discount[lines.discount > DISCOUNTED]
        return {
            "rows": float(lines.customer.size),
            "customers": float(self.n_customers),
            "weeks": float(self.n_weeks),
            "trips": float(trips),
            "categories": float(len(lines.category_labels)),
            "products": float(lines.product_category.size),
            "units": float(lines.quantity.sum()),
            "revenue": float(self.frame["revenue"].sum()),
            "discounted_share": depth.size / lines.discount.size,
            "discount_depth": float(depth.mean()) if depth.size else 0.0,
            "discount_depth_sd": float(depth.std()) if depth.size else 0.0,
        }

    def select(self, customers: ArrayLike, name: str | None = None) -> Transactions:
        """The table of some customers.

        Args:
            customers: their labels, each once.
            name: of the new table; by default this one's.

        Raises:
            ValueError: for labels that the table does not have, repeated ones, or customers
                without any purchase.
        """
        import polars as pl

        chosen = np.asarray(customers)
        unknown = np.setdiff1d(chosen, self.customers)
        if chosen.ndim != 1 or unknown.size or np.unique(chosen).size != chosen.size:
            what = f"unknown {unknown[:5].tolist()}" if unknown.size else "a list with each once"
            raise ValueError(f"customers to select from {self.name}: {what}")
        frame = self.frame.filter(pl.col("customer").is_in(chosen.tolist()))
        if frame.is_empty():
            raise ValueError(f"none of these customers of {self.name} bought anything")
        return replace(self, frame=frame, customers=chosen, name=name or self.name)

    def with_names(self, categories: Sequence[str]) -> Transactions:
        """The table with names in place of category numbers, that of category j the j-th.

        Raises:
            ValueError: for a category without a name.
        """
        import polars as pl

        last = self.frame["category"].max()
        if not isinstance(last, int) or last >= len(categories):
            raise ValueError(f"{self.name} has category {last!r}, and {len(categories)} names")
        names = pl.Series(categories, dtype=pl.String)
        return replace(
            self,
            frame=self.frame.with_columns(names.gather(self.frame["category"]).alias("category")),
        )

    def sample(self, size: int, generator: np.random.Generator) -> Transactions:
        """The table of ``size`` customers drawn without replacement."""
        size = check_int("size", size, 1, self.n_customers)
        return self.select(generator.choice(self.customers, size, replace=False))
