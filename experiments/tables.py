"""Results of studies in files: tables in Parquet, single runs in JSON."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from retail_gym import __version__
from retail_gym.config import atomic_write, stable_hash

__all__ = ["kept", "read", "write"]


def kept(file: Path, of: Any, compute: Callable[[], Any]) -> Any:
    """A result from its JSON file, computed if it is not there, or there of something else.

    Args:
        file: where it is kept.
        of: plain values that it is a function of, configurations among them by their hash.
        compute: gives the result, of plain values.

    Raises:
        ValueError: for a damaged file, naming it.
    """
    key = stable_hash([__version__, of])
    if file.exists():
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(
                f"{file} is not a kept result ({error}): remove it to compute it again"
            ) from None
        if isinstance(found, dict) and found.get("key") == key:
            return found["result"]
    text = json.dumps({"key": key, "result": compute()})
    with atomic_write(file) as stream:
        stream.write(text.encode())
    return json.loads(text)["result"]


def write(frame: pl.DataFrame, path: Path) -> None:
    """A table into a file, whole or not at all."""
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd")
    with atomic_write(path) as stream:
        stream.write(buffer.getvalue())


def read(path: Path, schema: dict[str, Any]) -> pl.DataFrame:
    """A table of a file, empty where there is none.

    Raises:
        ValueError: for another table.
    """
    if not path.exists():
        return pl.DataFrame(schema=schema)
    frame = pl.read_parquet(path)
    if frame.columns != list(schema):
        raise ValueError(f"{path} has columns {frame.columns}, not {list(schema)}")
    return frame
