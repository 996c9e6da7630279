"""What the layers draw once per store: per customer, category and product.

Every value belongs to the world seed, its symbol, its customer, category or product: adding
customers changes nobody's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from retail_gym import rng
from retail_gym.model.basket_effects import household_effect
from retail_gym.world.catalog import draw_vector
from retail_gym.world.layered_catalog import appeal_score, by_category
from retail_gym.world.layers import AvailabilityLayer, BasketLayer, Layers
from retail_gym.world.population import draw_customers
from retail_gym.world.priors import Prior, Uniform
from retail_gym.world.store_config import StoreConfig

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

__all__ = ["ARRAYS", "DrawnLayers", "draw_layers"]

#: Arrays of :class:`DrawnLayers` and their index letters (k: factors of trips).
ARRAYS: Final = {
    "visit_u": "U",
    "size_u": "U",
    "fill_in_u": "U",
    "household_uj": "UJ",
    "trip_loading_jk": "JK",
    "further_j": "J",
    "quantity_u": "U",
    "window_start_i": "I",
    "window_weeks_i": "I",
    "dispersion_i": "I",
}

#: Places in a category are remembered in 16 bits.
LARGEST_REMEMBERED: Final = 2**15 - 1
_UNIFORM: Final = Uniform(0.0, 1.0)


@dataclass(frozen=True, eq=False)
class DrawnLayers:
    """The layers of a world. What belongs to a layer that is off is None."""

    config: Layers
    visit_u: Floats | None = None  # U: what a customer adds to the store utility
    size_u: Floats | None = None  # U: basket effect, contained in household_uj
    fill_in_u: Floats | None = None  # U: probability of a fill-in trip
    household_uj: NDArray[np.float32] | None = None  # U, J: single precision by definition
    trip_loading_jk: Floats | None = None  # J, K
    further_j: Floats | None = None  # J: mean further products of the average trip
    quantity_u: Floats | None = None  # U: factor of the rate, mean 1
    window_start_i: Ints | None = None  # I: week in which a product's window opens
    window_weeks_i: Ints | None = None  # I: its length; at least the cycle: always offered
    dispersion_i: Floats | None = None  # I: sd of the log of price paid over shelf price


def draw_layers(
    config: StoreConfig, seed: int, customers: Ints | None = None
) -> DrawnLayers | None:
    """Draw the layers of a store; None where it has none.

    Args:
        config: the store.
        seed: world seed.
        customers: numbers of those to draw, default everybody; zeros stand for the others.

    Raises:
        ValueError: for a list of estimates of the wrong length, or a HabitLayer with a category
            of more than 32,767 products.
    """
    layers = config.layers
    if layers is None:
        return None
    if layers.habit is not None and max(config.category_sizes) > LARGEST_REMEMBERED:
        raise ValueError(
            f"a HabitLayer remembers products of categories of up to {LARGEST_REMEMBERED:,}; "
            f"the largest has {max(config.category_sizes):,}"
        )
    if customers is None:
        customers = np.arange(config.n_customers)
    n_categories = len(config.category_sizes)
    parts: dict[str, NDArray[np.generic]] = {}
    if layers.visit is not None:
        intercept = layers.visit.prior("intercept")
        parts["visit_u"] = draw_customers(intercept, seed, "visit_intercept", customers)
    if layers.basket is not None:
        parts |= _basket(layers.basket, seed, customers, n_categories)
    if layers.assortment is not None:
        further = layers.assortment
        parts["further_j"] = np.exp(
            by_category(
                further.prior("log_rate"),
                appeal_score(config, seed),
                further.appeal_correlation,
                seed,
                "further_rate",
            )
        )
    if layers.quantity is not None:
        sd = layers.quantity.customer_sd
        parts["quantity_u"] = np.exp(sd * _normal(seed, "quantity_factor", customers) - 0.5 * sd**2)
    if layers.availability is not None:
        parts |= _windows(layers.availability, seed, config.category_sizes)
    if layers.dispersion is not None:
        spread = layers.dispersion.prior("sd")
        sd_i = draw_vector(spread, seed, "price_dispersion", sum(config.category_sizes))
        parts["dispersion_i"] = np.clip(sd_i, 0.0, layers.dispersion.most)
    for name, letters in ARRAYS.items():
        if letters.startswith("U") and name in parts and customers.size < config.n_customers:
            drawn = parts[name]
            parts[name] = np.zeros((config.n_customers, *drawn.shape[1:]), drawn.dtype)
            parts[name][customers] = drawn
    return DrawnLayers(layers, **parts)  # type: ignore[arg-type]


def _normal(seed: int, symbol: str, customers: ArrayLike) -> Floats:
    """One standard normal number per customer, exactly."""
    return np.asarray(special.ndtri(draw_customers(_UNIFORM, seed, symbol, customers)))


def _normals(seed: int, symbol: str, customers: Ints, n: int) -> Floats:
    """``n`` standard normal numbers per customer, shape (U, n)."""
    key = rng.stream_key(seed, 0, rng.symbol_stage(symbol), customers)
    column = rng.Key(key.k1[:, None], key.k2[:, None])
    return np.asarray(special.ndtri(rng.uniform(rng.words(column, rng.item_hash(np.arange(n))))))


def _loadings(laws: Any, seed: int, symbol: str, n: int, factors: int) -> Floats:
    """Loadings of each category, shape (J, K); each factor is a stream of its own."""
    each: tuple[Prior, ...] = laws if isinstance(laws, tuple) else (laws,) * factors
    columns = [draw_vector(law, seed, f"{symbol}_{k}", n) for k, law in enumerate(each)]
    return np.stack(columns, axis=1) if columns else np.zeros((n, 0))


def _basket(
    layer: BasketLayer, seed: int, customers: Ints, n: int
) -> dict[str, NDArray[np.generic]]:
    rho = layer.visit_correlation
    often = _normal(seed, "visit_intercept", customers)  # normal score of the visit intercept
    own = _normal(seed, "basket_size", customers)
    size_u = layer.size_sd * (rho * often + np.sqrt(1.0 - rho**2) * own)
    spread = draw_vector(_UNIFORM, seed, "affinity_spread", n)
    affinity_sd = draw_vector(layer.prior("affinity_sd"), seed, "affinity_sd", n)
    household = household_effect(
        size_u,
        _normals(seed, "taste", customers, layer.factors),
        _loadings(layer.taste_loading, seed, "taste_loading", n, layer.factors),
        _normals(seed, "affinity", customers, n),
        affinity_sd * np.exp(layer.affinity_spread * special.ndtri(spread)),
    )
    # Shares of 0 and 1 have infinite log-odds, and expit(+-inf) gives them back.
    odds = special.logit(layer.fill_in_share)
    return {
        "size_u": size_u,
        "fill_in_u": special.expit(
            odds + layer.fill_in_spread * _normal(seed, "fill_in", customers)
        ),
        "household_uj": household.astype(np.float32),
        "trip_loading_jk": _loadings(layer.trip_loading, seed, "trip_loading", n, layer.factors),
    }


def _windows(
    layer: AvailabilityLayer, seed: int, category_sizes: tuple[int, ...]
) -> dict[str, NDArray[np.generic]]:
    n = sum(category_sizes)

    def draw(symbol: str) -> Floats:
        return draw_vector(_UNIFORM, seed, symbol, n)

    seasonal = draw("seasonal") < layer.seasonal
    seasonal[np.cumsum(category_sizes) - np.asarray(category_sizes)] = False  # never an empty shelf
    lengths = layer.longest - layer.shortest + 1
    weeks = layer.shortest + (draw("window_weeks") * lengths).astype(np.int64)
    return {
        "window_start_i": (draw("window_start") * layer.cycle).astype(np.int64),
        "window_weeks_i": np.where(seasonal, weeks, layer.cycle),
    }
