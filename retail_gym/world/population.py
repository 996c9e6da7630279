"""What is drawn once per customer, and per customer and product.

Any block of customers and products can be drawn on its own, and drawn again later: the value
of a pair depends on the world seed, the symbol, the customer and the product alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from retail_gym import rng
from retail_gym.world.priors import Constant, LogNormal, Normal, Prior
from retail_gym.world.store_config import StoreConfig

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Rows = slice | NDArray[np.int64]

__all__ = [
    "SYMBOLS",
    "Coefficients",
    "DrawnCoefficients",
    "by_sensitivity",
    "draw_coefficients",
    "draw_customers",
    "stored_gib",
    "worth_storing",
]


#: What is drawn per customer and product; the last two only where features persist.
SYMBOLS: Final = ("beta_x", "beta_z", "gamma_prod_1", "feature_mean", "feature_scale")
#: Stored, a coefficient takes 4 bytes; the fast kernel keeps two more of that size of its own.
_KERNEL_SYMBOLS: Final = 2
#: Room for coefficients that are the same for everybody [GiB].
_ALIKE_GIB: Final = 0.05


@dataclass(frozen=True, eq=False)
class Coefficients:
    """Coefficients per customer and product, in single precision (that is their definition)."""

    beta_x: Floats32
    beta_z: Floats32
    gamma_prod_1: Floats32
    feature_mean: Floats32 | None  # only with persistent features
    feature_scale: Floats32 | None

    @property
    def persistent(self) -> bool:
        """Whether features have lasting means and scales."""
        return self.feature_mean is not None

    def rows(self, customers: Rows) -> Coefficients:
        """Those of some customers, shape (B,) of numbers or a slice; arrays (B, I)."""

        def some(values: Any) -> Any:
            return None if values is None else values[customers]

        return Coefficients(*(some(getattr(self, name)) for name in SYMBOLS))


@dataclass(frozen=True, eq=False)
class DrawnCoefficients:
    """Coefficients that are nowhere kept: drawn again, from their addresses, when asked for.

    The same numbers as :class:`Coefficients` would hold, for a population of any size.
    """

    config: StoreConfig
    seed: int

    def __post_init__(self) -> None:
        for name in ("beta_x", "beta_z"):
            prior = self.config.prior(name)
            if not isinstance(prior, LogNormal) and not (
                isinstance(prior, Constant) and prior.value >= 0.0
            ):
                raise ValueError(
                    f"{name} ~ {prior} cannot be drawn again week by week (a LogNormal or a "
                    "constant >= 0 can). Give memory_gib room to store it"
                )
        if not isinstance(self.config.prior("gamma_prod_1"), LogNormal | Normal | Constant):
            raise ValueError(
                "gamma_prod_1 cannot be drawn again week by week unless it is LogNormal, Normal "
                "or constant. Give memory_gib room to store it"
            )

    @property
    def persistent(self) -> bool:
        """Whether features have lasting means and scales."""
        return self.config.features == "persistent"

    def rows(self, customers: Rows) -> Coefficients:
        """Those of some customers, shape (B,) of numbers or a slice; arrays (B, I)."""
        if isinstance(customers, slice):
            customers = np.arange(self.config.n_customers)[customers]
        return draw_coefficients(self.config, self.seed, customers, self.config.n_products)


def stored_gib(config: StoreConfig) -> float:
    """Memory that a store's coefficients take if they are stored, the kernel's included [GiB]."""
    symbols = _KERNEL_SYMBOLS + (5 if config.features == "persistent" else 3)
    return 4.0 * symbols * config.n_customers * config.n_products / 2.0**30


def worth_storing(config: StoreConfig, memory_gib: float) -> bool:
    """Whether to store a store's coefficients in so much room [GiB].

    Where all of them are constants, drawing them again costs nothing: only a small store's are
    then kept, for anybody to look at.
    """
    alike = config.features != "persistent" and all(
        isinstance(config.prior(name), Constant) for name in SYMBOLS[:3]
    )
    return stored_gib(config) <= (min(memory_gib, _ALIKE_GIB) if alike else memory_gib)


def draw_customers(prior: Prior, seed: int, symbol: str, customers: ArrayLike) -> Floats:
    """Draw one value per customer from the symbol's own stream, shape of ``customers``."""
    key = rng.stream_key(seed, 0, rng.symbol_stage(symbol), customers)
    return prior.quantile(rng.uniform(rng.words(key, rng.item_hash(1)[0])))


def by_sensitivity(c: float, beta_u: Floats, beta_i: Floats) -> NDArray[np.int64]:
    r"""Customers by their mean price sensitivity, the most sensitive first, shape (U,).

    .. math:: \bar\beta^w_u = c\,\beta_u\,\bar\beta_i
    """
    return np.argsort(c * beta_u * beta_i.mean(), kind="stable")


def draw_coefficients(
    config: StoreConfig, seed: int, customers: ArrayLike, products: int | ArrayLike
) -> Coefficients:
    """Draw the coefficients of customers and products.

    Args:
        config: the store's priors.
        seed: world seed.
        customers: customer numbers, shape (U,) or, for single pairs, (N,).
        products: n for all products 0..n-1 (result shape (U, n)), or product numbers of shape
            (N,), one for each customer given (result shape (N,)).

    Returns:
        The coefficients, float32.

    Source: paper Table 3; X_uit = m + s n_t with m, s drawn once where features persist.
    """
    hashed = rng.item_hash(products)
    grid = isinstance(products, int | np.integer)
    shape = (np.size(customers), hashed.size) if grid else np.shape(customers)

    def word(symbol: str) -> NDArray[np.uint32]:
        key = rng.stream_key(seed, 0, rng.symbol_stage(symbol), customers)
        if grid:
            key = rng.Key(key.k1[:, None], key.k2[:, None])
        return rng.words(key, hashed)

    def draw(symbol: str) -> Floats32:
        prior = config.prior(symbol)
        if isinstance(prior, Constant):  # needs no draws
            return np.full(shape, prior.value, dtype=np.float32)
        return prior.from_words(word(symbol)).astype(np.float32)

    persistent = config.features == "persistent"
    return Coefficients(
        beta_x=draw("beta_x"),
        beta_z=draw("beta_z"),
        gamma_prod_1=draw("gamma_prod_1"),
        feature_mean=rng.normal(word("feature_mean")).astype(np.float32) if persistent else None,
        feature_scale=np.abs(rng.normal(word("feature_scale"))).astype(np.float32)
        if persistent
        else None,
    )
