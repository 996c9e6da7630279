"""How soon is a change noticed, and how often is there a false alarm?

``python -m experiments.drift`` simulates a small store under policy III, changes something from a
week on, and looks at its purchases week by week (:func:`retail_gym.evaluation.drift.watch`): more
price-sensitive customers, fewer visits, other products on the shelf, or nothing. It also
compares pairs of tables of which nothing differs, by customers and by weeks, for the rate of
false alarms. Each run is kept below ``--out``, so a stopped study goes on where it was. Writes
``drift.json``.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from tqdm import tqdm

from experiments.tables import kept
from retail_gym import make_world, simulate
from retail_gym.config import atomic_write, stable_hash
from retail_gym.data import Transactions, read_transactions
from retail_gym.evaluation.drift import FIGURES, drift, watch
from retail_gym.evaluation.privacy.ownership import proportion_interval
from retail_gym.policies import scenario
from retail_gym.world.presets import PRESETS


@dataclass(frozen=True)
class Setting:
    """Size of the store and calendar of the watch."""

    preset: str = "small"
    customers: int = 200
    weeks: int = 60
    reference: tuple[int, int] = (6, 29)
    window: int = 4
    change: int = 37  # first week that differs
    rate: float = 0.01  # of a false alarm, each week
    permutations: int = 999


@lru_cache(maxsize=4)
def purchases(setting: Setting, seed: int, sensitivity: float) -> pl.DataFrame:
    """Purchases of one store and its luck, with all price sensitivities multiplied."""
    config = PRESETS[setting.preset]()
    config = config.override(n_customers=setting.customers, c=sensitivity * config.c)
    run = simulate(make_world(config, seed), scenario("III"), setting.weeks, seed, record=True)
    assert run.transactions is not None
    return run.transactions


@dataclass(frozen=True)
class Nothing:
    """No change."""

    name: str = "no change"

    def __call__(self, setting: Setting, seed: int) -> pl.DataFrame:
        return purchases(setting, seed, 1.0)


@dataclass(frozen=True)
class Sensitivity:
    """Customers whose price sensitivity is larger from the change on; they have long been so."""

    factor: float

    @property
    def name(self) -> str:
        """For the table."""
        return f"price sensitivity x {self.factor:g}"

    def __call__(self, setting: Setting, seed: int) -> pl.DataFrame:
        before, after = (purchases(setting, seed, factor) for factor in (1.0, self.factor))
        week = pl.col("week")
        return pl.concat(
            [before.filter(week < setting.change), after.filter(week >= setting.change)]
        )


@dataclass(frozen=True)
class FewerVisits:
    """A share of the trips does not take place."""

    share: float

    @property
    def name(self) -> str:
        """For the table."""
        return f"{self.share:.0%} fewer visits"

    def __call__(self, setting: Setting, seed: int) -> pl.DataFrame:
        frame = purchases(setting, seed, 1.0)
        trips = frame.select("week", "customer").unique().sort("week", "customer")
        lost = np.random.default_rng([seed, 1]).random(trips.height) < self.share
        gone = trips.filter(lost).filter(pl.col("week") >= setting.change)
        return frame.join(gone, on=["week", "customer"], how="anti")


@dataclass(frozen=True)
class Assortment:
    """A share of the products is replaced by new ones that sell as well."""

    share: float

    @property
    def name(self) -> str:
        """For the table."""
        return f"{self.share:.0%} of the products replaced"

    def __call__(self, setting: Setting, seed: int) -> pl.DataFrame:
        frame = purchases(setting, seed, 1.0)
        labels = frame["product"].unique().sort().to_numpy()
        n = round(self.share * labels.size)
        chosen = np.random.default_rng([seed, 2]).choice(labels, n, replace=False)
        new = (pl.col("week") >= setting.change) & pl.col("product").is_in(chosen.tolist())
        product = pl.col("product")
        return frame.with_columns(pl.when(new).then(product + labels.max() + 1).otherwise(product))


CHANGES: list[Nothing | Sensitivity | FewerVisits | Assortment] = [
    Nothing(),
    Sensitivity(1.1),
    Sensitivity(1.25),
    FewerVisits(0.1),
    FewerVisits(0.2),
    Assortment(0.02),
    Assortment(0.1),
]


def table_of(frame: pl.DataFrame, setting: Setting, name: str) -> Transactions:
    """The table of a run."""
    return read_transactions(
        frame, customers=range(setting.customers), weeks=setting.weeks, name=name
    )


def watched(change: Any, setting: Setting, seed: int) -> dict[str, Any]:
    """Weeks looked at and their alarms."""
    found = watch(
        table_of(change(setting, seed), setting, change.name),
        setting.reference,
        window=setting.window,
        rate=setting.rate,
        permutations=setting.permutations,
        seed=seed,
    )
    return {"weeks": found.weeks, "alarms": found.alarms}


def null_pair(setting: Setting, seed: int) -> dict[str, list[str]]:
    """Alarms at 5 % between two halves of the customers, and between two halves of the year."""
    table = table_of(purchases(setting, seed, 1.0), setting, "no change")
    order = np.random.default_rng([seed, 3]).permutation(table.customers)
    halves = [table.select(part) for part in np.array_split(order, 2)]
    found = {"customers": drift(*halves, permutations=setting.permutations, seed=seed)}
    week, first = pl.col("week"), setting.reference[0]
    middle = first + (setting.weeks - first) // 2
    frame = table.frame
    parts = [
        read_transactions(
            frame.filter(week.is_between(low, high - 1)).with_columns(week - low + 1),
            customers=range(setting.customers),
            weeks=high - low,
            name=name,
        )
        for name, low, high in (
            ("first half", first, middle),
            ("second half", middle, setting.weeks),
        )
    ]
    found["weeks"] = drift(*parts, permutations=setting.permutations, seed=seed)
    return {unit: [c.figure for c in d.changes if c.alarm] for unit, d in found.items()}


def summary(name: str, runs: list[dict[str, Any]], setting: Setting) -> dict[str, Any]:
    """Detection and false alarms of one change."""
    delays, figures = [], []
    false = looks = 0
    for run in runs:
        caught = None
        for week, alarms in zip(run["weeks"], run["alarms"], strict=True):
            if week < setting.change or name == Nothing().name:
                looks += 1
                false += bool(alarms)
            elif alarms and caught is None:
                caught = week - setting.change + 1
                figures += alarms
        delays.append(caught)
    seen = [delay for delay in delays if delay is not None]
    common = sorted(set(figures), key=lambda f: (-figures.count(f), f))
    return {
        "change": name,
        "runs": len(runs),
        "detected": len(seen),
        "delay_median": float(np.median(seen)) if seen else None,
        "delay_max": max(seen, default=None),
        "first_alarms": {figure: figures.count(figure) for figure in common},
        "looks_without_change": looks,
        "false_alarms": false,
    }


def main() -> None:
    """Run the study from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10, help="stores watched")
    parser.add_argument("--pairs", type=int, default=100, help="pairs without a change")
    parser.add_argument(
        "--first-seed", type=int, default=0, help="of the stores watched; + 1000: of the pairs"
    )
    parser.add_argument("--preset", default="small")
    parser.add_argument("--customers", type=int, default=200)
    parser.add_argument("--permutations", type=int, default=999)
    parser.add_argument("--out", type=Path, default=Path("results/drift"))
    args = parser.parse_args()
    setting = Setting(args.preset, args.customers, permutations=args.permutations)
    runs = args.out / f"runs-{setting.preset}-{setting.customers}-{setting.permutations}"
    of = [stable_hash(PRESETS[setting.preset]()), asdict(setting)]
    found: dict[str, list[Any]] = {change.name: [] for change in CHANGES}
    seeds = range(args.first_seed, args.first_seed + args.seeds)
    tasks = [(seed, change) for seed in seeds for change in CHANGES]
    for seed, change in tqdm(tasks, desc="watched"):
        file = runs / f"{change.name.replace(' ', '_')}-{seed}.json"
        found[change.name].append(
            kept(file, [*of, change.name, seed], lambda c=change, s=seed: watched(c, setting, s))
        )
    rows = [summary(name, several, setting) for name, several in found.items()]
    pairs = [
        kept(runs / f"pair-{seed}.json", [*of, "pair", seed], lambda s=seed: null_pair(setting, s))
        for seed in tqdm(range(seeds.start + 1000, seeds.start + 1000 + args.pairs), desc="pairs")
    ]
    for row in rows:
        delay = "-" if row["delay_median"] is None else f"{row['delay_median']:g}"
        first = ", ".join(f"{FIGURES[f]} {n}" for f, n in row["first_alarms"].items())
        print(
            f"{row['change']:32} noticed {row['detected']} of {row['runs']}, median delay {delay} "
            f"weeks (at most {row['delay_max']}); first by {first or '-'}; false alarms "
            f"{row['false_alarms']} of {row['looks_without_change']} looks"
        )
    false = {}
    for unit in ("customers", "weeks"):
        count = sum(bool(pair[unit]) for pair in pairs)
        low, high = proportion_interval(count, len(pairs))
        false[unit] = {"alarms": count, "pairs": len(pairs), "low": low, "high": high}
        print(f"pairs without a change, by {unit}: {count} alarms of {len(pairs)}", end=" ")
        print(f"(95 % interval of the rate [{low:.3f}, {high:.3f}], stated 0.05)")
    with atomic_write(args.out / "drift.json") as stream:
        stream.write(json.dumps({"watched": rows, "pairs": false}, indent=2).encode())
    print("written to", args.out)


if __name__ == "__main__":
    main()
