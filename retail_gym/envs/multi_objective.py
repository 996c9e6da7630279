"""A reward vector instead of one number, in MO-Gymnasium's convention."""

from __future__ import annotations

import os
from typing import Any, Final

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from retail_gym.envs.pricing import RetailPricingEnv
from retail_gym.envs.rewards import as_reward
from retail_gym.world.store_config import StoreConfig
from retail_gym.world.world import World

Floats32 = NDArray[np.float32]

__all__ = ["OBJECTIVES", "MultiObjectivePricingEnv"]

#: Components of the reward vector, by their short names, with their bounds.
OBJECTIVES: Final = {
    "revenue": (0.0, np.inf),
    "margin": (-np.inf, np.inf),
    "retention": (0.0, 1.0),
}


class MultiObjectivePricingEnv(RetailPricingEnv):
    """:class:`~retail_gym.envs.RetailPricingEnv` with a reward vector.

    Made by ``gym.make("mo-retailsynth-v0")`` or ``mo_gymnasium.make``; MO-Gymnasium need not be
    installed. Everything but the reward is as in the scalar environment.

    ## Reward
    ``ndarray`` float32, shape (3,): ``[revenue, margin, retention]``, each the single-precision
    value of the scalar environment's reward of that name (``reward_names``). ``reward_space`` is
    their ``Box``, ``reward_dim`` is 3. Discounts raise retention and lower the margin of a sale;
    revenue lies between.

    For one number again: ``mo_gymnasium.wrappers.LinearReward(env, weight)``. Several at once:
    ``mo_gymnasium.wrappers.vector.MOSyncVectorEnv``; Gymnasium's own vectors store one number per
    environment and do not fit.

    Args:
        preset: name of a preset, path to a ``.toml`` or ``.npz`` file, or a ``World``.
        **settings: every argument of :class:`~retail_gym.envs.RetailPricingEnv` but ``reward``.

    Raises:
        TypeError: where ``reward`` is given.

    Source: the convention of https://mo-gymnasium.farama.org (``reward_space`` on ``unwrapped``).
    """

    def __init__(
        self, preset: str | os.PathLike[str] | World | StoreConfig = "scenario", **settings: Any
    ) -> None:
        if "reward" in settings:
            raise TypeError(
                f"the reward is the vector ({', '.join(OBJECTIVES)}): weigh it by "
                'mo_gymnasium.wrappers.LinearReward, or make "RetailSynth-v0" with reward=...'
            )
        super().__init__(preset, **settings)
        self.reward_names = list(OBJECTIVES)
        self.reward_dim = len(OBJECTIVES)
        low, high = np.array(list(OBJECTIVES.values()), dtype=np.float32).T
        self.reward_space: spaces.Box[np.float32] = spaces.Box(low, high, dtype=np.float32)
        self._objectives = [as_reward(name) for name in OBJECTIVES]

    def step(  # type: ignore[override]  # MO-Gymnasium's convention: a vector where a number stood
        self, action: Any
    ) -> tuple[Floats32, Floats32, bool, bool, dict[str, Any]]:
        """Run one week; as in the scalar environment, but for the reward vector."""
        observation, _, terminated, truncated, info = super().step(action)
        assert self.outcome is not None
        values = [reward(self.outcome, self.reward_scale) for reward in self._objectives]
        return observation, np.array(values, dtype=np.float32), terminated, truncated, info
