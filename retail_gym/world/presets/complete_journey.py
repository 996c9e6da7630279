"""A store of real households, calibrated to the Complete Journey's train households.

The configuration is the file ``complete_journey.toml`` beside this one, as written by
``retail-gym calibrate complete_journey``; what it stands on, how it scores and what it must not
be used for is in ``docs/stores/complete_journey.md``. Fuel-free; petrol is
:class:`retail_gym.data.Fuel`, beside the store.

The catalogue has the sizes of all 302 categories in the data's product list, products that
nobody bought included (32,329 after merging equal descriptions, petrol left out).
"""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Sequence
from dataclasses import fields, replace
from importlib import resources
from typing import Any

from retail_gym.world.priors import Listed
from retail_gym.world.store_config import StoreConfig

__all__ = ["config", "product_counts", "some_categories"]


def product_counts() -> dict[object, int]:
    """Products of each category, bought or not, by the category's name, in the store's order."""
    text = resources.files(__package__).joinpath("catalogue_sizes.csv").read_text(encoding="utf-8")
    return {row["category"]: int(row["n_products"]) for row in csv.DictReader(text.splitlines())}


def config() -> StoreConfig:
    """The store, 2,469 households."""
    from retail_gym.world.storage import config_from_mapping

    file = resources.files(__package__).joinpath("complete_journey.toml")
    store = config_from_mapping(tomllib.loads(file.read_text(encoding="utf-8")))
    # Fitted to 1,728 of them; a store of all.
    return store.override(n_customers=2_469)


def some_categories(store: StoreConfig, categories: Sequence[int]) -> StoreConfig:
    """The store with some of its categories alone; estimates by category go with them.

    Args:
        store: a store whose lists are by category.
        categories: their numbers, in the order wanted.
    """

    def part(value: Any) -> Any:
        if isinstance(value, Listed):
            return Listed(tuple(value.values[j] for j in categories))
        return tuple(part(law) for law in value) if isinstance(value, tuple) else value

    assert store.layers is not None
    layers = {}
    for item in fields(store.layers):
        layer = getattr(store.layers, item.name)
        if layer is not None:
            names = [field.name for field in fields(layer)]
            layer = replace(layer, **{name: part(getattr(layer, name)) for name in names})
        layers[item.name] = layer
    return store.override(
        category_sizes=tuple(store.category_sizes[j] for j in categories),
        layers=replace(store.layers, **layers),
    )
