"""The command line: what it prints, what it writes, how it refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import retail_gym
from retail_gym import make_world
from retail_gym.cli import app, main
from retail_gym.evaluation import METRICS
from retail_gym.evaluation.scenarios import compare_scenarios
from retail_gym.policies import ZOO, make_policy
from retail_gym.registration import TASKS

ROOT = Path(__file__).parents[1]


@pytest.fixture
def cli(capsys):
    """Run a command; exit status, output, errors."""

    def call(*arguments):
        with pytest.raises(SystemExit) as done:
            main(lambda: app([str(a) for a in arguments]))
        captured = capsys.readouterr()
        return int(done.value.code or 0), captured.out, captured.err

    return call


def shell(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-m", "retail_gym.cli", *map(str, arguments)],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def refused(result, *words):
    """Exit status 2, one line, no traceback, and the words that help."""
    code, _, errors = result
    assert code == 2, errors
    assert errors.startswith("error: ")
    assert errors.count("\n") == 1, errors
    assert "Traceback" not in errors
    for word in words:
        assert str(word) in errors, errors


# info


def test_info_lists_what_there_is(cli) -> None:
    code, out, _ = cli("info", "--json")
    facts = json.loads(out)
    assert code == 0
    assert facts["version"] == retail_gym.__version__
    assert facts["ids"] == list(TASKS)
    assert facts["presets"] == retail_gym.preset_names()
    assert facts["policies"] == [*ZOO, "DEPTH,FREQUENCY"]
    assert facts["rewards"] == ["revenue", "margin", "retention", "balanced"]
    assert "reference" in facts["kernels"]
    _, text, _ = cli("info")
    for value in (*facts["presets"], *facts["policies"], *facts["rewards"]):
        assert value in text


def test_info_describes_one_store(cli, tiny_world) -> None:
    _, out, _ = cli("info", "tiny", "--json")
    facts = json.loads(out)
    assert (facts["store"], facts["seed"]) == ("tiny", 0)
    assert (facts["customers"], facts["products"], facts["categories"]) == (5, 9, 3)
    assert facts["median base price [$]"] == np.median(tiny_world.base_price)
    assert facts["reward scale R0 [$ a week]"] == tiny_world.reward_scale
    assert facts["cap percentile"] == 99.0
    code, text, _ = cli("info", "tiny")
    assert code == 0
    assert f"{tiny_world.reward_scale:.6g}" in text


def test_info_takes_seeds_and_files(cli, tmp_path) -> None:
    path = make_world("tiny", 4).save(tmp_path / "w.npz")
    _, by_seed, _ = cli("info", "tiny", "--world-seed", 4, "--json")
    _, by_file, _ = cli("info", path, "--json")
    assert json.loads(by_seed) == json.loads(by_file)
    (tmp_path / "mine.toml").write_text('extends = "tiny"\nn_customers = 2\n')
    assert json.loads(cli("info", tmp_path / "mine.toml", "--json")[1])["customers"] == 2


# simulate


def test_simulate_prints_the_figures_of_simulate(cli) -> None:
    code, out, _ = cli(
        "simulate", "tiny", "--policy", "V", "--weeks", 6, "--seed", 3, "--world-seed", 2,
        "--customers", 4, "--reward", "margin", "--json",
    )  # fmt: skip
    run = retail_gym.simulate(
        "tiny", make_policy("V"), 6, 3, world_seed=2, n_customers=4, reward="margin"
    )
    assert code == 0
    assert json.loads(out) == run.metrics


def test_simulate_prints_a_table(cli) -> None:
    code, out, _ = cli("simulate", "tiny", "--weeks", 6)
    run = retail_gym.simulate("tiny", make_policy("III"), 6)
    assert code == 0
    rows = dict(line.split() for line in out.splitlines()[1:])
    assert list(rows) == [*METRICS, "return"]
    for name, value in run.metrics.items():
        assert float(rows[name].replace(",", "")) == pytest.approx(value, abs=5e-5)


def test_simulate_accepts_every_policy_of_the_zoo_and_numbers(cli) -> None:
    for policy in (*ZOO, "0.3,0.6"):
        assert cli("simulate", "tiny", "--weeks", 1, "--policy", policy, "--json")[0] == 0
    _, by_name, _ = cli("simulate", "tiny", "--weeks", 2, "--policy", "III", "--json")
    _, by_numbers, _ = cli("simulate", "tiny", "--weeks", 2, "--policy", "0.25,0.6", "--json")
    assert by_name == by_numbers


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_simulate_writes_every_purchase_line(cli, suffix: str, tmp_path) -> None:
    file = tmp_path / "new" / f"lines.{suffix}"
    code, out, _ = cli("simulate", "tiny", "--weeks", 8, "--out", file)
    read = pl.read_csv if suffix == "csv" else pl.read_parquet
    expected = retail_gym.simulate("tiny", make_policy("III"), 8, record=True).transactions
    assert code == 0
    assert read(file).equals(expected)
    assert f"({expected.height} lines)" in out
    assert os.listdir(file.parent) == [file.name]


def test_json_stays_json_while_writing(cli, tmp_path) -> None:
    _, out, errors = cli("simulate", "tiny", "--weeks", 2, "--json", "--out", tmp_path / "x.csv")
    assert set(json.loads(out)) == {*METRICS, "return"}
    assert "x.csv" in errors


def test_simulate_refuses_what_it_does_not_know(cli, tmp_path) -> None:
    refused(cli("simulate", "tinny"), "tinny", "scenario", "small", "Did you mean 'tiny'")
    refused(cli("simulate", "tiny", "--policy", "VI"), "VI", "III", "everyday_low", "DEPTH")
    refused(cli("simulate", "tiny", "--policy", "a,b"), "a,b", "depth,frequency")
    refused(cli("simulate", "tiny", "--policy", "0.7,0.3"), "depth must be", "0.5")
    refused(cli("simulate", "tiny", "--reward", "profit"), "profit", "balanced")
    refused(cli("simulate", "tiny", "--out", tmp_path / "x.txt"), ".parquet", ".csv")
    refused(cli("simulate", tmp_path / "no.npz"), "no.npz")
    refused(cli("simulate", tmp_path / "no.toml"), "no.toml")
    assert not (tmp_path / "x.txt").exists()


@pytest.mark.parametrize(
    "option", [("--weeks", 0), ("--weeks", "x"), ("--seed", -1), ("--customers", 0), ("--wekes", 1)]
)
def test_options_out_of_range_exit_2(cli, option) -> None:
    code, _, errors = cli("simulate", "tiny", *option)
    assert code == 2
    assert option[0] in errors
    assert "Traceback" not in errors


def test_simulate_refuses_a_damaged_file(cli, tmp_path) -> None:
    path = make_world("tiny", 0).save(tmp_path / "w.npz")
    path.write_bytes(path.read_bytes()[:500])
    refused(cli("simulate", path), path, "damaged")


def blocked(folder: Path) -> Path:
    """A path below a file: nobody can write there, root included."""
    (folder / "file").write_text("in the way")
    return folder / "file" / "below"


def test_simulate_finds_an_unwritable_file_before_computing(cli, tmp_path, monkeypatch) -> None:
    import retail_gym.evaluation as evaluation

    monkeypatch.setattr(evaluation, "simulate", lambda *a, **k: pytest.fail("computed first"))
    out = blocked(tmp_path) / "lines.csv"
    refused(cli("simulate", "tiny", "--weeks", 1, "--out", out), "cannot write", out)


# scenarios


SMALL = ("scenarios", "--preset", "tiny", "--worlds", 1, "--seeds", 2, "--weeks", 6, "--workers", 1)


def test_scenarios_prints_the_table_and_writes_everything(cli, tmp_path) -> None:
    from matplotlib.image import imread

    code, out, _ = cli(*SMALL, "--first-world", 3, "--out", tmp_path / "deep" / "out")
    folder = tmp_path / "deep" / "out"
    assert code == 0
    assert sorted(os.listdir(folder)) == ["figure_8.png", "runs", "scenarios.csv", "scenarios.json"]
    summary = json.loads((folder / "scenarios.json").read_text())
    assert summary["worlds"] == [3]
    assert (summary["preset"], summary["seeds"], summary["weeks"]) == ("tiny", 2, 6)
    assert len(summary["orderings"]) == 5
    assert set(summary["segments"]) == {"1", "2", "3"}
    assert summary["mean_absolute_relative_error"] == summary["error_by_world"]["3"]
    table = pl.read_csv(folder / "scenarios.csv")
    assert table.height == 5 * len(METRICS) == len(summary["table"])
    comparison = compare_scenarios("tiny", [3], [0, 1], weeks=6)
    assert table["ours"].to_list() == pytest.approx(comparison.table()["ours"].to_list())
    assert summary["error_by_world"]["3"] == pytest.approx(comparison.errors()[3])
    assert imread(folder / "figure_8.png").ndim == 3
    # The table printed: a line for each of the 25 numbers, then the error and the findings.
    rows = [line.split() for line in out.splitlines() if line.split()[:1] and "%" in line]
    printed = [row for row in rows if row[0] in ("I", "II", "III", "IV", "V")]
    assert len(printed) == 25
    assert {row[0] for row in printed if row[1] == "units"} == {"I", "II", "III", "IV", "V"}
    (units,) = (row for row in printed if row[:2] == ["I", "units"])
    assert units[3] == "6594"  # published
    assert float(units[2]) == pytest.approx(comparison.world_means()[3]["I"]["units"], rel=1e-3)
    assert f"{summary['mean_absolute_relative_error']:.1%}" in out
    for finding in summary["orderings"]:
        assert finding in out
    for name in ("scenarios.json", "scenarios.csv", "figure_8.png"):
        assert str(folder / name) in out.replace("\n", "")


def test_scenarios_again_reuses_the_runs(cli, tmp_path, monkeypatch) -> None:
    from retail_gym.evaluation import scenarios as study

    _, first, _ = cli(*SMALL, "--out", tmp_path)
    monkeypatch.setattr(study, "run_jobs", lambda *a: pytest.fail("ran again"))
    code, second, _ = cli(*SMALL, "--out", tmp_path)
    assert code == 0
    assert first == second


def test_scenarios_prints_json_and_writes_nothing_unasked(cli, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, _ = cli(*SMALL, "--json")
    assert code == 0
    assert json.loads(out)["worlds"] == [10]
    assert os.listdir(tmp_path) == []


def test_scenarios_finds_an_unwritable_folder_before_computing(cli, tmp_path, monkeypatch) -> None:
    from retail_gym.evaluation import scenarios as study

    monkeypatch.setattr(study, "compare_scenarios", lambda *a, **k: pytest.fail("computed first"))
    out = blocked(tmp_path)
    refused(cli(*SMALL, "--out", out), "cannot write", out)
    assert (tmp_path / "file").read_text() == "in the way"


def test_scenarios_takes_a_saved_world(cli, tmp_path) -> None:
    path = make_world("tiny", 3).save(tmp_path / "w.npz")
    options = ("--worlds", 1, "--first-world", 3, "--seeds", 1, "--weeks", 2, "--workers", 1)
    code, out, errors = cli("scenarios", "--preset", path, *options, "--json")
    assert code == 0, errors
    assert json.loads(out)["worlds"] == [3]


def test_scenarios_in_a_store_that_nothing_is_published_about(cli, tmp_path) -> None:
    """No Figure 8(a) beside it, but no discount and its own promotions; findings said plainly."""
    path = tmp_path / "store.toml"
    path.write_text(
        'extends = "tiny"\ncategory_shift = 3.0\n[layers.visit]\ndrift_sd = 0.5\n'
        "drift_memory = 0.9\n"
    )
    options = ("--worlds", 1, "--seeds", 1, "--weeks", 6, "--workers", 1, "--customers", 12)
    code, out, _ = cli("scenarios", "--preset", path, *options, "--out", tmp_path / "out")
    assert code == 0
    summary = json.loads((tmp_path / "out" / "scenarios.json").read_text())
    assert summary["customers"] == 12
    assert summary["mean_absolute_relative_error"] is None
    assert "relative error" not in out
    assert "nothing published is about a store like this" in out
    policies = [row["policy"] for row in summary["table"]]
    assert list(dict.fromkeys(policies)) == ["I", "II", "III", "IV", "V", "none", "own"]
    assert all(row["published"] is None for row in summary["table"])
    means = {r["policy"]: r["ours"] for r in summary["table"] if r["metric"] == "revenue"}
    best = max(means, key=lambda name: means[name])
    assert summary["leaders"]["revenue"]["policy"] == best
    assert f"most revenue: {best}" in out
    none = {r["metric"]: r["ours"] for r in summary["table"] if r["policy"] == "none"}
    assert none["realised_discount"] == 0.0


def test_scenarios_refuses_an_unknown_preset(cli) -> None:
    refused(cli("scenarios", "--preset", "tinny", "--workers", 1), "tinny", "tiny", "scenario")


# the program


def test_module_runs_as_a_program(tmp_path) -> None:
    done = shell("simulate", "tiny", "--weeks", 2, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == retail_gym.simulate("tiny", make_policy("III"), 2).metrics
    assert os.listdir(tmp_path) == []


def test_program_refuses_in_one_line(tmp_path) -> None:
    done = shell("simulate", "nowhere", cwd=tmp_path)
    refused((done.returncode, done.stdout, done.stderr), "nowhere", "calibrated", "tiny")


def test_program_fails_conformance_with_status_1(tmp_path, equations) -> None:
    np.savez(tmp_path / "off.npz", **(equations | {"price": equations["price"] * 1.01}))
    done = shell("conformance", "off.npz", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert done.stdout.splitlines()[-1] == "FAIL"


def test_help_names_the_commands(cli) -> None:
    code, out, _ = cli("--help")
    assert code == 0
    for command in ("scenarios", "simulate", "conformance", "info"):
        assert command in out


def test_bugs_keep_their_traceback() -> None:
    def broken():
        raise RuntimeError("a bug, not an error of use")

    with pytest.raises(RuntimeError):
        main(broken)
