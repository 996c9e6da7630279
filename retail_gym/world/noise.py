"""The week's noise and the utilities it gives: where draws meet the equations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from retail_gym import rng
from retail_gym.model.utility import price_sensitivity, product_utility
from retail_gym.world.population import Rows

if TYPE_CHECKING:
    from retail_gym.world.world import World

Floats = NDArray[np.float64]

__all__ = ["customer_words", "features", "noise", "noise_words", "utility"]


def customer_words(seed: int, week: int, stage: int, customers: ArrayLike) -> NDArray[np.uint32]:
    """The one word of each customer in a stage that draws once a week, shape of ``customers``."""
    return rng.words(rng.stream_key(seed, week, stage, customers), rng.item_hash(1)[0])


def noise_words(
    world: World, seed: int, week: int, customers: ArrayLike, stage: int = rng.Stage.NOISE
) -> NDArray[np.uint32]:
    """Words of every product for some customers in one week, shape (B, I)."""
    key = rng.stream_key(seed, week, stage, customers)
    column = rng.Key(key.k1[:, None], key.k2[:, None])
    return rng.words(column, rng.item_hash(world.n_products))


def features(
    word: NDArray[np.uint32], mean: ArrayLike | None = None, scale: ArrayLike | None = None
) -> Floats:
    r"""Features :math:`X_{uit} = m + s\,n_t` of elements, from their words.

    Args:
        word: one word per element, any shape.
        mean: lasting means m, same shape; None: m and s are fresh every week ("resampled"), and
            one draw from the marginal of X is enough.
        scale: lasting scales s >= 0, likewise.

    Returns:
        X, shape of ``word``.
    """
    if mean is None or scale is None:
        return rng.resampled_feature(word)
    return np.asarray(mean, dtype=np.float64) + np.asarray(scale) * rng.normal(word)


def noise(word: NDArray[np.uint32], loc: float, scale: float) -> Floats:
    """Noisy intercepts eps of elements: Gumbel(loc, scale), from the second word of each."""
    return loc + scale * rng.gumbel(rng.second_word(word))


def utility(world: World, rows: Rows, word: NDArray[np.uint32], log_price_i: ArrayLike) -> Floats:
    """Utilities of some customers before the cap.

    Args:
        world: the store.
        rows: customers, shape (B,), or a slice of them.
        word: noise words, shape (B, I).
        log_price_i: log of the prices they see [log $], shape (I,) or (B, I).

    Returns:
        Utilities, shape (B, I).

    Source: paper eq. 17.
    """
    own = world.coefficients.rows(rows)
    return product_utility(
        own.beta_x,
        features(word, own.feature_mean, own.feature_scale),
        own.beta_z,
        world.z,
        price_sensitivity(world.c, world.beta_u[rows], world.beta_i),
        log_price_i,
        noise(word, world.eps_loc, world.eps_scale),
    )
