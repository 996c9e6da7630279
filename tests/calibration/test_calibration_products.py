"""Popularity by category and dispersion of prices: known answers and planted ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from retail_gym.calibration.dispersion import fit_dispersion
from retail_gym.calibration.popularity import (
    LARGEST,
    LEAST,
    SLOPE,
    Concentration,
    concentration,
    moved_lead,
)
from retail_gym.data import read_transactions
from retail_gym.world.priors import Listed, LogNormal

from .conftest import SIZES


def lines(rows):
    """(customer, category, product) of purchases in week 1."""
    customer, category, product = zip(*rows, strict=True)
    frame = pl.DataFrame(
        {"week": 1, "customer": customer, "category": category, "product": product}
    ).with_columns(quantity=pl.lit(1), unit_price=pl.lit(1.0), discount=pl.lit(0.0))
    return read_transactions(frame)


def test_concentration_by_hand():
    # Category 0: customers 1, 2, 3 buy product 0, customer 3 product 1 as well; pairs of purchases
    # of different customers: 4^2 - (1 + 1 + 4) = 10, of them alike 3 * 2 = 6. Category 1: one
    # customer alone.
    found = concentration(
        lines([(1, 0, 0), (2, 0, 0), (3, 0, 0), (3, 0, 1), (1, 1, 2), (1, 1, 3)]), [0, 1, 9]
    )
    assert found.same_j[0] == pytest.approx(0.6)
    assert np.isnan(found.same_j[1:]).all()
    assert found.rows_j.tolist() == [4.0, 2.0, 0.0]


def test_a_habit_of_one_customer_is_no_popularity(table):
    twice = pl.concat([table.frame, table.frame.with_columns(pl.col("week") + 20)])
    again = read_transactions(twice, weeks=40)
    labels = list(range(len(SIZES)))
    once, more = concentration(table, labels), concentration(again, labels)
    np.testing.assert_allclose(once.same_j, more.same_j, rtol=1e-12)


def test_leads_move_towards_the_gap_and_those_of_seldom_bought_categories_less():
    real = Concentration(np.array([0.2, 0.2, 0.2, np.nan]), np.array([1e9, 200.0, 1e9, 5.0]))
    found = Concentration(np.array([0.1, 0.1, 0.2, 0.1]), np.array([1e9, 200.0, 1e9, 5.0]))
    step = np.log(2.0) / SLOPE
    moved = moved_lead(np.full(4, 0.1), real, found)
    np.testing.assert_allclose(moved, [0.1 + step, 0.1 + step / 2, 0.1, 0.1], rtol=1e-6)
    assert moved_lead(np.full(4, LARGEST), real, found)[0] == LARGEST
    assert moved_lead(np.full(4, LEAST), found, real)[0] == LEAST


def test_where_nobody_shares_a_product_the_leads_shrink():
    real = Concentration(np.array([0.0]), np.array([1e9]))
    found = Concentration(np.array([0.1]), np.array([1e9]))
    np.testing.assert_allclose(
        moved_lead(np.array([0.1]), real, found), 0.1 - 1.0 / SLOPE, rtol=1e-5
    )


def test_a_lead_makes_purchases_alike_and_rounds_find_it(planted):
    """Planted leads of two groups of categories are told apart by their concentration."""
    from retail_gym.calibration.blocks import simulate_store

    lead = np.array([0.5, 0.0] * 4)

    def store(values):
        catalog = replace(planted.layers.catalog, popularity_lead=Listed(tuple(values)))
        layers = replace(planted.layers, catalog=catalog)
        return planted.override(layers=layers, category_sizes=(40,) * 8)

    labels = list(range(8))

    def measure(values, seeds):
        found = [concentration(simulate_store(store(values), k, 300, 20), labels) for k in seeds]
        return Concentration(
            np.exp(np.mean([np.log(f.same_j) for f in found], axis=0)),
            np.mean([f.rows_j for f in found], axis=0),
        )

    real, guess = measure(lead, range(3)), np.zeros(8)
    for _ in range(8):
        guess = moved_lead(guess, real, measure(guess, range(3)))
    assert guess[::2].min() > guess[1::2].max() + 0.1


def test_dispersion_of_a_planted_table():
    g = np.random.default_rng(4)
    n, weeks = 300, 41
    sd = np.exp(-2.5 + 0.7 * g.standard_normal(n))
    factor = np.exp(sd[:, None] * g.standard_normal((n, weeks)))
    discount = np.where(g.random((n, weeks)) < 0.4, 0.3, 0.0)
    product, week = np.indices((n, weeks))
    frame = pl.DataFrame(
        {
            "week": np.tile(week.ravel() + 1, 4),
            "customer": np.repeat(np.arange(4), n * weeks),
            "category": 0,
            "product": np.tile(product.ravel(), 4),
            "quantity": 1,
            "discount": np.tile(discount.ravel(), 4),
        }
    ).with_columns(unit_price=pl.lit(np.tile((3.0 * factor * (1 - discount)).ravel(), 4)))
    found = fit_dispersion(read_transactions(frame))
    assert isinstance(found.sd, LogNormal)
    # standard errors 0.05 and 0.04
    assert found.sd.mu == pytest.approx(-2.5, abs=0.15)
    assert found.sd.sigma == pytest.approx(0.7, abs=0.12)
    flat = frame.with_columns(unit_price=3.0 * (1.0 - pl.col("discount")))
    assert fit_dispersion(read_transactions(flat)) is None
    # Without discounts: who knows what moved the prices?
    silent = frame.with_columns(discount=0.0)
    assert fit_dispersion(read_transactions(silent)) is None
    shuffled = frame.sample(fraction=1.0, shuffle=True, seed=1)
    assert fit_dispersion(read_transactions(shuffled)) == found  # to the last digit
    few = frame.filter(pl.col("product") < 10)
    assert fit_dispersion(read_transactions(few)) is None


def test_a_store_with_dispersion_shows_it(planted):
    from retail_gym.calibration.blocks import simulate_store
    from retail_gym.world.layers import DispersionLayer

    layers = replace(planted.layers, dispersion=DispersionLayer(LogNormal(-2.0, 0.3)))
    table = simulate_store(planted.override(layers=layers), 5, 400, 20)
    found = fit_dispersion(table)
    assert found.sd.mu == pytest.approx(-2.0, abs=0.2)
