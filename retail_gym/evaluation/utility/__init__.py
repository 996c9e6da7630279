"""Utility: is a synthetic table as good to learn from as the real one?

Every model is trained on the synthetic table and tested on real customers that neither table has,
beside the same model trained on the real table (the ceiling) and on both: a classifier of large
baskets, a forecaster of demand and a recommender of the next basket. And the rules that Apriori
finds (lift, conviction) are compared with those of the real table, beside those of the holdout.

A score passes if it is at most :data:`LOSS` below that of the real table; an error of a forecast if
it is at most 10 % larger; a distance of rules if it is at most twice as large, plus 0.02. Needs scikit-learn and mlxtend (the extra ``eval``).
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final

import numpy as np

from retail_gym.data.table import Transactions
from retail_gym.evaluation.measures import Measure
from retail_gym.evaluation.sides import Labels, first_weeks, match_labels, same_customers
from retail_gym.evaluation.utility.classifier import SCORES, classifier_scores
from retail_gym.evaluation.utility.forecast import forecast_errors, last_weeks_error
from retail_gym.evaluation.utility.recommender import SHOWN, recommender_scores
from retail_gym.evaluation.utility.rules import AGREEMENT, SUPPORT, compare_rules, find_rules

__all__ = ["LOSS", "TOLERANCE", "Utility", "utility"]

#: A score may be this much below that of the model trained on real purchases.
LOSS: Final = 0.05
#: A distance of rules may be this many times that of the holdout's, plus SLACK (of a logarithm).
TOLERANCE: Final = 2.0
SLACK: Final = 0.02
#: An error of a forecast may be this many times that of the model trained on real purchases.
FORECAST_TOLERANCE: Final = 1.1
_LEVELS: Final = ("category", "product")


@dataclass(frozen=True, eq=False)
class Utility:
    """The utility of a table."""

    measures: tuple[Measure, ...]
    labels: Labels
    n_customers: int  # on each side, for forecasts and rules


def _check_installed() -> None:
    for package, name in (("sklearn", "scikit-learn"), ("mlxtend", "mlxtend")):
        if find_spec(package) is None:
            raise ModuleNotFoundError(
                f'utility needs {name}: pip install "retail-gym[eval]"', name=package
            )


def _score(key: str, title: str, value: float, real: float, note: str = "") -> Measure:
    """A score: more is better, the ceiling is that of the real table."""
    passed = None if np.isnan(value) or np.isnan(real) else value >= real - LOSS
    return Measure("utility", key, title, value, None, real, passed=passed, note=note)


def _error(key: str, title: str, value: float, real: float, limit: float, note: str) -> Measure:
    """An error: 0 is ideal, the ceiling is that of the real table."""
    passed = None if np.isnan(value) or np.isnan(limit) else value <= limit
    return Measure("utility", key, title, value, 0.0, real, passed=passed, note=note)


def _classifier(
    real: Transactions, synthetic: Transactions, holdout: Transactions, seed: int
) -> list[Measure]:
    found = {
        name: classifier_scores(tables, holdout, seed)
        for name, tables in (
            ("real", [real]), ("synthetic", [synthetic]), ("both", [real, synthetic])
        )
    }  # fmt: skip
    large = found["real"]["large"]
    measures = [
        _score(
            f"classifier_{key}", f"large baskets: {title}", found["synthetic"][key],
            found["real"][key], f"{large:.0%} of the baskets are large" if key == "accuracy" else "",
        )
        for key, title in SCORES.items()
    ]  # fmt: skip
    measures.append(
        _score(
            "classifier_roc_auc_both", "large baskets: ROC-AUC, trained on both",
            found["both"]["roc_auc"], found["real"]["roc_auc"],
        )
    )  # fmt: skip
    return measures


def _rules(
    real: Transactions, synthetic: Transactions, holdout: Transactions, labels: Labels, seed: int
) -> list[Measure]:
    measures = []
    shared = {"category": labels.categories, "product": labels.products}
    for level in _LEVELS:
        one, other, third = (
            find_rules(labels.apply(table), level, seed, SUPPORT[level])
            for table in (real, synthetic, holdout)
        )
        found, ceiling = compare_rules(one, other), compare_rules(one, third)
        for key, (title, more) in AGREEMENT.items():
            matched = "distance" in key or shared[level]
            notes = [] if matched else ["matched by rank of sales"]
            if key == "found":
                notes.insert(0, f"{one.height:,} real rules, {other.height:,} synthetic")
            name, words, note = f"rules_{level}_{key}", f"{level} rules: {title}", "; ".join(notes)
            limit = TOLERANCE * ceiling[key] + SLACK
            measures.append(
                _score(name, words, found[key], ceiling[key], note)
                if more
                else _error(name, words, found[key], ceiling[key], limit, note)
            )
    return measures


def _forecasts(
    real: Transactions, synthetic: Transactions, holdout: Transactions, seed: int
) -> list[Measure]:
    measures = []
    for level in _LEVELS:
        ceiling = forecast_errors([real], holdout, level, seed)
        naive = last_weeks_error(holdout, level)
        for name, words, tables in (
            ("", "", [synthetic]),
            ("_both", ", trained on both", [real, synthetic]),
        ):
            measures.append(
                _error(
                    f"forecast_{level}{name}", f"demand of a {level}-week: error{words}",
                    forecast_errors(tables, holdout, level, seed), ceiling,
                    FORECAST_TOLERANCE * ceiling,
                    f"naive: {naive:.3f}" if not name else "",
                )
            )  # fmt: skip
    return measures


def _recommender(
    real: Transactions, synthetic: Transactions, holdout: Transactions, seed: int
) -> list[Measure]:
    ceiling = recommender_scores([real], holdout, seed)
    naive = f"popularity: {ceiling['popularity']:.3f}, habit: {ceiling['habit']:.3f}"
    return [
        _score(
            f"recommender{name}", f"next basket: recall of {SHOWN} categories{words}",
            recommender_scores(tables, holdout, seed)["recall"], ceiling["recall"],
            "" if name else naive,
        )
        for name, words, tables in (
            ("", "", [synthetic]), ("_both", ", trained on both", [real, synthetic]),
        )
    ]  # fmt: skip


def utility(
    real: Transactions,
    synthetic: Transactions,
    holdout: Transactions,
    *,
    labels: str = "auto",
    seed: int = 0,
) -> Utility:
    """Train on the synthetic table, test on real customers.

    Args:
        real: purchases to train on, for comparison.
        synthetic: generated purchases to train on.
        holdout: purchases of other real customers to test on.
        labels: how labels of rules are matched, see
            :func:`~retail_gym.evaluation.sides.match_labels`.
        seed: of draws and models.

    Raises:
        ModuleNotFoundError: without scikit-learn or mlxtend.
        ValueError: for tables with too few weeks or trips.
    """
    _check_installed()
    weeks = min(table.n_weeks for table in (real, synthetic, holdout))
    matched = match_labels(real, synthetic, labels)
    real, synthetic, holdout = (first_weeks(t, weeks) for t in (real, synthetic, holdout))
    size = min(table.n_customers for table in (real, synthetic, holdout))
    # Sums over customers and rare rules depend on their number: equally many on each side.
    equal = [
        same_customers(table, size, [seed, 25, k])
        for k, table in enumerate((real, synthetic, holdout))
    ]
    measures = [
        *_classifier(real, synthetic, holdout, seed),
        *_rules(equal[0], equal[1], equal[2], matched, seed),
        *_forecasts(equal[0], equal[1], equal[2], seed),
        *_recommender(real, synthetic, holdout, seed),
    ]
    return Utility(tuple(measures), matched, size)
