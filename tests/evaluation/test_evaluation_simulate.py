"""One policy, one episode: sources of a store, records, luck, policies of every kind."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import polars as pl
import pytest

from retail_gym import PromotionPlan, RetailPricingEnv, make_world, simulate
from retail_gym.envs.rewards import Margin
from retail_gym.evaluation import METRICS
from retail_gym.policies import (
    Cyclic,
    EverydayLow,
    HighLow,
    Planned,
    UniformRandom,
    no_discount,
    scenario,
)


def same(one, other) -> None:
    assert one.metrics == other.metrics
    assert one.rewards.tolist() == other.rewards.tolist()
    assert one.transactions.equals(other.transactions)


@pytest.fixture(scope="module")
def run(tiny_world):
    return simulate(tiny_world, scenario("III"), weeks=12, seed=4, record=True)


@pytest.mark.parametrize("source", ["preset", "id", "module id", "npz", "npz as text"])
def test_every_source_of_the_same_store_gives_the_same_run(
    source: str, run, tiny_world, tmp_path
) -> None:
    policy = scenario("III")
    if source == "preset":
        other = simulate("tiny", policy, weeks=12, seed=4, record=True)
    elif source == "id":
        other = simulate("RetailSynth-v0", policy, 12, 4, True, preset="tiny")
    elif source == "module id":
        other = simulate("retail_gym:RetailSynth-v0", policy, 12, 4, True, preset="tiny")
    else:
        path = tiny_world.save(tmp_path / "store.npz")
        other = simulate(path if source == "npz" else str(path), policy, 12, 4, True)
    same(run, other)


def test_toml_file_is_a_source(tmp_path) -> None:
    (tmp_path / "mine.toml").write_text('extends = "tiny"\nn_customers = 3\n')
    one = simulate(tmp_path / "mine.toml", scenario("III"), 6, 1, True)
    other = simulate("tiny", scenario("III"), 6, 1, True, n_customers=3)
    assert one.transactions.equals(other.transactions)


def test_result_has_the_figures_in_order_then_the_return(run) -> None:
    assert tuple(run.metrics) == (*METRICS, "return")
    assert run.metrics["return"] == pytest.approx(run.rewards.sum())
    assert run.score == run.metrics["return"]
    assert run.rewards.shape == (12,)
    assert run.segments == []
    assert all(type(value) is float for value in run.metrics.values())


def test_without_record_there_are_no_transactions_and_the_same_figures(run, tiny_world) -> None:
    other = simulate(tiny_world, scenario("III"), weeks=12, seed=4)
    assert other.transactions is None
    assert other.metrics == run.metrics


def test_transactions_have_the_documented_columns(run) -> None:
    assert run.transactions.schema == pl.Schema(
        {
            "week": pl.Int64,
            "customer": pl.Int64,
            "category": pl.Int64,
            "product": pl.Int64,
            "quantity": pl.Int64,
            "unit_price": pl.Float64,
            "discount": pl.Float64,
            "revenue": pl.Float64,
        }
    )


def test_transactions_are_consistent(run, tiny_world) -> None:
    lines = run.transactions
    assert lines["week"].is_in(list(range(1, 13))).all()
    assert lines["customer"].is_between(0, 4).all()
    assert (lines["quantity"] >= 1).all()
    product = lines["product"].to_numpy()
    assert (tiny_world.category_of_product[product] == lines["category"].to_numpy()).all()
    # At most one line per customer, week and category; sorted by week, customer, category.
    keys = lines.select("week", "customer", "category")
    assert keys.is_duplicated().sum() == 0
    assert keys.sort("week", "customer", "category").equals(keys)
    paid = tiny_world.base_price[product] * (1 - lines["discount"].to_numpy())
    assert lines["unit_price"].to_numpy() == pytest.approx(np.maximum(paid, 0.01))


def test_transactions_sum_to_the_figures(run, tiny_world) -> None:
    lines = run.transactions.with_columns(
        base=pl.Series(tiny_world.base_price[run.transactions["product"].to_numpy()])
    )
    sums = lines.select(
        units=pl.col("quantity").sum(),
        revenue=pl.col("revenue").sum(),
        again=(pl.col("quantity") * pl.col("unit_price")).sum(),
        spend=(pl.col("quantity") * (pl.col("base") - pl.col("unit_price"))).sum(),
        margin=(pl.col("quantity") * (pl.col("unit_price") - 0.7 * pl.col("base"))).sum(),
        off=pl.col("discount").mean(),
    ).row(0, named=True)
    assert sums["units"] == run.metrics["units"] > 20
    assert sums["revenue"] == pytest.approx(run.metrics["revenue"])
    assert sums["again"] == pytest.approx(run.metrics["revenue"])
    assert sums["spend"] == pytest.approx(run.metrics["discount_spend"])
    assert sums["margin"] == pytest.approx(run.metrics["margin"])
    assert sums["off"] == pytest.approx(run.metrics["realised_discount"])
    r0 = tiny_world.reward_scale
    weekly = lines.group_by("week").agg(pl.col("revenue").sum()).sort("week")
    expected = np.zeros(12)
    expected[weekly["week"].to_numpy() - 1] = weekly["revenue"].to_numpy() / r0
    assert run.rewards == pytest.approx(expected)


def test_record_of_a_run_without_a_purchase_is_an_empty_frame() -> None:
    run = simulate("tiny", no_discount(), 3, record=True, category_shift=-60.0)
    assert run.transactions.height == 0
    assert run.transactions.columns[0] == "week"


def test_seed_is_the_luck_of_reset_with_that_seed() -> None:
    env = gym.make("RetailSynth-v0", preset="tiny", horizon=10, reward="margin")
    for seed in (0, 7):
        env.reset(seed=seed)
        rewards = [env.step(np.array([0.25, 0.6], np.float32))[1] for _ in range(10)]
        run = simulate("tiny", HighLow(0.25, 0.6), 10, seed, reward="margin")
        assert run.rewards.tolist() == rewards


def test_seeds_differ_and_repeat(run, tiny_world) -> None:
    same(run, simulate(tiny_world, scenario("III"), weeks=12, seed=4, record=True))
    other = simulate(tiny_world, scenario("III"), weeks=12, seed=5, record=True)
    assert not other.transactions.equals(run.transactions)


def test_longer_run_starts_with_the_shorter_one(run, tiny_world) -> None:
    longer = simulate(tiny_world, scenario("III"), weeks=20, seed=4, record=True)
    assert longer.rewards.shape == (20,)
    assert longer.transactions.filter(pl.col("week") <= 12).equals(run.transactions)


def test_environment_arguments_pass_through(tiny_world) -> None:
    r0 = tiny_world.reward_scale
    by_margin = simulate("tiny", scenario("III"), 6, reward="margin")
    assert by_margin.score == pytest.approx(by_margin.metrics["margin"] / r0)
    assert by_margin.score == simulate("tiny", scenario("III"), 6, reward=Margin()).score
    other_world = simulate("tiny", scenario("III"), 6, record=True, world_seed=3)
    assert other_world.metrics == simulate(make_world("tiny", 3), scenario("III"), 6).metrics
    fewer = simulate("tiny", scenario("III"), 6, record=True, n_customers=2)
    assert set(fewer.transactions["customer"]) <= {0, 1}
    overridden = simulate("tiny", scenario("III"), 6, gamma_store_0=-50.0, gamma_store_1=0.0)
    assert overridden.metrics["visit_rate"] == pytest.approx(1 / 6)  # week 1 only


def test_burn_in_weeks_are_not_reported() -> None:
    run = simulate("tiny", no_discount(), 5, seed=2, burn_in=4)
    env = RetailPricingEnv("tiny", horizon=5, burn_in=4)
    env.reset(seed=2)
    info = [env.step(np.zeros(2, np.float32))[4] for _ in range(5)]
    assert run.metrics["units"] == sum(week["units"] for week in info)
    assert run.metrics["retention"] == info[-1]["retention"]


class Spy:
    """Remembers how it was called."""

    def __init__(self) -> None:
        self.seeds, self.weeks, self.seen = [], [], []

    def reset(self, seed):
        self.seeds.append(seed)

    def __call__(self, observation, week):
        self.weeks.append(week)
        self.seen.append(observation.copy())
        return np.array([0.1 * (week % 5), 0.6])


def test_policy_sees_the_observation_and_the_week_and_is_reset() -> None:
    spy = Spy()
    simulate("tiny", spy, 6, seed=9)
    simulate("tiny", spy, 6, seed=2)
    assert spy.seeds == [9, 2]
    assert spy.weeks == [1, 2, 3, 4, 5, 6] * 2
    env = RetailPricingEnv("tiny", horizon=6)
    seen = [env.reset(seed=2)[0]]
    seen += [env.step(np.array([0.1 * (week % 5), 0.6]))[0] for week in range(1, 6)]
    assert np.array_equal(spy.seen[6:], seen)


def test_random_policy_repeats_itself() -> None:
    policy = UniformRandom()
    one = simulate("tiny", policy, 8, seed=1, record=True)
    simulate("tiny", policy, 3, seed=5)
    same(one, simulate("tiny", policy, 8, seed=1, record=True))


@pytest.mark.parametrize("make", [np.array, list, tuple], ids=["array", "list", "tuple"])
def test_action_of_two_numbers_serves_every_segment(make) -> None:
    alone = simulate("tiny", HighLow(0.25, 0.5), 6, seed=1, record=True)
    for segments in (1, 3):
        run = simulate("tiny", lambda o, w: make([0.25, 0.5]), 6, 1, True, segments=segments)
        assert run.transactions.equals(alone.transactions)
        assert run.metrics == pytest.approx(alone.metrics, rel=1e-12)  # means over segments


def test_promotion_plans_are_actions() -> None:
    run = simulate("tiny", EverydayLow(0.2), 6, seed=1, record=True)
    assert run.metrics["effective_discount"] == pytest.approx(0.2)
    assert run.metrics["realised_discount"] == pytest.approx(0.2)
    assert run.transactions["discount"].to_numpy() == pytest.approx(0.2)


def test_high_low_is_the_plan_of_its_numbers() -> None:
    plan = Planned(PromotionPlan.high_low(0.25, 0.6))
    same(
        simulate("tiny", plan, 8, 3, True),
        simulate("tiny", HighLow(0.25, 0.6), 8, 3, True),
    )
    in_segments = simulate("tiny", plan, 8, 3, True, segments=2)
    assert in_segments.transactions.equals(simulate("tiny", plan, 8, 3, True).transactions)


def test_list_of_plans_is_one_per_segment(tiny_world) -> None:
    deep, none = PromotionPlan(1.0, 1.0, 0.4), PromotionPlan.none()
    run = simulate(tiny_world, lambda o, w: [deep, none], 10, 1, True, segments=2)
    sensitive, _ = tiny_world.segment_customers(2)
    cheap = run.transactions["customer"].is_in(sensitive.tolist())
    assert 0 < cheap.sum() < len(cheap)
    assert run.transactions.filter(cheap)["discount"].to_numpy() == pytest.approx(0.4)
    assert run.transactions.filter(~cheap)["discount"].to_numpy() == pytest.approx(0.0)
    assert run.metrics["effective_discount"] == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.array([0.1, np.nan]), "NaN"),
        (np.array([0.6, 0.3]), "out of bounds"),
        (np.array([0.1, 0.2, 0.3]), "shape"),
        ("cheap", "array of numbers"),
        ([PromotionPlan.none()] * 2, "one PromotionPlan per segment"),
    ],
)
def test_bad_action_names_the_week(bad, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        simulate("tiny", lambda o, week: bad if week == 3 else np.zeros(2), 5)
    assert "week 3" in str(caught.value)


def test_cycle_in_the_simulated_weeks() -> None:
    policy = Cyclic([(0.0, 0.0), (0.5, 0.6)])
    run = simulate("small", policy, 4, 0, record=True, n_customers=10)
    by_week = dict(run.transactions.group_by("week").agg(pl.col("discount").max()).iter_rows())
    assert by_week[1] == by_week[3] == 0.0
    assert min(by_week[2], by_week[4]) > 0.3


def test_unknown_argument_names_the_valid_ones(tiny_world) -> None:
    with pytest.raises(TypeError, match="gamma_stor_1") as caught:
        simulate("tiny", no_discount(), 2, gamma_stor_1=1.0)
    for valid in ("gamma_store_1", "n_customers", "reward", "segments"):
        assert valid in str(caught.value)
    with pytest.raises(TypeError, match="n_customers"):
        simulate(tiny_world, no_discount(), 2, n_customers=3)


def test_unknown_names_are_errors_with_the_choices() -> None:
    with pytest.raises(ValueError, match="tiny"):
        simulate("tinny", no_discount(), 2)
    with pytest.raises(ValueError, match="balanced"):
        simulate("tiny", no_discount(), 2, reward="profit")
    with pytest.raises(ValueError, match="reference"):
        simulate("tiny", no_discount(), 2, kernel="fast")


@pytest.mark.parametrize("name", ["weeks", "seed", "segments_reported"])
@pytest.mark.parametrize("value", [-1, 1.5, "2"])
def test_numbers_are_checked(name: str, value) -> None:
    with pytest.raises(ValueError, match=name.split("_")[0]):
        simulate("tiny", no_discount(), **({"weeks": 2} | {name: value}))


def test_zero_weeks_is_an_error() -> None:
    with pytest.raises(ValueError, match="weeks must be at least 1"):
        simulate("tiny", no_discount(), weeks=0)
