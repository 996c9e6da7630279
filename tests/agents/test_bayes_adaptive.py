"""The Bayesian learner: its model, its inference, and that learning pays."""

from __future__ import annotations

import json

import numpy as np
import pytest

from agents import bayes_adaptive
from agents.bayes_adaptive import BayesAdaptive
from agents.response import (
    SIZE,
    Beliefs,
    Weeks,
    constant_plan,
    expected_margin,
    first_then,
    visits,
)
from agents.tasks import TRAINING_SEED, VALIDATION, training_seed
from retail_gym.envs.adaptive import RetailAdaptiveEnv
from retail_gym.evaluation.rollout import play
from retail_gym.policies import UniformRandom
from retail_gym.world.pool import PoolConfig, PriorRange, StorePool
from retail_gym.world.presets import load_config
from retail_gym.world.priors import Uniform

TASK = "RetailSynthAdaptive-v0"
CONFIG = PoolConfig(
    "test",
    load_config("tiny").override(n_customers=40),
    {"alpha_1": PriorRange(Uniform(1.0, 9.0)), "gamma_store_0": PriorRange(Uniform(-3.0, 0.0))},
)

#: A store: visits come back by themselves, discounts pull, margins shrink with depth.
TRUE = np.array([-1.0, 12.0, 2.0, 1.0, 10.0, 0.3, 0.5, -4.0, *np.zeros(SIZE - 8)])


def simulated(n, noise, seed=0):
    """Weeks of the model itself with random actions."""
    rng = np.random.default_rng(seed)
    action = rng.random((n, 2)) * [0.5, 0.6]
    before = np.concatenate([action[:1], action[:-1]])
    last, share = np.full(n, np.nan), np.full(n, 0.8)
    for t in range(1, n):
        last[t] = share[t - 1]
        mean, _ = visits(TRUE, last[t : t + 1], before[t : t + 1], action[t : t + 1])
        share[t] = np.clip(mean[0] + noise * rng.standard_normal(), 0.0, 1.0)
    margin = expected_margin(TRUE, share, action) + noise * 0.1 * rng.standard_normal(n)
    return Weeks(last, before, action, share, margin)


def wide(noise):
    sd = np.concatenate([[2.0, 10.0, 2.0, 20.0, 40.0], np.full(SIZE - 5, 10.0)])
    mean = np.zeros(SIZE)
    return Beliefs(mean, np.diag(sd**2), max(noise, 1e-4) ** 2 / 0.2, max(noise, 1e-4) ** 2 / 50)


def test_slopes_are_the_derivatives():
    rng = np.random.default_rng(1)
    last, before, action = rng.random(7), rng.random((7, 2)) / 2, rng.random((7, 2)) / 2
    _, slope = visits(TRUE, last, before, action)
    for k in range(5):
        step = np.zeros(SIZE)
        step[k] = 1e-5
        up, down = (visits(TRUE + s * step, last, before, action)[0] for s in (1, -1))
        np.testing.assert_allclose(slope[:, k], (up - down) / 2e-5, rtol=1e-6, atol=1e-9)


def test_many_weeks_reveal_a_store():
    weeks = simulated(400, noise=0.0)
    found = wide(0.0).update(weeks, iterations=40)
    for a in ([0.0, 0.0], [0.1, 0.6], [0.25, 0.3]):
        action = np.array([a])
        for of in (lambda w, a=action: visits(w, np.array([0.5]), a, a)[0],
                   lambda w, a=action: expected_margin(w, np.array([0.5]), a)):  # fmt: skip
            np.testing.assert_allclose(of(found.mean), of(TRUE), atol=2e-3)


def test_beliefs_are_as_wide_as_their_errors():
    # Squared error of the base utility over its variance: chi-square(40) / 40 at 1e-6 each side.
    ratio = []
    for seed in range(40):
        after = wide(0.05).update(simulated(60, 0.05, seed), iterations=40)
        ratio.append((after.mean[0] - TRUE[0]) ** 2 / after.covariance[0, 0])
    assert 0.2 < np.mean(ratio) < 2.6


def test_nothing_seen_changes_nothing():
    prior = wide(0.1)
    nothing = Weeks(*(np.zeros(shape) for shape in (0, (0, 2), (0, 2), 0, 0)))
    after = prior.update(nothing)
    np.testing.assert_allclose(after.mean, prior.mean)
    np.testing.assert_allclose(after.covariance, prior.covariance, rtol=1e-9)


def value(plan, share=0.6):
    """Expected margin of a list of actions under the model, week by week."""
    before, total = np.zeros((1, 2)), 0.0
    for a in plan:
        action = np.array([a])
        now, _ = visits(TRUE, np.array([share]), before, action)
        total += expected_margin(TRUE, now, action)[0]
        share, before = now[0], action
    return total


def test_plans_are_worth_what_they_say():
    actions = np.array([[0.0, 0.0], [0.1, 0.6], [0.2, 0.3], [0.4, 0.6]])
    best, total = constant_plan(TRUE, 0.6, np.zeros(2), actions, 5)
    np.testing.assert_allclose(total, [value([a] * 5) for a in actions])
    assert best == total.argmax()
    now = first_then(TRUE, 0.6, np.zeros(2), actions, 5)
    by_hand = [value([a] + [actions[best]] * 4) for a in actions]
    assert now == int(np.argmax(by_hand))
    # In the last week nothing comes after: the best action of one week alone.
    assert first_then(TRUE, 0.6, np.zeros(2), actions, 1) == int(
        np.argmax([value([a]) for a in actions])
    )


# The learner


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bayes")
    pool = StorePool(CONFIG, range(8), cache="")
    policy = bayes_adaptive.train(
        TASK, seed=0, steps=1_600, directory=folder, env_kwargs={"pool": pool}
    )
    return policy, folder


def episode(policy, seed, stores=range(100, 104)):
    env = RetailAdaptiveEnv(StorePool(CONFIG, stores, cache=""))
    taken = []

    def noted(observation, week):
        taken.append(policy(observation, week))
        return taken[-1]

    noted.reset = policy.reset
    return sum(reward for _, reward in play(env, noted, seed)), np.array(taken)


def test_it_beats_random_in_unseen_stores(trained):
    policy, _ = trained
    gain = [episode(policy, s)[0] - episode(UniformRandom(), s)[0] for s in range(8)]
    # One-sided sign test, 8 of 8 by chance: 0.004.
    assert min(gain) > 0.0


def test_it_learns_within_the_episode(trained):
    policy, _ = trained
    episode(policy, 1)
    before, after = policy.prior.covariance, policy.beliefs.covariance
    assert after[0, 0] < 0.3 * before[0, 0]


@pytest.mark.parametrize("exploration", bayes_adaptive.EXPLORATION)
def test_same_seed_same_actions_and_after_a_reload(trained, exploration):
    policy, folder = trained
    loaded = bayes_adaptive.load(folder)
    columns = dict(zip(bayes_adaptive._FIELDS, policy._columns, strict=True))
    both = [BayesAdaptive(p.prior, columns, 53, exploration) for p in (policy, loaded)]
    (_, first), (_, second) = (episode(p, 3) for p in both)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first, episode(both[0], 3)[1])  # nothing left of the last
    assert first.dtype == np.float32
    assert len(np.unique(first, axis=0)) > 1


def test_thompson_draws_follow_the_seed(trained):
    policy, _ = trained
    columns = dict(zip(bayes_adaptive._FIELDS, policy._columns, strict=True))
    explorer = BayesAdaptive(policy.prior, columns, 53, "thompson")
    env = RetailAdaptiveEnv(StorePool(CONFIG, [100], cache=""))
    observation, _ = env.reset(seed=0)
    actions = []
    for seed in range(6):
        explorer.reset(seed)
        actions.append(explorer(observation, 1))
    assert len(np.unique(actions, axis=0)) > 1


def test_same_training_seed_same_prior(trained, tmp_path):
    policy, folder = trained
    pool = StorePool(CONFIG, range(8), cache="")
    again = bayes_adaptive.train(
        TASK, seed=0, steps=1_600, directory=tmp_path, env_kwargs={"pool": pool}
    )
    np.testing.assert_array_equal(policy.prior.mean, again.prior.mean)
    card = json.loads((folder / "card.json").read_text())
    assert (card["task"], card["agent"], card["steps"]) == (TASK, "bayes_adaptive", 1_600)


def test_training_luck_is_of_the_training_range(monkeypatch, tmp_path):
    seeds, reset = [], RetailAdaptiveEnv.reset

    def noted(self, *, seed=None, options=None):
        seeds.append(seed)
        return reset(self, seed=seed, options=options)

    monkeypatch.setattr(RetailAdaptiveEnv, "reset", noted)
    for seed in (0, 1):
        pool = StorePool(CONFIG, range(2), cache="")
        kwargs = {"pool": pool, "horizon": 3}
        bayes_adaptive.train(
            TASK, seed=seed, steps=9, directory=tmp_path / str(seed), env_kwargs=kwargs
        )
    assert seeds == [training_seed(seed, k) for seed in (0, 1) for k in range(3)]
    assert min(seeds) >= TRAINING_SEED > max(VALIDATION)


def test_it_works_without_a_burn_in(trained):
    policy, _ = trained
    env = RetailAdaptiveEnv(StorePool(CONFIG, [100], cache=""), burn_in=0, horizon=3)
    assert np.isfinite(sum(reward for _, reward in play(env, policy, 0)))


def test_mistakes_are_refused(trained, tmp_path):
    policy, folder = trained
    columns = dict(zip(bayes_adaptive._FIELDS, policy._columns, strict=True))
    with pytest.raises(ValueError, match="Did you mean 'thompson'"):
        BayesAdaptive(policy.prior, columns, 53, "tompson")
    with pytest.raises(ValueError, match="one segment"):
        bayes_adaptive.train(TASK, seed=0, steps=53, directory=tmp_path,
                             env_kwargs={"segments": 2, "pool": StorePool(CONFIG, [1], cache="")})  # fmt: skip
    with pytest.raises(FileNotFoundError):
        bayes_adaptive.load(tmp_path)
    for name in ("policy.npz", "card.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    card = json.loads((tmp_path / "card.json").read_text()) | {"agent": "ppo"}
    (tmp_path / "card.json").write_text(json.dumps(card))
    with pytest.raises(ValueError, match="'ppo', not bayes_adaptive"):
        bayes_adaptive.load(tmp_path)
