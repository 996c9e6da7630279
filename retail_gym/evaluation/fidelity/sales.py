"""How sales spread over products and categories, with and without weights for stock.

Shares of units sold, p_i for the real and q_i for the synthetic table:

* JSD: the Jensen-Shannon distance of p and q;
* EMD: the earth mover's distance where products stand in a row in the order of their real sales,
  one step apart, divided by their number: the share of the shelf's length that a unit must be
  carried on average, 0 to 1.

Weighted for stock, units are divided by the weeks in which the product was on the shelf, so
that a product sold for a month counts as what it sells while it is there. The table does not say
when that was: the span is estimated from the first and last week of a sale, stretched by
(k + 1) / (k - 1) for k weeks with a sale (the unbiased estimate for the length of an interval);
a product seen in one week counts as there all along. Two papers on generators under stock
constraints weight by availability; their exact weights are not published, these are ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from retail_gym.data.table import Transactions
from retail_gym.evaluation.fidelity.distances import jensen_shannon

if TYPE_CHECKING:
    import polars as pl

__all__ = ["SALES", "sales", "sales_distances"]

#: Keys of the distances -> title.
SALES: Final = {
    f"sales_{measure}_{level}{weighted}": f"{measure.upper()} of {level} sales{words}"
    for level in ("category", "product")
    for measure in ("emd", "jsd")
    for weighted, words in (("", ""), ("_stock", ", weighted for stock"))
}


def sales(table: Transactions, level: str) -> pl.DataFrame:
    """Units of each category or product, and units a week on the shelf.

    Args:
        table: purchases.
        level: "category" or "product".

    Returns:
        Columns label, units, weeks (estimated weeks on the shelf, 1..T), rate (units / weeks);
        sorted by units, largest first, ties by label.
    """
    import polars as pl

    week = pl.col("week")
    seen, weeks = week.n_unique(), float(table.n_weeks)
    span = (week.max() - week.min()) * (seen + 1) / (seen - 1).clip(1) + 1.0
    return (
        table.frame.group_by(pl.col(level).alias("label"))
        .agg(
            pl.col("quantity").sum().alias("units"),
            pl.when(seen == 1).then(weeks).otherwise(span.clip(1.0, weeks)).alias("weeks"),
        )
        .with_columns(rate=pl.col("units") / pl.col("weeks"))
        .sort(["units", "label"], descending=[True, False])
    )


def _emd(order: dict[object, int], one: dict[object, float], other: dict[object, float]) -> float:
    places = np.zeros((2, len(order)))
    for side, tallied in enumerate((one, other)):
        for label, weight in tallied.items():
            places[side, order[label]] = weight
    shares = places / places.sum(axis=1, keepdims=True)
    cumulative = np.cumsum(shares, axis=1)
    return float(np.abs(cumulative[0] - cumulative[1]).sum() / len(order))


def sales_distances(real: Transactions, synthetic: Transactions) -> dict[str, float]:
    """EMD and JSD of category and product sales, by the keys of :data:`SALES`.

    Labels must mean the same on both sides (see :mod:`retail_gym.evaluation.sides`). Labels that
    only the synthetic table has stand at the end of the shelf.
    """
    found = {}
    for level in ("category", "product"):
        one, other = sales(real, level), sales(synthetic, level)
        labels = dict.fromkeys([*one["label"].to_list(), *other["label"].to_list()])
        order = {label: place for place, label in enumerate(labels)}
        for column, weighted in (("units", ""), ("rate", "_stock")):
            sides = [
                dict(zip(t["label"].to_list(), t[column].cast(float).to_list(), strict=True))
                for t in (one, other)
            ]
            found[f"sales_emd_{level}{weighted}"] = _emd(order, *sides)
            found[f"sales_jsd_{level}{weighted}"] = jensen_shannon(*sides)
    return {key: found[key] for key in SALES}
