"""The calibration from beginning to end: stages in order, each kept on disk when it is done."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from retail_gym import __version__
from retail_gym.calibration.blocks import (
    BLOCKS,
    Measuring,
    measure_baskets,
    measure_prices,
    measure_store,
    run_block,
)
from retail_gym.calibration.categories import estimate_tastes, polish, settled
from retail_gym.calibration.levels import LEVELS, match_levels
from retail_gym.calibration.start import first_guess
from retail_gym.calibration.target import Target
from retail_gym.config import atomic_write, check_choice, check_int, stable_hash, to_plain
from retail_gym.world.storage import config_from_mapping
from retail_gym.world.store_config import StoreConfig

__all__ = ["EFFORTS", "Calibration", "Effort", "Stage", "calibrate"]


@dataclass(frozen=True)
class Effort:
    """How long each stage tries."""

    name: str
    customers: int  # of a simulation, at most
    seeds: int  # simulations of a point
    visits: int  # trials
    baskets: int
    items: int
    products: int
    prices: int
    tastes: int  # steps
    rounds: int  # of levels and polish


FULL: Final = Effort("full", 741, 2, 100, 200, 48, 48, 400, 120, 8)
QUICK: Final = Effort("quick", 300, 1, 40, 30, 16, 30, 40, 40, 3)
EFFORTS: Final = {effort.name: effort for effort in (FULL, QUICK)}
#: Of the levels.
TITLES: Final = {
    "baskets": "levels of baskets: customers and trips",
    "store": "levels of the store: habit, items, promotions and what they do",
    "prices": "levels of base prices",
    "means": "means once more: categories, items, promotions and what they do",
}


@dataclass(frozen=True)
class Stage:
    """One stage that is done."""

    name: str
    title: str
    config: StoreConfig
    losses: tuple[float, ...] = field(repr=False)  # of every point or step


@dataclass(frozen=True)
class Calibration:
    """A calibrated store and how it came about."""

    config: StoreConfig
    stages: tuple[Stage, ...]
    effort: Effort
    seed: int


Work = Callable[
    [StoreConfig, Path | None, Callable[[float], None]], tuple[StoreConfig, tuple[float, ...]]
]


@dataclass(frozen=True)
class _Job:
    name: str
    title: str
    length: int
    work: Work


def calibrate(
    target: Target,
    *,
    folder: Path | None = None,
    effort: str = "full",
    seed: int = 0,
    name: str = "calibrated_store",
    progress: bool = False,
) -> Calibration:
    """Fit a store to a table.

    Args:
        target: the table and its figures.
        folder: where stages are kept; a calibration that was killed goes on from there and ends
            where it would have ended. None: nothing is kept.
        effort: "full" or "quick".
        seed: of all searches.
        name: of the store.
        progress: show a bar for each stage.

    Returns:
        The store and its stages.

    Raises:
        ValueError: for an unknown effort, or a damaged file in the folder.
        OSError: where the folder cannot be written to.
    """
    check_choice("effort", effort, EFFORTS)
    seed, plan = check_int("seed", seed, 0), EFFORTS[effort]
    config = first_guess(target, name)
    key = stable_hash(
        [__version__, target.table.facts, target.size, target.sizes, asdict(plan), seed]
    )
    stages = [Stage("start", "read off the table", config, ())]
    for number, job in enumerate(_jobs(target, plan, seed), 1):
        key = stable_hash([key, job.name, stages[-1].config])
        base = None if folder is None else folder / f"{number:02d}-{job.name}.json"
        done = _read(base, key, job)
        if done is None:
            log = None if base is None else base.with_name(f"{base.stem}-{key[:8]}.log.json")
            bar = _Bar(job, progress)
            found, losses = job.work(stages[-1].config, log, bar.tick)
            bar.close()
            done = Stage(job.name, job.title, found, losses)
            _write(base, key, done)
        stages.append(done)
    return Calibration(stages[-1].config, tuple(stages), plan, seed)


class _Bar:
    """A progress bar that shows the loss."""

    def __init__(self, job: _Job, shown: bool) -> None:
        from tqdm import tqdm

        self._bar = tqdm(total=job.length, desc=job.title, disable=not shown, mininterval=1.0)

    def tick(self, loss: float) -> None:
        self._bar.set_postfix_str(f"loss {loss:.3f}", refresh=False)
        self._bar.update()

    def close(self) -> None:
        self._bar.close()


def _jobs(target: Target, plan: Effort, seed: int) -> list[_Job]:
    def search(name: str, stage: str, trials: int, step: float) -> _Job:
        block, trials = BLOCKS[name], max(trials, 1)

        def work(
            config: StoreConfig, log: Path | None, tick: Callable[[float], None]
        ) -> tuple[StoreConfig, tuple[float, ...]]:
            config, found = run_block(
                block, config, target, trials=trials, seeds=plan.seeds, seed=seed,
                log=log, step=step, tick=tick,
            )  # fmt: skip
            return settled(config), found.history

        return _Job(stage, block.title, trials, work)

    def levels(name: str, stage: str, measuring: Measuring, seeds: int = 2) -> _Job:
        def work(
            config: StoreConfig, log: Path | None, tick: Callable[[float], None]
        ) -> tuple[StoreConfig, tuple[float, ...]]:
            measure = measuring(config, target, seeds * plan.seeds)
            config, losses = match_levels(
                LEVELS[name], config, target.summary, measure, plan.rounds, tick
            )
            return settled(config), losses

        return _Job(stage, TITLES[name], plan.rounds, work)

    def tastes(stage: str, steps: int) -> _Job:
        def work(
            config: StoreConfig, log: Path | None, tick: Callable[[float], None]
        ) -> tuple[StoreConfig, tuple[float, ...]]:
            return estimate_tastes(config, target, steps, seed, tick)

        return _Job(stage, "tastes: which categories go together", steps, work)

    def categories(stage: str) -> _Job:
        def work(
            config: StoreConfig, log: Path | None, tick: Callable[[float], None]
        ) -> tuple[StoreConfig, tuple[float, ...]]:
            return polish(config, target, plan.rounds, 2 * plan.seeds, tick)

        return _Job(stage, "categories: how often, and by which products", plan.rounds, work)

    return [
        search("visits", "visits", plan.visits, 0.05),
        tastes("tastes", plan.tastes),
        levels("baskets", "basket-levels", measure_baskets),
        search("baskets", "baskets", plan.baskets, 0.04),
        levels("store", "store-levels", measure_store),
        categories("categories"),
        search("items", "items", plan.items, 0.04),
        search("products", "products", plan.products, 0.03),
        levels("prices", "price-levels", measure_prices),
        search("prices", "prices", plan.prices, 0.02),
        # Once more: prices, shelves and products have moved the values of categories.
        tastes("tastes-again", plan.tastes // 2),
        levels("baskets", "basket-levels-again", measure_baskets),
        search("baskets", "baskets-again", plan.baskets, 0.02),
        search("lifts", "lifts", plan.baskets // 4, 0.02),
        levels("store", "store-levels-again", measure_store),
        categories("categories-again"),
        search("items", "items-again", plan.items // 2, 0.02),
        search("products", "products-again", plan.products // 2, 0.02),
        categories("polish"),
        # Means last, more exactly: shapes hardly move them, and they move each other.
        levels("means", "means", measure_store, 4),
        search("items", "items-last", plan.items, 0.04),
        levels("means", "means-again", measure_store, 8),
        search("prices", "prices-last", plan.prices // 2, 0.02),
    ]


def _read(file: Path | None, key: str, job: _Job) -> Stage | None:
    """A stage that was done before; None where there is none, or another calibration's."""
    if file is None or not file.is_file():
        return None
    try:
        table = json.loads(file.read_text(encoding="utf-8"))
        if table["key"] != key:
            return None
        config = config_from_mapping(table["config"])
        return Stage(job.name, job.title, config, tuple(table["losses"]))
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f"{file} is not a stage of a calibration ({error}): remove it to do the stage again"
        ) from None


def _write(file: Path | None, key: str, stage: Stage) -> None:
    if file is None:
        return
    table = {
        "key": key,
        "stage": stage.title,
        "config": to_plain(stage.config),
        "losses": list(stage.losses),
    }
    with atomic_write(file) as stream:
        stream.write(json.dumps(table).encode())
