"""Another store every episode: equal to the plain environment of that store."""

from __future__ import annotations

import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env as gymnasium_check

import retail_gym
from retail_gym.envs.adaptive import RetailAdaptiveEnv
from retail_gym.envs.adaptive_vector import RetailAdaptiveVectorEnv
from retail_gym.envs.pricing import RetailPricingEnv
from retail_gym.policies import scenario
from retail_gym.world.pool import PoolConfig, PriorRange, StorePool
from retail_gym.world.presets import load_config
from retail_gym.world.priors import Uniform

ID = "RetailSynthAdaptive-v0"
CONFIG = PoolConfig(
    "test",
    load_config("tiny").override(n_customers=30),
    {"alpha_1": PriorRange(Uniform(1.0, 9.0)), "gamma_store_0": PriorRange(Uniform(-3.0, 0.0))},
)


@pytest.fixture(scope="module")
def pool():
    return StorePool(CONFIG, range(4), cache="")


def actions(n, segments=1):
    high = np.tile(np.array([0.5, 0.6], np.float32), segments)
    return np.random.default_rng(3).random((n, high.size), np.float32) * high


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("segments", [1, 2])
def test_equals_the_plain_environment_after_the_same_burn_in(pool, seed, segments):
    env = RetailAdaptiveEnv(pool, horizon=6, segments=segments)
    observation, info = env.reset(seed=seed)
    before = env._before_first_week()
    plain = RetailPricingEnv(pool.world(env.store), reward="margin", horizon=14, segments=segments)
    plain.reset(seed=seed)
    assert plain.episode_key == env.episode_key
    action = np.stack([before.depth, before.frequency], axis=1).reshape(-1).astype(np.float32)
    for _ in range(8):
        expected, _, _, _, expected_info = plain.step(action)
    elapsed = env.observation_names.index("elapsed")
    for row in [*actions(6, segments), None]:
        np.testing.assert_array_equal(observation[:elapsed], expected[:elapsed])
        assert info == expected_info
        assert observation[-1] == np.float32(info["margin"] / env.world.reward_scale)
        if row is not None:
            observation, reward, _, ended, info = env.step(row)
            expected, expected_reward, _, _, expected_info = plain.step(row)
            assert reward == expected_reward
    assert ended
    assert observation[elapsed] == 1.0


def test_the_burn_in_is_static_random_and_of_the_episode(pool):
    env = RetailAdaptiveEnv(pool, horizon=3, burn_in=0)
    seen = []
    for seed in range(300):
        env.reset(seed=seed)
        decision = env._before_first_week()
        seen.append([env.store, decision.depth[0] / 0.5, decision.frequency[0] / 0.6])
    store, *shares = np.array(seen).T
    assert set(store) == {0, 1, 2, 3}
    for share in shares:  # uniform: mean within 4.9 standard errors, 1e-6
        assert share.min() >= 0.0
        assert share.max() <= 1.0
        assert abs(share.mean() - 0.5) < 4.9 * (1 / 12 / 300) ** 0.5
    # and independent of the store and of one another: |r| < 4.9 / sqrt(n)
    assert np.abs(np.corrcoef(np.array(seen).T) - np.eye(3)).max() < 4.9 / 300**0.5


def test_a_seed_gives_a_store_and_resets_go_on_to_others(pool):
    env = RetailAdaptiveEnv(pool, horizon=2)
    first, _ = env.reset(seed=5)
    stores = [env.store]
    for _ in range(20):
        env.reset()
        stores.append(env.store)
        assert env.world is pool.world(env.store)
        assert env.reward_scale == env.world.reward_scale
    assert set(stores) == {0, 1, 2, 3}
    again, _ = env.reset(seed=5)
    np.testing.assert_array_equal(first, again)
    assert env.store == stores[0]


def test_revenue_is_in_units_of_the_stores_own_scale(pool):
    env = RetailAdaptiveEnv(pool, horizon=2)
    column = env.observation_names.index("revenue")
    for seed in range(8):
        observation, info = env.reset(seed=seed)
        expected = info["revenue"] / pool.world(env.store).reward_scale
        assert observation[column] == pytest.approx(expected, rel=1e-6)


def test_restore_comes_back_to_the_store(pool):
    env = RetailAdaptiveEnv(pool, horizon=5)
    env.reset(seed=0)
    env.step(actions(1)[0])
    state, store = env.snapshot(), env.store
    expected = env.step(actions(2)[1])
    while env.store == store:
        env.reset()
    env.restore(state)
    assert env.store == store
    observation, reward, *_ = env.step(actions(2)[1])
    np.testing.assert_array_equal(observation, expected[0])
    assert reward == expected[1]


def test_registered_and_evaluated_like_the_others():
    env = gym.make(ID, pool="test", horizon=2)
    assert isinstance(env.unwrapped, RetailAdaptiveEnv)
    assert len(env.unwrapped.pool) == 32
    assert env.unwrapped.burn_in == 8
    runs = retail_gym.evaluate(ID, {"III": scenario("III")}, weeks=2, seeds=range(3), pool="test")
    assert runs["return"].n_unique() == 3
    env.reset(seed=1)
    total = sum(env.step(np.array([0.25, 0.6], np.float32))[1] for _ in range(2))
    assert runs.filter(runs["seed"] == 1)["return"].item() == pytest.approx(total)


def test_segments_are_those_of_the_episodes_store(pool):
    run = retail_gym.simulate(
        ID, scenario("III"), weeks=2, seed=2, pool=pool, segments_reported=2, segments=2
    )
    env = RetailAdaptiveEnv(pool, horizon=2, segments=2)
    env.reset(seed=2)
    units = np.zeros(2)
    for _ in range(2):
        env.step(np.array([0.25, 0.6] * 2, np.float32))
        lines = env.outcome.lines
        np.add.at(units, env.outcome.segment_of_customer[lines.customer], lines.quantity)
    assert [figures["units"] for figures in run.segments] == units.tolist()


def test_gymnasium_checker(pool):
    for kwargs in ({}, {"segments": 2, "render_mode": "ansi"}):
        env = gym.make(ID, pool=pool, horizon=6, **kwargs)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.filterwarnings("ignore", ".*symmetric and normalized.*")
            gymnasium_check(env.unwrapped)
        env.close()


def test_stable_baselines_checker(pool):
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        checker.check_env(gym.make(ID, pool=pool, horizon=6))
    ours = [str(w.message) for w in caught
            if not issubclass(w.category, DeprecationWarning | FutureWarning)]  # fmt: skip
    assert all("symmetric and normalized Box action space" in text for text in ours)


def test_mistakes_are_refused():
    with pytest.raises(ValueError, match="choose from train, test"):
        gym.make(ID, pool="tests")
    with pytest.raises(TypeError, match="preset"):
        gym.make(ID, preset="small")


# The vector


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
def test_the_vector_equals_single_environments(pool, mode):
    n, horizon = 5, 4
    vector = gym.make_vec(
        ID, num_envs=n, vectorization_mode="vector_entry_point",
        autoreset_mode=mode, pool=pool, horizon=horizon,
    )  # fmt: skip
    assert vector.unwrapped.pool is pool
    singles = [RetailAdaptiveEnv(pool, horizon=horizon) for _ in range(n)]
    observations, _ = vector.reset(seed=11)
    expected = [env.reset(seed=11 + k)[0] for k, env in enumerate(singles)]
    assert len({env.store for env in singles}) > 1
    ended = np.zeros(n, dtype=bool)
    for week in range(2 * horizon + 2):
        np.testing.assert_array_equal(observations, expected)
        rows = actions(10 * n)[week * n : (week + 1) * n]
        observations, rewards, _, truncated, info = vector.step(rows)
        for k, env in enumerate(singles):
            if ended[k]:  # NextStep: this step was the reset
                expected[k], reward = env.reset()[0], 0.0
                ended[k] = False
            else:
                expected[k], reward, _, ended[k], _ = env.step(rows[k])
                if ended[k] and mode == "SameStep":
                    np.testing.assert_array_equal(info["final_obs"][k], expected[k])
                    expected[k] = env.reset()[0]
            assert rewards[k] == reward
        if mode == "SameStep":
            ended[:] = False
        else:
            np.testing.assert_array_equal(truncated, ended)
    vector.close()


def test_the_vector_serves_stable_baselines(pool):
    sb3 = pytest.importorskip("retail_gym.envs.sb3")
    vector = RetailAdaptiveVectorEnv(pool, num_envs=3, horizon=3, autoreset_mode="SameStep")
    env = sb3.RetailVecEnv(vector, rescale=False)
    singles = [RetailAdaptiveEnv(pool, horizon=3) for _ in range(3)]
    env.seed(4)
    observation = env.reset()
    expected = [single.reset(seed=4 + k)[0] for k, single in enumerate(singles)]
    np.testing.assert_array_equal(observation, expected)
    for week in range(1, 4):
        rows = actions(9)[3 * (week - 1) : 3 * week]
        observation, reward, done, infos = env.step(rows)
        for k, single in enumerate(singles):
            last, earned, _, _, info = single.step(rows[k])
            assert reward[k] == np.float32(earned)
            assert done[k] == (week == 3)
            if week == 3:
                np.testing.assert_array_equal(infos[k]["terminal_observation"], last)
                assert infos[k]["TimeLimit.truncated"]
                last = single.reset()[0]
            assert infos[k]["units"] == info["units"]
            np.testing.assert_array_equal(observation[k], last)
    env.close()
