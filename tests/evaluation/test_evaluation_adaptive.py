"""Policies over a pool: paired runs, references, the share of the gap."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from retail_gym.envs.adaptive import RetailAdaptiveEnv
from retail_gym.evaluation.adaptive import (
    HINDSIGHT,
    SINGLE,
    evaluate_pool,
    gap_closed,
    pool_difference,
    references,
)
from retail_gym.policies import HighLow, scenario
from retail_gym.world.pool import PoolConfig, PriorRange, StorePool, StoreRecord, best_single
from retail_gym.world.priors import Uniform

CONFIG = PoolConfig("test", "tiny", {"alpha_1": PriorRange(Uniform(1.0, 9.0))})


def recorded(seeds):
    plain = StorePool(CONFIG, seeds, cache="")
    records = [
        StoreRecord(s, plain.world(k).reward_scale, 0.1 * (k + 1), 0.6, 1.0, CONFIG.values(s))
        for k, s in enumerate(seeds)
    ]
    return StorePool(CONFIG, seeds, cache="", records=records)


def test_every_policy_meets_every_store_with_the_same_luck():
    pool = recorded([4, 9])
    runs = evaluate_pool({"III": scenario("III"), "same": scenario("III")}, pool, [3, 5], weeks=4)
    assert runs.height == 2 * 3 * 2
    one, same = (runs.filter(runs["policy"] == name).drop("policy") for name in ("III", "same"))
    assert one.equals(same)
    assert one["return"].n_unique() == 4
    for k, seed in enumerate([4, 9]):
        env = RetailAdaptiveEnv(pool.part([k]), horizon=4)
        env.reset(seed=5)
        best = np.array([0.1 * (k + 1), 0.6], np.float32)
        total = sum(env.step(best)[1] for _ in range(4))
        row = runs.filter(world_seed=seed, seed=5, policy=HINDSIGHT)
        assert row["return"].item() == pytest.approx(total)


def table(returns):
    """policy -> stores x seeds."""
    rows = [
        {"world_seed": k, "policy": name, "seed": s, "return": float(value)}
        for name, block in returns.items()
        for k, line in enumerate(block)
        for s, value in enumerate(line)
    ]
    return pl.DataFrame(rows).sample(fraction=1.0, shuffle=True, seed=0)


def test_the_share_of_the_gap_by_hand():
    runs = table(
        {
            SINGLE: [[1.0, 2.0], [3.0, 3.0]],
            HINDSIGHT: [[3.0, 4.0], [5.0, 5.0]],
            "half": [[2.0, 3.0], [4.0, 4.0]],
            "uneven": [[3.0, 4.0], [3.0, 3.0]],
        }
    )
    for name, mean, low, high in (
        (SINGLE, 0.0, 0.0, 0.0),
        (HINDSIGHT, 1.0, 1.0, 1.0),
        ("half", 0.5, 0.5, 0.5),
        ("uneven", 0.5, 0.0, 1.0),  # one store or the other: the interval is over stores
    ):
        share = gap_closed(runs, name)
        assert (share.mean, share.low, share.high) == pytest.approx((mean, low, high))
    gain = pool_difference(runs, "half", SINGLE)
    assert (gain.mean, gain.low, gain.high) == pytest.approx((1.0, 1.0, 1.0))
    assert pool_difference(runs, "uneven", SINGLE).low == pytest.approx(0.0)


def test_references_hold_the_best_single_policy():
    policies = references()
    assert policies[SINGLE] == HighLow(*best_single())
    assert {"random", "no discount", "I", "V"} <= set(policies)


def test_mistakes_are_refused():
    runs = table({SINGLE: [[1.0]], HINDSIGHT: [[1.0]]})
    with pytest.raises(ValueError, match="no better"):
        gap_closed(runs, SINGLE)
    with pytest.raises(ValueError, match="it has"):
        pool_difference(runs, "typo", SINGLE)
    with pytest.raises(ValueError, match="kept for"):
        evaluate_pool({HINDSIGHT: scenario("I")}, recorded([1]))
