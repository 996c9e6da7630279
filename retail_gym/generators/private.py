r"""Differential privacy of households: what a generator may know of its table.

Two tables are neighbours if one is the other without one household. Everything that a private
generator keeps is released by Gaussian noise:

* counts (trips, weeks, categories, units, products of a category): each household adds a vector of
  length at most 1; noise of standard deviation ``count_noise``;
* the critic's gradients (DP-SGD, Abadi et al. 2016): each household is in a step with probability
  q, with one of its trips drawn at random, its gradient clipped to length C; noise of standard
  deviation \sigma C.

The guarantee of both together is the Rényi accountant's of Opacus. Public are the
catalogue and the shelf: labels, the category of a product, its offers in each week and their
prices, and the numbers of weeks and of households. In a real store these are the retailer's; here
they are read from the table, where an offer shows that somebody took it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from retail_gym.config import check_finite
from retail_gym.generators.calendar import Calendar
from retail_gym.generators.records import Records
from retail_gym.generators.shelf import MOST_PRODUCTS, MOST_UNITS, Shelf

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Phase = tuple[float, float, int]  # noise multiplier, sampling rate, steps

__all__ = ["Privacy", "clipped_gradient", "epsilon_of", "noise_for", "release"]

_INSTALL: Final = "differential privacy needs opacus: pip install opacus (or the extra generators)"
#: Of the Rényi divergence; Opacus' own start at 1.1 and end at 63.
_ORDERS: Final = [
    1.01,
    1.02,
    1.05,
    *(1 + n / 10 for n in range(1, 100)),
    *range(11, 64),
    96,
    128,
    256,
]
#: Counts that are released.
RELEASES: Final = 5


@dataclass(frozen=True)
class Privacy:
    """A guarantee: no household changes any outcome's probability by more than exp(epsilon).

    Attributes:
        epsilon: of everything together.
        delta: probability that it does not hold; below 1 / households.
        clip: largest length of a household's gradient, C.
        count_noise: standard deviation of the noise on counts.
    """

    epsilon: float = 8.0
    delta: float = 1e-4
    clip: float = 1.0
    count_noise: float = 10.0

    def __post_init__(self) -> None:
        check_finite("epsilon", self.epsilon, 1e-3, 1e3)
        check_finite("delta", self.delta, 1e-12, 0.1)
        check_finite("clip", self.clip, 1e-6, 1e6)
        check_finite("count_noise", self.count_noise, 0.1, 1e6)


def epsilon_of(phases: Sequence[Phase], delta: float) -> float:
    """Epsilon of phases of noisy steps one after the other.

    Args:
        phases: for each the noise's standard deviation over the sensitivity, the probability that
            a household is in a step, and the number of steps.
        delta: of the guarantee.

    Raises:
        ModuleNotFoundError: without Opacus; the message says how to install it.
    """
    try:
        from opacus.accountants import RDPAccountant
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(_INSTALL, name=error.name) from None
    accountant = RDPAccountant()
    accountant.history = list(phases)
    return float(accountant.get_epsilon(delta, alphas=_ORDERS))


@lru_cache(maxsize=16)
def noise_for(privacy: Privacy, rate: float, steps: int) -> float:
    """The least noise multiplier of the gradients (to 1 %) with which all stays within epsilon.

    Raises:
        ValueError: if the counts alone spend it.
    """

    def spent(noise: float) -> float:
        phases = [(noise, rate, steps), (privacy.count_noise, 1.0, RELEASES)]
        return epsilon_of(phases, privacy.delta)

    low, high = 0.3, 0.3
    while spent(high) > privacy.epsilon:
        low, high = high, high * 1.5
        if high > 1e3:
            raise ValueError(
                f"epsilon = {privacy.epsilon} cannot be kept: raise epsilon or count_noise "
                f"(now {privacy.count_noise})"
            )
    while high > 1.01 * low:
        middle = 0.5 * (low + high)
        low, high = (middle, high) if spent(middle) > privacy.epsilon else (low, middle)
    return high


def _noised(vectors_un: Floats, noise: float, rng: np.random.Generator) -> Floats:
    """Sum of the households' vectors, each cut to length 1, with noise; not below 0."""
    length = np.linalg.norm(vectors_un, axis=1, keepdims=True)
    total = (vectors_un / np.maximum(length, 1.0)).sum(axis=0)
    return np.asarray(np.maximum(total + noise * rng.standard_normal(total.size), 0.0))


def _shares(records: Records, customer: Ints, value: Ints, n_values: int) -> Floats:
    """Of each household, the share of its records with each value, shape (U, n_values)."""
    place = customer * n_values + value
    count = np.bincount(place, minlength=records.n_customers * n_values)
    count_un = count.reshape(records.n_customers, n_values).astype(np.float64)
    return np.asarray(count_un / np.maximum(count_un.sum(axis=1, keepdims=True), 1.0))


def release(
    records: Records, shelf: Shelf, noise: float, rng: np.random.Generator
) -> tuple[Calendar, Shelf, Floats]:
    """Calendar, shelf and share of trips of each category (J,) from noised counts."""
    n_weeks, n_categories = records.n_weeks, shelf.n_categories
    lines, entries = records.baskets.lines, records.baskets

    def counts(vectors_un: Floats) -> Floats:
        # Never all zero.
        return _noised(vectors_un, noise, rng) + 1e-6

    one_trips = np.eye(n_weeks + 1)[records.trips_u]
    # A running mean: numbers of trips next to each other are about as frequent.
    width = max(1, n_weeks // 10)
    trips = np.convolve(counts(one_trips), np.ones(width) / width, mode="same")
    week = counts(_shares(records, records.customer_k, records.week_k - 1, n_weeks))
    calendar = Calendar(trips / trips.sum(), week / week.sum(), np.eye(1))

    trips_u = np.maximum(records.trips_u, 1)[:, None]
    customer_e = records.customer_k[entries.entry_trip]
    place = customer_e * n_categories + entries.entry_category
    in_trips = np.bincount(place, minlength=records.n_customers * n_categories)
    share_uj = in_trips.reshape(records.n_customers, n_categories) / trips_u
    # Baskets are long: cut to length 1 they would lose size. A quarter of each is within it
    # for most households, and is scaled back.
    share = 4.0 * counts(0.25 * share_uj) / records.n_customers
    most = (MOST_UNITS, MOST_PRODUCTS)
    found = (lines.quantity, entries.entry_products)
    units, products = (
        counts(_shares(records, customer, np.minimum(value, top) - 1, top))
        for customer, value, top in zip((lines.customer, customer_e), found, most, strict=True)
    )
    public = replace(
        shelf,
        weight_o=np.ones_like(shelf.weight_o),
        units_jq=np.tile(units, (n_categories, 1)),
        products_jm=np.tile(products, (n_categories, 1)),
    )
    return calendar, public, np.clip(share, 1e-4, 0.95)


def clipped_gradient(
    loss: Callable[..., Tensor], weights: dict[str, Tensor], records: list[Tensor], clip: float,
    noise: float, expected: float, rng: torch.Generator,
) -> dict[str, Tensor]:  # fmt: skip
    """Noised mean over records of their clipped gradients.

    Opacus' hooks see one backward pass, and a gradient penalty needs two; so the gradients of
    single records come from ``torch.func``.

    Args:
        loss: ``loss(weights, *record)`` of one record.
        weights: at which.
        records: what records consist of, the first axis counting them; may be of length 0.
        clip: length that gradients are cut to, C.
        noise: its multiplier, sigma.
        expected: number of records expected in a batch; not the number in this one, which is
            private too.
        rng: of the noise.
    """
    total = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    if records[0].shape[0]:
        places = (None, *[0] * len(records))
        single = torch.func.vmap(torch.func.grad(loss), in_dims=places)(weights, *records)
        square = torch.stack([g.flatten(1).square().sum(1) for g in single.values()]).sum(0)
        factor = (clip / square.sqrt().clamp(min=1e-12)).clamp(max=1.0)
        total = {name: torch.einsum("n,n...->...", factor, g) for name, g in single.items()}
    return {
        name: (g + noise * clip * torch.randn(g.shape, generator=rng)) / expected
        for name, g in total.items()
    }
