"""The paper's store as calibrated to Complete Journey: Tables 1 and 3.

Three kinds of value: priors of Table 3; store-wide scalars fixed at the draw behind the
published figures (the paper draws them once per store, and the price level of such draws
differs tenfold); and two fitted intercepts. With independent random draws, unlike upstream's
shared keys, the published scalars alone give fewer categories a trip and more visits, so
``category_shift`` and ``gamma_store_0`` are fitted to upstream's 12.95 categories a trip and
0.54 visits a week on worlds 0-39 by
``python -m experiments.fit_scenario_store --preset calibrated``.
"""

from __future__ import annotations

import csv
from importlib import resources
from typing import Final

from retail_gym.world.priors import (
    Beta,
    Gumbel,
    HalfNormal,
    LogNormal,
    Normal,
    TruncatedNormal,
    Uniform,
)
from retail_gym.world.store_config import PromotionPlan, StoreConfig

INF: Final = float("inf")


def category_sizes() -> tuple[int, ...]:
    """Products in each of the 303 categories of Complete Journey (26,176 in all)."""
    text = resources.files(__package__).joinpath("category_sizes.csv").read_text(encoding="utf-8")
    return tuple(int(row["n_products"]) for row in csv.DictReader(text.splitlines()))


def config() -> StoreConfig:
    """The preset ``calibrated``."""
    return StoreConfig(
        name="calibrated",
        category_sizes=category_sizes(),
        n_customers=100,
        # symbol, law, source
        gamma_store_0=-0.1412,  # fitted: 0.54 visits a week; the published draw is 0.01379
        gamma_store_1=0.01027,  # the published draw from TN(0.01, 0.01; 0, inf)
        gamma_store_2=0.24185,  # the published draw from U(0.2, 0.3)
        theta=Uniform(0.25, 0.45),  # Table 3
        gamma_cate_0=Normal(-5.0, 0.5),  # Table 3
        gamma_cate_1=TruncatedNormal(0.1, 0.04, 0.0, 0.12),  # Table 3
        category_shift=0.9586,  # fitted: 12.95 categories a trip
        beta_x=LogNormal(-1.0, 1.0),  # Table 3
        beta_z=LogNormal(1.0, 0.4),  # Table 3
        c=-1.4,  # Table 3
        beta_u=TruncatedNormal(-3.0, 0.8, -INF, 0.0),  # Table 3
        beta_i=TruncatedNormal(-3.0, 1.0, -INF, 0.0),  # Table 3
        eps=Gumbel(0.0, 0.1),  # Table 3
        features="resampled",  # X ~ N(m, s), m and s drawn anew every week, as upstream does
        clip_percentile=100.0,  # no cap in the calibrated store
        alpha_0=TruncatedNormal(1.3, 0.5, 0.0, INF),  # Table 3 [$]
        alpha_1=1.7384,  # the published draw from LogNormal(0.8, 1.2) [$]
        quality_mean=HalfNormal(1.0),  # Table 3
        quality_sd=HalfNormal(1.0),  # Table 3
        quality_scope="product",  # as when the published figures were made
        lowest_price=0.01,  # upstream [$]
        gamma_prod_0=Gumbel(-2.0, 0.1),  # upstream; Table 3 prints 0, which gives 3 units a line
        gamma_prod_1=LogNormal(-4.0, 0.05),  # Table 3
        promotion=PromotionPlan(Beta(1, 5), Beta(2, 5), Beta(15, 35)),  # Table 1
        marketing="noise",  # X^store ~ N(m, s) per customer and week
        marketing_scale=26_176.0,  # products of the paper's catalogue
    )
