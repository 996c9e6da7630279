"""What environments of a vector did in one call, and the checks of what a vector is given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retail_gym.config import check_int

Flags = NDArray[np.bool_]
Info = dict[str, Any]

__all__ = ["Turn", "TurnError", "Turns", "checked_mask", "checked_seeds", "columns", "naming"]


class Turn(NamedTuple):
    """What one environment did in one call."""

    observation: NDArray[np.float32]
    info: Info
    reward: float = 0.0
    ended: bool = False
    # Of an episode that was followed by another in the same call.
    final: tuple[NDArray[np.float32], Info] | None = None


Turns = dict[int, Turn]


class TurnError(Exception):
    """An error inside some environments; its cause is the error."""


@contextmanager
def naming(members: list[int]) -> Iterator[None]:
    """Say which environments an error belongs to: those in the list when it happens."""
    try:
        yield
    except Exception as error:
        which = f"environment {members[0]}" if len(members) == 1 else f"environments {members}"
        what = f"{type(error).__name__}: {error}"
        raise TurnError(f"{which} failed with {what}") from error


def checked_seeds(seed: int | Sequence[int | None] | None, n: int) -> list[int | None]:
    """One seed, or None, for each of n environments; s seeds number k with s + k."""
    if seed is None or isinstance(seed, int | np.integer):
        seed = [None if seed is None else int(seed) + k for k in range(n)]
    seeds = [None if s is None else check_int("seed", s, 0) for s in seed]
    if len(seeds) != n:
        raise ValueError(f"give one seed or a list of {n}, one per environment: {seed}")
    return seeds


def checked_mask(mask: Any, n: int) -> Flags:
    """Which of n environments to reset; all where nothing is said."""
    if mask is None:
        return np.ones(n, dtype=bool)
    if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_:
        raise TypeError(f"options['reset_mask'] must be a boolean NumPy array, got {mask!r}")
    if mask.shape != (n,) or not mask.any():
        raise ValueError(f"options['reset_mask'] needs {n} flags, one True: {mask}")
    return mask.copy()


def columns(infos: dict[int, Info], n: int) -> Info:
    """Infos of some of n environments as arrays with masks."""
    chosen, table = list(infos), {}
    here = np.zeros(n, dtype=bool)
    here[chosen] = True
    rows = [list(info.values()) for info in infos.values()]
    for name, values in zip(infos[chosen[0]], zip(*rows, strict=True), strict=True):
        table[name] = np.zeros(n, dtype=type(values[0]))
        table[name][here] = values
        table[f"_{name}"] = here.copy()
    return table
