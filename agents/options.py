"""What the commands share: options of the form NAME=VALUE, and one line for an error of use."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from typing import Annotated, Any

import gymnasium as gym
import typer

from agents.registry import library

__all__ = ["EnvOptions", "Settings", "main", "pairs"]

EnvOptions = Annotated[
    list[str] | None,
    typer.Option("--env", metavar="NAME=VALUE", help="Argument of the environment (repeatable)."),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Hyper-parameter (repeatable)."),
]


def pairs(options: Iterable[str] | None) -> dict[str, Any]:
    """``["n_envs=4", "learning_rate=1e-3"]`` as a dict; values are read as YAML.

    Raises:
        ValueError: for an option without ``=``.
        ImportError: if there are options and no YAML, naming what to install.
    """
    table: dict[str, Any] = {}
    for option in options or ():
        name, sign, text = option.partition("=")
        if not sign or not name:
            raise ValueError(f"{option!r} is not of the form NAME=VALUE")
        value = library("yaml").safe_load(text)
        with contextlib.suppress(TypeError, ValueError):  # YAML takes 1e-3 for text
            value = float(value) if isinstance(value, str) else value
        table[name] = value
    return table


def main(run: Callable[[], Any]) -> None:
    """Run a command: errors of use become one line and exit status 2."""
    try:
        run()
    except (ValueError, TypeError, OSError, ImportError, gym.error.Error) as error:
        message = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        typer.echo(f"error: {message}", err=True)
        raise SystemExit(2) from None
