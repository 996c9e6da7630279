"""Pools of stores: many worlds of one preset that differ in a few store-wide scalars.

A pool is a configuration (which scalars are drawn, from which part of their laws) and a list of
world seeds. The pool of ``RetailSynthAdaptive-v0`` is shipped as that list, so nobody has to
search for stores again; its worlds are built when first asked for and kept on disk.
"""

from __future__ import annotations

import json
import math
import os
import warnings
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from retail_gym import __version__, rng
from retail_gym.config import (
    CACHE_VARIABLE,
    cache_folder,
    check_choice,
    check_finite,
    check_int,
    stable_hash,
)
from retail_gym.world.presets import load_config
from retail_gym.world.priors import LogNormal, Prior, Uniform
from retail_gym.world.store_config import StoreConfig
from retail_gym.world.world import World, build_world

__all__ = [
    "ADAPTIVE",
    "DRAWS",
    "SHIPPED",
    "SPLITS",
    "PoolConfig",
    "PriorRange",
    "StorePool",
    "StoreRecord",
    "as_pool",
    "best_single",
    "shipped_pool",
]

#: Number of the way worlds are drawn, part of the cache's key: count it up whenever the same
#: configuration and seed give another world (a change of rng, of priors or of what builds it),
#: so that nobody is handed stores of old code. A test fails until then.
DRAWS: Final = 1
#: The stores of RetailSynthAdaptive-v0, found by ``python -m experiments.ship_adaptive_pool``.
SHIPPED: Final = resources.files("retail_gym.world.presets").joinpath("adaptive_pool.json")
#: Disjoint parts of the shipped pool and their numbers of stores.
SPLITS: Final[Mapping[str, int]] = MappingProxyType({"train": 64, "test": 32})

_WHICH: Final = "store of the pool"  # the stream that picks an episode's store


@dataclass(frozen=True)
class PriorRange:
    """A law between two of its quantiles.

    Args:
        prior: the law.
        low: share of the law cut off below, in [0, 1).
        high: 1 - share cut off above, in (low, 1].
    """

    prior: Prior
    low: float = 0.0
    high: float = 1.0

    def __post_init__(self) -> None:
        check_finite("low", self.low, 0.0, 1.0)
        check_finite("high", self.high, 0.0, 1.0)
        if self.low >= self.high:
            raise ValueError(f"low must be below high, got {self.low!r} and {self.high!r}")

    def draw(self, seed: int, symbol: str) -> float:
        """The value of one store: a stream of its own for every symbol."""
        key = rng.stream_key(seed, 0, rng.symbol_stage(f"pool {symbol}"))
        uniform = rng.uniform(rng.words(key, rng.item_hash(1)))
        return float(self.prior.quantile(self.low + (self.high - self.low) * uniform)[0])


@dataclass(frozen=True)
class PoolConfig:
    """What the stores of a pool have in common and in which scalars they differ.

    Args:
        name: of the pool; names the folder of its cache.
        preset: name of the preset, or the configuration, that all stores share.
        ranges: field of :class:`StoreConfig` -> :class:`PriorRange` it is drawn from.
        floor: smallest return of a store's best static policy [R0 per episode], margin reward;
            stores below it are redrawn when the pool is made.
        first_seed: world seed of the first candidate.

    Raises:
        ValueError: for an unknown preset or a value out of range.
        TypeError: for a range of a field that stores do not have.
    """

    name: str
    preset: str | StoreConfig
    ranges: Mapping[str, PriorRange] = field(default_factory=dict)
    floor: float = 0.0
    first_seed: int = 0

    def __post_init__(self) -> None:
        check_finite("floor", self.floor)
        check_int("first_seed", self.first_seed, 0)
        object.__setattr__(self, "ranges", dict(self.ranges))
        self.store(self.first_seed)  # refuses an unknown preset or field

    def __hash__(self) -> int:
        return int(self.digest(), 16)

    def store(self, seed: int) -> StoreConfig:
        """The configuration of the store of one world seed."""
        base = self.preset if isinstance(self.preset, StoreConfig) else load_config(self.preset)
        return base.override(**self.values(seed))

    def values(self, seed: int) -> dict[str, float]:
        """The scalars in which that store differs."""
        return {symbol: law.draw(seed, symbol) for symbol, law in self.ranges.items()}

    def digest(self) -> str:
        """16 hexadecimal digits of the configuration, of what the preset holds as well."""
        base = self.preset if isinstance(self.preset, StoreConfig) else load_config(self.preset)
        return stable_hash([base, self.ranges, self.floor, self.first_seed])


#: ``RetailSynthAdaptive-v0``. The level of prices alone (alpha_1) moves the best discount too
#: little to be worth learning, so loyalty (gamma_store_0) and the pull of discounts
#: (gamma_store_2) differ too.
ADAPTIVE: Final = PoolConfig(
    name="adaptive",
    preset="small",
    ranges={
        "alpha_1": PriorRange(LogNormal(0.8, 1.2), 0.1, 0.9),  # Table 3, its 10-90 % range [$]
        "gamma_store_0": PriorRange(Uniform(-3.2, 0.0)),  # widened; Table 5: Gumbel(-1.85, 0.1)
        "gamma_store_2": PriorRange(Uniform(0.0, 0.001)),  # Table 5
    },
    floor=3.0,
    first_seed=1000,
)


@dataclass(frozen=True)
class StoreRecord:
    """What is shipped about a store of a pool.

    Args:
        world_seed: its seed.
        reward_scale: R0 [$ per week].
        depth: of its best static policy under the margin reward.
        frequency: of that policy.
        best_return: that policy's return on the seeds of the search [R0 per episode].
        values: the scalars in which it differs.
        price_sum: sum of its base prices [$], to tell a world kept by other code; None if unknown.
    """

    world_seed: int
    reward_scale: float
    depth: float
    frequency: float
    best_return: float
    values: Mapping[str, float]
    price_sum: float | None = None


class StorePool:
    """Stores to draw from: built when first asked for, the last few in memory, all on disk.

    Immutable to its users; its deep copy is itself, so environments share it.

    Args:
        config: what the stores have in common.
        world_seeds: one per store, all different.
        cache: folder for the worlds, ``""`` for none; default
            :func:`retail_gym.config.cache_folder`.
        keep: worlds kept in memory (some 6 MB each for the preset ``small``).
        records: what is known about each store, in the order of the seeds.

    Raises:
        ValueError: for no seeds or equal ones, or records of other stores.
    """

    def __init__(
        self,
        config: PoolConfig,
        world_seeds: Sequence[int],
        *,
        cache: str | os.PathLike[str] | None = None,
        keep: int = 16,
        records: Sequence[StoreRecord] = (),
    ) -> None:
        self.config = config
        self.world_seeds = tuple(check_int("world seed", s, 0, 2**63 - 1) for s in world_seeds)
        if not self.world_seeds or len(set(self.world_seeds)) < len(self.world_seeds):
            raise ValueError("a pool needs at least one world seed, all of them different")
        self.records = tuple(records)
        if self.records and tuple(r.world_seed for r in self.records) != self.world_seeds:
            raise ValueError("the records are not those of the world seeds, in their order")
        folder = cache_folder() if cache is None else (Path(cache) if str(cache) else None)
        key = f"{config.name}-{config.digest()}-{__version__}-{DRAWS}"
        self.folder = folder and folder / "pools" / key
        self._keep = check_int("keep", keep, 1)
        self._worlds: OrderedDict[int, World] = OrderedDict()

    def __len__(self) -> int:
        return len(self.world_seeds)

    def __repr__(self) -> str:
        return f"StorePool({self.config.name!r}, {len(self)} stores)"

    def __deepcopy__(self, memo: dict[int, Any]) -> StorePool:
        return self

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_worlds": OrderedDict()}  # other processes read the disk

    def part(self, stores: Sequence[int]) -> StorePool:
        """A pool of some of the stores, by their numbers; it shares the cache on disk."""
        chosen = [check_int("store", k, 0, len(self) - 1) for k in stores]
        pool = StorePool(
            self.config,
            [self.world_seeds[k] for k in chosen],
            cache="",
            keep=self._keep,
            records=[self.records[k] for k in chosen] if self.records else (),
        )
        pool.folder = self.folder
        return pool

    def index(self, episode_key: int) -> int:
        """Number of the store of an episode, uniform over the pool, from a stream of its own."""
        key = rng.stream_key(episode_key, 0, rng.symbol_stage(_WHICH))
        return int(rng.uniform(rng.words(key, rng.item_hash(1)))[0] * len(self))

    def world(self, index: int) -> World:
        """A store of the pool.

        Raises:
            ValueError: if there is no such store.
        """
        k = check_int("store", index, 0, len(self) - 1)
        if k not in self._worlds:
            self._worlds[k] = self._load(k)
            if len(self._worlds) > self._keep:
                self._worlds.popitem(last=False)
        self._worlds.move_to_end(k)
        return self._worlds[k]

    def _load(self, k: int) -> World:
        """From disk, or built and put there; a cache that fails costs time only."""
        seed = self.world_seeds[k]
        path = self.folder and self.folder / f"{seed}.npz"
        if path is not None and path.exists():
            try:
                world = World.load(path)
                if world.seed == seed and self._is_recorded(world, k):
                    return world
                reason = "it holds another store"
            except (ValueError, OSError) as error:
                reason = str(error)
            warnings.warn(f"building {path} again: {reason}", RuntimeWarning, stacklevel=4)
        world = build_world(self.config.store(seed), seed)
        if self.records:
            world = replace(world, stored_reward_scale=self.records[k].reward_scale)
        if path is not None:
            try:
                world.save(path)
            except OSError as error:
                warnings.warn(
                    f"stores are not kept on disk: {error}, by {CACHE_VARIABLE} or cache=",
                    RuntimeWarning,
                    stacklevel=4,
                )
                self.folder = None
        return world

    def _is_recorded(self, world: World, k: int) -> bool:
        """Whether a world has the scalars drawn for the store and what its record says."""
        drawn = self.config.values(self.world_seeds[k])
        kept = {symbol: getattr(world, symbol, None) for symbol in drawn}
        if any(isinstance(kept[s], float) and kept[s] != value for s, value in drawn.items()):
            return False
        if not self.records:
            return True
        record = self.records[k]
        return world.reward_scale == record.reward_scale and (
            record.price_sum is None
            or math.isclose(world.base_price.sum(), record.price_sum, rel_tol=1e-9)
        )


@cache
def _shipped() -> dict[str, Any]:
    table: dict[str, Any] = json.loads(SHIPPED.read_text(encoding="utf-8"))
    if table["config"] != ADAPTIVE.digest():
        raise ValueError(
            "the shipped pool is of another configuration of the preset or the pool: run "
            "python -m experiments.ship_adaptive_pool"
        )
    return table


def best_single() -> tuple[float, float]:
    """Depth and frequency of the one static policy that is best over the training stores."""
    table = _shipped()["best_single"]
    return float(table["depth"]), float(table["frequency"])


@cache
def _shipped_pool(split: str, folder: str) -> StorePool:
    records = [StoreRecord(**row) for row in _shipped()[split]]
    return StorePool(ADAPTIVE, [r.world_seed for r in records], cache=folder, records=records)


def shipped_pool(split: str) -> StorePool:
    """A part of the pool of ``RetailSynthAdaptive-v0``; the same object every time.

    Raises:
        ValueError: for another part than "train" or "test".
    """
    check_choice("pool", split, SPLITS)
    return _shipped_pool(split, str(cache_folder() or ""))


def as_pool(pool: str | StorePool) -> StorePool:
    """A pool by the name of a shipped part, or the pool itself.

    Raises:
        ValueError: for anything else, naming the parts.
    """
    return pool if isinstance(pool, StorePool) else shipped_pool(pool)
