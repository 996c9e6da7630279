"""The star schema of a simulated dataset: its tables, with units and meanings in the files.

Every Parquet file carries, per column, ``unit`` and ``description`` in the field's metadata, and
``retail_gym.table``, ``retail_gym.dataset`` (the recipe's hash) and ``retail_gym.schema_version``
in the schema's. ``docs/data.md`` shows the tables in full.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from retail_gym.config import atomic_write

__all__ = ["SCHEMA_VERSION", "TABLES", "Column", "Table", "TableWriter", "table_name"]

#: Of the tables; a change of a column is another version.
SCHEMA_VERSION: Final = 1
#: Rows are written as soon as there are so many: what bounds the memory of a writer.
ROW_GROUP: Final = 1 << 17


@dataclass(frozen=True)
class Column:
    """A column: name, type of its values, unit, and what it says."""

    name: str
    type: Any
    unit: str
    description: str

    @property
    def field(self) -> Any:
        """As an Arrow field."""
        metadata = {"unit": self.unit, "description": self.description}
        return pa.field(self.name, self.type, nullable=False, metadata=metadata)


@dataclass(frozen=True)
class Table:
    """A table: what a row is, and its columns.

    Args:
        name: folder or file name.
        row: what one row stands for; rows are in the order of its words.
        columns: in order.
        sharded: one file for each block of customers, else one file for the store.
        truth: no real table has it.
        named: only where the store's categories have names.
    """

    name: str
    row: str
    columns: tuple[Column, ...]
    sharded: bool = True
    truth: bool = False
    named: bool = False

    def path(self, shard: int | None = None) -> str:
        """Where the file of a shard lies in the dataset's folder."""
        if not self.sharded:
            return f"{self.name}.parquet"
        return f"{self.name}/shard={shard:05d}/part.parquet"

    def schema(self, dataset: str) -> Any:
        """Arrow schema of the files of a dataset, whose recipe has this hash."""
        metadata = {
            "retail_gym.table": self.name,
            "retail_gym.row": self.row,
            "retail_gym.dataset": dataset,
            "retail_gym.schema_version": str(SCHEMA_VERSION),
        }
        return pa.schema([column.field for column in self.columns], metadata=metadata)

    @cached_property
    def names(self) -> list[str]:
        """Column names."""
        return [column.name for column in self.columns]


_WEEK = Column("week", pa.int16(), "week", "week of the episode, from 1")
_CUSTOMER = Column("customer", pa.int32(), "id", "customer number in the store, from 0")
_PRODUCT = Column("product", pa.int32(), "id", "product number, from 0")
_CATEGORY = Column("category", pa.int16(), "id", "category number, from 0")
_SEGMENT = Column("segment", pa.int16(), "id", "pricing segment, 0 the most price-sensitive")


def _money(name: str, description: str) -> Column:
    return Column(name, pa.float64(), "$", description)


def _share(name: str, description: str) -> Column:
    return Column(name, pa.float64(), "share", description)


def _number(name: str, description: str) -> Column:
    return Column(name, pa.float64(), "1", description)


def _units(name: str, description: str) -> Column:
    return Column(name, pa.float64(), "units", description)


_TABLES: Final = (
    Table(
        "transactions",
        "week, customer, category: one product bought",
        (
            _WEEK,
            _CUSTOMER,
            _CATEGORY,
            _PRODUCT,
            Column("quantity", pa.int32(), "units", "units bought, at least 1"),
            _money("unit_price", "price paid for a unit"),
            _share("discount", "1 - unit_price / base_price"),
            _money("base_price", "price of a unit without discount"),
            _money("revenue", "quantity x unit_price"),
        ),
    ),
    Table(
        "visits",
        "week, customer: everybody, also who stayed away",
        (_WEEK, _CUSTOMER, Column("visited", pa.bool_(), "flag", "whether the customer came")),
    ),
    Table("customers", "customer", (_CUSTOMER, _SEGMENT)),
    Table(
        "products",
        "product",
        (_PRODUCT, _CATEGORY, _money("base_price", "price of a unit without discount")),
        sharded=False,
    ),
    Table(
        "categories",
        "category",
        (_CATEGORY, Column("category_name", pa.string(), "text", "what the category holds")),
        sharded=False,
        named=True,
    ),
    Table(
        "prices",
        "week, segment, product: what stood on the shelf, bought or not",
        (
            _WEEK,
            _SEGMENT,
            _PRODUCT,
            _money("price", "shelf price"),
            _share("discount", "1 - price / base price"),
            Column("promoted", pa.bool_(), "flag", "whether the product was in promotion"),
        ),
        sharded=False,
    ),
    Table(
        "truth_purchases",
        "week, customer, category, product: a line of transactions of a customer of the sample",
        (
            _WEEK,
            _CUSTOMER,
            _CATEGORY,
            _PRODUCT,
            _share("visit_probability", "of a visit this week, given the past (eq. 10)"),
            _share("category_probability", "of a purchase in the category, given a visit (eq. 9)"),
            _share("product_probability", "of the product, given the category (eq. 4)"),
            _units("expected_quantity", "mean of the quantity, given the product (eq. 6)"),
            _number("elasticity_store", "own-price elasticity of the visit (eq. 23)"),
            _number("elasticity_category", "own-price elasticity of the category (eq. 25)"),
            _number("elasticity_product", "own-price elasticity of the product (eq. 27)"),
            _number("elasticity_quantity", "own-price elasticity of the quantity (eq. 29)"),
            _number("elasticity", "own-price elasticity of expected demand, their sum (eq. 21)"),
        ),
        truth=True,
    ),
    Table(
        "truth_responses",
        "week, level, customer: a customer of the sample at another discount",
        (
            _WEEK,
            _CUSTOMER,
            Column("level", pa.int16(), "id", "number of the discount level; -1: what was offered"),
            _share("discount", "of every product; of level -1 the mean discount drawn"),
            _share("visit_probability", "of a visit this week at that discount, given the past"),
            _units("units_if_visit", "expected units, given a visit"),
            _money("revenue_if_visit", "expected revenue, given a visit"),
            _units("units", "expected units: visit_probability x units_if_visit"),
            _money("revenue", "expected revenue: visit_probability x revenue_if_visit"),
        ),
        truth=True,
    ),
    Table(
        "truth_customers",
        "customer: of the sample",
        (
            _CUSTOMER,
            _number("price_sensitivity", "mean over products of beta_w (eq. 18), per log price"),
            _number("inertia", "theta (eq. 10)"),
        ),
        truth=True,
    ),
    Table(
        "truth_products",
        "product",
        (
            _PRODUCT,
            _number("quality", "Z, unobserved"),
            _number("price_factor", "beta_i, factor of price sensitivity (eq. 18)"),
            _number("quantity_rate", "gamma_prod_0, base log rate of the quantity (eq. 5)"),
            _number("category_utility", "gamma_cate_0 of its category (eq. 8)"),
            _number("category_weight", "gamma_cate_1 of its category (eq. 8)"),
        ),
        sharded=False,
        truth=True,
    ),
)

#: The tables by name.
TABLES: Final[Mapping[str, Table]] = {table.name: table for table in _TABLES}


def table_name(path: str) -> str:
    """Name of the table that a file of a dataset's folder belongs to."""
    return path.split("/")[0].removesuffix(".parquet")


class _Abandoned(Exception):  # noqa: N818 (it is no error)
    """A file that is not to appear."""


class TableWriter:
    """Writes the tables of a shard, or of the store, in bounded memory.

    A context: the files appear under their names when it is left without an error.

    Args:
        folder: of the dataset.
        dataset: the recipe's hash.
        tables: to be written.
        shard: number of the shard; None for the tables of the store.
    """

    def __init__(
        self, folder: Path, dataset: str, tables: list[Table], shard: int | None = None
    ) -> None:
        self.rows = dict.fromkeys((table.path(shard) for table in tables), 0)
        self._folder, self._shard = folder, shard
        self._schemas = {table.name: table.schema(dataset) for table in tables}
        self._waiting: dict[str, list[Any]] = {table.name: [] for table in tables}
        self._writers: dict[str, Any] = {}
        self._files: list[contextlib.AbstractContextManager[IO[bytes]]] = []

    def __enter__(self) -> TableWriter:
        try:
            for name, schema in self._schemas.items():
                file = atomic_write(self._folder / TABLES[name].path(self._shard))
                self._writers[name] = pq.ParquetWriter(file.__enter__(), schema, compression="zstd")
                self._files.append(file)
        except BaseException:
            self._abandon()
            raise
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None:
            self._abandon()
            return
        try:
            for name, writer in self._writers.items():
                self._flush(name)
                writer.close()
            while self._files:
                self._files.pop(0).__exit__(None, None, None)
        except BaseException:
            self._abandon()
            raise

    def _abandon(self) -> None:
        """Leave nothing behind of files that are not finished."""
        for file in self._files:
            with contextlib.suppress(_Abandoned):
                file.__exit__(_Abandoned, _Abandoned(), None)
        for writer in self._writers.values():
            with contextlib.suppress(OSError, ValueError):  # it has nothing to write to any more
                writer.close()

    def add(self, name: str, **columns: Any) -> None:
        """Add rows to a table; a scalar stands for a column of equal values."""
        schema = self._schemas[name]
        n = max((np.size(values) for values in columns.values()), default=0)
        n = min(n, *(np.size(v) for v in columns.values() if np.ndim(v)), n)
        arrays = [
            pa.array(np.broadcast_to(np.asarray(columns.pop(field.name)), n), field.type)
            for field in schema
        ]
        if columns:
            raise TypeError(f"{name} has no column {', '.join(columns)}")
        batch = pa.record_batch(arrays, schema=schema)
        waiting = self._waiting[name]
        waiting.append(batch)
        self.rows[TABLES[name].path(self._shard)] += n
        if sum(batch.num_rows for batch in waiting) >= ROW_GROUP:
            self._flush(name)

    def _flush(self, name: str) -> None:
        waiting = self._waiting[name]
        if waiting:
            table = pa.Table.from_batches(waiting, self._schemas[name]).combine_chunks()
            self._writers[name].write_table(table, row_group_size=max(table.num_rows, 1))
            waiting.clear()
