"""Another store every episode: the task in which an agent must learn while earning."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from retail_gym import rng
from retail_gym.envs.actions import Decision
from retail_gym.envs.observations import Observation, SegmentAggregates
from retail_gym.envs.pricing import RetailPricingEnv
from retail_gym.envs.rewards import Reward
from retail_gym.kernels import Kernel
from retail_gym.outcome import WeekOutcome
from retail_gym.world.pool import StorePool, as_pool
from retail_gym.world.world import World

Floats32 = NDArray[np.float32]

__all__ = ["ResponseAggregates", "RetailAdaptiveEnv"]

_BURN_IN = "policy of the burn-in"  # the stream that draws it


class ResponseAggregates:
    """Figures of :class:`SegmentAggregates`, then ``margin``: last week's margin / R0.

    A policy sees no rewards, and this one has to learn from them. ``margin`` lies in [-10, 10].

    Args:
        world: the store.
        segments: customer numbers of each segment.
    """

    def __init__(self, world: World, segments: list[NDArray[np.int64]]) -> None:
        self._figures = SegmentAggregates(world, segments)
        self._scale = world.reward_scale
        self.names = [*self._figures.names, "margin"]
        low = np.append(self._figures.space.low, np.float32(-10.0))
        high = np.append(self._figures.space.high, np.float32(10.0))
        self.space: spaces.Box[np.float32] = spaces.Box(low, high, dtype=np.float32)

    def initial(self) -> Floats32:
        """Week 0: nothing sold, margin 0."""
        return np.append(self._figures.initial(), np.float32(0.0))

    def value(self, outcome: WeekOutcome, decision: Decision, elapsed: float) -> Floats32:
        """Figures of the week, shape (9 S + 2,)."""
        margin = np.float32(np.clip(outcome.margin / self._scale, -10.0, 10.0))
        return np.append(self._figures.value(outcome, decision, elapsed), margin)


class RetailAdaptiveEnv(RetailPricingEnv):
    """Another store every episode: :class:`RetailPricingEnv` over a pool of stores.

    The episode key picks the store and the static policy, uniform in the action box, of the
    weeks before the episode; both have streams of their own. Everything else is the plain
    environment of that store: the same key, store and burn-in give the same weeks.

    ## Action, start and end, info
    As in the plain environment. ``env.unwrapped.store`` is the number of the store in the pool:
    for studies, not for agents.

    ## Observation
    As in the plain environment, and the last entry ``margin``: last week's margin / R0, in
    [-10, 10]. R0 is the store's own. ``reset`` returns the last week of the burn-in.

    ## Reward
    ``margin`` by default: sum of quantity x (price paid - 0.70 base price) / R0 of the store.

    Args:
        pool: ``"train"`` (64 stores), ``"test"`` (32 others), or a
            :class:`~retail_gym.world.StorePool`.
        segments: number of customer segments that are priced apart.
        reward: short name or callable.
        horizon: weeks per episode.
        burn_in: weeks under the random static policy before the episode.
        observation: called with a store and its segments, returns its observation object.
        kernel: name of a kernel or the object, by default the fastest.
        render_mode: ``None``, ``"ansi"`` (text) or ``"rgb_array"`` (dashboard).

    ## Version history
    v0: first release.
    """

    def __init__(
        self,
        pool: str | StorePool = "train",
        *,
        segments: int = 1,
        reward: str | Reward = "margin",
        horizon: int = 53,
        burn_in: int = 8,
        observation: Callable[[World, list[NDArray[np.int64]]], Observation] = ResponseAggregates,
        kernel: str | Kernel | None = None,
        render_mode: str | None = None,
    ) -> None:
        self.pool = as_pool(pool)
        self.store = 0
        self._observe = observation
        first = self.pool.world(0)
        super().__init__(
            first,
            segments=segments,
            reward=reward,
            horizon=horizon,
            burn_in=burn_in,
            observation=observation(first, first.segment_customers(segments)),
            kernel=kernel,
            render_mode=render_mode,
        )

    def _begin(self, key: int) -> None:
        """Move into the episode's store."""
        self.store = self.pool.index(key)
        self.world = self.pool.world(self.store)
        self._segments = self.world.segment_customers(len(self._segments))
        self._observation = self._observe(self.world, self._segments)
        self.reward_scale = self.world.reward_scale
        super()._begin(key)

    def _before_first_week(self) -> Decision:
        """The same random depth and frequency for every segment."""
        key = rng.stream_key(self.episode_key, 0, rng.symbol_stage(_BURN_IN))
        share = rng.uniform(rng.words(key, rng.item_hash(2))).astype(np.float32)
        size = self._actions.space.high.size
        return self._actions.decode(self._actions.space.high * np.tile(share, size // 2))
