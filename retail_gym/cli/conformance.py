"""``retail-gym conformance``: check against others' numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from retail_gym.cli.output import check_writable
from retail_gym.config import atomic_write

__all__ = ["conformance"]


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
        check_writable(out)
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
