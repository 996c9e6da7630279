"""The references that bound every task's score, and the table behind the normalised score.

``python -m experiments.references`` computes them for every task below, and writes
``retail_gym/evaluation/reference_scores.json``, which is shipped. Finished parts are kept below
``results/references``, so an interrupted run goes on where it stopped. ``--task ID`` computes one
task and leaves the others' rows alone; ``--quick`` takes few seeds and writes its table below
``results`` instead.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from retail_gym.config import atomic_write, check_choice
from retail_gym.evaluation.references import (
    SCORES,
    ReferenceTask,
    Seeds,
    compute_references,
    entry,
)

#: The tasks with references; a new one is a name here.
TASKS = {
    name: ReferenceTask(name, env=name)
    for name in ("RetailSynth-v0", "RetailSynthMargin-v0", "RetailSynthSegments-v0")
}
QUICK = Seeds(search=1, choice=2, test=4)


def run(
    tasks: list[ReferenceTask], folder: Path, table: Path, seeds: Seeds, workers: int | None
) -> None:
    """Compute references and put them into the table, task by task."""
    for task in tasks:
        references = compute_references(task, folder, seeds=seeds, workers=workers, progress=True)
        row = entry(task, references, seeds)
        known = json.loads(table.read_text(encoding="utf-8")) if table.exists() else {}
        with atomic_write(table) as stream:
            stream.write((json.dumps(known | {task.name: row}, indent=1) + "\n").encode())
        zero = row["policies"]["random"]["return"]
        one = row["policies"][row["best"]]["return"]
        print(f"\n{task.name}: return on the test seeds, 95 % interval, normalised score")
        for name, figures in row["policies"].items():
            marks = "  best" * (name == row["best"]) + "  *" * figures["knows_the_model"]
            print(
                f"  {name:18s} {figures['return']:9.4f} [{figures['low']:.4f}, "
                f"{figures['high']:.4f}]  {(figures['return'] - zero) / (one - zero):6.3f}{marks}"
            )
    print("\n* knows the store's model.  table:", table)


def main() -> None:
    """Run the study from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", action="append", help=f"one of {', '.join(TASKS)}; repeatable")
    parser.add_argument("--quick", action="store_true", help="few seeds, a table of its own")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("results/references"))
    args = parser.parse_args()
    for name in args.task or []:
        check_choice("task", name, TASKS)
    tasks = [TASKS[name] for name in args.task or TASKS]
    table = args.out / "quick_scores.json" if args.quick else Path(str(SCORES))
    run(tasks, args.out, table, QUICK if args.quick else Seeds(), args.workers)


if __name__ == "__main__":
    main()
