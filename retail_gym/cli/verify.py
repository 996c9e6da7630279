"""``retail-gym verify``: is a dataset whole, and does its recipe make it again?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["verify"]


def verify(
    folder: Annotated[Path, typer.Argument(help="Folder of a dataset.")],
    regenerate: Annotated[
        str | None,
        typer.Option(help="Make a shard (its number) or all again and compare bit for bit."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes; default: one per CPU.")
    ] = None,
) -> None:
    """Check a dataset against its manifest; exit status 1 if something is wrong."""
    from retail_gym.data import verify as checks
    from retail_gym.data.executors import Pool

    shards = None
    if regenerate is not None and regenerate != "all":
        if not regenerate.isdigit():
            raise ValueError(f"--regenerate takes the number of a shard or all, got {regenerate!r}")
        shards = [int(regenerate)]
    problems = checks.verify(folder)
    if not problems and regenerate is not None:
        problems = checks.regenerate(folder, shards, Pool(workers))
    for problem in problems:
        typer.echo(problem)
    made = "" if regenerate is None else f", {regenerate} made again"
    typer.echo(f"{len(problems)} problems" if problems else f"PASS: {folder}{made}")
    if problems:
        raise typer.Exit(1)
