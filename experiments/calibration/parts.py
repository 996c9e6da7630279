"""The store without each of its parts, everything else unchanged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from retail_gym.config import stable_hash
from retail_gym.world.layers import Layers
from retail_gym.world.store_config import StoreConfig

__all__ = ["PARTS", "without"]


def _basket(layers: Layers, **values: float | int) -> Layers:
    return layers if layers.basket is None else replace(
        layers, basket=replace(layers.basket, **values)  # type: ignore[arg-type]
    )  # fmt: skip


def _no_drift(layers: Layers) -> Layers:
    return layers if layers.visit is None else replace(
        layers, visit=replace(layers.visit, drift_sd=0.0)
    )  # fmt: skip


def _poisson(layers: Layers) -> Layers:
    """The mean stays, which the catalogue needs: the law becomes Poisson's, alike for all."""
    return layers if layers.quantity is None else replace(
        layers, quantity=replace(layers.quantity, size=1e6, customer_sd=0.0)
    )  # fmt: skip


#: Name of a part -> the layers without it.
PARTS: Final[dict[str, Callable[[Layers], Layers]]] = {
    "visit heterogeneity and drift": lambda layers: replace(layers, visit=None),
    "visit drift": _no_drift,
    "customer basket effect": lambda layers: _basket(layers, size_sd=0.0),
    "trip effect": lambda layers: _basket(layers, trip_sd=0.0, fill_in_depth=0.0),
    "complements": lambda layers: _basket(
        layers, factors=0, taste_loading=0.0, trip_loading=0.0
    ),
    "category affinity": lambda layers: _basket(layers, affinity_sd=0.0),
    "several products": lambda layers: replace(layers, assortment=None),
    "unequal quantities": _poisson,
    "habit": lambda layers: replace(layers, habit=None),
    "availability": lambda layers: replace(layers, availability=None),
    "price dispersion": lambda layers: replace(layers, dispersion=None),
}  # fmt: skip


def without(store: StoreConfig) -> dict[str, StoreConfig]:
    """The store without each part that it has, by the part's name.

    Raises:
        ValueError: for a store without layers.
    """
    if store.layers is None:
        raise ValueError(f"{store.name} has no layers to leave out")
    bare = {name: store.override(layers=part(store.layers)) for name, part in PARTS.items()}
    own = stable_hash(store)
    return {name: one for name, one in bare.items() if stable_hash(one) != own}
