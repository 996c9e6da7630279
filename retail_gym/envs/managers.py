"""Segments with a manager each: who sees what, who earns what.

A retailer's observation, reward and action taken apart by segment of customers. Plain NumPy:
the PettingZoo environment and the adapter to stable-baselines3 both stand on it.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from retail_gym.config import check_choice
from retail_gym.envs.actions import Decision
from retail_gym.envs.observations import Observation
from retail_gym.envs.rewards import SegmentReward
from retail_gym.outcome import WeekOutcome

Floats32 = NDArray[np.float32]

__all__ = ["OBSERVE", "REWARD_MODES", "ManagerViews", "WithRewardParts"]

OBSERVE: Final = ("own", "all")
REWARD_MODES: Final = ("own", "shared")


class ManagerViews:
    """What the manager of each segment sees of the store's observation.

    Entries named ``segment_k.figure`` are those of segment k (counted from 1), all others are
    everybody's. A manager sees its own segment's figures, under ``observe="all"`` then those of
    the other segments in their order, then everybody's. So the views of all managers have one
    meaning, one shape and one space, and a policy can serve them all.

    Args:
        space: the store's observation space, a ``Box``.
        names: the names of its entries.
        segments: S.
        observe: ``"own"`` or ``"all"``.
        identity: append S entries that are 1 for the manager's own segment, else 0, by which a
            shared policy can tell the managers apart.

    Attributes:
        agents: ``segment_0``, ..., ``segment_{S-1}``, the most price-sensitive first.
        space: of one manager's view; its bounds hold for every segment.
        names: the names of the entries, by manager.

    Raises:
        ValueError: for an unknown ``observe``, or where the segments' figures differ.
    """

    def __init__(
        self,
        space: Any,
        names: list[str],
        segments: int,
        observe: str = "own",
        identity: bool = False,
    ) -> None:
        check_choice("observe", observe, OBSERVE)
        prefixes = tuple(f"segment_{s + 1}." for s in range(segments))
        own = [[i for i, name in enumerate(names) if name.startswith(p)] for p in prefixes]
        figures = {
            tuple(names[i].removeprefix(p) for i in entries)
            for p, entries in zip(prefixes, own, strict=True)
        }
        if len(figures) > 1:
            raise ValueError(
                "the observation needs the same figures in the same order for every segment, "
                f"named segment_1.figure and so on; it has {', '.join(names)}"
            )
        common = [i for i, name in enumerate(names) if not name.startswith(prefixes)]
        order = [
            [s, *(k for k in range(segments) if k != s)] if observe == "all" else [s]
            for s in range(segments)
        ]
        self._entries = np.array([[i for k in row for i in own[k]] + common for row in order])
        self._marks: Floats32 = np.eye(segments, dtype=np.float32)
        if not identity:
            self._marks = self._marks[:, :0]
        marks = [f"is_segment_{s + 1}" for s in range(self._marks.shape[1])]
        self.agents = [f"segment_{s}" for s in range(segments)]
        self.names = {
            agent: [names[i] for i in row] + marks
            for agent, row in zip(self.agents, self._entries, strict=True)
        }
        # Segments may differ by a customer: the widest bounds serve all.
        low, high = space.low[self._entries].min(axis=0), space.high[self._entries].max(axis=0)
        n = len(marks)
        self.space: spaces.Box[np.float32] = spaces.Box(
            np.append(low, np.zeros(n)).astype(np.float32),
            np.append(high, np.ones(n)).astype(np.float32),
            dtype=np.float32,
        )

    def split(self, observation: Floats32) -> Floats32:
        """The managers' views of a store's observation: shape (..., D) -> (..., S, d)."""
        views = observation[..., self._entries]
        marks = np.broadcast_to(self._marks, (*views.shape[:-1], self._marks.shape[1]))
        return np.concatenate([views, marks], axis=-1)


class WithRewardParts:
    """An observation followed by each segment's part of the week's reward.

    So the parts come through any environment with its observations. They are no observation
    for an agent: who uses this takes the last S entries off again.

    Args:
        observation: the observation.
        reward: a reward that can be told apart by segment.
        scale: R0 [$ a week].
        segments: S.
    """

    def __init__(
        self, observation: Observation, reward: SegmentReward, scale: float, segments: int
    ) -> None:
        self._observation, self._reward, self._scale = observation, reward, scale
        self._none: Floats32 = np.zeros(segments, dtype=np.float32)
        self.names = observation.names + [f"segment_{s + 1}.reward" for s in range(segments)]
        bound = np.full(segments, np.inf, dtype=np.float32)
        self.space: spaces.Box[np.float32] = spaces.Box(
            np.append(observation.space.low, -bound),
            np.append(observation.space.high, bound),
            dtype=np.float32,
        )

    def initial(self) -> Floats32:
        """Week 0: no reward."""
        return np.append(self._observation.initial(), self._none)

    def value(self, outcome: WeekOutcome, decision: Decision, elapsed: float) -> Floats32:
        """After a week, shape (D + S,)."""
        parts = self._reward.by_segment(outcome, self._scale).astype(np.float32)
        return np.append(self._observation.value(outcome, decision, elapsed), parts)
