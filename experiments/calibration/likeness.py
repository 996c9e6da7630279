"""Prices, discounts and complements: measured alike in real and simulated tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from experiments.calibration.protocols import LIKE
from experiments.realism import response_row
from retail_gym.data import Transactions
from retail_gym.evaluation.price_response import price_response
from retail_gym.evaluation.realism import PairLifts, Profile, pair_agreement

__all__ = [
    "FIGURES",
    "Pairs",
    "common_lifts",
    "figures_of",
    "named",
    "pairs_of",
    "pooled",
    "price_table",
]

#: Key -> title of what prices and discounts do.
FIGURES: Final = {
    "coefficient": "price coefficient, pooled",
    "by_product_q25": "by product: lower quartile",
    "by_product_q50": "by product: median",
    "by_product_q75": "by product: upper quartile",
    "by_product_mean": "by product: mean",
    "products": "products in the regression",
    "discounted_share": "share of purchases at a discount",
    "discount_depth": "mean depth of those discounts",
}


def figures_of(table: Transactions) -> dict[str, float]:
    """Price regression and discounts of one table, by the keys of :data:`FIGURES`."""
    found = table.facts | response_row(price_response(table))
    return {key: found[key] for key in FIGURES}


def price_table(
    real: dict[str, float],
    others: Sequence[dict[str, float]],
    simulated: Sequence[dict[str, float]],
) -> pl.DataFrame:
    """Real beside simulated figures, with the distance of other real customers and the goals.

    Args:
        real: figures of the real side.
        others: of other real customers, as many each.
        simulated: of simulated tables.

    Returns:
        Columns metric, title, real, simulated, simulated_sd, distance (of the mean from the real
        figure; of the coefficient as a share of it), ceiling (mean distance of the others),
        goal, met.
    """
    rows = []
    for key, title in FIGURES.items():
        values = np.array([one[key] for one in simulated])
        unit = abs(real[key]) if key in ("coefficient", "products") else 1.0
        distance = float(abs(values.mean() - real[key]) / unit)
        goal = LIKE.get(key)
        rows.append(
            {
                "metric": key,
                "title": title,
                "real": real[key],
                "simulated": float(values.mean()),
                "simulated_sd": float(values.std(ddof=1)) if values.size > 1 else None,
                "distance": distance,
                "ceiling": float(np.mean([abs(one[key] - real[key]) / unit for one in others])),
                "goal": None if goal is None else str(goal),
                "met": None if goal is None else goal.met(distance),
            }
        )
    return pl.DataFrame(rows, schema_overrides={"goal": pl.String, "met": pl.Boolean})


def named(lifts: PairLifts, names: Sequence[object]) -> PairLifts:
    """The lifts of a simulated store, its categories by name instead of number."""
    return PairLifts(
        tuple(names[int(str(k))] for k in lifts.labels), lifts.together_jk, lifts.n_trips
    )


def pooled(several: Sequence[PairLifts]) -> PairLifts:
    """The lifts over the trips of several tables."""
    labels = tuple(sorted({label for one in several for label in one.labels}, key=str))
    place = {label: k for k, label in enumerate(labels)}
    together = np.zeros((len(labels), len(labels)), dtype=np.int64)
    for one in several:
        at = np.array([place[label] for label in one.labels])
        together[np.ix_(at, at)] += one.together_jk
    return PairLifts(labels, together, sum(one.n_trips for one in several))


def common_lifts(one: PairLifts, other: PairLifts) -> tuple[NDArray[Any], NDArray[Any]]:
    """Lifts on both sides of the pairs that are supported on both, for a picture."""
    place = {label: k for k, label in enumerate(other.labels)}
    common = [(k, place[label]) for k, label in enumerate(one.labels) if label in place]
    mine, theirs = np.array(common).T
    both = (one.supported_jk | one.supported_jk.T)[np.ix_(mine, mine)]
    both &= (other.supported_jk | other.supported_jk.T)[np.ix_(theirs, theirs)]
    both = np.triu(both, k=1)
    return one.lift_jk[np.ix_(mine, mine)][both], other.lift_jk[np.ix_(theirs, theirs)][both]


@dataclass(frozen=True)
class Pairs:
    """Whether the pairs that are bought together are the real ones."""

    spearman: float  # mean over simulated tables, each of the real side's size
    spearman_sd: float | None
    pairs: float  # supported on both sides, mean
    pooled: float  # of all simulated tables as one
    ceiling: float  # other real customers, as many, mean
    ceiling_all: float  # all other real customers of the pool

    @property
    def met(self) -> bool:
        """Whether the goal is reached."""
        return LIKE["spearman"].met(self.spearman)


def pairs_of(
    real: Profile,
    simulated: Sequence[PairLifts],
    others: Sequence[Profile],
    everybody: Profile,
) -> Pairs:
    """Compare lifts of category pairs, by name.

    Args:
        real: the real side.
        simulated: lifts of simulated tables, by category name.
        others: other real customers, as many each.
        everybody: all other real customers of the pool.
    """
    each = [pair_agreement(real.lifts, one) for one in simulated]
    ranks = np.array([one.spearman for one in each])
    return Pairs(
        float(ranks.mean()),
        float(ranks.std(ddof=1)) if ranks.size > 1 else None,
        float(np.mean([one.pairs for one in each])),
        pair_agreement(real.lifts, pooled(simulated)).spearman,
        float(np.mean([pair_agreement(real.lifts, one.lifts).spearman for one in others])),
        pair_agreement(real.lifts, everybody.lifts).spearman,
    )
