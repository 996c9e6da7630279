"""Segment managers for stable-baselines3: the PettingZoo environment's rows, only faster."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import retail_gym

pytest.importorskip("stable_baselines3")
from stable_baselines3 import PPO
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecMonitor

from retail_gym.envs.sb3_parallel import SegmentManagersVecEnv, make_sb3_managers

TINY = {"preset": "tiny", "horizon": 4, "segments": 2}


@pytest.mark.parametrize("reward_mode", ["own", "shared"])
@pytest.mark.parametrize(
    "kwargs",
    [
        {"segments": 2, "reward": "margin", "threads": 2},
        {"segments": 3, "observe": "all", "identity": True, "burn_in": 2, "n_customers": 7},
    ],
)
def test_equals_the_parallel_environments(reward_mode, kwargs):
    pytest.importorskip("pettingzoo")
    from retail_gym.parallel import segment_managers

    settings = TINY | kwargs | {"reward_mode": reward_mode, "world_seed": 3}
    env = make_sb3_managers(n_envs=3, monitor=False, rescale=False, **settings)
    settings.pop("threads", None)
    singles = [segment_managers(**settings) for _ in range(3)]
    n = settings["segments"]
    agents = singles[0].possible_agents
    assert env.num_envs == 3 * n
    assert env.observation_space == singles[0].observation_space(agents[0])
    assert env.action_space == singles[0].action_space(agents[0])
    assert env.unwrapped.views.names == singles[0].observation_names
    assert env.seed(4) == [seed for seed in (4, 5, 6) for _ in agents]
    generator = np.random.default_rng(0)
    now, infos = env.reset(), env.reset_infos
    starts = [single.reset(seed=4 + k) for k, single in enumerate(singles)]
    ends = 0
    for week in range(10):
        for k, (observations, their_infos) in enumerate(starts):
            for s, agent in enumerate(agents):
                assert np.array_equal(now[k * n + s], observations[agent])
                assert env.observation_space.contains(now[k * n + s])
                if week % 4 == 0:
                    assert env.reset_infos[k * n + s] == their_infos[agent]
        actions = generator.uniform(0, env.action_space.high, (3 * n, 2)).astype(np.float32)
        now, rewards, dones, infos = env.step(actions)
        assert (rewards.dtype, rewards.shape, dones.shape) == (np.float32, (3 * n,), (3 * n,))
        starts = []
        for k, single in enumerate(singles):
            given = {agent: actions[k * n + s] for s, agent in enumerate(agents)}
            observations, their_rewards, _, truncations, their_infos = single.step(given)
            for s, agent in enumerate(agents):
                row = k * n + s
                info = dict(infos[row])
                assert rewards[row] == np.float32(their_rewards[agent])
                assert dones[row] == truncations[agent]
                assert info.pop("TimeLimit.truncated") is truncations[agent]
                if truncations[agent]:
                    ends += 1
                    assert np.array_equal(info.pop("terminal_observation"), observations[agent])
                assert info == their_infos[agent]
            starts.append((observations, their_infos) if single.agents else single.reset())
    assert ends == 2 * 3 * n
    assert np.abs(rewards).max() > 0
    env.close()
    env.close()


def test_actions_are_rescaled():
    env = make_sb3_managers(n_envs=2, seed=0, monitor=False, **TINY)
    plain = make_sb3_managers(n_envs=2, seed=0, monitor=False, rescale=False, **TINY)
    assert np.array_equal(env.action_space.low, np.float32([-1, -1]))
    env.reset()
    plain.reset()
    one = env.step(np.tile(np.float32([0.0, 1.0]), (4, 1)))
    other = plain.step(np.tile(np.float32([0.25, 0.6]), (4, 1)))
    assert one[0][:, :2] == pytest.approx(np.tile([0.25, 0.6], (4, 1)), abs=1e-6)
    assert one[0] == pytest.approx(other[0], abs=1e-6)
    bad = np.zeros((4, 2), np.float32)
    bad[3, 0] = np.nan
    with pytest.raises(ValueError, match=r"environment 1: .*NaN"):
        env.step(bad)


def test_attributes_methods_and_wrappers():
    env = make_sb3_managers(n_envs=2, seed=0, **TINY)
    assert isinstance(env, VecMonitor)
    assert isinstance(env.unwrapped, SegmentManagersVecEnv)
    env.reset()
    keys = env.get_attr("episode_key")
    assert keys[0] == keys[1] != keys[2] == keys[3]
    assert env.get_attr("episode_key", indices=[1, 2]) == keys[1:3]
    env.set_attr("note", "mine", indices=3)
    assert env.get_attr("note", indices=2) == ["mine"]
    assert not env.has_attr("note")
    assert len(env.env_method("snapshot", indices=[0, 3])) == 2
    assert env.env_is_wrapped(Monitor) == [False] * 4
    assert env.seed(7) == [7, 7, 8, 8]
    assert np.array_equal(env.reset(), make_sb3_managers(n_envs=2, seed=7, **TINY).reset())
    pictures = make_sb3_managers(n_envs=2, render_mode="rgb_array", **TINY)
    pictures.reset()
    assert [image.shape for image in pictures.get_images()] == [(480, 800, 3)] * 2


def test_typos_are_refused(tiny_world):
    with pytest.raises(TypeError, match=r"treads.*identity, threads"):
        make_sb3_managers(tiny_world, treads=2)
    with pytest.raises(ValueError, match=r"reward_mode 'mine'.*own, shared"):
        make_sb3_managers(tiny_world, reward_mode="mine")
    with pytest.raises(ValueError, match="cannot be told apart"):
        make_sb3_managers(tiny_world, reward=lambda outcome, scale: 0.0)
    with pytest.raises(ValueError, match="observe 'none'"):
        make_sb3_managers(tiny_world, observe="none")


def test_ppo_trains_by_sharing_and_is_the_same_again():
    weights = []
    for seed in (0, 0, 1):
        env = make_sb3_managers(n_envs=2, identity=True, **TINY)
        model = PPO(
            "MlpPolicy", env, n_steps=64, batch_size=64, n_epochs=2, seed=seed, device="cpu"
        )
        before = model.policy.state_dict()["action_net.weight"].clone()
        model.learn(256)
        assert model.num_timesteps == 256
        assert len(model.ep_info_buffer) == 64  # 4 rows x 64 weeks / 4 weeks an episode
        weights.append({name: tensor.numpy() for name, tensor in model.policy.state_dict().items()})
        assert not np.array_equal(weights[-1]["action_net.weight"], before.numpy())
    for name, tensor in weights[0].items():
        assert np.array_equal(tensor, weights[1][name])
    assert not np.array_equal(weights[0]["action_net.weight"], weights[2]["action_net.weight"])
    mean, _ = evaluate_policy(model, make_sb3_managers(n_envs=2, seed=1, **TINY, identity=True), 4)
    assert np.isfinite(mean)


def test_a_model_is_a_policy_of_the_whole_store(tiny_world):
    """What the rows earn in an episode is what the policy earns in the segments environment."""
    settings = {"segments": 2, "horizon": 6, "reward": "margin"}
    env = make_sb3_managers(tiny_world, n_envs=1, seed=9, identity=True, monitor=False, **settings)
    model = PPO("MlpPolicy", env, n_steps=16, batch_size=16, n_epochs=1, seed=0, device="cpu")
    env.seed(9)
    observation, earned = env.reset(), 0.0
    for _ in range(6):
        action, _ = model.predict(observation, deterministic=True)
        observation, reward, *_ = env.step(np.clip(action, -1, 1))
        earned += float(reward.sum())
    policy = env.as_policy(model)
    run = retail_gym.simulate(tiny_world, policy, weeks=6, seed=9, segments=2, reward="margin")
    assert run.score == pytest.approx(earned, rel=1e-5)
    table = retail_gym.evaluate(tiny_world, {"managers": policy}, weeks=6, seeds=[9], segments=2,
                                reward="margin")  # fmt: skip
    assert table["return"][0] == pytest.approx(run.score)


def test_without_stable_baselines_the_message_says_what_to_install():
    code = (
        "import sys\n"
        "sys.modules['stable_baselines3'] = None\n"
        "try:\n    import retail_gym.envs.sb3_parallel\n"
        "except ImportError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                          cwd=Path(retail_gym.__file__).parents[1])  # fmt: skip
    assert 'sb3_parallel needs stable-baselines3: pip install "retail-gym[agents]"' in done.stdout
