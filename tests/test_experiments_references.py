"""The studies of references and of looking ahead, on a tiny store."""

from __future__ import annotations

import json
import sys
from dataclasses import replace

import polars as pl
import pytest
from matplotlib.image import imread

from experiments import lookahead, references
from retail_gym.envs.rewards import Margin
from retail_gym.evaluation import Interval
from retail_gym.evaluation import references as library
from retail_gym.evaluation.references import References, ReferenceTask, Seeds
from retail_gym.evaluation.response import measure_response

SEEDS = Seeds(search=1, choice=2, test=3)


@pytest.fixture(autouse=True)
def few_actions(monkeypatch):
    """A response of few actions, so that it takes no time."""
    actions = [(d, 0.6) for d in (0.1, 0.25, 0.5)]
    monkeypatch.setattr(
        library,
        "measure_response",
        lambda world: measure_response(world, actions, draws=1, degree=None),
    )


def tiny(name: str, reward: str) -> ReferenceTask:
    return ReferenceTask(name, "tiny", {"reward": reward}, weeks=4)


def test_a_task_of_its_own_leaves_the_other_rows_alone(tmp_path, capsys) -> None:
    table = tmp_path / "scores.json"
    references.run([tiny("a", "revenue")], tmp_path, table, SEEDS, 1)
    before = json.loads(table.read_text())
    references.run([tiny("b", "retention")], tmp_path, table, SEEDS, 1)
    after = json.loads(table.read_text())
    assert list(after) == ["a", "b"]
    assert after["a"] == before["a"]
    row = after["b"]
    printed = capsys.readouterr().out
    lines = [line.split() for line in printed.splitlines() if line.startswith("  ")]
    scores = {words[0]: words[4] for words in lines[-11:]}
    assert scores["random"] == "0.000"
    assert scores[row["best"]] == "1.000"


def test_unknown_tasks_are_refused(monkeypatch) -> None:
    for study in (references, lookahead):
        monkeypatch.setattr(sys, "argv", ["study", "--task", "RetailSynth-v9"])
        with pytest.raises(ValueError, match="choose from RetailSynth"):
            study.main()


def test_tasks_of_the_study_are_the_registered_ones() -> None:
    task = references.TASKS["RetailSynthSegments-v0"]
    env = replace(task, kwargs={"preset": "tiny"}).make()
    assert env.action_space.shape == (6,)
    assert isinstance(env.reward, Margin)
    assert task.make().world.name == "scenario_spread"
    assert references.TASKS.items() <= lookahead.CASES.items()


def test_lookahead_writes_table_and_picture(monkeypatch, tmp_path, capsys) -> None:
    monkeypatch.setattr(lookahead, "QUICK", {"t": tiny("t", "revenue")})
    arguments = ["study", "--quick", "--out", str(tmp_path / "o"), "--parts", str(tmp_path / "p")]
    monkeypatch.setattr(sys, "argv", arguments)
    lookahead.main()
    table = pl.read_parquet(tmp_path / "o" / "lookahead.parquet")
    assert table["against"].to_list() == ["the myopic policy", "the best static policy"]
    for row in table.iter_rows(named=True):
        assert row["gain"] == pytest.approx(row["return"] - row["baseline"])
        assert row["percent"] == pytest.approx(100 * row["gain"] / row["baseline"])
        assert row["low"] <= row["gain"] <= row["high"]
        assert row["pays"] in capsys.readouterr().out or row["against"] != "the myopic policy"
    assert imread(tmp_path / "o" / "lookahead.png").shape[2] == 4


@pytest.mark.parametrize(
    ("interval", "words"),
    [
        ((0.02, 0.01, 0.03), "yes, 2.0%"),
        ((0.02, 0.004, 0.03), "little, 2.0%"),
        ((0.001, 0.0005, 0.002), "nothing"),
        ((0.0, 0.0, 0.0), "nothing"),
        ((-0.02, -0.03, -0.01), "nothing"),
        ((0.01, -0.01, 0.03), "nothing that these runs can show"),
    ],
)
def test_verdicts_in_plain_words(interval, words: str) -> None:
    assert lookahead.verdict(Interval(*interval)) == words


def test_looking_ahead_is_chosen_on_the_choice_seeds() -> None:
    # On the test seeds the schedule is better; on the choice seeds the far-sighted policy.
    rows = [
        {"part": part, "policy": policy, "seed": seed, "return": value + 0.01 * seed}
        for part, values in (
            ("choice", {"schedule": 1.0, "far_sighted": 2.0, "myopic": 0.5, "static": 0.4}),
            ("test", {"schedule": 9.0, "far_sighted": 4.0, "myopic": 2.0, "static": 1.0}),
        )
        for policy, value in values.items()
        for seed in range(3)
    ]
    found = References({}, pl.DataFrame(rows), model_static=1.0, model_plan=1.5)
    myopic, static = lookahead.compare("t", found)
    assert myopic["ahead"] == static["ahead"] == "far_sighted"
    assert myopic["gain"] == pytest.approx(2.0)
    assert static["gain"] == pytest.approx(3.0)
    assert static["model_percent"] == pytest.approx(50.0)
