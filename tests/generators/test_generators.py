"""What every generator promises, and what marginals and copula do and cannot do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.stats import multivariate_normal

from retail_gym.data import Transactions, read_transactions
from retail_gym.evaluation.realism.baskets import trips_of
from retail_gym.evaluation.realism.lift import pair_lifts
from retail_gym.generators import KINDS, GaussianCopula, Marginals, generator_class, load
from retail_gym.generators.calendar import Calendar
from retail_gym.generators.copula import joint_probability, nearest_correlation, tetrachoric
from retail_gym.generators.records import Records
from retail_gym.generators.shelf import Shelf
from tests.generators.conftest import CORRELATION, PRICE, SHARE, WEEKS, make_planted

SIMPLE = (Marginals, GaussianCopula)


def planted_lift() -> float:
    """Lift of the two categories that go together, from the bivariate normal."""
    from scipy.special import ndtri

    cov = [[1.0, CORRELATION], [CORRELATION, 1.0]]
    both = multivariate_normal.cdf(ndtri(SHARE[:2]), cov=cov)
    return float(both / (SHARE[0] * SHARE[1]))


def lifts(table: Transactions) -> np.ndarray:
    return pair_lifts(trips_of(table)).lift_jk


@pytest.mark.parametrize("kind", SIMPLE, ids=lambda kind: kind.kind)
def test_same_seed_same_table(kind: type, planted: Transactions) -> None:
    one, other = (kind.fit(planted, seed=0).sample(50, seed=3) for _ in range(2))
    assert one.frame.equals(other.frame)
    assert not one.frame.equals(kind.fit(planted).sample(50, seed=4).frame)


@pytest.mark.parametrize("kind", SIMPLE, ids=lambda kind: kind.kind)
def test_a_saved_generator_samples_the_same(
    kind: type, planted: Transactions, tmp_path: Path
) -> None:
    generator = kind.fit(planted)
    generator.save(tmp_path / "g.npz")
    again = load(tmp_path / "g.npz")
    assert type(again) is kind
    assert again.sample(60, 1).frame.equals(generator.sample(60, 1).frame)


@pytest.mark.parametrize("kind", SIMPLE, ids=lambda kind: kind.kind)
def test_marginals_are_recovered(kind: type, planted: Transactions) -> None:
    # 2,000 customers, some 14,000 trips: three standard errors of a share are 0.013, to which
    # the planted sample of 2,900 adds twice that.
    table = kind.fit(planted).sample(2000, seed=1)
    baskets = trips_of(table)
    real = trips_of(planted)
    # Empty baskets are no trips, on both sides.
    share = baskets.trips_of_category / baskets.n_trips
    np.testing.assert_allclose(share, real.trips_of_category / real.n_trips, atol=0.03)
    assert table.n_weeks == WEEKS
    assert table.n_customers == 2000
    spread = np.array([np.mean(b.visited_ut.sum(axis=1) > 6) for b in (baskets, real)])
    assert spread[0] == pytest.approx(spread[1], abs=0.05)
    frame, given = table.frame, planted.frame
    assert frame["quantity"].mean() == pytest.approx(given["quantity"].mean(), abs=0.03)
    assert frame["base_price"].mean() == pytest.approx(given["base_price"].mean(), rel=0.03)
    assert frame["discount"].mean() == pytest.approx(given["discount"].mean(), abs=0.01)


def test_independent_marginals_have_lift_one(planted: Transactions) -> None:
    # Standard error 0.01.
    generator = Marginals.fit(planted)
    rng = np.random.default_rng(0)
    bought = generator.baskets(np.zeros((40_000, 7)), np.ones(40_000, np.int64), rng)
    share = bought.mean(axis=0)
    lift = (bought[:, 0] & bought[:, 1]).mean() / (share[0] * share[1])
    assert lift == pytest.approx(1.0, abs=0.03)
    assert planted_lift() > 1.6


def test_independent_marginals_lose_the_price_of_a_product(planted: Transactions) -> None:
    table = Marginals.fit(planted).sample(1000, seed=2).frame
    one = table.filter(pl.col("product") == 100)["base_price"]
    assert one.n_unique() > 8  # planted: 1
    assert np.corrcoef(table["base_price"], table["product"].rank("dense"))[0, 1] < 0.1


def test_copula_recovers_the_lift_that_was_planted(planted: Transactions) -> None:
    copula = GaussianCopula.fit(planted)
    rng = np.random.default_rng(0)
    visits = copula.calendar.draw(6000, rng)
    bought = copula.baskets(visits.score_kf, visits.week_k, rng)
    real = Records.of(planted).bought_kj
    for j, k in ((0, 1), (3, 4), (0, 3)):
        wanted, found = (
            (b[:, j] & b[:, k]).mean() / (b[:, j].mean() * b[:, k].mean()) for b in (real, bought)
        )
        assert found == pytest.approx(wanted, abs=0.06)
    table = copula.sample(2000, seed=1)
    assert lifts(table)[0, 1] == pytest.approx(lifts(planted)[0, 1], abs=0.08)
    assert lifts(table)[0, 1] > 1.3 * lifts(Marginals.fit(planted).sample(2000, seed=1))[0, 1]


def test_copula_keeps_what_a_week_has_on_the_shelf(planted: Transactions) -> None:
    table = GaussianCopula.fit(planted).sample(500, seed=2).frame
    first = table.filter(pl.col("product") == 100)
    assert set(first["base_price"]) == {PRICE[0]}
    assert set(first.filter(pl.col("week") % 2 == 0)["discount"]) == {0.25}
    assert set(first.filter(pl.col("week") % 2 == 1)["discount"]) == {0.0}
    assert set(table.filter(pl.col("category") == "bread")["quantity"]) == {1}


def test_copula_knows_who_buys_much() -> None:
    # Customers who come often have full baskets: the correlation must come back.
    rng = np.random.default_rng(0)
    n_customers, n_categories = 300, 12
    rate = rng.uniform(0.2, 0.9, n_customers)
    customer, week = np.nonzero(rng.random((n_customers, WEEKS)) < rate[:, None])
    bought = rng.random((customer.size, n_categories)) < 0.6 * rate[customer, None]
    trip, category = np.nonzero(bought)
    frame = pl.DataFrame(
        {"week": week[trip] + 1, "customer": customer[trip], "category": category,
         "product": category, "quantity": 1, "unit_price": 1.0, "discount": 0.0}
    )  # fmt: skip
    real = read_transactions(frame, customers=range(n_customers), weeks=WEEKS)

    def correlation(table: Transactions) -> float:
        baskets = trips_of(table)
        trips = np.bincount(baskets.trip_customer, minlength=table.n_customers)
        entries = np.bincount(
            baskets.trip_customer[baskets.entry_trip], minlength=table.n_customers
        )
        came = trips > 0
        return float(np.corrcoef(trips[came], entries[came] / trips[came])[0, 1])

    assert correlation(real) > 0.75
    assert correlation(GaussianCopula.fit(real).sample(600, 1)) > 0.6
    assert abs(correlation(Marginals.fit(real).sample(600, 1))) < 0.15


def test_joint_probability_is_that_of_the_bivariate_normal() -> None:
    a, b = np.array([-1.5, 0.3, -2.5, 0.0]), np.array([-0.2, 1.1, -2.0, 0.0])
    r = np.array([-0.8, 0.5, 0.95, 0.5])
    expected = [
        multivariate_normal.cdf([x, y], cov=[[1, z], [z, 1]])
        for x, y, z in zip(a, b, r, strict=True)
    ]
    np.testing.assert_allclose(joint_probability(a, b, r), expected, atol=1e-6)
    # P(both below 0) = 1/4 + arcsin(r) / (2 pi).
    assert joint_probability(a, b, r)[3] == pytest.approx(1 / 3)


def test_tetrachoric_inverts_it() -> None:
    p = np.array([0.3, 0.1, 0.02])
    together = np.outer(p, p)
    together[0, 1] = together[1, 0] = 0.06
    found = tetrachoric(p, together)
    assert found[0, 2] == pytest.approx(0.0, abs=1e-6)
    from scipy.special import ndtri

    cov = [[1, found[0, 1]], [found[0, 1], 1]]
    assert multivariate_normal.cdf(ndtri(p[:2]), cov=cov) == pytest.approx(0.06, abs=1e-6)


def test_nearest_correlation_is_one() -> None:
    bad = np.array([[1.0, 0.9, -0.9], [0.9, 1.0, 0.9], [-0.9, 0.9, 1.0]])
    assert np.linalg.eigvalsh(bad).min() < 0
    good = nearest_correlation(bad)
    assert np.linalg.eigvalsh(good).min() > 0
    np.testing.assert_allclose(np.diag(good), 1.0)
    fine = np.array([[1.0, 0.5], [0.5, 1.0]])
    np.testing.assert_allclose(nearest_correlation(fine), fine, atol=1e-12)


def test_the_calendar_draws_weeks_without_replacement_in_proportion() -> None:
    trips, week = np.zeros(5), np.array([0.5, 0.25, 0.25, 0.0])
    trips[[0, 1, 3]] = 0.25, 0.5, 0.25
    visits = Calendar(trips, week, np.eye(2)).draw(8000, np.random.default_rng(0))
    cells = visits.customer_k * 10 + visits.week_k
    assert np.unique(cells).size == cells.size
    assert set(visits.week_k) == {1, 2, 3}
    number = np.bincount(visits.customer_k, minlength=8000)
    np.testing.assert_allclose(
        np.bincount(number, minlength=4) / 8000, [0.25, 0.5, 0.0, 0.25], atol=0.02
    )
    single = visits.week_k[number[visits.customer_k] == 1]
    np.testing.assert_allclose(np.bincount(single)[1:] / single.size, week[:3], atol=0.03)
    # More trips, higher score.
    assert visits.score_uf[number == 3, 0].min() > visits.score_uf[number == 1, 0].max()


def test_a_category_off_the_shelf_is_drawn_from_other_weeks(planted: Transactions) -> None:
    frame = planted.frame.filter(~((pl.col("category") == "tea") & (pl.col("week") == 3)))
    table = read_transactions(frame, customers=range(planted.n_customers), weeks=WEEKS)
    shelf = Shelf.fit(table, Records.of(table))
    assert not shelf.stocked_tj(WEEKS)[2, 4]
    assert shelf.stocked_tj(WEEKS).sum() == WEEKS * 5 - 1
    entries = np.zeros(50, np.int64), np.full(50, 3), np.full(50, 4)
    lines = shelf.lines(np.arange(50), *entries[1:], np.random.default_rng(0))
    assert set(lines["category"]) == {"tea"}
    assert set(lines["product"]) <= {112, 113, 114}


def test_bad_input_is_refused(planted: Transactions, tmp_path: Path) -> None:
    generator = Marginals.fit(planted)
    with pytest.raises(ValueError, match="n_customers must be at least 1"):
        generator.sample(0)
    with pytest.raises(ValueError, match="seed must be a whole number"):
        generator.sample(5, seed=0.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="choose from marginals, copula, vae, gan, dp-gan"):
        generator_class("copola")
    with pytest.raises(ValueError, match="at least two of each"):
        Marginals.fit(planted.select([0]))
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none.npz")
    (tmp_path / "bad.npz").write_bytes(b"no zip")
    with pytest.raises(ValueError, match=r"bad\.npz"):
        load(tmp_path / "bad.npz")
    np.savez(tmp_path / "other.npz", a=np.ones(3))
    with pytest.raises(ValueError, match="holds no generator"):
        load(tmp_path / "other.npz")
    generator.save(tmp_path / "cut.npz")
    with np.load(tmp_path / "cut.npz") as file:
        kept = {k: file[k] for k in file.files if k != "own.share_j"}
    np.savez(tmp_path / "cut.npz", **kept)
    with pytest.raises(ValueError, match=r"incomplete.*share_j"):
        load(tmp_path / "cut.npz")


def test_the_room_does_not_load_torch() -> None:
    code = "import sys, retail_gym.generators as g; g.Marginals; assert 'torch' not in sys.modules"
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root, timeout=120)
    assert set(KINDS) == {"marginals", "copula", "vae", "gan", "dp-gan"}


def test_a_table_of_another_seed_differs() -> None:
    assert not make_planted(20, 1).frame.equals(make_planted(20, 2).frame)
