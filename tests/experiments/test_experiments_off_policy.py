"""The study of off-policy evaluation: errors on planted rows, part files, one small run."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest

from experiments.off_policy import __main__ as study
from experiments.off_policy import problems
from experiments.off_policy.problems import Pool, coupons, store
from experiments.off_policy.report import draw, report, summary
from retail_gym.evaluation.trajectories import Trajectories


def planted(values, estimator="dr", half=0.5, truth=10.0, **facts):
    """Rows of one estimator with intervals of a given half-width."""
    common = {
        "problem": "store_x",
        "behaviour": "near",
        "episodes": 5,
        "reading": "sequence",
        "horizon": 4,
        "truth": truth,
        "truth_se": 0.01,
        "effective": 3.0,
    } | facts
    return [
        common
        | {
            "rep": k,
            "estimator": estimator,
            "value": v,
            "low": v - half if estimator != "log" else None,
            "high": v + half if estimator != "log" else None,
        }
        for k, v in enumerate(values)
    ]


def table(*parts):
    rows = [row for part in parts for row in part]
    return summary(pl.DataFrame(rows, infer_schema_length=None))


def test_errors_are_shares_of_the_true_value():
    found = table(planted([11.0, 10.0, 12.0, 9.0]), planted([12.0] * 4, "log"))
    row = found.filter(estimator="dr").row(0, named=True)
    assert row["bias"] == pytest.approx(0.05)
    assert row["rmse"] == pytest.approx(math.sqrt((0.01 + 0 + 0.04 + 0.01) / 4))
    assert row["median"] == pytest.approx(0.1)
    assert row["coverage"] == 0.25
    assert row["logs"] == 4
    assert found.filter(estimator="log")["rmse"][0] == pytest.approx(0.2)


def test_trust_needs_a_smaller_error_than_the_log_and_honest_intervals():
    log = planted([12.0] * 4, "log")
    good = table(planted([10.1] * 4), log).filter(estimator="dr")
    narrow = table(planted([10.1] * 4, half=0.05), log).filter(estimator="dr")
    poor = table(planted([13.0] * 4, half=9.0), log).filter(estimator="dr")
    assert good["trusted"][0]
    assert not narrow["trusted"][0]
    assert not poor["trusted"][0]
    assert not table(log)["trusted"][0]


def test_an_undefined_estimate_is_an_error_of_all():
    rows = planted([10.0, math.nan], half=1.0)
    rows[1] |= {"low": math.nan, "high": math.nan}
    found = table(rows, planted([10.0] * 2, "log")).filter(estimator="dr").row(0, named=True)
    assert found["rmse"] == pytest.approx(math.sqrt(0.5))
    assert found["coverage"] == 0.5


def test_blocks_on_disk_are_not_played_again(tmp_path, monkeypatch):
    problem = problems.Problem("store_tiny", store("tiny").env, store("tiny").policies, 2)
    pool = Pool(problem, tmp_path)
    truth, logged = pool.truth(4), pool.log("near", 4)
    assert truth.shape == (4, 53)
    assert logged.rewards.shape == (4, 53)
    assert not np.array_equal(truth[0], truth[2])
    missing = tmp_path / "store_tiny_near_0001.npz"
    missing.unlink()
    played = []
    real = problems.log_episode
    monkeypatch.setattr(problems, "log_episode", lambda *a: (played.append(a[2]), real(*a))[1])
    again = Pool(problem, tmp_path)
    np.testing.assert_array_equal(again.truth(4), truth)
    np.testing.assert_array_equal(again.log("near", 4).ratios, logged.ratios)
    assert played == [60_000_002, 60_000_003]


def test_blocks_are_whole(tmp_path):
    with pytest.raises(ValueError, match="multiple of 250 episodes, not 300"):
        Pool(store("tiny"), tmp_path).log("near", 300)


def test_kinds_of_customers_come_back_from_their_rewards():
    # Two customers in three episodes of five weeks, without noise.
    draw = np.random.default_rng(0)
    arms = draw.choice(11, size=(6, 5))
    kinds = np.array([[1.0, -2.0, 4.0], [0.5, 1.0, 0.0]])
    level = 0.05 * arms
    powers = np.stack([level**0, level, level**2], axis=-1)
    data = Trajectories(
        rewards=(powers * np.tile(kinds, (3, 1))[:, None]).sum(axis=-1),
        ratios=np.ones((6, 5)),
        states=np.zeros((6, 6, 2)),
        actions=level[..., None],
        target_actions=np.zeros((1, 1)),
        target_weights=np.ones((6, 6, 1)),
    )
    found = study.customer_types(data, 2)
    np.testing.assert_allclose(found, kinds, atol=1e-10)
    wide = study.knowing(data, found)
    assert wide.states.shape == (6, 6, 5)
    np.testing.assert_allclose(wide.states[3, 4, 2:], kinds[1], atol=1e-6)


def test_a_small_run_makes_tables_and_a_picture(tmp_path, monkeypatch):
    monkeypatch.setattr(study, "HORIZONS", (1, 2))
    monkeypatch.setattr(study, "RESAMPLES", 20)
    monkeypatch.setattr(study, "REFITS", 5)
    sizes = study.Sizes(truth=2, pool=4, logs=(1, 2))
    target = coupons("tiny", logged=500)
    made = problems.Problem("coupon_tiny", target.env, target.policies, 2)
    with pytest.warns(study.OverlapWarning):
        rows = study.measure(made, sizes, tmp_path)
    assert set(rows["estimator"]) == {"log", "fqe_types", *study.ESTIMATORS}
    # Two policies, logs of 1 (four) and 2 episodes (two); 9 rows a horizon, and 4 of weeks apart.
    assert rows.height == 2 * (4 + 2) * (2 * 9 + 4)
    pool = Pool(made, tmp_path / "pools")
    one = rows.filter(behaviour="far", episodes=2, rep=1, estimator="log", horizon=2).row(
        0, named=True
    )
    logged = pool.log("far", 4).rewards.reshape(4, -1, 53)[2:, :, :2]
    assert one["value"] == pytest.approx(logged.sum(axis=2).mean())
    assert one["truth"] == pytest.approx(pool.truth(2)[:, :2].sum(axis=1).mean())
    again = study.measure(made, sizes, tmp_path)
    assert again.equals(rows)
    text = report(rows)
    assert "### coupon_tiny, far log (uniform)" in text
    assert "SNIPS" in text
    assert draw(rows, tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
