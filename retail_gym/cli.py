"""The command line: ``retail-gym scenarios | simulate | conformance | info | bench``."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from retail_gym.config import atomic_write

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Retail pricing as a reinforcement-learning environment.",
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def _write(path: Path, content: bytes) -> None:
    with atomic_write(path) as stream:
        stream.write(content)


def _table(rows: list[list[str]], head: list[str]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*head, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    # A pipe has no width of its own; without one, rich would cut the columns to 80.
    Console(width=None if sys.stdout.isatty() else 140).print(table)


@app.command()
def scenarios(
    context: typer.Context,
    preset: Annotated[str, typer.Option(help="Preset, .toml or .npz file.")] = "scenario",
    worlds: Annotated[int, typer.Option(min=1, help="Number of worlds.")] = 10,
    first_world: Annotated[int, typer.Option(min=0, help="Seed of the first world.")] = 10,
    seeds: Annotated[int, typer.Option(min=1, help="Luck seeds per world and policy.")] = 20,
    weeks: Annotated[int, typer.Option(min=1, help="Weeks per run.")] = 53,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes (default: one per CPU).")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for tables and pictures.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compare the paper's policies I-V and put Figure 8(a) beside them."""
    # A caller may hand over more policies: app([...], obj={name: policy}).
    from retail_gym.evaluation import scenarios as study
    from retail_gym.plotting import plot_scenarios

    if out is not None:
        _check_writable(out / "scenarios.json")
    comparison = study.compare_scenarios(
        preset,
        range(first_world, first_world + worlds),
        range(seeds),
        weeks=weeks,
        workers=workers,
        progress=True,
        cache=None if out is None else out / "runs",
        beside=context.obj,
    )
    table = comparison.table()
    errors = comparison.errors()
    summary: dict[str, Any] = {
        "preset": preset,
        "worlds": list(errors),
        "seeds": seeds,
        "weeks": weeks,
        "mean_absolute_relative_error": float(np.mean(list(errors.values()))),
        "error_by_world": {str(world): error for world, error in errors.items()},
        "orderings": comparison.orderings(),
        "table": table.to_dicts(),
        "segments": {str(s): comparison.table(s).to_dicts() for s in (1, 2, 3)},
    }
    if as_json:
        typer.echo(json.dumps(summary, indent=2))
    else:
        shown = table.filter(table["metric"].is_in([*study.FIGURE_8.values()]))
        _table(
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
        typer.echo(
            f"mean absolute relative error over the 25 numbers: "
            f"{summary['mean_absolute_relative_error']:.1%} "
            f"(worlds: {', '.join(f'{error:.1%}' for error in errors.values())})"
        )
        for finding, holds in summary["orderings"].items():
            typer.echo(f"{'yes' if holds else 'NO '}  {finding}")
    if out is not None:
        _write(out / "scenarios.json", json.dumps(summary, indent=2).encode())
        _write(out / "scenarios.csv", table.write_csv().encode())
        picture = plot_scenarios(comparison, out / "figure_8.png")
        typer.echo(f"tables: {out / 'scenarios.json'}, {out / 'scenarios.csv'}", err=as_json)
        typer.echo(f"picture: {picture}", err=as_json)


@app.command()
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
        _check_writable(out)
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
        _table(
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


@app.command()
def conformance(
    file: Annotated[Path, typer.Argument(help="Equation or market file (.npz).")],
    market: Annotated[
        Path | None, typer.Option(help="Expected figures of the store (.json): simulate it.")
    ] = None,
    runs: Annotated[int, typer.Option(min=2, help="Simulated runs (with --market).")] = 40,
    kernel: Annotated[str | None, typer.Option(help="Kernel (default: the fastest).")] = None,
    out: Annotated[Path | None, typer.Option(help="Write our outputs (.npz).")] = None,
) -> None:
    """Check the equations, or a whole simulated store, against numbers from elsewhere."""
    from retail_gym import conformance as suite
    from retail_gym.world.storage import read_arrays

    if out is not None:
        if market is not None:
            raise ValueError("--out writes the outputs of equations: it does not go with --market")
        _check_writable(out)
    arrays = read_arrays(file)
    if market is not None:
        from tqdm import tqdm

        expected = suite.read_market(market)
        with tqdm(total=runs, desc="runs", unit="run", disable=None) as bar:
            checks = suite.check_market(arrays, expected, runs, kernel, bar.update)
        for check in checks:
            typer.echo(
                f"{check.name:40s} {check.measured:14.6g} {check.expected:14.6g} "
                f"{check.error:+8.2f} se  {'ok' if check.passed else 'FAIL'}"
            )
    else:
        checks, outputs = suite.check_equations(arrays)
        for check in checks:
            typer.echo(f"{check.name:24s} {check.error:10.2e}  {'ok' if check.passed else 'FAIL'}")
        if out is not None:
            with atomic_write(out) as stream:
                np.savez(stream, **outputs)  # type: ignore[arg-type]
    passed = all(check.passed for check in checks)
    typer.echo("COMPUTED" if not checks else "PASS" if passed else "FAIL")
    if not passed:
        raise typer.Exit(1)


@app.command()
def info(
    preset: Annotated[
        str | None, typer.Argument(help="Preset, .toml or .npz file to describe.")
    ] = None,
    world_seed: Annotated[int, typer.Option(min=0, help="Store.")] = 0,
    as_json: AsJson = False,
) -> None:
    """List what there is, or describe one store."""
    from retail_gym import __version__
    from retail_gym.envs.rewards import REWARDS
    from retail_gym.kernels import KERNELS
    from retail_gym.policies import ZOO
    from retail_gym.registration import IDS
    from retail_gym.world import make_world, preset_names

    facts: dict[str, Any]
    if preset is None:
        facts = {
            "version": __version__,
            "ids": list(IDS),
            "presets": preset_names(),
            "policies": [*ZOO, "DEPTH,FREQUENCY"],
            "rewards": list(REWARDS),
            "kernels": list(KERNELS),
        }
    else:
        world = make_world(preset, world_seed)
        facts = {
            "store": world.name,
            "seed": world.seed,
            "customers": world.n_customers,
            "products": world.n_products,
            "categories": world.n_categories,
            "median base price [$]": float(np.median(world.base_price)),
            "gamma_store_0": world.gamma_store_0,
            "gamma_store_1": world.gamma_store_1,
            "gamma_store_2": world.gamma_store_2,
            "alpha_1 [$]": world.alpha_1,
            "cap percentile": world.cap_reference.percentile,
            "marketing": world.marketing,
            "promotion": repr(world.promotion),
            "reward scale R0 [$ a week]": world.reward_scale,
        }
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
        return
    for key, value in facts.items():
        shown = ", ".join(value) if isinstance(value, list) else value
        typer.echo(f"{key:28s} {shown:.6g}" if isinstance(value, float) else f"{key:28s} {shown}")


@app.command()
def bench(
    preset: Annotated[str, typer.Option(help="Preset, .toml or .npz file.")] = "scenario",
    episodes: Annotated[int, typer.Option(min=1, help="Years behind each figure.")] = 5,
    out: Annotated[Path | None, typer.Option(help="Write the figures as JSON.")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure speed, memory and start-up, in milliseconds and in units of np.exp."""
    from retail_gym.bench import run_benchmarks

    if out is not None:
        _check_writable(out)
    figures = run_benchmarks(preset, episodes)
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
        _table(rows, ["measurement", "min ms", "median ms", "min / np.exp", "median / np.exp"])
        typer.echo(json.dumps({k: figures[k] for k in ("np_exp_ms", "start_up_s")}))
    if out is not None:
        _write(out, text.encode())
        typer.echo(f"figures: {out}", err=as_json)


def _check_writable(file: Path) -> None:
    """Find out now, not after the computation, whether a file can be written."""
    probe = file.with_name(f".{file.name}.test")
    try:
        _write(probe, b"")
    except OSError as error:
        raise OSError(error.errno, str(error.strerror).replace(str(probe), str(file))) from None
    probe.unlink()


def main(run: Callable[[], Any] = app) -> None:
    """Entry point: errors of use become one line and exit status 2."""
    try:
        run()
    except (ValueError, TypeError, OSError) as error:
        message = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        typer.echo(f"error: {message}", err=True)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
