"""What the pictures show of a table, in few numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import polars as pl

from retail_gym.data import Transactions
from retail_gym.evaluation.realism.baskets import trips_of
from retail_gym.evaluation.realism.lift import pair_lifts
from retail_gym.evaluation.sides import match_labels
from retail_gym.evaluation.utility.rules import SUPPORT

__all__ = ["CURVES", "LEVELS", "curves_of"]

#: Columns of the shipped table. Curves: "lift", "real lift" (quantile against level), "basket",
#: "real basket" (share of trips with at most so many categories), and for each level of
#: :data:`LEVELS` "category rules", "product rules": lift of a rule, real against the candidate's.
CURVES: Final = {
    "candidate": pl.String,
    "settings": pl.String,
    "seed": pl.Int64,
    "curve": pl.String,
    "x": pl.Float64,
    "y": pl.Float64,
}
LEVELS: Final = ("category", "product")
#: Rules (pairs, of the support that rules need) kept for a picture.
RULES: Final = 600
_LARGEST: Final = 60


def _own(table: Transactions, prefix: str) -> list[pl.DataFrame]:
    baskets = trips_of(table)
    level = np.linspace(0.01, 0.99, 99)
    lift = pair_lifts(baskets).distribution
    size = np.arange(1, _LARGEST + 1)
    count = np.bincount(np.minimum(baskets.categories_per_trip, _LARGEST), minlength=_LARGEST + 1)
    below = np.cumsum(count)[1:] / baskets.n_trips
    parts = [("basket", size.astype(np.float64), below)]
    if lift.size:
        parts.append(("lift", level, np.array([lift.quantile(float(q)) for q in level])))
    return [_frame(prefix + name, x, y) for name, x, y in parts]


def _frame(curve: str, x: np.ndarray, y: np.ndarray) -> pl.DataFrame:
    return pl.DataFrame({"curve": [curve] * x.size, "x": x, "y": y})


def _pairs(table: Transactions, level: str) -> pl.DataFrame:
    """Lift of the pairs that are in enough trips, by label."""
    if level == "product":
        # Products in the place of categories, of those that a pair may have.
        lines, trips = table.lines, trips_of(table).n_trips
        often = np.bincount(lines.product) >= SUPPORT[level] * trips
        labels = table.frame["product"].unique().sort().filter(pl.Series(often))
        frame = table.frame.filter(pl.col("product").is_in(labels.to_list()))
        table = replace(table, frame=frame.with_columns(category=pl.col("product")))
    else:
        trips = trips_of(table).n_trips
    found = replace(pair_lifts(trips_of(table)), n_trips=trips)
    j, k = np.nonzero(np.triu(found.together_jk >= SUPPORT[level] * trips, k=1))
    names = pl.Series(list(found.labels))
    return pl.DataFrame({"one": names[j], "two": names[k], "lift": found.lift_jk[j, k]})


def curves_of(real: Transactions, other: Transactions) -> pl.DataFrame:
    """The curves of a candidate's table, beside those of as many real customers."""
    sample = real.sample(min(real.n_customers, other.n_customers), np.random.default_rng(0))
    labels = match_labels(real, other)
    frames = [*_own(other, ""), *_own(sample, "real ")]
    for level in LEVELS:
        one, two = (_pairs(labels.apply(table), level) for table in (sample, other))
        both = one.join(two, on=["one", "two"], how="inner", suffix="_other").sort("one", "two")
        both = both.gather_every(max(1, both.height // RULES))
        frames.append(
            _frame(f"{level} rules", both["lift"].to_numpy(), both["lift_other"].to_numpy())
        )
    return pl.concat(frames)
