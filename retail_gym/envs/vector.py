"""Many stores at once: a native Gymnasium vector environment over one shared world."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import gymnasium as gym
import numpy as np
from gymnasium.error import ClosedEnvironmentError, ResetNeeded
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space, create_empty_array
from numpy.typing import NDArray

from retail_gym.config import check_choice, check_int
from retail_gym.envs.actions import Decision, DepthFrequency
from retail_gym.envs.pricing import RetailPricingEnv, run_weeks
from retail_gym.envs.turns import (
    Turn,
    TurnError,
    Turns,
    checked_mask,
    checked_seeds,
    columns,
    naming,
)
from retail_gym.kernels import Kernel
from retail_gym.kernels.crew import ALONE, Crew
from retail_gym.outcome import WeekOutcome
from retail_gym.world.store_config import StoreConfig
from retail_gym.world.world import World

Floats32 = NDArray[np.float32]
Flags = NDArray[np.bool_]
Info = dict[str, Any]

__all__ = ["RetailPricingVectorEnv"]

#: Settings of an environment that are not the store's.
_SHARED: Final = ("segments", "reward", "horizon", "burn_in", "observation", "render_mode")

#: Customers x products from which threads gain more than the interpreter lock costs them.
_LARGE: Final = 500_000


class RetailPricingVectorEnv(VectorEnv[Any, Any, NDArray[Any]]):
    """N episodes of :class:`~retail_gym.envs.RetailPricingEnv` side by side, over one store.

    Made by ``gym.make_vec("RetailSynth-v0", num_envs=N, vectorization_mode="vector_entry_point")``.
    The store's arrays exist once. Environment k of ``reset(seed=s)`` is the single environment
    of seed s + k, step for step, for any number of threads, as in ``SyncVectorEnv``.

    ## Action
    ``Box`` float32, shape (N, 2 S): one row ``[depth_1, frequency_1, ...]`` per environment, in
    natural units. Or a list of N items that the single environment accepts, such as a
    :class:`~retail_gym.world.PromotionPlan`. A row that is NaN, of the wrong shape or out of
    bounds raises ``ValueError`` naming its environment, before any environment moves.

    ## Observation
    ``Box`` float32, shape (N, 9 S + 1): rows as in the single environment, the caller's own.

    ## Reward, start and end, info
    As in the single environment: rewards float64, shape (N,); terminations (always False) and
    truncations bool, shape (N,). ``info`` has an array of shape (N,) for each figure and a mask
    ``_figure`` that says for which environments it holds.

    ## Autoreset
    What happens after the last week of an episode, by ``autoreset_mode``:

    | mode          | the step that ends an episode returns       | the next step of that environment    |
    |---------------|---------------------------------------------|--------------------------------------|
    | ``NEXT_STEP`` | its last observation                        | ignores its action: resets, reward 0 |
    | ``SAME_STEP`` | the first observation and info of the next, | an ordinary week                     |
    |               | its own in ``final_obs``, ``final_info``    |                                      |
    | ``DISABLED``  | its last observation                        | raises until it has been reset       |

    ``reset(options={"reset_mask": mask})`` resets only the environments where the boolean array
    is True. Unseeded resets, the automatic ones included, continue each environment's stream.

    ## Threads
    Weeks are simulated together, in compiled code without the interpreter lock; ``threads`` take
    the environments one by one (while they work, ``sys.setswitchinterval`` is 0.1 ms). Stores
    with inertia or without a cap, and other kernels, go in a contiguous slice per thread.
    An error inside an environment is raised as one ``RuntimeError`` naming it; ``reset`` then
    starts afresh. Reward and observation objects are shared and must keep no state between
    calls; a kernel object is copied for each further thread.

    Args:
        preset: as for the single environment; num_envs: N.
        max_episode_steps: a time limit besides ``horizon``: the earlier one truncates. As under
            ``gymnasium.wrappers.TimeLimit``, ``elapsed`` still counts towards the horizon.
        autoreset_mode: one, or its value ``"NextStep"``, ``"SameStep"`` or ``"Disabled"``.
        threads: default: one per available processor, at most N, in stores of 500,000 pairs of
            customer and product or more; 1, the caller's own, in smaller ones.
        kernel: name of a kernel or the object, by default the fastest.
        render_mode: ``None``, ``"ansi"`` or ``"rgb_array"``; ``render()`` returns a tuple of N.
        **settings: every other argument of :class:`~retail_gym.envs.RetailPricingEnv`.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 (gymnasium declares it so)
        **RetailPricingEnv.metadata,
        "autoreset_mode": AutoresetMode.NEXT_STEP,
    }
    _crew: Crew = ALONE  # closed even if the environment is half made

    def __init__(
        self,
        preset: str | os.PathLike[str] | World | StoreConfig = "scenario",
        *,
        num_envs: int = 1,
        max_episode_steps: int | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        threads: int | None = None,
        kernel: str | Kernel | None = None,
        render_mode: str | None = None,
        **settings: Any,
    ) -> None:
        self.num_envs = check_int("num_envs", num_envs, 1)
        mode = getattr(autoreset_mode, "value", autoreset_mode)
        check_choice("autoreset_mode", mode, [m.value for m in AutoresetMode])
        self.autoreset_mode = AutoresetMode(mode)
        settings["render_mode"] = render_mode
        try:
            first = RetailPricingEnv(preset, kernel=kernel, **settings)
        except TypeError as error:
            raise TypeError(
                f"{error}; of the vector: num_envs, max_episode_steps, autoreset_mode, threads"
            ) from None
        if threads is None:
            large = first.world.n_customers * first.world.n_products >= _LARGE
            mine = getattr(os, "sched_getaffinity", lambda _: range(os.cpu_count() or 1))
            threads = len(mine(0)) if large else 1
        self.threads = min(check_int("threads", threads, 1), self.num_envs)
        self._slices = np.array_split(np.arange(self.num_envs), self.threads)
        # A kernel has scratch memory: one for each thread.
        made = first._kernel
        kernels = [made] + [copy.deepcopy(made) for _ in self._slices[1:]]
        slice_of = np.repeat(np.arange(self.threads), [part.size for part in self._slices])
        shared = {name: settings[name] for name in _SHARED if name in settings}
        more = [RetailPricingEnv(first.world, kernel=kernels[t], **shared) for t in slice_of[1:]]
        self.envs = (first, *more)
        limit = first.horizon if max_episode_steps is None else max_episode_steps
        self._limit = check_int("max_episode_steps", limit, 1)

        self.world = first.world
        self.observation_names = list(first.observation_names)
        self.reward_scale = first.reward_scale  # R0 [$ a week]
        self.metadata = {**type(self).metadata, "autoreset_mode": self.autoreset_mode}
        self.render_mode = render_mode
        self.single_action_space = first.action_space
        self.single_observation_space = first.observation_space
        self.action_space = batch_space(first.action_space, self.num_envs)
        self.observation_space = batch_space(first.observation_space, self.num_envs)
        self._actions = DepthFrequency(len(first.segments))
        self._observations: Any = create_empty_array(first.observation_space, self.num_envs)
        self._weeks = np.zeros(self.num_envs, dtype=np.int64)  # since the last reset
        self._ended = np.zeros(self.num_envs, dtype=bool)  # and not reset since
        self._started = False
        self._crew = Crew(self.threads)

    @property
    def np_random_seed(self) -> Any:
        """The seeds of the environments' own random streams; ``np_random``: the streams."""
        return tuple(env.np_random_seed for env in self.envs)

    @property  # type: ignore[misc]
    def np_random(self) -> Any:
        return tuple(env.np_random for env in self.envs)

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
            options: ``reset_mask``, a boolean array of shape (N,): reset only these.

        Returns:
            The observations, shape (N, ...), and the info of the environments that were reset.
        """
        seeds = checked_seeds(seed, self.num_envs)
        rest = dict(options or {})
        chosen = checked_mask(rest.pop("reset_mask", None), self.num_envs)
        if not self._started and not chosen.all():
            raise ResetNeeded("reset every environment before resetting some by reset_mask")

        turns = self._naming(lambda: self._reset_slices(chosen, seeds, rest))
        self._weeks[chosen] = 0
        self._ended[chosen] = False
        self._started = True
        return self._observations.copy(), columns(
            {k: turn.info for k, turn in turns.items()}, self.num_envs
        )

    def step(self, actions: Any) -> tuple[Floats32, NDArray[np.float64], Flags, Flags, Info]:
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
        if not self._started:
            raise ResetNeeded("call reset() before step()")
        if self.autoreset_mode == AutoresetMode.DISABLED and self._ended.any():
            which = np.flatnonzero(self._ended).tolist()
            raise ResetNeeded(f"environments {which} ended: reset them, by options['reset_mask']")
        decisions = self._decisions(actions)
        turns = self._naming(lambda: self._turns(decisions))
        rewards = np.array([turn.reward for turn in turns.values()], dtype=np.float64)
        truncated = np.array([turn.ended for turn in turns.values()], dtype=bool)
        info: Info = {}
        finals = {k: turn.final for k, turn in turns.items() if turn.final is not None}
        if finals:
            observations = np.full(self.num_envs, None, dtype=object)
            for k, (observation, _) in finals.items():
                observations[k] = observation
            info["final_obs"], info["_final_obs"] = observations, truncated.copy()
            info["final_info"] = columns(
                {k: final for k, (_, final) in finals.items()}, self.num_envs
            )
            info["_final_info"] = truncated.copy()
        info |= columns({k: turn.info for k, turn in turns.items()}, self.num_envs)
        self._ended = truncated & (self.autoreset_mode != AutoresetMode.SAME_STEP)
        self._crew.warm = True
        terminated = np.zeros(self.num_envs, dtype=bool)
        return self._observations.copy(), rewards, terminated, truncated, info

    def _reset_slices(
        self, chosen: Flags, seeds: Sequence[int | None], options: dict[str, Any]
    ) -> Turns:
        """Reset the environments chosen, each slice of them in a thread."""
        slices = [members[chosen[members]].tolist() for members in self._slices]
        tasks = [partial(self._resets, members, seeds, options) for members in slices if members]
        return {k: turn for turns in self._crew.run(tasks) for k, turn in turns.items()}

    def _resets(
        self, members: list[int], seeds: Sequence[int | None], options: dict[str, Any]
    ) -> Turns:
        turns, current = {}, [0]
        with naming(current):
            for k in members:
                current[0] = k
                turns[k] = Turn(*self.envs[k].reset(seed=seeds[k], options=options))
        return turns

    def _turns(self, decisions: dict[int, Decision]) -> Turns:
        """A step of every environment, their weeks simulated together."""
        turns, current = {}, [0]
        with naming(current):
            for k in np.flatnonzero(self._ended).tolist():  # NEXT_STEP; not DISABLED
                current[0] = k
                self._weeks[k] = 0
                turns[k] = Turn(*self.envs[k].reset())
        with naming(list(decisions)):
            chosen = [self.envs[k] for k in decisions]
            outcomes = run_weeks(chosen, list(decisions.values()), self._crew)
        with naming(current):
            for (k, decision), outcome in zip(decisions.items(), outcomes, strict=True):
                current[0] = k
                turns[k] = self._turn(k, decision, outcome)
        return turns

    def _turn(self, k: int, decision: Decision, outcome: WeekOutcome) -> Turn:
        """One environment's report of its week."""
        env = self.envs[k]
        observation, reward, _, ended, info = env.report(decision, outcome)
        self._weeks[k] += 1
        ended = ended or bool(self._weeks[k] >= self._limit)
        if ended and self.autoreset_mode == AutoresetMode.SAME_STEP:
            self._weeks[k] = 0
            return Turn(*env.reset(), reward, ended, (observation, info))
        return Turn(observation, info, reward, ended)

    def render(self) -> tuple[Any, ...] | None:
        """The episodes so far, one text or picture (uint8) per environment."""
        if self.render_mode is None:
            gym.logger.warn("render() needs render_mode='ansi' or 'rgb_array' in gym.make_vec")
            return None
        return tuple(env.render() for env in self.envs)

    def close_extras(self, **kwargs: Any) -> None:
        """End the threads; called once, by ``close``."""
        self._crew.close()

    def _naming(self, task: Callable[[], Turns]) -> Turns:
        """Do a task; an error inside an environment is one RuntimeError that names it."""
        if self.closed:
            raise ClosedEnvironmentError("the vector environment is closed: make another")
        try:
            turns = task()
        except TurnError as failure:
            self._started = False
            raise RuntimeError(str(failure)) from failure.__cause__
        for k, turn in turns.items():
            self._observations[k] = turn.observation
        return {k: turns[k] for k in sorted(turns)}

    def _decisions(self, actions: Any) -> dict[int, Decision]:
        """What the actions of running environments mean, or ValueError naming the first bad one."""
        running = np.flatnonzero(~self._ended).tolist()  # NEXT_STEP ignores the others
        if isinstance(actions, np.ndarray) and self.action_space.contains(actions):
            return dict(zip(running, self._actions.decisions(actions[running]), strict=True))
        if not hasattr(actions, "__len__") or len(actions) != self.num_envs:
            shape = self.action_space.shape
            raise ValueError(f"give one action per environment, shape {shape}, got {actions!r}")
        decisions = {}
        for k in running:
            try:
                decisions[k] = self._actions.decode(actions[k])
            except ValueError as error:
                raise ValueError(f"environment {k}: {error}") from None
        return decisions
