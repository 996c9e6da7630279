"""The tasks: Gymnasium ids over the environments. Registering twice changes nothing.

One :class:`Task` is one id; its page is ``docs/tasks/ID.md``. A task is ``headline`` where its
best known policy beats the best of the paper's policies I-V by at least 5 %, with a 95 % interval
of the paired difference above zero (``python -m experiments.task_status``); else ``diagnostic``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import gymnasium as gym

from retail_gym.config import check_choice

__all__ = ["IDS", "STATUSES", "TASKS", "Task", "register_envs"]

#: Headline tasks compare agents; diagnostic ones check that they work.
STATUSES: Final = ("headline", "diagnostic")

_SINGLE: Final = "retail_gym.envs.pricing:RetailPricingEnv"
_VECTOR: Final = "retail_gym.envs.vector:RetailPricingVectorEnv"


@dataclass(frozen=True)
class Task:
    """One registered id.

    Args:
        id: name and version.
        summary: one line for lists.
        status: one of ``STATUSES``.
        kwargs: arguments of the environment that make the task, plain values (they travel in the
            spec as JSON); ``gymnasium.make`` overrides each.
        entry_point: ``"module:name"`` of the single environment.
        vector_entry_point: of the native vector environment, None where there is none.
        passive_checker: let ``gymnasium.make`` check each call; not for vector rewards.

    Raises:
        ValueError: for another status.
    """

    id: str
    summary: str
    status: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    entry_point: str = _SINGLE
    vector_entry_point: str | None = _VECTOR
    passive_checker: bool = True

    def __post_init__(self) -> None:
        check_choice("status", self.status, STATUSES)

    def register(self) -> None:
        """Make the id known to ``gymnasium.make`` and ``gymnasium.make_vec``."""
        if self.id not in gym.registry:
            gym.register(
                id=self.id,
                entry_point=self.entry_point,
                vector_entry_point=self.vector_entry_point,
                disable_env_checker=not self.passive_checker,
                kwargs=dict(self.kwargs),
            )


TASKS: Final[dict[str, Task]] = {
    task.id: task
    for task in (
        Task(
            "RetailSynth-v0",
            "revenue, one depth and frequency for everybody: the sanity task",
            "diagnostic",
        ),
        Task(
            "RetailSynthMargin-v0",
            "margin, one depth and frequency for everybody",
            "headline",
            {"reward": "margin"},
        ),
        Task(
            "RetailSynthSegments-v0",
            "margin, a depth and frequency for each of three segments of unlike customers",
            "headline",
            {"preset": "scenario_spread", "segments": 3, "reward": "margin"},
        ),
        Task(
            "RetailSynthAdaptive-v0",
            "margin, another store every episode: learn how it responds while earning",
            "headline",
            entry_point="retail_gym.envs.adaptive:RetailAdaptiveEnv",
            vector_entry_point="retail_gym.envs.adaptive_vector:RetailAdaptiveVectorEnv",
        ),
        Task(
            "RetailSynthCoupons-v0",
            "revenue, one coupon per customer and week of eleven levels",
            "headline",
            entry_point="retail_gym.envs.coupons:RetailCouponEnv",
            vector_entry_point=None,  # its vector view is over customers: envs.coupon_views
        ),
        Task(
            "RetailSynth-CompleteJourney-v0",
            "revenue, in a store of 2,469 households like those of real data",
            "diagnostic",
            {"preset": "complete_journey", "burn_in": 1},
        ),
        Task(
            "mo-retailsynth-v0",
            "revenue, margin and retention as a reward vector, in MO-Gymnasium's convention",
            "diagnostic",
            entry_point="retail_gym.envs.multi_objective:MultiObjectivePricingEnv",
            vector_entry_point=None,
            passive_checker=False,
        ),
    )
}
#: The registered ids.
IDS: Final = tuple(TASKS)


def register_envs() -> None:
    """Make every id known to Gymnasium; done by ``import retail_gym``."""
    for task in TASKS.values():
        task.register()
