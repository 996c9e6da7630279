"""A table of your own: what it must hold, and errors that name row and column.

| column | what it is | allowed |
|---|---|---|
| ``week`` | week of the purchase | whole numbers from 1; week 1 is the first observed |
| ``customer`` | who bought | whole numbers or texts |
| ``category`` | the product's category | whole numbers or texts; one for each product |
| ``product`` | what was bought | whole numbers or texts |
| ``quantity`` | units bought | whole numbers, at least 1; count weighed goods as packages |
| ``unit_price`` | price paid for a unit, in money | above 0 |
| ``discount`` | share of the base price | 0 to 1 (1 only with base_price); 0 where unknown; may be left out with base_price |
| ``base_price`` | undiscounted price of a unit (optional) | above 0 |

Other columns are ignored. Rows of the same customer, week and product are merged: quantities
added, prices and discounts averaged.
"""

from __future__ import annotations

import difflib
import errno
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from retail_gym.config import check_int
from retail_gym.data.lineage import read_manifest
from retail_gym.data.table import COLUMNS, KEY, Transactions, merge_lines

if TYPE_CHECKING:
    import polars as pl

__all__ = ["ALLOWED", "read_dataset", "read_transactions"]

LABELS: Final = ("customer", "category", "product")
#: Column -> what it may hold, as error messages say it.
ALLOWED: Final = {
    "week": "a whole number of at least 1",
    "customer": "a whole number or a text",
    "category": "a whole number or a text",
    "product": "a whole number or a text",
    "quantity": "a whole number of at least 1 (count weighed goods as packages)",
    "unit_price": "a price above 0, in money",
    "discount": "a share of the base price from 0 to 1 (0.25 is a quarter off)",
    "base_price": "a price above 0, in money",
}
OPTIONAL: Final = ("discount", "base_price")
#: Discounts this far outside [0, 1] are rounding.
ROUNDING: Final = 1e-6


def _load(source: pl.DataFrame | pl.LazyFrame | str | os.PathLike[str]) -> pl.DataFrame:
    import polars as pl

    if isinstance(source, pl.LazyFrame):
        return source.collect()
    if isinstance(source, pl.DataFrame):
        return source
    if not isinstance(source, str | os.PathLike):
        raise ValueError(
            "give a polars frame or the path of a .parquet or .csv file, not "
            f"{type(source).__name__} (a pandas frame: polars.from_pandas(frame))"
        )
    file = Path(source)
    readers = {".parquet": pl.read_parquet, ".csv": pl.read_csv}
    if file.suffix not in readers:
        raise ValueError(f"{file}: transactions are read from .parquet or .csv files")
    if not file.is_file():
        raise FileNotFoundError(errno.ENOENT, f"no file of transactions at {file}")
    try:
        if file.suffix == ".csv":  # every row, so that a late text is found with its row
            return pl.read_csv(file, infer_schema_length=None)
        return pl.read_parquet(file)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ValueError(f"{file} is not a readable {file.suffix} table: {error}") from None


def _check_columns(name: str, frame: pl.DataFrame) -> None:
    missing = [c for c in ALLOWED if c not in frame.columns and c not in OPTIONAL]
    if not missing and not set(OPTIONAL) & set(frame.columns):
        raise ValueError(
            f"{name} has neither a column 'discount' nor 'base_price': add one of them "
            "(discount = 0 where you do not know; measures of discounts then mean nothing)"
        )
    if missing:
        hints = []
        for column in missing:
            close = difflib.get_close_matches(column, frame.columns, n=1)
            hints.append(f"{column!r}" + (f" (is it your {close[0]!r}?)" if close else ""))
        raise ValueError(
            f"{name} lacks the column {', '.join(hints)}. Needed: week, customer, category, "
            "product, quantity, unit_price and discount or base_price; it has "
            f"{', '.join(frame.columns)}"
        )


def _refuse(name: str, frame: pl.DataFrame, column: str, bad: pl.Series) -> None:
    """Raise for the first bad row of a column, counted from 1."""
    if not bad.any():
        return
    row = int(bad.arg_true()[0])
    (value,) = frame[column].slice(row, 1).to_list()
    raise ValueError(
        f"{name}, row {row + 1}, column {column!r}: {value!r} is not allowed; it must be "
        f"{ALLOWED[column]} ({int(bad.sum())} such rows)"
    )


def _check_numbers(name: str, frame: pl.DataFrame, column: str) -> pl.Series:
    """The column as numbers, or an error at the first value that is not allowed."""
    import polars as pl

    values = frame[column]
    if values.dtype == pl.Boolean or values.dtype.is_temporal() or values.dtype.is_nested():
        _refuse(name, frame, column, pl.repeat(True, frame.height, eager=True))
    number = values.cast(pl.Float64, strict=False)
    bad = number.is_null() | ~number.is_finite().fill_null(False)
    if column in ("week", "quantity"):
        bad = bad | ((number < 1) | (number != number.round())).fill_null(True)
    elif column == "discount":
        bad = bad | ((number < -ROUNDING) | (number > 1 + ROUNDING)).fill_null(True)
        number = number.clip(0.0, 1.0)
    else:
        bad = bad | (number <= 0).fill_null(True)
    _refuse(name, frame, column, bad)
    return number.cast(pl.Int64) if column in ("week", "quantity") else number


def _check_labels(name: str, frame: pl.DataFrame, column: str) -> pl.Series:
    import polars as pl

    values = frame[column]
    _refuse(name, frame, column, values.is_null())
    if values.dtype.is_integer():
        return values.cast(pl.Int64)
    text = values.dtype in (pl.String, pl.Categorical, pl.Enum)
    if not text:
        _refuse(name, frame, column, pl.repeat(True, frame.height, eager=True))
    return values.cast(pl.String)


def _check_one_category(name: str, frame: pl.DataFrame) -> None:
    import polars as pl

    first = frame.select(pl.col("category").first().over("product"))["category"]
    bad = frame["category"] != first
    if bad.any():
        row = int(bad.arg_true()[0])
        raise ValueError(
            f"{name}, row {row + 1}, column 'category': product {frame['product'][row]!r} is in "
            f"category {frame['category'][row]!r} here and in {first[row]!r} above; a product "
            "must have one category"
        )


def read_dataset(folder: str | os.PathLike[str]) -> Transactions:
    """Read the purchases of a dataset that ``retail-gym dataset`` made.

    Categories go by their names where the dataset has a table of them.

    Raises:
        FileNotFoundError: if there is no finished dataset.
        ValueError: if its manifest was edited.
    """
    import polars as pl

    home = Path(folder)
    manifest = read_manifest(home, "dataset")
    recipe = manifest["recipe"]
    table = read_transactions(
        pl.scan_parquet(home / "transactions" / "**" / "*.parquet", hive_partitioning=False),
        customers=range(recipe["config"]["n_customers"]),
        weeks=recipe["weeks"],
        name=home.name,
    )
    if "categories" not in manifest["rows"]:
        return table
    return table.with_names(pl.read_parquet(home / "categories.parquet")["category_name"].to_list())


def read_transactions(
    source: pl.DataFrame | pl.LazyFrame | str | os.PathLike[str],
    *,
    customers: Iterable[object] | None = None,
    weeks: int | None = None,
    name: str | None = None,
) -> Transactions:
    """Read and check a table of purchases: yours, or that of a simulated run.

    ``read_transactions(run.transactions, customers=range(100), weeks=53)`` is the table of a
    run of ``retail_gym.simulate(..., record=True)`` with 100 customers.

    Args:
        source: a polars frame, or the path of a ``.parquet`` or ``.csv`` file, with the columns
            of this module's table.
        customers: labels of all customers, those who never bought included; by default those
            in the table. Rates per customer depend on it.
        weeks: weeks observed, at least the last week in the table (the default).
        name: for messages and reports; by default the file's name.

    Returns:
        The table.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: for a missing column or a value that is not allowed; the message names row
            (from 1, a header not counted) and column, and says what is allowed.
    """
    import polars as pl

    if name is None:
        name = Path(source).name if isinstance(source, str | os.PathLike) else "transactions"
    given = _load(source)
    _check_columns(name, given)
    if given.is_empty():
        raise ValueError(f"{name} has no rows")
    columns = {c: _check_labels(name, given, c) for c in LABELS}
    columns |= {
        c: _check_numbers(name, given, c) for c in ALLOWED if c not in LABELS and c in given.columns
    }
    frame = pl.DataFrame(columns)
    _check_one_category(name, frame)
    price = pl.col("unit_price")
    if "discount" not in frame.columns:
        frame = frame.with_columns(discount=(1.0 - price / pl.col("base_price")).clip(0.0, 1.0))
    if "base_price" not in frame.columns:
        # A price above 0 after a discount of 1 has no base price.
        _refuse(name, frame, "discount", frame["discount"] == 1.0)
        frame = frame.with_columns(base_price=price / (1.0 - pl.col("discount")))
    frame = frame.with_columns(revenue=price * pl.col("quantity"))
    if frame.select(*KEY).is_duplicated().any():
        frame = merge_lines(frame, KEY)
    last = int(frame["week"].max())  # type: ignore[arg-type]
    n_weeks = last if weeks is None else check_int("weeks", weeks, 1)
    if n_weeks < last:
        raise ValueError(f"{name} has purchases in week {last}, but weeks = {n_weeks}")
    everybody = _all_customers(name, frame, customers)
    return Transactions(frame.select(COLUMNS), everybody, n_weeks, name)


def _all_customers(
    name: str, frame: pl.DataFrame, customers: Iterable[object] | None
) -> NDArray[np.generic]:
    import polars as pl

    bought = frame["customer"].unique().sort()
    if customers is None:
        return np.asarray(bought.to_numpy())
    everybody = pl.Series(list(customers), strict=False)
    if everybody.dtype != bought.dtype or everybody.is_duplicated().any():
        raise ValueError(
            f"customers of {name} must be labels like {bought[0]!r}, each once, got "
            f"{everybody.head(3).to_list()}..."
        )
    unknown = sorted(set(bought.to_list()) - set(everybody.to_list()))
    if unknown:
        raise ValueError(
            f"{name} has purchases of customer {unknown[0]!r}, who is not among the customers given"
        )
    return np.asarray(everybody.to_numpy())
