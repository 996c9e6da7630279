"""The bandits on problems whose answer is known, on the coupon task, and on disk."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from agents import coupon_training, linucb, neural_boltzmann, thompson
from agents.coupon_training import coupon_env, log_uniform, online, samples_of
from agents.linear_arms import LinearArms
from agents.linucb import LinUCB
from agents.neural_boltzmann import NeuralBoltzmann
from agents.tasks import TRAINING_SEED
from agents.thompson import LinearThompson

TASK = "RetailSynthCoupons-v0"
SMALL = {"n_customers": 12, "category_sizes": (4, 3, 2), "category_shift": 4.0,
         "world_seeds": [0, 1], "horizon": 6}  # fmt: skip
THETA = np.array([[1.0, 0.0, -0.5, 0.2], [0.0, 1.0, 0.5, 0.1], [-0.7, -0.7, 0.0, 0.4]])  # K, d+1
NOISE = 0.3


def contexts_of(generator, n):
    return generator.uniform(-1, 1, size=(n, 3)) * [1.0, 10.0, 0.1] + [0.0, 50.0, 0.0]


def expected(contexts):
    """Linear in the standardised context, whatever its units."""
    x = (contexts - [0.0, 50.0, 0.0]) / [1.0, 10.0, 0.1]
    return np.concatenate([x, np.ones((len(x), 1))], axis=1) @ THETA.T


def logged(n, seed=0):
    generator = np.random.default_rng(seed)
    x, arm = contexts_of(generator, n), generator.integers(3, size=n)
    return x, arm, expected(x)[np.arange(n), arm] + NOISE * generator.standard_normal(n)


BANDITS = {
    "linucb": lambda model, alpha: LinUCB(model, alpha),
    "thompson": lambda model, alpha: LinearThompson(model, alpha, seed=1),
}


@pytest.mark.parametrize("name", BANDITS)
def test_offline_data_teach_the_best_arm(name):
    x, arm, reward = logged(6_000)
    model = LinearArms.standardised(x, 3).updated(x, arm, reward)
    policy = BANDITS[name](model, 0.05)
    fresh = contexts_of(np.random.default_rng(9), 2_000)
    value = expected(fresh)
    clear = np.sort(value, axis=1)
    clear = clear[:, -1] - clear[:, -2] > 0.05  # contexts where the best arm is no near tie
    right = policy(fresh, 1) == value.argmax(axis=1)
    assert right[clear].mean() > 0.99
    # One standard error of a coefficient is about 0.3 / sqrt(2000 / 3) = 0.012.
    x_hat = (fresh - model.shift) / model.scale
    estimate = np.concatenate([x_hat, np.ones((2_000, 1))], axis=1) @ model.theta.T
    assert np.abs(estimate - value).max() < 0.1


@pytest.mark.parametrize("name", BANDITS)
def test_online_regret_flattens(name):
    generator = np.random.default_rng(2)
    model = LinearArms.empty(3, 3, shift=[0, 50, 0], scale=[1, 10, 0.1])
    policy = BANDITS[name](model, 0.5)
    regret = []
    for _ in range(400):  # rounds of 5 customers
        x = contexts_of(generator, 5)
        value, rows = expected(x), np.arange(5)
        arm = policy(x, 1)
        regret.append((value.max(axis=1) - value[rows, arm]).sum())
        policy.update(x, arm, value[rows, arm] + NOISE * generator.standard_normal(5))
    regret = np.array(regret)
    of_chance = (value.max(axis=1) - value.mean(axis=1)).mean() * 5
    assert regret[:10].mean() > 0.1 * of_chance  # it did not know before
    # Linear regret would give quarters alike; the last must cost a fifth of the first.
    assert regret[300:].sum() < 0.2 * regret[:100].sum()
    assert regret[300:].mean() < 0.03 * of_chance


def test_ridge_regression_by_hand():
    model = LinearArms.empty(2, 1, ridge=2.0)
    model = model.updated([[1.0], [3.0], [5.0]], [0, 0, 1], [1.0, 2.0, 7.0])
    # Arm 0: A = [[1 + 9 + 2, 4], [4, 2 + 2]], b = [7, 3], det 32.
    assert model.theta[0] == pytest.approx([(4 * 7 - 4 * 3) / 32, (12 * 3 - 4 * 7) / 32])
    mean, width = model.predict([[2.0]])
    assert mean[0, 0] == pytest.approx(2 * 0.5 + 0.25)
    assert width[0, 0] == pytest.approx(np.sqrt((4 * 4 - 2 * 2 * 4 + 12) / 32))


def test_forgetting_and_immutability():
    one = logged(200, 0)
    model = LinearArms.standardised(one[0], 3)
    first = model.updated(*one)
    assert not model.moment.any()
    again = first.updated(*logged(200, 1), forget=0.0)
    only = model.updated(*logged(200, 1))
    assert np.array_equal(again.gram, only.gram)
    half = first.updated(*logged(200, 1), forget=0.5)
    assert half.moment == pytest.approx(0.5 * first.moment + only.moment)


def test_splitting_a_log_changes_nothing():
    x, arm, reward = logged(300)
    model = LinearArms.standardised(x, 3)
    parts = model.updated(x[:100], arm[:100], reward[:100]).updated(
        x[100:], arm[100:], reward[100:]
    )
    assert parts.theta == pytest.approx(model.updated(x, arm, reward).theta, rel=1e-9)


def test_thompson_draws_have_the_posteriors_spread():
    # Two arms of equal mean 0: shares follow the widths, P(arm 0) = 1/2 whatever they are;
    # against a sure arm at height h, P(arm 0) = P(alpha w Z > h).
    model = LinearArms.empty(2, 1).updated(
        np.zeros((10**6, 1)), np.ones(10**6, int), np.ones(10**6)
    )
    policy = LinearThompson(model, alpha=1.5, seed=0)
    x = np.zeros((40_000, 1))
    mean, width = model.predict(x[:1])
    assert mean[0] == pytest.approx([0.0, 1.0], abs=1e-5)
    assert width[0] == pytest.approx([1.0, 0.001], rel=1e-3)
    # P(1.5 Z > 1) = 0.2525; 5 standard errors are 0.011: fails by chance once in 10^6.
    assert (policy(x, 1) == 0).mean() == pytest.approx(0.2525, abs=0.011)


def test_optimism_tries_the_unknown_arm():
    model = LinearArms.empty(2, 1).updated(np.zeros((50, 1)), np.zeros(50, int), np.ones(50) * 0.5)
    assert LinUCB(model, alpha=1.0)(np.zeros((1, 1)), 1).tolist() == [1]
    assert LinUCB(model, alpha=0.0)(np.zeros((1, 1)), 1).tolist() == [0]


def test_boltzmann_learns_what_no_linear_model_can():
    pytest.importorskip("torch")
    generator = np.random.default_rng(0)
    x = generator.uniform(-1, 1, size=(8_000, 2))
    best = (x[:, 0] * x[:, 1] > 0).astype(int)  # exclusive or
    arm = generator.integers(2, size=8_000)
    reward = (arm == best) + 0.2 * generator.standard_normal(8_000)
    policy = NeuralBoltzmann.untrained(x, 2, temperature=0.05, seed=1)
    assert (policy(x, 1) == best).mean() < 0.7
    losses = policy.fit(x, arm, reward, epochs=40, batch=256, learning_rate=5e-3)
    assert losses[-1] < 0.5 * losses[0]
    assert (policy(x, 1) == best).mean() > 0.9
    linear = LinUCB(LinearArms.standardised(x, 2).updated(x, arm, reward), 0.0)
    assert (linear(x, 1) == best).mean() < 0.6


def test_boltzmann_probabilities_are_its_frequencies():
    layers = [(np.array([[1.0, 0.0, -1.0]]), np.array([0.0, 0.3, 0.0]))]
    policy = NeuralBoltzmann(layers, [0.0], [1.0], temperature=0.5, seed=3)
    chance = policy.probabilities([[0.2]])[0]
    weight = np.exp(np.array([0.2, 0.3, -0.2]) / 0.5)
    assert chance == pytest.approx(weight / weight.sum())
    arms = policy(np.full((50_000, 1), 0.2), 1)
    # 5 standard errors of a share.
    assert np.bincount(arms, minlength=3) / 50_000 == pytest.approx(chance, abs=0.0112)
    with pytest.raises(ValueError, match="temperature"):
        NeuralBoltzmann(layers, [0.0], [1.0], temperature=0.0)


AGENTS = {"linucb": linucb, "thompson": thompson, "neural_boltzmann": neural_boltzmann}


@pytest.mark.parametrize("name", AGENTS)
def test_train_save_load_same_arms(name, tmp_path):
    if name == "neural_boltzmann":
        pytest.importorskip("torch")
    options = {"epochs": 2} if name == "neural_boltzmann" else {}
    trained, again = (
        AGENTS[name].train(
            TASK,
            seed=4,
            steps=300,
            directory=tmp_path / str(k),
            env_kwargs=SMALL,
            hyperparameters={"online_episodes": 1} | options,
        )
        for k in range(2)
    )
    loaded = AGENTS[name].load(tmp_path / "0")
    context = coupon_env(TASK, **SMALL).reset(seed=8)[0]
    runs = []
    for policy in (trained, again, loaded):
        if hasattr(policy, "reset"):
            policy.reset(11)
        runs.append(np.stack([policy(context, week) for week in range(1, 9)]))
    assert np.array_equal(runs[0], runs[1])  # same seed, same agent
    assert np.array_equal(runs[0], runs[2])
    assert runs[0].shape == (8, 12)
    card = json.loads((tmp_path / "0" / "card.json").read_text())
    assert (card["task"], card["agent"], card["seed"], card["steps"]) == (TASK, name, 4, 300)


def test_the_log_is_uniform_and_complete():
    env = coupon_env(TASK, **SMALL)
    logs = log_uniform(env, 3_000, seed=0)
    x, arm, reward = samples_of(logs)
    assert len(arm) == len(x) == len(reward) >= 3_000
    # Chi-squared with 10 degrees of freedom; 41 is exceeded by chance once in 10^5.
    count = np.bincount(arm, minlength=11)
    assert ((count - len(arm) / 11) ** 2 / (len(arm) / 11)).sum() < 41
    assert not np.array_equal(logs[0].contexts, logs[1].contexts)


def test_clear_errors(tmp_path):
    with pytest.raises(ValueError, match="no coupon task"):
        coupon_env("RetailSynth-v0", preset="tiny", world_seed=0)
    model = LinearArms.empty(2, 1)
    with pytest.raises(ValueError, match=r"0\.\.1"):
        model.updated([[0.0]], [2], [0.0])
    with pytest.raises(ValueError, match="as many"):
        model.updated([[0.0]], [0, 1], [0.0])
    with pytest.raises(ValueError, match="finite"):
        model.updated([[0.0]], [0], [np.nan])
    with pytest.raises(ValueError, match="scale"):
        LinearArms.empty(2, 1, scale=0.0)
    with pytest.raises(FileNotFoundError):
        linucb.load(tmp_path)
    np.savez(tmp_path / "linucb.npz", a=1)
    with pytest.raises(ValueError, match="no linear bandit"):
        linucb.load(tmp_path)


def test_training_luck_is_apart_from_tests_references_and_validation(monkeypatch, tmp_path):
    seen = []
    original = coupon_training.play

    def play(env, policy, seed, **kwargs):
        seen.append(seed)
        return original(env, policy, seed, **kwargs)

    monkeypatch.setattr(coupon_training, "play", play)
    options = {"steps": 150, "env_kwargs": SMALL, "hyperparameters": {"online_episodes": 3}}
    for seed in (0, 1, 2, 999_999):
        linucb.train(TASK, seed=seed, directory=tmp_path / str(seed), **options)
    # 150 customer-weeks are three episodes of 6 weeks and 12 customers.
    assert len(seen) == 4 * (3 + 3)
    assert all(TRAINING_SEED <= seed < 2 * TRAINING_SEED for seed in seen)
    assert len(set(seen)) == len(seen)  # online weeks do not repeat the log's luck
    with pytest.raises(ValueError, match="online_episodes"):
        online(coupon_env(TASK, **SMALL), None, -1, 0, None)


LAYERS = [(np.ones((1, 2)), np.zeros(2)), (np.ones((2, 5)), np.arange(5.0))]


def test_policies_do_not_draw_what_the_environment_draws():
    zero = np.zeros((300, 1))
    thompson_draw = LinearThompson(LinearArms.empty(5, 1), alpha=1.0, seed=6)(zero, 1)
    luck = np.random.default_rng(6)
    assert not np.array_equal(thompson_draw, luck.standard_normal((300, 5)).argmax(axis=1))
    flat = NeuralBoltzmann([(np.zeros((1, 5)), np.zeros(5))], [0.0], [1.0], 1.0, seed=6)
    uniform = np.random.default_rng(6).random((300, 1))
    assert not np.array_equal(flat(zero, 1), np.floor(5 * uniform[:, 0]).astype(int))
    weight = NeuralBoltzmann.untrained(np.eye(3), 2, hidden=(), seed=6).layers[0][0]
    limit = np.sqrt(6.0 / 5.0)
    assert not np.allclose(weight, np.random.default_rng(6).uniform(-limit, limit, (3, 2)))


def _linear(tmp_path, alpha=0.1):
    LinUCB(LinearArms.empty(3, 2), alpha).save(tmp_path)
    return tmp_path / "linucb.npz", linucb.load


def _neural(tmp_path):
    NeuralBoltzmann(LAYERS, [0.0], [1.0], 0.5).save(tmp_path)
    return tmp_path / "neural_boltzmann.npz", neural_boltzmann.load


@pytest.mark.parametrize(("make", "name", "value"), [
    (_linear, "gram", np.zeros((3, 3, 2))),
    (_linear, "moment", np.zeros(3)),
    (_linear, "moment", np.zeros((0, 3))),
    (_linear, "shift", np.zeros(3)),
    (_linear, "scale", np.zeros(2)),
    (_linear, "ridge", np.array(0.0)),
    (_linear, "alpha", np.array("much")),
    (_linear, "forget", None),
    (_linear, "gram", np.full((3, 3, 3), np.nan)),
    (_neural, "weight_1", np.ones((3, 5))),
    (_neural, "weight_1", np.array([["a"]])),
    (_neural, "bias_0", None),
    (_neural, "bias_1", np.zeros((5, 1))),
    (_neural, "shift", np.zeros(2)),
    (_neural, "scale", np.array([-1.0])),
    (_neural, "temperature", np.array(0.0)),
    (_neural, "temperature", np.array({}, dtype=object)),
    (_neural, "temperature", None),
])  # fmt: skip
def test_damaged_files_are_refused(make, name, value, tmp_path):
    path, load = make(tmp_path)
    load(tmp_path)
    with np.load(path) as file:
        arrays = {key: file[key] for key in file.files}
    arrays = {key: a for key, a in arrays.items() if key != name}
    if value is not None:
        arrays[name] = value
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match=f"{path.name} (is damaged|holds no)"):
        load(tmp_path)


@pytest.mark.parametrize("make", [_linear, _neural])
def test_cut_files_are_refused(make, tmp_path):
    path, load = make(tmp_path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match="is damaged"):
        load(tmp_path)


def test_without_torch_the_extra_is_named_before_anything_is_done(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r"retail-gym\[agents\]"):
        neural_boltzmann.train(TASK, directory=tmp_path / "run", env_kwargs=SMALL, steps=100)
    assert not (tmp_path / "run").exists()
