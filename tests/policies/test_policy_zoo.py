"""The policy zoo: actions inside the box, calendars, randomness by seed, names."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from retail_gym import policies
from retail_gym.envs import RetailPricingEnv
from retail_gym.envs.actions import DepthFrequency
from retail_gym.policies import (
    SCENARIOS,
    ZOO,
    Cyclic,
    EverydayLow,
    HighLow,
    Planned,
    Policy,
    Pulse,
    Targeted,
    UniformRandom,
    make_policy,
    no_discount,
    reset_policy,
    scenario,
)
from retail_gym.world import PromotionPlan

NOTHING = np.zeros(10, dtype=np.float32)


def weeks(policy, n=12):
    return [np.asarray(policy(NOTHING, week)).tolist() for week in range(1, n + 1)]


def near(pairs):
    return [pytest.approx(list(pair), abs=1e-7) for pair in pairs]


@pytest.mark.parametrize("name", ZOO)
def test_every_member_stays_inside_the_box(name):
    policy, box = make_policy(name), DepthFrequency().space
    assert isinstance(policy, Policy)
    reset_policy(policy, 0)
    for week in range(1, 60):
        action = policy(NOTHING, week)
        if isinstance(action, PromotionPlan):
            assert 0 <= action.mean_depth <= 0.5
        else:
            assert action.dtype == np.float32
            assert box.contains(action), action


@pytest.mark.parametrize("name", ZOO)
def test_every_member_runs_in_the_environment(name):
    env, policy = RetailPricingEnv("tiny", horizon=8), make_policy(name)
    reset_policy(policy, 0)
    observation, _ = env.reset(seed=0)
    for week in range(1, 9):
        observation, *_, info = env.step(policy(observation, week))
    assert env.outcome.week == 8
    if name == "none":
        assert info["effective_discount"] == 0.0


@pytest.mark.parametrize(
    ("name", "depth", "frequency"),
    [("I", 0.05, 0.60), ("II", 0.10, 0.30), ("III", 0.25, 0.60), ("IV", 0.50, 0.30),
     ("V", 0.40, 0.60)],
)  # fmt: skip
def test_scenarios_are_table_4(name, depth, frequency):
    assert scenario(name) == HighLow(depth, frequency)
    assert SCENARIOS[name] == (depth, frequency)
    assert make_policy(name) == HighLow(depth, frequency)
    assert policies.scenario(name)(NOTHING, 1).tolist() == np.float32([depth, frequency]).tolist()


def test_high_low_is_the_same_every_week():
    assert weeks(HighLow(0.3, 0.5), 5) == near([(0.3, 0.5)] * 5)
    assert weeks(no_discount(), 3) == [[0, 0]] * 3


def test_cyclic_goes_round_from_week_1():
    policy = Cyclic([(0.1, 0.2), (0.3, 0.4), (0.0, 0.0)])
    assert weeks(policy, 7) == near(
        [(0.1, 0.2), (0.3, 0.4), (0, 0), (0.1, 0.2), (0.3, 0.4), (0, 0), (0.1, 0.2)]
    )


def test_pulse_has_its_calendar():
    policy = Pulse(every=3, depth=0.5, frequency=0.6, quiet=(0.1, 0.3))
    loud, quiet = (0.5, 0.6), (0.1, 0.3)
    assert weeks(policy, 7) == near([loud, quiet, quiet, loud, quiet, quiet, loud])
    assert weeks(Pulse(every=1), 3) == near([(0.4, 0.6)] * 3)
    default = weeks(Pulse(), 8)
    assert default[0] == default[4] != default[1] == default[2] == default[3]


def test_calendars_do_not_depend_on_the_order_of_calls():
    policy = Pulse()
    forward = [policy(NOTHING, week).tolist() for week in range(1, 9)]
    backward = [policy(NOTHING, week).tolist() for week in range(8, 0, -1)]
    assert forward == backward[::-1]


def test_random_actions_are_determined_by_the_seed():
    policy = UniformRandom(2)
    policy.reset(3)
    first = weeks(policy)
    policy.reset(3)
    assert weeks(policy) == first
    policy.reset(4)
    assert weeks(policy) != first
    other = UniformRandom(2)
    reset_policy(other, 3)
    assert weeks(other) == first
    assert weeks(UniformRandom(2)) == weeks(UniformRandom(2))  # a fresh one is determined too


def test_random_actions_are_uniform_and_independent():
    """Kolmogorov-Smirnov per coordinate, error rate 1e-4 each; correlations within 4 / sqrt(n)."""
    policy = UniformRandom(2)
    policy.reset(0)
    actions = np.array(weeks(policy, 5_000))
    assert actions.shape == (5_000, 4)
    for k, high in enumerate((0.5, 0.6, 0.5, 0.6)):
        assert stats.kstest(actions[:, k] / high, "uniform").pvalue > 1e-4
        for other in range(k):
            r = np.corrcoef(actions[:, k], actions[:, other])[0, 1]
            assert abs(r) < 4 / np.sqrt(5_000)
        lag = np.corrcoef(actions[1:, k], actions[:-1, k])[0, 1]
        assert abs(lag) < 4 / np.sqrt(5_000)


def test_random_actions_are_not_the_environments_stream():
    """Both are seeded with the same number."""
    policy = UniformRandom()
    policy.reset(5)
    ours = policy(NOTHING, 1) / np.float32([0.5, 0.6])
    assert not np.allclose(ours, np.random.default_rng(5).random(2, dtype=np.float32))


def test_targeted_has_a_pair_per_segment():
    policy = Targeted([(0.4, 0.6), (0.2, 0.3), (0.0, 0.0)])
    action = policy(NOTHING, 1)
    assert action.dtype == np.float32
    assert action.tolist() == pytest.approx([0.4, 0.6, 0.2, 0.3, 0.0, 0.0])
    env = RetailPricingEnv("tiny", segments=3)
    env.reset(seed=0)
    env.step(action)
    shelf = env.outcome.discount_si.mean(axis=1)
    assert shelf[0] > 0
    assert shelf[2] == 0
    with pytest.raises(ValueError, match="shape"):
        RetailPricingEnv("tiny").unwrapped._actions.decode(action)


def test_planned_returns_its_plan():
    plan = PromotionPlan(0.2, 0.5, 0.3)
    assert Planned(plan)(NOTHING, 7) is plan


def test_everyday_low_is_a_plan_of_one_depth():
    plan = EverydayLow(0.15)(NOTHING, 1)
    assert (plan.frequency, plan.mean_depth) == (1.0, 0.15)


@pytest.mark.parametrize("name", ["0.3,0.6", "0.3, 0.6", " 0.30,0.60 "])
def test_a_pair_of_numbers_names_a_policy(name):
    assert make_policy(name) == HighLow(0.3, 0.6)


@pytest.mark.parametrize("name", ["VI", "radom", "", "0.3", "0.3,0.6,0.1"])
def test_an_unknown_name_lists_the_choices(name):
    with pytest.raises(ValueError, match="unknown policy") as caught:
        make_policy(name)
    for member in ZOO:
        assert member in str(caught.value)
    assert "DEPTH,FREQUENCY" in str(caught.value)


def test_an_unknown_scenario_lists_the_five():
    with pytest.raises(ValueError, match="I, II, III, IV, V"):
        scenario("VI")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: HighLow(0.6, 0.3), r"depth.*\[0, 0\.5\]"),
        (lambda: HighLow(0.3, 0.7), r"frequency.*\[0, 0\.6\]"),
        (lambda: HighLow(-0.1, 0.3), "depth"),
        (lambda: HighLow(float("nan"), 0.3), "depth"),
        (lambda: HighLow("deep", 0.3), "depth"),
        (lambda: make_policy("0.9,0.3"), "depth"),
        (lambda: make_policy("a,b"), "depth,frequency"),
        (lambda: EverydayLow(0.6), "depth"),
        (lambda: Cyclic([]), "at least one"),
        (lambda: Cyclic([(0.9, 0.1)]), "depth"),
        (lambda: Pulse(every=0), "every"),
        (lambda: Pulse(depth=0.7), "depth"),
        (lambda: Targeted([]), "per segment"),
        (lambda: Targeted([(0.1, 0.9)]), "frequency"),
        (lambda: UniformRandom(0), "segments"),
    ],
)
def test_an_impossible_policy_is_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_resetting_a_policy_without_randomness_does_nothing():
    reset_policy(HighLow(0.1, 0.1), 3)
    reset_policy(lambda observation, week: None, 3)
