"""Every figure of a week on a week made by hand, with the arithmetic beside it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from retail_gym.kernels import Purchases
from retail_gym.outcome import WeekOutcome

# customer  category  product  quantity  base price  price paid
#    0         0         1        2         10          8        discount 0.20
#    0         2         8        1          4          4        discount 0
#    2         0         0        3          5          2.5      discount 0.50
#    4         1         5        1         20         15        discount 0.25


def make(week=6, last_purchase=(6, 3, 6, 2, 6), visited=(1, 1, 1, 0, 1), lines=slice(None)):
    def column(*values):
        return np.array(values)[lines]

    return WeekOutcome(
        week=week,
        lines=Purchases(
            customer=column(0, 0, 2, 4),
            category=column(0, 2, 0, 1),
            product=column(1, 8, 0, 5),
            quantity=column(2, 1, 3, 1),
        ),
        unit_price=column(8.0, 4.0, 2.5, 15.0),
        base_price=column(10.0, 4.0, 5.0, 20.0),
        visited=np.array(visited, dtype=bool),
        last_purchase=np.array(last_purchase),
        segment_of_customer=np.array([1, 0, 1, 0, 0]),
        discounts=np.array([[0.0, 0.2, 0.4], [0.1, 0.0, 0.5]]),
        coupon=np.zeros(5),
    )


@pytest.fixture
def outcome():
    return make()


def test_units(outcome):
    assert outcome.units == 2 + 1 + 3 + 1


def test_revenue(outcome):
    assert outcome.line_revenue.tolist() == [16.0, 4.0, 7.5, 15.0]
    assert outcome.revenue == 42.5


def test_margin_takes_the_cost_as_70_percent_of_the_base_price(outcome):
    # 2 (8 - 7) + 1 (4 - 2.8) + 3 (2.5 - 3.5) + 1 (15 - 14) = 2 + 1.2 - 3 + 1
    assert outcome.line_margin == pytest.approx([2.0, 1.2, -3.0, 1.0])
    assert outcome.margin == pytest.approx(1.2)


def test_discount_spend(outcome):
    # 2 * 2 + 0 + 3 * 2.5 + 1 * 5
    assert outcome.discount_spend == pytest.approx(16.5)


def test_realised_discount_is_a_mean_over_lines_not_units(outcome):
    assert outcome.line_discount == pytest.approx([0.2, 0.0, 0.5, 0.25])
    assert outcome.realised_discount == pytest.approx(0.95 / 4)


def test_effective_discount_is_a_mean_over_products_and_segments(outcome):
    assert outcome.effective_discount == pytest.approx((0 + 0.2 + 0.4 + 0.1 + 0 + 0.5) / 6)


def test_buyers_and_categories(outcome):
    assert outcome.buyers == 3  # customers 0, 2 and 4
    assert outcome.categories == 4
    assert outcome.category_penetration == pytest.approx(4 / 3)


def test_several_products_of_a_category_are_one_category():
    outcome = replace(
        make(),
        lines=Purchases(
            customer=np.array([0, 0, 2, 2]),
            category=np.array([1, 1, 1, 2]),  # 0 buys two products of category 1; 2 follows with 1
            product=np.array([4, 5, 4, 8]),
            quantity=np.array([1, 1, 1, 1]),
        ),
    )
    assert outcome.first_of_category.tolist() == [True, False, True, True]
    assert outcome.categories == 3
    assert outcome.buyers == 2
    assert outcome.category_penetration == 1.5
    assert outcome.transactions().height == 4


def test_visits(outcome):
    assert outcome.visit_rate == pytest.approx(4 / 5)
    assert outcome.n_customers == 5


def test_retention_counts_purchases_of_the_last_four_weeks(outcome):
    # Week 6: weeks 3 to 6 count. Customer 1 bought in week 3, customer 3 in week 2.
    assert outcome.active().tolist() == [True, True, True, False, True]
    assert outcome.retention == pytest.approx(0.8)
    # Three weeks, as the published figure counts: 4 to 6.
    assert outcome.active(3).tolist() == [True, False, True, False, True]


@pytest.mark.parametrize(
    ("week", "last", "expected"),
    [
        (1, (1, 0, 0, 0, 1), 0.4),  # min(t, 4) = 1: this week's buyers
        (2, (1, 0, 2, 0, 0), 0.4),
        (3, (1, 2, 3, 0, 0), 0.6),
        (4, (1, 2, 3, 4, 0), 0.8),
        (5, (1, 2, 3, 4, 5), 0.8),  # week 1 is five weeks ago
        (9, (0, 0, 0, 0, 0), 0.0),  # never a purchase
    ],
)
def test_retention_in_the_first_weeks(week, last, expected):
    assert make(week, last).retention == pytest.approx(expected)


def test_segments_of_lines(outcome):
    assert outcome.line_segment.tolist() == [1, 1, 1, 0]


def test_info_holds_python_floats(outcome):
    info = outcome.info()
    assert info == pytest.approx(
        {
            "units": 7.0, "revenue": 42.5, "margin": 1.2, "realised_discount": 0.2375,
            "effective_discount": 0.2, "category_penetration": 4 / 3, "visit_rate": 0.8,
            "active_customers": 4.0, "retention": 0.8,
        }
    )  # fmt: skip
    assert {type(value) for value in info.values()} == {float}


def test_a_week_without_a_sale_has_no_nan():
    empty = make(lines=slice(0, 0), last_purchase=(0,) * 5, visited=(0,) * 5)
    info = empty.info()
    effective = info.pop("effective_discount")
    assert effective == pytest.approx(0.2)
    assert set(info.values()) == {0.0}
    assert empty.buyers == empty.categories == 0
    assert empty.discount_spend == 0.0
    frame = empty.transactions()
    assert frame.height == 0
    assert frame.columns[0] == "week"


def test_transactions(outcome):
    import polars as pl

    frame = outcome.transactions()
    assert frame.columns == ["week", "customer", "category", "product", "quantity", "unit_price",
                             "discount", "revenue"]  # fmt: skip
    assert frame["week"].to_list() == [6, 6, 6, 6]
    assert frame["customer"].to_list() == [0, 0, 2, 4]
    assert frame["category"].to_list() == [0, 2, 0, 1]
    assert frame["product"].to_list() == [1, 8, 0, 5]
    assert frame["quantity"].to_list() == [2, 1, 3, 1]
    assert frame["unit_price"].to_list() == [8.0, 4.0, 2.5, 15.0]
    assert frame["discount"].to_list() == pytest.approx([0.2, 0.0, 0.5, 0.25])
    assert frame["revenue"].to_list() == [16.0, 4.0, 7.5, 15.0]
    assert frame.schema["week"] == pl.Int64
    assert frame.schema["revenue"] == pl.Float64
    assert frame["revenue"].sum() == outcome.revenue


def test_last_purchase_is_kept_by_the_simulator(tiny_world):
    """Recomputed from the lines of 30 weeks."""
    from retail_gym.simulator import Simulator

    simulator, last = Simulator(tiny_world, 2), np.zeros(5, dtype=int)
    for week in range(1, 31):
        outcome = simulator.step(tiny_world.base_price)
        for u in outcome.lines.customer:
            last[u] = week
        assert outcome.week == week
        assert outcome.last_purchase.tolist() == last.tolist()
        recent = [x > 0 and x > week - min(week, 4) for x in last]
        assert outcome.retention == pytest.approx(np.mean(recent))
