"""Is learning a store worth it? The gap, its references and the Bayesian learner.

``python -m experiments.adaptive`` trains ``agents.bayes_adaptive`` on the training stores of
``RetailSynthAdaptive-v0`` once per training seed, runs it and every reference in each test store
on the same luck, and writes ``runs.parquet`` (one row a store, policy and seed),
``stores.parquet`` (one row a store), ``summary.json`` and ``gains.png``. ``--quick`` is minutes
shorter: fewer weeks of training, stores and seeds.
"""

from __future__ import annotations

import argparse
import io
import json
import os
from pathlib import Path
from typing import Any

import polars as pl

from agents import bayes_adaptive
from retail_gym.config import atomic_write, check_int
from retail_gym.evaluation.adaptive import (
    HINDSIGHT,
    SINGLE,
    evaluate_pool,
    gap_closed,
    pool_difference,
    references,
)
from retail_gym.plotting import plot_pool_gains
from retail_gym.policies import SCENARIOS, HighLow
from retail_gym.world.pool import StorePool, best_single, shipped_pool

LEARNER = "bayes_adaptive"


def stores_table(runs: pl.DataFrame, pool: StorePool) -> pl.DataFrame:
    """One row a store: what it is, its best static policy and every policy's mean return."""
    known = pl.DataFrame(
        [
            {
                "world_seed": r.world_seed,
                **r.values,
                "best_depth": r.depth,
                "best_frequency": r.frequency,
            }
            for r in pool.records
        ]
    )
    means = runs.pivot("policy", index="world_seed", values="return", aggregate_function="mean")
    return known.join(means, on="world_seed").sort("world_seed")


def summarise(runs: pl.DataFrame, learners: list[str]) -> dict[str, Any]:
    """The numbers of the study."""
    means = dict(
        runs.group_by("policy", maintain_order=True).agg(pl.col("return").mean()).iter_rows()
    )
    best_scenario = max(SCENARIOS, key=lambda name: means[name])
    summary: dict[str, Any] = {
        "episodes": runs.height // len(means),
        "stores": runs["world_seed"].n_unique(),
        "best_single": list(best_single()),
        "best_scenario": best_scenario,
        "gap": means[HINDSIGHT] / means[SINGLE] - 1.0,
        "returns": means,
        "learners": {},
    }
    for name in learners:
        gain = pool_difference(runs, name, SINGLE)
        over = pool_difference(runs, name, best_scenario)
        closed = gap_closed(runs, name)
        summary["learners"][name] = {
            "over_single": [gain.mean, gain.low, gain.high],
            "over_best_scenario": [over.mean, over.low, over.high],
            "gap_closed": [closed.mean, closed.low, closed.high],
        }
    return summary


def report(summary: dict[str, Any]) -> str:
    """The summary as text."""
    lines = [f"{name:24s} {value:8.3f}" for name, value in summary["returns"].items()]
    lines.append(
        f"gap of hindsight over the best single static policy {HighLow(*summary['best_single'])}: "
        f"{summary['gap']:.1%} of its return"
    )
    for name, row in summary["learners"].items():
        gain, closed = row["over_single"], row["gap_closed"]
        over = row["over_best_scenario"]
        lines.append(
            f"{name}: {gain[0]:+.3f} [{gain[1]:.3f}, {gain[2]:.3f}] over the best single, "
            f"{over[0]:+.3f} [{over[1]:.3f}, {over[2]:.3f}] over {summary['best_scenario']}; "
            f"closes {closed[0]:.1%} [{closed[1]:.1%}, {closed[2]:.1%}] of the gap"
        )
    return "\n".join(lines)


def _write(frame: pl.DataFrame, path: Path) -> None:
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    with atomic_write(path) as stream:
        stream.write(buffer.getvalue())


def main() -> None:
    """Run the study from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=8, help="episodes in each store")
    parser.add_argument("--stores", type=int, default=32, help="test stores")
    parser.add_argument("--train-seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, help="weeks of training; default: the agent's")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("results/adaptive"))
    args = parser.parse_args()
    if args.quick:
        args.seeds, args.stores, args.train_seeds, args.steps = 2, 6, 1, args.steps or 6_000
    full = shipped_pool("test")
    pool = full.part(range(check_int("--stores", args.stores, 1, len(full))))
    policies, learners = references(), []
    for seed in range(check_int("--train-seeds", args.train_seeds, 1)):
        name = f"{LEARNER} {seed}"
        policies[name] = bayes_adaptive.train(
            seed=seed, steps=args.steps, directory=args.out / LEARNER / str(seed), resume=True
        )
        learners.append(name)
    runs = evaluate_pool(
        policies, pool, range(check_int("--seeds", args.seeds, 1)), workers=args.workers,
        progress=True,
    )  # fmt: skip
    summary, stores = summarise(runs, learners), stores_table(runs, pool)
    _write(runs, args.out / "runs.parquet")
    _write(stores, args.out / "stores.parquet")
    with atomic_write(args.out / "summary.json") as stream:
        stream.write((json.dumps(summary, indent=2) + "\n").encode())
    gain = {name: (stores[name] - stores[SINGLE]).to_numpy() for name in [learners[0], HINDSIGHT]}
    bound = gain.pop(HINDSIGHT)
    print(report(summary))
    print("picture:", plot_pool_gains(gain, bound, args.out / "gains.png"))


if __name__ == "__main__":
    main()
