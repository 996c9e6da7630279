"""Off-policy estimators against values worked out by enumeration of a small decision process."""

from __future__ import annotations

import itertools
import warnings
from fractions import Fraction

import gymnasium as gym
import numpy as np
import pytest

from retail_gym.data.logged import log_episodes
from retail_gym.envs import DiscretePricing
from retail_gym.evaluation.critics import QuadraticRidge, Regression, Values
from retail_gym.evaluation.off_policy import (
    ESTIMATORS,
    OverlapWarning,
    effective_sample_size,
    off_policy,
)
from retail_gym.evaluation.trajectories import Trajectories, trajectories
from retail_gym.policies import HighLow
from retail_gym.policies.behaviour import EpsilonGreedy, Gaussian, OnGrid, Uniform

RATIOS_ONLY = ("is", "wis", "pdis", "wpdis")

# A decision process: states 0 and 1, actions 0 and 1, start in state 0 or 1 with 1/2 each.
#: Probability of action 1 in each state, logging and target policy.
LOGGING = (Fraction(1, 4), Fraction(1, 2))
TARGET = (Fraction(3, 4), Fraction(1, 4))
#: Probability that the next state is 1, by state and action.
NEXT = ((Fraction(1, 4), Fraction(3, 4)), (Fraction(1, 2), Fraction(1)))
#: Reward by state and action.
REWARD = ((1.0, 5.0), (2.0, -3.0))
T, GAMMA = 3, 0.9


def chance(p, outcome):
    return p if outcome else 1 - p


def exact_q(weeks, gamma=GAMMA):
    """Value of state and action under the target with 1, ..., weeks to go, (weeks, 2, 2)."""
    tables, v = [], np.zeros(2)
    for _ in range(weeks):
        q = np.array(
            [
                [
                    REWARD[s][a] + gamma * sum(float(chance(NEXT[s][a], z)) * v[z] for z in (0, 1))
                    for a in (0, 1)
                ]
                for s in (0, 1)
            ]
        )
        tables.append(q)
        v = np.array([sum(float(chance(TARGET[s], a)) * q[s, a] for a in (0, 1)) for s in (0, 1)])
    return np.stack(tables)


def exact_value(weeks, gamma=GAMMA):
    q = exact_q(weeks, gamma)[-1]
    return sum(0.5 * float(chance(TARGET[s], a)) * q[s, a] for s in (0, 1) for a in (0, 1))


def process(states, actions, cluster=None):
    """Trajectories of the process: states (N, T + 1), actions (N, T)."""
    s, a = np.asarray(states), np.asarray(actions)
    before = s[:, :-1]
    target = np.array([[float(1 - p), float(p)] for p in TARGET])
    logging = np.array([[float(1 - p), float(p)] for p in LOGGING])
    return Trajectories(
        rewards=np.array(REWARD)[before, a],
        ratios=(target / logging)[before, a],
        states=s[..., None].astype(float),
        actions=a[..., None].astype(float),
        target_actions=np.array([[0.0], [1.0]]),
        target_weights=target[s],
        cluster=cluster,
    )


def population(weeks=T):
    """Every trajectory as often as it is probable: a sample without any luck."""
    states, actions, shares = [], [], []
    for s in itertools.product((0, 1), repeat=weeks + 1):
        for a in itertools.product((0, 1), repeat=weeks):
            p = Fraction(1, 2)
            for t in range(weeks):
                p *= chance(LOGGING[s[t]], a[t]) * chance(NEXT[s[t]][a[t]], s[t + 1])
            if p:
                states.append(s)
                actions.append(a)
                shares.append(p)
    whole = np.lcm.reduce([share.denominator for share in shares])
    often = [int(share * whole) for share in shares]
    return process(np.repeat(states, often, axis=0), np.repeat(actions, often, axis=0))


def sample(n, seed, weeks=T):
    """Trajectories drawn at random."""
    draw = np.random.default_rng(seed)
    logging = np.array([float(p) for p in LOGGING])
    after = np.array([[float(p) for p in row] for row in NEXT])
    s = [draw.integers(2, size=n)]
    a = []
    for _ in range(weeks):
        a.append((draw.random(n) < logging[s[-1]]).astype(int))
        s.append((draw.random(n) < after[s[-1], a[-1]]).astype(int))
    return process(np.stack(s, axis=1), np.stack(a, axis=1))


class Told:
    """A critic that says what it is told: tables of q with 1, ..., T weeks to go."""

    def __init__(self, tables):
        self.tables = tables

    def prepare(self, data, gamma):
        self.data = data
        return self

    def fit(self, counts):
        s = self.data.states[:, :-1, 0].astype(int)
        a = self.data.actions[..., 0].astype(int)
        q = np.stack([table[s[:, t], a[:, t]] for t, table in self._by_week()], axis=1)
        weights = self.data.target_weights
        v = np.stack(
            [(weights[:, t] * table[s[:, t]]).sum(axis=-1) for t, table in self._by_week()], axis=1
        )
        return Values(q, v)

    def _by_week(self):
        return [(t, self.tables[self.data.horizon - 1 - t]) for t in range(self.data.horizon)]


# exact


@pytest.mark.parametrize("name", RATIOS_ONLY)
def test_importance_sampling_is_exact_on_the_whole_population(name):
    # Unbiased = exact where every trajectory is there as often as it is probable. Products of
    # ratios then sum to N, so the weighted forms are exact too.
    found = off_policy(population(), [name], gamma=GAMMA, resamples=0)[name]
    assert found.value == pytest.approx(exact_value(T), rel=1e-12)


def test_the_value_is_not_that_of_the_log():
    logged = population()
    assert abs((logged.rewards @ GAMMA ** np.arange(T)).mean() - exact_value(T)) > 1.0


@pytest.mark.parametrize("name", ["dr", "wdr"])
def test_doubly_robust_is_exact_with_exact_propensities_and_any_critic(name):
    wrong = np.random.default_rng(0).normal(size=(T, 2, 2)) * 10.0
    found = off_policy(population(), [name], gamma=GAMMA, resamples=0, critic=Told(wrong))[name]
    assert found.value == pytest.approx(exact_value(T), rel=1e-12)


@pytest.mark.parametrize("name", ["dr", "wdr"])
def test_doubly_robust_is_exact_with_an_exact_critic_and_any_propensities(name):
    data = population()
    s, a = data.states[:, :-1, 0].astype(int), data.actions[..., 0].astype(int)
    wrong = Trajectories(
        data.rewards,
        np.array([[0.3, 2.0], [1.7, 0.9]])[s, a],
        data.states,
        data.actions,
        data.target_actions,
        data.target_weights,
    )
    critic = Told(exact_q(T))
    found = off_policy(wrong, [name, "pdis"], gamma=GAMMA, resamples=0, critic=critic)
    if name == "dr":
        assert found[name].value == pytest.approx(exact_value(T), rel=1e-12)
        assert found["pdis"].value != pytest.approx(exact_value(T), rel=0.02)
    else:  # normalised by week: each week's mean is of other weights, so only nearly
        assert found[name].value == pytest.approx(exact_value(T), rel=0.15)


def test_fitted_q_is_exact_where_its_features_hold_every_state_and_action():
    critic = QuadraticRidge(ridge=1e-10)
    found = off_policy(population(), ["fqe"], gamma=GAMMA, resamples=0, critic=critic)["fqe"]
    assert found.value == pytest.approx(exact_value(T), rel=1e-6)
    fitted = critic.prepare(population(), GAMMA).fit(np.ones(len(population())))
    data, q = population(), exact_q(T)
    s, a = data.states[:, :-1, 0].astype(int), data.actions[..., 0].astype(int)
    for t in range(T):
        np.testing.assert_allclose(fitted.q[:, t], q[T - 1 - t][s[:, t], a[:, t]], rtol=1e-5)
    chosen = np.array([[float(1 - p), float(p)] for p in TARGET])
    np.testing.assert_allclose(fitted.v[:, 0], (chosen * q[-1]).sum(axis=1)[s[:, 0]], rtol=1e-5)


def test_any_regression_of_scikit_learn_serves():
    tree = pytest.importorskip("sklearn.tree").DecisionTreeRegressor
    data, exact = population(), exact_value(T)
    critic = Regression(lambda: tree(random_state=0))
    found = off_policy(data, ["fqe", "dr"], gamma=GAMMA, resamples=20, refits=3, critic=critic)
    assert found["fqe"].value == pytest.approx(exact, rel=1e-9)
    assert found["dr"].value == pytest.approx(exact, rel=0.01)  # the critic of four folds of five
    assert found["fqe"].interval.low < exact < found["fqe"].interval.high


def test_one_week_each_is_a_bandit():
    # The value of one week in the states the log was in, whatever led there.
    data = population(2)
    s = data.states[:, :-1, 0].astype(int).reshape(-1)
    chosen = np.array([[float(1 - p), float(p)] for p in TARGET])
    direct = (chosen * np.array(REWARD)).sum(axis=1)[s].mean()
    bandit = data.as_bandit()
    assert bandit.horizon == 1
    assert len(bandit) == 2 * len(data)
    critic = QuadraticRidge(1e-10)
    found = off_policy(bandit, ["is", "wis", "dr", "fqe"], resamples=0, critic=critic)
    for name, estimate in found.items():
        assert estimate.value == pytest.approx(direct, rel=1e-4 if name == "dr" else 1e-6), name
    assert direct != pytest.approx(exact_value(2, 1.0) / 2, rel=0.02)


# at random


def test_estimates_of_many_logs_are_right_on_average_and_cover():
    # 300 logs of 150 trajectories. Unbiased: the mean lies within 4 standard errors (an error rate
    # of 1e-4 for each of three). Coverage of a 95 % interval: at least 84 % of 300 (percentiles of
    # a bootstrap cover some 92 %; they fall short of that with probability 1e-6).
    exact = exact_value(T)
    names = ("is", "pdis", "wpdis", "dr", "fqe")
    values, hits = {name: [] for name in names}, dict.fromkeys(names, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OverlapWarning)
        for seed in range(300):
            found = off_policy(
                sample(150, seed), names, gamma=GAMMA, resamples=200, refits=100, seed=seed
            )
            for name in names:
                values[name].append(found[name].value)
                hits[name] += found[name].interval.low <= exact <= found[name].interval.high
    spread = {name: np.std(column) for name, column in values.items()}
    for name in ("is", "pdis", "dr"):
        error = (np.mean(values[name]) - exact) / (spread[name] / np.sqrt(300))
        assert abs(error) < 4.0, name
    for name in ("wpdis", "dr", "fqe"):
        assert hits[name] >= 252, (name, hits[name])
    # Each step of refinement has its point here.
    assert spread["is"] > spread["pdis"] > spread["wpdis"] > spread["fqe"]
    assert spread["dr"] < 0.7 * spread["pdis"]


def test_bootstrap_draws_clusters_whole():
    # Every trajectory four times over is no further evidence.
    one = sample(120, 0)
    s = np.repeat(one.states[..., 0].astype(int), 4, axis=0)
    a = np.repeat(one.actions[..., 0].astype(int), 4, axis=0)
    kept = process(s, a, cluster=np.repeat(np.arange(120), 4))
    believed = process(s, a)
    names = ("pdis", "wpdis", "dr", "fqe")
    honest, again, naive = (
        off_policy(data, names, gamma=GAMMA, resamples=2_000, refits=500)
        for data in (one, kept, believed)
    )
    for name in names:
        width = {
            k: e[name].interval.high - e[name].interval.low
            for k, e in (("one", honest), ("kept", again), ("naive", naive))
        }
        assert again[name].value == pytest.approx(honest[name].value, rel=1e-6)
        assert width["kept"] == pytest.approx(width["one"], rel=1e-6)
        assert width["naive"] == pytest.approx(width["one"] / 2, rel=0.15)


# invariances


def scaled(data, factor):
    return Trajectories(
        data.rewards,
        data.ratios * factor,
        data.states,
        data.actions,
        data.target_actions,
        data.target_weights,
    )


@pytest.mark.parametrize("name", ["wis", "wpdis", "wdr"])
def test_weighted_estimates_do_not_know_the_scale_of_propensities(name):
    data, found = sample(80, 1), {}
    for factor in (1.0, 3.0):
        found[factor] = off_policy(scaled(data, factor), [name, "pdis"], resamples=0)
    assert found[3.0][name].value == pytest.approx(found[1.0][name].value, rel=1e-12)
    assert found[3.0]["pdis"].value > 3.0 * abs(found[1.0]["pdis"].value)


@pytest.mark.parametrize("name", sorted(set(ESTIMATORS) - {"is", "pdis"}))
def test_a_reward_for_nothing_adds_its_sum(name):
    # Not so for plain importance sampling, whose products do not sum to N.
    data = sample(80, 2)
    more = Trajectories(
        data.rewards + 7.0,
        data.ratios,
        data.states,
        data.actions,
        data.target_actions,
        data.target_weights,
    )
    critic = QuadraticRidge(1e-10)
    a, b = (off_policy(d, [name, "is"], resamples=0, critic=critic) for d in (data, more))
    assert b[name].value - a[name].value == pytest.approx(21.0, rel=1e-5)
    assert abs(b["is"].value - a["is"].value - 21.0) > 0.5


def test_the_logging_policy_itself_is_worth_the_mean_of_its_log():
    data = sample(40, 3)
    same = scaled(data, 1.0 / data.ratios)
    for name, found in off_policy(same, RATIOS_ONLY, resamples=0).items():
        assert found.value == pytest.approx(data.rewards.sum(axis=1).mean(), rel=1e-12), name
        assert found.effective == pytest.approx(40.0)


def test_equal_seeds_give_equal_intervals():
    data = sample(100, 4)
    a, b, c = (off_policy(data, ["wpdis"], resamples=100, seed=s)["wpdis"] for s in (5, 5, 6))
    assert a == b
    assert a.interval != c.interval


# overlap


def test_effective_sample_size_counts_equal_weights_and_sees_a_dominant_one():
    data = sample(20, 5)
    equal = scaled(data, 2.0 / data.ratios)
    np.testing.assert_allclose(effective_sample_size(equal), 20.0)
    one = np.full(data.ratios.shape, 1e-9)
    one[3] = 5.0
    np.testing.assert_allclose(effective_sample_size(scaled(data, one / data.ratios)), 1.0)
    by_hand = np.array([1.0, 2.0, 3.0])
    few = data.part([0, 1, 2])
    few = scaled(few, np.ones_like(few.ratios) / few.ratios)
    few = scaled(few, np.column_stack([by_hand, np.ones((3, 2))]))
    np.testing.assert_allclose(effective_sample_size(few), 36.0 / 14.0)


def test_a_collapse_is_said_and_only_where_ratios_are_used():
    data = sample(20, 6)
    far = np.where(np.arange(20)[:, None] == 0, 10.0, 0.1) * np.ones((20, T))
    far = scaled(data, far / data.ratios)
    with pytest.warns(OverlapWarning, match=r"20 logged trajectories of 3 weeks .* 1\.0 of the"):
        off_policy(far, ["wis"], resamples=0)
    off_policy(far, ["fqe"], resamples=0)
    off_policy(sample(200, 6), ["wis"], resamples=0)


def test_no_overlap_at_all_gives_no_weighted_estimate():
    none = scaled(sample(20, 7), 0.0)
    with pytest.warns(OverlapWarning):
        found = off_policy(none, ["is", "wis"], resamples=50)
    assert found["is"].value == 0.0
    assert np.isnan(found["wis"].value)
    assert np.isnan(found["wis"].interval.low)


# refusals


def test_errors_say_what_is_wrong():
    data = sample(20, 8)
    with pytest.raises(ValueError, match=r"unknown estimator 'wips'.*choose from is, wis"):
        off_policy(data, ["wips"])
    with pytest.raises(ValueError, match=r"gamma must be a finite number in \[0, 1\]"):
        off_policy(data, gamma=1.5)
    with pytest.raises(ValueError, match="level must lie between 0 and 1"):
        off_policy(data, level=95)
    with pytest.raises(ValueError, match=r"ratios does not fit .* expected \(20, 3\)"):
        scaled(data, 1.0).__class__(
            data.rewards, data.ratios[:, :2], data.states, data.actions, data.target_actions,
            data.target_weights,
        )  # fmt: skip
    with pytest.raises(ValueError, match="action was logged that had probability 0"):
        scaled(data, np.inf)
    with pytest.raises(ValueError, match="ratios must not be negative"):
        scaled(data, -1.0)
    with (
        pytest.warns(OverlapWarning),
        pytest.raises(ValueError, match="two independent trajectories"),
    ):
        off_policy(data.part([0]), ["dr"])
    with pytest.raises(ValueError, match="weeks must be at least 1 and at most 3"):
        data.first_weeks(4)


# from logs of the simulator


def test_first_weeks_are_those_of_the_longer_log():
    env = gym.make("RetailSynth-v0", preset="tiny", horizon=3)
    target = Gaussian(HighLow(0.2, 0.4), env.action_space, (0.1, 0.1))
    data = trajectories(list(log_episodes(env, Uniform(env.action_space), range(12))), target)
    cut = data.first_weeks(2)
    assert cut.rewards.shape == (12, 2)
    assert cut.target_actions.shape == (12, 3, 16, 2)
    np.testing.assert_array_equal(cut.ratios, data.ratios[:, :2])
    np.testing.assert_allclose(data.target_weights.sum(axis=-1), 1.0, rtol=1e-6)


def test_store_level_estimates_meet_the_simulator():
    # One week of the tiny store on a grid: 500 logged episodes against 500 on-policy ones. The
    # difference has a standard error; four of them are an error rate of 6e-5 a name.
    env = DiscretePricing(gym.make("RetailSynth-v0", preset="tiny", horizon=1))
    wanted = OnGrid(HighLow(0.5, 0.6), env.grid)
    target = EpsilonGreedy(wanted, env.action_space, 0.3)
    logged = list(log_episodes(env, EpsilonGreedy(wanted, env.action_space, 0.8), range(500)))
    truth = np.array([e.rewards.sum() for e in log_episodes(env, target, range(500, 1_000))])
    data = trajectories(logged, target, features=env.grid.natural)
    for name, found in off_policy(data, resamples=400, refits=50).items():
        width = (found.interval.high - found.interval.low) / 3.92
        error = np.hypot(width, truth.std() / np.sqrt(500))
        assert abs(found.value - truth.mean()) < 4 * error, name
    assert abs(np.mean([e.rewards.sum() for e in logged]) - truth.mean()) > 0.05


def test_customers_are_trajectories_of_their_own():
    env = gym.make("RetailSynthCoupons-v0", preset="tiny", horizon=4)
    n = env.unwrapped.world.n_customers
    target = EpsilonGreedy(lambda o, week: np.full(len(o), 3), env.action_space, 0.5)
    logged = list(log_episodes(env, Uniform(env.action_space), range(6)))
    data = trajectories(logged, target)
    assert data.rewards.shape == (6 * n, 4)
    u, e = 2, 4  # of the fifth episode the third customer
    np.testing.assert_array_equal(data.rewards[e * n + u], logged[e].rewards[:, u])
    arms = logged[e].actions[:, u]
    expected = np.where(arms == 3, 0.5 + 0.5 / 11, 0.5 / 11) * 11
    np.testing.assert_allclose(data.ratios[e * n + u], expected)
    np.testing.assert_allclose(data.actions[e * n + u, :, 0], 0.05 * arms)
    assert data.target_weights[0, 0, 3] == pytest.approx(0.5 + 0.5 / 11)


def test_logs_that_do_not_fit_are_refused():
    env = DiscretePricing(gym.make("RetailSynth-v0", preset="tiny", horizon=2))
    target = Uniform(env.action_space)
    logged = list(log_episodes(env, target, range(2)))
    with pytest.raises(ValueError, match=r"features=env\.grid\.natural"):
        trajectories(logged, target)
    with pytest.raises(ValueError, match="at least one logged episode"):
        trajectories([], target)
    longer = DiscretePricing(gym.make("RetailSynth-v0", preset="tiny", horizon=3))
    with pytest.raises(ValueError, match="equally long"):
        trajectories([*logged, *log_episodes(longer, target, [5])], target)
