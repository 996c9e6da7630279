"""The store's observation and reward taken apart by segment, without PettingZoo."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium.spaces import Box

from retail_gym import RetailPricingEnv
from retail_gym.envs.managers import ManagerViews, WithRewardParts
from retail_gym.envs.observations import SegmentAggregates
from retail_gym.envs.rewards import REWARDS, DiscountSpend, as_segment_reward

ACTION = np.float32([0.4, 0.6, 0.2, 0.3, 0.0, 0.0])


@pytest.fixture(scope="module")
def outcomes(small_world):
    env = RetailPricingEnv(small_world, segments=3, horizon=6)
    env.reset(seed=3)
    outcomes = []
    for _ in range(6):
        env.step(ACTION)
        outcomes.append(env.outcome)
    return outcomes


@pytest.mark.parametrize("reward", [*REWARDS, DiscountSpend()])
def test_parts_add_up_to_the_reward(reward, outcomes):
    parted = as_segment_reward(reward)
    for outcome in outcomes:
        parts = parted.by_segment(outcome, 2000.0)
        assert (parts.dtype, parts.shape) == (np.float64, (3,))
        assert parts.sum() == pytest.approx(parted(outcome, 2000.0), rel=1e-12)
    assert len(set(parts.tolist())) == 3


def test_a_segment_that_pays_base_prices_spends_no_discount(outcomes):
    for outcome in outcomes:
        parts = DiscountSpend().by_segment(outcome, 1.0)
        assert parts[2] == 0.0 < min(parts[:2])


def test_views_of_a_batch_are_the_views_of_its_rows():
    names = ["total", "segment_1.a", "segment_2.a", "segment_1.b", "segment_2.b", "elapsed"]
    space = Box(np.float32([0, 0, -1, 0, 0, 0]), np.float32([9, 2, 1, 3, 4, 1]), dtype=np.float32)
    views = ManagerViews(space, names, 2, "all", identity=True)
    assert views.agents == ["segment_0", "segment_1"]
    assert views.names["segment_1"] == [
        "segment_2.a", "segment_2.b", "segment_1.a", "segment_1.b", "total", "elapsed",
        "is_segment_1", "is_segment_2",
    ]  # fmt: skip
    assert np.array_equal(views.space.low, [-1, 0, -1, 0, 0, 0, 0, 0])
    assert np.array_equal(views.space.high, [2, 4, 2, 4, 9, 1, 1, 1])
    row = np.arange(6, dtype=np.float32)
    assert np.array_equal(views.split(row)[1], [2, 4, 1, 3, 0, 5, 0, 1])
    batch = np.stack([row, row + 10])
    split = views.split(batch)
    assert (split.dtype, split.shape) == (np.float32, (2, 2, 8))
    assert np.array_equal(split[1, 1], [12, 14, 11, 13, 10, 15, 0, 1])
    assert ManagerViews(space, names, 2).names["segment_0"] == [
        "segment_1.a", "segment_1.b", "total", "elapsed"
    ]  # fmt: skip


def test_views_refuse_segments_that_differ():
    space = Box(0, 1, (3,), np.float32)
    for names in (["segment_1.a", "segment_2.b", "x"], ["segment_1.a", "segment_1.b", "x"]):
        with pytest.raises(ValueError, match="same figures in the same order"):
            ManagerViews(space, names, 2)
    with pytest.raises(ValueError, match="unknown observe 'both': choose from own, all"):
        ManagerViews(space, ["segment_1.a", "segment_2.a", "x"], 2, "both")


def test_reward_parts_travel_with_the_observation(small_world):
    plain = RetailPricingEnv(small_world, segments=3, reward="margin", horizon=2)
    inner = SegmentAggregates(small_world, plain.segments)
    reward = as_segment_reward("margin")
    observation = WithRewardParts(inner, reward, plain.reward_scale, 3)
    env = RetailPricingEnv(small_world, segments=3, horizon=2, observation=observation)
    assert env.observation_names == [*plain.observation_names,
                                     "segment_1.reward", "segment_2.reward", "segment_3.reward"]  # fmt: skip
    start, expected = env.reset(seed=0)[0], plain.reset(seed=0)[0]
    assert np.array_equal(start, np.append(expected, [0, 0, 0]))
    seen, other = env.step(ACTION)[0], plain.step(ACTION)[0]
    assert env.observation_space.contains(seen)
    assert np.array_equal(seen[:-3], other)
    parts = reward.by_segment(plain.outcome, plain.reward_scale)
    assert np.array_equal(seen[-3:], parts.astype(np.float32))
