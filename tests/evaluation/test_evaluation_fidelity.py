"""Fidelity: known answers, and planted failures that must be seen."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from retail_gym.data import read_transactions
from retail_gym.evaluation.fidelity import TITLES, fidelity
from retail_gym.evaluation.fidelity.association import (
    associations,
    correlation_ratio,
    differences,
    theils_u,
)
from retail_gym.evaluation.fidelity.distances import distances, jensen_shannon, wasserstein_by
from retail_gym.evaluation.fidelity.sales import SALES, sales, sales_distances

# Distances


def test_jensen_shannon_by_hand() -> None:
    assert jensen_shannon({"a": 1}, {"a": 5}) == 0.0
    assert jensen_shannon({"a": 1}, {"b": 5}) == pytest.approx(1.0)
    # p = (1, 0), q = (1/2, 1/2), m = (3/4, 1/4).
    kl_p = np.log2(4 / 3)
    kl_q = 0.5 * np.log2(2 / 3) + 0.5 * np.log2(2)
    expected = np.sqrt(0.5 * kl_p + 0.5 * kl_q)
    assert jensen_shannon({"a": 3}, {"a": 2, "b": 2}) == pytest.approx(expected)
    with pytest.raises(ValueError, match="some weight"):
        jensen_shannon({"a": 0.0}, {"a": 1.0})


def test_wasserstein_is_a_shift_in_units_of_range_and_sd() -> None:
    values = np.array([0.0, 1.0, 3.0, 4.0])
    by_range, by_sd = wasserstein_by(values, values + 0.5)
    assert by_range == pytest.approx(0.5 / 4.0)
    assert by_sd == pytest.approx(0.5 / np.sqrt(2.5))
    assert wasserstein_by([1.0, 1.0], [1.0]) == (0.0, 0.0)
    assert np.isnan(wasserstein_by([1.0, 1.0], [2.0])).all()


def test_distances_of_a_table_to_itself_are_zero(shoppers_table) -> None:
    assert set(distances(shoppers_table(1), shoppers_table(1)).values()) == {0.0}


def test_distances_see_the_column_that_moved(shoppers_table) -> None:
    real = shoppers_table(1)
    frame = real.frame.with_columns(quantity=pl.col("quantity") + 2)
    found = distances(real, read_transactions(frame, customers=range(120), weeks=30))
    span = real.frame["quantity"].max() - real.frame["quantity"].min()
    assert found["wasserstein_quantity"] == pytest.approx(2 / span)
    assert found["wasserstein_unit_price"] == found["jsd_product"] == 0.0
    columns = ("quantity", "unit_price", "base_price", "discount", "revenue")
    mean = np.mean([found[f"wasserstein_{column}"] for column in columns])
    assert found["wasserstein_mean"] == pytest.approx(mean)


# Association


def test_theils_u_by_hand() -> None:
    x = np.array([0, 0, 1, 1])
    assert theils_u(x, np.array([5, 5, 3, 3])) == pytest.approx(1.0)
    assert theils_u(x, np.array([0, 1, 0, 1])) == pytest.approx(0.0, abs=1e-12)
    # Y = (0, 0, 0, 1) leaves H(X|Y) = 3/4 h(1/3) of H(X) = log 2.
    left = 0.75 * -(np.log(1 / 3) / 3 + 2 * np.log(2 / 3) / 3)
    y = np.array([0, 0, 0, 1])
    assert theils_u(x, y) == pytest.approx(1.0 - left / np.log(2.0))
    # Not symmetric: a finer label decides a coarser one, not the other way round.
    fine = np.array([0, 1, 2, 3])
    assert theils_u(x, fine) == pytest.approx(1.0)
    assert theils_u(fine, x) == pytest.approx(0.5)
    assert theils_u(np.zeros(4, dtype=int), x) == 1.0


def test_correlation_ratio_by_hand() -> None:
    group = np.array([0, 0, 1, 1])
    assert correlation_ratio(np.array([1.0, 1.0, 3.0, 3.0]), group) == pytest.approx(1.0)
    assert correlation_ratio(np.array([1.0, 3.0, 1.0, 3.0]), group) == pytest.approx(0.0)
    # Means 1 and 3 about 2: 4 of a total of 4 + 4 * 1.
    values = np.array([0.0, 2.0, 2.0, 4.0])
    assert correlation_ratio(values, group) == pytest.approx(np.sqrt(4 / 8))
    assert correlation_ratio(np.full(4, 7.0), group) == 0.0


def test_associations_of_a_table(shoppers_table) -> None:
    found = associations(shoppers_table(1))
    rows, columns = found.names["theils_u"]
    u = found.theils_u
    assert u[rows.index("category"), columns.index("product")] == pytest.approx(1.0)
    assert u[rows.index("product"), columns.index("category")] < 0.9
    numbers = found.names["pearson"][0]
    frame = shoppers_table(1).frame
    expected = np.corrcoef(np.log(frame["unit_price"]), np.log(frame["base_price"]))[0, 1]
    place = numbers.index("unit_price"), numbers.index("base_price")
    assert found.pearson[place] == pytest.approx(expected)
    # Undiscounted prices are those of the product.
    labels, numbers = found.names["correlation_ratio"]
    eta = found.correlation_ratio[labels.index("product"), numbers.index("base_price")]
    assert eta == pytest.approx(1.0)


def test_differences_leave_the_diagonal_out(shoppers_table) -> None:
    one, other = (associations(shoppers_table(seed)) for seed in (1, 2))
    found = differences(one, other)
    gap = np.abs(one.pearson - other.pearson)
    assert found["pearson_mean"] == pytest.approx(gap.sum() / (gap.size - len(gap)))
    assert found["pearson_frobenius"] == pytest.approx(np.sqrt((gap**2).sum()))
    assert set(differences(one, one).values()) == {0.0}


# Sales


def test_weeks_on_the_shelf_are_stretched(table_by_hand) -> None:
    found = {row["label"]: row for row in sales(table_by_hand, "product").iter_rows(named=True)}
    # Product 1: weeks 1, 2, 5: span 4 * (3 + 1) / (3 - 1) + 1 = 9, at most 6.
    assert found[1]["weeks"] == 6.0
    assert found[1]["units"] == 4
    assert found[2]["weeks"] == 6.0  # one week: there all along
    rows = [(1, 9, 1), (2, 9, 1), (3, 9, 1)]
    frame = pl.DataFrame(rows, schema=["week", "product", "quantity"], orient="row")
    frame = frame.with_columns(customer=1, category=1, unit_price=1.0, discount=0.0)
    table = read_transactions(frame, weeks=20)
    assert sales(table, "product")["weeks"].to_list() == [2 * 4 / 2 + 1]
    assert sales(table, "product")["rate"].to_list() == [3 / 5]


def test_sales_distances_by_hand() -> None:
    def table(units):
        rows = [(1, "u", "x", label, n, 1.0, 0.0) for label, n in units.items()]
        names = ["week", "customer", "category", "product", "quantity", "unit_price", "discount"]
        return read_transactions(pl.DataFrame(rows, schema=names, orient="row"))

    real, other = table({"a": 6, "b": 3, "c": 1}), table({"a": 3, "b": 3, "c": 4})
    found = sales_distances(real, other)
    assert list(found) == list(SALES)
    # 0.3 of the units are carried two steps, on a shelf of three.
    assert found["sales_emd_product"] == pytest.approx(0.3 * 2 / 3)
    assert found["sales_emd_category"] == 0.0
    expected = jensen_shannon({"a": 6, "b": 3, "c": 1}, {"a": 3, "b": 3, "c": 4})
    assert found["sales_jsd_product"] == pytest.approx(expected)
    assert found["sales_jsd_product_stock"] == pytest.approx(expected)  # all there equally long


def test_stock_weights_see_past_how_long_a_product_was_sold() -> None:
    def table(weeks):
        rows = [(t, "u", "x", "always", 1) for t in range(1, 21)]
        rows += [(t, "u", "x", "seasonal", 1) for t in range(1, weeks + 1)]
        names = ["week", "customer", "category", "product", "quantity"]
        frame = pl.DataFrame(rows, schema=names, orient="row")
        return read_transactions(frame.with_columns(unit_price=1.0, discount=0.0))

    found = sales_distances(table(20), table(10))
    assert found["sales_jsd_product"] > 0.12
    assert found["sales_jsd_product_stock"] < 0.05


# The whole part


@pytest.fixture(scope="module")
def real(shoppers_table):
    return shoppers_table(1)


def shuffled(table, seed=0):
    """Every column on its own: the margins of the rows stay, what hangs together does not."""
    draw = np.random.default_rng(seed)
    n = table.frame.height
    frame = table.frame
    alone = ("week", "customer", "quantity", "unit_price", "base_price", "discount")
    columns = {c: frame[c].gather(draw.permutation(n)) for c in alone}
    label = draw.permutation(n)
    columns |= {c: frame[c].gather(label) for c in ("category", "product")}
    return read_transactions(
        frame.with_columns(**columns), customers=range(120), weeks=30, name="shuffled"
    )


def test_every_measure_has_a_ceiling_and_customers_of_one_law_pass(real, shoppers_table) -> None:
    found = fidelity(real, shoppers_table(2, n_customers=60), draws=6)
    assert [m.key for m in found.measures] == list(TITLES)
    assert (found.n_customers, found.n_weeks) == (60, 30)
    assert all(m.ceiling is not None and m.ceiling_sd is not None for m in found.measures)
    # 57 tests of a limit of twice the ceiling and three standard deviations (of six draws):
    # a few per cent may fail by chance.
    failed = [m.key for m in found.measures if m.passed is False]
    assert len(failed) <= 3, failed


def test_shuffled_columns_keep_the_margins_and_fail_the_joint(real) -> None:
    found = {m.key: m for m in fidelity(real, shuffled(real), draws=6).measures}
    for key in ("pearson_mean", "theils_u_mean", "correlation_ratio_mean", "realism_lift_w1"):
        assert found[key].passed is False, key
        assert found[key].value > 3 * found[key].ceiling, key
    for key in ("wasserstein_unit_price", "wasserstein_discount", "jsd_week", "jsd_category"):
        assert found[key].passed is True, key


def test_invented_labels_are_ranked_and_said_so(real, shoppers_table) -> None:
    frame = shoppers_table(2).frame.with_columns(
        product=pl.col("product") * 7 + 1000, category=pl.col("category") + 50
    )
    other = read_transactions(frame, customers=range(120), weeks=30)
    found = fidelity(real, other, draws=2)
    notes = {m.key: m.note for m in found.measures}
    assert notes["jsd_product"] == "products matched by rank of sales"
    assert notes["sales_emd_category"] == "categories matched by rank of sales"
    assert notes["theils_u_mean"] == notes["realism_lift_ks"] == ""
    values = {m.key: m.value for m in found.measures}
    assert values["jsd_product"] < 0.3  # 1 if the labels were compared


def test_sizes_are_made_equal_and_seeds_matter(real, shoppers_table) -> None:
    other = shoppers_table(2, n_customers=40, n_weeks=20)
    one, again, more = (fidelity(real, other, draws=2, seed=s) for s in (0, 0, 1))
    assert (one.n_customers, one.n_weeks) == (40, 20)
    values = [[m.value for m in side.measures] for side in (one, again, more)]
    assert np.array_equal(values[0], values[1], equal_nan=True)
    assert values[0] != values[2]
    with pytest.raises(ValueError, match="at least 2 customers on each side"):
        fidelity(real.select([0, 1]), other)
