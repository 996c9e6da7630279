"""Is a task a headline task? Static policies against the best of I-V, on unseen luck.

``python -m experiments.task_status`` prints, for each task with a return, the best of policies
I-V, the best static policy of the fine grid (0.025 x 0.05) and, with segments, the best static
policy of each segment. All are chosen on seeds from 1,000,000 up and scored on seeds 0-99, those
of the shipped references; differences are paired. A task is headline if the best is at least 5 %
above the best of I-V and the 95 % interval of the difference lies above zero. A policy that is
better still can only raise a task. ``--segments`` prints instead what each segment of a task with
segments does by itself: mean beta_w, visits, and margin by depth.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from retail_gym.config import atomic_write
from retail_gym.evaluation import (
    Interval,
    best_static,
    best_targeted,
    evaluate,
    paired_difference,
    simulate,
)
from retail_gym.evaluation.rollout import make_env
from retail_gym.evaluation.search import FINE_STEPS, grid
from retail_gym.policies import SCENARIOS, HighLow, Policy, scenario
from retail_gym.registration import TASKS

#: Tasks with a return whose reference is static.
NAMES = (
    "RetailSynth-v0",
    "RetailSynthMargin-v0",
    "RetailSynthSegments-v0",
    "RetailSynth-CompleteJourney-v0",
)
FIRST_SELECTION_SEED = 1_000_000
REQUIRED_GAIN = 0.05


def is_headline(baseline: float, difference: Interval) -> bool:
    """The rule, for a return and a paired difference from it."""
    return difference.mean >= REQUIRED_GAIN * abs(baseline) and difference.low > 0


def study(
    task: str,
    points: dict[str, Sequence[float]],
    selection: int = 4,
    scoring: int = 100,
    workers: int | None = 1,
    **env_kwargs: Any,
) -> dict[str, Any]:
    """Search and score one task.

    Args:
        task: an id with a scalar reward.
        points: depths and frequencies to try.
        selection: number of seeds, from 1,000,000 up, on which policies are chosen.
        scoring: number of seeds, from 0 up, on which they are scored.
        workers: processes.
        **env_kwargs: overrides of the environment, e.g. ``world_seed``.

    Returns:
        Returns, paired differences as [mean, low, high] and the verdict.
    """
    luck = range(FIRST_SELECTION_SEED, FIRST_SELECTION_SEED + selection)
    paper: dict[str, Policy] = {name: scenario(name) for name in SCENARIOS}
    chosen = evaluate(task, paper, seeds=luck, workers=workers, **env_kwargs)
    means = dict(chosen.group_by("policy").mean().select("policy", "return").iter_rows())
    base = max(SCENARIOS, key=lambda name: means[name])
    single = best_static(task, **points, seeds=luck, workers=workers, **env_kwargs).policy
    contenders: dict[str, Policy] = {"best static": single}
    segments = (dict(TASKS[task].kwargs) | env_kwargs).get("segments", 1)
    rounds = 0
    if segments > 1:
        kwargs = {name: value for name, value in env_kwargs.items() if name != "segments"}
        found = best_targeted(
            task, segments, single, **points, seeds=luck, workers=workers, **kwargs
        )
        contenders["best static per segment"], rounds = found.policy, found.rounds

    runs = evaluate(task, paper | contenders, seeds=range(scoring), workers=workers, **env_kwargs)
    scores = dict(
        runs.group_by("policy", maintain_order=True).mean().select("policy", "return").iter_rows()
    )
    best = list(contenders)[-1]
    gain = paired_difference(runs, best, base)
    result: dict[str, Any] = {
        "task": task,
        "best of I-V": base,
        "returns": scores,
        "policies": {name: repr(policy) for name, policy in contenders.items()},
        "gain over best of I-V": [gain.mean, gain.low, gain.high],
        "gain in percent": 100 * gain.mean / abs(scores[base]),
        "headline": is_headline(scores[base], gain),
    }
    if segments > 1:
        apart = paired_difference(runs, best, "best static")
        result["gain of segments"] = [apart.mean, apart.low, apart.high]
        result["gain of segments in percent"] = 100 * apart.mean / abs(scores["best static"])
        result["rounds of the coordinate search"] = rounds
    return result


def by_segment(
    task: str, depths: Sequence[float], luck: Sequence[int], **env_kwargs: Any
) -> dict[str, Any]:
    """What each segment does while everybody gets one static policy, at frequency 0.6.

    A segment's margin hangs on its own discounts alone, so its best depth can be read off.

    Args:
        task: an id with segments.
        depths: depths to try.
        luck: seeds.
        **env_kwargs: overrides of the environment, e.g. ``world_seed``.

    Returns:
        One number a segment: mean beta_w, the depth of its largest margin; and by depth its
        visits per customer and week and its margin [R0 per episode].
    """
    env = make_env(task, 53, env_kwargs)
    world, n = env.world, len(env.segments)
    visits, margins = {}, {}
    for depth in depths:
        policy = HighLow(depth, 0.6 if depth else 0.0)
        runs = [simulate(world, policy, seed=k, segments_reported=n).segments for k in luck]
        visits[depth], margins[depth] = (
            np.mean([[segment[name] for segment in run] for run in runs], axis=0)
            for name in ("visit_rate", "margin")
        )
    best = np.argmax(list(margins.values()), axis=0)
    groups = world.segment_customers(n)
    return {
        "mean beta_w": [world.c * world.beta_u[u].mean() * world.beta_i.mean() for u in groups],
        "depth of the largest margin": [depths[k] for k in best],
        "visits": {depth: row.tolist() for depth, row in visits.items()},
        "margin": {depth: (row / world.reward_scale).tolist() for depth, row in margins.items()},
    }


def main() -> None:
    """Run the study from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--selection", type=int, default=4, help="seeds to choose on")
    parser.add_argument("--scoring", type=int, default=100, help="seeds to score on")
    parser.add_argument("--depth-step", type=float, default=FINE_STEPS[0])
    parser.add_argument("--frequency-step", type=float, default=FINE_STEPS[1])
    parser.add_argument("--world-seed", type=int, default=0, help="another store")
    parser.add_argument("--customers", type=int, help="of the store (default: the task's)")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("results/task_status"))
    parser.add_argument("--segments", action="store_true", help="what each segment does, only")
    args = parser.parse_args()
    depths, frequencies = grid(args.depth_step, args.frequency_step)
    points = {"depths": depths, "frequencies": frequencies}
    store: dict[str, Any] = {"world_seed": args.world_seed}
    if args.customers is not None:
        store["n_customers"] = args.customers
    if args.segments:
        for task in (name for name in args.tasks if "segments" in TASKS[name].kwargs):
            luck = range(FIRST_SELECTION_SEED, FIRST_SELECTION_SEED + args.selection)
            found = by_segment(task, depths, luck, **store)
            print(json.dumps({"task": task} | found, indent=1))
        return
    for task in args.tasks:
        result = study(task, points, args.selection, args.scoring, args.workers, **store)
        print(json.dumps(result, indent=1))
        path = args.out / f"{task}-world{args.world_seed}.json"
        with atomic_write(path) as stream:
            stream.write(json.dumps(result, indent=1).encode())
        print("written:", path)


if __name__ == "__main__":
    main()
