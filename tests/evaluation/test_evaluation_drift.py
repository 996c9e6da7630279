"""Drift: figures by hand, changes that must be seen, and alarms at the stated rate."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from retail_gym.data import read_transactions
from retail_gym.evaluation.drift import (
    FIGURES,
    _inflation,
    _labelings,
    benjamini_hochberg,
    drift,
    watch,
)
from retail_gym.evaluation.drift.figures import stacked, sums_of


def test_step_up_rule_by_hand() -> None:
    # Bars 0.0125, 0.025, 0.0375, 0.05: the third passes, so the first two do.
    p = np.array([0.03, 0.9, 0.02, 0.021])
    assert benjamini_hochberg(p, 0.05).tolist() == [True, False, True, True]
    assert benjamini_hochberg(np.array([0.04, 0.04]), 0.05).tolist() == [True, True]
    assert benjamini_hochberg(np.array([0.03, 0.06]), 0.05).tolist() == [False, False]
    assert benjamini_hochberg(np.array([np.nan, 0.01]), 0.05).tolist() == [False, True]


def test_sums_by_hand(table_by_hand) -> None:
    (by_customer,) = sums_of([table_by_hand], "customers")
    (by_week,) = sums_of([table_by_hand], "weeks")
    place = list(FIGURES).index
    trips = by_customer.above[:, place("visit_rate")]
    assert trips.tolist() == [3, 1, 0]
    assert by_customer.below[:, place("visit_rate")].tolist() == [6, 6, 6]
    assert by_week.above[:, place("visit_rate")].tolist() == [1, 1, 0, 1, 1, 0]
    assert by_week.below[:, place("visit_rate")].tolist() == [3] * 6
    assert by_customer.above[:, place("categories")].tolist() == [5, 1, 0]
    assert by_customer.above[:, place("quantity")].tolist() == [9, 2, 0]
    assert by_customer.above[:, place("spending")].tolist() == [9 + 1 + 20, 10, 0]
    assert by_customer.above[:, place("discounted")].tolist() == [2, 1, 0]
    # Sold at log(1 - discount): week 1 x1 0, y3 log 1/2; week 2 x1 log 1/2; week 4 y3 log 0.8;
    # week 5 three at 0. About each week's mean only week 1 differs: +-log(2) / 2, so that the
    # variance over seven product-weeks is 2 (log(2) / 2)^2 / 7.
    half = np.log(2) / 2
    expected = (2 * half - 1 * half) / (2 * half**2 / 7)
    assert by_week.above[:, place("price_response")] == pytest.approx([expected, 0, 0, 0, 0, 0])
    assert by_customer.mixes[0].toarray().tolist() == [[4, 2], [0, 1], [0, 0]]


def test_autocorrelation_widens_by_the_variance_of_means() -> None:
    # AR(1) with r = 0.5, many series: the standard deviation of a difference of means.
    draw = np.random.default_rng(0)
    n, series = 24, 4000
    noise = draw.normal(size=(200 + 2 * n, series))
    x = np.zeros_like(noise)
    for t in range(1, len(x)):
        x[t] = 0.5 * x[t - 1] + noise[t]
    x = x[-2 * n :]
    after = np.arange(2 * n) >= n
    true = (x[after].mean(axis=0) - x[~after].mean(axis=0)).std()
    independent = x.std() * np.sqrt(2 / n)
    # The estimate's mean is within 8 % of the truth; without it, one would be at 0.6.
    assert np.mean(_inflation(x, after)) == pytest.approx(true / independent, rel=0.08)
    quiet = _inflation(draw.normal(size=(2 * n, series)), after)
    assert 1.0 <= np.mean(quiet) < 1.15
    assert _inflation(np.ones((10, 2)), np.arange(10) > 4) == pytest.approx(np.sqrt(1.2), abs=0.2)


def test_columns_of_both_sides_are_those_of_all_labels(table_by_hand) -> None:
    other = read_transactions(table_by_hand.frame.with_columns(product=pl.col("product") + 1))
    both = stacked(*sums_of([table_by_hand, other], "weeks"))
    assert both.labels[1] == (1, 2, 3, 4)
    counts = both.mixes[1].toarray()
    assert counts[:6].sum(axis=0).tolist() == [3, 1, 3, 0]
    assert counts[6:].sum(axis=0).tolist() == [0, 3, 1, 3]


def test_unchanged_shoppers_raise_no_alarm(shoppers_table) -> None:
    found = drift(shoppers_table(1), moved(shoppers_table(2)), permutations=199)
    assert found.unit == "customers"
    assert not found.alarm
    assert [change.figure for change in found.changes] == list(FIGURES)
    assert found.table().height == 9
    assert "no drift found" in found.describe()


def moved(table, **columns):
    """The table with other customers' labels, and other columns."""
    frame = table.frame.with_columns(customer=pl.col("customer") + 1000, **columns)
    return read_transactions(
        frame, customers=range(1000, 1000 + table.n_customers), weeks=table.n_weeks
    )


CHANGES = {
    "quantity": {"quantity": pl.col("quantity") + 1},
    "price_paid": {"unit_price": pl.col("unit_price") * 1.6},
    "product_mix": {"product": pl.col("product") + 100 * (pl.col("product") % 3 == 0)},
    "discounted": {"discount": pl.when(pl.col("product") % 2 == 0).then(0.0).otherwise("discount")},
    "price_response": {
        "quantity": pl.col("quantity") + 5 * (pl.col("discount") > 0).cast(pl.Int64)
    },
}


@pytest.mark.parametrize("figure", CHANGES)
def test_a_change_is_seen_where_it_is(figure, shoppers_table) -> None:
    other = moved(shoppers_table(2), **CHANGES[figure])
    found = {c.figure: c for c in drift(shoppers_table(1), other, permutations=499).changes}
    assert found[figure].alarm
    assert found[figure].p_value == pytest.approx(1 / 500)
    assert not found["visit_rate"].alarm


def test_false_alarms_keep_to_their_rate(shoppers_table) -> None:
    # 30 pairs of halves at 0.1: more than 9 alarms with probability 3e-4.
    alarms = 0
    table = shoppers_table(3)
    for k in range(30):
        order = np.random.default_rng(k).permutation(120)
        halves = (table.select(part) for part in np.array_split(order, 2))
        alarms += drift(*halves, rate=0.1, permutations=99, seed=k).alarm
    assert alarms <= 9


def test_a_watch_that_could_never_warn_is_refused(shoppers_table) -> None:
    table = shoppers_table(1)
    with pytest.raises(ValueError, match="4 weeks of reference and a window of 4 never raise"):
        watch(table, (1, 4), window=4)
    with pytest.raises(ValueError, match=r"smallest p-value is 0.018, the rate 0.01"):
        watch(table, (1, 5), window=3)


def test_of_many_customers_choices_come_in_blocks() -> None:
    after = np.arange(3000) >= 1800
    blocks = list(_labelings(after, 199, np.random.default_rng(0)))
    assert max(map(len, blocks)) < 199
    others = np.concatenate(blocks)
    assert others.shape == (199, 3000)
    assert (others.sum(axis=1) == 1200).all()
    assert len(np.unique(others, axis=0)) == 199
    share = others.mean(axis=0)  # each customer as often as any: sd 0.035, 5 sd
    assert np.abs(share - 0.4).max() < 5 * 0.035


def test_of_few_weeks_every_other_choice_is_tried_once(shoppers_table) -> None:
    after = np.arange(9) >= 5
    for seed in range(5):
        others = np.concatenate(list(_labelings(after, 1999, np.random.default_rng(seed))))
        # All 126 ways to choose 4 weeks of 9 but the observed one; 1,999 draws miss one of them
        # with probability 2e-5.
        assert len(others) == len(np.unique(others, axis=0)) == 125
        assert (others.sum(axis=1) == 4).all()
        assert not (others == after).all(axis=1).any()
    table = shoppers_table(1)
    week = pl.col("week")
    new = table.frame.with_columns(product=pl.col("product") + 1000 * (week > 5))
    parts = [
        read_transactions(
            new.filter(week.is_between(low, high)).with_columns(week - low + 1),
            customers=range(120),
            weeks=high - low + 1,
        )
        for low, high in ((1, 5), (6, 9))
    ]
    for seed in range(5):  # the observed choice, drawn again, would be as large
        found = {c.figure: c for c in drift(*parts, permutations=1999, seed=seed).changes}
        assert found["product_mix"].p_value == pytest.approx(1 / 126)


def test_the_same_customers_are_compared_by_weeks(shoppers_table) -> None:
    table = shoppers_table(1)
    week = pl.col("week")
    early = read_transactions(table.frame.filter(week <= 15), customers=range(120), weeks=15)
    late = read_transactions(
        table.frame.filter(week > 15).with_columns(week - 15), customers=range(120), weeks=15
    )
    found = drift(early, late, permutations=199)
    assert found.unit == "weeks"
    assert not found.alarm
    by_customer = drift(early, late, unit="customers", permutations=199)
    assert by_customer.unit == "customers"


def test_a_watch_sees_the_week_of_the_change(shoppers_table) -> None:
    table = shoppers_table(1)
    gone = (pl.col("week") >= 22) & (pl.col("customer") % 2 == 0)
    changed = read_transactions(table.frame.filter(~gone), customers=range(120), weeks=30)
    found = watch(changed, (1, 14), permutations=999, rate=0.05)
    assert found.weeks == tuple(range(18, 31))
    assert found.first is not None
    assert 22 <= found.first <= 25
    assert "visit_rate" in found.alarms[-1]
    quiet = watch(table, (1, 14), permutations=999, rate=0.01)
    assert sum(bool(alarm) for alarm in quiet.alarms) <= 2
    assert found == watch(changed, (1, 14), permutations=999, rate=0.05)


def test_misuse_is_refused(shoppers_table, table_by_hand) -> None:
    with pytest.raises(ValueError, match=r"unknown unit 'week'.*Did you mean 'weeks'"):
        drift(shoppers_table(1), shoppers_table(2), unit="week")
    with pytest.raises(ValueError, match="at least 4 customers on each side: by hand has 3"):
        drift(table_by_hand, moved(shoppers_table(2)), unit="customers")
    with pytest.raises(ValueError, match="permutations must be at least 99"):
        drift(shoppers_table(1), shoppers_table(2), permutations=10)
    with pytest.raises(ValueError, match="window must be at least 1 and at most 10"):
        watch(shoppers_table(1), (1, 20), window=11)
