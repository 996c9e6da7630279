"""The one interface between the simulator and what computes a week."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from retail_gym.world.world import World

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

__all__ = ["Figures", "Kernel", "Memory", "Offer", "PlainMemory", "Purchases", "Request"]


class Memory(Protocol):
    """What customers remember from one week to the next."""

    @property
    def visited(self) -> NDArray[np.bool_]:
        """Who visited, shape (U,)."""
        ...

    @property
    def visit_probability(self) -> Floats:
        """Visit probabilities, shape (U,), in [0, 1]."""
        ...

    @property
    def store_value(self) -> Floats:
        """Store values of those who visited, 0 elsewhere, shape (U,)."""
        ...


@dataclass(frozen=True)
class PlainMemory:
    """Memory as three arrays."""

    visited: NDArray[np.bool_]  # U
    visit_probability: Floats  # U
    store_value: Floats  # U

    @staticmethod
    def before_first_week(n_customers: int) -> PlainMemory:
        """Nobody has visited; eq. 10 sends everybody to the store in week 1."""
        zero = np.zeros(n_customers)
        return PlainMemory(zero.astype(bool), np.ones(n_customers), zero)


@dataclass(frozen=True)
class Offer:
    """What customers meet this week. A group is a set of customers who see the same prices."""

    group_u: Ints  # U: group of each customer
    log_price_gi: Floats  # G, I [log $]
    cap_g: Floats  # G: utility cap at these prices, inf for none
    marketing_u: Floats  # U: marketing feature


@dataclass(frozen=True)
class Purchases:
    """Purchase lines, sorted by customer, then category."""

    customer: Ints
    category: Ints
    product: Ints
    quantity: Ints  # >= 1


class Figures(NamedTuple):
    """Counts and sums of a week's lines and customers, as the compiled pass takes them along."""

    units: float
    revenue: float  # [$]
    margin: float  # [$]
    line_discount: float  # sum over lines of 1 - price paid / base price
    lines: float
    buyers: float
    visits: float
    active: float  # customers with a recent purchase
    open_quantities: float  # lines whose quantity was left to the caller


class Request(NamedTuple):
    """One week of one episode, to be computed."""

    memory: Memory  # what customers remember from last week
    offer: Offer  # prices, caps and marketing
    episode_key: int  # the episode's randomness
    week: int  # of the episode, counted from 1


class Kernel(Protocol):
    """Computes weeks: visits, then the decisions of those in the store."""

    name: str

    def weeks(self, world: World, requests: Sequence[Request]) -> list[tuple[Memory, Purchases]]:
        """Compute one week in each of some episodes of a store.

        Args:
            world: the store.
            requests: one per episode. A result is a function of its request and the store,
                whatever else is asked for.

        Returns:
            What customers remember after the week, and what they bought, per request.
        """
        ...
