"""Stores drawn the way RetailSynth-AgentSim draws them: shared keys and one catalogue.

Its configuration gives equal random keys to symbols of equal shape, so their ranks coincide, and
a hard-coded key to the catalogue, so all its stores sell the same products at the same prices.
Both were found by running it (retailsynth e0d2ba9, the version that AgentSim locks): the rank
correlations below are 1.000 there, and alpha_1 is 0.868 in every store.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from retail_gym import World
from retail_gym.world.presets import load_config
from retail_gym.world.priors import Beta
from retail_gym.world.store_config import StoreConfig

__all__ = ["CATALOG", "SHARED_RANKS", "agentsim_store"]

#: alpha_0 [$], Z and alpha_1 [$] of the one catalogue (JAX's ``PRNGKey(0)``).
CATALOG: Final = resources.files(__name__.rpartition(".")[0]).joinpath("agentsim_catalog.npz")
#: Symbols that share one uniform draw, by the shape they have.
SHARED_RANKS: Final = (
    ("UI", ("beta_x", "beta_z", "gamma_prod_1")),
    ("I", ("beta_i", "gamma_prod_0")),
    ("U", ("beta_u", "theta")),
    ("J", ("gamma_cate_0", "gamma_cate_1")),
    ("", ("gamma_store_0", "gamma_store_1", "gamma_store_2")),
)


@cache
def _catalog() -> dict[str, NDArray[np.float64]]:
    with CATALOG.open("rb") as stream, np.load(stream) as file:
        return {name: file[name].astype(np.float64) for name in file.files}


def agentsim_store(seed: int, config: StoreConfig | None = None) -> World:
    """One of AgentSim's stores: coefficients by the seed, the same catalogue for all seeds.

    Args:
        seed: of the store.
        config: priors; default: the preset ``coupon_brand_loyalty``, whose 2,514 products the
            catalogue is made for.

    Returns:
        The world. Promotions have no memory: a01 = a11 for every product.
    """
    config = config or load_config("coupon_brand_loyalty")
    catalog, generator = _catalog(), np.random.default_rng([seed, 0xA6])
    size = {"U": config.n_customers, "I": config.n_products, "J": len(config.category_sizes)}
    arrays: dict[str, Any] = {}
    for shape, symbols in SHARED_RANKS:
        rank = generator.random(tuple(size[letter] for letter in shape))
        for symbol in symbols:
            arrays[symbol] = config.prior(symbol).quantile(rank)
    law = config.promotion.a01
    if not isinstance(law, Beta):
        raise ValueError("the promotion's a01 must be a Beta law")
    share = law.quantile(generator.random(size["I"]))
    return World.from_arrays(
        {
            **arrays,
            "category_sizes": np.asarray(config.category_sizes),
            "c": config.c,
            "Z": catalog["z"],
            "alpha_0": catalog["alpha_0"],
            "alpha_1": catalog["alpha_1"],
            "lowest_price": config.lowest_price,
            "clip_percentile": config.clip_percentile,
            "a01": share,
            "a11": share,
            "discount_alpha_beta": np.array([50.0, 50.0]),
        },
        name="agentsim",
        seed=seed,
        marketing=config.marketing,
        marketing_scale=config.marketing_scale,
        eps=(config.eps.loc, config.eps.scale),
    )
