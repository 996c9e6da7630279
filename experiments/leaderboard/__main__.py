"""The leaderboard: references and learning agents on every task.

``python -m experiments.leaderboard`` trains and scores what is not done yet, below
``results/leaderboard``; killed, it goes on where it stopped. After each piece the raw results are
written to ``experiments/data/leaderboard.parquet`` and ``learning_curves.parquet``; at the end,
or with ``--redraw`` from these files alone, the tables of ``docs/leaderboard.md`` and of the
tasks' pages are filled and the pictures in ``experiments/figures`` are drawn. ``--quick`` runs a
small board in minutes and keeps everything below ``results/leaderboard-quick``.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from agents.registry import AGENTS
from experiments.leaderboard import board
from experiments.leaderboard.cells import (
    CURVES,
    EPISODES,
    Cell,
    cells_of,
    collect,
    merge,
    read,
    run,
    write,
)
from experiments.leaderboard.table import (
    COMMAND,
    STATIC,
    SUMMARY,
    best_yardstick,
    fill_file,
    has_references,
    markdown,
    summarise,
    summary_table,
)
from experiments.leaderboard.tasks import LEARNER
from retail_gym.config import atomic_write, check_choice
from retail_gym.plotting import plot_leaderboard, plot_learning_curves

ROOT = Path(__file__).parents[2]
REFERENCES = "references"
FILES = {"episodes.parquet": ("leaderboard.parquet", EPISODES),
         "curve.parquet": ("learning_curves.parquet", CURVES)}  # fmt: skip


def keep(cells: Sequence[Cell], home: Path, data: Path) -> None:
    """Put the results of all finished pieces into the shipped tables."""
    for name, (shipped, schema) in FILES.items():
        new = collect(cells, home, name)
        if new is not None:
            write(merge(read(data / shipped, schema), new), data / shipped)


def redraw(data: Path, root: Path, command: str = COMMAND) -> None:
    """Tables and pictures from the shipped files.

    Raises:
        FileNotFoundError: if there are no results.
    """
    rows = read(data / FILES["episodes.parquet"][0], EPISODES)
    if rows.is_empty():
        raise FileNotFoundError(2, f"no results in {data}: run the leaderboard first")
    by_task = {}
    for (task,), part in rows.group_by("task", maintain_order=True):
        if has_references(part):
            by_task[str(task)] = part
        else:
            print(f"{task} is left out: its references are not done")
    if not by_task:
        raise FileNotFoundError(2, f"no references in {data}: run the task's references first")
    rows = pl.concat(by_task.values())
    tables = [(task, markdown(part, command)) for task, part in by_task.items()]
    tables.append((SUMMARY, summary_table(rows, command)))
    pages = [root / "README.md", root / "docs/leaderboard.md"]
    pages += [root / f"docs/tasks/{task}.md" for task in by_task]
    for page in pages:
        if page.exists() and fill_file(page, tables):
            print("filled:", page)
    scores, levels = {}, {}
    for task, part in by_task.items():
        found, marks = summarise(part), (best_yardstick(part), *STATIC)
        scores[task] = [(row.agent, row.kind == LEARNER, row.normalised) for row in found]
        levels[task] = {row.agent: row.score.mean for row in found if row.agent in marks}
    figures = root / "experiments/figures"
    print("picture:", plot_leaderboard(scores, figures / "leaderboard.png"))
    curves = read(data / FILES["curve.parquet"][0], CURVES)
    if not curves.is_empty():
        path = plot_learning_curves(curves, levels, figures / "learning_curves.png")
        print("picture:", path)


def chosen(entries: Sequence[board.Entry], tasks: list[str], agents: list[str]) -> list[Cell]:
    """The pieces of some tasks and agents, by default of all.

    Raises:
        ValueError: for a task or an agent that the leaderboard does not have.
    """
    cells = cells_of(entries)
    for name in tasks:
        check_choice("task", name, list(dict.fromkeys(cell.task.name for cell in cells)))
    for name in agents:
        check_choice("agent", name, [REFERENCES, *AGENTS])
    return [
        cell
        for cell in cells
        if (not tasks or cell.task.name in tasks)
        and (not agents or (cell.learner.agent if cell.learner else REFERENCES) in agents)
    ]


def main() -> None:
    """Run the study from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--task", action="append", default=[], help="one task; repeatable")
    parser.add_argument(
        "--agent", action="append", default=[], help=f"one agent, or {REFERENCES}; repeatable"
    )
    parser.add_argument("--quick", action="store_true", help="a small board, minutes")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--redraw", action="store_true", help="from the raw results alone")
    parser.add_argument("--out", type=Path, help="where finished pieces are kept")
    parser.add_argument("--data", type=Path, help="raw results (default: experiments/data)")
    parser.add_argument("--root", type=Path, help="of docs and figures (default: the checkout)")
    args = parser.parse_args()
    kind = "leaderboard-quick" if args.quick else "leaderboard"
    out = args.out or Path("results") / kind
    data = args.data or (out / "data" if args.quick else ROOT / "experiments/data")
    root = args.root or (out if args.quick else ROOT)
    entries = board.QUICK if args.quick else board.FULL
    cells, wrong = chosen(entries, args.task, args.agent), 0
    if not args.redraw:
        began = time.perf_counter()
        todo = sum(not cell.is_done(out) for cell in cells)
        print(f"{todo} of {len(cells)} pieces to do", flush=True)
        for cell, result in run(cells, out, args.jobs):
            keep(cells, out, data)
            elapsed = (time.perf_counter() - began) / 60
            wrong += isinstance(result, str)
            said = result if isinstance(result, str) else f"{result:.0f} s"
            print(f"{elapsed:6.1f} min  {cell}: {said}", flush=True)
        keep(cells, out, data)
    if args.quick:
        page = "\n\n".join(
            f"## {name}\n\n<!-- leaderboard:{name} -->\n\n<!-- /leaderboard -->"
            for name in dict.fromkeys(entry.task.name for entry in entries)
        )
        with atomic_write(root / "docs/leaderboard.md") as stream:
            stream.write(f"{page}\n".encode())
    redraw(data, root, COMMAND + " --quick" * args.quick)
    if wrong:
        raise SystemExit(f"{wrong} pieces failed; run again to repeat them")


if __name__ == "__main__":
    main()
