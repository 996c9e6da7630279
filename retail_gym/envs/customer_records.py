"""What a retailer's records say about each customer: nine figures, and where they come from.

The figures are those of RetailSynth-AgentSim (arXiv 2405.10469). They are made of purchase lines,
coupons sent, the coming week's shelf prices and the two features that the model calls observed;
never of coefficients, utilities or probabilities.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from retail_gym import rng
from retail_gym.model.store_visit import marketing_feature
from retail_gym.outcome import WeekOutcome
from retail_gym.world.noise import customer_words, features, noise_words
from retail_gym.world.world import World

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]

__all__ = [
    "CUSTOMER_FEATURES",
    "CustomerRecords",
    "coming_week",
    "customer_space",
    "mean_product_feature",
]

#: Name, lower and upper bound of each figure.
CUSTOMER_FEATURES: Final = (
    ("units", 0.0, 10_000.0),  # bought last week
    ("shelf_price", 0.0, 1e6),  # mean over products in the coming week [$]
    ("marketing", -50.0, 50.0),  # marketing intensity of the coming week
    ("product_feature", -50.0, 50.0),  # mean over products of X_uit in the coming week
    ("mean_price", 0.0, 1e6),  # shelf price of lines bought so far [$]
    ("mean_discount", 0.0, 1.0),  # shelf discount of lines bought so far
    ("purchase_share", 0.0, 1.0),  # weeks with a purchase / weeks
    ("units_per_purchase", 0.0, 10_000.0),  # units in a week with a purchase
    ("mean_redeemed_coupon", 0.0, 1.0),  # coupon of lines bought with one
)
#: Customers at a time when the features of all products are averaged, so that memory stays small.
_BLOCK: Final = 256


def customer_space(n_customers: int) -> spaces.Box[np.float32]:
    """Space of the figures of all customers, shape (U, 9)."""
    low = np.array([low for _, low, _ in CUSTOMER_FEATURES], dtype=np.float32)
    high = np.array([high for _, _, high in CUSTOMER_FEATURES], dtype=np.float32)
    shape = (n_customers, low.size)
    return spaces.Box(
        np.broadcast_to(low, shape).copy(),
        np.broadcast_to(high, shape).copy(),
        dtype=np.float32,
    )


def coming_week(
    world: World,
    episode_key: int,
    week: int,
    discount_i: Floats,
    price_i: Floats,
    last_coupon_u: Floats,
    product_feature_u: Floats,
) -> Floats:
    """What a retailer knows of the coming week before it sends coupons.

    Args:
        world: the store.
        episode_key: the episode's randomness.
        week: the coming week, counted from 1.
        discount_i: its shelf discounts, shape (I,).
        price_i: its shelf prices [$], shape (I,).
        last_coupon_u: coupons of the week before, shape (U,).
        product_feature_u: :func:`mean_product_feature` of the week, shape (U,).

    Returns:
        Mean shelf price [$], marketing intensity (the model's feature, divided by
        ``marketing_scale`` where it is a sum of discounts) and the product feature, shape (U, 3).
    """
    if world.marketing == "noise":
        customers = np.arange(world.n_customers)
        marketing_u = features(customer_words(episode_key, week, rng.Stage.MARKETING, customers))
    else:
        last_u = last_coupon_u if world.marketing == "coupon" else np.zeros(world.n_customers)
        marketing_u = marketing_feature(discount_i, 1.0, last_u)
    shelf_u = np.full(world.n_customers, price_i.mean())
    return np.stack([shelf_u, marketing_u, product_feature_u], axis=1)


def mean_product_feature(world: World, episode_key: int, week: int) -> Floats:
    """Mean over products of each customer's observed features X_uit in a week, shape (U,)."""
    mean_u = np.empty(world.n_customers)
    for first in range(0, world.n_customers, _BLOCK):
        rows = np.arange(first, min(first + _BLOCK, world.n_customers))
        word = noise_words(world, episode_key, week, rows)
        if world.feature_mean is None or world.feature_scale is None:
            x_ui = features(word)
        else:
            x_ui = features(word, world.feature_mean[rows], world.feature_scale[rows])
        mean_u[rows] = x_ui.mean(axis=1)
    return mean_u


@dataclass(frozen=True)
class CustomerRecords:
    """Purchases of each customer so far; immutable, a week makes another."""

    weeks: int
    last_units: Floats  # U: units of the last week
    purchase_weeks: Floats  # U: weeks with a purchase
    units: Floats  # U
    lines: Floats  # U: purchase lines
    price: Floats  # U: sum over lines of the shelf price [$]
    discount: Floats  # U: sum over lines of the shelf discount
    coupon_lines: Floats  # U: lines bought with a coupon above 0
    coupon: Floats  # U: sum over those lines of the coupon

    @staticmethod
    def empty(n_customers: int) -> CustomerRecords:
        """Before the first week."""
        return CustomerRecords(0, *(np.zeros(n_customers) for _ in range(8)))

    def after(self, outcome: WeekOutcome, price_i: Floats) -> CustomerRecords:
        """The records after a week.

        Args:
            outcome: what happened.
            price_i: the week's shelf prices, before coupons [$], shape (I,).
        """
        lines, n = outcome.lines, outcome.n_customers
        shelf = price_i[lines.product]

        def total(values: Floats) -> Floats:
            sums = np.bincount(lines.customer, weights=values, minlength=n)
            return np.asarray(sums, dtype=np.float64)

        units = total(lines.quantity.astype(np.float64))
        line_coupon = outcome.coupon[lines.customer]
        return CustomerRecords(
            self.weeks + 1,
            units,
            self.purchase_weeks + (units > 0),
            self.units + units,
            self.lines + total(np.ones(lines.customer.size)),
            self.price + total(shelf),
            self.discount + total(1.0 - shelf / outcome.base_price),
            self.coupon_lines + total((line_coupon > 0).astype(np.float64)),
            self.coupon + total(line_coupon),
        )

    def observation(self, coming: Floats) -> Floats32:
        """The nine figures of every customer, clipped to their bounds, shape (U, 9).

        Means of customers without a purchase (or without a redeemed coupon) are the mean over
        the customers who have one, 0 if nobody has.

        Args:
            coming: :func:`coming_week`, shape (U, 3).
        """
        columns = [
            self.last_units,
            *coming.T,
            _mean(self.price, self.lines),
            _mean(self.discount, self.lines),
            self.purchase_weeks / max(self.weeks, 1),
            _ratio(self.units, self.purchase_weeks),
            _mean(self.coupon, self.coupon_lines),
        ]
        low = np.array([low for _, low, _ in CUSTOMER_FEATURES])
        high = np.array([high for _, _, high in CUSTOMER_FEATURES])
        shown: Floats32 = np.clip(np.stack(columns, axis=1), low, high).astype(np.float32)
        return shown


def _ratio(total_u: Floats, count_u: Floats) -> Floats:
    return np.divide(total_u, count_u, out=np.zeros_like(total_u), where=count_u > 0)


def _mean(total_u: Floats, count_u: Floats) -> Floats:
    """Mean of each customer; of the customers who have one where there is none."""
    mean_u, known = _ratio(total_u, count_u), count_u > 0
    if known.any():
        mean_u[~known] = mean_u[known].mean()
    return mean_u
