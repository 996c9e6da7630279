"""When can an off-policy estimate be trusted?

``python -m experiments.off_policy`` logs episodes of policies near to and far from a target, at
the level of the store (margin) and of the customer (coupons, both settings), estimates the target's
value from many logs of several sizes and for several horizons, and compares with the true value:
the mean of many episodes of the target itself. It writes ``rows.parquet`` (an estimate a row),
``tables.md`` and ``off_policy.png``. Episodes and estimates are part files: what an interrupted
run left is not made again. ``--redraw`` writes tables and picture from the rows that come along;
``--quick`` takes a few small logs: about a minute of CPU time.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from agents.options import main as run_command
from experiments.off_policy.problems import Pool, Problem, coupons, store
from experiments.off_policy.report import draw, report
from retail_gym.config import atomic_write, stable_hash
from retail_gym.evaluation.off_policy import ESTIMATORS, OverlapWarning, off_policy
from retail_gym.evaluation.trajectories import Trajectories

MEASURED: Final = Path(__file__).parents[1] / "data" / "off_policy.parquet"
HORIZONS: Final = (1, 4, 13, 53)
#: Of weeks taken apart; per-decision and per-trajectory forms are the same there.
BANDIT: Final = ("is", "wis", "dr", "fqe")
RESAMPLES, REFITS = 300, 100
SCHEMA: Final = {
    "problem": pl.String,
    "behaviour": pl.String,
    "episodes": pl.Int64,
    "rep": pl.Int64,
    "reading": pl.String,
    "horizon": pl.Int64,
    "truth": pl.Float64,
    "truth_se": pl.Float64,
    "estimator": pl.String,
    "value": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "effective": pl.Float64,
}


@dataclass(frozen=True)
class Sizes:
    """Episodes of a problem: how many are logged for each size of a log."""

    truth: int
    pool: int
    logs: tuple[int, ...]  # episodes of a log
    most: int = 100  # logs of a size


FULL: Final = {
    "store": Sizes(truth=1_000, pool=1_500, logs=(5, 20, 100)),
    "coupons": Sizes(truth=150, pool=200, logs=(1, 5, 20)),
}
QUICK: Final = {
    "store": Sizes(truth=250, pool=250, logs=(5, 20)),
    "coupons": Sizes(truth=10, pool=10, logs=(1, 5)),
}


def log_of(pool: Trajectories, episode: int, episodes: int, per_episode: int) -> Trajectories:
    """Some neighbouring episodes of a pool."""
    first = episode * per_episode
    return pool.part(slice(first, first + episodes * per_episode))


def facts_of(truth: NDArray[Any], horizon: int) -> dict[str, Any]:
    """What is the same for all estimates over a horizon."""
    value = truth[:, :horizon].sum(axis=1)
    return {
        "reading": "sequence",
        "horizon": horizon,
        "truth": float(value.mean()),
        "truth_se": float(value.std(ddof=1) / np.sqrt(len(value))),
    }


def rows_of(data: Trajectories, truth: NDArray[Any], customers: bool) -> Iterator[dict[str, Any]]:
    """Estimates from one log: for every horizon, and for customers from weeks taken apart."""
    for horizon in HORIZONS:
        cut, facts = data.first_weeks(horizon), facts_of(truth, horizon)
        yield facts | {"estimator": "log", "value": float(cut.rewards.sum(axis=1).mean())}
        found = off_policy(cut, tuple(ESTIMATORS), resamples=RESAMPLES, refits=REFITS)
        yield from (facts | cells(name, e, 1.0) for name, e in found.items())
    if customers:
        apart = off_policy(data.as_bandit(), BANDIT, resamples=RESAMPLES, refits=REFITS)
        facts = facts_of(truth, HORIZONS[-1]) | {"reading": "bandit"}
        yield from (facts | cells(name, e, float(HORIZONS[-1])) for name, e in apart.items())


def rows_with_types(data: Trajectories, truth: NDArray[Any]) -> Iterator[dict[str, Any]]:
    """Fitted Q with the kind of customer among the states."""
    for horizon in HORIZONS:
        (found,) = off_policy(
            data.first_weeks(horizon), ["fqe"], resamples=REFITS, refits=REFITS
        ).values()
        yield facts_of(truth, horizon) | cells("fqe_types", found, 1.0)


def cells(name: str, estimate: Any, weeks: float) -> dict[str, Any]:
    """An estimate as columns; of one week times the weeks."""
    return {
        "estimator": name,
        "value": weeks * estimate.value,
        "low": weeks * estimate.interval.low,
        "high": weeks * estimate.interval.high,
        "effective": estimate.effective,
    }


def knowing(data: Trajectories, types_u: NDArray[Any]) -> Trajectories:
    """The same weeks with what no retailer sees in the states: what kind of customer it is."""
    n, weeks = data.states.shape[:2]
    types = np.broadcast_to(
        np.tile(types_u, (n // len(types_u), 1))[:, None], (n, weeks, types_u.shape[1])
    )
    return replace(data, states=np.concatenate([data.states, types], axis=2, dtype=np.float32))


def customer_types(data: Trajectories, customers: int) -> NDArray[Any]:
    """Mean reward of each customer as a quadratic function of the coupon, (U, 3)."""
    rows = np.arange(len(data)) % customers
    types = []
    for u in range(customers):
        x, y = data.actions[rows == u, :, 0].ravel(), data.rewards[rows == u].ravel()
        types.append(np.linalg.lstsq(np.stack([x**0, x, x**2], axis=1), y, rcond=None)[0])
    return np.array(types)


def measure(problem: Problem, sizes: Sizes, out: Path) -> pl.DataFrame:
    """All rows of a problem; every policy and size of log is a part file."""
    pool = Pool(problem, out / "pools")
    truth = pool.truth(sizes.truth)[: sizes.truth]
    if not problem.name.startswith("coupon"):
        return parts(pool, sizes, out, "", lambda data: rows_of(data, truth, customers=False))

    @cache
    def types() -> NDArray[Any]:
        far = pool.log("far", sizes.pool)
        return customer_types(far, len(far) // sizes.pool)

    return pl.concat(
        [
            parts(pool, sizes, out, "", lambda data: rows_of(data, truth, customers=True)),
            parts(
                pool, sizes, out, "_types",
                lambda data: rows_with_types(knowing(data, types()), truth),
            ),
        ]
    )  # fmt: skip


def parts(
    pool: Pool,
    sizes: Sizes,
    out: Path,
    tag: str,
    make: Callable[[Trajectories], Iterator[dict[str, Any]]],
) -> pl.DataFrame:
    """Rows of every policy and size of log, from part files or made and written there."""
    key = stable_hash([sizes.truth, sizes.pool, sizes.most, RESAMPLES, REFITS])[:8]
    frames, name = [], pool.problem.name
    for behaviour in ("near", "far"):
        logged = None
        for episodes in sizes.logs:
            file = out / "rows" / f"{name}_{behaviour}_{episodes}{tag}_{key}.parquet"
            if not file.exists():
                logged = logged or pool.log(behaviour, sizes.pool)
                per_episode = len(logged) // sizes.pool
                facts = {"problem": name, "behaviour": behaviour, "episodes": episodes}
                rows = []
                for rep in range(min(sizes.most, sizes.pool // episodes)):
                    data = log_of(logged, rep * episodes, episodes, per_episode)
                    rows += [facts | {"rep": rep} | row for row in make(data)]
                with atomic_write(file) as stream:
                    pl.DataFrame(rows, schema=SCHEMA).write_parquet(stream)
                print(file.name, flush=True)
            frames.append(pl.read_parquet(file).select(SCHEMA.keys()))
    return pl.concat(frames)


def main() -> None:
    """Run the study from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few small logs")
    parser.add_argument("--redraw", action="store_true", help="from the rows that come along")
    parser.add_argument("--preset", default="small", help="store of the margin task")
    parser.add_argument("--out", type=Path, default=Path("results/off_policy"))
    args = parser.parse_args()
    if args.redraw:
        rows = pl.read_parquet(MEASURED)
    else:
        sizes = QUICK if args.quick else FULL
        problems = {
            store(args.preset): sizes["store"],
            coupons("coupon_brand_loyalty"): sizes["coupons"],
            coupons("coupon_driven"): sizes["coupons"],
        }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", OverlapWarning)  # the collapse is what is measured
            rows = pl.concat([measure(problem, n, args.out) for problem, n in problems.items()])
        with atomic_write(args.out / "rows.parquet") as stream:
            rows.write_parquet(stream)
    text = report(rows)
    print(text)
    with atomic_write(args.out / "tables.md") as stream:
        stream.write(text.encode())
    print("picture:", draw(rows, args.out / "off_policy.png"))


if __name__ == "__main__":
    run_command(main)
