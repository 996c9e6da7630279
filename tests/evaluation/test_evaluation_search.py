"""The best static policy on a grid, under common random numbers."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from retail_gym import evaluate
from retail_gym.evaluation import METRICS, best_static
from retail_gym.evaluation.search import DEPTHS, FREQUENCIES
from retail_gym.policies import HighLow, no_discount

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
