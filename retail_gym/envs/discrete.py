"""Depth and frequency from a grid, for agents that choose among finitely many actions.

::

    env = DiscretePricing(gym.make("RetailSynthMargin-v0"))      # Discrete(31)
    env = DiscretePricingVector(gym.make_vec("RetailSynthMargin-v0", num_envs=8))

    from retail_gym.envs.sb3 import make_sb3_vec_env             # DQN
    env = make_sb3_vec_env("RetailSynthMargin-v0", wrapper_class=DiscretePricingVector)

``env.action(i)`` and ``env.grid.natural(i)`` are the depth and frequency behind an action, so a
policy learnt on the grid is one in natural units: ``lambda o, week: grid.natural(choose(o))``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs
from gymnasium.vector import VectorActionWrapper, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from retail_gym.config import check_finite, check_int
from retail_gym.envs.actions import MAX_DEPTH, MAX_FREQUENCY, DepthFrequency

Floats32 = NDArray[np.float32]

__all__ = ["DEPTHS", "FREQUENCIES", "DiscretePricing", "DiscretePricingVector", "PriceGrid"]

#: The default grid: with "no discount" 31 actions.
DEPTHS: Final = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5)
FREQUENCIES: Final = (0.2, 0.4, 0.6)
#: A joint action space that is larger cannot be tried out in any training run.
_MOST_JOINT: Final = 1_000


@dataclass(frozen=True)
class PriceGrid:
    """Pairs of depth and frequency under numbers. Action 0 is no discount.

    Args:
        segments: S.
        depths: in [0, 0.5], increasing.
        frequencies: in [0, 0.6], increasing. Every pair with a zero is the one action 0.
        joint: number the combinations of all segments' pairs, the last segment's fastest,
            instead of one number for each segment.

    Raises:
        ValueError: for values out of range, out of order, or more than 1,000 joint actions.
    """

    segments: int = 1
    depths: tuple[float, ...] = DEPTHS
    frequencies: tuple[float, ...] = FREQUENCIES
    joint: bool = False

    def __post_init__(self) -> None:
        check_int("segments", self.segments, 1)
        for name, most in (("depths", MAX_DEPTH), ("frequencies", MAX_FREQUENCY)):
            values = tuple(check_finite(name, value, 0.0, most) for value in getattr(self, name))
            if not values or any(b <= a for a, b in pairwise(values)):
                raise ValueError(f"{name} must increase, at least one, got {values}")
            object.__setattr__(self, name, values)
        number = len(self.pairs) ** self.segments
        if self.joint and number > _MOST_JOINT:
            raise ValueError(
                f"a joint grid of {len(self.pairs)} pairs for each of {self.segments} segments has "
                f"{number:,} actions, at most {_MOST_JOINT:,} are allowed: give fewer depths or "
                "frequencies, or joint=False for one number per segment (MultiDiscrete)"
            )

    @property
    def pairs(self) -> Floats32:
        """Depth and frequency behind each number, shape (n, 2), natural units."""
        rows = [(0.0, 0.0)]
        rows += [(d, f) for d in self.depths if d > 0 for f in self.frequencies if f > 0]
        return np.array(rows, dtype=np.float32)

    @property
    def space(self) -> spaces.Discrete | spaces.MultiDiscrete:
        """``Discrete`` for one segment or joint actions, else ``MultiDiscrete``."""
        n = len(self.pairs)
        if self.segments == 1 or self.joint:
            return spaces.Discrete(n**self.segments)
        return spaces.MultiDiscrete([n] * self.segments)

    def natural(self, action: Any) -> Floats32:
        """Actions in natural units.

        Args:
            action: one element of :attr:`space`, or several along the first axis.

        Returns:
            ``[depth_1, frequency_1, ...]``, shape (2 S,) or (N, 2 S).

        Raises:
            ValueError: for what is no element of the space.
        """
        index, pairs, space = np.asarray(action), self.pairs, self.space
        single = isinstance(space, spaces.Discrete)
        most = len(pairs) ** (self.segments if single else 1)
        fits = index.ndim <= 1 if single else index.shape[-1:] == (self.segments,)
        if not fits or index.dtype.kind not in "iu" or (index < 0).any() or (index >= most).any():
            raise ValueError(f"action {action!r} is not in {space}")
        if single:
            index = np.stack(np.unravel_index(index, (len(pairs),) * self.segments), axis=-1)
        natural: Floats32 = pairs[index].reshape(*index.shape[:-1], 2 * self.segments)
        return natural


def _grid(
    space: gym.Space[Any], depths: Sequence[float], frequencies: Sequence[float], joint: bool
) -> PriceGrid:
    """The grid for an environment whose actions are depth and frequency."""
    segments = int(np.prod(space.shape or ())) // 2
    if segments < 1 or space != DepthFrequency(segments).space:
        raise ValueError(
            f"a grid needs actions of depth and frequency in natural units, not {space}: wrap the "
            "environment as gymnasium.make returns it, before anything that rescales actions"
        )
    return PriceGrid(segments, tuple(depths), tuple(frequencies), joint)


class DiscretePricing(gym.ActionWrapper[Any, Any, Any], RecordConstructorArgs):
    """A pricing environment whose actions are numbers of a :class:`PriceGrid`.

    Args:
        env: a :class:`~retail_gym.envs.RetailPricingEnv` in natural units, however wrapped.
        depths: depths of the grid, in [0, 0.5].
        frequencies: frequencies of the grid, in [0, 0.6].
        joint: with several segments one number for all, instead of one for each.

    Raises:
        ValueError: for other actions within, or a grid that is refused.
    """

    def __init__(
        self,
        env: gym.Env[Any, Any],
        depths: Sequence[float] = DEPTHS,
        frequencies: Sequence[float] = FREQUENCIES,
        joint: bool = False,
    ) -> None:
        RecordConstructorArgs.__init__(
            self, depths=list(depths), frequencies=list(frequencies), joint=joint
        )
        gym.ActionWrapper.__init__(self, env)
        self.grid = _grid(env.action_space, depths, frequencies, joint)
        self.action_space = self.grid.space

    def action(self, action: Any) -> Floats32:
        """Depth and frequency of each segment."""
        return self.grid.natural(action)


class DiscretePricingVector(VectorActionWrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """The same for vector environments, native or not. Arguments as :class:`DiscretePricing`."""

    def __init__(
        self,
        env: VectorEnv[Any, Any, Any],
        depths: Sequence[float] = DEPTHS,
        frequencies: Sequence[float] = FREQUENCIES,
        joint: bool = False,
    ) -> None:
        RecordConstructorArgs.__init__(
            self, depths=list(depths), frequencies=list(frequencies), joint=joint
        )
        VectorActionWrapper.__init__(self, env)
        self.grid = _grid(env.single_action_space, depths, frequencies, joint)
        self.single_action_space = self.grid.space
        self.action_space = batch_space(self.grid.space, env.num_envs)

    def actions(self, actions: Any) -> Floats32:
        """Depth and frequency of each segment, one row per environment."""
        return self.grid.natural(actions)
