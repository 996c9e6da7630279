"""The study behind the word "headline": the rule, and what it is applied to."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from experiments import task_status
from experiments.task_status import by_segment, is_headline, study
from retail_gym import evaluate
from retail_gym.evaluation import Interval, best_static
from retail_gym.evaluation.search import FINE_GRID, grid
from retail_gym.policies import SCENARIOS, HighLow, scenario
from retail_gym.registration import TASKS

POINTS = {"depths": [0.0, 0.2, 0.4], "frequencies": [0.3, 0.6]}


@pytest.mark.parametrize(
    ("baseline", "difference", "headline"),
    [
        (10.0, Interval(0.5, 0.1, 0.9), True),
        (10.0, Interval(0.49, 0.4, 0.6), False),  # below 5 %
        (10.0, Interval(0.8, -0.1, 1.7), False),  # may be nothing
        (-10.0, Interval(0.4, 0.3, 0.5), False),  # 5 % of its size, not of its sign
        (-10.0, Interval(0.6, 0.3, 0.9), True),
        (10.0, Interval(-1.0, -1.2, -0.8), False),
    ],
)
def test_the_rule(baseline, difference, headline):
    assert is_headline(baseline, difference) is headline


def test_the_grid_covers_the_action_box():
    depths, frequencies = grid(0.025, 0.05)
    assert depths == pytest.approx(np.linspace(0, 0.5, 21))
    assert frequencies == pytest.approx(np.linspace(0.05, 0.6, 12))
    assert FINE_GRID[0] == (0.0, 0.0)
    assert set(FINE_GRID[1:]) == {(d, f) for d in depths[1:] for f in frequencies}


def test_policies_are_chosen_on_some_seeds_and_scored_on_others():
    result = study("RetailSynthMargin-v0", POINTS, 2, 3, preset="tiny")
    luck = [1_000_000, 1_000_001]
    paper = {name: scenario(name) for name in SCENARIOS}
    chosen = best_static("RetailSynthMargin-v0", **POINTS, seeds=luck, preset="tiny").policy
    assert result["policies"] == {"best static": repr(chosen)}
    selection = evaluate("RetailSynthMargin-v0", paper, seeds=luck, preset="tiny")
    means = selection.group_by("policy").mean().sort("return")
    assert result["best of I-V"] == means["policy"][-1]
    runs = evaluate("RetailSynthMargin-v0", paper | {"best static": chosen}, seeds=range(3),
                    preset="tiny")  # fmt: skip
    for name, score in result["returns"].items():
        assert score == pytest.approx(runs.filter(policy=name)["return"].mean(), rel=1e-12)
    mean, low, high = result["gain over best of I-V"]
    base = result["returns"][result["best of I-V"]]
    assert mean == pytest.approx(result["returns"]["best static"] - base)
    assert low <= mean <= high
    assert result["gain in percent"] == pytest.approx(100 * mean / abs(base))


def test_segments_are_searched_apart(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(sys, "argv", [
        "task_status", "--tasks", "RetailSynthSegments-v0", "--selection", "1", "--scoring", "2",
        "--depth-step", "0.25", "--frequency-step", "0.6", "--out", str(tmp_path),
    ])  # fmt: skip
    quick = {"preset": "tiny", "weeks": 3}
    for name in ("evaluate", "best_static", "best_targeted"):
        original = getattr(task_status, name)
        monkeypatch.setattr(
            task_status, name,
            lambda *args, _original=original, **kwargs: _original(*args, **(kwargs | quick)),
        )  # fmt: skip
    task_status.main()
    result = json.loads((tmp_path / "RetailSynthSegments-v0-world0.json").read_text())
    assert result["policies"]["best static per segment"].count("(") == 4
    gain = result["returns"]["best static per segment"] - result["returns"]["best static"]
    assert result["gain of segments"][0] == pytest.approx(gain, abs=1e-12)
    assert str(tmp_path) in capsys.readouterr().out


def test_what_segments_do_by_themselves():
    task, depths, luck = "RetailSynthSegments-v0", [0.0, 0.25], [0, 1]
    found = by_segment(task, depths, luck, preset="tiny")
    assert found["mean beta_w"] == sorted(found["mean beta_w"])  # the most sensitive first
    assert {len(row) for row in found["visits"].values()} == {3}
    for depth, row in found["margin"].items():  # the segments' margins are the task's return
        runs = evaluate(task, {"it": HighLow(depth, 0.6 if depth else 0.0)}, seeds=luck,
                        preset="tiny")  # fmt: skip
        assert sum(row) == pytest.approx(runs["return"].mean(), rel=1e-6)
    best = np.argmax([found["margin"][depth] for depth in depths], axis=0)
    assert found["depth of the largest margin"] == [depths[k] for k in best]


@pytest.mark.slow
@pytest.mark.parametrize("name", task_status.NAMES)
def test_the_registered_status_is_what_the_study_finds(name):
    """Single static policies are enough to tell; segments can only add."""
    depths, frequencies = grid(0.05, 0.3)
    result = study(name, {"depths": depths, "frequencies": frequencies}, 2, 10, segments=1)
    assert result["headline"] == (TASKS[name].status == "headline")
