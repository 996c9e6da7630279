"""The whole calibration in miniature: resumed, written, read back; the command and its errors."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

pytest.importorskip("cmaes")

import retail_gym
from retail_gym import calibration
from retail_gym.calibration import pipeline
from retail_gym.calibration.pipeline import Effort, calibrate
from retail_gym.calibration.report import judge, write_calibration
from retail_gym.calibration.start import STEEPEST, _price_weight, first_guess
from retail_gym.calibration.target import Target
from retail_gym.cli import app, main
from retail_gym.config import stable_hash
from retail_gym.data import read_transactions
from retail_gym.world.presets import load_config

MINUTE = Effort("quick", 60, 1, 3, 3, 2, 3, 3, 4, 1)


@pytest.fixture
def _short(monkeypatch):
    monkeypatch.setitem(pipeline.EFFORTS, "quick", MINUTE)


@pytest.fixture(scope="module")
def target(table):
    return Target.of(table, 60)


@pytest.mark.usefixtures("_short")
def test_a_killed_calibration_ends_where_it_would_have_ended(target, tmp_path, monkeypatch):
    whole = calibrate(target, effort="quick", seed=2)
    assert [stage.name for stage in whole.stages][:3] == ["start", "visits", "tastes"]
    # Killed in the middle of a search, twice.
    run, calls = pipeline.run_block, []

    def killed(block, *args, **kwargs):
        tick = kwargs["tick"]

        def dying(loss):
            calls.append(block.name)
            if len(calls) in (2, 9):
                raise KeyboardInterrupt
            tick(loss)

        return run(block, *args, **{**kwargs, "tick": dying})

    monkeypatch.setattr(pipeline, "run_block", killed)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            calibrate(target, folder=tmp_path, effort="quick", seed=2)
    again = calibrate(target, folder=tmp_path, effort="quick", seed=2)
    assert stable_hash(again.config) == stable_hash(whole.config)
    # Where arrays lie in memory may move the last digit of a sum that is only reported.
    for ended, undisturbed in zip(again.stages, whole.stages, strict=True):
        assert ended.losses == pytest.approx(undisturbed.losses, rel=1e-12)
    # Done: nothing is searched again.
    before = len(calls)
    calibrate(target, folder=tmp_path, effort="quick", seed=2)
    assert len(calls) == before
    # Another seed is another calibration.
    other = calibrate(target, folder=tmp_path, effort="quick", seed=3)
    assert stable_hash(other.config) != stable_hash(whole.config)


@pytest.mark.usefixtures("_short")
def test_a_damaged_stage_is_refused_with_its_name(target, tmp_path):
    (tmp_path / "01-visits.json").write_text('{"key": ')
    with pytest.raises(ValueError, match=r"01-visits\.json is not a stage of a calibration"):
        calibrate(target, folder=tmp_path, effort="quick")


def test_unknown_effort_names_the_choices(target):
    with pytest.raises(ValueError, match="choose from full, quick"):
        calibrate(target, effort="fast")


def test_first_guess_has_the_tables_size_and_prices(target, table):
    guess = first_guess(target)
    assert guess.n_customers == table.n_customers
    assert guess.category_sizes == target.sizes
    prices = np.array(guess.layers.catalog.log_price.values)
    logs = np.log(table.frame["base_price"].to_numpy())
    assert logs.min() < prices.min() < prices.max() < logs.max()
    rate = guess.layers.visit.intercept
    visits = table.facts["trips"] / (120 * 20)
    assert rate.a / (rate.a + rate.b) == pytest.approx(visits, abs=0.05)


def test_weight_of_prices_in_quantities_is_found_again():
    generator = np.random.default_rng(8)
    category, above = generator.integers(0, 5, 40_000), generator.normal(0, 0.6, 40_000)
    rate = np.array([0.1, 0.4, 1.0, 2.0, 0.0])[category] * np.exp(-0.8 * above)
    more = generator.poisson(rate * generator.gamma(0.8, 1 / 0.8, 40_000)).astype(float)
    assert _price_weight(above, more, category) == pytest.approx(0.8, abs=0.06)  # 5 sd
    assert _price_weight(above, 0.0 * more, category) == 0.0
    # Prices that do not differ within categories: one product each, or equal up to rounding.
    assert _price_weight(0.0 * above, more, category) == 0.0
    assert _price_weight(np.linspace(-1, 1, 5)[category], more, category) == 0.0
    assert _price_weight(1e-16 * np.sign(above), more, category) == 0.0
    cheapest = np.where(above < -1.0, 3.0, 0.0)
    assert _price_weight(above, cheapest, category) == STEEPEST
    assert _price_weight(-above, cheapest, category) == -STEEPEST


def test_first_guess_knows_that_of_dear_products_one_is_bought(table):
    dear = pl.col("product") % 3 == 2
    factor = pl.when(dear).then(3.0).otherwise(1.0)
    frame = table.frame.with_columns(
        quantity=pl.when(dear).then(1).otherwise("quantity"),
        **{name: pl.col(name) * factor for name in ("unit_price", "base_price", "revenue")},
    )
    changed = read_transactions(
        frame.with_columns(revenue=pl.col("quantity") * pl.col("unit_price")), weeks=table.n_weeks
    )
    usual, guess = (first_guess(Target.of(one, 60)).layers for one in (table, changed))
    assert guess.quantity.price_weight > usual.quantity.price_weight + 0.3
    assert usual.catalog.price_reach < guess.catalog.price_reach < 2.5


def test_files_of_a_calibration_are_a_store_and_its_record(target, table, tmp_path):
    guess = first_guess(target, "mine")
    found = pipeline.Calibration(
        guess, (pipeline.Stage("visits", "visits", guess, (2.0, 1.0)),), MINUTE, 7
    )
    beside = table.select(np.arange(60, 120), "the others")
    judgement = judge(guess, beside, target.labels, seeds=range(2), pool=target.table)
    out = tmp_path / "mine.toml"
    files = write_calibration(found, target, judgement, out, "a table")
    assert all(file.is_file() and file.stat().st_size > 500 for file in files)
    # Lists of estimates survive the file, digit by digit.
    assert stable_hash(load_config(out)) == stable_hash(guess)
    world = retail_gym.make_world(out, n_customers=10)
    assert world.n_categories == len(target.sizes)
    text = out.read_text()
    assert text.startswith("# mine: calibrated with retail-gym")
    assert "judged on the others" in text
    record = json.loads(out.with_suffix(".json").read_text())
    assert record["seed"] == 7
    assert record["config_hash"] == stable_hash(guess)
    assert record["judgement"]["customers"] == 60
    assert record["judgement"]["scores"]["ncat"]["ceiling"] > 0.8
    assert record["judgement"]["figures"]["discounted_share"]["real"] == pytest.approx(
        beside.facts["discounted_share"]
    )
    assert "lifts of" in judgement.describe()


@pytest.mark.usefixtures("_short")
def test_command_calibrates_a_table_of_ones_own(table, tmp_path):
    file, out = tmp_path / "mine.parquet", tmp_path / "store.toml"
    table.frame.write_parquet(file)
    args = ["calibrate", str(file), "--out", str(out), "--quick", "--seeds", "2", "--json"]
    result = CliRunner().invoke(app, args, catch_exceptions=False)
    assert result.exit_code == 0
    shown = json.loads(result.stdout)
    assert shown["against"].endswith("not fitted")
    bought = table.frame["customer"].n_unique()  # a file does not know the others
    held = round(0.3 * bought)
    assert shown["customers"] == held
    assert retail_gym.make_world(out).n_customers == bought - held
    assert load_config(out).name == "store"


def test_command_refuses_a_small_table_in_one_line(table, tmp_path, capsys):
    file = tmp_path / "mine.parquet"
    table.select(np.arange(55)).frame.write_parquet(file)
    args = ["calibrate", str(file), "--out", str(tmp_path / "store.toml")]
    with pytest.raises(SystemExit) as stop:
        main(lambda: app(args, standalone_mode=False))
    assert stop.value.code == 2
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert message.startswith("error: ")
    assert "too small to calibrate a store" in message
    assert calibration.EFFORTS["full"].customers == 741
