"""Worlds made of given arrays: other systems' stores, reference cases, one's own estimates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from retail_gym import rng
from retail_gym.config import check_choice, check_finite
from retail_gym.model.price import base_price
from retail_gym.model.utility import price_sensitivity
from retail_gym.world.noise import features, noise, noise_words
from retail_gym.world.population import Coefficients
from retail_gym.world.priors import Beta
from retail_gym.world.reference import CapReference, cap_reference_of_arrays
from retail_gym.world.store_config import MARKETING, PromotionPlan
from retail_gym.world.world import World

Floats = NDArray[np.float64]

__all__ = ["read_shaped", "world_from_arrays"]

_SHAPES: Final[dict[str, str]] = {
    "category_sizes": "J", "beta_x": "UI", "beta_z": "UI", "beta_u": "U", "beta_i": "I", "c": "",
    "Z": "I", "alpha_0": "I", "alpha_1": "", "base_price": "I", "gamma_cate_0": "J",
    "gamma_cate_1": "J", "gamma_store_0": "", "gamma_store_1": "", "gamma_store_2": "",
    "theta": "U", "gamma_prod_0": "I", "gamma_prod_1": "UI", "clip_percentile": "",
    "lowest_price": "", "a01": "I", "a11": "I", "discount_alpha_beta": "2", "feature_mean": "UI", "feature_scale": "UI",
}  # fmt: skip
_OPTIONAL: Final = {
    "base_price", "clip_percentile", "lowest_price", "a01", "a11", "discount_alpha_beta",
    "feature_mean", "feature_scale",
}  # fmt: skip
#: Present in equation files: inputs of one week and its outputs, not parameters of a store.
_NOT_THE_STORE: Final = {
    "X", "eps", "discount", "coupon", "previous_visit", "previous_visit_probability",
    "marketing_feature", "price", "price_paid", "utility_unclipped", "utility",
    "category_value", "product_probability", "category_probability", "store_value",
    "visit_probability", "purchase_rate", "elasticity_store", "elasticity_category",
    "elasticity_product", "elasticity_quantity", "elasticity_overall",
}  # fmt: skip


def _read(arrays: Mapping[str, Any]) -> dict[str, Floats]:
    if not isinstance(arrays, Mapping):
        raise ValueError(f"World.from_arrays takes a mapping of arrays by name, got {arrays!r:.60}")
    known = set(_SHAPES) | _NOT_THE_STORE
    unknown = sorted(set(arrays) - known)
    missing = sorted(set(_SHAPES) - _OPTIONAL - set(arrays))
    if unknown or missing:
        raise ValueError(
            "World.from_arrays: "
            + "; ".join(
                f"{what} {', '.join(names)}"
                for what, names in (("unknown arrays", unknown), ("missing arrays", missing))
                if names
            )
            + f". Valid names: {', '.join(sorted(_SHAPES))}"
        )
    shapes = {name: _SHAPES[name] for name in arrays if name in _SHAPES}
    values = read_shaped(arrays, shapes)
    for name, value in values.items():
        if not np.isfinite(value).all():
            raise ValueError(f"{name} holds NaN or infinite values")
    return values


def read_shaped(arrays: Mapping[str, Any], shapes: Mapping[str, str]) -> dict[str, Floats]:
    """Read arrays as float64 and check that they fit together.

    Args:
        arrays: by name, ``category_sizes`` and ``beta_u`` among them.
        shapes: names to read, each with its index letters: U, I, J, "2", or "" for one number
            (any array of size one will do).

    Returns:
        The arrays named in ``shapes``; single numbers with shape ().

    Raises:
        ValueError: for what is not a number or has a wrong shape, naming the array.
    """
    values: dict[str, Floats] = {}
    for name in shapes:
        try:
            values[name] = np.array(arrays[name], dtype=np.float64)
        except (TypeError, ValueError):
            raise ValueError(f"{name} must hold numbers") from None
    sizes = np.atleast_1d(values["category_sizes"])
    if not sizes.size or not ((sizes >= 1) & (sizes % 1 == 0)).all():
        raise ValueError("category_sizes must hold whole numbers, at least 1 each")
    extent = {"U": values["beta_u"].size, "I": int(sizes.sum()), "J": sizes.size, "2": 2}
    for name, letters in shapes.items():
        if letters == "" and values[name].size == 1:
            values[name] = values[name].reshape(())
        shape = tuple(extent[letter] for letter in letters)
        if values[name].shape != shape:
            raise ValueError(
                f"{name} must have shape {shape}, got {values[name].shape} (category_sizes gives "
                f"{extent['I']} products in {extent['J']} categories, beta_u {extent['U']} "
                "customers)"
            )
    return values


def _check_ranges(value: Mapping[str, Floats], lowest_price: float) -> None:
    if ("feature_mean" in value) != ("feature_scale" in value):
        raise ValueError("lasting features need both feature_mean and feature_scale")
    for name, fine, allowed in (
        ("theta", (value["theta"] >= 0) & (value["theta"] < 1), "in [0, 1)"),
        ("base_price", value.get("base_price", np.ones(1)) > 0, "above 0 [$]"),
        ("lowest_price", np.asarray(lowest_price > 0), "above 0 [$]"),
        ("feature_scale", value.get("feature_scale", np.ones(1)) >= 0, "at least 0"),
        ("beta_u", value["beta_u"] <= 0, "at most 0 (c, also negative, gives the sign)"),
        ("beta_i", value["beta_i"] <= 0, "at most 0 (c, also negative, gives the sign)"),
    ):
        if not np.all(fine):
            raise ValueError(f"{name} must be {allowed}")


def world_from_arrays(
    arrays: Mapping[str, Any],
    *,
    name: str = "arrays",
    seed: int = 0,
    marketing: str = "discount",
    marketing_scale: float | None = None,
    eps: tuple[float, float] = (0.0, 0.1),
) -> World:
    """Make a world of given arrays; see :meth:`World.from_arrays`."""
    check_choice("marketing", marketing, MARKETING)
    value = _read(arrays)
    low = float(value.get("lowest_price", np.float64(0.01)))
    promotion = PromotionPlan.none()
    if "discount_alpha_beta" in value:
        a, b = value["discount_alpha_beta"]
        promotion = PromotionPlan(value.get("a01"), value.get("a11"), Beta(float(a), float(b)))

    def pairs(key: str) -> NDArray[np.float32] | None:
        return value[key].astype(np.float32) if key in value else None

    none = np.zeros(0)
    percentile = check_finite("clip_percentile", value.get("clip_percentile", 100.0), 0.0, 100.0)
    _check_ranges(value, low)
    plain = World(
        name=name,
        seed=seed,
        category_sizes=value["category_sizes"].astype(np.int64),
        gamma_store_0=float(value["gamma_store_0"]),
        gamma_store_1=float(value["gamma_store_1"]),
        gamma_store_2=float(value["gamma_store_2"]),
        theta=value["theta"],
        gamma_cate_0=value["gamma_cate_0"],
        gamma_cate_1=value["gamma_cate_1"],
        coefficients=Coefficients(
            beta_x=value["beta_x"].astype(np.float32),
            beta_z=value["beta_z"].astype(np.float32),
            gamma_prod_1=value["gamma_prod_1"].astype(np.float32),
            feature_mean=pairs("feature_mean"),
            feature_scale=pairs("feature_scale"),
        ),
        c=float(value["c"]),
        beta_u=value["beta_u"],
        beta_i=value["beta_i"],
        z=value["Z"],
        eps_loc=check_finite("eps location", eps[0]),
        eps_scale=check_finite("eps scale", eps[1], 1e-300),
        alpha_0=value["alpha_0"],
        alpha_1=float(value["alpha_1"]),
        base_price=np.maximum(
            value.get(
                "base_price", base_price(value["alpha_0"], value["alpha_1"], value["Z"], low)
            ),
            low,
        ),
        lowest_price=low,
        gamma_prod_0=value["gamma_prod_0"],
        promotion=promotion,
        marketing=marketing,
        marketing_scale=float(value["beta_i"].size)
        if marketing_scale is None
        else check_finite("marketing_scale", marketing_scale, 0.0),
        cap_reference=CapReference(percentile, none.astype(np.int64), none, none),
    )
    if percentile >= 100.0:
        return plain
    return _with_cap(plain, percentile)


def _with_cap(world: World, percentile: float) -> World:
    """The same world with its own pairs as reference sample of the cap."""
    customers = np.arange(world.n_customers)
    word = noise_words(world, world.seed, 0, customers, rng.symbol_stage("cap_noise"))
    level = (
        world.beta_x * features(word, world.feature_mean, world.feature_scale)
        + world.beta_z * world.z
        + noise(word, world.eps_loc, world.eps_scale)
    )
    beta_w = price_sensitivity(world.c, world.beta_u, world.beta_i)
    cap = cap_reference_of_arrays(percentile, world.seed, level, beta_w)
    return replace(world, cap_reference=cap)
