"""The comparison: what is simulated, and what is measured on both sides."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from experiments.calibration import elasticity, likeness
from experiments.calibration.parts import without
from experiments.calibration.protocols import GOALS
from experiments.calibration.runs import Run, complete
from experiments.calibration.tables import score_table
from experiments.realism import Protocol
from retail_gym import make_world
from retail_gym.data import Fuel, Transactions, load_complete_journey
from retail_gym.evaluation.price_response import PriceResponse, price_response
from retail_gym.evaluation.realism import (
    PairLifts,
    Profile,
    RealismReport,
    compare,
    profile,
    upstream_scores,
)
from retail_gym.evaluation.simulated_elasticities import (
    SimulatedElasticities,
    simulated_elasticities,
)
from retail_gym.world.presets import category_names, load_config
from retail_gym.world.store_config import StoreConfig

__all__ = ["BASELINE", "FULL", "QUICK", "Size", "Study"]

#: The paper's store, beside the one under study.
BASELINE: Final = "calibrated"
#: For coefficients of a large population, which are else drawn again [GiB].
ROOM: Final = 0.1


@dataclass(frozen=True)
class Size:
    """How much is simulated."""

    seeds: dict[str, int]  # by protocol
    repeats: int  # draws of a ceiling
    others: int  # samples of other real customers beside prices and pairs
    parts: int  # seeds of each store without a part
    customers: int | None  # where prices are moved; None: the store's


FULL: Final = Size({"A": 20, "B": 10}, 20, 5, 3, None)
QUICK: Final = Size({"A": 3, "B": 2}, 4, 2, 1, 200)


@dataclass(frozen=True)
class Study:
    """One store against one choice of real households; each property is measured once.

    Args:
        store: the store.
        protocols: by name.
        size: how much is simulated.
        home: folder of the simulated tables.
        workers: processes; no figure depends on it.
    """

    store: StoreConfig
    protocols: dict[str, Protocol]
    size: Size
    home: Path
    workers: int | None = 1

    def runs(self, store: StoreConfig, real: Transactions, seeds: int, title: str) -> list[Run]:
        """Finished runs of a store, of the real side's size."""
        runs = [Run.of(store, real.n_customers, real.n_weeks, seed) for seed in range(seeds)]
        complete(runs, self.home, self.workers, title)
        return runs

    @cached_property
    def real(self) -> dict[str, Transactions]:
        """The real side of each protocol."""
        return {name: one.real() for name, one in self.protocols.items()}

    @cached_property
    def simulated(self) -> dict[str, list[Transactions]]:
        """The store's purchases under each protocol."""
        found = {}
        for name, protocol in self.protocols.items():
            runs = self.runs(self.store, self.real[name], self.size.seeds[name], f"protocol {name}")
            tables = [run.table(self.home) for run in runs]
            if protocol.fuel:
                tables = [
                    Fuel().added_to(table, run.seed, run.seed)
                    for run, table in zip(runs, tables, strict=True)
                ]
            found[name] = tables
        return found

    @cached_property
    def reports(self) -> dict[str, RealismReport]:
        """The store against the real side of each protocol."""
        return {
            name: compare(
                self.real[name],
                [profile(table) for table in self.simulated[name]],
                protocol.ceiling(self.size.repeats),
            )
            for name, protocol in self.protocols.items()
        }

    @cached_property
    def baseline(self) -> RealismReport:
        """The paper's store, which sells no petrol, under its own protocol."""
        runs = self.runs(load_config(BASELINE), self.real["A"], self.size.seeds["A"], BASELINE)
        return compare(self.reports["A"].real, [profile(run.table(self.home)) for run in runs])

    @cached_property
    def scores(self) -> dict[str, pl.DataFrame]:
        """The table of each protocol."""
        return {
            "B": score_table(self.reports["B"], GOALS["B"]),
            "A": score_table(self.reports["A"], GOALS["A"], upstream_scores(), self.baseline),
        }

    @cached_property
    def others(self) -> list[Transactions]:
        """Other real customers: samples of the real side's size, and last all of them."""
        protocol, real = self.protocols["B"], self.real["B"]
        pool = load_complete_journey(protocol.pool, fuel=protocol.fuel)
        rest = pool.select(np.setdiff1d(pool.customers, real.customers), "all other households")
        draws = (np.random.default_rng([1, k]) for k in range(self.size.others))
        return [*(rest.sample(real.n_customers, draw) for draw in draws), rest]

    @cached_property
    def prices(self) -> pl.DataFrame:
        """The price regression and discounts, fuel-free."""
        return likeness.price_table(
            likeness.figures_of(self.real["B"]),
            [likeness.figures_of(table) for table in self.others[:-1]],
            [likeness.figures_of(table) for table in self.simulated["B"]],
        )

    @cached_property
    def responses(self) -> tuple[PriceResponse, list[PriceResponse]]:
        """The price regression of the real and of each simulated table."""
        return price_response(self.real["B"]), [price_response(t) for t in self.simulated["B"]]

    @cached_property
    def lifts(self) -> list[PairLifts] | None:
        """Simulated lifts by category name; None where the categories are not the data's."""
        names = category_names(self.store)
        if names is None:
            return None
        return [likeness.named(run.lifts, names) for run in self.reports["B"].simulated]

    @cached_property
    def everybody(self) -> Profile:
        """All other real households."""
        return profile(self.others[-1])

    @cached_property
    def pairs(self) -> likeness.Pairs | None:
        """Whether the same pairs are complements; None where categories are not the data's."""
        if self.lifts is None:
            return None
        samples = [profile(table) for table in self.others[:-1]]
        return likeness.pairs_of(self.reports["B"].real, self.lifts, samples, self.everybody)

    @cached_property
    def parts(self) -> pl.DataFrame:
        """Scores of the store and of it without each part, on equal seeds."""
        rows = []
        for title, store in {"all parts": self.store, **without(self.store)}.items():
            runs = self.runs(store, self.real["B"], self.size.parts, title)
            tables = [profile(run.table(self.home)) for run in runs]
            frame = score_table(compare(self.reports["B"].real, tables), {})
            rows.append({"store": title, **dict(frame.select("metric", "score").iter_rows())})
        return pl.DataFrame(rows)

    @property
    def customers(self) -> int:
        """Customers where prices are moved."""
        return self.size.customers or self.store.n_customers

    @cached_property
    def moved(self) -> elasticity.Moved:
        """What the store answers when whole categories, or all prices, move."""
        start = Run.of(self.store, self.customers, self.real["B"].n_weeks, 0)
        return elasticity.moved(start, self.home, self.workers)

    @cached_property
    def elasticities(self) -> dict[str, SimulatedElasticities]:
        """Own-price elasticities of the store and of the paper's, measured alike."""
        worlds = (
            make_world(one, 0, n_customers=self.customers, memory_gib=ROOM)
            for one in (self.store, load_config(BASELINE))
        )
        return {world.name: simulated_elasticities(world) for world in worlds}
