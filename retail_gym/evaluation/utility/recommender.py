"""The next purchase foretold: which categories will be in a customer's next basket?

A logistic regression on what is known three quarters into the table: how often the customer bought
the category, how lately, how popular it is, and how often it goes with the categories of the last
basket (item to item). What is trained is how to weigh these; popularity and item-to-item shares
are those of the table at hand, so that no labels are needed. Tested on other real customers by
the ten categories recommended.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retail_gym.data.table import Transactions
from retail_gym.evaluation.realism.baskets import trips_of

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

__all__ = ["SHOWN", "NextBaskets", "next_baskets", "recall_at", "recommender_scores"]

#: Categories recommended.
SHOWN: Final = 10
#: History, as a share of the weeks.
KNOWN: Final = 0.75
#: Customers drawn for training and for testing.
CUSTOMERS: Final = 800
#: Columns of the features.
FEATURES: Final = (
    "share of trips",
    "in the last trip",
    "in four weeks",
    "popularity",
    "item to item",
)


class NextBaskets(NamedTuple):
    """Features of customers and categories, and what the next basket held."""

    features: Floats  # N, J, F
    bought: Bools  # N, J


def next_baskets(table: Transactions) -> NextBaskets:
    """Cut every customer's trips after three quarters of the weeks.

    Customers without a trip before the cut or after it are left out.
    """
    baskets, n_categories = trips_of(table), len(table.lines.category_labels)
    cut = round(KNOWN * table.n_weeks)
    n = baskets.n_trips
    week_k = np.zeros(n, dtype=np.int64)
    week_k[baskets.trip_of_line] = table.lines.week
    holds = np.zeros((n, n_categories), dtype=bool)
    holds[baskets.entry_trip, baskets.entry_category] = True
    customer = baskets.trip_customer
    past = week_k <= cut
    count = np.zeros((table.n_customers, n_categories))
    np.add.at(count, customer[past], holds[past])
    trips = np.bincount(customer[past], minlength=table.n_customers)
    recent = np.zeros((table.n_customers, n_categories), dtype=bool)
    lately = past & (week_k > cut - 4)
    np.logical_or.at(recent, customer[lately], holds[lately])
    # Trips are sorted by customer and week.
    last, following = (np.full(table.n_customers, -1) for _ in range(2))
    last[customer[past]] = np.flatnonzero(past)
    after = np.flatnonzero(~past)[::-1]
    following[customer[after]] = after
    known = np.flatnonzero((last >= 0) & (following >= 0))
    popular = holds[past].mean(axis=0)
    matrix = holds[past].astype(np.float32)
    together = (matrix.T @ matrix).astype(np.float64)
    chance_jk = together / np.maximum(np.diag(together), 1.0)  # P(row | column)
    np.fill_diagonal(chance_jk, 0.0)
    basket = holds[last[known]].astype(np.float64)
    item_to_item = basket @ chance_jk.T / np.maximum(basket.sum(axis=1, keepdims=True), 1.0)
    parts = [
        count[known] / trips[known, None],
        basket,
        recent[known].astype(np.float64),
        np.broadcast_to(np.log(popular + 1e-4), basket.shape),
        np.log(item_to_item + 1e-4),
    ]
    return NextBaskets(np.stack(parts, axis=2), holds[following[known]])


def recall_at(score: Floats, bought: Bools, shown: int = SHOWN) -> float:
    """Share of the next basket among the categories recommended, at most ``shown`` of them.

    A basket of more than ``shown`` categories counts as one of ``shown``.
    """
    top = np.argsort(-score, axis=1, kind="stable")[:, :shown]
    hits = np.take_along_axis(bought, top, axis=1).sum(axis=1)
    return float((hits / np.minimum(bought.sum(axis=1), shown)).mean())


def _draw(table: Transactions, seed: list[int]) -> NextBaskets:
    found = next_baskets(table)
    n = found.bought.shape[0]
    if n == 0:
        raise ValueError(f"{table.name} has no customer with trips before and after the cut")
    chosen = np.random.default_rng(seed).choice(n, min(n, CUSTOMERS), replace=False)
    return NextBaskets(found.features[chosen], found.bought[chosen])


def recommender_scores(
    train: list[Transactions], test: Transactions, seed: int
) -> dict[str, float]:
    """Train on some tables, test on another.

    Returns:
        "recall" of the ten recommended, "popularity" and "habit": that of recommending the
        most popular categories, and those bought most often by the customer.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from threadpoolctl import threadpool_limits

    drawn = [_draw(table, [seed, 23, k]) for k, table in enumerate(train)]
    x = np.concatenate([d.features.reshape(-1, len(FEATURES)) for d in drawn])
    y = np.concatenate([d.bought.ravel() for d in drawn])
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
    with threadpool_limits(1):
        model.fit(x, y)
    held = _draw(test, [seed, 24])
    shape = held.bought.shape
    score = model.decision_function(held.features.reshape(-1, len(FEATURES))).reshape(shape)
    return {
        "recall": recall_at(score, held.bought),
        "popularity": recall_at(held.features[:, :, 3], held.bought),
        "habit": recall_at(held.features[:, :, 0], held.bought),
    }
