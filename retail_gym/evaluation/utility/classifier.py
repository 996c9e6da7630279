"""Large baskets foretold: the bagging classifier of the literature.

One example a trip: does the customer buy more than ten different products? The features are the
prices of the trip (mean price paid, mean discount, share of discounted rows) and, in the place of
demographics, which a table of purchases lacks, what the shop knows from the customer's earlier
trips: trips a week, weeks since the last, products a trip, price paid and discount. Trained on one
table, tested on other real customers. No labels are needed.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from retail_gym.data.table import DISCOUNTED, Transactions
from retail_gym.evaluation.realism.baskets import trips_of

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

__all__ = ["LARGE", "SCORES", "classifier_scores", "examples"]

#: A large basket has more different products than this.
LARGE: Final = 10
#: Key -> title.
SCORES: Final = {
    "accuracy": "accuracy",
    "f1": "F1",
    "roc_auc": "ROC-AUC",
    "precision": "precision",
    "recall": "recall",
}
#: Trips drawn for training and for testing.
EXAMPLES: Final = 10_000
TREES: Final = 50


def examples(table: Transactions) -> tuple[Floats, Bools]:
    """Features and target of every trip but a customer's first.

    Returns:
        Features, shape (K, 8), and whether the basket is large, shape (K,).
    """
    baskets, lines = trips_of(table), table.lines
    trip_l, n = baskets.trip_of_line, baskets.n_trips
    rows = np.bincount(trip_l, minlength=n).astype(np.float64)
    price = np.bincount(trip_l, weights=lines.unit_price, minlength=n)
    discount = np.bincount(trip_l, weights=lines.discount, minlength=n)
    discounted = np.bincount(trip_l, weights=lines.discount > DISCOUNTED, minlength=n)
    customer, week = baskets.trip_customer, np.zeros(n)
    week[trip_l] = lines.week
    # Trips are sorted by customer and week: sums over a customer's earlier trips.
    first = np.flatnonzero(np.append(True, customer[1:] != customer[:-1]))
    start = np.repeat(first, np.diff(np.append(first, n)))
    before = {}
    for name, values in (("rows", rows), ("price", price), ("discount", discount)):
        total = np.concatenate([[0.0], np.cumsum(values)])
        before[name] = total[:-1] - total[start]
    trips = np.arange(n) - start
    later = trips > 0
    with np.errstate(invalid="ignore", divide="ignore"):  # first trips, left out below
        features = np.stack(
            [
                price / rows,
                discount / rows,
                discounted / rows,
                trips / (week - 1.0),
                week - np.concatenate([[0.0], week[:-1]]),
                before["rows"] / trips,
                before["price"] / before["rows"],
                before["discount"] / before["rows"],
            ],
            axis=1,
        )
    return features[later], rows[later] > LARGE


def _draw(table: Transactions, seed: list[int]) -> tuple[Floats, Bools]:
    x, y = examples(table)
    generator = np.random.default_rng(seed)
    chosen = np.sort(generator.choice(y.size, min(y.size, EXAMPLES), replace=False))
    return x[chosen], y[chosen]


def classifier_scores(train: list[Transactions], test: Transactions, seed: int) -> dict[str, float]:
    """Train on some tables (equally many trips of each), test on another.

    Returns:
        The scores by the keys of :data:`SCORES`, and "large": the share of large baskets in
        the test.

    Raises:
        ValueError: for a table without a second trip of anybody.
    """
    from sklearn.ensemble import BaggingClassifier
    from sklearn.metrics import (
        accuracy_score,
        f1_score,
        precision_score,
        recall_score,
        roc_auc_score,
    )

    drawn = [_draw(table, [seed, 20, k]) for k, table in enumerate(train)]
    x_test, y_test = _draw(test, [seed, 21])
    if min(y.size for _, y in [*drawn, (x_test, y_test)]) == 0:
        raise ValueError("the classifier needs customers with at least two trips in every table")
    x, y = (np.concatenate(parts) for parts in zip(*drawn, strict=True))
    if y.all() or not y.any():  # one class: nothing to learn
        chance = np.full(y_test.size, float(y[0]))
    else:
        model = BaggingClassifier(n_estimators=TREES, random_state=seed)
        chance = model.fit(x, y).predict_proba(x_test)[:, 1]
    guess = chance > 0.5
    one_class = bool(y_test.all() or not y_test.any())
    return {
        "accuracy": float(accuracy_score(y_test, guess)),
        "f1": float(f1_score(y_test, guess, zero_division=0.0)),
        "roc_auc": float("nan") if one_class else float(roc_auc_score(y_test, chance)),
        "precision": float(precision_score(y_test, guess, zero_division=0.0)),
        "recall": float(recall_score(y_test, guess, zero_division=0.0)),
        "large": float(y_test.mean()),
    }
