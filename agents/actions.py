"""What an algorithm's action means: a place in a stretched box, or the number of a grid point."""

from __future__ import annotations

from itertools import product
from typing import Any, Final

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvStepReturn

__all__ = ["GridActions", "StretchedActions", "grid_table"]

DEPTHS: Final = tuple(np.round(np.arange(0.0, 0.501, 0.05), 3).tolist())
FREQUENCIES: Final = (0.2, 0.4, 0.6)


def grid_table() -> NDArray[np.float32]:
    """The actions in natural units, shape (n, 2); no discount once, whatever the frequency."""
    pairs = dict.fromkeys((d, f if d else 0.0) for d, f in product(DEPTHS, FREQUENCIES))
    return np.array(list(pairs), dtype=np.float32)


class GridActions(VecEnvWrapper):
    """Takes the number of an action and hands on its depth and frequency.

    Args:
        venv: environments of one segment whose actions are natural units.
        table: the actions, shape (n, 2).
    """

    def __init__(self, venv: VecEnv, table: NDArray[np.float32] | None = None) -> None:
        self.table = grid_table() if table is None else table
        if venv.action_space.shape != self.table.shape[1:]:
            raise ValueError("a grid of depth and frequency needs a task of one segment")
        super().__init__(venv, action_space=spaces.Discrete(len(self.table)))

    def step_async(self, actions: NDArray[Any]) -> None:
        self.venv.step_async(self.table[actions])

    def step_wait(self) -> VecEnvStepReturn:
        return self.venv.step_wait()

    def reset(self) -> Any:
        return self.venv.reset()


class StretchedActions(VecEnvWrapper):
    """Multiplies actions and clips them, so that bounds are reached before tanh saturates.

    Args:
        venv: environments whose actions are in [-1, 1].
        stretch: the factor, at least 1.
    """

    def __init__(self, venv: VecEnv, stretch: float) -> None:
        super().__init__(venv)
        self.stretch = stretch

    def step_async(self, actions: NDArray[Any]) -> None:
        self.venv.step_async(np.clip(self.stretch * actions, -1.0, 1.0).astype(np.float32))

    def step_wait(self) -> VecEnvStepReturn:
        return self.venv.step_wait()

    def reset(self) -> Any:
        return self.venv.reset()
