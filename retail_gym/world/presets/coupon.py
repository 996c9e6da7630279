"""The store of RetailSynth-AgentSim, in which each customer gets one coupon a week.

Two settings: under brand loyalty random marketing drives visits; in the coupon-driven store
last week's coupon does. Source: AgentSim's configuration (arXiv 2405.10469), over Table 3.
"""

from __future__ import annotations

from typing import Final

from retail_gym.world.presets import calibrated
from retail_gym.world.priors import Beta, Gumbel, LogNormal, TruncatedNormal, Uniform
from retail_gym.world.store_config import PromotionPlan, StoreConfig

#: Products in each of the 30 categories (2,514 in all).
CATEGORY_SIZES: Final = (
    59, 5, 2, 63, 18, 145, 93, 61, 20, 3, 93, 93, 5, 89, 84, 76, 44, 135, 36, 28, 112, 87, 150,
    132, 241, 178, 34, 301, 14, 113,
)  # fmt: skip


def brand_loyalty_config() -> StoreConfig:
    """The preset ``coupon_brand_loyalty`` (AgentSim's "no_marketing", its published table)."""
    return calibrated.config().override(
        name="coupon_brand_loyalty",
        category_sizes=CATEGORY_SIZES,
        category_shift=0.0,
        alpha_1=LogNormal(0.8, 1.2),  # one draw per store
        lowest_price=1.0,  # [$]
        beta_i=TruncatedNormal(-3.0, 2.0, -calibrated.INF, 0.0),
        beta_u=TruncatedNormal(-3.0, 1.5, -calibrated.INF, 0.0),
        clip_percentile=99.99,
        gamma_prod_0=Gumbel(-3.0, 0.1),
        gamma_prod_1=LogNormal(-4.0, 0.1),
        promotion=PromotionPlan(Beta(40, 60), Beta(40, 60), Beta(50, 50)),
        gamma_store_0=Gumbel(4.0, 0.1),
        gamma_store_1=TruncatedNormal(0.01, 0.01, 0.0, calibrated.INF),
        gamma_store_2=Uniform(5.0, 6.0),
        theta=Uniform(0.25, 0.45),
        marketing="noise",
        marketing_scale=2_514.0,
    )


def coupon_driven_config() -> StoreConfig:
    """The preset ``coupon_driven`` (AgentSim's "hfhd")."""
    return brand_loyalty_config().override(
        name="coupon_driven",
        gamma_store_0=Gumbel(-2.0, 0.1),
        gamma_store_2=Uniform(0.004, 0.006),
        marketing="coupon",  # this week's discounts plus last week's coupon
    )
