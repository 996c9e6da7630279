"""Tables of one's own: what is read, merged and inferred, and errors that name row and column."""

from __future__ import annotations

import datetime

import polars as pl
import pytest

from retail_gym.data import read_transactions
from retail_gym.data.schema import ALLOWED
from retail_gym.data.table import COLUMNS

GOOD = {
    "week": [1, 1, 2, 3],
    "customer": ["a", "b", "a", "a"],
    "category": ["tea", "tea", "tea", "milk"],
    "product": [7, 8, 7, 9],
    "quantity": [1, 2, 3, 1],
    "unit_price": [2.0, 3.0, 1.5, 0.9],
    "discount": [0.0, 0.0, 0.25, 0.0],
}


def frame(**changes):
    return pl.DataFrame({**GOOD, **changes}, strict=False)


def with_value(column, value, row=2):
    """The good table with one value replaced (row counted from 0)."""
    values = list(GOOD.get(column, [2.0, 3.0, 2.0, 0.9]))
    values[row] = value
    return frame(**{column: values})


def test_a_good_table_is_read_as_it_is() -> None:
    table = read_transactions(frame(colour=["red"] * 4))
    assert table.frame.columns == list(COLUMNS)
    assert table.frame.height == 4
    assert (table.n_customers, table.n_weeks) == (2, 3)
    assert table.frame["base_price"].to_list() == pytest.approx([2.0, 3.0, 2.0, 0.9])
    assert table.frame["revenue"].to_list() == pytest.approx([2.0, 6.0, 4.5, 0.9])


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_files_give_the_same_table(suffix, tmp_path) -> None:
    file = tmp_path / f"mine{suffix}"
    frame().write_parquet(file) if suffix == ".parquet" else frame().write_csv(file)
    table = read_transactions(file)
    assert table.name == f"mine{suffix}"
    assert table.frame.equals(read_transactions(frame()).frame)
    assert read_transactions(frame().lazy()).frame.equals(table.frame)


def test_equal_customer_week_and_product_are_merged() -> None:
    extra = pl.DataFrame(
        {**{c: [v[0]] for c, v in GOOD.items()}, "quantity": [3], "unit_price": [1.0],
         "discount": [0.5]}
    )  # fmt: skip
    merged = read_transactions(pl.concat([frame(), extra])).frame
    assert merged.height == 4
    row = merged.row(by_predicate=(pl.col("customer") == "a") & (pl.col("week") == 1), named=True)
    assert row["quantity"] == 4
    assert row["revenue"] == pytest.approx(1 * 2.0 + 3 * 1.0)
    assert row["unit_price"] == pytest.approx(1.5)  # mean over rows, not over units
    assert row["discount"] == pytest.approx(0.25)


def test_discount_follows_from_base_price() -> None:
    base = frame(base_price=[2.0, 4.0, 1.0, 0.9]).drop("discount")
    table = read_transactions(base)
    assert table.frame["discount"].to_list() == pytest.approx([0.0, 0.25, 0.0, 0.0])


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("week", 0),
        ("week", 1.5),
        ("week", None),
        ("week", "soon"),
        ("quantity", 0),
        ("quantity", -1),
        ("quantity", 0.7),
        ("quantity", float("nan")),
        ("unit_price", 0.0),
        ("unit_price", -2.0),
        ("unit_price", float("inf")),
        ("unit_price", None),
        ("discount", -0.1),
        ("discount", 25.0),
        ("base_price", 0.0),
        ("customer", None),
        ("category", None),
        ("product", None),
    ],
)
def test_a_bad_value_is_named_with_row_and_column(column, value) -> None:
    with pytest.raises(ValueError, match=f"mine, row 3, column '{column}'") as error:
        read_transactions(with_value(column, value), name="mine")
    assert ALLOWED[column] in str(error.value)
    assert repr(value) in str(error.value)


def test_columns_of_a_wrong_kind_are_refused() -> None:
    with pytest.raises(ValueError, match=r"row 1, column 'week'.*whole number"):
        read_transactions(frame(week=[datetime.date(2017, 1, 1)] * 4))
    with pytest.raises(ValueError, match=r"row 1, column 'product'.*a whole number or a text"):
        read_transactions(frame(product=[[1], [2], [3], [4]]))


def test_a_text_among_a_files_numbers_is_found(tmp_path) -> None:
    file = tmp_path / "mine.csv"
    frame().write_csv(file)
    file.write_text(file.read_text().replace("1.5", "one and a half"))
    words = r"mine\.csv, row 3, column 'unit_price': 'one and a half' is not allowed"
    with pytest.raises(ValueError, match=words):
        read_transactions(file)


def test_full_discount_needs_a_base_price() -> None:
    with pytest.raises(ValueError, match="row 3, column 'discount'"):
        read_transactions(with_value("discount", 1.0))
    table = read_transactions(with_value("discount", 1.0).with_columns(base_price=pl.lit(2.0)))
    assert table.frame["discount"].max() == 1.0


def test_rounding_outside_a_share_is_clipped() -> None:
    found = read_transactions(with_value("discount", -1e-9)).frame["discount"]
    assert found.min() == 0.0


def test_a_product_has_one_category() -> None:
    with pytest.raises(ValueError, match=r"row 3, column 'category': product 7 .*'milk'.*'tea'"):
        read_transactions(with_value("category", "milk"))


def test_a_missing_column_is_named_with_a_guess() -> None:
    with pytest.raises(ValueError, match=r"lacks the column 'quantity' \(is it your 'quantiy'\?\)"):
        read_transactions(frame().rename({"quantity": "quantiy"}))
    with pytest.raises(ValueError, match="neither a column 'discount' nor 'base_price'"):
        read_transactions(frame().drop("discount"))


def test_what_is_no_table_is_refused(tmp_path) -> None:
    with pytest.raises(ValueError, match=r"polars\.from_pandas"):
        read_transactions({"week": [1]})
    with pytest.raises(FileNotFoundError, match=r"no file of transactions at .*gone\.csv"):
        read_transactions(tmp_path / "gone.csv")
    with pytest.raises(ValueError, match=r"\.parquet or \.csv"):
        read_transactions(tmp_path / "table.xlsx")
    (tmp_path / "broken.parquet").write_bytes(b"no table")
    with pytest.raises(ValueError, match=r"broken\.parquet is not a readable"):
        read_transactions(tmp_path / "broken.parquet")
    with pytest.raises(ValueError, match="has no rows"):
        read_transactions(frame().clear())


def test_customers_who_never_bought_are_given_by_name() -> None:
    table = read_transactions(frame(), customers=["b", "z", "a"], weeks=9)
    assert table.customers.tolist() == ["b", "z", "a"]
    assert table.n_weeks == 9
    with pytest.raises(ValueError, match="purchases of customer 'b'"):
        read_transactions(frame(), customers=["a", "z"])
    with pytest.raises(ValueError, match="labels like 'a', each once"):
        read_transactions(frame(), customers=["a", "b", "b"])
    with pytest.raises(ValueError, match="labels like 'a'"):
        read_transactions(frame(), customers=range(2))
    with pytest.raises(ValueError, match="purchases in week 3, but weeks = 2"):
        read_transactions(frame(), weeks=2)
