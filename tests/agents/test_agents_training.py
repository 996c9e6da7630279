"""Every agent learns a little, is saved, and comes back as it was; a killed run goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import agents
from agents.card import markdown, read_card, write_card
from agents.coupon_training import coupon_env
from agents.numpy_policy import NumpyPolicy
from agents.registry import AGENTS, OPTIONS, agent_module
from agents.tasks import VALIDATION, make_env, validate
from retail_gym.policies import UniformRandom
from retail_gym.world.pool import PoolConfig, StorePool
from retail_gym.world.presets import load_config

pytest.importorskip("stable_baselines3")
pytest.importorskip("sb3_contrib")
pytest.importorskip("cmaes")

TASK = "RetailSynth-v0"
TINY = {"preset": "tiny", "horizon": 6}
SMALL_NETS = {
    "ppo": {"n_steps": 12, "batch_size": 24, "n_epochs": 2, "n_envs": 4},
    "recurrent_ppo": {"n_steps": 12, "batch_size": 24, "n_epochs": 2, "n_envs": 4},
    "sac": {
        "stretch": 1.3,
        "learning_starts": 24,
        "batch_size": 16,
        "gradient_steps": 1,
        "n_envs": 4,
    },
    "tqc": {"learning_starts": 24, "batch_size": 16, "gradient_steps": 1, "n_envs": 4},
    "dqn": {"learning_starts": 24, "batch_size": 16, "gradient_steps": 1, "n_envs": 4},
    "cma": {"population": 4, "form": "static"},
}
LIBRARY = [name for name in SMALL_NETS if name != "cma"]

POOL = StorePool(PoolConfig("test", load_config("tiny"), {}), range(2), cache="")
CUSTOMERS = {"preset": "coupon_brand_loyalty", "n_customers": 12, "category_sizes": (4, 3, 2),
             "category_shift": 4.0, "world_seeds": [0, 1], "horizon": 6}  # fmt: skip
#: Agents of other tasks: task, arguments of the environment, hyper-parameters.
OTHERS = {
    "bayes_adaptive": (
        "RetailSynthAdaptive-v0", {"pool": POOL, "horizon": 6}, {"exploration": "greedy"},
    ),
    "linucb": ("RetailSynthCoupons-v0", CUSTOMERS, {"alpha": 0.5}),
    "neural_boltzmann": ("RetailSynthCoupons-v0", CUSTOMERS, {"epochs": 2, "hidden": [8]}),
    "thompson": ("RetailSynthCoupons-v0", CUSTOMERS, {"online_episodes": 1}),
}  # fmt: skip


def train(agent, directory, steps=240, **options):
    settings = {"seed": 3, "env_kwargs": TINY, "hyperparameters": SMALL_NETS[agent]} | options
    if agent in LIBRARY:
        settings = {"tensorboard": False, "threads": 1} | settings
    return agent_module(agent).train(TASK, steps=steps, directory=directory, **settings)


def actions(policy, seed=0):
    """What a policy does in an episode of what a random policy sees."""
    env, driver = make_env(TASK, TINY), UniformRandom()
    observation, _ = env.reset(seed=seed)
    driver.reset(seed)
    policy.reset(seed)
    chosen = []
    for week in range(1, env.horizon + 1):
        chosen.append(policy(observation, week))
        observation, *_ = env.step(driver(observation, week))
    return np.array(chosen)


@pytest.fixture(scope="module", params=sorted(SMALL_NETS))
def run(request, tmp_path_factory):
    """A short run of each agent: its name, folder and the policy that training returned."""
    folder = tmp_path_factory.mktemp(request.param)
    return request.param, folder, train(request.param, folder)


def test_trains_and_comes_back_the_same(run):
    agent, folder, policy = run
    chosen = actions(policy)
    assert np.array_equal(chosen, actions(agents.load(folder)))
    space = make_env(TASK, TINY).action_space
    assert chosen.shape == (6, 2)
    assert all(space.contains(action) for action in chosen)
    card = read_card(folder)
    assert (card["agent"], card["task"], card["seed"], card["steps"]) == (agent, TASK, 3, 240)
    assert card["status"] == "complete"
    assert card["versions"].keys() >= {"python", "retail-gym", "numpy", "gymnasium"}
    assert card["validation_score"] == pytest.approx(validate(make_env(TASK, TINY), policy).mean())


def test_numpy_does_what_torch_does(run):
    """The last model in torch, read back from stable-baselines3's file, and its arrays."""
    agent, folder, _ = run
    if agent not in LIBRARY:
        pytest.skip("no torch in it")
    with pytest.raises(ValueError, match="trust=True"):
        agents.load(folder / "model.zip")
    model = agents.load(folder / "model.zip", trust=True)
    arrays = agents.load(folder / "last.npz")
    for seed in range(5):
        expected = actions(model, seed)
        assert np.abs(actions(arrays, seed) - expected).max() < 1e-5
    if agent != "dqn":  # nor is the comparison one of constants
        assert np.ptp(expected, axis=0).max() > 1e-4


def test_another_seed_is_another_policy(run, tmp_path):
    agent, _, policy = run
    if agent not in ("ppo", "cma"):
        pytest.skip("one of each kind is enough")
    assert not np.array_equal(actions(train(agent, tmp_path, seed=4)), actions(policy))


def test_every_agent_is_trained_here():
    assert sorted([*SMALL_NETS, *OTHERS]) == sorted(AGENTS)


@pytest.mark.parametrize("agent", OTHERS)
def test_agents_of_other_tasks_keep_the_contract(agent, tmp_path):
    """They take what ``agents.train`` passes, come back the same and write the same card."""
    task, env_kwargs, hyperparameters = OTHERS[agent]
    options = dict.fromkeys(OPTIONS) | {
        "seed": 3, "steps": 240, "env_kwargs": env_kwargs, "hyperparameters": hyperparameters,
        "tensorboard": True, "progress": False, "threads": 1,
    }  # fmt: skip
    policy, again = (
        agent_module(agent).train(
            task, **options | {"directory": tmp_path, "resume": resume}
        )
        for resume in (False, True)
    )  # fmt: skip
    with pytest.raises(FileExistsError, match="--resume"):
        agent_module(agent).train(task, **options | {"directory": tmp_path, "resume": False})
    if agent == "bayes_adaptive":
        env = make_env(task, env_kwargs)
    else:
        env = coupon_env(task, **env_kwargs)
    seen = [env.reset(seed=0)[0]]
    env.action_space.seed(0)
    seen += [env.step(env.action_space.sample())[0] for _ in range(5)]
    chosen = []
    for one in (policy, again, agents.load(tmp_path)):
        if hasattr(one, "reset"):
            one.reset(7)
        chosen.append(np.array([one(o, week) for week, o in enumerate(seen, 1)]))
        assert all(env.action_space.contains(action) for action in chosen[-1])
    assert np.array_equal(chosen[0], chosen[1])
    assert np.array_equal(chosen[0], chosen[2])
    assert len(np.unique(chosen[0], axis=0)) > 1
    card = read_card(tmp_path)
    assert (card["agent"], card["task"], card["seed"], card["steps"]) == (agent, task, 3, 240)
    assert card["status"] == "complete"
    assert card["hyperparameters"].items() >= hyperparameters.items()
    assert f"agents.train {agent} --task {task} --seed 3 --steps 240" in card["command"]
    assert card["versions"].keys() >= {"python", "retail-gym", "numpy", "gymnasium"}
    assert card["wall_seconds"] > 0 < card["cpu_seconds"]
    assert "environment steps" in markdown(card)


KILLED = """
import os, signal, sys
from pathlib import Path
from agents import sections
from tests.agents.test_agents_training import train

write, count = sections.write_checkpoint, [0]
def write_and_die(path, state):
    write(path, state)
    count[0] += 1
    if count[0] == 3:
        os.kill(os.getpid(), signal.SIGKILL)
sections.write_checkpoint = write_and_die
train(sys.argv[1], Path(sys.argv[2]))
"""


@pytest.mark.parametrize(
    "agent", ["ppo", *(pytest.param(a, marks=pytest.mark.slow) for a in LIBRARY if a != "ppo")]
)
def test_killed_and_resumed_equals_unbroken(agent, tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", KILLED, agent, str(tmp_path / "killed")],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"PYTHONPATH": "."},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert read_card(tmp_path / "killed")["status"] == "running"
    assert not (tmp_path / "killed" / "policy.npz").exists()
    with pytest.raises(FileExistsError, match="--resume"):
        train(agent, tmp_path / "killed")
    unbroken = train(agent, tmp_path / "unbroken")
    resumed = train(agent, tmp_path / "killed", resume=True)
    assert resumed.digest == unbroken.digest
    last = [NumpyPolicy.load(tmp_path / run / "last.npz") for run in ("killed", "unbroken")]
    assert last[0].digest == last[1].digest
    cards = [read_card(tmp_path / run) for run in ("killed", "unbroken")]
    for card in cards:
        del card["wall_seconds"], card["cpu_seconds"]
        card["evaluations"] = [(row["steps"], row["return"]) for row in card["evaluations"]]
    assert cards[0] == cards[1]
    assert len(cards[0]["evaluations"]) >= 5


def test_a_search_goes_on_where_it_stopped(tmp_path):
    class StopError(Exception):
        pass

    def stop(steps, score):
        raise StopError

    with pytest.raises(StopError):  # after ten generations, before they are written
        train("cma", tmp_path / "killed", steps=600, on_evaluation=stop)
    seen = []
    resumed = train(
        "cma", tmp_path / "killed", steps=600, resume=True,
        on_evaluation=lambda steps, score: seen.append(steps),
    )  # fmt: skip
    assert seen == [240, 480, 600]
    assert resumed.digest == train("cma", tmp_path / "unbroken", steps=600).digest


@pytest.mark.parametrize(("steps", "seen"), [(60, [48]), (252, [240]), (900, [240, 480, 720, 912])])
def test_the_last_generation_of_a_search_is_validated(steps, seen, tmp_path):
    """Also where the steps are no multiple of a generation's (here 4 x 6 weeks)."""
    told = []
    policy = train(
        "cma", tmp_path, steps=steps, on_evaluation=lambda done, score: told.append(done)
    )
    card = json.loads((tmp_path / "card.json").read_text(), parse_constant=pytest.fail)
    assert told == [row[0] for row in card["evaluations"]] == seen
    assert card["validation_score"] == max(row[1] for row in card["evaluations"])
    assert np.any(policy.arrays["layer0.bias"] != 0.0)


def test_a_search_resumed_for_fewer_steps_is_validated(tmp_path):
    class StopError(Exception):
        pass

    def stop(steps, score):
        raise StopError

    with pytest.raises(StopError):  # nine generations are written, none is validated
        train("cma", tmp_path, steps=600, on_evaluation=stop)
    train("cma", tmp_path, steps=72, resume=True)
    card = read_card(tmp_path)
    assert [row[0] for row in card["evaluations"]] == [72]
    assert np.isfinite(card["validation_score"])


def test_cards_hold_finite_numbers_only(tmp_path):
    with pytest.raises(ValueError, match="a number that JSON lacks"):
        write_card(tmp_path, {"validation_score": float("-inf")})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("agent", "wrong", "message"),
    [
        ("ppo", {"learning_rat": 1}, "learning_rat"),
        ("ppo", {"policy": "MlpPolice"}, "MlpPolice"),
        ("cma", {"populaton": 4}, "unknown hyper-parameter 'populaton'.*'population'"),
        ("cma", {"population": 0}, "population"),
    ],
)
def test_a_mistyped_first_command_leaves_the_folder_free(agent, wrong, message, tmp_path):
    folder = tmp_path / "run"
    with pytest.raises((TypeError, ValueError), match=message):
        train(agent, folder, tensorboard=True, hyperparameters=SMALL_NETS[agent] | wrong)
    assert not folder.exists()


def test_another_run_is_told_apart_by_what_differs(tmp_path):
    train("cma", tmp_path)
    settings = SMALL_NETS["cma"] | {"spread": 0.7}
    env_kwargs = TINY | {"burn_in": 1}
    with pytest.raises(ValueError, match="another run") as error:
        train("cma", tmp_path, resume=True, hyperparameters=settings, env_kwargs=env_kwargs)
    said = str(error.value)
    assert (
        "its env burn_in is 'not set', not 1, its hyperparameters spread is 0.3, not 0.7." in said
    )
    assert "population" not in said
    assert "preset" not in said


def test_resume_refuses_another_run_and_goes_on_for_longer(tmp_path):
    train("ppo", tmp_path)
    with pytest.raises(ValueError, match="its seed is 3, not 5"):
        train("ppo", tmp_path, resume=True, seed=5)
    with pytest.raises(ValueError, match="its agent is 'ppo', not 'sac'"):
        train("sac", tmp_path, resume=True)
    with pytest.raises(ValueError, match="its hyperparameters"):
        train("ppo", tmp_path, resume=True, hyperparameters=SMALL_NETS["ppo"] | {"gamma": 0.5})
    train("ppo", tmp_path, resume=True, steps=480)
    card = read_card(tmp_path)
    assert card["steps_taken"] == 480
    assert [row["steps"] for row in card["evaluations"]][-1] == 480
    (tmp_path / "checkpoint.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(ValueError, match="damaged or no checkpoint"):
        train("ppo", tmp_path, resume=True, steps=960)
    (tmp_path / "card.json").write_text("{")
    with pytest.raises(ValueError, match="damaged"):
        agents.load(tmp_path)


def test_seeds_of_training_validation_and_test_are_disjoint():
    from agents.tasks import training_seed

    training = {training_seed(seed, step) for seed in range(20) for step in range(0, 10**5, 424)}
    assert min(training) >= 10**9 > max(VALIDATION)
    assert max(training) + 64 < 2**31
    assert min(VALIDATION) >= 2 * 10**6
    assert len(training) > 0.999 * 20 * 236


def test_events_are_written_for_tensorboard(tmp_path):
    pytest.importorskip("tensorboard")
    train("ppo", tmp_path, tensorboard=True)
    (events,) = (tmp_path / "tensorboard").iterdir()
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = EventAccumulator(str(events)).Reload()
    assert {"eval/mean_reward", "rollout/ep_rew_mean", "train/loss"} <= set(log.Tags()["scalars"])
    shown = {e.step: e.value for e in log.Scalars("eval/mean_reward")}
    card = json.loads((tmp_path / "card.json").read_text())
    assert shown == pytest.approx({row["steps"]: row["return"] for row in card["evaluations"]})


@pytest.mark.slow
def test_ppo_improves_over_random(tmp_path):
    """Fixed seeds, the small store: well above random and above what it began with."""
    env_kwargs = {"preset": "small", "horizon": 26}
    env = make_env(TASK, env_kwargs)
    random = validate(env, UniformRandom())
    policy = agent_module("ppo").train(
        TASK, seed=0, steps=20_000, directory=tmp_path, env_kwargs=env_kwargs, threads=1,
        hyperparameters={"n_steps": 52, "batch_size": 104},
    )  # fmt: skip
    learned = validate(env, policy)
    assert (learned > random).all()
    assert learned.mean() > 1.2 * random.mean()
