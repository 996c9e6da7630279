"""The calibration from beginning to end: stages in order, each kept on disk when it is done."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np

from retail_gym.calibration.baskets import category_values
from retail_gym.calibration.blocks import BLOCKS, FIRST_SEED, run_block, simulate_store
from retail_gym.calibration.levels import LEVELS, match_levels
from retail_gym.calibration.moments import category_moments
from retail_gym.calibration.start import first_guess, listed
from retail_gym.calibration.target import Target
from retail_gym.calibration.tastes import Tastes, fit_tastes
from retail_gym.config import atomic_write, check_choice, check_int, stable_hash, to_plain
from retail_gym.world.priors import Listed
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


FULL: Final = Effort("full", 741, 2, 100, 120, 40, 45, 150, 120, 5)
QUICK: Final = Effort("quick", 300, 1, 40, 30, 16, 30, 40, 40, 3)
EFFORTS: Final = {effort.name: effort for effort in (FULL, QUICK)}


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


Work = Callable[[StoreConfig, Path, Callable[[float], None]], tuple[StoreConfig, tuple[float, ...]]]


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
    key = stable_hash([target.table.facts, target.size, target.sizes, asdict(plan), seed])
    stages = [Stage("start", "read off the table", config, ())]
    for number, job in enumerate(_jobs(target, plan, seed), 1):
        key = stable_hash([key, job.name, stages[-1].config])
        base = None if folder is None else folder / f"{number:02d}-{job.name}.json"
        done = _read(base, key, job)
        if done is None:
            log = Path() if base is None else base.with_suffix(".log.json")
            bar = _Bar(job, progress)
            found, losses = job.work(stages[-1].config, log if base else Path(), bar.tick)
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
        block = BLOCKS[name]

        def work(
            config: StoreConfig, log: Path, tick: Callable[[float], None]
        ) -> tuple[StoreConfig, tuple[float, ...]]:
            config, found = run_block(
                block, config, target, trials=trials, seeds=plan.seeds, seed=seed,
                log=log if log.name else None, step=step, tick=tick,
            )  # fmt: skip
            return settled(config), found.history

        return _Job(stage, block.title, trials, work)

    def levels(name: str, stage: str, measured_by: str) -> _Job:
        block = BLOCKS[measured_by]

        def work(
            config: StoreConfig, log: Path, tick: Callable[[float], None]
        ) -> tuple[StoreConfig, tuple[float, ...]]:
            measure = block.measure(config, target, plan.seeds)
            config, losses = match_levels(
                LEVELS[name], config, target.summary, measure, block.keys, plan.rounds, tick
            )
            return settled(config), losses

        return _Job(stage, f"levels of {block.title}", plan.rounds, work)

    def tastes(stage: str, steps: int) -> _Job:
        def work(
            config: StoreConfig, log: Path, tick: Callable[[float], None]
        ) -> tuple[StoreConfig, tuple[float, ...]]:
            return _tastes(config, target, steps, seed, tick)

        return _Job(stage, "tastes: which categories go together", steps, work)

    def polish(
        config: StoreConfig, log: Path, tick: Callable[[float], None]
    ) -> tuple[StoreConfig, tuple[float, ...]]:
        return _polish(config, target, plan, tick)

    return [
        search("visits", "visits", plan.visits, 0.05),
        tastes("tastes", plan.tastes),
        levels("baskets", "basket-levels", "baskets"),
        search("baskets", "baskets", plan.baskets, 0.02),
        levels("store", "store-levels", "response"),
        search("items", "items", plan.items, 0.04),
        search("products", "products", plan.products, 0.03),
        tastes("tastes-again", plan.tastes // 2),
        levels("baskets", "basket-levels-again", "baskets"),
        search("baskets", "baskets-again", plan.baskets // 2, 0.01),
        levels("store", "store-levels-again", "response"),
        levels("prices", "price-levels", "prices"),
        search("prices", "prices", plan.prices, 0.02),
        _Job("polish", "polish: how often each category is bought", plan.rounds, polish),
    ]


def settled(config: StoreConfig) -> StoreConfig:
    """The store with its shift of all categories put into their appeal."""
    assert config.layers is not None
    assert config.layers.catalog is not None
    appeal = config.layers.catalog.prior("appeal")
    assert isinstance(appeal, Listed)
    moved = listed(np.array(appeal.values) + config.category_shift)
    catalog = replace(config.layers.catalog, appeal=moved)
    return config.override(category_shift=0.0, layers=replace(config.layers, catalog=catalog))


def _columns(laws: object) -> np.ndarray:
    assert isinstance(laws, tuple)
    return np.stack([np.array(law.values) for law in laws], axis=1)


def _tastes(
    config: StoreConfig, target: Target, steps: int, seed: int, tick: Callable[[float], None]
) -> tuple[StoreConfig, tuple[float, ...]]:
    layers = config.layers
    assert layers is not None
    assert layers.catalog is not None
    assert layers.visit is not None
    basket = layers.basket
    assert basket is not None
    losses: list[float] = []

    def note(loss: float) -> None:
        losses.append(loss)
        tick(loss)

    taste = _columns(basket.taste_loading)
    appeal, affinity = layers.catalog.prior("appeal"), basket.prior("affinity_sd")
    assert isinstance(appeal, Listed)
    assert isinstance(affinity, Listed)
    begin = Tastes(
        np.array(appeal.values),
        taste,
        _columns(basket.trip_loading),
        np.array(affinity.values),
        basket.size_sd,
        basket.trip_sd,
    )
    found = fit_tastes(
        target.moments,
        layers.visit,
        basket,
        config.prior("beta_u"),
        category_values(config, FIRST_SEED, FIRST_SEED, target.weeks),
        steps=steps,
        seed=seed,
        begin=begin if taste.any() else None,
        tick=note,
    )
    basket = replace(
        basket,
        size_sd=found.size_sd,
        trip_sd=found.trip_sd,
        taste_loading=tuple(listed(column) for column in found.taste_jk.T),
        trip_loading=tuple(listed(column) for column in found.trip_jk.T),
        affinity_sd=listed(found.affinity_j),
    )
    catalog = replace(layers.catalog, appeal=listed(found.appeal_j))
    new = replace(layers, catalog=catalog, basket=basket)
    return config.override(layers=new), tuple(losses)


def _polish(
    config: StoreConfig, target: Target, plan: Effort, tick: Callable[[float], None]
) -> tuple[StoreConfig, tuple[float, ...]]:
    """Move the appeal of each category by the gap of its log-odds, in the whole store."""
    from scipy import special

    losses = []
    real = target.moments
    wanted = (real.trips_j + 0.3) / (real.n_trips + 0.6)
    for _ in range(plan.rounds):
        tables = [
            simulate_store(config, seed, target.size, target.weeks)
            for seed in range(FIRST_SEED, FIRST_SEED + 2 * plan.seeds)
        ]
        found = [category_moments(table, list(range(wanted.size))) for table in tables]
        trips, n = sum(m.trips_j for m in found), sum(m.n_trips for m in found)
        gap = special.logit(wanted) - special.logit((trips + 0.3) / (n + 0.6))
        losses.append(float(np.abs(gap).mean()))
        seen = np.minimum(trips, real.trips_j)  # rare categories: the gap is mostly luck
        appeal = get_appeal(config) + 0.7 * gap * seen / (seen + 100.0)
        assert config.layers is not None
        assert config.layers.catalog is not None
        catalog = replace(config.layers.catalog, appeal=listed(appeal))
        config = config.override(layers=replace(config.layers, catalog=catalog))
        tick(losses[-1])
    return config, tuple(losses)


def get_appeal(config: StoreConfig) -> np.ndarray:
    """Listed appeal of the categories, shape (J,)."""
    assert config.layers is not None
    assert config.layers.catalog is not None
    appeal = config.layers.catalog.prior("appeal")
    assert isinstance(appeal, Listed)
    return np.array(appeal.values)


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
