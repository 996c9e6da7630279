"""Layers: what real households and baskets have and the paper's model lacks. Each is optional.

A store has a layer where its configuration says so, ``StoreConfig(layers=Layers(visit=...))``.
Without layers nothing of this is drawn or computed: the simulator is the paper's, bit for bit.
The equations are in ``retail_gym/model/``, what is drawn once in
:mod:`retail_gym.world.layer_draws`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Final

from retail_gym.config import OPTIONAL
from retail_gym.world.layer_fields import CORRELATION, SD, SHAPE, SHARE, Layer, PriorLike

__all__ = [
    "MOST_LINES",
    "AssortmentLayer",
    "AvailabilityLayer",
    "BasketLayer",
    "CatalogLayer",
    "DispersionLayer",
    "HabitLayer",
    "Layers",
    "QuantityLayer",
    "VisitLayer",
]

#: Different products of one category in one basket, at most (addresses of draws: 64 j + k).
MOST_LINES: Final = 64


@dataclass(frozen=True)
class CatalogLayer(Layer):
    """Categories and products whose appeal, size and price go together.

    Replaces the priors of ``gamma_cate_0``, ``z`` and ``alpha_0``. What is drawn are the figures
    of the *average customer* (medians of beta_u and beta_z) at base prices: the log-odds of a
    category, the popularity of a product and its price. The coefficients follow from them, so
    that prices act through beta_w and gamma_cate_1 as in the paper. Laws are met at stratified
    quantiles: one catalogue is as good a sample of them as another, and the value of a category
    or product depends on how many there are.

    Args:
        appeal: j, log-odds of the category.
        size_correlation: of the normal scores of appeal and of the number of products.
        popularity_sd: of a product's utility.
        popularity_skew: weight of the squared normal score, relative to the score's.
        log_price: log base price [log $], mean over products; ``Listed``: j, of a category's.
        price_category_sd: spread of log prices between categories.
        price_product_sd: spread of log prices within a category; ``Listed``: j (below 0: 0).
        price_appeal_correlation: of the category's part with its appeal.
        price_popularity_correlation: of the product's part with its popularity.
        price_product_skew: s in n + s (n^2 - 1), n the normal score of the product's part.
        price_narrowing: by how much the log of the spread within a category falls for each standard
            deviation of popularity: products that sell well have usual prices.
        price_reach: largest distance of a product's log price from its category's.
        popularity_lead: weight of the square of a positive normal score of popularity: how far the
            products that sell best are ahead; ``Listed``: j.
    """

    appeal: PriorLike
    size_correlation: float = 0.0
    popularity_sd: float = 1.0
    popularity_skew: float = 0.0
    log_price: PriorLike = 1.0
    price_category_sd: float = 0.0
    price_product_sd: PriorLike = 0.0
    price_appeal_correlation: float = 0.0
    price_popularity_correlation: float = 0.0
    price_product_skew: float = 0.0
    price_narrowing: float = 0.0
    price_reach: float = 10.0
    popularity_lead: PriorLike = 0.0
    ranges: ClassVar = {
        "size_correlation": CORRELATION, "popularity_sd": SD, "popularity_skew": (-1.0, 1.0),
        "price_category_sd": SD, "price_product_skew": (-1.0, 1.0),
        "price_narrowing": (-1.0, 1.0), "price_appeal_correlation": CORRELATION,
        "price_popularity_correlation": CORRELATION, "price_reach": SD,
    }  # fmt: skip


@dataclass(frozen=True)
class VisitLayer(Layer):
    """Customers who come often or seldom, and whose habits drift.

    Args:
        intercept: u, added to the store utility.
        drift_sd: stationary standard deviation of each customer's drift x_ut.
        drift_memory: its correlation from one week to the next.
        week_sd: standard deviation of what a week adds for everybody.
        opening: share of the visit probability in week 1, which the layer decides as any other
            (without the layer everybody visits in week 1, eq. 10).
    """

    intercept: PriorLike = 0.0
    drift_sd: float = 0.0
    drift_memory: float = 0.0
    week_sd: float = 0.0
    opening: float = 1.0
    ranges: ClassVar = {
        "drift_sd": SD, "drift_memory": (0.0, 0.9999), "week_sd": SD, "opening": SHARE,
    }  # fmt: skip


@dataclass(frozen=True)
class BasketLayer(Layer):
    """Customers and trips with large and small baskets, tastes, and complements.

    Args:
        size_sd: of the customer's basket effect eta_u on the log-odds of every category.
        visit_correlation: of its normal score with the visit intercept's.
        trip_sd: of the trip's effect z_ut.
        fill_in_share: median over customers of the probability of a fill-in trip.
        fill_in_spread: standard deviation of its log-odds over customers.
        fill_in_depth: how far a fill-in trip lowers the log-odds of every category.
        factors: K, of tastes (lasting, per customer) and of trips.
        taste_loading: j, k: weight of a customer's taste k in category j; one law for all
            factors, or a tuple with one for each (``Listed`` for estimates by category).
        trip_loading: j, k: weight of a trip's factor k in category j, likewise.
        affinity_sd: j, standard deviation over customers of their own liking of a category.
        affinity_spread: standard deviation of the log of that over categories.
        something: a trip that would buy nothing buys in one category.
    """

    size_sd: float = 0.0
    visit_correlation: float = 0.0
    trip_sd: float = 0.0
    fill_in_share: float = 0.0
    fill_in_spread: float = 0.0
    fill_in_depth: float = 0.0
    factors: int = 0
    taste_loading: PriorLike | tuple[PriorLike, ...] = 0.0
    trip_loading: PriorLike | tuple[PriorLike, ...] = 0.0
    affinity_sd: PriorLike = 0.0
    affinity_spread: float = 0.0
    something: bool = False
    ranges: ClassVar = {
        "size_sd": SD, "visit_correlation": CORRELATION, "trip_sd": SD,
        "fill_in_share": SHARE, "fill_in_spread": SD, "fill_in_depth": (-20.0, 20.0),
        "factors": (0, 64), "affinity_spread": SD,
    }  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("taste_loading", "trip_loading"):
            laws = getattr(self, name)
            if isinstance(laws, tuple) and len(laws) != self.factors:
                count = f"{len(laws)} laws for {self.factors} factors"
                raise ValueError(f"BasketLayer.{name} has {count}")
        if self.prior("affinity_sd").quantile(1e-9) < 0.0:
            raise ValueError(f"BasketLayer.affinity_sd must be at least 0, got {self.affinity_sd}")


@dataclass(frozen=True)
class AssortmentLayer(Layer):
    """Several different products of one category in a basket.

    Args:
        log_rate: j, log of the mean number of further products.
        size: r, of the gamma law of their rate: the smaller, the more unequal the baskets.
        basket_weight: of the customer's and the trip's basket effects in the log rate.
        appeal_correlation: of the rate with the category's appeal (needs a CatalogLayer).
    """

    log_rate: PriorLike
    size: float = 1.0
    basket_weight: float = 0.0
    appeal_correlation: float = 0.0
    ranges: ClassVar = {
        "size": SHAPE, "basket_weight": (-5.0, 5.0), "appeal_correlation": CORRELATION,
    }  # fmt: skip


@dataclass(frozen=True)
class QuantityLayer(Layer):
    """Quantities more unequal than a Poisson law's.

    Args:
        size: r, of the gamma law of the rate.
        customer_sd: of the log of a customer's factor of the rate, whose mean is 1.
        log_rate: j, log rate of a product at its category's price that the average customer meets
            at its base price; replaces gamma_prod_0. By default gamma_prod_0 stays.
        appeal_correlation: of the rate with the category's appeal.
            Like a log_rate it needs a CatalogLayer.
        price_weight: by how much the log rate of a product falls for each unit of its log base
            price above its category's: of dear products one buys one.
        pairs: probability that an odd number above 1 becomes the even one below.
    """

    size: float = 1.0
    customer_sd: float = 0.0
    log_rate: PriorLike | None = None
    appeal_correlation: float = 0.0
    price_weight: float = 0.0
    pairs: float = 0.0
    ranges: ClassVar = {
        "size": SHAPE, "customer_sd": SD, "appeal_correlation": CORRELATION, "pairs": SHARE,
        "price_weight": (-5.0, 5.0),
    }  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.price_weight and self.log_rate is None:
            raise ValueError("QuantityLayer: a price_weight needs a log_rate")


@dataclass(frozen=True)
class HabitLayer(Layer):
    """Customers who buy again what they bought before.

    Args:
        repeat: probability that a product is not chosen anew but taken from memory.
        memory: products of each category that a customer remembers: those bought last.
    """

    repeat: float
    memory: int = 16
    ranges: ClassVar = {"repeat": SHARE, "memory": (1, 64)}


@dataclass(frozen=True)
class AvailabilityLayer(Layer):
    """Products that are on the shelf only part of the year.

    Args:
        seasonal: share of the products with a window; the first of each category has none.
        shortest: length of the shortest window [weeks].
        longest: length of the longest [weeks].
        cycle: weeks after which a window comes again.
    """

    seasonal: float
    shortest: int = 4
    longest: int = 39
    cycle: int = 52
    ranges: ClassVar = {
        "seasonal": SHARE, "shortest": (1, 10_000), "longest": (1, 10_000), "cycle": (1, 10_000),
    }  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.shortest <= self.longest <= self.cycle:
            found = f"{self.shortest}, {self.longest}, {self.cycle}"
            raise ValueError(f"AvailabilityLayer needs shortest <= longest <= cycle, got {found}")


@dataclass(frozen=True)
class DispersionLayer(Layer):
    """What is paid for a product varies from week to week around its shelf price.

    Local prices, sizes of packs, weights: the price paid and the base price of a purchase carry a
    factor of the product and week, which customers do not answer. Its mean is 1.

    Args:
        sd: i, standard deviation of the factor's log.
        most: a larger one counts as this.
    """

    sd: PriorLike
    most: float = 0.6
    ranges: ClassVar = {"most": (0.0, 1.0)}


@dataclass(frozen=True)
class Layers:
    """The layers of a store; None: the paper's model as it is.

    Raises:
        ValueError: for a layer of the wrong kind, or one that needs a CatalogLayer and has none.
    """

    catalog: CatalogLayer | None = field(default=None, metadata=OPTIONAL)
    visit: VisitLayer | None = field(default=None, metadata=OPTIONAL)
    basket: BasketLayer | None = field(default=None, metadata=OPTIONAL)
    assortment: AssortmentLayer | None = field(default=None, metadata=OPTIONAL)
    quantity: QuantityLayer | None = field(default=None, metadata=OPTIONAL)
    habit: HabitLayer | None = field(default=None, metadata=OPTIONAL)
    availability: AvailabilityLayer | None = field(default=None, metadata=OPTIONAL)
    dispersion: DispersionLayer | None = field(default=None, metadata=OPTIONAL)

    def __post_init__(self) -> None:
        for name, cls in _KINDS.items():
            value = getattr(self, name)
            if isinstance(value, Mapping):
                value = _read(name, cls, value)
                object.__setattr__(self, name, value)
            if value is not None and not isinstance(value, cls):
                raise ValueError(f"layer {name} must be a {cls.__name__}, got {value!r}")
        for name in ("assortment", "quantity"):
            layer = getattr(self, name)
            if layer is None or self.catalog is not None:
                continue
            if layer.appeal_correlation or (name == "quantity" and layer.log_rate is not None):
                raise ValueError(
                    f"layer {name}: appeal_correlation or log_rate needs a CatalogLayer"
                )

    @classmethod
    def read(cls, value: Any) -> Layers | None:
        """Layers, None, or plain values as read from JSON or TOML.

        Raises:
            ValueError: for anything else, or an unknown layer, naming the layers there are.
        """
        if value is None or isinstance(value, Layers):
            return value
        if not isinstance(value, Mapping):
            raise ValueError(f"layers must be a Layers object or a table of layers, got {value!r}")
        table = dict(value)
        unknown = sorted(set(table) - set(_KINDS))
        if unknown:
            raise ValueError(f"unknown layer {', '.join(unknown)}: choose from {', '.join(_KINDS)}")
        return cls(**table)

    @property
    def change_decisions(self) -> bool:
        """Whether customers decide otherwise than in the paper.

        A catalogue alone only draws another store, dispersion alone moves prices they do not see.
        """
        without = ("catalog", "dispersion")
        return any(getattr(self, name) is not None for name in _KINDS if name not in without)


_KINDS: Final[dict[str, type[Layer]]] = {
    "catalog": CatalogLayer,
    "visit": VisitLayer,
    "basket": BasketLayer,
    "assortment": AssortmentLayer,
    "quantity": QuantityLayer,
    "habit": HabitLayer,
    "availability": AvailabilityLayer,
    "dispersion": DispersionLayer,
}


def _read(name: str, cls: type[Layer], table: Mapping[str, Any]) -> Layer:
    names = [item.name for item in fields(cls)]  # type: ignore[arg-type]
    unknown = sorted(set(table) - set(names))
    if unknown:
        raise ValueError(
            f"layer {name} has no {', '.join(unknown)}: choose from {', '.join(names)}"
        )
    try:
        return cls(**table)
    except TypeError as error:
        raise ValueError(f"layer {name}: {error}") from None
