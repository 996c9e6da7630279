"""A reward vector: its components are the scalar environments' rewards; MO-Gymnasium's tools."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest

from retail_gym import evaluate
from retail_gym.envs import MultiObjectivePricingEnv
from retail_gym.policies import scenario

ID = "mo-retailsynth-v0"
TINY = {"preset": "tiny", "n_customers": 40, "horizon": 6}
GIVEN = np.random.default_rng(1).uniform(0, [0.5, 0.6], (6, 2)).astype(np.float32)


def test_components_are_the_scalar_rewards_and_nothing_else_differs():
    env = gym.make(ID, **TINY)
    names = ["revenue", "margin", "retention"]
    assert env.unwrapped.reward_names == names
    singles = [gym.make("RetailSynth-v0", reward=name, **TINY) for name in names]
    starts = [single.reset(seed=3) for single in singles]
    observation, info = env.reset(seed=3)
    assert all(np.array_equal(observation, start[0]) and info == start[1] for start in starts)
    seen = []
    for action in GIVEN:
        observation, reward, terminated, truncated, info = env.step(action)
        steps = [single.step(action) for single in singles]
        assert reward.dtype == np.float32
        assert reward.tolist() == [np.float32(step[1]) for step in steps]
        for step in steps:
            assert np.array_equal(observation, step[0])
            assert (terminated, truncated, info) == step[2:]
        assert env.unwrapped.reward_space.contains(reward)
        seen.append(reward)
    assert truncated
    assert (np.ptp(seen, axis=0) > 0).all()  # each moves
    assert len({tuple(row) for row in seen}) == 6


def test_the_reward_space_is_on_the_unwrapped_environment():
    env = gym.make(ID, **TINY)
    assert isinstance(env.unwrapped, MultiObjectivePricingEnv)
    space = env.unwrapped.reward_space
    assert isinstance(space, gym.spaces.Box)
    assert space.shape == (3,)
    assert space.dtype == np.float32
    assert env.unwrapped.reward_dim == 3
    assert space.low.tolist() == [0.0, -np.inf, 0.0]
    assert space.high.tolist() == [np.inf, np.inf, 1.0]


def test_rewards_of_two_steps_do_not_share_memory():
    env = gym.make(ID, **TINY)
    env.reset(seed=0)
    first = env.step(GIVEN[0])[1]
    kept = first.copy()
    second = env.step(GIVEN[1])[1]
    assert not np.shares_memory(first, second)
    assert np.array_equal(first, kept)


def test_the_same_in_segments_and_after_a_snapshot():
    env = gym.make(ID, segments=2, **TINY).unwrapped
    env.reset(seed=1)
    state = env.snapshot()
    action = np.float32([0.5, 0.6, 0.1, 0.3])
    first = env.step(action)[1]
    env.restore(state)
    assert np.array_equal(first, env.step(action)[1])


def test_a_reward_argument_and_one_return_are_refused():
    with pytest.raises(TypeError, match="the reward is the vector"):
        gym.make(ID, reward="margin", **TINY)
    with pytest.raises(ValueError, match="reward vector"):
        evaluate(ID, {"III": scenario("III")}, 2, [0], preset="tiny")


def test_mo_gymnasium_makes_and_weighs_it():
    mo_gym = pytest.importorskip("mo_gymnasium")
    from mo_gymnasium.wrappers import LinearReward

    weight = np.array([0.5, 2.0, 0.1])
    env = LinearReward(mo_gym.make(ID, **TINY), weight)
    plain = gym.make(ID, **TINY)
    env.reset(seed=2)
    plain.reset(seed=2)
    for action in GIVEN:
        _, reward, _, _, info = env.step(action)
        vector = plain.step(action)[1]
        assert np.array_equal(info["vector_reward"], vector)
        assert reward == pytest.approx(float(vector.astype(np.float64) @ weight), rel=1e-6)


def test_mo_gymnasium_records_an_episode():
    pytest.importorskip("mo_gymnasium")
    from mo_gymnasium.wrappers import MORecordEpisodeStatistics

    env = MORecordEpisodeStatistics(gym.make(ID, **TINY), gamma=0.9)
    env.reset(seed=2)
    steps = [env.step(action) for action in GIVEN]
    episode = steps[-1][4]["episode"]
    rewards = np.array([step[1] for step in steps], dtype=np.float64)
    assert episode["r"] == pytest.approx(rewards.sum(axis=0), rel=1e-5)
    assert episode["dr"] == pytest.approx(0.9 ** np.arange(6) @ rewards, rel=1e-5)
    assert episode["l"] == 6


def test_mo_gymnasium_runs_several_at_once():
    pytest.importorskip("mo_gymnasium")
    from mo_gymnasium.wrappers.vector import MOSyncVectorEnv

    envs = MOSyncVectorEnv([lambda: gym.make(ID, **TINY) for _ in range(2)])
    observation, _ = envs.reset(seed=8)
    got = [envs.step(np.stack([action, action])) for action in GIVEN]
    for k in range(2):
        env = gym.make(ID, **TINY)
        assert np.array_equal(observation[k], env.reset(seed=8 + k)[0])
        for action, step in zip(GIVEN, got, strict=True):
            expected = env.step(action)
            assert np.array_equal(step[0][k], expected[0])
            assert step[1].shape == (2, 3)
            assert np.array_equal(step[1][k], expected[1])
    assert got[-1][3].all()
    envs.close()
