"""The studies behind RetailSynthAdaptive-v0."""

from __future__ import annotations

import json
import sys

import numpy as np
import polars as pl
import pytest
from matplotlib.image import imread

from experiments import adaptive, adaptive_prior, ship_adaptive_pool
from experiments.ship_adaptive_pool import COARSE, POINTS, Surface, measure, neighbours, record
from retail_gym.evaluation import adaptive as references
from retail_gym.evaluation.adaptive import HINDSIGHT, SINGLE
from retail_gym.world.pool import ADAPTIVE, PoolConfig, PriorRange, StorePool, StoreRecord
from retail_gym.world.presets import load_config
from retail_gym.world.priors import Uniform


def test_the_grid_is_the_stated_one():
    assert len(POINTS) == 1 + 20 * 12
    assert all((point == POINTS).all(axis=1).any() for point in COARSE)
    near = POINTS[neighbours(np.array([0.1, 0.3]))]
    assert len(near) == 26
    assert (near[0] == 0.0).all()
    assert (near[1:].min(axis=0) == [0.05, 0.2]).all()
    assert np.allclose(near.max(axis=0), [0.15, 0.4])


def test_stores_below_the_floor_are_redrawn(tmp_path, monkeypatch):
    def known(config, seed, folder):
        mean = np.full(len(POINTS), 4.0)
        mean[30] = 2.9 if seed % 3 == 0 else 5.0 + seed / 1e4
        mean[[k for k in range(len(POINTS)) if k != 30]] = 2.0
        return Surface(seed, mean, np.full(len(POINTS), 8))

    monkeypatch.setattr(ship_adaptive_pool, "kept_surface", known)
    monkeypatch.setattr(ship_adaptive_pool, "SPLITS", {"train": 3, "test": 2})
    monkeypatch.setattr(ship_adaptive_pool, "SHIPPED", tmp_path / "pool.json")
    monkeypatch.setattr(ship_adaptive_pool, "best_single", lambda *_: {"depth": 0.1})
    monkeypatch.setattr(sys, "argv", ["ship", "--out", str(tmp_path)])
    ship_adaptive_pool.main()
    found = json.loads((tmp_path / "pool.json").read_text())
    assert found["config"] == ADAPTIVE.digest()
    seeds = {part: [row["world_seed"] for row in found[part]] for part in ("train", "test")}
    assert seeds == {"train": [1000, 1001, 1003], "test": [1004, 1006]}
    assert [row["world_seed"] for row in found["redrawn"]] == [1002, 1005]
    assert found["train"][0]["depth"] == POINTS[30, 0]
    assert found["train"][0]["best_return"] == pytest.approx(5.1)


def test_the_best_single_policy_is_best_on_average(tmp_path, monkeypatch):
    config = PoolConfig("t", "tiny", {"alpha_1": PriorRange(Uniform(1.0, 9.0))})
    target = np.array([0.1, 0.4])
    monkeypatch.setattr(
        ship_adaptive_pool, "static_return", lambda env, p, seed: -float(np.abs(p - target).sum())
    )
    surfaces = [measure(config, seed) for seed in (1, 2)]
    assert all((POINTS[s.best] == target).all() for s in surfaces)
    single = ship_adaptive_pool.best_single(config, surfaces, tmp_path / "single.npz")
    assert (single["depth"], single["frequency"]) == (0.1, 0.4)
    assert single["return"] == single["hindsight"] == 0.0


@pytest.mark.slow
def test_the_shipped_stores_are_found_again(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["ship", "--check", "1"])
    ship_adaptive_pool.main()
    assert "as shipped" in capsys.readouterr().out


def test_the_study_writes_what_it_says(tmp_path, monkeypatch, capsys):
    config = PoolConfig(
        "t", load_config("tiny").override(n_customers=20),
        {"alpha_1": PriorRange(Uniform(1.0, 9.0))},
    )  # fmt: skip
    monkeypatch.setattr(
        ship_adaptive_pool, "static_return", lambda env, p, seed: -float(abs(p - 0.1).sum())
    )
    records = [record(config, measure(config, s)) for s in (5, 6)]
    pool = StorePool(config, [5, 6], cache="", records=[StoreRecord(**row) for row in records])
    monkeypatch.setattr(adaptive, "shipped_pool", lambda split: pool)
    for module in (adaptive, references):  # a bad one, so that there is a gap
        monkeypatch.setattr(module, "best_single", lambda: (0.5, 0.6))
    train = adaptive.bayes_adaptive.train
    monkeypatch.setattr(
        adaptive.bayes_adaptive, "train", lambda **given: train(env_kwargs={"pool": pool}, **given)
    )
    monkeypatch.setattr(
        sys, "argv",
        ["study", "--seeds", "2", "--stores", "2", "--train-seeds", "1", "--steps", "212",
         "--workers", "1", "--out", str(tmp_path)],
    )  # fmt: skip
    adaptive.main()
    printed = capsys.readouterr().out
    runs, stores = (pl.read_parquet(tmp_path / f"{n}.parquet") for n in ("runs", "stores"))
    summary = json.loads((tmp_path / "summary.json").read_text())
    names = ["random", "no discount", *["I", "II", "III", "IV", "V"], SINGLE, "bayes_adaptive 0"]
    assert set(runs["policy"]) == {*names, HINDSIGHT}
    assert runs.height == 2 * 2 * 10
    by_hand = runs.filter(policy=SINGLE)["return"].mean()
    assert summary["returns"][SINGLE] == pytest.approx(by_hand)
    assert stores["world_seed"].to_list() == [5, 6]
    assert stores[SINGLE].mean() == pytest.approx(by_hand)
    assert "closes" in printed
    assert imread(tmp_path / "gains.png").std() > 0.01


def test_the_gap_of_a_law_by_hand(monkeypatch):
    # Two stores: each has a best policy of its own worth 2, and one worth 1.5 suits both. On the
    # luck they are chosen on another one shines in each store, which is worth 1.75 elsewhere.
    best, lucky = {1000: 3, 1001: 7}, {1000: 11, 1001: 13}

    def known(env, point, seed):
        k = int(np.flatnonzero((point == adaptive_prior.COARSE).all(axis=1))[0])
        store = env.world.seed
        if seed == adaptive_prior.FIRST_SEED:
            return {best[store]: 2.0, 5: 1.9, lucky[store]: 2.1}.get(k, 1.0)
        assert seed < 3
        return {best[store]: 2.0, 5: 1.5, lucky[store]: 1.75}.get(k, 1.0)

    monkeypatch.setattr(adaptive_prior, "static_return", known)
    assert adaptive_prior.gap({}, 2, 3) == pytest.approx(1.75 / 1.5 - 1.0)
