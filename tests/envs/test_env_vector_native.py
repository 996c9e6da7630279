"""The native vector environment: Gymnasium's contract, and equality with single environments."""

from __future__ import annotations

import copy
import os
import pickle
import sys

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ClosedEnvironmentError, ResetNeeded
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers import vector as wrappers

from retail_gym.envs import RetailPricingEnv, RetailPricingVectorEnv
from retail_gym.world import PromotionPlan

MODES = list(AutoresetMode)
TINY = {"preset": "tiny", "horizon": 4}


def native(num_envs=3, **kwargs):
    return gym.make_vec(
        "RetailSynth-v0",
        num_envs=num_envs,
        vectorization_mode="vector_entry_point",
        **(TINY | kwargs),
    )


def sync(num_envs=3, autoreset_mode=AutoresetMode.NEXT_STEP, **kwargs):
    return gym.make_vec(
        "RetailSynth-v0",
        num_envs=num_envs,
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": autoreset_mode},
        **(TINY | kwargs),
    )


def actions(n, steps, segments=1):
    generator = np.random.default_rng(5)
    high = np.tile([0.5, 0.6], segments)
    return [(generator.random((n, high.size)) * high).astype(np.float32) for _ in range(steps)]


def assert_same(got, expected):
    """Bitwise, types included; dicts by key."""
    assert type(got) is type(expected)
    if isinstance(got, dict):
        assert got.keys() == expected.keys()
        for key in got:
            assert_same(got[key], expected[key])
    elif isinstance(got, tuple | list):
        assert len(got) == len(expected)
        for one, other in zip(got, expected, strict=True):
            assert_same(one, other)
    elif isinstance(got, np.ndarray):
        assert got.dtype == expected.dtype
        assert got.shape == expected.shape
        if got.dtype == object:
            assert_same(list(got), list(expected))
        else:
            assert np.array_equal(got, expected)
    else:
        assert got == expected


def run(envs, steps, seed=3, segments=1, mask_at=()):
    """Everything that an environment returns; under DISABLED ended ones are reset by mask."""
    seen = [envs.reset(seed=seed)]
    for t, action in enumerate(actions(envs.num_envs, steps, segments)):
        seen.append(envs.step(action))
        ended = seen[-1][2] | seen[-1][3]
        if envs.metadata["autoreset_mode"] == AutoresetMode.DISABLED and ended.any():
            seen.append(envs.reset(options={"reset_mask": ended.copy()}))
        if t in mask_at:
            mask = np.arange(envs.num_envs) % 2 == t % 2
            seen.append(envs.reset(options={"reset_mask": mask}))
    envs.close()
    return seen


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"segments": 2, "reward": "balanced", "burn_in": 2},
        {"max_episode_steps": 3, "world_seed": 4, "n_customers": 7},
        {"max_episode_steps": 9, "features": "persistent", "theta": 0.3},
        {"kernel": "reference", "horizon": 2},
    ],
    ids=["default", "segments", "limit", "late limit", "reference"],
)
def test_equals_gymnasiums_vector_of_singles_for_two_and_a_half_episodes(mode, kwargs):
    steps, segments = 10, kwargs.get("segments", 1)
    got = run(native(autoreset_mode=mode, **kwargs), steps, segments=segments)
    expected = run(sync(autoreset_mode=mode, **kwargs), steps, segments=segments)
    assert_same(got, expected)


@pytest.mark.parametrize("mode", MODES)
def test_equals_gymnasiums_vector_when_episodes_are_out_of_step(mode):
    """After masked resets the environments end in different weeks."""
    got = run(native(5, autoreset_mode=mode), 14, mask_at=(0, 1, 5))
    assert_same(got, run(sync(5, autoreset_mode=mode), 14, mask_at=(0, 1, 5)))
    ends = {tuple(turn[3].tolist()) for turn in got if len(turn) == 5}
    assert len(ends) > 2  # some end while others go on


@pytest.mark.parametrize("seed", [11, [5, 5, 90], [7, None, 2]])
def test_seeds_and_seed_lists(seed):
    envs, others = native(), sync()
    envs.reset(seed=1)
    others.reset(seed=1)
    for action in actions(3, 2):
        assert_same(envs.step(action), others.step(action))
    assert_same(envs.reset(seed=seed), others.reset(seed=seed))
    for action in actions(3, 6):
        assert_same(envs.step(action), others.step(action))
    assert_same(envs.reset(), others.reset())  # unseeded: the streams go on
    assert_same(envs.step(action), others.step(action))


def test_environment_k_of_seed_s_is_the_single_environment_of_seed_s_plus_k(tiny_world):
    envs = native(3, preset=tiny_world)
    envs.reset(seed=np.int64(20))
    path = actions(3, 4)
    turns = [envs.step(action) for action in path]
    for k in range(3):
        env = RetailPricingEnv(tiny_world, horizon=4)
        env.reset(seed=20 + k)
        for turn, action in zip(turns, path, strict=True):
            observation, reward, terminated, truncated, info = env.step(action[k])
            assert np.array_equal(turn[0][k], observation)
            assert turn[1][k] == reward
            assert (turn[2][k], turn[3][k]) == (terminated, truncated)
            assert {name: turn[4][name][k] for name in info} == info


@pytest.mark.parametrize("mode", MODES)
def test_any_number_of_threads_gives_the_same(mode):
    runs = [
        run(native(5, autoreset_mode=mode, threads=threads, burn_in=1), 11, mask_at=(1, 6))
        for threads in (1, 2, 4, 9)
    ]
    for other in runs[1:]:
        assert_same(other, runs[0])


def test_threads_over_a_larger_store_give_the_same(small_world):
    runs = [
        run(native(6, preset=small_world, segments=2, threads=threads), 6, segments=2)
        for threads in (1, 3)
    ]
    assert_same(runs[1], runs[0])


def test_number_of_threads(tiny_world, small_world):
    assert RetailPricingVectorEnv(tiny_world, num_envs=8).threads == 1  # too small to gain
    assert RetailPricingVectorEnv(small_world, num_envs=2, threads=9).threads == 2
    with pytest.raises(ValueError, match="threads must be at least 1"):
        native(threads=0)


def test_seeds_and_streams_are_those_of_the_environments(tiny_world):
    envs = native(3, preset=tiny_world)
    envs.reset(seed=10)
    assert envs.np_random_seed == (10, 11, 12)
    assert [a is env.np_random for a, env in zip(envs.np_random, envs.envs, strict=True)] == [
        True
    ] * 3
    with pytest.raises(ValueError, match="seed must be at least 0"):
        envs.reset(seed=-1)
    envs.step(np.zeros((3, 2), dtype=np.float32))  # nothing was lost


def test_contract_of_the_class(tiny_world):
    # Gymnasium 1.2's SyncVectorEnv writes into the class of its environments; ours must not.
    before = dict(RetailPricingEnv.metadata)
    envs = native(4, preset=tiny_world, autoreset_mode="SameStep", segments=2)
    single = RetailPricingEnv(tiny_world, segments=2)
    assert envs.spec.id == "RetailSynth-v0"
    assert envs.autoreset_mode is AutoresetMode.SAME_STEP
    assert envs.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    assert RetailPricingVectorEnv.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    assert before == RetailPricingEnv.metadata
    assert envs.single_observation_space == single.observation_space
    assert envs.single_action_space == single.action_space
    assert envs.action_space.shape == (4, 4)
    assert envs.observation_names == single.observation_names
    assert envs.reward_scale == single.reward_scale
    observation, _ = envs.reset(seed=0)
    assert envs.observation_space.contains(observation)
    observation, reward, terminated, truncated, _ = envs.step(envs.action_space.sample())
    assert envs.observation_space.contains(observation)
    assert [a.dtype for a in (reward, terminated, truncated)] == [np.float64, bool, bool]
    assert not terminated.any()


def test_is_the_default_of_make_vec_and_one_environment_will_do():
    envs = gym.make_vec("retail_gym:RetailSynth-v0", preset="tiny")
    assert isinstance(envs, RetailPricingVectorEnv)
    assert envs.reset(seed=0)[0].shape == (1, 10)


def test_the_store_exists_once():
    envs = native(8, n_customers=6)
    assert all(env.world is envs.world for env in envs.envs)
    assert len(envs.envs) == 8
    assert envs.world.n_customers == 6


@pytest.mark.parametrize("mode", MODES)
def test_returned_data_is_never_written_to_again(mode):
    envs = native(3, autoreset_mode=mode, horizon=3)
    kept = []

    def arrays(data):
        if isinstance(data, dict):
            data = list(data.values())
        if isinstance(data, tuple | list):
            return [array for item in data for array in arrays(item)]
        return [data] if isinstance(data, np.ndarray) and data.dtype != object else []

    def keep(turn):
        fresh = arrays(turn)
        final = turn[-1].get("final_obs")
        fresh += [] if final is None else list(final)
        for k, array in enumerate(fresh):
            others = fresh[:k] + [old for old, _ in kept]
            assert not any(np.shares_memory(array, other) for other in others)
        kept.extend((array, array.copy()) for array in fresh)
        assert all(np.array_equal(array, was) for array, was in kept)
        for array in fresh:
            array[...] = 0  # a caller may write to them
        kept[-len(fresh) :] = [(array, array.copy()) for array in fresh]
        return turn

    reference = run(sync(3, mode, horizon=3), 7)
    expected = iter(reference)
    assert np.array_equal(envs.reset(seed=3)[0], next(expected)[0])
    for action in actions(3, 7):
        turn = envs.step(action)
        assert_same(turn, next(expected))
        ended = keep(turn)[3]
        if mode == AutoresetMode.DISABLED and envs._ended.any():
            ended = envs._ended.copy()
            turn = envs.reset(options={"reset_mask": ended})
            assert_same(turn, next(expected))
            keep(turn)


def test_next_step_ignores_the_action_after_the_end():
    envs = native(2, horizon=1)
    envs.reset(seed=0)
    _, reward, _, truncated, _ = envs.step(actions(2, 1)[0])
    assert truncated.all()
    assert (reward > 0).all()
    observation, reward, _, truncated, info = envs.step(np.full((2, 2), np.nan))
    assert (reward == 0).all()
    assert not truncated.any()
    assert (observation[:, -1] == 0).all()
    assert (info["units"] == 0).all()


def test_disabled_refuses_a_step_after_the_end_and_names_the_environment():
    envs = native(3, autoreset_mode="Disabled", horizon=2)
    envs.reset(seed=0)
    envs.step(actions(3, 1)[0])
    envs.reset(options={"reset_mask": np.array([True, False, True])})
    envs.step(actions(3, 1)[0])
    with pytest.raises(ResetNeeded, match=r"environments \[1\] ended"):
        envs.step(actions(3, 1)[0])
    envs.reset()
    envs.step(actions(3, 1)[0])


def test_reset_mask_is_checked_and_options_are_left_alone():
    envs = native(3)
    some = np.array([True, False, False])
    with pytest.raises(ResetNeeded, match="every environment"):
        envs.reset(options={"reset_mask": some})
    envs.reset(seed=0)
    options = {"reset_mask": some}
    envs.reset(options=options)
    assert options == {"reset_mask": some}
    for wrong in ([True, False, False], np.array([1, 0, 0])):
        with pytest.raises(TypeError, match="boolean"):
            envs.reset(options={"reset_mask": wrong})
    for wrong in (np.zeros(3, dtype=bool), np.ones(2, dtype=bool)):
        with pytest.raises(ValueError, match="3 flags, one True"):
            envs.reset(options={"reset_mask": wrong})
    with pytest.raises(ValueError, match="a list of 3"):
        envs.reset(seed=[1, 2])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([0.1, np.nan], "environment 1: .*NaN"),
        ([0.1, 0.61], "environment 1: .*out of bounds"),
        ([-0.1, 0.1], "environment 1: .*out of bounds"),
        ([0.1], r"environment 1: .*shape \(1,\)"),
        ("none", "environment 1: .*not an array of numbers"),
    ],
)
def test_a_bad_row_is_refused_by_name_and_nothing_moves(row, message):
    envs, same = native(3), native(3)
    envs.reset(seed=0)
    same.reset(seed=0)
    good = actions(3, 1)[0]
    with pytest.raises(ValueError, match=message):
        envs.step([good[0], row, good[2]])
    assert_same(envs.step(good), same.step(good))


@pytest.mark.parametrize("wrong", [0.3, np.float32(0.3), None, np.zeros((2, 2)), np.zeros((0, 2))])
def test_a_batch_of_the_wrong_shape_is_refused(wrong):
    envs = native(3)
    envs.reset(seed=0)
    with pytest.raises(ValueError, match=r"one action per environment, shape \(3, 2\)"):
        envs.step(wrong)
    with pytest.raises(ValueError, match=r"environment 0: action has shape \(3,\)"):
        envs.step(np.zeros((3, 3)))


def test_actions_that_the_single_environment_accepts():
    envs, plans = native(2), native(2)
    envs.reset(seed=0)
    plans.reset(seed=0)
    action = np.float32([[0.2, 0.3], [0.5, 0.6]])
    turn = envs.step(action)
    same = [PromotionPlan.high_low(0.2, 0.3), PromotionPlan.high_low(0.5, 0.6)]
    assert_same(turn[1:], plans.step(same)[1:])
    turn = envs.step(action.astype(np.float64) + 5e-7)  # within the tolerance it is clipped
    assert np.isfinite(turn[1]).all()
    envs.step(action.tolist())


class FailsAt:
    """A reward that fails in the week of a certain revenue."""

    def __init__(self, revenue):
        self.revenue = revenue

    def __call__(self, outcome, scale):
        if outcome.revenue == self.revenue:
            raise ZeroDivisionError("no customers left")
        return outcome.revenue / scale


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_an_error_inside_names_its_environment(threads, tiny_world):
    path = actions(4, 3)
    sales = native(4, preset=tiny_world)
    sales.reset(seed=0)
    third = [sales.step(action)[4]["revenue"] for action in path][2]
    envs = native(4, preset=tiny_world, reward=FailsAt(third[2]), threads=threads)
    envs.reset(seed=0)
    for action in path[:2]:
        envs.step(action)
    with pytest.raises(RuntimeError, match="environment 2 failed with ZeroDivisionError: no cust"):
        envs.step(path[2])
    with pytest.raises(ResetNeeded, match="call reset"):
        envs.step(path[2])
    envs.reset(seed=9)
    envs.step(path[0])
    envs.close()


def test_calls_out_of_order():
    envs = native(2, threads=2)
    with pytest.raises(ResetNeeded, match="call reset"):
        envs.step(actions(2, 1)[0])
    envs.reset(seed=0)
    for action in actions(2, 3):
        envs.step(action)
    envs.close()
    envs.close()
    with pytest.raises(ClosedEnvironmentError):
        envs.reset()
    with pytest.raises(ClosedEnvironmentError):
        envs.step(actions(2, 1)[0])


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="autoreset_mode"):
        native(autoreset_mode="sometimes")
    with pytest.raises(ValueError, match="num_envs must be at least 1"):
        RetailPricingVectorEnv("tiny", num_envs=0)
    with pytest.raises(ValueError, match="max_episode_steps"):
        native(max_episode_steps=0)
    with pytest.raises(ValueError, match="render_mode"):
        native(render_mode="human")
    with pytest.raises(TypeError, match=r"segments.*of the vector: num_envs.*threads"):
        native(thread=2)


@pytest.mark.parametrize("threads", [1, 2])
def test_copies_go_on_like_the_original(threads):
    envs = native(3, threads=threads)
    envs.reset(seed=0)
    path = actions(3, 7)
    for action in path[:3]:
        envs.step(action)
    twins = [copy.deepcopy(envs), pickle.loads(pickle.dumps(envs))]
    assert twins[0].world is envs.world
    expected = [envs.step(action) for action in path[3:]]
    for twin in twins:
        assert all(env.world is twin.world for env in twin.envs)
        assert_same([twin.step(action) for action in path[3:]], expected)
        twin.close()
    envs.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_makes_threads_of_its_own():
    envs = native(2, threads=2)
    envs.reset(seed=0)
    path = actions(2, 4)
    for action in path[:3]:
        envs.step(action)
    child = os.fork()
    if child == 0:  # pragma: no cover (another process)
        os._exit(0 if np.isfinite(envs.step(path[3])[1]).all() else 1)
    assert os.waitpid(child, 0)[1] == 0
    envs.step(path[3])
    envs.close()


def test_rendering():
    envs = native(2, render_mode="rgb_array")
    envs.reset(seed=0)
    envs.step(actions(2, 1)[0])
    frames = envs.render()
    assert isinstance(frames, tuple)
    assert [frame.shape for frame in frames] == [(480, 800, 3)] * 2
    assert frames[0].dtype == np.uint8
    texts = native(2, render_mode="ansi")
    texts.reset(seed=0)
    texts.step(actions(2, 1)[0])
    assert all("week 1 of 4" in text for text in texts.render())
    with pytest.warns(UserWarning, match="render_mode"):
        assert native(2).render() is None


def test_gymnasiums_vector_wrappers():
    envs = wrappers.RecordEpisodeStatistics(native(3, horizon=3))
    envs.reset(seed=0)
    score = np.zeros(3)
    for action in actions(3, 3):
        _, reward, _, truncated, info = envs.step(action)
        score += reward
    assert truncated.all()
    assert info["episode"]["r"] == pytest.approx(score)
    assert (info["episode"]["l"] == 3).all()
    envs = wrappers.NormalizeObservation(native(3, horizon=3))
    others = wrappers.NormalizeObservation(sync(3, horizon=3))
    assert_same(envs.reset(seed=0), others.reset(seed=0))
    for action in actions(3, 8):
        assert_same(envs.step(action), others.step(action))
    envs = wrappers.RescaleAction(native(2), np.float32(-1), np.float32(1))
    envs.reset(seed=0)
    observation, *_ = envs.step(np.ones((2, 2), dtype=np.float32))
    assert observation[:, :2] == pytest.approx(np.tile([0.5, 0.6], (2, 1)), abs=1e-6)


def test_the_interpreter_is_left_as_it_was():
    before = sys.getswitchinterval()
    run(native(4, threads=2), 5)
    assert sys.getswitchinterval() == before
