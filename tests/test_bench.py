"""Benchmarks: every figure is there, positive and JSON; nothing is compared with a clock."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from retail_gym import bench

ROOT = Path(__file__).parents[1]
TIMES = (
    "full_evaluation", "week_I", "week_III", "week_V", "env_step_I", "env_step_III", "env_step_V",
    "vector_8_envs_1_threads", "vector_8_envs_2_threads",
)  # fmt: skip
MORE = {
    "week": {
        "visitors_per_week", "lines_per_week", "rows_recomputed_per_week",
        "categories_summed_per_week", "categories_in_float64_per_week", "customer_weeks_per_s",
        "lines_per_s",
    },
    "env": {"steps_per_s"},
    "vector": {
        "env_steps_per_s", "single_minimum_ms", "single_median_ms", "times_the_single_environment",
        "times_the_single_environment_at_best",
    },
    "full": set(),
}  # fmt: skip
REST = {
    "machine", "versions", "store", "np_exp_ms", "np_exp_again_ms", "peak_memory_mib", "start_up_s",
}  # fmt: skip
START_UP = {"import", "build_world", "environment_and_first_step", "second_step"}
MAY_BE_ZERO = {"categories_in_float64_per_week"}


def complete(figures):
    """Every documented key, every number above 0."""
    assert set(figures) == REST | set(TIMES)
    for name in ("np_exp_ms", "np_exp_again_ms"):
        _timing(figures[name])
    for name in TIMES:
        figure = figures[name]
        _timing(figure["ms"])
        assert set(figure["ratio_to_np_exp"]) == {"minimum", "median"}
        for key in ("minimum", "median"):
            ratio = figure["ms"][key] / figures["np_exp_ms"][key]
            assert figure["ratio_to_np_exp"][key] == pytest.approx(ratio)
        more = MORE[name.split("_")[0]]
        assert set(figure) == {"ms", "ratio_to_np_exp"} | more
        for key in more:
            assert math.isfinite(figure[key])
            assert figure[key] > 0 or (key in MAY_BE_ZERO and figure[key] == 0), (name, key)
    assert figures["peak_memory_mib"] > 10
    assert set(figures["start_up_s"]) == START_UP
    assert all(seconds > 0 for seconds in figures["start_up_s"].values())
    assert set(figures["versions"]) == {"retail-gym", "numpy", "numba", "gymnasium", "python"}
    assert "CPU" in figures["machine"]


def _timing(timing):
    assert set(timing) == {"minimum", "median", "repeats"}
    assert 0 < timing["minimum"] <= timing["median"]
    assert timing["repeats"] >= 50


def test_every_figure_of_the_tiny_store(monkeypatch):
    """Start-up is measured in processes of its own, which the slow test below starts."""
    monkeypatch.setattr(bench, "_start_up", lambda: dict.fromkeys(START_UP, 1.0))
    figures = bench.run_benchmarks("tiny", episodes=1)
    complete(figures)
    assert json.loads(json.dumps(figures)) == figures
    assert "'tiny'" in figures["store"]


def test_any_number_of_customers_is_measured(monkeypatch):
    monkeypatch.setattr(bench, "_start_up", dict)
    monkeypatch.setattr(bench, "_vector", lambda *a: (bench.Timing(1.0, 1.0, 1),) * 2)
    figures = bench.run_benchmarks("tiny", episodes=1, n_customers=7)
    assert "customers=7" in figures["store"]


@pytest.mark.parametrize("episodes", [0, -1, 1.5])
def test_episodes_are_checked(episodes):
    with pytest.raises((ValueError, TypeError), match="episodes"):
        bench.run_benchmarks("tiny", episodes=episodes)


def test_an_unknown_preset_is_refused():
    with pytest.raises(ValueError, match="scenario"):
        bench.run_benchmarks("no such store", episodes=1)


@pytest.mark.slow
def test_the_command_writes_and_prints_the_figures(tmp_path):
    out = tmp_path / "figures.json"

    def command(*more):
        return subprocess.run(
            [sys.executable, "-m", "retail_gym.cli", "bench", "--preset", "tiny", "--episodes",
             "1", "--out", str(out), *more],
            env=os.environ | {"PYTHONPATH": str(ROOT)}, cwd=tmp_path,
            capture_output=True, text=True, timeout=300, check=True,
        )  # fmt: skip

    table = command().stdout
    complete(json.loads(out.read_text(encoding="utf-8")))
    for name in TIMES:
        assert name in table
    out.unlink()
    printed = json.loads(command("--json").stdout)
    complete(printed)
    assert json.loads(out.read_text(encoding="utf-8")) == printed
