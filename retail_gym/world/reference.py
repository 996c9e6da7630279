r"""Two numbers frozen with a world: the cap's reference sample and the reward scale.

**The cap.** Some stores cut utilities off at a percentile. Taken over this week's customers, as
upstream does, one customer's demand would depend on the others and on how many there are. Ours
is a percentile over a reference sample of (customer, product) pairs with noise of its own, all
drawn when the world is built:

.. math:: \mathrm{cap}(P) = \mathrm{percentile}_n\bigl(a_n + b_n \log P_{i(n)}\bigr),\quad
          a = \beta^x X + \beta^z Z + \epsilon,\ b = \beta^w

so it moves with the prices a customer sees and with nothing else. The sample's customers are
number 0 to 99 of the store's law, whether or not the store has so many; adding customers
changes nobody's demand.

**The reward scale** R0 is the expected revenue of one week at base prices if everybody visits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from retail_gym import rng
from retail_gym.world.catalog import Catalog, draw_vector
from retail_gym.world.expectation import expected_visit
from retail_gym.world.noise import features, noise
from retail_gym.world.population import draw_coefficients, draw_customers
from retail_gym.world.priors import Uniform
from retail_gym.world.store_config import StoreConfig

if TYPE_CHECKING:
    from retail_gym.world.world import World

Floats = NDArray[np.float64]

__all__ = [
    "CapReference",
    "cap_reference_of_arrays",
    "draw_cap_reference",
    "reward_scale",
]

#: Up to this many pairs all are used, beyond it a hashed sample.
ALL_PAIRS: Final = 65_536
SAMPLE_PAIRS: Final = 20_000
REFERENCE_CUSTOMERS: Final = 100
#: The reward scale of a large population is measured on this many of its customers.
SCALE_CUSTOMERS: Final = 200


@dataclass(frozen=True)
class CapReference:
    """Utilities of a frozen sample of pairs as a function of the price vector."""

    percentile: float
    product: NDArray[np.int64]  # N
    level: Floats  # N: everything but price
    slope: Floats  # N: price sensitivity

    def cap(self, log_price_i: ArrayLike) -> float:
        """The cap at a price vector; see :meth:`caps`."""
        return float(self.caps(log_price_i)[()])

    def caps(self, log_price: ArrayLike) -> Floats:
        """The cap at each of some price vectors.

        Args:
            log_price: log of the prices a customer sees [log $], shape (..., I).

        Returns:
            The percentile of the sample's utilities, shape (...); inf if the store has no cap.
        """
        price = np.asarray(log_price, dtype=np.float64)
        return self.percentiles(self.level + self.slope * np.take(price, self.product, axis=-1))

    def percentiles(self, utility: Floats) -> Floats:
        """The percentile of the sample's utilities, shape (..., N) (reordered), at each price."""
        if self.percentile >= 100.0:
            return np.full(utility.shape[:-1], np.inf)
        # np.percentile's linear interpolation, without its overhead.
        n = self.level.size
        place = self.percentile / 100.0 * (n - 1)
        low = min(int(place), n - 2) if n > 1 else 0
        high = min(low + 1, n - 1)
        utility.partition(high, axis=-1)
        below, above = utility[..., : low + 1].max(axis=-1), utility[..., high]
        return np.asarray(below + (place - low) * (above - below))


def reward_scale(world: World) -> float:
    """Expected revenue of one week at base prices if everybody visits [$].

    The expectation over decisions is exact given one frozen draw of the week's noise. Beyond
    200 customers it is taken over 200 of them, evenly spaced, and scaled up.
    """
    n = world.n_customers
    sample = np.unique(np.linspace(0, n - 1, min(n, SCALE_CUSTOMERS)).astype(np.int64))
    visit = expected_visit(
        world,
        world.base_price,
        seed=world.seed,
        customers=sample,
        stage=rng.symbol_stage("reward_scale"),
    )
    revenue = float((visit.category_probability * visit.revenue).sum() * (n / sample.size))
    if not 0.0 < revenue < 1e12:
        raise ValueError(
            f"the store's expected revenue at base prices is {revenue}: its coefficients are out "
            "of any sensible range"
        )
    return revenue


def draw_cap_reference(config: StoreConfig, seed: int, catalog: Catalog) -> CapReference:
    """Freeze the reference sample of a store that is drawn from priors.

    All pairs of the 100 reference customers and the products where these are at most 65,536,
    else 20,000 hashed pairs.
    """
    n_products = config.n_products
    if config.clip_percentile >= 100.0:
        empty = np.zeros(0)
        return CapReference(config.clip_percentile, empty.astype(np.int64), empty, empty)
    if REFERENCE_CUSTOMERS * n_products <= ALL_PAIRS:
        customer = np.repeat(np.arange(REFERENCE_CUSTOMERS), n_products)
        product = np.tile(np.arange(n_products), REFERENCE_CUSTOMERS)
    else:
        customer = np.arange(SAMPLE_PAIRS) % REFERENCE_CUSTOMERS
        uniform = draw_vector(Uniform(0.0, 1.0), seed, "cap_product", SAMPLE_PAIRS)
        product = (uniform * n_products).astype(np.int64)
    pairs = draw_coefficients(config, seed, customer, product)
    key = rng.stream_key(seed, 0, rng.symbol_stage("cap_noise"), customer)
    word = rng.words(key, rng.item_hash(product))
    level = (
        pairs.beta_x * features(word, pairs.feature_mean, pairs.feature_scale)
        + pairs.beta_z * catalog.z[product]
        + noise(word, config.eps.loc, config.eps.scale)
    )
    slope = config.c * draw_customers(config.prior("beta_u"), seed, "beta_u", customer)
    return CapReference(config.clip_percentile, product, level, slope * catalog.beta_i[product])


def cap_reference_of_arrays(
    percentile: float,
    seed: int,
    level_ui: Floats,
    beta_w_ui: Floats,
) -> CapReference:
    """Freeze the reference sample of a store given as arrays: its own pairs.

    Args:
        percentile: of utilities, [0, 100].
        seed: world seed, which the hashed pairs of a large store come from.
        level_ui: utilities at log price 0 with noise of their own, shape (U, I).
        beta_w_ui: price sensitivity, shape (U, I).

    Returns:
        All pairs where they are at most 65,536, else 20,000 hashed ones.
    """
    n_customers, n_products = level_ui.shape
    if level_ui.size <= ALL_PAIRS:
        pair = np.arange(level_ui.size)
    else:
        uniform = draw_vector(Uniform(0.0, 1.0), seed, "cap_pair", SAMPLE_PAIRS)
        pair = (uniform * n_customers * n_products).astype(np.int64)
    return CapReference(
        percentile, pair % n_products, level_ui.reshape(-1)[pair], beta_w_ui.reshape(-1)[pair]
    )
