"""Simulated tables, each kept on disk: a study that is stopped goes on with those it lacks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cached_property
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from tqdm import tqdm

from experiments.realism import simulated_table
from retail_gym import __version__, make_world
from retail_gym.config import atomic_write, check_int, stable_hash
from retail_gym.data import Transactions, read_transactions
from retail_gym.simulator import Simulator
from retail_gym.world.storage import config_from_json, config_to_json
from retail_gym.world.store_config import StoreConfig
from retail_gym.world.world import World

__all__ = ["Push", "Run", "complete"]


@dataclass(frozen=True)
class Push:
    """Base prices all the time, some of them moved for good.

    Args:
        what: "category" (whole categories, half of them up while the others go down, so that a
            common effect of all moves, on visits say, cancels) or "basket" (all products).
        step: by how much log prices move.
        up: whether what moves in the reference direction goes up or down.
    """

    what: str
    step: float
    up: bool = True

    def direction(self, world: World) -> NDArray[np.float64]:
        """-1 or 1 for each product, shape (I,), before ``up``."""
        if self.what == "basket":
            return np.ones(world.n_products)
        order = np.random.default_rng(world.seed).permutation(world.n_categories)
        return np.repeat(np.where(order % 2, 1.0, -1.0), world.category_sizes)

    def log_moves(self, world: World) -> NDArray[np.float64]:
        """By how much the log price of each product is moved, shape (I,)."""
        return self.direction(world) * (self.step if self.up else -self.step)


@dataclass(frozen=True)
class Run:
    """One simulated year of a store; one seed for the store and its luck.

    Args:
        store: a configuration as text (:func:`retail_gym.world.storage.config_to_json`).
        customers: households.
        weeks: weeks.
        seed: of the store and of its luck.
        push: prices; None for the store's own promotions.
    """

    store: str
    customers: int
    weeks: int
    seed: int
    push: Push | None = None

    @classmethod
    def of(cls, store: StoreConfig, customers: int, weeks: int, seed: int) -> Run:
        """A run under the store's own promotions."""
        return cls(config_to_json(store), customers, weeks, seed)

    @cached_property
    def config(self) -> StoreConfig:
        """The store."""
        return config_from_json(self.store)

    def path(self, home: Path) -> Path:
        """Where its table is kept."""
        key = [__version__, self.store, self.customers, self.weeks, repr(self.push)]
        return home / f"{self.config.name}-{stable_hash(key)}-{self.seed}.parquet"

    def make(self) -> pl.DataFrame:
        """Simulate it: purchases, or units of every product (column ``units``) of a push."""
        if self.push is None:
            return simulated_table(self.config, self.seed, self.customers, self.weeks).frame
        world = make_world(self.config, self.seed, n_customers=self.customers)
        price = world.base_price * np.exp(self.push.log_moves(world))
        simulator, units = Simulator(world, self.seed), np.zeros(world.n_products, dtype=np.int64)
        revenue = 0.0
        for _ in range(self.weeks):
            outcome = simulator.step(price)
            np.add.at(units, outcome.lines.product, outcome.lines.quantity)
            revenue += outcome.revenue
        return pl.DataFrame({"units": units, "revenue": np.full(units.size, revenue)})

    def frame(self, home: Path) -> pl.DataFrame:
        """What it made; it must be complete."""
        return pl.read_parquet(self.path(home))

    def table(self, home: Path) -> Transactions:
        """Its purchases; it must be complete."""
        name = f"{self.config.name}, seed {self.seed}"
        people = range(self.customers)
        return read_transactions(self.frame(home), customers=people, weeks=self.weeks, name=name)


def _do(run: Run, home: Path) -> None:
    frame = run.make()
    with atomic_write(run.path(home)) as stream:
        frame.write_parquet(stream, compression="zstd")


def complete(runs: Sequence[Run], home: Path, workers: int | None, title: str) -> None:
    """Make what is not there yet.

    Args:
        runs: the runs.
        home: folder of the tables.
        workers: processes, None for one per CPU; the tables do not depend on it.
        title: of the progress bar.
    """
    todo = [run for run in runs if not run.path(home).exists()]
    count = os.cpu_count() or 1 if workers is None else check_int("workers", workers, 1)
    bar = tqdm(total=len(todo), desc=title, unit="run", disable=not todo)
    with bar:
        if min(count, len(todo)) <= 1:
            for run in todo:
                _do(run, home)
                bar.update()
            return
        _do(todo[0], home)  # compiles once; the processes find it on disk
        bar.update()
        with ProcessPoolExecutor(count, mp_context=get_context("spawn")) as pool:
            futures = [pool.submit(_do, run, home) for run in todo[1:]]
            try:
                for future in as_completed(futures):
                    future.result()
                    bar.update()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
