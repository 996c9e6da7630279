"""What no real table has: against other computations of it, and against simulated purchases."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from datasets import make, recipe_of, table

import retail_gym
from retail_gym.data.plan import episode_key, record_plan
from retail_gym.data.recipe import Truth
from retail_gym.data.shard import shelves
from retail_gym.evaluation.elasticities import expected_demand
from retail_gym.policies import EverydayLow, make_policy
from retail_gym.simulator import Simulator, simulate_weeks
from retail_gym.world.layers import Layers, VisitLayer

LEVEL = 0.3


def exact(folder_a, folder_b, week):
    """Level 0 of a (at 30 %) beside what was offered in b, in one week."""
    a = table(folder_a, "truth_responses").filter((pl.col("level") == 0) & (pl.col("week") == week))
    b = table(folder_b, "truth_responses").filter(
        (pl.col("level") == -1) & (pl.col("week") == week)
    )
    return a.sort("customer"), b.sort("customer")


class ThenEveryday:
    """Policy III until week 2, in week 3 everything at 30 % off."""

    open_loop = True

    def __call__(self, observation, week):
        return (EverydayLow(LEVEL) if week == 3 else make_policy("III"))(observation, week)


@pytest.fixture(scope="module")
def worlds_apart(tmp_path_factory):
    """The same 150 customers and past; in week 3 policy III goes on, or everything is 30 % off."""
    root = tmp_path_factory.mktemp("apart")
    settings = {"customers": 150, "weeks": 3, "shard_customers": 60, "truth": Truth(None, (LEVEL,))}
    make(root / "III", recipe_of("small", "III", **settings))
    make(root / "off", recipe_of("small", "then", **settings), ThenEveryday())
    return root


def test_dose_is_what_would_have_been_offered(worlds_apart):
    """The answer at a level is the answer of the store in which that level was offered."""
    a, b = exact(worlds_apart / "III", worlds_apart / "off", 3)
    assert a.height == 150
    for name in ("discount", "visit_probability", "units_if_visit", "revenue_if_visit", "units"):
        np.testing.assert_allclose(a[name], b[name], rtol=1e-9)
    # It is another answer than that to what was offered there.
    offered = table(worlds_apart / "III", "truth_responses").filter(
        (pl.col("level") == -1) & (pl.col("week") == 3)
    )
    assert abs(offered["units"].mean() / a["units"].mean() - 1.0) > 0.1


def z_of(folder, responses, weeks, column="units"):
    """Standard score of what was bought less what was expected: a sum of independent surprises."""
    name = {"units": "quantity", "revenue": "revenue"}[column]
    bought = (
        table(folder, "transactions")
        .group_by("week", "customer")
        .agg(pl.col(name).sum().alias("y"))
    )
    both = responses.join(bought, on=["week", "customer"], how="left")
    both = both.filter(pl.col("week").is_in(list(weeks))).with_columns(pl.col("y").fill_null(0))
    surprise = (both["y"] - both[column]).to_numpy()
    return surprise.sum() / np.sqrt((surprise**2).sum()), both[column].sum(), surprise


def test_responses_are_means_of_what_is_bought(worlds_apart):
    """Demand at 30 % as expected under policy III, beside purchases where it was offered.

    |z| < 4.5: one false alarm in 150,000 tests; 4 tests. 150 customers tell a bias of about 20 %.
    """
    counterfactual, _ = exact(worlds_apart / "III", worlds_apart / "off", 3)
    for column in ("units", "revenue"):
        z, _, _ = z_of(worlds_apart / "off", counterfactual, [3], column)
        assert abs(z) < 4.5
        offered = table(worlds_apart / "III", "truth_responses").filter(pl.col("level") == -1)
        z, _, _ = z_of(worlds_apart / "III", offered, [1, 2, 3], column)
        assert abs(z) < 4.5


@pytest.mark.slow
@pytest.mark.parametrize("level", [0.0, 0.2, 0.5])
def test_dose_and_response_against_brute_force(tmp_path, level):
    """2,000 customers under each discount: expected demand within 4.5 standard errors of at most 2 %."""
    settings = {"customers": 2000, "weeks": 6, "shard_customers": 1000}
    truth = Truth(None, (level,))
    make(tmp_path, recipe_of("small", "off", truth=truth, **settings), EverydayLow(level))
    responses = table(tmp_path, "truth_responses").filter(pl.col("level") == 0)
    for column in ("units", "revenue"):
        z, expected, surprise = z_of(tmp_path, responses, range(1, 7), column)
        assert abs(z) < 4.5
        assert np.sqrt((surprise**2).sum()) / expected < 0.02


@pytest.fixture(scope="module")
def against_model(tmp_path_factory):
    """A dataset with segments, and the weeks of the same store from a simulator."""
    folder = tmp_path_factory.mktemp("model")
    inertia = retail_gym.world.priors.Uniform(0.1, 0.6)
    recipe = recipe_of("tiny", "III", weeks=9, segments=2, truth=Truth(None, (0.2,)))
    object.__setattr__(recipe, "config", recipe.config.override(theta=inertia))
    make(folder, recipe)
    world = retail_gym.make_world(recipe.config)
    plan = record_plan(recipe.config, make_policy("III"), world_seed=0, seed=3, weeks=9, segments=2)
    key = episode_key(3)
    simulator = Simulator(world, key, world.segment_customers(2), "reference")
    weeks = []
    for _, shelf in shelves(recipe, plan, world):
        before = simulator.memory
        (outcome,) = simulate_weeks([simulator], shelf)
        weeks.append((before, simulator.memory, shelf, outcome))
    return folder, world, key, weeks


def test_visit_probability_is_the_simulators(against_model):
    folder, _, _, weeks = against_model
    ours = table(folder, "truth_responses").filter(pl.col("level") == -1)
    for week, (_, memory, _, _) in enumerate(weeks, start=1):
        rows = ours.filter(pl.col("week") == week).sort("customer")
        np.testing.assert_allclose(rows["visit_probability"], memory.visit_probability, rtol=1e-12)
    assert ours["visit_probability"].n_unique() > 10


def test_probabilities_and_elasticities_of_purchases(against_model):
    folder, world, key, weeks = against_model
    ours = table(folder, "truth_purchases")
    lines = table(folder, "transactions")
    by = ["week", "customer", "category", "product"]
    assert ours.select(by).sort(by).equals(lines.select(by).sort(by))
    compared = 0
    for week, (before, _, shelf, outcome) in enumerate(weeks, start=1):
        rows = ours.filter(pl.col("week") == week)
        for row in rows.iter_rows(named=True):
            u, i = row["customer"], row["product"]
            s = outcome.segment_of_customer[u]
            demand = expected_demand(
                world, shelf.price[0, s], before, seed=key, week=week, customers=[u],
                discount_i=shelf.discount[0, s],
            )  # fmt: skip
            product = row["visit_probability"] * row["category_probability"]
            product *= row["product_probability"] * row["expected_quantity"]
            assert product == pytest.approx(demand.quantity[0, i], rel=1e-9)
            for name, theirs in (
                ("store", demand.store), ("category", demand.category),
                ("product", demand.product), ("quantity", demand.units),
            ):  # fmt: skip
                assert row[f"elasticity_{name}"] == pytest.approx(theirs[0, i], rel=1e-9, abs=1e-12)
            assert row["elasticity"] == pytest.approx(demand.overall[0, i], rel=1e-9)
            compared += week > 1
    assert compared > 5


def test_sample_is_spread_and_its_truth_that_of_everybody(tmp_path):
    assert Truth(3).sample(100).tolist() == [0, 49, 99]
    assert Truth(500).sample(4).tolist() == [0, 1, 2, 3]
    assert Truth(None).sample(4).tolist() == [0, 1, 2, 3]
    settings = {"customers": 30, "weeks": 3, "shard_customers": 7}
    for name, truth in (("some", Truth(4, (0.1,))), ("all", Truth(None, (0.1,)))):
        make(tmp_path / name, recipe_of("small", truth=truth, **settings))
    some, everybody = (table(tmp_path / name, "truth_responses") for name in ("some", "all"))
    sample = Truth(4).sample(30).tolist()
    assert sorted(some["customer"].unique()) == sample
    assert some.equals(everybody.filter(pl.col("customer").is_in(sample)))


def test_truth_of_products_and_customers(against_model):
    folder, world, _, _ = against_model
    products = table(folder, "truth_products")
    assert np.array_equal(products["quality"], world.z)
    assert np.array_equal(
        products["category_weight"], world.gamma_cate_1[world.category_of_product]
    )
    customers = table(folder, "truth_customers").sort("customer")
    beta_w = world.c * world.beta_u[:, None] * world.beta_i
    np.testing.assert_allclose(customers["price_sensitivity"], beta_w.mean(axis=1))
    assert np.array_equal(customers["inertia"], world.theta)


def test_visits_of_a_store_with_layers(tmp_path):
    """Drift, shared weeks and the opening are in the visit probability; |z| < 4.5 of visits."""
    layers = Layers(
        visit=VisitLayer(intercept=-0.5, drift_sd=1.0, drift_memory=0.9, week_sd=0.8, opening=0.5)
    )
    recipe = recipe_of("tiny", weeks=5, truth=Truth(None, (0.2,)))
    object.__setattr__(recipe, "config", recipe.config.override(layers=layers, n_customers=60))
    object.__setattr__(recipe, "shard_customers", 25)
    make(tmp_path, recipe)
    world = retail_gym.make_world(recipe.config)
    plan = record_plan(recipe.config, make_policy("III"), world_seed=0, seed=3, weeks=5, segments=1)
    simulator = Simulator(world, episode_key(3), None, "reference")
    ours = table(tmp_path, "truth_responses").filter(pl.col("level") == -1)
    for week, shelf in shelves(recipe, plan, world):
        simulate_weeks([simulator], shelf)
        rows = ours.filter(pl.col("week") == week).sort("customer")
        theirs = simulator.memory.visit_probability
        np.testing.assert_allclose(rows["visit_probability"], theirs, rtol=1e-9)
    assert table(tmp_path, "truth_purchases")["elasticity"].is_nan().all()
