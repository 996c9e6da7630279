"""The policy zoo: pricing policies that do not learn."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from retail_gym.config import check_choice
from retail_gym.policies.base import Action, Policy, bind_policy, reset_policy
from retail_gym.policies.cyclic import Cyclic, Pulse, Schedule
from retail_gym.policies.everyday import EverydayLow, Planned
from retail_gym.policies.high_low import SCENARIOS, HighLow, no_discount, scenario
from retail_gym.policies.random import UniformRandom
from retail_gym.policies.targeted import Targeted

__all__ = [
    "SCENARIOS",
    "ZOO",
    "Action",
    "Cyclic",
    "EverydayLow",
    "HighLow",
    "Planned",
    "Policy",
    "Pulse",
    "Schedule",
    "Targeted",
    "UniformRandom",
    "bind_policy",
    "make_policy",
    "no_discount",
    "reset_policy",
    "scenario",
]

#: Ready-made members by name, for the command line.
ZOO: Final[dict[str, Callable[[], Policy]]] = {
    "none": no_discount,
    **{name: partial(scenario, name) for name in SCENARIOS},
    "everyday_low": lambda: EverydayLow(0.15),
    "cyclic": lambda: Cyclic([(0.4, 0.6), (0.25, 0.6), (0.1, 0.3), (0.0, 0.0)]),
    "pulse": Pulse,
    "random": UniformRandom,
}


def make_policy(name: str) -> Policy:
    """A member of the zoo by name, or ``"depth,frequency"`` such as ``"0.3,0.6"``.

    Raises:
        ValueError: for anything else, naming the members.
    """
    parts = name.split(",")
    if len(parts) == 2:
        try:
            pair = float(parts[0]), float(parts[1])
        except ValueError:
            raise ValueError(f"{name!r} is not of the form depth,frequency") from None
        return HighLow(*pair)
    if name not in ZOO:
        check_choice("policy", name, [*ZOO, "DEPTH,FREQUENCY"])
    return ZOO[name]()
