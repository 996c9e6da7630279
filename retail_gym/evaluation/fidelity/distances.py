"""Marginal fidelity: how far each column's distribution is from the real one.

* Numbers: the Wasserstein distance W = integral |F_S(x) - F_X(x)| dx, divided by the real
  range (min-max scaling, so 0 to about 1) and by the real standard deviation. The first is what
  the literature reports; one outlier in the real table makes it small for everybody.
* Labels: the Jensen-Shannon distance, base 2: sqrt(KL(p||m)/2 + KL(q||m)/2), m = (p + q)/2; 0 for
  equal shares, 1 where nothing is shared. It grows as samples shrink: two samples of one law of
  20,000 products are far apart. Read it beside the ceiling.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import ArrayLike

from retail_gym.data.table import DISCOUNTED, Transactions
from retail_gym.evaluation.realism.distributions import Empirical, wasserstein

if TYPE_CHECKING:
    import polars as pl

__all__ = ["NOMINAL", "NUMERIC", "distances", "jensen_shannon", "label_column", "wasserstein_by"]

#: Numbers of a row -> title.
NUMERIC: Final = {
    "quantity": "quantity",
    "unit_price": "price paid",
    "base_price": "base price",
    "discount": "discount",
    "revenue": "revenue of a row",
}
#: Labels of a row -> title.
NOMINAL: Final = {
    "week": "week",
    "discounted": "discounted or not",
    "category": "category",
    "product": "product",
}


def jensen_shannon(one: Mapping[object, float], other: Mapping[object, float]) -> float:
    """Jensen-Shannon distance (base 2) of two tallies, by label.

    Args:
        one: label -> weight, at least 0, one of them positive.
        other: the same.

    Returns:
        0 (equal shares) to 1 (no label in common).

    Raises:
        ValueError: for a tally without weight.
    """
    from scipy.spatial.distance import jensenshannon

    labels = list(dict.fromkeys([*one, *other]))
    p, q = (np.array([side.get(label, 0.0) for label in labels]) for side in (one, other))
    if not (p.sum() > 0.0 and q.sum() > 0.0):
        raise ValueError("a Jensen-Shannon distance needs two tallies with some weight")
    return float(jensenshannon(p, q, base=2.0))


def wasserstein_by(real: ArrayLike, synthetic: ArrayLike) -> tuple[float, float]:
    """Wasserstein distance in units of the real range, and of the real standard deviation.

    nan where the real values do not vary.
    """
    one, other = Empirical.of(real), Empirical.of(synthetic)
    area = wasserstein(one, other)
    span = float(one.values[-1] - one.values[0])
    sd = float(np.asarray(real, dtype=np.float64).std())
    if not (span > 0.0 and sd > 0.0):
        return (0.0, 0.0) if area == 0.0 else (float("nan"), float("nan"))
    return area / span, area / sd


def label_column(table: Transactions, key: str) -> pl.Series:
    """A column of labels; "discounted" is computed from the discount."""
    return table.frame["discount"] > DISCOUNTED if key == "discounted" else table.frame[key]


def tally(column: pl.Series) -> dict[object, float]:
    """Label -> rows, in the order of the labels: sums over them are the same bits every time."""
    counts = column.value_counts().sort(column.name)
    return dict(zip(counts[column.name].to_list(), counts["count"].to_list(), strict=True))


def distances(real: Transactions, synthetic: Transactions) -> dict[str, float]:
    """Distances of every column, and their means.

    Returns:
        ``wasserstein_COLUMN`` and ``wasserstein_sd_COLUMN`` for numbers, ``jsd_COLUMN`` for
        labels, and ``wasserstein_mean``, ``wasserstein_sd_mean``, ``jsd_mean``.
    """
    ranges, sds = {}, {}
    for key in NUMERIC:
        sides = (table.frame[key].to_numpy() for table in (real, synthetic))
        ranges[key], sds[key] = wasserstein_by(*sides)
    jsd = {
        key: jensen_shannon(tally(label_column(real, key)), tally(label_column(synthetic, key)))
        for key in NOMINAL
    }
    found: dict[str, float] = {}
    for name, part in (("wasserstein", ranges), ("wasserstein_sd", sds), ("jsd", jsd)):
        found |= {f"{name}_{key}": value for key, value in part.items()}
        found[f"{name}_mean"] = float(np.mean(list(part.values())))
    return found
