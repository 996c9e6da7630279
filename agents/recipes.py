"""Hyper-parameters in rl-zoo's YAML form: ``hyperparameters/AGENT.yml``, keyed by task id.

Keys of the recipe itself: ``n_timesteps``, ``n_envs``, ``normalize`` (True: running mean and
scale of observations and rewards; or a mapping with ``norm_obs``, ``norm_reward``, ...),
``policy`` and ``stretch`` (see ``actions.py``). Every other key is an argument of the algorithm. ``lin_3e-4`` is a schedule that falls
linearly to zero. Nothing in the file is evaluated as Python.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from agents.registry import library
from retail_gym.config import check_choice, check_finite, check_int

__all__ = ["FOLDER", "Recipe", "changed", "read_recipe", "schedule"]

FOLDER: Final = Path(__file__).parent / "hyperparameters"
_OWN: Final = ("n_timesteps", "n_envs", "normalize", "policy", "stretch")


@dataclass(frozen=True)
class Recipe:
    """How an agent is trained on a task."""

    n_timesteps: int
    policy: str = "MlpPolicy"
    n_envs: int = 8
    stretch: float = 1.0
    normalize: dict[str, Any] = field(default_factory=dict)  # arguments of VecNormalize
    settings: dict[str, Any] = field(default_factory=dict)  # arguments of the algorithm

    def __post_init__(self) -> None:
        check_int("n_timesteps", self.n_timesteps, 1)
        check_int("n_envs", self.n_envs, 1)
        check_finite("stretch", self.stretch, 1.0)

    def with_(self, **changes: Any) -> Recipe:
        """The recipe with some keys of the YAML form set otherwise."""
        table = self.table() | changes
        return _recipe(table)

    def table(self) -> dict[str, Any]:
        """The recipe in the YAML form."""
        own = {name: getattr(self, name) for name in _OWN}
        return own | self.settings

    def arguments(self) -> dict[str, Any]:
        """The algorithm's arguments, schedules made into functions."""
        return {name: schedule(value) for name, value in self.settings.items()}


def schedule(value: Any) -> Any:
    """``"lin_X"`` as a function of the share of training that remains; all else as it is.

    Raises:
        ValueError: where X is no positive number.
    """
    if not isinstance(value, str) or not value.startswith("lin_"):
        return value
    try:
        start = check_finite("a schedule", float(value.removeprefix("lin_")), 0.0)
    except ValueError:
        raise ValueError(f"{value!r} is no schedule: write lin_ and a number, lin_3e-4") from None

    def linear(remaining: float) -> float:
        return remaining * start

    falling: Callable[[float], float] = linear
    return falling


def _recipe(table: Mapping[str, Any]) -> Recipe:
    normalize = table.get("normalize", False)
    if isinstance(normalize, bool):
        normalize = {"norm_obs": True, "norm_reward": True} if normalize else {}
    own = {name: table[name] for name in _OWN if name in table} | {"normalize": dict(normalize)}
    own["n_timesteps"] = check_int("n_timesteps", own.get("n_timesteps"), 1)
    return Recipe(settings={k: v for k, v in table.items() if k not in _OWN}, **own)


def read_recipe(agent: str, task: str, changes: Mapping[str, Any] | None = None) -> Recipe:
    """Hyper-parameters of an agent for a task.

    Args:
        agent: name of the file below :data:`FOLDER`.
        task: id; a task without an entry of its own takes that of ``default``.
        changes: keys to set otherwise.

    Raises:
        ValueError: if there are no hyper-parameters for the agent.
        ImportError: without YAML, naming what to install.
    """
    check_choice("agent", agent, sorted(path.stem for path in FOLDER.glob("*.yml")))
    tables = library("yaml").safe_load((FOLDER / f"{agent}.yml").read_text(encoding="utf-8"))
    table = tables.get(task.removeprefix("retail_gym:"), tables["default"])
    return _recipe(table).with_(**dict(changes or {}))


def changed(defaults: Mapping[str, Any], changes: Mapping[str, Any] | None) -> dict[str, Any]:
    """Hyper-parameters of an agent that has no file, some of them set otherwise.

    Raises:
        ValueError: for one that it does not have, with the list.
    """
    for name in changes or {}:
        check_choice("hyper-parameter", name, defaults)
    return dict(defaults) | dict(changes or {})
