"""Many stores at once: a native Gymnasium vector environment over one shared world."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium.error import ClosedEnvironmentError, ResetNeeded
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from retail_gym.config import check_int
from retail_gym.envs.actions import DepthFrequency
from retail_gym.envs.observations import Observation
from retail_gym.envs.pricing import RetailPricingEnv
from retail_gym.envs.rewards import Reward
from retail_gym.kernels import Kernel, make_kernel
from retail_gym.world.store_config import StoreConfig
from retail_gym.world.world import World

Floats32 = NDArray[np.float32]
Flags = NDArray[np.bool_]
Info = dict[str, Any]

__all__ = ["RetailPricingVectorEnv"]


class _Turn(NamedTuple):
    """What one environment did in one call."""

    observation: Floats32
    info: Info
    reward: float = 0.0
    ended: bool = False
    final: tuple[Floats32, Info] | None = None  # of an episode that was followed by another


class RetailPricingVectorEnv(VectorEnv[Any, Any, NDArray[Any]]):
    """N episodes of :class:`~retail_gym.envs.RetailPricingEnv` side by side, over one store.

    Made by ``gym.make_vec("RetailSynth-v0", num_envs=N, vectorization_mode="vector_entry_point")``.
    The store's arrays exist once, however many environments there are. Environment k of
    ``reset(seed=s)`` is the single environment of seed s + k, step for step, for any number of
    threads: same observations, rewards, flags and info as Gymnasium's ``SyncVectorEnv``.

    ## Action
    ``Box`` float32, shape (N, 2 S): one row ``[depth_1, frequency_1, ...]`` per environment, in
    the natural units of the single environment. A list of N items, each of which the single
    environment accepts (a :class:`~retail_gym.world.PromotionPlan`, say), will do too. A row that
    is NaN, of the wrong shape or out of bounds raises ``ValueError`` naming its environment,
    before any environment moves.

    ## Observation
    ``Box`` float32, shape (N, 9 S + 1): rows as in the single environment, named by
    ``observation_names``. Arrays returned are the caller's: no later call writes to them.

    ## Reward, start and end, info
    As in the single environment: rewards float64, shape (N,); terminations (always False) and
    truncations bool, shape (N,). ``info`` has an array of shape (N,) for each figure and a mask
    ``_figure`` that says for which environments it holds.

    ## Autoreset
    What happens after the last week of an episode, by ``autoreset_mode``:

    | mode                  | the step that ends the episode        | the next step of that environment    |
    |-----------------------|---------------------------------------|--------------------------------------|
    | ``NEXT_STEP``         | returns the last observation          | ignores its action: resets, reward 0 |
    | ``SAME_STEP``         | resets: first observation and info of | an ordinary week                     |
    |                       | the new episode, the last ones in     |                                      |
    |                       | ``final_obs``, ``final_info``         |                                      |
    | ``DISABLED``          | returns the last observation          | raises until it has been reset       |

    ``reset(options={"reset_mask": mask})`` resets only the environments where the boolean array
    is True; the observation rows of the others are their last ones. Unseeded resets, the
    automatic ones included, continue each environment's own random stream.

    ## Threads
    The compiled kernel works without the interpreter lock, so ``threads`` share the
    environments, a contiguous slice each. An error inside an environment is raised as one
    ``RuntimeError`` naming it; ``reset`` then starts afresh. Reward and observation objects are
    shared by all environments, so they must keep no state between calls; a kernel object is
    copied for each further thread.

    ## Arguments
    Args:
        preset: name of a preset, path to a ``.toml`` or ``.npz`` file, or a ``World``.
        num_envs: N.
        max_episode_steps: a time limit besides ``horizon``: the earlier one truncates. As under
            ``gymnasium.wrappers.TimeLimit``, ``elapsed`` still counts towards the horizon.
        autoreset_mode: an ``AutoresetMode`` or its value, ``"NextStep"`` (default),
            ``"SameStep"`` or ``"Disabled"``.
        threads: default: one per available processor, at most N; 1 works in the caller's thread.
        segments: number of customer segments that are priced apart.
        reward: short name or callable.
        horizon: weeks per episode.
        n_customers: overrides the preset's number.
        world_seed: another seed is another store.
        burn_in: weeks simulated without discounts before an episode starts.
        observation: an object with ``space``, ``names``, ``initial()`` and ``value(...)``.
        kernel: name of a kernel or the object, by default the fastest.
        render_mode: ``None``, ``"ansi"`` or ``"rgb_array"``; ``render()`` returns a tuple of N.
        **overrides: fields of the store's configuration, e.g. ``gamma_store_1=0.1``.

    ## Version history
    v0: first release.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 (gymnasium declares it so)
        **RetailPricingEnv.metadata,
        "autoreset_mode": AutoresetMode.NEXT_STEP,
    }

    def __init__(
        self,
        preset: str | os.PathLike[str] | World | StoreConfig = "scenario",
        *,
        num_envs: int = 1,
        max_episode_steps: int | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        threads: int | None = None,
        segments: int = 1,
        reward: str | Reward = "revenue",
        horizon: int = 53,
        n_customers: int | None = None,
        world_seed: int = 0,
        burn_in: int = 0,
        observation: Observation | None = None,
        kernel: str | Kernel | None = None,
        render_mode: str | None = None,
        **overrides: Any,
    ) -> None:
        self.num_envs = check_int("num_envs", num_envs, 1)
        limit = horizon if max_episode_steps is None else max_episode_steps
        self._limit = check_int("max_episode_steps", limit, 1)
        self.autoreset_mode = _autoreset_mode(autoreset_mode)
        wanted = _processors() if threads is None else check_int("threads", threads, 1)
        self.threads = min(wanted, self.num_envs)
        self._slices = np.array_split(np.arange(self.num_envs), self.threads)
        self._pool: ThreadPoolExecutor | None = None
        self._pool_process = 0

        # A kernel has scratch memory: one for each thread.
        kernels = [_kernel(kernel, fresh=t > 0) for t in range(self.threads)]
        common: dict[str, Any] = {
            "segments": segments,
            "reward": reward,
            "horizon": horizon,
            "burn_in": burn_in,
            "observation": observation,
            "render_mode": render_mode,
        }
        try:
            first = RetailPricingEnv(
                preset,
                n_customers=n_customers,
                world_seed=world_seed,
                kernel=kernels[0],
                **common,
                **overrides,
            )
        except TypeError as error:
            raise TypeError(
                f"{error}; of the vector: num_envs, max_episode_steps, autoreset_mode, threads"
            ) from None
        self._envs = (first,) + tuple(
            RetailPricingEnv(first.world, kernel=kernels[t], **common)
            for t, members in enumerate(self._slices)
            for k in members
            if k > 0
        )

        self.metadata = {**type(self).metadata, "autoreset_mode": self.autoreset_mode}
        self.render_mode = render_mode
        self.single_action_space = first.action_space
        self.single_observation_space = first.observation_space
        self.action_space = batch_space(first.action_space, self.num_envs)
        self.observation_space = batch_space(first.observation_space, self.num_envs)
        self._actions = DepthFrequency(segments)
        space = first.observation_space
        self._observations = np.zeros((self.num_envs, *(space.shape or ())), dtype=space.dtype)
        self._weeks = np.zeros(self.num_envs, dtype=np.int64)  # since the last reset
        self._ended = np.zeros(self.num_envs, dtype=bool)  # and not reset since
        self._started = self._warm = False

    @property
    def envs(self) -> tuple[RetailPricingEnv, ...]:
        """The single environments; step them through the vector only."""
        return self._envs

    @property
    def world(self) -> World:
        """The store that all environments share."""
        return self._envs[0].world

    @property
    def observation_names(self) -> list[str]:
        """Name of each entry of an observation row."""
        return list(self._envs[0].observation_names)

    @property
    def reward_scale(self) -> float:
        """R0: expected revenue of one week at base prices if everybody visits [$]."""
        return self._envs[0].reward_scale

    @property
    def np_random(self) -> tuple[np.random.Generator, ...]:  # type: ignore[override]
        """The random streams of the environments."""
        return tuple(env.np_random for env in self._envs)

    @property
    def np_random_seed(self) -> tuple[int, ...]:  # type: ignore[override]
        """The seeds of the environments' random streams."""
        return tuple(env.np_random_seed for env in self._envs)

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Floats32, Info]:
        """Start new episodes.

        Args:
            seed: s seeds environment k with s + k; a list holds one seed, or None, for each;
                without seeds the random streams go on.
            options: ``reset_mask``, a boolean array of shape (N,): reset only these. The rest
                is passed on to the environments.

        Returns:
            The observations, shape (N, ...), and the info of the environments that were reset.
        """
        self._check_open()
        seeds = self._seeds(seed)
        rest = None if options is None else {k: v for k, v in options.items() if k != "reset_mask"}
        chosen = np.ones(self.num_envs, dtype=bool)
        if options is not None and "reset_mask" in options:
            chosen = self._mask(options["reset_mask"])
            if not self._started and not chosen.all():
                raise ResetNeeded("reset every environment before resetting some by reset_mask")

        def begin(k: int) -> _Turn:
            return _Turn(*self._envs[k].reset(seed=seeds[k], options=rest))

        turns = self._each(begin, np.flatnonzero(chosen))
        self._weeks[chosen] = 0
        self._ended[chosen] = False
        self._started = True
        return self._batch(turns), self._columns({k: turn.info for k, turn in turns.items()})

    def step(
        self, actions: Any
    ) -> tuple[Floats32, NDArray[np.float64], Flags, Flags, dict[str, Any]]:
        """Run one week in every environment.

        Args:
            actions: one row, or item of a list, per environment.

        Returns:
            Observations, rewards, terminations (all False), truncations and info.

        Raises:
            ValueError: for an action that is NaN, of the wrong shape or out of bounds.
            gymnasium.error.ResetNeeded: before the first reset; under ``DISABLED`` also for
                an environment that ended.
            RuntimeError: where an environment fails, naming it.
        """
        self._check_open()
        if not self._started:
            raise ResetNeeded("call reset() before step()")
        if self.autoreset_mode == AutoresetMode.DISABLED and self._ended.any():
            raise ResetNeeded(
                f"environments {np.flatnonzero(self._ended).tolist()} ended: reset them with "
                "options={'reset_mask': ...}"
            )
        rows = self._rows(actions)
        turns = self._each(lambda k: self._turn(k, rows[k]), np.arange(self.num_envs))
        rewards = np.array([turn.reward for turn in turns.values()], dtype=np.float64)
        truncated = np.array([turn.ended for turn in turns.values()], dtype=bool)
        info: Info = {}
        finals = {k: turn.final for k, turn in turns.items() if turn.final is not None}
        if finals:
            info["final_obs"] = np.full(self.num_envs, None, dtype=object)
            for k, (observation, _) in finals.items():
                info["final_obs"][k] = observation
            info["_final_obs"] = truncated.copy()
            info["final_info"] = self._columns({k: final[1] for k, final in finals.items()})
            info["_final_info"] = truncated.copy()
        info |= self._columns({k: turn.info for k, turn in turns.items()})
        if self.autoreset_mode != AutoresetMode.SAME_STEP:
            self._ended = truncated.copy()
        terminated = np.zeros(self.num_envs, dtype=bool)
        return self._batch(turns), rewards, terminated, truncated, info

    def _turn(self, k: int, action: Any) -> _Turn:
        """One environment's part of a step."""
        env = self._envs[k]
        if self._ended[k]:  # NEXT_STEP; DISABLED does not come here
            self._weeks[k] = 0
            return _Turn(*env.reset())
        observation, reward, _, ended, info = env.step(action)
        self._weeks[k] += 1
        ended = ended or bool(self._weeks[k] >= self._limit)
        if ended and self.autoreset_mode == AutoresetMode.SAME_STEP:
            self._weeks[k] = 0
            return _Turn(*env.reset(), reward, ended, (observation, info))
        return _Turn(observation, info, reward, ended)

    def render(self) -> tuple[Any, ...] | None:
        """The episodes so far, one text or picture (uint8) per environment."""
        if self.render_mode is None:
            gym.logger.warn("render() needs render_mode='ansi' or 'rgb_array' in gym.make_vec")
            return None
        return tuple(env.render() for env in self._envs)

    def close_extras(self, **kwargs: Any) -> None:
        """End the threads; called once, by ``close``."""
        if self._pool is not None and self._pool_process == os.getpid():
            self._pool.shutdown()
        self._pool = None
        for env in self._envs:
            env.close()

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_pool": None}  # a copy makes threads of its own

    def _each(self, task: Callable[[int], _Turn], chosen: NDArray[np.int64]) -> dict[int, _Turn]:
        """Do a task for some environments, each slice of them in a thread."""
        done: dict[int, _Turn] = {}
        wanted = set(chosen.tolist())

        def work(members: NDArray[np.int64]) -> tuple[int, Exception] | None:
            for k in members.tolist():
                if k in wanted:
                    try:
                        done[k] = task(k)
                    except Exception as error:
                        return k, error
            return None

        first, *others = self._slices
        if not others:
            failures = [work(first)]
        elif not self._warm:  # alone: the first week makes what all of them share
            failures = [work(members) for members in self._slices]
        else:
            pool = self._threads()
            futures = [pool.submit(work, members) for members in others]
            try:
                failures = [work(first)]
            finally:
                wait(futures)
            failures += [future.result() for future in futures]
        for failure in failures:
            if failure is not None:
                self._started = False
                k, error = failure
                text = f"environment {k} failed with {type(error).__name__}: {error}"
                raise RuntimeError(text) from error
        return {k: done[k] for k in sorted(done)}

    def _threads(self) -> ThreadPoolExecutor:
        """The pool, made on first use; a forked process needs one of its own."""
        if self._pool is None or self._pool_process != os.getpid():
            self._pool = ThreadPoolExecutor(self.threads - 1, "retail_gym")
            self._pool_process = os.getpid()
        return self._pool
