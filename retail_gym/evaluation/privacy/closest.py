"""Distance to the closest record (DCR): is the synthetic table nearer to members than to others?

From each synthetic record the distance to the closest member's and to the closest of the holdout;
both sides equally large. Reported: the ratio of the medians (1 is ideal) and the share of records
that are closer to a member (1/2 is ideal, ties broken at random).

* Rows: Gower's distance, the sum of |difference| in week, log quantity, log price paid (each
  divided by the pool's range) and discount, plus 1 for another category and 1 for another product.
  Equal rows of different shoppers are common (everybody's milk), so that medians are often 0.
* Customers: the Euclidean distance of profiles, each number divided by the pool's standard
  deviation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from retail_gym.data.table import Transactions
from retail_gym.evaluation.privacy.records import Records
from retail_gym.evaluation.sides import customer_codes

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

__all__ = ["Closest", "closest_customers", "closest_rows", "scaled_profiles"]

#: Rows drawn from the synthetic table, and from each side of the pool.
SYNTHETIC_ROWS: Final = 2_000
POOL_ROWS: Final = 10_000
_BLOCK: Final = 64


@dataclass(frozen=True, eq=False)
class Closest:
    """Distances of synthetic records to members and others, and whose the closest is."""

    to_member: Floats  # N
    to_other: Floats  # N
    owner: Ints  # N: pool code of the closest record's customer

    @property
    def ratio(self) -> float:
        """Median distance to members over that to others; nan where both are 0."""
        one, other = float(np.median(self.to_member)), float(np.median(self.to_other))
        return one / other if other > 0.0 else (float("nan") if one == 0.0 else float("inf"))


def _row_features(table: Transactions, chosen: Ints) -> tuple[Floats, list[NDArray[np.generic]]]:
    frame = table.frame[chosen]
    numbers = np.stack(
        [
            frame["week"].to_numpy().astype(np.float64),
            np.log(frame["quantity"].to_numpy()),
            np.log(frame["unit_price"].to_numpy()),
            frame["discount"].to_numpy(),
        ],
        axis=1,
    )
    return numbers, [frame[c].to_numpy() for c in ("category", "product")]


def closest_rows(records: Records, sides: tuple[Ints, Ints], seed: int) -> Closest:
    """DCR of rows, on rows drawn by seed.

    Args:
        records: the records.
        sides: codes of equally many members and others.
        seed: of the draws.
    """
    generator = np.random.default_rng([seed, 10])
    pool = records.pool
    code_l = customer_codes(pool)
    rows = [np.flatnonzero(np.isin(code_l, side)) for side in sides]
    size = min(POOL_ROWS, *(side.size for side in rows))
    drawn = np.concatenate([generator.choice(side, size, replace=False) for side in rows])
    member = np.repeat([True, False], size)
    order = generator.permutation(2 * size)  # the first of equally close rows is a random one
    drawn, member = drawn[order], member[order]
    n = records.synthetic.frame.height
    mine = np.sort(generator.choice(n, min(n, SYNTHETIC_ROWS), replace=False))
    x, x_labels = _row_features(records.synthetic, mine)
    y, y_labels = _row_features(pool, drawn)
    spread = np.ptp(y, axis=0)
    spread[3] = 1.0
    spread[spread == 0.0] = 1.0
    x, y = x / spread, y / spread
    found: list[tuple[Floats, Floats, Ints]] = []
    for low in range(0, mine.size, _BLOCK):
        part = slice(low, low + _BLOCK)
        gap = np.zeros((x[part].shape[0], drawn.size))
        for column in range(x.shape[1]):
            gap += np.abs(x[part, column, None] - y[None, :, column])
        for one, other in zip(x_labels, y_labels, strict=True):
            gap += one[part, None] != other[None, :]
        nearest = gap.argmin(axis=1)
        found.append(
            (gap[:, member].min(axis=1), gap[:, ~member].min(axis=1), code_l[drawn[nearest]])
        )
    to_member, to_other, owner = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return Closest(to_member, to_other, owner.astype(np.int64))


def scaled_profiles(synthetic: Floats, pool: Floats) -> tuple[Floats, Floats]:
    """Profiles in units of the pool's standard deviations."""
    sd = pool.std(axis=0)
    sd[sd == 0.0] = 1.0
    return synthetic / sd, pool / sd


def closest_customers(
    synthetic: Floats, pool: Floats, codes: Ints, sides: tuple[Ints, Ints]
) -> Closest:
    """DCR of customers.

    Args:
        synthetic: scaled profiles, shape (S, F).
        pool: scaled profiles, shape (U', F).
        codes: pool codes of the rows of ``pool``, shape (U',).
        sides: codes of equally many members and others.
    """
    from scipy.spatial.distance import cdist

    parts = [np.flatnonzero(np.isin(codes, side)) for side in sides]
    gaps = [cdist(synthetic, pool[part]) for part in parts]
    nearest = [gap.argmin(axis=1) for gap in gaps]
    to = [gap.min(axis=1) for gap in gaps]
    owner = np.where(to[0] < to[1], codes[parts[0][nearest[0]]], codes[parts[1][nearest[1]]])
    return Closest(to[0], to[1], owner)
