"""retail_gym: retail pricing as a reinforcement-learning environment.

A customer-choice simulator (RetailSynth's four-stage model) behind Gymnasium's interface::

    import gymnasium as gym
    import retail_gym

    env = gym.make("RetailSynth-v0")            # or "retail_gym:RetailSynth-v0"
    observation, info = env.reset(seed=0)
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retail_gym.registration import register_envs

if TYPE_CHECKING:
    from retail_gym import parallel, policies
    from retail_gym.envs.pricing import RetailPricingEnv
    from retail_gym.envs.vector import RetailPricingVectorEnv
    from retail_gym.evaluation import evaluate, simulate
    from retail_gym.simulator import Simulator
    from retail_gym.world import PromotionPlan, StoreConfig, World, make_world, preset_names

__all__ = [
    "PromotionPlan",
    "RetailPricingEnv",
    "RetailPricingVectorEnv",
    "Simulator",
    "StoreConfig",
    "World",
    "evaluate",
    "make_world",
    "parallel",
    "policies",
    "preset_names",
    "simulate",
]


def _version() -> str:
    """Of the installed distribution, or of the checkout that is run without installation."""
    try:
        return version("retail-gym")
    except PackageNotFoundError:
        from tomllib import loads

        try:
            file = Path(__file__).parents[1] / "pyproject.toml"
            project = loads(file.read_text(encoding="utf-8")).get("project", {})
        except (OSError, ValueError):  # no checkout, or somebody's broken file
            project = {}
        return str(project["version"]) if project.get("name") == "retail-gym" else "0+unknown"


__version__ = _version()

_HOME = {
    "PromotionPlan": "retail_gym.world",
    "RetailPricingEnv": "retail_gym.envs.pricing",
    "RetailPricingVectorEnv": "retail_gym.envs.vector",
    "Simulator": "retail_gym.simulator",
    "StoreConfig": "retail_gym.world",
    "World": "retail_gym.world",
    "evaluate": "retail_gym.evaluation",
    "make_world": "retail_gym.world",
    "preset_names": "retail_gym.world",
    "simulate": "retail_gym.evaluation",
}


def __getattr__(name: str) -> Any:
    # Public names load on first use, so that `import retail_gym` stays quick.
    from importlib import import_module

    if name in ("parallel", "policies"):
        return import_module(f"retail_gym.{name}")
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'retail_gym' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


register_envs()
