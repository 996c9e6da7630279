"""What a week and a trip draw for the layers: where draws meet their equations."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from retail_gym import rng
from retail_gym.model.availability import on_shelf
from retail_gym.model.basket_effects import trip_effect, trip_size
from retail_gym.model.visit_effects import visit_drift, visit_effect
from retail_gym.rng import Stage
from retail_gym.world.noise import customer_words

if TYPE_CHECKING:
    from retail_gym.world.world import World

Floats = NDArray[np.float64]

__all__ = ["Draws", "Trips", "drift", "offered", "trip_draws", "trips", "visit_effects"]


class Trips(NamedTuple):
    """Effects on the trips of some customers in one week; None where the store has no such layer."""

    category_uj: Floats | None  # added to the log-odds of each category
    basket_u: Floats  # the customer's and the trip's basket effects, 0 without the layer


class Draws(NamedTuple):
    """What the trips of some customers in one week draw; zeros without a BasketLayer."""

    size_u: Floats  # the trip's size b
    basket_u: Floats  # the customer's and the trip's basket effects
    factor_uk: Floats  # standard normal factors g


def drift(world: World, seed: int, week: int, previous_u: Floats | None) -> Floats:
    """Drift of everybody's store utility in a week, shape (U,)."""
    assert world.layers is not None
    assert world.layers.config.visit is not None
    layer = world.layers.config.visit
    words = customer_words(seed, week, Stage.DRIFT, np.arange(world.n_customers))
    normal = special.ndtri(rng.uniform(words))
    return visit_drift(previous_u, normal, layer.drift_sd, layer.drift_memory)


def visit_effects(world: World, seed: int, week: int, drift_u: Floats) -> Floats:
    """What the layer adds to everybody's store utility in a week, shape (U,)."""
    assert world.layers is not None
    assert world.layers.config.visit is not None
    assert world.layers.visit_u is not None
    word = customer_words(seed, week, Stage.WEEK, 0)
    shared = world.layers.config.visit.week_sd * float(special.ndtri(rng.uniform(word)))
    return visit_effect(world.layers.visit_u, drift_u, shared)


def trip_draws(world: World, seed: int, week: int, customers: ArrayLike) -> Draws:
    """Draws of the trips of some customers, shape (B,) of numbers, in one week."""
    rows = np.asarray(customers)
    layers = world.layers
    if layers is None or layers.config.basket is None:
        none = np.zeros(rows.size)
        return Draws(none, none, np.zeros((rows.size, 0)))
    layer = layers.config.basket
    assert layers.fill_in_u is not None
    assert layers.size_u is not None
    key = rng.stream_key(seed, week, Stage.TRIP, rows)
    column = rng.Key(key.k1[:, None], key.k2[:, None])
    uniform = rng.uniform(rng.words(column, rng.item_hash(np.arange(2 + layer.factors))))
    size_u = trip_size(
        special.ndtri(uniform[:, 0]),
        uniform[:, 1],
        layer.trip_sd,
        layers.fill_in_u[rows],
        layer.fill_in_depth,
    )
    return Draws(size_u, layers.size_u[rows] + size_u, special.ndtri(uniform[:, 2:]))


def trips(world: World, seed: int, week: int, customers: ArrayLike) -> Trips:
    """Effects on the trips of some customers, shape (B,) of numbers, in one week."""
    rows = np.asarray(customers)
    layers, draws = world.layers, trip_draws(world, seed, week, rows)
    if layers is None or layers.config.basket is None:
        return Trips(None, draws.basket_u)
    assert layers.trip_loading_jk is not None
    assert layers.household_uj is not None
    effect = trip_effect(draws.size_u, draws.factor_uk, layers.trip_loading_jk)
    return Trips(layers.household_uj[rows] + effect, draws.basket_u)


def offered(world: World, week: int) -> NDArray[np.bool_] | None:
    """Whether each product is on the shelf this week, shape (I,); None: all always are."""
    layers = world.layers
    if layers is None or layers.config.availability is None:
        return None
    assert layers.window_start_i is not None
    assert layers.window_weeks_i is not None
    cycle = layers.config.availability.cycle
    return on_shelf(layers.window_start_i, layers.window_weeks_i, cycle, week)
