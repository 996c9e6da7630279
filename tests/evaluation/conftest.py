"""Tables of purchases with a known answer."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from retail_gym.data import read_transactions


@pytest.fixture(scope="session")
def table_by_hand():
    """Customers A, B and C (who never buys), 6 weeks, products 1, 2 in x and 3 in y.

    Trips: A in weeks 1, 2, 5; B in week 4.
    """
    rows = [
        # week, customer, category, product, quantity, unit price, discount
        (1, "A", "x", 1, 2, 2.0, 0.0),
        (1, "A", "y", 3, 1, 5.0, 0.5),
        (2, "A", "x", 1, 1, 1.0, 0.5),
        (4, "B", "y", 3, 2, 5.0, 0.2),
        (5, "A", "x", 1, 1, 2.0, 0.0),
        (5, "A", "x", 2, 3, 4.0, 0.0),
        (5, "A", "y", 3, 1, 6.0, 0.0),
    ]
    names = ["week", "customer", "category", "product", "quantity", "unit_price", "discount"]
    frame = pl.DataFrame(rows, schema=names, orient="row")
    return read_transactions(frame, customers=["A", "B", "C"], weeks=6, name="by hand")


def shoppers(seed: int, n_customers: int = 120, n_weeks: int = 30) -> pl.DataFrame:
    """Purchases with everything that the diagnostics look for.

    Customers differ in how often they come and how much they buy (the two go together), trips
    differ in size, categories 0-3 and 4-7 are each bought together, and a customer has one
    favourite product in each category.
    """
    draw = np.random.default_rng(seed)
    size_u = draw.normal(0.0, 0.8, n_customers)
    rate_u = 1.0 / (1.0 + np.exp(-(size_u + draw.normal(0.0, 1.0, n_customers))))
    favourite_uj = draw.integers(0, 5, (n_customers, 8))
    popular_j = np.linspace(-2.0, 0.5, 8)
    rows = []
    for u in range(n_customers):
        for week in np.flatnonzero(draw.random(n_weeks) < rate_u[u]) + 1:
            group = np.repeat(draw.normal(0.0, 1.5, 2), 4)
            logit = popular_j + size_u[u] + draw.normal(0.0, 0.8) + group
            for j in np.flatnonzero(draw.random(8) < 1.0 / (1.0 + np.exp(-logit))):
                product = favourite_uj[u, j] if draw.random() < 0.7 else draw.integers(0, 5)
                discount = 0.25 * float(draw.random() < 0.5)
                price = (1.0 + j + product) * (1.0 - discount)
                rows.append((week, u, j, 5 * j + product, 1 + draw.poisson(0.5), price, discount))
    names = ["week", "customer", "category", "product", "quantity", "unit_price", "discount"]
    return pl.DataFrame(rows, schema=names, orient="row")


@pytest.fixture(scope="session")
def shoppers_table():
    """The table of :func:`shoppers` for a seed."""

    def table(seed: int, **sizes: int):
        n_customers = sizes.get("n_customers", 120)
        return read_transactions(
            shoppers(seed, **sizes),
            customers=range(n_customers),
            weeks=sizes.get("n_weeks", 30),
            name=f"shoppers {seed}",
        )

    return table
