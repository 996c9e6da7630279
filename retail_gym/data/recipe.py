"""What a simulated dataset is made of: every byte of it follows from the recipe."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from retail_gym.config import check_finite, check_int, stable_hash, to_plain
from retail_gym.data.star import SCHEMA_VERSION, TABLES, Table
from retail_gym.world.presets import category_names
from retail_gym.world.storage import config_from_mapping
from retail_gym.world.store_config import StoreConfig

__all__ = ["Recipe", "Truth"]


@dataclass(frozen=True)
class Truth:
    """What to write of the model's own knowledge.

    Args:
        customers: size of the sample, customers evenly spaced over the store; None: everybody.
            A customer costs some milliseconds a week and level in a large catalogue.
        levels: discounts of every product at which demand is expected, in [0, 1).
    """

    customers: int | None = 100
    levels: tuple[float, ...] = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)

    def __post_init__(self) -> None:
        if self.customers is not None:
            check_int("truth customers", self.customers, 1)
        levels = tuple(check_finite("a truth level", x, 0.0, 1.0 - 1e-9) for x in self.levels)
        object.__setattr__(self, "levels", levels)

    def sample(self, n_customers: int) -> Any:
        """Customer numbers of the sample of a store of so many, in order."""
        size = n_customers if self.customers is None else min(self.customers, n_customers)
        return np.unique(np.linspace(0, n_customers - 1, size).astype(np.int64))


@dataclass(frozen=True)
class Recipe:
    """A dataset, before it is made.

    Args:
        config: the store.
        policy: who decides, in words; the decisions themselves are in the plan.
        world_seed: the store's seed.
        seed: luck.
        weeks: T.
        segments: customers priced apart.
        shard_customers: customers of a shard; 0: 2,500 (the weeks' shelves and the store cost a
            shard as much as some 200 customers), or a tenth of a store of more than 25,000 (what
            a shard keeps of customers who are not its own then stays small).
        truth: what to write of the model's own knowledge; None: nothing.
    """

    config: StoreConfig
    policy: str
    world_seed: int = 0
    seed: int = 0
    weeks: int = 53
    segments: int = 1
    shard_customers: int = 0
    truth: Truth | None = None

    def __post_init__(self) -> None:
        check_int("world seed", self.world_seed, 0, 2**63 - 1)
        check_int("seed", self.seed, 0)
        check_int("weeks", self.weeks, 1, 32_767)
        check_int("segments", self.segments, 1, self.config.n_customers)
        size = check_int("shard_customers", self.shard_customers, 0)
        if not size:
            object.__setattr__(
                self, "shard_customers", max(2500, -(-self.config.n_customers // 10))
            )

    @cached_property
    def category_names(self) -> tuple[str, ...] | None:
        """Names of the store's categories, where they have some."""
        return category_names(self.config)

    @property
    def n_shards(self) -> int:
        """Number of shards."""
        return -(-self.config.n_customers // self.shard_customers)

    def customers(self, shard: int) -> range:
        """Customer numbers of a shard."""
        first = shard * self.shard_customers
        return range(first, min(first + self.shard_customers, self.config.n_customers))

    def tables(self, sharded: bool) -> list[Table]:
        """The tables of a shard, or those of the store."""
        return [
            table
            for table in TABLES.values()
            if table.sharded is sharded
            and (self.truth is not None or not table.truth)
            and (self.category_names is not None or not table.named)
        ]

    def plain(self) -> dict[str, Any]:
        """As plain values, for the manifest."""
        plain: dict[str, Any] = to_plain(self)
        return plain

    @staticmethod
    def from_plain(table: dict[str, Any]) -> Recipe:
        """Inverse of :meth:`plain`.

        Raises:
            ValueError: if something is missing or out of range.
        """
        try:
            truth = table["truth"]
            fields = table | {
                "config": config_from_mapping(table["config"]),
                "truth": None if truth is None else Truth(truth["customers"], truth["levels"]),
            }
            return Recipe(**fields)
        except (KeyError, TypeError) as error:
            raise ValueError(f"no recipe of a dataset: {error}") from None

    @cached_property
    def hash(self) -> str:
        """16 hexadecimal digits of the recipe and the version of the tables."""
        return stable_hash({"recipe": self.plain(), "schema_version": SCHEMA_VERSION})
