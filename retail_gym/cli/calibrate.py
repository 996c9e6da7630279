"""``retail-gym calibrate``: fit a store to a table of purchases."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from retail_gym.cli.output import AsJson, check_writable, show_table

if TYPE_CHECKING:
    from retail_gym.data import Transactions

__all__ = ["calibrate"]

#: The name that stands for the train households of the Complete Journey.
COMPLETE_JOURNEY = "complete_journey"


def calibrate(
    data: Annotated[
        str, typer.Argument(help="Table (.parquet or .csv), or complete_journey: train households.")
    ],
    out: Annotated[Path, typer.Option(help="Preset to write (.toml).")],
    quick: Annotated[bool, typer.Option("--quick", help="Minutes instead of an hour.")] = False,
    holdout: Annotated[
        float, typer.Option(min=0.0, max=0.8, help="Share of customers to judge on, not fitted.")
    ] = 0.3,
    size: Annotated[
        int | None, typer.Option(min=1, help="Customers on each side of a comparison.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Simulated stores to judge.")] = 10,
    seed: Annotated[int, typer.Option(min=0, help="Of the split and the searches.")] = 0,
    work: Annotated[
        Path | None, typer.Option(help="Folder of what is done (default: beside the preset).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fit a store to purchases and write it as a preset: make_world("my_store.toml").

    Start the same command again after a kill and it goes on where it was.
    """
    import numpy as np

    from retail_gym.calibration import EFFORTS, Target, judge
    from retail_gym.calibration import calibrate as fit
    from retail_gym.calibration.report import score_rows, write_calibration

    if out.suffix != ".toml":
        raise ValueError(f"--out must end in .toml, got {out}")
    check_writable(out)
    effort = EFFORTS["quick" if quick else "full"]
    table, sizes = _table(data)
    people = np.random.default_rng([seed, 17]).permutation(table.customers)
    held = round(holdout * people.size)
    real, judged_on = table, table
    if held:
        real = table.select(people[held:], f"{table.name}, fitted")
        judged_on = table.select(people[:held], f"{table.name}, not fitted")
    limit = min(effort.customers, real.n_customers) if size is None else size
    target = Target.of(real, limit, sizes, seed=seed)
    folder = out.with_name(f"{out.stem}.work") if work is None else work
    typer.echo(f"fitting to {real.n_customers:,} customers of {table.name}", err=as_json)
    found = fit(
        target, folder=folder, effort=effort.name, seed=seed, name=out.stem, progress=not as_json
    )
    beside = judged_on
    if judged_on.n_customers > limit:
        beside = judged_on.sample(limit, np.random.default_rng([seed, 18]))
    judgement = judge(
        found.config, beside, target.labels, seeds=range(seeds), pool=real if held else None
    )
    files = write_calibration(found, target, judgement, out, data)
    if as_json:
        typer.echo(json.dumps(judgement.plain(), indent=2))
    else:
        show_table(score_rows(judgement), ["measure", "real", "simulated", "score", "ceiling"])
        figures = [[name, f"{r:.3f}", f"{s:.3f}"] for name, (r, s) in judgement.figures.items()]
        show_table(figures, ["figure", "real", "simulated"])
        if not held:
            typer.echo("judged on the customers it was fitted to")
    typer.echo("written: " + ", ".join(str(file) for file in files), err=as_json)


def _table(data: str) -> tuple[Transactions, dict[Any, int] | None]:
    """The table, and the sizes of its categories where a list of products says them."""
    from retail_gym.data import load_complete_journey, read_transactions
    from retail_gym.world.presets.complete_journey import product_counts

    if data == COMPLETE_JOURNEY:
        return load_complete_journey("train"), product_counts()
    return read_transactions(data), None
