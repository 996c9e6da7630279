"""Which categories are bought together: the lift of pairs.

lift(j, k) = P(j and k in a trip) / (P(j) P(k)), over trips; 1 where they are independent.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.stats import spearmanr

from retail_gym.evaluation.realism.baskets import Baskets
from retail_gym.evaluation.realism.distributions import Empirical

__all__ = ["MIN_SUPPORT", "PairAgreement", "PairLifts", "pair_agreement", "pair_lifts"]

#: Pairs that are in fewer than this share of trips are left out: their lift is mostly noise.
MIN_SUPPORT: Final = 0.01


@dataclass(frozen=True, eq=False)
class PairLifts:
    """Trips that contain each pair of categories."""

    labels: tuple[object, ...]  # J
    together_jk: NDArray[np.int64]  # J, J; the diagonal holds the trips with the category
    n_trips: int

    @cached_property
    def lift_jk(self) -> NDArray[np.float64]:
        """Lift of every pair, shape (J, J)."""
        alone = np.diag(self.together_jk).astype(np.float64)
        return self.together_jk * self.n_trips / np.outer(alone, alone)

    @cached_property
    def supported_jk(self) -> NDArray[np.bool_]:
        """True for j < k with a joint share of trips of at least 0.01, shape (J, J)."""
        return np.triu(self.together_jk / self.n_trips >= MIN_SUPPORT, k=1)

    @cached_property
    def distribution(self) -> Empirical:
        """Lifts of the supported pairs, each once."""
        return Empirical.of(self.lift_jk[self.supported_jk])


def pair_lifts(baskets: Baskets) -> PairLifts:
    """Count pairs in one product of the boolean trip-by-category matrix with itself."""
    ones = np.ones(baskets.entry_trip.size, dtype=np.float32)
    contains = sparse.csr_array(
        (ones, (baskets.entry_trip, baskets.entry_category)),
        shape=(baskets.n_trips, baskets.n_categories),
    )
    together = (contains.T @ contains).toarray()
    return PairLifts(
        tuple(baskets.lines.category_labels), together.astype(np.int64), baskets.n_trips
    )


@dataclass(frozen=True)
class PairAgreement:
    """Whether the same pairs are complements in two tables."""

    pairs: int  # supported in both
    spearman: float  # rank correlation of their lifts
    mean_difference: float  # mean absolute difference of their lifts


def pair_agreement(one: PairLifts, other: PairLifts) -> PairAgreement:
    """Compare the lifts of the pairs that two tables have in common, by category label.

    Raises:
        ValueError: if fewer than three pairs are supported in both.
    """
    place = {label: k for k, label in enumerate(other.labels)}
    common = [(k, place[label]) for k, label in enumerate(one.labels) if label in place]
    mine, theirs = (np.array([pair[side] for pair in common], dtype=np.int64) for side in (0, 1))
    # Labels are sorted on both sides unless their types differ; order the pair either way.
    both = one.supported_jk | one.supported_jk.T
    both = both[np.ix_(mine, mine)]
    also = other.supported_jk | other.supported_jk.T
    both = np.triu(both & also[np.ix_(theirs, theirs)], k=1)
    if both.sum() < 3:
        raise ValueError(
            f"the tables share {int(both.sum())} pairs of categories that are in at least "
            f"{MIN_SUPPORT:.0%} of the trips of both: too few to compare. Categories are matched "
            "by label"
        )
    a = one.lift_jk[np.ix_(mine, mine)][both]
    b = other.lift_jk[np.ix_(theirs, theirs)][both]
    rank = spearmanr(a, b).statistic
    return PairAgreement(int(both.sum()), float(rank), float(np.abs(a - b).mean()))
