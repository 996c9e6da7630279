"""What demand answers when prices move: of a product (Figure 7), of a category, of the basket.

Own-price elasticities are those of
:func:`retail_gym.evaluation.simulated_elasticities.simulated_elasticities`. Moving all prices of a
category, or of the store, by 10 % up and down for a whole year, on the same luck, shows what is
change of product only and what is demand:

    elasticity = (log units up - log units down) / (2 STEP)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from experiments.calibration.runs import Push, Run, complete
from retail_gym import make_world

__all__ = ["LITERATURE", "Moved", "moved"]

STEP: Final = 0.10  # of log prices, either way
#: Mean own-price elasticity of grocery products (Bijmolt, van Heerde, Pieters 2005).
LITERATURE: Final = -2.6


@dataclass(frozen=True)
class Moved:
    """Elasticities for prices that move together and stay."""

    category: float  # of a category's units when all its prices move, weighted by units
    basket: float  # of all units when all prices move
    revenue: float  # of revenue when all prices move


def moved(start: Run, home: Path, workers: int | None = 1) -> Moved:
    """Simulate and measure, at base prices else.

    Args:
        start: store, customers, weeks and seed.
        home: folder of the runs.
        workers: processes.
    """
    pairs = {
        what: [replace(start, push=Push(what, STEP, up)) for up in (True, False)]
        for what in ("basket", "category")
    }
    complete([run for pair in pairs.values() for run in pair], home, workers, "moved prices")

    def units(run: Run) -> pl.DataFrame:
        return run.frame(home)

    up, down = map(units, pairs["basket"])
    basket = np.log(up["units"].sum() / down["units"].sum()) / (2 * STEP)
    revenue = np.log(up["revenue"].item(0) / down["revenue"].item(0)) / (2 * STEP)
    world = make_world(start.config, start.seed, n_customers=start.customers)
    first = world.category_start
    up_j, down_j = (np.add.reduceat(units(r)["units"].to_numpy(), first) for r in pairs["category"])
    sold = np.minimum(up_j, down_j) > 0
    sign_j = Push("category", STEP).direction(world)[first][sold]
    change = np.log(up_j[sold] / down_j[sold]) / (2 * STEP * sign_j)
    category = np.average(change, weights=(up_j + down_j)[sold])
    return Moved(float(category), float(basket), float(revenue))
