"""The promotion plan of a dataset: what the policy decided, week by week, before any shard is made.

A policy may look at the whole store, a shard knows only its own customers. So the policy runs
first, once, over the whole store where it needs to; its decisions are recorded, and every shard
replays them. The discounts that follow are a function of the plan and the episode key.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.utils import seeding
from numpy.typing import NDArray

from retail_gym.config import to_plain
from retail_gym.data.lineage import write_json
from retail_gym.envs.actions import DepthFrequency
from retail_gym.envs.pricing import RetailPricingEnv
from retail_gym.policies.base import Policy, is_open_loop, reset_policy
from retail_gym.policies.episodes import for_every_segment, play
from retail_gym.world.store_config import PromotionPlan, StoreConfig

__all__ = ["Plan", "episode_key", "record_plan"]


def episode_key(seed: int) -> int:
    """The luck that ``env.reset(seed=seed)`` draws."""
    generator, _ = seeding.np_random(seed)
    return int(generator.integers(2**63))


@dataclass(frozen=True)
class Plan:
    """What was decided: one promotion plan per week and segment."""

    weeks: tuple[tuple[PromotionPlan, ...], ...]  # T, S

    def save(self, path: Path) -> None:
        """Write it as JSON; plans that come again are written once."""
        texts: dict[str, int] = {}
        rows = [
            [texts.setdefault(json.dumps(to_plain(plan)), len(texts)) for plan in week]
            for week in self.weeks
        ]
        write_json(path, {"plans": [json.loads(text) for text in texts], "weeks": rows})

    @staticmethod
    def load(path: Path) -> Plan:
        """Read it.

        Raises:
            ValueError: if the file is damaged.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            plans = [PromotionPlan.from_mapping(table) for table in content["plans"]]
            return Plan(tuple(tuple(plans[k] for k in week) for week in content["weeks"]))
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise ValueError(f"{path} is no promotion plan ({error})") from None


class _Recorder:
    """A policy that notes what it does."""

    def __init__(self, policy: Policy) -> None:
        self.policy, self.actions = policy, list[Any]()

    def __getattr__(self, name: str) -> Any:  # reset and bind, where the policy has them
        return getattr(self.policy, name)

    def __call__(self, observation: NDArray[np.float32], week: int) -> Any:
        self.actions.append(self.policy(observation, week))
        return self.actions[-1]


def record_plan(
    config: StoreConfig, policy: Policy, *, world_seed: int, seed: int, weeks: int, segments: int
) -> Plan:
    """Run a policy and record what it decides.

    One that says it never looks (``open_loop``) is asked for its actions; any other meets the
    whole store, as in ``retail_gym.simulate`` with the same arguments.

    Args:
        config: the store.
        policy: ``policy(observation, week) -> action``.
        world_seed: the store's seed.
        seed: luck.
        weeks: of the episode.
        segments: S, customers priced apart.

    Raises:
        ValueError: if an action is not allowed; the message names the week.
    """
    if is_open_loop(policy):
        reset_policy(policy, seed)
        nothing = np.zeros(0, dtype=np.float32)
        actions = [policy(nothing, week) for week in range(1, weeks + 1)]
    else:
        recorder = _Recorder(policy)
        env = RetailPricingEnv(config, segments=segments, horizon=weeks, world_seed=world_seed)
        for _ in play(env, recorder, seed):
            pass
        actions = recorder.actions
    decode, rows = DepthFrequency(segments).decode, []
    for week, action in enumerate(actions, start=1):
        try:
            rows.append(tuple(decode(for_every_segment(action, segments)).plans))
        except ValueError as error:
            raise ValueError(f"policy {policy!r} in week {week}: {error}") from None
    return Plan(tuple(rows))
