"""Product association: lift and conviction of the rules that Apriori finds.

A rule A -> B of two items that are in the same trip often enough: lift = P(A and B) / (P(A) P(B)),
conviction = (1 - P(B)) / (1 - P(B | A)), infinite where B always comes with A. Rules are matched
between tables by label (or rank, see :mod:`retail_gym.evaluation.sides`); their distributions need
no labels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.stats import spearmanr, wasserstein_distance

from retail_gym.data.table import Transactions
from retail_gym.evaluation.realism.baskets import trips_of

if TYPE_CHECKING:
    import polars as pl

__all__ = ["AGREEMENT", "SUPPORT", "compare_rules", "find_rules"]

#: Level -> smallest share of trips that hold a pair.
SUPPORT: Final = {"category": 0.02, "product": 0.005}
#: Key -> title, whether more is better.
AGREEMENT: Final = {
    "found": ("share of the real rules found", True),
    "lift_spearman": ("lift of matched rules, rank correlation", True),
    "lift_error": ("lift of matched rules, mean |log ratio|", False),
    "conviction_error": ("conviction of matched rules, mean |log ratio|", False),
    "lift_distance": ("distribution of log lift, Wasserstein", False),
    "conviction_distance": ("distribution of log conviction, Wasserstein", False),
}
#: Trips drawn.
TRIPS: Final = 20_000
#: Logarithm of an infinite conviction.
CEILING: Final = 5.0


def find_rules(table: Transactions, level: str, seed: int, support: float) -> pl.DataFrame:
    """Rules of two items.

    Args:
        table: purchases.
        level: "category" or "product".
        seed: of the trips drawn.
        support: smallest share of trips that hold both items.

    Returns:
        Columns antecedent, consequent (labels), support, lift, conviction.
    """
    import pandas as pd
    import polars as pl
    from mlxtend.frequent_patterns import association_rules

    baskets = trips_of(table)
    n = baskets.n_trips
    drawn = np.full(n, -1)
    size = min(n, TRIPS)
    drawn[np.random.default_rng([seed, 22]).choice(n, size, replace=False)] = np.arange(size)
    lines = table.lines
    item_l = lines.category if level == "category" else lines.product
    trip_l = drawn[baskets.trip_of_line]
    kept = trip_l >= 0
    pairs = np.unique(np.stack([trip_l[kept], item_l[kept]]), axis=1)
    often = np.flatnonzero(np.bincount(pairs[1]) >= support * size)
    place = np.full(int(item_l.max()) + 1, -1)
    place[often] = np.arange(often.size)
    chosen = place[pairs[1]] >= 0
    holds = sparse.csr_array(
        (np.ones(int(chosen.sum())), (pairs[0][chosen], place[pairs[1][chosen]])),
        shape=(size, often.size),
    )
    names = _names(table, level)
    schema = dict.fromkeys(("support", "lift", "conviction"), pl.Float64)
    empty = pl.DataFrame(
        {"antecedent": names[:0], "consequent": names[:0]} | {c: [] for c in schema},
        schema_overrides=schema,
    )
    if often.size < 2:
        return empty
    # Apriori's sets of one and two items, in one product of the matrix with itself.
    together = sparse.triu(holds.T @ holds).tocoo()
    frequent = together.data >= support * size
    one, two, count = (x[frequent] for x in (together.row, together.col, together.data))
    if (one == two).all():
        return empty
    itemsets = [frozenset(items) for items in zip(one.tolist(), two.tolist(), strict=True)]
    sets = pd.DataFrame({"support": count / size, "itemsets": itemsets})
    rules = association_rules(sets, metric="support", min_threshold=support)
    ends = [
        names[often[[next(iter(items)) for items in rules[side]]]]
        for side in ("antecedents", "consequents")
    ]
    return pl.DataFrame(
        {"antecedent": ends[0], "consequent": ends[1]}
        | {c: rules[c].to_numpy().astype(np.float64) for c in schema}
    )


def _names(table: Transactions, level: str) -> pl.Series:
    """Labels by code."""
    return table.frame[level].unique().sort()


def compare_rules(real: pl.DataFrame, other: pl.DataFrame) -> dict[str, float]:
    """Compare two tables' rules, by the keys of :data:`AGREEMENT`; nan without rules."""
    ends = ["antecedent", "consequent"]
    if real[ends[0]].dtype != other[ends[0]].dtype:
        other = other.clear().cast({end: real[end].dtype for end in ends})
    both = real.join(other, on=ends, how="inner", suffix="_other")
    nothing = float("nan")

    def logs(frame: pl.DataFrame, column: str) -> NDArray[np.float64]:
        values = frame[column].to_numpy().astype(np.float64)
        return np.asarray(np.clip(np.log(values), -CEILING, CEILING))

    found = {"found": both.height / real.height if real.height else nothing}
    varied = all(both[c].n_unique() > 1 for c in ("lift", "lift_other"))
    ranks = spearmanr(both["lift"], both["lift_other"]).statistic if varied else nothing
    found["lift_spearman"] = float(ranks)
    for column in ("lift", "conviction"):
        gap = np.abs(logs(both, column) - logs(both, f"{column}_other"))
        found[f"{column}_error"] = float(gap.mean()) if both.height else nothing
        found[f"{column}_distance"] = (
            float(wasserstein_distance(logs(real, column), logs(other, column)))
            if real.height and other.height
            else nothing
        )
    return {key: found[key] for key in AGREEMENT}
