"""Rendering: a dashboard as pixels, and text."""

from __future__ import annotations

from itertools import pairwise

import gymnasium as gym
import numpy as np
import pytest

from retail_gym.envs import RetailPricingEnv

ACTION = np.float32([0.3, 0.5])


def test_rgb_array_is_a_picture_that_changes_as_weeks_pass():
    env = gym.make("RetailSynth-v0", preset="tiny", render_mode="rgb_array", horizon=12)
    env.reset(seed=0)
    pictures = [env.render()]
    for _ in range(3):
        env.step(ACTION)
        pictures.append(env.render())
    for picture in pictures:
        assert picture.shape == (480, 800, 3)
        assert picture.dtype == np.uint8
        assert len(np.unique(picture)) > 20  # not blank
    for before, after in pairwise(pictures):
        assert (before != after).mean() > 1e-4
    env.close()


def test_the_same_week_is_the_same_picture():
    frames = []
    for _ in range(2):
        env = RetailPricingEnv("tiny", render_mode="rgb_array")
        env.reset(seed=0)
        env.step(ACTION)
        frames.append(env.render())
    assert np.array_equal(*frames)


def test_a_picture_belongs_to_the_caller():
    env = RetailPricingEnv("tiny", render_mode="rgb_array")
    env.reset(seed=0)
    env.step(ACTION)
    picture = env.render()
    picture[:] = 0
    assert env.render().any()


def test_ansi_says_which_week_it_is_and_what_was_sold():
    env = gym.make("RetailSynth-v0", preset="tiny", render_mode="ansi", horizon=12)
    env.reset(seed=0)
    assert "week 0 of 12" in env.render()
    revenue, total = [], 0.0
    for week in range(1, 4):
        _, reward, _, _, info = env.step(ACTION)
        revenue.append(info["revenue"])
        total += reward
        text = env.render()
        assert f"week {week} of 12" in text
        assert f"{info['revenue']:.2f}" in text
    assert "tiny" in text
    assert f"{sum(revenue):.2f}" in text
    assert f"{total:.3f}" in text
    assert "depth 0.300" in text
    assert "frequency 0.500" in text


def test_a_new_episode_starts_an_empty_picture():
    env = RetailPricingEnv("tiny", render_mode="ansi")
    env.reset(seed=0)
    env.step(ACTION)
    env.reset()
    assert "week 0" in env.render()


def test_rendering_does_not_move_the_episode():
    a, b = (RetailPricingEnv("tiny", render_mode=mode) for mode in ("rgb_array", None))
    a.reset(seed=0)
    b.reset(seed=0)
    for _ in range(5):
        x, y = a.step(ACTION), b.step(ACTION)
        a.render()
        assert x[1:] == y[1:]


def test_rendering_without_a_mode_warns_and_gives_nothing():
    env = RetailPricingEnv("tiny")
    env.reset(seed=0)
    with pytest.warns(UserWarning, match="render_mode"):
        assert env.render() is None


def test_render_modes_are_declared():
    assert set(RetailPricingEnv.metadata["render_modes"]) == {"ansi", "rgb_array"}
