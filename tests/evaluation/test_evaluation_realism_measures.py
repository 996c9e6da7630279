"""Measures of realism against answers worked by hand, and against SciPy."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ks_2samp, wasserstein_distance

from retail_gym.data import read_transactions
from retail_gym.evaluation.realism import (
    DISTRIBUTIONS,
    JOINT,
    Empirical,
    ks_complement,
    pair_agreement,
    profile,
)
from retail_gym.evaluation.realism.distributions import wasserstein
from retail_gym.evaluation.realism.joint import variance_components

# Empirical distributions

POINTS = st.lists(st.integers(0, 6) | st.sampled_from([0.5, 2.5]), min_size=1, max_size=30)


@given(POINTS, POINTS)
def test_distances_are_those_of_scipy(one, other) -> None:
    a, b = Empirical.of(one), Empirical.of(other)
    assert ks_complement(a, b) == pytest.approx(1.0 - ks_2samp(one, other).statistic, abs=1e-12)
    assert wasserstein(a, b) == pytest.approx(wasserstein_distance(one, other), abs=1e-12)
    assert ks_complement(a, a) == 1.0


@given(POINTS, st.integers(0, 5), st.floats(0.0, 1.0))
def test_moments_and_quantiles_are_those_of_numpy(points, zeros, q) -> None:
    everything = np.array(points + [0] * zeros, dtype=float)
    found = Empirical.of(points, zeros=zeros)
    assert found.size == everything.size
    assert found.mean == pytest.approx(everything.mean())
    assert found.quantile(q) == pytest.approx(np.quantile(everything, q))
    if everything.size > 1:
        assert found.sd == pytest.approx(everything.std(ddof=1), abs=1e-9)


def test_a_side_without_points_has_nothing_in_common() -> None:
    empty = Empirical.of(np.zeros(0))
    assert ks_complement(empty, Empirical.of([1.0])) == 0.0
    assert ks_complement(empty, empty) == 1.0


# The eleven distributions of the table by hand

POINTS_BY_HAND = {
    "visit_week": [1 / 3, 1 / 3, 0.0],
    "visit_cust": [3 / 6, 1 / 6, 0.0],
    "cat_prob": [3 / 4, 3 / 4],
    "prod_prob": [1.0, 1 / 3, 1.0],
    "qty": [2, 1, 1, 3, 1, 1, 2],
    "tslp": [2, 3, 1],  # weeks 4, 5, 6 of A, who came in week 2 and in week 5
    "ncat": [2, 1, 2, 1],
    "nitem": [3, 1, 5, 2],
    "prodweek": [2, 1, 1, 3, 1, 1, 2] + [0] * 5,  # three products in four weeks
    "price": [5 / 3, 4.0, 16 / 3],
    "catsize": [2, 1],
}


@pytest.mark.parametrize("key", DISTRIBUTIONS)
def test_distribution_by_hand(key, table_by_hand) -> None:
    found = profile(table_by_hand).distributions[key]
    points = np.repeat(found.values, found.counts)
    assert points == pytest.approx(sorted(POINTS_BY_HAND[key]))


def test_lift_by_hand(table_by_hand) -> None:
    lifts = profile(table_by_hand).lifts
    assert lifts.labels == ("x", "y")
    # x and y in 3 of 4 trips each, together in 2.
    assert lifts.distribution.values == pytest.approx([(2 / 4) / (3 / 4 * 3 / 4)])
    assert lifts.distribution.size == 1


def test_pairs_in_fewer_than_one_trip_in_a_hundred_are_left_out() -> None:
    # 200 customers, one trip each: a everywhere, b in 2 trips, c in 1.
    rows = [(1, u, "a", 1) for u in range(200)]
    rows += [(1, 0, "b", 2), (1, 1, "b", 2), (1, 2, "c", 3)]
    frame = pl.DataFrame(rows, schema=["week", "customer", "category", "product"], orient="row")
    frame = frame.with_columns(quantity=1, unit_price=1.0, discount=0.0)
    lifts = profile(read_transactions(frame, weeks=4)).lifts
    assert lifts.supported_jk.tolist() == [
        [False, True, False],
        [False, False, False],
        [False, False, False],
    ]
    assert lifts.lift_jk[0, 1] == pytest.approx(1.0)


def test_lifts_are_those_of_plain_counting(shoppers_table) -> None:
    table = shoppers_table(3)
    lifts = profile(table).lifts
    trips: dict[tuple[int, int], set[int]] = {}
    for row in table.frame.iter_rows(named=True):
        trips.setdefault((row["customer"], row["week"]), set()).add(row["category"])
    n = len(trips)
    for j in range(8):
        for k in range(j + 1, 8):
            share = [sum(part <= basket for basket in trips.values()) / n
                     for part in ({j}, {k}, {j, k})]  # fmt: skip
            assert lifts.lift_jk[j, k] == pytest.approx(share[2] / (share[0] * share[1]))
            assert lifts.supported_jk[j, k] == (share[2] >= 0.01)


def test_pair_agreement_matches_by_label(shoppers_table) -> None:
    one, other = profile(shoppers_table(3)).lifts, profile(shoppers_table(4)).lifts
    agreement = pair_agreement(one, other)
    assert agreement.pairs == 28
    assert agreement.spearman > 0.8  # pairs within a group have lifts of their own
    assert pair_agreement(one, one).spearman == pytest.approx(1.0)
    assert pair_agreement(one, one).mean_difference == 0.0
    # Other names for the categories, in another order: the wrong pairs.
    table = shoppers_table(4)
    shuffled = table.frame.with_columns(category=(pl.col("category") * 3 + 1) % 8)
    wrong = profile(read_transactions(shuffled, customers=range(120), weeks=30)).lifts
    assert pair_agreement(one, wrong).spearman < 0.5
    named = table.frame.with_columns(category=pl.col("category").cast(pl.String))
    with pytest.raises(ValueError, match="share 0 pairs"):
        pair_agreement(one, profile(read_transactions(named, weeks=30)).lifts)


# Joint diagnostics

JOINT_BY_HAND = {
    # log(categories) of A: log 2, 0, log 2; of B: 0. Mean squares are equal: nothing between.
    "icc": 0.0,
    "sd_b": 0.0,
    "sd_w": np.log(2) * np.sqrt(1 / 3),
    "corr_rate_basket": 1.0,  # two customers came, the frequent one buys more
    # x and y are bought 3 times each; A made 5 of the 6 purchases, B one.
    "pen_ratio": np.median(
        np.array([1 / 3, 2 / 3]) / ((1 - (1 / 6) ** 3 + 1 - (5 / 6) ** 3 + 0) / 3)
    ),
    "repeat": 3 / 4,  # of A's four later rows only product 2 is new
    "ppc": 7 / 6,
    "visit_ac1": (-0.8 / 12) / (2.0 / 15),
    "half_corr": 0.5,  # weeks 2-3 and 4-6: (1/2, 0, 0) and (1/3, 1/3, 0)
}


@pytest.mark.parametrize("key", JOINT)
def test_joint_diagnostic_by_hand(key, table_by_hand) -> None:
    assert profile(table_by_hand).joint[key] == pytest.approx(JOINT_BY_HAND[key], abs=1e-12)


@pytest.mark.parametrize(
    ("y", "group", "between", "within"),
    [
        ([1, 3, 5, 9], [0, 0, 1, 1], 10.0, 5.0),
        ([0, 2, 4, 8], [0, 0, 0, 1], 23.0 / 1.5, 4.0),  # unequal groups: n0 = 1.5
        ([0, 2, 4, 8], [0, 0, 0, 5], 23.0 / 1.5, 4.0),  # a code that nobody has
        ([1, 5, 1, 5], [0, 0, 1, 1], 0.0, 8.0),  # a negative estimate
    ],
)
def test_variance_components_by_hand(y, group, between, within) -> None:
    found = variance_components(np.array(y, dtype=float), np.array(group))
    assert found == pytest.approx((between, within))


def test_what_cannot_be_computed_is_nan() -> None:
    one = pl.DataFrame(
        {"week": [1], "customer": [1], "category": [1], "product": [1], "quantity": [1],
         "unit_price": [1.0], "discount": [0.0]}
    )  # fmt: skip
    joint = profile(read_transactions(one, weeks=5)).joint
    undefined = {key for key, value in joint.items() if np.isnan(value)}
    assert undefined == {
        "icc", "sd_b", "sd_w", "corr_rate_basket", "repeat", "visit_ac1", "half_corr"
    }  # fmt: skip
    assert joint["ppc"] == 1.0
    assert joint["pen_ratio"] == 1.0


def test_three_weeks_are_too_few(table_by_hand) -> None:
    short = read_transactions(
        table_by_hand.frame.filter(pl.col("week") <= 3), customers=["A", "B", "C"], weeks=3
    )
    with pytest.raises(ValueError, match="has 3 weeks; realism needs more than 3"):
        profile(short)
