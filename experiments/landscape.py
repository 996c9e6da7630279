"""Return over depth and frequency under each reward, with the best of I-V marked.

``python -m experiments.landscape`` searches the grid of static policies with common random
numbers in the scenario store and writes ``landscape.png`` and ``landscape.json``.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from retail_gym.config import atomic_write
from retail_gym.evaluation import best_static, evaluate
from retail_gym.plotting import plot_landscape
from retail_gym.policies import SCENARIOS, scenario

REWARDS = ("revenue", "margin", "retention", "balanced")


def main() -> None:
    """Run the study from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="scenario")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--out", type=Path, default=Path("results/landscape"))
    args = parser.parse_args()
    tables, marks, summary = {}, {}, {}
    for reward in REWARDS:
        found = best_static(
            args.preset,
            reward=reward,
            seeds=range(args.seeds),
            workers=args.workers,
            progress=True,
        )
        runs = evaluate(
            args.preset,
            {name: scenario(name) for name in SCENARIOS},
            seeds=range(args.seeds),
            reward=reward,
            workers=args.workers,
        )
        means = dict(
            runs.group_by("policy", maintain_order=True)
            .mean()
            .select("policy", "return")
            .iter_rows()
        )
        tables[reward] = found.table
        marks[reward] = max(means, key=lambda name: means[name])
        summary[reward] = {
            "best_static": {"depth": found.policy.depth, "frequency": found.policy.frequency},
            "best_static_return": found.score,
            "best_scenario": marks[reward],
            "returns": means,
        }
        best = marks[reward]
        print(
            f"{reward:10s} best static depth {found.policy.depth:g} frequency "
            f"{found.policy.frequency:g}: {found.score:.3f}; best of I-V: {best} {means[best]:.3f}"
        )
    with atomic_write(args.out / "landscape.json") as stream:
        stream.write(json.dumps(summary, indent=2).encode())
    print("picture:", plot_landscape(tables, marks, args.out / "landscape.png"))


if __name__ == "__main__":
    main()
