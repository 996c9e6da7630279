"""Own-price elasticities of a store with layers (Figure 7), by simulation.

The closed forms of the paper do not hold with layers, so demand is simulated twice on the same
luck, with some log prices up by ``STEP`` and down by it for the whole time, at base prices else:

    elasticity = (log units up - log units down) / (2 STEP)

A run moves one product in each category, by rank of sales, so that as many own-price
elasticities come of one pair of runs as there are categories; half of them go up while the
others go down. Categories do not compete in the model, and what a common move of prices may do
to visits cancels. Moving all products of a category, or of the store, gives the elasticities of
categories and of the basket. A move that lasts shows habits in full, for memory follows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from experiments.calibration.runs import Push, Run, complete
from retail_gym import Simulator, make_world
from retail_gym.evaluation.elasticities import expected_demand

__all__ = ["LEAST_UNITS", "LITERATURE", "Elasticities", "closed_form", "measure", "summary"]

STEP: Final = 0.10  # of log prices, either way
#: Products that sell fewer units at base prices are left out: their figures would be noise.
LEAST_UNITS: Final = 100
#: Mean own-price elasticity of grocery products (Bijmolt, van Heerde, Pieters 2005).
LITERATURE: Final = -2.6


@dataclass(frozen=True)
class Elasticities:
    """Elasticities of one store."""

    products: pl.DataFrame  # columns rank, units, elasticity
    category: float  # of a category's units when all its prices move, weighted by units
    basket: float  # of all units when all prices move
    revenue: float  # of revenue when all prices move


def _responses(up: pl.DataFrame, down: pl.DataFrame) -> tuple[NDArray, NDArray]:  # type: ignore[type-arg]
    return up["units"].to_numpy().astype(np.float64), down["units"].to_numpy().astype(np.float64)


def measure(start: Run, home: Path, ranks: int, workers: int | None = 1) -> Elasticities:
    """Simulate and measure.

    Args:
        start: store, customers, weeks and seed.
        home: folder of the runs.
        ranks: products moved in each category, the best sellers first.
        workers: processes.
    """
    base = replace(start, push=Push("nothing"))
    complete([base], home, 1, "base prices")
    units = base.frame(home)["units"].to_numpy()
    ranking = tuple(units.tolist())
    kinds = [Push("basket", STEP), Push("category", STEP)]
    kinds += [Push("product", STEP, rank, ranking=ranking) for rank in range(ranks)]
    pairs = [[replace(start, push=replace(kind, up=up)) for up in (True, False)] for kind in kinds]
    complete([run for pair in pairs for run in pair], home, workers, "moved prices")
    frames = [(up.frame(home), down.frame(home)) for up, down in pairs]

    world = make_world(start.config, start.seed, n_customers=start.customers)
    basket_up, basket_down = frames[0]
    basket = np.log(basket_up["units"].sum() / basket_down["units"].sum()) / (2 * STEP)
    revenue = np.log(basket_up["revenue"][0] / basket_down["revenue"][0]) / (2 * STEP)
    of_category = [np.add.reduceat(x, world.category_start) for x in _responses(*frames[1])]
    sign = kinds[1].direction(world)[world.category_start]
    sold = np.minimum(*of_category) > 0
    change = np.log(of_category[0][sold] / of_category[1][sold]) / (2 * STEP * sign[sold])
    category = np.average(change, weights=sum(of_category)[sold])

    rows = []
    for rank, (kind, pair) in enumerate(zip(kinds[2:], frames[2:], strict=True)):
        direction = kind.direction(world)
        up, down = _responses(*pair)
        moved = (direction != 0) & (units >= LEAST_UNITS) & (np.minimum(up, down) > 0)
        found = np.log(up[moved] / down[moved]) / (2 * STEP * direction[moved])
        rows.append(
            pl.DataFrame(
                {
                    "rank": np.full(found.size, rank + 1),
                    "units": units[moved].astype(np.float64),
                    "elasticity": found,
                }
            )
        )
    return Elasticities(pl.concat(rows), float(category), float(basket), float(revenue))


def closed_form(preset: str, seed: int, ranks: int) -> pl.DataFrame:
    """Own-price elasticities of total demand in a store without layers, from the paper's equations.

    Week 2 at base prices, the same products by rank of expected units.

    Returns:
        Columns rank, units (expected in the week), elasticity.
    """
    world = make_world(preset, seed)
    simulator = Simulator(world, seed)
    simulator.step(world.base_price)
    demand = expected_demand(world, world.base_price, simulator.memory, seed=seed)
    units = demand.quantity.sum(axis=0)
    elasticity = (demand.quantity * demand.overall).sum(axis=0) / units
    rows = []
    for start, size in zip(world.category_start, world.category_sizes, strict=True):
        order = start + np.argsort(-units[start : start + size], kind="stable")[:ranks]
        rows += [(k + 1, units[i], elasticity[i]) for k, i in enumerate(order)]
    return pl.DataFrame(rows, schema=["rank", "units", "elasticity"], orient="row")


def summary(products: pl.DataFrame) -> dict[str, float]:
    """Mean, mean weighted by units and quantiles of elasticities."""
    values = products["elasticity"].to_numpy()
    quantiles = np.quantile(values, (0.05, 0.25, 0.5, 0.75, 0.95))
    return {
        "products": float(values.size),
        "mean": float(values.mean()),
        "mean_by_units": float(np.average(values, weights=products["units"].to_numpy())),
        **dict(zip(("q05", "q25", "q50", "q75", "q95"), quantiles.tolist(), strict=True)),
    }
