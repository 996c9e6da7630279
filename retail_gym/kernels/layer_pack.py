"""The layers of a store, and its shelf of a week, in the form the compiled passes read."""

from __future__ import annotations

from typing import Final, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from retail_gym.kernels.categories import Shop
from retail_gym.kernels.layer_bounds import NEVER, Bounds, Layered, value_bounds, week_rises
from retail_gym.kernels.memory import Board
from retail_gym.kernels.packed import Packed, Single, pack
from retail_gym.kernels.shelf import terms
from retail_gym.kernels.single import LOG2E
from retail_gym.world.trip import offered
from retail_gym.world.world import World

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]

__all__ = ["Shelf", "layers_of", "shelf_of_week"]

#: Sensitivities to prices at which values are tabulated where nothing else differs.
_POINTS: Final = 5
#: Groups of customers up to which they are, every week; beyond, once at base prices.
_GROUPS: Final = 8


class Shelf(NamedTuple):
    """What the trips of a week read of the shelf and its prices."""

    single: Single  # of the products that are offered
    shop: Shop
    bounds: Bounds


_Season = tuple[Single, NDArray[np.int32], NDArray[np.int32], NDArray[np.bool_]]


class _Packed(NamedTuple):
    layered: Layered
    values: list[tuple[Floats32, float, float]]  # at base prices, once somebody asks
    shelves: dict[int, _Season]  # by week of the cycle: some 20 bytes a product


_packed: WeakKeyDictionary[World, _Packed] = WeakKeyDictionary()


def layers_of(world: World) -> Layered:
    """The layers of a world, packed once."""
    return _all_of(world).layered


def _all_of(world: World) -> _Packed:
    found = _packed.get(world)
    if found is None:
        found = _packed[world] = _Packed(_pack(world), [], {})
    return found


def _pack(world: World) -> Layered:
    assert world.layers is not None
    drawn, config, n = world.layers, world.layers.config, world.n_categories
    none = np.zeros(0)
    none.flags.writeable = False  # one type for the compiler, with the arrays of a world
    household, loading = drawn.household_uj, drawn.trip_loading_jk
    if household is None or loading is None:
        household, loading = np.zeros((1, n), dtype=np.float32), np.zeros((n, 0))
        household.flags.writeable = False
    half = 0.5 * (loading**2).sum(axis=1)
    fixed = LOG2E * (world.gamma_cate_0 - half)
    size_u = LOG2E * np.abs(household).max(axis=1) + np.abs(fixed).max()
    return Layered(
        something=config.basket is not None and config.basket.something,
        gamma_0=world.gamma_cate_0,
        gamma_1=world.gamma_cate_1,
        household=household,
        loading=loading.copy(),
        half=half,
        further_j=none if drawn.further_j is None else drawn.further_j,
        further_size=1.0 if config.assortment is None else config.assortment.size,
        quantity_u=none if drawn.quantity_u is None else drawn.quantity_u,
        quantity_size=1.0 if config.quantity is None else config.quantity.size,
        pairs=0.0 if config.quantity is None else config.quantity.pairs,
        repeat=0.0 if config.habit is None else config.habit.repeat,
        start=world.category_start,
        size=world.category_sizes,
        fixed=fixed.astype(np.float32),
        slope=world.gamma_cate_1.astype(np.float32),
        steepest=float(np.abs(world.gamma_cate_1).max()),
        loading_kj=(LOG2E * loading.T).astype(np.float32, order="C"),
        loading_k=(LOG2E * np.abs(loading).max(axis=0, initial=0.0)).astype(np.float32),
        size_u=size_u.astype(np.float32),
    )


def shelf_of_week(world: World, board: Board, week: int) -> Shelf:
    """What is offered in a week, and bounds on what categories are worth at its prices."""
    packed = pack(world)
    single, shop = _shop(world, packed, board, week)
    groups = board.cap.shape[1]
    alike = packed.single.heads.size == 0 and len(packed.single.base) == 1
    most = np.full((groups, world.n_categories), NEVER, dtype=np.float32)
    for g, cap in enumerate(board.cap[0]):
        if np.isfinite(cap):
            bound = LOG2E * world.gamma_cate_1 * (cap + packed.log_size)
            most[g] = np.where(world.gamma_cate_1 >= 0.0, np.minimum(bound, NEVER), NEVER)
    high, low = np.zeros((2, *most.shape), dtype=np.float32)
    if alike and groups <= _GROUPS:
        tables = [
            _table(world, single, price, board.size[0, g]) for g, price in enumerate(shop.price)
        ]
        value, (lowest, step) = np.stack([table for table, *_ in tables]), tables[0][1:]
    else:
        value, lowest, step = _at_base_prices(world, packed)
        week_rises(
            world.beta_i, board.log_price[0], world.log_base_price, layers_of(world), high, low
        )
    size = np.abs(value, where=value < NEVER, out=np.zeros_like(value)).max()
    rise = max(np.abs(high).max(), np.abs(low).max())
    bounds = Bounds(value, lowest, step, high, low, most, float(max(size, rise)))
    return Shelf(single, shop, bounds)


def _shop(world: World, packed: Packed, board: Board, week: int) -> tuple[Single, Shop]:
    """The store without what is not offered; where customers differ a mask takes its place."""
    assert world.layers is not None
    layer, shelves = world.layers.config.availability, _all_of(world).shelves
    season = 0 if layer is None else week % layer.cycle
    if season not in shelves:
        shelves[season] = _season(world, packed.single, week)
    single, product, position, mask = shelves[season]
    price = board.price[0]
    if single is not packed.single:
        price = np.take(price, product, axis=1)
    return single, Shop(product, position, price, mask)


def _season(world: World, single: Single, week: int) -> _Season:
    """What is offered in a week, as in all weeks that are whole cycles from it."""
    shelf, everything = offered(world, week), np.zeros(0, dtype=bool)
    every = np.arange(world.n_products, dtype=np.int32)
    if shelf is None or shelf.all():
        return single, every, every, everything
    if len(single.base) != 1:
        return single, every, np.where(shelf, every, np.int32(-1)), shelf
    product, before = every[shelf], np.concatenate([[0], np.cumsum(shelf)])
    less = single._replace(
        item_hash=single.item_hash[product],
        base=single.base[:, product],
        sigma=single.sigma[:, product],
        start=before[single.start],
        stop=before[single.stop],
    )
    position = np.where(shelf, before[1:] - 1, -1).astype(np.int32)
    return less, product, position, everything


def _at_base_prices(world: World, packed: Packed) -> tuple[Floats32, float, float]:
    found = _all_of(world).values
    if not found:
        price = np.empty(world.n_products, dtype=np.float32)
        size = float(terms(world.beta_i, world.log_base_price, price))
        value, lowest, step = _table(world, packed.single, price, size)
        found.append((value[None], lowest, step))
    return found[0]


def _table(
    world: World, single: Single, price: Floats32, price_size: float
) -> tuple[Floats32, float, float]:
    """Bounds on values by sensitivity to prices, its first point and step; step 0: by customer."""
    packed, weight, step = pack(world), single.price_weight, 0.0
    if len(single.base) == 1:
        lowest = float(weight.min())
        # A little more than the range: the last customer stands before the last point.
        step = max((float(weight.max()) - lowest) / (_POINTS - 1) * (1.0 + 1e-6), 1e-6)
        weight = (lowest + step * np.arange(_POINTS)).astype(np.float32)
    largest = int(world.category_sizes.max())
    out = np.empty((weight.size, world.n_categories), dtype=np.float32)
    value_bounds(
        single,
        weight,
        price,
        tuple(np.float32(0.0) for _ in packed.feature_coefficients),
        np.zeros(packed.noise_coefficients.size, dtype=np.float32),
        float(price_size),
        float(LOG2E * packed.double.noise.max()),
        np.float32(np.abs(packed.double.feature).max()),
        world.gamma_cate_1,
        None if single.heads.size == 0 else np.empty((2, largest), dtype=np.float32),
        np.empty(largest, dtype=np.float32),
        out,
    )
    return out, (float(weight[0]) if step else 0.0), step
