r"""Fitted Q evaluation: what the target policy earns from a state and action on, by regression.

With k weeks to go (Le, Voloshin and Yue 2019, arXiv 1903.08738, for a finite horizon)

.. math:: \hat Q_k = \arg\min_f \sum \bigl(r_t + \gamma \hat V_{k-1}(s_{t+1}) - f(s_t, a_t)\bigr)^2,
          \quad \hat V_k(s) = \sum_a \pi(a \mid s)\, \hat Q_k(s, a),\quad \hat V_0 = 0

over all logged weeks at once: the law of the next week depends on state and action, not on the
number of the week. Where it does, the state must hold the week (the environments' do).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from retail_gym.config import check_finite
from retail_gym.evaluation.trajectories import Trajectories

Floats = NDArray[np.float64]

__all__ = ["Critic", "Prepared", "QuadraticRidge", "Regression", "Values"]


class Values(NamedTuple):
    """What a fitted critic says of every logged week, with the weeks to go that were left."""

    q: Floats  # N, T: of the logged state and action
    v: Floats  # N, T: of the logged state under the target


class Prepared(Protocol):
    """A critic with its data."""

    def fit(self, counts: Floats) -> Values:
        """Fit with each cluster counted so often, (C,); values of all trajectories."""

    def start_values(self, counts: Floats) -> Floats:
        """Fit for each row of counts, (B, C); the mean value of the first states, (B,)."""


class Critic(Protocol):
    """A way to regress."""

    def prepare(self, data: Trajectories, gamma: float) -> Prepared:
        """Take the data."""


def _support(data: Trajectories) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Features, (a,) or (N, T + 1, a), and probability, (N, T + 1), of each target action."""
    for m in range(data.target_weights.shape[-1]):
        yield data.target_actions[..., m, :], data.target_weights[..., m]


@dataclass(frozen=True)
class QuadraticRidge:
    r"""Ridge regression on :math:`1, s, a, a a^\top, s a^\top`: linear in the state.

    States and actions are standardised. The regression is solved from sums over trajectories,
    so a bootstrap of it costs little. It is the fixed point of least-squares temporal
    differences, step by step (Duan and Wang 2020, arXiv 2002.09516).

    Args:
        ridge: weight of the squared coefficients, of standardised figures, in shares of the
            number of weeks.
    """

    ridge: float = 1e-4

    def __post_init__(self) -> None:
        check_finite("ridge", self.ridge, 1e-12)

    def prepare(self, data: Trajectories, gamma: float) -> _Ridge:
        """Take the data."""
        return _Ridge(data, gamma, self.ridge)


class _Ridge:
    """Sums of features over the trajectories, from which any fit follows."""

    def __init__(self, data: Trajectories, gamma: float, ridge: float) -> None:
        self._shift_s, self._scale_s = _moments(data.states[:, :-1])
        self._shift_a, self._scale_a = _moments(data.actions)
        logged = self._standard(data.actions)
        x = self._design(data.states[:, :-1], logged, _squares(logged))
        # Features are linear in a and a a', so those of the target are of the means of both.
        first: Any = 0.0
        second: Any = 0.0
        for actions, weight in _support(data):
            a = self._standard(actions)
            first = first + weight[..., None] * a
            second = second + weight[..., None] * _squares(a)
        mean = self._design(data.states, first, second)
        n, t, p = x.shape
        clusters = data.clusters
        n_clusters = clusters.max() + 1
        self._x, self._mean, self._gamma, self._horizon = x, mean, gamma, t
        self._size = np.bincount(clusters).astype(np.float64)
        self._first, self._moment = np.empty((2, n_clusters, p))
        self._gram, self._next = np.empty((2, n_clusters, p, p))
        order = np.argsort(clusters, kind="stable")
        for c, rows in enumerate(np.split(order, np.cumsum(np.bincount(clusters))[:-1])):
            flat = x[rows].reshape(-1, p)
            self._first[c] = mean[rows, 0].sum(axis=0)
            self._moment[c] = data.rewards[rows].reshape(-1) @ flat
            self._gram[c] = flat.T @ flat
            self._next[c] = flat.T @ mean[rows, 1:].reshape(-1, p)
        self._penalty = ridge * n * t * np.eye(p)
        self._penalty[0, 0] = 1e-9 * n * t  # the level is free

    def _standard(self, actions: NDArray[Any]) -> Floats:
        return (np.asarray(actions, dtype=np.float64) - self._shift_a) / self._scale_a

    def _design(self, states: NDArray[Any], actions: Floats, squares: Floats) -> Floats:
        s = (np.asarray(states, dtype=np.float64) - self._shift_s) / self._scale_s
        products = (s[..., :, None] * actions[..., None, :]).reshape(*s.shape[:-1], -1)
        one = np.ones((*s.shape[:-1], 1))
        return np.concatenate([one, s, actions, squares, products], axis=-1)

    def _coefficients(self, counts: Floats) -> Iterator[Floats]:
        """Coefficients with 1, ..., T weeks to go, each (B, p), for counts (B, C)."""

        def total(parts: Floats) -> Floats:
            flat = parts.reshape(len(parts), -1)
            return (counts @ flat).reshape(len(counts), *parts.shape[1:])

        moment = total(self._moment)
        solved = np.linalg.solve(
            total(self._gram) + self._penalty,
            np.concatenate([moment[..., None], self._gamma * total(self._next)], axis=2),
        )
        now, ahead = solved[..., 0], solved[..., 1:]
        w = np.zeros_like(now)
        for _ in range(self._horizon):
            w = now + np.einsum("bpq,bq->bp", ahead, w)
            yield w

    def fit(self, counts: Floats) -> Values:
        q, v = np.empty(self._x.shape[:2]), np.empty(self._x.shape[:2])
        for k, w in enumerate(self._coefficients(counts[None]), start=1):
            t = self._horizon - k  # the week with k weeks to go
            q[:, t], v[:, t] = self._x[:, t] @ w[0], self._mean[:, t] @ w[0]
        return Values(q, v)

    def start_values(self, counts: Floats) -> Floats:
        *_, w = self._coefficients(counts)
        first = (counts @ self._first) / (counts @ self._size)[:, None]
        return np.asarray((first * w).sum(axis=1))


def _squares(actions: Floats) -> Floats:
    """Products of two figures of an action, each pair once."""
    rows, columns = np.triu_indices(actions.shape[-1])
    return actions[..., rows] * actions[..., columns]


def _moments(values: NDArray[Any]) -> tuple[Floats, Floats]:
    flat = values.reshape(-1, values.shape[-1]).astype(np.float64)
    scale = flat.std(axis=0)
    scale[scale < 1e-9] = 1.0
    return flat.mean(axis=0), scale


@dataclass(frozen=True)
class Regression:
    """Any regression of scikit-learn's kind, fitted anew for every number of weeks to go.

    Args:
        make: returns an unfitted regressor, ``fit(X, y)`` and ``predict(X)``; X holds state and
            action. For example ``lambda: HistGradientBoostingRegressor(random_state=0)`` (extra
            ``eval``). A bootstrap fits it T times a resample: ask for few.
    """

    make: Callable[[], Any]

    def prepare(self, data: Trajectories, gamma: float) -> _Fitted:
        """Take the data."""
        return _Fitted(data, gamma, self.make)


class _Fitted:
    """The data of a regression, one row a week."""

    def __init__(self, data: Trajectories, gamma: float, make: Callable[[], Any]) -> None:
        self._data, self._gamma, self._make = data, gamma, make
        self._clusters = data.clusters
        self._x = np.concatenate([data.states[:, :-1], data.actions], axis=-1)

    def fit(self, counts: Floats) -> Values:
        data = self._data
        n, horizon = data.rewards.shape
        rows = np.repeat(np.arange(n), counts[self._clusters].astype(np.int64))
        x = self._x[rows].reshape(-1, self._x.shape[-1])
        value = np.zeros((n, horizon + 1))  # V with one week less to go
        q, v = np.empty((n, horizon)), np.empty((n, horizon))
        for k in range(1, horizon + 1):
            goal = data.rewards + self._gamma * value[:, 1:]
            model = self._make()
            model.fit(x, goal[rows].reshape(-1))
            value = np.zeros((n, horizon + 1))
            for actions, weight in _support(data):
                wide = np.broadcast_to(actions, (*data.states.shape[:2], actions.shape[-1]))
                both = np.concatenate([data.states, wide], axis=-1)
                said = model.predict(both.reshape(-1, both.shape[-1]))
                value += weight * said.reshape(n, horizon + 1)
            t = horizon - k
            q[:, t], v[:, t] = model.predict(self._x[:, t]), value[:, t]
        return Values(q, v)

    def start_values(self, counts: Floats) -> Floats:
        means = []
        for row in counts:
            weight = row[self._clusters]
            means.append(float(weight @ self.fit(row).v[:, 0] / weight.sum()))
        return np.array(means)
