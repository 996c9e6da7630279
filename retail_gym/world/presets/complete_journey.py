"""A store of real households: the layers at a first calibration to Complete Journey.

A draft, not among the presets: its distributions come from a search on the 1,728 train
households for a model without price response (fuel-free, 53 weeks); here they stand on utilities
and prices, with a price response set by hand. ``python -m experiments.realism`` measures both.

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
            appeal=MinGumbel(-3.49927, 2.10890),
            size_correlation=0.77,  # by hand
            popularity_sd=1.77792,
            popularity_skew=-0.06189,
            log_price=1.55943,
            price_category_sd=0.60987,
            price_product_sd=0.48483,
            price_appeal_correlation=-0.48196,
            price_popularity_correlation=-0.51701,
        ),
        visit=VisitLayer(
            intercept=LogitBeta(1.099, 0.968),
            drift_sd=0.963,
            drift_memory=0.9525,
            week_sd=0.03,  # by hand
            opening=0.235,  # by hand: the data's first week is one day
        ),
        basket=BasketLayer(
            size_sd=0.76862,
            visit_correlation=0.77046,
            trip_sd=0.88707,
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
            log_rate=Normal(-1.86588, 0.49740),
            size=0.52425,
            basket_weight=0.25914,
            appeal_correlation=0.75,  # by hand
        ),
        quantity=QuantityLayer(
            size=0.79037,
            customer_sd=0.75407,
            log_rate=Normal(-0.97961, 0.31610),
            appeal_correlation=0.25,  # by hand
        ),
        habit=HabitLayer(repeat=0.46357),
        availability=AvailabilityLayer(seasonal=0.60957),
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
        # Set by hand, to be calibrated: the response to prices.
        c=-2.8,
        beta_u=TruncatedNormal(-1.0, 0.3, -math.inf, 0.0),
        beta_i=TruncatedNormal(-1.0, 0.35, -math.inf, 0.0),
        gamma_cate_1=0.2,
        gamma_prod_1=0.15,
        promotion=PromotionPlan(Beta(2.0, 3.5), Beta(2.0, 2.0), Beta(2.01, 5.55)),
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
