"""The world: everything that is drawn once per store, as frozen arrays."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from retail_gym.config import check_choice, check_finite, check_int
from retail_gym.model.category_choice import category_start
from retail_gym.world import reference
from retail_gym.world.layer_draws import DrawnLayers, draw_layers
from retail_gym.world.layered_catalog import draw_store_catalog
from retail_gym.world.population import (
    Coefficients,
    DrawnCoefficients,
    by_sensitivity,
    draw_coefficients,
    draw_customers,
    worth_storing,
)
from retail_gym.world.presets import load_config, shipped_reward_scale
from retail_gym.world.store_config import PromotionPlan, StoreConfig

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Ints = NDArray[np.int64]
Number = TypeVar("Number", bound=np.generic)

__all__ = ["MEMORY_GIB", "World", "build_world", "make_world"]

#: Room for coefficients per customer and product: about 8,000 customers at the paper's scale.
MEMORY_GIB: Final = 4.0


def _frozen(array: NDArray[Number]) -> NDArray[Number]:
    array.flags.writeable = False
    return array


@dataclass(frozen=True, eq=False, repr=False)
class World:
    """A store: catalogue, customers and coefficients. Immutable; its copy is itself.

    Index letters: u customer (U), i product (I), j category (J). Products are ordered by
    category. Every array is read-only.
    """

    name: str
    seed: int  # of coefficients, reference sample and reward scale
    category_sizes: Ints  # J: products in each category
    # Store visit
    gamma_store_0: float
    gamma_store_1: float
    gamma_store_2: float
    theta: Floats  # U: inertia, [0, 1)
    # Category choice
    gamma_cate_0: Floats  # J, the shift included
    gamma_cate_1: Floats  # J
    # Product utility
    coefficients: Coefficients | DrawnCoefficients  # per customer and product, (U, I)
    c: float
    beta_u: Floats  # U, < 0
    beta_i: Floats  # I, < 0
    z: Floats  # I, unobserved quality, >= 0
    eps_loc: float
    eps_scale: float
    # Prices
    alpha_0: Floats  # I [$]
    alpha_1: float  # [$]
    base_price: Floats  # I [$]
    lowest_price: float  # [$]
    # Quantity
    gamma_prod_0: Floats  # I
    # The store's ways
    promotion: PromotionPlan  # its own discounts, where no agent decides
    marketing: str  # what the marketing feature is: noise, discount or coupon
    marketing_scale: float  # times the mean discount
    cap_reference: reference.CapReference
    stored_reward_scale: float | None = None
    layers: DrawnLayers | None = None  # beyond the paper

    def __post_init__(self) -> None:
        self._freeze()

    def _freeze(self) -> None:
        parts = (self, self.cap_reference, self.coefficients, self.layers)
        for item in (value for part in parts if part for value in vars(part).values()):
            if isinstance(item, np.ndarray):
                item.flags.writeable = False

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)  # pickling drops the read-only flags
        self._freeze()

    def __copy__(self) -> World:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> World:
        return self

    def __repr__(self) -> str:
        return (
            f"World({self.name!r}, seed={self.seed}, customers={self.n_customers}, "
            f"products={self.n_products}, categories={self.n_categories})"
        )

    @property
    def n_customers(self) -> int:
        """U."""
        return int(self.beta_u.size)

    @property
    def n_products(self) -> int:
        """I."""
        return int(self.beta_i.size)

    @property
    def n_categories(self) -> int:
        """J."""
        return int(self.category_sizes.size)

    @property
    def beta_x(self) -> Floats32:
        """Sensitivity to features, shape (U, I)."""
        return self._stored().beta_x

    @property
    def beta_z(self) -> Floats32:
        """Sensitivity to quality, shape (U, I)."""
        return self._stored().beta_z

    @property
    def gamma_prod_1(self) -> Floats32:
        """Weight of utility in the quantity, shape (U, I)."""
        return self._stored().gamma_prod_1

    @property
    def feature_mean(self) -> Floats32 | None:
        """Lasting means of features, shape (U, I); None: features are resampled every week."""
        return self._stored().feature_mean

    @property
    def feature_scale(self) -> Floats32 | None:
        """Lasting scales of features, shape (U, I), >= 0; None likewise."""
        return self._stored().feature_scale

    def _stored(self) -> Coefficients:
        if isinstance(self.coefficients, DrawnCoefficients):
            raise ValueError(
                f"the coefficients of {self.n_customers:,} customers are not stored: ask for "
                "some customers', world.coefficients.rows(customers), or make the world with a "
                "larger memory_gib"
            )
        return self.coefficients

    @cached_property
    def category_start(self) -> Ints:
        """First product of each category, shape (J,)."""
        return _frozen(category_start(self.category_sizes))

    @cached_property
    def category_of_product(self) -> Ints:
        """Category of each product, shape (I,)."""
        return _frozen(np.repeat(np.arange(self.n_categories), self.category_sizes))

    @cached_property
    def log_base_price(self) -> Floats:
        """Log of the base prices [log $], shape (I,)."""
        return _frozen(np.log(self.base_price))

    @cached_property
    def reward_scale(self) -> float:
        """R0: expected revenue of one week at base prices if everybody visits [$]."""
        if self.stored_reward_scale is not None:
            return self.stored_reward_scale
        return reference.reward_scale(self)

    def segment_customers(self, n_segments: int) -> list[Ints]:
        r"""Split the customers by price sensitivity, the most sensitive first.

        Args:
            n_segments: number of segments, 1..U.

        Returns:
            Customer numbers of each segment: ``array_split`` of the customers sorted by
            :math:`\\bar\\beta^w_u = c\\,\\beta_u\\,\\bar\\beta_i`.

        Raises:
            ValueError: if there are fewer customers than segments.
        """
        n = check_int("segments", n_segments, 1, self.n_customers)
        return np.array_split(by_sensitivity(self.c, self.beta_u, self.beta_i), n)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the world to one ``.npz`` file, whole or not at all.

        Raises:
            OSError: if the folder cannot be written to or is full.
        """
        from retail_gym.world.storage import save_world

        return save_world(self, path)

    @staticmethod
    def load(path: str | os.PathLike[str]) -> World:
        """Read a world written by :meth:`save`.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if the file is damaged, foreign or of another schema version.
        """
        from retail_gym.world.storage import load_world

        return load_world(path)

    @staticmethod
    def from_arrays(arrays: Mapping[str, Any], **settings: Any) -> World:
        """Make a world of given arrays instead of drawing one.

        Args:
            arrays: parameters by the paper's names: ``category_sizes``, ``beta_x``, ``beta_z``,
                ``beta_u``, ``beta_i``, ``c``, ``Z``, ``alpha_0``, ``alpha_1``, ``base_price``
                (optional), ``gamma_cate_0``, ``gamma_cate_1``, ``gamma_store_0`` to ``_2``,
                ``theta``, ``gamma_prod_0``, ``gamma_prod_1``, ``clip_percentile``; optionally
                ``lowest_price``, a promotion process ``a01``, ``a11``,
                ``discount_alpha_beta``, and lasting features ``feature_mean``,
                ``feature_scale``.
            **settings: ``name``, ``seed``, ``marketing``, ``marketing_scale`` (default: the
                number of products), ``eps`` (location and scale).

        Raises:
            ValueError: if an array is missing, unknown, of the wrong shape, not finite or out of
                range. Base prices below ``lowest_price`` are raised to it.
        """
        from retail_gym.world.arrays import world_from_arrays

        valid = ("name", "seed", "marketing", "marketing_scale", "eps")
        for name in settings:
            check_choice("setting of World.from_arrays", name, valid)
        return world_from_arrays(arrays, **settings)


def build_world(config: StoreConfig, seed: int = 0, memory_gib: float = MEMORY_GIB) -> World:
    """Draw a world from its configuration.

    Args:
        config: priors and switches.
        seed: world seed, 0 <= seed < 2**63. The same seed gives the same customers whatever
            their number.
        memory_gib: coefficients per customer and product are stored if they take no more than
            this [GiB] (constants of a large store never), else drawn again whenever they are
            needed: the same numbers, the same sales, more arithmetic, no memory.

    Returns:
        The world.
    """
    seed = check_int("world seed", seed, 0, 2**63 - 1)
    catalog = draw_store_catalog(config, seed)
    customers = np.arange(config.n_customers)
    stored = worth_storing(config, check_finite("memory_gib", memory_gib, 0.0))
    return World(
        name=config.name,
        seed=seed,
        category_sizes=np.asarray(config.category_sizes, dtype=np.int64),
        gamma_store_0=catalog.gamma_store_0,
        gamma_store_1=catalog.gamma_store_1,
        gamma_store_2=catalog.gamma_store_2,
        theta=draw_customers(config.prior("theta"), seed, "theta", customers),
        gamma_cate_0=catalog.gamma_cate_0,
        gamma_cate_1=catalog.gamma_cate_1,
        coefficients=draw_coefficients(config, seed, customers, config.n_products)
        if stored
        else DrawnCoefficients(config, seed),
        c=config.c,
        beta_u=draw_customers(config.prior("beta_u"), seed, "beta_u", customers),
        beta_i=catalog.beta_i,
        z=catalog.z,
        eps_loc=config.eps.loc,
        eps_scale=config.eps.scale,
        alpha_0=catalog.alpha_0,
        alpha_1=catalog.alpha_1,
        base_price=catalog.base_price,
        lowest_price=config.lowest_price,
        gamma_prod_0=catalog.gamma_prod_0,
        promotion=config.promotion,
        marketing=config.marketing,
        marketing_scale=config.marketing_scale,
        cap_reference=reference.draw_cap_reference(config, seed, catalog),
        stored_reward_scale=shipped_reward_scale(config, seed),
        layers=draw_layers(config, seed),
    )


@lru_cache(maxsize=4)
def _built(key: str, seed: int, config_text: str, memory_gib: float) -> World:
    from retail_gym.world.storage import config_from_json

    return build_world(config_from_json(config_text), seed, memory_gib)


def make_world(
    preset: str | os.PathLike[str] | StoreConfig | World,
    seed: int = 0,
    *,
    memory_gib: float = MEMORY_GIB,
    **overrides: Any,
) -> World:
    """Make a world from a preset, a file or a configuration.

    Args:
        preset: a name (see :func:`retail_gym.preset_names`), a path to a ``.toml`` configuration or
            to a ``.npz`` world, a :class:`StoreConfig`, or a :class:`World` (returned as it is).
        seed: world seed: another seed is another store with the same priors.
        memory_gib: room for coefficients per customer and product [GiB]; of a population that
            needs more they are drawn again week by week (see :func:`build_world`).
        **overrides: fields of :class:`StoreConfig`, e.g. ``n_customers=1000``; a number where
            a prior stands is a constant.

    Returns:
        The world. The last few built are kept, so asking again is free.

    Raises:
        ValueError: for an unknown preset or a value out of range.
        TypeError: for an unknown override; both name the valid choices.
    """
    from retail_gym.world.storage import config_to_json

    if isinstance(preset, str | os.PathLike) and str(preset).endswith(".npz"):
        preset = World.load(preset)
    if isinstance(preset, World):
        if seed not in (0, preset.seed):
            raise ValueError(f"a World keeps its seed {preset.seed}; seed={seed} was asked for")
        if overrides:
            raise TypeError(
                f"a World is complete: {', '.join(overrides)} cannot be overridden. "
                "Override fields of the preset or configuration it is made from"
            )
        return preset
    config = preset if isinstance(preset, StoreConfig) else load_config(preset)
    config = config.override(**overrides)
    text = config_to_json(config)
    seed = check_int("world seed", seed, 0, 2**63 - 1)
    return _built(config.name, seed, text, check_finite("memory_gib", memory_gib, 0.0))
