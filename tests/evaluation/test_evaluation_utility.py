"""Utility: known answers of features and rules, and what cannot be learned from a bad table."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from retail_gym.data import read_transactions
from retail_gym.evaluation.utility.classifier import classifier_scores, examples
from retail_gym.evaluation.utility.forecast import forecast_errors, last_weeks_error, weekly
from retail_gym.evaluation.utility.recommender import (
    next_baskets,
    recall_at,
    recommender_scores,
)
from retail_gym.evaluation.utility.rules import AGREEMENT, compare_rules, find_rules

NAMES = ["week", "customer", "category", "product", "quantity", "unit_price", "discount"]


def table_of(rows, **sizes):
    return read_transactions(pl.DataFrame(rows, schema=NAMES, orient="row"), **sizes)


def independent(table, seed=0):
    """Products drawn anew for every row, from all rows: the margins without the rest."""
    draw = np.random.default_rng(seed)
    frame = table.frame.with_columns(
        customer=pl.Series(draw.choice(table.frame["customer"], table.frame.height)),
        week=pl.Series(draw.choice(table.frame["week"], table.frame.height)),
    )
    return read_transactions(
        frame, customers=table.customers.tolist(), weeks=table.n_weeks, name="independent"
    )


# The classifier


def test_examples_by_hand(table_by_hand) -> None:
    x, y = examples(table_by_hand)
    # A's trips in weeks 2 and 5; B has one trip only.
    assert x.shape == (2, 8)
    assert not y.any()
    assert x[0].tolist() == pytest.approx([1.0, 0.5, 1.0, 1.0, 1.0, 2.0, 3.5, 0.25])
    third = [4.0, 0.0, 0.0, 2 / 4, 3.0, 3 / 2, 8 / 3, 1 / 3]
    assert x[1].tolist() == pytest.approx(third)


def test_a_basket_of_more_than_ten_products_is_large() -> None:
    rows = [(1, "u", "x", 0, 1, 1.0, 0.0)]
    rows += [(2, "u", "x", k, 1, 1.0, 0.0) for k in range(10)]
    rows += [(3, "u", "x", k, 1, 1.0, 0.0) for k in range(11)]
    assert examples(table_of(rows))[1].tolist() == [False, True]


def big_or_small(seed, turned=False):
    """Half of the customers buy 14 products a trip, the others 5; prices tell them apart."""
    draw = np.random.default_rng(seed)
    rows = []
    for u in range(60):
        big = u % 2 == 0
        for week in range(1, 11):
            price = 2.0 if big != turned else 4.0
            for k in draw.choice(30, 14 if big else 5, replace=False):
                rows.append((week, u, "x", int(k), 1, price + 0.1 * draw.random(), 0.0))
    return table_of(rows)


def test_the_classifier_learns_what_there_is_and_no_more() -> None:
    pytest.importorskip("sklearn")
    good = classifier_scores([big_or_small(1)], big_or_small(2), 0)
    keys = ("accuracy", "f1", "roc_auc", "precision", "recall", "large")
    assert tuple(good) == keys
    assert [good[k] for k in keys] == pytest.approx([1.0, 1.0, 1.0, 1.0, 1.0, 0.5])
    # Without examples of large baskets there is nothing to learn.
    small = table_of([(t, u, "x", t, 1, 1.0, 0.0) for u in range(5) for t in range(1, 6)])
    none = classifier_scores([small], big_or_small(2), 0)
    assert [none[k] for k in keys] == pytest.approx([0.5, 0.0, 0.5, 0.0, 0.0, 0.5])
    once = table_of([(1, u, "x", 1, 1, 1.0, 0.0) for u in range(5)])
    with pytest.raises(ValueError, match="at least two trips"):
        classifier_scores([once], big_or_small(2), 0)


# Rules


def test_rules_have_the_lift_and_conviction_of_the_books() -> None:
    pytest.importorskip("mlxtend")
    # 10 trips: a and b together in 4, a alone in 1, b alone in 2, c in 3 others.
    baskets = ["ab"] * 4 + ["a"] + ["b"] * 2 + ["c"] * 3
    rows = [
        (1, f"u{k}", item, item, 1, 1.0, 0.0) for k, items in enumerate(baskets) for item in items
    ]
    rules = find_rules(table_of(rows), "product", 0, 0.1)
    assert rules.height == 2
    found = {r["antecedent"]: r for r in rules.iter_rows(named=True)}
    assert found["a"]["consequent"] == "b"
    assert found["a"]["lift"] == pytest.approx(0.4 / (0.5 * 0.6))
    assert found["a"]["conviction"] == pytest.approx((1 - 0.6) / (1 - 0.4 / 0.5))
    assert found["b"]["conviction"] == pytest.approx((1 - 0.5) / (1 - 0.4 / 0.6))
    assert find_rules(table_of(rows), "category", 0, 0.1).equals(rules)
    assert find_rules(table_of(rows), "product", 0, 0.5).height == 0


def test_conviction_is_infinite_where_one_always_follows() -> None:
    pytest.importorskip("mlxtend")
    rows = [(1, f"u{k}", i, i, 1, 1.0, 0.0) for k in range(4) for i in "ab"]
    rows += [(1, f"v{k}", "b", "b", 1, 1.0, 0.0) for k in range(2)]
    rows += [(1, "w", "c", "c", 1, 1.0, 0.0)]
    rules = find_rules(table_of(rows), "product", 0, 0.1)
    found = dict(zip(rules["antecedent"], rules["conviction"], strict=True))
    assert found["a"] == np.inf
    assert found["b"] == pytest.approx((1 - 4 / 7) / (1 - 4 / 6))


def rules_of(lifts):
    rows = [(a, b, 0.1, lift, lift) for (a, b), lift in lifts.items()]
    names = ["antecedent", "consequent", "support", "lift", "conviction"]
    return pl.DataFrame(rows, schema=names, orient="row")


def test_rules_are_matched_by_both_ends() -> None:
    real = rules_of({("a", "b"): 2.0, ("b", "a"): 3.0, ("a", "c"): 1.0, ("c", "a"): 4.0})
    other = rules_of({("a", "b"): 4.0, ("b", "a"): 6.0, ("a", "c"): 2.0, ("x", "a"): 9.0})
    found = compare_rules(real, other)
    assert list(found) == list(AGREEMENT)
    assert found["found"] == 3 / 4
    assert found["lift_spearman"] == pytest.approx(1.0)
    assert found["lift_error"] == pytest.approx(np.log(2))
    # Sorted: 1, 2, 3, 4 against 2, 4, 6, 9.
    gaps = np.log([2, 4, 6, 9]) - np.log([1, 2, 3, 4])
    assert found["lift_distance"] == pytest.approx(gaps.mean())
    assert compare_rules(real, real)["conviction_error"] == 0.0
    nothing = compare_rules(real, real.clear())
    assert nothing["found"] == 0.0
    assert np.isnan(nothing["lift_error"])


def test_independent_rows_have_no_rules_to_speak_of(shoppers_table) -> None:
    pytest.importorskip("mlxtend")
    real, other = shoppers_table(1), shoppers_table(2)
    one, same, broken = (
        find_rules(table, "category", 0, 0.02) for table in (real, other, independent(real))
    )
    kept, lost = compare_rules(one, same), compare_rules(one, broken)
    assert kept["lift_spearman"] > 0.8
    assert lost["lift_spearman"] < 0.5
    assert lost["lift_error"] > 2 * kept["lift_error"]
    assert lost["lift_distance"] > 2 * kept["lift_distance"]


# Forecasts


def test_weekly_sums_and_prices(table_by_hand) -> None:
    units, price, discounted = weekly(table_by_hand, "category")
    assert units.tolist() == [[2, 1, 0, 0, 4, 0], [1, 0, 0, 2, 1, 0]]
    later = (np.log(2.0) + np.log(4.0)) / 2
    assert price[0] == pytest.approx([np.log(2), 0.0, 0.0, 0.0, later, later])
    assert price[1] == pytest.approx(np.log([5, 5, 5, 5, 6, 6]))
    assert discounted[0].tolist() == [0, 1, 0, 0, 0, 0]


def cycle(seed, turned=False):
    """Categories whose sales alternate between 5 and 40 units, every four weeks."""
    draw = np.random.default_rng(seed)
    rows = []
    for j in range(12):
        for week in range(1, 41):
            high = ((week + j) // 4) % 2 == int(turned)
            units = int(draw.poisson(40 if high else 5)) + 1
            rows.append((week, week % 7, j, j, units, 1.0, 0.0))
    return table_of(rows)


def test_a_forecast_learns_the_cycle_and_beats_the_naive_one() -> None:
    pytest.importorskip("sklearn")
    test = cycle(2)
    good, naive = (
        forecast_errors([cycle(1)], test, "category", 0),
        last_weeks_error(test, "category"),
    )
    assert good < 0.6 * naive
    # Trained on a table without a cycle it cannot know.
    frame = cycle(1).frame.with_columns(quantity=pl.lit(20), revenue=pl.lit(20.0))
    flat = read_transactions(frame, weeks=40)
    assert forecast_errors([flat], test, "category", 0) > 1.5 * good
    with pytest.raises(ValueError, match="needs more than 8"):
        forecast_errors([cycle(1)], table_of([(1, 1, 1, 1, 1, 1.0, 0.0)], weeks=6), "category", 0)


# Recommendations


def test_recall_by_hand() -> None:
    score = np.array([[3.0, 2.0, 1.0, 0.0], [0.0, 1.0, 2.0, 3.0]])
    bought = np.array([[True, False, True, False], [True, False, False, False]])
    assert recall_at(score, bought, 2) == pytest.approx((1 / 2 + 0) / 2)
    assert recall_at(score, bought, 1) == pytest.approx(1 / 2)


def test_next_baskets_by_hand(table_by_hand) -> None:
    # Cut after round(0.75 * 6) = 4 weeks: A's trips 1 and 2, then 5; B has none after.
    found = next_baskets(table_by_hand)
    assert found.bought.tolist() == [[True, True]]
    share, last, recent, popular, together = found.features[0].T
    assert share.tolist() == [1.0, 0.5]
    assert last.tolist() == [1.0, 0.0]
    assert recent.tolist() == [1.0, 1.0]
    assert popular == pytest.approx(np.log([2 / 3 + 1e-4, 2 / 3 + 1e-4]))
    # The last basket held x; y was in half of the trips with x, x itself does not count.
    assert together == pytest.approx(np.log([1e-4, 0.5 + 1e-4]))


def test_habits_are_worth_learning(shoppers_table) -> None:
    pytest.importorskip("sklearn")
    test = shoppers_table(2)
    found = recommender_scores([shoppers_table(1)], test, 0)
    assert found["recall"] >= found["popularity"] - 0.01
    assert 0.0 < found["popularity"] <= 1.0
    again = recommender_scores([shoppers_table(1)], test, 0)
    assert again == found


# The whole part


def test_utility_of_real_and_of_independent_rows(shoppers_table) -> None:
    pytest.importorskip("mlxtend")
    from retail_gym.evaluation.utility import utility

    real, holdout = shoppers_table(1), shoppers_table(3)
    good = {m.key: m for m in utility(real, shoppers_table(2), holdout).measures}
    bad = {m.key: m for m in utility(real, independent(real), holdout).measures}
    assert list(good) == list(bad)
    for key in ("rules_category_lift_error", "rules_category_lift_distance"):
        assert good[key].passed is True, key
        assert bad[key].passed is False, key
    assert good["forecast_category"].passed is True
    assert good["recommender"].passed is True
    assert all(m.ceiling is not None for m in good.values())
