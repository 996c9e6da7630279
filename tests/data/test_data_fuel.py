"""Petrol beside the store: its laws, and that nothing else moves."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from scipy import stats

from retail_gym.data import Fuel, read_transactions
from retail_gym.model.fuel import fuel_probability, fuel_share, fuel_units


def test_equations_by_hand():
    # Beta(1, 1) is uniform: (0.7 - 0.4) / 0.6 = 0.5
    np.testing.assert_allclose(
        fuel_share([0.1, 0.4, 0.7], 0.4, 1.0, 1.0), [0.0, 0.0, 0.5], atol=1e-12
    )
    assert fuel_probability([0.5, 0.5], [True, False], 0.2).tolist() == [0.5, 0.1]
    assert fuel_units([0.0, 1.0, -9.0], math.log(10.5), math.log(2.0)).tolist() == [11, 21, 1]


@pytest.fixture(scope="module")
def table():
    """3,000 customers over 20 weeks; the first half shops in every even week."""
    week, customer = np.meshgrid(np.arange(2, 21, 2), np.arange(1_500))
    n = week.size
    frame = pl.DataFrame(
        {"week": week.ravel(), "customer": customer.ravel(), "category": np.arange(n) % 3,
         "product": np.arange(n) % 3, "quantity": np.ones(n, dtype=int),
         "unit_price": np.full(n, 2.0), "discount": np.zeros(n)}
    )  # fmt: skip
    return read_transactions(frame, customers=range(3_000), weeks=20, name="even weeks")


@pytest.fixture(scope="module")
def petrol(table):
    return Fuel().added_to(table, seed=5).frame.filter(pl.col("category") == 3)


def test_what_was_there_stays(table):
    full = Fuel().added_to(table, seed=5)
    assert full.frame.filter(pl.col("category") < 3).equals(table.frame)
    assert full.n_customers == 3_000
    assert full.lines.product_category.size == 4
    assert full.name == "even weeks, with fuel"


def test_who_buys_and_how_often(petrol):
    process = Fuel()
    mean = process.a / (process.a + process.b) * (1 - process.never)
    second = mean * (process.a + 1) / (process.a + process.b + 1)  # E b^2
    shoppers, even = pl.col("customer") < 1_500, pl.col("week") % 2 == 0
    for where, n, factor in (
        (shoppers & even, 15_000, 1.0),
        (shoppers & ~even, 15_000, process.away),
        (~shoppers, 30_000, process.away),
    ):
        found = petrol.filter(where).height / n
        # five standard errors of the mean over customers, b varying between them
        spread = math.sqrt((second - mean**2) * factor**2 + mean * factor)
        assert found == pytest.approx(mean * factor, abs=5 * spread / math.sqrt(1_500))
    never = 1 - petrol["customer"].n_unique() / 3_000
    assert never > process.never  # and some who buy rarely


def test_units_are_lognormal(petrol):
    process = Fuel()
    z = (np.log(petrol["quantity"].to_numpy()) - process.log_units) / process.log_units_sd
    assert stats.kstest(z, "norm").pvalue > 1e-4
    assert (petrol["revenue"] / petrol["quantity"] - process.unit_price).abs().max() < 1e-12


def test_the_same_seeds_give_the_same_petrol_to_any_number_of_customers(table, petrol):
    again = Fuel().added_to(table, seed=5).frame
    other = Fuel().added_to(table, seed=6).frame.filter(pl.col("category") == 3)
    few = Fuel().added_to(table.select(np.arange(1_000)), seed=5).frame
    assert again.filter(pl.col("category") == 3).equals(petrol)
    assert not other.equals(petrol)
    assert few.filter(pl.col("category") == 3).equals(petrol.filter(pl.col("customer") < 1_000))


def test_bad_settings_and_tables_are_refused(table):
    with pytest.raises(ValueError, match=r"Fuel.away"):
        Fuel(away=1.5)
    texts = read_transactions(
        table.frame.with_columns(pl.col("category").cast(pl.String)),
        customers=range(3_000),
        weeks=20,
    )
    with pytest.raises(ValueError, match="category column holds numbers"):
        Fuel().added_to(texts, seed=0)
