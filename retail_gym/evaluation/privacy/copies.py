"""Copied rows: do synthetic rows repeat rows of members more often than rows of others?

Equal rows alone prove nothing: of the rows of real shoppers, more than half equal a row of
somebody else (the same milk at the same price in the same week). So every row of a pool customer
that at most three of them have is weighed by how surprising a hit is. A *hit* is a synthetic row
with the same week, product, quantity, price paid (to the cent) and discount. With p the natural
chance of a hit, copying a share d of the members' rows makes it p + d (1 - p), and the locally most
powerful statistic for d = 0 is, by customer,

    score_u = sum over the customer's rows of (hit - p) / (p (1 - p)).

p is the share of hits among alike rows of the pool, members and others together: alike in how many
customers have the row, how many bought the product that week, how often the product was bought like
that in other weeks, at that price in the same week, how many units, discounted or not. What
a customer's number and kinds of rows explain is taken out by least squares. Members and others are
treated alike throughout, so that the permutation test of the scores is exact.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retail_gym.evaluation.privacy.records import Records, coded_rows, row_key

if TYPE_CHECKING:
    import polars as pl

Floats = NDArray[np.float64]

__all__ = ["CopyScores", "copy_scores"]

#: Rows that more customers have are left out: hits among them say little.
OWNERS: Final = 3
#: Largest weight 1 / (p (1 - p)): p of few alike rows is uncertain.
HEAVIEST: Final = 100.0


class CopyScores(NamedTuple):
    """By how much each pool customer's rows are repeated beyond chance."""

    score_u: Floats  # U
    per_copy_u: Floats  # U: expected score of a customer all of whose rows were copied
    rows_u: Floats  # U: different rows of each customer


def _alike(column: str, top: int) -> pl.Expr:
    """A count on a logarithmic scale: 1, 2-3, 4-7, ..."""
    import polars as pl

    return pl.col(column).log(2.0).floor().clip(0, top).cast(pl.Int64)


def copy_scores(records: Records) -> CopyScores:
    """Score every pool customer."""
    import polars as pl

    key, n = row_key(records.labels, exact=True), records.member_u.size
    names, code = list(key), pl.col("code")
    pool = coded_rows(records.pool, key).with_columns(
        buyers=code.n_unique().over("week", "item"),
        usual=pl.len().over("item", "quantity", "unit_price", "discount"),
        priced=pl.len().over("week", "item", "unit_price"),
    )
    own = pool.group_by([*names, "code"], maintain_order=True).agg(
        pl.col("buyers", "usual", "priced").first()
    )
    rows_u = np.bincount(own["code"].to_numpy(), minlength=n).astype(np.float64)
    own = own.with_columns(owners=pl.len().over(names)).filter(pl.col("owners") <= OWNERS)
    hits = coded_rows(records.synthetic, key).select(names).unique().with_columns(hit=1.0)
    own = own.join(hits, on=names, how="left", maintain_order="left")
    own = own.with_columns(
        pl.col("hit").fill_null(0.0),
        other=pl.Series(~records.member_u[own["code"].to_numpy()]).cast(pl.Float64),
    )
    kind = [
        pl.col("owners"),
        _alike("buyers", 5),
        _alike("usual", 6),
        _alike("priced", 2),
        pl.col("quantity").clip(1, 3),
        pl.col("discount") > 0,
    ]
    chance = ((pl.col("hit").sum() + 0.2) / (pl.len() + 2.0)).over(kind)
    # Of the others alone: what the chance is without the copies, for the estimate.
    other = pl.col("other")
    natural = (((pl.col("hit") * other).sum() + 0.2) / (other.sum() + 2.0)).over(kind)
    found = own.select(
        "code",
        "hit",
        chance.alias("p"),
        natural.alias("natural"),
        (pl.col("owners") == 1).alias("alone"),
        (pl.col("buyers") == 1).alias("only"),
    )
    u, p, hit = (found[name].to_numpy() for name in ("code", "p", "hit"))
    weight = np.minimum(1.0 / (p * (1.0 - p)), HEAVIEST)

    def by_customer(values: NDArray[Any]) -> Floats:
        return np.bincount(u, weights=values, minlength=n).astype(np.float64)

    score_u = by_customer((hit - p) * weight)
    explained = np.stack(
        [
            np.ones(n),
            by_customer(weight),
            by_customer(np.ones(u.size)),
            by_customer(p),
            by_customer(found["alone"].to_numpy()),
            by_customer(found["only"].to_numpy()),
        ],
        axis=1,
    )
    scale = np.maximum(explained.max(axis=0), 1e-300)
    fit = explained @ (np.linalg.lstsq(explained / scale, score_u, rcond=None)[0] / scale)
    per_copy = (1.0 - found["natural"].to_numpy()) * weight
    return CopyScores(score_u - fit, by_customer(per_copy), rows_u)
