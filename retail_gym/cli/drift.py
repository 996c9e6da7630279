"""``retail-gym drift``: has something changed between two tables?"""

from __future__ import annotations

import json
from typing import Annotated

import typer

from retail_gym.cli.output import AsJson
from retail_gym.cli.tables import TABLE_HELP, read_table

__all__ = ["drift"]


def drift(
    before: Annotated[str, typer.Argument(help=f"Purchases: {TABLE_HELP}")],
    after: Annotated[str, typer.Argument(help="Later purchases, or those of other customers.")],
    unit: Annotated[
        str, typer.Option(help="customers, weeks or auto: what is exchangeable without drift.")
    ] = "auto",
    rate: Annotated[float, typer.Option(help="Chance of a false alarm.")] = 0.05,
    seed: Annotated[int, typer.Option(min=0, help="Of the permutations.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Compare two tables of purchases, figure by figure, with a stated rate of false alarms."""
    from retail_gym.evaluation.drift import drift as run

    report = run(read_table(before), read_table(after), unit=unit, rate=rate, seed=seed)
    typer.echo(json.dumps(report.to_dict(), indent=2) if as_json else report.describe())
