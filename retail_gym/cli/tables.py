"""Tables of purchases named on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from retail_gym.data import Transactions, load_complete_journey, read_transactions

__all__ = ["TABLE_HELP", "read_table"]

TABLE_HELP: Final = (
    ".parquet or .csv file, folder of a dataset, or complete_journey:train (held_out, all)."
)
COMPLETE_JOURNEY: Final = "complete_journey"


def read_table(source: str) -> Transactions:
    """Read a table: a file, the folder of a dataset, or ``complete_journey:SPLIT``.

    A dataset's folder holds the purchases as Parquet files in ``transactions/`` (or as
    ``transactions.parquet``), and where there is a ``customers/`` (or ``customers.parquet``), its
    column ``customer`` names everybody, those who never bought included.

    Raises:
        FileNotFoundError: if there is nothing of that name.
        ValueError: for a table that is not as documented in ``retail_gym.data.schema``.
    """
    name, _, split = source.partition(":")
    if name == COMPLETE_JOURNEY:
        return load_complete_journey(split or "all")
    folder = Path(source)
    if not folder.is_dir():
        return read_transactions(source)
    rows = _parts(folder, "transactions")
    if not rows:
        raise FileNotFoundError(
            2, f"{folder} is a folder without transactions/*.parquet: name a file or a dataset"
        )
    import polars as pl

    everybody = _parts(folder, "customers")
    customers = (
        pl.read_parquet(everybody, columns=["customer"])["customer"].to_list()
        if everybody
        else None
    )
    return read_transactions(pl.scan_parquet(rows), customers=customers, name=folder.name)


def _parts(folder: Path, table: str) -> list[Path]:
    """Parquet files of a table of a dataset, in order."""
    whole = folder / f"{table}.parquet"
    return [whole] if whole.is_file() else sorted((folder / table).rglob("*.parquet"))
