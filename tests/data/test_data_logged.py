"""Logged decisions: the log is what happened, and its files are the log."""

from __future__ import annotations

import json
import os

import gymnasium as gym
import numpy as np
import polars as pl
import pytest

from retail_gym.cli import app, main
from retail_gym.data.bandit_log import bandit_feedback, write_bandit
from retail_gym.data.logged import lineage, log_episode, log_episodes
from retail_gym.data.minari_format import read_minari, write_minari
from retail_gym.envs import DiscretePricing
from retail_gym.policies import HighLow
from retail_gym.policies.behaviour import EpsilonGreedy, Gaussian, OnGrid, Softmax, Uniform

# Minari says where the package is not installed, as in a checkout.
NOT_INSTALLED = "ignore:Package retail-gym is not installed"
ARRAYS = ("observations", "actions", "rewards", "propensities")


def continuous():
    env = gym.make("RetailSynthMargin-v0", preset="tiny", horizon=4)
    return env, Gaussian(HighLow(0.2, 0.4), env.action_space, (0.1, 0.1), 0.1)


def segments():
    env = DiscretePricing(gym.make("RetailSynthSegments-v0", preset="tiny", horizon=3))
    return env, Softmax.around(OnGrid(HighLow(0.2, 0.4), env.grid), env.action_space, 0.05)


def coupons():
    env = gym.make("RetailSynthCoupons-v0", preset="tiny", horizon=4)
    return env, EpsilonGreedy(lambda o, week: np.full(len(o), week), env.action_space, 0.3)


CASES = {"continuous": continuous, "segments": segments, "coupons": coupons}


def same(a, b):
    assert a.seed == b.seed
    for name in ARRAYS:
        x, y = getattr(a, name), getattr(b, name)
        np.testing.assert_array_equal(x, y, err_msg=name)
        assert x.dtype == y.dtype, name
    assert (a.probabilities is None) == (b.probabilities is None)
    if a.probabilities is not None:
        np.testing.assert_array_equal(a.probabilities, b.probabilities)


# the log


@pytest.mark.parametrize("case", CASES)
def test_a_log_is_the_environments_episode_with_the_laws_propensities(case):
    env, behaviour = CASES[case]()
    episode = log_episode(env, behaviour, 7)
    observation, info = env.reset(seed=7)
    behaviour.reset(7)
    for t in range(len(episode)):
        np.testing.assert_array_equal(episode.observations[t], observation)
        assert {k: v[t] for k, v in episode.infos.items()} == pytest.approx(info)
        law = behaviour.law(observation, t + 1)
        expected = law.propensity(episode.actions[t])
        if case == "segments":
            assert expected.shape == (3,)
            expected = expected.prod()
        np.testing.assert_allclose(episode.propensities[t], expected)
        if case != "continuous":
            np.testing.assert_array_equal(episode.probabilities[t], law.probabilities)
        observation, reward, _, truncated, info = env.step(episode.actions[t])
        assert episode.store_rewards[t] == pytest.approx(reward, rel=1e-12)
        assert truncated == (t == len(episode) - 1)
    np.testing.assert_array_equal(episode.observations[-1], observation)
    same(episode, log_episode(env, behaviour, 7))


def test_customers_are_logged_one_by_one():
    env, behaviour = coupons()
    episode = log_episode(env, behaviour, 0)
    assert episode.rewards.shape == episode.propensities.shape == episode.actions.shape == (4, 5)
    greedy = episode.actions == np.arange(1, 5)[:, None]
    np.testing.assert_allclose(
        episode.propensities, np.where(greedy, 0.7 + 0.3 / 11, 0.3 / 11), rtol=1e-12
    )
    assert greedy.any()
    assert not greedy.all()


def test_lineage_names_what_made_the_log():
    env, behaviour = continuous()
    facts = lineage(env, behaviour)
    assert json.loads(json.dumps(facts)) == facts
    assert facts["behaviour"] == {
        "behaviour": "gaussian",
        "policy": "HighLow(depth=0.2, frequency=0.4)",
        "sd": [0.1, 0.1],
        "epsilon": 0.1,
    }
    assert facts["propensity"].startswith("density")
    assert facts["store"]["preset"] == "tiny"
    assert lineage(*segments())["propensity"] == "probability"
    assert lineage(*coupons())["level"] == "customer"


def test_environments_and_behaviours_that_do_not_fit_are_refused():
    env, behaviour = continuous()
    with pytest.raises(ValueError, match=r"space=env\.action_space"):
        log_episode(DiscretePricing(env), behaviour, 0)
    many = gym.make("mo-retailsynth-v0", preset="tiny", horizon=2)
    with pytest.raises(ValueError, match="with one reward"):
        log_episode(many, Uniform(many.action_space), 0)
    with pytest.raises(ValueError, match="seed must be at least 0"):
        log_episode(env, behaviour, -1)


# Minari


@pytest.mark.parametrize("data_format", ["hdf5", "arrow", "parquet"])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.filterwarnings(NOT_INSTALLED)
def test_minari_gives_back_what_was_logged_and_the_environment_replays_it(
    case, data_format, tmp_path, monkeypatch
):
    minari = pytest.importorskip("minari")
    pytest.importorskip("h5py" if data_format == "hdf5" else "pyarrow")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    env, behaviour = CASES[case]()
    logged = list(log_episodes(env, behaviour, range(3)))
    folder = write_minari(
        "retail/some-v0", env, behaviour, logged, level="store", data_format=data_format
    )
    assert folder == tmp_path / "retail" / "some-v0"
    dataset = minari.load_dataset("retail/some-v0")
    assert dataset.total_episodes == 3
    assert dataset.total_steps == sum(map(len, logged))
    assert dataset.observation_space == env.observation_space
    assert dataset.action_space == env.action_space
    assert list(minari.list_local_datasets()) == ["retail/some-v0"]
    for ours, back in zip(logged, read_minari(dataset), strict=True):
        same(ours, back)
        assert {k: v.tolist() for k, v in back.infos.items()} == {
            k: v.tolist() for k, v in ours.infos.items()
        }
    again = dataset.recover_environment()
    seeds = dataset.storage.metadata["retail_gym"]["seeds"]
    for item, seed in zip(dataset.iterate_episodes(), seeds, strict=True):
        observation, _ = again.reset(seed=seed)
        assert item.truncations.tolist() == [False] * (len(item) - 1) + [True]
        assert not item.terminations.any()
        assert np.isnan(item.infos["propensity"][0]).all()
        for t, action in enumerate(item.actions):
            np.testing.assert_array_equal(item.observations[t], observation)
            observation, reward, _, _, info = again.step(action)
            assert item.rewards[t] == pytest.approx(reward, rel=1e-12)
            assert item.infos["revenue"][t + 1, 0] == info["revenue"]


def test_customers_can_be_episodes(tmp_path):
    minari = pytest.importorskip("minari")
    pytest.importorskip("h5py")
    env, behaviour = coupons()
    logged = list(log_episodes(env, behaviour, [4, 9]))
    folder = write_minari("coupons-v0", env, behaviour, logged, root=tmp_path)
    dataset = minari.MinariDataset(folder / "data")
    assert dataset.total_episodes == 10
    assert dataset.action_space == gym.spaces.Discrete(11)
    one = dataset[7]  # customer 2 of seed 9
    assert one.infos["customer"].tolist() == [[2]] * 5
    np.testing.assert_array_equal(one.observations, logged[1].observations[:, 2])
    np.testing.assert_array_equal(one.actions, logged[1].actions[:, 2])
    np.testing.assert_array_equal(one.rewards, logged[1].rewards[:, 2])
    np.testing.assert_array_equal(one.infos["propensity"][1:, 0], logged[1].propensities[:, 2])
    np.testing.assert_array_equal(one.infos["probabilities"][1:], logged[1].probabilities[:, 2])
    assert dataset.observation_space.contains(one.observations[0])
    for ours, back in zip(logged, read_minari(folder), strict=True):
        same(ours, back)


def test_a_dataset_is_written_whole_or_not_at_all(tmp_path):
    pytest.importorskip("minari")
    pytest.importorskip("h5py")
    env, behaviour = continuous()

    def breaking():
        yield log_episode(env, behaviour, 0)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_minari("a-v0", env, behaviour, breaking(), root=tmp_path)
    assert os.listdir(tmp_path) == []
    write_minari("a-v0", env, behaviour, [log_episode(env, behaviour, 0)], root=tmp_path)
    assert os.listdir(tmp_path) == ["a-v0"]
    with pytest.raises(ValueError, match=r"exists .* choose another version"):
        write_minari("a-v0", env, behaviour, breaking(), root=tmp_path)
    with pytest.raises(ValueError, match="at least one episode"):
        write_minari("b-v0", env, behaviour, [], root=tmp_path)
    assert os.listdir(tmp_path) == ["a-v0"]


def test_refusals_of_datasets_name_what_is_allowed(tmp_path):
    minari = pytest.importorskip("minari")
    pytest.importorskip("h5py")
    env, behaviour = continuous()
    episodes = [log_episode(env, behaviour, 0)]
    with pytest.raises(ValueError, match="give \\(namespace/\\)name-v0"):
        write_minari("two words", env, behaviour, episodes, root=tmp_path)
    with pytest.raises(ValueError, match="give \\(namespace/\\)name-v0"):
        write_minari("no_version", env, behaviour, episodes, root=tmp_path)
    with pytest.raises(ValueError, match="choose from hdf5, arrow, parquet"):
        write_minari("a-v0", env, behaviour, episodes, root=tmp_path, data_format="csv")
    with pytest.raises(ValueError, match="choose from store, customer"):
        write_minari("a-v0", env, behaviour, episodes, root=tmp_path, level="shop")
    with pytest.raises(ValueError, match="level='store'"):
        write_minari("a-v0", env, behaviour, episodes, root=tmp_path, level="customer")
    with pytest.raises(ValueError, match="no spec to keep"):
        write_minari("a-v0", env.unwrapped.__class__("tiny"), behaviour, episodes, root=tmp_path)
    with pytest.raises(FileNotFoundError, match="no dataset in"):
        read_minari(tmp_path / "x")
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(OSError, match="MINARI_DATASETS_PATH"):
        write_minari("a-v0", env, behaviour, episodes, root=file)
    folder = write_minari("a-v0", env, behaviour, episodes, root=tmp_path)
    metadata = folder / "data" / "metadata.json"
    facts = json.loads(metadata.read_text())
    del facts["retail_gym"]
    metadata.write_text(json.dumps(facts))
    with pytest.raises(ValueError, match="no propensities of this project"):
        read_minari(minari.MinariDataset(folder / "data"))


# bandit logs


def test_bandit_fields_are_the_decisions(tmp_path):
    env, behaviour = coupons()
    logged = list(log_episodes(env, behaviour, [1, 2]))
    fields = bandit_feedback(logged)
    assert len(fields["reward"]) == 2 * 4 * 5
    row = 1 * 20 + 2 * 5 + 3  # second episode, week 3, customer 3
    assert fields["episode"][row] == 1
    assert fields["week"][row] == 3
    assert fields["customer"][row] == 3
    np.testing.assert_array_equal(fields["context"][row], logged[1].observations[2, 3])
    assert fields["action"][row] == logged[1].actions[2, 3]
    assert fields["reward"][row] == logged[1].rewards[2, 3]
    np.testing.assert_array_equal(fields["pi_b"][row], logged[1].probabilities[2, 3])
    chosen = np.take_along_axis(fields["pi_b"], fields["action"][:, None], axis=1)[:, 0]
    np.testing.assert_array_equal(fields["pscore"], chosen)
    assert write_bandit(tmp_path / "b.npz", logged) == 40
    assert write_bandit(tmp_path / "b.parquet", logged) == 40
    with np.load(tmp_path / "b.npz") as file:
        for name, values in fields.items():
            np.testing.assert_array_equal(file[name], values)
    frame = pl.read_parquet(tmp_path / "b.parquet")
    assert frame.columns == list(fields)
    np.testing.assert_array_equal(np.stack(frame["context"].to_numpy()), fields["context"])


def test_a_grid_is_a_bandit_and_a_continuum_is_none(tmp_path):
    env = DiscretePricing(gym.make("RetailSynth-v0", preset="tiny", horizon=3))
    fields = bandit_feedback(log_episodes(env, Uniform(env.action_space), range(2)))
    assert fields["pi_b"].shape == (6, 31)
    for case in (continuous, segments):
        env, behaviour = case()
        with pytest.raises(ValueError, match="actions are numbers 0"):
            bandit_feedback(log_episodes(env, behaviour, range(1)))
    with pytest.raises(ValueError, match="at least one episode"):
        bandit_feedback([])
    with pytest.raises(ValueError, match=r"\.npz or a \.parquet"):
        write_bandit(tmp_path / "b.csv", [])


# command line


@pytest.fixture
def cli(capsys):
    def call(*arguments):
        with pytest.raises(SystemExit) as done:
            main(lambda: app(["log", *map(str, arguments)]))
        captured = capsys.readouterr()
        return int(done.value.code or 0), captured.out, captured.err

    return call


def test_log_writes_datasets(cli, tmp_path):
    pytest.importorskip("minari")
    pytest.importorskip("h5py")
    code, out, _ = cli(
        "shop/near-v0", "--task", "RetailSynthMargin-v0", "--preset", "tiny", "--weeks", 2,
        "--behaviour", "gaussian", "--policy", "0.2,0.4", "--sd", "0.1,0.2", "--epsilon", 0,
        "--episodes", 2, "--seed", 5, "--root", tmp_path,
    )  # fmt: skip
    assert code == 0
    assert str(tmp_path / "shop" / "near-v0") in out
    env = gym.make("RetailSynthMargin-v0", preset="tiny", horizon=2)
    behaviour = Gaussian(HighLow(0.2, 0.4), env.action_space, (0.1, 0.2))
    back = read_minari(tmp_path / "shop" / "near-v0")
    for ours, episode in zip(log_episodes(env, behaviour, [5, 6]), back, strict=True):
        same(ours, episode)


def test_log_writes_bandit_logs(cli, tmp_path):
    file = tmp_path / "b.parquet"
    code, out, _ = cli(
        file, "--task", "RetailSynthCoupons-v0", "--preset", "tiny", "--weeks", 2,
        "--behaviour", "epsilon_greedy", "--policy", 4, "--epsilon", 0.11, "--episodes", 2,
    )  # fmt: skip
    assert code == 0
    assert "20 decisions of EpsilonGreedy(policy=FixedArm(4), epsilon=0.11)" in out
    frame = pl.read_parquet(file)
    assert set(frame["pscore"].round(6)) <= {0.9, 0.01}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a-v0", "--behaviour", "softmx"], "Did you mean 'softmax'"),
        (["a-v0", "--task", "RetailSynth-v1"], "Did you mean 'RetailSynth-v0'"),
        (["a-v0", "--behaviour", "softmax"], "needs a pricing task with --grid"),
        (["a-v0", "--behaviour", "epsilon_greedy"], "DiscretePricing around"),
        (["a-v0", "--behaviour", "gaussian", "--policy", "VI"], "choose from"),
        (["b.csv"], ".npz or a .parquet"),
        (
            ["a-v0", "--task", "RetailSynthCoupons-v0", "--behaviour", "epsilon_greedy"],
            "number of an arm",
        ),
    ],
)
def test_errors_of_use_are_one_line(cli, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    code, _, errors = cli(*arguments, "--preset", "tiny", "--weeks", 2, "--root", tmp_path)
    assert code == 2
    assert errors.startswith("error: ")
    assert errors.count("\n") == 1
    assert words in errors
    assert os.listdir(tmp_path) == []
