"""A week of a store with layers, by the equations: the oracle of what goes beyond the paper."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from retail_gym import rng
from retail_gym.kernels.base import Memory, Offer, PlainMemory, Purchases
from retail_gym.model.availability import shelf_utility
from retail_gym.model.basket_effects import one_category
from retail_gym.model.category_choice import category_probability, category_value
from retail_gym.model.further_products import choose_another, further_rate
from retail_gym.model.habit import remember, repeated_product
from retail_gym.model.quantity import purchase_rate
from retail_gym.model.store_visit import (
    store_utility,
    store_value,
    visit_probability,
    visit_propensity,
)
from retail_gym.model.unequal_quantity import household_rate, in_pairs
from retail_gym.model.utility import capped_utility
from retail_gym.model.visit_effects import opening_probability
from retail_gym.rng import Stage
from retail_gym.world.layers import MOST_LINES, HabitLayer
from retail_gym.world.noise import customer_words, noise_words, utility
from retail_gym.world.trip import drift, offered, trips, visit_effects
from retail_gym.world.world import World

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Places = NDArray[np.int16]

__all__ = [
    "LayerMemory",
    "Remembered",
    "empty_places",
    "has_layers",
    "layer_memory",
    "layered_week",
]

#: In a customer's memory of products: none yet.
NONE: Final = -1


class Remembered(Protocol):
    """What the memory of a store with layers holds besides, whichever kernel made it."""

    #: True. Asked for by itself: to ask whether there is a ``recent`` would make it, a copy.
    layered: ClassVar[bool]

    @property
    def drift(self) -> Floats | None:
        """Drift of the store utility, shape (U,); None without a VisitLayer."""
        ...

    @property
    def recent(self) -> Places | None:
        """Products bought last, newest first, by place in the category, shape (U, J, H).

        Negative: none yet. None without a HabitLayer.
        """
        ...


@dataclass(frozen=True)
class LayerMemory(PlainMemory):
    """What customers of a store with layers remember besides."""

    layered: ClassVar[bool] = True
    drift: Floats | None  # U: drift of the store utility, with a VisitLayer
    recent: Places | None  # U, J, H: products bought last (place in the category), HabitLayer


def has_layers(world: World) -> bool:
    """Whether weeks of a store go beyond the paper's."""
    return world.layers is not None and world.layers.config.change_decisions


def layer_memory(memory: Memory) -> Remembered:
    """What a memory of the week before holds of layers.

    Raises:
        ValueError: if it is of a store without layers.
    """
    if not getattr(memory, "layered", False):
        raise ValueError("a week of a store with layers follows a week with layers")
    return cast(Remembered, memory)


def empty_places(world: World, habit: HabitLayer, block: range | None = None) -> Places:
    """Nothing bought yet, shape (U, J, H); of customers outside a block the values mean nothing."""
    # Memory that nobody writes to costs nothing.
    places = np.empty((world.n_customers, world.n_categories, habit.memory), dtype=np.int16)
    places[slice(None) if block is None else slice(block.start, block.stop)] = NONE
    return places


def layered_week(
    world: World, memory: Memory, offer: Offer, episode_key: int, week: int
) -> tuple[Memory, Purchases]:
    """One week of a store with layers; see :class:`retail_gym.kernels.base.Kernel`.

    Raises:
        ValueError: for a memory of a store without layers after the first week.
    """
    assert world.layers is not None
    past = layer_memory(memory) if week > 1 else None
    probability_u, drift_u = _visits(world, memory, past, offer, episode_key, week)
    everybody = np.arange(world.n_customers)
    word_u = customer_words(episode_key, week, Stage.VISIT, everybody)
    visited_u = rng.uniform(word_u) < probability_u

    recent = None
    habit = world.layers.config.habit
    if habit is not None and (past is None or past.recent is None):
        recent = empty_places(world, habit)
    elif past is not None and past.recent is not None:
        recent = past.recent.copy()  # the old one belongs to snapshots
    visitors = np.flatnonzero(visited_u)
    effects = trips(world, episode_key, week, visitors)
    shelf = offered(world, week)
    store_value_u = np.zeros(world.n_customers)
    none = np.zeros(0, dtype=np.int64)
    lines: list[tuple[Ints, ...]] = [(none, none, none, none)]
    for row, u in enumerate(visitors):
        trip = _Trip(world, offer, episode_key, week, int(u), shelf, recent)
        effect = None if effects.category_uj is None else effects.category_uj[row]
        lines.append(trip.lines(effect, float(effects.basket_u[row])))
        store_value_u[u] = trip.store_value
    kept = LayerMemory(visited_u, probability_u, store_value_u, drift_u, recent)
    return kept, Purchases(*(np.concatenate(column) for column in zip(*lines, strict=True)))


def _visits(
    world: World, memory: Memory, past: Remembered | None, offer: Offer, key: int, week: int
) -> tuple[Floats, Floats | None]:
    """Visit probabilities and drifts of this week."""
    assert world.layers is not None
    layer = world.layers.config.visit
    if layer is None and week == 1:
        return np.ones(world.n_customers), None  # eq. 10
    utility_u = store_utility(
        world.gamma_store_0,
        world.gamma_store_1,
        world.gamma_store_2,
        memory.visited,
        memory.store_value if week > 1 else 0.0,
        offer.marketing_u,
    )
    drift_u = None
    if layer is not None:
        drift_u = drift(world, key, week, None if past is None else past.drift)
        utility_u = utility_u + visit_effects(world, key, week, drift_u)
        if week == 1:
            return opening_probability(utility_u, layer.opening), drift_u
    propensity_u = visit_propensity(utility_u)
    return visit_probability(world.theta, propensity_u, memory.visit_probability), drift_u


class _Trip:
    """One customer in the store."""

    def __init__(
        self,
        world: World,
        offer: Offer,
        key: int,
        week: int,
        u: int,
        shelf: NDArray[np.bool_] | None,
        recent: Places | None,
    ) -> None:
        assert world.layers is not None
        self._world, self._layers = world, world.layers
        self._key, self._week, self._u = key, week, u
        self._recent = recent
        row, group = np.array([u]), offer.group_u[u]
        word = noise_words(world, key, week, row)
        utility_ui = utility(world, row, word, offer.log_price_gi[group])
        utility_ui = capped_utility(utility_ui, offer.cap_g[group])
        if shelf is not None:
            utility_ui = shelf_utility(utility_ui, shelf)
        self._utility_i = utility_ui[0]
        self._gamma_prod_1_i = world.coefficients.rows(row).gamma_prod_1[0]
        self._value_j = category_value(utility_ui, world.category_sizes)
        self.store_value = float(store_value(self._value_j)[0])

    def _uniform(self, stage: Stage, items: int | Ints) -> Floats:
        """Draws of one stage, one per item."""
        key = rng.stream_key(self._key, self._week, stage, self._u)
        return rng.uniform(rng.words(key, rng.item_hash(items)))

    def lines(self, effect_j: Floats | None, basket_effect: float) -> tuple[Ints, ...]:
        """Purchases, by category: customer, category, product, quantity."""
        bought = self._categories(effect_j)
        number = self._numbers(bought, basket_effect)
        products = self._products(bought, number)
        found = np.array([len(some) for some in products], dtype=np.int64)
        category = np.repeat(bought, found)
        product = np.array([i for some in products for i in some], dtype=np.int64)
        place = np.arange(product.size) - np.repeat(np.cumsum(found) - found, found)
        quantity = self._quantities(category, place, product)
        return np.full(product.size, self._u), category, product, quantity

    def _categories(self, effect_j: Floats | None) -> Ints:
        world, basket = self._world, self._layers.config.basket
        gamma_0_j = world.gamma_cate_0 if effect_j is None else world.gamma_cate_0 + effect_j
        probability_j = category_probability(gamma_0_j, world.gamma_cate_1, self._value_j)[0]
        bought = np.flatnonzero(self._uniform(Stage.CATEGORY, world.n_categories) < probability_j)
        if basket is None or not basket.something or bought.size:
            return bought
        return np.array([one_category(probability_j, self._uniform(Stage.SOMETHING, 1)[0])])

    def _numbers(self, bought: Ints, basket_effect: float) -> Ints:
        """How many different products of each category are wanted."""
        further = self._layers.config.assortment
        if further is None:
            return np.ones(bought.size, dtype=np.int64)
        assert self._layers.further_j is not None
        rate = further_rate(self._layers.further_j[bought], further.basket_weight, basket_effect)
        wanted = rng.negative_binomial_quantile(
            self._uniform(Stage.FURTHER, bought), rate, further.size
        )
        most = np.minimum(self._world.category_sizes[bought], MOST_LINES)
        return np.minimum(1 + wanted, most)

    def _products(self, bought: Ints, number: Ints) -> list[list[int]]:
        """Different products of each category, in the order of choice."""
        widest = int(number.max(initial=1))
        items = MOST_LINES * bought[:, None] + np.arange(widest)  # one per category and place
        first = self._uniform(Stage.PRODUCT, bought)
        more = self._uniform(Stage.FURTHER_PRODUCT, items) if widest > 1 else None
        habit = self._layers.config.habit
        again = None if habit is None else self._uniform(Stage.HABIT, items)
        return [
            self._category_products(
                int(j),
                int(number[row]),
                np.append(first[row], [] if more is None else more[row, 1:]),
                None if again is None else again[row],
            )
            for row, j in enumerate(bought)
        ]

    def _category_products(
        self, j: int, number: int, draw_k: Floats, again_k: Floats | None
    ) -> list[int]:
        start, size = int(self._world.category_start[j]), int(self._world.category_sizes[j])
        utility_k = self._utility_i[start : start + size]
        habit = self._layers.config.habit
        # A repetition is of purchases before this trip.
        known = None if self._recent is None else self._recent[self._u, j].copy()
        chosen: list[int] = []
        for k in range(number):
            place = None
            if habit is not None and known is not None and again_k is not None:
                past = repeated_product(known, habit.repeat, again_k[k])
                if past is not None and past not in chosen and utility_k[past] > -np.inf:
                    place = past
            if place is None:
                place = choose_another(utility_k, chosen, draw_k[k])
            if place is None:
                break  # everything on the shelf is in the basket
            chosen.append(place)
            if self._recent is not None:
                own = self._recent[self._u, j]
                self._recent[self._u, j] = remember(own, place)
        return [start + place for place in chosen]

    def _quantities(self, category: Ints, place: Ints, product: Ints) -> Ints:
        rate = purchase_rate(
            self._world.gamma_prod_0[product],
            self._gamma_prod_1_i[product],
            self._utility_i[product],
        )
        draw = self._uniform(Stage.QUANTITY, category)
        if (later := place > 0).any():
            items = MOST_LINES * category[later] + place[later]
            draw[later] = self._uniform(Stage.FURTHER_QUANTITY, items)
        layer = self._layers.config.quantity
        if layer is None:
            return 1 + rng.poisson_quantile(draw, rate)
        assert self._layers.quantity_u is not None
        mean = household_rate(rate, self._layers.quantity_u[self._u])
        units = 1 + rng.negative_binomial_quantile(draw, mean, layer.size)
        if layer.pairs == 0.0:
            return units
        return in_pairs(
            units, self._uniform(Stage.PAIR, MOST_LINES * category + place), layer.pairs
        )
