"""Searches from a start: against brute force, and never below the start."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from retail_gym import evaluate
from retail_gym.evaluation import best_static
from retail_gym.evaluation.climb import FINE, best_schedule, climb
from retail_gym.policies import HighLow, Schedule, Targeted

WEEKS = 10


def test_climb_from_the_coarse_grid_finds_the_best_of_the_fine_one(small_world) -> None:
    steps = (0.05, 0.1)
    run = {"weeks": WEEKS, "seeds": [0, 1], "reward": "margin"}
    fine = {
        "depths": np.round(np.arange(0.05, 0.36, 0.05), 3).tolist(),
        "frequencies": (0.3, 0.4, 0.5, 0.6),
    }
    brute = best_static(small_world, **fine, **run)
    coarse = best_static(small_world, depths=(0.05, 0.35), frequencies=(0.3, 0.6), **run)
    assert coarse.policy != brute.policy
    pair = (coarse.policy.depth, coarse.policy.frequency)
    found = climb(small_world, [pair], steps=steps, **run)
    assert found.pairs == [(brute.policy.depth, brute.policy.frequency)]
    assert found.score == pytest.approx(brute.score, rel=1e-12)
    assert found.tried < 66  # points of the whole grid at these steps


class Near:
    """Minus the squared distance of every segment's discount offered from a target of its own."""

    def __init__(self, *targets: float) -> None:
        self.targets = np.array(targets)

    def __call__(self, outcome, scale):
        return -float(((outcome.segment_discount - self.targets) ** 2).sum())


def test_each_segment_finds_its_own(tiny_world) -> None:
    # With the frequency 0.5 in reach, depth x frequency decides: brute force over both segments.
    run = {"weeks": 4, "seeds": [0], "reward": Near(0.02, 0.2), "segments": 2}
    grid = [(d, f) for d in (0.1, 0.2, 0.3, 0.4, 0.5) for f in (0.4, 0.5, 0.6)]
    policies = {str(pairs): Targeted(pairs) for pairs in product(grid, repeat=2)}
    runs = evaluate(tiny_world, policies, 4, [0], reward=run["reward"], segments=2)
    found = climb(tiny_world, [(0.3, 0.5)] * 2, steps=(0.1, 0.1), **run)
    assert found.score >= runs["return"].max() - 1e-12
    first, second = found.policy.segments
    assert first.depth * first.frequency < second.depth * second.frequency


def test_no_discount_is_found_and_left() -> None:
    punish = {"weeks": 2, "seeds": [0], "reward": Near(-1.0), "steps": (0.1, 0.3)}
    assert climb("tiny", [(0.1, 0.3)], **punish).pairs == [(0.0, 0.0)]
    like = punish | {"reward": Near(1.0)}
    assert climb("tiny", [(0.0, 0.6)], **like).pairs == [(0.5, 0.6)]


def test_fine_steps_stay_in_the_action_box() -> None:
    found = climb("tiny", [(0.5, 0.6)], weeks=2, seeds=[0], reward=Near(1.0))
    assert found.pairs == [(0.5, 0.6)]
    assert found.tried == 4
    assert FINE == (0.025, 0.05)


@pytest.mark.parametrize("segments", [1, 2])
def test_schedule_never_scores_below_its_start(tiny_world, segments: int) -> None:
    run = {"weeks": WEEKS, "seeds": [4, 5, 6], "reward": "margin", "segments": segments}
    start = Schedule([[0.2, 0.6] * segments] * WEEKS)
    bad = Schedule([[0.5, 0.6] * segments] * WEEKS)
    found = best_schedule(tiny_world, start, [bad], **run)
    assert found.score > found.start_score  # and on this store it does improve
    again = evaluate(
        tiny_world, {"start": start, "found": found.policy}, WEEKS, [4, 5, 6], reward="margin",
        segments=segments,
    )  # fmt: skip
    means = dict(again.group_by("policy").mean().select("policy", "return").iter_rows())
    assert means["start"] == pytest.approx(found.start_score, rel=1e-12)
    assert means["found"] == pytest.approx(found.score, rel=1e-12)


def test_schedule_chooses_among_proposals_without_rounds(tiny_world) -> None:
    good, bad = (Schedule([[d, 0.6]] * 3) for d in (0.5, 0.1))
    found = best_schedule(
        tiny_world, bad, [good], rounds=0, weeks=3, seeds=[0], reward=Near(0.3)
    )  # fmt: skip
    assert found.policy is good
    assert found.start_score < found.score


def test_schedule_moves_single_weeks_at_the_ends(tiny_world) -> None:
    class LastWeek:
        def __call__(self, outcome, scale):
            return outcome.effective_discount if outcome.week == 8 else 0.0

    start = Schedule([[0.2, 0.6]] * 8)
    found = best_schedule(tiny_world, start, weeks=8, seeds=[0], reward=LastWeek(), rounds=3)
    moved = np.flatnonzero((found.policy.actions != start.actions).any(axis=1))
    assert moved.tolist() == [7]
    assert found.policy.actions[7, 0] == np.float32(0.2 + 3 * 0.025)


def test_schedule_follows_its_rows_and_the_last_one_stays() -> None:
    schedule = Schedule([[0.1, 0.2], [0.3, 0.6]])
    assert [schedule(np.zeros(0), week).tolist() for week in (1, 2, 7)] == [
        HighLow(d, f)(np.zeros(0), 1).tolist() for d, f in ((0.1, 0.2), (0.3, 0.6), (0.3, 0.6))
    ]
    assert Schedule(schedule.actions).actions.tolist() == schedule.actions.tolist()
    for wrong in ([0.1, 0.2], [[0.1, 0.2, 0.3]], np.zeros((0, 2))):
        with pytest.raises(ValueError, match="one row a week"):
            Schedule(wrong)
    with pytest.raises(ValueError, match="depth must be"):
        Schedule([[0.1, 0.2], [0.7, 0.2]])
