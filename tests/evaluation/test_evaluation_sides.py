"""Making two tables comparable: labels, weeks, customers."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from retail_gym.data import read_transactions
from retail_gym.evaluation.sides import (
    Labels,
    customer_codes,
    first_weeks,
    match_labels,
    ranked,
    same_customers,
)


def relabelled(table, **columns):
    frame = table.frame.with_columns(**columns)
    return read_transactions(frame, customers=table.customers.tolist(), weeks=table.n_weeks)


def test_labels_are_shared_by_tables_of_one_shop(shoppers_table) -> None:
    assert match_labels(shoppers_table(1), shoppers_table(2)) == Labels(True, True)


def test_numbers_that_coincide_are_not_shared_labels(shoppers_table) -> None:
    real = shoppers_table(1)
    # The same numbers, but product 0..39 is in category (its number % 8).
    other = relabelled(shoppers_table(2), category=pl.col("product") % 8)
    assert match_labels(real, other) == Labels(False, False)
    note = match_labels(real, other).note
    assert note == "labels of categories and products matched by rank of sales"


def test_categories_may_be_shared_where_products_are_not(shoppers_table) -> None:
    text = pl.lit("c") + pl.col("category").cast(pl.String)
    real = relabelled(shoppers_table(1), category=text)
    other = relabelled(shoppers_table(2), category=text, product=pl.col("product") + 1000)
    assert match_labels(real, other) == Labels(categories=True, products=False)


def test_the_caller_is_believed_unless_nothing_is_shared(shoppers_table) -> None:
    real = shoppers_table(1)
    assert match_labels(real, shoppers_table(2), "ranked") == Labels(False, False)
    assert match_labels(real, shoppers_table(2), "shared") == Labels(True, True)
    other = relabelled(real, product=pl.col("product") + 1000)
    with pytest.raises(ValueError, match="has no product of shoppers 1"):
        match_labels(real, other, "shared")
    with pytest.raises(ValueError, match=r"unknown labels 'rank'.*Did you mean 'ranked'"):
        match_labels(real, other, "rank")


def test_ranks_count_rows_and_break_ties_by_label(table_by_hand) -> None:
    # Rows: product 1 three, product 3 three, product 2 one; category x four, y three.
    frame = ranked(table_by_hand, ["category", "product"]).frame
    places = dict(zip(table_by_hand.frame["product"], frame["product"], strict=True))
    assert places == {1: 1, 3: 2, 2: 3}
    places = dict(zip(table_by_hand.frame["category"], frame["category"], strict=True))
    assert places == {"x": 1, "y": 2}


def test_weeks_are_cut_and_customers_stay(table_by_hand) -> None:
    cut = first_weeks(table_by_hand, 2)
    assert cut.n_weeks == 2
    assert cut.frame["week"].max() == 2
    assert cut.n_customers == 3
    assert first_weeks(table_by_hand, 6) is table_by_hand
    late = read_transactions(table_by_hand.frame.filter(pl.col("week") > 3), weeks=6)
    with pytest.raises(ValueError, match="no purchases in weeks 1-3"):
        first_weeks(late, 3)


def test_customers_are_drawn_by_seed(shoppers_table) -> None:
    table = shoppers_table(1)
    assert same_customers(table, 120, [0]) is table
    one, again, other = (same_customers(table, 50, [s]) for s in (0, 0, 1))
    assert one.n_customers == 50
    assert np.array_equal(one.customers, again.customers)
    assert not np.array_equal(one.customers, other.customers)


def test_codes_are_places_among_the_customers(table_by_hand) -> None:
    assert customer_codes(table_by_hand).tolist() == [0, 0, 0, 1, 0, 0, 0]
