"""Segment managers: PettingZoo's own checks, and equality with the segments environment."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded

import retail_gym
from retail_gym.envs.rewards import DiscountSpend, Margin, WeightedSum

pytest.importorskip("pettingzoo")
import pettingzoo
from pettingzoo.test import parallel_api_test, parallel_seed_test, render_test
from pettingzoo.test.state_test import test_parallel_env as check_parallel_state
from pettingzoo.test.state_test import test_state_space as check_state_space
from pettingzoo.utils.conversions import parallel_to_aec

from retail_gym.parallel import ID, register_parallel, segment_managers

FIGURES = 9


def actions_of(env, generator):
    return {
        agent: generator.uniform(0, env.action_space(agent).high).astype(np.float32)
        for agent in env.agents
    }


def single(**kwargs):
    return gym.make("RetailSynth-v0", **({"preset": "tiny", "segments": 2} | kwargs))


def managers(**kwargs):
    return segment_managers(**({"preset": "tiny", "segments": 2} | kwargs))


def test_spaces_and_names():
    env = managers(segments=3)  # 5 customers: segments of 2, 2 and 1
    assert isinstance(env, pettingzoo.ParallelEnv)
    assert env.possible_agents == ["segment_0", "segment_1", "segment_2"]
    assert (env.agents, env.num_agents, env.max_num_agents) == ([], 0, 3)
    assert str(env) == env.metadata["name"] == "retailsynth_segment_managers_v0"
    spaces = [env.observation_space(agent) for agent in env.possible_agents]
    assert spaces[0] == spaces[1] == spaces[2]
    assert spaces[0] is not spaces[1]
    assert spaces[0].high[4] == 2000.0  # units of the largest segment
    action = env.action_space("segment_1")
    assert np.array_equal(action.high, np.float32([0.5, 0.6]))
    assert env.action_space("segment_1") is action
    for k, agent in enumerate(env.possible_agents):
        names = env.observation_names[agent]
        assert names[-1] == "elapsed"
        assert {name.split(".")[0] for name in names[:-1]} == {f"segment_{k + 1}"}
    with pytest.raises(ValueError, match=r"unknown agent 'segment_3'.*segment_0"):
        env.observation_space("segment_3")
    with pytest.raises(ValueError, match="unknown agent 'segment'"):
        env.action_space("segment")


@pytest.mark.parametrize("reward", ["revenue", "margin", "retention", "balanced"])
@pytest.mark.parametrize("segments", [1, 2, 4])
def test_shared_reward_is_the_segments_environment(reward, segments):
    kwargs = {"segments": segments, "reward": reward, "horizon": 6, "burn_in": 2}
    env, other = managers(reward_mode="shared", **kwargs), single(**kwargs)
    own = managers(reward_mode="own", **kwargs)
    generator = np.random.default_rng(5)
    for seed in (3, None):  # the second episode continues the stream
        observations, infos = env.reset(seed=seed)
        expected, info = other.reset(seed=seed)
        own.reset(seed=seed)
        total = 0.0
        for week in range(7):
            assert np.array_equal(env.state(), expected)
            assert env.state_space.contains(env.state())
            for k, agent in enumerate(env.possible_agents):
                part = np.append(expected[FIGURES * k : FIGURES * (k + 1)], expected[-1])
                assert np.array_equal(observations[agent], part)
                assert env.observation_space(agent).contains(observations[agent])
                assert infos[agent] == info
            if week == 6:
                break
            actions = actions_of(env, generator)
            joint = np.concatenate([actions[agent] for agent in env.agents])
            observations, rewards, terminations, truncations, infos = env.step(actions)
            expected, reward_now, _, ended, info = other.step(joint)
            parts = own.step(actions)[1]
            assert set(rewards.values()) == {reward_now}
            assert all(type(value) is float for value in (*rewards.values(), *parts.values()))
            assert sum(parts.values()) == pytest.approx(reward_now, rel=1e-12)
            total += sum(map(abs, parts.values()))
            assert not any(terminations.values())
            assert list(truncations.values()) == [ended] * segments
        assert total > 0
        assert (env.agents, own.agents) == ([], [])
        with pytest.raises(ResetNeeded, match="call reset"):
            env.step({})
    assert infos["segment_0"] is not infos.get("segment_1")


def test_own_parts_are_those_of_the_segments_customers():
    env = managers(preset="small", segments=3, reward="margin")
    env.reset(seed=0)
    actions = {agent: np.float32([0.1 * k, 0.4]) for k, agent in enumerate(env.agents)}
    for _ in range(3):
        rewards = env.step(actions)[1]
        outcome = env.store.outcome
        for k, customers in enumerate(env.store.segments):
            of_it = np.isin(outcome.lines.customer, customers)
            margin = outcome.line_margin[of_it].sum() / env.store.reward_scale
            assert rewards[f"segment_{k}"] == pytest.approx(margin, rel=1e-12)
    retention = managers(preset="small", segments=3, reward="retention")
    retention.reset(seed=0)
    for _ in range(6):
        rewards = retention.step(actions)[1]
    active = retention.store.outcome.active()
    for k, customers in enumerate(retention.store.segments):
        assert rewards[f"segment_{k}"] == active[customers].sum() / 100
    assert 0 < sum(rewards.values()) < 1


def test_own_reward_does_not_depend_on_the_others():
    """Segments meet no prices but their own, so one manager's deeds are not another's luck."""
    histories = []
    for depth in (0.0, 0.5):
        env = managers(preset="small", segments=2)
        env.reset(seed=1)
        history = []
        for _ in range(5):
            actions = {"segment_0": np.float32([0.2, 0.4]), "segment_1": np.float32([depth, 0.6])}
            observations, rewards, *_ = env.step(actions)
            history.append((observations, rewards))
        histories.append(history)
    for (one, r_one), (other, r_other) in zip(*histories, strict=True):
        assert np.array_equal(one["segment_0"], other["segment_0"])
        assert r_one["segment_0"] == r_other["segment_0"]
        assert r_one["segment_1"] != r_other["segment_1"]


def test_weighted_sums_of_rewards_have_parts():
    reward = WeightedSum(((1.0, Margin()), (-0.5, WeightedSum(((2.0, DiscountSpend()),)))))
    env, other = managers(reward=reward), single(reward=reward)
    env.reset(seed=2)
    other.reset(seed=2)
    low = 0.0
    for _ in range(5):
        rewards = env.step({agent: np.float32([0.5, 0.6]) for agent in env.agents})[1]
        expected = other.step(np.float32([0.5, 0.6] * 2))[1]
        assert sum(rewards.values()) == pytest.approx(expected, rel=1e-12)
        low = min(low, expected)
    assert low < 0


def test_rewards_without_parts_are_refused_under_own_only():
    def sales(outcome, scale):
        return outcome.units / 100

    with pytest.raises(ValueError, match=r"revenue, margin, retention, balanced.*by_segment"):
        managers(reward=sales)
    with pytest.raises(ValueError, match="cannot be told apart"):
        managers(reward=WeightedSum(((1.0, Margin()), (1.0, sales))))
    env, other = managers(reward=sales, reward_mode="shared"), single(reward=sales)
    env.reset(seed=0)
    other.reset(seed=0)
    zero = {agent: np.zeros(2, np.float32) for agent in env.agents}
    assert env.step(zero)[1]["segment_1"] == other.step(np.zeros(4, np.float32))[1]

    class Sales:
        __call__ = staticmethod(sales)

        def by_segment(self, outcome, scale):
            return outcome.lines_by_segment(outcome.lines.quantity) / 100

    env = managers(reward=Sales())
    env.reset(seed=0)
    rewards = env.step(zero)[1]
    assert sum(rewards.values()) == pytest.approx(sales(env.store.outcome, 1.0))


def test_observing_all_and_identity():
    env = managers(segments=3, observe="all", identity=True)
    observations, _ = env.reset(seed=0)
    for _ in range(2):
        observations = env.step(actions_of(env, np.random.default_rng(0)))[0]
    state = dict(zip(env.store.observation_names, env.state().tolist(), strict=True))
    for k, agent in enumerate(env.agents):
        names, seen = env.observation_names[agent], observations[agent]
        assert env.observation_space(agent).shape == seen.shape == (3 * FIGURES + 1 + 3,)
        assert env.observation_space(agent).contains(seen)
        order = [k, *(other for other in range(3) if other != k)]
        assert [name.split(".")[0] for name in names[: 3 * FIGURES : FIGURES]] == [
            f"segment_{s + 1}" for s in order
        ]
        assert [state[name] for name in names[:-3]] == seen[:-3].tolist()
        assert names[-3:] == ["is_segment_1", "is_segment_2", "is_segment_3"]
        assert np.array_equal(seen[-3:], np.eye(3)[k])


def test_foreign_observations_are_split_by_name(tiny_world):
    class Sold:
        space = gym.spaces.Box(np.zeros(3, np.float32), np.float32([9, 9, 1]), dtype=np.float32)

        def __init__(self, names):
            self.names = names

        def initial(self):
            return np.zeros(3, np.float32)

        def value(self, outcome, decision, elapsed):
            return np.append(decision.depth, elapsed).astype(np.float32)

    names = ["segment_1.depth", "segment_2.depth", "elapsed"]
    env = segment_managers(tiny_world, segments=2, observation=Sold(names), horizon=4)
    env.reset(seed=0)
    depth = {"segment_0": np.float32([0.1, 0.1]), "segment_1": np.float32([0.2, 0.1])}
    assert env.step(depth)[0]["segment_1"] == pytest.approx([0.2, 0.25])
    with pytest.raises(ValueError, match="same figures in the same order"):
        segment_managers(tiny_world, segments=2, observation=Sold(["segment_1.depth", "a", "b"]))


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        ({"segment_0": [0.1, 0.1]}, "no action of segment_1"),
        ({}, "no action of segment_0, segment_1"),
        ({"segment_0": [0.1, 0.1], "segment_1": [0.1, 0.1], "segment_2": [0, 0]}, "'segment_2'"),
        ({"segment_0": [0.1, 0.1], "segment_1": [0.1, np.nan]}, "agent segment_1: .*NaN"),
        ({"segment_0": [0.1, 0.1], "segment_1": [0.1]}, r"agent segment_1: .*shape \(1,\)"),
        ({"segment_0": [0.1, 0.7], "segment_1": [0.1, 0.1]}, "agent segment_0: .*out of bounds"),
        ({"segment_0": None, "segment_1": [0.1, 0.1]}, "agent segment_0"),
        ({"segment_0": "deep", "segment_1": [0.1, 0.1]}, "agent segment_0: .*array of numbers"),
        ([[0.1, 0.1], [0.1, 0.1]], "must be a dict"),
    ],
)
def test_bad_actions_are_refused_before_the_store_moves(actions, message):
    env, other = managers(), managers()
    good = {"segment_0": np.float32([0.3, 0.3]), "segment_1": np.float32([0.1, 0.5])}
    for each in (env, other):
        each.reset(seed=0)
    with pytest.raises(ValueError, match=message):
        env.step(actions)
    assert env.agents == env.possible_agents
    for _ in range(3):
        one, two = env.step(good), other.step(good)
        assert one[1:] == two[1:]
        assert all(np.array_equal(one[0][agent], two[0][agent]) for agent in good)


def test_typos_are_refused():
    with pytest.raises(ValueError, match=r"reward_mode 'owned'.*own, shared"):
        managers(reward_mode="owned")
    with pytest.raises(ValueError, match=r"observe 'every'.*own, all"):
        managers(observe="every")
    with pytest.raises(ValueError, match=r"render_mode 'text'.*human, ansi, rgb_array"):
        managers(render_mode="text")
    with pytest.raises(ValueError, match="unknown reward"):
        managers(reward="revenu")
    with pytest.raises(TypeError, match=r"horizn.*horizon.*reward_mode, observe, identity"):
        managers(horizn=3)
    with pytest.raises(ValueError, match="segments must be at least 1 and at most 5"):
        managers(segments=6)


def test_nothing_before_the_first_reset():
    env = managers(render_mode="ansi")
    for call in (env.state, env.render, lambda: env.step({})):
        with pytest.raises(ResetNeeded, match=r"reset\(\)"):
            call()


@pytest.mark.parametrize("kwargs", [{}, {"reward_mode": "shared", "observe": "all"}])
def test_pettingzoos_api_test(kwargs):
    parallel_api_test(managers(horizon=7, **kwargs), num_cycles=20)  # its warnings are errors


def test_pettingzoos_seed_test():
    parallel_seed_test(lambda: managers(horizon=5), num_cycles=10)


def test_pettingzoos_state_test():
    env = managers(horizon=5)
    check_state_space(env)
    check_parallel_state(env)


def test_pettingzoos_render_test(capsys):
    env = parallel_to_aec(managers(render_mode="human"))
    assert env.render_mode == "human"
    render_test(lambda render_mode: parallel_to_aec(managers(render_mode=render_mode)))
    text = capsys.readouterr().out
    assert "nothing sold yet" in text
    assert "tiny: week 2 of 53" in text


def test_rendering_is_the_stores():
    env, other = managers(render_mode="ansi", horizon=2), single(render_mode="ansi", horizon=2)
    env.reset(seed=0)
    other.reset(seed=0)
    for _ in range(2):
        env.step({agent: np.float32([0.2, 0.2]) for agent in env.agents})
        other.step(np.float32([0.2] * 4))
    assert env.render() == other.render()
    assert "week 2 of 2" in env.render()


def test_whole_episodes_are_deterministic():
    """PettingZoo's seed test stops after a week; this goes on to the end, and one episode more."""

    def history(env, seed):
        generator, rows = np.random.default_rng(0), []
        for start in (seed, None):
            rows.append(env.reset(seed=start))
            while env.agents:
                rows.append(env.step(actions_of(env, generator)))
        return rows

    one, other = history(managers(), 11), history(managers(), 11)
    different = history(managers(), 12)
    assert len(one) == 2 * (53 + 1)
    for a, b in zip(one, other, strict=True):
        assert all(np.array_equal(a[0][agent], b[0][agent]) for agent in a[0])
        assert a[1:] == b[1:]
    assert one[1][1:] != different[1][1:]
    assert one[1][1:] != one[55][1:]  # unseeded: another episode

    env = managers()  # a copy in the middle of an episode goes on alike
    env.reset(seed=4)
    zero = {agent: np.zeros(2, np.float32) for agent in env.agents}
    env.step(zero)
    twin = copy.deepcopy(env)
    assert env.step(zero)[1:] == twin.step(zero)[1:]


def test_the_callers_arrays_are_the_callers():
    env = managers()
    observations, infos = env.reset(seed=0)
    observations["segment_0"][:] = -1
    infos["segment_0"]["units"] = -1.0
    env.state()[:] = -1
    assert (env.state() >= 0).all()
    assert infos["segment_1"]["units"] == 0.0


def test_the_registry_of_pettingzoo():
    if not hasattr(pettingzoo, "register"):
        pytest.skip("this PettingZoo has no registry")
    env = pettingzoo.make("parallel", ID, preset="tiny", segments=2)
    assert env.possible_agents == ["segment_0", "segment_1"]
    spec = pettingzoo.spec("parallel", ID)
    register_parallel()  # a warning would be an error
    assert pettingzoo.spec("parallel", ID) is spec
    pettingzoo.make("parallel", "retailsynth/segment_managers_v0", preset="tiny", segments=2)


def test_without_pettingzoo_the_message_says_what_to_install():
    code = (
        "import sys\n"
        "import retail_gym\n"
        "assert 'retail_gym.parallel' not in sys.modules\n"
        "assert 'pettingzoo' not in sys.modules\n"
        "sys.modules['pettingzoo'] = None\n"
        "from retail_gym import *\n"
        "assert parallel is retail_gym.parallel\n"
        "try:\n    retail_gym.parallel.segment_managers('tiny')\n"
        "except ImportError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                          cwd=Path(retail_gym.__file__).parents[1])  # fmt: skip
    assert 'pip install "retail-gym[marl]"' in done.stdout
