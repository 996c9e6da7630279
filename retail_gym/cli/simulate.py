"""``retail-gym simulate``: one episode."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from retail_gym.cli.output import AsJson, check_writable, show_table
from retail_gym.config import atomic_write

__all__ = ["simulate"]


def simulate(
    preset: Annotated[str, typer.Argument(help="Preset, .toml or .npz file.")] = "scenario",
    policy: Annotated[str, typer.Option(help="Member of the zoo, or DEPTH,FREQUENCY.")] = "III",
    weeks: Annotated[int, typer.Option(min=1)] = 53,
    seed: Annotated[int, typer.Option(min=0, help="Luck.")] = 0,
    world_seed: Annotated[int, typer.Option(min=0, help="Store.")] = 0,
    customers: Annotated[int | None, typer.Option(min=1, help="Number of customers.")] = None,
    reward: Annotated[
        str, typer.Option(help="revenue, margin, retention or balanced.")
    ] = "revenue",
    out: Annotated[
        Path | None, typer.Option(help="Write every purchase line (.parquet or .csv).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run one policy for one episode and print what happened."""
    from retail_gym import evaluation
    from retail_gym.policies import make_policy

    if out is not None and out.suffix not in (".parquet", ".csv"):
        raise ValueError(f"--out must end in .parquet or .csv, got {out}")
    if out is not None:
        check_writable(out)
    overrides: dict[str, Any] = {} if customers is None else {"n_customers": customers}
    run = evaluation.simulate(
        preset,
        make_policy(policy),
        weeks=weeks,
        seed=seed,
        record=out is not None,
        world_seed=world_seed,
        reward=reward,
        **overrides,
    )
    if as_json:
        typer.echo(json.dumps(run.metrics, indent=2))
    else:
        show_table(
            [[k, f"{v:,.4f}".rstrip("0").rstrip(".")] for k, v in run.metrics.items()],
            ["figure", "value"],
        )
    if out is not None and run.transactions is not None:
        with atomic_write(out) as stream:
            if out.suffix == ".csv":
                run.transactions.write_csv(stream)
            else:
                run.transactions.write_parquet(stream)
        typer.echo(f"transactions: {out} ({run.transactions.height} lines)", err=as_json)
