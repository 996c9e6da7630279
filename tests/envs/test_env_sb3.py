"""The adapter to stable-baselines3: a DummyVecEnv of single environments, only faster."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

import retail_gym
from retail_gym.envs import RetailPricingVectorEnv

pytest.importorskip("stable_baselines3")
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor, VecNormalize

from retail_gym.envs.sb3 import RetailVecEnv, make_sb3_vec_env

TINY = {"preset": "tiny", "horizon": 4}


def make_single(rescale, **kwargs):
    env = gym.make("RetailSynth-v0", **(TINY | kwargs))
    return gym.wrappers.RescaleAction(env, np.float32(-1), np.float32(1)) if rescale else env


def same_info(got, expected):
    assert got.keys() == expected.keys()
    for key, value in got.items():
        assert type(value) is type(expected[key])
        assert np.array_equal(value, expected[key])


@pytest.mark.parametrize("rescale", [True, False])
@pytest.mark.parametrize("kwargs", [{}, {"segments": 2, "reward": "margin", "threads": 2}])
def test_equals_a_dummy_vector_of_singles(rescale, kwargs):
    single = {key: value for key, value in kwargs.items() if key != "threads"}
    dummy = DummyVecEnv([lambda: make_single(rescale, **single) for _ in range(3)])
    env = make_sb3_vec_env(n_envs=3, seed=4, monitor=False, rescale=rescale, **TINY, **kwargs)
    assert isinstance(env, RetailVecEnv)
    assert env.action_space == dummy.action_space
    assert env.observation_space == dummy.observation_space
    dummy.seed(4)
    assert np.array_equal(env.reset(), dummy.reset())
    for one, other in zip(env.reset_infos, dummy.reset_infos, strict=True):
        same_info(one, other)
    generator = np.random.default_rng(0)
    ends = 0
    for _ in range(10):
        action = generator.uniform(
            env.action_space.low, env.action_space.high, (3, *env.action_space.shape)
        )
        got, expected = env.step(action.astype(np.float32)), dummy.step(action.astype(np.float32))
        for one, other in zip(got[:3], expected[:3], strict=True):
            assert one.dtype == other.dtype
            assert np.array_equal(one, other)
        for k in range(3):
            same_info(got[3][k], expected[3][k])
            same_info(env.reset_infos[k], dummy.reset_infos[k])
            ends += "terminal_observation" in got[3][k]
    assert ends == 6
    assert np.array_equal(env.reset(), dummy.reset())  # unseeded: the streams go on
    env.close()
    env.close()


def test_the_end_is_a_time_limit():
    env = make_sb3_vec_env("tiny", n_envs=2, seed=0, horizon=1)
    env.reset()
    observation, _, done, infos = env.step(np.zeros((2, 2), dtype=np.float32))
    assert done.all()
    for k, info in enumerate(infos):
        assert info["TimeLimit.truncated"] is True
        assert info["terminal_observation"][-1] == 1.0
        assert observation[k, -1] == 0.0
        assert info["episode"]["l"] == 1


def test_ids_presets_and_worlds(tiny_world):
    for given in ("RetailSynth-v0", "retail_gym:RetailSynth-v0"):
        env = make_sb3_vec_env(given, n_envs=1, preset="tiny")
        assert env.unwrapped.vector.world.name == "tiny"
    env = make_sb3_vec_env(tiny_world, n_envs=2, seed=1)
    assert env.unwrapped.vector.world is tiny_world
    assert isinstance(env, VecMonitor)
    assert np.array_equal(env.reset(), make_sb3_vec_env("tiny", n_envs=2, seed=1).reset())
    with pytest.raises(TypeError, match="two presets"):
        make_sb3_vec_env("tiny", preset="tiny")
    with pytest.raises(TypeError, match="treads"):
        make_sb3_vec_env("tiny", treads=2)
    with pytest.raises(ValueError, match="SameStep"):
        RetailVecEnv(RetailPricingVectorEnv(tiny_world, num_envs=2))


def test_actions_in_natural_units():
    env = make_sb3_vec_env("tiny", n_envs=2, monitor=False)
    action = np.float32([[-1, -1], [1, 1]])
    assert env.natural(action) == pytest.approx(np.array([[0, 0], [0.5, 0.6]]), abs=1e-6)
    plain = make_sb3_vec_env("tiny", n_envs=2, monitor=False, rescale=False)
    assert plain.natural(action) is action
    env.reset()
    with pytest.raises(ValueError, match=r"environment 1: .*out of bounds"):
        env.step(np.float32([[0, 0], [0, 1.1]]))
    with pytest.raises(RuntimeError, match="step_async"):
        env.step_wait()


def test_attributes_methods_and_wrappers():
    env = make_sb3_vec_env("tiny", n_envs=3, seed=0)
    env.reset()
    assert env.get_attr("horizon") == [53, 53, 53]
    assert env.get_attr("horizon", indices=[0, 2]) == [53, 53]
    assert len(set(env.get_attr("episode_key"))) == 3
    env.set_attr("note", "mine", indices=1)
    assert env.get_attr("note", indices=1) == ["mine"]
    assert not env.has_attr("note")
    assert len(env.env_method("snapshot")) == 3
    assert env.env_method("has_wrapper_attr", "horizon", indices=0) == [True]
    assert env.env_is_wrapped(Monitor) == [False, False, False]
    assert env.seed(7) == [7, 8, 9]
    assert env.unwrapped.envs[0].world is env.unwrapped.vector.world


def test_rendering():
    env = make_sb3_vec_env("tiny", n_envs=2, render_mode="rgb_array")
    env.reset()
    env.step(np.zeros((2, 2), dtype=np.float32))
    assert env.render_mode == "rgb_array"
    assert env.render().shape == (960, 800, 3)
    assert [image.shape for image in env.get_images()] == [(480, 800, 3)] * 2
    assert make_sb3_vec_env("tiny", n_envs=2, monitor=False).get_images() == [None, None]


def test_ppo_trains_and_is_the_same_with_the_dummy_vector():
    """Same seed, same weights: the adapter is not only alike but equal."""
    dummy = VecMonitor(DummyVecEnv([lambda: make_single(True) for _ in range(2)]))
    weights = []
    for env in (make_sb3_vec_env(n_envs=2, **TINY), dummy):
        model = PPO("MlpPolicy", env, n_steps=64, batch_size=64, n_epochs=2, seed=0, device="cpu")
        model.learn(256)
        assert len(model.ep_info_buffer) == 64
        weights.append(model.policy.state_dict())
        mean, _ = evaluate_policy(model, make_sb3_vec_env(n_envs=2, seed=1, **TINY), 4)
        assert np.isfinite(mean)
    for name, tensor in weights[0].items():
        assert np.array_equal(tensor.numpy(), weights[1][name].numpy())


def test_vec_normalize(tmp_path):
    env = VecNormalize(make_sb3_vec_env("tiny", n_envs=4, seed=0, horizon=6))
    model = PPO("MlpPolicy", env, n_steps=16, batch_size=32, n_epochs=1, seed=0, device="cpu")
    model.learn(64)
    assert np.isfinite(env.obs_rms.mean).all()
    env.save(str(tmp_path / "statistics.pkl"))
    again = VecNormalize.load(
        str(tmp_path / "statistics.pkl"), make_sb3_vec_env("tiny", n_envs=4, seed=0)
    )
    assert np.array_equal(again.obs_rms.mean, env.obs_rms.mean)
    assert np.isfinite(again.reset()).all()


def test_without_stable_baselines_the_message_says_what_to_install():
    code = (
        "import sys\n"
        "import retail_gym, retail_gym.envs\n"
        "retail_gym.RetailPricingEnv('tiny')\n"
        "assert 'retail_gym.envs.sb3' not in sys.modules\n"
        "assert 'stable_baselines3' not in sys.modules\n"
        "sys.modules['stable_baselines3'] = None\n"
        "try:\n    import retail_gym.envs.sb3\n"
        "except ImportError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                          cwd=Path(retail_gym.__file__).parents[1])  # fmt: skip
    assert 'pip install "retail-gym[agents]"' in done.stdout
