"""Fidelity: does a synthetic table look like the real one?

Four groups of measures, each beside its ceiling (other real customers in place of the synthetic
ones, so that nothing is asked that real customers do not reach):

* ``distances``: the distribution of each column (Wasserstein, Jensen-Shannon);
* ``association``: pairs of columns (Pearson, Theil's U, correlation ratio);
* ``sales``: what is sold how much (earth mover's and Jensen-Shannon distance, with and without
  weights for stock);
* :mod:`retail_gym.evaluation.realism`: baskets and panels (trips, lift of pairs, habits).

A measure passes if it is at most :data:`TOLERANCE` times as far from perfect as real customers
are on average, plus three of their standard deviations.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from retail_gym.config import check_int
from retail_gym.data.table import Transactions
from retail_gym.evaluation.fidelity.association import Associations, associations, differences
from retail_gym.evaluation.fidelity.distances import NOMINAL, NUMERIC, distances
from retail_gym.evaluation.fidelity.sales import SALES, sales_distances
from retail_gym.evaluation.measures import Measure
from retail_gym.evaluation.realism import SCORES, profile, score
from retail_gym.evaluation.realism.scores import DISTANCES
from retail_gym.evaluation.sides import (
    Labels,
    first_weeks,
    match_labels,
    same_customers,
)

__all__ = ["TITLES", "TOLERANCE", "Fidelity", "fidelity"]

#: A measure may be this many times as far from perfect as real customers are.
TOLERANCE: Final = 2.0
_KINDS: Final = {
    "wasserstein": ("Wasserstein (of the real range)", NUMERIC),
    "wasserstein_sd": ("Wasserstein (in standard deviations)", NUMERIC),
    "jsd": ("Jensen-Shannon", NOMINAL),
}
_MATRICES: Final = {
    "pearson": "Pearson correlations",
    "theils_u": "Theil's U",
    "correlation_ratio": "correlation ratios",
}
#: Key -> title of every measure.
TITLES: Final = {
    **{
        f"{kind}_{key}": f"{title}: {name}"
        for kind, (title, columns) in _KINDS.items()
        for key, name in {**columns, "mean": "mean of columns"}.items()
    },
    **{
        f"{name}_{summary}": f"{title}: {words}"
        for name, title in _MATRICES.items()
        for summary, words in (
            ("mean", "mean absolute difference"),
            ("frobenius", "Frobenius norm of the difference"),
        )
    },
    **SALES,
    **{f"realism_{key}": title for key, title in SCORES.items()},
}
#: Measures for which 1 is perfect; 0 is for all others.
_CLOSENESS: Final = frozenset(f"realism_{key}" for key in SCORES if key not in DISTANCES)
#: Measures that need labels with the same meaning on both sides -> which.
_NEED_LABELS: Final = {
    "jsd_category": "categories",
    "jsd_product": "products",
    **{key: "categories" if "_category" in key else "products" for key in SALES},
}


@dataclass(frozen=True, eq=False)
class Fidelity:
    """The fidelity of a table, with the matrices for pictures."""

    measures: tuple[Measure, ...]
    labels: Labels
    n_customers: int  # on either side
    n_weeks: int
    real: Associations = field(repr=False)
    synthetic: Associations = field(repr=False)


class _Side:
    """What is compared of a table, computed once."""

    def __init__(self, table: Transactions) -> None:
        self.table, self.associations = table, associations(table)
        self.profile = profile(table)

    def against(self, other: _Side) -> dict[str, float]:
        found = distances(self.table, other.table)
        found |= differences(self.associations, other.associations)
        found |= sales_distances(self.table, other.table)
        scores = score(self.profile, other.profile)
        found |= {f"realism_{key}": value for key, value in scores.items()}
        return {key: found[key] for key in TITLES}


def _note(key: str, labels: Labels) -> str:
    shared = {"categories": labels.categories, "products": labels.products}
    needed = _NEED_LABELS.get(key)
    return "" if needed is None or shared[needed] else f"{needed} matched by rank of sales"


def _pool(real: Transactions, holdout: Transactions | None) -> Transactions:
    """Real and holdout customers in one table."""
    import polars as pl

    if holdout is None:
        return real
    frame = pl.concat([real.frame, holdout.frame])
    customers = np.concatenate([real.customers, holdout.customers])
    return Transactions(frame, customers, real.n_weeks, f"{real.name} and {holdout.name}")


def fidelity(
    real: Transactions,
    synthetic: Transactions,
    holdout: Transactions | None = None,
    *,
    labels: str = "auto",
    draws: int = 8,
    seed: int = 0,
) -> Fidelity:
    """Compare a synthetic table with the real one, beside other real customers.

    Both sides are cut to the same weeks and to equally many customers, drawn by seed: as many as
    the smaller table has, at most half of the real ones, for the ceiling compares real customers
    with as many others.

    Args:
        real: the real table.
        synthetic: the other.
        holdout: further real customers, for the ceiling; none of ``real``'s.
        labels: how labels are matched, see :func:`~retail_gym.evaluation.sides.match_labels`.
        draws: pairs of sets of real customers for the ceiling, at least 2.
        seed: of all draws.

    Raises:
        ValueError: for tables of fewer than four weeks or four customers.
    """
    draws, seed = check_int("draws", draws, 2), check_int("seed", seed, 0)
    weeks = min(real.n_weeks, synthetic.n_weeks, *([holdout.n_weeks] if holdout else []))
    matched = match_labels(real, synthetic, labels)
    real, synthetic = first_weeks(real, weeks), first_weeks(synthetic, weeks)
    holdout = None if holdout is None else first_weeks(holdout, weeks)
    known = real.n_customers + (holdout.n_customers if holdout else 0)
    size = min(synthetic.n_customers, real.n_customers, known // 2)
    if size < 2:
        raise ValueError(
            f"fidelity needs at least 2 customers on each side and as many for the ceiling: "
            f"{real.name} has {real.n_customers}, {synthetic.name} {synthetic.n_customers}"
        )
    one, other = (
        _Side(matched.apply(same_customers(table, size, [seed, side])))
        for side, table in enumerate((real, synthetic))
    )
    pool, ceilings = _pool(real, holdout), []
    for k in range(draws):
        drawn = np.random.default_rng([seed, 2, k]).choice(pool.customers, 2 * size, replace=False)
        halves = (_Side(matched.apply(pool.select(half))) for half in (drawn[:size], drawn[size:]))
        ceilings.append(next(halves).against(next(halves)))
    measures = []
    for key, value in one.against(other).items():
        ideal = 1.0 if key in _CLOSENESS else 0.0
        reached = np.array([run[key] for run in ceilings])
        mean, sd = float(reached.mean()), float(reached.std(ddof=1))
        limit = TOLERANCE * abs(ideal - mean) + 3.0 * sd
        passed = None if np.isnan(value) or np.isnan(limit) else abs(ideal - value) <= limit
        measures.append(
            Measure(
                "fidelity", key, TITLES[key], value, ideal, mean, sd,
                passed=passed, note=_note(key, matched),
            )
        )  # fmt: skip
    return Fidelity(tuple(measures), matched, size, weeks, one.associations, other.associations)
