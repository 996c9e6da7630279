"""Many policies over many seeds, in one process and in several."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from retail_gym import evaluate, make_world, simulate
from retail_gym.policies import (
    Cyclic,
    EverydayLow,
    HighLow,
    Pulse,
    UniformRandom,
    no_discount,
    scenario,
)

#: As architecture.md lists them.
COLUMNS = [
    "policy",
    "seed",
    "units",
    "revenue",
    "margin",
    "discount_spend",
    "realised_discount",
    "effective_discount",
    "categories_per_customer_week",
    "categories_per_visiting_customer_week",
    "visit_rate",
    "retention",
    "retention_3w",
    "return",
]


@pytest.fixture(scope="module")
def policies():
    return {"V": scenario("V"), "random": UniformRandom(), "a pulse": Pulse(3)}


@pytest.fixture(scope="module")
def frame(policies):
    return evaluate("tiny", policies, weeks=6, seeds=[5, 0, 2])


def test_columns_are_those_of_the_architecture(frame) -> None:
    assert frame.columns == COLUMNS
    types = frame.schema.dtypes()
    assert types[:2] == [pl.String, pl.Int64]
    assert set(types[2:]) == {pl.Float64}


def test_rows_go_by_policy_then_seed_in_the_order_given(frame) -> None:
    assert frame["policy"].to_list() == ["V"] * 3 + ["random"] * 3 + ["a pulse"] * 3
    assert frame["seed"].to_list() == [5, 0, 2] * 3


def test_every_row_is_the_simulation_of_its_policy_and_seed(frame, policies) -> None:
    for row in frame.iter_rows(named=True):
        run = simulate("tiny", policies[row["policy"]], weeks=6, seed=row["seed"])
        assert {name: row[name] for name in run.metrics} == run.metrics


def test_policies_meet_the_same_luck() -> None:
    frame = evaluate(
        "tiny",
        {"none": no_discount(), "zero depth": HighLow(0.0, 0.6), "deep": HighLow(0.5, 0.6)},
        weeks=1,
        seeds=range(6),
    )
    by_policy = {key[0]: part.drop("policy") for key, part in frame.group_by("policy")}
    assert by_policy["none"].equals(by_policy["zero depth"])
    # Everybody visits in week 1; what a visit buys is another matter.
    assert set(frame["visit_rate"]) == {1.0}
    assert not by_policy["none"].equals(by_policy["deep"])


def test_common_luck_makes_differences_less_noisy(small_world) -> None:
    # With luck of its own, each policy would add its variance to that of the difference.
    frame = evaluate(small_world, {"a": HighLow(0.25, 0.6), "b": HighLow(0.27, 0.6)}, 3, range(16))
    a, b = (frame.filter(pl.col("policy") == p)["units"].to_numpy() for p in "ab")
    assert np.var(a - b) < 0.5 * (np.var(a) + np.var(b))


def test_seed_is_that_of_simulate_whatever_the_others(policies) -> None:
    alone = evaluate("tiny", {"V": scenario("V")}, weeks=6, seeds=[2])
    among = evaluate("tiny", policies, weeks=6, seeds=[0, 1, 2, 3])
    assert alone.row(0) == among.filter(pl.col("policy") == "V", pl.col("seed") == 2).row(0)


def test_environment_arguments_pass_through() -> None:
    frame = evaluate(
        "tiny", {"x": EverydayLow(0.1)}, 4, [0], reward="margin", segments=2, world_seed=2
    )
    run = simulate(make_world("tiny", 2), EverydayLow(0.1), 4, 0, reward="margin", segments=2)
    assert frame["return"][0] == run.score
    assert frame["revenue"][0] == run.metrics["revenue"]


def test_world_preset_and_id_give_the_same_table(frame, policies, tiny_world, tmp_path) -> None:
    seeds = [5, 0, 2]
    assert evaluate(tiny_world, policies, 6, seeds).equals(frame)
    assert evaluate("RetailSynth-v0", policies, 6, seeds, preset="tiny").equals(frame)
    assert evaluate(tiny_world.save(tmp_path / "w.npz"), policies, 6, seeds).equals(frame)


def test_a_file_that_changes_between_two_calls_is_read_again(tmp_path) -> None:
    path, policy = tmp_path / "store.npz", {"none": no_discount()}
    for world in (make_world("tiny", 0), make_world("tiny", 5)):
        world.save(path)
        assert evaluate(path, policy, 4, [0]).equals(evaluate(world, policy, 4, [0]))


def test_reward_of_any_kind_in_one_process() -> None:
    # A function that cannot be pickled needs no pickling here, as in simulate.
    frame = evaluate("tiny", {"none": no_discount()}, 3, [0], reward=lambda o, scale: 2.0)
    assert frame["return"].to_list() == [6.0]


# Spawned processes import this module again: what they need stands at its top level.
class Bad:
    """Asks for too much in week 2."""

    def __call__(self, observation, week):
        return np.array([0.9 if week == 2 else 0.1, 0.1])


def test_several_processes_give_the_same_table_exactly(frame, policies) -> None:
    assert evaluate("tiny", policies, 6, [5, 0, 2], workers=2).equals(frame)


def test_several_processes_take_a_world_object(frame, policies, tiny_world) -> None:
    assert evaluate(tiny_world, policies, 6, [5, 0, 2], workers=2).equals(frame)


def test_error_in_another_process_is_the_same_error() -> None:
    with pytest.raises(ValueError, match=r"in week 2: .* out of bounds"):
        evaluate("tiny", {"bad": Bad(), "good": no_discount()}, 3, [0], workers=2)


def test_policy_that_cannot_travel_is_refused_before_any_process_starts(monkeypatch) -> None:
    import retail_gym.evaluation.rollout as rollout

    monkeypatch.setattr(
        rollout, "ProcessPoolExecutor", lambda *a, **k: pytest.fail("a process was started")
    )
    policies = {"fine": no_discount(), "local": lambda o, w: np.zeros(2)}
    with pytest.raises(ValueError, match="'local' cannot be sent") as caught:
        evaluate("tiny", policies, 2, [0, 1], workers=2)
    assert "workers=1" in str(caught.value)


def test_reward_that_cannot_travel_is_not_blamed_on_the_policy() -> None:
    with pytest.raises(ValueError, match="workers=1") as caught:
        evaluate("tiny", {"none": no_discount()}, 2, [0, 1], workers=2, reward=lambda o, s: 1.0)
    assert "policy 'none' cannot be sent" not in str(caught.value)


def test_one_job_needs_no_process(monkeypatch) -> None:
    import retail_gym.evaluation.rollout as rollout

    monkeypatch.setattr(
        rollout, "ProcessPoolExecutor", lambda *a, **k: pytest.fail("a process was started")
    )
    frame = evaluate("tiny", {"local": lambda o, w: np.zeros(2)}, 2, [0], workers=8)
    assert frame.height == 1


@pytest.mark.parametrize(("policies", "seeds"), [({}, [0]), ({"a": no_discount()}, [])])
def test_nothing_to_run_is_an_error(policies, seeds) -> None:
    with pytest.raises(ValueError, match="at least one policy and one seed"):
        evaluate("tiny", policies, 2, seeds)


@pytest.mark.parametrize("wrong", [{"weeks": 0}, {"seeds": [-1]}, {"seeds": [0.5]}, {"workers": 0}])
def test_numbers_are_checked(wrong) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong)).rstrip('s')}s? must be"):
        evaluate("tiny", {"a": no_discount()}, **({"weeks": 2, "seeds": [0]} | wrong))


def test_progress_counts_the_runs(capsys) -> None:
    evaluate("tiny", {"a": no_discount()}, 2, [0, 1, 2], progress=True)
    assert "3/3" in capsys.readouterr().err


def test_stateful_policy_is_reset_for_every_seed() -> None:
    once = evaluate("tiny", {"r": UniformRandom()}, 5, [3])
    twice = evaluate("tiny", {"r": UniformRandom()}, 5, [1, 3])
    assert once.row(0) == twice.row(1)


def test_cycle_is_evaluated_from_week_one_each_time() -> None:
    frame = evaluate("tiny", {"c": Cyclic([(0.0, 0.0), (0.5, 0.6)])}, 1, range(4))
    assert frame["effective_discount"].to_list() == [0.0] * 4
