"""The search: minima, logs, resumption."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("cmaes")

from retail_gym.calibration.search import Parameter, minimise

BOX = [Parameter("x", -2.0, 4.0, 3.0), Parameter("y", 0.01, 10.0, 5.0, ratio=True)]


def bowl(values):
    return (values["x"] - 1.0) ** 2 + (values["y"] - 0.2) ** 2


def test_finds_the_minimum_of_a_bowl():
    found = minimise("bowl", BOX, bowl, 300, seed=1, step=0.2)
    assert found.values["x"] == pytest.approx(1.0, abs=0.05)
    assert found.values["y"] == pytest.approx(0.2, abs=0.05)
    assert found.loss == min(found.history) == bowl(found.values)
    assert found.history[0] == pytest.approx(bowl({"x": 3.0, "y": 5.0}))  # the start comes first
    assert len(found.history) == 300


def test_one_parameter_is_enough():
    found = minimise("line", BOX[:1], lambda v: abs(v["x"] - 1.0), 120, step=0.2)
    assert found.values["x"] == pytest.approx(1.0, abs=0.05)


def test_a_killed_search_ends_where_it_would_have_ended(tmp_path):
    whole = minimise("bowl", BOX, bowl, 40, seed=3)
    log, calls = tmp_path / "log.json", []

    def killed(values):
        if len(calls) == 17:
            raise KeyboardInterrupt
        calls.append(values)
        return bowl(values)

    with pytest.raises(KeyboardInterrupt):
        minimise("bowl", BOX, killed, 40, seed=3, log=log)
    assert len(json.loads(log.read_text())["losses"]) == 17
    again = []

    def counted(values):
        again.append(values)
        return bowl(values)

    assert minimise("bowl", BOX, counted, 40, seed=3, log=log) == whole
    assert len(again) == 40 - 17


def test_the_log_of_another_search_is_not_used(tmp_path):
    log = tmp_path / "log.json"
    minimise("bowl", BOX, bowl, 12, seed=3, log=log)
    other = minimise("bowl", BOX, lambda values: -bowl(values), 12, seed=4, log=log)
    assert max(other.history) <= 0.0


def test_a_foreign_log_is_refused_with_its_name(tmp_path):
    log = tmp_path / "log.json"
    log.write_text("[1, 2]")
    with pytest.raises(ValueError, match=r"log\.json is not a log of a search: remove it"):
        minimise("bowl", BOX, bowl, 3, log=log)


def test_points_that_cannot_be_judged_are_bad_ones():
    found = minimise("half", BOX, lambda v: float("nan") if v["x"] > 2 else bowl(v), 60, step=0.3)
    assert found.values["x"] <= 2.0
    with pytest.raises(ValueError, match="no point of the search void has a finite loss"):
        minimise("void", BOX, lambda values: float("nan"), 5)


def test_ranges_are_checked():
    with pytest.raises(ValueError, match="above 0 on a log scale"):
        Parameter("x", 0.0, 1.0, 0.5, ratio=True)
    with pytest.raises(ValueError, match="start of parameter x"):
        Parameter("x", 0.0, 1.0, 2.0)
