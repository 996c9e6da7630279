"""The test behind the attacks: do findings belong to members more often than chance has it?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Ownership", "ownership", "proportion_interval"]

#: Random choices of members that the chosen ones are compared with.
PERMUTATIONS: Final = 4999


def proportion_interval(
    count: int, total: int, method: str = "wilson", level: float = 0.95
) -> tuple[float, float]:
    """Confidence interval of a share: ``wilson``, or ``exact`` (Clopper-Pearson)."""
    from scipy.stats import binomtest

    if total == 0:
        return 0.0, 1.0
    interval = binomtest(count, total).proportion_ci(confidence_level=level, method=method)
    return float(interval.low), float(interval.high)


@dataclass(frozen=True)
class Ownership:
    """Findings of members and of others."""

    member_mean: float  # findings a member
    other_mean: float  # findings a customer of the holdout
    low: float  # 95 % interval of the difference (Welch)
    high: float
    p_value: float  # one-sided: members have more

    @property
    def excess(self) -> float:
        """Findings a member beyond those of the others."""
        return self.member_mean - self.other_mean


def ownership(found_u: ArrayLike, member_u: NDArray[np.bool_], seed: int) -> Ownership:
    """Compare what was found of members and of others, by a permutation of who is a member.

    Args:
        found_u: findings that point to each customer of the pool, shape (U,).
        member_u: who is a member, shape (U,); at least two of either kind.
        seed: of the permutations.

    Returns:
        Means, and p = (1 + permutations with as large a mean of members) / (1 + permutations),
        exact where membership was a random choice.

    Raises:
        ValueError: for fewer than two customers of either kind.
    """
    found = np.asarray(found_u, dtype=np.float64)
    one, other = found[member_u], found[~member_u]
    if min(one.size, other.size) < 2:
        raise ValueError(
            f"privacy needs at least two members and two others, got {one.size} and {other.size}"
        )
    generator = np.random.default_rng(seed)
    # The members' sum decides. Customers without findings add nothing: only how many of those
    # with one are drawn matters, and who.
    nonzero = found[found != 0.0]
    # Sums of the same numbers in another order differ by rounding: a tie counts as larger.
    bar = float(one.sum()) - 1e-9 * float(np.abs(found).sum())
    as_large = 0
    for _ in range(PERMUTATIONS):
        drawn = generator.hypergeometric(nonzero.size, found.size - nonzero.size, one.size)
        total = float(generator.permutation(nonzero)[:drawn].sum())
        as_large += total >= bar
    error = np.sqrt(one.var(ddof=1) / one.size + other.var(ddof=1) / other.size)
    gap = float(one.mean() - other.mean())
    return Ownership(
        float(one.mean()),
        float(other.mean()),
        gap - 1.96 * float(error),
        gap + 1.96 * float(error),
        (1 + as_large) / (1 + PERMUTATIONS),
    )
