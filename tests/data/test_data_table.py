"""The table of purchases: codes, facts and selections."""

from __future__ import annotations

import dataclasses

import numpy as np
import polars as pl
import pytest

import retail_gym
from retail_gym.data import read_transactions
from retail_gym.policies import scenario

ROWS = pl.DataFrame(
    {
        "week": [2, 1, 1, 2, 1],
        "customer": [30, 30, 10, 10, 30],
        "category": ["b", "a", "b", "b", "b"],
        "product": [5, 9, 5, 6, 6],
        "quantity": [1, 2, 3, 4, 5],
        "unit_price": [1.0, 2.0, 3.0, 4.0, 5.0],
        "discount": [0.0, 0.2, 0.0, 0.4, 0.0],
    }
)


@pytest.fixture
def table():
    return read_transactions(ROWS, customers=[30, 20, 10])


def test_lines_are_sorted_codes(table) -> None:
    lines = table.lines
    # Customers by their place in the list; categories a, b; products 5, 6, 9.
    assert lines.customer.tolist() == [0, 0, 0, 2, 2]
    assert lines.week.tolist() == [1, 1, 2, 1, 2]
    assert lines.category.tolist() == [0, 1, 1, 1, 1]
    assert lines.product.tolist() == [2, 1, 0, 0, 1]
    assert lines.quantity.tolist() == [2, 5, 1, 3, 4]
    assert lines.unit_price.tolist() == [2.0, 5.0, 1.0, 3.0, 4.0]
    assert lines.discount.tolist() == [0.2, 0.0, 0.0, 0.0, 0.4]
    assert lines.category_labels == ["a", "b"]
    assert lines.product_category.tolist() == [1, 1, 0]


@pytest.mark.parametrize(
    "label", [str, lambda i: i * 10**12, lambda i: -i], ids=["text", "large", "negative"]
)
def test_labels_do_not_matter(table, label) -> None:
    # Texts and widely spread numbers take other ways to the codes. -i and str reverse or mix
    # the order of codes, so compare rows, not codes.
    renamed = ROWS.with_columns(
        pl.Series("product", [label(i) for i in ROWS["product"]]),
        pl.Series("customer", [label(u) for u in ROWS["customer"]]),
    )
    other = read_transactions(renamed, customers=[label(u) for u in (30, 20, 10)])
    mine, theirs = table.lines, other.lines
    assert theirs.customer.tolist() == mine.customer.tolist()
    assert sorted(theirs.quantity) == sorted(mine.quantity)
    units = [np.bincount(lines.product, weights=lines.quantity) for lines in (mine, theirs)]
    assert sorted(units[0]) == sorted(units[1]) == [2.0, 4.0, 9.0]
    assert table.facts == other.facts


def test_facts(table) -> None:
    facts = table.facts
    assert facts["rows"] == 5
    assert (facts["customers"], facts["weeks"], facts["trips"]) == (3, 2, 4)
    assert (facts["categories"], facts["products"], facts["units"]) == (2, 3, 15)
    assert facts["revenue"] == pytest.approx(1 + 4 + 9 + 16 + 25)
    assert facts["discounted_share"] == pytest.approx(2 / 5)
    assert facts["discount_depth"] == pytest.approx(0.3)
    assert facts["discount_depth_sd"] == pytest.approx(0.1)


def test_selecting_customers(table) -> None:
    part = table.select([20, 10])
    assert part.customers.tolist() == [20, 10]
    assert part.frame.height == 2
    assert part.lines.customer.tolist() == [1, 1]
    assert part.n_weeks == table.n_weeks
    with pytest.raises(ValueError, match=r"unknown \[40\]"):
        table.select([10, 40])
    with pytest.raises(ValueError, match="each once"):
        table.select([10, 10])
    with pytest.raises(ValueError, match="none of these customers"):
        table.select([20])


def test_sampling_is_by_the_generator(table) -> None:
    picks = {
        tuple(sorted(table.sample(2, np.random.default_rng(seed)).customers)) for seed in range(20)
    }
    assert picks == {(10, 20), (10, 30), (20, 30)}
    with pytest.raises(ValueError, match="at most 3"):
        table.sample(4, np.random.default_rng(0))


def test_a_table_is_frozen(table) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        table.n_weeks = 3


def test_a_simulated_run_is_a_table(tiny_world) -> None:
    run = retail_gym.simulate(tiny_world, scenario("III"), weeks=10, seed=1, record=True)
    table = read_transactions(run.transactions, customers=range(5), weeks=10)
    assert table.facts["units"] == run.metrics["units"]
    assert table.facts["revenue"] == pytest.approx(run.metrics["revenue"])
    assert (table.n_customers, table.n_weeks) == (5, 10)
    depth = run.transactions["discount"]
    assert table.frame["discount"].sum() == pytest.approx(depth.sum())
