"""A stretched box of actions, so that algorithms reach its bounds."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvStepReturn

__all__ = ["StretchedActions"]


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
