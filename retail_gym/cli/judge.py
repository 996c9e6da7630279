"""``retail-gym judge``: is a synthetic table faithful, useful and private?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from retail_gym.cli.output import AsJson, check_writable
from retail_gym.cli.tables import TABLE_HELP, read_table

__all__ = ["judge"]


def judge(
    real: Annotated[str, typer.Argument(help=f"Real purchases: {TABLE_HELP}")],
    synthetic: Annotated[str, typer.Argument(help="Generated purchases, likewise.")],
    holdout: Annotated[
        str | None,
        typer.Option(help="Real purchases of customers that the generator has not seen."),
    ] = None,
    part: Annotated[
        list[str] | None,
        typer.Option(help="fidelity, utility or privacy; may be repeated (default: all)."),
    ] = None,
    labels: Annotated[
        str, typer.Option(help="auto, shared or ranked: do labels mean the same in both?")
    ] = "auto",
    seed: Annotated[int, typer.Option(min=0, help="Of all draws.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder for judgement.json and .csv.")] = None,
    as_json: AsJson = False,
) -> None:
    """Judge a synthetic table of purchases by a real one: fidelity, utility, privacy."""
    from retail_gym.evaluation.judge import PARTS
    from retail_gym.evaluation.judge import judge as run

    if out is not None:
        check_writable(out / "judgement.json")
    report = run(
        read_table(real),
        read_table(synthetic),
        None if holdout is None else read_table(holdout),
        parts=part or tuple(PARTS),
        labels=labels,
        seed=seed,
    )
    typer.echo(report.to_json() if as_json else report.describe())
    if out is not None:
        report.write(out)
        typer.echo(f"report: {out / 'judgement.json'}, {out / 'judgement.csv'}", err=as_json)
