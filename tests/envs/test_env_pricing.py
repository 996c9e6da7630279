"""The pricing environment: spaces, values, rewards, seeds, snapshots, segments, errors."""

from __future__ import annotations

import copy
import math

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded

import retail_gym
from retail_gym.envs import RetailPricingEnv
from retail_gym.envs.rewards import (
    REWARDS,
    DiscountSpend,
    Margin,
    Retention,
    Revenue,
    WeightedSum,
    as_reward,
)
from retail_gym.world import PromotionPlan

FIELDS = ["depth", "frequency", "visit_share", "active_share", "units", "revenue",
          "realised_discount", "effective_discount", "categories_per_buyer"]  # fmt: skip
INFO = {"units", "revenue", "margin", "realised_discount", "effective_discount",
        "category_penetration", "visit_rate", "active_customers", "retention"}  # fmt: skip
III = np.array([0.25, 0.60], dtype=np.float32)


def make(**kwargs):
    return gym.make("RetailSynth-v0", **{"preset": "tiny", **kwargs})


def episode(env, actions, seed=None):
    """Observations, rewards and infos from reset to the last action."""
    rows = [env.reset(seed=seed)]
    rows += [env.step(action) for action in actions]
    return rows


def assert_same_rows(a, b):
    assert len(a) == len(b)
    for x, y in zip(a, b, strict=True):
        assert np.array_equal(x[0], y[0])
        assert x[1:] == y[1:]


def random_actions(n, segments=1, seed=0):
    high = np.tile([0.5, 0.6], segments)
    rng = np.random.default_rng(seed)
    return [(rng.random(high.size) * high).astype(np.float32) for _ in range(n)]


# --- Spaces and values ------------------------------------------------------------------------


@pytest.mark.parametrize("segments", [1, 3])
def test_spaces(segments):
    env = make(segments=segments)
    action, observation = env.action_space, env.observation_space
    assert action.dtype == observation.dtype == np.float32
    assert action.shape == (2 * segments,)
    assert np.array_equal(action.low, np.zeros(2 * segments))
    assert np.array_equal(action.high, np.tile(np.float32([0.5, 0.6]), segments))
    assert observation.shape == (9 * segments + 1,)
    assert (observation.low == 0).all()
    assert np.isfinite(observation.high).all()
    sizes = [5] if segments == 1 else [2, 2, 1]  # array_split of 5
    expected = [x for n in sizes for x in (1, 1, 1, 1, 1000 * n, 10, 1, 1, 3)] + [1]
    assert observation.high.tolist() == expected


def test_names_of_the_observation():
    assert make().unwrapped.observation_names == [*FIELDS, "elapsed"]
    expected = [f"segment_{s}.{name}" for s in (1, 2) for name in FIELDS] + ["elapsed"]
    assert make(segments=2).unwrapped.observation_names == expected


@pytest.mark.parametrize("segments", [1, 2])
def test_reset_returns_week_0(segments):
    env = make(segments=segments)
    observation, info = env.reset(seed=0)
    assert observation.dtype == np.float32
    one = [0, 0, 1, 1, 0, 0, 0, 0, 0]
    assert observation.tolist() == one * segments + [0]
    assert info == dict.fromkeys(INFO, 0.0) | {
        "visit_rate": 1.0, "retention": 1.0, "active_customers": 5.0,
    }  # fmt: skip


@pytest.mark.parametrize("segments", [1, 2])
def test_observations_are_recomputed_from_the_weeks_records(segments):
    env = make(segments=segments, n_customers=7, horizon=20, category_shift=5.0)
    raw, world = env.unwrapped, env.unwrapped.world
    env.reset(seed=2)
    for week, action in enumerate(random_actions(20, segments), 1):
        observation, *_ = env.step(action)
        outcome, expected = raw.outcome, []
        lines = outcome.lines
        for s, members in enumerate(world.segment_customers(segments)):
            mine = [k for k, u in enumerate(lines.customer) if u in set(members.tolist())]
            off = [1 - outcome.unit_price[k] / outcome.base_price[k] for k in mine]
            money = sum(lines.quantity[k] * outcome.unit_price[k] for k in mine)
            buyers = {int(lines.customer[k]) for k in mine}
            expected += [
                action[2 * s], action[2 * s + 1],
                outcome.visited[members].mean(),
                np.mean([0 < outcome.last_purchase[u] > week - 4 for u in members]),
                sum(lines.quantity[k] for k in mine),
                money / world.reward_scale,
                np.mean(off) if mine else 0.0,
                outcome.discount_si[s].mean(),
                len(mine) / len(buyers) if buyers else 0.0,
            ]  # fmt: skip
        assert observation == pytest.approx(np.array([*expected, week / 20]), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("preset", retail_gym.preset_names())
def test_observations_lie_in_the_space_under_extreme_actions(preset):
    """At paper scale too, with 10 customers."""
    customers = 5 if preset == "tiny" else 10
    env = RetailPricingEnv(preset, n_customers=customers, segments=3, horizon=5)
    space = env.observation_space
    observation, _ = env.reset(seed=1)
    assert space.contains(observation)
    high, low = env.action_space.high, env.action_space.low
    plans = [PromotionPlan(1.0, 1.0, 1.0)] * 3  # everything down to the lowest price
    for action in (high, low, high, plans, plans):
        observation, reward, *_ = env.step(action)
        assert space.contains(observation), (observation, space.high)
        assert math.isfinite(reward)


def test_one_episode_at_paper_scale():
    """100 customers, 26,176 products: sensible figures in the first weeks."""
    env = gym.make("RetailSynth-v0", horizon=3)
    env.reset(seed=0)
    rewards = [env.step(III)[1] for _ in range(3)]
    outcome = env.unwrapped.outcome
    assert env.unwrapped.world.n_products == 26_176
    # Week 1 at 15 % off with everybody in the store: of the order of R0.
    assert 0.5 < rewards[0] < 3
    assert 0 < outcome.visit_rate < 1
    assert outcome.effective_discount == pytest.approx(0.15, abs=0.005)
    assert outcome.buyers <= 100


def test_info_holds_python_floats():
    env = make()
    _, info = env.reset(seed=0)
    for row in (info, env.step(III)[4]):
        assert set(row) == INFO
        assert {type(value) for value in row.values()} == {float}


def test_step_returns_plain_python_values():
    env = make()
    env.reset(seed=0)
    _, reward, terminated, truncated, _ = env.step(III)
    assert type(reward) is float
    assert terminated is False
    assert truncated is False


# --- Start and end ----------------------------------------------------------------------------


def test_the_episode_is_truncated_at_the_horizon_and_never_terminated():
    env = make(horizon=7)
    env.reset(seed=0)
    ends = [env.step(III)[2:4] for _ in range(7)]
    assert ends == [(False, False)] * 6 + [(False, True)]
    with pytest.raises(ResetNeeded, match="7 weeks"):
        env.step(III)
    observation, _ = env.reset()
    assert observation[-1] == 0
    assert env.step(III)[3] is False


def test_elapsed_runs_to_one():
    env = make(horizon=4)
    env.reset(seed=0)
    assert [float(env.step(III)[0][-1]) for _ in range(4)] == [0.25, 0.5, 0.75, 1.0]


def test_the_default_horizon_is_53_weeks():
    env = make()
    env.reset(seed=0)
    flags = [env.step(III)[3] for _ in range(53)]
    assert flags == [False] * 52 + [True]


def test_nothing_works_before_reset():
    env = RetailPricingEnv("tiny", render_mode="ansi")
    for call in (lambda: env.step(III), env.render, env.snapshot, lambda: env.episode_key):
        with pytest.raises(ResetNeeded, match="reset"):
            call()
    wrapped = make()
    with pytest.raises(ResetNeeded):
        wrapped.step(III)


# --- Rewards ----------------------------------------------------------------------------------


def recompute(outcome, scale):
    q, paid, base = outcome.lines.quantity, outcome.unit_price, outcome.base_price
    retained = np.mean((outcome.last_purchase > 0) & (outcome.last_purchase > outcome.week - 4))
    margin = float(np.sum(q * (paid - 0.7 * base))) / scale
    return {
        "revenue": float(np.sum(q * paid)) / scale,
        "margin": margin,
        "retention": float(retained),
        "balanced": margin + 0.1 * float(retained),
    }


@pytest.mark.parametrize("name", ["revenue", "margin", "retention", "balanced"])
def test_rewards_are_recomputed_from_the_weeks_records(name):
    env = make(reward=name, n_customers=8, category_shift=5.0)
    raw = env.unwrapped
    assert raw.reward_scale == raw.world.reward_scale > 0
    env.reset(seed=3)
    seen = set()
    for action in random_actions(25):
        _, reward, _, _, info = env.step(action)
        expected = recompute(raw.outcome, raw.reward_scale)
        assert reward == pytest.approx(expected[name], rel=1e-12)
        assert info["revenue"] == pytest.approx(expected["revenue"] * raw.reward_scale)
        assert info["margin"] == pytest.approx(expected["margin"] * raw.reward_scale)
        assert info["retention"] == pytest.approx(expected["retention"])
        assert info["active_customers"] == pytest.approx(8 * expected["retention"])
        seen.add(reward)
    assert len(seen) > 3


def test_a_weighted_sum_with_a_penalty():
    reward = WeightedSum(((1.0, Revenue()), (-0.5, DiscountSpend()), (0.25, Retention())))
    env = make(reward=reward)
    raw = env.unwrapped
    env.reset(seed=3)
    for action in random_actions(10):
        _, value, *_ = env.step(action)
        o, expected = raw.outcome, recompute(raw.outcome, raw.reward_scale)
        spend = float(np.sum(o.lines.quantity * (o.base_price - o.unit_price))) / raw.reward_scale
        total = expected["revenue"] - 0.5 * spend + 0.25 * expected["retention"]
        assert value == pytest.approx(total, rel=1e-12)


def test_any_callable_is_a_reward():
    env = make(reward=lambda outcome, scale: outcome.units)
    env.reset(seed=0)
    _, reward, _, _, info = env.step(III)
    assert reward == info["units"]
    assert type(reward) is float


def test_registered_rewards():
    assert set(REWARDS) == {"revenue", "margin", "retention", "balanced"}
    assert isinstance(as_reward("margin"), Margin)


@pytest.mark.parametrize("terms", [(), ((float("nan"), Margin()),), ((1.0, "margin"),)])
def test_a_bad_weighted_sum_is_refused(terms):
    with pytest.raises(ValueError, match=r"weight|reward"):
        WeightedSum(terms)


def test_r0_does_not_move_with_the_agents_actions():
    env = make()
    before = env.unwrapped.reward_scale
    episode(env, random_actions(5), seed=0)
    assert env.unwrapped.reward_scale == before


# --- Seeds, snapshots -------------------------------------------------------------------------


def test_the_same_seed_is_the_same_episode():
    actions = random_actions(15)
    assert_same_rows(episode(make(), actions, seed=5), episode(make(), actions, seed=5))
    env = make()
    assert_same_rows(episode(env, actions, seed=5), episode(env, actions, seed=5))


def test_other_seeds_are_other_episodes():
    actions = random_actions(15)
    a, b = (episode(make(), actions, seed=s) for s in (5, 6))
    assert [row[4]["revenue"] for row in a[1:]] != [row[4]["revenue"] for row in b[1:]]


def test_an_unseeded_second_reset_is_another_episode_of_a_determined_sequence():
    def keys(env):
        env.reset(seed=9)
        found = [env.unwrapped.episode_key]
        for _ in range(4):
            env.reset()
            found.append(env.unwrapped.episode_key)
        return found

    first = keys(make())
    assert len(set(first)) == 5
    assert keys(make()) == first


def test_actions_do_not_move_the_sequence_of_episodes():
    a, b = make(), make(horizon=9)
    a.reset(seed=1)
    episode(b, random_actions(4), seed=1)
    a.reset()
    b.reset()
    assert a.unwrapped.episode_key == b.unwrapped.episode_key


def test_the_episode_key_is_the_first_draw_of_np_random():
    env = make()
    env.reset(seed=21)
    generator, _ = gym.utils.seeding.np_random(21)
    assert env.unwrapped.episode_key == int(generator.integers(2**63))


@pytest.mark.parametrize("segments", [1, 2])
def test_snapshot_and_restore_reproduce_the_rest_of_the_episode(segments):
    env = RetailPricingEnv(
        "tiny", segments=segments, theta=0.3, horizon=20, render_mode="ansi", reward="balanced"
    )
    actions = random_actions(20, segments)
    env.reset(seed=4)
    for action in actions[:8]:
        env.step(action)
    state = env.snapshot()
    first = [env.step(action) for action in actions[8:]]
    picture = env.render()
    env.restore(state)
    second = [env.step(action) for action in actions[8:]]
    assert_same_rows(first, second)
    assert env.render() == picture
    assert second[-1][3] is True

    other = RetailPricingEnv(
        "tiny", segments=segments, theta=0.3, horizon=20, render_mode="ansi", reward="balanced"
    )
    other.restore(state)  # without a reset
    assert_same_rows([other.step(action) for action in actions[8:]], first)


def test_restore_brings_back_the_discount_states():
    """Under a process with a long memory the state decides the weeks that follow."""
    plan = PromotionPlan(0.05, 0.95, 0.3)
    env = RetailPricingEnv("tiny", horizon=60)
    env.reset(seed=4)
    for _ in range(20):
        env.step(plan)
    assert 0 < (env.outcome.discount_si > 0).sum() < 9
    state = env.snapshot()
    first = [env.step(plan)[4]["effective_discount"] for _ in range(5)]
    for _ in range(30):
        env.step(plan)
    env.restore(state)
    assert [env.step(plan)[4]["effective_discount"] for _ in range(5)] == first
    other = RetailPricingEnv("tiny", horizon=60)
    other.restore(state)
    assert [other.step(plan)[4]["effective_discount"] for _ in range(5)] == first


def test_a_snapshot_is_not_moved_by_what_follows():
    env = RetailPricingEnv("tiny", horizon=20)
    env.reset(seed=4)
    env.step(III)
    state = env.snapshot()
    for _ in range(3):  # three branches from one point, with other actions between
        env.restore(state)
        branch = [env.step(III) for _ in range(4)]
        env.restore(state)
        env.step(np.zeros(2, dtype=np.float32))
        env.restore(state)
        assert_same_rows([env.step(III) for _ in range(4)], branch)


def test_a_deep_copy_shares_the_world_and_goes_its_own_way():
    env = RetailPricingEnv("tiny")
    env.reset(seed=0)
    env.step(III)
    twin = copy.deepcopy(env)
    assert twin.world is env.world
    a = [env.step(III) for _ in range(5)]
    assert_same_rows([twin.step(III) for _ in range(5)], a)


# --- Segments, burn-in ------------------------------------------------------------------------


@pytest.mark.parametrize("preset", ["tiny", "small"])
def test_equal_actions_in_three_segments_equal_the_global_environment(preset):
    weeks = 53 if preset == "tiny" else 8
    one, three = make(preset=preset), make(preset=preset, segments=3)
    one.reset(seed=3)
    three.reset(seed=3)
    for action in random_actions(weeks):
        a, b = one.step(action), three.step(np.tile(action, 3))
        assert a[1] == b[1]
        assert a[4] == b[4]
        ours, theirs = one.unwrapped.outcome.lines, three.unwrapped.outcome.lines
        for name in ("customer", "category", "product", "quantity"):
            assert np.array_equal(getattr(ours, name), getattr(theirs, name)), name


def test_segments_are_ordered_from_the_most_price_sensitive():
    raw = make(segments=2, n_customers=9).unwrapped
    beta_w = raw.world.c * raw.world.beta_u * raw.world.beta_i.mean()
    first, second = raw.segments
    assert len(first) == 5
    assert beta_w[first].max() <= beta_w[second].min()


def test_a_segments_action_moves_its_own_customers_only():
    env = make(segments=2, n_customers=9)
    raw = env.unwrapped
    quiet, loud = (episode(env, [np.float32([*a, 0.1, 0.3])] * 10, seed=0) and raw.outcome
                   for a in ((0.0, 0.0), (0.5, 0.6)))  # fmt: skip
    second = np.isin(np.arange(9), raw.segments[1])
    assert np.array_equal(quiet.visited[second], loud.visited[second])
    assert np.array_equal(quiet.last_purchase[second], loud.last_purchase[second])
    assert np.array_equal(quiet.discount_si[1], loud.discount_si[1])


def test_burn_in_is_weeks_without_discounts_before_the_episode():
    plain, burnt = make(horizon=30), make(burn_in=6, horizon=10)
    none = np.zeros(2, dtype=np.float32)
    before = episode(plain, [none] * 6, seed=8)
    observation, info = burnt.reset(seed=8)
    assert info == before[-1][4]
    assert np.array_equal(observation[:-1], before[-1][0][:-1])
    assert observation[-1] == 0.0  # the episode itself has not begun
    for k in range(10):
        a, b = plain.step(III), burnt.step(III)
        assert a[1] == b[1]
        assert a[4] == b[4]
        assert np.array_equal(a[0][:-1], b[0][:-1])
        assert b[0][-1] == np.float32((k + 1) / 10)
        assert b[3] is (k == 9)


# --- Actions ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "action",
    [
        np.float32([np.nan, 0.3]), np.float32([0.3, np.inf]), np.float32([-np.inf, 0.3]),
        np.float32([0.3]), np.float32([0.3, 0.3, 0.3]), np.float32([[0.3, 0.3]]), 0.3,
        np.float32([-0.01, 0.3]), np.float32([0.3, -0.01]), np.float32([0.51, 0.3]),
        np.float32([0.3, 0.61]), np.array([0.5 + 1e-5, 0.3]), np.array([-1e-5, 0.3]),
        "0.3,0.6", ["deep", "often"], None, [None, None], {"depth": 0.3}, [],
    ],
)  # fmt: skip
def test_a_bad_action_is_refused_saying_what_is_allowed(action):
    env = RetailPricingEnv("tiny")
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"depth in \[0, 0\.5\].*frequency in \[0, 0\.6\]"):
        env.step(action)
    # Nothing happened: the episode goes on as if it had not been tried.
    twin = RetailPricingEnv("tiny")
    twin.reset(seed=0)
    assert_same_rows([env.step(III)], [twin.step(III)])


@pytest.mark.parametrize("off", [5e-7, 9e-7])
def test_an_action_within_a_millionth_of_the_bounds_is_clipped(off):
    rows = []
    for action in ([0.5, 0.6], [0.5 + off, 0.6 + off]):
        env = RetailPricingEnv("tiny")
        env.reset(seed=0)
        rows.append(env.step(np.array(action)))
        assert env.observation_space.contains(rows[-1][0])
    assert_same_rows(rows[:1], rows[1:])
    env.reset(seed=0)
    row = env.step(np.array([-off, -off]))
    assert row[4]["effective_discount"] == 0.0
    assert row[0][:2].tolist() == [0, 0]


@pytest.mark.parametrize("form", [list, tuple, np.float64, np.float32])
def test_lists_and_doubles_are_fine_actions(form):
    env, twin = RetailPricingEnv("tiny"), RetailPricingEnv("tiny")
    env.reset(seed=0)
    twin.reset(seed=0)
    assert_same_rows([env.step(form([0.25, 0.6]))], [twin.step(III)])


def test_the_callers_action_is_left_alone():
    env = RetailPricingEnv("tiny")
    env.reset(seed=0)
    action = np.array([0.5 + 5e-7, 0.6])
    kept = action.copy()
    env.step(action)
    assert np.array_equal(action, kept)


def test_the_largest_action_is_scenario_5s_neighbour_not_a_rounding_of_it():
    """float32(0.6) means 0.6: the plan of the action equals the plan of the numbers."""
    a, b = RetailPricingEnv("tiny"), RetailPricingEnv("tiny")
    a.reset(seed=1)
    b.reset(seed=1)
    for _ in range(20):
        x, y = a.step(np.float32([0.4, 0.6])), b.step(PromotionPlan.high_low(0.4, 0.6))
        assert x[1:] == y[1:]


def test_promotion_plans_as_actions():
    env = RetailPricingEnv("tiny", segments=2)
    env.reset(seed=0)
    everyday = PromotionPlan(1.0, 1.0, 0.15)
    observation, *_, info = env.step(everyday)
    assert info["effective_discount"] == pytest.approx(0.15)
    names = env.observation_names
    for s in (1, 2):
        assert observation[names.index(f"segment_{s}.depth")] == np.float32(0.15)
        assert observation[names.index(f"segment_{s}.frequency")] == 1.0
    _, *_, info = env.step([everyday, PromotionPlan.none()])
    assert env.outcome.discount_si[0] == pytest.approx(0.15)
    assert (env.outcome.discount_si[1] == 0).all()
    for bad in ([everyday], [everyday] * 3, [everyday, 0.3]):
        with pytest.raises(ValueError, match=r"one PromotionPlan per segment \(2\)"):
            env.step(bad)


# --- Bad arguments ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kwargs", "error", "words"),
    [
        ({"preset": "sceanrio"}, ValueError, ["scenario", "calibrated", "tiny", "small"]),
        ({"preset": None}, ValueError, ["scenario", "tiny"]),
        ({"preset": "nowhere.toml"}, FileNotFoundError, ["nowhere.toml"]),
        ({"preset": "nowhere.npz"}, FileNotFoundError, ["nowhere.npz"]),
        ({"reward": "profit"}, ValueError, ["revenue", "margin", "retention", "balanced"]),
        ({"reward": 3}, ValueError, ["revenue", "margin", "retention", "balanced"]),
        ({"horizn": 9}, TypeError, ["horizn", "horizon", "segments", "n_customers"]),
        ({"gama_store_1": 9}, TypeError, ["Did you mean 'gamma_store_1'"]),
        ({"horizon": 0}, ValueError, ["horizon", "at least 1"]),
        ({"horizon": -5}, ValueError, ["horizon", "at least 1"]),
        ({"horizon": 2.5}, ValueError, ["horizon", "whole number"]),
        ({"horizon": "long"}, ValueError, ["horizon", "whole number"]),
        ({"horizon": None}, ValueError, ["horizon", "whole number"]),
        ({"burn_in": -1}, ValueError, ["burn_in", "at least 0"]),
        ({"n_customers": 0}, ValueError, ["n_customers", "at least 1"]),
        ({"n_customers": -2}, ValueError, ["n_customers", "at least 1"]),
        ({"world_seed": -1}, ValueError, ["seed", "at least 0"]),
        ({"segments": 0}, ValueError, ["segments", "at least 1", "at most 5"]),
        ({"segments": 6}, ValueError, ["segments", "at most 5"]),
        ({"segments": 1.5}, ValueError, ["segments", "whole number"]),
        ({"render_mode": "svg"}, ValueError, ["ansi", "rgb_array"]),
        ({"kernel": "fortran"}, ValueError, ["kernel", "reference"]),
    ],
)
def test_a_bad_argument_is_refused_when_the_environment_is_made(kwargs, error, words):
    with pytest.raises(error) as caught:
        RetailPricingEnv(**{"preset": "tiny", **kwargs})
    for word in words:
        assert word in str(caught.value), caught.value


def test_a_finished_world_takes_no_overrides(tiny_world):
    with pytest.raises(TypeError, match="n_customers"):
        RetailPricingEnv(tiny_world, n_customers=3)


def test_a_world_a_path_and_a_preset_are_the_same_store(tiny_world, tmp_path):
    path = tiny_world.save(tmp_path / "w.npz")
    actions = random_actions(6)
    rows = [episode(RetailPricingEnv(p), actions, seed=1) for p in ("tiny", tiny_world, path)]
    assert_same_rows(rows[0], rows[1])
    assert_same_rows(rows[0], rows[2])


def test_gym_make_takes_a_world_without_copying_it(tiny_world):
    assert make(preset=tiny_world).unwrapped.world is tiny_world


def test_the_observation_can_be_replaced():
    class Units:
        names = ("units",)
        space = gym.spaces.Box(0, 1e6, (1,), np.float32)

        def initial(self):
            return np.zeros(1, np.float32)

        def value(self, outcome, decision, elapsed):
            return np.array([outcome.units], np.float32)

    env = RetailPricingEnv("tiny", observation=Units())
    assert env.observation_names == ["units"]
    assert env.reset(seed=0)[0].tolist() == [0]
    observation, *_, info = env.step(III)
    assert observation[0] == info["units"]
