"""The work in pieces: one candidate's table judged in one part.

A piece that is done is a file of measures; a run that is killed goes on with those that are not.
A candidate's folder carries the hash of its settings, so that a preset that is fitted anew is
judged anew and nothing else is.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from experiments.judgement.candidates import Candidate, Sizes, Tables
from experiments.judgement.curves import CURVES, curves_of
from experiments.tables import read, write
from retail_gym.config import stable_hash, to_plain
from retail_gym.data import Transactions, read_transactions
from retail_gym.evaluation.judge import PARTS, judge

__all__ = ["MEASURES", "Cell", "cells_of", "collect", "merge", "read", "run", "write"]

#: Of the judge: another number judges everything again.
VERSION: Final = 1
PICTURED: Final = "curves"
#: Columns of the shipped table.
MEASURES: Final = {
    "candidate": pl.String,
    "kind": pl.String,
    "settings": pl.String,
    "seed": pl.Int64,
    "part": pl.String,
    "key": pl.String,
    "title": pl.String,
    "value": pl.Float64,
    "ideal": pl.Float64,
    "ceiling": pl.Float64,
    "ceiling_sd": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "passed": pl.Boolean,
    "note": pl.String,
}


@dataclass(frozen=True)
class Cell:
    """One candidate, one seed, one part of the judgement; or what the pictures need."""

    candidate: Candidate
    sizes: Sizes
    seed: int
    part: str

    def __str__(self) -> str:
        return f"{self.candidate.name}, seed {self.seed}: {self.part}"

    @property
    def settings(self) -> str:
        """Hash of everything that the result depends on but the seed."""
        return stable_hash([VERSION, self.candidate.settings(), to_plain(self.sizes)])

    def file(self, home: Path) -> Path:
        """Where the result is kept."""
        folder = home / f"{self.candidate.name}-{self.settings}"
        return folder / f"{self.part}-{self.seed}.parquet"

    def table(self, tables: Tables, home: Path) -> Transactions:
        """The table that is judged, kept for the other parts."""
        folder = self.file(home).parent
        kept = folder / f"table-{self.seed}.parquet"
        evaluation = tables.evaluation
        if self.candidate.kind == "real":
            return evaluation
        if not kept.exists():
            write(self.candidate.table(tables, self.seed, folder).frame, kept)
        everybody, name = range(evaluation.n_customers), self.candidate.name
        return read_transactions(kept, customers=everybody, weeks=evaluation.n_weeks, name=name)

    def run(self, tables: Tables, home: Path) -> None:
        """Judge, and keep the result."""
        table = self.table(tables, home)
        facts: dict[str, Any] = {"candidate": self.candidate.name, "settings": self.settings}
        facts |= {"kind": self.candidate.kind, "seed": self.seed}
        if self.part == PICTURED:
            found, schema = curves_of(tables.train, table), CURVES
        else:
            # A model learns more from more households: the real table to learn from is as large.
            real = tables.equal if self.part == "utility" else tables.train
            report = judge(real, table, tables.holdout, parts=[self.part], seed=self.seed)
            found, schema = report.table(), MEASURES
        found = found.with_columns(**{name: pl.lit(value) for name, value in facts.items()})
        write(found.select(pl.col(c).cast(kind) for c, kind in schema.items()), self.file(home))


def cells_of(candidates: Iterable[Candidate], sizes: Sizes, seeds: int) -> list[Cell]:
    """All pieces; there is one evaluation table of real households, so one seed of it."""
    return [
        Cell(one, sizes, seed, part)
        for one in candidates
        for seed in range(1 if one.kind == "real" else seeds)
        for part in (PICTURED, *PARTS)
    ]


def run(cells: Iterable[Cell], home: Path) -> Iterator[tuple[Cell, float | str]]:
    """Do what is not done, and yield each piece with its seconds or what went wrong."""
    tables = None
    for cell in cells:
        if cell.file(home).exists():
            continue
        tables = tables or Tables.load(cell.sizes)
        began = time.perf_counter()
        try:
            cell.run(tables, home)
        except Exception as error:  # the other pieces can still be done
            yield cell, f"{type(error).__name__}: {error}"
        else:
            yield cell, time.perf_counter() - began


def collect(cells: Iterable[Cell], home: Path) -> tuple[pl.DataFrame | None, pl.DataFrame | None]:
    """Measures and curves of the pieces that are done; None where there are none."""
    found: dict[bool, list[pl.DataFrame]] = {True: [], False: []}
    for cell in cells:
        if cell.file(home).exists():
            found[cell.part == PICTURED].append(pl.read_parquet(cell.file(home)))
    measures, curves = (pl.concat(part) if part else None for part in (found[False], found[True]))
    return measures, curves


def merge(old: pl.DataFrame, new: pl.DataFrame) -> pl.DataFrame:
    """The old rows of candidates (and parts) that are not in the new ones, and the new ones."""
    pair = ["candidate", "part"] if "part" in old.columns else ["candidate"]
    return pl.concat([old.join(new.select(pair).unique(), on=pair, how="anti"), new])
