"""A small planted store, and the table of a run of it."""

from __future__ import annotations

import pytest

from retail_gym.calibration.blocks import simulate_store
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
from retail_gym.world.presets import load_config
from retail_gym.world.priors import Beta, Gumbel, LogitBeta, Normal, TruncatedNormal
from retail_gym.world.store_config import PromotionPlan

SIZES = (9, 4, 12, 6, 3, 8, 5, 7)
WEEKS = 20


def planted_config(**overrides):
    """Eight categories; every layer."""
    layers = Layers(
        catalog=CatalogLayer(
            appeal=Normal(-1.0, 0.8), popularity_sd=1.0, log_price=1.0, price_product_sd=0.4
        ),
        visit=VisitLayer(LogitBeta(1.5, 1.2), drift_sd=0.8, drift_memory=0.9, opening=0.5),
        basket=BasketLayer(
            size_sd=0.5, visit_correlation=0.5, trip_sd=0.5, fill_in_share=0.3, fill_in_depth=1.0,
            factors=2, taste_loading=Normal(0.0, 0.5), trip_loading=Normal(0.0, 0.3),
            affinity_sd=0.6, something=True,
        ),
        assortment=AssortmentLayer(Normal(-1.5, 0.3), size=0.7, basket_weight=0.2),
        quantity=QuantityLayer(size=1.0, customer_sd=0.4, log_rate=Normal(-0.8, 0.2)),
        habit=HabitLayer(0.5),
        availability=AvailabilityLayer(0.3),
    )  # fmt: skip
    base = load_config("tiny").override(
        name="planted",
        category_sizes=SIZES,
        n_customers=120,
        layers=layers,
        gamma_store_0=0.0, gamma_store_1=0.0, gamma_store_2=0.0, theta=0.0,
        marketing="discount",
        category_shift=0.0,
        c=-2.0,
        beta_u=TruncatedNormal(-1.0, 0.2, -9.0, 0.0),
        beta_i=TruncatedNormal(-1.0, 0.2, -9.0, 0.0),
        beta_x=0.0, beta_z=1.0,
        gamma_cate_1=0.2, gamma_prod_1=0.1,
        eps=Gumbel(0.0, 0.1),
        promotion=PromotionPlan(Beta(2.0, 6.0), Beta(4.0, 2.0), Beta(4.0, 12.0)),
    )  # fmt: skip
    return base.override(**overrides)


@pytest.fixture(scope="session")
def planted():
    return planted_config()


@pytest.fixture(scope="session")
def table(planted):
    """One run of it: 120 customers, 20 weeks."""
    return simulate_store(planted, 5, 120, WEEKS)
