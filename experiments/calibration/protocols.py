"""What the store is compared with, and what it must reach.

B, the primary protocol: 741 simulated customers, fuel-free, against the 741 held-out households.
A, the paper's: 100 simulated customers with petrol against RetailSynth's own sample. With
``train`` both are compared with households drawn from the train split instead, to work with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from experiments.realism import PROTOCOLS, Protocol
from retail_gym.data import Transactions, load_complete_journey

__all__ = ["AGAINST", "GOALS", "LIKE", "Goal", "Validation"]

#: Customers of each protocol.
SIZES: Final = {"A": 100, "B": 741}


@dataclass(frozen=True)
class Validation(Protocol):
    """As the protocol, against random households of the pool's split."""

    size: int = 1

    def real(self) -> Transactions:
        """The real side: always the same households."""
        pool = load_complete_journey(self.against, fuel=self.fuel)
        return pool.sample(self.size, np.random.default_rng(0))


#: What to compare with -> the protocols.
AGAINST: Final[dict[str, dict[str, Protocol]]] = {
    "held_out": dict(PROTOCOLS),
    "train": {
        name: Validation("train", "train", one.fuel, SIZES[name]) for name, one in PROTOCOLS.items()
    },
}


@dataclass(frozen=True)
class Goal:
    """What a figure must reach: at least, or at most where less is better."""

    limit: float
    at_most: bool = False

    def met(self, value: float) -> bool:
        """Whether a value reaches it; what cannot be computed does not."""
        return bool(value <= self.limit if self.at_most else value >= self.limit)

    def __str__(self) -> str:
        return f"{'≤' if self.at_most else '≥'} {self.limit:g}"


#: Goals of section 6 of the feasibility study, by protocol and score. Those of the joint
#: diagnostics are distances of the mean over seeds from the real value.
GOALS: Final[dict[str, dict[str, Goal]]] = {
    "A": {
        "visit_cust": Goal(0.88),
        "cat_prob": Goal(0.93),
        "prod_prob": Goal(0.95),
        "qty": Goal(0.97),
        "tslp": Goal(0.955),
        "ncat": Goal(0.89),
        "nitem": Goal(0.88),
        "prodweek": Goal(0.991),
        "mean_of_eight": Goal(0.935),
        "price": Goal(0.95),
        "catsize": Goal(0.94),
        "lift_ks": Goal(0.87),
        "lift_w1": Goal(0.16, at_most=True),
    },
    "B": {
        "visit_cust": Goal(0.95),
        "cat_prob": Goal(0.96),
        "prod_prob": Goal(0.96),
        "qty": Goal(0.985),
        "tslp": Goal(0.98),
        "ncat": Goal(0.965),
        "nitem": Goal(0.965),
        "prodweek": Goal(0.985),
        "mean_of_eight": Goal(0.97),
        "price": Goal(0.97),
        "catsize": Goal(0.955),
        "lift_ks": Goal(0.93),
        "lift_w1": Goal(0.06, at_most=True),
        "pen_ks": Goal(0.94),
        "icc": Goal(0.03, at_most=True),
        "corr_rate_basket": Goal(0.05, at_most=True),
        "pen_ratio": Goal(0.03, at_most=True),
        "repeat": Goal(0.03, at_most=True),
        "half_corr": Goal(0.04, at_most=True),
    },
}
#: Goals of what prices and discounts do, and of who is bought with whom: distances from the
#: real value (of the coefficient as a share of it), and the rank correlation of pair lifts.
LIKE: Final[dict[str, Goal]] = {
    "coefficient": Goal(0.10, at_most=True),
    "by_product_q25": Goal(0.30, at_most=True),
    "by_product_q75": Goal(0.30, at_most=True),
    "discounted_share": Goal(0.02, at_most=True),
    "discount_depth": Goal(0.02, at_most=True),
    "spearman": Goal(0.85),
}
