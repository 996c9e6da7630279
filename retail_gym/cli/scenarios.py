"""``retail-gym scenarios``: compare policies I-V with the published figures."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from retail_gym.cli.output import AsJson, check_writable, show_table, write_file

__all__ = ["scenarios"]


def scenarios(
    context: typer.Context,
    preset: Annotated[str, typer.Option(help="Preset, .toml or .npz file.")] = "scenario",
    worlds: Annotated[int, typer.Option(min=1, help="Number of worlds.")] = 10,
    first_world: Annotated[int, typer.Option(min=0, help="Seed of the first world.")] = 10,
    seeds: Annotated[int, typer.Option(min=1, help="Luck seeds per world and policy.")] = 20,
    weeks: Annotated[int, typer.Option(min=1, help="Weeks per run.")] = 53,
    customers: Annotated[
        int | None, typer.Option(min=3, help="Customers of each store (default: the preset's).")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes (default: one per CPU).")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for tables and pictures.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compare the paper's policies I-V and put Figure 8(a) beside them.

    In a store of other customers than the paper's (with layers) nothing is published to compare
    with; beside I-V stand no discount and the store's own promotions.
    """
    # A caller may hand over more policies: app([...], obj={name: policy}).
    from retail_gym.evaluation import scenarios as study
    from retail_gym.plotting import plot_scenarios
    from retail_gym.policies import Planned, no_discount

    if out is not None:
        check_writable(out / "scenarios.json")
    beside = dict(context.obj or {})
    store = study.store_of(preset)
    if store.layers is not None:
        beside = {"none": no_discount(), "own": Planned(store.promotion)} | beside
    comparison = study.compare_scenarios(
        preset,
        range(first_world, first_world + worlds),
        range(seeds),
        weeks=weeks,
        workers=workers,
        progress=True,
        cache=None if out is None else out / "runs",
        beside=beside,
        **({} if customers is None else {"n_customers": customers}),
    )
    table = comparison.table()
    errors = comparison.errors()
    summary: dict[str, Any] = {
        "preset": preset,
        "worlds": list(comparison.world_means()),
        "seeds": seeds,
        "weeks": weeks,
        "customers": customers,
        "mean_absolute_relative_error": float(np.mean(list(errors.values()))) if errors else None,
        "error_by_world": {str(world): error for world, error in errors.items()},
        "orderings": comparison.orderings(),
        "leaders": {
            metric: asdict(comparison.leader(metric)) for metric in ("revenue", "margin", "units")
        },
        "table": table.to_dicts(),
        "segments": {str(s): comparison.table(s).to_dicts() for s in (1, 2, 3)},
    }
    if as_json:
        typer.echo(json.dumps(summary, indent=2))
    else:
        shown = table.filter(table["metric"].is_in([*study.FIGURE_8.values()]))
        show_table(
            [
                [
                    row["policy"],
                    row["metric"],
                    f"{row['ours']:.4g}",
                    "" if row["published"] is None else f"{row['published']:.4g}",
                    "" if row["published"] is None else f"{row['difference']:+.1%}",
                    f"[{row['low']:.4g}, {row['high']:.4g}]",
                ]
                for row in shown.iter_rows(named=True)
            ],
            ["policy", "figure", "ours", "published", "difference", "95 % interval"],
        )
        if errors:
            typer.echo(
                f"mean absolute relative error over the 25 numbers: "
                f"{summary['mean_absolute_relative_error']:.1%} "
                f"(worlds: {', '.join(f'{error:.1%}' for error in errors.values())})"
            )
        else:
            typer.echo("nothing published is about a store like this; do its findings hold here?")
        for finding, holds in summary["orderings"].items():
            typer.echo(f"{'yes' if holds else 'NO '}  {finding}")
        for metric in summary["leaders"]:
            first = comparison.leader(metric)
            typer.echo(
                f"most {metric}: {first.policy}, {first.lead.mean:+.1%} [{first.lead.low:.1%}, "
                f"{first.lead.high:.1%}] over {first.runner_up}"
            )
    if out is not None:
        write_file(out / "scenarios.json", json.dumps(summary, indent=2).encode())
        write_file(out / "scenarios.csv", table.write_csv().encode())
        picture = plot_scenarios(comparison, out / "figure_8.png")
        typer.echo(f"tables: {out / 'scenarios.json'}, {out / 'scenarios.csv'}", err=as_json)
        typer.echo(f"picture: {picture}", err=as_json)
