"""Stores by name: each preset is a configuration with the source of every value beside it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Final

from retail_gym.config import check_choice, read_toml, stable_hash
from retail_gym.world.store_config import StoreConfig

__all__ = [
    "PRESETS",
    "SCALES",
    "category_names",
    "load_config",
    "preset_names",
    "shipped_reward_scale",
]

#: R0 of the presets, by the hash of the configuration, for the first world seeds.
SCALES: Final = resources.files(__name__).joinpath("reward_scale.json")


def _lazy(module: str, function: str) -> Callable[[], StoreConfig]:
    def load() -> StoreConfig:
        from importlib import import_module

        config: StoreConfig = getattr(import_module(f"{__name__}.{module}"), function)()
        return config

    return load


PRESETS: Final[dict[str, Callable[[], StoreConfig]]] = {
    "calibrated": _lazy("calibrated", "config"),
    "scenario": _lazy("scenario", "config"),
    "scenario_prior": _lazy("scenario", "prior_config"),
    "scenario_spread": _lazy("scenario", "spread_config"),
    "coupon_brand_loyalty": _lazy("coupon", "brand_loyalty_config"),
    "coupon_driven": _lazy("coupon", "coupon_driven_config"),
    "complete_journey": _lazy("complete_journey", "config"),
    "small": _lazy("scenario", "small_config"),
    "tiny": _lazy("scenario", "tiny_config"),
}


def preset_names() -> list[str]:
    """Names of the presets."""
    return list(PRESETS)


def load_config(preset: str | os.PathLike[str]) -> StoreConfig:
    """The configuration behind a preset's name or a ``.toml`` file.

    A file may give ``extends = "scenario"`` and then only the fields that differ.

    Raises:
        ValueError: for an unknown name or a file that is no configuration.
        FileNotFoundError: for a ``.toml`` path without a file.
    """
    from retail_gym.world.storage import config_from_mapping

    if str(preset).endswith(".toml"):
        table = read_toml(preset)
        base = table.pop("extends", None)
        try:
            if base is None:
                return config_from_mapping(table)
            if str(base).endswith(".toml"):
                raise ValueError(f"extends takes the name of a preset, not {base!r}")
            return load_config(base).override(**{"name": Path(preset).stem, **table})
        except (ValueError, TypeError) as error:
            raise ValueError(f"{preset}: {error}") from None
    check_choice("preset", str(preset), preset_names())
    return PRESETS[str(preset)]()


def category_names(config: StoreConfig) -> tuple[str, ...] | None:
    """Names of a store's categories, in its order; None where they are numbers alone.

    A store has the names of the Complete Journey's categories if it has all of them, with as many
    products each as that product list.
    """
    from retail_gym.world.presets.complete_journey import product_counts

    counts = product_counts()
    named = config.category_sizes == tuple(counts.values())
    return tuple(str(name) for name in counts) if named else None


@cache
def _scales() -> dict[str, Any]:
    table: dict[str, Any] = json.loads(SCALES.read_text(encoding="utf-8"))
    return table


def shipped_reward_scale(config: StoreConfig, seed: int) -> float | None:
    """R0 of a preset as shipped; None for other configurations and seeds."""
    scales = _scales().get(stable_hash(config), {"scales": []})["scales"]
    return float(scales[seed]) if seed < len(scales) else None
