"""``retail-gym bench``: speed, memory and start-up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from retail_gym.cli.output import AsJson, check_writable, show_table, write_file

__all__ = ["bench"]


def bench(
    preset: Annotated[str, typer.Option(help="Preset, .toml or .npz file.")] = "scenario",
    episodes: Annotated[int, typer.Option(min=1, help="Years behind each figure.")] = 5,
    customers: Annotated[
        int | None, typer.Option(min=1, help="Customers of the store (default: the preset's).")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the figures as JSON.")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure speed, memory and start-up, in milliseconds and in units of np.exp."""
    from retail_gym.bench import run_benchmarks

    if out is not None:
        check_writable(out)
    figures = run_benchmarks(preset, episodes, customers)
    text = json.dumps(figures, indent=2)
    if as_json:
        typer.echo(text)
    else:
        rows = [
            [
                name,
                f"{value['ms']['minimum']:.3f}",
                f"{value['ms']['median']:.3f}",
                f"{value['ratio_to_np_exp']['minimum']:.2f}",
                f"{value['ratio_to_np_exp']['median']:.2f}",
            ]
            for name, value in figures.items()
            if isinstance(value, dict) and "ratio_to_np_exp" in value
        ]
        show_table(rows, ["measurement", "min ms", "median ms", "min / np.exp", "median / np.exp"])
        typer.echo(json.dumps({k: figures[k] for k in ("np_exp_ms", "start_up_s")}))
    if out is not None:
        write_file(out, text.encode())
        typer.echo(f"figures: {out}", err=as_json)
