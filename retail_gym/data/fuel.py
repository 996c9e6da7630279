"""Petrol added to a simulated table, for comparison with records that contain it.

In the Complete Journey 98.8 % of all "units" are petrol, which no grocery model explains. The
process here is a category of its own beside the store: it is added to a table of purchases after
the simulation, so no price, decision or reward knows of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import special

from retail_gym import rng
from retail_gym.config import check_finite, check_int
from retail_gym.data.table import COLUMNS, Transactions
from retail_gym.model.fuel import fuel_probability, fuel_share, fuel_units
from retail_gym.world.noise import customer_words
from retail_gym.world.population import draw_customers
from retail_gym.world.priors import Uniform

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Fuel"]


@dataclass(frozen=True)
class Fuel:
    """A petrol station beside the store.

    The defaults are moments of the Complete Journey's train households, weighted by trips.

    Args:
        never: share of customers who never buy petrol there.
        a: the others buy with probability Beta(a, b) in a week with a trip to the store.
        b: likewise.
        away: that probability is multiplied by this in a week without a trip.
        log_units: mean of the log units of a week.
        log_units_sd: their standard deviation.
        unit_price: [$]; the data count petrol in very small units.
    """

    never: float = 0.466
    a: float = 0.695
    b: float = 2.049
    away: float = 0.176
    log_units: float = 9.425
    log_units_sd: float = 0.600
    unit_price: float = 0.0025

    def __post_init__(self) -> None:
        limits = {"never": (0.0, 0.999), "away": (0.0, 1.0), "log_units": (-5.0, 20.0)}
        for name, value in vars(self).items():
            low, high = limits.get(name, (1e-9, 1e6))
            check_finite(f"Fuel.{name}", value, low, high)

    def added_to(self, table: Transactions, seed: int, world_seed: int = 0) -> Transactions:
        """The table and its customers' petrol, as one further category and product.

        Args:
            table: purchases of a simulated run, categories and products by number. The position
                of a customer in ``table.customers`` is the customer's number.
            seed: luck of the run.
            world_seed: decides who buys petrol at all.

        Raises:
            ValueError: for a table whose categories or products are texts.
        """
        import polars as pl

        seed, world_seed = check_int("seed", seed, 0), check_int("world seed", world_seed, 0)
        frame = table.frame
        new = {}
        for name in ("category", "product"):
            if not frame[name].dtype.is_integer():
                raise ValueError(f"petrol is added to tables whose {name} column holds numbers")
            new[name] = int(frame[name].max()) + 1  # type: ignore[arg-type]
        people = np.arange(table.n_customers)
        uniform_u = draw_customers(Uniform(0.0, 1.0), world_seed, "fuel_share", people)
        share_u = fuel_share(uniform_u, self.never, self.a, self.b)
        lines, parts = table.lines, [frame.select(COLUMNS)]
        for week in range(1, table.n_weeks + 1):
            shopped = np.zeros(table.n_customers, dtype=bool)
            shopped[lines.customer[lines.week == week]] = True
            word = customer_words(seed, week, rng.Stage.FUEL, people)
            buys = rng.uniform(word) < fuel_probability(share_u, shopped, self.away)
            normal = special.ndtri(rng.uniform(rng.second_word(word[buys])))
            units = fuel_units(normal, self.log_units, self.log_units_sd)
            parts.append(self._rows(table, week, people[buys], units, new))
        full = pl.concat(parts, how="vertical_relaxed")
        return replace(table, frame=full, name=f"{table.name}, with fuel")

    def _rows(
        self,
        table: Transactions,
        week: int,
        customers: NDArray[np.int64],
        units: NDArray[np.int64],
        new: dict[str, int],
    ) -> pl.DataFrame:
        import polars as pl

        n, price = customers.size, self.unit_price
        columns = {
            "week": np.full(n, week),
            "customer": table.customers[customers],
            "category": np.full(n, new["category"]),
            "product": np.full(n, new["product"]),
            "quantity": units,
            "unit_price": np.full(n, price),
            "discount": np.zeros(n),
            "base_price": np.full(n, price),
            "revenue": price * units,
        }
        return pl.DataFrame(columns, schema={c: table.frame.schema[c] for c in COLUMNS})
