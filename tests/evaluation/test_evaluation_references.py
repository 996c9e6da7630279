"""References and the normalised score: bounds, resuming, and the shipped table."""

from __future__ import annotations

import json

import polars as pl
import pytest

from retail_gym import evaluate
from retail_gym.evaluation import references
from retail_gym.evaluation.references import (
    ReferenceTask,
    Seeds,
    compute_references,
    entry,
    normalised_score,
    reference_scores,
)
from retail_gym.evaluation.response import measure_response
from retail_gym.policies import HighLow, UniformRandom, no_discount, scenario

SEEDS = Seeds(search=1, choice=2, test=3)
NAMES = ["random", "none", "I", "II", "III", "IV", "V", "static", "schedule", "myopic", "far_sighted"]  # fmt: skip


@pytest.fixture(autouse=True)
def few_actions(monkeypatch):
    """A response of few actions, so that it takes no time."""
    actions = [(d, f) for d in (0.1, 0.25, 0.5) for f in (0.3, 0.6)]
    monkeypatch.setattr(
        references,
        "measure_response",
        lambda world: measure_response(world, actions, draws=1, degree=None),
    )


@pytest.fixture
def task():
    return ReferenceTask("made up", "tiny", {"reward": "margin"}, weeks=5)


def test_references_of_a_task(task, tmp_path) -> None:
    found = compute_references(task, tmp_path, seeds=SEEDS)
    assert list(found.policies) == NAMES
    test = evaluate("tiny", {"random": UniformRandom(), "III": scenario("III")}, 5, range(3), reward="margin")  # fmt: skip
    for name in ("random", "III"):
        mine = found.runs.filter((pl.col("part") == "test") & (pl.col("policy") == name))
        assert mine.drop("part").equals(test.filter(pl.col("policy") == name))
    # Chosen on seeds from a million up, scored on the test seeds.
    choice = found.runs.filter(pl.col("part") == "choice")
    assert sorted(choice["seed"].unique()) == [1_001_000, 1_001_001]
    assert found.best == choice.drop("part").group_by("policy").mean().sort("return")["policy"][-1]
    row = entry(task, found, SEEDS)
    assert row["best"] == found.best
    assert row["policies"]["III"]["return"] == pytest.approx(found.means()["III"])
    assert row["seeds"] == {"search": [10**6, 10**6 + 1], "choice": [1_001_000, 1_001_002], "test": [0, 3]}  # fmt: skip
    assert [n for n, figures in row["policies"].items() if figures["knows_the_model"]] == NAMES[-2:]
    assert json.loads(json.dumps(row)) == row


def test_some_references_only(task, tmp_path) -> None:
    found = compute_references(task, tmp_path, seeds=SEEDS, only=("none", "myopic"))
    assert list(found.policies) == ["none", "myopic"]
    with pytest.raises(ValueError, match="unknown reference 'nine'"):
        compute_references(task, tmp_path, seeds=SEEDS, only=("nine",))


def test_segments_have_a_static_policy_of_their_own(tmp_path) -> None:
    task = ReferenceTask("two", "tiny", {"segments": 2}, weeks=3)
    found = compute_references(task, tmp_path, seeds=SEEDS)
    assert list(found.policies) == [*NAMES[:8], "static_by_segment", *NAMES[8:]]
    assert "Targeted" in found.policies["static_by_segment"]


def test_an_interrupted_run_goes_on_to_the_same_table(task, tmp_path, monkeypatch) -> None:
    whole = compute_references(task, tmp_path / "whole", seeds=SEEDS)
    real, calls = references.evaluate, []

    def stop_at_the_fifth(*args, **kwargs):
        calls.append(args)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setattr(references, "evaluate", stop_at_the_fifth)
    with pytest.raises(KeyboardInterrupt):
        compute_references(task, tmp_path / "parts", seeds=SEEDS)
    again = compute_references(task, tmp_path / "parts", seeds=SEEDS)
    assert len(calls) == 5 + 2 * len(NAMES) - 4  # finished parts are not run again
    assert entry(task, again, SEEDS) == entry(task, whole, SEEDS)
    assert again.runs.equals(whole.runs)


def test_another_task_or_store_shares_no_parts(task, tmp_path) -> None:
    compute_references(task, tmp_path, seeds=SEEDS)
    other = ReferenceTask("made up", "tiny", {"reward": "margin", "world_seed": 1}, weeks=5)
    found = compute_references(other, tmp_path, seeds=SEEDS)
    fresh = compute_references(other, tmp_path / "fresh", seeds=SEEDS)
    assert found.runs.equals(fresh.runs)
    assert len(list(tmp_path.glob("response-*.npz"))) == 2


@pytest.mark.parametrize("name", ["search", "choice", "test"])
def test_sets_of_seeds_never_overlap(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        Seeds(**{name: 1001})
    ranges = Seeds(1000, 1000, 1000).ranges.values()
    assert len({seed for part in ranges for seed in part}) == 3000


# The shipped table


def test_normalised_score_is_0_for_random_and_1_for_the_best() -> None:
    for task, row in reference_scores().items():
        assert normalised_score(row["policies"]["random"]["return"], task) == 0.0
        assert normalised_score(row["policies"][row["best"]]["return"], task) == 1.0
        policies = row["policies"]
        half = 0.5 * (policies["random"]["return"] + policies[row["best"]]["return"])
        assert normalised_score(half, task) == pytest.approx(0.5)


def test_normalised_score_refuses_what_it_does_not_know() -> None:
    with pytest.raises(ValueError, match="unknown task 'RetailSynth-v9'"):
        normalised_score(1.0, "RetailSynth-v9")
    with pytest.raises(ValueError, match="value must be a finite number"):
        normalised_score(float("nan"), "RetailSynth-v0")


def test_the_shipped_best_beats_what_it_should() -> None:
    assert {"RetailSynth-v0", "RetailSynthMargin-v0"} <= set(reference_scores())
    for row in reference_scores().values():
        score = {name: figures["choice"] for name, figures in row["policies"].items()}
        assert score[row["best"]] == max(score.values())
        assert row["seeds"]["test"] == [0, 100]
        policies = row["policies"]
        assert policies["random"]["high"] < policies["static"]["low"]
        assert policies["static"]["return"] <= policies[row["best"]]["return"]
        for figures in row["policies"].values():
            assert figures["low"] <= figures["return"] <= figures["high"]


@pytest.mark.parametrize("name", ["RetailSynth-v0", "RetailSynthMargin-v0"])
def test_shipped_returns_are_those_of_todays_simulator(name: str) -> None:
    row = reference_scores()[name]
    task = ReferenceTask(name, row["env"], row["kwargs"], row["weeks"])
    assert references._fingerprint(task.make().world) == row["store"]
    policies = {"none": no_discount(), "random": UniformRandom(), "static": HighLow(0.0, 0.0)}
    policies["static"] = eval(row["policies"]["static"]["what"], {"HighLow": HighLow})
    runs = evaluate(task.env, policies, task.weeks, [0], **task.kwargs)
    for policy, value in zip(runs["policy"], runs["return"], strict=True):
        assert value == pytest.approx(row["policies"][policy]["seed_0"], rel=1e-9), policy
