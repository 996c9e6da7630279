"""A grid of depth and frequency under numbers: single, in vectors, for stable-baselines3."""

from __future__ import annotations

import pickle
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

from retail_gym import RetailPricingVectorEnv, evaluate
from retail_gym.envs import DiscretePricing, DiscretePricingVector
from retail_gym.envs.discrete import PriceGrid
from retail_gym.policies import HighLow

ID = "RetailSynthMargin-v0"
TINY = {"preset": "tiny", "n_customers": 40, "horizon": 6}
#: Five actions: none, (0.2, 0.3), (0.2, 0.6), (0.5, 0.3), (0.5, 0.6).
FEW = {"depths": [0.0, 0.2, 0.5], "frequencies": [0.3, 0.6]}
PAIRS = np.float32([[0, 0], [0.2, 0.3], [0.2, 0.6], [0.5, 0.3], [0.5, 0.6]])


def single(grid=None, **kwargs):
    return DiscretePricing(gym.make(ID, **(TINY | kwargs)), **(grid or {}))


def vector(n=3, grid=None, mode=None, **kwargs):
    envs = gym.make_vec(ID, num_envs=n, vectorization_mode=mode, **(TINY | kwargs))
    return DiscretePricingVector(envs, **(grid or {}))


def few(**kwargs):
    return PriceGrid(depths=(0.0, 0.2, 0.5), frequencies=(0.3, 0.6), **kwargs)


def test_the_numbers_of_a_grid():
    assert np.array_equal(few().pairs, PAIRS)
    assert few().space == spaces.Discrete(5)
    assert PriceGrid().space == spaces.Discrete(31)
    assert PriceGrid().pairs[1:, 0].min() == np.float32(0.05)
    assert PriceGrid().pairs.max(axis=0).tolist() == [0.5, np.float32(0.6)]
    assert len(np.unique(PriceGrid().pairs, axis=0)) == 31


def test_one_number_per_segment_or_one_for_all():
    apart, joint = few(segments=3), few(segments=3, joint=True)
    assert apart.space == spaces.MultiDiscrete([5, 5, 5])
    assert joint.space == spaces.Discrete(125)
    everything = joint.natural(np.arange(125))
    assert len(np.unique(everything, axis=0)) == 125
    # The last segment's number runs fastest: 38 = 1 * 25 + 2 * 5 + 3.
    assert np.array_equal(joint.natural(38), PAIRS[[1, 2, 3]].ravel())
    assert np.array_equal(joint.natural(38), apart.natural([1, 2, 3]))
    assert np.array_equal(apart.natural([[1, 2, 3], [0, 0, 4]])[1], PAIRS[[0, 0, 4]].ravel())


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"depths": (0.1, 0.6)}, "depths"),
        ({"depths": (0.1, float("nan"))}, "depths"),
        ({"frequencies": (0.7,)}, "frequencies"),
        ({"frequencies": ()}, "frequencies must increase"),
        ({"depths": (0.2, 0.1)}, "depths must increase"),
        ({"depths": (0.2, 0.2)}, "depths must increase"),
        ({"segments": 3, "joint": True}, r"29,791 actions.*joint=False"),
        ({"segments": 0}, "segments"),
    ],
)
def test_bad_grids_are_refused(kwargs, message):
    with pytest.raises(ValueError, match=message):
        PriceGrid(**kwargs)


@pytest.mark.parametrize("action", [-1, 5, 0.0, 1.5, [[1]], "1", None])
def test_an_action_outside_is_refused(action):
    env = single(FEW)
    env.reset(seed=0)
    with pytest.raises(ValueError, match="is not in Discrete"):
        env.step(action)


def test_a_bad_number_of_one_segment_is_refused():
    env = single(FEW, segments=2)
    env.reset(seed=0)
    for action in ([0, 5], [0, -1], [0, 1, 2], 3):
        with pytest.raises(ValueError, match="is not in MultiDiscrete"):
            env.step(np.array(action))


def test_only_natural_units_can_be_numbered():
    env = gym.wrappers.RescaleAction(gym.make(ID, **TINY), np.float32(-1), np.float32(1))
    with pytest.raises(ValueError, match="natural units"):
        DiscretePricing(env)
    with pytest.raises(ValueError, match="natural units"):
        DiscretePricing(single())


@pytest.mark.parametrize("segments", [1, 2])
@pytest.mark.parametrize("joint", [False, True])
def test_a_numbered_action_is_the_natural_one(segments, joint):
    env = single(FEW | {"joint": joint}, segments=segments)
    plain = gym.make(ID, segments=segments, **TINY)
    env.action_space.seed(1)
    assert np.array_equal(env.reset(seed=4)[0], plain.reset(seed=4)[0])
    for _ in range(6):
        action = env.action_space.sample()
        got, expected = env.step(action), plain.step(env.action(action))
        assert np.array_equal(got[0], expected[0])
        assert got[1:] == expected[1:]


def test_the_checker_has_nothing_to_say_of_the_numbers():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", ".*different from the unwrapped.*")
        check_env(single())
        check_env(single(segments=2))


@pytest.mark.parametrize("mode", ["vector_entry_point", "sync"])
@pytest.mark.parametrize("kwargs", [{}, {"segments": 2}])
def test_vectors_equal_singles(mode, kwargs):
    envs = vector(3, FEW, mode, **kwargs)
    envs.action_space.seed(2)
    given = [envs.action_space.sample() for _ in range(6)]
    observation, _ = envs.reset(seed=9)
    got = [envs.step(action) for action in given]
    for k in range(3):
        env = single(FEW, **kwargs)
        assert envs.single_action_space == env.action_space
        assert np.array_equal(observation[k], env.reset(seed=9 + k)[0])
        for action, step in zip(given, got, strict=True):
            expected = env.step(action[k])
            assert np.array_equal(step[0][k], expected[0])
            assert step[1][k] == pytest.approx(expected[1], rel=1e-15)
            assert step[3][k] == expected[3]
    envs.close()


def test_a_bad_row_is_refused_before_anything_moves():
    envs = vector(2, FEW)
    envs.reset(seed=0)
    for actions in ([0, 5], [-1, 0], [0.5, 1.0]):
        with pytest.raises(ValueError, match="is not in Discrete"):
            envs.step(np.array(actions))
    twin = vector(2, FEW)
    twin.reset(seed=0)
    assert np.array_equal(envs.step(np.array([1, 2]))[0], twin.step(np.array([1, 2]))[0])
    envs.close()
    twin.close()


def test_the_wrapped_spec_makes_the_same_again():
    env = single(FEW)
    for spec in (pickle.loads(pickle.dumps(env.spec)),
                 gym.envs.registration.EnvSpec.from_json(env.spec.to_json())):  # fmt: skip
        again = gym.make(spec)
        assert again.action_space == spaces.Discrete(5)
        for one in (env, again):
            one.reset(seed=1)
        assert env.step(3)[1] == again.step(3)[1]


def test_a_policy_on_the_grid_is_one_in_natural_units():
    grid = few()
    policies = {"numbers": lambda observation, week: grid.natural(4), "pair": HighLow(0.5, 0.6)}
    runs = evaluate(ID, policies, 5, [0, 1], preset="tiny")
    returns = runs.partition_by("policy", as_dict=True)
    assert returns[("numbers",)]["return"].equals(returns[("pair",)]["return"])
    assert runs["return"].n_unique() == 2


# stable-baselines3


def sb3(**kwargs):
    pytest.importorskip("stable_baselines3")
    from retail_gym.envs.sb3 import make_sb3_vec_env

    options = {"wrapper_class": DiscretePricingVector, "wrapper_kwargs": FEW}
    return make_sb3_vec_env(ID, n_envs=2, seed=0, **(TINY | options | kwargs))


@pytest.mark.parametrize("kwargs", [{}, {"segments": 2}])
def test_the_adapter_equals_a_dummy_vector(kwargs):
    env = sb3(monitor=False, **kwargs)
    from stable_baselines3.common.vec_env import DummyVecEnv

    dummy = DummyVecEnv([lambda: single(FEW, **kwargs) for _ in range(2)])
    dummy.seed(0)
    assert env.action_space == dummy.action_space
    assert np.array_equal(env.reset(), dummy.reset())
    env.action_space.seed(5)
    for _ in range(8):  # beyond the end of an episode
        action = np.stack([env.action_space.sample() for _ in range(2)])
        got, expected = env.step(action), dummy.step(action)
        for one, other in zip(got[:3], expected[:3], strict=True):
            assert np.array_equal(one, other)
        assert np.array_equal(env.natural(action)[0], single(FEW, **kwargs).action(action[0]))
    assert env.get_attr("horizon") == [6, 6]
    env.close()


def test_dqn_trains_through_the_native_vector_and_saves_natural_units(tmp_path):
    env = sb3()
    from stable_baselines3 import DQN

    options = {"learning_starts": 20, "batch_size": 16, "buffer_size": 500, "train_freq": 1,
               "policy_kwargs": {"net_arch": [8]}, "device": "cpu"}  # fmt: skip
    model = DQN("MlpPolicy", env, seed=3, **options)
    before = [p.detach().clone() for p in model.policy.parameters()]
    model.learn(120)
    assert model.num_timesteps == 120
    pairs = zip(before, model.policy.parameters(), strict=True)
    assert any(not np.array_equal(a.numpy(), b.detach().numpy()) for a, b in pairs)
    model.save(tmp_path / "dqn")
    loaded, grid = DQN.load(tmp_path / "dqn"), few()

    def policy(observation, week):
        return grid.natural(loaded.predict(observation, deterministic=True)[0])

    runs = evaluate(ID, {"dqn": policy}, 6, [0], preset="tiny")
    assert np.isfinite(runs["return"][0])
    env.close()


def test_a_joint_grid_gives_dqn_the_segments():
    env = sb3(segments=2, wrapper_kwargs=FEW | {"joint": True})
    assert env.action_space == spaces.Discrete(25)
    from stable_baselines3 import DQN

    DQN("MlpPolicy", env, learning_starts=4, seed=0, device="cpu").learn(12)
    env.close()


def test_the_adapter_needs_same_step_under_a_grid_too():
    pytest.importorskip("stable_baselines3")
    from retail_gym.envs.sb3 import RetailVecEnv

    envs = DiscretePricingVector(RetailPricingVectorEnv("tiny", num_envs=2))
    assert envs.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP
    with pytest.raises(ValueError, match="SameStep"):
        RetailVecEnv(envs)
