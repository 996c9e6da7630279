"""One retailer, one agent per segment of customers: a PettingZoo ``ParallelEnv``."""

from __future__ import annotations

import os
from typing import Any, Final

import numpy as np
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from numpy.typing import NDArray

from retail_gym.config import check_choice
from retail_gym.envs.actions import DepthFrequency
from retail_gym.envs.managers import OBSERVE, REWARD_MODES, ManagerViews
from retail_gym.envs.pricing import RetailPricingEnv
from retail_gym.envs.rewards import Reward, as_reward, as_segment_reward
from retail_gym.world.store_config import StoreConfig
from retail_gym.world.world import World

try:
    from pettingzoo import ParallelEnv
except ImportError as error:  # pragma: no cover (tested in a process without it)
    raise ImportError(
        'retail_gym.parallel needs PettingZoo: pip install "retail-gym[marl]"'
    ) from error

Floats32 = NDArray[np.float32]
Info = dict[str, Any]

__all__ = ["SegmentManagersEnv"]

#: What the retailer's environment is told for each of ours.
_RENDER: Final = {None: None, "human": "ansi", "ansi": "ansi", "rgb_array": "rgb_array"}


class SegmentManagersEnv(ParallelEnv):  # type: ignore[misc]  # PettingZoo is not typed
    """Each agent sets the discount depth and frequency of one segment of a retailer's customers.

    The store is that of ``gym.make("RetailSynth-v0", segments=S)``: same luck, same figures,
    week for week. Agents are ``segment_0`` (the most price-sensitive) to ``segment_{S-1}``; all
    act every week, from the first to the last.

    ## Action
    ``Box`` float32, natural units: ``[depth, frequency]``, depth in [0, 0.5], frequency in
    [0, 0.6], of the agent's own segment.

    ## Observation
    ``Box`` float32: the nine figures of the agent's own segment as in the single environment
    (the first two are its own last action), then week / horizon; bounds hold for every agent.
    ``observe="all"``: the other segments' figures between the two. ``observation_names[agent]``
    names the entries: ``segment_1.`` is the segment of agent ``segment_0``. ``state()`` is the
    observation of the single environment, for a centralised critic.

    ## Reward
    ``reward_mode="own"``: the segment's part of the reward; the parts add up to the reward of
    the single environment. Money is split by who bought; ``retention`` is the segment's active
    customers / all customers of the store. ``"shared"``: every agent gets the whole.

    ## Start and end
    As in the single environment: after ``horizon`` weeks all agents are truncated and
    ``agents`` is empty; never terminated. ``infos[agent]`` are the store's figures.

    Args:
        preset: name of a preset, path to a ``.toml`` or ``.npz`` file, or a ``World``.
        segments: S, number of customer segments and agents.
        reward: short name or object; under ``"own"`` one with ``by_segment``.
        reward_mode: ``"own"`` or ``"shared"``.
        observe: ``"own"`` or ``"all"``.
        identity: append S entries to the observation that say which agent it is, for a policy
            that serves all.
        render_mode: ``None``, ``"human"`` (prints every week), ``"ansi"`` (text) or
            ``"rgb_array"`` (dashboard).
        **settings: every other argument of :class:`~retail_gym.envs.RetailPricingEnv`.

    Raises:
        ValueError: for an unknown choice, or a reward that cannot be told apart by segment.
        TypeError: for an unknown argument.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 (PettingZoo declares it so)
        "name": "retailsynth_segment_managers_v0",
        "render_modes": ["human", "ansi", "rgb_array"],
        "render_fps": 4,
        "is_parallelizable": True,
    }

    def __init__(
        self,
        preset: str | os.PathLike[str] | World | StoreConfig = "scenario",
        *,
        segments: int = 3,
        reward: str | Reward = "revenue",
        reward_mode: str = "own",
        observe: str = "own",
        identity: bool = False,
        render_mode: str | None = None,
        **settings: Any,
    ) -> None:
        check_choice("reward_mode", reward_mode, REWARD_MODES)
        check_choice("observe", observe, OBSERVE)
        check_choice("render_mode", render_mode, _RENDER)
        self.reward_mode = reward_mode
        self.render_mode = render_mode
        whole = as_reward(reward)
        self._parts = as_segment_reward(whole) if reward_mode == "own" else None
        try:
            self.store = RetailPricingEnv(
                preset,
                segments=segments,
                reward=whole,
                render_mode=_RENDER[render_mode],
                **settings,
            )
        except TypeError as error:
            raise TypeError(
                f"{error}; of the segment managers: reward_mode, observe, identity"
            ) from None
        store = self.store
        self._views = ManagerViews(
            store.observation_space,
            store.observation_names,
            len(store.segments),
            observe,
            identity,
        )
        self._action = DepthFrequency()
        self.possible_agents = list(self._views.agents)
        self.agents: list[str] = []
        self.observation_names = self._views.names
        self.state_space = store.observation_space
        # One object for each agent, so that each can be seeded on its own.
        self._observation_spaces = {
            agent: spaces.Box(self._views.space.low, self._views.space.high, dtype=np.float32)
            for agent in self.possible_agents
        }
        self._action_spaces = {agent: DepthFrequency().space for agent in self.possible_agents}
        self._state: Floats32 | None = None

    def observation_space(self, agent: str) -> spaces.Box[np.float32]:
        """The agent's observation space, always the same object."""
        check_choice("agent", agent, self.possible_agents)
        return self._observation_spaces[agent]

    def action_space(self, agent: str) -> spaces.Box[np.float32]:
        """The agent's action space, always the same object."""
        check_choice("agent", agent, self.possible_agents)
        return self._action_spaces[agent]

    def state(self) -> Floats32:
        """The observation of the single environment, shape (9 S + 1,).

        Raises:
            gymnasium.error.ResetNeeded: before the first reset.
        """
        if self._state is None:
            raise ResetNeeded("call reset() before state()")
        return self._state.copy()

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Floats32], dict[str, Info]]:
        """Start a new episode.

        Args:
            seed: as in the single environment: the same seed is the same luck; without it
                every reset is another episode.
            options: none are used.

        Returns:
            The observations of week 0 and the infos, by agent.
        """
        self._state, info = self.store.reset(seed=seed, options=options)
        self.agents = list(self.possible_agents)
        if self.render_mode == "human":
            self.render()
        return self._observations(), {agent: dict(info) for agent in self.agents}

    def step(
        self, actions: dict[str, Any]
    ) -> tuple[
        dict[str, Floats32], dict[str, float], dict[str, bool], dict[str, bool], dict[str, Info]
    ]:
        """Run one week.

        Args:
            actions: depth and frequency, shape (2,), by agent.

        Returns:
            Observations, rewards, terminations (always False), truncations and infos, by agent.

        Raises:
            ValueError: for a missing or unknown agent, or an action that is NaN, of the wrong
                shape or out of bounds, naming the agent; the store has not moved then.
            gymnasium.error.ResetNeeded: before the first reset or after the last week.
        """
        if not self.agents:
            raise ResetNeeded("no agents: the episode ended or never began, call reset()")
        self._state, reward, _, ended, info = self.store.step(self._joint(actions))
        rewards = dict.fromkeys(self.agents, reward)
        if self._parts is not None and self.store.outcome is not None:
            parts = self._parts.by_segment(self.store.outcome, self.store.reward_scale)
            rewards = dict(zip(self.agents, parts.tolist(), strict=True))
        result = (
            self._observations(),
            rewards,
            dict.fromkeys(self.agents, False),
            dict.fromkeys(self.agents, ended),
            {agent: dict(info) for agent in self.agents},
        )
        if ended:
            self.agents = []
        if self.render_mode == "human":
            self.render()
        return result

    def render(self) -> Any:
        """The store's run so far: text, a uint8 picture (480, 800, 3), or printed text."""
        picture = self.store.render()
        if self.render_mode != "human":
            return picture
        print(picture, end="")
        return None

    def close(self) -> None:
        """Nothing is held open."""
        self.store.close()

    def _observations(self) -> dict[str, Floats32]:
        return dict(zip(self.agents, self._views.split(self.state()), strict=True))

    def _joint(self, actions: dict[str, Any]) -> Floats32:
        """The agents' actions side by side, shape (2 S,), each checked."""
        if not isinstance(actions, dict):
            raise ValueError(f"actions must be a dict of agent -> action, got {actions!r}")
        for agent in actions:
            check_choice("agent", agent, self.agents)
        missing = [agent for agent in self.agents if agent not in actions]
        if missing:
            raise ValueError(f"no action of {', '.join(missing)}: all agents act every week")
        rows = []
        for agent in self.agents:
            try:
                rows.append(self._action.check(actions[agent]))
            except ValueError as error:
                raise ValueError(f"agent {agent}: {error}") from None
        return np.concatenate(rows)
