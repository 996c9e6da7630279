"""Numbers of a store by the path to them, such as ``layers.visit.drift_sd``.

Two kinds of path do not end at a field: ``promotion.a01.mean`` is the mean of a Beta law, whose
a + b stays, and the path to a list of estimates is their mean: all move together, standard
deviations by a factor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np

from retail_gym.calibration.search import Parameter
from retail_gym.world.priors import Beta, Constant, Listed
from retail_gym.world.store_config import StoreConfig

__all__ = ["get", "parameter", "present", "put"]


def _step(value: Any, name: str, path: str) -> Any:
    if isinstance(value, Beta) and name == "mean":
        return value.mean
    if not is_dataclass(value) or name not in [f.name for f in fields(value)]:
        raise ValueError(f"a store has no number at {path}: nothing called {name} there")
    return getattr(value, name)


def get(config: StoreConfig, path: str) -> float:
    """The number at a path."""
    value: Any = config
    for name in path.split("."):
        value = _step(value, name, path)
    if isinstance(value, Listed):
        return float(np.mean(value.values))
    if isinstance(value, Constant):
        return value.value
    if not isinstance(value, int | float):
        raise ValueError(f"{path} is no number but {value!r}")
    return float(value)


def present(config: StoreConfig, path: str) -> bool:
    """Whether the store has what a path leads through: a layer or law may be None."""
    value: Any = config
    for name in path.split("."):
        value = _step(value, name, path)
        if value is None:
            return False
    return True


def put(config: StoreConfig, values: Mapping[str, float]) -> StoreConfig:
    """The store with other numbers at some paths."""
    for path, value in values.items():
        get(config, path)
        config = _put(config, path.split("."), float(value))
    return config


def _put(target: Any, path: list[str], value: float) -> Any:
    name, rest = path[0], path[1:]
    if isinstance(target, Beta) and name == "mean":
        total = target.a + target.b
        return Beta(value * total, (1.0 - value) * total)
    old = getattr(target, name)
    new: Any = value
    if rest:
        new = _put(old, rest, value)
    elif isinstance(old, Listed):
        listed = np.array(old.values)
        mean = float(listed.mean())
        by_factor = name.endswith("_sd") and mean > 0.0
        moved = listed * (value / mean) if by_factor else listed + (value - mean)
        new = Listed(tuple(moved.tolist()))
    return replace(target, **{name: new})


def parameter(
    config: StoreConfig, path: str, low: float, high: float, ratio: bool = False
) -> Parameter:
    """A parameter of a search that begins where the store is."""
    return Parameter(path, low, high, min(max(get(config, path), low), high), ratio)
