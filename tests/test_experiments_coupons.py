"""The coupon study's parts: statistics on planted rows, AgentSim's stores, rules and oracles."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import polars as pl
import pytest
from scipy.stats import spearmanr

from experiments.coupons import tables
from experiments.coupons.agentsim_noise import AgentSimKernel, agentsim_feature
from experiments.coupons.episodes import SegmentRule, run
from experiments.coupons.references import (
    FarSightedOracle,
    Knowledge,
    Oracle,
    StaticRule,
    expected_visit_by_arm,
    next_propensity,
)
from experiments.coupons.stores import SHARED_RANKS, agentsim_store
from retail_gym import make_world, rng
from retail_gym.envs.coupon_views import FixedArm
from retail_gym.envs.coupons import COUPON_LEVELS, RetailCouponEnv
from retail_gym.kernels.reference import ReferenceKernel
from retail_gym.world.expectation import expected_visit
from retail_gym.world.presets import load_config

SMALL = {"n_customers": 12, "category_sizes": (4, 3, 2), "category_shift": 4.0}


# statistics


def planted(ratios, runs=1, agent="mine"):
    """Rows in which an agent has the given ratio to random in each store."""
    rows = []
    for store, value in enumerate(ratios):
        base = 10.0 * (store + 1)
        rows.append({"store": store, "agent": "random", "run": 0, "revenue": base})
        # Runs of one store differ, their mean is what was planted.
        for r in range(runs):
            spread = 0.0 if runs == 1 else 0.3 * (r - (runs - 1) / 2)
            rows.append(
                {"store": store, "agent": agent, "run": r, "revenue": base * (value + spread)}
            )
    return pl.DataFrame(rows)


def test_ratio_is_the_mean_over_stores_with_their_error():
    values = np.array([1.1, 1.3, 0.9, 1.2])
    found = tables.ratio(planted(values), "mine", "revenue")
    assert found.mean == pytest.approx(1.125)
    assert found.se == pytest.approx(values.std(ddof=1) / 2)
    assert str(found) == "1.125 ± 0.085"


def test_runs_in_one_store_and_copies_of_rows_are_no_further_evidence():
    values = [1.1, 1.3, 0.9, 1.2]
    one = tables.ratio(planted(values), "mine", "revenue")
    many = tables.ratio(planted(values, runs=5), "mine", "revenue")
    copied = tables.ratio(pl.concat([planted(values)] * 10), "mine", "revenue")
    assert many == pytest.approx(one)
    assert copied == pytest.approx(one)


def test_stores_must_match_and_agents_exist():
    rows = planted([1.0, 1.0])
    with pytest.raises(ValueError, match="mine, random"):
        tables.ratio(rows, "yours", "revenue")
    with pytest.raises(ValueError, match="same stores"):
        tables.ratio(rows.filter(~((pl.col("store") == 1) & (pl.col("agent") == "mine"))),
                     "mine", "revenue")  # fmt: skip


def as_published(shift):
    """Rows whose ratios are the published ones, each moved by some published errors."""
    rows = []
    for store in range(3):
        base = {"revenue": 50.0, "demand_lagged": 20.0, "retention": 0.5, "coupon": 0.25}
        rows.append({"store": store, "agent": "random", "run": 0, **base})
        for agent, figures in tables.PUBLISHED.items():
            name = "fixed_0" if agent == "no_coupon" else agent
            own = {
                column: base[column] * (figures[figure][0] + shift * figures[figure][1])
                for figure, column in tables.COUNTED.items()
            }
            rows.append({"store": store, "agent": name, "run": 0, **own})
    return pl.DataFrame(rows)


def test_distances_are_counted_in_published_errors():
    exact, moved = (tables.distances(as_published(shift)) for shift in (0.0, 3.0))
    assert len(exact) == 24
    assert all(abs(gap) < 1e-9 for gap in exact.values())
    assert moved.pop(("no_coupon", "coupon")) == 0.0
    assert all(gap == pytest.approx(3.0) for gap in moved.values())
    assert "24 of 24" in tables.replication_table(as_published(0.0))
    assert "1 of 24" in tables.replication_table(as_published(3.0))
    assert "1.259 ± 0.000 (1.259 ± 0.062; +0.0)" in tables.replication_table(as_published(0.0))


def test_published_numbers_are_the_reference_file():
    assert tables.PUBLISHED["LinUCB"]["revenue"] == (1.259, 0.062)
    assert tables.PUBLISHED["DQN"]["coupon"] == (1.709, 0.020)


def in_r0(gain):
    """Twelve stores of unlike size, where an agent earns more R0 than the best arm of two."""
    rows, scales = [], {}
    for store in range(12):
        scales[store] = 100.0 * (store + 1)
        money = {"random": 6.0, "fixed_0": 8.0, "fixed_2": 10.0 + store % 3,
                 "static_model": 10.0 + store % 3 + gain + 0.1 * (store % 4), "PPO": 9.0}  # fmt: skip
        rows += [
            {"store": store, "agent": agent, "run": 0, "revenue": value * scales[store]}
            for agent, value in money.items()
        ]
    return pl.DataFrame(rows), scales


def test_gain_is_paired_in_r0():
    rows, scales = in_r0(1.0)
    found = tables.gain_in_r0(rows, scales, "static_model", "fixed_2")
    # Mean difference 1.15 of a mean of 11; differences lie in [1, 1.3].
    assert found.mean == pytest.approx(100 * 1.15 / 11)
    assert 100 / 11 < found.low < found.mean < found.high < 130 / 11
    copied = tables.gain_in_r0(pl.concat([rows] * 3), scales, "static_model", "fixed_2")
    assert astuple(copied) == pytest.approx(astuple(found))
    unlike = dict.fromkeys(scales, 100.0)  # in dollars large stores would count more
    assert tables.gain_in_r0(rows, unlike, "static_model", "fixed_2").mean != found.mean


def test_headline_is_over_the_best_arm_for_everybody():
    text = tables.headline(*in_r0(1.0))
    assert "over fixed_2" in text
    assert "* static_model +10.5 [" in text
    assert "* PPO -18.2 [" in text


def test_shipped_rows_follow_the_rule_for_a_headline():
    pytest.importorskip("stable_baselines3")
    from experiments.coupons.__main__ import MEASURED

    kept = pl.read_parquet(MEASURED)
    for setting, arm in (("coupon_brand_loyalty", "fixed_0"), ("coupon_driven", "fixed_2")):
        rows = kept.filter(pl.col("part") == setting)
        scales = {store: make_world(setting, store).reward_scale for store in range(12)}
        assert f"over {arm}" in tables.headline(rows, scales)
        gain = tables.gain_in_r0(rows, scales, "static_model", arm)
        assert gain.mean >= 5.0
        assert gain.low > 0.0


@pytest.mark.parametrize(("arguments", "message"), [
    (["--stores", "30", "--trained", "8"], "--stores 30 are more than --trained 8"),
    (["--quick", "--stores", "9"], "--stores 9 are more than --trained 8"),
    (["--fresh-stores", "0"], "fresh-stores must be at least 1"),
])  # fmt: skip
def test_sizes_that_cannot_be_are_one_clear_line(arguments, message, monkeypatch, capsys):
    pytest.importorskip("stable_baselines3")
    import experiments.coupons.__main__ as study

    monkeypatch.setattr("sys.argv", ["coupons", *arguments])
    with pytest.raises(SystemExit) as stopped:
        study.main()
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


# AgentSim's stores


def test_agentsims_stores_share_ranks_and_the_catalogue():
    config = load_config("coupon_brand_loyalty").override(n_customers=6)
    one, two = (agentsim_store(seed, config) for seed in (0, 1))
    for shape, symbols in SHARED_RANKS:
        if shape:
            for symbol in symbols[1:]:
                first, other = (np.ravel(getattr(one, name)) for name in (symbols[0], symbol))
                assert spearmanr(first, other)[0] > 0.999, symbol
    assert np.array_equal(one.base_price, two.base_price)
    assert one.alpha_1 == pytest.approx(0.86786, abs=1e-4)
    assert not np.array_equal(one.beta_u, two.beta_u)
    assert np.array_equal(one.promotion.a01, one.promotion.a11)  # no memory
    again = agentsim_store(0, config)
    assert np.array_equal(again.beta_x, one.beta_x)


def test_agentsims_feature_has_its_law():
    words = np.random.default_rng(0).integers(2**32, size=400_000, dtype=np.uint32)
    x = agentsim_feature(words)
    # m + |m| n has variance 2 and kurtosis 7.5; of m + s n it is 4.5. 400,000 draws have
    # standard error 0.008 of the variance.
    assert x.var() == pytest.approx(2.0, abs=0.04)
    assert (x**4).mean() / x.var() ** 2 == pytest.approx(7.5, abs=0.5)


def test_agentsims_feature_and_the_papers_share_their_ranks(monkeypatch):
    import experiments.coupons.agentsim_noise as noise

    assert rng.beta_lattice(1.0, 1.0) == pytest.approx(rng._lattice_rank(), rel=1e-14)
    noise._lattice.cache_clear()
    monkeypatch.setattr(rng, "beta_lattice", lambda a, b: np.full(1021, 0.5))
    assert np.ptp(noise._lattice()) == 0.0  # all at the median
    noise._lattice.cache_clear()


def test_agentsims_kernel_differs_from_the_papers_by_its_noise_only(monkeypatch):
    import experiments.coupons.agentsim_noise as noise

    world = make_world("coupon_brand_loyalty", 0, **SMALL)

    def revenue(kernel):
        env = RetailCouponEnv(world, horizon=6, kernel=kernel)
        env.reset(seed=0)
        return [env.step(np.full(12, 3))[1] for _ in range(6)]

    assert revenue(AgentSimKernel()) != revenue(ReferenceKernel())
    # With the paper's law of X, and a product draw of its own, it is the paper's week.
    monkeypatch.setattr(noise, "agentsim_feature", noise.rng.resampled_feature)
    monkeypatch.setattr(
        AgentSimKernel, "_trip", lambda self, *args: ReferenceKernel._trip(self, *args)
    )
    assert revenue(AgentSimKernel()) == revenue(ReferenceKernel())


# rules and oracles


@pytest.mark.parametrize("preset", ["coupon_brand_loyalty", "coupon_driven"])
def test_expectations_by_arm_are_those_of_the_model(preset):
    world = make_world(preset, 1, **SMALL)
    shelf = world.base_price * 0.9
    revenue, value = expected_visit_by_arm(world, shelf, episode_key=5, week=3)
    for arm in (0, 4, 10):
        visit = expected_visit(world, (1 - COUPON_LEVELS[arm]) * shelf, seed=5, week=3)
        money = (visit.category_probability * visit.revenue).sum(axis=1)
        assert revenue[:, arm] == pytest.approx(money, rel=1e-9)
        assert value[:, arm] == pytest.approx(visit.store_value, rel=1e-9)


def test_next_propensity_by_hand():
    world = make_world("coupon_driven", 1, **SMALL)
    value = np.full((12, 11), 2.0)
    found = next_propensity(world, np.full((12, 1), 0.25), value)
    scale, off = world.marketing_scale, world.promotion.effective_discount
    for arm in (0, 7):
        u = world.gamma_store_0 + world.gamma_store_2 * scale * (off + COUPON_LEVELS[arm])
        stay, came = (1 / (1 + np.exp(-x)) for x in (u, u + world.gamma_store_1 * 2.0))
        assert found[:, arm] == pytest.approx(0.25 * came + 0.75 * stay)


def returns(preset, make_policy, episodes=16):
    """Mean return of a rule over stores, as money / R0."""
    total = []
    for seed in range(episodes):
        env = RetailCouponEnv(preset, world_seed=seed, horizon=12, **SMALL)
        observation, _ = env.reset(seed=seed)
        policy = make_policy(env)
        figures, _ = run(env, policy, observation, seed)
        total.append(figures["revenue"] / env.reward_scale)
    return np.array(total)


def test_knowing_the_model_pays_and_looking_ahead_pays_where_coupons_bring_visits():
    known = {
        "oracle": lambda env: Oracle(Knowledge(env, 1)),
        "far": lambda env: FarSightedOracle(Knowledge(env, 1)),
        "static": lambda env: StaticRule(Knowledge(env, 1)),
        "none": lambda env: FixedArm(0),
        "half": lambda env: FixedArm(10),
    }
    value = {name: returns("coupon_driven", make) for name, make in known.items()}
    # Paired over 16 stores; each difference must be more than 3 standard errors above 0.
    for better, worse in (("far", "oracle"), ("far", "none"), ("far", "half"), ("static", "half")):
        gap = value[better] - value[worse]
        assert gap.mean() > 3 * gap.std(ddof=1) / np.sqrt(gap.size), (better, worse)


def test_the_last_week_has_no_future():
    env = RetailCouponEnv("coupon_driven", horizon=3, **SMALL)
    observation, _ = env.reset(seed=0)
    known = Knowledge(env, 1)
    far, near = FarSightedOracle(known), Oracle(known)
    chosen = []
    for week in (1, 2, 3):
        chosen.append((far(observation, week), near(observation, week)))
        observation, *_ = env.step(chosen[-1][0])
    assert not np.array_equal(*chosen[0])
    assert np.array_equal(*chosen[2])


def test_figures_of_an_episode_are_those_of_its_lines():
    env = RetailCouponEnv(horizon=6, **SMALL)
    observation, _ = env.reset(seed=3)
    figures, spent = run(env, SegmentRule(env), observation, 0, units_before=100.0)
    env.reset(seed=3)
    arm = SegmentRule(env)(observation, 1)
    assert arm[env.segments[0]].tolist() == [10] * 6
    assert arm[env.segments[1]].tolist() == [0] * 6
    money, units, bought, categories = np.zeros(12), [], [], []
    for _ in range(6):
        env.step(arm)
        lines = env.outcome.lines
        np.add.at(money, lines.customer, lines.quantity * env.outcome.unit_price)
        units.append(lines.quantity.sum())
        bought.append(set(lines.customer.tolist()))
        categories.append(lines.customer.size / len(bought[-1]))
    assert spent == pytest.approx(money)
    assert figures["revenue"] == pytest.approx(money.sum())
    assert figures["demand"] == sum(units)
    assert figures["demand_lagged"] == 100 + sum(units[:-1])
    assert figures["retention"] == len(set.union(*bought[-3:])) / 12
    assert figures["penetration"] == pytest.approx(np.mean(categories))
    assert figures["penetration"] != figures["demand"]
    assert figures["coupon"] == pytest.approx(0.25)
    assert figures["coupon_sensitive"] == pytest.approx(0.5)
    assert figures["revenue_sensitive"] == pytest.approx(money[env.segments[0]].sum())


@pytest.mark.slow
def test_the_study_runs_resumes_and_draws(tmp_path, monkeypatch, capsys):
    pytest.importorskip("stable_baselines3")
    import experiments.coupons.__main__ as study

    arguments = ["coupons", "--quick", "--trained", "3", "--stores", "2", "--fresh-stores", "1", "--logged", "7000",
                 "--deep-steps", "13000", "--out", str(tmp_path)]  # fmt: skip
    monkeypatch.setattr("sys.argv", arguments)
    study.main()
    first = capsys.readouterr().out
    assert "of 24 ratios within two published standard errors" in first
    assert (tmp_path / "coupons.png").stat().st_size > 10_000
    rows = pl.read_parquet(tmp_path / "rows.parquet")
    assert set(rows["part"]) == {"agentsim", "independent", "coupon_brand_loyalty", "coupon_driven"}
    monkeypatch.setattr(study, "train_all", None)  # everything is there: nothing is trained
    monkeypatch.setattr(study, "Replication", None)
    study.main()
    assert capsys.readouterr().out.split("##")[1:] == first.split("##")[1:]
