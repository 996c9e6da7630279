"""Datasets: what is in them, that nothing but the recipe decides it, and that runs go on."""

from __future__ import annotations

import errno
import json
import tempfile
from dataclasses import replace

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from datasets import TRUTH, make, recipe_of, table, tree

import retail_gym
from retail_gym.data import generate as module
from retail_gym.data.executors import Pool, Ray, make_executor
from retail_gym.data.lineage import MANIFEST, RUNS
from retail_gym.data.plan import Plan, record_plan
from retail_gym.data.recipe import Recipe, Truth
from retail_gym.data.shard import BlockKernel, draw_block
from retail_gym.data.star import ROW_GROUP, SCHEMA_VERSION, TABLES, TableWriter
from retail_gym.data.verify import verify
from retail_gym.envs.pricing import RetailPricingEnv
from retail_gym.kernels.layered import NONE, empty_places
from retail_gym.policies import Targeted, make_policy, scenario
from retail_gym.simulator import Simulator
from retail_gym.world.layers import (
    AssortmentLayer,
    AvailabilityLayer,
    BasketLayer,
    HabitLayer,
    Layers,
    QuantityLayer,
    VisitLayer,
)
from retail_gym.world.priors import Normal, Uniform


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """100 customers of the small store in shards of 30, two segments priced apart."""
    folder = tmp_path_factory.mktemp("small")
    recipe = recipe_of("small", "two", segments=2, shard_customers=30, weeks=6)
    manifest = make(folder, recipe, Targeted([(0.4, 0.6), (0.1, 0.3)]))
    return folder, recipe, manifest


def test_shards_together_are_one_simulation_of_the_store(small):
    folder, _, _ = small
    run = retail_gym.simulate(
        "small", Targeted([(0.4, 0.6), (0.1, 0.3)]), weeks=6, seed=3, segments=2, record=True
    )
    ours = table(folder, "transactions").sort("week", "customer", maintain_order=True)
    assert ours.height == run.transactions.height > 500
    for name in run.transactions.columns:
        assert (ours[name] == run.transactions[name]).all(), name
    assert (ours["revenue"].sum(), run.metrics["revenue"]) == pytest.approx((run.metrics["revenue"],) * 2)  # fmt: skip
    visits = table(folder, "visits")
    assert visits["visited"].mean() == pytest.approx(run.metrics["visit_rate"])
    assert visits.height == 100 * 6


def test_prices_explain_every_purchase(small):
    folder, _, _ = small
    lines = table(folder, "transactions").join(table(folder, "customers"), on="customer")
    lines = lines.join(table(folder, "prices"), on=["week", "segment", "product"], suffix="_shelf")
    assert lines.height == table(folder, "transactions").height
    assert (lines["unit_price"] == lines["price"]).all()
    assert ((lines["discount"] > 1e-12) == lines["promoted"]).all()
    shop = table(folder, "products")
    lines = lines.join(shop, on="product", suffix="_list")
    assert (lines["base_price"] == lines["base_price_list"]).all()
    assert (lines["category"] == lines["category_list"]).all()
    came = lines.join(table(folder, "visits"), on=["week", "customer"])
    assert came["visited"].all()
    # Segments differ in what they are offered.
    means = (
        table(folder, "prices").group_by("segment").agg(pl.col("discount").mean()).sort("segment")
    )
    assert means["discount"][0] > 3 * means["discount"][1]


def test_segments_are_those_of_the_whole_store(small):
    folder, _, _ = small
    groups = retail_gym.make_world("small").segment_customers(2)
    customers = table(folder, "customers")
    for s, members in enumerate(groups):
        ours = customers.filter(pl.col("segment") == s)["customer"]
        assert sorted(ours) == sorted(members.tolist())


def test_files_carry_units_meaning_and_origin(small):
    folder, recipe, manifest = small
    file = pq.ParquetFile(folder / TABLES["transactions"].path(1))
    schema = file.schema_arrow
    assert schema.metadata[b"retail_gym.dataset"].decode() == recipe.hash
    assert schema.metadata[b"retail_gym.schema_version"].decode() == str(SCHEMA_VERSION)
    for field in schema:
        assert field.metadata[b"unit"]
        assert field.metadata[b"description"]
    assert schema.field("unit_price").metadata[b"unit"] == b"$"
    assert manifest["rows"] == {name: table(folder, name).height for name in manifest["rows"]}
    card = (folder / "README.md").read_text()
    assert manifest["manifest_sha256"] in card
    assert "### transactions" in card
    assert "| unit_price | double | $ | price paid for a unit |" in card
    (run,) = (folder / RUNS).read_text().splitlines()
    assert json.loads(run)["manifest_sha256"] == manifest["manifest_sha256"]


def test_dataset_is_read_as_transactions(small):
    folder, _, manifest = small
    ours = retail_gym.data.read_dataset(folder)
    assert (ours.n_customers, ours.n_weeks) == (100, 6)
    assert ours.facts["rows"] == manifest["rows"]["transactions"]


def test_categories_with_names_go_by_them(tmp_path):
    """The store of the Complete Journey knows which category is which, a tiny one does not."""
    manifest = make(tmp_path, recipe_of("complete_journey", customers=3, weeks=2))
    assert manifest["rows"]["categories"] == 302
    names = table(tmp_path, "categories")
    assert names["category"].to_list() == list(range(302))
    assert verify(tmp_path) == []
    assert "### categories: 302 rows" in (tmp_path / "README.md").read_text()
    ours = retail_gym.data.read_dataset(tmp_path).frame
    numbers = table(tmp_path, "transactions").join(names, on="category", maintain_order="left")
    assert ours["product"].to_list() == numbers["product"].to_list()
    assert ours["category"].to_list() == numbers["category_name"].to_list()
    # Against the shop's own list: products by category.
    sizes = dict(
        table(tmp_path, "products")
        .join(names, on="category")["category_name"]
        .value_counts()
        .rows()
    )
    assert (sizes["cheese"], sizes["fluid milk products"]) == (220, 135)
    tiny = make(tmp_path / "tiny", recipe_of())
    assert "categories" not in tiny["rows"]
    bought = retail_gym.data.read_dataset(tmp_path / "tiny")
    with pytest.raises(ValueError, match="1 names"):
        bought.with_names(["bread"])


def test_workers_make_the_same_bytes(tmp_path):
    recipe = recipe_of(truth=TRUTH)
    one = make(tmp_path / "one", recipe, executor=Pool(1))
    two = make(tmp_path / "two", recipe, executor=Pool(2))
    assert one == two
    assert tree(tmp_path / "one") == tree(tmp_path / "two")
    assert len(tree(tmp_path / "one")) == 3 * 6 + 3 + 3


@pytest.mark.parametrize("workers", [1, 2])
def test_ray_makes_the_same_bytes(tmp_path, workers):
    """On a cluster of its own; more parts than may be made at a time."""
    pytest.importorskip("ray")
    recipe = recipe_of(truth=TRUTH)
    assert recipe.n_shards > 2
    make(tmp_path / "one", recipe)
    make(tmp_path / "ray", recipe, executor=Ray(workers))
    assert tree(tmp_path / "one") == tree(tmp_path / "ray")


def test_ray_uses_the_cluster_that_runs_and_passes_errors_on(tmp_path):
    ray = pytest.importorskip("ray")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)

    def work(task):
        number, folder = task
        mine = folder / f"{number}"
        mine.touch()
        together = len(list(folder.iterdir()))
        mine.unlink()
        if number == 7:
            raise OSError(errno.ENOSPC, "No space left on device")
        return number, together

    try:
        some = [(number, tmp_path) for number in range(6)]
        # One at a time, though the cluster has two CPUs: in order, nobody meets another.
        assert list(Ray(1).run(work, some)) == [(number, 1) for number in range(6)]
        assert sorted(number for number, _ in Ray().run(work, some)) == list(range(6))
        with pytest.raises(OSError, match="No space left") as caught:
            list(Ray(2).run(work, [(7, tmp_path), *some]))
        assert caught.value.errno == errno.ENOSPC
        assert ray.is_initialized()  # it is not ours to end
    finally:
        ray.shutdown()


def test_another_seed_store_or_policy_is_another_dataset(tmp_path):
    recipe = recipe_of()
    make(tmp_path / "a", recipe)
    lines = table(tmp_path / "a", "transactions")
    others = [
        replace(recipe, seed=4),
        replace(recipe, world_seed=1),
        replace(recipe, policy="V"),
        replace(recipe, config=recipe.config.override(c=-1.0)),
    ]
    for k, other in enumerate(others):
        assert other.hash != recipe.hash
        make(tmp_path / str(k), other)
        assert not table(tmp_path / str(k), "transactions").equals(lines)


#: Stores that the kernel goes through in different ways.
STORES = {
    "paper": {},
    "inertia, no cap": {"theta": Uniform(0.2, 0.7), "clip_percentile": 100.0},
    "coefficients that must be stored": {"beta_x": Normal(0.3, 0.1), "features": "persistent"},
    "random marketing": {"marketing": "noise", "gamma_store_2": 0.5},
    "layers": {
        "layers": Layers(
            visit=VisitLayer(intercept=Normal(0.5, 1.0), drift_sd=0.7, drift_memory=0.9,
                             week_sd=0.5, opening=0.6),
            basket=BasketLayer(size_sd=0.5, trip_sd=0.4, factors=2, taste_loading=0.4,
                               trip_loading=0.3, affinity_sd=0.5, something=True),
            assortment=AssortmentLayer(log_rate=-0.5, basket_weight=0.4),
            quantity=QuantityLayer(size=2.0, customer_sd=0.4),
            habit=HabitLayer(repeat=0.5, memory=3),
            availability=AvailabilityLayer(seasonal=0.4),
        )
    },
    "layers, everybody in week 1": {"layers": Layers(habit=HabitLayer(repeat=0.6))},
}  # fmt: skip


def test_nobody_else_comes_to_a_shards_store():
    """Nor is anything remembered of others: memory of late shards would grow with the store."""
    for layers in (None, *(store["layers"] for store in STORES.values() if "layers" in store)):
        recipe = recipe_of("small", customers=60)
        recipe = replace(recipe, config=recipe.config.override(layers=layers))
        block = range(40, 50)
        world = draw_block(recipe, block)
        assert world.n_customers == 50
        simulator = Simulator(world, 1, None, BlockKernel(block))
        came = np.zeros(50, dtype=bool)
        for _ in range(4):
            outcome = simulator.step(world.base_price, discount_si=np.zeros(world.n_products))
            came |= outcome.visited
        assert came[40:].sum() >= 5
        assert not came[:40].any()
    places = empty_places(world, layers.habit, range(45, 48))
    assert places.shape == (50, world.n_categories, layers.habit.memory)
    assert (places[45:48] == NONE).all()


@pytest.mark.parametrize("store", STORES)
def test_the_size_of_shards_changes_files_not_rows(tmp_path, store):
    recipe = recipe_of(customers=12, shard_customers=12, truth=Truth(4, (0.2,)))
    recipe = replace(recipe, config=recipe.config.override(**STORES[store]))
    make(tmp_path / "whole", recipe)
    make(tmp_path / "parts", replace(recipe, shard_customers=5))
    for name in ("transactions", "visits", "customers", "truth_purchases", "truth_responses"):
        a, b = (table(tmp_path / k, name) for k in ("whole", "parts"))
        by = [c for c in ("week", "level", "customer", "category") if c in a.columns]
        b = b.sort(by, maintain_order=True)
        if not name.startswith("truth"):
            assert a.equals(b), name
        for column in a.columns:  # sums of another number of customers may round differently
            np.testing.assert_allclose(a[column], b[column], rtol=1e-12, err_msg=name)
    run = retail_gym.simulate(recipe.config, scenario("III"), weeks=5, seed=3, record=True)
    lines = table(tmp_path / "whole", "transactions")
    assert lines.height == run.transactions.height > 10
    for name in ("week", "customer", "product", "quantity", "unit_price"):
        assert (lines[name] == run.transactions[name]).all(), name


class Reacting:
    """Discounts deeper the fewer came last week: what it does depends on the whole store."""

    def __call__(self, observation, week):
        return np.array([0.5 * (1.0 - observation[2]), 0.6], dtype=np.float32)


def test_a_policy_that_looks_sees_the_whole_store(tmp_path):
    recipe = recipe_of("small", "reacting", weeks=4, shard_customers=40)
    make(tmp_path, recipe, Reacting())
    run = retail_gym.simulate("small", Reacting(), weeks=4, seed=3, record=True)
    ours = table(tmp_path, "transactions").sort("week", "customer", maintain_order=True)
    assert (ours["product"] == run.transactions["product"]).all()
    assert (ours["unit_price"] == run.transactions["unit_price"]).all()


def test_open_loop_policies_say_so_truly():
    class Blind:
        """As the policy, but it does not say so: it is run over the store."""

        def __init__(self, policy):
            self.policy = policy
            if hasattr(policy, "reset"):
                self.reset = policy.reset

        def __call__(self, observation, week):
            return self.policy(observation, week)

    config = recipe_of().config
    settings = {"world_seed": 0, "seed": 5, "weeks": 7, "segments": 1}
    for name in ("III", "none", "everyday_low", "cyclic", "pulse", "random"):
        policy = make_policy(name)
        assert policy.open_loop
        asked = record_plan(config, policy, **settings)
        ran = record_plan(config, Blind(make_policy(name)), **settings)
        assert repr(asked) == repr(ran), name


def test_plan_comes_back(tmp_path):
    config = recipe_of().config
    per_product = retail_gym.world.store_config.PromotionPlan(np.linspace(0.1, 0.9, 9), 0.5, 0.3)
    policies = [make_policy("random"), lambda observation, week: per_product]
    for policy in policies:
        plan = record_plan(config, policy, world_seed=0, seed=1, weeks=3, segments=1)
        plan.save(tmp_path / "plan.json")
        again = Plan.load(tmp_path / "plan.json")
        for ours, theirs in zip(again.weeks, plan.weeks, strict=True):
            for name in ("a01", "a11", "depth"):
                assert np.array_equal(getattr(ours[0], name), getattr(theirs[0], name))
    (tmp_path / "plan.json").write_text('{"plans": [], "weeks": [[0]]}')
    with pytest.raises(ValueError, match="no promotion plan"):
        Plan.load(tmp_path / "plan.json")


def test_recipe_comes_back():
    recipe = recipe_of(truth=Truth(3, (0.0, 0.25)), segments=2)
    again = Recipe.from_plain(json.loads(json.dumps(recipe.plain())))
    assert again.hash == recipe.hash
    with pytest.raises(ValueError, match="no recipe"):
        Recipe.from_plain({"config": {}})
    with pytest.raises(ValueError, match="a truth level"):
        Truth(levels=(1.5,))


def test_large_stores_have_larger_shards():
    sizes = {10: 2500, 25_000: 2500, 25_001: 2501, 100_000: 10_000}
    for customers, size in sizes.items():
        recipe = recipe_of(customers=customers, shard_customers=0)
        assert recipe.shard_customers == size
        assert recipe.hash == recipe_of(customers=customers, shard_customers=size).hash


def test_a_finished_dataset_is_left_alone_and_another_refused(tmp_path):
    recipe = recipe_of()
    first = make(tmp_path, recipe)
    before = tree(tmp_path)
    log = (tmp_path / RUNS).read_bytes()
    assert make(tmp_path, recipe) == first
    assert tree(tmp_path) == before
    assert (tmp_path / RUNS).read_bytes() == log
    with pytest.raises(ValueError, match="of another recipe"):
        make(tmp_path, replace(recipe, seed=9))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"holds 'notes.txt' already"):
        make(tmp_path / "full", recipe)


def test_a_run_goes_on_and_makes_damaged_shards_again(tmp_path, monkeypatch):
    recipe, made = recipe_of(truth=TRUTH), []
    make(tmp_path / "whole", recipe)
    part = module.make_part

    def failing(task):
        made.append(task[2])
        if task[2] == 2:
            raise KeyboardInterrupt
        return part(task)

    monkeypatch.setattr(module, "make_part", failing)
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "cut", recipe)
    assert made == [-1, 0, 1, 2]
    assert not (tmp_path / "cut" / MANIFEST).exists()
    with pytest.raises(ValueError, match="of another recipe"):
        make(tmp_path / "cut", replace(recipe, seed=9))
    damaged = tmp_path / "cut" / TABLES["visits"].path(1)
    damaged.write_bytes(damaged.read_bytes()[:-1])
    made.clear()
    monkeypatch.setattr(module, "make_part", lambda task: made.append(task[2]) or part(task))
    make(tmp_path / "cut", recipe)
    assert made == [1, 2]  # shard 0 was whole
    assert tree(tmp_path / "cut") == tree(tmp_path / "whole")


class Full:
    """A disk with room for so many bytes: what is written beyond raises ENOSPC."""

    def __init__(self, monkeypatch, room):
        self.room, make_file = room, tempfile.NamedTemporaryFile

        def limited(*arguments, **keywords):
            handle = make_file(*arguments, **keywords)
            write = handle.write

            def checked(data):
                self.room -= len(memoryview(data).cast("B"))
                if self.room < 0:
                    raise OSError(errno.ENOSPC, "No space left on device")
                return write(data)

            handle.write = checked
            return handle

        monkeypatch.setattr(tempfile, "NamedTemporaryFile", limited)


@pytest.mark.parametrize("room", [10, 3000, 20_000, 60_000])
def test_a_full_disk_says_so_and_the_run_goes_on(tmp_path, monkeypatch, room):
    recipe = recipe_of(truth=TRUTH)
    with monkeypatch.context() as patch:
        Full(patch, room)
        with pytest.raises(OSError, match="No space left on device") as caught:
            make(tmp_path / "full", recipe)
    assert caught.value.errno == errno.ENOSPC
    assert not list(tmp_path.rglob("*.tmp"))
    make(tmp_path / "full", recipe)
    make(tmp_path / "whole", recipe)
    assert tree(tmp_path / "full") == tree(tmp_path / "whole")


def test_rows_are_written_in_groups(tmp_path):
    writer = TableWriter(tmp_path, "0", [TABLES["visits"]], 0)
    with writer as out:
        for week in range(1, 4):
            out.add("visits", week=week, customer=np.arange(ROW_GROUP // 2), visited=True)
            assert sum(batch.num_rows for batch in out._waiting["visits"]) < ROW_GROUP
    file = pq.ParquetFile(tmp_path / TABLES["visits"].path(0))
    assert [file.metadata.row_group(k).num_rows for k in range(2)] == [ROW_GROUP, ROW_GROUP // 2]
    with pytest.raises(TypeError, match="no column extra"), writer as out:
        out.add("visits", week=1, customer=np.arange(2), visited=True, extra=1)


def test_executors_by_name():
    assert make_executor("pool", 3) == Pool(3)
    assert make_executor("ray", None) == Ray()
    with pytest.raises(ValueError, match="unknown executor 'rai': choose from pool, ray"):
        make_executor("rai", 1)


def test_an_action_out_of_bounds_names_the_week():
    config = recipe_of().config
    with pytest.raises(ValueError, match="in week 2"):
        record_plan(
            config,
            lambda observation, week: np.array([0.3 * week, 0.5]),
            world_seed=0, seed=0, weeks=3, segments=1,
        )  # fmt: skip


def test_policy_scenario_is_the_environments_own(tmp_path):
    """The luck of a dataset is that of ``env.reset(seed=seed)``."""
    env = RetailPricingEnv("tiny", horizon=5)
    env.reset(seed=3)
    make(tmp_path, recipe_of())
    units = 0
    for _ in range(5):
        *_, info = env.step(scenario("III")(None, 1))
        units += info["units"]
    assert table(tmp_path, "transactions")["quantity"].sum() == units
