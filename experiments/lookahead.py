"""Does looking ahead pay? A far-sighted policy against the myopic and the best static one.

``python -m experiments.lookahead`` writes ``lookahead.parquet`` and ``lookahead.png``. The
policies are those of ``experiments.references``, with which it shares finished parts. All know
the store but its luck: the myopic one maximises each week's expected reward; looking ahead is the
better, on the choice seeds, of the far-sighted policy and of the schedule of the whole horizon.
Differences are paired over the test seeds. ``--quick`` runs the small store on few seeds.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import polars as pl

from agents.options import main as run_command
from experiments.references import TASKS
from retail_gym.config import atomic_write, check_choice
from retail_gym.evaluation import Interval, paired_difference
from retail_gym.evaluation.references import References, ReferenceTask, Seeds, compute_references
from retail_gym.plotting import plot_lookahead

#: The tasks with references, the rewards that no task has, and the steady state: after a burn-in
#: of 8 weeks the first week, in which everybody comes whatever the price, is over.
CASES = (
    TASKS
    | {
        f"scenario-{reward}": ReferenceTask(f"scenario-{reward}", "scenario", {"reward": reward})
        for reward in ("retention", "balanced")
    }
    | {
        f"steady-{reward}": ReferenceTask(
            f"steady-{reward}", "scenario", {"reward": reward, "burn_in": 8}
        )
        for reward in ("margin", "revenue")
    }
)
QUICK = {
    f"small-{reward}": ReferenceTask(f"small-{reward}", "small", {"reward": reward})
    for reward in ("revenue", "margin")
}
#: Episodes for the rewards that no task has.
FEWER = Seeds(search=8, choice=16, test=40)
#: The references compared.
COMPARED = ("static", "static_by_segment", "schedule", "myopic", "far_sighted")
#: A gain below this share of the return is none worth having.
WORTH_HAVING = 0.005


def verdict(gain: Interval) -> str:
    """A relative gain in plain words."""
    if gain.low > WORTH_HAVING:
        return f"yes, {gain.mean:.1%}"
    if gain.high < WORTH_HAVING:
        return "nothing"
    if gain.low <= 0.0:
        return "nothing that these runs can show"
    return f"little, {gain.mean:.1%}"


def compare(name: str, references: References) -> list[dict[str, Any]]:
    """Rows of the study for one task: looking ahead against the myopic and the static policy."""
    choice, means = references.means("choice"), references.means("test")
    ahead = max(("far_sighted", "schedule"), key=lambda policy: choice[policy])
    static = "static_by_segment" if "static_by_segment" in means else "static"
    runs = references.runs.filter(pl.col("part") == "test")
    rows = []
    for against, baseline in (("the myopic policy", "myopic"), ("the best static policy", static)):
        gain = paired_difference(runs, ahead, baseline)
        base = abs(means[baseline])
        share = Interval(gain.mean / base, gain.low / base, gain.high / base)
        rows.append(
            {
                "task": name,
                "ahead": ahead,
                "against": against,
                "return": means[ahead],
                "baseline": means[baseline],
                "gain": gain.mean,
                "low": gain.low,
                "high": gain.high,
                "percent": 100 * share.mean,
                "percent_low": 100 * share.low,
                "percent_high": 100 * share.high,
                "model_percent": 100 * (references.model_plan / references.model_static - 1),
                "pays": verdict(share),
            }
        )
    return rows


def main() -> None:
    """Run the study from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", action="append", help=f"one of {', '.join(CASES)}; repeatable")
    parser.add_argument("--quick", action="store_true", help="the small store, few seeds")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("results/lookahead"))
    parser.add_argument("--parts", type=Path, default=Path("results/references"))
    args = parser.parse_args()
    cases = QUICK if args.quick else CASES
    for name in args.task or []:
        check_choice("task", name, cases)
    rows = []
    for name in args.task or cases:
        if args.quick:
            seeds = Seeds(search=2, choice=4, test=8)
        else:
            seeds = Seeds() if name in TASKS else FEWER
        references = compute_references(
            cases[name], args.parts, seeds=seeds, only=COMPARED, workers=args.workers, progress=True
        )
        rows += compare(name, references)
        for row in rows[-2:]:
            print(
                f"{name}: {row['ahead']} over {row['against']}: {row['gain']:+.4f} "
                f"[{row['low']:+.4f}, {row['high']:+.4f}], {row['percent']:+.2f} %. "
                f"Does looking ahead pay? {row['pays']}"
            )
    table = pl.DataFrame(rows)
    with atomic_write(args.out / "lookahead.parquet") as stream:
        table.write_parquet(stream)
    print("picture:", plot_lookahead(table, args.out / "lookahead.png"))


if __name__ == "__main__":
    run_command(main)
