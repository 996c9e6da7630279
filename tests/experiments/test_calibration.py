"""The calibration study on a small stand-in for the real data."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import polars as pl
import pytest
from matplotlib.image import imread

from experiments.calibration import __main__ as command
from experiments.calibration import elasticity, likeness, pictures, protocols, tables
from experiments.calibration import study as studies
from experiments.calibration.parts import PARTS, without
from experiments.calibration.protocols import GOALS, Goal
from experiments.calibration.runs import Push, Run, complete
from experiments.calibration.study import Size, Study
from experiments.realism import Protocol, simulated_table
from retail_gym import make_world, simulate
from retail_gym.data import Fuel
from retail_gym.evaluation.realism import JOINT, SCORES, PairLifts, compare, profile
from retail_gym.evaluation.simulated_elasticities import simulated_elasticities
from retail_gym.policies import Planned
from retail_gym.simulator import Simulator
from retail_gym.world.layers import HabitLayer
from retail_gym.world.presets import load_config
from retail_gym.world.presets.complete_journey import config, some_categories

WEEKS, CUSTOMERS = 24, 50
#: Categories of the preset that are often bought.
CHOSEN = (123, 14, 51, 268, 24, 287)
#: Parts that the small study leaves out.
SOME = ("visit heterogeneity and drift", "several products", "habit")


@pytest.fixture(scope="module")
def store():
    """A few categories of the preset, where prices move often enough for the regression.

    Of a dozen products many are bought again by chance: habit is strong, so that it shows.
    """
    few = some_categories(config(), CHOSEN)
    layers = replace(few.layers, habit=HabitLayer(0.8))
    return few.override(category_sizes=(12, 9, 7, 4, 6, 8), category_shift=1.0, layers=layers)


@pytest.fixture(scope="module")
def real(store):
    """A stand-in for the data: the same store with other luck, 4 * CUSTOMERS households."""
    return simulated_table(store, 9, 4 * CUSTOMERS, WEEKS)


class StandIn(Protocol):
    """A protocol without the optional package."""

    table = None

    def real(self):
        one = self.table.sample(CUSTOMERS, np.random.default_rng(0))
        return Fuel().added_to(one, 1, 1) if self.fuel else one

    def ceiling(self, repeats):
        from retail_gym.evaluation.realism import noise_ceiling

        pool = Fuel().added_to(self.table, 1, 1) if self.fuel else self.table
        return noise_ceiling(pool, against=self.real(), repeats=repeats)


@pytest.fixture(scope="module")
def study(store, real, tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setattr(StandIn, "table", real)
    patch.setattr(studies, "load_complete_journey", lambda split, fuel=False: real)
    patch.setattr(studies, "load_config", lambda name: load_config("small"))
    patch.setattr(studies, "category_names", lambda store: tuple(range(6)))
    patch.setattr(studies, "without", lambda one: {name: without(one)[name] for name in SOME})
    quick = partial(simulated_elasticities, first_week=4, weeks=3, draws=2, least_units=5)
    patch.setattr(studies, "simulated_elasticities", quick)
    sides = {"A": StandIn("held_out", "train", True), "B": StandIn("held_out", "train", False)}
    size = Size({"A": 2, "B": 2}, 2, 2, 1, 40)
    yield Study(store, sides, size, tmp_path_factory.mktemp("runs"))
    patch.undo()


def test_runs_are_the_simulation_and_are_kept(store, tmp_path):
    run = Run.of(store, 12, 6, 3)
    complete([run], tmp_path, 1, "runs")
    world = make_world(store, 3, n_customers=12)
    expected = simulate(world, Planned(world.promotion), 6, 3, record=True).transactions
    table = run.table(tmp_path)
    assert table.frame["revenue"].sum() == pytest.approx(
        (expected["quantity"] * expected["unit_price"]).sum()
    )
    assert (table.n_customers, table.n_weeks) == (12, 6)
    written = run.path(tmp_path).stat().st_mtime_ns
    complete([run], tmp_path, 1, "runs")
    assert run.path(tmp_path).stat().st_mtime_ns == written
    others = [replace(run, seed=4), replace(run, customers=13), replace(run, weeks=7),
              replace(run, push=Push("category", 0.1)), replace(run, push=Push("basket", 0.1)),
              replace(run, push=Push("basket", 0.1, up=False))]  # fmt: skip
    assert len({one.path(tmp_path) for one in [run, *others]}) == 7


@pytest.mark.slow
def test_processes_make_the_same_tables(store, tmp_path):
    runs = [Run.of(store, 10, 4, seed) for seed in range(3)]
    for workers, folder in ((1, tmp_path / "one"), (2, tmp_path / "two")):
        complete(runs, folder, workers, "runs")
    for run in runs:
        assert run.frame(tmp_path / "one").equals(run.frame(tmp_path / "two"))


def test_a_push_moves_what_it_says(store):
    world = make_world(store, 0, n_customers=4)
    assert (Push("basket", 0.1).log_moves(world) == 0.1).all()
    assert (Push("basket", 0.1, up=False).log_moves(world) == -0.1).all()
    moves = Push("category", 0.1).log_moves(world)
    first = moves[world.category_start]
    assert np.array_equal(moves, np.repeat(first, world.category_sizes))
    assert np.sort(first).tolist() == [-0.1, -0.1, -0.1, 0.1, 0.1, 0.1]  # half of them each way
    assert np.array_equal(Push("category", 0.1, up=False).log_moves(world), -moves)


def test_moved_prices_are_those_that_customers_meet(store, tmp_path):
    run = Run.of(store, 30, 3, 0)
    run = replace(run, push=Push("basket", 0.3))
    world = make_world(store, 0, n_customers=30)
    simulator, units = Simulator(world, 0), 0
    for _ in range(3):
        units += simulator.step(world.base_price * np.exp(0.3)).units
    complete([run], tmp_path, 1, "moved")
    assert run.frame(tmp_path)["units"].sum() == units


def test_elasticities_of_categories_and_baskets_are_the_papers_where_forms_are_known(tmp_path):
    """A store without layers or memory, whose demand at any prices can be computed.

    600 customers, 30 weeks: sampling error of either figure below 0.02.
    """
    from retail_gym.evaluation.elasticities import expected_demand

    plain = load_config("small").override(
        name="plain", category_sizes=(6, 5, 4), category_shift=4.5, gamma_store_1=0.0,
        gamma_store_2=0.0, gamma_store_0=1.0, beta_i=-1.5, gamma_cate_1=0.4, n_customers=600, clip_percentile=100.0,
    )  # fmt: skip
    found = elasticity.moved(Run.of(plain, 600, 30, 0), tmp_path, 1)
    world = make_world(plain, 0)
    simulator = Simulator(world, 0)
    simulator.step(world.base_price)
    units, revenue = [], []
    for sign in (1, -1):
        price = world.base_price * np.exp(sign * elasticity.STEP)
        weeks = [expected_demand(world, price, simulator.memory, seed=0, week=w) for w in (2, 3, 4)]
        demand = sum(week.quantity for week in weeks)
        units.append(demand.sum())
        revenue.append((demand * price).sum())
    expected = np.log(units[0] / units[1]) / (2 * elasticity.STEP)
    assert expected < -0.1  # or this test says nothing
    assert found.basket == pytest.approx(expected, abs=0.05)
    assert found.category == pytest.approx(expected, abs=0.05)
    expected = np.log(revenue[0] / revenue[1]) / (2 * elasticity.STEP)
    assert found.revenue == pytest.approx(expected, abs=0.05)


def test_each_part_can_be_left_out(store):
    bare = without(store)
    assert list(bare) == list(PARTS)
    for name, one in bare.items():
        assert one.layers != store.layers, name
        assert one.layers.catalog == store.layers.catalog
    assert bare["unequal quantities"].layers.quantity.log_rate == store.layers.quantity.log_rate
    assert bare["habit"].layers.habit is None
    assert bare["visit drift"].layers.visit.intercept == store.layers.visit.intercept
    assert without(bare["habit"]).keys() == PARTS.keys() - {"habit"}
    with pytest.raises(ValueError, match="tiny has no layers"):
        without(load_config("tiny"))


def test_goals_are_judged_by_what_is_better():
    assert Goal(0.9).met(0.9)
    assert not Goal(0.9).met(0.899)
    assert Goal(0.1, at_most=True).met(0.1)
    assert not Goal(0.1, at_most=True).met(0.11)
    assert not Goal(0.9).met(float("nan"))
    assert not Goal(0.1, at_most=True).met(float("nan"))
    for goals in GOALS.values():
        assert goals.keys() <= SCORES.keys()
        for key, goal in goals.items():
            assert goal.at_most == (key == "lift_w1" or key in JOINT)


def test_scores_stand_beside_their_ceilings_and_goals(study):
    table = study.scores["B"]
    rows = {row["metric"]: row for row in table.to_dicts()}
    report = study.reports["B"]
    assert rows["ncat"]["score"] == pytest.approx(report.mean("ncat"))
    assert rows["ncat"]["ceiling"] == report.ceiling.mean["ncat"]
    assert rows["ncat"]["met"] == (report.mean("ncat") >= 0.965)
    of_runs = [one.joint["icc"] for one in report.simulated]
    distance = abs(np.mean(of_runs) - report.real.joint["icc"])
    assert rows["icc"]["score"] == pytest.approx(distance)
    assert rows["icc"]["met"] == (distance <= 0.03)
    assert rows["visit_week"]["met"] is None
    assert table["published"].null_count() == table.height
    other = {row["metric"]: row for row in study.scores["A"].to_dicts()}
    assert other["nitem"]["published"] == 0.486
    assert other["nitem"]["calibrated"] == pytest.approx(study.baseline.mean("nitem"))
    assert study.reports["A"].real.distributions["qty"].mean > 10  # petrol
    assert study.baseline.simulated[0].distributions["qty"].mean < 10


def test_what_is_said_follows_the_tables(study):
    said = tables.verdicts(study.scores, study.prices, study.pairs)
    judged = study.scores["B"].filter(pl.col("met").is_not_null())
    assert said[0].startswith(f"protocol B: {judged['met'].sum()} of {judged.height} goals met")
    for row in judged.to_dicts():
        assert (row["title"] in said[0]) == (not row["met"])
    perfect = {"B": study.scores["B"].with_columns(score=1.0, met=True)}
    fine = tables.verdicts(perfect, study.prices.with_columns(met=True), None)
    assert not any("missed" in line for line in fine)
    assert "8 of 8" in fine[1]


def test_prices_are_compared_as_distances(study):
    rows = {row["metric"]: row for row in study.prices.to_dicts()}
    real = likeness.figures_of(study.real["B"])
    runs = [likeness.figures_of(table) for table in study.simulated["B"]]
    mean = np.mean([one["coefficient"] for one in runs])
    assert rows["coefficient"]["distance"] == pytest.approx(
        abs(mean - real["coefficient"]) / abs(real["coefficient"])
    )
    share = np.mean([one["discounted_share"] for one in runs])
    assert rows["discounted_share"]["distance"] == pytest.approx(
        abs(share - study.real["B"].facts["discounted_share"])
    )
    assert rows["discounted_share"]["met"] == (rows["discounted_share"]["distance"] <= 0.02)
    assert rows["products"]["real"] == study.responses[0].n_products


def lifts(labels, trips, seed):
    generator = np.random.default_rng(seed)
    baskets = generator.random((trips, len(labels))) < 0.4
    return PairLifts(tuple(labels), baskets.T.astype(np.int64) @ baskets, trips)


def test_pooled_lifts_are_those_of_all_trips_together():
    one, two = lifts("abc", 100, 0), lifts("bcd", 50, 1)
    both = likeness.pooled([one, two])
    assert both.labels == ("a", "b", "c", "d")
    assert both.n_trips == 150
    assert both.together_jk[1, 2] == one.together_jk[1, 2] + two.together_jk[0, 1]
    assert both.together_jk[0, 3] == 0
    renamed = likeness.named(PairLifts((0, 2), np.eye(2, dtype=np.int64), 5), ["x", "y", "z"])
    assert renamed.labels == ("x", "z")
    x, y = likeness.common_lifts(one, two)
    assert x.size == 1
    assert x[0] == one.lift_jk[1, 2]
    assert y[0] == two.lift_jk[0, 1]


def test_pairs_are_matched_by_name(study, real):
    """With names exchanged the same store has other complements."""
    here = study.reports["B"].real
    runs = [one.lifts for one in study.reports["B"].simulated]
    everybody = profile(real)
    itself = likeness.pairs_of(everybody, [everybody.lifts] * 2, [everybody], everybody)
    assert (itself.spearman, itself.ceiling, itself.ceiling_all) == pytest.approx((1.0, 1.0, 1.0))
    assert itself.met
    moved = likeness.named(everybody.lifts, [2, 3, 5, 4, 1, 0])
    other = likeness.pairs_of(everybody, [moved], [everybody], everybody)
    assert other.spearman < 0.99
    assert other.spearman_sd is None
    found = likeness.pairs_of(here, runs, [everybody], everybody)
    assert found.met == (found.spearman >= 0.85)
    assert study.pairs.spearman == pytest.approx(found.spearman)


def test_the_train_households_stand_in_for_the_held_out_ones(monkeypatch, real):
    asked = []

    def load(split, *, fuel=False):
        asked.append((split, fuel))
        return real

    monkeypatch.setattr(protocols, "load_complete_journey", load)
    one = protocols.Validation("train", "train", False, 30)
    assert one.real().n_customers == 30
    assert np.array_equal(one.real().customers, one.real().customers)
    assert set(asked) == {("train", False)}
    for choice, both in protocols.AGAINST.items():
        assert list(both) == ["A", "B"]
        assert both["A"].fuel
        assert not both["B"].fuel
        for side in both.values():
            assert (side.against == "train") == (choice == "train")
    assert {s.size for s in protocols.AGAINST["train"].values()} == {100, 741}


def test_markdown_leaves_out_empty_columns_and_shows_answers():
    table = pl.DataFrame({"a": [1.5, None], "b": [None, None], "met": [True, False]})
    text = tables.markdown(table, {"a": "A", "b": "B", "met": "met"})
    assert text.splitlines() == ["| A | met |", "|---|---|", "| 1.500 | yes |", "|  | **no** |"]


def test_the_command_prints_writes_and_draws(study, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(command, "Study", lambda *arguments: study)
    monkeypatch.setattr(command, "ROOT", tmp_path)
    page = tmp_path / "experiments" / "README.md"
    page.parent.mkdir()
    page.write_text(
        "above\n<!-- measured:calibration -->\nformer text\n<!-- /measured -->\nbelow\n"
    )
    out = tmp_path / "out"
    arguments = ["--against", "train", "--quick", "--ship", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["study", *arguments])
    command.main()
    printed = capsys.readouterr().out
    names = {path.name for path in out.iterdir()}
    drawn = {"figure_5.png", "figure_6.png", "figure_7.png", "distributions.png", "parts.png",
             "prices.png", "pairs.png"}  # fmt: skip
    written = {"calibration.json", "calibration.md", "protocol_A.csv", "protocol_B.csv",
               "prices.csv", "parts.csv"}  # fmt: skip
    assert names == drawn | written
    for name in drawn:
        pixels = imread(out / name)[..., :3]
        assert 0.01 < (pixels.min(axis=2) < 0.95).mean() < 0.9
        assert (tmp_path / "experiments/figures" / f"calibration_{name}").exists()
    found = json.loads((out / "calibration.json").read_text())
    assert found["against"] == "train"
    assert found["quick"] is True
    for line in found["goals"]:
        assert line in printed
    mean = next(row for row in found["protocols"]["B"] if row["metric"] == "mean_of_eight")
    assert f"{mean['score']:.3f}" in printed
    text = page.read_text()
    assert text.startswith("above\n")
    assert text.endswith("below\n")
    assert "former text" not in text
    assert (out / "calibration.md").read_text().strip() in text
    assert "--against train" in text


def test_a_part_that_is_missed_costs_its_score(study):
    rows = {row["store"]: row for row in study.parts.to_dicts()}
    best = rows["all parts"]
    assert list(rows) == ["all parts", *SOME]
    assert rows["several products"]["ppc"] > best["ppc"] + 0.05
    assert rows["habit"]["repeat"] > best["repeat"] + 0.03
    assert rows["visit heterogeneity and drift"]["visit_cust"] < best["visit_cust"] - 0.05
    report = compare(study.reports["B"].real, study.reports["B"].simulated[:1])
    assert best["ncat"] == pytest.approx(report.mean("ncat"))


def test_bins_hold_the_points():
    from retail_gym.evaluation.realism import Empirical

    for key, points in (("qty", [1, 1, 2, 3, 40]), ("prodweek", [0, 0, 0, 1, 5]),
                        ("visit_cust", [0.0, 0.5, 1.0]), ("price", [0.5, 3.0, 90.0])):  # fmt: skip
        one = Empirical.of(np.array(points))
        edges = pictures._edges(key, [one])
        assert (np.diff(edges) > 0).all(), key
        assert edges[0] <= min(points) + 0.5
        assert edges[-1] >= max(points) - 0.5
