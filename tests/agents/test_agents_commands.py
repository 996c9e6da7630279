"""Registry, recipes and the three commands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import yaml

import agents
from agents import evaluate as evaluate_command
from agents import publish as publish_command
from agents import tune as tune_command
from agents.card import markdown, write_card
from agents.numpy_policy import NumpyPolicy
from agents.options import main, pairs
from agents.recipes import FOLDER, read_recipe, schedule
from agents.registry import AGENTS, agent_module
from agents.tasks import TASKS, make_env, task_id, validate
from agents.train import app as train_app
from retail_gym.evaluation import evaluate, reference_scores, references
from retail_gym.policies import HighLow, UniformRandom

ROOT = Path(__file__).parents[2]
TINY = ["--env", "preset=tiny", "--env", "horizon=4"]


@pytest.fixture
def call(capsys):
    """Run a command; its exit status and what it printed."""

    def run(app, *arguments):
        status = 0
        try:
            main(lambda: app([str(a) for a in arguments]))
        except SystemExit as done:
            status = done.code or 0
        return status, capsys.readouterr()

    return run


# registry and recipes


def test_unknown_names_are_refused_with_the_list():
    with pytest.raises(ValueError, match=r"unknown agent 'pp0': choose from .*ppo.*Did you mean"):
        agent_module("pp0")
    with pytest.raises(ValueError, match=r"unknown task 'RetailSynth-v9'.*RetailSynth-v0"):
        task_id("RetailSynth-v9")
    with pytest.raises(ValueError, match="unknown pretrained agent"):
        agents.load_pretrained("none")
    assert task_id("retail_gym:RetailSynth-v0") == "RetailSynth-v0"
    with pytest.raises(ValueError, match=r"unknown option of training 'env_kwarg'.*env_kwargs"):
        agent_module("cma").train("RetailSynth-v0", directory=Path("none"), env_kwarg={})
    with pytest.raises(ValueError, match=r"unknown hyper-parameter 'alphas'.*alpha"):
        agent_module("linucb").train(
            "RetailSynthCoupons-v0", directory=Path("none"), hyperparameters={"alphas": 1}
        )


def test_the_registry_loads_nothing_until_asked():
    code = (
        "import sys, agents.registry, agents.loading, agents.train\n"
        "assert not {'torch', 'stable_baselines3', 'optuna', 'cmaes'} & set(sys.modules)\n"
        "for name in agents.registry.AGENTS: agents.registry.agent_module(name)\n"
        "assert not {'torch', 'optuna'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.parametrize("name", sorted(AGENTS))
def test_every_agent_keeps_the_contract(name):
    module = agent_module(name)
    assert callable(module.train)
    assert callable(module.load)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yml")), ids=lambda path: path.stem)
def test_recipes_name_agents_tasks_and_arguments(path):
    import inspect

    module = agent_module(path.stem)
    tables = yaml.safe_load(path.read_text())
    assert set(TASKS) | {"default"} == set(tables)
    for task in tables:
        if task != "default":
            task_id(task)
        recipe = read_recipe(path.stem, task)
        assert recipe.n_timesteps >= 1000
        if hasattr(module, "ALGORITHM"):
            known = inspect.signature(module.ALGORITHM.load_class().__init__).parameters
            assert set(recipe.settings) <= set(known)
        assert recipe.with_(**recipe.table()) == recipe


def test_changes_and_schedules():
    recipe = read_recipe("ppo", "RetailSynth-v0", {"n_envs": 2, "gamma": 0.5, "normalize": False})
    assert (recipe.n_envs, recipe.settings["gamma"], recipe.normalize) == (2, 0.5, {})
    assert read_recipe("ppo", "RetailSynthElse-v0") == read_recipe("ppo", "default")
    falling = schedule("lin_2e-3")
    assert [falling(1.0), falling(0.25)] == [2e-3, 5e-4]
    assert schedule(3e-4) == 3e-4
    for wrong in ("lin_fast", "lin_-1"):
        with pytest.raises(ValueError, match="lin_ and a number"):
            schedule(wrong)
    with pytest.raises(ValueError, match="unknown agent"):
        read_recipe("nobody", "RetailSynth-v0")
    with pytest.raises(ValueError, match="n_envs"):
        read_recipe("ppo", "RetailSynth-v0", {"n_envs": 0})


def test_options_are_read_as_yaml():
    given = ["a=1", "b=1e-3", "c=margin", "d=[1, 2]", "e=true", "f=x=y"]
    expected = {"a": 1, "b": 1e-3, "c": "margin", "d": [1, 2], "e": True, "f": "x=y"}
    assert pairs(given) == expected
    assert pairs(None) == {}
    with pytest.raises(ValueError, match="NAME=VALUE"):
        pairs(["seed"])


# commands


def test_train_evaluate_resume(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = ("cma", "--task", "RetailSynthMargin-v0", "--steps", 100, "--seed", 2, *TINY)
    status, said = call(train_app, *options, "--set", "form=static")
    folder = Path("results/agents/RetailSynthMargin-v0/cma-2")
    assert status == 0, said
    assert str(folder) in said.out
    command = json.loads((folder / "card.json").read_text())["command"]
    assert (
        command
        == "python -m agents.train "
        + " ".join(map(str, options)).replace("--steps 100 --seed 2", "--seed 2 --steps 100")
        + " --set form=static"
    )
    status, said = call(evaluate_command.app, folder, "--episodes", 3, "--json")
    rows = {row["policy"]: row for row in json.loads(said.out)}
    assert list(rows) == ["random", "I", "II", "III", "IV", "V", "cma-2"]
    env = make_env("RetailSynthMargin-v0", {"preset": "tiny", "horizon": 4})
    returns = []
    for seed in range(3):
        observation, _ = env.reset(seed=seed)
        policy = agents.load(folder)
        total = 0.0
        for week in range(1, 5):
            observation, reward, *_ = env.step(policy(observation, week))
            total += reward
        returns.append(total)
    assert rows["cma-2"]["return"] == pytest.approx(np.mean(returns))
    assert evaluate_command.normalised({name: row["return"] for name, row in rows.items()}) == {
        name: row["normalised"] for name, row in rows.items()
    }
    status, said = call(evaluate_command.app, folder, "--episodes", 2)
    assert "normalised" in said.out
    assert "RetailSynthMargin-v0" in said.out
    status, said = call(train_app, *options, "--set", "form=static")
    assert status == 2
    assert "--resume" in said.err
    assert call(train_app, *options, "--set", "form=static", "--resume")[0] == 0


def test_normalised_score_by_hand():
    means = {"random": 2.0, "I": 1.0, "II": 1.5, "III": 5.0, "IV": 6.0, "V": 4.0, "mine": 7.0}
    scores = evaluate_command.normalised(means)  # 1 is IV
    assert scores == {
        "random": 0.0, "I": -0.25, "II": -0.125, "III": 0.75, "IV": 1.0, "V": 0.5, "mine": 1.25,
    }  # fmt: skip


def test_reference_scores_belong_to_the_task_as_registered(monkeypatch):
    """Not to other arguments or seeds; there 1 is the best of I-V."""
    task, seeds, kwargs = "RetailSynthMargin-v0", range(2), {"preset": "tiny", "horizon": 3}
    table = json.loads(json.dumps(reference_scores()))
    table[task]["seeds"]["test"] = [0, 2]
    table[task]["policies"]["random"]["return"] = 1.0
    table[task]["policies"][table[task]["best"]] |= {"return": 5.0, "low": 4.5, "high": 5.5}
    for module in (evaluate_command, references):
        monkeypatch.setattr(module, "reference_scores", lambda: table)
    monkeypatch.setattr(  # the small store, whatever is asked for
        evaluate_command,
        "evaluate",
        lambda env, policies, weeks, seeds, **_: evaluate("tiny", policies, 3, seeds),
    )
    policies = {"mine": HighLow(0.2, 0.6)}
    rows = evaluate_command.score_table(task, policies, seeds, kwargs)
    assert all(row["low"] <= row["return"] <= row["high"] for row in rows)
    for others in ((range(1, 3), None), (seeds, kwargs)):
        rows = evaluate_command.score_table(task, policies, *others)
        names = [row["policy"] for row in rows]
        assert names == ["random", "I", "II", "III", "IV", "V", "mine"]
        assert max(rows[1:6], key=lambda row: row["return"])["normalised"] == 1.0
        assert rows[0]["normalised"] == 0.0
    rows = evaluate_command.score_table("retail_gym:" + task, policies, seeds)
    best = rows[6]
    assert (best["policy"], best["return"], best["normalised"]) == ("best known: far_sighted", 5, 1)
    assert rows[7]["normalised"] == pytest.approx((rows[7]["return"] - 1.0) / 4.0)


def test_tasks_of_segments_and_of_pools_are_scored():
    env_kwargs = {"preset": "tiny", "horizon": 3}
    rows = evaluate_command.score_table("RetailSynthSegments-v0", {}, range(2), env_kwargs)
    draws = UniformRandom(3)
    by_hand = validate(make_env("RetailSynthSegments-v0", env_kwargs), draws, range(2))
    assert rows[0]["return"] == pytest.approx(by_hand.mean())
    with pytest.raises(ValueError, match=r"Coupons-v0 .* experiments\.coupons"):
        evaluate_command.score_table("RetailSynthCoupons-v0", {}, range(2))


def test_pools_are_scored_in_stores_that_nobody_trained_in(monkeypatch):
    seen = []

    def stop(env, policies, weeks, seeds, **kwargs):
        seen.append(kwargs["pool"])
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluate_command, "evaluate", stop)
    for given in (None, {"pool": "train"}):
        with pytest.raises(KeyboardInterrupt):
            evaluate_command.score_table("RetailSynthAdaptive-v0", {}, range(2), given)
    assert seen == ["test", "train"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nobody",), "unknown agent 'nobody'"),
        (("cma", "--task", "nowhere"), "unknown task 'nowhere'"),
        (("cma", "--set", "form"), "NAME=VALUE"),
        (("cma", "--set", "form=cubic", *TINY), "unknown form 'cubic'"),
        (("cma", "--env", "presett=tiny"), "presett"),
        (("linucb",), "RetailSynth-v0 is no coupon task"),
        (("bayes_adaptive",), "a pool of stores is what this agent learns"),
        (
            ("ppo", "--task", "RetailSynthCoupons-v0"),
            "RetailSynthCoupons-v0 is not a task of depth",
        ),
        (("ppo", "--set", "learning_rat=1", *TINY), "learning_rat"),
    ],
)
def test_errors_of_use_are_one_line(arguments, message, call, tmp_path):
    status, said = call(train_app, *arguments, "--out", tmp_path / "run")
    assert status == 2
    assert message in said.err
    assert said.err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_errors_of_gymnasium_are_one_line(call):
    def wrong():
        raise gym.error.NameNotFound("no such environment")

    status, said = call(lambda _: wrong())
    assert (status, said.err) == (2, "error: no such environment\n")


def test_a_study_says_what_is_wrong_in_one_line():
    done = subprocess.run(
        [sys.executable, "-m", "experiments.lookahead", "--task", "nope"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("error: unknown task 'nope': choose from RetailSynth")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        "train ppo", "train cma --env preset=tiny", "tune cma", "publish none", "evaluate none",
        "evaluate ppo-RetailSynth-v0 --env preset=tiny",
    ],
)  # fmt: skip
def test_without_yaml_commands_say_what_to_install(arguments, tmp_path):
    command, *rest = arguments.split()
    code = (
        "import runpy, sys\n"
        "sys.modules['yaml'] = None\n"
        "module = sys.argv.pop(1)\n"
        "runpy.run_module('agents.' + module, run_name='__main__')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, command, *rest],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    hint = "" if "none" in rest else 'this needs yaml: pip install "retail-gym[agents]"'
    assert done.stderr.startswith(f"error: {hint}")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "results" / "agents").exists()


def test_evaluate_says_what_is_wrong(call, tmp_path):
    assert "no trained policy" in call(evaluate_command.app, tmp_path / "x")[1].err
    arrays = {"layer0.weight": np.zeros((2, 7)), "layer0.bias": np.zeros(2)}
    arrays |= {"action.low": np.zeros(2), "action.high": np.ones(2)}
    path = NumpyPolicy(arrays, "clip").save(tmp_path / "policy.npz")
    assert "--task" in call(evaluate_command.app, path)[1].err
    status, said = call(evaluate_command.app, path, "--task", "RetailSynth-v0", *TINY)
    assert status == 2
    assert "observations of 7 numbers" in said.err


def test_a_missing_library_is_named(tmp_path):
    code = (
        "import sys\n"
        "for name in ('stable_baselines3', 'sb3_contrib', 'cmaes', 'optuna'):\n"
        "    sys.modules[name] = None\n"
        "from agents.train import app, main\n"
        "from agents.tune import app as tune\n"
        "for run in [lambda: tune(['cma', '--out', sys.argv[1]])] + [\n"
        "    lambda agent=agent: app([agent, '--out', sys.argv[1]])\n"
        "    for agent in ('ppo', 'tqc', 'cma')\n"
        "]:\n"
        "    try: main(run)\n"
        "    except SystemExit as error: assert error.code == 2\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "run")],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    hint = ': pip install "retail-gym[agents]"'
    missing = ("optuna", "stable_baselines3", "sb3_contrib", "cmaes")
    assert done.stderr.splitlines() == [f"error: this needs {name}{hint}" for name in missing]
    assert not (tmp_path / "run").exists()


def test_tuning_goes_on_where_it_stopped(tmp_path):
    optuna = pytest.importorskip("optuna")
    pytest.importorskip("cmaes")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    options = {"steps": 100, "env_kwargs": {"preset": "tiny", "horizon": 2}}
    study = tune_command.tune_agent("cma", "RetailSynth-v0", 2, tmp_path, **options)
    assert len(study.trials) == 2
    study = tune_command.tune_agent("cma", "RetailSynth-v0", 3, tmp_path, **options)
    assert len(study.trials) == 3
    assert len({str(trial.params) for trial in study.trials}) == 3
    best = max(study.trials, key=lambda trial: trial.value)
    card = json.loads((tmp_path / f"trial-{best.number}" / "card.json").read_text())
    assert study.best_value == pytest.approx(card["validation_score"])
    assert card["hyperparameters"]["spread"] == best.params["spread"]
    assert len(tune_command.tune_agent("cma", "RetailSynth-v0", 1, tmp_path, **options).trials) == 3


def test_the_comparison_of_scenarios_names_its_agents(monkeypatch, capsys):
    from experiments.scenarios import run

    monkeypatch.setattr(sys, "argv", ["scenarios", "--help"])
    with pytest.raises(SystemExit):
        run()
    said = capsys.readouterr().out
    assert "--agent NAME" in said
    assert "ppo-RetailSynthMargin-v0" in said
    assert "--first-world" in said  # and the options of the command it is


# trained models


def test_publishing_a_run(call, tmp_path):
    options = ("cma", "--steps", 100, "--set", "population=4", "--set", "form=static")
    assert call(train_app, *options, "--out", tmp_path / "run")[0] == 0
    out = tmp_path / "models"
    status, said = call(publish_command.app, tmp_path / "run", "--out", out, "--episodes", 3)
    assert status == 0, said
    folder = out / "cma-RetailSynth-v0"
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md", "card.json", "policy.npz",
    ]  # fmt: skip
    assert agents.load(folder).digest == agents.load(tmp_path / "run").digest
    card = json.loads((folder / "card.json").read_text())
    policies = {"cma-RetailSynth-v0": agents.load(folder)}
    assert card["scores"] == evaluate_command.score_table("RetailSynth-v0", policies, range(3))
    page = (folder / "README.md").read_text()
    mine = card["scores"][-1]
    assert f"| cma-RetailSynth-v0 | {mine['return']:.3f} |" in page
    assert card["command"] in page
    again = (publish_command.app, tmp_path / "run", "--out", out, "--episodes", 2)
    status, said = call(*again)
    assert (status, "replace it by --force" in said.err) == (2, True)
    assert json.loads((folder / "card.json").read_text()) == card
    assert call(*again, "--force")[0] == 0
    assert json.loads((folder / "card.json").read_text())["test_episodes"] == 2
    (tmp_path / "run" / "card.json").write_text(
        (tmp_path / "run" / "card.json").read_text().replace('"complete"', '"running"')
    )
    assert "not complete" in call(publish_command.app, tmp_path / "run", "--out", out)[1].err


def test_only_one_model_of_the_registered_task_is_published(call, tmp_path):
    out = tmp_path / "models"
    arrays = {"layer0.weight": np.zeros((2, 7)), "layer0.bias": np.zeros(2)}
    arrays |= {"action.low": np.zeros(2), "action.high": np.ones(2)}
    for name, seed, task, env in (
        ("one", 0, "RetailSynth-v0", {}),
        ("two", 1, "retail_gym:RetailSynth-v0", {}),
        ("tiny", 0, "RetailSynth-v0", {"preset": "tiny"}),
    ):
        card = {"agent": "cma", "task": task, "seed": seed, "env": env, "status": "complete"}
        write_card(tmp_path / name, card)
        NumpyPolicy(arrays, "clip").save(tmp_path / name / "policy.npz")
    status, said = call(publish_command.app, tmp_path / "one", tmp_path / "two", "--out", out)
    assert status == 2
    assert "would both be cma-RetailSynth-v0" in said.err
    status, said = call(publish_command.app, tmp_path / "tiny", "--out", out, "--force")
    assert status == 2
    assert "was trained with {'preset': 'tiny'}" in said.err
    assert not out.exists()


def test_only_policies_of_arrays_are_published(call, tmp_path):
    steps = ("--steps", 60, "--out", tmp_path / "run", "--env", "n_customers=12")
    task = ("--task", "RetailSynthCoupons-v0")
    status, said = call(train_app, "linucb", *task, *steps, "--set", "alpha=0.5")
    assert status == 0, said
    assert "LinUCB(alpha=0.5)" in said.out
    assert "python -m experiments.coupons" in said.out
    for command in (publish_command.app, evaluate_command.app):
        status, said = call(command, tmp_path / "run")
        assert status == 2
        assert "plain arrays" in said.err or "python -m experiments.coupons" in said.err


@pytest.mark.parametrize("name", agents.pretrained_names())
def test_trained_models_come_along_and_need_no_torch(name):
    code = (
        "import sys\n"
        "for heavy in ('torch', 'stable_baselines3', 'sb3_contrib', 'cmaes', 'yaml'):\n"
        "    sys.modules[heavy] = None\n"
        "import agents, numpy as np\n"
        f"policy = agents.load_pretrained({name!r})\n"
        "print(*policy(np.zeros(policy.inputs, dtype=np.float32), 1))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    depth, frequency = map(float, done.stdout.split())
    assert 0.0 <= depth <= 0.5
    assert 0.0 <= frequency <= 0.6
    folder = ROOT / "agents" / "pretrained" / name
    card = json.loads((folder / "card.json").read_text())
    assert name == f"{card['agent']}-{card['task']}"
    assert (folder / "README.md").read_text() == markdown(card)
    scores = {row["policy"]: row["normalised"] for row in card["scores"]}
    assert scores[name] > max(scores[policy] for policy in ("random", "I", "II", "III", "IV", "V"))


@pytest.mark.slow
@pytest.mark.parametrize("name", agents.pretrained_names())
def test_scores_on_the_cards_are_what_the_models_earn(name):
    card = json.loads((ROOT / "agents" / "pretrained" / name / "card.json").read_text())
    policy = agents.load_pretrained(name)
    rows = evaluate_command.score_table(
        card["task"], {name: policy}, range(card["test_episodes"]), card["env"]
    )
    for row, expected in zip(rows, card["scores"], strict=True):
        assert row["policy"] == expected["policy"]
        for key in ("return", "normalised"):
            assert row[key] == pytest.approx(expected[key], rel=1e-9, abs=1e-12)
