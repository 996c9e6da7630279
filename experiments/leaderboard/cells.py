"""The work in pieces: one training run and its test, or one task's references.

A finished piece has a folder with ``episodes.parquet``, ``curve.parquet`` and, written last,
``done.json``. A run that is killed goes on with the pieces that are not done, and a training run
inside one with its last checkpoint.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

import polars as pl

from agents.card import read_card
from experiments.leaderboard.board import Entry
from experiments.leaderboard.learners import Learner
from experiments.leaderboard.tasks import LEARNER, Task
from experiments.tables import read, write
from retail_gym.config import atomic_write, check_int, stable_hash, to_plain

__all__ = ["CURVES", "EPISODES", "Cell", "cells_of", "collect", "merge", "read", "run", "write"]

#: Columns of the shipped tables. ``settings`` tells results of other settings apart.
EPISODES: Final = {
    "task": pl.String,
    "agent": pl.String,
    "kind": pl.String,
    "best_known": pl.Boolean,  # scores 1
    "settings": pl.String,
    "planned": pl.Int64,  # training runs
    "training_seed": pl.Int64,  # null for references
    "store": pl.Int64,  # world seed, null where there is one store
    "seed": pl.Int64,  # luck
    "return": pl.Float64,
    "steps": pl.Int64,  # of training
    "wall_seconds": pl.Float64,
    "cpu_seconds": pl.Float64,
}
CURVES: Final = {
    "task": pl.String,
    "agent": pl.String,
    "settings": pl.String,
    "training_seed": pl.Int64,
    "steps": pl.Int64,
    "return": pl.Float64,  # mean over the validation episodes
}


@dataclass(frozen=True)
class Cell:
    """One piece of the work; without learner the references of the task."""

    task: Task
    learner: Learner | None = None
    seed: int = 0

    def __str__(self) -> str:
        what = "references" if self.learner is None else f"{self.learner.agent} {self.seed}"
        return f"{self.task.name}: {what}"

    @property
    def config(self) -> dict[str, Any]:
        """Everything on which its results depend."""
        learner = None if self.learner is None else self.learner.settings(self.task.id)
        return {"task": to_plain(self.task.settings()), "learner": to_plain(learner)}

    @property
    def settings(self) -> str:
        """The hash of the configuration; the same for all seeds."""
        return stable_hash(self.config)

    def folder(self, home: Path) -> Path:
        """Where it is kept."""
        what = "references" if self.learner is None else f"{self.learner.agent}-{self.seed}"
        return home / self.task.name / f"{what}-{self.settings}"

    def is_done(self, home: Path) -> bool:
        """Whether its results are there."""
        return (self.folder(home) / "done.json").exists()

    def run(self, home: Path) -> None:
        """Do the work that is not done, and mark it as done."""
        folder = self.folder(home)
        if self.learner is None:
            episodes = self.task.references(home / "references")
            facts: dict[str, Any] = {"planned": 1}
            curve = pl.DataFrame(schema=CURVES)
        else:
            began = (time.perf_counter(), time.process_time())
            policy = self.task.learn(self.learner, self.seed, folder / "run")
            spent = (time.perf_counter() - began[0], time.process_time() - began[1])
            card = read_card(folder / "run")
            episodes = self.task.score(policy).with_columns(
                agent=pl.lit(self.learner.agent), kind=pl.lit(LEARNER), best_known=pl.lit(False)
            )
            facts = {
                "planned": self.learner.seeds,
                "training_seed": self.seed,
                "steps": card.get("steps_taken", card["steps"]),
                # A card's own seconds add up over kills.
                "wall_seconds": card.get("wall_seconds", spent[0]),
                "cpu_seconds": card.get("cpu_seconds", spent[1]),
            }
            curve = self._typed(_curve(card), CURVES, {"agent": self.learner.agent} | facts)
        write(self._typed(episodes, EPISODES, facts), folder / "episodes.parquet")
        write(curve, folder / "curve.parquet")
        with atomic_write(folder / "done.json") as stream:
            stream.write((json.dumps({"cell": str(self), **self.config}, indent=1)).encode())

    def _typed(
        self, frame: pl.DataFrame, schema: dict[str, Any], facts: dict[str, Any]
    ) -> pl.DataFrame:
        """The rows with all columns of a table."""
        known = {"task": self.task.name, "settings": self.settings} | facts
        missing = {k: known.get(k) for k in schema if k not in frame.columns}
        frame = frame.with_columns(**{k: pl.lit(value) for k, value in missing.items()})
        return frame.select(pl.col(name).cast(kind) for name, kind in schema.items())


def _curve(card: dict[str, Any]) -> pl.DataFrame:
    """Steps and validation return of a run, none where the agent does not validate."""
    points = [
        (point["steps"], point["return"]) if isinstance(point, dict) else tuple(point)
        for point in card.get("evaluations", [])
    ]
    schema = {"steps": pl.Float64, "return": pl.Float64}
    return pl.DataFrame(points, schema=schema, orient="row")


def cells_of(entries: Iterable[Entry]) -> list[Cell]:
    """All pieces in the order of the work: a task's references before its first learner."""
    cells: list[Cell] = []
    for entry in entries:
        if not any(cell.task == entry.task for cell in cells):
            cells.append(Cell(entry.task))
        for learner in entry.learners:
            cells += [Cell(entry.task, learner, seed) for seed in range(learner.seeds)]
    return cells


def _timed(cell: Cell, home: Path) -> float:
    began = time.perf_counter()
    cell.run(home)
    return time.perf_counter() - began


def run(cells: Iterable[Cell], home: Path, jobs: int = 1) -> Iterator[tuple[Cell, float | str]]:
    """Do what is not done, and yield each piece with its seconds or what went wrong.

    Args:
        cells: the pieces, in order.
        home: where they are kept.
        jobs: processes; the results do not depend on it.
    """
    todo = [cell for cell in cells if not cell.is_done(home)]
    if check_int("jobs", jobs, 1, os.cpu_count()) == 1:
        for cell in todo:
            try:
                yield cell, _timed(cell, home)
            except Exception as error:  # the other pieces can still be done
                yield cell, f"{type(error).__name__}: {error}"
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        futures = {pool.submit(_timed, cell, home): cell for cell in todo}
        try:
            for future in as_completed(futures):
                wrong = future.exception()
                said = future.result() if wrong is None else f"{type(wrong).__name__}: {wrong}"
                yield futures[future], said
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def collect(cells: Iterable[Cell], home: Path, name: str) -> pl.DataFrame | None:
    """One table of all pieces that are done; None where there are none."""
    done = [cell.folder(home) / name for cell in cells if cell.is_done(home)]
    return pl.concat([pl.read_parquet(path) for path in done]) if done else None


def merge(old: pl.DataFrame, new: pl.DataFrame) -> pl.DataFrame:
    """The old rows but for those of runs that are in the new ones, and the new ones.

    Old runs of an agent under other settings go too: a row of the leaderboard has one recipe.
    """
    pair = ["task", "agent"]
    mine = new.select(*pair, "settings").unique()
    other = old.join(new.select(pair).unique(), on=pair, how="anti")
    same = old.join(mine, on=[*pair, "settings"], how="semi", nulls_equal=True)
    run = [*pair, "training_seed"]
    kept = same.join(new.select(run).unique(), on=run, how="anti", nulls_equal=True)
    order = [name for name in (*run, "store", "seed", "steps") if name in old.columns]
    return pl.concat([other, kept, new]).sort(order)
