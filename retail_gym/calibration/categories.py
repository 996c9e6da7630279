"""Numbers of each category: which go together, how often each is bought, and by which products."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from retail_gym.calibration.baskets import category_values
from retail_gym.calibration.blocks import FIRST_SEED, simulate_store
from retail_gym.calibration.moments import category_moments
from retail_gym.calibration.popularity import RAREST, Concentration, concentration, moved_lead
from retail_gym.calibration.start import listed
from retail_gym.calibration.target import Target
from retail_gym.calibration.tastes import Tastes, fit_tastes
from retail_gym.data.table import Transactions
from retail_gym.world.priors import Listed
from retail_gym.world.store_config import StoreConfig

__all__ = ["estimate_tastes", "get_appeal", "polish", "settled"]


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


def estimate_tastes(
    config: StoreConfig, target: Target, steps: int, seed: int, tick: Callable[[float], None]
) -> tuple[StoreConfig, tuple[float, ...]]:
    """The store with tastes and affinities fitted, and the loss of each step."""
    from threadpoolctl import threadpool_limits

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
    values = category_values(config, FIRST_SEED, FIRST_SEED, target.weeks)
    with threadpool_limits(1):  # the last digits of a product hang on how it is shared
        found = fit_tastes(
            target.moments,
            layers.visit,
            basket,
            config.prior("beta_u"),
            values,
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


def polish(
    config: StoreConfig,
    target: Target,
    rounds: int,
    seeds: int,
    tick: Callable[[float], None],
) -> tuple[StoreConfig, tuple[float, ...]]:
    """Move appeal and popularity of each category by their gaps in the whole store.

    Args:
        config: the store.
        target: what it should look like.
        rounds: how often.
        seeds: simulations of each round.
        tick: called after every round with its loss, the mean absolute gap of the log-odds.

    Returns:
        The store, and the loss of each round.
    """
    losses = []
    labels: list[object] = list(range(len(target.labels)))
    for _ in range(rounds):
        tables = [
            simulate_store(config, seed, target.size, target.weeks)
            for seed in range(FIRST_SEED, FIRST_SEED + seeds)
        ]
        layers = config.layers
        assert layers is not None
        assert layers.catalog is not None
        gap, step = _appeal_gap(target, tables, labels)
        found = [concentration(table, labels) for table in tables]
        logs = np.log(np.maximum([f.same_j for f in found], RAREST))
        together = Concentration(
            np.exp(logs.mean(axis=0)), np.mean([f.rows_j for f in found], axis=0)
        )
        lead = layers.catalog.prior("popularity_lead")
        assert isinstance(lead, Listed)
        catalog = replace(
            layers.catalog,
            appeal=listed(get_appeal(config) + step),
            popularity_lead=listed(moved_lead(np.array(lead.values), target.popularity, together)),
        )
        losses.append(float(np.abs(gap).mean()))
        config = config.override(layers=replace(layers, catalog=catalog))
        tick(losses[-1])
    return config, tuple(losses)


def _appeal_gap(
    target: Target, tables: list[Transactions], labels: list[object]
) -> tuple[np.ndarray, np.ndarray]:
    """Gap of each category's log-odds, and how much of it to take."""
    from scipy import special

    real, found = target.moments, [category_moments(table, labels) for table in tables]
    wanted = (real.trips_j + 0.3) / (real.n_trips + 0.6)
    trips, n = sum(m.trips_j for m in found), sum(m.n_trips for m in found)
    gap = special.logit(wanted) - special.logit((trips + 0.3) / (n + 0.6))
    seen = np.minimum(trips, real.trips_j)  # rare categories: the gap is mostly luck
    return gap, 0.7 * gap * seen / (seen + 100.0)


def get_appeal(config: StoreConfig) -> np.ndarray:
    """Listed appeal of the categories, shape (J,)."""
    assert config.layers is not None
    assert config.layers.catalog is not None
    appeal = config.layers.catalog.prior("appeal")
    assert isinstance(appeal, Listed)
    return np.array(appeal.values)
