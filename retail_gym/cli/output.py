"""What commands share: tables on the screen, files, options."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from retail_gym.config import atomic_write

__all__ = ["AsJson", "check_writable", "show_table", "write_file"]

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def write_file(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all."""
    with atomic_write(path) as stream:
        stream.write(content)


def show_table(rows: list[list[str]], head: list[str]) -> None:
    """Print a table."""
    from rich.console import Console
    from rich.table import Table

    table = Table(*head, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    # A pipe has no width of its own; without one, rich would cut the columns to 80.
    Console(width=None if sys.stdout.isatty() else 140).print(table)


def check_writable(file: Path) -> None:
    """Find out now, not after the computation, whether a file can be written."""
    probe = file.with_name(f".{file.name}.test")
    try:
        write_file(probe, b"")
    except OSError as error:
        raise OSError(error.errno, str(error.strerror).replace(str(probe), str(file))) from None
    probe.unlink()
