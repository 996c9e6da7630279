"""A table whose laws are known: five categories, of which the first two go together."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from retail_gym.data import Transactions, read_transactions

#: Share of trips with each category (milk is in nearly all, so none is empty); the latent correlation of the first two, none else.
SHARE = np.array([0.4, 0.3, 0.97, 0.5, 0.2])
CORRELATION = 0.7
WEEKS = 12
#: Base price of each product, three a category.
PRICE = np.arange(1.0, 16.0)


def make_planted(n_customers: int, seed: int) -> Transactions:
    from scipy.special import ndtri

    rng = np.random.default_rng(seed)
    # Half of the customers come in nine weeks of ten, half in three of ten.
    rate = np.where(np.arange(n_customers) % 2 == 0, 0.9, 0.3)
    customer, week = np.nonzero(rng.random((n_customers, WEEKS)) < rate[:, None])
    normal = rng.standard_normal((customer.size, 5))
    normal[:, 1] = CORRELATION * normal[:, 0] + np.sqrt(1 - CORRELATION**2) * normal[:, 1]
    trip, category = np.nonzero(normal < ndtri(SHARE))
    # The first product of a category is off in even weeks and is taken three times as often.
    share = np.array([0.6, 0.2, 0.2])
    product = 3 * category + rng.choice(3, trip.size, p=share)
    even = (week[trip] + 1) % 2 == 0
    discount = np.where(even & (product % 3 == 0), 0.25, 0.0)
    base = PRICE[product]
    frame = pl.DataFrame(
        {
            "week": week[trip] + 1,
            "customer": customer[trip],
            "category": np.array(["bread", "butter", "milk", "soap", "tea"])[category],
            "product": product + 100,
            # Bread one unit, the others one or two.
            "quantity": 1 + (category > 0) * rng.integers(0, 2, trip.size),
            "unit_price": base * (1 - discount),
            "discount": discount,
            "base_price": base,
        }
    )
    return read_transactions(frame, customers=range(n_customers), weeks=WEEKS, name="planted")


@pytest.fixture(scope="session")
def planted() -> Transactions:
    return make_planted(400, 5)
