"""A store of real households: the layers at a first calibration to Complete Journey.

A draft, not among the presets. Its starting point is a search on the 1,728 train households for
a model of the same layers without price response; here they stand on utilities and prices, and
what moved with that was set again by hand on train households ("by hand" below). What it scores:
``python -m experiments.household_layers``. Fuel-free; petrol is
:class:`retail_gym.data.Fuel`, beside the store.

The catalogue has the sizes of all 302 categories in the data's product list, products that
nobody bought included (32,329 after merging equal descriptions, petrol left out).
"""

from __future__ import annotations

import csv
import math
from importlib import resources
from typing import Final

from retail_gym.world.layers import (
    AssortmentLayer,
    AvailabilityLayer,
    BasketLayer,
    CatalogLayer,
    HabitLayer,
    Layers,
    QuantityLayer,
    VisitLayer,
)
from retail_gym.world.priors import (
    Beta,
    Gumbel,
    Laplace,
    LogitBeta,
    MinGumbel,
    Normal,
    TruncatedNormal,
)
from retail_gym.world.store_config import PromotionPlan, StoreConfig

FACTORS: Final = 4  # of tastes and of trips
SPREAD: Final = math.sqrt(FACTORS)


def category_sizes() -> tuple[int, ...]:
    """Products of each category, bought or not, by the category's name."""
    text = resources.files(__package__).joinpath("catalogue_sizes.csv").read_text(encoding="utf-8")
    return tuple(int(row["n_products"]) for row in csv.DictReader(text.splitlines()))


def layers() -> Layers:
    """The layers; values of the search unless a comment says otherwise."""
    return Layers(
        catalog=CatalogLayer(
            appeal=MinGumbel(-3.54, 2.10890),  # location by hand
            size_correlation=0.77,  # by hand
            popularity_sd=1.77792,
            popularity_skew=-0.06189,
            log_price=1.415,  # by hand: here the mean over products
            price_category_sd=0.60987,
            price_product_sd=0.48483,
            price_appeal_correlation=-0.48196,
            price_popularity_correlation=-0.51701,
        ),
        visit=VisitLayer(
            intercept=LogitBeta(1.099, 0.968),
            drift_sd=1.0,  # by hand
            drift_memory=0.9525,
            week_sd=0.03,  # by hand
            opening=0.235,  # by hand: the data's first week is one day
        ),
        basket=BasketLayer(
            size_sd=0.72,  # by hand
            visit_correlation=0.68,  # by hand
            trip_sd=0.92,  # by hand
            fill_in_share=0.41930,
            fill_in_spread=0.29613,
            fill_in_depth=0.69619,
            factors=FACTORS,
            taste_loading=Laplace(0.0, 1.16607 / SPREAD),
            trip_loading=Laplace(0.0, 0.18234 / SPREAD),
            affinity_sd=0.73851,
            affinity_spread=0.53787,
            something=True,
        ),
        assortment=AssortmentLayer(
            log_rate=Normal(-1.90, 0.49740),  # mean by hand
            size=0.52425,
            basket_weight=0.25914,
            appeal_correlation=0.75,  # by hand
        ),
        quantity=QuantityLayer(
            size=0.79037,
            customer_sd=0.75407,
            log_rate=Normal(-1.04, 0.31610),  # mean by hand
            appeal_correlation=0.25,  # by hand
        ),
        habit=HabitLayer(repeat=0.69),  # by hand: memory is of 16 purchases
        availability=AvailabilityLayer(seasonal=0.70),  # by hand
    )


def config() -> StoreConfig:
    """The store, 2,469 households."""
    return StoreConfig(
        name="complete_journey",
        category_sizes=category_sizes(),
        n_customers=2_469,
        layers=layers(),
        # Store visits: the layer decides; prices do not yet move them.
        gamma_store_0=0.0,
        gamma_store_1=0.0,
        gamma_store_2=0.0,
        theta=0.0,
        marketing="discount",
        marketing_scale=32_329.0,
        # By hand: the response of merged products to their price, and discounts of purchases.
        c=-2.0,
        beta_u=TruncatedNormal(-1.0, 0.3, -math.inf, 0.0),
        beta_i=TruncatedNormal(-1.0, 0.35, -math.inf, 0.0),
        gamma_cate_1=0.2,
        gamma_prod_1=0.15,
        promotion=PromotionPlan(Beta(2.0, 3.9), Beta(2.0, 2.0), Beta(2.0, 6.75)),
        # No further noise on utilities than the choice itself.
        beta_x=0.0,
        beta_z=1.0,
        eps=Gumbel(0.0, 0.1),
        # Replaced by the catalogue of the layers.
        gamma_cate_0=0.0,
        alpha_0=0.0,
        alpha_1=0.0,
        quality_mean=0.0,
        quality_sd=1.0,
        gamma_prod_0=0.0,
        lowest_price=0.01,
    )
