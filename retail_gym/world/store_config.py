"""What a store is drawn from: the priors of every coefficient, the catalogue and the switches.

A :class:`StoreConfig` and a seed determine a :class:`~retail_gym.world.world.World` completely.
The presets are configurations; ``make_world("scenario", gamma_store_1=0.1)`` overrides a field.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from retail_gym.config import OPTIONAL, check_choice, check_finite, check_int
from retail_gym.model.price import discount_state_probability
from retail_gym.world.layers import Layers
from retail_gym.world.priors import Beta, Gumbel, Prior, as_prior

__all__ = ["CONCENTRATION", "FEATURES", "MARKETING", "Law", "PromotionPlan", "StoreConfig"]

#: a + b of the Beta laws of a (depth, frequency) policy: Appendix B's policies I-V all have it.
CONCENTRATION: Final = 100.0
#: How X_uit moves: a fresh mean and scale every week, or drawn once per customer and product.
FEATURES: Final = ("resampled", "persistent")
#: What X_ut^store is: random, the sum of discounts (eq. 19), or that plus last week's coupon.
MARKETING: Final = ("noise", "discount", "coupon")


Law = Beta | float | NDArray[np.float64]


def _law(what: str, value: Any, per_product: bool) -> Law | None:
    """A Beta law, one probability, or (transitions only) one probability per product."""
    if value is None or isinstance(value, Beta):
        return value
    if isinstance(value, Mapping):
        prior = as_prior(what, value)
        if isinstance(prior, Beta):
            return prior
        raise ValueError(f"{what} must be a Beta law, got {prior!r}")
    array = np.array(value, dtype=np.float64)
    allowed = "a Beta law, a share in [0, 1]" + (", or one per product" if per_product else "")
    if not (array.ndim == 0 or (per_product and array.ndim == 1)):
        raise ValueError(f"{what} must be {allowed}, got {value!r}")
    if not (np.isfinite(array).all() and (array >= 0).all() and (array <= 1).all()):
        raise ValueError(f"{what} must be {allowed}, got values outside")
    if array.ndim == 0:
        return float(array)
    array.flags.writeable = False
    return array


@dataclass(frozen=True, eq=False, repr=False)
class PromotionPlan:
    r"""A high-low discount process: transition laws of the discount state and law of the depth.

    Args:
        a01: law of the probability that a full-price product is discounted next week,
            :math:`a_{01}`: a Beta law (one draw per product and episode), one probability for
            all products, or one per product.
        a11: the same for a discounted product staying discounted, :math:`a_{11}`.
        depth: law of the discount of a discounted product, share of the base price in [0, 1]:
            a Beta law (one draw per product and week) or one depth for all.
            None in all three: nothing is ever discounted.

    Raises:
        ValueError: for probabilities outside [0, 1] or an incomplete plan.

    Source: paper eq. 13-15, Tables 1 and 4.
    """

    a01: Law | None
    a11: Law | None
    depth: Beta | float | None

    def __post_init__(self) -> None:
        if type(self.a01) is type(self.a11) is type(self.depth) is Beta:
            return
        for name in ("a01", "a11", "depth"):
            law = _law(name, getattr(self, name), per_product=name != "depth")
            object.__setattr__(self, name, law)
        missing = [n for n in ("a01", "a11", "depth") if getattr(self, n) is None]
        if len(missing) not in (0, 3):
            raise ValueError(f"a promotion plan needs a01, a11 and depth; {missing} missing")

    def __repr__(self) -> str:
        if self.depth is None:
            return "PromotionPlan.none()"
        a01, a11 = (
            f"<{law.size} values>" if isinstance(law, np.ndarray) else law
            for law in (self.a01, self.a11)
        )
        return f"PromotionPlan(a01={a01}, a11={a11}, depth={self.depth})"

    @property
    def mean_depth(self) -> float:
        """Mean discount of a discounted product."""
        if self.depth is None:
            return 0.0
        return self.depth.mean if isinstance(self.depth, Beta) else self.depth

    @property
    def frequency(self) -> float:
        r"""Long-run share of weeks in the discount state at the mean transition laws.

        .. math:: \pi_1 = a_{01} / (1 - a_{11} + a_{01})

        Source: Appendix B.
        """
        if self.a01 is None or self.a11 is None:
            return 0.0
        mean = (x.mean if isinstance(x, Beta) else x for x in (self.a01, self.a11))
        return float(np.mean(discount_state_probability(*mean)))

    @property
    def effective_discount(self) -> float:
        """Long-run mean discount offered: frequency times mean depth (Tables 1 and 4)."""
        return self.frequency * self.mean_depth

    @classmethod
    def from_mapping(cls, table: Mapping[str, Any]) -> PromotionPlan:
        """A plan of plain values, as read from JSON or TOML; an empty table is no promotion."""
        unknown = sorted(set(table) - {"a01", "a11", "depth"})
        if unknown:
            raise ValueError(f"a promotion plan takes a01, a11, depth, not {', '.join(unknown)}")
        return cls(table.get("a01"), table.get("a11"), table.get("depth"))

    @classmethod
    def none(cls) -> PromotionPlan:
        """Every product at its base price, always."""
        return cls(None, None, None)

    @classmethod
    def high_low(cls, depth: float, frequency: float) -> PromotionPlan:
        r"""The plan of mean depth d and discount-state probability f.

        .. math:: a_{01}, a_{11} \sim Beta(100 f, 100 (1-f)),\quad D \sim Beta(100 d, 100 (1-d))

        Args:
            depth: mean discount of a discounted product, in [0, 1).
            frequency: share of weeks in the discount state, in [0, 1).

        Returns:
            The plan; without discounts if either is 0.

        Source: Table 4; scenarios I-V are five such points.
        """
        depth = check_finite("depth", depth, 0.0, 1.0 - 1e-9)
        frequency = check_finite("frequency", frequency, 0.0, 1.0 - 1e-9)
        if depth == 0.0 or frequency == 0.0:
            return cls.none()
        share = Beta(CONCENTRATION * frequency, CONCENTRATION * (1.0 - frequency))
        return cls(share, share, Beta(CONCENTRATION * depth, CONCENTRATION * (1.0 - depth)))


#: A prior, or a number: a constant. Fields of this type hold a Prior once constructed.
PriorLike = Prior | float


@dataclass(frozen=True, eq=False)
class StoreConfig:
    """Every prior and switch of a store. Symbols, units and values: ``world/presets``.

    Numbers are accepted wherever a prior stands (a constant). Scope of each draw, in the
    paper's index letters: u customer, i product, j category, none for the whole store.

    Raises:
        ValueError: if a field is of the wrong kind or out of range; the message names it.
    """

    name: str
    category_sizes: tuple[int, ...]  # J: products in each category
    # Store visit, section 3.4
    gamma_store_0: PriorLike  # base utility
    gamma_store_1: PriorLike  # weight of last visit's store value
    gamma_store_2: PriorLike  # weight of the marketing feature
    theta: PriorLike  # u: inertia of the visit probability, [0, 1)
    # Category choice, section 3.3
    gamma_cate_0: PriorLike  # j: base utility
    gamma_cate_1: PriorLike  # j: weight of the category value
    # Product utility, section 3.1
    beta_x: PriorLike  # u, i: sensitivity to features X
    beta_z: PriorLike  # u, i: sensitivity to quality Z
    beta_u: PriorLike  # u: customer factor of price sensitivity
    beta_i: PriorLike  # i: product factor of price sensitivity
    c: float  # scale of price sensitivity
    eps: Gumbel  # u, i, week: noisy intercept
    # Prices, section 3.5
    alpha_0: PriorLike  # i: observed price component [$]
    alpha_1: PriorLike  # price weight of quality [$]
    quality_mean: PriorLike  # i (or j): location of Z before truncation at 0
    quality_sd: PriorLike  # i (or j): scale of Z before truncation at 0
    lowest_price: float  # [$]
    # Quantity, section 3.2
    gamma_prod_0: PriorLike  # i: baseline log rate
    gamma_prod_1: PriorLike  # u, i: weight of utility
    # Switches
    promotion: PromotionPlan  # the store's own discounts
    marketing: str  # one of MARKETING
    marketing_scale: float  # the feature is this times the mean discount
    clip_percentile: float = 100.0  # of utilities, [0, 100]; 100: no cap
    category_shift: float = 0.0  # added to every gamma_cate_0
    features: str = "resampled"  # one of FEATURES
    quality_scope: str = "product"  # or "category"
    n_customers: int = 100  # U
    layers: Layers | None = field(default=None, metadata=OPTIONAL)  # beyond the paper

    def __post_init__(self) -> None:
        def put(name: str, value: Any) -> None:
            object.__setattr__(self, name, value)

        for name in self.prior_names():
            put(name, as_prior(name, getattr(self, name)))
        put("eps", as_prior("eps", self.eps))
        if not isinstance(self.eps, Gumbel):
            raise ValueError(f"eps must be a Gumbel prior (the choice model's noise), {self.eps!r}")
        if isinstance(self.promotion, Mapping):
            put("promotion", PromotionPlan.from_mapping(self.promotion))
        if not isinstance(self.promotion, PromotionPlan):
            raise ValueError(f"promotion must be a PromotionPlan, got {self.promotion!r}")
        put("layers", Layers.read(self.layers))
        sizes = np.atleast_1d(np.asarray(self.category_sizes))
        if sizes.ndim != 1 or sizes.size == 0:
            raise ValueError("category_sizes must list the number of products of each category")
        put("category_sizes", tuple(check_int("category_sizes", n, 1) for n in sizes.tolist()))
        put("n_customers", check_int("n_customers", self.n_customers, 1))
        put("c", check_finite("c", self.c))
        put("category_shift", check_finite("category_shift", self.category_shift))
        put("lowest_price", check_finite("lowest_price", self.lowest_price, 1e-9))
        put("marketing_scale", check_finite("marketing_scale", self.marketing_scale, 0.0))
        put("clip_percentile", check_finite("clip_percentile", self.clip_percentile, 0.0, 100.0))
        check_choice("marketing", self.marketing, MARKETING)
        check_choice("features", self.features, FEATURES)
        check_choice("quality_scope", self.quality_scope, ("product", "category"))
        low, high = self.prior("theta").quantile(np.array([1e-9, 1.0 - 1e-9]))
        if low < 0.0 or high >= 1.0:
            raise ValueError(f"theta must lie in [0, 1), got {self.theta!r}")

    @classmethod
    def prior_names(cls) -> list[str]:
        """Names of the fields that are priors."""
        return [item.name for item in fields(cls) if item.type == "PriorLike"]

    def prior(self, name: str) -> Prior:
        """The prior of a symbol."""
        prior: Prior = getattr(self, name)
        return prior

    @property
    def n_products(self) -> int:
        """I, the number of products."""
        return sum(self.category_sizes)

    def override(self, **overrides: Any) -> StoreConfig:
        """Return a copy with other fields.

        Raises:
            TypeError: for a field that does not exist, naming the closest and all valid ones.
        """
        names = [item.name for item in fields(self)]
        for name in overrides:
            if name not in names:
                close = difflib.get_close_matches(name, names, n=1)
                hint = f" Did you mean {close[0]!r}?" if close else ""
                raise TypeError(
                    f"unknown store argument {name!r}.{hint} Valid arguments: {', '.join(names)}"
                )
        return replace(self, **overrides) if overrides else self
