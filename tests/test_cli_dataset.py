"""``retail-gym dataset`` and ``retail-gym verify``."""

from __future__ import annotations

import json
import shutil

import polars as pl
import pytest

from retail_gym.cli import app, main
from retail_gym.config import to_toml
from retail_gym.data import read_dataset
from retail_gym.world.presets import load_config


@pytest.fixture
def cli(capsys):
    """Run a command; exit status, output, errors."""

    def call(*arguments):
        with pytest.raises(SystemExit) as done:
            main(lambda: app([str(a) for a in arguments]))
        captured = capsys.readouterr()
        return int(done.value.code or 0), captured.out, captured.err

    return call


def small(folder, *more):
    return ("dataset", folder, "tiny", "--weeks", 3, "--workers", 1, *more)


def test_dataset_is_made_checked_and_made_again(cli, tmp_path) -> None:
    folder = tmp_path / "out"
    code, out, _ = cli(*small(folder, "--shard-customers", 2, "--truth", "--json"))
    assert code == 0
    rows = json.loads(out)["rows"]
    assert rows["visits"] == 15
    assert rows["truth_responses"] == 15 * 7
    assert read_dataset(folder).facts["rows"] == rows["transactions"]
    code, out, _ = cli("verify", folder)
    assert (code, out.splitlines()) == (0, [f"PASS: {folder}"])
    assert cli("verify", folder, "--regenerate", "all", "--workers", 1)[0] == 0
    assert cli("verify", folder, "--regenerate", "1", "--workers", 1)[0] == 0
    code, out, _ = cli(*small(folder, "--shard-customers", 2, "--truth"))  # nothing is left to do
    assert code == 0
    assert "transactions" in out
    (folder / "products.parquet").write_bytes(b"x")
    code, out, _ = cli("verify", folder)
    assert code == 1
    assert "products.parquet: the checksum" in out


def test_truth_options(cli, tmp_path) -> None:
    cli(*small(tmp_path / "a", "--truth", "--truth-customers", 2, "--truth-levels", "0.25,0.5"))
    responses = pl.read_parquet(tmp_path / "a/truth_responses/**/*.parquet")
    assert sorted(responses["customer"].unique()) == [0, 4]
    levels = responses.filter(pl.col("level") >= 0)
    assert sorted(levels["discount"].unique()) == [0.25, 0.5]
    assert not (tmp_path / "b" / "truth_products.parquet").exists()


def test_a_store_from_a_file_is_a_parent(cli, tmp_path) -> None:
    (tmp_path / "mine.toml").write_text(to_toml(load_config("tiny")))
    code, _, _ = cli("dataset", tmp_path / "out", tmp_path / "mine.toml", "--weeks", 2,
                     "--workers", 1, "--segments", 2)  # fmt: skip
    assert code == 0
    (parent,) = json.loads((tmp_path / "out" / "manifest.json").read_text())["parents"]
    assert (parent["role"], parent["name"]) == ("store", "mine.toml")


def test_a_trained_agent_decides(cli, tmp_path) -> None:
    pytest.importorskip("agents")
    policy = ("--policy", "ppo-RetailSynth-v0")
    code, _, errors = cli(*small(tmp_path / "out", *policy))
    assert code == 0, errors
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    (parent,) = manifest["parents"]
    assert (parent["role"], parent["name"]) == ("policy", "ppo-RetailSynth-v0")
    shutil.rmtree(tmp_path / "out" / "visits")
    assert cli("verify", tmp_path / "out")[0] == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--policy", "VI"), "unknown policy 'VI': choose from none, I"),
        (("--executor", "spark"), "unknown executor 'spark': choose from pool, ray"),
        (("--truth", "--truth-levels", "0.1;0.2"), "--truth-levels must be numbers with commas"),
        (("--truth", "--truth-levels", "1.2"), "a truth level must be a finite number in [0, 1]"),
        (("--segments", "9"), "segments must be at least 1 and at most 5"),
    ],
)
def test_errors_of_use_are_one_line(cli, tmp_path, arguments, words) -> None:
    code, _, errors = cli(*small(tmp_path / "out", *arguments))
    assert code == 2
    assert errors.startswith("error: ")
    assert errors.count("\n") == 1
    assert words in errors
    assert not (tmp_path / "out").exists()


def test_verify_refuses_what_it_cannot_read(cli, tmp_path) -> None:
    code, _, errors = cli("verify", tmp_path)
    assert code == 2
    assert "not a finished artefact" in errors
    cli(*small(tmp_path / "out"))
    code, _, errors = cli("verify", tmp_path / "out", "--regenerate", "7")
    assert (code, "there is no shard 7" in errors) == (2, True)
    code, _, errors = cli("verify", tmp_path / "out", "--regenerate", "some")
    assert (code, "--regenerate takes the number of a shard or all" in errors) == (2, True)
