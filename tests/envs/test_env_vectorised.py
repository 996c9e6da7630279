"""Gymnasium's vectors: environment k of seed s is the single environment of seed s + k."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest

SETTINGS = {"preset": "tiny", "horizon": 6, "segments": 2}


def singles(n, seed, actions):
    rows = []
    for k in range(n):
        env = gym.make("RetailSynth-v0", **SETTINGS)
        first, _ = env.reset(seed=seed + k)
        steps = [env.step(action[k]) for action in actions]
        rows.append((first, steps))
    return rows


def compare(envs, n, seed):
    rng = np.random.default_rng(0)
    high = np.tile([0.5, 0.6], 2)
    actions = [(rng.random((n, 4)) * high).astype(np.float32) for _ in range(6)]
    expected = singles(n, seed, actions)
    observation, _ = envs.reset(seed=seed)
    for k in range(n):
        assert np.array_equal(observation[k], expected[k][0])
    for t, action in enumerate(actions):
        observation, reward, terminated, truncated, info = envs.step(action)
        for k in range(n):
            single = expected[k][1][t]
            assert np.array_equal(observation[k], single[0])
            assert reward[k] == pytest.approx(single[1], rel=1e-15)
            assert terminated[k] == single[2]
            assert truncated[k] == single[3]
            assert info["revenue"][k] == single[4]["revenue"]
    assert truncated.all()
    envs.close()


def test_sync_vector_equals_single_environments():
    envs = gym.make_vec("RetailSynth-v0", num_envs=3, vectorization_mode="sync", **SETTINGS)
    compare(envs, 3, seed=40)


def test_async_vector_with_spawned_workers_equals_single_environments():
    """The module id lets a fresh process find the environment."""
    envs = gym.make_vec(
        "retail_gym:RetailSynth-v0",
        num_envs=2,
        vectorization_mode="async",
        vector_kwargs={"context": "spawn"},
        **SETTINGS,
    )
    compare(envs, 2, seed=7)


def test_sync_environments_of_one_process_share_the_world():
    envs = gym.make_vec("RetailSynth-v0", num_envs=3, vectorization_mode="sync", **SETTINGS)
    worlds = {id(env.unwrapped.world) for env in envs.envs}
    assert len(worlds) == 1
    envs.close()


def test_an_episode_follows_another_by_itself():
    envs = gym.make_vec("RetailSynth-v0", num_envs=2, vectorization_mode="sync", **SETTINGS)
    envs.reset(seed=1)
    action = np.tile(np.float32([0.3, 0.5, 0.1, 0.2]), (2, 1))
    keys = [env.unwrapped.episode_key for env in envs.envs]
    for _ in range(6):
        envs.step(action)
    observation, *_ = envs.step(action)  # the step after the end resets
    assert (observation[:, -1] == 0).all()
    assert all(env.unwrapped.episode_key != key
               for env, key in zip(envs.envs, keys, strict=True))  # fmt: skip
    envs.close()
