"""The best static policy on a grid, under common random numbers."""

from __future__ import annotations

from itertools import product

import numpy as np
import polars as pl
import pytest

from retail_gym import evaluate, make_world
from retail_gym.evaluation import METRICS, best_static, best_targeted
from retail_gym.evaluation.search import DEPTHS, FREQUENCIES
from retail_gym.policies import HighLow, Targeted, no_discount

GRID = {"depths": (0.0, 0.2, 0.5), "frequencies": (0.3, 0.6)}


@pytest.fixture(scope="module")
def found():
    return best_static("tiny", **GRID, weeks=8, seeds=[0, 3])


def test_best_is_the_argmax_of_the_table(found) -> None:
    best = found.table.sort("return", descending=True).row(0, named=True)
    assert found.policy == HighLow(best["depth"], best["frequency"])
    assert found.score == best["return"] == found.table["return"].max()
    assert found.table["return"].n_unique() == found.table.height


def test_table_has_every_point_and_every_figure(found) -> None:
    points = set(found.table.select("depth", "frequency").iter_rows())
    assert points == {(0.0, 0.0), (0.2, 0.3), (0.2, 0.6), (0.5, 0.3), (0.5, 0.6)}
    assert {*METRICS, "return", "depth", "frequency"} == set(found.table.columns)


def test_every_point_meets_the_luck_of_evaluate(found) -> None:
    for row in found.table.iter_rows(named=True):
        runs = evaluate("tiny", {"p": HighLow(row["depth"], row["frequency"])}, 8, [0, 3])
        for name in (*METRICS, "return"):
            assert row[name] == pytest.approx(runs[name].mean(), rel=1e-12)


def test_no_discount_is_one_point_whatever_the_other_number() -> None:
    found = best_static("tiny", depths=(0.0, 0.3), frequencies=(0.0, 0.2, 0.4), weeks=2, seeds=[1])
    points = list(found.table.select("depth", "frequency").iter_rows())
    assert points == [(0.0, 0.0), (0.3, 0.2), (0.3, 0.4)]
    none = found.table.row(0, named=True)
    assert none["return"] == evaluate("tiny", {"n": no_discount()}, 2, [1])["return"][0]


def test_retention_is_highest_under_the_largest_discount(small_world) -> None:
    found = best_static(
        small_world, depths=(0.0, 0.25, 0.5), frequencies=(0.3, 0.6), weeks=12, seeds=[0],
        reward="retention",
    )  # fmt: skip
    assert found.policy == HighLow(0.5, 0.6)
    table = found.table.sort(pl.col("depth") * pl.col("frequency"))
    assert (np.diff(table["return"].to_numpy()) > 0).all()


def test_a_reward_that_punishes_discounts_picks_none() -> None:
    found = best_static("tiny", **GRID, weeks=4, seeds=[0], reward=Punish())
    assert found.policy == no_discount()
    assert found.score == 0.0


class Punish:
    """Minus the discount on the shelf."""

    def __call__(self, outcome, scale):
        return -outcome.effective_discount


def test_default_grid_covers_the_action_box() -> None:
    assert pytest.approx(np.linspace(0.0, 0.5, 11)) == DEPTHS
    assert pytest.approx(np.linspace(0.1, 0.6, 6)) == FREQUENCIES


@pytest.mark.parametrize(
    "grid",
    [
        {"depths": (0.7,)},
        {"depths": (-0.1,)},
        {"depths": (np.nan,)},
        {"frequencies": (0.9,)},
        {"frequencies": (-0.2,)},
    ],
    ids=str,
)
def test_points_outside_the_action_box_are_refused(grid) -> None:
    name = next(iter(grid)).replace("ies", "y").removesuffix("s")
    with pytest.raises(ValueError, match=f"{name} must be"):
        best_static(
            "tiny", **({"depths": (0.1,), "frequencies": (0.3,)} | grid), weeks=1, seeds=[0]
        )


def test_an_empty_grid_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one"):
        best_static("tiny", depths=(), weeks=1, seeds=[0])


# a depth and frequency for each segment

POINTS = {"depths": (0.0, 0.1, 0.3, 0.5), "frequencies": (0.6,)}
SEEDS = [2, 5]


@pytest.fixture(scope="module")
def store():
    """Twelve customers in six categories, of unlike price sensitivity."""
    return make_world("scenario_spread", 3, category_sizes=(5,) * 6, n_customers=12,
                      category_shift=4.0)  # fmt: skip


def all_combinations(env, reward):
    """Mean return of every pair of plans of two segments."""
    plans = [(0.0, 0.0), (0.1, 0.6), (0.3, 0.6), (0.5, 0.6)]
    every = {(a, b): Targeted([a, b]) for a, b in product(plans, plans)}
    runs = evaluate(env, {repr(k): p for k, p in every.items()}, 8, SEEDS, segments=2,
                    reward=reward)  # fmt: skip
    means = runs.group_by("policy").mean().select("policy", "return")
    return dict(means.iter_rows())


def test_coordinate_search_finds_the_best_of_all_combinations(store) -> None:
    scores = all_combinations(store, "margin")
    best = max(scores, key=scores.get)
    for start in (HighLow(0.3, 0.6), HighLow(0.0, 0.0), HighLow(0.5, 0.6)):
        found = best_targeted(store, 2, start, **POINTS, weeks=8, seeds=SEEDS, reward="margin")
        assert repr(tuple((p.depth, p.frequency) for p in found.policy.segments)) == best
        assert found.score == pytest.approx(scores[best], rel=1e-12)
        assert 1 <= found.rounds <= 2  # a sum over customers: one round finds it
    assert best.count("(0.0, 0.0)") == 1  # the segments do differ


def test_targeted_search_keeps_a_start_that_cannot_be_beaten(store) -> None:
    start = HighLow(0.5, 0.6)
    found = best_targeted(store, 3, start, **POINTS, weeks=4, seeds=[1], reward=lambda *_: 1.0)
    assert repr(found.policy) == repr(Targeted([(0.5, 0.6)] * 3))
    assert (found.score, found.rounds) == (4.0, 1)


def test_targeted_search_needs_segments() -> None:
    with pytest.raises(ValueError, match="segments"):
        best_targeted("tiny", 0, HighLow(0.1, 0.1), weeks=1, seeds=[0])
