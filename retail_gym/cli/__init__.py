"""The command line: ``retail-gym COMMAND``, one file a command."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer

from retail_gym.cli.bench import bench
from retail_gym.cli.conformance import conformance
from retail_gym.cli.drift import drift
from retail_gym.cli.info import info
from retail_gym.cli.judge import judge
from retail_gym.cli.scenarios import scenarios
from retail_gym.cli.simulate import simulate

__all__ = ["app", "main"]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Retail pricing as a reinforcement-learning environment.",
)
for command in (scenarios, simulate, judge, drift, conformance, info, bench):
    app.command()(command)


def main(run: Callable[[], Any] = app) -> None:
    """Entry point: errors of use become one line and exit status 2."""
    try:
        run()
    except (ValueError, TypeError, OSError) as error:
        message = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        typer.echo(f"error: {message}", err=True)
        raise SystemExit(2) from None
