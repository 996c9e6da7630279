"""The reward scales shipped with the presets are those of the presets."""

from __future__ import annotations

import pytest

import retail_gym
from retail_gym.world.presets import load_config, shipped_reward_scale
from retail_gym.world.reference import reward_scale


@pytest.mark.parametrize("preset", retail_gym.preset_names())
@pytest.mark.parametrize("seed", [0, 13])
def test_shipped_scale_is_the_computed_one(preset, seed):
    shipped = shipped_reward_scale(load_config(preset), seed)
    assert shipped is not None, "run python -m experiments.ship_reward_scales"
    # R0 does not depend on the room for coefficients; many households need a lot of it.
    world = retail_gym.make_world(preset, seed, memory_gib=0.1)
    assert world.reward_scale == shipped
    assert reward_scale(world) == pytest.approx(shipped, rel=1e-9)


def test_other_stores_have_no_shipped_scale():
    config = load_config("tiny")
    assert shipped_reward_scale(config, 10**6) is None
    assert shipped_reward_scale(config.override(n_customers=6), 0) is None
