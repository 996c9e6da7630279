r"""Own-price elasticities of any store, layers included, by simulation with common random numbers.

Where customers have habits, take several products or choose from a shelf that changes, the
elasticity of expected demand has no closed form. Here prices of some products are raised and
lowered by the same factor, the same customers come with the same luck, and the arc elasticity is

.. math:: e_i = \frac{\log Q_i(P_i^+) - \log Q_i(P_i^-)}{\log P_i^+ - \log P_i^-}

over the units of some weeks. One product of every category is changed at a time: categories do not
compete within a week, so one simulation serves all. It is the response within the week, given
who visits (the marketing feature is held): what habit makes of it later is not counted.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from retail_gym.config import check_finite, check_int
from retail_gym.model.price import price
from retail_gym.outcome import WeekOutcome
from retail_gym.promotion import Promotion
from retail_gym.simulator import Simulator
from retail_gym.world.world import World

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

__all__ = ["SimulatedElasticities", "simulated_elasticities"]


@dataclass(frozen=True, eq=False)
class SimulatedElasticities:
    """Own-price elasticities of products drawn in proportion to their sales."""

    mean: float  # over units sold
    standard_error: float  # of the mean, over weeks
    product: Ints = field(repr=False)  # N: products with enough sales
    units: Floats = field(repr=False)  # N: units behind each, at both prices
    by_product: Floats = field(repr=False)  # N
    by_segment: Floats = field(repr=False)  # S: mean of each segment, most price-sensitive first

    def describe(self) -> str:
        """The figures as text."""
        low, middle, high = np.quantile(self.by_product, (0.25, 0.5, 0.75))
        segments = ", ".join(f"{value:.2f}" for value in self.by_segment)
        return (
            f"own-price elasticity {self.mean:.2f} (standard error {self.standard_error:.2f}); "
            f"{self.product.size} products: median {middle:.2f}, quartiles {low:.2f} to "
            f"{high:.2f}; segments from price-sensitive to not: {segments}"
        )


def simulated_elasticities(
    world: World,
    *,
    seed: int = 0,
    first_week: int = 20,
    weeks: int = 6,
    draws: int = 8,
    change: float = 0.15,
    segments: int = 3,
    least_units: float = 20.0,
) -> SimulatedElasticities:
    """Estimate own-price elasticities under the store's own promotions.

    Args:
        world: the store. Precision grows with its customers.
        seed: episode key.
        first_week: first week whose prices are changed; products are drawn by the sales before.
        weeks: weeks measured.
        draws: products drawn in each category, in proportion to units sold.
        change: prices are multiplied by 1 + change and by 1 - change.
        segments: of customers, by price sensitivity.
        least_units: a product with fewer units at both prices together counts in the means only.

    Raises:
        ValueError: if nothing is sold, or for an argument out of range.
    """
    first_week = check_int("first_week", first_week, 2)
    weeks, draws = check_int("weeks", weeks, 2), check_int("draws", draws, 1)
    change = check_finite("change", change, 1e-3, 0.9)
    simulator = Simulator(world, seed)
    promotion = Promotion(world.n_products, seed)
    segment_u = np.empty(world.n_customers, dtype=np.int64)  # segment of each customer
    for s, customers in enumerate(world.segment_customers(segments)):
        segment_u[customers] = s

    sold = np.zeros(world.n_products)
    chosen: Ints = np.zeros((0, 0), dtype=np.int64)
    # Units of each draw's products: weeks, up or down, segments, products.
    found = np.zeros((weeks, 2, segments, world.n_products))
    for week in range(1, first_week + weeks):
        discount = promotion.step([world.promotion], week)[0]
        shelf = price(world.base_price, discount, world.lowest_price)
        if week == first_week:
            chosen = _draw(world, sold, draws, seed)
        if week >= first_week:
            before = simulator.snapshot()
            for products in chosen:
                for side, factor in enumerate((1.0 + change, 1.0 - change)):
                    moved = shelf.copy()
                    moved[products] *= factor
                    outcome = simulator.step(moved, discount_si=discount)
                    _units(outcome, products, segment_u, found[week - first_week, side])
                    simulator.restore(before)
        outcome = simulator.step(shelf, discount_si=discount)
        np.add.at(sold, outcome.lines.product, outcome.lines.quantity)

    arc = np.log((1.0 + change) / (1.0 - change))

    def elasticity(up: Floats, down: Floats) -> Floats:
        return np.asarray(np.log(np.maximum(up, 0.5) / np.maximum(down, 0.5)) / arc)

    total_ts = found.sum(axis=3)  # weeks, side, segments
    if not total_ts.sum():
        raise ValueError(f"{world.name} sells nothing in the weeks measured")
    up, down = total_ts.sum(axis=(0, 2))
    # Jackknife over weeks.
    without = total_ts.sum(axis=(0, 2))[None] - total_ts.sum(axis=2)
    spread = elasticity(without[:, 0], without[:, 1])
    error = np.sqrt((weeks - 1) / weeks * ((spread - spread.mean()) ** 2).sum())
    by_i = found.sum(axis=(0, 2))
    enough = np.flatnonzero(by_i.sum(axis=0) >= least_units)
    by_s = total_ts.sum(axis=0)
    return SimulatedElasticities(
        float(elasticity(up, down)),
        float(error),
        enough,
        by_i[:, enough].sum(axis=0),
        elasticity(by_i[0, enough], by_i[1, enough]),
        elasticity(by_s[0], by_s[1]),
    )


def _draw(world: World, sold: Floats, draws: int, seed: int) -> Ints:
    """Products to change, one a category in each draw, shape (draws, J)."""
    generator = np.random.default_rng([seed, 1])
    chosen = np.empty((draws, world.n_categories), dtype=np.int64)
    for j, (start, size) in enumerate(zip(world.category_start, world.category_sizes, strict=True)):
        weight = sold[start : start + size] + 1e-6
        chosen[:, j] = start + generator.choice(size, draws, p=weight / weight.sum())
    return chosen


def _units(outcome: WeekOutcome, products: Ints, segment_u: Ints, into: Floats) -> None:
    """Add the units of some products to a table by segment and product, shape (S, I)."""
    lines = outcome.lines
    kept = np.isin(lines.product, products)
    place = segment_u[lines.customer[kept]], lines.product[kept]
    np.add.at(into, place, lines.quantity[kept])
