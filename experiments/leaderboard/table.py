"""Tables of the leaderboard, made of the raw results alone."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from experiments.leaderboard.tasks import INFORMED, LEARNER, YARDSTICK
from retail_gym.config import atomic_write
from retail_gym.evaluation import Interval, bootstrap_iqm, probability_of_improvement
from retail_gym.evaluation.adaptive import SINGLE
from retail_gym.policies import SCENARIOS

Floats = NDArray[np.float64]

__all__ = [
    "COMMAND",
    "STATIC",
    "SUMMARY",
    "Row",
    "best_yardstick",
    "fill",
    "fill_file",
    "has_references",
    "markdown",
    "summarise",
    "summary_table",
]

COMMAND: Final = "python -m experiments.leaderboard"
#: Name of the table of all tasks.
SUMMARY: Final = "summary"
#: The policy that scores 0.
ZERO: Final = "random"
#: The best policy that never changes, by the names that it has.
STATIC: Final = ("static", SINGLE)


@dataclass(frozen=True)
class Row:
    """One agent on one task."""

    agent: str
    kind: str
    score: Interval  # return
    normalised: Interval
    gain: Interval  # over the best yardstick, same luck
    improvement: Interval  # probability of it
    seeds: int  # training runs that are done
    planned: int
    steps: float | None  # medians over training runs
    wall_seconds: float | None
    cpu_seconds: float | None

    @property
    def name(self) -> str:
        """As in the tables: learners in bold, * for those that know the store."""
        name = f"**{self.agent}**" if self.kind == LEARNER else self.agent
        return name + " \\*" * (self.kind == INFORMED)


def _returns(rows: pl.DataFrame) -> Floats:
    """Returns, shape (training runs, stores or lucks, episodes in each)."""
    ordered = rows.sort("training_seed", "store", "seed")
    runs = max(rows["training_seed"].n_unique(), 1)
    stores = rows["store"].n_unique() if rows["store"].null_count() == 0 else None
    table = ordered["return"].to_numpy().reshape(runs, -1)
    return table.reshape(runs, stores or table.shape[1], -1)


def best_yardstick(rows: pl.DataFrame) -> str:
    """The best of the policies to beat on the test episodes: the hardest of them."""
    mine = rows.filter(pl.col("kind") == YARDSTICK)
    means = mine.group_by("agent", maintain_order=True).agg(pl.col("return").mean())
    return str(means.sort("return")["agent"][-1])


def _yardsticks(rows: pl.DataFrame) -> str:
    """The policies to beat, in words."""
    names = rows.filter(pl.col("kind") == YARDSTICK)["agent"].unique(maintain_order=True).to_list()
    return "I-V" if names == list(SCENARIOS) else ", ".join(names)


def has_references(rows: pl.DataFrame) -> bool:
    """Whether the references that bound a task's scores are among its results."""
    kinds = set(rows["kind"])
    return ZERO in rows["agent"] and YARDSTICK in kinds and bool(rows["best_known"].any())


def summarise(rows: pl.DataFrame) -> list[Row]:
    """The rows of one task's table, the best mean first.

    Args:
        rows: raw results of one task, with all its references.

    Raises:
        ValueError: if references are missing, or an agent has not met every luck.
    """
    tables: dict[str, Floats] = {}
    for (agent,), part in rows.group_by("agent", maintain_order=True):
        tables[str(agent)] = _returns(part)
    task = rows["task"][0]
    if not has_references(rows):
        raise ValueError(
            f"{task} has no results of its references: run it without --agent, or with "
            "--agent references"
        )
    best_known = rows.filter("best_known")["agent"][0]
    zero, one, base = (tables[name][0] for name in (ZERO, best_known, best_yardstick(rows)))
    found = []
    for agent, table in tables.items():
        if table.shape[1:] != base.shape:
            raise ValueError(f"{agent} did not meet the same luck as the references on {task}")
        own = rows.filter(pl.col("agent") == agent)
        medians = own.select(pl.col("steps", "wall_seconds", "cpu_seconds").median()).row(0)
        found.append(
            Row(
                agent,
                own["kind"][0],
                bootstrap_iqm(table),
                bootstrap_iqm(table, (zero, one)),
                bootstrap_iqm(table - base),
                probability_of_improvement(table, base),
                len(table),
                own["planned"][0],
                *medians,
            )
        )
    return sorted(found, key=lambda row: -row.score.mean)


def _interval(value: Interval, digits: int) -> str:
    return f"{value.mean:.{digits}f} [{value.low:.{digits}f}, {value.high:.{digits}f}]"


def _minutes(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds / 60:.1f}"


def _seeds(row: Row) -> str:
    if row.kind != LEARNER:
        return ""
    return f"{row.seeds}" if row.seeds == row.planned else f"{row.seeds} of {row.planned}"


def markdown(rows: pl.DataFrame, command: str = COMMAND) -> str:
    """The table of one task, with the command that makes it."""
    found = summarise(rows)
    task, base = rows["task"][0], best_yardstick(rows)
    _, stores, episodes = _returns(rows.filter(pl.col("agent") == ZERO)).shape
    where = f"{stores} episodes"
    if rows["store"].null_count() == 0:
        where = f"{stores} unseen stores x {episodes} episodes"
    best_known = rows.filter("best_known")["agent"][0]
    lines = [
        f"{where} on unseen luck; learners in "
        "bold: interquartile mean over training seeds [95 % bootstrap interval over seeds and "
        f"luck]. Normalised: 0 = random, 1 = {best_known}. Gain and its probability: over {base}, "
        f"the best of {_yardsticks(rows)}, on the same luck. \\* knows the store. Minutes: median of a training "
        "run, one core.",
        "",
        f"| agent | return | normalised | gain over {base} | P(gain) | seeds | steps | CPU min | "
        "wall min |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in found:
        steps = "" if row.steps is None else f"{row.steps:,.0f}"
        gain = "" if row.agent == base else _interval(row.gain, 3)
        chance = "" if row.agent == base else _interval(row.improvement, 2)
        lines.append(
            f"| {row.name} | {_interval(row.score, 3)} | {_interval(row.normalised, 3)} | {gain} | "
            f"{chance} | {_seeds(row)} | {steps} | {_minutes(row.cpu_seconds)} | "
            f"{_minutes(row.wall_seconds)} |"
        )
    lines += ["", f"`{command} --task {shlex.quote(task)}`"]
    return "\n".join(lines)


def summary_table(rows: pl.DataFrame, command: str = COMMAND) -> str:
    """Normalised scores, agents by tasks."""
    tasks = rows["task"].unique(maintain_order=True).to_list()
    columns = []
    for task in tasks:
        mine = rows.filter(pl.col("task") == task)
        found = {row.agent: row for row in summarise(mine)}
        best = best_yardstick(mine)
        column = {"best yardstick": f"{_interval(found[best].normalised, 3)} ({best})"}
        static = next((found[name] for name in STATIC if name in found), None)
        if static is not None:
            column["best static"] = _interval(static.normalised, 3)
        for row in found.values():
            if row.kind == LEARNER:
                note = f" ({_seeds(row)} seeds)" if row.seeds < row.planned else ""
                column[row.name] = _interval(row.normalised, 3) + note
        columns.append(column)
    names = dict.fromkeys(name for column in columns for name in column)
    lines = ["| policy | " + " | ".join(tasks) + " |", "|---" * (len(tasks) + 1) + "|"]
    for name in names:
        lines.append(f"| {name} | " + " | ".join(column.get(name, "") for column in columns) + " |")
    lines += ["", f"Normalised score, 0 = random, 1 = best known. `{command}`"]
    return "\n".join(lines)


def fill(text: str, name: str, body: str, kind: str = "leaderboard") -> str:
    """A page with what is between the markers of one table put anew; as it is without them."""
    marks = re.compile(rf"(<!-- {kind}:{re.escape(name)} -->\n).*?(\n<!-- /{kind} -->)", re.DOTALL)
    return marks.sub(lambda found: found[1] + body + found[2], text)


def fill_file(path: Path, tables: Iterable[tuple[str, str]], kind: str = "leaderboard") -> bool:
    """Put tables (name, markdown) into a page; whether that changed it."""
    old = new = path.read_text(encoding="utf-8")
    for name, body in tables:
        new = fill(new, name, body, kind)
    if new != old:
        with atomic_write(path) as stream:
            stream.write(new.encode())
    return new != old
