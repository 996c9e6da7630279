"""One call, one report, and the command."""

from __future__ import annotations

import json

import polars as pl
import pytest
from typer.testing import CliRunner

from retail_gym.cli import app
from retail_gym.cli.tables import read_table
from retail_gym.evaluation.judge import PARTS, judge
from retail_gym.evaluation.measures import Measure, plain_number


@pytest.fixture(scope="module")
def report(shoppers_table):
    return judge(shoppers_table(1), shoppers_table(2), parts=["fidelity", "privacy"])


def test_the_report_has_every_measure(report) -> None:
    frame = report.table()
    assert frame.height == len(report.measures)
    assert frame["part"].unique(maintain_order=True).to_list() == ["fidelity", "privacy"]
    assert frame["key"].is_unique().all()
    row = frame.row(by_predicate=pl.col("key") == "jsd_product", named=True)
    assert row["value"] == report["jsd_product"].value
    text = report.describe()
    for measure in report.measures:
        assert measure.title[:50] in text
    failed = sum(m.passed is False for m in report.measures)
    assert text.count("FAILS") == failed
    assert report.passed("fidelity") == all(
        m.passed is not False for m in report.measures if m.part == "fidelity"
    )
    with pytest.raises(ValueError, match=r"unknown measure 'jsd_products'.*jsd_product"):
        report["jsd_products"]
    with pytest.raises(ValueError, match="unknown part 'utility'"):
        report.passed("utility")


def test_json_is_standard(report) -> None:
    found = json.loads(report.to_json(), parse_constant=lambda name: pytest.fail(name))
    assert found["passed"] == {part: report.passed(part) for part in ("fidelity", "privacy")}
    assert len(found["measures"]) == len(report.measures)
    assert plain_number({"a": (float("nan"), 1.0), "b": float("inf")}) == {
        "a": [None, 1.0],
        "b": None,
    }


def test_without_a_holdout_customers_are_set_aside_and_said_so(report, shoppers_table) -> None:
    assert report.holdout == "30% of shoppers 1"
    assert "no holdout given" in report.notes[0]
    assert report.parts["privacy"].n_members == 84
    assert report.parts["privacy"].n_others == 36
    assert report.notes[0] in report.describe()


def test_same_seed_same_report(shoppers_table) -> None:
    tables = shoppers_table(1), shoppers_table(2)
    one, again, other = (judge(*tables, parts="fidelity", seed=s) for s in (4, 4, 5))
    assert one.to_json() == again.to_json()
    assert one.to_json() != other.to_json()


def test_misuse_is_refused(shoppers_table) -> None:
    real, other = shoppers_table(1), shoppers_table(2)
    with pytest.raises(ValueError, match=r"unknown part 'privat'.*Did you mean 'privacy'"):
        judge(real, other, parts=["privat"])
    with pytest.raises(ValueError, match="the holdout is the synthetic table itself"):
        judge(real, other, other)
    with pytest.raises(ValueError, match="shoppers 3 has customers of shoppers 1"):
        judge(real, other, shoppers_table(3))
    assert list(PARTS) == ["fidelity", "utility", "privacy"]
    assert Measure("fidelity", "k", "t", 1.0).passed is None


# The commands


@pytest.fixture(scope="module")
def files(shoppers_table, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    paths = []
    for seed in (1, 2):
        table = shoppers_table(seed)
        paths.append(folder / f"{seed}.parquet")
        moved = table.frame.with_columns(pl.col("customer") + 1000 * seed)
        moved.write_parquet(paths[-1])
    return paths


def call(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_judge_prints_and_writes(files, tmp_path) -> None:
    done = call("judge", *files, "--part", "fidelity", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "fidelity: " in done.output
    written = json.loads((tmp_path / "out" / "judgement.json").read_text())
    assert written["real"] == "1.parquet"
    frame = pl.read_csv(tmp_path / "out" / "judgement.csv")
    assert frame.height == len(written["measures"])
    done = call("judge", *files, "--part", "fidelity", "--json")
    assert json.loads(done.stdout)["measures"] == written["measures"]


def test_drift_prints(files) -> None:
    done = call("drift", *files, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["unit"] == "customers"
    assert len(found["changes"]) == 9
    done = call("drift", *files, "--unit", "weeks")
    assert "weeks permuted; a false alarm with probability 0.05" in done.output


def test_wrong_tables_are_one_line_errors(files, tmp_path) -> None:
    done = call("judge", files[0], tmp_path / "nothing.parquet")
    assert isinstance(done.exception, FileNotFoundError)
    done = call("judge", *files, "--labels", "same")
    assert "unknown labels 'same'" in str(done.exception)
    with pytest.raises(FileNotFoundError, match=r"without transactions/\*.parquet"):
        read_table(str(tmp_path))


def test_a_dataset_is_read_with_everybody(shoppers_table, tmp_path) -> None:
    frame = shoppers_table(1).frame
    for shard, part in enumerate((frame[:500], frame[500:])):
        file = tmp_path / "transactions" / f"shard={shard:05d}" / "part.parquet"
        file.parent.mkdir(parents=True)
        part.write_parquet(file)
    assert read_table(str(tmp_path)).frame.height == frame.height
    (tmp_path / "customers").mkdir()
    pl.DataFrame({"customer": range(125)}).write_parquet(tmp_path / "customers" / "all.parquet")
    assert read_table(str(tmp_path)).n_customers == 125


def test_too_few_customers_are_named(shoppers_table) -> None:
    real, few = shoppers_table(1), shoppers_table(2)
    few = few.select(few.customers[:6])
    notes = judge(real, few, parts=["fidelity"]).notes
    assert any("6 customers: too few to tell tables apart" in note for note in notes)
    with pytest.raises(ValueError, match="has 1 customer: judging needs two"):
        judge(few.select(few.customers[:1]), real)
