"""The pricing environment: thin glue from action to simulator to observation and reward."""

from __future__ import annotations

import difflib
import inspect
import os
from collections.abc import Hashable, Sequence
from dataclasses import fields
from functools import partial
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium.error import ResetNeeded
from numpy.typing import NDArray

from retail_gym.config import check_choice, check_int
from retail_gym.envs.actions import Decision, DepthFrequency
from retail_gym.envs.observations import Observation, SegmentAggregates
from retail_gym.envs.rewards import Reward, as_reward
from retail_gym.kernels import Kernel, make_kernel
from retail_gym.kernels.crew import ALONE, Crew
from retail_gym.outcome import WeekOutcome
from retail_gym.promotion import Promotion, laws, stock
from retail_gym.simulator import Simulator, SimulatorState, promote_weeks, simulate_weeks
from retail_gym.world.store_config import StoreConfig
from retail_gym.world.world import World, make_world

Floats32 = NDArray[np.float32]

__all__ = ["EnvState", "RetailPricingEnv"]


class EnvState(NamedTuple):
    """A point of an episode, to come back to."""

    episode_key: int
    simulator: SimulatorState
    discounted_si: NDArray[np.bool_]
    weeks: int
    history: tuple[dict[str, float], ...]
    outcome: WeekOutcome | None


class RetailPricingEnv(gym.Env[Floats32, Floats32]):
    """A retailer sets discount depth and frequency every week; customers shop or stay away.

    ## Action
    ``Box`` float32, natural units: ``[depth_1, frequency_1, ..., depth_S, frequency_S]``,
    depth in [0, 0.5], frequency in [0, 0.6], one pair per segment of customers, the most
    price-sensitive segment first. Depth is the mean discount of a promoted product, frequency
    the share of products promoted. Depth 0 or frequency 0 means no discount. A
    :class:`~retail_gym.world.PromotionPlan` is accepted too, for processes that two numbers
    cannot express. Numbers count to six decimals. For training,
    ``gymnasium.wrappers.RescaleAction(env, -1, 1)``.

    ## Observation
    ``Box`` float32; nine figures of last week per segment and the share of the episode that has
    passed, from transactions and door counts only. N: customers in the segment, J: categories.

    | per segment          | bounds      | meaning                                           |
    |----------------------|-------------|---------------------------------------------------|
    | depth                | [0, 1]      | last mean depth set                               |
    | frequency            | [0, 1]      | last share of products promoted                   |
    | visit_share          | [0, 1]      | customers who visited / N                         |
    | active_share         | [0, 1]      | customers with a purchase in the last 4 weeks / N |
    | units                | [0, 1000 N] | units sold                                        |
    | revenue              | [0, 10]     | the segment's revenue / R0                        |
    | realised_discount    | [0, 1]      | mean over lines of 1 - price paid / base price    |
    | effective_discount   | [0, 1]      | mean discount drawn, before the price floor       |
    | categories_per_buyer | [0, J]      | categories bought / customers who bought          |

    then ``elapsed`` in [0, 1]: week / horizon. ``observation_names`` names every entry.

    ## Reward
    ``revenue`` (default): the week's revenue / R0. ``margin``: sum of quantity x (price paid -
    0.70 base price) / R0. ``retention``: share of customers with a purchase in the last
    min(t, 4) weeks (the largest discount is always best: a diagnostic). ``balanced``: margin +
    0.1 retention. Or any ``callable(outcome, scale)``. R0 is ``reward_scale``, the expected
    revenue of one week at base prices if everybody visits.

    ## Start and end
    Everybody visits in week 1 (where a store has a layer of visits, it decides), nothing has been
    discounted before it. The episode is truncated after ``horizon`` weeks, never terminated:
    bootstrapping at the end is right, the score is the undiscounted sum. ``reset`` draws a new episode key from ``np_random`` each time.

    ## Info
    Python floats: units, revenue [$], margin [$], realised_discount, effective_discount,
    category_penetration, visit_rate, active_customers, retention. The week itself, with every
    purchase line, is ``env.unwrapped.outcome``.

    ## Arguments
    Args:
        preset: name of a preset, path to a ``.toml`` or ``.npz`` file, or a ``World``.
        segments: number of customer segments that are priced apart.
        reward: short name or callable.
        horizon: weeks per episode.
        n_customers: overrides the preset's number.
        world_seed: another seed is another store.
        burn_in: weeks simulated without discounts before the episode starts.
        observation: an object with ``space``, ``names``, ``initial()`` and ``value(...)``.
        kernel: name of a kernel or the object, by default the fastest.
        render_mode: ``None``, ``"ansi"`` (text) or ``"rgb_array"`` (dashboard).
        **overrides: fields of the store's configuration, e.g. ``gamma_store_1=0.1``.

    ## Version history
    v0: first release.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 (gymnasium declares it so)
        "render_modes": ["ansi", "rgb_array"],
        "render_fps": 4,
    }

    def __init__(
        self,
        preset: str | os.PathLike[str] | World | StoreConfig = "scenario",
        *,
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
        if render_mode is not None:
            check_choice("render_mode", render_mode, self.metadata["render_modes"])
        if n_customers is not None:
            overrides["n_customers"] = n_customers
        try:
            self.world = make_world(preset, world_seed, **overrides)
        except TypeError as error:
            own = list(inspect.signature(RetailPricingEnv).parameters)[:-1]
            strange = overrides.keys() - {item.name for item in fields(StoreConfig)}
            close = [difflib.get_close_matches(name, own, n=1) for name in sorted(strange)]
            hints = "".join(f" Did you mean {match[0]!r}?" for match in close if match)
            raise TypeError(f"{error}.{hints} Environment arguments: {', '.join(own)}") from None
        self.horizon = check_int("horizon", horizon, 1)
        self.burn_in = check_int("burn_in", burn_in, 0)
        self.render_mode = render_mode
        self._kernel = make_kernel(kernel, self.world)
        self._segments = self.world.segment_customers(segments)
        self._stages = (id(self.world), len(self._segments))
        self._reward = as_reward(reward)
        self._actions = DepthFrequency(len(self._segments))
        self._observation = observation or SegmentAggregates(self.world, self._segments)
        self.action_space = self._actions.space
        self.observation_space = self._observation.space
        self.observation_names = list(self._observation.names)
        self.reward_scale = self.world.reward_scale
        self.outcome: WeekOutcome | None = None
        self._weeks = 0  # of the episode, the burn-in not counted
        self._history: list[dict[str, float]] = []
        self._simulator: Simulator | None = None

    @property
    def segments(self) -> list[NDArray[np.int64]]:
        """Customer numbers of each segment, the most price-sensitive first."""
        return [customers.copy() for customers in self._segments]

    @property
    def reward(self) -> Reward:
        """The reward, ``reward(outcome, scale)``."""
        return self._reward

    @property
    def episode_key(self) -> int:
        """The episode's randomness."""
        return self._running().episode_key

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Floats32, dict[str, Any]]:
        """Start a new episode.

        Args:
            seed: seeds ``np_random``; without it the stream goes on, so every unseeded reset
                is another episode.
            options: none are used.

        Returns:
            The observation of week 0 and its info.
        """
        super().reset(seed=seed)
        self._begin(int(self.np_random.integers(2**63)))
        observation, info = self._observation.initial(), self._info_before()
        before = self._before_first_week()
        for _ in range(self.burn_in):
            (outcome,) = run_weeks([self], [before])
            observation, info = self._observation.value(outcome, before, 0.0), outcome.info()
        self._weeks = 0
        return observation, info

    def _begin(self, key: int) -> None:
        self._simulator = Simulator(self.world, key, self._segments, self._kernel)
        self._promotion = Promotion(self.world.n_products, key, len(self._segments))
        self._weeks, self._history, self.outcome = 0, [], None

    def _before_first_week(self) -> Decision:
        """What is done in the weeks of the burn-in: no discounts."""
        return self._actions.decode(np.zeros(self.action_space.shape, dtype=np.float32))

    def _info_before(self) -> dict[str, float]:
        zero = dict.fromkeys(
            ("units", "revenue", "margin", "realised_discount", "effective_discount"), 0.0
        )
        return zero | {
            "category_penetration": 0.0,
            "visit_rate": 1.0,
            "active_customers": float(self.world.n_customers),
            "retention": 1.0,
        }

    def _running(self) -> Simulator:
        if self._simulator is None:
            raise ResetNeeded("call reset() before step(), render() or snapshot()")
        return self._simulator

    def step(self, action: Any) -> tuple[Floats32, float, bool, bool, dict[str, Any]]:
        """Run one week.

        Args:
            action: depth and frequency of each segment, or a promotion plan.

        Returns:
            Observation, reward, ``terminated`` (always False), ``truncated`` (at the horizon)
            and info.

        Raises:
            ValueError: for an action that is NaN, of the wrong shape or out of bounds.
            gymnasium.error.ResetNeeded: before the first reset or after the last week.
        """
        decision = self.decide(action)
        (outcome,) = run_weeks([self], [decision])
        return self.report(decision, outcome)

    def decide(self, action: Any) -> Decision:
        """The action as promotion plans; raises what :meth:`step` raises."""
        self._running()
        if self._weeks >= self.horizon:
            raise ResetNeeded(f"the episode ended after {self.horizon} weeks: call reset()")
        return self._actions.decode(action)

    def report(
        self, decision: Decision, outcome: WeekOutcome
    ) -> tuple[Floats32, float, bool, bool, dict[str, Any]]:
        """What :meth:`step` returns after a week."""
        reward = float(self._reward(outcome, self.reward_scale))
        observation = self._observation.value(outcome, decision, self._weeks / self.horizon)
        info = outcome.info()
        if self.render_mode is not None:
            row = {"week": float(self._weeks), "reward": reward, **info}
            row |= {"depth": float(decision.depth.mean())}
            row |= {"frequency": float(decision.frequency.mean())}
            self._history.append(row)
        return observation, reward, False, self._weeks >= self.horizon, info

    def snapshot(self) -> EnvState:
        """The point of the episode reached, to come back to with :meth:`restore`."""
        simulator = self._running()
        return EnvState(
            simulator.episode_key,
            simulator.snapshot(),
            self._promotion.snapshot(),
            self._weeks,
            tuple(self._history),
            self.outcome,
        )

    def restore(self, state: EnvState) -> None:
        """Go back to a snapshot of an environment of the same store and segments."""
        self._begin(state.episode_key)
        self._running().restore(state.simulator)
        self._promotion.restore(state.discounted_si)
        self._weeks, self._history, self.outcome = state.weeks, list(state.history), state.outcome

    def render(self) -> Any:
        """The run so far: text for ``ansi``, a uint8 picture (480, 800, 3) for ``rgb_array``."""
        if self.render_mode is None:
            gym.logger.warn("render() needs render_mode='ansi' or 'rgb_array' in gym.make")
            return None
        self._running()
        from retail_gym.envs import rendering

        draw = rendering.text if self.render_mode == "ansi" else rendering.dashboard
        return draw(self._history, self.world.name, self.horizon)


def run_weeks(
    envs: Sequence[RetailPricingEnv], decisions: Sequence[Decision], crew: Crew = ALONE
) -> list[WeekOutcome]:
    """Simulate a week in several running environments: a vector's, all together.

    The second of the three parts of a step: decide, simulate, report.

    Args:
        envs: of any stores; those of one store and kind go together.
        decisions: one per environment.
        crew: threads that share the work.

    Returns:
        What happened in each, whatever the others and the crew.
    """
    kinds: dict[tuple[Hashable, int], list[int]] = {}
    for k, env in enumerate(envs):
        kind = env._running().together()
        # A kernel that goes stage by stage is one thread's.
        key = (kind, 0) if kind is not None else (env._stages, id(env._kernel))
        kinds.setdefault(key, []).append(k)
    outcomes: dict[int, WeekOutcome] = {}
    tasks = []
    for (_, kernel), members in kinds.items():
        chosen = [envs[k] for k in members], [decisions[k] for k in members]
        if kernel:
            tasks.append((members, partial(_stage_by_stage, *chosen)))
        else:
            outcomes |= zip(members, _in_one_pass(*chosen, crew), strict=True)
    for (members, _), done in zip(tasks, crew.run([task for _, task in tasks]), strict=True):
        outcomes |= zip(members, done, strict=True)
    for k, env in enumerate(envs):
        env.outcome = outcomes[k]
        env._weeks += 1
    return [outcomes[k] for k in range(len(envs))]


def _in_one_pass(
    envs: Sequence[RetailPricingEnv], decisions: Sequence[Decision], crew: Crew
) -> list[WeekOutcome]:
    moving = laws([env._promotion for env in envs], [decision.plans for decision in decisions])
    return promote_weeks([env._running() for env in envs], moving, crew)


def _stage_by_stage(
    envs: Sequence[RetailPricingEnv], decisions: Sequence[Decision]
) -> list[WeekOutcome]:
    world, simulators = envs[0].world, [env._running() for env in envs]
    shelf = stock(
        [env._promotion for env in envs],
        [decision.plans for decision in decisions],
        [simulator.week + 1 for simulator in simulators],
        world.base_price,
        world.log_base_price,
        world.lowest_price,
    )
    return simulate_weeks(simulators, shelf)
