"""Many episodes over a pool of stores side by side."""

from __future__ import annotations

from functools import partial
from typing import Any

from gymnasium.vector import AutoresetMode, SyncVectorEnv

from retail_gym.config import check_choice, check_int
from retail_gym.envs.adaptive import RetailAdaptiveEnv
from retail_gym.kernels import Kernel, make_kernel
from retail_gym.world.pool import StorePool, as_pool

__all__ = ["RetailAdaptiveVectorEnv"]


class RetailAdaptiveVectorEnv(SyncVectorEnv):
    """N episodes of :class:`~retail_gym.envs.RetailAdaptiveEnv`, each in a store of its own.

    Made by ``gym.make_vec("RetailSynthAdaptive-v0", num_envs=N,
    vectorization_mode="vector_entry_point")``. Environment k of ``reset(seed=s)`` is the single
    environment of seed s + k, step for step. The environments share the pool, and so the worlds
    in memory, and the kernel's scratch memory.

    Args:
        pool: as for the single environment; num_envs: N.
        autoreset_mode: one of Gymnasium's, or its value.
        kernel: name of a kernel or the object, by default the fastest.
        **settings: every other argument of the single environment.
    """

    def __init__(
        self,
        pool: str | StorePool = "train",
        *,
        num_envs: int = 1,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        kernel: str | Kernel | None = None,
        **settings: Any,
    ) -> None:
        n = check_int("num_envs", num_envs, 1)
        mode = getattr(autoreset_mode, "value", autoreset_mode)
        check_choice("autoreset_mode", mode, [m.value for m in AutoresetMode])
        shared = {"pool": as_pool(pool), "kernel": make_kernel(kernel), **settings}
        super().__init__(
            [partial(RetailAdaptiveEnv, **shared)] * n, autoreset_mode=AutoresetMode(mode)
        )
        self.pool = shared["pool"]
        first: Any = self.envs[0]
        self.observation_names = list(first.observation_names)
