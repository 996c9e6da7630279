"""Attacks on a synthetic table: was this customer a member, and who is this?

* *Membership inference*: the attacker has a real customer's purchases and asks whether the
  generator saw them. Two scores: how much of what the customer bought one synthetic customer bought
  in the same weeks; and how close the nearest synthetic profile is, compared with the nearest
  real one. Reported: area under the ROC curve, members against others (1/2 is ideal).
* *Linkage*: a synthetic customer is linked if one real customer made half of the same purchases
  (week and product, at least twenty); the control are real customers, linked to other real ones.
* *Singling out*: the attacker draws three purchases (week and product) of a synthetic customer
  and claims that they fit exactly one real customer, and that this one is a member.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from retail_gym.evaluation.privacy.records import Records, shared_purchases

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

__all__ = ["Auc", "Overlaps", "auc", "overlaps", "profile_scores", "singled_out", "true_positives"]

#: Purchases in common that link two customers: as a share of the one's, and at least.
LINK_SHARE: Final = 0.5
LINK_ROWS: Final = 20
#: Claims of the singling-out attack, and purchases in each.
CLAIMS: Final = 2_000
CLAIMED: Final = 3
_BLOCK: Final = 200


@dataclass(frozen=True)
class Auc:
    """Area under the ROC curve, with DeLong's 95 % interval and the rank test's p-value."""

    value: float
    low: float
    high: float
    p_value: float  # one-sided: members score higher


def auc(members: ArrayLike, others: ArrayLike) -> Auc:
    """Chance that a member scores higher than another customer; a tie counts half.

    Args:
        members: scores, shape (n,).
        others: scores, shape (m,).
    """
    from scipy.stats import mannwhitneyu, rankdata

    one, other = (np.asarray(side, dtype=np.float64) for side in (members, others))
    n, m = one.size, other.size
    ranks = rankdata(np.concatenate([one, other]))
    # Of each score, the share of the other side below it (DeLong's placements).
    above = (ranks[:n] - rankdata(one)) / m
    below = 1.0 - (ranks[n:] - rankdata(other)) / n
    value = float(above.mean())
    error = float(np.sqrt(above.var(ddof=1) / n + below.var(ddof=1) / m))
    test = mannwhitneyu(one, other, alternative="greater", method="asymptotic")
    p = float(test.pvalue) if np.isfinite(test.pvalue) else 1.0  # all scores equal: no evidence
    return Auc(value, max(0.0, value - 1.96 * error), min(1.0, value + 1.96 * error), p)


def true_positives(members: Floats, others: Floats, rate: float = 0.01) -> int:
    """Members found by the threshold that at most a share ``rate`` of the others exceeds."""
    allowed = int(rate * others.size)
    threshold = np.sort(others)[::-1][allowed]
    return int((members > threshold).sum())


@dataclass(frozen=True, eq=False)
class Overlaps:
    """Purchases (week and product) that customers have in common."""

    score_u: Floats  # U: largest share of a pool customer's purchases that one synthetic made
    linked_s: Bools  # S: synthetic customers with a link to the pool
    linked_u: Bools  # U: pool customers with a link to another one
    purchases: tuple[sparse.csr_array, sparse.csr_array]


def _best(
    left: sparse.csr_array, right: sparse.csr_array, size: Floats, *, same: bool
) -> tuple[Bools, Floats]:
    """Whether each left customer is linked, and what most of each right one is shared."""
    linked = np.zeros(left.shape[0], dtype=bool)
    most = np.zeros(right.shape[0])
    turned = right.T.tocsr()
    for low in range(0, left.shape[0], _BLOCK):
        block = (left[low : low + _BLOCK] @ turned).toarray()
        if same:
            rows = np.arange(block.shape[0])
            block[rows, low + rows] = 0.0
        common = block.max(axis=1)
        linked[low : low + _BLOCK] = (common >= LINK_ROWS) & (
            common >= LINK_SHARE * size[low : low + _BLOCK]
        )
        np.maximum(most, block.max(axis=0), out=most)
    return linked, most


def overlaps(records: Records) -> Overlaps:
    """Compare every synthetic with every pool customer, and pool customers with each other."""
    mine, pool = shared_purchases(records)
    size_s, size_u = mine.sum(axis=1), pool.sum(axis=1)
    unknown = pool.shape[1]
    linked_s, most_u = _best(mine[:, :unknown].tocsr(), pool, size_s, same=False)
    linked_u, _ = _best(pool, pool, size_u, same=True)
    return Overlaps(most_u / np.maximum(size_u, 1.0), linked_s, linked_u, (mine, pool))


def profile_scores(synthetic: Floats, pool: Floats) -> Floats:
    """log(distance to the nearest other pool profile / to the nearest synthetic one), shape (U',).

    The comparison with real neighbours makes customers of rare and of common habits alike.
    """
    from scipy.spatial.distance import cdist

    among = cdist(pool, pool)
    np.fill_diagonal(among, np.inf)
    tiny = 1e-9
    nearest = np.log(among.min(axis=1) + tiny) - np.log(cdist(pool, synthetic).min(axis=1) + tiny)
    return np.asarray(nearest)


def singled_out(found: Overlaps, seed: int) -> tuple[Ints, int]:
    """Run the singling-out attack.

    Returns:
        Claims that fit one pool customer alone, by that customer, shape (U,), and claims made.
    """
    generator = np.random.default_rng([seed, 11])
    mine, pool = found.purchases
    by_key = pool.tocsc()
    able = np.flatnonzero(np.diff(mine.indptr) >= CLAIMED)
    counts = np.zeros(pool.shape[0], dtype=np.int64)
    if able.size == 0:
        return counts, 0
    for s in generator.choice(able, CLAIMS):
        keys = generator.choice(mine.indices[mine.indptr[s] : mine.indptr[s + 1]], CLAIMED, False)
        if keys.max() >= pool.shape[1]:
            continue  # nobody in the pool bought that
        who = [by_key.indices[by_key.indptr[k] : by_key.indptr[k + 1]] for k in keys]
        both = np.intersect1d(np.intersect1d(who[0], who[1]), who[2])
        if both.size == 1:
            counts[both[0]] += 1
    return counts, CLAIMS
