"""Search: CMA-ES over bounded parameters, with a log that a killed run goes on from."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from retail_gym.config import atomic_write, check_finite, check_int, stable_hash

__all__ = ["Found", "Parameter", "minimise"]

#: First step of the search, in units of a parameter's range.
STEP: Final = 0.05


@dataclass(frozen=True)
class Parameter:
    """One number to search for: its range and where to begin.

    Args:
        name: of the number.
        low: least value.
        high: largest value.
        start: first value tried.
        ratio: search on a log scale; the range must be above 0.
    """

    name: str
    low: float
    high: float
    start: float
    ratio: bool = False

    def __post_init__(self) -> None:
        if not self.low < self.high or (self.ratio and self.low <= 0.0):
            raise ValueError(f"parameter {self.name} needs low < high, above 0 on a log scale")
        check_finite(f"start of parameter {self.name}", self.start, self.low, self.high)

    def place(self, value: float) -> float:
        """Where a value lies in the range, from 0 to 1."""
        if self.ratio:
            return float(np.log(value / self.low) / np.log(self.high / self.low))
        return (value - self.low) / (self.high - self.low)

    def value(self, place: float) -> float:
        """The value at a place from 0 to 1."""
        if self.ratio:
            return float(self.low * (self.high / self.low) ** place)
        return float(self.low + place * (self.high - self.low))


@dataclass(frozen=True)
class Found:
    """Where a search ended."""

    values: dict[str, float]
    loss: float
    history: tuple[float, ...] = field(repr=False)  # loss of every point tried, in order


def minimise(
    name: str,
    parameters: Sequence[Parameter],
    loss: Callable[[Mapping[str, float]], float],
    trials: int,
    *,
    seed: int = 0,
    log: Path | None = None,
    step: float = STEP,
    tick: Callable[[float], None] = lambda loss: None,
) -> Found:
    """Minimise a loss over a box by CMA-ES.

    Points tried before are taken from the log, if they belong to the same search: a run that was
    killed and started again tries the very points, and ends where it would have ended.

    Args:
        name: of the search, for the log.
        parameters: the box and the starting point, which is the first point tried.
        loss: of one point, by the parameters' names; deterministic. Not finite: a bad point.
        trials: points to try.
        seed: of the search.
        log: JSON file that is written after every point; None for none.
        step: first step, in units of the ranges.
        tick: called after every point with the best loss so far.

    Returns:
        The best point. (Losses with noise: that of the point tried, not its expectation.)

    Raises:
        ValueError: for a log that is no log, or no finite loss at all.
        ModuleNotFoundError: without the optional package cmaes; the message says how to get it.
    """
    try:
        from cmaes import CMA  # type: ignore[import-untyped]
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            'the search needs the package cmaes: pip install "cmaes>=0.11" (or retail-gym\'s '
            "extra: real-data)",
            name="cmaes",
        ) from None
    trials = check_int("trials", trials, 1)
    start = np.array([p.place(p.start) for p in parameters])
    key = stable_hash([name, [vars(p) for p in parameters], seed, step])
    known = _read(log, key)
    history: list[float] = []
    best, where = np.inf, start

    def value(point: np.ndarray[Any, Any]) -> float:
        nonlocal best, where
        number = len(history)
        if number < len(known):
            found = known[number]
        else:
            found = float(loss(_named(parameters, point)))
            found = found if np.isfinite(found) else 1e6
        history.append(found)
        if number >= len(known):
            _write(log, key, name, history)
        if found < best:
            best, where = found, point
        tick(best)
        return found

    value(start)
    bounds = np.stack([np.zeros(start.size), np.ones(start.size)], axis=1)
    if start.size == 1:  # CMA-ES wants two dimensions; the second is idle
        bounds = np.vstack([bounds, [0.0, 1.0]])
    mean = np.clip(np.resize(start, len(bounds)), 1e-6, 1.0 - 1e-6)
    search = CMA(mean=mean, sigma=step, bounds=bounds, seed=seed % 2**32, n_max_resampling=100)
    while len(history) < trials:
        tried: list[tuple[Any, float]] = []
        for _ in range(search.population_size):
            point = search.ask()
            if len(history) < trials:
                tried.append((point, value(point[: start.size])))
        if len(tried) < search.population_size:
            break
        search.tell(tried)
    if best >= 1e6:
        raise ValueError(f"no point of the search {name} has a finite loss")
    return Found(_named(parameters, where), float(best), tuple(history))


def _named(parameters: Sequence[Parameter], places: np.ndarray[Any, Any]) -> dict[str, float]:
    return {p.name: p.value(float(x)) for p, x in zip(parameters, places, strict=True)}


def _read(log: Path | None, key: str) -> list[float]:
    """Losses of an earlier run of the same search; none of another one."""
    if log is None or not log.is_file():
        return []
    try:
        table = json.loads(log.read_text(encoding="utf-8"))
        losses = [float(value) for value in table["losses"]]
        return losses if table["search"] == key else []
    except (ValueError, TypeError, KeyError, AttributeError):
        raise ValueError(f"{log} is not a log of a search: remove it to begin anew") from None


def _write(log: Path | None, key: str, name: str, losses: Sequence[float]) -> None:
    if log is None:
        return
    with atomic_write(log) as stream:
        stream.write(json.dumps({"name": name, "search": key, "losses": losses}).encode())
