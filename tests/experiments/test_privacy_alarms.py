"""The study of privacy's false alarms, on splits of a very small store."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from experiments import privacy_alarms as study
from experiments.realism import simulated_table
from experiments.tables import kept

SMALL = replace(
    study.POPULATIONS["small"],
    members=30,
    holdout=20,
    synthetic=25,
    table=lambda seed: simulated_table("small", seed, 80, 12),
)


def test_a_split_shares_no_customer() -> None:
    members, holdout, synthetic = SMALL.split(3)
    assert [t.n_customers for t in (members, holdout, synthetic)] == [30, 20, 25]
    everybody = np.concatenate([t.customers for t in (members, holdout, synthetic)])
    assert np.unique(everybody).size == 75
    assert not np.array_equal(SMALL.split(4)[0].customers, members.customers)


def test_leaks_are_of_the_stated_size() -> None:
    members, _, synthetic = SMALL.split(0)
    assert study.LEAKS["no leak"](synthetic, members, 0) is synthetic
    leaked = study.LEAKS["1 % of the customers"](synthetic, members, 0)
    # One of 25: the first member's purchases under the first customer's label.
    mine = leaked.frame.filter(leaked.frame["customer"] == synthetic.customers[0])
    theirs = members.frame.filter(members.frame["customer"] == members.customers[0])
    columns = ["week", "product", "quantity", "unit_price"]
    assert mine.select(columns).equals(theirs.select(columns))
    assert leaked.n_customers == 25
    some = study.LEAKS["1 % of the rows"](synthetic, members, 1)
    bought = ["customer", "week", "product"]
    copied = some.frame.join(synthetic.frame, on=bought, how="anti")
    assert copied.height == round(0.01 * synthetic.frame.height) == 3
    assert copied.join(members.frame, on=bought[1:], how="anti").is_empty()
    all_rows = study.with_rows(synthetic, members, 1.0, 0).frame.select("week", "product").unique()
    known = members.frame.select("week", "product").unique()
    assert all_rows.join(known, on=["week", "product"], how="anti").is_empty()


def test_the_command_counts_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(study, "POPULATIONS", {"small": SMALL})
    arguments = ["privacy_alarms", "--runs", "2", "--first-seed", "7", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", arguments)
    study.main()
    said = capsys.readouterr().out
    assert "small: 2 splits into 30 members, a holdout of 20 and 25 others" in said
    rows = json.loads((tmp_path / "small" / "privacy_alarms.json").read_text())
    assert len(rows) == 3 * 8
    assert {row["test"] for row in rows} >= {"any", "copied_rows", "linked", "membership_profile"}
    monkeypatch.setattr(study, "p_values", lambda *nothing: pytest.fail("done before"))
    study.main()
    assert capsys.readouterr().out == said
    monkeypatch.setattr(sys, "argv", ["privacy_alarms", "--population", "medium"])
    with pytest.raises(ValueError, match=r"unknown population .*choose from small"):
        study.main()


def test_kept_results_know_what_they_are_of(tmp_path: Path) -> None:
    file, calls = tmp_path / "one.json", []

    def compute() -> list[int]:
        calls.append(1)
        return [len(calls)]

    assert kept(file, ["small", 3], compute) == [1]
    assert kept(file, ["small", 3], compute) == [1]
    assert kept(file, ["small", 4], compute) == [2]
    file.write_text("{")
    with pytest.raises(ValueError, match=r"one\.json is not a kept result"):
        kept(file, ["small", 4], compute)
    file.write_text("[1]")  # as an older release left it
    assert kept(file, ["small", 4], compute) == [3]
