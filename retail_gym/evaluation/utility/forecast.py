"""Demand foretold: units of a category next week, by gradient boosting on lags.

One example a category (or product) and week: log(1 + units) from those of the four weeks before,
the mean of eight, the price this week against that mean's, and the share of rows bought at
a discount. Trained on the first three quarters of a table's weeks, tested on the last quarter of
other real customers. Which category it is is not told: no labels are needed.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from retail_gym.data.table import DISCOUNTED, Transactions

Floats = NDArray[np.float64]

__all__ = ["forecast_errors", "last_weeks_error", "weekly"]

#: Weeks of history that an example needs.
HISTORY: Final = 8
LAGS: Final = 4
#: Weeks to train on, as a share of all.
TRAINED: Final = 0.75
#: Best-selling items used of each table.
ITEMS: Final = 300


def weekly(table: Transactions, level: str) -> tuple[Floats, Floats, Floats]:
    """Units, mean log price paid and discounted share, items by weeks, of the best sellers.

    Where nothing was sold, the price is that of the item's last sale (its mean before the
    first), and the discounted share 0.
    """
    lines, n_weeks = table.lines, table.n_weeks
    item = lines.category if level == "category" else lines.product
    n = int(item.max()) + 1
    cell = item * n_weeks + lines.week - 1

    def total(weights: NDArray[np.generic]) -> Floats:
        sums = np.bincount(cell, weights=weights, minlength=n * n_weeks)
        return np.asarray(sums.reshape(n, n_weeks), dtype=np.float64)

    units, rows = total(lines.quantity), total(np.ones(cell.size))
    log_price, discounted = total(np.log(lines.unit_price)), total(lines.discount > DISCOUNTED)
    best = np.argsort(-units.sum(axis=1), kind="stable")[:ITEMS]
    units, rows, log_price, discounted = (a[best] for a in (units, rows, log_price, discounted))
    mean = log_price.sum(axis=1) / rows.sum(axis=1)
    seen = np.maximum.accumulate(np.where(rows > 0, np.arange(n_weeks), -1), axis=1)
    weekly_price = log_price / np.maximum(rows, 1.0)
    price = np.take_along_axis(weekly_price, np.maximum(seen, 0), axis=1)
    price = np.where(seen >= 0, price, mean[:, None])
    return units, price, discounted / np.maximum(rows, 1.0)


def _examples(table: Transactions, level: str, weeks: range) -> tuple[Floats, Floats, Floats]:
    """Features, log(1 + units), and units, of the weeks (from 0) that have a history."""
    units, price, discounted = weekly(table, level)
    log_units = np.log1p(units)
    rows, targets, plain = [], [], []
    for t in weeks:
        if t < HISTORY:
            continue
        past = log_units[:, t - HISTORY : t]
        lags = [log_units[:, t - k] for k in range(1, LAGS + 1)]
        change = price[:, t] - price[:, t - HISTORY : t].mean(axis=1)
        rows.append(np.stack([*lags, past.mean(axis=1), change, discounted[:, t]], axis=1))
        targets.append(log_units[:, t])
        plain.append(units[:, t])
    if not rows:
        raise ValueError(
            f"{table.name} has {table.n_weeks} weeks: a forecast needs more than {HISTORY} before "
            "the first week to foretell"
        )
    return np.concatenate(rows), np.concatenate(targets), np.concatenate(plain)


def _error(found: Floats, units: Floats) -> float:
    """Weighted absolute percentage error: sum |error| / sum of units."""
    return float(np.abs(found - units).sum() / units.sum())


def forecast_errors(train: list[Transactions], test: Transactions, level: str, seed: int) -> float:
    """Train on some tables' first weeks, test on another's last ones.

    Returns:
        The weighted absolute percentage error; 0 is perfect.

    Raises:
        ValueError: for tables of too few weeks.
    """
    from sklearn.ensemble import HistGradientBoostingRegressor
    from threadpoolctl import threadpool_limits

    cut = round(TRAINED * test.n_weeks)
    parts = [_examples(table, level, range(cut)) for table in train]
    x, y = (np.concatenate([part[k] for part in parts]) for k in (0, 1))
    model = HistGradientBoostingRegressor(max_iter=150, learning_rate=0.06, random_state=seed)
    x_test, _, units = _examples(test, level, range(cut, test.n_weeks))
    with threadpool_limits(1):  # small tables: more threads only wait for each other
        found = model.fit(x, y).predict(x_test)
    return _error(np.expm1(found), units)


def last_weeks_error(test: Transactions, level: str) -> float:
    """Error of the naive forecast: the mean of the four weeks before."""
    cut = round(TRAINED * test.n_weeks)
    x, _, units = _examples(test, level, range(cut, test.n_weeks))
    return _error(np.expm1(x[:, :LAGS]).mean(axis=1), units)
