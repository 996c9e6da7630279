"""Blocks: which numbers are searched together, on what they are judged, and what is simulated.

A block that needs no products simulates visits or categories alone, in a fraction of the time.
Simulations of one search all have the same seeds: a difference between two points is a difference
between the points.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retail_gym.calibration.baskets import category_values, simulate_baskets
from retail_gym.calibration.objective import distance, gaps
from retail_gym.calibration.search import Found, minimise
from retail_gym.calibration.settings import parameter, put
from retail_gym.calibration.target import OFTEN, Summary, Target, price_popularity, summary
from retail_gym.calibration.visits import Households, simulate_visits
from retail_gym.data.schema import read_transactions
from retail_gym.data.table import Transactions
from retail_gym.model.price import price
from retail_gym.promotion import Promotion
from retail_gym.simulator import Simulator
from retail_gym.world.layer_draws import draw_layers
from retail_gym.world.layered_catalog import draw_store_catalog
from retail_gym.world.layers import Layers
from retail_gym.world.store_config import StoreConfig
from retail_gym.world.world import build_world

__all__ = [
    "BLOCKS",
    "Block",
    "Measuring",
    "measure_baskets",
    "measure_prices",
    "measure_store",
    "run_block",
    "simulate_store",
]

#: Worlds and luck of a search; a store is judged on others.
FIRST_SEED: Final = 10_001
Measure = Callable[[StoreConfig], Summary]
#: (store, target, seeds) -> what gives a store's figures.
Measuring = Callable[[StoreConfig, Target, int], Measure]


def simulate_store(config: StoreConfig, seed: int, customers: int, weeks: int) -> Transactions:
    """One run of a store under its own promotions: one seed for the store and its luck."""
    import polars as pl

    world = build_world(config.override(n_customers=customers), seed)
    store, promotion = Simulator(world, seed), Promotion(world.n_products, seed)
    lines = []
    for week in range(1, weeks + 1):
        discount = promotion.step([world.promotion], week)
        shelf = price(world.base_price, discount, world.lowest_price)
        lines.append(store.step(shelf, discount_si=discount).transactions())
    return read_transactions(
        pl.concat(lines),
        customers=range(customers),
        weeks=weeks,
        name=f"{config.name}, seed {seed}",
    )


def _seeds(n: int) -> range:
    return range(FIRST_SEED, FIRST_SEED + n)


def measure_visits(config: StoreConfig, target: Target, seeds: int) -> Measure:
    """Visits alone, as a table with one line a trip; four times the seeds, which cost little."""
    import polars as pl

    def table(store: StoreConfig, seed: int) -> Transactions:
        assert store.layers is not None
        drawn = draw_layers(
            store.override(n_customers=target.size, layers=Layers(visit=store.layers.visit)), seed
        )
        assert drawn is not None
        visited = simulate_visits(Households(target.size, drawn), seed, target.weeks)
        return one_line_a_trip(visited)

    def one_line_a_trip(visited: NDArray[np.bool_]) -> Transactions:
        customer, week = np.nonzero(visited)
        frame = pl.DataFrame({"week": week + 1, "customer": customer}).with_columns(
            category=pl.lit(0, pl.Int64), product=pl.lit(0, pl.Int64), quantity=pl.lit(1, pl.Int64),
            unit_price=1.0, discount=0.0, base_price=1.0, revenue=1.0,
        )  # fmt: skip
        return Transactions(frame, np.arange(visited.shape[0]), visited.shape[1])

    return lambda store: summary([table(store, seed) for seed in _seeds(4 * seeds)], prices=False)


def measure_baskets(config: StoreConfig, target: Target, seeds: int) -> Measure:
    """Visits and categories; what prices and shelves add stays that of the store given.

    Four times the seeds: lifts, and how unlike customers are, differ from one population to the
    next.
    """
    seeds = 4 * seeds
    values = [category_values(config, seed, seed, target.weeks) for seed in _seeds(seeds)]

    def measure(store: StoreConfig) -> Summary:
        people = store.override(n_customers=target.size)
        return summary(
            [
                simulate_baskets(people, seed, seed, target.weeks, value)
                for seed, value in zip(_seeds(seeds), values, strict=True)
            ],
            prices=False,
        )

    return measure


def measure_store(config: StoreConfig, target: Target, seeds: int) -> Measure:
    """The whole store."""
    return lambda store: summary(
        [simulate_store(store, seed, target.size, target.weeks) for seed in _seeds(seeds)]
    )


def measure_prices(config: StoreConfig, target: Target, seeds: int) -> Measure:
    """The same purchases at other base prices, the discounts unchanged.

    Qualities make up for base prices (:mod:`retail_gym.world.layered_catalog`), so purchases
    hardly depend on them: only those of customers more or less price-sensitive than the median,
    and quantities. Twice the seeds, for points cost little.
    """
    from retail_gym.evaluation.realism import Empirical

    runs = []
    for seed in _seeds(2 * seeds):
        lines = simulate_store(config, seed, target.size, target.weeks).frame
        product = lines["product"].to_numpy()
        base = draw_store_catalog(config, seed).base_price
        paid = lines["unit_price"].to_numpy() / base[product]  # dispersion included
        n = np.bincount(product)
        ratio = np.bincount(product, weights=paid) / np.maximum(n, 1)
        bought = np.flatnonzero(n)
        runs.append((seed, bought, ratio[bought], n[bought]))

    def measure(store: StoreConfig) -> Summary:
        prices, often, together = [], [], []
        for seed, bought, ratio, rows in runs:
            prices.append(draw_store_catalog(store, seed).base_price[bought] * ratio)
            often.append(prices[-1][rows >= OFTEN])
            together.append(price_popularity(prices[-1], rows))
        return Summary(
            {
                "price": Empirical.of(np.concatenate(prices)),
                "price_often": Empirical.of(np.concatenate(often)),
            },
            {"price_popularity": float(np.mean(together))},
        )

    return measure


class Range(NamedTuple):
    """Where a number is searched, and whether on a log scale."""

    low: float
    high: float
    ratio: bool = False


@dataclass(frozen=True)
class Block:
    """Numbers that are searched together."""

    name: str
    title: str
    ranges: Mapping[str, Range]  # by path
    keys: tuple[str, ...]  # of the objective
    measure: Measuring


_CATALOG: Final = "layers.catalog."
_BASKET: Final = "layers.basket."
BLOCKS: Final = {
    block.name: block
    for block in (
        Block(
            "visits",
            "visits: who comes how often",
            {
                "layers.visit.intercept.a": Range(0.2, 8.0, True),
                "layers.visit.intercept.b": Range(0.2, 8.0, True),
                "layers.visit.drift_sd": Range(0.0, 2.0),
                "layers.visit.drift_memory": Range(0.8, 0.995),
            },
            ("visit_cust", "tslp", "half_corr", "visit_ac1"),
            measure_visits,
        ),
        Block(
            "baskets",
            "baskets: customers and trips, large and small",
            {
                "category_shift": Range(-1.5, 1.5),
                _BASKET + "size_sd": Range(0.0, 1.5),
                _BASKET + "visit_correlation": Range(-0.2, 0.99),
                _BASKET + "trip_sd": Range(0.0, 1.5),
                _BASKET + "fill_in_share": Range(0.02, 0.9),
                _BASKET + "fill_in_spread": Range(0.0, 2.0),
                _BASKET + "fill_in_depth": Range(0.0, 3.0),
                _BASKET + "affinity_sd": Range(0.05, 3.0),
            },
            (
                "cat_prob", "ncat", "ncat_sd", "lift", "lift_w1", "penetration", "icc", "sd_b",
                "sd_w", "corr_rate_basket", "pen_ratio",
            ),
            measure_baskets,
        ),
        Block(
            "lifts",
            "lifts: what large baskets alone bring together",
            {
                "category_shift": Range(-1.5, 1.5),
                _BASKET + "trip_sd": Range(0.0, 1.5),
                _BASKET + "fill_in_depth": Range(0.0, 3.0),
            },
            ("lift", "lift_w1", "ncat", "ncat_sd", "sd_w", "icc"),
            measure_baskets,
        ),
        Block(
            "items",
            "items: further products and quantities",
            {
                "layers.assortment.size": Range(0.05, 5.0, True),
                "layers.assortment.basket_weight": Range(0.0, 1.0),
                "layers.quantity.size": Range(0.05, 5.0, True),
                "layers.quantity.customer_sd": Range(0.0, 1.5),
                "layers.quantity.pairs": Range(0.0, 1.0),
            },
            ("qty", "nitem", "ppc", "ncat"),
            measure_store,
        ),
        Block(
            "products",
            "products: popularity, habit, shelves",
            {
                _CATALOG + "popularity_sd": Range(0.3, 4.0),
                _CATALOG + "popularity_skew": Range(-0.3, 0.3),
                "layers.habit.repeat": Range(0.0, 0.95),
                "layers.availability.seasonal": Range(0.0, 0.95),
            },
            ("prod_prob", "prodweek", "catsize", "repeat"),
            measure_store,
        ),
        Block(
            "prices",
            "prices: base prices",
            {
                _CATALOG + "log_price": Range(-3.0, 6.0),
                _CATALOG + "price_category_sd": Range(0.0, 1.5),
                _CATALOG + "price_product_sd": Range(0.02, 2.0),
                _CATALOG + "price_product_skew": Range(-0.3, 0.3),
                _CATALOG + "price_narrowing": Range(-0.3, 0.5),
                _CATALOG + "price_popularity_correlation": Range(-0.95, 0.95),
            },
            ("price", "price_often", "price_popularity"),
            measure_prices,
        ),
    )
}  # fmt: skip


def run_block(
    block: Block,
    config: StoreConfig,
    target: Target,
    *,
    trials: int,
    seeds: int,
    seed: int,
    log: Path | None,
    step: float,
    tick: Callable[[float], None],
) -> tuple[StoreConfig, Found]:
    """Search the numbers of a block from where the store is.

    Args:
        block: the block.
        config: the store.
        target: what it should look like.
        trials: points to try.
        seeds: simulations of each point.
        seed: of the search.
        log: file of the search.
        step: first step, in units of the ranges.
        tick: called after every point with the best loss so far.

    Returns:
        The store at the best point, and the search.
    """
    measure = block.measure(config, target, seeds)
    ranges = block.ranges

    def loss(values: Mapping[str, float]) -> float:
        return distance(gaps(target.summary, measure(put(config, values)), block.keys))

    parameters = [parameter(config, path, *limits) for path, limits in ranges.items()]
    found = minimise(block.name, parameters, loss, trials, seed=seed, log=log, step=step, tick=tick)
    return put(config, found.values), found
