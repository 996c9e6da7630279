"""Both environment checkers pass without a warning, but for the documented action box."""

from __future__ import annotations

import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env as gymnasium_check

import retail_gym

CASES = {
    "default": {},
    "segments": {"segments": 3, "reward": "balanced"},
    "ansi": {"render_mode": "ansi", "reward": "margin"},
    "rgb_array": {"render_mode": "rgb_array", "horizon": 6},
    "burn-in": {"burn_in": 4, "reward": "retention", "n_customers": 8},
    "two weeks": {"horizon": 2},
    "override": {"features": "persistent", "theta": 0.3, "world_seed": 3},
}


@pytest.mark.parametrize("case", CASES)
def test_gymnasium_checker(case):
    env = gym.make("RetailSynth-v0", preset="tiny", **CASES[case])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", ".*symmetric and normalized.*")
        gymnasium_check(env.unwrapped)
    env.close()


@pytest.mark.parametrize("case", CASES)
def test_stable_baselines_checker(case):
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    env = gym.make("RetailSynth-v0", preset="tiny", **CASES[case])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        checker.check_env(env)
    ours = [str(w.message) for w in caught
            if not issubclass(w.category, DeprecationWarning | FutureWarning)]  # fmt: skip
    assert len(ours) <= 1
    assert all("symmetric and normalized Box action space" in text for text in ours)


def rescaled(**kwargs):
    # Float32 bounds: with Python's floats Gymnasium warns of its own cast.
    env = gym.make("RetailSynth-v0", preset="tiny", **kwargs)
    return gym.wrappers.RescaleAction(env, np.float32(-1), np.float32(1))


def test_a_rescaled_environment_has_no_warning_at_all():
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", DeprecationWarning)
        checker.check_env(rescaled())


def test_rescaled_actions_reach_the_bounds_and_never_leave_them():
    env = rescaled(segments=2, horizon=2_000)
    env.reset(seed=0)
    names = env.unwrapped.observation_names
    depth, frequency = names.index("segment_1.depth"), names.index("segment_1.frequency")
    for value, expected in ((1, (0.5, 0.6)), (-1, (0.0, 0.0)), (0, (0.25, 0.3))):
        observation, *_ = env.step(np.full(4, value, dtype=np.float32))
        assert observation[[depth, frequency]] == pytest.approx(expected, abs=1e-6)
    generator = np.random.default_rng(0)
    for _ in range(300):  # rounding at the edges must not be refused
        edge = generator.choice([-1.0, 1.0, 1 - 1e-7, -1 + 1e-7], 4).astype(np.float32)
        env.step(edge)


def test_ids_are_registered_once_however_often_it_is_asked():
    spec = gym.spec("RetailSynth-v0")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        retail_gym.registration.register_envs()
        retail_gym.registration.register_envs()
    assert gym.spec("RetailSynth-v0") is spec
    assert spec.max_episode_steps is None  # the environment truncates itself


def test_the_module_id_imports_and_makes():
    import subprocess
    import sys
    from pathlib import Path

    code = (
        "import gymnasium as gym\n"
        "env = gym.make('retail_gym:RetailSynth-v0', preset='tiny')\n"
        "print(env.reset(seed=0)[0].shape)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                         cwd=Path(retail_gym.__file__).parents[1])  # fmt: skip
    assert run.stdout.strip() == "(10,)"
